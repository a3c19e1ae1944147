/* The passes, on the items that the earlier ones left standing:
 *
 *   1  not valid                                           HOLD_CHECK
 *   2  of the births of one key all but one in the order   HOLD_BIRTH, blocked by that one
 *      (hlc, name): under `latest` the last, under `first`
 *      and, until a person decides, `review` the first
 *   3  in the order (rank, tie): shares a claim with       HOLD_UNIQUE, blocked by that item
 *      an item already taken
 *   4  repeated until nothing changes: a need that no      HOLD_PARENT
 *      standing item gives
 *
 * Pass 4 counts the standing givers of every number; an item that falls lowers the counts of what
 * it gives, and a count that reaches 0 fells all that need it. So each claim is touched a bounded
 * number of times, and what remains is the greatest fixpoint: a cycle that gives to itself stands.
 */
#include "conflict/hold.h"

#include "conflict/mem.h"

#include <string.h>

typedef int (*compare_items)(const struct hold_item *a, const struct hold_item *b);

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_birth(const struct hold_item *a, const struct hold_item *b)
{
    int c = compare_u64(a->key, b->key);
    if (!c)
        c = compare_u64(a->birth_hlc, b->birth_hlc);
    return c ? c : dot_compare(a->birth, b->birth);
}

/* Equal rank and equal tie: two settled rows whose hashes collide. The key number still decides. */
static int by_rank(const struct hold_item *a, const struct hold_item *b)
{
    int c = version_order(&a->rank, &b->rank);
    if (!c)
        c = compare_u64(a->tie, b->tie);
    return c ? c : by_birth(a, b);
}

/* Merge sort of indices, stable: equal items keep their order. `from` and `to` change places. */
static void sort_items(size_t *order, size_t n, const struct hold_item *item, compare_items compare)
{
    size_t *from = order;
    size_t *to = mem_alloc(n * sizeof *to);
    size_t *scratch = to;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            size_t middle = low + width < n ? low + width : n;
            size_t high = low + 2 * width < n ? low + 2 * width : n;
            size_t i = low;
            size_t j = middle;
            for (size_t k = low; k < high; k++) {
                bool left =
                    i < middle && (j == high || compare(&item[from[i]], &item[from[j]]) <= 0);
                to[k] = left ? from[i++] : from[j++];
            }
        }
        size_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != order)
        memcpy(order, from, n * sizeof *order);
    mem_free(scratch);
}

/* Indices of the standing items, sorted; returns how many. */
static size_t standing(size_t *order, const struct hold_item *item, size_t n, compare_items compare)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (item[i].reason == HOLD_NONE)
            order[count++] = i;
    sort_items(order, count, item, compare);
    return count;
}

/* An open-addressed table from a number to what is known about it. Its order is never looked at. */
struct slot {
    uint64_t number;
    bool used;
    size_t holder; /* pass 3: who took the claim. Pass 4: standing givers */
    size_t needer; /* pass 4: first of the list of needs, + 1 */
};
struct hold_table {
    struct slot *slot;
    size_t mask;
};

static struct hold_table table_new(size_t numbers)
{
    size_t size = 16;
    while (size < 2 * numbers)
        size *= 2;
    return (struct hold_table){.slot = mem_alloc(size * sizeof(struct slot)), .mask = size - 1};
}

/* The slot of a number, or the free one where it belongs. */
static struct slot *table_find(const struct hold_table *t, uint64_t number)
{
    uint64_t h = number * 0x9e3779b97f4a7c15ULL;
    size_t i = (size_t)(h ^ h >> 32) & t->mask;
    while (t->slot[i].used && t->slot[i].number != number)
        i = (i + 1) & t->mask;
    return &t->slot[i];
}

static struct slot *table_make(struct hold_table *t, uint64_t number)
{
    struct slot *s = table_find(t, number);
    s->used = true;
    s->number = number;
    return s;
}

