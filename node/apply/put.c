/* One row of an application's table: written, taken out, tried.
 *
 * OR ABORT overrides an ON CONFLICT clause of the schema (UNIQUE ON CONFLICT REPLACE would evict).
 * SQLite checks NOT NULL and CHECK before UNIQUE, so a UNIQUE failure means that pass 1 was passed.
 */
#include "node/apply/work.h"

#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/db/sqlite.h"
#include "node/record/table.h"
#include "protocol/limits.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static uint32_t table_index(const struct work *w, const struct table_schema *t)
{
    return (uint32_t)(t - w->s->schema->tables);
}

static const char *insert_sql(struct work *w, const struct table_schema *t)
{
    const char **slot = &w->insert_sql[table_index(w, t)];
    if (!*slot) {
        struct buf b = {0};
        buf_printf(&b, "INSERT OR ABORT INTO %s(%s) VALUES(", t->qname, t->column_list);
        for (uint32_t i = 0; i < t->n_columns; i++)
            buf_printf(&b, "%s?%u", i ? "," : "", i + 1);
        buf_printf(&b, ")");
        *slot = arena_strdup(w->a, buf_str(&b));
        buf_fini(&b);
    }
    return *slot;
}

static const char *insert_local_sql(struct work *w, const struct table_schema *t,
                                    const struct local_values *local)
{
    struct buf b = {0};
    buf_printf(&b, "INSERT OR ABORT INTO %s(%s", t->qname, t->column_list);
    for (size_t i = 0; i < local->n; i++)
        buf_printf(&b, ",%s", schema_quote(w->a, local->at[i].column));
    for (uint32_t i = 0; i < t->n_columns + local->n; i++)
        buf_printf(&b, "%s?%u", i ? "," : ") VALUES(", i + 1);
    buf_printf(&b, ")");
    char *text = arena_strdup(w->a, buf_str(&b));
    buf_fini(&b);
    return text;
}

static const char *delete_sql(struct work *w, const struct table_schema *t)
{
    const char **slot = &w->delete_sql[table_index(w, t)];
    if (!*slot) {
        struct buf b = {0};
        buf_printf(&b, "DELETE FROM %s WHERE %s", t->qname, t->key_where);
        *slot = arena_strdup(w->a, buf_str(&b));
        buf_fini(&b);
    }
    return *slot;
}

/* The text depends on the table and on which columns differ; bulk changes repeat the same one. */
struct update_text {
    const struct table_schema *t;
    uint64_t mask[(LIMIT_COLUMNS + 63) / 64];
    const char *sql;
};

static void differing(const struct work_row *r, const struct value *values, struct update_text *key)
{
    memset(key, 0, sizeof *key);
    key->t = r->k.t;
    for (uint32_t i = 0; i < r->k.t->n_columns; i++) {
        if (!value_equal(&r->now[i], &values[i]))
            key->mask[i / 64] |= 1ULL << (i % 64);
    }
}

static const char *update_sql(struct work *w, const struct update_text *key)
{
    struct update_text *last = w->last_update;
    if (last && last->t == key->t && memcmp(last->mask, key->mask, sizeof key->mask) == 0)
        return last->sql;
    const struct table_schema *t = key->t;
    struct buf b = {0};
    buf_printf(&b, "UPDATE OR ABORT %s SET ", t->qname);
    int n = 0;
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (key->mask[i / 64] >> (i % 64) & 1) {
            buf_printf(&b, "%s%s=?%d", n ? "," : "", schema_quote(w->a, t->column[i]),
                       (int)t->n_key + 1 + n);
            n++;
        }
    }
    buf_printf(&b, " WHERE %s", t->key_where);
    last = arena_alloc(w->a, sizeof *last);
    *last = *key;
    last->sql = arena_strdup(w->a, buf_str(&b));
    buf_fini(&b);
    w->last_update = last;
    return last->sql;
}

static void bind_key(struct work *w, struct query *q, struct row_key k)
{
    struct value *v = arena_alloc(w->a, k.t->n_key * sizeof *v);
    query_fail(q, key_decode(k.key, k.len, v, k.t->n_key));
    for (uint32_t i = 0; i < k.t->n_key; i++)
        query_bind(q, (int)i + 1, v[i]);
}

/* Of the row that stands. */
static struct query update_of(struct work *w, const struct work_row *r, const struct value *values)
{
    struct update_text key;
    differing(r, values, &key);
    struct query q = query_of(w->s, update_sql(w, &key), 0, NULL);
    int n = (int)r->k.t->n_key + 1;
    for (uint32_t i = 0; i < r->k.t->n_columns; i++) {
        if (key.mask[i / 64] >> (i % 64) & 1)
            query_bind(&q, n++, values[i]);
    }
    bind_key(w, &q, r->k);
    return q;
}

