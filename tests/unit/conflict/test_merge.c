#include "conflict/merge.h"
#include "tests/lib/check.h"

#include <string.h>

enum { LATEST, MAX, COLUMNS };
static const uint8_t policies[COLUMNS] = {POLICY_LATEST, POLICY_MAX};
static const struct table_rules rules = {.n_columns = COLUMNS, .policy = policies};
static const uint32_t both[COLUMNS] = {LATEST, MAX};

struct merge_desk { /* one row, and what merging needs */
    struct arena arena;
    struct row row;
    struct value settled[COLUMNS];
    struct value value[COLUMNS];
    struct clock context;
    struct clock stable;
    struct forget forget;
    struct conflict_list met;
};

static int start(void **state)
{
    struct merge_desk *d = mem_alloc(sizeof *d);
    d->settled[LATEST] = value_integer(10);
    d->settled[MAX] = value_integer(20);
    d->forget.stable = &d->stable;
    row_from_settled(&d->arena, &d->row, d->settled);
    *state = d;
    return 0;
}

static int stop(void **state)
{
    struct merge_desk *d = *state;
    clock_fini(&d->context);
    clock_fini(&d->stable);
    arena_fini(&d->arena);
    mem_free(d);
    return 0;
}

static struct change make_change(struct merge_desk *d, uint64_t site, enum change_kind kind,
                                 struct dot birth)
{
    return (struct change){.dot = {site, 1},
                           .hlc = 100 + site,
                           .context = &d->context,
                           .kind = kind,
                           .birth = kind == CHANGE_BORN ? (struct dot){site, 1} : birth};
}

static struct merge_result merge(struct merge_desk *d, const struct change *ch)
{
    return merge_change(&d->arena, &d->row, &rules, ch, &d->forget, &d->met);
}

/* Writes both columns. */
static struct merge_result write_both(struct merge_desk *d, struct change ch, int64_t latest,
                                      int64_t max)
{
    struct value *v = arena_alloc(&d->arena, sizeof d->value);
    v[LATEST] = value_integer(latest);
    v[MAX] = value_integer(max);
    ch.n_cells = COLUMNS;
    ch.column = both;
    ch.value = v;
    return merge(d, &ch);
}

static const struct dot unnamed = {0, 0};

/* An update that has seen everything replaces what stood, silently, and leaves the table's own
 * values as they were. */
static void a_change_that_has_seen_all_replaces_all(void **state)
{
    struct merge_desk *d = *state;
    struct merge_result m = write_both(d, make_change(d, 1, CHANGE_UPDATE, unnamed), 11, 12);
    assert_true(m.applied && !m.orphan && !m.siblings);
    assert_int_equal(d->met.n, 0);
    assert_int_equal(m.birth->values[LATEST].u.i, 11);
    assert_int_equal(m.birth->values[MAX].u.i, 12);
    assert_int_equal(d->settled[LATEST].u.i, 10);
    assert_true(dot_equal(birth_show(&d->arena, m.birth, MAX, &rules).dot, (struct dot){1, 1}));
}

/* Two concurrent updates: `latest` keeps the winner and records a closed conflict, `max` keeps both
 * and leaves it open; both sides are there with their values. */
static void concurrent_updates_meet(void **state)
{
    struct merge_desk *d = *state;
    write_both(d, make_change(d, 2, CHANGE_UPDATE, unnamed), 11, 30);
    struct merge_result m = write_both(d, make_change(d, 1, CHANGE_UPDATE, unnamed), 12, 29);
    assert_true(m.applied && m.siblings);
    assert_int_equal(d->met.n, 2);
    for (int i = 0; i < 2; i++) {
        const struct conflict *c = &d->met.c[i];
        assert_int_equal(c->column, i);
        assert_int_equal(c->n, 2);
        assert_int_equal(c->v[0].dot.site, 1);
        assert_int_equal(c->v[1].dot.site, 2);
        assert_int_equal(c->shown, 1);
        assert_int_equal(c->open, i == MAX);
        assert_int_equal(c->v[0].value.u.i, i == MAX ? 29 : 12);
    }
    assert_int_equal(m.birth->values[LATEST].u.i, 11);
    assert_int_equal(m.birth->values[MAX].u.i, 30);
    uint32_t n;
    birth_cell(&d->arena, m.birth, &rules, LATEST, &n);
    assert_int_equal(n, 1);
    birth_cell(&d->arena, m.birth, &rules, MAX, &n);
    assert_int_equal(n, 2);
}

