/* What the applications themselves know of what they did, kept in tables of their own in the same
 * transactions: keys that they made vanish or appear, and what they added to each counter. So a
 * capture, a seal or a merge that invents or loses something is seen from outside of all of them.
 *
 * Counters are told only of tables in which each key is one office's and nobody deletes: then the
 * total over the births of a key is the sum of what all offices added. Two parts of 32 bits each,
 * because the sum of parts that fit need not fit. */
#include "node/db/query.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS app_gone(t TEXT, k TEXT, PRIMARY KEY(t, k)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS app_made(t TEXT, k TEXT, PRIMARY KEY(t, k)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS app_count(t TEXT, c TEXT, k TEXT, last INTEGER NOT NULL,"
    " high INTEGER NOT NULL DEFAULT 0, low INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(t, c, k))"
    " WITHOUT ROWID;"
    "CREATE TEMP TABLE IF NOT EXISTS had(t TEXT, k TEXT, PRIMARY KEY(t, k)) WITHOUT ROWID;";

void ledger_open(struct world *w, struct machine *m)
{
    office_try(&m->o, "PRAGMA temp_store=MEMORY");
    if (w->profile.gaps)
        stray_open(m);
    if (!w->schema.fixed)
        office_try(&m->o, tables);
}

static void key_expression(const struct drawn_table *t, struct buf *b)
{
    for (int k = 0; k < t->n_key; k++)
        buf_printf(b, "%squote(%s)", k ? " || ',' || " : "", t->column[k].name);
}

static void print_key(const struct drawn_table *t, char out[96])
{
    struct buf b = {0};
    key_expression(t, &b);
    snprintf(out, 96, "%s", buf_str(&b));
    buf_fini(&b);
}

/* Before the first statement of a transaction. */
bool ledger_before(struct world *w, struct machine *m)
{
    struct buf sql = {0};
    if (w->schema.fixed)
        return !w->profile.gaps || stray_before(w, m);
    buf_printf(&sql, "DELETE FROM had;");
    for (int i = 0; i < w->schema.n; i++) {
        const struct drawn_table *t = &w->schema.table[i];
        char key[96];
        print_key(t, key);
        buf_printf(&sql, "INSERT INTO had SELECT '%s', %s FROM %s;", t->name, key, t->name);
        for (int c = t->n_key; t->counted && c < t->n_columns; c++) {
            const char *name = t->column[c].name;
            if (t->column[c].domain != DOMAIN_COUNT)
                continue;
            buf_printf(&sql,
                       "UPDATE app_count SET last = 0 WHERE t = '%s' AND c = '%s' AND k NOT IN"
                       " (SELECT %s FROM %s);"
                       "INSERT INTO app_count(t, c, k, last) SELECT '%s', '%s', %s, coalesce(%s, 0)"
                       " FROM %s WHERE typeof(%s) IN ('integer', 'null') ON CONFLICT DO UPDATE"
                       " SET last = excluded.last;",
                       t->name, name, key, t->name, t->name, name, key, name, t->name, name);
        }
    }
    int rc = office_try(&m->o, buf_str(&sql));
    buf_fini(&sql);
    return rc == SQLITE_OK;
}

/* After its last. */
bool ledger_after(struct world *w, struct machine *m)
{
    struct buf sql = {0};
    if (w->profile.gaps)
        return stray_after(w, m);
    for (int i = 0; i < w->schema.n; i++) {
        const struct drawn_table *t = &w->schema.table[i];
        char key[96];
        print_key(t, key);
        buf_printf(&sql,
                   "INSERT OR IGNORE INTO app_gone SELECT t, k FROM had WHERE t = '%s' AND k NOT IN"
                   " (SELECT %s FROM %s);"
                   "INSERT OR IGNORE INTO app_made SELECT '%s', %s FROM %s WHERE %s NOT IN"
                   " (SELECT k FROM had WHERE t = '%s');",
                   t->name, key, t->name, t->name, key, t->name, key, t->name);
        for (int c = t->n_key; t->counted && c < t->n_columns; c++) {
            const char *name = t->column[c].name;
            if (t->column[c].domain != DOMAIN_COUNT)
                continue;
            buf_printf(
                &sql,
                "INSERT INTO app_count(t, c, k, last, high, low) SELECT '%s', '%s', %s,"
                " coalesce(%s, 0), coalesce(%s, 0) >> 32, coalesce(%s, 0) & 0xffffffff FROM %s"
                " WHERE typeof(%s) IN ('integer', 'null') ON CONFLICT DO UPDATE SET"
                " high = high + excluded.high - (last >> 32),"
                " low = low + excluded.low - (last & 0xffffffff), last = excluded.last;",
                t->name, name, key, name, name, name, t->name, name);
        }
    }
    int rc = office_try(&m->o, buf_str(&sql));
    buf_fini(&sql);
    return rc == SQLITE_OK;
}

