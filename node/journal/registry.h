/* registry.h - the nodes, their sites and the charter in force, as they are read: replicated tables
 * that only the hub writes (capture/publish.h). */
#ifndef NODE_JOURNAL_REGISTRY_H
#define NODE_JOURNAL_REGISTRY_H

#include "node/db/db.h"
#include "protocol/changeset.h"

enum node_state { NODE_INVITED = 1, NODE_ACTIVE = 2, NODE_RETIRED = 3 };
const char *node_state_name(enum node_state state);
struct node_record {
    const char *name;
    const char *unit;
    const char *parent; /* "" for the hub */
    const char *listen; /* endpoint, or "" */
    enum node_state state;
    uint64_t site; /* 0 until it has enrolled */
    uint8_t curve_key[CURVE_KEY_BYTES];
    uint8_t sign_key[SIGN_PUBLIC_BYTES];
    uint8_t enrol_key[CURVE_KEY_BYTES]; /* CURVE key of the open invitation; zero when none */
    uint64_t enrol_expires_ms;
    const char *reads; /* further units it may read, comma separated */
    uint64_t joined_ms;
};
enum err store_node_get(struct store *s, struct arena *a, const char *name,
                        struct node_record *out);
enum err store_node_list(struct store *s, struct arena *a, struct node_record **out, size_t *n);
/* Whether one of these keys is in the registry as another node's: its own, of any of its sites, or
 * of its invitation. */
enum err store_keys_taken(struct store *s, const char *node,
                          const uint8_t curve_key[CURVE_KEY_BYTES],
                          const uint8_t sign_key[SIGN_PUBLIC_BYTES], bool *taken);
struct charter_record {
    uint64_t version;
    uint64_t schema_version;
    const char *yaml;     /* as published */
    const char *compiled; /* JSON: node/charter/charter.h */
    uint64_t published_ms;
};
enum err store_charter_get(struct store *s, struct arena *a,
                           struct charter_record *out); /* the newest; ERR_NOT_FOUND */
/* Freshness per office: data as of when. */
struct freshness {
    const char *node;
    const char *unit;
    uint64_t site;
    uint64_t seq;
    uint64_t as_of_ms;       /* of its last write that is here; 0: none is */
    uint64_t heard_up_to_ms; /* all that it wrote until then is here; 0: not known */
};
enum err store_freshness(struct store *s, struct arena *a, struct freshness **out, size_t *n);

#endif
