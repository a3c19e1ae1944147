#include "conflict/row.h"
#include "tests/lib/check.h"

enum { LATEST, MAX, UNIQUE, COLUMNS };
static const uint8_t policies[COLUMNS] = {POLICY_LATEST, POLICY_MAX, POLICY_LATEST};
static const struct table_rules rules = {.n_columns = COLUMNS, .policy = policies};
static const uint32_t unique[1] = {UNIQUE};

static struct version make_version(uint64_t site, int64_t value)
{
    return (struct version){.dot = {site, 1}, .hlc = 10 * site, .value = value_integer(value)};
}

static void set(struct arena *a, struct birth *b, uint32_t column, struct version v)
{
    birth_set_cell(a, b, column, &v, 1);
}

static struct row one_birth(struct arena *a, struct dot name)
{
    struct birth *b = arena_alloc(a, sizeof *b);
    b->name = b->base = name;
    b->hlc = b->base_hlc = dot_is_none(name) ? 0 : 10 * name.site;
    b->values = arena_alloc(a, COLUMNS * sizeof *b->values);
    return (struct row){.n_births = 1, .births = b};
}

static const struct dot unnamed = {0, 0};

/* A cell without an entry has one version: the base, with the shown value; existence: alive. */
static void a_cell_without_an_entry_is_the_base(void **state)
{
    struct arena a = {0};
    struct row r = one_birth(&a, (struct dot){3, 1});
    uint32_t n;
    r.births->values[MAX] = value_integer(5);
    const struct version *v = birth_cell(&a, r.births, &rules, MAX, &n);
    assert_int_equal(n, 1);
    assert_int_equal(v->dot.site, 3);
    assert_int_equal(v->hlc, 30);
    assert_int_equal(v->value.u.i, 5);
    assert_int_equal(birth_cell(&a, r.births, &rules, COLUMN_EXISTS, &n)->value.u.i, 1);
    r.births->values = NULL;
    assert_int_equal(birth_cell(&a, r.births, &rules, MAX, &n)->value.type, VALUE_NULL);
    arena_fini(&a);
}

/* Cells are kept by column, their versions by (time, site, seq), whatever the order of setting. */
static void cells_and_versions_are_sorted(void **state)
{
    struct arena a = {0};
    struct row r = one_birth(&a, unnamed);
    struct birth *b = r.births;
    const struct version v[3] = {make_version(3, 1), make_version(1, 9), make_version(2, 4)};
    set(&a, b, COLUMN_EXISTS, make_version(4, 1));
    birth_set_cell(&a, b, MAX, v, 3);
    set(&a, b, LATEST, make_version(5, 1));
    set(&a, b, LATEST, make_version(6, 2));
    assert_int_equal(b->n_cells, 3);
    assert_int_equal(b->cells[0].column, LATEST);
    assert_int_equal(b->cells[0].v->value.u.i, 2);
    assert_int_equal(b->cells[1].column, MAX);
    assert_int_equal(b->cells[2].column, COLUMN_EXISTS);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(b->cells[1].v[i].dot.site, i + 1);
    assert_int_equal(birth_show(&a, b, MAX, &rules).value.u.i, 9);
    arena_fini(&a);
}

/* Filling in the values of the table fills single-version cells, and leaves siblings and existence.
 */
static void values_of_the_table_fill_single_versions(void **state)
{
    struct arena a = {0};
    struct row r = one_birth(&a, unnamed);
    struct birth *b = r.births;
    const struct version two[2] = {make_version(1, 4), make_version(2, 7)};
    const struct value table[COLUMNS] = {value_integer(1), value_integer(7), value_text("x")};
    set(&a, b, LATEST, make_version(3, 0));
    birth_set_cell(&a, b, MAX, two, 2);
    set(&a, b, COLUMN_EXISTS, make_version(3, 1));
    birth_set_values(&a, b, &rules, table);
    assert_int_equal(b->cells[0].v->value.u.i, 1);
    assert_int_equal(b->cells[1].v[0].value.u.i, 4);
    assert_int_equal(b->cells[2].v->value.u.i, 1);
    assert_int_equal(b->values[UNIQUE].type, VALUE_TEXT);
    arena_fini(&a);
}

/* The birth that stands is alive and not held. */
static void the_standing_birth_is_alive_and_not_held(void **state)
{
    struct arena a = {0};
    struct row r = one_birth(&a, (struct dot){3, 1});
    assert_ptr_equal(row_standing(&r, &rules), r.births);
    assert_ptr_equal(row_find_birth(&r, (struct dot){3, 1}), r.births);
    assert_null(row_find_birth(&r, unnamed));
    r.births->held = HOLD_UNIQUE;
    assert_null(row_standing(&r, &rules));
    r.births->held = HOLD_NONE;
    set(&a, r.births, COLUMN_EXISTS, make_version(4, 0));
    assert_null(row_standing(&r, &rules));
    arena_fini(&a);
}

