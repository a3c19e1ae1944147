/* What a comparison of rows does in the step's transaction. */
#include "node/core/scanning.h"

#include "node/apply/apply.h"
#include "node/capture/capture.h"
#include "node/schema/schema.h"

#include <stdlib.h>
#include <string.h>

bool scan_is_ours(const struct open_scan *sc)
{
    return sc->here == GAP_OPEN && sc->begun_known && sc->there == 0;
}

bool scan_may_settle(const struct open_scan *sc, const struct escape *esc)
{
    bool held = esc->kind == ESCAPE_HELD;
    if (sc->what == SCAN_LOOK)
        return scan_is_ours(sc) && esc->kind != ESCAPE_DELETED && !held;
    if (held != sc->last || (held && sc->what != SCAN_TAKE_THERE))
        return false;
    return sc->key.len == 0 ||
           (sc->key.len == esc->key.len && memcmp(sc->key.data, esc->key.p, esc->key.len) == 0);
}

void scan_count(struct counts *c, enum escape_kind kind)
{
    if (kind == ESCAPE_HELD)
        c->held++;
    if (kind == ESCAPE_CHANGED || kind == ESCAPE_HELD)
        c->changed++;
    else if (kind == ESCAPE_NEW)
        c->born++;
    else
        c->deleted++;
}

static int compare_bytes(struct bytes p, struct bytes q)
{
    int c = memcmp(p.p, q.p, p.len < q.len ? p.len : q.len);
    return c != 0 ? c : (p.len > q.len) - (p.len < q.len);
}

static int by_place(const void *p, const void *q)
{
    return compare_bytes(((const struct escape *)p)->place, ((const struct escape *)q)->place);
}

size_t scan_slice(struct open_scan *sc, struct escape *esc, size_t n)
{
    struct bytes end = {sc->slice_end.data, sc->slice_end.len};
    size_t kept = 0;
    sc->sliced = false;
    if (sc->what == SCAN_LOOK || n == 0)
        return n;
    qsort(esc, n, sizeof *esc, by_place);
    for (size_t i = 0; i < n; i++)
        if (end.len == 0 || compare_bytes(esc[i].place, end) > 0)
            esc[kept++] = esc[i];
    sc->sliced = kept > SCAN_SLICE_ROWS;
    return sc->sliced ? SCAN_SLICE_ROWS : kept;
}

/* A row that cannot be settled (this office's own rules refuse it, no changeset could carry it)
 * stays as it was, wholly, and is counted with what differs. */
static enum err settle_row(struct node *n, struct open_scan *sc, size_t i, enum escape_take take)
{
    enum err e = store_try_begin(n->store);
    if (e != ERR_OK)
        return e;
    bool as_lost = false;
    e = store_escape_settle(n->store, &n->arena, sc->chunk, &sc->escape[i], take, &as_lost);
    if (e == ERR_OK) {
        sc->as_lost = sc->as_lost || as_lost;
        sc->n_done++;
        return store_try_keep(n->store);
    }
    if (!store_try_refused(e))
        return e;
    sc->why[i] = arena_strdup(&n->arena, store_message(n->store));
    return store_try_undo(n->store);
}

/* How what is there comes here. */
static enum err what_is_taken(struct node *n, const struct open_scan *sc, enum escape_take *take)
{
    const char **below;
    size_t count;
    *take = sc->was_away ? ESCAPE_TAKE_BACK : ESCAPE_TAKE_FOR_ALL;
    if (!n->parent)
        return ERR_OK;
    enum err e = scan_children(n, &below, &count);
    if (e == ERR_OK)
        *take = count > 0 ? ESCAPE_TAKE_BELOW : ESCAPE_TAKE_THERE;
    return e;
}

/* One child cannot tell which rows the hub has lost, and which it has alone: what was taken as lost
 * is a question to all the others, kept in the same transaction. */
static enum err ask_the_others(struct node *n, const struct open_scan *sc)
{
    const char **below;
    size_t count;
    enum err e = scan_children(n, &below, &count);
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        if (strcmp(below[i], sc->peer) != 0)
            e = gap_asks(n->store, sc->t, below[i]);
    return e;
}

enum err scan_settle(struct node *n, struct open_scan *sc, const struct clock **context)
{
    enum err e = ERR_OK;
    if (sc->what == SCAN_LOOK)
        *context = &sc->begun;
    if (clock_compare(&sc->chunk->clock, &store_state_get(n->store)->clock) != CLOCK_EQUAL)
        return ERR_OK;
    enum escape_take take = ESCAPE_TAKE_HERE;
    if (sc->what == SCAN_TAKE_THERE)
        e = what_is_taken(n, sc, &take);
    if (e != ERR_OK)
        return e;
    sc->why = arena_alloc(&n->arena, sc->n_escapes * sizeof *sc->why);
    e = capture_temp_triggers(n->store); /* once: made in a part that is undone, they are gone */
    for (size_t i = 0; e == ERR_OK && i < sc->n_escapes; i++)
        e = settle_row(n, sc, i, take);
    if (e == ERR_OK && sc->as_lost)
        e = ask_the_others(n, sc);
    if (e == ERR_OK && sc->n_done > 0)
        e = store_sweep_again(n->store);
    sc->dealt = e == ERR_OK;
    return e;
}

enum err scan_note_left(struct node *n, struct open_scan *sc)
{
    const char *first = NULL;
    unsigned left = 0;
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < sc->n_escapes; i++) {
        if (!sc->why[i])
            continue;
        first = first ? first : sc->why[i];
        left++;
        scan_count(&sc->left, sc->escape[i].kind);
        e = scan_show_why(n, sc, &sc->escape[i], sc->why[i]);
    }
    if (first)
        node_log(n, 1, "event=compare-left table=%s rows=%u first=%s",
                 node_quoted(n, sc->table[sc->at]), left, node_quoted(n, first));
    return e;
}

enum err scan_note(struct node *n, struct open_scan *sc)
{
    enum err e = schema_load(n->store);
    const struct table_schema *t = e == ERR_OK ? schema_by_number(n->store, sc->t) : NULL;
    if (e != ERR_OK || !t || !t->exists)
        return e;
    struct gap g = {.t = t->t,
                    .table = t->name,
                    .changed = sc->counts.changed,
                    .born = sc->counts.born,
                    .deleted = sc->counts.deleted};
    sc->noted = true;
    return gap_compared(n->store, &g, sc->peer, node_time(n));
}
