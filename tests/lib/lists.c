#include "tests/lib/lists.h"

#include <stdlib.h>

struct kept {
    struct arena *a;
    struct held_record *held;
    struct conflict_record *conflict;
    size_t n, cap;
};

static void keep_held(const struct held_record *h, void *user)
{
    struct kept *k = user;
    struct held_record *x;
    k->held = arena_grow(k->a, k->held, k->n, &k->cap, sizeof *k->held);
    x = &k->held[k->n++];
    *x = *h;
    x->id = arena_strdup(k->a, h->id);
    x->table = arena_strdup(k->a, h->table);
    x->key_json = arena_strdup(k->a, h->key_json);
    x->reason = arena_strdup(k->a, h->reason);
    x->message = arena_strdup(k->a, h->message);
    x->office = arena_strdup(k->a, h->office);
    x->blocked_by = arena_strdup(k->a, h->blocked_by);
}

struct held_record *lists_held(struct store *s, struct arena *a, size_t *n)
{
    struct kept k = {.a = a};
    if (store_held_each(s, 0, keep_held, &k) != ERR_OK)
        abort();
    *n = k.n;
    return k.held;
}

static void keep_conflict(const struct conflict_record *c, void *user)
{
    struct kept *k = user;
    struct conflict_record *x;
    k->conflict = arena_grow(k->a, k->conflict, k->n, &k->cap, sizeof *k->conflict);
    x = &k->conflict[k->n++];
    *x = *c;
    x->id = arena_strdup(k->a, c->id);
    x->table = arena_strdup(k->a, c->table);
    x->key_json = arena_strdup(k->a, c->key_json);
    x->cell = arena_strdup(k->a, c->cell);
    x->policy = arena_strdup(k->a, c->policy);
    x->state = arena_strdup(k->a, c->state);
    x->sides = arena_copy(k->a, c->sides, c->n_sides * sizeof *c->sides);
    for (size_t i = 0; i < c->n_sides; i++) {
        x->sides[i].office = arena_strdup(k->a, c->sides[i].office);
        x->sides[i].unit = arena_strdup(k->a, c->sides[i].unit);
        x->sides[i].value = value_copy(k->a, &c->sides[i].value);
    }
}

struct conflict_record *lists_filtered(struct store *s, struct arena *a,
                                       const struct conflict_filter *f, size_t *n)
{
    struct kept k = {.a = a};
    if (store_conflict_each(s, f, keep_conflict, &k) != ERR_OK)
        abort();
    *n = k.n;
    return k.conflict;
}

struct conflict_record *lists_conflicts(struct store *s, struct arena *a, bool open, size_t *n)
{
    struct conflict_filter f = {.state = open ? "open" : NULL};
    return lists_filtered(s, a, &f, n);
}

struct dot lists_side(const struct conflict_record *c, uint64_t site)
{
    for (size_t i = 0; i < c->n_sides; i++) {
        if (c->sides[i].dot.site == site)
            return c->sides[i].dot;
    }
    abort();
}
