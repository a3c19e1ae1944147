/* The SQL of one table's log and triggers: plain SQL, no function but typeof and coalesce, so that
 * it runs in any process that opens the database, whatever its settings.
 *
 * - tonle_bin_t, BEFORE INSERT: rows that share the key or a unique value with NEW: candidates for
 *   eviction
 * - tonle_bup_t, BEFORE UPDATE: the same, for rows other than OLD, when such a column changes
 * - tonle_ins_t, AFTER INSERT; tonle_del_t, AFTER DELETE
 * - tonle_upd_t, AFTER UPDATE: same key, some replicated column really differs
 * - tonle_key_t, AFTER UPDATE: another key: a move and an insert
 * - tonle_sum_t, BEFORE UPDATE OF the sum columns, where the table has any: their values as they
 *   were. Before, because an application's trigger may write the row once more, and where it runs
 *   ahead of ours the log of what happened after would begin with the second write.
 *
 * REPLACE evicts through every unique index without firing a DELETE trigger, so every row that it
 * could evict is noted before, also where the index is only local; too many is noise, too few would
 * be a loss. In the candidate queries the table has an alias, because one named "new" or "old"
 * would hide NEW and OLD. */
#include "node/capture/log.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct context {
    struct arena *a;
    const struct table_schema *t;
    const struct table_info *info;
    char log[32];
};

uint32_t capture_words(const struct table_schema *t)
{
    return (t->n_columns + MASK_BITS - 1) / MASK_BITS;
}

char *capture_name(struct arena *a, const char *prefix, const char *name)
{
    char *text = arena_alloc(a, strlen(prefix) + strlen(name) + 1);
    strcpy(text, prefix);
    strcat(text, name);
    return schema_quote(a, text);
}

static const char *key_name(const struct context *x, uint32_t i)
{
    return x->t->column[x->t->key[i]];
}

static char *log_sql(const struct context *x)
{
    struct buf b = {0};
    buf_printf(&b, "CREATE TABLE %s(\"op\" INTEGER", x->log);
    for (uint32_t i = 0; i < x->t->n_key; i++)
        buf_printf(&b, ",%s BLOB", capture_name(x->a, "k_", key_name(x, i)));
    for (uint32_t w = 0; w < capture_words(x->t); w++)
        buf_printf(&b, ",\"m%u\" INTEGER", w);
    for (uint32_t i = 0; i < x->t->n_columns; i++)
        buf_printf(&b, ",%s BLOB", capture_name(x->a, "o_", x->t->column[i]));
    buf_printf(&b, ")");
    return sql_take(x->a, &b);
}

/* INSERT INTO log(op, keys [, old row]) */
static void put_insert(struct buf *b, const struct context *x, bool with_row)
{
    buf_printf(b, "INSERT INTO %s(\"op\"", x->log);
    for (uint32_t i = 0; i < x->t->n_key; i++)
        buf_printf(b, ",%s", capture_name(x->a, "k_", key_name(x, i)));
    for (uint32_t i = 0; with_row && i < x->t->n_columns; i++)
        buf_printf(b, ",%s", capture_name(x->a, "o_", x->t->column[i]));
    buf_printf(b, ")");
}

/* op and the values that put_insert names; `from` is "NEW.", "OLD." or "" */
static void put_values(struct buf *b, const struct context *x, enum capture_op op, const char *from,
                       bool with_row)
{
    buf_printf(b, "%d", (int)op);
    for (uint32_t i = 0; i < x->t->n_key; i++)
        buf_printf(b, ",%s%s", from, schema_quote(x->a, key_name(x, i)));
    for (uint32_t i = 0; with_row && i < x->t->n_columns; i++)
        buf_printf(b, ",%s%s", from, schema_quote(x->a, x->t->column[i]));
}

static const struct column_info *info_of(const struct context *x, const char *name)
{
    uint32_t c = table_info_column(x->info, name);
    assert(c != UINT32_MAX); /* the table is here with all published columns */
    return &x->info->column[c];
}

/* A row with a NULL in its key has no identity and stays local: that it came or went is noted, what
 * it holds is not. */
static void put_key_known(struct buf *b, const struct context *x, const char *from)
{
    for (uint32_t i = 0; i < x->t->n_key && x->info->null_keys; i++) {
        const char *name = key_name(x, i);
        if (!info_of(x, name)->notnull)
            buf_printf(b, "%s%s IS NOT NULL AND ", from, schema_quote(x->a, name));
    }
    buf_printf(b, "1");
}

