/* The published tables: what the newest charter says of them, matched with what stands in this
 * database.
 *
 * Read again when PRAGMA schema_version or the newest charter differs from what they were read
 * from; both are looked at on every call, since another process may change either. */
#include "node/schema/schema.h"

#include "node/db/query.h"
#include "node/schema/info.h"
#include "node/schema/own.h"
#include "node/schema/rules.h"
#include "node/state/state.h"
#include "protocol/limits.h"

#include <string.h>

/* ---- names ---- */

char *schema_quote(struct arena *a, const char *name)
{
    char *out = arena_alloc(a, 2 * strlen(name) + 3), *p = out;
    *p++ = '"';
    for (; *name; name++) {
        if (*name == '"')
            *p++ = '"';
        *p++ = *name;
    }
    *p = '"';
    return out;
}

struct table_schema *schema_table(struct store *s, const char *name)
{
    for (uint32_t i = 0; i < s->schema->n_tables; i++) {
        if (strcmp(s->schema->tables[i].name, name) == 0)
            return &s->schema->tables[i];
    }
    return NULL;
}

struct table_schema *schema_by_number(struct store *s, uint32_t t)
{
    for (uint32_t i = 0; t && i < s->schema->n_tables; i++) {
        if (s->schema->tables[i].t == t)
            return &s->schema->tables[i];
    }
    return NULL;
}

uint32_t schema_column(const struct table_schema *t, const char *name)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (strcmp(t->column[i], name) == 0)
            return i;
    }
    return UINT32_MAX;
}

bool schema_is_key(const struct table_schema *t, uint32_t column)
{
    for (uint32_t i = 0; i < t->n_key; i++) {
        if (t->key[i] == column)
            return true;
    }
    return false;
}

uint32_t schema_column_named(const struct table_schema *t, const char *name)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (db_same_name(t->column[i], name))
            return i;
    }
    return UINT32_MAX;
}

const char *schema_cell_name(const struct table_schema *t, uint32_t cell)
{
    if (cell == COLUMN_EXISTS)
        return "exists";
    if (cell == COLUMN_BIRTH)
        return "birth";
    const struct cell_group *g = cell_group_of(&t->rules, cell);
    return g ? g->name : t->column[cell];
}

void schema_key_encode(const struct table_schema *t, const struct value *columns, struct buf *out)
{
    for (uint32_t i = 0; i < t->n_key; i++)
        key_encode(out, &columns[t->key[i]], 1);
}

/* ---- one table ---- */

static const char *key_collation(const struct table_info *info, uint32_t part)
{
    for (uint32_t i = 0; i < info->n_unique; i++) {
        if (info->unique[i].primary && part < info->unique[i].n)
            return info->unique[i].part[part].collation;
    }
    return "BINARY";
}

/* A key is found through its own index, then compared by identity: 'a' is not 'A', whatever the
 * collation. */
static char *key_where(struct arena *a, const struct table_schema *t, const struct table_info *info)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < t->n_key; i++) {
        const char *column = schema_quote(a, t->column[t->key[i]]);
        const char *collation = key_collation(info, i);
        buf_printf(&b, "%s%s = ?%u COLLATE BINARY", i ? " AND " : "", column, i + 1);
        if (!db_same_name(collation, "BINARY"))
            buf_printf(&b, " AND %s = ?%u COLLATE %s", column, i + 1, schema_quote(a, collation));
    }
    return sql_take(a, &b);
}

/* In the order of the key's own index, whose keys are all different: in the order of a column that
 * is NOCASE beside it, a range could end between 'a' and 'A', and the next begin behind both. */
static char *key_order(struct store *s, struct arena *a, const struct table_schema *t)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < t->n_key; i++) {
        const char *column = t->column[t->key[i]];
        buf_printf(&b, "%s%s", i ? "," : "", schema_quote(a, column));
        if (!db_same_name(t->key_collation[i], table_collation(s, a, t->name, column)))
            buf_printf(&b, " COLLATE %s", schema_quote(a, t->key_collation[i]));
    }
    return sql_take(a, &b);
}

static void fill_sql(struct store *s, struct arena *a, struct table_schema *t,
                     const struct table_info *info)
{
    struct buf list = {0}, name = {0}, read = {0};
    for (uint32_t i = 0; i < t->n_columns; i++)
        buf_printf(&list, "%s%s", i ? "," : "", schema_quote(a, t->column[i]));
    buf_printf(&name, "main.%s", schema_quote(a, t->name));
    t->column_list = sql_take(a, &list);
    t->qname = sql_take(a, &name);
    t->key_where = key_where(a, t, info);
    t->key_collation = arena_alloc(a, t->n_key * sizeof *t->key_collation);
    for (uint32_t i = 0; i < t->n_key; i++)
        t->key_collation[i] = key_collation(info, i);
    t->key_order = key_order(s, a, t);
    buf_printf(&read, "SELECT %s FROM %s WHERE %s", t->column_list, t->qname, t->key_where);
    char *text = sql_take(a, &read);
    t->read_sql = t->exists ? text : NULL;
}

