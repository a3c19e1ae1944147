/* References to parents: merged with their versions, forgotten with the names, kept in records. */
#include "conflict/merge.h"
#include "tests/lib/check.h"

enum { LATEST, MAX, COLUMNS };
static const uint8_t policies[COLUMNS] = {POLICY_LATEST, POLICY_MAX};
static const struct table_rules rules = {.n_columns = COLUMNS, .policy = policies};
static const uint32_t column[COLUMNS] = {LATEST, MAX};
static const struct dot none = {0, 0}, own = {1, 1};

struct references_desk {
    struct arena a;
    struct row row;
    struct clock context, stable;
    struct forget forget;
    struct conflict_list met;
};

static int start(void **state)
{
    struct references_desk *d = mem_alloc(sizeof *d);
    d->forget.stable = &d->stable;
    *state = d;
    return 0;
}

static int stop(void **state)
{
    struct references_desk *d = *state;
    clock_fini(&d->context);
    clock_fini(&d->stable);
    arena_fini(&d->a);
    mem_free(d);
    return 0;
}

/* Writes one column (or, born, both) and names `parent` there. */
static void put(struct references_desk *d, uint64_t site, enum change_kind kind, uint32_t c,
                int64_t value, struct dot parent)
{
    struct reference *ref = arena_alloc(&d->a, sizeof *ref);
    struct value *v = arena_alloc(&d->a, COLUMNS * sizeof *v);
    bool born = kind == CHANGE_BORN;
    *ref = (struct reference){.column = c, .birth = parent};
    v[born ? c : 0] = value_integer(value);
    struct change ch = {.dot = {site, 1},
                        .hlc = 10 * site,
                        .context = &d->context,
                        .kind = kind,
                        .birth = born ? (struct dot){site, 1} : own,
                        .n_cells = born ? COLUMNS : 1,
                        .column = born ? column : &column[c],
                        .value = v,
                        .n_references = !dot_is_none(parent),
                        .references = ref};
    assert_true(merge_change(&d->a, &d->row, &rules, &ch, &d->forget, &d->met).applied);
}

static struct dot meant(struct references_desk *d, uint32_t c)
{
    return birth_reference(&d->a, &d->row.births[0], c, &rules);
}

static struct dot parent(uint64_t site)
{
    return (struct dot){site, 7};
}

/* A reference is the version's that wrote it: another write of the cell takes it away, also one
 * that names nobody; a write elsewhere does not, nor one that loses. */
static void a_reference_lives_as_long_as_its_version(void **state)
{
    struct references_desk *d = *state;
    put(d, 1, CHANGE_BORN, LATEST, 5, parent(8));
    assert_true(dot_equal(meant(d, LATEST), parent(8)));
    assert_true(dot_is_none(meant(d, MAX)));
    clock_raise(&d->context, 1, 1);
    put(d, 3, CHANGE_UPDATE, MAX, 1, none);
    assert_true(dot_equal(meant(d, LATEST), parent(8)));
    put(d, 5, CHANGE_UPDATE, LATEST, 6, parent(9));
    assert_true(dot_equal(meant(d, LATEST), parent(9)));
    put(d, 4, CHANGE_UPDATE, LATEST, 6, parent(10)); /* concurrent, and earlier */
    assert_true(dot_equal(meant(d, LATEST), parent(9)));
    assert_int_equal(d->row.births[0].n_references, 1);
    clock_raise(&d->context, 5, 1);
    put(d, 6, CHANGE_UPDATE, LATEST, 6, none);
    assert_int_equal(d->row.births[0].n_references, 0);
}

/* Each of several versions has its own, and the one shown is meant. */
static void the_shown_version_says_who_is_meant(void **state)
{
    struct references_desk *d = *state;
    put(d, 1, CHANGE_BORN, MAX, 1, none);
    clock_raise(&d->context, 1, 1);
    put(d, 2, CHANGE_UPDATE, MAX, 9, parent(8));
    put(d, 3, CHANGE_UPDATE, MAX, 4, parent(9));
    assert_int_equal(d->row.births[0].n_references, 2);
    assert_true(dot_equal(meant(d, MAX), parent(8)));
    clock_raise(&d->context, 2, 1);
    put(d, 4, CHANGE_UPDATE, MAX, 3, none); /* has seen the 9, not the 4 */
    assert_int_equal(d->row.births[0].n_references, 1);
    assert_true(dot_equal(meant(d, MAX), parent(9)));
}

/* A name that is stable and not kept is forgotten, and the row with it; a kept one stays, however
 * settled its row is, with the version become the base. */
