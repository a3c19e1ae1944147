#include "tests/property/twins.h"

#include "conflict/hlc.h"
#include "conflict/hold.h"
#include "conflict/twin.h"

#include <string.h>

static const uint32_t unique_columns[1] = {T_UNIQUE};

bool twin_has(const struct twin_names *list, struct dot d)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (dot_equal(list->at[i], d))
            return true;
    return false;
}

void twin_add(struct twin_names *list, struct dot d)
{
    assert_true(list->n < TWIN_NAMES);
    if (!twin_has(list, d))
        list->at[list->n++] = d;
}

void twin_rules(struct table_rules *out, struct gen *g)
{
    static const uint8_t policy[TWIN_COLUMNS] = {
        [T_PLAIN] = POLICY_LATEST,  [T_MAX] = POLICY_MAX, [T_UNIQUE] = POLICY_LATEST,
        [T_PARENT] = POLICY_LATEST, [T_SUM] = POLICY_SUM,
    };
    *out = (struct table_rules){.n_columns = TWIN_COLUMNS, .policy = policy};
    out->delete_policy = gen_percent(g, 67) ? DELETE_UPDATE_WINS : DELETE_DELETE_WINS;
    out->birth_policy = (enum birth_policy)gen_below(g, BIRTH_COUNT);
}

void twin_office_init(struct twin_office *o, struct arena *a, const struct table_rules *rules,
                      uint64_t site, int skew)
{
    *o = (struct twin_office){.arena = a, .rules = rules, .site = site, .skew = skew};
    o->unlike = 25;
    o->deletes = 40;
}

void twin_office_fini(struct twin_office *o)
{
    clock_fini(&o->clock);
    clock_fini(&o->stable);
}

static void break_office(struct twin_office *o, const char *why)
{
    o->broken = o->broken ? o->broken : why;
}

/* ---- what stands */

static const struct birth *standing(const struct twin_office *o, uint32_t row)
{
    return row_standing(&o->row[row], o->rules);
}

static bool refers_to(const struct twin_office *o, const struct birth *child, const struct row *row,
                      const struct birth *parent)
{
    struct dot name = birth_reference(o->arena, child, T_PARENT, o->rules);
    return row_meant(o->arena, row, o->rules, name) == parent;
}

/* Pass 4, after the others: the parent that the child or, while it is as it was born, a twin of it
 * means. */
static void hold_child(struct twin_office *o)
{
    const struct row *r = &o->row[TWIN_CHILD];
    struct birth *b = (struct birth *)standing(o, TWIN_CHILD);
    if (!b)
        return;
    const struct row *row = &o->row[birth_shown(o->arena, b, o->rules)[T_PARENT].u.i];
    const struct birth *parent = row_standing(row, o->rules);
    const struct birth **twin_of = row_twins(o->arena, r, o->rules);
    bool stands = parent && refers_to(o, b, row, parent);
    for (uint32_t i = 0; twin_of && parent && !b->touched && i < r->n_births; i++)
        stands |= twin_of[i] == b && refers_to(o, &r->births[i], row, parent);
    if (!stands)
        b->held = HOLD_PARENT;
}

static void decide(struct twin_office *o)
{
    struct hold_item item[TWIN_ROWS * TWIN_NAMES];
    struct birth *of[TWIN_ROWS * TWIN_NAMES];
    uint64_t claim[TWIN_ROWS * TWIN_NAMES];
    size_t n = 0;
    for (uint32_t k = 0; k < TWIN_ROWS; k++) {
        const struct birth **twin_of = row_twins(o->arena, &o->row[k], o->rules);
        for (uint32_t i = 0; i < o->row[k].n_births; i++) {
            struct birth *b = &o->row[k].births[i];
            b->held = twin_of && twin_of[i] ? HOLD_TWIN : HOLD_NONE;
            if (b->held || !birth_alive(b, o->rules))
                continue;
            const struct value *unique = &birth_shown(o->arena, b, o->rules)[T_UNIQUE];
            claim[n] = (uint64_t)unique->u.i;
            of[n] = b;
            item[n] = (struct hold_item){.key = k,
                                         .birth = b->name,
                                         .birth_hlc = b->hlc,
                                         .tie = k,
                                         .valid = true,
                                         .rank = birth_rank(b, o->rules, unique_columns, 1),
                                         .unique = &claim[n],
                                         .n_unique = unique->type != VALUE_NULL};
            n++;
        }
    }
    hold_decide(item, n, o->rules->birth_policy);
    for (size_t i = 0; i < n; i++)
        of[i]->held = item[i].reason;
    hold_child(o);
}

