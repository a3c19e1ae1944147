/* What is resolved is taken again, too, but for births and deletions: a change that brings back a
 * dead identity may have to name none, and only who forgets names knows which one that means.
 *
 * Now and then somebody sits down at the review desk of an office and decides what is open there,
 * or settles a held row, in every way there is; also what is refused is tried. Counted tables are
 * left as they are where a decision would write a counter: their totals are told from outside. */
#include "node/desk/desk.h"
#include "node/db/query.h"
#include "node/store/store.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

struct desk {
    struct world *w;
    struct machine *m;
    struct arena a;
    const char *id;
    const char *cell;
    const struct drawn_table *t;
    struct assignment set;
    struct review review;
};

static uint32_t below(struct desk *d, uint32_t n)
{
    return draw_below(&d->w->app, n);
}

static const struct drawn_table *table_named(const struct world *w, const char *name)
{
    for (int i = 0; i < w->schema.n; i++) {
        if (strcmp(w->schema.table[i].name, name) == 0)
            return &w->schema.table[i];
    }
    return NULL;
}

/* One of the rows of a query for (id, table, cell). */
static bool pick(struct desk *d, const char *sql)
{
    uint32_t n = 0;
    struct query q = DB_QUERY(d->m->o.store, sql);
    while (query_next(&q)) {
        if (below(d, ++n) > 0)
            continue;
        d->id = query_text(&q, &d->a, 0);
        d->t = table_named(d->w, query_borrow_text(&q, 1));
        d->cell = query_text(&q, &d->a, 2);
    }
    (void)query_end(&q); /* an error: the machine is dying */
    return d->t;
}

/* As a person would type it. */
static const char *text(struct desk *d, const struct drawn_column *c)
{
    static const char *const word[] = {"oak", "ash", "elm", "box", "active", "revoked"};
    char out[32];
    bool number = strncmp(c->type, "INT", 3) == 0;
    if (c->domain == DOMAIN_SCOPE)
        return d->w->unit[below(d, (uint32_t)d->w->n)];
    if (c->domain == DOMAIN_KEY || c->domain == DOMAIN_PARENT || number)
        snprintf(out, sizeof out, "%s%u", number ? "" : "k", below(d, 9));
    else if (c->domain == DOMAIN_TOKEN)
        snprintf(out, sizeof out, "%llu", (unsigned long long)++d->w->token);
    else
        return word[below(d, 6)];
    return arena_strdup(&d->a, out);
}

static void type_column(struct desk *d, int column)
{
    d->set = (struct assignment){d->t->column[column].name, text(d, &d->t->column[column]), false};
    d->review.set = &d->set;
    d->review.n_set = 1;
}

static struct dot any_side(struct desk *d)
{
    struct dot dot = {0, 0};
    uint32_t n = 0;
    struct query q =
        DB_QUERY(d->m->o.store, "SELECT site, seq FROM tonle_conflict_side WHERE conflict = ?1",
                 value_text(d->id));
    while (query_next(&q)) {
        if (below(d, ++n) == 0)
            dot = (struct dot){query_u64(&q, 0), query_u64(&q, 1)};
    }
    (void)query_end(&q);
    return dot;
}

static enum err resolve(struct desk *d)
{
    const char *decision;
    enum resolution how = (enum resolution)below(d, 4);
    if (how == RESOLVE_BOTH && d->t->counted)
        how = RESOLVE_TAKE;
    int column = d->t->n_key + (int)below(d, (uint32_t)(d->t->n_columns - d->t->n_key + 1));
    for (int i = 0; i < d->t->n_columns; i++) {
        if (strcmp(d->t->column[i].name, d->cell) == 0)
            column = i;
    }
    bool plain = column < d->t->n_columns && d->t->column[column].domain != DOMAIN_COUNT;
    if (how == RESOLVE_SET && plain)
        type_column(d, column);
    else if (how == RESOLVE_SET)
        how = RESOLVE_SHOWN;
    return store_conflict_resolve(d->m->o.store, &d->a, d->id, how, any_side(d), &d->review,
                                  &decision);
}

static enum err settle(struct desk *d)
{
    struct held_settled settled;
    enum held_action how = d->t->counted ? HELD_DROP : (enum held_action)below(d, 3);
    if (how == HELD_SET || (how == HELD_MERGE && below(d, 2)))
        type_column(d, (int)below(d, (uint32_t)d->t->n_columns));
    d->review.leave_children = true;
    return store_held_settle(d->m->o.store, &d->a, d->id, how, &d->review, &settled);
}

/* What the decision lets appear and vanish is wanted. */
static void note(struct desk *d)
{
    struct store *s = d->m->o.store;
    struct query q = DB_QUERY(s, "SELECT t, k, kind FROM tonle_todo");
    while (query_next(&q)) {
        const struct table_schema *t = schema_by_number(s, (uint32_t)query_u64(&q, 0));
        struct bytes k = query_bytes(&q, &d->a, 1);
        struct value key[2];
        int64_t kind = query_i64(&q, 2);
        if (!t || t->internal || kind == CHANGE_UPDATE ||
            key_decode(k.p, k.len, key, t->n_key) != ERR_OK)
            continue;
        ledger_note(d->m, t, key, kind == CHANGE_BORN);
    }
    (void)query_end(&q); /* an error: the machine is dying */
}

static bool expected(enum err e)
{
    return e == ERR_OK || e == ERR_STATE || e == ERR_USAGE || e == ERR_EXISTS || e == ERR_REFUSED ||
           e == ERR_NOT_FOUND || e == ERR_NOTHING ||
           e == ERR_BUSY; /* what is not sealed is not decided */
}

void desk_decide(struct world *w, struct machine *m)
{
    struct desk d = {.w = w, .m = m};
    struct store *s = m->o.store;
    bool held = draw_chance(&w->app, 400);
    if (!m->alive || store_state_get(s)->loading || store_begin(s) != ERR_OK)
        return;
    d.review =
        (struct review){.by = "clerk", .reason = "seen", .now_ms = 1700000000000ULL + w->now};
    enum err e = schema_load(s);
    bool found = e == ERR_OK &&
                 pick(&d, held ? "SELECT id, table_name, reason FROM tonle_held ORDER BY id"
                               : "SELECT id, table_name, cell FROM tonle_conflict"
                                 " WHERE state = 'open' OR (state = 'resolved' AND cell NOT IN"
                                 " ('birth', 'exists')) ORDER BY id");
    if (found)
        e = held ? settle(&d) : resolve(&d);
    if (w->verbose && found)
        printf("%8llu %s: desk: %s %s of %s -> %s %s\n", (unsigned long long)w->now, m->o.name,
               held ? "held" : "conflict", d.cell, d.t->name, err_name(e),
               e != ERR_OK ? store_message(s) : "");
    if (!expected(e) && !disk_failed(w->disk))
        world_break(w, "8", "%s: no decision about %s of %s: %s: %s", m->o.name, d.cell, d.t->name,
                    err_name(e), store_message(s));
    if (found && e == ERR_OK) {
        note(&d);
        w->decisions++;
    }
    if (!found || e != ERR_OK || store_commit(s) != ERR_OK)
        store_rollback(s);
    world_later(w, WHAT_CHANGE, (int)(m - w->m), 1 + world_below(w, 30), 0);
    arena_fini(&d.a);
}
