#include "tests/lib/federation.h"

#include "protocol/seal.h"
#include "tests/lib/dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void federation_start(struct federation *f, int n, const char *schema, const char *compiled,
                      bool wal)
{
    memset(f, 0, sizeof *f);
    f->n = n;
    dir_make(f->dir);
    MUST(NULL, seal_start());
    char dir[sizeof f->dir];
    memcpy(dir, f->dir, sizeof dir);
    for (int i = 0; i < n; i++) {
        office_identity(&f->office[i], i, i ? "hub" : "", i ? "12" : "");
        snprintf(f->office[i].path, sizeof f->office[i].path, "%s/office%d.db", dir, i);
    }
    for (int i = 0; i < n; i++)
        office_found(&f->office[i], f->office, n, schema, compiled, wal);
}

void federation_stop(struct federation *f)
{
    for (int i = 0; i < f->n; i++) {
        struct office *o = &f->office[i];
        store_close(o->store);
        sqlite3_close(o->app);
        arena_fini(&o->arena);
    }
    dir_remove(f->dir);
}

int federation_set_up(void **state, int n, const char *schema, const char *compiled, bool wal)
{
    static struct federation f;
    federation_start(&f, n, schema, compiled, wal);
    *state = &f;
    return 0;
}

int federation_tear_down(void **state)
{
    federation_stop(*state);
    return 0;
}

void federation_pass_mark(struct federation *f, int n, const struct office *late)
{
    struct arena a = {0};
    struct stable st = {.mark_id = 1, .hlc = 1};
    clock_copy(&st.clock, &store_state_get(f->office[0].store)->clock);
    for (int i = 0; i < n; i++) {
        struct store *s = f->office[i].store;
        bool more = true;
        if (&f->office[i] == late)
            continue;
        MUST(s, store_begin(s));
        if (i == 0)
            MUST(s, store_keep_list(s, &a, &st.clock, &st.keep, &st.n_keep));
        MUST(s, store_set_stable(s, &a, &st));
        while (more)
            MUST(s, store_sweep(s, &a, 100, &more));
        MUST(s, store_commit(s));
    }
    clock_fini(&st.clock);
    arena_fini(&a);
}

void federation_settle(struct federation *f)
{
    for (int i = 0; i < f->n; i++) {
        struct clock clock = {0};
        clock_copy(&clock, &store_state_get(f->office[i].store)->clock);
        office_pass_stable(&f->office[i], &clock, 5000);
        clock_fini(&clock);
    }
}

void federation_sync(struct federation *f)
{
    for (int i = 0; i < f->n; i++)
        while (office_seal(&f->office[i]))
            ;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < f->n; i++)
            for (int j = 0; j < f->n; j++)
                if (i != j)
                    office_pull(&f->office[i], &f->office[j]);
    }
}

/* Every row of a query, every value with its type. Free the text. */
static char *dump(struct office *o, const char *sql)
{
    struct buf b = {0};
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(o->app, sql, -1, &q, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(o->app));
        abort();
    }
    while (sqlite3_step(q) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(q); i++)
            buf_printf(&b, "%d:%s|", sqlite3_column_type(q, i),
                       sqlite3_column_text(q, i) ? (const char *)sqlite3_column_text(q, i)
                                                 : "NULL");
        buf_printf(&b, "\n");
    }
    sqlite3_finalize(q);
    char *out = mem_strdup(buf_str(&b));
    buf_fini(&b);
    return out;
}

static void same(struct federation *f, const char *sql)
{
    char *first = dump(&f->office[0], sql);
    for (int i = 1; i < f->n; i++) {
        char *other = dump(&f->office[i], sql);
        if (strcmp(first, other) != 0) {
            fprintf(stderr, "offices differ: %s\n-- %s\n%s-- %s\n%s", sql, f->office[0].name, first,
                    f->office[i].name, other);
            abort();
        }
        mem_free(other);
    }
    mem_free(first);
}

void federation_assert_equal(struct federation *f, const char *tables)
{
    char list[1024], *save = NULL;
    snprintf(list, sizeof list, "%s", tables);
    for (char *t = strtok_r(list, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
        char sql[1200];
        snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY 1, 2", t);
        same(f, sql);
    }
    same(f,
         "SELECT table_name, key, reason FROM tonle_held WHERE reason <> 'local' ORDER BY 1, 2, 3");
    same(f, "SELECT id, cell, policy FROM tonle_conflict WHERE state = 'open' ORDER BY 1");
}
