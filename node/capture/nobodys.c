/* Rows that were entered while capture was away: a change of one would be taken for another's. */
#include "node/capture/collect.h"
#include "node/capture/gap.h"
#include "node/db/query.h"

/* Mostly there is no record of several births, nor one of a row that does not stand. */
enum err nobodys_possible(struct output *o)
{
    enum gap_state gap = GAP_NONE;
    struct query q = DB_QUERY(o->s,
                              "SELECT EXISTS(SELECT 1 FROM tonle_row WHERE births > 1 AND t = ?1),"
                              " EXISTS(SELECT 1 FROM tonle_held WHERE t = ?1)",
                              value_integer(o->t->t));
    if (query_next(&q)) {
        o->births = query_i64(&q, 0);
        o->records = o->births || query_i64(&q, 1);
    }
    enum err e = query_end(&q);
    if (e == ERR_OK)
        e = gap_state_of(o->s, o->t->t, &gap);
    o->records = o->records || gap != GAP_NONE;
    return e;
}

enum err nobodys_row(struct output *o, struct bytes key, struct dot *birth, bool *yes)
{
    struct row row;
    struct row_key k = {o->t, key.p, key.len};
    *yes = false;
    enum err e = row_load(o->s, o->a, k, &row, NULL);
    const struct birth *b = e == ERR_OK ? row_standing(&row, &o->t->rules) : NULL;
    *birth = b ? b->name : (struct dot){0};
    if (e != ERR_OK || o->most.compared)
        return e;
    *yes = row.n_births > 0 && !b;
    if (b && dot_is_none(b->name) && o->records)
        e = gap_doubts(o->s, o->a, k, &row, yes);
    o->work->nobodys = o->work->nobodys || *yes;
    return e;
}