/* Equal values written concurrently are no conflict, now or later. */
static void equal_values_are_no_conflict(void **state)
{
    struct merge_desk *d = *state;
    write_both(d, make_change(d, 1, CHANGE_UPDATE, unnamed), 11, 30);
    write_both(d, make_change(d, 2, CHANGE_UPDATE, unnamed), 11, 30);
    struct conflict_list open = {0};
    row_open_conflicts(&d->arena, &d->row, &rules, &open);
    assert_int_equal(d->met.n, 0);
    assert_int_equal(open.n, 0);
}

/* A delete beside an update leaves the row alive and the existence cell in open conflict; a delete
 * that has seen both ends it. */
static void a_delete_beside_an_update_is_a_conflict_of_existence(void **state)
{
    struct merge_desk *d = *state;
    struct conflict_list open = {0};
    struct change del = make_change(d, 1, CHANGE_DELETE, unnamed);
    struct merge_result m = merge(d, &del);
    assert_false(birth_alive(m.birth, &rules));
    assert_null(row_standing(&d->row, &rules));
    m = write_both(d, make_change(d, 2, CHANGE_UPDATE, unnamed), 11, 30);
    assert_true(birth_alive(m.birth, &rules));
    assert_ptr_equal(row_standing(&d->row, &rules), m.birth);
    assert_int_equal(d->met.n, 1);
    assert_int_equal(d->met.c[0].column, COLUMN_EXISTS);
    assert_true(d->met.c[0].open);
    assert_int_equal(d->met.c[0].shown, 1);
    row_open_conflicts(&d->arena, &d->row, &rules, &open);
    assert_int_equal(open.n, 1);
    clock_set(&d->context, 1, 1);
    clock_set(&d->context, 2, 1);
    del = make_change(d, 3, CHANGE_DELETE, unnamed);
    m = merge(d, &del);
    assert_false(birth_alive(m.birth, &rules));
    assert_int_equal(d->met.n, 1);
    open.n = 0;
    row_open_conflicts(&d->arena, &d->row, &rules, &open);
    assert_int_equal(open.n, 0);
}

/* A birth beside a standing row is an identity of its own, held until decided, whole, with the
 * changes made to it; the two are an open conflict of the key. */
static void births_of_one_key_stay_apart(void **state)
{
    struct merge_desk *d = *state;
    const struct dot name = {5, 1};
    struct merge_result m = write_both(d, make_change(d, 5, CHANGE_BORN, unnamed), 50, 51);
    assert_true(m.applied && m.siblings);
    assert_int_equal(m.birth->held, HOLD_BIRTH);
    assert_int_equal(d->met.n, 1);
    assert_int_equal(d->met.c[0].column, COLUMN_BIRTH);
    assert_true(d->met.c[0].open && dot_is_none(d->met.c[0].birth));
    assert_int_equal(d->met.c[0].shown, 0);
    assert_true(dot_equal(d->met.c[0].v[1].dot, name));
    clock_set(&d->context, 5, 1);
    write_both(d, make_change(d, 6, CHANGE_UPDATE, name), 60, 61);
    assert_int_equal(row_find_birth(&d->row, name)->values[LATEST].u.i, 60);
    assert_int_equal(row_find_birth(&d->row, unnamed)->values[LATEST].u.i, 10);
    assert_int_equal(row_standing(&d->row, &rules)->values[LATEST].u.i, 10);
    m = write_both(d, make_change(d, 5, CHANGE_BORN, unnamed), 50, 51);
    assert_false(m.applied);
    assert_int_equal(d->row.n_births, 2);
    assert_int_equal(d->met.n, 1);
}

