/* Comparing rows with a neighbour: our parent, or at the hub a child (DESIGN 8). Table by table,
 * chunk by chunk of its rows: first the digest of the chunk, then, where it differs, its rows.
 * Only a chunk that was read at our own clock, with nothing captured here and nothing forgotten
 * there that we remember, says anything: otherwise it is asked for again.
 *
 * Nothing that differs is published by itself but where a capture gap is on record here and none at
 * the neighbour. What becomes of a table's differences:
 *
 *   gap here  gap there          changed and new rows            deleted rows
 *   yes       no                 at most 100: sealed as ours,    wait for a person
 *                                in the context of the clock
 *                                at the gap's beginning;
 *                                more: wait for a person
 *   yes       not compared yet   it is waited for, a while
 *   yes, or no: else             wait for a person               wait for a person
 *   yes, its beginning forgotten wait for a person               wait for a person
 *
 * A person takes the one or the other, of one row, a table or all (SCAN_TAKE_HERE,
 * SCAN_TAKE_THERE). A table takes two passes: the first counts, the second settles; a person's
 * the other way round. */
#include "node/core/scanning.h"

#include "node/apply/apply.h"
#include "node/charter/charter.h"
#include "node/schema/schema.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ROWS 1000u
#define SETTLE_ROWS 100u
#define STALL_MS 30000u    /* a scan without progress for so long gives up */
#define ANSWER_MS 5000u    /* then a request is repeated */
#define PATIENCE_MS 10000u /* for a neighbour that has not compared its own gap yet */
#define AGAIN_MS 2000u     /* before a scan that runs by itself is tried again */

static void scan_free(struct node *n)
{
    struct open_scan *sc = n->scan;
    n->scan = NULL;
    if (!sc)
        return;
    buf_fini(&sc->key);
    buf_fini(&sc->after);
    buf_fini(&sc->upto);
    buf_fini(&sc->slice_end);
    clock_fini(&sc->begun);
    json_decref(sc->tables);
    json_decref(sc->rows);
    arena_fini(&sc->arena);
    mem_free(sc);
}

void scan_fini(struct node *n)
{
    scan_free(n);
    json_decref(n->scan_left);
}

void scan_end_read(struct node *n, enum err begun)
{
    if (begun != ERR_OK || store_commit(n->store) != ERR_OK)
        store_rollback(n->store);
}

static enum err read_tables(struct node *n, struct open_scan *sc)
{
    struct charter_record c;
    enum err e = store_charter_get(n->store, &n->arena, &c);
    if (e != ERR_OK)
        return e;
    struct charter charter;
    char msg[CHARTER_MSG_BYTES];
    e = charter_read(&n->arena, c.compiled, strlen(c.compiled), &charter, msg);
    if (e != ERR_OK)
        return e;
    sc->table = arena_alloc(&sc->arena, charter.n_tables * sizeof *sc->table);
    for (unsigned i = 0; i < charter.n_tables; i++)
        sc->table[sc->n_tables++] = arena_strdup(&sc->arena, charter.tables[i].name);
    return ERR_OK;
}

static void finish(struct node *n, bool complete)
{
    bool idle = complete && json_array_size(n->scan->tables) == 0; /* a table that is not here */
    scan_answer(n, n->scan, complete);
    if (n->scan->what != SCAN_LOOK) {
        json_decref(n->scan_left);
        n->scan_left = json_incref(n->scan->rows);
        snprintf(n->scan_left_of, sizeof n->scan_left_of, "%s", n->scan->peer);
    }
    n->scan_due_ms = n->mono_ms + (idle ? STALL_MS : AGAIN_MS);
    n->gap_look = idle && n->scan->by_itself && n->gap_keeps;
    n->again = n->again || n->gap_look;
    scan_free(n);
}

/* ---- asking */

