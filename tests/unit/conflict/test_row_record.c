#include "conflict/row.h"
#include "tests/property/gen.h"

#include <string.h>

enum { COLUMNS = 3, ALL = 7, GROUP = 1, SUM = 2, MEMBER = 3, SCOPE = 5 };
static const uint8_t policies[COLUMNS] = {POLICY_LATEST, POLICY_MAX, POLICY_MIN};
static const struct table_rules rules = {.n_columns = COLUMNS, .policy = policies};

/* A group of two columns, a sum, a column that the owner of the scope decides. */
static const uint8_t all_policies[ALL] = {POLICY_LATEST, POLICY_MAX,    POLICY_SUM, POLICY_MAX,
                                          POLICY_REVIEW, POLICY_LATEST, POLICY_MIN};
static const uint8_t fallback[ALL] = {[4] = POLICY_OWNER};
static const uint32_t members[] = {MEMBER, GROUP};
static const struct cell_group group = {.name = "name", .n = 2, .column = members};
static const struct cell_group *const groups[ALL] = {[GROUP] = &group, [MEMBER] = &group};
static const struct table_rules all_rules = {.n_columns = ALL,
                                             .policy = all_policies,
                                             .delete_policy = DELETE_DELETE_WINS,
                                             .fallback = fallback,
                                             .group = groups,
                                             .scope = SCOPE + 1};

static const struct table_rules *rules_for(uint64_t seed)
{
    return seed % 2 ? &all_rules : &rules;
}

static struct value random_value(struct gen *g)
{
    switch (gen_below(g, 4)) {
    case 0:
        return value_null();
    case 1:
        return value_real(gen_below(g, 9) / 2.0);
    case 2:
        return value_text("twelve bytes");
    default:
        return value_integer(gen_between(g, -99, 99));
    }
}

static struct value random_version(struct arena *a, struct gen *g, const struct table_rules *rr,
                                   uint32_t cell)
{
    struct value v[2] = {random_value(g), random_value(g)};
    if (cell == COLUMN_EXISTS)
        return value_integer(gen_below(g, 2));
    if (cell_group_of(rr, cell))
        return value_tuple(a, v, 2);
    if (policy_of(rr, cell) == POLICY_SUM)
        return gen_percent(g, 50) ? value_text("many") : value_real(0.5);
    return v[0];
}

static struct value random_total(struct arena *a, struct gen *g)
{
    return gen_percent(g, 30) ? value_wide(a, (__int128)gen_between(g, 1, 9) << 64)
                              : random_value(g);
}

static void random_cells(struct arena *a, struct gen *g, const struct table_rules *rr,
                         struct birth *b)
{
    for (uint32_t c = 0; c <= rr->n_columns; c++) {
        struct version v[3];
        uint32_t cell = c == rr->n_columns ? COLUMN_EXISTS : c;
        if (gen_percent(g, 40) || cell_of(rr, cell) != cell)
            continue;
        uint32_t n = 1 + gen_below(g, 3);
        for (uint32_t i = 0; i < n; i++) {
            v[i] = (struct version){.dot = {gen_u64(g), 1 + gen_below(g, 200)}, .hlc = gen_u64(g)};
            if (i == 0 && gen_percent(g, 10)) /* stable */
                v[i] = (struct version){0};
            v[i].value = random_version(a, g, rr, cell);
        }
        birth_set_cell(a, b, cell, v, n);
    }
}

static void random_values(struct arena *a, struct gen *g, const struct table_rules *rr,
                          struct birth *b)
{
    b->values = arena_alloc(a, rr->n_columns * sizeof *b->values);
    for (uint32_t c = 0; c < rr->n_columns; c++)
        b->values[c] = policy_of(rr, c) == POLICY_SUM ? random_total(a, g) : random_value(g);
    b->values = birth_shown(a, b, rr);
}

