/* explain.c - which rules meet a row, where the charter says so, and what another charter would
 * say: a dry run. */
#include "node/cli/cli.h"

#include "conflict/hlc.h"
#include "node/db/db.h"
#include "node/desk/desk.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const verdicts[] = {[EXPLAIN_NONE] = "none",
                                       [EXPLAIN_SAME] = "same",
                                       [EXPLAIN_OTHERWISE] = "otherwise",
                                       [EXPLAIN_UNKNOWN] = "unknown"};

/* The charter of a file; CLI_OK or the exit code, message printed. */
static int load_charter(struct cli *c, const char *path, struct charter *out)
{
    char msg[CHARTER_MSG_BYTES] = "";
    enum err e = charter_load(&c->arena, path, out, msg);
    if (e == ERR_NOT_FOUND || e == ERR_IO)
        return cli_fail(CLI_ERROR, "%s", msg);
    return e == ERR_OK ? CLI_OK : cli_fail(CLI_REFUSED, "%s", msg);
}

/* ---- one row, JSON */

static json_t *rule_json(const struct explain_rule *r)
{
    json_t *rank = json_array();
    for (uint32_t i = 0; i < r->n_rank; i++)
        json_array_append_new(rank, cli_text_json(r->rank[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "policy", cli_text_json(r->policy), "fallback",
                     r->fallback ? cli_text_json(r->fallback) : json_null(), "rank", rank, "from",
                     cli_text_json(r->from), "line",
                     r->line != 0 ? json_integer((json_int_t)r->line) : json_null());
}

static json_t *side_json(const struct conflict_side *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "office", cli_text_json(s->office), "unit",
                     cli_text_json(s->unit), "at", cli_time_json(hlc_ms(s->at_hlc)), "dot",
                     cli_dot_json(s->dot), "value", cli_value_json(&s->value), "shown",
                     (int)s->shown);
}

static json_t *cell_json(const struct explain_cell *x, bool dry_run)
{
    json_t *sides = json_array(), *members = json_array();
    for (size_t i = 0; i < x->n_sides; i++)
        json_array_append_new(sides, side_json(&x->sides[i]));
    for (uint32_t i = 0; i < x->n_members; i++)
        json_array_append_new(members, cli_text_json(x->members[i]));
    json_t *j = json_pack(
        "{s:o, s:o, s:b, s:o, s:o, s:o}", "cell", cli_text_json(x->cell), "columns", members,
        "implied", (int)x->implied, "rule", rule_json(&x->rule), "conflict",
        x->conflict[0] != '\0' ? cli_text_json(x->conflict) : json_null(), "sides", sides);
    if (!dry_run)
        return j;
    bool decided = x->verdict == EXPLAIN_SAME || x->verdict == EXPLAIN_OTHERWISE;
    json_t *other = rule_json(&x->other);
    json_object_set_new(other, "verdict", json_string(verdicts[x->verdict]));
    json_object_set_new(other, "dot",
                        decided && x->other_shown < x->n_sides
                            ? cli_dot_json(x->sides[x->other_shown].dot)
                            : json_null());
    json_object_set_new(j, "other", other);
    return j;
}

static void print_row_json(const struct explanation *x, bool dry_run)
{
    json_t *cells = json_array(), *held = json_array();
    for (size_t i = 0; i < x->n_cells; i++)
        json_array_append_new(cells, cell_json(&x->cells[i], dry_run));
    for (size_t i = 0; i < x->n_held; i++)
        json_array_append_new(held,
                              json_pack("{s:o, s:o, s:o, s:o}", "id", cli_text_json(x->held[i].id),
                                        "kind", cli_text_json(x->held[i].reason), "reason",
                                        cli_text_json(x->held[i].message), "office",
                                        cli_text_json(x->held[i].office)));
    cli_print_json(json_pack("{s:i, s:o, s:o, s:s, s:o, s:o, s:s, s:o, s:o}", "schema", CLI_SCHEMA,
                             "table", cli_text_json(x->table), "key", cli_key_json(x->key_json),
                             "state", x->state, "scope", cli_text_json(x->scope), "owner",
                             cli_text_json(x->office), "receivers", "every office", "held", held,
                             "cells", cells));
}

/* ---- one row, text */

static const char *rule_text(struct cli *c, const struct explain_rule *r)
{
    const char *text = r->policy;
    for (uint32_t i = 0; i < r->n_rank; i++)
        text = cli_printf(c, "%s%s%s", text, i == 0 ? ": " : " < ", r->rank[i]);
    return r->fallback ? cli_printf(c, "%s (%s until decided)", text, r->fallback) : text;
}

static const char *place_text(struct cli *c, const struct explain_rule *r)
{
    if (r->line == 0)
        return "default";
    return cli_printf(c, "line %llu (%s)", (unsigned long long)r->line, r->from);
}

static const char *cell_text(struct cli *c, const struct explain_cell *x)
{
    const char *text = x->cell;
    for (uint32_t i = 0; i < x->n_members; i++)
        text = cli_printf(c, "%s%s%s", text, i == 0 ? ": " : ", ", x->members[i]);
    return x->implied ? cli_printf(c, "%s (one rule names them together)", text) : text;
}

static const char *other_text(struct cli *c, const struct explain_cell *x)
{
    switch (x->verdict) {
    case EXPLAIN_SAME:
        return "as now";
    case EXPLAIN_OTHERWISE:
        if (x->other_shown >= x->n_sides)
            return "otherwise: each column by its own rule";
        return cli_printf(c, "otherwise: %s of %s", cli_value(c, &x->sides[x->other_shown].value),
                          x->sides[x->other_shown].office);
    case EXPLAIN_UNKNOWN:
        return "unknown: what that rule needs was not recorded";
    default:
        return "";
    }
}

static void add_sides(struct cli *c, struct text_table *t, const struct explain_cell *x)
{
    for (size_t i = 0; i < x->n_sides; i++) {
        const struct conflict_side *s = &x->sides[i];
        const char *cells[] = {s->shown ? "  in force" : "  beside it", cli_value(c, &s->value),
                               cli_printf(c, "%s of %s at %s", cli_dot(c, s->dot),
                                          s->office[0] != '\0' ? s->office : "-",
                                          cli_time(c, hlc_ms(s->at_hlc))),
                               "", ""};
        table_add(c, t, cells);
    }
}

static void print_row(struct cli *c, const struct explanation *x, bool dry_run)
{
    static const char *const heads[] = {"CELL", "POLICY", "CHARTER", "OTHER CHARTER", "WOULD BE"};
    struct text_table t = {0};
    cli_print("%s %s: %s\n", cli_safe(c, x->table), cli_safe(c, cli_short(c, x->key_json)),
              x->state);
    cli_print("scope %s, owned by %s; every office receives it\n",
              x->scope[0] != '\0' ? cli_safe(c, x->scope) : "nation", cli_safe(c, x->office));
    for (size_t i = 0; i < x->n_held; i++) {
        struct value words = value_text(x->held[i].message);
        cli_print("held %s (%s, written at %s): %s\n", x->held[i].id, x->held[i].reason,
                  cli_safe(c, x->held[i].office), cli_value(c, &words));
    }
    cli_print("\n");
    table_head(c, &t, dry_run ? 5 : 3, heads);
    for (size_t i = 0; i < x->n_cells; i++) {
        const struct explain_cell *cell = &x->cells[i];
        const char *cells[] = {cell_text(c, cell), rule_text(c, &cell->rule),
                               place_text(c, &cell->rule),
                               dry_run ? rule_text(c, &cell->other) : "", other_text(c, cell)};
        table_add(c, &t, cells);
        add_sides(c, &t, cell);
    }
    table_print(&t);
    if (x->n_held > 0)
        cli_note("`tonle held show ID` says what settles a held row.");
}

static int explain_row(struct cli *c, struct cli_office *o, const struct charter *other)
{
    struct explanation x;
    bool quoted;
    const char *key = cli_key_text(c, c->words[1], &quoted);
    enum err e = store_explain(o->store, &c->arena, c->words[0], key, other, &x);
    if (e == ERR_NOT_FOUND || e == ERR_REFUSED)
        return cli_fail(cli_exit_of(e), "%s", store_message(o->store));
    if (e == ERR_USAGE)
        return cli_usage(c, "%s", store_message(o->store));
    if (e != ERR_OK)
        return office_fail(o, e, "explaining the row");
    if (c->json)
        print_row_json(&x, other);
    else
        print_row(c, &x, other);
    return CLI_OK;
}

/* ---- the conflicts of a period */

/* "2026-11-22" or "2026-11-22T10:30:00Z", UTC. */
static bool parse_date(const char *text, uint64_t *ms)
{
    struct tm tm = {0}, again;
    int used = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &used) != 3)
        return false;
    if (text[used] == 'T') {
        int more = 0;
        if (sscanf(text + used, "T%2d:%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &more) != 3)
            return false;
        used += more;
        used += text[used] == 'Z';
    }
    tm.tm_year -= 1900;
    tm.tm_mon--;
    again = tm;
    time_t t = timegm(&again); /* brings 31 February into March */
    if (text[used] != '\0' || t < 0 || again.tm_mday != tm.tm_mday || again.tm_mon != tm.tm_mon ||
        again.tm_hour != tm.tm_hour || again.tm_min != tm.tm_min)
        return false;
    *ms = (uint64_t)t * 1000;
    return true;
}

static void print_counts(struct cli *c, const struct explain_count *list, size_t n)
{
    static const char *const heads[] = {"TABLE",     "CELL",      "POLICY",    "OTHER",
                                        "CONFLICTS", "OTHERWISE", "TO DECIDE", "UNKNOWN"};
    struct text_table t = {0};
    uint64_t all = 0, otherwise = 0;
    table_head(c, &t, 8, heads);
    for (size_t i = 0; i < n; i++) {
        const struct explain_count *x = &list[i];
        const char *cells[] = {x->table,
                               x->cell,
                               x->policy,
                               x->other[0] != '\0' ? x->other : "-",
                               cli_printf(c, "%llu", (unsigned long long)x->conflicts),
                               cli_printf(c, "%llu", (unsigned long long)x->otherwise),
                               cli_printf(c, "%llu", (unsigned long long)x->reviewed),
                               cli_printf(c, "%llu", (unsigned long long)x->unknown)};
        table_add(c, &t, cells);
        all += x->conflicts;
        otherwise += x->otherwise;
    }
    if (n > 0)
        table_print(&t);
    else
        mem_free(t.cell);
    cli_note("%llu conflicts on record, %llu would have been decided otherwise. Nothing was "
             "changed.",
             (unsigned long long)all, (unsigned long long)otherwise);
}

static int explain_conflicts(struct cli *c, struct cli_office *o, const struct charter *other,
                             const struct explain_period *p)
{
    struct explain_count *list;
    size_t n;
    enum err e = store_explain_conflicts(o->store, &c->arena, other, p, &list, &n);
    if (e == ERR_NOT_FOUND)
        return cli_fail(CLI_ERROR,
                        "there is no replicated table %s: `tonle charter show` names them",
                        p->table);
    if (e == ERR_REFUSED)
        return cli_fail(CLI_REFUSED, "%s", store_message(o->store));
    if (e != ERR_OK)
        return office_fail(o, e, "reading the conflicts");
    if (!c->json) {
        print_counts(c, list, n);
        return CLI_OK;
    }
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            all, json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "table",
                           cli_text_json(list[i].table), "cell", cli_text_json(list[i].cell),
                           "policy", cli_text_json(list[i].policy), "other",
                           list[i].other[0] != '\0' ? cli_text_json(list[i].other) : json_null(),
                           "conflicts", (json_int_t)list[i].conflicts, "otherwise",
                           (json_int_t)list[i].otherwise, "to_decide", (json_int_t)list[i].reviewed,
                           "unknown", (json_int_t)list[i].unknown));
    cli_print_json(json_pack("{s:i, s:o}", "schema", CLI_SCHEMA, "counts", all));
    return CLI_OK;
}