static void put_same_key(struct buf *b, const struct context *x, const char *left,
                         const char *right)
{
    for (uint32_t i = 0; i < x->t->n_key; i++) {
        const char *k = schema_quote(x->a, key_name(x, i));
        buf_printf(b, "%s%s%s IS %s%s COLLATE BINARY", i ? " AND " : "", left, k, right, k);
    }
}

/* Whether a column's value differs, by type and bytes. 1 and 1.0 are equal to IS NOT; only a column
 * that can hold both needs the second look (an INTEGER one can at the smallest number). */
static void put_differs(struct buf *b, const struct context *x, const char *name)
{
    const struct column_info *c = info_of(x, name);
    const char *q = schema_quote(x->a, name);
    bool both = c->affinity != AFFINITY_TEXT && c->affinity != AFFINITY_REAL &&
                !(x->info->strict && c->affinity == AFFINITY_INTEGER) &&
                !(x->info->rowid_alias && c->pk);
    buf_printf(b, "(OLD.%s IS NOT NEW.%s COLLATE BINARY", q, q);
    if (both)
        buf_printf(b, " OR typeof(OLD.%s)<>typeof(NEW.%s)", q, q);
    buf_printf(b, ")");
}

/* In SQLite << and | bind equally, from the left: hence the parentheses. */
static void put_mask(struct buf *b, const struct context *x, uint32_t word)
{
    uint32_t end =
        (word + 1) * MASK_BITS < x->t->n_columns ? (word + 1) * MASK_BITS : x->t->n_columns;
    for (uint32_t i = word * MASK_BITS; i < end; i++) {
        uint32_t bit = i % MASK_BITS;
        buf_printf(b, "%s(", bit ? "|" : "");
        put_differs(b, x, x->t->column[i]);
        buf_printf(b, "<<%u)", bit);
    }
}

static void put_head(struct buf *b, const struct context *x, const char *kind, const char *when)
{
    buf_printf(b, "CREATE TRIGGER tonle_%s_%u %s ON %s ", kind, x->t->t, when,
               schema_quote(x->a, x->info->name));
}

static char *insert_sql(const struct context *x)
{
    struct buf b = {0};
    put_head(&b, x, "ins", "AFTER INSERT");
    buf_printf(&b, "BEGIN ");
    put_insert(&b, x, false);
    buf_printf(&b, " VALUES(");
    put_values(&b, x, OP_INSERT, "NEW.", false);
    buf_printf(&b, "); END");
    return sql_take(x->a, &b);
}

static char *delete_sql(const struct context *x)
{
    struct buf b = {0};
    put_head(&b, x, "del", "AFTER DELETE");
    buf_printf(&b, "BEGIN ");
    put_insert(&b, x, true);
    buf_printf(&b, " VALUES(");
    put_values(&b, x, OP_DELETE, "OLD.", true);
    buf_printf(&b, "); END");
    return sql_take(x->a, &b);
}

static char *update_sql(const struct context *x)
{
    struct buf b = {0};
    put_head(&b, x, "upd", "AFTER UPDATE");
    buf_printf(&b, "WHEN ");
    put_same_key(&b, x, "OLD.", "NEW.");
    buf_printf(&b, " AND ");
    put_key_known(&b, x, "NEW.");
    buf_printf(&b, " AND (");
    for (uint32_t i = 0; i < x->t->n_columns; i++) {
        buf_printf(&b, "%s", i ? " OR " : "");
        put_differs(&b, x, x->t->column[i]);
    }
    buf_printf(&b, ") BEGIN INSERT INTO %s(\"op\"", x->log);
    for (uint32_t i = 0; i < x->t->n_key; i++)
        buf_printf(&b, ",%s", capture_name(x->a, "k_", key_name(x, i)));
    for (uint32_t w = 0; w < capture_words(x->t); w++)
        buf_printf(&b, ",\"m%u\"", w);
    buf_printf(&b, ") VALUES(");
    put_values(&b, x, OP_UPDATE, "NEW.", false);
    for (uint32_t w = 0; w < capture_words(x->t); w++) {
        buf_printf(&b, ",");
        put_mask(&b, x, w);
    }
    buf_printf(&b, "); END");
    return sql_take(x->a, &b);
}