static uint32_t rows_wanted(const struct open_scan *sc)
{
    if (!sc->detail)
        return CHUNK_ROWS;
    return sc->pass == PASS_SETTLE && sc->what != SCAN_LOOK ? SCAN_SLICE_ROWS : LIMIT_CHUNK_ROWS;
}

static void ask_chunk(struct node *n, struct open_scan *sc)
{
    struct message m = {.type = MESSAGE_LOAD_REQUEST};
    m.u.load_request = (struct load_request){.request = node_random(n),
                                             .table = sc->table[sc->at],
                                             .after = {sc->after.data, sc->after.len},
                                             .max_rows = rows_wanted(sc),
                                             .digest_only = !sc->detail};
    static const uint8_t behind_rows[] = {PART_RECORDS};
    if (sc->detail && sc->bounded)
        m.u.load_request.upto = (struct bytes){sc->upto.data, sc->upto.len};
    else if (sc->detail)
        m.u.load_request.upto = (struct bytes){behind_rows, sizeof behind_rows};
    sc->id = m.u.load_request.request;
    sc->again_ms = n->mono_ms + ANSWER_MS;
    const struct peer *p = scan_peer(n, sc);
    if (p)
        node_send(n, &p->route, &m);
}

static void begin_pass(struct node *n, struct open_scan *sc, enum scan_pass pass)
{
    sc->pass = pass;
    sc->detail = false;
    buf_reset(&sc->after);
    buf_reset(&sc->slice_end);
    sc->give_up_ms = n->mono_ms + STALL_MS;
    if (pass == PASS_SETTLE)
        sc->left = (struct counts){0};
    if (pass == PASS_COUNT)
        sc->counts = (struct counts){.settled = sc->counts.settled};
    if (pass != PASS_NOTE)
        ask_chunk(n, sc);
}

/* The gap of the table in hand; *skip: there is nothing to compare. */
static enum err read_gap(struct node *n, struct open_scan *sc, bool *skip)
{
    struct gap *gap;
    size_t count;
    enum err e = schema_load(n->store);
    if (e == ERR_OK)
        e = gap_list(n->store, &n->arena, &gap, &count);
    if (e != ERR_OK)
        return e;
    const struct table_schema *t = schema_table(n->store, sc->table[sc->at]);
    sc->here = GAP_NONE;
    sc->was_away = false;
    sc->t = t ? t->t : 0;
    clock_reset(&sc->begun);
    for (size_t i = 0; t && i < count; i++) {
        if (gap[i].t != t->t)
            continue;
        struct cursor c = cursor_of(gap[i].clock.p, gap[i].clock.len);
        sc->here = gap[i].state;
        sc->begun_known = gap[i].clock.len > 0;
        sc->was_away = gap[i].from_ms > 0;
        if (sc->here == GAP_OPEN && sc->begun_known)
            e = clock_decode(&c, &sc->begun, LIMIT_CLOCK_ENTRIES);
    }
    *skip = !t || !t->exists || (sc->by_itself && sc->here != GAP_OPEN);
    return e;
}

/* From sc->at on: the first that is to be compared, or the end. */
static enum err begin_table(struct node *n, struct open_scan *sc)
{
    for (; sc->at < sc->n_tables; sc->at++) {
        bool skip = false;
        enum err e = read_gap(n, sc, &skip);
        if (e != ERR_OK)
            return e;
        if (skip)
            continue;
        sc->counts = (struct counts){0};
        sc->there = 0;
        sc->once_more = false;
        sc->held = sc->last = sc->noted = false;
        sc->patience_ms = n->mono_ms + PATIENCE_MS;
        begin_pass(n, sc, sc->what == SCAN_LOOK ? PASS_COUNT : PASS_SETTLE);
        return ERR_OK;
    }
    finish(n, true);
    return ERR_OK;
}

static void add_counts(struct counts *to, const struct counts *c)
{
    to->changed += c->changed;
    to->born += c->born;
    to->deleted += c->deleted;
    to->settled += c->settled;
}