/* What the table and the record would give back after a restart. */
static void round_trip(struct twin_office *o, uint32_t k)
{
    struct row *r = &o->row[k];
    struct buf bytes = {0}, again = {0};
    const struct birth *b = row_standing(r, o->rules);
    const struct value *table = b ? birth_shown(o->arena, b, o->rules) : NULL;
    row_encode(&bytes, r, o->rules);
    if (row_is_settled(r)) {
        *r = (struct row){0};
        if (table)
            row_from_settled(o->arena, r, table);
        buf_fini(&bytes);
        return;
    }
    assert_ok(
        row_decode(o->arena, r, o->rules, arena_copy(o->arena, bytes.data, bytes.len), bytes.len));
    struct birth *back = row_standing(r, o->rules);
    assert_int_equal(!!back, !!table);
    if (back)
        birth_set_values(o->arena, back, o->rules, table);
    row_encode(&again, r, o->rules);
    assert_int_equal(again.len, bytes.len);
    assert_memory_equal(again.data, bytes.data, bytes.len);
    buf_fini(&bytes);
    buf_fini(&again);
}

/* ---- applying */

static struct dot identity_of(const struct twin_office *o, uint32_t row, const struct birth *b)
{
    return dot_is_none(b->name) ? o->unnamed[row].at[0] : b->name;
}

static bool is_meant(const struct twin_office *o, const struct twin_edit *e, const struct birth *b)
{
    for (uint32_t i = 0; i < e->meant.n; i++)
        if (dot_is_none(b->name) ? twin_has(&o->unnamed[e->row], e->meant.at[i])
                                 : dot_equal(b->name, e->meant.at[i]))
            return true;
    return false;
}

static void apply_edit(struct twin_office *o, const struct twin_edit *e)
{
    struct conflict_list met = {0};
    struct forget f = {
        .stable = &o->stable, .keep = o->keep[e->row].at, .n_keep = o->keep[e->row].n};
    struct merge_result m = merge_change(o->arena, &o->row[e->row], o->rules, &e->ch, &f, &met);
    if (m.orphan)
        break_office(o, "a change finds nobody");
    else if (!is_meant(o, e, m.birth))
        break_office(o, "a change finds somebody else");
    else if (e->ch.kind == CHANGE_BORN && o->variant == TWIN_FORGETS_SEEN)
        m.birth->n_seen = 0;
}

void twin_apply(struct twin_office *o, const struct twin_changeset *cs)
{
    bool touched[TWIN_ROWS] = {false};
    for (uint32_t i = 0; i < cs->n && !o->broken; i++) {
        apply_edit(o, &cs->edit[i]);
        touched[cs->edit[i].row] = true;
    }
    if (o->broken)
        return;
    o->hlc = hlc_observe(o->hlc, cs->hlc);
    clock_raise(&o->clock, cs->dot.site, cs->dot.seq);
    decide(o);
    for (uint32_t k = 0; k < TWIN_ROWS; k++)
        if (touched[k])
            round_trip(o, k);
}

/* ---- writing */

struct twin_writing {
    struct twin_office *o;
    struct gen *g;
    struct twin_changeset *cs;
    bool fresh[TWIN_ROWS]; /* born in this changeset */
    bool taken[10];        /* unique numbers */
};

