/* Conflicts as an operator reads them.
 *
 * A list has two ways to find the sides. Of a few conflicts they are looked up one by one. Of many,
 * both tables are read once in the order of their keys, which is the conflict's number, and joined
 * here; the sort by time is ours as well. A hundred thousand conflicts come in a fifth of a second
 * that way, which neither SQLite's sorter nor a seek for each of them allows. */
#include "node/desk/review.h"

#include "conflict/hlc.h"
#include "node/db/query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FEW 2000

#define CONFLICT_COLUMNS                                                                           \
    "id, table_name, key, cell, policy, state, opened_ms, closed_ms, successor, n"
#define SIDE_OFFICES "n, site, seq, office, unit"
#define SIDE_COLUMNS SIDE_OFFICES ", hlc, shown, form, value, detail"

/* ---- rows */

#define WORDS 4

struct word_cache { /* texts that come again and again: the last few of each column */
    const char *of[6][WORDS];
    unsigned next;
};

static const char *repeated(struct arena *a, struct word_cache *w, unsigned slot,
                            const struct query *q, int i)
{
    const char **of = w->of[slot];
    const char *p = query_borrow_text(q, i);
    unsigned k = 0;
    for (; k < WORDS && of[k]; k++)
        if (strcmp(of[k], p) == 0)
            return of[k];
    if (k == WORDS)
        k = w->next++ % WORDS;
    return of[k] = arena_strdup(a, p);
}

static struct conflict_record conflict_from(struct arena *a, struct word_cache *w,
                                            const struct query *q)
{
    return (struct conflict_record){.id = query_text(q, a, 0),
                                    .table = repeated(a, w, 0, q, 1),
                                    .key_json = query_text(q, a, 2),
                                    .cell = repeated(a, w, 1, q, 3),
                                    .policy = repeated(a, w, 2, q, 4),
                                    .state = repeated(a, w, 3, q, 5),
                                    .opened_ms = query_u64(q, 6),
                                    .closed_ms = query_u64(q, 7),
                                    .successor = query_text(q, a, 8)};
}

static struct conflict_side side_from(struct arena *a, struct word_cache *w, const struct query *q,
                                      bool offices_only)
{
    struct conflict_side side = {.dot = {query_u64(q, 1), query_u64(q, 2)},
                                 .office = repeated(a, w, 4, q, 3),
                                 .unit = repeated(a, w, 5, q, 4)};
    if (offices_only)
        return side;
    side.at_hlc = query_u64(q, 5);
    side.shown = query_i64(q, 6) != 0;
    side.value = query_value(q, a, 8);
    if (side.value.type == VALUE_BLOB && query_i64(q, 7) == VALUE_TUPLE)
        side.value.type = VALUE_TUPLE;
    if (!query_is_null(q, 9))
        side.detail = query_text(q, a, 9);
    return side;
}

/* SQLite's order of sites is that of signed numbers: nearly always the sides are in order already.
 */
static void sort_sides(struct conflict_side *side, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct conflict_side moved = side[i];
        size_t at = i;
        for (; at > 0 && dot_compare(side[at - 1].dot, moved.dot) > 0; at--)
            side[at] = side[at - 1];
        side[at] = moved;
    }
}

uint32_t list_cell(const struct table_schema *t, const char *name)
{
    if (strcmp(name, "exists") == 0)
        return COLUMN_EXISTS;
    if (strcmp(name, "birth") == 0)
        return COLUMN_BIRTH;
    for (uint32_t c = 0; t->rules.group && c < t->n_columns; c++)
        if (t->rules.group[c] && strcmp(t->rules.group[c]->name, name) == 0)
            return cell_of(&t->rules, c);
    uint32_t c = schema_column(t, name);
    return c != UINT32_MAX ? c : CELL_UNKNOWN;
}

/* The columns of a group, in its order. */
static void name_members(struct store *s, struct arena *a, struct conflict_record *c)
{
    const struct table_schema *t = schema_table(s, c->table);
    uint32_t cell = t ? list_cell(t, c->cell) : CELL_UNKNOWN;
    bool column = t && cell < t->n_columns;
    const struct cell_group *g = column ? cell_group_of(&t->rules, cell) : NULL;
    if (!g)
        return;
    const char **names = arena_alloc(a, g->n * sizeof *names);
    for (uint32_t i = 0; i < g->n; i++)
        names[i] = arena_strdup(a, t->column[g->column[i]]);
    c->members = names;
    c->n_members = g->n;
}

/* ---- the sides */

struct gather {
    struct store *s;
    struct arena *a;
    struct word_cache words;
    struct conflict_record *list; /* of many: in the order of their numbers */
    int64_t *number;              /* of each */
    size_t n, cap, cap_numbers;
    struct conflict_side *side;
    size_t n_sides, cap_sides;
    bool offices_only;
};