static void random_marks(struct arena *a, struct gen *g, struct birth *b)
{
    b->touched = (enum birth_touch)gen_below(g, TOUCH_COUNT);
    b->has_born = gen_percent(g, 50);
    for (int i = 0; b->has_born && i < BORN_BYTES; i++)
        b->born[i] = (uint8_t)gen_below(g, 256);
    b->n_seen = gen_percent(g, 20) ? 1 + gen_below(g, 3) : 0;
    b->seen = arena_alloc(a, b->n_seen * sizeof *b->seen);
    for (uint32_t i = 0; i < b->n_seen; i++)
        b->seen[i] = (struct dot){i + 1, 1 + gen_below(g, 999)};
}

/* A row in which every choice of the format occurs. */
static void random_row(struct arena *a, struct gen *g, const struct table_rules *rr, struct row *r)
{
    r->n_births = gen_below(g, 4);
    r->births = arena_alloc(a, r->n_births * sizeof *r->births);
    for (uint32_t i = 0; i < r->n_births; i++) {
        struct birth *b = &r->births[i];
        if (i || gen_percent(g, 50)) {
            b->name = (struct dot){gen_u64(g), 1 + gen_below(g, 999)};
            b->hlc = (uint64_t)i << 40 | gen_below(g, 99);
            random_marks(a, g, b);
        }
        if (gen_percent(g, 40)) {
            b->base = b->name;
            b->base_hlc = b->hlc;
        } else if (gen_percent(g, 50)) {
            b->base = (struct dot){gen_u64(g), 1 + gen_below(g, 999)};
            b->base_hlc = gen_u64(g);
        }
        random_cells(a, g, rr, b);
        if (birth_alive(b, rr))
            b->held = (enum hold_reason)gen_below(g, HOLD_COUNT);
        if (gen_percent(g, 75))
            random_values(a, g, rr, b);
    }
}

static void check_cells(uint64_t seed, const struct table_rules *rr, const struct birth *x,
                        const struct birth *y, bool stands)
{
    CHECK(seed, x->n_cells == y->n_cells);
    for (uint32_t i = 0; i < x->n_cells; i++) {
        const struct cell *c = &x->cells[i];
        const struct cell *e = &y->cells[i];
        CHECK(seed, c->column == e->column && c->n == e->n);
        for (uint32_t k = 0; k < c->n; k++) {
            CHECK(seed, version_order(&c->v[k], &e->v[k]) == 0);
            struct value in_table = value_null();
            bool left_out = stands && c->n == 1 && c->column != COLUMN_EXISTS &&
                            policy_of(rr, c->column) != POLICY_SUM;
            CHECK(seed, value_equal(left_out ? &in_table : &c->v[k].value, &e->v[k].value));
        }
    }
}

static void check_same(uint64_t seed, const struct table_rules *rr, const struct row *a,
                       const struct row *b)
{
    CHECK(seed, a->n_births == b->n_births);
    for (uint32_t i = 0; i < a->n_births; i++) {
        const struct birth *x = &a->births[i];
        const struct birth *y = &b->births[i];
        bool stands = birth_alive(x, rr) && x->held == HOLD_NONE;
        CHECK(seed, dot_equal(x->name, y->name) && x->hlc == y->hlc && x->held == y->held);
        CHECK(seed, dot_equal(x->base, y->base) && x->base_hlc == y->base_hlc);
        CHECK(seed, x->touched == y->touched && x->has_born == y->has_born);
        CHECK(seed, memcmp(x->born, y->born, BORN_BYTES) == 0 && x->n_seen == y->n_seen);
        for (uint32_t k = 0; k < x->n_seen; k++)
            CHECK(seed, dot_equal(x->seen[k], y->seen[k]));
        CHECK(seed, (x->values && !stands) == !!y->values);
        for (uint32_t c = 0; y->values && c < rr->n_columns; c++)
            CHECK(seed, value_equal(&x->values[c], &y->values[c]));
        check_cells(seed, rr, x, y, stands);
    }
}

