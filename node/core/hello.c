/* Found out at hello (DESIGN 7). What each side has on record of the other is compared with what
 * the other says of itself:
 *
 *   it says                          on record here              less, or another, means
 *   (site, seq)                      clock[site]                 its database was restored
 *   chain hash at that seq           chain of (site, seq)        two histories under one identity
 *   received_pos of our journal      what it acknowledged to us  its database was restored
 *   journal_pos, its own             received_pos of it          its database was restored
 *
 * Nothing is changed by a refusal, on either side. */
#include "node/core/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 5, 6)))
refuse(struct verdict *v, enum refusal_code code, uint64_t retry_ms, const char *next,
       const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(v->reason, sizeof v->reason, fmt, ap);
    va_end(ap);
    snprintf(v->next, sizeof v->next, "%s", next);
    v->code = code;
    v->retry_ms = retry_ms;
}

/* What can be done about a restored database, in words that fit on every machine that shows them.
 */
static const char *next_restored(const struct node *n, const char *node)
{
    return strcmp(node, n->hub) == 0
               ? "stop the hub and bring back the newest copy of its database; the offices keep "
                 "their work meanwhile"
               : "stop that office's node; there, tonle join --as-new-site says how to bring it "
                 "back, and nothing it wrote is lost";
}

/* After a first load the clock names changesets whose hashes were never seen here. */
static bool other_chain(const uint8_t a[HASH_BYTES], const uint8_t recorded[HASH_BYTES])
{
    static const uint8_t none[HASH_BYTES];
    return memcmp(recorded, none, HASH_BYTES) != 0 && memcmp(a, recorded, HASH_BYTES) != 0;
}

/* The other has more of us than we have. The code is not the one that tells the other it was
 * restored. */
static void refuse_ourselves(struct node *n, struct verdict *v, uint64_t theirs, uint64_t ours,
                             const char *what, const char *who)
{
    refuse(v, REFUSAL_OTHER, 60000, next_restored(n, n->name),
           "the database of %s was restored: %s has %llu %s, it has %llu itself", n->name, who,
           (unsigned long long)theirs, what, (unsigned long long)ours);
}

void hello_check_known(struct node *n, const struct hello *h, struct verdict *v)
{
    const char *who = h->node;
    const struct store_state *st = store_state_get(n->store);
    uint64_t known = clock_get(&st->clock, h->site);
    struct peer_record rec;
    struct peer *p =
        n->parent && strcmp(n->parent->name, h->node) == 0 ? n->parent : peer_find(n, h->node);
    if (store_peer_get(n->store, h->node, &rec) != ERR_OK) {
        refuse(v, REFUSAL_OTHER, 1000, "it is tried again by itself", "the database is busy");
        return;
    }
    uint64_t acked =
        p && p->site == h->site && p->acked_pos > rec.acked_pos ? p->acked_pos : rec.acked_pos;
    const char *next = next_restored(n, who);
    if (h->seq < known)
        refuse(v, REFUSAL_RESTORED, 60000, next,
               "%s says it has sealed %llu changesets, but %llu of them are on record: its "
               "database was restored",
               who, (unsigned long long)h->seq, (unsigned long long)known);
    else if (h->seq == known && known > 0 && other_chain(h->chain, v->site.chain))
        refuse(v, REFUSAL_RESTORED, 60000, next,
               "%s has another changeset %llu than the one on record: two copies of one database "
               "were used",
               who, (unsigned long long)known);
    else if (h->received_pos < acked)
        refuse(v, REFUSAL_RESTORED, 60000, next,
               "%s has less (position %llu) than it had acknowledged (%llu): its database was "
               "restored",
               who, (unsigned long long)h->received_pos, (unsigned long long)acked);
    else if (rec.received_pos > h->journal_pos)
        refuse(v, REFUSAL_RESTORED, 60000, next,
               "%s has a shorter journal (%llu) than was received of it (%llu): its database was "
               "restored",
               who, (unsigned long long)h->journal_pos, (unsigned long long)rec.received_pos);
    else if (h->received_pos > st->journal_pos)
        refuse_ourselves(n, v, h->received_pos, st->journal_pos, "positions of its journal", who);
}