static struct twin_edit *add_edit(struct twin_writing *w, uint32_t row, enum change_kind kind)
{
    assert_true(w->cs->n < TWIN_EDITS);
    struct twin_edit *e = &w->cs->edit[w->cs->n++];
    e->row = row;
    e->ch = (struct change){
        .dot = w->cs->dot, .hlc = w->cs->hlc, .context = &w->cs->context, .kind = kind};
    return e;
}

static void set(struct twin_writing *w, struct twin_edit *e, uint32_t column, struct value v)
{
    uint32_t n = e->ch.n_cells;
    uint32_t *columns = arena_alloc(w->o->arena, (n + 1) * sizeof *columns);
    struct value *values = arena_alloc(w->o->arena, (n + 1) * sizeof *values);
    for (uint32_t i = 0; i < n; i++) {
        columns[i] = e->ch.column[i];
        values[i] = e->ch.value[i];
    }
    columns[n] = column;
    values[n] = v;
    e->ch.column = columns;
    e->ch.value = values;
    e->ch.n_cells = n + 1;
}

/* SQLite refuses a value that stands. */
static struct value free_number(struct twin_writing *w, int64_t wanted)
{
    if (wanted == 0 || w->taken[wanted])
        return value_null();
    w->taken[wanted] = true;
    return value_integer(wanted);
}

static bool pick_parent(struct twin_writing *w, uint32_t *row)
{
    uint32_t n = 0, at[TWIN_ROWS];
    for (uint32_t k = 0; k < TWIN_CHILD; k++)
        if (standing(w->o, k) || w->fresh[k])
            at[n++] = k;
    if (n)
        *row = at[gen_below(w->g, n)];
    return n;
}

static void refer(struct twin_writing *w, struct twin_edit *e, uint32_t parent)
{
    const struct birth *b = standing(w->o, parent);
    struct reference ref = {.column = T_PARENT, .birth = w->fresh[parent] ? w->cs->dot : b->name};
    if (dot_is_none(ref.birth))
        return;
    e->ch.references = arena_copy(w->o->arena, &ref, sizeof ref);
    e->ch.n_references = 1;
}

static void insert(struct twin_writing *w, uint32_t row)
{
    static const int64_t numbers[4] = {7, 7, 0, 8};
    uint32_t parent = 0;
    if (row == TWIN_CHILD && !pick_parent(w, &parent))
        return;
    struct twin_edit *e = add_edit(w, row, CHANGE_BORN);
    e->ch.birth = w->cs->dot;
    twin_add(&e->meant, w->cs->dot);
    set(w, e, T_PLAIN, value_integer(gen_percent(w->g, w->o->unlike)));
    set(w, e, T_MAX, value_integer(0));
    set(w, e, T_UNIQUE,
        row == TWIN_CHILD ? value_null()
                          : free_number(w, numbers[gen_below(w->g, w->o->unlike ? 4 : 2)]));
    set(w, e, T_PARENT, row == TWIN_CHILD ? value_integer(parent) : value_null());
    set(w, e, T_SUM, gen_percent(w->g, w->o->unlike / 3) ? value_integer(1) : value_null());
    uint8_t *born = arena_alloc(w->o->arena, BORN_BYTES);
    birth_hash(born, 1, e->ch.n_cells, e->ch.column, e->ch.value);
    e->ch.born = born;
    if (row == TWIN_CHILD)
        refer(w, e, parent);
    w->fresh[row] = true;
}

static void update(struct twin_writing *w, struct twin_edit *e)
{
    static const int64_t numbers[4] = {0, 7, 8, 9};
    uint32_t parent, p = gen_below(w->g, 100);
    if (p < 8)
        set(w, e, T_SUM, value_wide(w->o->arena, gen_between(w->g, -2, 2)));
    else if (p < 35)
        set(w, e, T_MAX, value_integer(gen_below(w->g, 4)));
    else if (p < 70)
        set(w, e, T_PLAIN, value_integer((int64_t)(w->cs->hlc << 8 | w->o->site)));
    else if (e->row != TWIN_CHILD)
        set(w, e, T_UNIQUE, free_number(w, numbers[gen_below(w->g, 4)]));
    else if (pick_parent(w, &parent)) {
        set(w, e, T_PARENT, value_integer(parent));
        refer(w, e, parent);
    }
}

