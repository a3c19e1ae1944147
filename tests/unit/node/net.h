/* net.h - for tests: offices with real databases and nodes, joined by queues under virtual time.
 *
 * The driver of loop.c in small: it feeds node_step and carries its actions out; a line between two
 * offices can be cut, messages can be lost or delivered twice. Nothing here sleeps. Any failure of
 * the driver itself aborts the test.
 */
#ifndef TESTS_UNIT_NODE_NET_H
#define TESTS_UNIT_NODE_NET_H

#include "node/core/join.h"
#include "protocol/codec.h"
#include "tests/lib/database.h"

#define NET_OFFICES 8
#define NET_CLIENTS 4

struct keypair { /* signing and transport */
    uint8_t sign_key[SIGN_PUBLIC_BYTES], sign_secret[SIGN_SECRET_BYTES];
    uint8_t curve_key[CURVE_KEY_BYTES];
    uint8_t seed[32]; /* of both, as an invitation's secret is */
};
struct net_office {
    char name[24], parent[24];
    char path[512];
    struct store *store;
    sqlite3 *app;      /* the application: its own connection, triggers on */
    struct node *node; /* NULL: not running */
    struct actions actions;
    struct keypair keys;
    uint64_t site, run;
    int64_t clock_error_ms; /* of its wall clock */
    uint32_t seal_rows;     /* from its next start on; 0: as usual */
    int dialled;            /* index of the office its line goes to; -1: no line */
    uint8_t connection;     /* grows with every connection */
    char user_id[256];      /* as whom the other side knows it */
    uint64_t redial_at_ms;  /* 0: none */
    bool cut;               /* its line to the parent is down */
    bool silent;            /* messages from it are swallowed, the connection stays */
    bool fatal, ready;
    /* while it joins */
    bool joining, invited;  /* invited: its line is under the invitation's key */
    bool renumber, dry_run; /* as the options of `tonle join` */
    bool ended;             /* ACTION_END: net_join_end says how */
    struct invitation invitation;
    struct keys join_keys;
    struct buf kept; /* ACTION_KEEP */
    bool done_due;   /* and what EVENT_DONE says: */
    enum err done_error;
    struct bytes recalled;
    enum err keep_error, settle_error; /* what the next ACTION_KEEP, ACTION_SETTLE come to */
    uint64_t sent_requests;
    uint64_t outside_site, outside_seq;
    char log[16384];   /* its log lines, the newest last */
    char reply[65536]; /* of the last request */
    uint64_t sent_down_bytes, sent_acks, sent_refusals, sent_hellos, steps;
};
struct net_message {
    struct net_message *next;
    int to;             /* office */
    struct route route; /* as the receiver sees it */
    char user_id[256];
    uint8_t *bytes;
    size_t len;
};
struct net {
    const char *schema, *charter; /* of all offices, and as the hub publishes it */
    struct net_office office[NET_OFFICES];
    int n;
    char dir[256];
    char federation[33];
    uint64_t now_ms;
    uint64_t random;
    struct net_message *queue, **queue_end;
    /* what happens to messages with items in them from this office: the next ones down lost, or all
     * doubled */
    int lose_from, lose;
    int double_from;
    /* a parent that lies: changes each chunk that it sends down, and each request to be enrolled
     * that it passes on */
    const struct net_office *liar;
    void (*lie)(struct arena *a, struct load_chunk *c);
    void (*lie_up)(struct enrol *m);
    struct net_message *to_client[NET_CLIENTS]; /* answers to joiners, oldest first */
};

/* A hub alone, running. */
void net_start(struct net *t);
/* The same with other tables than resident and note: SQL, and a charter as JSON. */
void net_start_with(struct net *t, const char *schema, const char *charter);
void net_stop(struct net *t);
struct net_office *net_find(struct net *t, const char *name);

/* At the hub, as `tonle node add`: an invitation for a node; its one-time key is keypair_of("invite
 * NAME"). */
void net_invite(struct net *t, const char *name, const char *unit, const char *parent,
                uint64_t expires_ms);
void net_retire(struct net *t,
                const char *name); /* at the hub, too: the node is no member any more */
struct keypair keypair_of(const char *name);
/* The office, not joined yet: an empty database. */
struct net_office *net_add(struct net *t, const char *name, const char *parent);
/* Fills o->invitation, for a test that changes it before net_join_begin. */
void net_invitation(struct net *t, struct net_office *o);
/* As `tonle join`: begins to join; net_run brings it on until o->ended. */
void net_join_begin(struct net *t, struct net_office *o, enum load_mode mode);
/* Runs until it has ended, at most `ms`: how (JOIN_UNDER_WAY: it has not). The report is that of
 * the node, which net_join_over frees. */
enum join_outcome net_join_end(struct net *t, struct net_office *o, uint64_t ms);
void net_join_over(struct net_office *o);
/* All of it; aborts when it does not succeed in 60 s of net time. */
void net_join(struct net *t, struct net_office *o);
/* Invite, add, join and start. */
struct net_office *net_grow(struct net *t, const char *name, const char *unit, const char *parent);
/* hub, province (below it), district (below the province), all running. */
void net_three(struct net *t);

void net_boot(struct net *t, struct net_office *o);  /* starts its node */
void net_crash(struct net *t, struct net_office *o); /* the process is gone; nothing is said */
void net_halt(struct net *t, struct net_office *o);  /* EVENT_STOP, then gone */
void net_cut(struct net *t, struct net_office *o);   /* its line to the parent goes down */
void net_mend(struct net *t, struct net_office *o);

void net_sql(struct net *t, struct net_office *o,
             const char *sql);                               /* the application writes; noticed */
const char *net_text(struct net_office *o, const char *sql); /* first column of the first row */
void net_event(struct net *t, struct net_office *o, enum event_kind kind);
/* A request; what it is answered stands in o->reply when it has come. */
void net_request(struct net *t, struct net_office *o, const char *json);
const char *net_ask(struct net *t, struct net_office *o,
                    const char *json); /* the reply of a request */

void net_run(struct net *t, uint64_t ms);
/* Runs until the SQL gives this text at the office; false after `ms`. */
bool net_until(struct net *t, struct net_office *o, const char *sql, const char *text, uint64_t ms);
/* Runs until every running office is synced and all clocks are equal; false after `ms`. */
bool net_settle(struct net *t, uint64_t ms);

/* A joiner's message under this CURVE key; false when the office's ZAP refuses the key. */
bool net_client_send(struct net *t, struct net_office *to, int client, const uint8_t *curve_key,
                     const struct message *m);
/* The next answer to it, decoded into the arena; false when none has come. */
bool net_client_receive(struct net *t, int client, struct arena *a, struct message *m);

/* ---- between net.c and net_join.c */
void net_make_hub(struct net *t);
void net_join_act(struct net_office *o, const struct action *a);
uint64_t net_draw(struct net *t);
void net_message_free(struct net_message *m);
struct store *net_open_store(const struct net_office *o);
void net_post(struct net *t, int to, const struct route *route, const char *user_id, const void *p,
              size_t len);

#endif
