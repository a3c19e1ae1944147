/* conflict_show.c - one conflict: what stood before, each side, what is in force and by which rule,
 * what people decided, and the commands that settle it.
 *
 * Of a group, or of a whole row, only the members are shown that are not the same on every side. */
#include "node/cli/conflict.h"

#include "conflict/hlc.h"
#include "node/desk/desk.h"

#include <stdlib.h>
#include <string.h>

#define SHORT_ID 12

/* ---- what differs */

/* A value as an object of its members: a group's columns, or the whole row. NULL: it is one value.
 */
static json_t *members_json(const struct conflict_record *r, const struct value *v, const char *row)
{
    struct buf b = {0};
    json_t *o = NULL;
    if (row) {
        o = json_loads(row, 0, NULL);
    } else if (r->n_members > 0 && v->type == VALUE_TUPLE) {
        stream_members(&b, v, r->n_members, r->members);
        o = json_loadb(buf_str(&b), b.len, JSON_ALLOW_NUL, NULL);
    }
    buf_fini(&b);
    return o;
}

/* Names of the members that have more than one value among the sides; of a single row all. */
static json_t *differing(const struct conflict_record *r)
{
    json_t *first = NULL, *names = json_object();
    size_t n = 0;
    for (size_t i = 0; i < r->n_sides; i++) {
        json_t *o = members_json(r, &r->sides[i].value, r->sides[i].detail);
        const char *name;
        json_t *value;
        if (!o)
            continue;
        n++;
        if (!first)
            first = json_incref(o);
        json_object_foreach(o, name, value)
        {
            if (!json_equal(value, json_object_get(first, name)))
                json_object_set_new(names, name, json_true());
        }
        json_decref(o);
    }
    if (n == 1)
        json_object_update(names, first);
    json_decref(first);
    return names;
}

static const char *shown_text(struct cli *c, const struct conflict_record *r, const struct value *v,
                              const char *row, const json_t *names)
{
    json_t *o = members_json(r, v, row), *member;
    const char *text = "", *name;
    if (!o)
        return strcmp(r->cell, "exists") != 0            ? cli_value(c, v)
               : v->type == VALUE_INTEGER && v->u.i != 0 ? "the row stays"
                                                         : "deleted";
    json_object_foreach(o, name, member)
    {
        if (json_object_size(names) > 0 && !json_object_get(names, name))
            continue;
        char *value = json_dumps(member, JSON_ENCODE_ANY | JSON_COMPACT);
        text = cli_printf(c, "%s%s%s=%s", text, text[0] != '\0' ? ", " : "", name,
                          cli_short(c, value));
        free(value);
    }
    json_decref(o);
    return text;
}

/* ---- text */

static void add_side(struct cli *c, struct text_table *t, const struct conflict_record *r,
                     const struct conflict_side *s, const char *mark, const json_t *names)
{
    const char *value = shown_text(c, r, &s->value, s->detail, names);
    if (s->decision)
        value =
            cli_printf(c, "%s  [decided by %s: %s]", value, s->decision->by, s->decision->reason);
    const char *cells[] = {mark,
                           s->office[0] != '\0' ? s->office : "-",
                           s->unit[0] != '\0' ? s->unit : "nation",
                           cli_time(c, hlc_ms(s->at_hlc)),
                           cli_dot(c, s->dot),
                           value};
    table_add(c, t, cells);
}

static void print_sides(struct cli *c, const struct conflict_record *r,
                        const struct conflict_more *m, const json_t *names)
{
    static const char *const heads[] = {"", "OFFICE", "UNIT", "AT", "DOT", "VALUE"};
    struct text_table t = {0};
    bool open = strcmp(r->state, "open") == 0;
    table_head(c, &t, 6, heads);
    if (m->has_before)
        add_side(c, &t, r, &m->before, "before", names);
    for (size_t i = 0; i < r->n_sides; i++)
        add_side(c, &t, r, &r->sides[i],
                 !r->sides[i].shown ? ""
                 : open             ? "in force"
                                    : "was shown",
                 names);
    table_print(&t);
}