static void name(struct twin_writing *w, struct twin_edit *e, const struct birth *b)
{
    e->ch.birth = b->name;
    twin_add(&e->meant, identity_of(w->o, e->row, b));
    if (dot_is_none(b->name) && e->ch.kind == CHANGE_DELETE)
        for (uint32_t i = 0; i < w->o->unnamed[e->row].n; i++)
            twin_add(&e->meant, w->o->unnamed[e->row].at[i]);
}

static void change_birth(struct twin_writing *w, uint32_t row, const struct birth *b)
{
    const struct row *r = &w->o->row[row];
    bool deletes = gen_percent(w->g, w->o->deletes);
    struct twin_edit *e = add_edit(w, row, deletes ? CHANGE_DELETE : CHANGE_UPDATE);
    name(w, e, b);
    if (!deletes) {
        update(w, e);
        return;
    }
    const struct birth **twin_of = row_twins(w->o->arena, r, w->o->rules);
    for (uint32_t i = 0; twin_of && i < r->n_births; i++)
        if (twin_of[i] == b && w->o->variant != TWIN_DELETES_ONE)
            name(w, add_edit(w, row, CHANGE_DELETE), &r->births[i]);
}

static bool is_contested(const struct birth *b)
{
    const struct cell *c = birth_find_cell(b, COLUMN_EXISTS);
    for (uint32_t i = 1; c && i < c->n; i++)
        if (c->v[i].value.u.i != c->v[0].value.u.i)
            return true;
    return false;
}

/* A birth that does not stand and is no twin, as a person may decide about it; or NULL. */
static const struct birth *pick_other(struct twin_writing *w, uint32_t row)
{
    const struct row *r = &w->o->row[row];
    const struct birth *other[TWIN_NAMES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        if (b != standing(w->o, row) && b->held != HOLD_TWIN &&
            (birth_alive(b, w->o->rules) || is_contested(b)))
            other[n++] = b;
    }
    return n && gen_percent(w->g, 15) ? other[gen_below(w->g, n)] : NULL;
}

struct twin_changeset *twin_write(struct twin_office *o, struct gen *g, uint64_t t)
{
    struct twin_writing w = {.o = o, .g = g, .cs = arena_alloc(o->arena, sizeof *w.cs)};
    struct twin_changeset *cs = w.cs;
    cs->dot = (struct dot){o->site, clock_get(&o->clock, o->site) + 1};
    cs->hlc = hlc_tick(o->hlc, t + (uint64_t)(o->skew + 10));
    cs->context.n = o->clock.n;
    cs->context.entry = arena_copy(o->arena, o->clock.entry, o->clock.n * sizeof *o->clock.entry);
    for (uint32_t k = 0; k < TWIN_CHILD; k++) {
        const struct birth *b = standing(o, k);
        const struct value *v = b ? &birth_shown(o->arena, b, o->rules)[T_UNIQUE] : NULL;
        if (v && v->type == VALUE_INTEGER)
            w.taken[v->u.i] = true;
    }
    uint32_t first = gen_below(g, TWIN_ROWS), n = 1 + gen_below(g, 2);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = (first + i) % TWIN_ROWS;
        const struct birth *b = pick_other(&w, row);
        b = b ? b : standing(o, row);
        if (b)
            change_birth(&w, row, b);
        else
            insert(&w, row);
    }
    return cs->n ? cs : NULL;
}

/* ---- forgetting */

static bool has_number(const struct twin_office *o, const struct birth *b, int64_t number)
{
    uint32_t n;
    const struct version *v = birth_cell(o->arena, b, o->rules, T_UNIQUE, &n);
    for (uint32_t i = 0; i < n; i++)
        if (v[i].value.type == VALUE_INTEGER && v[i].value.u.i == number)
            return true;
    return false;
}

