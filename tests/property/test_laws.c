/* The laws of clocks, hybrid times and values, on random instances and on a table pinned by hand.
 */
#include "conflict/clock.h"
#include "conflict/hlc.h"
#include "conflict/value.h"
#include "tests/property/gen.h"

#include <math.h>
#include <string.h>

#define ROUNDS 5000

static void random_clock(struct gen *g, struct clock *c)
{
    for (int n = gen_between(g, 0, 6); n > 0; n--)
        clock_set(c, gen_below(g, 6), gen_below(g, 5));
}

static bool same(const struct clock *a, const struct clock *b)
{
    return clock_compare(a, b) == CLOCK_EQUAL && a->n == b->n;
}

/* Joining is commutative, associative and idempotent, and the result is the least that covers both.
 */
static void clock_join_is_a_least_upper_bound(void **state)
{
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct gen g = gen_seeded(seed);
        struct clock c[3] = {{0}};
        struct clock ab = {0};
        struct clock ba = {0};
        struct clock left = {0};
        struct clock right = {0};
        for (int i = 0; i < 3; i++)
            random_clock(&g, &c[i]);
        clock_copy(&ab, &c[0]);
        clock_join(&ab, &c[1]);
        clock_copy(&ba, &c[1]);
        clock_join(&ba, &c[0]);
        CHECK(seed, same(&ab, &ba));
        CHECK(seed, clock_includes(&ab, &c[0]) && clock_includes(&ab, &c[1]));
        clock_copy(&left, &ab);
        clock_join(&left, &c[2]);
        clock_copy(&right, &c[1]);
        clock_join(&right, &c[2]);
        clock_join(&right, &c[0]);
        CHECK(seed, same(&left, &right));
        clock_join(&left, &c[1]);
        CHECK(seed, same(&left, &right));
        for (uint64_t site = 0; site < 6; site++) {
            uint64_t a = clock_get(&c[0], site);
            uint64_t b = clock_get(&c[1], site);
            CHECK(seed, clock_get(&ab, site) == (a > b ? a : b));
        }
        for (int i = 0; i < 3; i++)
            clock_fini(&c[i]);
        clock_fini(&ab);
        clock_fini(&ba);
        clock_fini(&left);
        clock_fini(&right);
    }
}

/* The order of two clocks is what their entries say, and turns round with its arguments. */
static void clock_compare_agrees_with_the_entries(void **state)
{
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct gen g = gen_seeded(seed);
        struct clock a = {0};
        struct clock b = {0};
        random_clock(&g, &a);
        random_clock(&g, &b);
        bool above = false;
        bool below = false;
        for (uint64_t site = 0; site < 6; site++) {
            above |= clock_get(&a, site) > clock_get(&b, site);
            below |= clock_get(&a, site) < clock_get(&b, site);
            for (uint64_t seq = 1; seq < 5; seq++)
                CHECK(seed,
                      clock_covers(&a, (struct dot){site, seq}) == (clock_get(&a, site) >= seq));
        }
        enum clock_order order = above && below ? CLOCK_CONCURRENT
                                 : above        ? CLOCK_AFTER
                                 : below        ? CLOCK_BEFORE
                                                : CLOCK_EQUAL;
        CHECK(seed, clock_compare(&a, &b) == order);
        CHECK(seed, clock_includes(&a, &b) == !below);
        clock_fini(&a);
        clock_fini(&b);
    }
}

/* What is encoded decodes to the same clock; a decoder that accepts bytes would have written them.
 */
static void clock_bytes_have_one_form(void **state)
{
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct gen g = gen_seeded(seed);
        struct clock a = {0};
        struct clock b = {0};
        struct buf bytes = {0};
        struct buf again = {0};
        random_clock(&g, &a);
        clock_encode(&bytes, &a);
        struct cursor cur = cursor_of(bytes.data, bytes.len);
        CHECK(seed, clock_decode(&cur, &b, 6) == ERR_OK && cur.left == 0 && same(&a, &b));
        bytes.data[gen_below(&g, (uint32_t)bytes.len)] ^= (uint8_t)(1u << gen_below(&g, 8));
        cur = cursor_of(bytes.data, bytes.len);
        if (clock_decode(&cur, &b, 100) == ERR_OK) {
            clock_encode(&again, &b);
            CHECK(seed, again.len == bytes.len - cur.left);
            CHECK(seed, memcmp(again.data, bytes.data, again.len) == 0);
        }
        clock_fini(&a);
        clock_fini(&b);
        buf_fini(&bytes);
        buf_fini(&again);
    }
}