static void print_now(struct cli *c, const struct conflict_record *r, const struct conflict_more *m,
                      const json_t *names)
{
    bool row = strcmp(r->cell, "exists") == 0 || strcmp(r->cell, "birth") == 0;
    bool open = strcmp(r->state, "open") == 0;
    bool gone = strcmp(m->standing, "gone") == 0;
    bool deleted = strcmp(m->standing, "deleted") == 0;
    const char *value = gone ? "" : shown_text(c, r, &m->now, row ? m->now_row : NULL, names);
    cli_print("\nnow: the row %s%s%s",
              gone                               ? "is not here any more"
              : strcmp(m->standing, "held") == 0 ? "is held"
              : deleted                          ? "is deleted"
                                                 : "stands",
              value[0] == '\0' ? ""
              : deleted        ? "; it had "
                               : " with ",
              cli_safe(c, value));
    if (open)
        cli_print("\nrule: %s%s", r->policy,
                  strcmp(r->policy, "review") == 0 ? ", its fallback until a person decides" : "");
    cli_print("\n");
}

static void print_closed(struct cli *c, const struct conflict_record *r,
                         const struct conflict_more *m)
{
    for (size_t i = 0; i < m->n_decisions; i++) {
        const struct decision_record *d = &m->decisions[i];
        cli_print("decided %s by %s at %s: %s\n  reason: %s\n", cli_time(c, d->at_ms),
                  cli_safe(c, d->by), cli_safe(c, d->office), cli_safe(c, d->choice),
                  cli_safe(c, d->reason));
    }
    if (strcmp(r->state, "auto") == 0)
        cli_print("closed by its rule: %s\n", r->policy);
    else if (strcmp(r->state, "open") != 0 && r->successor[0] != '\0')
        cli_print("closed %s by %s%s\n", cli_time(c, r->closed_ms),
                  strcmp(r->state, "superseded") == 0 ? "the conflict " : "the write ",
                  r->successor);
}

static const char *unit_words(struct cli *c, const struct decider *d)
{
    return d->unit[0] != '\0' ? cli_printf(c, "unit %s", d->unit) : "the nation";
}

static void print_decider(struct cli *c, const struct decider *d)
{
    if (!d)
        return;
    if (!d->unit)
        cli_print("\nwho may decide: every office (review_by: %s)\n", cli_safe(c, d->by));
    else
        cli_print("\nwho may decide: %s%s%s%s (review_by: %s); %s\n", cli_safe(c, unit_words(c, d)),
                  d->office[0] != '\0' ? ", " : "", cli_safe(c, d->office),
                  d->office[0] != '\0' ? "" : ", which has no office yet", cli_safe(c, d->by),
                  d->here ? "that is this office" : "not this office");
}

static void print_commands(const struct conflict_record *r, const struct decider *d)
{
    bool open = strcmp(r->state, "open") == 0, birth = strcmp(r->cell, "birth") == 0;
    if (strcmp(r->state, "superseded") == 0) {
        if (r->successor[0] != '\0')
            cli_note("\nThe sides that are not shown, and how to settle it:"
                     " `tonle conflict show %s`",
                     r->successor);
        return;
    }
    cli_note("\nTo %s%s (an office's name does for its DOT, where one side is its):",
             open ? "settle it" : "decide it again", d && !d->here ? ", there and not here" : "");
    for (size_t i = 0; i < r->n_sides; i++)
        cli_note("  tonle conflict resolve %.*s --take %016llx:%llu --reason TEXT   # %s", SHORT_ID,
                 r->id, (unsigned long long)r->sides[i].dot.site,
                 (unsigned long long)r->sides[i].dot.seq,
                 r->sides[i].office[0] != '\0' ? r->sides[i].office : "-");
    if (birth)
        cli_note("  tonle conflict resolve %.*s --keep-both --reason TEXT", SHORT_ID, r->id);
    else if (strcmp(r->cell, "exists") != 0)
        cli_note("  tonle conflict resolve %.*s --set %s=VALUE --reason TEXT", SHORT_ID, r->id,
                 r->n_members > 0 ? r->members[0] : r->cell);
}

/* Two births have nothing before them; of a superseded record the sides, which would tell, are with
 * its successor. */
static void print_no_before(const struct conflict_record *r, const struct conflict_more *m,
                            bool at_hub)
{
    if (m->has_before || strcmp(r->state, "superseded") == 0 || strcmp(r->cell, "birth") == 0)
        return;
    if (at_hub)
        cli_note("What stood before is not on record: it is older than the federation, or its "
                 "changeset is gone.");
    else
        cli_note("What stood before was written before this office's first load: `tonle conflict "
                 "show %.*s` at the hub tells it.",
                 SHORT_ID, r->id);
}

struct show_beside { /* beside the conflict */
    bool at_hub;
    const struct decider *decider; /* NULL: nothing is left to decide */
};