/* The key of the site, and the signature by it. */
static void check_signed(struct node *n, const struct hello *h, const struct signed_body *s,
                         struct verdict *v)
{
    enum err e = store_site_get(n->store, &n->arena, h->site, &v->site);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        refuse(v, REFUSAL_OTHER, 1000, "it is tried again by itself",
               "the registry cannot be read now");
    else if (e == ERR_NOT_FOUND || strcmp(v->site.node, h->node) != 0)
        refuse(v, REFUSAL_UNKNOWN, 10000,
               "if it was enrolled a moment ago, wait; otherwise: tonle node list",
               "site %016llx of %s is not in the registry here", (unsigned long long)h->site,
               h->node);
    else if (codec_verify(s->body, s->signature, v->site.sign_key) != ERR_OK)
        refuse(v, REFUSAL_SIGNATURE, 60000,
               "check that its state directory belongs to its database",
               "%s did not sign with the key of its site", h->node);
}

static void check_protocol(struct node *n, const struct hello *h, struct verdict *v)
{
    if (h->protocol != PROTOCOL_VERSION)
        refuse(v, REFUSAL_VERSION, 60000, "upgrade the older of the two programs",
               "%s speaks protocol %u, this office %u", h->node, h->protocol, PROTOCOL_VERSION);
    else if (strcmp(h->federation, n->federation) != 0)
        refuse(v, REFUSAL_UNKNOWN, 60000, "join with an invitation of this federation",
               "%s belongs to another federation", h->node);
}

static void check_registered(struct node *n, const struct hello *h, struct verdict *v)
{
    struct node_record r;
    enum err e = store_node_get(n->store, &n->arena, h->node, &r);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        refuse(v, REFUSAL_OTHER, 1000, "it is tried again by itself",
               "the registry cannot be read now");
    else if (e == ERR_NOT_FOUND)
        refuse(v, REFUSAL_UNKNOWN, 10000, "at the hub: tonle node list",
               "%s is not in the registry", h->node);
    else if (r.state != NODE_ACTIVE)
        refuse(v, REFUSAL_UNKNOWN, 60000, "at the hub: tonle node list", "%s is %s", h->node,
               r.state == NODE_RETIRED ? "retired" : "invited but not enrolled");
    else if (strcmp(r.parent, n->name) != 0)
        refuse(v, REFUSAL_UNKNOWN, 60000, "at the hub: tonle node list",
               "the parent of %s is %s, not %s", h->node, r.parent, n->name);
    else if (r.site != h->site)
        refuse(v, REFUSAL_RESTORED, 60000, next_restored(n, h->node),
               "%s has taken a new site since: this is an old copy", h->node);
}

void hello_check_child(struct node *n, const char *user_id, const struct hello *h,
                       const struct signed_body *s, struct verdict *v)
{
    memset(v, 0, sizeof *v);
    check_protocol(n, h, v);
    if (v->code == 0 && strcmp(user_id, h->node) != 0)
        refuse(v, REFUSAL_UNKNOWN, 60000, "check that its state directory belongs to its database",
               "the connection is %s's, the database says %s", user_id, h->node);
    if (v->code == 0)
        check_signed(n, h, s, v);
    if (v->code == 0)
        check_registered(n, h, v);
}

void hello_check_parent(struct node *n, const struct hello *h, const struct signed_body *s,
                        struct verdict *v)
{
    memset(v, 0, sizeof *v);
    check_protocol(n, h, v);
    if (v->code == 0 && strcmp(n->parent_name, h->node) != 0)
        refuse(v, REFUSAL_UNKNOWN, 60000, "check the parent's endpoint in node.yaml",
               "the parent's endpoint is %s's, not %s's", h->node, n->parent_name);
    if (v->code == 0)
        check_signed(n, h, s, v);
    if (v->code == 0)
        hello_check_known(n, h, v);
    uint64_t ours = clock_get(&h->clock, n->site);
    if (v->code == 0 && ours > store_state_get(n->store)->seq)
        refuse_ourselves(n, v, ours, store_state_get(n->store)->seq, "of its changesets", h->node);
}