static void hold_births(struct hold_item *item, size_t n, size_t *order, enum birth_policy policy)
{
    size_t count = standing(order, item, n, by_birth);
    size_t end;
    for (size_t first = 0; first < count; first = end) {
        for (end = first + 1; end < count && item[order[end]].key == item[order[first]].key;)
            end++;
        size_t chosen = policy == BIRTH_LATEST ? end - 1 : first;
        for (size_t i = first; i < end; i++) {
            if (i == chosen)
                continue;
            item[order[i]].reason = HOLD_BIRTH;
            item[order[i]].blocked_by = order[chosen];
        }
    }
}

static void take_or_hold(struct hold_table *taken, struct hold_item *item, size_t at)
{
    struct hold_item *it = &item[at];
    for (size_t j = 0; j < it->n_unique; j++) {
        const struct slot *s = table_find(taken, it->unique[j]);
        if (s->used) {
            it->reason = HOLD_UNIQUE;
            it->blocked_by = s->holder;
            return;
        }
    }
    for (size_t j = 0; j < it->n_unique; j++)
        table_make(taken, it->unique[j])->holder = at;
}

static void hold_unique(struct hold_item *item, size_t n, size_t *order)
{
    size_t claims = 0;
    size_t count = standing(order, item, n, by_rank);
    for (size_t i = 0; i < count; i++)
        claims += item[order[i]].n_unique;
    struct hold_table taken = table_new(claims);
    for (size_t i = 0; i < count; i++)
        take_or_hold(&taken, item, order[i]);
    mem_free(taken.slot);
}

struct need { /* one reference of one item; a list for each number */
    size_t item;
    size_t next; /* index + 1 */
};

struct falling { /* held in pass 4, what they gave not yet taken back */
    size_t *item;
    size_t n;
};

static void fall(struct falling *f, struct hold_item *item, size_t at)
{
    if (item[at].reason != HOLD_NONE)
        return;
    item[at].reason = HOLD_PARENT;
    f->item[f->n++] = at;
}

static void link_parents(struct hold_table *t, struct need *need, const struct hold_item *item,
                         size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (item[i].reason != HOLD_NONE)
            continue;
        for (size_t j = 0; j < item[i].n_gives; j++)
            table_make(t, item[i].gives[j])->holder++;
        for (size_t j = 0; j < item[i].n_needs; j++) {
            struct slot *s = table_make(t, item[i].needs[j]);
            need[used] = (struct need){.item = i, .next = s->needer};
            s->needer = ++used;
        }
    }
}

static void fell_needers(const struct slot *s, const struct need *need, struct falling *f,
                         struct hold_item *item)
{
    for (size_t k = s->needer; k; k = need[k - 1].next)
        fall(f, item, need[k - 1].item);
}

static void hold_children(struct hold_item *item, size_t n, size_t *scratch)
{
    size_t gives = 0;
    size_t needs = 0;
    for (size_t i = 0; i < n; i++) {
        gives += item[i].n_gives;
        needs += item[i].n_needs;
    }
    struct hold_table t = table_new(gives + needs);
    struct need *need = mem_alloc(needs * sizeof *need);
    struct falling f = {.item = scratch};
    link_parents(&t, need, item, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; item[i].reason == HOLD_NONE && j < item[i].n_needs; j++)
            if (table_find(&t, item[i].needs[j])->holder == 0)
                fall(&f, item, i);
    while (f.n) {
        const struct hold_item *it = &item[f.item[--f.n]];
        for (size_t j = 0; j < it->n_gives; j++) {
            struct slot *s = table_find(&t, it->gives[j]);
            if (--s->holder == 0)
                fell_needers(s, need, &f, item);
        }
    }
    mem_free(need);
    mem_free(t.slot);
}

void hold_decide(struct hold_item *item, size_t n, enum birth_policy birth_policy)
{
    size_t *order = mem_alloc(n * sizeof *order);
    for (size_t i = 0; i < n; i++) {
        item[i].reason = item[i].valid ? HOLD_NONE : HOLD_CHECK;
        item[i].blocked_by = SIZE_MAX;
    }
    hold_births(item, n, order, birth_policy);
    hold_unique(item, n, order);
    hold_children(item, n, order);
    mem_free(order);
}