/* Whatever row is written is read back, but for the values that stand in the table. */
static void what_is_written_is_read(void **state)
{
    for (uint64_t seed = 0; seed < 5000; seed++) {
        struct gen g = gen_seeded(seed);
        struct arena a = {0};
        struct buf b = {0};
        struct row r;
        struct row back;
        const struct table_rules *rr = rules_for(seed);
        random_row(&a, &g, rr, &r);
        row_encode(&b, &r, rr);
        CHECK(seed, row_decode(&a, &back, rr, b.data, b.len) == ERR_OK);
        check_same(seed, rr, &r, &back);
        buf_fini(&b);
        arena_fini(&a);
    }
}

/* Whether the delete policy seems to be another than when some birth was written, so that the head
 * has to change. */
static bool has_turned(const struct row *r, const struct table_rules *rr)
{
    for (uint32_t i = 0; i < r->n_births; i++) {
        const struct birth *b = &r->births[i];
        const struct cell *c = b->n_cells ? &b->cells[b->n_cells - 1] : NULL;
        if (c && c->column == COLUMN_EXISTS && c->n > 1 &&
            (b->held == HOLD_BIRTH || !birth_alive(b, rr)))
            return true;
    }
    return false;
}

static bool is_written(const struct row *r, const struct table_rules *rr, const void *bytes,
                       size_t len)
{
    struct buf b = {0};
    row_encode(&b, r, rr);
    bool same = b.len == len && memcmp(b.data, bytes, len) == 0;
    buf_fini(&b);
    return same;
}

/* Bytes that row_encode would not write are refused: every truncation, and every damage that does
 * not happen to give another valid record. The copy on the heap lets a sanitizer see a read beyond
 * it. */
static void damaged_records_are_refused_or_valid(void **state)
{
    size_t refused = 0;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct gen g = gen_seeded(seed);
        struct arena a = {0};
        struct buf b = {0};
        struct row r;
        const struct table_rules *rr = rules_for(seed);
        random_row(&a, &g, rr, &r);
        row_encode(&b, &r, rr);
        for (int damage = 0; damage < 12; damage++) {
            size_t len = b.len;
            if (damage % 3 == 0)
                len = gen_below(&g, (uint32_t)b.len);
            uint8_t *bytes = mem_copy(b.data, len + 1);
            len += damage % 3 == 1 && gen_percent(&g, 10);
            for (uint32_t flips = gen_below(&g, 4); damage % 3 && flips; flips--)
                bytes[gen_below(&g, (uint32_t)len)] ^= (uint8_t)(1u << gen_below(&g, 8));
            enum err e = row_decode(&a, &r, rr, bytes, len);
            CHECK(seed, e == ERR_OK || e == ERR_MALFORMED);
            CHECK(seed, damage % 3 || e != ERR_OK);
            refused += e != ERR_OK;
            CHECK(seed, e != ERR_OK || is_written(&r, rr, bytes, len) || has_turned(&r, rr));
            mem_free(bytes);
        }
        buf_fini(&b);
        arena_fini(&a);
    }
    assert_true(refused > 12 * 3000 / 3);
}

/* Random bytes behind a valid beginning never crash the reader. */
static void random_bytes_are_refused_or_valid(void **state)
{
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct gen g = gen_seeded(seed);
        struct arena a = {0};
        struct row r;
        size_t len = 2 + gen_below(&g, 60);
        uint8_t *bytes = mem_alloc(len);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(gen_percent(&g, 60) ? gen_below(&g, 6) : gen_u64(&g));
        bytes[0] = 3;
        bytes[1] = (uint8_t)gen_below(&g, 3);
        enum err e = row_decode(&a, &r, rules_for(seed), bytes, len);
        CHECK(seed, e == ERR_OK || e == ERR_MALFORMED);
        CHECK(seed, e == ERR_OK || r.n_births == 0);
        mem_free(bytes);
        arena_fini(&a);
    }
}