static void take_sides(struct gather *g, struct conflict_record *c)
{
    sort_sides(g->side, g->n_sides);
    c->n_sides = g->n_sides;
    c->sides = arena_copy(g->a, g->side, g->n_sides * sizeof *g->side);
    for (size_t i = 0; i < c->n_sides && c->n_members == 0; i++)
        if (c->sides[i].value.type == VALUE_TUPLE)
            name_members(g->s, g->a, c);
    g->n_sides = 0;
}

static void add_side(struct gather *g, const struct query *q)
{
    g->side = mem_grow(g->side, g->n_sides, &g->cap_sides, sizeof *g->side);
    g->side[g->n_sides++] = side_from(g->a, &g->words, q, g->offices_only);
}

static enum err sides_of_each(struct gather *g)
{
    const char *sql = g->offices_only ? "SELECT " SIDE_OFFICES " FROM tonle_side WHERE n = ?1"
                                      : "SELECT " SIDE_COLUMNS " FROM tonle_side WHERE n = ?1";
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < g->n; i++) {
        struct query q = DB_QUERY(g->s, sql, value_integer(g->number[i]));
        while (query_next(&q))
            add_side(g, &q);
        e = query_end(&q);
        take_sides(g, &g->list[i]);
    }
    return e;
}

static enum err sides_of_all(struct gather *g)
{
    size_t i = 0;
    struct query q =
        DB_QUERY(g->s, g->offices_only ? "SELECT " SIDE_OFFICES " FROM tonle_side ORDER BY n"
                                       : "SELECT " SIDE_COLUMNS " FROM tonle_side ORDER BY n");
    for (size_t k = 1; k < g->n; k++)
        assert(g->number[k - 1] < g->number[k]);
    while (i < g->n && query_next(&q)) {
        int64_t number = query_i64(&q, 0);
        while (i < g->n && g->number[i] < number)
            take_sides(g, &g->list[i++]);
        if (i < g->n && g->number[i] == number)
            add_side(g, &q);
    }
    enum err e = query_end(&q);
    for (; e == ERR_OK && i < g->n; i++)
        take_sides(g, &g->list[i]);
    return e;
}

/* ---- the list */

struct place_in_time { /* small, because it is sorted by the hundred thousand */
    uint64_t ms;
    uint64_t head; /* of the id */
    const struct conflict_record *c;
};

static int by_time(const void *x, const void *y)
{
    const struct place_in_time *p = x, *q = y;
    if (p->ms != q->ms)
        return p->ms < q->ms ? -1 : 1;
    if (p->head != q->head)
        return p->head < q->head ? -1 : 1;
    return strcmp(p->c->id, q->c->id);
}

static uint64_t head_of(const char *id)
{
    uint64_t head = 0;
    for (unsigned i = 0; i < 8 && id[i] != '\0'; i++)
        head |= (uint64_t)(uint8_t)id[i] << (56 - 8 * i);
    return head;
}

/* The conflicts, the oldest first, by their ids where they are as old; freed by the caller. */
static struct place_in_time *in_time(const struct conflict_record *list, size_t n)
{
    struct place_in_time *order = mem_alloc((n + 1) * sizeof *order);
    for (size_t i = 0; i < n; i++)
        order[i] = (struct place_in_time){list[i].opened_ms, head_of(list[i].id), &list[i]};
    qsort(order, n, sizeof *order, by_time);
    return order;
}

/* Only the oldest, in the order they had. */
static void keep_oldest(struct gather *g, size_t limit)
{
    assert(limit < g->n);
    struct place_in_time *order = in_time(g->list, g->n);
    bool *kept = mem_alloc(g->n * sizeof *kept);
    size_t n = 0;
    for (size_t i = 0; i < limit; i++)
        kept[order[i].c - g->list] = true;
    for (size_t i = 0; i < g->n; i++) {
        g->list[n] = g->list[i];
        g->number[n] = g->number[i];
        n += kept[i];
    }
    g->n = n;
    assert(n == limit);
    mem_free(kept);
    mem_free(order);
}

/* *few: the index of the open ones is the shorter way. */
static enum err few_open(struct store *s, bool *few)
{
    struct query q = DB_QUERY(s, "SELECT count(*) FROM (SELECT 1 FROM tonle_conflict INDEXED BY"
                                 " tonle_conflict_open WHERE state = 'open' LIMIT 2001)");
    *few = query_next(&q) && query_i64(&q, 0) <= FEW;
    return query_end(&q);
}

