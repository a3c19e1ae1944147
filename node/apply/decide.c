/* Passes 1-3 for the rows that contend: births of one key, and rows that share a unique value,
 * transitively. Twins (conflict/twin.h) are left out: the birth that each is equal to contends for
 * both. The set is closed first (who stands in the way, who waits with a claim), then
 * decided as a whole by hold_decide, then the table is made to fit.
 */
#include "node/apply/work.h"

#include "conflict/hold.h"
#include "conflict/map.h"
#include "conflict/twin.h"
#include "node/db/query.h"

#include <assert.h>
#include <string.h>

struct claim { /* one birth's claim to one unique value, as a number for hold_decide */
    struct bytes folded;
    const struct table_schema *t;
    uint32_t index;
};
struct contender {
    struct work_row *r;
    struct birth *b;
    bool valid;
    struct value *values;
    uint64_t *unique;
    size_t n_unique;
};
struct contest {
    struct work *w;
    struct contender *c;
    size_t n, cap;
    struct claim *claim; /* interned */
    size_t n_claims, cap_claims;
    struct map by_value; /* of `claim` */
};

static uint64_t claim_hash(const struct claim *c)
{
    return hash_key(VALUE_HASH_SEED + c->t->t * 131u + c->index, c->folded.p, c->folded.len);
}

static bool claim_equal(const struct claim *x, const struct claim *y)
{
    return x->t == y->t && x->index == y->index && x->folded.len == y->folded.len &&
           memcmp(x->folded.p, y->folded.p, x->folded.len) == 0;
}

/* The claim's number; *fresh when it was not known. */
static uint64_t intern(struct contest *k, const struct claim *c, bool *fresh)
{
    uint64_t hash = claim_hash(c);
    struct map_search at = map_seek(&k->by_value, hash);
    *fresh = false;
    while (map_next(&k->by_value, &at)) {
        if (claim_equal(&k->claim[at.number], c))
            return at.number + 1;
    }
    map_put(&k->by_value, hash, (uint32_t)k->n_claims);
    k->claim = arena_grow(k->w->a, k->claim, k->n_claims, &k->cap_claims, sizeof *k->claim);
    k->claim[k->n_claims++] = *c;
    *fresh = true;
    return k->n_claims;
}

/* ---- closing the set ---- */

static enum err join(struct contest *k, const struct table_schema *t, const void *key, size_t len)
{
    struct work_row *r = work_get(k->w, t, key, len);
    enum err e = work_load(k->w, r);
    if (e == ERR_OK && !r->slow)
        r->slow = true; /* picked up by close_set, which walks the rows to the end */
    return e;
}

/* Whoever stands in the table with this value. */
static enum err join_standing(struct contest *k, const struct table_schema *t, uint32_t index,
                              const struct value *v)
{
    const struct unique_index *u = &t->unique[index];
    struct bytes key = {0};
    struct query q = query_of(k->w->s, u->blocker_sql, u->n, v);
    bool stands = query_next(&q);
    if (stands)
        key = work_key_at(k->w, &q, t);
    enum err e = query_end(&q);
    return e == ERR_OK && stands ? join(k, t, key.p, key.len) : e;
}

/* Whoever is held with a claim to it. */
static enum err join_claimants(struct contest *k, const struct claim *c)
{
    struct work_keys list;
    enum err e = work_claimants(k->w, c->t, c->index, c->folded, &list);
    for (size_t i = 0; e == ERR_OK && i < list.n; i++)
        e = join(k, c->t, list.key[i].p, list.key[i].len);
    return e;
}

static enum err add_claims(struct contest *k, struct contender *c)
{
    const struct table_schema *t = c->r->k.t;
    c->unique = arena_alloc(k->w->a, (t->n_unique + 1) * sizeof *c->unique);
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < t->n_unique; i++) {
        struct claim claim = {.t = t, .index = i};
        struct value *v = NULL;
        bool claims = false, fresh = false;
        e = row_claim(k->w->s, k->w->a, t, i, c->values, &claims, &v, &claim.folded);
        if (e != ERR_OK || !claims)
            continue;
        c->unique[c->n_unique++] = intern(k, &claim, &fresh);
        if (fresh)
            e = join_standing(k, t, i, v);
        if (e == ERR_OK && fresh && row_any_claims(k->w->s))
            e = join_claimants(k, &claim);
    }
    return e;
}