/* A number that the bytes cannot hold is refused before anything is allocated for it; whatever is
 * written is read, however many births and versions there are: an office may insert and delete one
 * key for months while another is away. */
static void counts_are_checked_against_the_bytes(void **state)
{
    enum { MANY = 100001 };
    struct arena a = {0};
    struct buf b = {0};
    struct row r;
    buf_put_u8(&b, 3);
    buf_put_varint(&b, MANY);
    for (size_t i = 0; i < MANY; i++) /* one byte for each is not enough */
        buf_put_u8(&b, 0);
    assert_err(row_decode(&a, &r, &rules, b.data, b.len), ERR_MALFORMED);
    struct birth *births = mem_alloc(MANY * sizeof *births);
    struct version *v = mem_alloc(MANY * sizeof *v);
    for (uint32_t i = 0; i < MANY; i++) {
        struct version dead = {.dot = {i + 1, 2}, .hlc = i + 2, .value = value_integer(0)};
        v[i] = (struct version){.dot = {i + 1, 1}, .value = value_integer(i)};
        births[i] = (struct birth){.name = {i + 1, 1}, .hlc = i + 1};
        birth_set_cell(&a, &births[i], COLUMN_EXISTS, &dead, 1);
    }
    birth_set_cell(&a, &births[0], 1, v, MANY);
    r = (struct row){.n_births = MANY, .births = births};
    buf_reset(&b);
    row_encode(&b, &r, &rules);
    assert_ok(row_decode(&a, &r, &rules, b.data, b.len));
    assert_int_equal(r.n_births, MANY);
    assert_int_equal(birth_find_cell(&r.births[0], 1)->n, MANY);
    mem_free(births);
    mem_free(v);
    buf_fini(&b);
    arena_fini(&a);
}

/* A row that was deleted behind capture stands by its record, and has no values: held then, as
 * another birth of its key comes, its record is read back. */
static void what_stood_and_is_not_there_is_read(void **state)
{
    const struct value both[] = {value_text("a"), value_text("b")};
    struct arena a = {0};
    struct buf b = {0};
    struct birth birth = {0};
    struct row r = {.n_births = 1, .births = &birth};
    const struct version v = {.dot = {1, 1}, .value = value_tuple(&a, both, 2)};
    birth_set_cell(&a, &birth, GROUP, &v, 1);
    row_encode(&b, &r, &all_rules);
    uint8_t *first = arena_copy(&a, b.data, b.len);
    assert_ok(row_decode(&a, &r, &all_rules, first, b.len));
    r.births->held = HOLD_CHECK;
    buf_reset(&b);
    row_encode(&b, &r, &all_rules);
    assert_ok(row_decode(&a, &r, &all_rules, b.data, b.len));
    assert_int_equal(birth_show(&a, r.births, MEMBER, &all_rules).value.type, VALUE_NULL);
    buf_fini(&b);
    arena_fini(&a);
}

/* A held birth of an older schema has NULL in the columns that came since; a newer one is refused.
 */
static void columns_added_since_are_null(void **state)
{
    const struct table_rules older = {.n_columns = 2, .policy = policies};
    struct value values[COLUMNS] = {value_integer(1), value_integer(2), value_integer(3)};
    struct birth birth = {.held = HOLD_UNIQUE, .values = values};
    struct row r = {.n_births = 1, .births = &birth};
    struct arena a = {0};
    struct buf b = {0};
    row_encode(&b, &r, &older);
    assert_ok(row_decode(&a, &r, &rules, b.data, b.len));
    assert_int_equal(r.births->values[1].u.i, 2);
    assert_int_equal(r.births->values[2].type, VALUE_NULL);
    r.births = &birth;
    buf_reset(&b);
    row_encode(&b, &r, &rules);
    assert_err(row_decode(&a, &r, &older, b.data, b.len), ERR_MALFORMED);
    buf_fini(&b);
    arena_fini(&a);
}