/* Every stored column. */
static void columns_of_table(struct arena *a, struct table_schema *t, const struct table_info *info)
{
    t->column = arena_alloc(a, info->n_columns * sizeof *t->column);
    for (uint32_t i = 0; i < info->n_columns; i++) {
        if (!info->column[i].generated)
            t->column[t->n_columns++] = info->column[i].name;
    }
    t->key = arena_alloc(a, info->n_key * sizeof *t->key);
    for (uint32_t i = 0; i < info->n_key; i++) {
        uint32_t k = schema_column(t, info->column[info->key[i]].name);
        if (k != UINT32_MAX)
            t->key[t->n_key++] = k;
    }
}

static void columns_of_charter(struct arena *a, struct table_schema *t,
                               const struct charter_table *c)
{
    t->column = arena_alloc(a, c->n_columns * sizeof *t->column);
    for (uint32_t i = 0; i < c->n_columns; i++)
        t->column[i] = (char *)c->columns[i].name;
    t->n_columns = c->n_columns;
    t->key = arena_alloc(a, c->n_key * sizeof *t->key);
    for (uint32_t i = 0; i < c->n_key; i++)
        t->key[i] = (uint32_t)(charter_column_named(c, c->key[i]) - c->columns);
    t->n_key = c->n_key;
}

/* Here, writable from here, with every published column stored and the published key as its primary
 * key. */
static bool stands_here(const struct table_schema *t, const struct table_info *info)
{
    if (!info->found || info->broken || strcmp(info->kind, "table") != 0 || !t->t)
        return false;
    if (t->n_key == 0 || t->n_key != info->n_key || t->n_key > LIMIT_KEY_COLUMNS ||
        t->n_columns > LIMIT_COLUMNS)
        return false;
    for (uint32_t i = 0; i < t->n_columns; i++) {
        uint32_t c = table_info_column(info, t->column[i]);
        if (c == UINT32_MAX || info->column[c].generated)
            return false;
    }
    for (uint32_t i = 0; i < t->n_key; i++) {
        if (!db_same_name(t->column[t->key[i]], info->column[info->key[i]].name))
            return false;
    }
    return true;
}

static void fill_local(struct arena *a, struct table_schema *t, const struct table_info *info)
{
    t->local = arena_alloc(a, info->n_columns * sizeof *t->local);
    for (uint32_t i = 0; i < info->n_columns; i++) {
        const struct column_info *c = &info->column[i];
        if (!c->generated && schema_column_named(t, c->name) == UINT32_MAX)
            t->local[t->n_local++] = c->name;
    }
}

enum err schema_number(struct store *s, const char *name, uint32_t *t)
{
    struct query q =
        DB_QUERY(s, "SELECT t FROM main.tonle_table WHERE name = ?1", value_text(name));
    *t = query_next(&q) ? (uint32_t)query_i64(&q, 0) : 0;
    return query_end(&q);
}

/* `c` is NULL for the internal tables. */
static enum err fill_table(struct store *s, struct arena *a, struct table_schema *t,
                           const struct charter_table *c)
{
    struct table_info info;
    enum err e = schema_number(s, t->name, &t->t);
    if (e == ERR_OK)
        e = table_info_read(s, a, t->name, &info);
    if (e != ERR_OK)
        return e;
    if (c && c->complete)
        columns_of_charter(a, t, c);
    else
        columns_of_table(a, t, &info);
    t->internal = !c;
    t->hub_only = t->internal && strcmp(t->name, "tonle_decision") != 0;
    schema_rules(s, a, t, c, &t->rules);
    t->policy = t->rules.policy;
    t->exists = stands_here(t, &info);
    t->blocks = t->exists && c && charter_keys_blocks(c) && info.autoincrement;
    fill_sql(s, a, t, &info);
    if (t->exists) {
        schema_fill_unique(a, t, &info);
        fill_local(a, t, &info);
    }
    return ERR_OK;
}

/* ---- all of them ---- */

enum err schema_charter(struct store *s, struct arena *a, const struct charter **out)
{
    return schema_charter_at(s, a, INT64_MAX, out);
}

