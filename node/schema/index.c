/* What two rows of a table may clash over (UNIQUE indexes), and what rows refer to (foreign keys),
 * as SQL texts prepared once: the same forms for plain, composite, partial and expression indexes.
 */
#include "node/schema/info.h"

#include "node/db/query.h"
#include "protocol/limits.h"

#include <string.h>

/* ---- unique indexes ---- */

static uint32_t published(const struct table_schema *t, const struct table_info *info,
                          uint32_t column)
{
    return schema_column_named(t, info->column[column].name);
}

static bool is_plain(const struct index_info *x, const struct table_info *info)
{
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->part[i].cid < 0 || info->column[x->part[i].cid].generated)
            return false;
    }
    return !x->predicate;
}

/* A primary key is found by its identity, so it needs a claim only where its collation folds more.
 */
static bool is_claimed(const struct index_info *x)
{
    bool binary = true;
    for (uint32_t i = 0; i < x->n; i++)
        binary = binary && db_same_name(x->part[i].collation, "BINARY");
    return !x->primary || !binary;
}

/* False when it depends on a column that is only here: then only this office has it. */
static bool fill_columns(struct arena *a, struct unique_index *u, const struct index_info *x,
                         const struct table_schema *t, const struct table_info *info)
{
    bool *used = arena_alloc(a, t->n_columns);
    for (uint32_t c = 0; c < info->n_columns; c++) {
        if (!x->reads[c] || info->column[c].generated)
            continue;
        uint32_t i = published(t, info, c);
        if (i == UINT32_MAX)
            return false;
        used[i] = true;
        u->n_columns++;
    }
    u->columns = arena_alloc(a, u->n_columns * sizeof *u->columns);
    for (uint32_t i = 0, n = 0; i < t->n_columns; i++) {
        if (used[i])
            u->columns[n++] = i;
    }
    return true;
}

static void parameter(struct buf *b, struct arena *a, const struct table_info *info,
                      uint32_t column, void *user)
{
    (void)a;
    uint32_t i = published(user, info, column);
    if (i == UINT32_MAX)
        buf_printf(b, "NULL");
    else
        buf_printf(b, "?%u", i + 1);
}

static char *claim_sql(struct arena *a, const struct index_info *x, struct table_schema *t,
                       const struct table_info *info)
{
    bool plain = is_plain(x, info);
    struct buf b = {0}, part = {0};
    for (uint32_t i = 0; i < x->n; i++) {
        buf_printf(&b, "%s", i ? "," : "SELECT ");
        buf_printf(&part, "%s", i ? " AND " : "");
        if (plain) {
            parameter(&b, a, info, (uint32_t)x->part[i].cid, t);
            parameter(&part, a, info, (uint32_t)x->part[i].cid, t);
        } else {
            buf_printf(&b, "%s", x->part[i].sql);
            buf_printf(&part, "%s", x->part[i].sql);
        }
        buf_printf(&part, " IS NOT NULL");
    }
    if (!plain) {
        buf_printf(&b, " FROM ");
        table_row_source(&b, a, info, parameter, t);
    }
    buf_printf(&b, " WHERE %s", buf_str(&part));
    if (x->predicate)
        buf_printf(&b, " AND (%s\n)", x->predicate);
    buf_fini(&part);
    return sql_take(a, &b);
}

static uint32_t *part_columns(struct arena *a, const struct index_info *x,
                              const struct table_schema *t, const struct table_info *info)
{
    uint32_t *column = arena_alloc(a, x->n * sizeof *column);
    for (uint32_t i = 0; i < x->n; i++)
        column[i] = published(t, info, (uint32_t)x->part[i].cid);
    return column;
}

static char *blocker_sql(struct arena *a, const struct index_info *x, const struct table_schema *t)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT %s FROM %s WHERE ", t->key_order, t->qname);
    for (uint32_t i = 0; i < x->n; i++)
        buf_printf(&b, "%s%s = ?%u COLLATE %s", i ? " AND " : "", x->part[i].sql, i + 1,
                   schema_quote(a, x->part[i].collation));
    if (x->predicate)
        buf_printf(&b, " AND (%s\n)", x->predicate);
    return sql_take(a, &b);
}

static void fill_rank_columns(struct arena *a, struct table_schema *t)
{
    bool *used = arena_alloc(a, t->n_columns);
    for (uint32_t i = 0; i < t->n_key; i++)
        used[t->key[i]] = true;
    for (uint32_t u = 0; u < t->n_unique; u++) {
        for (uint32_t i = 0; i < t->unique[u].n_columns; i++)
            used[t->unique[u].columns[i]] = true;
    }
    t->unique_columns = arena_alloc(a, t->n_columns * sizeof *t->unique_columns);
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (used[i])
            t->unique_columns[t->n_unique_columns++] = i;
    }
}