/* Every tick is above the last one, and not behind the wall clock, whatever the wall clock does. */
static void hlc_tick_is_above_the_last_time(void **state)
{
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct gen g = gen_seeded(seed);
        uint64_t last = hlc_make(gen_below(&g, 1000), gen_percent(&g, 20) ? 0xfffe : 0);
        for (int i = 0; i < 20; i++) {
            uint64_t now = gen_below(&g, 1000);
            uint64_t remote = hlc_make(gen_below(&g, 1000), (uint16_t)gen_u64(&g));
            if (gen_percent(&g, 30)) {
                uint64_t seen = hlc_observe(last, remote);
                CHECK(seed, seen >= last && seen >= remote && (seen == last || seen == remote));
                last = seen;
            }
            uint64_t t = hlc_tick(last, now);
            CHECK(seed, t > last);
            CHECK(seed, hlc_ms(t) >= now);
            CHECK(seed, hlc_make(hlc_ms(t), (uint16_t)t) == t);
            last = t;
        }
    }
}

static size_t pinned_values(struct value *v)
{
    size_t n = 0;
    v[n++] = value_null();
    v[n++] = value_real(-INFINITY);
    v[n++] = value_real(-9223372036854777856.0);
    v[n++] = value_integer(INT64_MIN);
    v[n++] = value_real(-9223372036854775808.0);
    v[n++] = value_integer(INT64_MIN + 1);
    v[n++] = value_real(-9223372036854774784.0);
    v[n++] = value_real(-1.5);
    v[n++] = value_integer(-1);
    v[n++] = value_real(-1.0);
    v[n++] = value_real(-0.5);
    v[n++] = value_integer(0);
    v[n++] = value_real(-0.0);
    v[n++] = value_real(5e-324);
    v[n++] = value_integer(1);
    v[n++] = value_real(1.0);
    v[n++] = value_real(1.5);
    v[n++] = value_integer(9007199254740991);
    v[n++] = value_integer(9007199254740992);
    v[n++] = value_real(9007199254740992.0);
    v[n++] = value_integer(9007199254740993);
    v[n++] = value_real(9007199254740994.0);
    v[n++] = value_integer(INT64_MAX);
    v[n++] = value_real(9223372036854775808.0);
    v[n++] = value_real(INFINITY);
    v[n++] = value_text("");
    v[n++] = value_bytes(VALUE_TEXT, "\0", 1);
    v[n++] = value_text("1");
    v[n++] = value_text("A");
    v[n++] = value_text("AA");
    v[n++] = value_text("a");
    v[n++] = value_text("\xc3\xa9");
    v[n++] = value_bytes(VALUE_BLOB, "", 0);
    v[n++] = value_bytes(VALUE_BLOB, "\0", 1);
    v[n++] = value_bytes(VALUE_BLOB, "A", 1);
    v[n++] = value_bytes(VALUE_BLOB, "\xff", 1);
    return n;
}

/* Values order as SQLite 3.40.1 orders them (run there by hand: ORDER BY v, typeof(v)), INTEGER
 * before REAL among equal numbers; the order is total over equality. */
static void values_are_ordered_as_sqlite_orders_them(void **state)
{
    struct value v[64];
    size_t n = pinned_values(v);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            int c = value_compare(&v[i], &v[j]);
            if ((i < j && c >= 0) || (i > j && c <= 0) || (i == j && c != 0))
                fail_msg("values %zu and %zu compare as %d", i, j, c);
            assert_int_equal(value_equal(&v[i], &v[j]), i == j);
        }
    }
}

/* What a table may hold. */
static struct value random_stored(struct gen *g)
{
    static const char text[] = "ab\0ab\xff";
    switch (gen_below(g, 6)) {
    case 0:
        return value_null();
    case 1:
        return value_integer((int64_t)(gen_u64(g) >> gen_below(g, 64)) *
                             (gen_percent(g, 50) ? 1 : -1));
    case 2:
        return value_real((double)gen_between(g, -4, 4));
    case 3: {
        uint64_t bits = gen_u64(g);
        double r;
        memcpy(&r, &bits, sizeof r);
        return value_real(r);
    }
    default:
        return value_bytes(gen_percent(g, 50) ? VALUE_TEXT : VALUE_BLOB, text, gen_below(g, 7));
    }
}

