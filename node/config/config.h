/* config.h - the node's state directory: node.yaml, the private keys, the lock, the record that
 * catches a copied or restored database.
 *
 * Files (directory mode 0700, files 0600): node.yaml; keys (both secret seeds); identity (site and
 * seq of the last commit, written after it without waiting for the disk, checksummed; torn or
 * missing means nothing); lock (locked by the running node); last_exit (why it ended). Invariant:
 * private keys never leave this directory.
 */
#ifndef NODE_CONFIG_CONFIG_H
#define NODE_CONFIG_CONFIG_H

#include "protocol/seal_enrol.h"

#define CONFIG_NAME_BYTES 4200 /* of a file in the state directory, with its path */

struct config {     /* node.yaml */
    const char *db; /* path of the application's database, absolute or relative to the directory */
    const char *listen;          /* endpoint for children, or "" */
    const char *parent_endpoint; /* or "" at the hub */
    uint8_t parent_curve_key[CURVE_KEY_BYTES];
    uint32_t batch_ms;     /* wait after a local change before sealing; default 10 */
    uint32_t batch_max_ms; /* at most, under load; default 100 */
    uint32_t heartbeat_ms; /* default 2000 */
    uint32_t mark_ms;      /* hub: least time between marks; default 1000 */
};
struct keys {
    uint8_t sign_seed[32], sign_key[SIGN_PUBLIC_BYTES], sign_secret[SIGN_SECRET_BYTES];
    uint8_t curve_secret[CURVE_KEY_BYTES], curve_key[CURVE_KEY_BYTES];
};

/* The state directory: `flag` when given, $TONLE_DIR, else /var/lib/tonle. */
const char *config_dir(const char *flag);
enum err config_make_dir(const char *dir, char msg[256]); /* 0700 if missing */
enum err config_load(struct arena *a, const char *dir, struct config *out,
                     char msg[1024]); /* ERR_NOT_FOUND: not a node's directory */
enum err config_save(const char *dir, const struct config *c, char msg[256]); /* atomically */
/* The database's path, resolved against the directory. */
const char *config_db_path(struct arena *a, const char *dir, const struct config *c);

enum err keys_make(const char *dir, struct keys *out,
                   char msg[256]); /* makes them once; existing ones are kept and read */
enum err keys_load(const char *dir, struct keys *out,
                   char msg[256]); /* refuses group- or world-readable files */

/* The record outside the database (DESIGN 7, "Found out"). */
struct identity_record {
    uint64_t site, seq;
};
struct identity_file {
    int fd;
};
/* Reading alone: zero when there is none. */
void identity_read(const char *dir, struct identity_record *last);
enum err identity_open(const char *dir, struct identity_file *f, struct identity_record *last,
                       char msg[256]); /* last zero when none */
void identity_write(struct identity_file *f, const struct identity_record *r);
void identity_close(struct identity_file *f);

/* Why the node ended, when that was not a clean stop: DIR/last_exit. A block of a fixed size that
 * is made when the node starts, so that a full disk has room for it. */
#define LAST_EXIT_BYTES 1024
/* What stands there; "" where nothing does. */
void last_exit_read(const char *dir, char text[LAST_EXIT_BYTES]);
void last_exit_write(const char *dir, const char *text); /* as well as it can be done */

/* Locks DIR/lock (an open-file-description lock: it ends with its holder, however that ends).
 * ERR_BUSY when another process holds it. The fd stays open until lock_release. */
enum err lock_take(const char *dir, int *fd, char msg[256]);
void lock_release(int fd);
/* The lock's own name, whatever links lead to the directory. */
enum err lock_name(const char *dir, char out[CONFIG_NAME_BYTES], char msg[256]);
/* Who has the lock of that name: ours is the one in `fd`. */
enum lock_holder {
    LOCK_OURS,
    LOCK_NOBODYS, /* also where there is no such file any more */
    LOCK_ANOTHERS,
    LOCK_UNKNOWN, /* it may not be looked at (errno) */
};
enum lock_holder lock_look(const char *name, int fd);

/* An invitation: one line, "tonle1:" and base64url of JSON. */
struct invitation {
    const char *federation; /* id */
    const char *federation_name;
    const char *node, *unit, *parent, *listen;
    const char *parent_endpoint;
    uint8_t parent_curve_key[CURVE_KEY_BYTES];
    const char *hub_node;
    uint64_t hub_site;
    uint8_t hub_sign_key[SIGN_PUBLIC_BYTES];
    uint8_t enrol_secret[INVITE_SECRET_BYTES]; /* its public half stands in tonle_node */
    uint64_t expires_ms;
};
enum err invitation_encode(struct arena *a, const struct invitation *i, const char **line);
/* White space around and within the line (a mail program's) is ignored. ERR_MALFORMED. It does not
 * look at the clock. */
enum err invitation_decode(struct arena *a, const char *line, struct invitation *i, char msg[256]);
/* ERR_REFUSED "expired on ..." when now_ms is later. An office's clock may be wrong: the hub has
 * the last word. */
enum err invitation_check_time(const struct invitation *i, uint64_t now_ms, char msg[256]);

#endif
