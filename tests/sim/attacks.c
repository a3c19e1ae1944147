/* What the puppet sends: now and then what an honest office might, mostly what none can. A value of
 * its own in the fixed schema begins with "evil", so that it is known wherever it stands. */
#include "tests/sim/puppet.h"

#include "conflict/hlc.h"
#include "conflict/value.h"
#include "protocol/codec.h"
#include "protocol/seal.h"

#include <stdio.h>
#include <string.h>

#define SKEW_MS UINT64_C(300000)

struct draft { /* a changeset of one row */
    struct puppet *p;
    struct arena a;
    struct changeset cs;
    struct segment segment;
    struct table_changes tc;
    struct row_change rc;
    struct clock context;
    const struct puppet_row *row;
};

static uint32_t below(struct puppet *p, uint32_t n)
{
    return draw_below(&p->draw, n);
}

static void true_context(const struct puppet *p, struct clock *c)
{
    clock_copy(c, &p->clock);
    clock_set(c, p->m->o.site, p->now.seq);
}

static void draft_init(struct draft *d, struct puppet *p)
{
    *d = (struct draft){.p = p};
    true_context(p, &d->context);
    d->cs.dot = puppet_next(p);
    d->cs.hlc = hlc_tick(p->now.hlc, puppet_time(p));
    d->cs.n_segments = 1;
    d->segment = (struct segment){.scope = "", .n_tables = 1};
}

static void draft_send(struct draft *d, const char *wrong)
{
    if (d->tc.n_columns == 0) { /* it found nothing that it could be about */
        clock_fini(&d->context);
        arena_fini(&d->a);
        return;
    }
    d->tc.n_rows = 1;
    d->tc.rows = &d->rc;
    d->segment.tables = &d->tc;
    d->cs.segments = &d->segment;
    d->cs.context = d->context;
    puppet_seal(d->p, &d->cs, wrong);
    clock_fini(&d->context);
    arena_fini(&d->a);
}

static bool is_key(const struct table_changes *tc, uint32_t column)
{
    for (uint32_t k = 0; k < tc->n_key; k++)
        if (tc->key[k] == column)
            return true;
    return false;
}

/* A text of its own where any may stand; else what somebody else has written there. */
static struct value some_value(struct draft *d, uint32_t column)
{
    static const char *const text[] = {"village", "a", "b", "first", "note"};
    struct puppet *p = d->p;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        char own[32];
        if (strcmp(d->tc.columns[column], text[i]) != 0)
            continue;
        snprintf(own, sizeof own, "evil%llu", (unsigned long long)++p->w->token);
        return value_text(arena_strdup(&d->a, own));
    }
    struct value v = d->row->born.value[column];
    uint32_t n = 0;
    for (size_t i = 0; i < p->n_rows; i++)
        if (strcmp(p->row[i].tc.table, d->tc.table) == 0 && below(p, ++n) == 0)
            v = p->row[i].born.value[column];
    return value_copy(&d->a, &v);
}

static bool draft_row(struct draft *d, bool (*fits)(const struct puppet_row *))
{
    uint32_t n = 0;
    d->row = NULL;
    for (size_t i = 0; i < d->p->n_rows; i++)
        if (fits(&d->p->row[i]) && below(d->p, ++n) == 0)
            d->row = &d->p->row[i];
    if (!d->row)
        return false;
    d->tc = d->row->tc;
    d->rc = (struct row_change){.birth = d->row->born.birth, .key = d->row->born.key};
    return true;
}

static void draft_update(struct draft *d)
{
    uint32_t *column = arena_alloc(&d->a, d->tc.n_columns * sizeof *column);
    struct value *value = arena_alloc(&d->a, d->tc.n_columns * sizeof *value);
    d->rc.kind = CHANGE_UPDATE;
    for (uint32_t i = 0; i < d->tc.n_columns; i++) {
        if (is_key(&d->tc, i) || below(d->p, 2))
            continue;
        column[d->rc.n_cells] = i;
        value[d->rc.n_cells++] = some_value(d, i);
    }
    d->rc.column = column;
    d->rc.value = value;
}

