#include "tests/property/replica.h"

#include "conflict/hlc.h"

#define ITEMS_MAX (KEYS * BIRTHS_MAX)

static const uint32_t unique_columns[1] = {C_UNIQUE};

void replica_init(struct replica *o, struct arena *arena, const struct table_rules *rules,
                  uint64_t site, int skew)
{
    *o = (struct replica){.arena = arena, .rules = rules, .site = site, .skew = skew};
}

void replica_fini(struct replica *o)
{
    clock_fini(&o->clock);
    clock_fini(&o->stable);
}

/* What the table and the record would give back after a restart. */
static void round_trip(struct replica *o, uint32_t key)
{
    struct row *r = &o->row[key];
    struct buf bytes = {0};
    struct buf again = {0};
    const struct birth *standing = row_standing(r, o->rules);
    const struct value *table = standing ? standing->values : NULL;
    for (uint32_t i = 0; i < r->n_births; i++)
        for (uint32_t c = 0; c < COLUMNS; c++) {
            struct version shown = birth_show(o->arena, &r->births[i], c, o->rules);
            assert_true(value_equal(&r->births[i].values[c], &shown.value));
        }
    row_encode(&bytes, r, o->rules);
    if (row_is_settled(r)) {
        *r = (struct row){0};
        if (table)
            row_from_settled(o->arena, r, table);
        buf_fini(&bytes);
        return;
    }
    const void *kept = arena_copy(o->arena, bytes.data, bytes.len);
    assert_ok(row_decode(o->arena, r, o->rules, kept, bytes.len));
    struct birth *b = row_standing(r, o->rules);
    assert_int_equal(!!b, !!table);
    if (b)
        birth_set_values(o->arena, b, o->rules, table);
    row_encode(&again, r, o->rules);
    assert_int_equal(again.len, bytes.len);
    assert_memory_equal(again.data, bytes.data, bytes.len);
    buf_fini(&bytes);
    buf_fini(&again);
}

struct unique_claim {
    uint64_t unique;
    uint64_t gives;
    uint64_t needs;
};

static void describe(const struct replica *o, const struct birth *b, uint32_t key,
                     struct hold_item *it, struct unique_claim *c)
{
    uint32_t column;
    struct value bad;
    const struct value *unique = &b->values[C_UNIQUE];
    const struct value *parent = &b->values[C_PARENT];
    *c = (struct unique_claim){
        .unique = (uint64_t)unique->u.i, .gives = key, .needs = (uint64_t)parent->u.i};
    *it = (struct hold_item){.key = key, .birth = b->name, .birth_hlc = b->hlc, .tie = key};
    it->valid = birth_sums_stand(b, o->rules, &column, &bad);
    it->rank = birth_rank(b, o->rules, unique_columns, 1);
    it->unique = &c->unique;
    it->n_unique = unique->type == VALUE_INTEGER;
    it->gives = &c->gives;
    it->n_gives = 1;
    it->needs = &c->needs;
    it->n_needs = parent->type == VALUE_INTEGER;
}

void replica_decide(struct replica *o)
{
    struct hold_item item[ITEMS_MAX];
    struct unique_claim claim[ITEMS_MAX];
    struct birth *birth[ITEMS_MAX];
    size_t n = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        for (uint32_t i = 0; i < o->row[k].n_births; i++) {
            struct birth *b = &o->row[k].births[i];
            if (!birth_alive(b, o->rules))
                continue;
            describe(o, b, k, &item[n], &claim[n]);
            birth[n++] = b;
        }
    }
    hold_decide(item, n, o->rules->birth_policy);
    for (size_t i = 0; i < n; i++)
        birth[i]->held = item[i].reason;
}

void replica_apply(struct replica *o, const struct told_change *cs, bool by_identity)
{
    for (uint32_t i = 0; i < cs->n; i++) {
        const struct edit *e = &cs->edit[i];
        struct change ch = e->ch;
        if (by_identity)
            ch.birth = e->identity;
        struct forget f = {
            .stable = &o->stable, .keep = o->keep[e->key].name, .n_keep = o->keep[e->key].n};
        merge_change(o->arena, &o->row[e->key], o->rules, &ch, &f, &o->met[e->key]);
        assert_true(o->row[e->key].n_births <= BIRTHS_MAX);
    }
    o->hlc = hlc_observe(o->hlc, cs->hlc);
    clock_raise(&o->clock, cs->dot.site, cs->dot.seq);
    replica_decide(o);
    for (uint32_t i = 0; i < cs->n; i++)
        round_trip(o, cs->edit[i].key);
}

