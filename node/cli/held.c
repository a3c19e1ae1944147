/* held.c - rows that are known and safe but cannot stand in their table now. */
#include "node/cli/stream.h"

#include "node/desk/desk.h"

#include <string.h>

static void put(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

static void put_pair(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    stream_text(b, text);
}

/* The closing brace is left out. */
static void held_stream(struct buf *b, const struct held_record *r)
{
    put(b, "{\"id\":");
    stream_text(b, r->id);
    put_pair(b, "table", r->table);
    put(b, ",\"key\":");
    stream_json(b, r->key_json);
    put_pair(b, "reason", r->message[0] != '\0' ? r->message : r->reason);
    put_pair(b, "kind", r->reason);
    put(b, ",\"since\":");
    stream_time(b, r->since_ms);
    put_pair(b, "office", r->office);
    put(b, ",\"blocked_by\":");
    stream_json(b, r->blocked_by);
    put_pair(b, "blocked_table", r->blocked_table);
    put_pair(b, "blocked_office", r->blocked_office);
    put(b, ",\"blocked_since\":");
    stream_time(b, r->blocked_ms);
}

struct held_lister {
    struct cli *c;
    struct buf b;
    struct text_table t;
    size_t n;
    bool bad; /* the output cannot be written */
};

static void list_json(const struct held_record *r, void *user)
{
    struct held_lister *l = user;
    if (l->n++ > 0)
        buf_put_u8(&l->b, ',');
    held_stream(&l->b, r);
    buf_put_u8(&l->b, '}');
    l->bad = !stream_flush(&l->b, stdout, false) || l->bad;
}

static void list_text(const struct held_record *r, void *user)
{
    struct held_lister *l = user;
    char since[STREAM_TIME];
    stream_clock(since, r->since_ms);
    const char *cells[] = {r->id,
                           r->table,
                           cli_short(l->c, r->key_json),
                           since,
                           r->office[0] != '\0' ? r->office : "-",
                           r->blocked_by[0] != '\0' ? cli_short(l->c, r->blocked_by) : "-",
                           r->message[0] != '\0' ? r->message : r->reason};
    table_add(l->c, &l->t, cells);
    l->n++;
}

static int list(struct cli *c, struct cli_office *o, uint64_t limit)
{
    static const char *const heads[] = {"ID",     "TABLE",      "KEY",   "SINCE",
                                        "OFFICE", "BLOCKED BY", "REASON"};
    struct held_lister l = {.c = c};
    if (c->json)
        buf_printf(&l.b, "{\"schema\":%d,\"held\":[", CLI_SCHEMA);
    else
        table_head(c, &l.t, 7, heads);
    enum err e = store_held_each(o->store, limit, c->json ? list_json : list_text, &l);
    if (c->json) {
        put(&l.b, "]}\n");
        l.bad = !stream_flush(&l.b, stdout, true) || l.bad;
    } else if (e == ERR_OK && l.n > 0) {
        table_print(&l.t);
    } else if (e == ERR_OK) {
        cli_note("No row is held.");
    }
    mem_free(l.t.cell);
    buf_fini(&l.b);
    if (e != ERR_OK)
        return office_fail(o, e, "reading the held rows");
    return l.bad ? cli_unwritten(stdout) : CLI_OK;
}

int command_held_list(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    uint64_t limit = 0;
    const struct option options[] = {{"--limit", OPTION_NUMBER, &limit}, {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    code = list(c, &o, limit);
    office_close(&o);
    return code;
}

/* ---- one */

static bool is(const struct held_record *r, const char *reason)
{
    return strcmp(r->reason, reason) == 0;
}

/* What the reason means, beside the words of the database. */
static const char *meaning(const struct held_record *r)
{
    return is(r, "check")    ? "a rule of the table (CHECK, NOT NULL, a type) forbids these values"
           : is(r, "birth")  ? "another record stands under the same key"
           : is(r, "unique") ? "another row has a claim to a value that only one may have"
           : is(r, "parent") ? "the row it refers to does not stand"
           : is(r, "local")  ? "only this office's own trigger or schema refuses it"
           : is(r, "schema") ? "this database lacks its table or a column"
           : is(r, "limit")  ? "it cannot be sent as it is, and stands only here"
                             : "it cannot stand";
}

static void print_commands(struct cli *c, const struct held_record *r)
{
    if (is(r, "schema"))
        cli_note("\nTo settle it: `tonle doctor` names what is missing; make it, then\n"
                 "  tonle held retry %s",
                 r->id);
    else if (is(r, "limit"))
        cli_note(
            "\nTo settle it: make the row smaller, or give it a key that can be sent, with any\n"
            "application; that write is sent.");
    else if (is(r, "local"))
        cli_note("\nTo settle it: change what refuses it in this database, then\n"
                 "  tonle held retry %s",
                 r->id);
    else {
        cli_note("\nIt comes in by itself when nothing is in its way any more. To settle it:");
        cli_note("  tonle held set %s COL=VALUE --reason TEXT    # right values; a new key renames "
                 "it",
                 r->id);
        if (is(r, "birth") || is(r, "unique"))
            cli_note(
                "  tonle held merge %s --reason TEXT            # into %s, which keeps what it "
                "has",
                r->id,
                r->blocked_by[0] != '\0' ? cli_safe(c, cli_short(c, r->blocked_by))
                                         : "the row in its way");
        cli_note("  tonle held drop %s --reason TEXT             # its values stay in the history",
                 r->id);
    }
}

static void print_held(struct cli *c, const struct held_record *r)
{
    struct text_table t = {0};
    static const char *const heads[] = {"COLUMN", "VALUE"};
    cli_print("%s: %s, key %s, written at %s, held since %s\n%s: %s\n%s\n", r->id,
              cli_safe(c, r->table), cli_safe(c, cli_short(c, r->key_json)),
              r->office[0] != '\0' ? cli_safe(c, r->office) : "an office", cli_time(c, r->since_ms),
              r->reason, meaning(r), cli_safe(c, r->message));
    if (r->blocked_by[0] != '\0')
        cli_print("in its way: %s %s%s%s%s%s\n", cli_safe(c, r->blocked_table),
                  cli_safe(c, cli_short(c, r->blocked_by)),
                  r->blocked_office[0] != '\0' ? ", of " : "", cli_safe(c, r->blocked_office),
                  r->blocked_ms != 0 ? ", " : "",
                  r->blocked_ms != 0 ? cli_time(c, r->blocked_ms) : "");
    cli_print("\n");
    table_head(c, &t, 2, heads);
    for (uint32_t i = 0; i < r->n_columns; i++) {
        const char *cells[] = {r->columns[i], cli_value(c, &r->values[i])};
        table_add(c, &t, cells);
    }
    if (r->n_columns > 0)
        table_print(&t);
    mem_free(t.cell);
    print_commands(c, r);
}

static void print_json(const struct held_record *r)
{
    struct buf b = {0};
    held_stream(&b, r);
    put(&b, ",\"values\":{");
    for (uint32_t i = 0; i < r->n_columns; i++) {
        if (i > 0)
            buf_put_u8(&b, ',');
        stream_text(&b, r->columns[i]);
        buf_put_u8(&b, ':');
        stream_value(&b, &r->values[i]);
    }
    printf("{\"schema\":%d,\"held\":%s}}}\n", CLI_SCHEMA, buf_str(&b));
    buf_fini(&b);
}

int command_held_show(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    struct held_record r;
    int code = cli_arguments(c, argc, argv, NULL, 1, 1);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    enum err e = store_held_get(o.store, &c->arena, c->words[0], &r);
    if (e == ERR_NOT_FOUND)
        code = cli_fail(CLI_ERROR, "there is no held row %s: `tonle held list` shows them",
                        c->words[0]);
    else if (e != ERR_OK)
        code = office_fail(&o, e, "reading the held row");
    else if (c->json)
        print_json(&r);
    else
        print_held(c, &r);
    office_close(&o);
    return code;
}