/* Pass 1. What failed before and was not changed since still fails. */
static enum err check(struct contest *k, struct contender *c)
{
    struct work_row *r = c->r;
    char *message = NULL;
    c->valid = work_sums_stand(k->w, r, c->b, &message);
    if (!c->valid) {
        r->message[0] = message;
        return ERR_OK;
    }
    if (r->now && c->b == row_standing(&r->row, &r->k.t->rules) &&
        work_same(r->k.t, r->now, c->values))
        return ERR_OK;
    if (c->b->held == HOLD_CHECK && !r->touched && !r->retry) {
        c->valid = false;
        return ERR_OK;
    }
    enum err e = work_probe(k->w, r, c->b, &c->valid, &message);
    if (e == ERR_OK && !c->valid)
        r->message[0] = message;
    return e;
}

static enum err add_row(struct contest *k, struct work_row *r)
{
    /* Another birth, or none, may stand at this key now: who waits for it contends, too. */
    enum err e = work_contended(k->w, r->k.t) ? work_release_blocked(k->w, r) : ERR_OK;
    const struct birth **twin_of = row_twins(k->w->a, &r->row, &r->k.t->rules);
    for (uint32_t i = 0; e == ERR_OK && i < r->row.n_births; i++) {
        struct birth *b = &r->row.births[i];
        if (twin_of && twin_of[i])
            work_hold(b, HOLD_TWIN);
        if (!birth_alive(b, &r->k.t->rules) || (twin_of && twin_of[i]))
            continue;
        k->c = arena_grow(k->w->a, k->c, k->n, &k->cap, sizeof *k->c);
        struct contender *c = &k->c[k->n++];
        *c = (struct contender){.r = r, .b = b, .values = work_shown(k->w, r, b)};
        size_t at = k->n - 1;
        e = check(k, c);
        if (e == ERR_OK)
            e = add_claims(k, &k->c[at]);
    }
    return e;
}

static enum err close_set(struct contest *k)
{
    enum err e = ERR_OK;
    bool more = true;
    while (e == ERR_OK &&
           more) { /* rows that join stand anywhere in the list: go round until none */
        more = false;
        for (size_t i = 0; e == ERR_OK && i < k->w->n; i++) {
            struct work_row *r = k->w->row[i];
            bool unsealed = false;
            if (!r->slow || r->decided)
                continue;
            r->decided = more = true;
            e = work_load(k->w, r);
            if (e == ERR_OK)
                e = work_unsealed(k->w, r, &unsealed);
            if (e == ERR_OK && !unsealed)
                e = add_row(k, r);
        }
    }
    return e;
}

/* ---- deciding and making the table fit ---- */

/* The same number at every office, as neither the table's number nor hash_key need be. */
static uint64_t tie_of(const struct row_key *k)
{
    uint64_t h = bytes_hash(VALUE_HASH_SEED, k->t->name, strlen(k->t->name) + 1);
    return bytes_hash(h, k->key, k->len);
}

/* Births of one table: what contends is of one table, and the birth policy is the table's. */
static void decide_table(struct contest *k, const struct table_schema *t)
{
    struct hold_item *item = arena_alloc(k->w->a, (k->n + 1) * sizeof *item);
    size_t *of = arena_alloc(k->w->a, (k->n + 1) * sizeof *of); /* item -> contender */
    size_t n = 0;
    uint32_t number = 0;
    for (size_t i = 0; i < k->n; i++) {
        struct contender *c = &k->c[i];
        if (c->r->k.t != t)
            continue;
        if (n > 0 && k->c[of[n - 1]].r != c->r)
            number++;
        item[n] = (struct hold_item){
            .key = number,
            .birth = c->b->name,
            .birth_hlc = c->b->hlc,
            .rank = birth_rank(c->b, &t->rules, t->unique_columns, t->n_unique_columns),
            .tie = tie_of(&c->r->k),
            .valid = c->valid,
            .unique = c->unique,
            .n_unique = c->n_unique};
        of[n++] = i;
    }
    if (n > 0)
        hold_decide(item, n, t->rules.birth_policy);
    for (size_t i = 0; i < n; i++) {
        struct contender *c = &k->c[of[i]];
        work_hold(c->b, item[i].reason);
        if (item[i].reason == HOLD_UNIQUE) { /* one at most: pass 2 holds the others of the key */
            assert(item[i].blocked_by < n);
            c->r->blocker = k->c[of[item[i].blocked_by]].r;
        }
        c->r->touched = true;
    }
}