/* Births stand in the order (time, name), the unnamed one first, whatever the order of arrival;
 * `first` shows the earliest living one. */
static void births_are_ordered_by_time_and_name(void **state)
{
    struct merge_desk *d = *state;
    static const uint64_t site[] = {7, 3, 5};
    static const uint64_t hlc[] = {40, 41, 40};
    for (int i = 0; i < 3; i++) {
        struct change ch = make_change(d, site[i], CHANGE_BORN, unnamed);
        ch.hlc = hlc[i];
        write_both(d, ch, i, i);
    }
    assert_int_equal(d->row.n_births, 4);
    assert_true(dot_is_none(d->row.births[0].name));
    assert_int_equal(d->row.births[1].name.site, 5);
    assert_int_equal(d->row.births[2].name.site, 7);
    assert_int_equal(d->row.births[3].name.site, 3);
    struct change del = make_change(d, 9, CHANGE_DELETE, unnamed);
    merge(d, &del);
    d->met.n = 0;
    row_open_conflicts(&d->arena, &d->row, &rules, &d->met);
    assert_int_equal(d->met.n, 1);
    assert_int_equal(d->met.c[0].n, 3);
    assert_int_equal(d->met.c[0].v[d->met.c[0].shown].dot.site, 5);
}

/* A dead birth that an update brings back beside another meets it as a new one would. */
static void a_revived_birth_meets_the_living_one(void **state)
{
    struct merge_desk *d = *state;
    struct change del = make_change(d, 1, CHANGE_DELETE, unnamed);
    merge(d, &del);
    write_both(d, make_change(d, 2, CHANGE_BORN, unnamed), 50, 51);
    assert_int_equal(row_standing(&d->row, &rules)->name.site, 2);
    assert_int_equal(d->met.n, 0);
    struct merge_result m = write_both(d, make_change(d, 3, CHANGE_UPDATE, unnamed), 11, 12);
    assert_int_equal(m.birth->held, HOLD_BIRTH);
    assert_int_equal(row_standing(&d->row, &rules)->name.site, 2);
    assert_int_equal(d->met.n, 2);
    assert_int_equal(d->met.c[0].column, COLUMN_EXISTS);
    assert_int_equal(d->met.c[1].column, COLUMN_BIRTH);
}

/* The table on top of merge.c: a name that is not on record means the unnamed row only when it is
 * stable and not kept; otherwise nothing here, and nothing changes. */
static void a_name_not_on_record_is_resolved_or_an_orphan(void **state)
{
    struct merge_desk *d = *state;
    const struct dot name = {8, 1};
    struct merge_result m = write_both(d, make_change(d, 9, CHANGE_UPDATE, name), 1, 2);
    assert_true(m.orphan && !m.applied && !m.birth);
    clock_set(&d->stable, 8, 1);
    d->forget.keep = &name;
    d->forget.n_keep = 1;
    m = write_both(d, make_change(d, 9, CHANGE_UPDATE, name), 1, 2);
    assert_true(m.orphan && !m.applied);
    assert_int_equal(d->row.births[0].n_cells, 0);
    d->forget.n_keep = 0;
    m = write_both(d, make_change(d, 9, CHANGE_UPDATE, name), 1, 2);
    assert_true(m.applied && !m.orphan && dot_is_none(m.birth->name));
    d->row = (struct row){0};
    m = write_both(d, make_change(d, 10, CHANGE_UPDATE, name), 1, 2);
    assert_true(m.orphan);
    m = write_both(d, make_change(d, 10, CHANGE_UPDATE, unnamed), 1, 2);
    assert_true(m.orphan);
}