static bool shares_unique(const struct twin_office *o, uint32_t row)
{
    for (int64_t number = 7; number < 10; number++) {
        uint32_t mine = 0, all = 0;
        for (uint32_t k = 0; k < TWIN_ROWS; k++) {
            for (uint32_t i = 0; i < o->row[k].n_births; i++) {
                bool has = has_number(o, &o->row[k].births[i], number);
                mine += has && k == row;
                all += has;
            }
        }
        if (mine && all > 1)
            return true;
    }
    return false;
}

/* Everybody knows that it is dead. */
static bool is_over(const struct twin_office *o, const struct birth *b)
{
    const struct cell *c = birth_find_cell(b, COLUMN_EXISTS);
    for (uint32_t i = 0; c && i < c->n; i++)
        if (!clock_covers(&o->stable, c->v[i].dot))
            return false;
    return birth_gone(b);
}

/* Who loses the name, and who goes with it, for the oracle's sake: told by where values are. */
static void follow(struct twin_office *o, uint32_t row, const struct row *before)
{
    const struct row *r = &o->row[row];
    struct twin_names *who = &o->unnamed[row];
    if (r->n_births == 0 || !dot_is_none(r->births[0].name)) {
        who->n = 0;
        return;
    }
    if (dot_is_none(before->births[0].name) && before->births[0].values == r->births[0].values)
        return;
    who->n = 0;
    for (uint32_t i = 0; i < before->n_births; i++)
        if (before->births[i].values == r->births[0].values)
            twin_add(who, before->births[i].name);
    if (who->n != 1)
        break_office(o, "nobody knows who the unnamed birth is");
    for (uint32_t i = 0; i < before->n_births; i++)
        if (!row_find_birth(r, before->births[i].name) && !is_over(o, &before->births[i]))
            twin_add(who, before->births[i].name);
}

static struct forget what_to_forget(const struct twin_office *o, uint32_t row,
                                    struct twin_names *parents)
{
    for (uint32_t k = 0; row == TWIN_CHILD && k < TWIN_CHILD; k++)
        for (uint32_t i = 0; i < o->keep[k].n; i++)
            twin_add(parents, o->keep[k].at[i]);
    return (struct forget){.stable = &o->stable,
                           .keep = o->keep[row].at,
                           .n_keep = o->keep[row].n,
                           .parents = parents->at,
                           .n_parents = parents->n,
                           .unique_columns = unique_columns,
                           .n_unique_columns = 1};
}

/* The parent that is still named by what the birth refers to. */
static struct dot still_named(const struct twin_office *o, const struct birth *b)
{
    struct dot ref = b->n_references ? b->references[0].birth : (struct dot){0};
    bool kept = !clock_covers(&o->stable, ref);
    for (uint32_t k = 0; k < TWIN_CHILD; k++)
        kept |= twin_has(&o->keep[k], ref);
    return kept ? ref : (struct dot){0};
}

static bool refer_alike(const struct twin_office *o, const struct row *r)
{
    for (uint32_t i = 1; i < r->n_births; i++)
        if (!dot_equal(still_named(o, &r->births[i]), still_named(o, &r->births[0])))
            return false;
    return true;
}

static bool becomes_one(const struct twin_office *o, const struct row *r)
{
    struct clock all = {0};
    bool one;
    clock_copy(&all, o->variant == TWIN_ABSORBS_SOON ? &o->clock : &o->stable);
    one = row_is_one(o->arena, r, o->rules, &all);
    clock_fini(&all);
    return one;
}