/* A rank is the latest write among all versions of the unique columns, the base where there is no
 * entry, and nothing where all is stable. */
static void a_rank_is_the_latest_write_of_the_unique_columns(void **state)
{
    struct arena a = {0};
    struct row r = one_birth(&a, (struct dot){3, 1});
    const uint32_t columns[2] = {MAX, UNIQUE};
    const struct version two[2] = {make_version(5, 4), make_version(2, 7)};
    set(&a, r.births, LATEST, make_version(9, 1));
    assert_int_equal(birth_rank(r.births, &rules, columns, 2).dot.site, 3);
    birth_set_cell(&a, r.births, MAX, two, 2);
    assert_int_equal(birth_rank(r.births, &rules, columns, 2).dot.site, 5);
    assert_int_equal(birth_rank(r.births, &rules, columns, 2).hlc, 50);
    assert_int_equal(birth_rank(r.births, &rules, columns, 2).value.type, VALUE_NULL);
    r.births->base = unnamed;
    r.births->base_hlc = 0;
    assert_true(dot_is_none(birth_rank(r.births, &rules, unique, 1).dot));
    set(&a, r.births, UNIQUE, make_version(6, 8)); /* not the first of them */
    assert_int_equal(birth_rank(r.births, &rules, columns, 2).dot.site, 6);
    arena_fini(&a);
}

struct forgetting {
    struct arena a;
    struct clock stable;
    struct forget f;
};

static void start(struct forgetting *t, uint64_t site)
{
    *t = (struct forgetting){0};
    for (uint64_t s = 1; s <= site; s++)
        clock_set(&t->stable, s, 1);
    t->f.stable = &t->stable;
    t->f.unique_columns = unique;
    t->f.n_unique_columns = 1;
}

static void end(struct forgetting *t)
{
    clock_fini(&t->stable);
    arena_fini(&t->a);
}

/* What the stable clock covers leaves nothing: no name, no base, no cell. */
static void what_is_stable_leaves_nothing(void **state)
{
    struct forgetting t;
    start(&t, 4);
    struct row r = one_birth(&t.a, (struct dot){3, 1});
    set(&t.a, r.births, LATEST, make_version(4, 1));
    set(&t.a, r.births, COLUMN_EXISTS, make_version(4, 1));
    assert_false(row_is_settled(&r));
    row_forget(&t.a, &r, &rules, &t.f);
    assert_true(row_is_settled(&r));
    assert_int_equal(r.n_births, 1);
    row_forget(&t.a, &r, &rules, &t.f);
    assert_true(row_is_settled(&r));
    end(&t);
}

/* Covered is what has nothing left that could become stable: name, base and every version count. */
static void what_is_covered_has_nothing_to_wait_for(void **state)
{
    struct forgetting t;
    start(&t, 4);
    struct row r = one_birth(&t.a, (struct dot){3, 1});
    struct version two[] = {make_version(2, 1), make_version(4, 1)};
    birth_set_cell(&t.a, r.births, LATEST, two, 2);
    assert_true(row_covered(&r, &t.stable));
    r.births->name.seq = 5;
    assert_false(row_covered(&r, &t.stable));
    r.births->name = (struct dot){0};
    r.births->base = (struct dot){3, 5};
    assert_false(row_covered(&r, &t.stable));
    r.births->base = (struct dot){0};
    assert_true(row_covered(&r, &t.stable));
    two[1].dot.seq = 5;
    birth_set_cell(&t.a, r.births, LATEST, two, 2);
    assert_false(row_covered(&r, &t.stable));
    end(&t);
}

/* What it does not cover stays as it is: versions, and the name and base of a later birth. */
static void what_is_not_stable_stays(void **state)
{
    struct forgetting t;
    start(&t, 2);
    struct row r = one_birth(&t.a, (struct dot){3, 1});
    set(&t.a, r.births, LATEST, make_version(4, 1));
    row_forget(&t.a, &r, &rules, &t.f);
    assert_int_equal(r.births->name.site, 3);
    assert_int_equal(r.births->base.site, 3);
    assert_int_equal(r.births->n_cells, 1);
    clock_set(&t.stable, 3, 1);
    row_forget(&t.a, &r, &rules, &t.f);
    assert_true(dot_is_none(r.births->name));
    assert_int_equal(r.births->hlc, 0);
    assert_true(dot_is_none(r.births->base));
    assert_int_equal(r.births->n_cells, 1);
    end(&t);
}