static void decide(struct contest *k)
{
    for (uint32_t i = 0; i < k->w->s->schema->n_tables; i++)
        decide_table(k, &k->w->s->schema->tables[i]);
}

static struct contender *chosen(struct contest *k, const struct work_row *r)
{
    for (size_t i = 0; i < k->n; i++) {
        if (k->c[i].r == r && k->c[i].b->held == HOLD_NONE)
            return &k->c[i];
    }
    return NULL;
}

/* Whether the birth in the table has become a twin of this one: then its row stays, with the values
 * of columns that are only here, and is changed. */
static bool takes_over(struct contest *k, const struct contender *c)
{
    const struct birth *before = row_find_birth(&c->r->row, c->r->in_table);
    return before && before->held == HOLD_TWIN &&
           row_twin_of(k->w->a, &c->r->row, &c->r->k.t->rules, before) == c->b;
}

static enum err put_chosen(struct contest *k, struct contender *c, bool *clash)
{
    enum row_put result = PUT_OK;
    char *message = NULL;
    enum err e = ERR_OK;
    assert(c->b->held == HOLD_NONE);
    if (c->r->now && !dot_equal(c->r->in_table, c->b->name) && !takes_over(k, c))
        e = work_take(k->w, c->r); /* another identity stands at this key */
    if (e == ERR_OK)
        e = work_put(k->w, c->r, c->b, &result, &message);
    if (e == ERR_OK && result == PUT_OK)
        c->r->in_table = c->b->name;
    *clash = e == ERR_OK && result == PUT_UNIQUE;
    if (e == ERR_OK && (result == PUT_LOCAL || result == PUT_INVALID)) {
        work_hold(c->b, result == PUT_LOCAL ? HOLD_LOCAL : HOLD_CHECK);
        c->r->message[0] = message;
        e = work_take(k->w, c->r);
    }
    if (e == ERR_OK && *clash)
        c->r->message[1] = message;
    return e;
}

/* None of `todo` could be put: a value changes hands in a ring, and taking one row out frees it. Or
 * nothing of ours is in the way, and only this office's schema refuses: then the last is held.
 * *left: how many are to be put still. */
static enum err break_ring(struct contest *k, struct contender **todo, size_t *left)
{
    assert(*left > 0);
    for (size_t i = 0; i < *left; i++)
        if (todo[i]->r->now)
            return work_take(k->w, todo[i]->r);
    struct contender *last = todo[--*left];
    work_hold(last->b, HOLD_LOCAL);
    last->r->message[0] = last->r->message[1];
    return ERR_OK;
}

/* Rows go out first, then come in. */
static enum err fit(struct contest *k)
{
    enum err e = ERR_OK;
    struct contender **todo = arena_alloc(k->w->a, (k->n + 1) * sizeof *todo);
    size_t n = 0;
    for (size_t i = 0; e == ERR_OK && i < k->n; i++) {
        struct contender *c = &k->c[i];
        if (c->b->held == HOLD_NONE)
            todo[n++] = c;
        else if (c->r->now && !chosen(k, c->r))
            e = work_take(k->w, c->r);
    }
    while (e == ERR_OK && n > 0) {
        size_t left = 0;
        for (size_t i = 0; e == ERR_OK && i < n; i++) {
            bool clash = false;
            e = put_chosen(k, todo[i], &clash);
            if (e == ERR_OK && clash)
                todo[left++] = todo[i];
        }
        if (e == ERR_OK && left == n)
            e = break_ring(k, todo, &left);
        n = left;
    }
    return e;
}

enum err work_contend(struct work *w)
{
    struct contest k = {.w = w, .by_value.a = w->a};
    enum err e = close_set(&k);
    if (e != ERR_OK || k.n == 0)
        return e;
    decide(&k);
    return fit(&k);
}