/* Leaves of what was kept of the row's key what belongs to this birth. */
static void choose_local(const struct work_row *r, const struct birth *b, struct local_values *x)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n && n < r->k.t->n_local; i++) {
        struct dot of = x->at[i].birth;
        if (dot_equal(of, b->name) || (dot_is_none(b->name) && !row_find_birth(&r->row, of)))
            x->at[n++] = x->at[i];
    }
    x->n = n;
}

/* With the values of the columns that are only here, where the birth has stood before. */
static struct query insert_of(struct work *w, const struct work_row *r, const struct birth *b,
                              const struct value *values)
{
    const struct table_schema *t = r->k.t;
    struct local_values local;
    enum err e = local_read(w->s, w->a, r->k, &local);
    choose_local(r, b, &local);
    struct query q = query_of(w->s, local.n ? insert_local_sql(w, t, &local) : insert_sql(w, t),
                              t->n_columns, values);
    for (size_t i = 0; i < local.n; i++)
        query_bind(&q, (int)(t->n_columns + i) + 1, local.at[i].value);
    query_fail(&q, e);
    return q;
}

void apply_open(struct store *s)
{
    s->apply = mem_alloc(sizeof *s->apply);
}

void apply_close(struct store *s)
{
    struct apply *own = s->apply;
    if (!own)
        return;
    buf_fini(&own->scratch);
    sent_release(own->sent);
    buf_fini(&own->local.key);
    mem_free(own);
    s->apply = NULL;
}

/* "NOT NULL constraint failed: table.column": of a column that is only here, or of a table that one
 * of this office's triggers writes, it is this office's refusal. */
static bool refused_here(const struct table_schema *t, const char *message)
{
    const char *name = strstr(message, ": ");
    size_t n = strlen(t->name);
    if (!name || sqlite3_strnicmp(name + 2, t->name, (int)n) != 0 || name[2 + n] != '.')
        return true;
    for (uint32_t i = 0; i < t->n_local; i++) {
        if (strcmp(t->local[i], name + 3 + n) == 0)
            return true;
    }
    return false;
}

/* A statement's code: a refusal of the row is a result, anything else an error. A statement may
 * succeed without effect (RAISE(IGNORE)): that is a refusal like any other. */
static enum err judge(struct work *w, const struct work_row *r, int rc, enum row_put *result,
                      char **message)
{
    *result = PUT_OK;
    if (rc == SQLITE_DONE && db_changes(w->s) == 1)
        return ERR_OK;
    if (rc == SQLITE_DONE) {
        *result = PUT_LOCAL;
        *message = part_ignored(w->s, w->a, r->k.t);
        return ERR_OK;
    }
    int primary = rc & 0xff;
    if (primary == SQLITE_CONSTRAINT && sqlite3_get_autocommit(w->s->db))
        return raised_remember(w->s, r->k, sqlite3_errmsg(w->s->db));
    *message = arena_strdup(w->a, sqlite3_errmsg(w->s->db));
    switch (rc) {
    case SQLITE_CONSTRAINT_NOTNULL:
        *result = refused_here(r->k.t, *message) ? PUT_LOCAL : PUT_INVALID;
        return ERR_OK;
    case SQLITE_CONSTRAINT_CHECK:
    case SQLITE_CONSTRAINT_DATATYPE:
        *result = PUT_INVALID;
        return ERR_OK;
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        *result = PUT_UNIQUE;
        return ERR_OK;
    default:
        break;
    }
    if (primary == SQLITE_CONSTRAINT || primary == SQLITE_ERROR || primary == SQLITE_TOOBIG ||
        primary == SQLITE_MISMATCH) {
        *result = PUT_LOCAL;
        return ERR_OK;
    }
    return db_error(w->s, rc);
}

/* The statement's one step: its code tells a refusal of the row from an error. */
static enum err run(struct work *w, const struct work_row *r, struct query q, enum row_put *result,
                    char **message)
{
    /* a function or a collation that only the application has */
    if (!q.stmt && q.e == ERR_SCHEMA) {
        *result = PUT_LOCAL;
        *message = arena_strdup(w->a, sqlite3_errmsg(w->s->db));
        (void)query_end(&q); /* the row is refused, and the message says why */
        return ERR_OK;
    }
    query_fail(&q, store_standing(w->s));
    if (q.e == ERR_OK)
        q.e = judge(w, r, sqlite3_step(q.stmt), result, message);
    return query_end(&q);
}

static struct value *copy_values(struct work *w, const struct table_schema *t,
                                 const struct value *v)
{
    return arena_copy(w->a, v, t->n_columns * sizeof *v);
}

static void put_text(struct buf *m, const struct value *v)
{
    if (v->type == VALUE_TEXT)
        buf_printf(m, "'%.*s'", v->len < 80 ? (int)v->len : 80, (const char *)v->u.p);
    else if (v->type == VALUE_REAL)
        buf_printf(m, "%.15g", v->u.r);
    else
        buf_printf(m, "%u bytes", v->len);
}