static bool unique_is_free(const struct replica *o, int64_t number)
{
    for (uint32_t k = 0; k < KEYS; k++) {
        const struct birth *b = row_standing(&o->row[k], o->rules);
        if (b && b->values[C_UNIQUE].type == VALUE_INTEGER && b->values[C_UNIQUE].u.i == number)
            return false;
    }
    return true;
}

static bool has_living(const struct replica *o, const struct row *r)
{
    for (uint32_t i = 0; i < r->n_births; i++)
        if (birth_alive(&r->births[i], o->rules))
            return true;
    return false;
}

/* Mostly a value never written before, so that a write can be told from every other. */
static struct value random_cell(const struct replica *o, struct gen *g, const struct change *ch,
                                uint32_t column, uint64_t *serial)
{
    uint32_t small = gen_below(g, 4);
    if (column == C_UNIQUE)
        return small && unique_is_free(o, small) ? value_integer(small) : value_null();
    if (column == C_PARENT)
        return row_standing(&o->row[small], o->rules) ? value_integer(small) : value_null();
    if (policy_of(o->rules, column) != POLICY_SUM)
        return rules_value(g, column, serial);
    if (ch->kind != CHANGE_BORN)
        return rules_delta(o->arena, g);
    return gen_percent(g, 5)    ? value_text("none")
           : gen_percent(g, 30) ? value_null()
                                : value_integer(small);
}

static void set_columns(struct replica *o, struct gen *g, struct edit *e, uint32_t mask,
                        uint64_t *serial)
{
    uint32_t *column = arena_alloc(o->arena, COLUMNS * sizeof *column);
    struct value *value = arena_alloc(o->arena, COLUMNS * sizeof *value);
    mask = rules_whole_groups(o->rules, mask);
    for (uint32_t c = 0; c < COLUMNS; c++) {
        if (!(mask >> c & 1))
            continue;
        column[e->ch.n_cells] = c;
        value[e->ch.n_cells++] =
            c == C_KEY ? value_integer(e->key) : random_cell(o, g, &e->ch, c, serial);
    }
    e->ch.column = column;
    e->ch.value = value;
}

/* A person may decide about a birth that does not stand as long as its delete is not agreed on:
 * after that the others may have forgotten it. */
static bool may_be_named(const struct replica *o, const struct birth *b)
{
    uint32_t n;
    const struct version *v = birth_cell(o->arena, b, o->rules, COLUMN_EXISTS, &n);
    bool differ = false;
    for (uint32_t i = 1; i < n; i++)
        differ |= v[i].value.u.i != v[0].value.u.i;
    return !dot_is_none(b->name) && (differ || o->revives || birth_alive(b, o->rules));
}

/* The birth that an edit is about; NULL: it makes one. */
static const struct birth *pick_birth(const struct replica *o, struct gen *g, const struct row *r)
{
    const struct birth *b = r->n_births ? &r->births[gen_below(g, r->n_births)] : NULL;
    return b && gen_percent(g, 30) && may_be_named(o, b) ? b : row_standing(r, o->rules);
}

static void random_edit(struct replica *o, struct gen *g, struct edit *e, const struct birth *b,
                        uint64_t *serial)
{
    uint32_t mask = 0;
    if (!b) {
        e->ch.kind = CHANGE_BORN;
        e->ch.birth = e->ch.dot;
        mask = (1u << COLUMNS) - 1;
    } else {
        e->ch.kind = gen_percent(g, 25) ? CHANGE_DELETE : CHANGE_UPDATE;
        e->ch.birth = b->name;
        if (e->ch.kind == CHANGE_UPDATE || gen_percent(g, 20))
            mask = 1u << gen_between(g, C_ONE, C_SCOPE) | 1u << gen_between(g, C_ONE, C_SCOPE);
    }
    set_columns(o, g, e, mask, serial);
}