void schema_fill_unique(struct arena *a, struct table_schema *t, const struct table_info *info)
{
    t->unique = arena_alloc(a, info->n_unique * sizeof *t->unique);
    for (uint32_t i = 0; i < info->n_unique; i++) {
        const struct index_info *x = &info->unique[i];
        struct unique_index u = {.name = x->name, .n = x->n};
        if (!is_claimed(x) || !fill_columns(a, &u, x, t, info))
            continue;
        u.claim_sql = claim_sql(a, x, t, info);
        if (is_plain(x, info))
            u.part_column = part_columns(a, x, t, info);
        u.blocker_sql = blocker_sql(a, x, t);
        u.collation = arena_alloc(a, x->n * sizeof *u.collation);
        for (uint32_t c = 0; c < x->n; c++)
            u.collation[c] = x->part[c].collation;
        t->unique[t->n_unique++] = u;
    }
    fill_rank_columns(a, t);
}

/* ---- foreign keys ---- */

static uint32_t table_index(const struct store *s, const char *name)
{
    for (uint32_t i = 0; i < s->schema->n_tables; i++) {
        if (s->schema->tables[i].exists && db_same_name(s->schema->tables[i].name, name))
            return i;
    }
    return UINT32_MAX;
}

static char *orphans_sql(struct store *s, struct arena *a, const struct foreign_key *fk)
{
    const struct table_schema *child = &s->schema->tables[fk->child],
                              *parent = &s->schema->tables[fk->parent];
    struct buf b = {0};
    for (uint32_t i = 0; i < child->n_key; i++)
        buf_printf(&b, "%sc.%s", i ? "," : "SELECT ",
                   schema_quote(a, child->column[child->key[i]]));
    buf_printf(&b, " FROM %s c WHERE ", child->qname);
    for (uint32_t i = 0; i < fk->n; i++)
        buf_printf(&b, "c.%s IS NOT NULL AND ",
                   schema_quote(a, child->column[fk->child_column[i]]));
    buf_printf(&b, "NOT EXISTS(SELECT 1 FROM %s p WHERE 1", parent->qname);
    for (uint32_t i = 0; i < fk->n; i++)
        buf_printf(&b, " AND p.%s = c.%s", schema_quote(a, parent->column[fk->parent_column[i]]),
                   schema_quote(a, child->column[fk->child_column[i]]));
    buf_printf(&b, ")");
    return sql_take(a, &b);
}

static void reference_sql(struct store *s, struct arena *a, struct foreign_key *fk)
{
    const struct table_schema *child = &s->schema->tables[fk->child],
                              *parent = &s->schema->tables[fk->parent];
    struct buf up = {0}, down = {0};
    fk->collation = arena_alloc(a, fk->n * sizeof *fk->collation);
    fk->orphans_sql = orphans_sql(s, a, fk);
    buf_printf(&up, "SELECT %s FROM %s WHERE ", parent->key_order, parent->qname);
    buf_printf(&down, "SELECT %s FROM %s WHERE ", child->key_order, child->qname);
    for (uint32_t i = 0; i < fk->n; i++) {
        const char *and = i ? " AND " : "";
        uint32_t p = fk->parent_column[i], c = fk->child_column[i];
        fk->collation[i] = table_collation(s, a, parent->name, parent->column[p]);
        buf_printf(&up, "%s%s = ?%u", and, schema_quote(a, parent->column[p]), i + 1);
        buf_printf(&down, "%s%s = ?%u COLLATE %s", and, schema_quote(a, child->column[c]), i + 1,
                   schema_quote(a, fk->collation[i]));
    }
    buf_printf(&up, " LIMIT 1");
    fk->parent_sql = sql_take(a, &up);
    fk->children_sql = sql_take(a, &down);
}

struct reference_list {
    struct foreign_key *fk;
    uint32_t n;
    size_t cap;
};

/* One row of foreign_key_list: adds a column to the key being read. A key of which some column is
 * not replicated gets n = 0 and is left out. */