static struct query start(struct store *s, const struct conflict_filter *f)
{
    const char *const given[] = {f->table, f->policy, f->state, f->cell};
    static const char *const column[] = {"table_name", "policy", "state", "cell"};
    struct buf sql = {0};
    bool few = false;
    enum err e = ERR_OK;
    if (f->state && strcmp(f->state, "open") == 0)
        e = few_open(s, &few);
    buf_printf(&sql, "SELECT " CONFLICT_COLUMNS " FROM tonle_conflict%s WHERE %s",
               few ? " INDEXED BY tonle_conflict_open" : "",
               few         ? "state = 'open'"
               : !f->state ? "+state <> 'superseded'"
                           : "1");
    for (int i = 0; i < 4; i++) /* the plus: by the key, never by the index of the open ones */
        if (given[i])
            buf_printf(&sql, " AND +%s = ?%d", column[i], i + 1);
    buf_printf(&sql, few ? "" : " ORDER BY n");
    struct query q = DB_QUERY(s, buf_str(&sql));
    query_fail(&q, e);
    for (int i = 0; i < 4; i++)
        if (given[i])
            query_bind(&q, i + 1, value_text(given[i]));
    buf_fini(&sql);
    return q;
}

static bool side_wanted(const struct conflict_filter *f, const struct conflict_record *c)
{
    bool wanted = !f->office && !f->unit;
    for (size_t i = 0; i < c->n_sides && !wanted; i++)
        wanted = (!f->office || strcmp(c->sides[i].office, f->office) == 0) &&
                 (!f->unit || strncmp(c->sides[i].unit, f->unit, strlen(f->unit)) == 0);
    return wanted;
}

static enum err gather_all(struct gather *g, const struct conflict_filter *f)
{
    enum err e = schema_load(g->s);
    if (e != ERR_OK)
        return e;
    struct query q = start(g->s, f);
    while (query_next(&q)) {
        g->list = mem_grow(g->list, g->n, &g->cap, sizeof *g->list);
        g->number = mem_grow(g->number, g->n, &g->cap_numbers, sizeof *g->number);
        g->number[g->n] = query_i64(&q, 9);
        g->list[g->n++] = conflict_from(g->a, &g->words, &q);
    }
    e = query_end(&q);
    if (e != ERR_OK || g->n == 0)
        return e;
    if (!f->office && !f->unit && f->limit > 0 && g->n > f->limit)
        keep_oldest(g, (size_t)f->limit);
    return g->n <= FEW ? sides_of_each(g) : sides_of_all(g);
}

enum err store_conflict_each(struct store *s, const struct conflict_filter *f, conflict_fn *fn,
                             void *user)
{
    struct arena a = {0};
    struct gather g = {.s = s, .a = &a, .offices_only = f->offices_only};
    uint64_t done = 0;
    enum err e = gather_all(&g, f);
    struct place_in_time *order = in_time(g.list, e == ERR_OK ? g.n : 0);
    for (size_t i = 0; e == ERR_OK && i < g.n && (f->limit == 0 || done < f->limit); i++) {
        const struct conflict_record *c = order[i].c;
        if (!side_wanted(f, c))
            continue;
        fn(c, user);
        done++;
    }
    mem_free(order);
    mem_free(g.list);
    mem_free(g.number);
    mem_free(g.side);
    arena_fini(&a);
    return e;
}

/* ---- one */

static enum err find_conflict(struct gather *g, const char *id, struct conflict_place *place)
{
    struct query q = DB_QUERY(g->s,
                              "SELECT " CONFLICT_COLUMNS ", t, k, bsite, bseq FROM tonle_conflict"
                              " WHERE id = ?1",
                              value_text(id));
    bool found = query_next(&q);
    if (found) {
        *g->list = conflict_from(g->a, &g->words, &q);
        *g->number = query_i64(&q, 9);
        place->t = schema_by_number(g->s, (uint32_t)query_i64(&q, 10));
        place->key = query_bytes(&q, g->a, 11);
        place->birth = (struct dot){query_u64(&q, 12), query_u64(&q, 13)};
    }
    enum err e = query_end(&q);
    return e == ERR_OK && !found ? ERR_NOT_FOUND : e;
}

enum err list_conflict(struct store *s, struct arena *a, const char *id,
                       struct conflict_record *out, struct conflict_place *place)
{
    const char *full;
    int64_t number;
    struct gather g = {.s = s, .a = a, .list = out, .number = &number, .n = 1};
    enum err e = schema_load(s);
    if (e == ERR_OK)
        e = list_full_id(s, a, "conflict", CONFLICT_IDS, id, &full);
    if (e == ERR_OK)
        e = find_conflict(&g, full, place);
    if (e == ERR_OK)
        e = sides_of_each(&g);
    mem_free(g.side);
    return e;
}
