/* internal.h - what the files of the core share.
 *
 * Invariants: memory per neighbour is bounded by the credit we grant it (CREDIT_BYTES, or one
 * larger item alone); whatever changes in memory because of a transaction changes after its commit;
 * every send is put into the actions after the commit of what it tells.
 */
#ifndef NODE_CORE_INTERNAL_H
#define NODE_CORE_INTERNAL_H

#include "conflict/hlc.h"
#include "node/apply/apply.h"
#include "node/capture/capture.h"
#include "node/capture/publish.h"
#include "node/core/node.h"
#include "node/desk/desk.h"
#include "node/journal/journal.h"
#include "node/journal/registry.h"
#include "node/load/load.h"
#include "node/state/state.h"
#include "node/store/store.h"
#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/seal.h"

#define NODE_APPLY_ROWS 2000u /* remote rows of one transaction: the lock budget */
#define NODE_SLICE_ROWS 500u  /* of one transaction beside an application in use */
#define NODE_QUIET_MS 250u    /* with a rollback journal, between the writes of an application */
#define NODE_QUIET_MOST_MS 2000u
#define NODE_APPLY_ITEMS 512u
#define NODE_SEND_BYTES (1u << 20) /* to one neighbour in one step */
/* An item carries a signature, so no honest neighbour comes near it; it bounds what an item costs
 * beside its bytes. */
#define NODE_INBOX_ITEMS (CREDIT_BYTES / SIGNATURE_BYTES)
#define NODE_QUEUE 64u  /* enrolments, load requests that wait */
#define NODE_SILENCE 3u /* heartbeats without a word: the session is dead */
#define NODE_REDIAL_MIN_MS 250u
#define NODE_REDIAL_MAX_MS 30000u
#define NODE_ACKED_MS 30000u /* acknowledged positions are written at least so often */
#define NODE_SWEEP_ROWS 500u
#define NODE_LOCAL_MS 10000 /* until what only this office refuses is tried again */
#define NODE_LOCAL_MOST_MS 600000
#define NODE_SWEEP_REST_MS 20
#define NODE_REFILL_MS 2000u /* a table that was made anew is given for its rows to come back */
#define NODE_REST_MS 5       /* after remote rows, beyond as long as they took */
#define NODE_IN_USE_MS 5000u /* an application has written within so long */
#define NODE_MARKS 16u       /* unanswered marks that are remembered */
#define NODE_SKEW_MS 300000u /* by how much an honest clock may be wrong (DESIGN 4) */

enum line_state { LINE_DOWN, LINE_CONNECTING, LINE_CONNECTED, LINE_REFUSED };

struct inbox_item { /* received, not applied; the bytes are on the heap */
    struct inbox_item *next;
    uint64_t pos;
    uint64_t arrived_ms; /* monotonic */
    enum item_kind kind;
    struct bytes bytes;
    bool open;          /* verified and decoded: */
    const char *signer; /* the node of its site */
    struct arena arena; /* what `u` points into */
    uint32_t rows;
    uint8_t hash[HASH_BYTES];
    union {
        struct changeset cs;
        struct mark mark;
        struct answer answer;
        struct stable stable;
    } u;
};