/* What a change or a record may hold: wide integers and tuples too. */
static struct value random_value(struct arena *a, struct gen *g)
{
    struct value member[2] = {random_stored(g), random_stored(g)};
    if (gen_percent(g, 20))
        member[0] = value_wide(a, (__int128)gen_between(g, -4, 4) *
                                      (gen_percent(g, 50) ? (__int128)1 << 70 : 1));
    return gen_percent(g, 80) ? member[0] : value_tuple(a, member, gen_below(g, 3));
}

/* The order is antisymmetric and transitive, and equality is equality of canonical bytes. */
static void value_order_is_total_and_bytes_are_canonical(void **state)
{
    for (uint64_t seed = 0; seed < 4 * ROUNDS; seed++) {
        struct gen g = gen_seeded(seed);
        struct arena a = {0};
        struct value v[3] = {random_value(&a, &g), random_value(&a, &g), random_value(&a, &g)};
        struct buf bytes[2] = {{0}};
        int ab = value_compare(&v[0], &v[1]);
        int bc = value_compare(&v[1], &v[2]);
        CHECK(seed, (ab > 0) == (value_compare(&v[1], &v[0]) < 0));
        if (ab <= 0 && bc <= 0)
            CHECK(seed, value_compare(&v[0], &v[2]) <= 0);
        value_encode(&bytes[0], &v[0]);
        value_encode(&bytes[1], &v[1]);
        bool equal =
            bytes[0].len == bytes[1].len && memcmp(bytes[0].data, bytes[1].data, bytes[0].len) == 0;
        CHECK(seed, value_equal(&v[0], &v[1]) == equal);
        CHECK(seed, (ab == 0) == equal);
        struct cursor c = cursor_of(bytes[0].data, bytes[0].len);
        struct value back;
        CHECK(seed, value_decode(&c, &back) == ERR_OK && c.left == 0 && value_equal(&back, &v[0]));
        CHECK(seed, value_alike(&v[0], &v[1]) == equal);
        buf_fini(&bytes[0]);
        buf_fini(&bytes[1]);
        arena_fini(&a);
    }
}

/* Two keys have the same bytes exactly when SQLite's index holds them to be the same key. */
static void keys_are_equal_as_sqlite_indexes_hold_them(void **state)
{
    for (uint64_t seed = 0; seed < 4 * ROUNDS; seed++) {
        struct gen g = gen_seeded(seed);
        struct value v[2] = {random_stored(&g), random_stored(&g)};
        struct buf key[2] = {{0}};
        key_encode(&key[0], &v[0], 1);
        key_encode(&key[1], &v[1], 1);
        bool numbers = (v[0].type == VALUE_INTEGER || v[0].type == VALUE_REAL) &&
                       (v[1].type == VALUE_INTEGER || v[1].type == VALUE_REAL);
        bool equal = value_equal(&v[0], &v[1]);
        if (numbers && v[0].type != v[1].type) {
            const struct value *whole = v[0].type == VALUE_INTEGER ? &v[0] : &v[1];
            const struct value *real = v[0].type == VALUE_REAL ? &v[0] : &v[1];
            equal = (long double)whole->u.i == (long double)real->u.r;
        }
        CHECK(seed,
              (key[0].len == key[1].len && !memcmp(key[0].data, key[1].data, key[0].len)) == equal);
        buf_fini(&key[0]);
        buf_fini(&key[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_join_is_a_least_upper_bound),
        cmocka_unit_test(clock_compare_agrees_with_the_entries),
        cmocka_unit_test(clock_bytes_have_one_form),
        cmocka_unit_test(hlc_tick_is_above_the_last_time),
        cmocka_unit_test(values_are_ordered_as_sqlite_orders_them),
        cmocka_unit_test(value_order_is_total_and_bytes_are_canonical),
        cmocka_unit_test(keys_are_equal_as_sqlite_indexes_hold_them),
    };
    return check_run(tests);
}
