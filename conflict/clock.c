#include "conflict/clock.h"

#include "conflict/mem.h"

#include <string.h>

#define ENTRY_MIN_BYTES 9 /* 8 of site, at least 1 of seq */

bool dot_is_none(struct dot d)
{
    return d.site == 0 && d.seq == 0;
}

bool dot_equal(struct dot a, struct dot b)
{
    return a.site == b.site && a.seq == b.seq;
}

int dot_compare(struct dot a, struct dot b)
{
    if (a.site != b.site)
        return a.site < b.site ? -1 : 1;
    return (a.seq > b.seq) - (a.seq < b.seq);
}

void clock_fini(struct clock *c)
{
    mem_free(c->entry);
    *c = (struct clock){0};
}

void clock_reset(struct clock *c)
{
    c->n = 0;
}

void clock_copy(struct clock *to, const struct clock *from)
{
    if (to == from)
        return;
    if (from->n) {
        to->entry = mem_grow(to->entry, from->n - 1, &to->cap, sizeof *to->entry);
        memcpy(to->entry, from->entry, from->n * sizeof *to->entry);
    }
    to->n = from->n;
}

/* Index of the first entry whose site is not below `site`. */
static size_t lower_bound(const struct clock *c, uint64_t site)
{
    size_t low = 0;
    size_t high = c->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->entry[middle].site < site)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t clock_get(const struct clock *c, uint64_t site)
{
    size_t i = lower_bound(c, site);
    return i < c->n && c->entry[i].site == site ? c->entry[i].seq : 0;
}

void clock_set(struct clock *c, uint64_t site, uint64_t seq)
{
    size_t i = lower_bound(c, site);
    bool present = i < c->n && c->entry[i].site == site;
    if (present && seq) {
        c->entry[i].seq = seq;
    } else if (present) {
        memmove(c->entry + i, c->entry + i + 1, (c->n - i - 1) * sizeof *c->entry);
        c->n--;
    } else if (seq) {
        c->entry = mem_grow(c->entry, c->n, &c->cap, sizeof *c->entry);
        memmove(c->entry + i + 1, c->entry + i, (c->n - i) * sizeof *c->entry);
        c->entry[i] = (struct clock_entry){site, seq};
        c->n++;
    }
}

void clock_raise(struct clock *c, uint64_t site, uint64_t seq)
{
    if (seq > clock_get(c, site))
        clock_set(c, site, seq);
}

/* Entries of `other` that c has not: what a join adds. */
static size_t count_missing(const struct clock *c, const struct clock *other)
{
    size_t missing = 0;
    size_t i = 0;
    for (size_t j = 0; j < other->n; j++) {
        while (i < c->n && c->entry[i].site < other->entry[j].site)
            i++;
        if (i == c->n || c->entry[i].site != other->entry[j].site)
            missing++;
    }
    return missing;
}

void clock_join(struct clock *c, const struct clock *other)
{
    if (c == other || other->n == 0)
        return;
    size_t i = c->n;
    size_t j = other->n;
    size_t k = c->n + count_missing(c, other);
    c->entry = mem_grow(c->entry, k - 1, &c->cap, sizeof *c->entry);
    c->n = k;
    while (j) { /* from the end, in place: entries only move up */
        struct clock_entry theirs = other->entry[j - 1];
        if (i && c->entry[i - 1].site > theirs.site) {
            c->entry[--k] = c->entry[--i];
            continue;
        }
        if (i && c->entry[i - 1].site == theirs.site) {
            uint64_t ours = c->entry[--i].seq;
            theirs.seq = ours > theirs.seq ? ours : theirs.seq;
        }
        c->entry[--k] = theirs;
        j--;
    }
}

bool clock_covers(const struct clock *c, struct dot d)
{
    return clock_get(c, d.site) >= d.seq;
}

bool clock_includes(const struct clock *c, const struct clock *other)
{
    size_t i = 0;
    for (size_t j = 0; j < other->n; j++) {
        while (i < c->n && c->entry[i].site < other->entry[j].site)
            i++;
        if (i == c->n || c->entry[i].site != other->entry[j].site ||
            c->entry[i].seq < other->entry[j].seq)
            return false;
    }
    return true;
}

enum clock_order clock_compare(const struct clock *a, const struct clock *b)
{
    bool after = clock_includes(a, b);
    bool before = clock_includes(b, a);
    if (after && before)
        return CLOCK_EQUAL;
    if (after)
        return CLOCK_AFTER;
    return before ? CLOCK_BEFORE : CLOCK_CONCURRENT;
}

void clock_encode(struct buf *b, const struct clock *c)
{
    buf_put_varint(b, c->n);
    for (size_t i = 0; i < c->n; i++) {
        buf_put_u64(b, c->entry[i].site);
        buf_put_varint(b, c->entry[i].seq);
    }
}

static enum err decode_entries(struct cursor *cur, struct clock *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t site = cursor_u64(cur);
        uint64_t seq = cursor_varint(cur);
        if (cur->failed || seq == 0 || (i && site <= c->entry[i - 1].site))
            return ERR_MALFORMED;
        c->entry = mem_grow(c->entry, i, &c->cap, sizeof *c->entry);
        c->entry[i] = (struct clock_entry){site, seq};
        c->n = i + 1;
    }
    return ERR_OK;
}

enum err clock_decode(struct cursor *cur, struct clock *c, size_t max_entries)
{
    clock_reset(c);
    uint64_t n = cursor_varint(cur);
    if (cur->failed)
        return ERR_MALFORMED;
    if (n > max_entries)
        return ERR_LIMIT;
    if (n > cur->left / ENTRY_MIN_BYTES)
        return ERR_MALFORMED;
    enum err e = decode_entries(cur, c, (size_t)n);
    if (e)
        clock_reset(c);
    return e;
}