static void draft_born(struct draft *d)
{
    uint32_t *column = arena_alloc(&d->a, d->tc.n_columns * sizeof *column);
    struct value *value = arena_alloc(&d->a, d->tc.n_columns * sizeof *value);
    bool twin = below(d->p, 4) == 0;
    d->rc.kind = CHANGE_BORN;
    d->rc.birth = d->cs.dot;
    for (uint32_t i = 0; i < d->tc.n_columns; i++) {
        column[i] = i;
        value[i] = is_key(&d->tc, i) || twin ? d->row->born.value[i] : some_value(d, i);
    }
    d->rc.n_cells = d->tc.n_columns;
    d->rc.column = column;
    d->rc.value = value;
}

static bool any(const struct puppet_row *r)
{
    return r->tc.n_columns > 0;
}

static bool living(const struct puppet_row *r)
{
    return !r->dead && !r->unsure;
}

static bool deleted(const struct puppet_row *r)
{
    return r->dead;
}

static bool same_row(const struct puppet_row *x, const struct puppet_row *y)
{
    bool same = strcmp(x->tc.table, y->tc.table) == 0;
    for (uint32_t k = 0; same && k < x->tc.n_key; k++)
        same = value_equal(&x->born.key[k], &y->born.key[k]);
    return same;
}

static uint32_t births_of_key(const struct draft *d)
{
    uint32_t n = 0;
    for (size_t i = 0; i < d->p->n_rows; i++)
        n += same_row(&d->p->row[i], d->row);
    return n;
}

/* What an honest office might write. Who deletes one of two equal births leaves the other nowhere:
 * it does not know which are (forged.h tells what comes of that). */
static bool draft_honest(struct draft *d)
{
    uint32_t how = below(d->p, 5);
    if (!draft_row(d, how == 0 ? any : living) || (how == 1 && births_of_key(d) > 1))
        return false;
    if (how == 0)
        draft_born(d);
    else if (how == 1)
        d->rc.kind = CHANGE_DELETE;
    else
        draft_update(d);
    return true;
}

static void ordinary(struct draft *d)
{
    draft_send(d, NULL);
}

/* ---- times */

static void stamp_future(struct draft *d)
{
    static const uint64_t ahead[] = {SKEW_MS / 2, 2 * SKEW_MS + 120000, 3600000, 315360000000};
    uint32_t how = below(d->p, 5);
    uint64_t at = how < 4 ? hlc_make(puppet_time(d->p) + ahead[how], 0) : UINT64_MAX;
    d->cs.hlc = at > d->cs.hlc ? at : d->cs.hlc;
    draft_send(d, how > 0 ? "a stamp of the future" : NULL);
}

/* Later than nothing of what it says that it has seen. */
static void stamp_past(struct draft *d)
{
    bool seen = false;
    d->cs.hlc = hlc_make(puppet_time(d->p) - below(d->p, 20000) - 1, 0);
    for (size_t i = 0; i < d->p->heard.n; i++) {
        struct changeset cs;
        struct bytes b = d->p->heard.at[i];
        seen = seen || (seal_peek(&d->a, b.p, b.len, &cs) == ERR_OK && cs.hlc >= d->cs.hlc &&
                        clock_covers(&d->context, cs.dot));
    }
    draft_send(d, seen ? "a stamp from before what it has seen" : NULL);
}

/* ---- contexts */

static void other_counters(struct draft *d)
{
    const struct world *w = d->p->w;
    const struct machine *m = &w->m[below(d->p, (uint32_t)w->n)];
    if (below(d->p, 3) == 0)
        clock_raise(&d->context, m->o.site ^ 1, 1 + below(d->p, 3));
    else
        clock_raise(&d->context, m->o.site, clock_get(&d->context, m->o.site) + 100000);
    draft_send(d, "a context of what nobody has written");
}

static void own_counter(struct draft *d)
{
    uint64_t own = d->p->now.seq;
    clock_set(&d->context, d->p->m->o.site, own ? below(d->p, (uint32_t)own) : 1);
    draft_send(d, "a context without its own changesets");
}

/* It has not seen what it has answered; or it has heard less than it has, which may be. */
static void early(struct draft *d)
{
    struct puppet *p = d->p;
    clock_copy(&d->context, &p->old[below(p, 4)]);
    clock_set(&d->context, p->m->o.site, p->now.seq);
    bool wrong = false;
    for (size_t i = 0; i < p->n_marks; i++)
        wrong = wrong || (p->mark[i].id <= p->now.answered &&
                          !clock_includes(&d->context, &p->mark[i].clock));
    draft_send(d, wrong ? "a mark that it answered is not in its context" : NULL);
}

