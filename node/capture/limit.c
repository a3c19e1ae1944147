/* Values of our own that are too large to be sent (protocol/limits.h). They stand in the
 * application's table and nowhere else; tonle_held says so (reason `limit`), and tonle_limit keeps
 * what was left out, because the log is consumed: a row that no other office has (c = ''), or
 * columns of one that they have. When a later seal takes the row, they count as changed. v: of a
 * sum column, the total the others have. */
#include "node/capture/capture.h"

#include "node/capture/collect.h"
#include "node/db/sqlite.h"
#include "node/state/state.h"

#include <stdio.h>
#include <string.h>

enum err limit_any(struct store *s, bool *any)
{
    sqlite3_stmt *q = store_stmt(s, "SELECT 1 FROM tonle_limit LIMIT 1");
    enum err e = q ? store_step(s, q, any) : ERR_SCHEMA;
    if (q)
        sqlite3_reset(q);
    return e;
}

uint64_t store_limit_rows(struct store *s)
{
    int64_t n = store_pragma(s, "SELECT count(*) FROM (SELECT DISTINCT t, k FROM tonle_limit)");
    return n > 0 ? (uint64_t)n : 0;
}

static sqlite3_stmt *of_row(struct store *s, const char *sql, uint32_t t, struct bytes key)
{
    sqlite3_stmt *q = store_stmt(s, sql);
    if (q) {
        sqlite3_bind_int64(q, 1, t);
        store_bind_blob(q, 2, key.p, key.len);
    }
    return q;
}

/* A column that is not published any more was not left out. */
enum err limit_read(struct store *s, struct arena *a, const struct table_schema *t,
                    struct bytes key, struct limit *out)
{
    *out = (struct limit){.table = (uint32_t)(t - s->schema->tables), .key = key};
    sqlite3_stmt *q = of_row(s, "SELECT c, v FROM tonle_limit WHERE t = ?1 AND k = ?2", t->t, key);
    enum err e = q ? ERR_OK : ERR_SCHEMA;
    for (bool row = true; e == ERR_OK && row;) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        const char *name = store_column_text(a, q, 0);
        uint32_t column = schema_column(t, name);
        out->born = out->born || name[0] == '\0';
        if (column == UINT32_MAX)
            continue;
        if (!out->left) {
            out->left = arena_alloc(a, t->n_columns * sizeof *out->left);
            out->total = arena_alloc(a, t->n_columns * sizeof *out->total);
        }
        out->left[column] = true;
        out->total[column] = store_column(a, q, 1);
    }
    return e;
}

enum err limit_alone(struct store *s, struct row_key k, bool *yes)
{
    sqlite3_stmt *q = of_row(s, "SELECT 1 FROM tonle_limit WHERE t = ?1 AND k = ?2 AND c = ''",
                             k.t->t, (struct bytes){k.key, k.len});
    *yes = false;
    enum err e = q ? store_step(s, q, yes) : ERR_SCHEMA;
    if (*yes)
        sqlite3_reset(q);
    return e;
}

static enum err put_column(struct store *s, const struct table_schema *t, struct bytes key,
                           const char *name, const struct value *total)
{
    sqlite3_stmt *q =
        of_row(s, "INSERT INTO tonle_limit(t, k, c, v) VALUES(?1, ?2, ?3, ?4)", t->t, key);
    if (!q)
        return ERR_SCHEMA;
    store_bind_text(q, 3, name);
    store_bind(q, 4, total);
    return store_run(s, q);
}

/* An entry that stands keeps its `since`. */
static enum err put_held(struct store *s, const struct limit *l, uint64_t now_ms)
{
    struct arena a = {0};
    char id[17];
    const struct table_schema *t = &s->schema->tables[l->table];
    uint64_t h = bytes_hash(VALUE_HASH_SEED, "limit", sizeof "limit");
    h = bytes_hash(h, t->name, strlen(t->name) + 1);
    h = bytes_hash(h, l->key.p, l->key.len);
    snprintf(id, sizeof id, "%016llx", (unsigned long long)h);
    sqlite3_stmt *q = store_stmt(
        s, "INSERT INTO tonle_held(t, k, id, table_name, key, reason, message, office, since_ms,"
           " blocked_by, site, seq, bt, bk)"
           " VALUES(?1, ?2, ?3, ?4, ?5, 'limit', ?6, ?7, ?8, '', ?9, 0, 0, x'')"
           " ON CONFLICT(id) DO UPDATE SET message = excluded.message");
    if (!q)
        return ERR_SCHEMA;
    sqlite3_bind_int64(q, 1, t->t);
    store_bind_blob(q, 2, l->key.p, l->key.len);
    store_bind_text(q, 3, id);
    store_bind_text(q, 4, t->name);
    store_bind_text(q, 5, schema_key_json(&a, t, l->key.p, l->key.len));
    store_bind_text(q, 6, l->message);
    store_bind_text(q, 7, identity_of(s)->node);
    store_bind_u64(q, 8, now_ms);
    store_bind_u64(q, 9, identity_of(s)->site); /* with seq 0: the name of no birth */
    state_counts_changed(s);
    enum err e = store_run(s, q);
    arena_fini(&a);
    return e;
}

enum err limit_put(struct store *s, const struct limit *l, uint64_t now_ms)
{
    const struct table_schema *t = &s->schema->tables[l->table];
    struct value none = value_null();
    sqlite3_stmt *q = of_row(s, "DELETE FROM tonle_limit WHERE t = ?1 AND k = ?2", t->t, l->key);
    enum err e = q ? store_run(s, q) : ERR_SCHEMA;
    if (e == ERR_OK && l->born)
        e = put_column(s, t, l->key, "", &none);
    for (uint32_t i = 0; e == ERR_OK && l->left && i < t->n_columns; i++) {
        if (l->left[i])
            e = put_column(s, t, l->key, t->column[i], &l->total[i]);
    }
    return e == ERR_OK ? put_held(s, l, now_ms) : e;
}

enum err limit_drop(struct store *s, const struct table_schema *t, struct bytes key, bool *any)
{
    sqlite3_stmt *q = of_row(s, "DELETE FROM tonle_limit WHERE t = ?1 AND k = ?2", t->t, key);
    enum err e = q ? store_run(s, q) : ERR_SCHEMA;
    *any = e == ERR_OK && sqlite3_changes(s->db) > 0;
    if (!*any)
        return e;
    state_counts_changed(s);
    q = of_row(s, "DELETE FROM tonle_held WHERE t = ?1 AND k = ?2 AND reason = 'limit'", t->t, key);
    return q ? store_run(s, q) : ERR_SCHEMA;
}