/* One neighbour. A session is open when `session` is not 0 and line is LINE_CONNECTED. */
struct peer {
    char *name;
    bool up; /* the parent */
    enum line_state line;
    struct route route;
    uint64_t session; /* the parent's: also while its welcome is awaited */
    uint64_t run;
    uint64_t site;
    uint8_t sign_key[SIGN_PUBLIC_BYTES];
    uint64_t heard_ms;   /* monotonic: last message of the session */
    uint64_t signed_ms;  /* monotonic: last signed one */
    uint64_t silence_ms; /* three heartbeats, of the slower side */
    uint64_t beat_due_ms;
    int64_t skew_ms;    /* its wall clock beside federation time */
    uint64_t latest_ms; /* the parent: it takes nothing that is stamped later */
    uint64_t ahead_hlc; /* the parent: of the changeset that waits for that; 0: none */
    uint64_t ahead_ms;  /* a child: how far ahead what waits there is stamped */
    struct below_off {  /* clocks that are wrong below it */
        char node[LIMIT_NAME_BYTES + 1];
        int64_t ms;
    } off[LIMIT_CLOCKS_OFF];
    uint32_t n_off;
    /* sending */
    uint64_t sent_pos, sent_bytes, credit_bytes;
    uint64_t acked_pos, contact_ms, contact_saved_ms;
    bool peer_dirty;     /* acked_pos, or contact_ms by minutes, are newer than what is stored */
    bool blocked;        /* by its credit */
    uint64_t looked_pos; /* nothing for it between sent_pos and here */
    uint64_t hello_pos;  /* what our welcome named, for repeating it */
    /* receiving */
    struct inbox_item *inbox, **inbox_end;
    size_t inbox_n, inbox_bytes;
    uint64_t seen_pos;     /* last position taken into the inbox, or passed */
    uint64_t received_pos; /* durable */
    uint64_t done_bytes;   /* of items of this session that are durable */
    bool ack_due;
    /* what it said of itself */
    uint64_t tail_pos;
    uint64_t behind_ms;     /* monotonic: since when tail_pos is beyond what came */
    uint64_t beat_seen_pos; /* seen_pos at its last heartbeat */
    bool peer_captures;
    struct clock clock;
    /* a child's: the context of the last changeset whose time was compared with it (vouch.c) */
    struct clock vouched;
    uint64_t vouched_site, vouched_hlc;
    /* trouble */
    char reason[512], next[256];
    uint64_t hold_until_ms; /* no session before */
    uint32_t failures;      /* items refused in a row: for the back-off */
    uint64_t rival_run;     /* a newcomer of the same identity */
    uint64_t rival_since_ms;
    bool rival_refused;
    bool forgets_ahead; /* what it says is stable there is not known here (scan.c) */
    /* the parent only */
    uint64_t hello_due_ms; /* 0: none */
    uint32_t hello_tries, redial_tries;
    uint64_t dead_due_ms; /* silence until then: dial again */
};

struct enrol_wait {
    struct route route;
    char user_id[LIMIT_NAME_BYTES + 16];
    struct arena arena;
    struct enrol enrol;
    struct enrolled reply; /* decided in the running transaction */
};
struct enrol_asked { /* whose request it is; name NULL: none */
    char *name;
    uint8_t sign_key[SIGN_PUBLIC_BYTES];
};
struct forwarded { /* our parent has not answered it */
    struct enrol_asked asked;
    uint64_t since_ms;
};
struct load_wait { /* a LOAD_REQUEST or DIGEST_REQUEST to answer */
    struct route route;
    char peer[LIMIT_NAME_BYTES + 1];
    enum load_kind { LOAD_ROWS, LOAD_ROWS_DIGEST, LOAD_DIGEST } kind;
    struct arena arena;
    struct load_request request;
    struct digest_request digest; /* LOAD_DIGEST */
};
struct authorised { /* a CURVE key that may connect */
    uint8_t key[CURVE_KEY_BYTES];
    char user_id[LIMIT_NAME_BYTES + 16];
    uint64_t expires_ms; /* 0: does not */
};
struct mark_kept { /* hub: a mark not yet answered by all */
    uint64_t id, hlc;
    struct clock clock;
};
struct open_scan;   /* scan.c */
struct open_verify; /* verify.c */
struct joining;     /* joining.h: an office that is none yet */

#define NODE_LOG_KINDS 64u
struct log_kind { /* node_log's memory of a kind of line */
    const char *kind;
    uint64_t since_ms, lines;
};

