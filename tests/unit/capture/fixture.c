#include "tests/unit/capture/fixture.h"

#include "tests/lib/check.h"
#include "tests/lib/database.h"
#include "tests/lib/dir.h"
#include "tests/lib/rooms.h"

#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void write_all(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t did = write(fd, text, n);
        assert_true(did > 0);
        text += did;
        n -= (size_t)did;
    }
}

/* The script goes through a file, so that no pipe can fill up. */
static int shell(struct capture_office *o, const char *sql, struct buf *out)
{
    char script[280], result[280],
        *argv[] = {(char *)"sqlite3",   (char *)"-batch", (char *)"-init",
                   (char *)"/dev/null", o->path,          NULL};
    snprintf(script, sizeof script, "%s/script", o->dir);
    snprintf(result, sizeof result, "%s/result", o->dir);
    FILE *f = fopen(script, "w");
    assert_non_null(f);
    write_all(fileno(f), "PRAGMA synchronous=OFF;\n"); /* no power cuts here */
    write_all(fileno(f), sql);
    fclose(f);
    posix_spawn_file_actions_t act;
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_addopen(&act, 0, script, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&act, 1, result, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&act, 1, 2);
    pid_t pid;
    assert_int_equal(posix_spawnp(&pid, "sqlite3", &act, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&act);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    f = fopen(result, "r");
    assert_non_null(f);
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        buf_put(out, block, n);
    fclose(f);
    return status;
}

char *office_app_output(struct capture_office *o, const char *sql, int *status)
{
    struct buf out = {0};
    *status = shell(o, sql, &out);
    char *text = strdup(buf_str(&out));
    buf_fini(&out);
    return text;
}

void office_app(struct capture_office *o, const char *sql)
{
    struct buf out = {0};
    int status = shell(o, sql, &out);
    if (status != 0 || strstr(buf_str(&out), "rror"))
        fail_msg("application: %s\n%s", buf_str(&out), sql);
    buf_fini(&out);
}

void office_publish(struct capture_office *o, const char *version, const char *compiled)
{
    assert_committed(o->s, DB_RUN(o->s, "INSERT INTO tonle_charter VALUES(?1, 1, '', ?2, 0, 0)",
                                  value_text(version), value_text(compiled)));
}

void office_install(struct capture_office *o)
{
    assert_committed(o->s, store_capture_install(o->s));
    assert_true(store_capture_check(o->s));
}

static char *charter_of(const char *tables)
{
    json_t *list = json_array();
    char *names = strdup(tables), *save = NULL;
    for (char *n = strtok_r(names, ",", &save); n; n = strtok_r(NULL, ",", &save))
        json_array_append_new(list, json_pack("{ss}", "name", n));
    json_t *root =
        json_pack("{ss,si,so}", "federation", "test", "schema_version", 1, "tables", list);
    char *text = json_dumps(root, 0);
    json_decref(root);
    free(names);
    return text;
}

void capture_office_open(struct capture_office *o, const char *schema, const char *tables)
{
    *o = (struct capture_office){0};
    dir_make(o->dir);
    snprintf(o->path, sizeof o->path, "%s/app.db", o->dir);
    office_app(o, schema);
    o->s = database_store(&(struct store_options){.path = o->path, .busy_ms = 2000});
    struct store_identity id = {.federation = "00112233445566778899aabbccddeeff",
                                .federation_name = "test",
                                .node = "hub",
                                .unit = "",
                                .parent = "",
                                .hub = "hub",
                                .hub_site = 7,
                                .site = 7};
    assert_committed(o->s, store_create(o->s, &id));
    char *compiled = charter_of(tables);
    office_publish(o, "0000000001", compiled);
    free(compiled);
    office_install(o);
}

void capture_office_close(struct capture_office *o)
{
    store_close(o->s);
    arena_fini(&o->a);
    free(o->text);
    dir_remove(o->dir);
}

void value_print(struct buf *b, const struct value *v)
{
    if (v->type == VALUE_WIDE) {
        char text[WIDE_TEXT];
        __int128 n = value_count(v);
        value_wide_text(text, n);
        buf_printf(b, "%s%s", n >= 0 ? "+" : "", text);
        return;
    }
    const uint8_t *p = v->type >= VALUE_TEXT ? v->u.p : NULL;
    bool plain = v->type == VALUE_TEXT;
    for (uint32_t i = 0; plain && i < v->len; i++)
        plain = p[i] >= 32;
    if (v->type == VALUE_NULL)
        buf_printf(b, "NULL");
    else if (v->type == VALUE_INTEGER)
        buf_printf(b, "%lld", (long long)v->u.i);
    else if (v->type == VALUE_REAL)
        buf_printf(b, "%#.17g", v->u.r);
    else if (plain)
        buf_printf(b, "'%.*s'", (int)v->len, v->len ? (const char *)p : "");
    else {
        buf_printf(b, v->type == VALUE_TEXT ? "t'" : "x'");
        for (uint32_t i = 0; i < v->len; i++)
            buf_printf(b, "%02x", p[i]);
        buf_printf(b, "'");
    }
}

static void print_changes(struct buf *b, const struct changeset *cs)
{
    static const char *const kinds[] = {"?", "born", "update", "delete"};
    for (uint32_t i = 0; i < cs->segments[0].n_tables; i++) {
        const struct table_changes *t = &cs->segments[0].tables[i];
        for (uint32_t r = 0; r < t->n_rows; r++) {
            buf_printf(b, "%s %s", t->table, kinds[t->rows[r].kind]);
            for (uint32_t k = 0; k < t->n_key; k++) {
                buf_printf(b, k ? "/" : " ");
                value_print(b, &t->rows[r].key[k]);
            }
            for (uint32_t c = 0; c < t->rows[r].n_cells; c++) {
                buf_printf(b, " %s=", t->columns[t->rows[r].column[c]]);
                value_print(b, &t->rows[r].value[c]);
            }
            if (t->rows[r].kind != CHANGE_BORN && !dot_is_none(t->rows[r].birth))
                buf_printf(b, " @%llu:%llu", (unsigned long long)t->rows[r].birth.site,
                           (unsigned long long)t->rows[r].birth.seq);
            buf_printf(b, "\n");
        }
    }
}

const char *office_collect_limited(struct capture_office *o, uint32_t max_rows, uint64_t max_bytes,
                                   bool *cut)
{
    struct changeset cs = {0};
    struct collected *c;
    struct buf b = {0};
    arena_reset(&o->a);
    assert_store_ok(o->s, store_begin(o->s));
    enum err e = store_collect(
        o->s, &o->a, (struct collect_most){.rows = max_rows, .bytes = max_bytes}, &cs, &c);
    *cut = cs.cut;
    if (e == ERR_OK)
        print_changes(&b, &cs);
    else if (e != ERR_NOT_FOUND)
        assert_store_ok(o->s, e);
    assert_store_ok(o->s, store_collect_done(o->s, c, 1700000000000));
    assert_store_ok(o->s, store_commit(o->s));
    collected_free(c);
    free(o->text);
    o->text = strdup(buf_str(&b));
    buf_fini(&b);
    return o->text;
}

const char *office_collect(struct capture_office *o)
{
    bool cut;
    const char *text = office_collect_limited(o, 5000, 4 << 20, &cut);
    assert_false(cut);
    assert_false(store_capture_pending(o->s));
    return text;
}

int64_t office_number(struct capture_office *o, const char *sql)
{
    return database_number(o->s, sql);
}

/* The rules may be NULL: the charter that names the tables. */
static void check_collected(const char *tables, const char *schema, const char *rules,
                            const char *script[2], const char *expected)
{
    struct capture_office o;
    capture_office_open(&o, schema, tables);
    if (rules) {
        office_publish(&o, "0000000002", rules);
        office_install(&o);
    }
    office_app(&o, script[0]);
    office_collect(&o);
    office_app(&o, script[1]);
    assert_string_equal(office_collect(&o), expected);
    capture_office_close(&o);
}

void check_rules_capture(const char *schema, const char *rules, const char *setup, const char *act,
                         const char *expected)
{
    check_collected("t", schema, rules, (const char *[]){setup, act}, expected);
}

void check_table_capture(const char *tables, const char *schema, const char *setup, const char *act,
                         const char *expected)
{
    check_collected(tables, schema, NULL, (const char *[]){setup, act}, expected);
}

void check_capture(const char *schema, const char *setup, const char *act, const char *expected)
{
    check_collected("t", schema, NULL, (const char *[]){setup, act}, expected);
}