static void add_column(struct foreign_key *fk, struct store *s, struct arena *a, const char *from,
                       const char *to)
{
    const struct table_schema *child = &s->schema->tables[fk->child],
                              *parent = &s->schema->tables[fk->parent];
    uint32_t c = schema_column_named(child, from), p = UINT32_MAX;
    if (to)
        p = schema_column_named(parent, to);
    else if (fk->n < parent->n_key) /* implicit: the parent's primary key */
        p = parent->key[fk->n];
    uint32_t *cc = arena_alloc(a, (fk->n + 1) * sizeof *cc),
             *pc = arena_alloc(a, (fk->n + 1) * sizeof *pc);
    memcpy(cc, fk->child_column ? fk->child_column : cc, fk->n * sizeof *cc);
    memcpy(pc, fk->parent_column ? fk->parent_column : pc, fk->n * sizeof *pc);
    cc[fk->n] = c;
    pc[fk->n] = p;
    fk->child_column = cc;
    fk->parent_column = pc;
    fk->n++;
}

static bool is_whole(const struct foreign_key *fk)
{
    for (uint32_t i = 0; i < fk->n; i++) {
        if (fk->child_column[i] == UINT32_MAX || fk->parent_column[i] == UINT32_MAX)
            return false;
    }
    return fk->n > 0;
}

static void add_whole(struct reference_list *l, const struct foreign_key *fk)
{
    if (!is_whole(fk))
        return;
    l->fk = mem_grow(l->fk, l->n, &l->cap, sizeof *l->fk);
    l->fk[l->n++] = *fk;
}

static enum err read_references(struct store *s, struct arena *a, uint32_t child,
                                struct reference_list *l)
{
    int64_t id = -1;
    struct foreign_key fk = {0};
    struct query q = DB_QUERY(s,
                              "SELECT id, \"table\", \"from\", \"to\""
                              " FROM pragma_foreign_key_list(?1, 'main') ORDER BY id, seq",
                              value_text(s->schema->tables[child].name));
    while (query_next(&q)) {
        uint32_t parent = table_index(s, query_text(&q, a, 1));
        if (query_i64(&q, 0) != id) {
            add_whole(l, &fk);
            fk = (struct foreign_key){.child = child, .parent = parent};
        }
        id = query_i64(&q, 0);
        if (parent != UINT32_MAX)
            add_column(&fk, s, a, query_text(&q, a, 2),
                       query_is_null(&q, 3) ? NULL : query_text(&q, a, 3));
    }
    add_whole(l, &fk);
    return query_end(&q);
}

/* Longest path from the tables that reference nothing; a cycle stops at the number of tables. */
static void fill_depths(struct store *s)
{
    bool moved = true;
    for (uint32_t round = 0; moved && round < s->schema->n_tables; round++) {
        moved = false;
        for (uint32_t i = 0; i < s->schema->n_fks; i++) {
            struct table_schema *child = &s->schema->tables[s->schema->fks[i].child];
            uint32_t above = s->schema->tables[s->schema->fks[i].parent].depth;
            if (s->schema->fks[i].child != s->schema->fks[i].parent && child->depth <= above) {
                child->depth = above + 1;
                moved = true;
            }
        }
    }
}

/* The child's columns in the order of the parent's key, where all of it is referred to. */
static void fill_key_columns(struct store *s, struct arena *a, struct foreign_key *fk)
{
    const struct table_schema *parent = &s->schema->tables[fk->parent];
    uint32_t *column = arena_alloc(a, fk->n * sizeof *column), found = 0;
    for (uint32_t k = 0; k < parent->n_key; k++) {
        for (uint32_t i = 0; i < fk->n; i++) {
            if (fk->parent_column[i] == parent->key[k] && found == k)
                column[found++] = fk->child_column[i];
        }
    }
    if (found == parent->n_key && found == fk->n)
        fk->key_column = column;
}

/* A changeset has so many of one table; others are as if they named nobody. */
static void limit_key_columns(struct store *s)
{
    for (uint32_t t = 0; t < s->schema->n_tables; t++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < s->schema->n_fks; i++) {
            if (s->schema->fks[i].child == t && s->schema->fks[i].key_column &&
                ++n > LIMIT_REFERENCES)
                s->schema->fks[i].key_column = NULL;
        }
    }
}

enum err schema_fill_references(struct store *s, struct arena *a)
{
    struct reference_list l = {0};
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_tables; i++) {
        if (s->schema->tables[i].exists && !s->schema->tables[i].internal)
            e = read_references(s, a, i, &l);
    }
    s->schema->n_fks = l.n;
    s->schema->fks = arena_copy(a, l.fk, l.n * sizeof *l.fk);
    mem_free(l.fk);
    for (uint32_t i = 0; e == ERR_OK && i < s->schema->n_fks; i++)
        reference_sql(s, a, &s->schema->fks[i]);
    for (uint32_t i = 0; i < s->schema->n_fks; i++)
        fill_key_columns(s, a, &s->schema->fks[i]);
    limit_key_columns(s);
    fill_depths(s);
    return e;
}