/* ---- counters */

static void anothers_site(struct draft *d)
{
    const struct world *w = d->p->w;
    uint64_t site = w->m[below(d->p, (uint32_t)w->n)].o.site;
    d->cs.dot = (struct dot){site, clock_get(&d->context, site) + 1};
    draft_send(d, "another office's name");
}

static void hole(struct draft *d)
{
    d->cs.dot.seq += 1 + below(d->p, 5);
    draft_send(d, "a hole in its counter");
}

static void second_content(struct draft *d)
{
    uint64_t own = d->p->now.seq;
    d->cs.dot.seq = own;
    clock_set(&d->context, d->p->m->o.site, own ? own - 1 : 0);
    draft_send(d, "a second changeset of one number");
}

static void replay(struct draft *d)
{
    struct puppet *p = d->p;
    if (p->heard.n > 0) {
        struct bytes b = p->heard.at[below(p, (uint32_t)p->heard.n)];
        struct buf bytes = {0};
        buf_put(&bytes, b.p, b.len);
        puppet_add(p, ITEM_CHANGESET, &bytes, NULL);
        buf_fini(&bytes);
    }
    clock_fini(&d->context);
    arena_fini(&d->a);
}

/* ---- identities */

/* The only birth of its key, as far as it knows: then who names nobody can mean no other. */
static void draft_only(struct draft *d, bool (*fits)(const struct puppet_row *))
{
    const struct puppet_row *row = d->row;
    for (int tries = 0; tries < 10 && draft_row(d, fits); tries++) {
        if (births_of_key(d) > 1)
            continue;
        draft_update(d);
        return;
    }
    d->row = row;
    d->tc = (struct table_changes){0};
}

/* Where the name is forgotten everywhere, as it should be. Elsewhere who forgets names knows which
 * one that means, and who does not takes it for nobody: an office that is not honest can make a row
 * of its neighbours differ so, which its parent tells (forged.h), and that is all it can. */
static void no_birth(struct draft *d)
{
    draft_only(d, living);
    if (!clock_covers(&d->p->stable, d->rc.birth))
        d->tc = (struct table_changes){0};
    d->rc.birth = (struct dot){0};
    draft_send(d, NULL);
}

static void another_birth(struct draft *d)
{
    struct puppet *p = d->p;
    const struct world *w = p->w;
    draft_only(d, any);
    uint64_t site = w->m[below(p, (uint32_t)w->n + 1)].o.site;
    uint64_t most = clock_get(&d->context, site);
    d->rc.birth = (struct dot){site, 1 + (most ? below(p, (uint32_t)most) : 0)};
    draft_send(d, NULL);
}

static void dead_birth(struct draft *d)
{
    draft_only(d, deleted);
    draft_send(d, NULL);
}

static void references(struct draft *d)
{
    struct puppet *p = d->p;
    struct reference *ref = arena_alloc(&d->a, sizeof *ref);
    if (d->rc.kind != CHANGE_DELETE && d->rc.n_cells > 0) {
        ref->column = d->rc.column[below(p, d->rc.n_cells)];
        uint64_t site = p->w->m[below(p, (uint32_t)p->w->n + 1)].o.site;
        ref->birth = (struct dot){site, 1 + below(p, 20)};
        d->rc.references = ref;
        d->rc.n_references = 1;
    }
    draft_send(d, NULL);
}

/* ---- tables that are not its */

static void registry(struct draft *d)
{
    static const char *const node[] = {"name", "unit", "state"};
    static const char *const site[] = {"site", "number", "node", "sign_key"};
    static const char *const charter[] = {"version", "schema_version", "compiled"};
    static const uint32_t key[] = {0}, column[] = {0, 1, 2, 3};
    struct puppet *p = d->p;
    const struct machine *m = &p->w->m[below(p, (uint32_t)p->w->n)];
    struct value *v = arena_alloc(&d->a, 4 * sizeof *v);
    uint32_t which = below(p, 3);
    d->tc = (struct table_changes){.n_key = 1, .key = key, .n_columns = which == 1 ? 4 : 3};
    d->tc.table = (const char *[]){"tonle_node", "tonle_site", "tonle_charter"}[which];
    d->tc.columns = (const char **)(which == 0 ? node : which == 1 ? site : charter);
    v[0] = which == 2 ? value_text("0000000002") : value_text(m->o.name);
    v[1] = which == 0 ? value_text("") : value_integer(7);
    v[2] = value_text(which == 0 ? "retired" : which == 1 ? m->o.name : "{}");
    v[3] = value_text("00");
    d->rc = (struct row_change){.kind = below(p, 2) ? CHANGE_BORN : CHANGE_UPDATE,
                                .birth = d->cs.dot,
                                .key = v,
                                .n_cells = d->tc.n_columns,
                                .column = column,
                                .value = v};
    if (d->rc.kind == CHANGE_UPDATE)
        d->rc = (struct row_change){CHANGE_UPDATE, {0}, v, 1, column + 2, v + 2, 0, NULL};
    draft_send(d, NULL);
}

