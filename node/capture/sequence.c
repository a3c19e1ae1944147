#include "node/capture/sequence.h"

#include "node/db/query.h"
#include "node/schema/schema.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>

enum err sequence_number(struct store *s, int64_t *number)
{
    char site[17];
    snprintf(site, sizeof site, "%016llx", (unsigned long long)identity_of(s)->site);
    struct query q =
        DB_QUERY(s, "SELECT block FROM main.tonle_site WHERE site = ?1", value_text(site));
    *number = query_next(&q) ? query_i64(&q, 0) : -1;
    if (*number >= s->schema->plan.count)
        *number = -1;
    return query_end(&q);
}

static bool any_blocks(const struct store *s)
{
    for (uint32_t i = 0; i < s->schema->n_tables; i++)
        if (s->schema->tables[i].blocks)
            return true;
    return false;
}

struct table_sequence {
    int64_t sequence; /* of SQLite's own table; 0: none */
    int64_t known;    /* tonle_sequence; 0: none */
    int64_t position; /* the greatest of them and of the numbers in the table */
};

static enum err read_sequence(struct store *s, const struct table_schema *t,
                              struct table_sequence *k)
{
    struct arena a = {0};
    struct buf sql = {0};
    buf_printf(&sql,
               "SELECT coalesce((SELECT max(%s) FROM %s), 0), coalesce((SELECT max(seq) FROM"
               " main.sqlite_sequence WHERE name = ?1 COLLATE NOCASE), 0),"
               " coalesce((SELECT position FROM main.tonle_sequence WHERE t = ?2), 0)",
               schema_quote(&a, t->column[t->key[0]]), t->qname);
    struct query q = DB_QUERY(s, buf_str(&sql), value_text(t->name), value_integer(t->t));
    *k = (struct table_sequence){0};
    if (query_next(&q)) {
        k->position = query_i64(&q, 0);
        k->sequence = query_i64(&q, 1);
        k->known = query_i64(&q, 2);
    }
    if (k->sequence > k->position)
        k->position = k->sequence;
    if (k->known > k->position)
        k->position = k->known;
    buf_fini(&sql);
    arena_fini(&a);
    return query_end(&q);
}

/* SQLite finds its row by the table's name as sqlite_schema has it. */
static enum err set_sequence(struct store *s, const struct table_schema *t, int64_t to)
{
    enum err e =
        DB_RUN(s, "UPDATE main.sqlite_sequence SET seq = ?1 WHERE name = ?2 COLLATE NOCASE",
               value_integer(to), value_text(t->name));
    if (e != ERR_OK || db_changes(s) > 0)
        return e;
    return DB_RUN(s,
                  "INSERT INTO main.sqlite_sequence(name, seq) SELECT name, ?1 FROM"
                  " main.sqlite_schema WHERE type = 'table' AND name = ?2 COLLATE NOCASE",
                  value_integer(to), value_text(t->name));
}

static enum err set_known(struct store *s, const struct table_schema *t, int64_t position)
{
    return DB_RUN(s,
                  "INSERT INTO main.tonle_sequence(t, position) VALUES(?1, ?2)"
                  " ON CONFLICT(t) DO UPDATE SET position = excluded.position",
                  value_integer(t->t), value_integer(position));
}

static enum err steer(struct store *s, const struct table_schema *t, uint32_t number)
{
    struct table_sequence k;
    enum err e = read_sequence(s, t, &k);
    int64_t to = k.position;
    if (e == ERR_OK && block_is_spent(s->schema->plan, number, to)) {
        int64_t next = block_next(s->schema->plan, number, to);
        to = next < 0 ? to : next;
    }
    if (e == ERR_OK && to > k.sequence)
        e = set_sequence(s, t, to);
    if (e == ERR_OK && to != k.known)
        e = set_known(s, t, to);
    return e;
}

enum err sequence_steer(struct store *s)
{
    assert(s->in_write);
    int64_t number = -1;
    enum err e = schema_load(s);
    if (e == ERR_SCHEMA)
        return ERR_OK; /* the transaction may be what mends the charter */
    if (e != ERR_OK || !any_blocks(s))
        return e;
    e = sequence_number(s, &number);
    for (uint32_t i = 0; e == ERR_OK && number >= 0 && i < s->schema->n_tables; i++)
        if (s->schema->tables[i].blocks)
            e = steer(s, &s->schema->tables[i], (uint32_t)number);
    return e;
}

/* ---- what was born elsewhere in the numbers */

static enum err count(struct store *s, const struct table_schema *t, uint64_t n, uint64_t now_ms)
{
    return DB_RUN(s,
                  "INSERT INTO main.tonle_sequence(t, outside, outside_ms) VALUES(?1, ?2, ?3)"
                  " ON CONFLICT(t) DO UPDATE SET outside = outside + ?2, outside_ms = ?3",
                  value_integer(t->t), value_u64(n), value_u64(now_ms));
}

/* A decision gives a row the key that another has. */
static uint64_t born_outside(struct store *s, const struct changeset *cs, uint32_t table,
                             const struct collected *c, uint32_t number)
{
    const struct table_changes *tc = &cs->segments[0].tables[table];
    uint64_t n = 0;
    for (uint32_t r = 0; r < tc->n_rows; r++)
        n += tc->rows[r].kind == CHANGE_BORN && !collect_is_decision(c, table, r) &&
             tc->rows[r].key[0].type == VALUE_INTEGER &&
             !block_owns(s->schema->plan, number, tc->rows[r].key[0].u.i);
    return n;
}

enum err sequence_look(struct store *s, const struct changeset *cs, const struct collected *c,
                       uint64_t now_ms, uint64_t *outside)
{
    assert(s->in_write);
    int64_t number = -1;
    *outside = 0;
    enum err e = any_blocks(s) ? sequence_number(s, &number) : ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && number >= 0 && i < cs->segments[0].n_tables; i++) {
        const struct table_schema *t = schema_table(s, cs->segments[0].tables[i].table);
        uint64_t n = t && t->blocks ? born_outside(s, cs, i, c, (uint32_t)number) : 0;
        if (n > 0)
            e = count(s, t, n, now_ms);
        *outside += n;
    }
    return e;
}

enum err store_sequence_report(struct store *s, struct arena *a, int64_t *number,
                               struct sequence_report **out, size_t *n)
{
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    *number = -1;
    enum err e = schema_load(s);
    if (e == ERR_OK)
        e = sequence_number(s, number);
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        const struct table_schema *t = &s->schema->tables[i];
        if (!t->blocks)
            continue;
        *out = arena_grow(a, *out, *n, &cap, sizeof **out);
        struct sequence_report *r = &(*out)[(*n)++];
        *r = (struct sequence_report){.table = arena_strdup(a, t->name)};
        struct query q = DB_QUERY(s,
                                  "SELECT position, outside, coalesce(outside_ms, 0) FROM "
                                  "main.tonle_sequence WHERE t = ?1",
                                  value_integer(t->t));
        if (query_next(&q)) {
            r->position = query_i64(&q, 0);
            r->outside = query_u64(&q, 1);
            r->outside_ms = query_u64(&q, 2);
        }
        e = query_end(&q);
    }
    return e;
}