/* Only what an application deleted is deleted, only what one entered is born (promise 7). */
void ledger_check(struct world *w, struct machine *m, const struct table_changes *tc,
                  const struct row_change *rc)
{
    struct buf sql = {0};
    if (w->profile.gaps)
        stray_check(w, m, tc, rc);
    if (w->schema.fixed || rc->kind == CHANGE_UPDATE || strncmp(tc->table, "tonle_", 6) == 0)
        return;
    buf_printf(&sql, "SELECT 1 FROM app_%s WHERE t = ?1 AND k = quote(?2)%s",
               rc->kind == CHANGE_BORN ? "made" : "gone",
               tc->n_key == 2 ? " || ',' || quote(?3)" : "");
    struct query q = DB_QUERY(m->watch, buf_str(&sql), value_text(tc->table));
    query_bind_values(&q, 2, tc->n_key, rc->key);
    bool found = query_next(&q);
    if (query_end(&q) != ERR_OK || !found)
        world_break(w, "7", "%s: changeset %s a row of %s, no application did", m->o.name,
                    rc->kind == CHANGE_BORN ? "bears" : "deletes", tc->table);
    buf_fini(&sql);
}

void ledger_note(struct machine *m, const struct table_schema *t, const struct value *key,
                 bool made)
{
    struct store *s = m->o.store;
    struct buf sql = {0};
    buf_printf(&sql, "INSERT OR IGNORE INTO app_%s VALUES(?1, quote(?2)%s)", made ? "made" : "gone",
               t->n_key == 2 ? " || ',' || quote(?3)" : "");
    struct query q = DB_QUERY(s, buf_str(&sql), value_text(t->name));
    query_bind_values(&q, 2, t->n_key, key);
    (void)query_next(&q);
    (void)query_end(&q); /* an error: the machine is dying, the commit fails, too */
    buf_fini(&sql);
}

/* ---- the totals */

static __int128 added(struct world *w, const char *table, const char *column,
                      const struct value *key, uint32_t n_key)
{
    __int128 n = 0;
    for (int i = 0; i < w->n; i++) {
        struct query q =
            DB_QUERY(w->m[i].watch,
                     n_key == 2 ? "SELECT high, low FROM app_count WHERE t = ?1 AND c = ?2 AND k ="
                                  " quote(?3) || ',' || quote(?4)"
                                : "SELECT high, low FROM app_count WHERE t = ?1 AND c = ?2 AND k ="
                                  " quote(?3)",
                     value_text(table), value_text(column));
        query_bind_values(&q, 3, n_key, key);
        if (query_next(&q))
            n += (__int128)query_i64(&q, 0) * (1LL << 32) + query_i64(&q, 1);
        oracle_end(w, &w->m[i], &q);
    }
    return n;
}

/* What an office had before it joined and could not be adopted is nobody's birth: it is kept aside,
 * with its counters. */
static __int128 aside(struct world *w, const char *table, const char *column,
                      const struct value *key)
{
    __int128 n = 0;
    for (int i = 0; i < w->n; i++) {
        struct store *s = w->m[i].watch;
        const struct table_schema *t = schema_table(s, table); /* its number is the office's own */
        struct buf sql = {0};
        buf_printf(&sql, "SELECT count(*) FROM sqlite_schema WHERE name = 'tonle_adopt_%u'", t->t);
        bool any = database_number(s, buf_str(&sql)) == 1;
        buf_reset(&sql);
        buf_printf(&sql, "SELECT %s FROM tonle_adopt_%u WHERE %s = ?1%s%s%s", column, t->t,
                   t->column[t->key[0]], t->n_key == 2 ? " AND " : "",
                   t->n_key == 2 ? t->column[t->key[1]] : "", t->n_key == 2 ? " = ?2" : "");
        if (any) {
            struct query q = query_of(s, buf_str(&sql), t->n_key, key);
            while (query_next(&q))
                n += query_i64(&q, 0);
            oracle_end(w, &w->m[i], &q);
        }
        buf_fini(&sql);
    }
    return n;
}

static void check_row(struct world *w, struct arena *a, const struct drawn_table *t,
                      const struct model_row *r)
{
    const struct table_schema *ts = schema_table(w->m[0].watch, t->name);
    struct value key[2];
    if (key_decode(r->key, r->len, key, ts->n_key) != ERR_OK)
        return;
    for (int c = t->n_key; c < t->n_columns; c++) {
        __int128 have = 0;
        if (t->column[c].domain != DOMAIN_COUNT)
            continue;
        for (uint32_t i = 0; i < r->n_births; i++)
            have += value_count(&r->birth[i].values[c]);
        char should[WIDE_TEXT], is[WIDE_TEXT];
        have += aside(w, t->name, t->column[c].name, key);
        __int128 want = added(w, t->name, t->column[c].name, key, ts->n_key);
        value_wide_text(should, want);
        value_wide_text(is, have);
        if (have != want)
            world_break(w, "2", "%s %s: %s counts %s, applications added %s", t->name,
                        schema_key_json(a, ts, r->key, r->len), t->column[c].name, is, should);
    }
}

void ledger_totals(struct world *w, struct model *m, struct store *s)
{
    struct arena a = {0};
    for (size_t i = 0; !w->schema.fixed && i < m->n_rows; i++) {
        const struct model_row *r = &m->row[i];
        for (int j = 0; j < w->schema.n; j++) {
            const struct drawn_table *t = &w->schema.table[j];
            if (t->counted && strcmp(t->name, s->schema->tables[r->table].name) == 0)
                check_row(w, &a, t, r);
        }
    }
    arena_fini(&a);
}