/* Each rule of the format, broken alone: the pinned beginning is valid, every line after it is not.
 */
static void every_broken_rule_is_refused(void **state)
{
#define V(seq, site, hlc) seq "\0\0\0\0\0\0\0" site "\0\0\0\0\0\0\0" hlc
#define D(seq, site) seq "\0\0\0\0\0\0\0" site
#define BYTES(s) s, sizeof s - 1
    static const struct {
        const char *rule;
        const char *bytes;
        size_t len;
        enum err e;
    } table[] = {
        {"valid", BYTES("\3\1\0\1\2\2" V("\1", "\1", "\1") "\0" V("\1", "\1", "\2") "\0"), ERR_OK},
        {"format", BYTES("\1\0"), ERR_MALFORMED},
        {"versions in order",
         BYTES("\3\1\0\1\2\2" V("\1", "\1", "\2") "\0" V("\1", "\1", "\1") "\0"), ERR_MALFORMED},
        {"versions unique", BYTES("\3\1\0\1\2\2" V("\1", "\1", "\1") "\0" V("\1", "\1", "\1") "\0"),
         ERR_MALFORMED},
        {"at least one version", BYTES("\3\1\0\1\2\0"), ERR_MALFORMED},
        {"columns in order", BYTES("\3\1\0\2\2\1" V("\1", "\1", "\1") "\1\1" V("\1", "\1", "\1")),
         ERR_MALFORMED},
        {"existence is last",
         BYTES("\3\1\0\2\0\1" V("\1", "\1", "\1") "\1\2\1\1" V("\1", "\1", "\1")), ERR_MALFORMED},
        {"columns known", BYTES("\3\1\0\1\4\1" V("\1", "\1", "\1")), ERR_MALFORMED},
        {"existence is 0 or 1", BYTES("\3\1\0\1\0\1" V("\1", "\1", "\1") "\1\4"), ERR_MALFORMED},
        {"dead says so", BYTES("\3\1\0\1\0\1" V("\1", "\1", "\1") "\1\0"), ERR_MALFORMED},
        {"alive says so", BYTES("\3\1\x80\0"), ERR_MALFORMED},
        {"the dead are not held", BYTES("\3\1\x90\1\0\1" V("\1", "\1", "\1") "\1\0"),
         ERR_MALFORMED},
        {"a reason that exists", BYTES("\3\1\x70\0"), ERR_MALFORMED},
        {"no values of what stands", BYTES("\3\1\x08\0\0"), ERR_MALFORMED},
        {"own base of a name", BYTES("\3\1\2\0"), ERR_MALFORMED},
        {"one base", BYTES("\3\1\7" V("\1", "\1", "\1") "\0" V("\1", "\1", "\2") "\0"),
         ERR_MALFORMED},
        {"own base in its short form",
         BYTES("\3\1\5" V("\1", "\1", "\1") "\0" V("\1", "\1", "\1") "\0"), ERR_MALFORMED},
        {"a name that is one", BYTES("\3\1\1\0\0"), ERR_MALFORMED},
        {"births in order", BYTES("\3\2\1" V("\1", "\1", "\2") "\0\0\1" V("\1", "\1", "\1") "\0\0"),
         ERR_MALFORMED},
        {"one unnamed birth", BYTES("\3\2\0\0\0\0"), ERR_MALFORMED},
        {"the unnamed one first", BYTES("\3\2\1" V("\1", "\1", "\2") "\0\0\0\0"), ERR_MALFORMED},
        {"a named birth", BYTES("\3\1\1" V("\1", "\1", "\1") "\0\0"), ERR_OK},
        {"marks that exist", BYTES("\3\1\1" V("\1", "\1", "\1") "\x10\0"), ERR_MALFORMED},
        {"a touch that exists", BYTES("\3\1\1" V("\1", "\1", "\1") "\3\0"), ERR_MALFORMED},
        {"the whole hash",
         BYTES("\3\1\1" V("\1", "\1", "\1") "\4"
                                            "123456789012345"),
         ERR_MALFORMED},
        {"with it",
         BYTES("\3\1\1" V("\1", "\1", "\1") "\4"
                                            "1234567890123456"
                                            "\0"),
         ERR_OK},
        {"somebody was seen", BYTES("\3\1\1" V("\1", "\1", "\1") "\10\0\0"), ERR_MALFORMED},
        {"who is named", BYTES("\3\1\1" V("\1", "\1", "\1") "\10\1\0\0\0\0\0\0\0\0\0\0"),
         ERR_MALFORMED},
        {"one seen", BYTES("\3\1\1" V("\1", "\1", "\1") "\10\1" D("\1", "\2") "\0"), ERR_OK},
        {"the seen in order",
         BYTES("\3\1\1" V("\1", "\1", "\1") "\10\2" D("\1", "\2") D("\1", "\2") "\0"),
         ERR_MALFORMED},
        {"the end", BYTES("\3\1\0\0\0"), ERR_MALFORMED},
    };
    struct arena a = {0};
    struct row r;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum err e = row_decode(&a, &r, &rules, table[i].bytes, table[i].len);
        if (e != table[i].e)
            fail_msg("%s: %s", table[i].rule, err_name(e));
    }
    arena_fini(&a);
}