bool work_sums_stand(struct work *w, const struct work_row *r, const struct birth *b,
                     char **message)
{
    uint32_t column;
    struct value bad;
    if (birth_sums_stand(b, &r->k.t->rules, &column, &bad))
        return true;
    const char *name = r->k.t->column[column];
    struct buf m = {0};
    if (value_is_count(&bad)) {
        char digits[WIDE_TEXT];
        value_wide_text(digits, value_count(&bad));
        buf_printf(&m, "the sum of %s is %s, beyond what a database integer holds", name, digits);
    } else {
        buf_printf(&m, "%s counts up and holds ", name);
        put_text(&m, &bad);
        buf_printf(&m, ", which is no whole number");
    }
    *message = arena_strdup(w->a, buf_str(&m));
    buf_fini(&m);
    return false;
}

/* The birth that the row in the table belongs to; NULL: of nobody that is known. */
static const struct birth *stood(const struct work_row *r)
{
    return r->nobodys ? NULL : row_find_birth(&r->row, r->in_table);
}

static bool stood_alive(const struct work_row *r)
{
    return stood(r) && birth_alive(stood(r), &r->k.t->rules);
}

enum err work_put(struct work *w, struct work_row *r, const struct birth *b, enum row_put *result,
                  char **message)
{
    const struct table_schema *t = r->k.t;
    assert(w->s->in_write && r->loaded);
    *result = PUT_INVALID;
    if (!work_sums_stand(w, r, b, message))
        return ERR_OK;
    const struct value *values = work_shown(w, r, b);
    *result = PUT_OK;
    if (r->now && work_same(t, r->now, values))
        return ERR_OK;
    const char *raised = raised_before(w->s, r->k);
    if (raised) {
        *result = PUT_LOCAL;
        *message = arena_strdup(w->a, raised);
        return ERR_OK;
    }
    struct query q = r->now ? update_of(w, r, values) : insert_of(w, r, b, values);
    enum err e = run(w, r, q, result, message);
    if (e == ERR_OK && *result == PUT_OK) {
        if (r->now && !r->sealed)
            e = stood_alive(r) ? conflict_found(w, r, b, values)
                               : conflict_found(w, r, stood(r), NULL);
        r->now = copy_values(w, t, values);
        r->nobodys = false;
        work_note(r);
    }
    return e;
}

static enum err stand_back(struct work *w, const struct work_row *r)
{
    enum err e = capture_copies_back(w->s, r->k.t);
    w->s->apply->copies_stale = w->s->apply->copies_stale || e == ERR_OK;
    return e;
}

/* A BEFORE DELETE trigger that raises or ignores would keep a dead row alive here alone: the copies
 * of the application's triggers stand back for this one statement; at once where one of them has
 * ended our transaction before. */
enum err work_take(struct work *w, struct work_row *r)
{
    assert(w->s->in_write && r->loaded);
    if (!r->now)
        return ERR_OK;
    enum row_put result = PUT_OK;
    char *message = NULL;
    enum err e = local_keep(w->s, w->a, r->k, r->in_table);
    if (e == ERR_OK && raised_before(w->s, r->k))
        e = stand_back(w, r);
    for (int attempt = 0; e == ERR_OK && attempt < 2; attempt++) {
        struct query q = query_of(w->s, delete_sql(w, r->k.t), 0, NULL);
        bind_key(w, &q, r->k);
        if (!q.stmt)
            return query_end(&q);
        e = run(w, r, q, &result, &message);
        if (e != ERR_OK || result == PUT_OK)
            break;
        e = stand_back(w, r);
    }
    if (e == ERR_OK && result != PUT_OK)
        return store_fail(w->s, ERR_CONSTRAINT, "a row of %s cannot be taken out: %s", r->k.t->name,
                          message);
    if (e == ERR_OK && !r->sealed) /* what is shown may be another than what stood */
        e = conflict_found(w, r, stood(r), stood_alive(r) ? work_shown(w, r, stood(r)) : NULL);
    if (e == ERR_OK) {
        r->now = NULL;
        r->nobodys = false;
        work_note(r);
    }
    return e;
}

static enum err probe(struct work *w, struct work_row *r, const struct birth *b,
                      enum row_put *result, char **message)
{
    struct work_row copy = *r;
    copy.sealed = true; /* nothing is written over for good */
    enum err e = store_exec(w->s, "SAVEPOINT tonle_probe");
    if (e == ERR_OK)
        e = work_put(w, &copy, b, result, message);
    return e == ERR_OK ? store_exec(w->s, "ROLLBACK TO tonle_probe; RELEASE tonle_probe") : e;
}

enum err work_probe(struct work *w, struct work_row *r, const struct birth *b, bool *valid,
                    char **message)
{
    enum row_put result = PUT_OK;
    enum err e = probe(w, r, b, &result, message);
    *valid = result != PUT_INVALID;
    return e;
}

enum err work_may_come_in(struct work *w, struct work_row *r, const struct birth *b, bool *yes)
{
    enum row_put result = PUT_OK;
    char *message = NULL;
    enum err e = probe(w, r, b, &result, &message);
    *yes = e == ERR_OK && result != PUT_LOCAL;
    return e;
}