/* The hub: what the others are to keep of one key. */
static void list_names(struct twin_office *o, uint32_t row, const struct forget *f)
{
    struct row *r = &o->row[row];
    struct twin_names *keep = &o->keep[row];
    struct forget all = *f;
    keep->n = 0;
    for (uint32_t i = 0; i < r->n_births; i++)
        twin_add(keep, r->births[i].name);
    all.keep = keep->at;
    all.n_keep = keep->n;
    all.keep_references = true;
    row_forget(o->arena, r, o->rules, &all);
    keep->n = 0;
    if (r->n_births < 2 || (becomes_one(o, r) && refer_alike(o, r)))
        return;
    for (uint32_t i = 0; i < r->n_births; i++)
        if (!dot_is_none(r->births[i].name) && clock_covers(&o->stable, r->births[i].name))
            twin_add(keep, r->births[i].name);
}

void twin_forget(struct twin_office *o, const struct clock *stable, const struct twin_names *keep)
{
    bool shares[TWIN_ROWS];
    clock_join(&o->stable, stable);
    for (uint32_t k = 0; k < TWIN_ROWS; k++)
        shares[k] = shares_unique(o, k);
    for (uint32_t k = 0; k < TWIN_ROWS; k++) {
        struct twin_names parents = {0};
        struct row before;
        if (keep)
            o->keep[k] = keep[k];
        struct forget f = what_to_forget(o, k, &parents);
        f.keep_rank = shares[k];
        if (!keep)
            list_names(o, k, &f);
        f.n_keep = o->keep[k].n;
        before = o->row[k];
        before.births =
            arena_copy(o->arena, before.births, before.n_births * sizeof *before.births);
        row_forget(o->arena, &o->row[k], o->rules, &f);
        follow(o, k, &before);
        round_trip(o, k);
    }
}

/* ---- telling */

void twin_tell_value(struct buf *out, const struct value *v)
{
    if (v->type == VALUE_NULL)
        buf_printf(out, " -");
    else
        buf_printf(out, " %lld", (long long)value_count(v));
}

static void tell_birth(const struct twin_office *o, uint32_t row, const struct birth *b,
                       struct buf *out)
{
    struct dot d = identity_of(o, row, b);
    const struct cell *c = birth_find_cell(b, T_MAX);
    const struct value *shown = birth_shown(o->arena, b, o->rules);
    struct value side[TWIN_NAMES];
    uint32_t n = 0;
    buf_printf(out, "%u %u.%u %s", row, (unsigned)d.site, (unsigned)d.seq,
               b->held ? "held" : "stands");
    for (uint32_t i = 0; i < TWIN_COLUMNS; i++)
        twin_tell_value(out, &shown[i]);
    for (uint32_t i = 0; c && i < c->n; i++) {
        uint32_t at = n;
        bool known = false;
        for (uint32_t k = 0; k < n; k++)
            known |= value_equal(&side[k], &c->v[i].value);
        if (known)
            continue;
        for (; at && value_compare(&side[at - 1], &c->v[i].value) > 0; at--)
            side[at] = side[at - 1];
        side[at] = c->v[i].value;
        n++;
    }
    buf_printf(out, n > 1 ? " max is open of" : "");
    for (uint32_t i = 0; n > 1 && i < n; i++)
        twin_tell_value(out, &side[i]);
    buf_put_u8(out, '\n');
}

void twin_office_tells(const struct twin_office *o, struct buf *out)
{
    for (uint32_t row = 0; row < TWIN_ROWS; row++) {
        const struct row *r = &o->row[row];
        struct conflict_list open = {0};
        for (uint32_t i = 0; i < r->n_births; i++) {
            const struct birth *b = &r->births[i];
            struct dot d = identity_of(o, row, b);
            if (is_contested(b))
                buf_printf(out, "%u %u.%u exists is open\n", row, (unsigned)d.site,
                           (unsigned)d.seq);
            if (birth_alive(b, o->rules) && b->held != HOLD_TWIN)
                tell_birth(o, row, b, out);
        }
        row_open_conflicts(o->arena, r, o->rules, &open);
        for (size_t i = 0; i < open.n; i++)
            if (open.c[i].column == COLUMN_BIRTH)
                buf_printf(out, "%u birth is open\n", row);
    }
}