/* The same change twice, also the loser of a conflict, changes nothing and reports nothing. */
static void merging_twice_is_merging_once(void **state)
{
    struct merge_desk *d = *state;
    write_both(d, make_change(d, 2, CHANGE_UPDATE, unnamed), 11, 30);
    write_both(d, make_change(d, 1, CHANGE_UPDATE, unnamed), 12, 29);
    size_t met = d->met.n;
    struct merge_result m = write_both(d, make_change(d, 1, CHANGE_UPDATE, unnamed), 12, 29);
    assert_false(m.applied);
    assert_false(m.orphan);
    assert_true(m.siblings);
    assert_non_null(m.birth);
    assert_int_equal(d->met.n, met);
}

/* A delete that carries values merges them: whoever revives the row finds them. */
static void a_delete_keeps_the_columns_changed_before_it(void **state)
{
    struct merge_desk *d = *state;
    struct merge_result m = write_both(d, make_change(d, 1, CHANGE_DELETE, unnamed), 77, 78);
    assert_int_equal(m.birth->values[LATEST].u.i, 77);
    assert_false(birth_alive(m.birth, &rules));
    struct change ch = make_change(d, 2, CHANGE_UPDATE, unnamed);
    m = merge(d, &ch);
    assert_true(birth_alive(m.birth, &rules));
    assert_int_equal(m.birth->values[MAX].u.i, 78);
}

/* An identity of 32 hex digits that every part of the conflict goes into, but for names that are
 * forgotten at different times: the birth's, and the first birth's beside another. */
static void conflict_identity_depends_on_every_part(void **state)
{
    struct version v[2] = {{.dot = {1, 2}}, {.dot = {3, 4}}};
    struct conflict c = {.birth = {5, 6}, .column = 7, .n = 2, .v = v};
    char id[8][33];
    conflict_id(id[0], "table", "key", 3, "column", &c);
    conflict_id(id[1], "tablek", "ey", 2, "column", &c);
    conflict_id(id[2], "table", "key", 3, "exists", &c);
    c.birth = (struct dot){0};
    conflict_id(id[3], "table", "key", 3, "column", &c);
    c.birth = (struct dot){5, 6};
    v[1].dot.seq = 5;
    conflict_id(id[4], "table", "key", 3, "column", &c);
    v[1].dot.seq = 4;
    c.n = 1;
    conflict_id(id[5], "table", "key", 3, "column", &c);
    c.n = 2;
    v[1].value = value_text("values are not part of it");
    conflict_id(id[6], "table", "key", 3, "column", &c);
    conflict_id(id[7], "table", "key", 2, "column", &c);
    assert_int_equal(strlen(id[0]), 32);
    assert_int_equal(strspn(id[0], "0123456789abcdef"), 32);
    assert_string_equal(id[0], id[3]);
    assert_string_equal(id[0], id[6]);
    for (int i = 1; i < 8; i++)
        if (i != 3 && i != 6)
            assert_string_not_equal(id[0], id[i]);
    c.column = COLUMN_BIRTH;
    conflict_id(id[1], "table", "key", 3, "birth", &c);
    v[0].dot = (struct dot){0};
    conflict_id(id[2], "table", "key", 3, "birth", &c);
    v[1].dot.seq = 5;
    conflict_id(id[3], "table", "key", 3, "birth", &c);
    assert_string_equal(id[1], id[2]);
    assert_string_not_equal(id[2], id[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_that_has_seen_all_replaces_all),
        TEST(concurrent_updates_meet),
        TEST(equal_values_are_no_conflict),
        TEST(a_delete_beside_an_update_is_a_conflict_of_existence),
        TEST(births_of_one_key_stay_apart),
        TEST(births_are_ordered_by_time_and_name),
        TEST(a_revived_birth_meets_the_living_one),
        TEST(a_name_not_on_record_is_resolved_or_an_orphan),
        TEST(merging_twice_is_merging_once),
        TEST(a_delete_keeps_the_columns_changed_before_it),
        TEST(conflict_identity_depends_on_every_part),
    };
    return check_run(tests);
}