/* It came out without a difference, but for what was written meanwhile: this table again. */
static bool is_not_to_be_closed(const struct open_scan *sc)
{
    return sc->once_more && scan_waiting(&sc->counts) == 0;
}

static enum err end_table(struct node *n, struct open_scan *sc)
{
    bool closed = sc->noted && scan_waiting(&sc->counts) == 0;
    if (closed || sc->counts.settled > 0) { /* what went may have kept out what we alone refuse */
        store_local_again(n->store);
        n->sweep_more = true; /* and what was taken may be stable long since, */
        mark_again(n);        /* but for the names that were kept for its sake */
    }
    if (is_not_to_be_closed(sc)) {
        sc->all.settled += sc->counts.settled;
        return begin_table(n, sc);
    }
    json_t *o = scan_counts_json(&sc->counts);
    json_object_set_new(o, "table", json_string(sc->table[sc->at]));
    json_object_set_new(o, "gap", json_boolean(sc->here == GAP_OPEN));
    json_array_append_new(sc->tables, o);
    add_counts(&sc->all, &sc->counts);
    sc->at++;
    return begin_table(n, sc);
}

static enum err end_pass(struct node *n, struct open_scan *sc)
{
    uint64_t written = sc->counts.changed + sc->counts.born - sc->counts.held;
    /* A person's; or the neighbour has found a gap of its own meanwhile: what is left is
     * counted. */
    if (sc->pass == PASS_SETTLE && (sc->what != SCAN_LOOK || !scan_is_ours(sc))) {
        sc->last = sc->what == SCAN_TAKE_THERE && sc->held && !sc->last;
        begin_pass(n, sc, sc->last ? PASS_SETTLE : PASS_COUNT);
        return ERR_OK;
    }
    if (sc->pass == PASS_COUNT && sc->what == SCAN_LOOK && scan_is_ours(sc) && written > 0 &&
        written <= SETTLE_ROWS) {
        begin_pass(n, sc, PASS_SETTLE);
        return ERR_OK;
    }
    if (sc->pass == PASS_SETTLE) { /* they are sealed, but for those */
        sc->counts.changed = sc->left.changed + sc->counts.held;
        sc->counts.born = sc->left.born;
    }
    if (sc->here == GAP_NONE && scan_waiting(&sc->counts) == 0)
        return end_table(n, sc);
    begin_pass(n, sc, PASS_NOTE); /* in this step's transaction */
    return ERR_OK;
}

/* The chunk in hand is dealt with. */
static enum err advance(struct node *n, struct open_scan *sc, const struct load_chunk *c)
{
    sc->detail = false;
    buf_reset(&sc->slice_end);
    sc->give_up_ms = n->mono_ms + STALL_MS;
    if (c->end)
        return end_pass(n, sc);
    buf_reset(&sc->after);
    buf_put(&sc->after, c->last_key.p, c->last_key.len);
    ask_chunk(n, sc);
    return ERR_OK;
}

/* A slice of it is: the rows behind that are in it, as it is at the clock of then. */
static enum err go_on(struct node *n, struct open_scan *sc)
{
    struct bytes last = sc->escape[sc->n_escapes - 1].place;
    buf_reset(&sc->slice_end);
    buf_put(&sc->slice_end, last.p, last.len);
    sc->give_up_ms = n->mono_ms + STALL_MS;
    ask_chunk(n, sc);
    return ERR_OK;
}

/* ---- beginning */

static struct open_scan *scan_new(struct node *n, struct peer *p, uint64_t request_id)
{
    struct open_scan *sc = n->scan = mem_alloc(sizeof *sc);
    *sc = (struct open_scan){.request_id = request_id,
                             .session = p->session,
                             .give_up_ms = n->mono_ms + STALL_MS,
                             .tables = json_array(),
                             .rows = json_array()};
    sc->peer = arena_strdup(&sc->arena, p->name);
    return sc;
}