/* A decision that another office is said to have taken, at a time that suits, about any row: it is
 * its signer's, or nobody's. */
static void decision(struct draft *d)
{
    static const char *const columns[] = {"id",     "conflict", "subject", "table_name",
                                          "key",    "cell",     "choice",  "operator",
                                          "office", "reason",   "at_ms"};
    static const uint32_t key[] = {0}, column[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    struct puppet *p = d->p;
    const struct machine *other = &p->w->m[below(p, (uint32_t)p->w->n)];
    struct value *v = arena_alloc(&d->a, 11 * sizeof *v);
    const char *table = d->tc.table;
    char id[64];
    snprintf(id, sizeof id, "%016llx-%llu",
             (unsigned long long)(below(p, 2) ? other->o.site : p->m->o.site),
             (unsigned long long)++p->w->token);
    for (int i = 1; i < 10; i++)
        v[i] = value_text("forged");
    v[0] = value_text(arena_strdup(&d->a, id));
    v[2] = value_text(below(p, 2) ? "held" : "conflict");
    v[3] = value_text(table);
    v[8] = value_text(other->o.name);
    v[10] = value_integer(1);
    d->tc = (struct table_changes){"tonle_decision", 11, (const char **)columns, 1, key, 1, NULL};
    d->rc = (struct row_change){CHANGE_BORN, d->cs.dot, v, 11, column, v, 0, NULL};
    draft_send(d, NULL);
}

/* ---- what is no changeset */

static void forged_answer(struct draft *d)
{
    struct puppet *p = d->p;
    struct buf b = {0};
    const struct machine *m = &p->w->m[below(p, (uint32_t)p->w->n)];
    bool other = below(p, 2);
    uint64_t last = p->n_marks ? p->mark[p->n_marks - 1].id : 0;
    struct answer a = {.mark_id = last + 1000 + below(p, 1000),
                       .node = other ? m->o.name : p->m->o.name,
                       .site = p->m->o.site,
                       .hlc = d->cs.hlc};
    codec_answer_encode(&a, p->m->o.secret, &b);
    puppet_add(p, ITEM_ANSWER, &b,
               other              ? "an answer in another's name"
               : p->m->parent > 0 ? NULL /* it goes no further */
                                  : "an answer to a mark that was never sent");
    buf_fini(&b);
    clock_fini(&d->context);
    arena_fini(&d->a);
}

static void forged_mark(struct draft *d)
{
    struct puppet *p = d->p;
    struct buf b = {0};
    bool stable = below(p, 2);
    struct mark m = {1000, p->m->o.site, d->context, d->cs.hlc};
    struct stable st = {
        .mark_id = 1000, .site = p->w->m[0].o.site, .clock = d->context, .hlc = d->cs.hlc};
    if (stable)
        codec_stable_encode(&st, p->m->o.secret, &b);
    else
        codec_mark_encode(&m, p->m->o.secret, &b);
    puppet_add(p, stable ? ITEM_STABLE : ITEM_MARK, &b, "a mark, from below");
    buf_fini(&b);
    clock_fini(&d->context);
    arena_fini(&d->a);
}

void puppet_attack(struct puppet *p)
{
    static void (*const kind[])(struct draft *) = {
        ordinary,      stamp_future,  stamp_past, other_counters, own_counter,
        early,         anothers_site, hole,       second_content, replay,
        no_birth,      another_birth, dead_birth, references,     registry,
        forged_answer, forged_mark,   decision,   ordinary,       ordinary};
    struct draft d;
    draft_init(&d, p);
    if (!draft_honest(&d)) {
        clock_fini(&d.context);
        arena_fini(&d.a);
        return;
    }
    kind[below(p, sizeof kind / sizeof *kind)](&d);
}