/* OLD's key is gone: the row has NEW's, and whether that can be sent is for the seal to tell. */
static void put_moved(struct buf *b, const struct context *x)
{
    put_insert(b, x, true);
    buf_printf(b, " VALUES(");
    put_values(b, x, OP_MOVED, "OLD.", false);
    for (uint32_t i = 0; i < x->t->n_columns; i++)
        buf_printf(b, ",%s%s", schema_is_key(x->t, i) ? "NEW." : "OLD.",
                   schema_quote(x->a, x->t->column[i]));
    buf_printf(b, "); ");
}

static char *key_sql(const struct context *x)
{
    struct buf b = {0};
    put_head(&b, x, "key", "AFTER UPDATE");
    buf_printf(&b, "WHEN NOT (");
    put_same_key(&b, x, "OLD.", "NEW.");
    buf_printf(&b, ") BEGIN ");
    put_moved(&b, x);
    put_insert(&b, x, false);
    buf_printf(&b, " VALUES(");
    put_values(&b, x, OP_INSERT, "NEW.", false);
    buf_printf(&b, "); END");
    return sql_take(x->a, &b);
}

/* ---- candidates ---- */

/* NEW's value as it will stand: OR REPLACE puts the default for a NULL in a NOT NULL column. */
static void put_new(struct buf *b, struct arena *a, const struct table_info *info, uint32_t column,
                    void *user)
{
    (void)user;
    const struct column_info *c = &info->column[column];
    if (c->dflt && c->notnull)
        buf_printf(b, "coalesce(NEW.%s,(%s\n))", schema_quote(a, c->name), c->dflt);
    else
        buf_printf(b, "NEW.%s", schema_quote(a, c->name));
}

static void put_candidate_head(struct buf *b, const struct context *x)
{
    put_insert(b, x, true);
    buf_printf(b, " SELECT ");
    put_values(b, x, OP_CANDIDATE, "tonle_t.", true);
    buf_printf(b, " FROM %s AS tonle_t WHERE ", schema_quote(x->a, x->info->name));
}

static void put_candidate_tail(struct buf *b, const struct context *x, bool update)
{
    if (update) {
        buf_printf(b, " AND NOT (");
        put_same_key(b, x, "tonle_t.", "OLD.");
        buf_printf(b, ")");
    }
    buf_printf(b, "; ");
}

static void put_index_match(struct buf *b, const struct context *x, const struct index_info *index)
{
    for (uint32_t i = 0; i < index->n; i++) {
        const struct index_part *p = &index->part[i];
        buf_printf(b, "%s%s = ", i ? " AND " : "", p->sql);
        if (p->cid >= 0 && !x->info->column[p->cid].generated) {
            put_new(b, x->a, x->info, (uint32_t)p->cid, NULL);
        } else { /* a generated column, too: NEW's was computed before such a default was put in */
            buf_printf(b, "(SELECT %s FROM ", p->sql);
            table_row_source(b, x->a, x->info, put_new, NULL);
            buf_printf(b, ")");
        }
        buf_printf(b, " COLLATE %s", schema_quote(x->a, p->collation));
    }
    if (index->predicate)
        buf_printf(b, " AND (%s\n)", index->predicate);
}

/* The name by which the rowid can be reached where it is not a column; it may be set, and clash,
 * too. */
static const char *rowid_name(const struct table_info *info)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    for (int i = 0; i < 3; i++) {
        if (!info->without_rowid && table_info_column(info, names[i]) == UINT32_MAX)
            return names[i];
    }
    return NULL;
}

static void put_candidates(struct buf *b, const struct context *x, bool update)
{
    const char *rowid = rowid_name(x->info);
    if (rowid) {
        put_candidate_head(b, x);
        buf_printf(b, "tonle_t.%s = NEW.%s", rowid, rowid);
        put_candidate_tail(b, x, update);
    }
    for (uint32_t i = 0; i < x->info->n_unique; i++) {
        put_candidate_head(b, x);
        put_index_match(b, x, &x->info->unique[i]);
        put_candidate_tail(b, x, update);
    }
}

static char *before_insert_sql(const struct context *x)
{
    struct buf b = {0};
    put_head(&b, x, "bin", "BEFORE INSERT");
    buf_printf(&b, "BEGIN ");
    put_candidates(&b, x, false);
    buf_printf(&b, "END");
    return sql_take(x->a, &b);
}