/* Siblings of different values stay although both are covered; of equal values they go. */
static void siblings_that_differ_stay(void **state)
{
    struct forgetting t;
    const struct version differ[2] = {make_version(1, 4), make_version(2, 7)};
    const struct version same[2] = {make_version(1, 4), make_version(2, 4)};
    start(&t, 4);
    struct row r = one_birth(&t.a, unnamed);
    birth_set_cell(&t.a, r.births, MAX, differ, 2);
    birth_set_cell(&t.a, r.births, COLUMN_EXISTS, same, 2);
    row_forget(&t.a, &r, &rules, &t.f);
    assert_int_equal(r.births->n_cells, 1);
    assert_int_equal(r.births->cells[0].column, MAX);
    assert_int_equal(r.births->cells[0].n, 2);
    assert_int_equal(r.births->cells[0].v[0].dot.site, 1);
    end(&t);
}

/* A dead birth goes when its death is stable, kept name or not; not before, and not while a write
 * beside the delete keeps it alive. */
static void a_stable_death_goes(void **state)
{
    struct forgetting t;
    const struct dot name = {1, 1};
    const struct version beside[2] = {make_version(2, 0), make_version(3, 1)};
    start(&t, 1);
    struct row r = one_birth(&t.a, name);
    set(&t.a, r.births, COLUMN_EXISTS, make_version(2, 0));
    row_forget(&t.a, &r, &rules, &t.f);
    assert_int_equal(r.n_births, 1);
    clock_set(&t.stable, 2, 1);
    clock_set(&t.stable, 3, 1);
    birth_set_cell(&t.a, r.births, COLUMN_EXISTS, beside, 2);
    row_forget(&t.a, &r, &rules, &t.f);
    assert_int_equal(r.n_births, 1);
    set(&t.a, r.births, COLUMN_EXISTS, make_version(2, 0));
    t.f.keep = &name;
    t.f.n_keep = 1;
    row_forget(&t.a, &r, &rules, &t.f);
    assert_int_equal(r.n_births, 0);
    assert_true(row_is_settled(&r));
    end(&t);
}

/* A listed name stays, but what is stable about its cells goes all the same. */
static void a_listed_name_stays(void **state)
{
    struct forgetting t;
    const struct dot name = {3, 1};
    start(&t, 4);
    struct row r = one_birth(&t.a, name);
    set(&t.a, r.births, LATEST, make_version(4, 1));
    t.f.keep = &name;
    t.f.n_keep = 1;
    row_forget(&t.a, &r, &rules, &t.f);
    assert_true(dot_equal(r.births->name, name));
    assert_true(dot_is_none(r.births->base));
    assert_int_equal(r.births->n_cells, 0);
    assert_false(row_is_settled(&r));
    end(&t);
}

/* Two births never become one unnamed identity: the second keeps its name. */
static void there_is_one_unnamed_birth(void **state)
{
    struct forgetting t;
    start(&t, 4);
    struct row r = one_birth(&t.a, (struct dot){2, 1});
    struct row other = one_birth(&t.a, (struct dot){3, 1});
    struct birth two[2] = {r.births[0], other.births[0]};
    r = (struct row){.n_births = 2, .births = arena_copy(&t.a, two, sizeof two)};
    row_forget(&t.a, &r, &rules, &t.f);
    row_forget(&t.a, &r, &rules, &t.f);
    assert_true(dot_is_none(r.births[0].name));
    assert_int_equal(r.births[1].name.site, 3);
    end(&t);
}

/* The later birth of a pair becomes the unnamed one, and so the first, when only the other is
 * listed. */
static void the_unnamed_birth_comes_first(void **state)
{
    struct forgetting t;
    const struct dot listed = {2, 1};
    start(&t, 4);
    struct row r = one_birth(&t.a, listed);
    struct row other = one_birth(&t.a, (struct dot){3, 1});
    struct birth two[2] = {r.births[0], other.births[0]};
    two[1].held = HOLD_BIRTH;
    r = (struct row){.n_births = 2, .births = arena_copy(&t.a, two, sizeof two)};
    t.f.keep = &listed;
    t.f.n_keep = 1;
    row_forget(&t.a, &r, &rules, &t.f);
    assert_true(dot_is_none(r.births[0].name));
    assert_int_equal(r.births[0].held, HOLD_BIRTH);
    assert_int_equal(r.births[1].name.site, 2);
    end(&t);
}

/* A row that has no name here stands beside a birth of others: whoever names nobody means that one
 * as soon as it may have lost its name; and the row is in doubt, but not one whose birth is on
 * record, nor a dead one, nor where the other is listed. */
