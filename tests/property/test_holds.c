/* The four passes of DESIGN 4 "Holds" on random states, against a reference that reads like the
 * text. */
#include "conflict/hold.h"
#include "tests/property/gen.h"

#include <string.h>

#define STATES 5000
#define ITEMS_MAX 12

struct claims {
    uint64_t unique[3];
    uint64_t gives[2];
    uint64_t needs[2];
};

static void random_state(struct gen *g, struct hold_item *item, struct claims *claims, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hold_item *it = &item[i];
        struct claims *c = &claims[i];
        *it = (struct hold_item){.key = gen_below(g, 7), .valid = gen_percent(g, 85)};
        it->birth = (struct dot){gen_below(g, 3), i + 1};
        it->birth_hlc = gen_below(g, 4);
        if (gen_percent(g, 70)) {
            it->rank.hlc = 1 + gen_below(g, 4);
            it->rank.dot = (struct dot){1 + gen_below(g, 3), i + 1};
        }
        it->tie = gen_below(g, 1000) * 100 + i;
        it->n_unique = gen_below(g, 4);
        it->n_gives = 1 + gen_below(g, 2);
        it->n_needs = gen_percent(g, 50) ? 1 + gen_below(g, 2) : 0;
        for (size_t j = 0; j < it->n_unique; j++)
            c->unique[j] = j * 10 + gen_below(g, 4);
        c->gives[0] = it->key;
        c->gives[1] = 100 + gen_below(g, 3);
        c->needs[0] = gen_below(g, 7);
        c->needs[1] = 100 + gen_below(g, 3);
        it->unique = c->unique;
        it->gives = c->gives;
        it->needs = c->needs;
    }
}

static bool shares(const struct hold_item *a, const struct hold_item *b)
{
    for (size_t i = 0; i < a->n_unique; i++)
        for (size_t j = 0; j < b->n_unique; j++)
            if (a->unique[i] == b->unique[j])
                return true;
    return false;
}

static bool born_first(const struct hold_item *a, const struct hold_item *b)
{
    if (a->birth_hlc != b->birth_hlc)
        return a->birth_hlc < b->birth_hlc;
    return dot_compare(a->birth, b->birth) < 0;
}

static bool ranks_first(const struct hold_item *a, const struct hold_item *b)
{
    int c = version_order(&a->rank, &b->rank);
    return c ? c < 0 : a->tie < b->tie;
}

static bool needs_are_given(const struct hold_item *item, size_t n, size_t at)
{
    for (size_t j = 0; j < item[at].n_needs; j++) {
        bool given = false;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; item[i].reason == HOLD_NONE && k < item[i].n_gives; k++)
                given |= item[i].gives[k] == item[at].needs[j];
        if (!given)
            return false;
    }
    return true;
}

/* The text, word by word: quadratic, and sure. */
static void reference_to(struct hold_item *item, size_t n)
{
    bool taken[ITEMS_MAX] = {false};
    for (size_t i = 0; i < n; i++)
        item[i].reason = item[i].valid ? HOLD_NONE : HOLD_CHECK;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; item[i].valid && j < n; j++)
            if (item[j].valid && item[j].key == item[i].key && born_first(&item[j], &item[i]))
                item[i].reason = HOLD_BIRTH;
    for (;;) {
        size_t next = n;
        for (size_t i = 0; i < n; i++)
            if (!taken[i] && item[i].reason == HOLD_NONE &&
                (next == n || ranks_first(&item[i], &item[next])))
                next = i;
        if (next == n)
            break;
        for (size_t i = 0; i < n; i++)
            if (taken[i] && shares(&item[i], &item[next]))
                item[next].reason = HOLD_UNIQUE;
        taken[next] = item[next].reason == HOLD_NONE;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < n; i++) {
            if (item[i].reason != HOLD_NONE || needs_are_given(item, n, i))
                continue;
            item[i].reason = HOLD_PARENT;
            changed = true;
        }
    }
}

static void shuffle(struct gen *g, struct hold_item *item, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = gen_below(g, (uint32_t)i);
        struct hold_item moving = item[i - 1];
        item[i - 1] = item[j];
        item[j] = moving;
    }
}

/* The item with the same claims in another order of the same state. */
static const struct hold_item *twin(const struct hold_item *item, size_t n,
                                    const struct hold_item *of)
{
    for (size_t i = 0; i < n; i++)
        if (item[i].unique == of->unique)
            return &item[i];
    fail();
    return NULL;
}

/* Every state has one answer, the reference's, in whatever order the items are given. */
static void holds_have_one_answer_in_every_order(void **state)
{
    size_t seen[HOLD_COUNT] = {0};
    for (uint64_t seed = 0; seed < STATES; seed++) {
        struct gen g = gen_seeded(seed);
        struct hold_item item[ITEMS_MAX];
        struct hold_item expected[ITEMS_MAX];
        struct claims claims[ITEMS_MAX];
        size_t n = gen_below(&g, ITEMS_MAX + 1);
        random_state(&g, item, claims, n);
        memcpy(expected, item, sizeof item);
        reference_to(expected, n);
        for (int order = 0; order < 3; order++) {
            hold_decide(item, n, BIRTH_FIRST);
            for (size_t i = 0; i < n; i++) {
                CHECK(seed, item[i].reason == twin(expected, n, &item[i])->reason);
                seen[item[i].reason]++;
            }
            shuffle(&g, item, n);
        }
    }
    for (int r = HOLD_NONE; r <= HOLD_PARENT; r++)
        assert_true(seen[r] > STATES / 10); /* the states do reach every pass */
}

/* What blocks an item stands in its way: the chosen birth of its key, or a taken row that shares a
 * claim. */
static void blocked_by_names_the_item_in_the_way(void **state)
{
    for (uint64_t seed = 0; seed < STATES; seed++) {
        struct gen g = gen_seeded(seed);
        struct hold_item item[ITEMS_MAX];
        struct claims claims[ITEMS_MAX];
        size_t n = gen_below(&g, ITEMS_MAX + 1);
        random_state(&g, item, claims, n);
        hold_decide(item, n, BIRTH_FIRST);
        for (size_t i = 0; i < n; i++) {
            bool names = item[i].reason == HOLD_BIRTH || item[i].reason == HOLD_UNIQUE;
            CHECK(seed, (item[i].blocked_by < n) == names);
            if (!names) {
                CHECK(seed, item[i].blocked_by == SIZE_MAX);
                continue;
            }
            const struct hold_item *by = &item[item[i].blocked_by];
            if (item[i].reason == HOLD_BIRTH)
                CHECK(seed, by->key == item[i].key && by->reason != HOLD_BIRTH && by->valid);
            else
                CHECK(seed, shares(by, &item[i]) && by->reason != HOLD_UNIQUE && by->valid);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_have_one_answer_in_every_order),
        cmocka_unit_test(blocked_by_names_the_item_in_the_way),
    };
    return check_run(tests);
}
