/* message.h - everything that crosses a link, decoded.
 *
 * One envelope, one message (protocol/tonle.proto); bytes by codec.h. Invariant: after codec_decode
 * every count and length is within limits.h, every name is valid UTF-8 without NUL, and every
 * required field is present. Pointers live in the arena given to codec_decode.
 */
#ifndef PROTOCOL_MESSAGE_H
#define PROTOCOL_MESSAGE_H

#include "protocol/changeset.h"

#define PROTOCOL_VERSION 5

/* Items: what has a place in the link's order. Their bytes are stored and relayed as they came. */
enum item_kind { ITEM_CHANGESET = 1, ITEM_MARK = 2, ITEM_ANSWER = 3, ITEM_STABLE = 4 };

struct mark { /* hub, down: "answer behind everything you sealed before" (DESIGN 4, Forgetting) */
    uint64_t id;
    uint64_t site; /* the signer */
    struct clock clock;
    uint64_t hlc;
};
struct answer { /* every node that passes a mark, up */
    uint64_t mark_id;
    const char *node;
    uint64_t site; /* the signer */
    uint64_t hlc;
};
struct kept_birth {
    const char *table;
    struct bytes key;
    struct dot birth;
};
struct stable { /* hub, down: forget what `clock` covers; these births keep their names */
    uint64_t mark_id;
    uint64_t site; /* the signer */
    struct clock clock;
    uint64_t hlc; /* of the mark */
    uint32_t n_keep;
    struct kept_birth *keep;
};

enum message_type {
    MESSAGE_HELLO = 1, /* child: who I am, what I have; opens a session */
    MESSAGE_WELCOME,   /* parent: the same, and the session is open */
    MESSAGE_REFUSAL,   /* either: no session, why, and what to do */
    MESSAGE_ITEM,
    MESSAGE_ACK, /* cumulative, durable, by link position; and credit */
    MESSAGE_HEARTBEAT,
    MESSAGE_ENROL, /* joiner, under an invitation's key */
    MESSAGE_ENROLLED,
    MESSAGE_LOAD_REQUEST, /* rows of a table after a key: first load, reconcile scan */
    MESSAGE_LOAD_CHUNK,
    MESSAGE_DIGEST_REQUEST, /* the digest of a slice of a table: verify */
    MESSAGE_DIGEST_REPLY,
};

struct hello { /* also the welcome */
    uint32_t protocol;
    uint64_t session; /* random, chosen by the child; every later message carries it */
    uint64_t run;     /* random, one per process start: tells a reconnection from a second copy */
    const char *federation;
    const char *node;
    uint64_t site;
    uint64_t seq;              /* last sealed by this site */
    uint8_t chain[HASH_BYTES]; /* its hash; zero when seq is 0 */
    uint64_t received_pos; /* highest link position of the peer's journal that is durable here */
    uint64_t journal_pos;  /* the last position of the sender's own journal */
    struct clock clock;
    uint64_t charter_version;
    uint64_t schema_version;
    const char *software;
    uint64_t time_ms;      /* federation time of the sender, wall clock plus offset */
    uint64_t credit_bytes; /* total bytes of items it will take in this session */
    uint32_t heartbeat_ms;
    uint64_t wall_ms;   /* what the sender's machine shows: a wrong clock is seen by it */
    uint64_t latest_ms; /* a changeset of the receiver's own with a later time is refused */
    bool time_sure;     /* time_ms is the hub's, or was told by who had it from there */
};

enum refusal_code {
    REFUSAL_OTHER = 1,
    REFUSAL_SECOND_COPY, /* a link of the same identity is alive */
    REFUSAL_RESTORED,    /* the peer has less than is recorded of it */
    REFUSAL_UNKNOWN,     /* not in the registry, retired, or another federation */
    REFUSAL_VERSION,     /* protocol version */
    REFUSAL_GAP,         /* items were lost in this session: say hello again */
    REFUSAL_SIGNATURE,   /* an item could not be verified */
    REFUSAL_LIMIT,
    REFUSAL_CLOCK, /* a changeset of its own is stamped with a time that is still to come */
};
struct refusal {
    uint64_t session;
    enum refusal_code code;
    const char *reason; /* a sentence for the operator, with the next step */
    uint64_t retry_ms;  /* 0: do not retry by itself */
};