static char *before_update_sql(const struct context *x)
{
    struct buf b = {0};
    const char *rowid = rowid_name(x->info);
    put_head(&b, x, "bup", "BEFORE UPDATE");
    buf_printf(&b, "WHEN 0");
    if (rowid)
        buf_printf(&b, " OR OLD.%s <> NEW.%s", rowid, rowid);
    for (uint32_t c = 0; c < x->info->n_columns; c++) {
        bool used = false;
        for (uint32_t i = 0; i < x->info->n_unique; i++)
            used = used || x->info->unique[i].reads[c];
        const char *q = schema_quote(x->a, x->info->column[c].name);
        if (used)
            buf_printf(&b, " OR OLD.%s IS NOT NEW.%s COLLATE BINARY", q, q);
    }
    buf_printf(&b, " BEGIN ");
    put_candidates(&b, x, true);
    buf_printf(&b, "END");
    return sql_take(x->a, &b);
}

/* ---- sums */

static bool is_sum(const struct context *x, uint32_t column)
{
    return x->t->policy[column] == POLICY_SUM;
}

bool capture_sums(const struct table_schema *t)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (t->policy[i] == POLICY_SUM)
            return true;
    }
    return false;
}

/* Each sum column of the table, as `each` writes it, with `between` between two. */
static void put_sums(struct buf *b, const struct context *x, const char *between,
                     void (*each)(struct buf *b, const struct context *x, const char *name))
{
    bool any = false;
    for (uint32_t i = 0; i < x->t->n_columns; i++) {
        if (!is_sum(x, i))
            continue;
        buf_printf(b, "%s", any ? between : "");
        each(b, x, x->t->column[i]);
        any = true;
    }
}

static void put_column(struct buf *b, const struct context *x, const char *name)
{
    buf_printf(b, "%s", schema_quote(x->a, name));
}

static void put_log_column(struct buf *b, const struct context *x, const char *name)
{
    buf_printf(b, "%s", capture_name(x->a, "o_", name));
}

static void put_old_column(struct buf *b, const struct context *x, const char *name)
{
    buf_printf(b, "OLD.%s", schema_quote(x->a, name));
}

static char *sums_sql(const struct context *x)
{
    struct buf b = {0}, when = {0};
    buf_printf(&when, "BEFORE UPDATE OF ");
    put_sums(&when, x, ",", put_column);
    put_head(&b, x, "sum", buf_str(&when));
    buf_printf(&b, "WHEN ");
    put_key_known(&b, x, "OLD.");
    buf_printf(&b, " AND (");
    put_sums(&b, x, " OR ", put_differs);
    buf_printf(&b, ") BEGIN INSERT INTO %s(\"op\"", x->log);
    for (uint32_t i = 0; i < x->t->n_key; i++)
        buf_printf(&b, ",%s", capture_name(x->a, "k_", key_name(x, i)));
    buf_printf(&b, ",");
    put_sums(&b, x, ",", put_log_column);
    buf_printf(&b, ") VALUES(");
    put_values(&b, x, OP_SUMS, "OLD.", false);
    buf_printf(&b, ",");
    put_sums(&b, x, ",", put_old_column);
    buf_printf(&b, "); END");
    buf_fini(&when);
    return sql_take(x->a, &b);
}

const char *const capture_kind[CAPTURE_KINDS] = {"log", "ins", "del", "upd",
                                                 "key", "bin", "bup", "sum"};

static void add(struct capture_plan *p, const struct context *x, char *sql)
{
    assert(p->n < CAPTURE_KINDS);
    struct capture_object *o = &p->object[p->n];
    o->is_table = p->n == 0;
    o->sql = sql;
    snprintf(o->name, sizeof o->name, "tonle_%s_%u", capture_kind[p->n++], x->t->t);
}

void capture_plan_make(struct arena *a, const struct table_schema *t, const struct table_info *info,
                       struct capture_plan *out)
{
    struct context x = {.a = a, .t = t, .info = info};
    assert(t->t && t->n_columns <= MASK_BITS * MASK_WORDS);
    snprintf(x.log, sizeof x.log, "tonle_log_%u", t->t);
    *out = (struct capture_plan){0};
    add(out, &x, log_sql(&x));
    if (!info)
        return;
    add(out, &x, insert_sql(&x));
    add(out, &x, delete_sql(&x));
    add(out, &x, update_sql(&x));
    add(out, &x, key_sql(&x));
    add(out, &x, before_insert_sql(&x));
    add(out, &x, before_update_sql(&x));
    if (capture_sums(t))
        add(out, &x, sums_sql(&x));
}