struct node {
    struct node_options o;
    struct log_kind log[NODE_LOG_KINDS];
    struct joining
        *join; /* not NULL: then nothing of the database, the parent and below is known */
    struct store *store;
    char *name, *parent_name, *federation, *hub;
    uint64_t site, hub_site;
    uint8_t hub_key[SIGN_PUBLIC_BYTES];
    struct arena arena;  /* one step's scratch, and its actions' bytes */
    struct buf buf;      /* scratch of encoders */
    struct actions *out; /* of the running step */
    uint64_t mono_ms, wall_ms, rng;
    int64_t offset_ms; /* federation time minus our wall clock */
    bool offset_dirty, offset_saved;
    bool time_told;         /* by the parent, since this start */
    bool time_guessed;      /* the wall clock is not believed: wall.c */
    uint64_t time_wait_ms;  /* no seal before: the parent may tell the time first */
    uint64_t doubt_lead_ms; /* a hub's: how far it knew more than its clock says; NODE_NO_DOUBT */
    bool start_due, started, stopping, dead;
    bool again; /* more work is ready: step again at once */

    struct peer *parent; /* NULL at the hub */
    struct peer **children;
    size_t n_children, cap_children;
    uint32_t turn; /* whose inbox comes first */

    char trouble[TROUBLES][256]; /* the driver's; "" */
    char full[600];              /* the disk: what does not fit; "" */
    uint32_t full_tries;         /* in a row */
    uint64_t full_logged_ms;

    bool suspect; /* restored or replaced: captured work is kept, nothing is sealed */
    char suspect_text[256];
    bool install_due, seal_now;
    uint64_t notice_first_ms, notice_last_ms; /* of captured writes not yet sealed; 0: none */
    uint32_t touch_counter; /* with a rollback journal: the file's, when it was last asked; and */
    uint64_t touch_first_ms, touch_last_ms; /* since when it has changed and was not looked into */
    bool touch_often;
    uint64_t sealed_ms;     /* something of ours was, the last time */
    char seal_fault[256];   /* why the captured log cannot be sealed; "" */
    char listen_fault[300]; /* why no office below can connect; "" */
    uint64_t busy_until_ms;
    uint64_t refill_until_ms; /* a rebuilt table is waited for until then; 0: none is */
    uint64_t acked_due_ms;
    uint64_t charter_version;
    bool sweep_more;
    uint64_t sweep_due_ms;
    bool local_look;  /* somebody wrote since the rows were tried that only this office refuses */
    bool raised_left; /* not all were tried then for which a trigger had rolled back */
    int64_t local_schema;                 /* PRAGMA schema_version then */
    uint64_t local_due_ms, local_wait_ms; /* when next, and how long after the last time */
    uint64_t mark_seen_ms;                /* since when a mark is wanted; 0: it is not */
    uint64_t wrote_ms;    /* when the step of the last remote rows began; 0: its rest is known */
    uint64_t swept_ms;    /* when the step of the last sweep began; 0: its rest is known */
    bool greet_due;       /* it has not asked for its first mark yet */
    uint64_t answer_kept; /* mark to answer when loading is over; 0: none */

    struct mark_kept mark[NODE_MARKS]; /* hub */
    size_t n_marks;
    bool marks_known;
    struct clock mark_clock; /* of the last mark */
    uint64_t mark_id, mark_last_ms, mark_registry;
    uint64_t registry_hash, registry_seq;
    bool mark_check;      /* look whether all have answered */
    uint64_t answered_id; /* the clock of one mark that was answered, to compare contexts with */
    struct clock answered_clock;

    struct enrol_wait *enrol[NODE_QUEUE];
    size_t n_enrol;
    struct forwarded forwarded[NODE_QUEUE]; /* oldest first */
    size_t n_forwarded;
    struct enrol_asked refused; /* the last one that was refused above */
    char refused_reason[512];
    struct load_wait *load[NODE_QUEUE];
    size_t n_load;
    uint64_t digest_due_ms; /* none is read for a neighbour before */
    uint64_t load_told_ms;  /* that a table keeps one waiting */
    struct authorised *authorised;
    size_t n_authorised;
    bool authorised_known;
    bool look_now; /* the database was changed by another hand */
    bool looked;   /* and was looked into, in this step */