int command_explain(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    struct explain_period period = {0};
    struct charter charter;
    const char *file = NULL, *since = NULL, *until = NULL;
    const struct option options[] = {{"--charter", OPTION_TEXT, &file},
                                     {"--table", OPTION_TEXT, &period.table},
                                     {"--since", OPTION_TEXT, &since},
                                     {"--until", OPTION_TEXT, &until},
                                     {NULL, OPTION_FLAG, NULL}};
    int code = cli_arguments(c, argc, argv, options, 0, 2);
    if (code != CLI_OK)
        return code;
    bool limited = period.table || since || until;
    if (c->n_words == 1)
        return cli_usage(c, "which row of %s? give its key, or --table %s", c->words[0],
                         c->words[0]);
    if (c->n_words == 0 && !file)
        return cli_usage(c, "give TABLE and KEY, or --charter FILE for all recorded conflicts");
    if (c->n_words == 2 && limited)
        return cli_usage(c,
                         "--table, --since and --until are for all conflicts, without TABLE KEY");
    if ((since && !parse_date(since, &period.since_ms)) ||
        (until && !parse_date(until, &period.until_ms)))
        return cli_usage(c, "a date is 2026-11-22 or 2026-11-22T10:30:00Z");
    if (file)
        code = load_charter(c, file, &charter);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    code = c->n_words == 2 ? explain_row(c, &o, file ? &charter : NULL)
                           : explain_conflicts(c, &o, &charter, &period);
    office_close(&o);
    return code;
}
