/* conflict.c - concurrent writes that met, as a list; and the list for a supervisor. */
#include "node/cli/conflict.h"

#include "conflict/hlc.h"
#include "node/desk/desk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int conflict_words_of(struct cli *c, struct conflict_words *w)
{
    static const char *const states[] = {"open", "auto", "resolved", "superseded"};
    bool known = !w->filter.state;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        known = known || strcmp(w->filter.state, states[i]) == 0;
    if (!known)
        return cli_usage(c, "--state is open, auto, resolved or superseded, not \"%s\"",
                         w->filter.state);
    if (w->open && w->filter.state && strcmp(w->filter.state, "open") != 0)
        return cli_usage(c, "--open and --state %s exclude each other", w->filter.state);
    if (w->open)
        w->filter.state = "open";
    return CLI_OK;
}

/* ---- JSON */

static void put(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

void conflict_stream_side(struct buf *b, const struct conflict_record *r,
                          const struct conflict_side *s)
{
    put(b, "{\"office\":");
    stream_text(b, s->office);
    put(b, ",\"unit\":");
    stream_text(b, s->unit);
    put(b, ",\"at\":");
    stream_time(b, hlc_ms(s->at_hlc));
    put(b, ",\"dot\":");
    stream_dot(b, s->dot);
    put(b, ",\"value\":");
    stream_members(b, &s->value, r->n_members, r->members);
    put(b, s->shown ? ",\"shown\":true" : ",\"shown\":false");
    if (s->detail) {
        put(b, ",\"row\":");
        stream_json(b, s->detail);
    }
    buf_put_u8(b, '}');
}

void conflict_stream(struct buf *b, const struct conflict_record *r, bool open_end)
{
    put(b, "{\"id\":");
    stream_text(b, r->id);
    put(b, ",\"table\":");
    stream_text(b, r->table);
    put(b, ",\"key\":");
    stream_json(b, r->key_json);
    put(b, ",\"cell\":");
    stream_text(b, r->cell);
    put(b, ",\"policy\":");
    stream_text(b, r->policy);
    put(b, ",\"state\":");
    stream_text(b, r->state);
    put(b, ",\"opened_at\":");
    stream_time(b, r->opened_ms);
    put(b, ",\"closed_at\":");
    stream_time(b, r->closed_ms);
    put(b, ",\"successor\":");
    if (r->successor[0] != '\0')
        stream_text(b, r->successor);
    else
        put(b, "null");
    put(b, ",\"sides\":[");
    for (size_t i = 0; i < r->n_sides; i++) {
        if (i > 0)
            buf_put_u8(b, ',');
        conflict_stream_side(b, r, &r->sides[i]);
    }
    put(b, open_end ? "]" : "]}");
}

struct conflict_lister {
    struct cli *c;
    FILE *file;
    struct buf b, offices;
    struct text_table t;
    size_t n;
    bool colours; /* looked up once: it asks the terminal */
    bool bad;     /* the output cannot be written */
};

static void list_json(const struct conflict_record *r, void *user)
{
    struct conflict_lister *l = user;
    if (l->n++ > 0)
        buf_put_u8(&l->b, ',');
    conflict_stream(&l->b, r, false);
    l->bad = !stream_flush(&l->b, l->file, false) || l->bad;
}

static int listed(struct cli_office *o, struct conflict_lister *l, enum err e)
{
    l->bad = !stream_flush(&l->b, l->file, true) || l->bad;
    buf_fini(&l->b);
    if (e != ERR_OK)
        return office_fail(o, e, "reading the conflicts");
    return l->bad ? cli_unwritten(l->file) : CLI_OK;
}

int conflict_stream_all(struct cli *c, struct cli_office *o, const struct conflict_filter *f,
                        FILE *file)
{
    struct conflict_lister l = {.c = c, .file = file};
    buf_printf(&l.b, "{\"schema\":%d,\"conflicts\":[", CLI_SCHEMA);
    enum err e = store_conflict_each(o->store, f, list_json, &l);
    buf_printf(&l.b, "]}\n");
    return listed(o, &l, e);
}

/* ---- text */

static void list_text(const struct conflict_record *r, void *user)
{
    struct conflict_lister *l = user;
    char since[STREAM_TIME];
    bool open = strcmp(r->state, "open") == 0;
    buf_reset(&l->offices);
    for (size_t i = 0; i < r->n_sides; i++) {
        if (i > 0)
            put(&l->offices, ", ");
        put(&l->offices, r->sides[i].office[0] != '\0' ? r->sides[i].office : "-");
    }
    stream_clock(since, r->opened_ms);
    const char *cells[] = {
        r->id,
        r->table,
        cli_short(l->c, r->key_json),
        r->cell,
        r->policy,
        l->colours ? cli_coloured(l->c, open ? COLOUR_WARN : COLOUR_GOOD, r->state) : r->state,
        since,
        buf_str(&l->offices)};
    table_add(l->c, &l->t, cells);
    l->n++;
}

static int list(struct cli *c, struct cli_office *o, const struct conflict_filter *f)
{
    static const char *const heads[] = {"ID",     "TABLE", "KEY",   "CELL",
                                        "POLICY", "STATE", "SINCE", "OFFICES"};
    struct conflict_lister l = {.c = c, .file = stdout};
    if (c->json)
        return conflict_stream_all(c, o, f, stdout);
    l.colours = cli_coloured(c, COLOUR_GOOD, heads[0]) != heads[0];
    table_head(c, &l.t, 8, heads);
    struct conflict_filter light = *f;
    light.offices_only = true;
    enum err e = store_conflict_each(o->store, &light, list_text, &l);
    buf_fini(&l.offices);
    if (e != ERR_OK) {
        mem_free(l.t.cell);
        return office_fail(o, e, "reading the conflicts");
    }
    if (l.n == 0) {
        mem_free(l.t.cell);
        cli_note(f->state && strcmp(f->state, "open") == 0 ? "No conflict is open%s."
                                                           : "No conflict is on record%s.",
                 f->table || f->office || f->unit || f->policy || f->cell ? " that you asked for"
                                                                          : "");
    } else {
        table_print(&l.t);
    }
    return CLI_OK;
}

int command_conflict_list(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    struct conflict_words w = {0};
    const struct option options[] = {CONFLICT_OPTIONS(w), {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 0);
    if (code == CLI_OK)
        code = conflict_words_of(c, &w);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    code = list(c, &o, &w.filter);
    office_close(&o);
    return code;
}

/* ---- export: one line a side (RFC 4180, UTF-8) */

/* A table program wants the text itself, not its JSON; NULL is an empty field, and the empty text
 * an empty one in quotes. */
static void csv_value(struct buf *b, const struct conflict_record *r, const struct conflict_side *s)
{
    struct buf json = {0};
    if (s->detail)
        put(&json, s->detail);
    else if (strcmp(r->cell, "exists") == 0)
        put(&json, s->value.u.i != 0 ? "the row stays" : "deleted");
    else if (s->value.type != VALUE_NULL)
        stream_members(&json, &s->value, r->n_members, r->members);
    if (s->value.type == VALUE_TEXT && s->value.len == 0)
        put(b, "\"\"");
    else if (s->value.type == VALUE_TEXT && json.data[0] == '"')
        stream_csv(b, s->value.u.p, s->value.len);
    else
        stream_csv(b, buf_str(&json), json.len);
    buf_fini(&json);
}

static void csv_text(struct buf *b, const char *text)
{
    stream_csv(b, text, strlen(text));
    buf_put_u8(b, ',');
}

static void csv_time(struct buf *b, uint64_t ms)
{
    char text[STREAM_TIME] = "";
    if (ms != 0)
        stream_clock(text, ms);
    csv_text(b, text);
}

static void export_csv(const struct conflict_record *r, void *user)
{
    struct conflict_lister *l = user;
    for (size_t i = 0; i < r->n_sides; i++) {
        const struct conflict_side *s = &r->sides[i];
        struct buf *b = &l->b;
        csv_text(b, r->id);
        csv_text(b, r->table);
        csv_text(b, r->key_json);
        csv_text(b, r->cell);
        csv_text(b, r->policy);
        csv_text(b, r->state);
        csv_time(b, r->opened_ms);
        csv_time(b, r->closed_ms);
        csv_text(b, s->office);
        csv_text(b, s->unit);
        csv_time(b, hlc_ms(s->at_hlc));
        char dot[STREAM_DOT];
        buf_put(b, dot, stream_dot_text(dot, s->dot));
        put(b, s->shown ? ",yes," : ",no,");
        csv_value(b, r, s);
        put(b, "\r\n");
    }
    l->bad = !stream_flush(&l->b, l->file, false) || l->bad;
}

static int export_to(struct cli *c, struct cli_office *o, const struct conflict_filter *f,
                     FILE *file)
{
    struct conflict_lister l = {.c = c, .file = file};
    if (c->json)
        return conflict_stream_all(c, o, f, file);
    put(&l.b, "id,table,key,cell,policy,state,opened_at,closed_at,office,unit,at,dot,shown,value"
              "\r\n");
    return listed(o, &l, store_conflict_each(o->store, f, export_csv, &l));
}

static int export_file(struct cli *c, struct cli_office *o, const struct conflict_filter *f,
                       const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file)
        return cli_fail(CLI_ERROR, "%s cannot be made: %s%s", path, strerror(errno),
                        errno == EEXIST ? "; name another file, or move that one away" : "");
    int code = export_to(c, o, f, file);
    if (fclose(file) != 0 && code == CLI_OK)
        code = cli_fail(CLI_ERROR, "%s could not be written: %s", path, strerror(errno));
    if (code != CLI_OK)
        unlink(path);
    return code;
}

int command_conflict_export(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    struct conflict_words w = {0};
    bool csv = false;
    const struct option options[] = {
        CONFLICT_OPTIONS(w), {"--csv", OPTION_FLAG, &csv}, {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 1);
    if (code == CLI_OK)
        code = conflict_words_of(c, &w);
    if (code == CLI_OK && csv == c->json)
        code = cli_usage(c, csv ? "--csv and --json exclude each other" : "give --csv or --json");
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    bool to_stdout = c->n_words == 0 || strcmp(c->words[0], "-") == 0;
    code = to_stdout ? export_to(c, &o, &w.filter, stdout)
                     : export_file(c, &o, &w.filter, c->words[0]);
    office_close(&o);
    return code;
}
