/* What a comparison of rows does in the step's transaction. */
#include "node/core/scanning.h"

#include "node/schema/schema.h"

bool scan_is_ours(const struct open_scan *sc)
{
    return sc->here == GAP_OPEN && sc->begun_known && sc->there == 0;
}

/* A row that cannot be settled (this office's own rules refuse it, no changeset could carry it)
 * stays as it was, wholly, and is counted with what differs. */
static enum err settle_row(struct node *n, struct open_scan *sc, size_t i, enum escape_take take)
{
    enum err e = store_try_begin(n->store);
    if (e != ERR_OK)
        return e;
    e = store_escape_settle(n->store, &n->arena, sc->chunk, &sc->escape[i], take);
    if (e == ERR_OK) {
        sc->n_done++;
        return store_try_keep(n->store);
    }
    if (!store_try_refused(e))
        return e;
    sc->why[i] = arena_strdup(&n->arena, store_message(n->store));
    return store_try_undo(n->store);
}

enum err scan_settle(struct node *n, struct open_scan *sc, const struct clock **context)
{
    enum err e = ERR_OK;
    if (sc->what == SCAN_LOOK)
        *context = &sc->begun;
    if (clock_compare(&sc->chunk->clock, &store_state_get(n->store)->clock) != CLOCK_EQUAL)
        return ERR_OK;
    enum escape_take take = sc->what != SCAN_TAKE_THERE ? ESCAPE_TAKE_HERE
                            : n->parent                 ? ESCAPE_TAKE_THERE
                                                        : ESCAPE_TAKE_FOR_ALL;
    sc->why = arena_alloc(&n->arena, sc->n_escapes * sizeof *sc->why);
    for (size_t i = 0; e == ERR_OK && i < sc->n_escapes; i++)
        e = settle_row(n, sc, i, take);
    sc->dealt = e == ERR_OK;
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
    return gap_compared(n->store, &g, node_time(n));
}