/* The rules of groups and sums, each broken alone; the first of each kind is valid. Versions in
 * these records stand in a dead birth without values, so that cells carry them. */
static void every_broken_rule_of_groups_and_sums_is_refused(void **state)
{
#define DEAD "\3\1\x80\2"
#define HELD "\3\1\x38\0\7"
#define GONE "\0\1" V("\1", "\1", "\1") "\1\0"
#define WIDE(b) "\5\0\0\0\0\0\0\0" b "\x80\0\0\0\0\0\0\0"
#define REST "\0\0\0\0"
    static const struct {
        const char *rule;
        const char *bytes;
        size_t len;
        enum err e;
    } table[] = {
        {"a tuple of two", BYTES(DEAD "\2\1\0\6\2\0\0" GONE), ERR_OK},
        {"as many members", BYTES(DEAD "\2\1\0\6\1\0" GONE), ERR_MALFORMED},
        {"a tuple in a group", BYTES(DEAD "\2\1\0\0" GONE), ERR_MALFORMED},
        {"under the lowest column", BYTES(DEAD "\4\1\0\6\2\0\0" GONE), ERR_MALFORMED},
        {"no tuple in a column", BYTES(DEAD "\1\1\0\6\2\0\0" GONE), ERR_MALFORMED},
        {"no integer in a sum's cell", BYTES(DEAD "\3\1\0\3\1x" GONE), ERR_OK},
        {"no NULL in a sum's cell", BYTES(DEAD "\3\1\0\0" GONE), ERR_MALFORMED},
        {"no delta in a sum's cell", BYTES(DEAD "\3\1\0" WIDE("\1") GONE), ERR_MALFORMED},
        {"a wide total", BYTES(HELD "\0\0" WIDE("\1") REST), ERR_OK},
        {"wide only where it must be", BYTES(HELD "\0\0" WIDE("\0") REST), ERR_OK},
        {"a total that fits is an integer",
         BYTES(HELD "\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" REST), ERR_MALFORMED},
        {"a negative one too",
         BYTES(HELD "\0\0\5\377\377\377\377\377\377\377\377\377\377\377"
                    "\377\377\377\377\377" REST),
         ERR_MALFORMED},
        {"wide only in a sum", BYTES(HELD "\0" WIDE("\1") "\0" REST), ERR_MALFORMED},
        {"no tuple among the values", BYTES(HELD "\0\6\1\0\0" REST), ERR_MALFORMED},
    };
    struct arena a = {0};
    struct row r;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum err e = row_decode(&a, &r, &all_rules, table[i].bytes, table[i].len);
        if (e != table[i].e)
            fail_msg("%s: %s", table[i].rule, err_name(e));
    }
    arena_fini(&a);
}