static enum err begin(struct node *n, struct open_scan *sc)
{
    enum err begun = store_begin_read(n->store), e = begun;
    if (e == ERR_OK)
        e = begin_table(n, sc);
    scan_end_read(n, begun);
    return e;
}

/* Of the one table and row that are meant. False: it is told why not. */
static bool narrow(struct node *n, struct open_scan *sc, const struct scan_ask *ask)
{
    if (!ask->table)
        return true;
    if (schema_load(n->store) != ERR_OK) {
        request_error(n, sc->request_id, store_message(n->store), "try again in a moment");
        return false;
    }
    const struct table_schema *t = schema_table(n->store, ask->table);
    if (!t || t->internal) {
        request_error(n, sc->request_id, "that table is not published",
                      "tonle charter show names the tables");
        return false;
    }
    sc->table[0] = arena_strdup(&sc->arena, t->name);
    sc->n_tables = 1;
    if (!ask->key || schema_key_parse(n->store, &n->arena, t, ask->key, &sc->key) == ERR_OK)
        return true;
    request_error(n, sc->request_id, store_message(n->store),
                  "give the key as tonle verify --local --json shows it");
    return false;
}

void scan_start(struct node *n, uint64_t request_id, const struct scan_ask *ask)
{
    const char *why, *next;
    struct peer *p = scan_choose(n, ask, &why, &next);
    if (!p) {
        request_error(n, request_id, why, next);
        return;
    }
    if (n->scan && n->scan->by_itself)
        scan_free(n); /* nobody waits for it, and it begins again where a gap is left */
    if (n->scan) {
        request_error(n, request_id, "a comparison is running already", "try again in a moment");
        return;
    }
    struct open_scan *sc = scan_new(n, p, request_id);
    sc->what = ask->what;
    sc->shows = ask->what == SCAN_LOOK;
    snprintf(n->scan_seen, sizeof n->scan_seen, "%s", p->name);
    enum err e = read_tables(n, sc);
    if (e == ERR_OK && sc->n_tables > 0 && !narrow(n, sc, ask)) {
        scan_free(n);
        return;
    }
    if (e == ERR_OK && sc->n_tables > 0)
        e = begin(n, sc);
    if (!n->scan || (e == ERR_OK && sc->n_tables > 0))
        return;
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        request_error(n, request_id, "no charter is published here",
                      "tonle charter show tells what is in force here");
    else
        request_error(n, request_id, store_message(n->store), "try again in a moment");
    scan_free(n);
}

static void start_by_itself(struct node *n)
{
    if (!n->gap_open || n->scan || n->mono_ms < n->scan_due_ms ||
        store_state_get(n->store)->loading)
        return;
    const char *why, *next;
    struct peer *p = scan_choose(n, NULL, &why, &next);
    n->scan_due_ms = n->mono_ms + AGAIN_MS;
    if (!p)
        return;
    struct open_scan *sc = scan_new(n, p, 0);
    sc->by_itself = true;
    sc->what = SCAN_LOOK;
    if (read_tables(n, sc) != ERR_OK || begin(n, sc) != ERR_OK)
        scan_free(n);
}

/* ---- what comes */

static bool same_bytes(struct bytes x, struct bytes y)
{
    return x.len == y.len && memcmp(x.p, y.p, x.len) == 0;
}

/* Whether the range is the same here. What is compared row by row is at most a chunk of ours, too
 * (sc->upto): between two rows of the neighbour's any number may stand or be held here. */
static bool same_digest(struct node *n, struct open_scan *sc, const struct load_chunk *c,
                        enum err *e)
{
    struct load_request r = {.table = sc->table[sc->at],
                             .after = {sc->after.data, sc->after.len},
                             .max_rows = CHUNK_ROWS,
                             .digest_only = true};
    struct load_chunk here;
    if (!c->end)
        r.upto = c->last_key;
    *e = store_chunk_read(n->store, &n->arena, &r, sc->peer, &here);
    if (*e != ERR_OK)
        return false;
    bool all = c->end ? here.end : same_bytes(here.last_key, c->last_key);
    sc->bounded = !here.end;
    buf_reset(&sc->upto);
    buf_put(&sc->upto, here.last_key.p, here.last_key.len);
    return all && here.rows == c->rows && memcmp(here.digest, c->digest, HASH_BYTES) == 0;
}