    struct open_scan *scan;
    struct open_verify *verify;
    bool gap_open;        /* a capture gap is on record here and not compared yet */
    bool gap_keeps;       /* and no mark may be answered meanwhile */
    bool compared;        /* what is captured now comes of a comparison, in this transaction */
    bool gap_look;        /* its table is away: for how long? */
    uint64_t scan_due_ms; /* a scan by itself, not before */
    size_t scan_child;    /* the hub's: whom to ask next */
    char scan_seen[LIMIT_NAME_BYTES + 1]; /* whom a person was shown last; "": nobody */
    struct json_t *scan_left; /* rows that a person's last word did not settle, and why */
    char scan_left_of[LIMIT_NAME_BYTES + 1]; /* the neighbour that they were compared with */
};

/* ---- node.c */
uint64_t node_random(struct node *n);
uint64_t node_jitter(struct node *n, uint64_t ms); /* ms/2 .. 3*ms/2 */
uint64_t node_time(const struct node *n);          /* federation time, milliseconds */
struct action *node_action(struct node *n, enum action_kind kind);
void node_send(struct node *n, const struct route *r, const struct message *m);
/* A value of a log line, quoted where it has to be: words of others make no field of their own. The
 * driver writes what is not printable. */
const char *node_quoted(struct node *n, const char *text);
/* Words for a refusal, until the step's end. */
const char *node_why(struct node *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void node_log(struct node *n, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void node_fatal(struct node *n, const char *what);
/* Disk trouble: true. A full disk is waited for, with everything else going on; after any other
 * the connection is not to be trusted, and the node ends to be begun anew. */
bool node_check(struct node *n, enum err e, const char *what);
void node_wrote(struct node *n); /* after a commit: the disk is not full */
/* True when the node must end, because another file lies in the database's place. */
bool node_moved(struct node *n);
void node_busy(struct node *n);
bool node_is_hub(const struct node *n);
/* Whether the record outside the database says that this is another one, or an older copy: why. */
bool node_outside(struct store *s, uint64_t site, uint64_t seq, char text[256]);
void node_want(struct node *n, uint64_t mono_ms); /* step again then, at the latest */
bool route_equal(const struct route *a, const struct route *b);

/* ---- work.c: the step's one transaction */
void work_run(struct node *n);
/* Beside an application that writes; one that has written on since what is to be sealed was
 * seen. */
bool work_beside(const struct node *n);
bool work_written_on(const struct node *n);
void work_deadline(struct node *n);

/* ---- peer.c */
void peer_line(struct peer *p, enum line_state to); /* only moves that its table allows */
/* Only for names that stand in the registry: their number bounds the list. */
struct peer *peer_child(struct node *n, const char *name);
struct peer *peer_new(const char *name, bool up);
void peer_free(struct peer *p);
struct peer *peer_find(struct node *n, const char *name); /* a child; NULL */
struct peer *peer_at(struct node *n,
                     const struct route *r); /* by route, the parent included; NULL */
bool peer_open(const struct peer *p);

/* ---- session.c */
void session_start(struct node *n);
void session_dialled(struct node *n);
void session_lost(struct node *n, struct peer *p);
void session_unreachable(struct node *n, const struct route *r);
void session_key_refused(struct node *n); /* the parent's door stays shut: said until a welcome */
void session_timers(struct node *n);
void session_deadline(struct node *n);
void session_end(struct node *n, struct peer *p, enum line_state line);
/* Ends the session and tells the neighbour; the next one not before retry_ms. */
void session_refuse(struct node *n, struct peer *p, enum refusal_code code, uint64_t retry_ms,
                    const char *reason, const char *next);
struct signed_body {
    struct bytes body, signature;
};
void session_hello(struct node *n, const struct event *ev, const struct hello *h,
                   const struct signed_body *s);
void session_welcome(struct node *n, const struct hello *h, const struct signed_body *s);
void session_refusal(struct node *n, const struct event *ev, const struct refusal *r);

/* ---- beat.c */
void beat_take(struct node *n, struct peer *p, const struct heartbeat *h,
               const struct signed_body *s);
void beat_send(struct node *n, struct peer *p);

/* ---- wall.c: which clock is believed */
void wall_start(struct node *n);
void wall_step(struct node *n, const struct event *ev); /* takes over the event's two clocks */
bool wall_sure(const struct node *n);                   /* node_time is the hub's */
void wall_told(struct node *n, uint64_t time_ms);       /* by the parent */
int64_t wall_off_ms(const struct node *n);              /* our own, beside federation time */
bool wall_wrong(int64_t off_ms);                        /* by more than the skew */
enum wall_fault {
    WALL_GOOD,
    WALL_NOT_BELIEVED, /* an office's, until the parent is reached */
    WALL_OUTVOTED,     /* the hub's, by most children */
    WALL_BEHIND        /* the hub's, by the time that the federation has passed */
};
enum wall_fault wall_look(const struct node *n);
/* What a child stamps later is refused. */
uint64_t wall_latest_ms(const struct node *n);
/* Stored hybrid time that is no time that has been: it waits to be taken back. */
bool wall_beyond_belief(uint64_t hybrid_ms, uint64_t now_ms);
uint64_t wall_believable_ms(const struct node *n); /* a later one has not been */
/* In the transaction: stored hybrid time that cannot be, and what was known when doubt began. */
enum err wall_take_back(struct node *n);
#define META_DOUBT "doubt_lead_ms" /* tonle_meta */
#define META_BACK "taken_back_ms"  /* tonle_meta: when a stored time was first taken back */
#define NODE_NO_DOUBT UINT64_MAX
/* Whether it is for the parent and stamped later than that takes it; notes it. */
bool wall_holds(struct peer *p, const struct item *item);
uint64_t wall_ahead_ms(const struct node *n, const struct peer *p);

/* ---- hello.c: whether a hello or a welcome is who it says and has all that is on record of
 * it */
struct verdict {
    enum refusal_code code; /* 0: fits */
    uint64_t retry_ms;
    char reason[512], next[256];
    struct site_record site;
};
/* Who it is; whether it has all that is on record of it is hello_check_known's matter. */
void hello_check_child(struct node *n, const char *user_id, const struct hello *h,
                       const struct signed_body *s, struct verdict *v);
void hello_check_known(struct node *n, const struct hello *h, struct verdict *v);
void hello_check_parent(struct node *n, const struct hello *h, const struct signed_body *s,
                        struct verdict *v);

/* ---- stream.c */
void stream_open(struct peer *p, uint64_t received_pos, const struct hello *h);
void stream_close(struct peer *p);
void stream_item(struct node *n, struct peer *p, const struct item_message *m);
void stream_ack(struct node *n, struct peer *p, const struct ack *a);
void stream_pump(struct node *n);
struct batch { /* items to apply in one transaction */
    struct {
        struct peer *peer;
        struct inbox_item *item;
    } at[NODE_APPLY_ITEMS];
    size_t n;
    size_t limit;    /* how many of them; fewer after a failure */
    size_t failed;   /* index of the item in whose apply the transaction failed, or SIZE_MAX */
    uint64_t answer; /* last mark passed */
    bool stable;
    uint32_t rows, held, conflicts;
    const char *why; /* of the failure, where the store's message is not it; NULL */
};
void stream_prepare(struct node *n, struct batch *b);
enum err stream_apply(struct node *n, struct batch *b);
void stream_committed(struct node *n, const struct batch *b);
void stream_item_refused(struct node *n, struct peer *p, enum err e, const char *why);
void stream_send_acks(struct node *n);
bool stream_waiting(const struct node *n);
bool stream_backlog(const struct node *n); /* that is more than a few rows */

/* ---- vouch.c: what a child's own changeset is looked at for, before and behind store_apply.
 * ERR_IDENTITY. */
enum err vouch_before(struct node *n, struct batch *b, struct peer *p, const struct inbox_item *i);
enum err vouch_after(struct node *n, struct batch *b, const struct peer *p,
                     const struct inbox_item *i, const struct apply_report *r);

/* ---- seal.c */
/* begun: the context, with what was sealed here since (a capture gap's beginning); NULL: the
 * clock. */
enum err seal_captured(struct node *n, const struct clock *begun, bool *cut);

/* ---- mark.c */
bool mark_due(struct node *n);
uint64_t mark_deadline(struct node *n);
/* What is kept on record is another without a change of anybody: there is to be a mark. */
void mark_again(struct node *n);
enum err mark_work(struct node *n); /* hub, in the transaction */
enum err mark_answer(struct node *n, uint64_t mark_id);
enum err mark_pass_answer(struct node *n, struct batch *b, const struct peer *p,
                          const struct inbox_item *i);
/* From this child. ERR_IDENTITY: it was sealed as if its office had not passed a mark that it has
 * answered. */
enum err mark_check_context(struct node *n, struct batch *b, const struct peer *p,
                            const struct changeset *cs);
/* At the hub: the office that has answered the least; NULL: all have answered the last mark. */
enum err mark_awaited(struct store *s, struct arena *a, const char **name);
void mark_fini(struct node *n);

/* ---- enrol.c */
void enrol_message(struct node *n, const struct event *ev, const struct enrol *m);
void enrol_reply(struct node *n, const struct enrolled *m);
enum err enrol_work(struct node *n); /* hub, in the transaction */
void enrol_committed(struct node *n);
void enrol_forget_forwarded(struct node *n);
void enrol_fini(struct node *n);

/* ---- authorise.c */
bool key_given(const uint8_t key[CURVE_KEY_BYTES]); /* not all zero: a registry's empty place */
void authorise_fini(struct node *n);

/* ---- load.c */
void load_message(struct node *n, const struct event *ev, const struct message *m);
void load_answer(struct node *n); /* outside the transaction */
void load_drop(struct node *n, const struct route *r);
void load_fini(struct node *n);

/* ---- scan.c */
enum scan_what {
    SCAN_LOOK,      /* counts, and shows; what a capture gap makes ours is sealed */
    SCAN_TAKE_HERE, /* a person's word: this office's rows are published */
    SCAN_TAKE_THERE /* the neighbour's are written here */
};
struct scan_ask {
    enum scan_what what;
    const char *table;  /* NULL: all */
    const char *key;    /* as JSON; NULL: all rows */
    const char *office; /* the hub's: which child; NULL: see scan_choose */
};
void scan_start(struct node *n, uint64_t request_id, const struct scan_ask *ask);
void scan_chunk(struct node *n, const struct route *from, const struct load_chunk *c);
void scan_timers(struct node *n);
bool scan_wants(const struct node *n); /* rows to settle, or the end of a table to note */
/* *context: what it put into the log is to be sealed in this context, before anything else; NULL:
 * in the usual one. */
enum err scan_work(struct node *n, const struct clock **context);
/* Whoever is no neighbour any more keeps no table waiting. In a write transaction. */
enum err scan_ask_neighbours(struct node *n);
void scan_committed(struct node *n);
/* Capture was put back: a comparison that is under way begins again. */
void scan_begin_again(struct node *n);
/* A row that may be compared already is another now, and no clock tells (collect_left_nobodys;
 * NULL: apply_report.torn, of whatever table).
 * The chunk in hand is asked for again; where its table comes out without a difference, that is
 * compared once more: such a row is one then. */
void scan_once_more(struct node *n, const struct collected *c);
void scan_step_over(struct node *n); /* after the step's transaction, whatever became of it */
void scan_fini(struct node *n);
/* True when nothing is captured here and `theirs` is our clock; call inside a read. */
bool scan_at_our_clock(struct node *n, const struct clock *theirs);
void scan_end_read(struct node *n, enum err begun);

/* ---- verify.c */
void verify_start(struct node *n, uint64_t request_id);
void verify_reply(struct node *n, const struct digest_reply *r);
void verify_timers(struct node *n);
void verify_fini(struct node *n);

/* ---- join.c */
void join_step(struct node *n, const struct event *ev);
void join_fini(struct node *n);

/* ---- request.c */
void request_line(struct node *n, const struct event *ev);
void request_reply(struct node *n, uint64_t id, const char *json);
void request_error(struct node *n, uint64_t id, const char *text, const char *next);

#endif