static void who_has_no_name_elsewhere_is_meant(void **state)
{
    struct forgetting t;
    const struct dot name = {3, 1};
    start(&t, 2);
    struct row r = one_birth(&t.a, unnamed);
    struct birth two[2] = {r.births[0], one_birth(&t.a, name).births[0]};
    r = (struct row){.n_births = 2, .births = arena_copy(&t.a, two, sizeof two)};
    assert_ptr_equal(row_unnamed(&t.a, &r, &rules, &t.f), &r.births[0]);
    assert_false(row_is_doubtful(&r, &t.f, false));
    assert_true(row_is_doubtful(&r, &t.f, true));
    clock_set(&t.stable, 3, 1);
    row_forget(&t.a, &r, &rules, &t.f);
    assert_true(dot_equal(r.births[1].name, name));
    assert_ptr_equal(row_unnamed(&t.a, &r, &rules, &t.f), &r.births[1]);
    assert_true(row_is_doubtful(&r, &t.f, false));
    r.births[0].base = (struct dot){1, 1};
    assert_false(row_is_doubtful(&r, &t.f, true));
    r.births[0].base = unnamed;
    assert_true(row_is_doubtful(&r, &t.f, true));
    set(&t.a, &r.births[0], COLUMN_EXISTS, make_version(1, 0));
    assert_false(row_is_doubtful(&r, &t.f, true)); /* it is dead: nothing of it is changed */
    set(&t.a, &r.births[0], COLUMN_EXISTS, make_version(1, 1));
    t.f.keep = &name;
    t.f.n_keep = 1;
    assert_ptr_equal(row_unnamed(&t.a, &r, &rules, &t.f), &r.births[0]);
    assert_false(row_is_doubtful(&r, &t.f, true));
    end(&t);
}

/* While another row has one of its unique values, the base and the cells of those columns stay, and
 * with them the rank; afterwards they go too. */
static void a_rank_stays_while_it_is_needed(void **state)
{
    struct forgetting t;
    start(&t, 5);
    struct row r = one_birth(&t.a, (struct dot){3, 1});
    set(&t.a, r.births, LATEST, make_version(4, 1));
    set(&t.a, r.births, UNIQUE, make_version(5, 1));
    t.f.keep_rank = true;
    row_forget(&t.a, &r, &rules, &t.f);
    assert_true(dot_is_none(r.births->name));
    assert_int_equal(r.births->base.site, 3);
    assert_int_equal(r.births->n_cells, 1);
    assert_int_equal(birth_rank(r.births, &rules, unique, 1).dot.site, 5);
    assert_false(row_is_settled(&r));
    t.f.keep_rank = false;
    row_forget(&t.a, &r, &rules, &t.f);
    assert_true(row_is_settled(&r));
    end(&t);
}

/* What a change of many columns costs grows with their number, not with its square: thousands of
 * such rows are merged in one step. */
static void many_cells_cost_what_they_hold(void **state)
{
    enum { MANY = 256 };
    struct arena a = {0};
    struct birth b = {0};
    struct version v = {.dot = {1, 1}, .hlc = 1, .value = value_integer(7)};
    for (uint32_t i = MANY; i > 0; i--)
        birth_set_cell(&a, &b, i - 1, &v, 1);
    assert_int_equal(b.n_cells, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(b.cells[i].column, i);
    assert_true(a.used_bytes < MANY * (4 * sizeof *b.cells + sizeof v + 16));
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cell_without_an_entry_is_the_base),
        cmocka_unit_test(cells_and_versions_are_sorted),
        cmocka_unit_test(values_of_the_table_fill_single_versions),
        cmocka_unit_test(the_standing_birth_is_alive_and_not_held),
        cmocka_unit_test(a_rank_is_the_latest_write_of_the_unique_columns),
        cmocka_unit_test(what_is_stable_leaves_nothing),
        cmocka_unit_test(what_is_covered_has_nothing_to_wait_for),
        cmocka_unit_test(what_is_not_stable_stays),
        cmocka_unit_test(siblings_that_differ_stay),
        cmocka_unit_test(a_stable_death_goes),
        cmocka_unit_test(a_listed_name_stays),
        cmocka_unit_test(there_is_one_unnamed_birth),
        cmocka_unit_test(the_unnamed_birth_comes_first),
        cmocka_unit_test(who_has_no_name_elsewhere_is_meant),
        cmocka_unit_test(a_rank_stays_while_it_is_needed),
        cmocka_unit_test(many_cells_cost_what_they_hold),
    };
    return check_run(tests);
}