/* The rows of a chunk that differs: counted, or left for this step's transaction to settle. */
static enum err compare(struct node *n, struct open_scan *sc, const struct load_chunk *c)
{
    struct escape *esc;
    size_t found, kept = 0;
    struct bytes after = {sc->after.data, sc->after.len};
    enum err e = store_chunk_compare(n->store, &n->arena, c, after, &esc, &found);
    for (size_t i = 0; e == ERR_OK && i < found; i++) {
        sc->held = sc->held || esc[i].kind == ESCAPE_HELD;
        if (sc->pass == PASS_COUNT) {
            scan_count(&sc->counts, esc[i].kind);
            e = scan_show(n, sc, c, &esc[i]);
        } else if (scan_may_settle(sc, &esc[i])) {
            esc[kept++] = esc[i];
        }
    }
    if (e == ERR_OK)
        kept = scan_slice(sc, esc, kept);
    if (e != ERR_OK || kept == 0)
        return e == ERR_OK ? advance(n, sc, c) : e;
    sc->chunk = arena_copy(&n->arena, c, sizeof *c);
    sc->escape = esc;
    sc->n_escapes = kept;
    return ERR_OK;
}

/* True while the neighbour is to compare its own gap first: then its table is what it says. */
static bool patient(struct node *n, struct open_scan *sc, const struct load_chunk *c)
{
    sc->there = c->capture_gap > sc->there ? c->capture_gap : sc->there;
    if (sc->what != SCAN_LOOK || sc->here != GAP_OPEN || c->capture_gap != GAP_OPEN ||
        n->mono_ms >= sc->patience_ms)
        return false;
    sc->there = 0;
    sc->give_up_ms = n->mono_ms + STALL_MS;
    sc->again_ms = n->mono_ms + node_jitter(n, 500);
    return true;
}

static enum err take_chunk(struct node *n, struct open_scan *sc, const struct load_chunk *c)
{
    enum err e;
    if (patient(n, sc, c))
        return ERR_OK;
    if (sc->detail)
        return compare(n, sc, c);
    /* What is hidden is in no digest: in a gap it is looked at. */
    if (same_digest(n, sc, c, &e) && !(sc->here != GAP_NONE && c->end))
        return advance(n, sc, c);
    if (e == ERR_OK) {
        sc->detail = true;
        ask_chunk(n, sc);
    }
    return e;
}

void scan_chunk(struct node *n, const struct route *from, const struct load_chunk *c)
{
    struct open_scan *sc = n->scan;
    struct peer *p = sc ? scan_peer(n, sc) : NULL;
    if (!p || !route_equal(&p->route, from) || sc->pass == PASS_NOTE || sc->stale ||
        c->request != sc->id || strcmp(c->table, sc->table[sc->at]) != 0)
        return;
    sc->id = 0;
    enum err begun = store_begin_read(n->store), e = begun;
    sc->again_ms = n->mono_ms + node_jitter(n, 100);
    bool ours = e == ERR_OK && scan_at_our_clock(n, &c->clock);
    if (!ours)
        sc->ahead_ms = 0; /* whether it still is, only an equal clock tells */
    if (ours && scan_forgets_no_more(n, sc, p, c))
        e = take_chunk(n, sc, c);
    else
        sc->detail = false; /* its bounds may be other ones by now */
    scan_end_read(n, begun);
    if (e != ERR_OK && e != ERR_BUSY && !node_check(n, e, "the tables cannot be read")) {
        node_log(n, 1, "event=compare-failed table=%s error=%s text=%s", node_quoted(n, c->table),
                 err_name(e), node_quoted(n, store_message(n->store)));
        finish(n, false);
    }
}