struct item_message {
    uint64_t session;
    uint64_t pos;      /* in the sender's journal */
    uint64_t previous; /* pos of the item sent before it in this session, or what the hello named */
    enum item_kind kind;
    struct bytes bytes;
};
struct ack {
    uint64_t session;
    uint64_t pos;
    uint64_t credit_bytes; /* total of the session */
};
struct clock_off { /* an office whose clock is wrong, or was when it stamped what waits there */
    const char *node;
    int64_t ms; /* above 0: ahead */
};
struct heartbeat { /* signed */
    uint64_t session;
    uint64_t time_ms;
    uint64_t site;
    uint64_t tail_pos; /* last position of the sender's journal that is for this peer; 0: none */
    struct clock clock;
    uint64_t held;
    uint64_t conflicts_open;
    bool capture_pending; /* the sender has captured writes that are not sealed */
    uint64_t wall_ms;     /* as in the hello */
    uint64_t latest_ms;
    uint64_t ahead_ms; /* how far ahead of time what waits at the sender is stamped; 0: nothing */
    uint32_t n_off;    /* of the offices below the sender */
    struct clock_off *off;
    bool time_sure;
};

struct enrol {
    const char *federation;
    const char *node;
    uint8_t curve_key[CURVE_KEY_BYTES];
    uint8_t sign_key[SIGN_PUBLIC_BYTES];
    uint64_t incarnation; /* site = seal_site(sign_key, incarnation) */
    const char *listen;   /* endpoint for its own children, or "" */
    const char *software;
    /* By whom: the invitation's public key as an Ed25519 one, and the signature (seal_enrol.h). */
    uint8_t invite_key[SIGN_PUBLIC_BYTES];
    uint8_t proof[SIGNATURE_BYTES];
};
enum enrol_state { ENROL_PENDING = 1, ENROL_DONE = 2, ENROL_REFUSED = 3 };
struct enrolled {
    enum enrol_state state;
    const char *reason;
    const char *hub_node; /* name, site and signing key of the hub: the root of trust, also in the
                             invitation */
    uint64_t hub_site;
    uint8_t hub_sign_key[SIGN_PUBLIC_BYTES];
    const char *node; /* whose request this answers, and its key: an answer is taken for no other */
    uint8_t sign_key[SIGN_PUBLIC_BYTES];
};

struct load_request {
    uint64_t request; /* echoed */
    const char *table;
    struct bytes after; /* key bytes; empty: from the start */
    struct bytes upto;  /* key bytes, inclusive; empty: no bound (max_rows decides) */
    uint32_t max_rows;
    bool digest_only;
};
struct row_state {
    struct bytes key;
    struct bytes record; /* row_encode; empty: settled */
    bool stands;         /* a row stands in the table with `values` */
    uint32_t n_values;
    struct value *values;
};
struct load_chunk {
    uint64_t request;
    const char *table;
    uint32_t n_columns;
    const char **columns;
    struct bytes last_key;      /* the frontier after this chunk */
    bool end;                   /* the table ends here */
    uint64_t rows;              /* standing rows in the range */
    uint8_t digest[HASH_BYTES]; /* of them: see store_digest */
    struct clock clock;         /* the sender's, when it read the chunk */
    struct clock stable;
    uint64_t pos; /* the sender's journal position for this peer then */
    uint64_t hlc;
    uint32_t n_keep; /* births of the keys in this chunk that keep their names */
    struct kept_birth *keep;
    uint32_t n_states; /* 0 with digest_only */
    struct row_state *states;
    uint32_t capture_gap; /* the sender's table is not surely the merged state: 1 not compared yet,
                             2 its rows wait for a person */
};

struct table_digest {
    const char *table;
    uint64_t rows;
    uint64_t held;
    uint64_t conflicts;
    uint8_t digest[HASH_BYTES];
};
/* What a digest sums up, in this order, each part by the keys of its rows: the rows that stand in
 * key order, held births and open conflicts in the order of key bytes. A position is behind a key;
 * an empty one is where the part begins, the only one of DIGEST_AT_END. */
enum digest_part { DIGEST_AT_ROWS = 1, DIGEST_AT_HELD, DIGEST_AT_CONFLICTS, DIGEST_AT_END };
struct digest_position {
    enum digest_part part;
    struct bytes key;
};
struct digest_leave { /* a value that others do not have: it counts as NULL */
    struct bytes key;
    const char *column;
};
struct digest_request {
    uint64_t request; /* echoed */
    const char *table;
    uint32_t max_rows;
    struct digest_position after, upto; /* upto: inclusive */
    const struct digest_leave *leave;
    uint32_t n_leave;
};
struct digest_reply { /* one slice */
    uint64_t request;
    bool exists; /* false: the table is not here, and nothing is in any slice */
    struct clock clock;
    struct digest_position last; /* the slice ends here: `upto`, or as far as its bounds go */
    struct table_digest sum;
    const struct digest_leave *leave; /* all that was left out */
    uint32_t n_leave;
};

struct message {
    enum message_type type;
    union {
        struct hello hello; /* and welcome */
        struct refusal refusal;
        struct item_message item;
        struct ack ack;
        struct heartbeat heartbeat;
        struct enrol enrol;
        struct enrolled enrolled;
        struct load_request load_request;
        struct load_chunk load_chunk;
        struct digest_request digest_request;
        struct digest_reply digest_reply;
    } u;
};

#endif