static void a_reference_goes_with_the_name(void **state)
{
    struct references_desk *d = *state;
    const struct dot kept = parent(8);
    put(d, 1, CHANGE_BORN, LATEST, 5, parent(8));
    clock_raise(&d->context, 1, 1);
    put(d, 2, CHANGE_UPDATE, LATEST, 5, parent(8));
    clock_raise(&d->stable, 1, 1);
    clock_raise(&d->stable, 2, 1);
    row_forget(&d->a, &d->row, &rules, &d->forget);
    assert_int_equal(d->row.births[0].n_references, 1); /* the parent is not covered */
    clock_raise(&d->stable, 8, 7);
    d->forget.parents = &kept;
    d->forget.n_parents = 1;
    row_forget(&d->a, &d->row, &rules, &d->forget);
    assert_true(dot_equal(meant(d, LATEST), parent(8)));
    assert_false(row_is_settled(&d->row));
    d->forget.n_parents = 0;
    d->forget.keep_references = true;
    row_forget(&d->a, &d->row, &rules, &d->forget);
    assert_true(dot_equal(meant(d, LATEST), parent(8)));
    d->forget.keep_references = false;
    row_forget(&d->a, &d->row, &rules, &d->forget);
    clock_raise(&d->stable, 1, 2);
    row_forget(&d->a, &d->row, &rules, &d->forget);
    assert_int_equal(d->row.births[0].n_references, 0);
}

/* Alike values that mean different parents are not one value as long as a name is left. */
static void alike_values_of_different_parents_stay(void **state)
{
    struct references_desk *d = *state;
    const struct dot kept = parent(9);
    put(d, 1, CHANGE_BORN, MAX, 1, none);
    clock_raise(&d->context, 1, 1);
    put(d, 2, CHANGE_UPDATE, MAX, 9, parent(8));
    put(d, 3, CHANGE_UPDATE, MAX, 9, parent(9));
    for (uint64_t site = 1; site < 10; site++)
        clock_raise(&d->stable, site, 7);
    d->forget.parents = &kept;
    d->forget.n_parents = 1;
    row_forget(&d->a, &d->row, &rules, &d->forget);
    assert_int_equal(birth_find_cell(&d->row.births[0], MAX)->n, 2);
    d->forget.n_parents = 0;
    row_forget(&d->a, &d->row, &rules, &d->forget);
    assert_null(birth_find_cell(&d->row.births[0], MAX));
    assert_int_equal(d->row.births[0].n_references, 0);
}

/* A record says whether it has references; read back they are the same, and nothing else is read:
 * each byte of one changed is refused or gives what is written in just that way. */
static void references_are_kept_in_records(void **state)
{
    struct references_desk *d = *state;
    struct buf b = {0}, again = {0};
    struct row back;
    put(d, 1, CHANGE_BORN, MAX, 1, own);
    d->row.births[0].held = HOLD_PARENT;
    row_encode(&b, &d->row, &rules);
    assert_int_equal(b.data[0], ROW_HAS_REFERENCES);
    put(d, 2, CHANGE_UPDATE, MAX, 9, parent(8));
    put(d, 3, CHANGE_UPDATE, MAX, 4, parent(9));
    buf_reset(&b);
    row_encode(&b, &d->row, &rules);
    assert_ok(row_decode(&d->a, &back, &rules, b.data, b.len));
    assert_int_equal(back.births[0].n_references, 3);
    assert_memory_equal(back.births[0].references, d->row.births[0].references,
                        3 * sizeof(struct reference));
    for (size_t i = 0; i < b.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.data[i] ^= (uint8_t)(1u << bit);
            buf_reset(&again);
            if (row_decode(&d->a, &back, &rules, b.data, b.len) == ERR_OK) {
                row_encode(&again, &back, &rules);
                assert_int_equal(again.len, b.len);
                assert_memory_equal(again.data, b.data, b.len);
            }
            b.data[i] ^= (uint8_t)(1u << bit);
        }
    }
    for (size_t n = 0; n < b.len; n++)
        assert_int_not_equal(row_decode(&d->a, &back, &rules, b.data, n), ERR_OK);
    d->row.births[0].n_references = 0;
    buf_reset(&b);
    row_encode(&b, &d->row, &rules);
    assert_int_equal(b.data[0], 3);
    buf_fini(&b);
    buf_fini(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reference_lives_as_long_as_its_version),
        TEST(the_shown_version_says_who_is_meant),
        TEST(a_reference_goes_with_the_name),
        TEST(alike_values_of_different_parents_stay),
        TEST(references_are_kept_in_records),
    };
    return check_run(tests);
}