enum err schema_charter_at(struct store *s, struct arena *a, uint64_t seq,
                           const struct charter **out)
{
    *out = NULL;
    char msg[CHARTER_MSG_BYTES];
    struct query q = DB_QUERY(s,
                              "SELECT compiled FROM main.tonle_charter WHERE seq <= ?1"
                              " ORDER BY version DESC LIMIT 1",
                              value_u64(seq));
    if (query_next(&q)) {
        struct bytes text = query_borrow(&q, 0);
        struct charter *c = arena_alloc(a, sizeof *c);
        enum err e = charter_read(a, (const char *)text.p, text.len, c, msg);
        if (e == ERR_OK)
            *out = c;
        else
            query_fail(&q, store_fail(s, e, "%s", msg));
    }
    return query_end(&q);
}

/* The one that vouches for the others last: what fits it then has not changed since it was read. */
const char *const schema_internal[INTERNAL_TABLES] = {"tonle_node", "tonle_site", "tonle_charter",
                                                      "tonle_decision", "tonle_registry"};

static enum err read_tables(struct store *s)
{
    struct arena *a = &own_of(s)->arena;
    const struct charter *c = NULL;
    s->schema->n_tables = s->schema->n_fks = 0;
    s->schema->tables = NULL;
    s->schema->fks = NULL;
    arena_reset(a);
    enum err e = schema_charter(s, a, &c);
    if (e != ERR_OK)
        return e;
    s->schema->plan =
        c ? charter_block_plan(c) : (struct block_plan){BLOCK_COUNT_DEFAULT, BLOCK_SIZE_DEFAULT};
    uint32_t n = INTERNAL_TABLES + (c ? c->n_tables : 0);
    s->schema->tables = arena_alloc(a, n * sizeof *s->schema->tables);
    for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
        struct table_schema *t = &s->schema->tables[i];
        const struct charter_table *from =
            i < INTERNAL_TABLES ? NULL : &c->tables[i - INTERNAL_TABLES];
        t->name = from ? (char *)from->name : (char *)schema_internal[i];
        e = fill_table(s, a, t, from);
        s->schema->n_tables = i + 1;
    }
    return e == ERR_OK ? schema_fill_references(s, a) : e;
}

enum err schema_charter_passed(struct store *s)
{
    struct query q = DB_QUERY(s, "SELECT CAST(version AS INTEGER), schema_version"
                                 " FROM main.tonle_charter ORDER BY version DESC LIMIT 1");
    uint64_t version = 0, schema_version = 0;
    bool any = query_next(&q);
    if (any) {
        version = query_u64(&q, 0);
        schema_version = query_u64(&q, 1);
    }
    enum err e = query_end(&q);
    return e == ERR_OK && any ? state_set_charter(s, version, schema_version) : e;
}

/* One number for the schema and the newest charter together. */
static enum err read_cookie(struct store *s, int64_t *cookie)
{
    int64_t version;
    enum err e = db_number(s, "PRAGMA main.schema_version", &version);
    if (e != ERR_OK)
        return e;
    uint64_t h = bytes_hash(VALUE_HASH_SEED, &version, sizeof version);
    struct query q = DB_QUERY(s, "SELECT version, length(compiled) FROM main.tonle_charter"
                                 " ORDER BY version DESC LIMIT 1");
    if (query_next(&q)) {
        struct bytes newest = query_borrow(&q, 0);
        h = bytes_hash(h, newest.p, newest.len);
    }
    *cookie = (int64_t)(h >> 1);
    return query_end(&q);
}

static enum err refresh(struct store *s)
{
    int64_t cookie = 0;
    enum err e = read_cookie(s, &cookie);
    if (e != ERR_OK || cookie == own_of(s)->cookie)
        return e;
    own_of(s)->cookie = -1;
    e = read_tables(s);
    if (e == ERR_OK)
        own_of(s)->cookie = cookie;
    else
        s->schema->n_tables = s->schema->n_fks = 0;
    return e;
}

/* All of it from one snapshot. */
enum err schema_load(struct store *s)
{
    if (!store_is_ready(s))
        return store_fail(s, ERR_STATE, "this database does not belong to a Tonle node yet");
    bool own = false;
    enum err e = db_snapshot_begin(s, &own);
    if (e == ERR_OK)
        e = refresh(s);
    if (e == ERR_OK)
        e = units_refresh(s);
    return db_snapshot_end(s, own, e);
}

void schema_changed(struct store *s)
{
    own_of(s)->cookie = -1;
}

int64_t schema_cookie(const struct store *s)
{
    return own_of(s)->cookie;
}

void schema_open(struct store *s)
{
    struct schema_own *own = mem_alloc(sizeof *own);
    own->cookie = -1;
    s->schema = &own->tables;
}

void schema_close(struct store *s)
{
    struct schema_own *own = own_of(s);
    if (!own)
        return;
    arena_fini(&own->arena);
    arena_fini(&own->units_arena);
    mem_free(own);
    s->schema = NULL;
}