/* A record outlives a change of the delete policy: a birth that was dead is held, not standing,
 * with its values; one that stood is dead, and takes the values that are still in the table. */
static void a_new_delete_policy_reads_old_records(void **state)
{
    static const enum delete_policy from_to[2][2] = {{DELETE_DELETE_WINS, DELETE_UPDATE_WINS},
                                                     {DELETE_UPDATE_WINS, DELETE_DELETE_WINS}};
    const struct version v[] = {{.dot = {1, 1}, .hlc = 1, .value = value_integer(1)},
                                {.dot = {2, 1}, .hlc = 2, .value = value_integer(0)}};
    struct value values[COLUMNS] = {value_integer(1), value_null(), value_text("x")};
    struct arena a = {0};
    for (int i = 0; i < 2; i++) {
        struct table_rules mine = rules;
        struct birth birth = {.values = values};
        struct row r = {.n_births = 1, .births = &birth};
        struct buf b = {0};
        mine.delete_policy = from_to[i][0];
        birth_set_cell(&a, &birth, COLUMN_EXISTS, v, 2);
        row_encode(&b, &r, &mine);
        mine.delete_policy = from_to[i][1];
        assert_ok(row_decode(&a, &r, &mine, b.data, b.len));
        assert_null(row_standing(&r, &mine));
        assert_int_equal(birth_alive(r.births, &mine), i == 0);
        assert_int_equal(r.births->held, i == 0 ? HOLD_BIRTH : HOLD_NONE);
        if (i == 0)
            assert_memory_equal(r.births->values[2].u.p, "x", 1);
        else
            assert_null(r.births->values);
        buf_fini(&b);
    }
    arena_fini(&a);
}

/* The bytes of a chosen row, pinned: they are stored, and compared between offices. */
static void record_bytes_are_pinned(void **state)
{
    static const char bytes[] = "\3\2"
                                "\0\1\2\1\5\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\x0b"
                                "\x2b\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\4"
                                "\16HASH OF 16 BYTES\1\1\0\0\0\0\0\0\0\5"
                                "\0\3\1\2\0\3\1x";
    struct value values[COLUMNS] = {value_integer(1), value_null(), value_text("x")};
    struct dot seen = {5, 1};
    struct birth birth[2] = {{.values = values},
                             {.name = {3, 2},
                              .hlc = 4,
                              .base = {3, 2},
                              .base_hlc = 4,
                              .held = HOLD_BIRTH,
                              .touched = TOUCH_CHANGED,
                              .has_born = true,
                              .n_seen = 1,
                              .seen = &seen,
                              .values = values}};
    memcpy(birth[1].born, "HASH OF 16 BYTES", BORN_BYTES);
    struct row r = {.n_births = 2, .births = birth};
    struct version v = {.dot = {7, 5}, .hlc = 11, .value = value_null()};
    struct arena a = {0};
    struct buf b = {0};
    birth_set_cell(&a, &birth[0], 1, &v, 1);
    row_encode(&b, &r, &rules);
    assert_int_equal(b.len, sizeof bytes - 1);
    assert_memory_equal(b.data, bytes, b.len);
    buf_fini(&b);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(damaged_records_are_refused_or_valid),
        cmocka_unit_test(random_bytes_are_refused_or_valid),
        cmocka_unit_test(counts_are_checked_against_the_bytes),
        cmocka_unit_test(what_stood_and_is_not_there_is_read),
        cmocka_unit_test(columns_added_since_are_null),
        cmocka_unit_test(every_broken_rule_is_refused),
        cmocka_unit_test(every_broken_rule_of_groups_and_sums_is_refused),
        cmocka_unit_test(a_new_delete_policy_reads_old_records),
        cmocka_unit_test(record_bytes_are_pinned),
    };
    return check_run(tests);
}