struct told_change *replica_write(struct replica *o, struct gen *g, uint64_t t, uint64_t *serial)
{
    struct told_change *cs = arena_alloc(o->arena, sizeof *cs);
    uint32_t first = gen_below(g, KEYS);
    cs->dot = (struct dot){o->site, clock_get(&o->clock, o->site) + 1};
    cs->hlc = hlc_tick(o->hlc, t + (uint64_t)(o->skew + 10));
    cs->context.n = o->clock.n;
    cs->context.entry = arena_copy(o->arena, o->clock.entry, o->clock.n * sizeof *o->clock.entry);
    uint32_t most = 1 + gen_below(g, 2);
    for (uint32_t i = 0; i < most; i++) {
        struct edit *e = &cs->edit[cs->n];
        e->key = (first + i) % KEYS;
        /* A key whose every birth is held looks free to an application; rarely it uses it. */
        const struct birth *b = pick_birth(o, g, &o->row[e->key]);
        if (!b && has_living(o, &o->row[e->key]) && gen_percent(g, 80))
            continue;
        cs->n++;
        e->ch.dot = cs->dot;
        e->ch.hlc = cs->hlc;
        e->ch.context = &cs->context;
        random_edit(o, g, e, b, serial);
        e->identity = e->ch.birth;
        if (i && e->ch.n_cells) /* two edits of one transaction do not take one unique number */
            for (uint32_t c = 0; c < e->ch.n_cells; c++)
                if (e->ch.column[c] == C_UNIQUE)
                    ((struct value *)e->ch.value)[c] = value_null();
    }
    return cs->n ? cs : NULL;
}

/* Whether some version of a birth has this unique number: another may come to be shown when the row
 * moves to another scope. */
static bool has_number(const struct replica *o, const struct birth *b, const struct value *number)
{
    uint32_t n;
    uint32_t cell = cell_of(o->rules, C_UNIQUE);
    const struct version *v = birth_cell(o->arena, b, o->rules, cell, &n);
    struct value *values = arena_alloc(o->arena, COLUMNS * sizeof *values);
    for (uint32_t i = 0; i < n; i++) {
        cell_spread(o->arena, o->rules, cell, &v[i].value, values);
        if (value_equal(&values[C_UNIQUE], number))
            return true;
    }
    return false;
}

/* The dead and their numbers count too: an office that still knows them must rank as the others do.
 */
static bool shares_unique(const struct replica *o, uint32_t key)
{
    for (int64_t number = 1; number < 4; number++) {
        struct value v = value_integer(number);
        uint32_t mine = 0;
        uint32_t all = 0;
        for (uint32_t k = 0; k < KEYS; k++) {
            for (uint32_t i = 0; i < o->row[k].n_births; i++) {
                bool has = has_number(o, &o->row[k].births[i], &v);
                mine += has && k == key;
                all += has;
            }
        }
        if (mine && all > 1)
            return true;
    }
    return false;
}

static void list_names(const struct row *r, const struct clock *stable, struct names *names)
{
    names->n = 0;
    for (uint32_t i = 0; i < r->n_births; i++)
        if (!dot_is_none(r->births[i].name) && clock_covers(stable, r->births[i].name))
            names->name[names->n++] = r->births[i].name;
}

void replica_forget(struct replica *o, const struct clock *stable, const struct names *keep,
                    bool hub)
{
    bool shares[KEYS];
    clock_join(&o->stable, stable);
    for (uint32_t k = 0; k < KEYS; k++)
        shares[k] = shares_unique(o, k);
    for (uint32_t k = 0; k < KEYS; k++) {
        struct row *r = &o->row[k];
        if (hub)
            list_names(r, &o->stable, &o->keep[k]);
        else
            o->keep[k] = keep[k];
        struct forget f = {.stable = &o->stable, .keep = o->keep[k].name, .n_keep = o->keep[k].n};
        f.keep_rank = shares[k];
        f.unique_columns = unique_columns;
        f.n_unique_columns = 1;
        row_forget(o->arena, r, o->rules, &f);
        if (hub) {
            f.n_keep = r->n_births == 1 ? 0 : f.n_keep;
            row_forget(o->arena, r, o->rules, &f);
            list_names(r, &o->stable, &o->keep[k]);
        }
        round_trip(o, k);
    }
}