static void print_conflict(struct cli *c, const struct conflict_record *r,
                           const struct conflict_more *m, const struct show_beside *s)
{
    json_t *names = differing(r);
    bool open = strcmp(r->state, "open") == 0;
    cli_print("%s: %s of %s, key %s\n", r->id, cli_safe(c, r->cell), cli_safe(c, r->table),
              cli_safe(c, cli_short(c, r->key_json)));
    cli_print("%s since %s, policy %s\n\n",
              cli_coloured(c, open ? COLOUR_WARN : COLOUR_GOOD, r->state),
              cli_time(c, open || r->closed_ms == 0 ? r->opened_ms : r->closed_ms), r->policy);
    print_sides(c, r, m, names);
    print_no_before(r, m, s->at_hub);
    print_now(c, r, m, names);
    print_closed(c, r, m);
    print_decider(c, s->decider);
    print_commands(r, s->decider);
    json_decref(names);
}

/* ---- JSON */

static json_t *decision_json(const struct decision_record *d)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "id", cli_text_json(d->id), "operator",
                     cli_text_json(d->by), "office", cli_text_json(d->office), "at",
                     cli_time_json(d->at_ms), "choice", cli_text_json(d->choice), "reason",
                     cli_text_json(d->reason));
}

static json_t *parsed(const struct buf *b)
{
    json_t *j = json_loadb((const char *)b->data, b->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    return j ? j : json_null();
}

static json_t *now_json(const struct conflict_record *r, const struct conflict_more *m)
{
    struct buf b = {0};
    stream_members(&b, &m->now, r->n_members, r->members);
    json_t *row = m->now_row ? json_loads(m->now_row, JSON_ALLOW_NUL, NULL) : NULL;
    json_t *o = json_pack("{s:s, s:o, s:o}", "row_is", m->standing, "value", parsed(&b), "row",
                          row ? row : json_null());
    buf_fini(&b);
    return o;
}

static json_t *decider_json(const struct decider *d)
{
    if (!d)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:b}", "review_by", cli_text_json(d->by), "unit",
                     d->unit ? cli_text_json(d->unit) : json_null(), "office",
                     d->unit && d->office[0] != '\0' ? cli_text_json(d->office) : json_null(),
                     "here", (int)d->here);
}

static void print_json(const struct conflict_record *r, const struct conflict_more *m,
                       const struct decider *d)
{
    struct buf b = {0};
    conflict_stream(&b, r, false);
    json_t *o = parsed(&b), *sides = json_object_get(o, "sides"), *list = json_array();
    buf_reset(&b);
    for (size_t i = 0; i < r->n_sides; i++)
        if (r->sides[i].decision)
            json_object_set_new(json_array_get(sides, i), "decision",
                                decision_json(r->sides[i].decision));
    if (m->has_before)
        conflict_stream_side(&b, r, &m->before);
    json_object_set_new(o, "before", m->has_before ? parsed(&b) : json_null());
    json_object_set_new(o, "now", now_json(r, m));
    for (size_t i = 0; i < m->n_decisions; i++)
        json_array_append_new(list, decision_json(&m->decisions[i]));
    json_object_set_new(o, "decisions", list);
    json_object_set_new(o, "who_may_decide", decider_json(d));
    buf_fini(&b);
    cli_print_json(json_pack("{s:i, s:o}", "schema", CLI_SCHEMA, "conflict", o));
}

int command_conflict_show(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    struct conflict_record r;
    struct conflict_more more;
    int code = cli_arguments(c, argc, argv, NULL, 1, 1);
    if (code == CLI_OK)
        code = office_open(c, OFFICE_READ, &o);
    if (code != CLI_OK)
        return code;
    enum err e = store_conflict_get(o.store, &c->arena, c->words[0], &r, &more);
    struct show_beside s = {.at_hub = store_identity_get(o.store)->parent[0] == '\0'};
    struct decider decider;
    if (e == ERR_OK)
        e = store_conflict_decider(o.store, &c->arena, r.id, &decider);
    if (e == ERR_OK)
        s.decider = &decider;
    if (e == ERR_STATE)
        e = ERR_OK;
    if (e == ERR_NOT_FOUND)
        code = cli_fail(CLI_ERROR, "there is no conflict %s: `tonle conflict list` shows them",
                        c->words[0]);
    else if (e != ERR_OK)
        code = office_fail(&o, e, "reading the conflict");
    else if (c->json)
        print_json(&r, &more, s.decider);
    else
        print_conflict(c, &r, &more, &s);
    office_close(&o);
    return code;
}