/* ---- in the step's transaction */

bool scan_wants(const struct node *n)
{
    return n->scan && (n->scan->chunk || n->scan->pass == PASS_NOTE);
}

enum err scan_work(struct node *n, const struct clock **context)
{
    struct open_scan *sc = n->scan;
    *context = NULL;
    if (!scan_wants(n))
        return ERR_OK;
    sc->n_done = 0;
    sc->noted = sc->dealt = sc->as_lost = false;
    if (sc->stale || (sc->pass == PASS_NOTE && is_not_to_be_closed(sc)))
        return ERR_OK;
    return sc->pass == PASS_NOTE ? scan_note(n, sc) : scan_settle(n, sc, context);
}

void scan_committed(struct node *n)
{
    struct open_scan *sc = n->scan;
    enum err e = ERR_OK;
    if (!scan_wants(n))
        return;
    if (sc->pass == PASS_NOTE && (sc->noted || is_not_to_be_closed(sc))) {
        e = end_table(n, sc);
    } else if (sc->dealt) {
        const struct load_chunk *c = sc->chunk;
        sc->counts.settled += sc->n_done;
        sc->chunk = NULL;
        e = scan_note_left(n, sc);
        if (e == ERR_OK)
            e = sc->sliced ? go_on(n, sc) : advance(n, sc, c);
    }
    if (e != ERR_OK && n->scan)
        finish(n, false);
}

void scan_begin_again(struct node *n)
{
    n->scan_due_ms = 0;
    if (!n->scan)
        return;
    n->scan->stale = true;
    n->again = true;
}

/* The chunk in hand was not to be in this transaction: it is asked for again. */
static void drop_chunk(struct open_scan *sc, uint64_t again_ms)
{
    sc->chunk = NULL;
    sc->detail = false;
    sc->again_ms = again_ms;
}

void scan_once_more(struct node *n, const struct collected *c)
{
    struct open_scan *sc = n->scan;
    n->scan_due_ms = 0; /* what has ended already is open again (gap_suspect) */
    if (!sc || sc->at == sc->n_tables ||
        (c && !collect_left_nobodys(n->store, c, sc->table[sc->at])))
        return;
    sc->once_more = true;
    if (sc->chunk)
        drop_chunk(sc, n->mono_ms);
}

/* What was settled stays settled; everything is compared anew. */
static void start_over(struct node *n, struct open_scan *sc)
{
    sc->all = (struct counts){.settled = sc->all.settled + sc->counts.settled};
    json_array_clear(sc->tables);
    json_array_clear(sc->rows);
    sc->shown_bytes = 0;
    sc->at = 0;
    sc->stale = false;
    if (begin(n, sc) != ERR_OK && n->scan)
        finish(n, false);
}

void scan_step_over(struct node *n)
{
    if (!scan_wants(n) || n->scan->pass == PASS_NOTE)
        return;
    drop_chunk(n->scan, n->mono_ms + node_jitter(n, 100));
}

void scan_timers(struct node *n)
{
    start_by_itself(n);
    struct open_scan *sc = n->scan;
    if (sc && sc->stale && scan_peer(n, sc))
        start_over(n, sc);
    else if (sc && (!scan_peer(n, sc) || n->mono_ms >= sc->give_up_ms))
        finish(n, false);
    else if (sc && sc->pass != PASS_NOTE && n->mono_ms >= sc->again_ms)
        ask_chunk(n, sc);
    sc = n->scan;
    if (sc)
        node_want(n, sc->again_ms < sc->give_up_ms ? sc->again_ms : sc->give_up_ms);
    else if (n->gap_open)
        node_want(n, n->scan_due_ms > n->mono_ms ? n->scan_due_ms : n->mono_ms + AGAIN_MS);
}
