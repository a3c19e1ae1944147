/* What is not green, and what to do about it. From this one list come the text of `tonle status`,
 * its JSON and its exit code, so they cannot say different things (DESIGN 2.13, 12).
 *
 * Without a running node only what is stored is known, and that it does not run. */
#include "node/core/looking.h"

#include "node/apply/apply.h"
#include "node/capture/gap.h"
#include "node/db/neighbour.h"
#include "node/schema/schema.h"

#include <stdio.h>
#include <string.h>

#define LOCKED_MS 10000u
#define READER_MS 60000u

void reason_add(struct status_look *l, const struct reason *r)
{
    json_array_append_new(l->reasons,
                          json_pack("{s:s, s:o, s:o, s:o, s:o, s:b}", "code", r->code, "subject",
                                    status_text_json(r->subject), "text", status_text_json(r->text),
                                    "next", status_text_json(r->next), "since",
                                    status_time_json(r->since_ms), "waits", (int)r->waits));
}

const char *reason_state(const struct status_look *l)
{
    size_t i;
    json_t *o;
    if (!l->n)
        return "stopped";
    json_array_foreach(l->reasons, i, o)
    {
        if (!json_is_true(json_object_get(o, "waits")))
            return "degraded";
    }
    return i > 0 ? "waiting" : "green";
}

/* What a person should look at, in this office itself. */
static void own(struct status_look *l, const char *code, const char *text, const char *next)
{
    reason_add(l,
               &(struct reason){.code = code, .subject = l->id->node, .text = text, .next = next});
}

/* A database that is locked now is asked again in a moment. */
bool reason_unread(struct status_look *l, enum err e)
{
    static const char *const locked =
        "the database is locked by another program, so not all is known";
    if (e == ERR_OK || e == ERR_NOT_FOUND)
        return false;
    l->synced = false;
    if (!l->unread)
        reason_add(l, &(struct reason){.code = e == ERR_BUSY ? "busy" : "database",
                                       .subject = l->id->node,
                                       .text = e == ERR_BUSY ? locked : store_message(l->s),
                                       .next = e == ERR_BUSY
                                                   ? "ask again in a moment; if it lasts, find the "
                                                     "program that holds the lock"
                                                   : "tonle doctor",
                                       .waits = e == ERR_BUSY});
    l->unread = true;
    return true;
}

/* ---- neighbours */

static void line(struct status_look *l, const struct peer *p, const char *name, bool up)
{
    bool open = p && peer_open(p);
    struct reason r = {.code = open ? "neighbour" : "line", .subject = name};
    if (p && !open)
        r.since_ms = p->contact_ms;
    if (p && p->reason[0] != '\0') {
        r.text = p->reason;
        r.next = p->next;
    } else if (open) {
        return;
    } else if (up) {
        r.text = "the line to the parent is down; work goes on here and is sent when it returns";
        r.next = "check this office's network and the parent's endpoint in node.yaml";
    } else {
        r.text = "it has no line to this office; its work goes on there and comes when the line "
                 "does";
        r.next = "check that office's network and power, and that its node runs";
    }
    reason_add(l, &r);
}

static void data(struct status_look *l, const char *name, const struct on_the_way *w)
{
    char text[160] = "";
    size_t len = 0;
    if (w->out > 0)
        len = (size_t)snprintf(text, sizeof text, "%llu changesets wait to be taken there%s",
                               (unsigned long long)w->out, w->in > 0 ? "; " : "");
    if (w->in > 0)
        snprintf(text + len, sizeof text - len, "%llu of its items wait to come in here",
                 (unsigned long long)w->in);
    if (text[0] != '\0')
        reason_add(l, &(struct reason){.code = "waiting",
                                       .subject = name,
                                       .text = text,
                                       .next = "nothing: it goes on by itself while the line is up",
                                       .since_ms = w->since_ms,
                                       .waits = true});
}

void reason_neighbour(struct status_look *l, const struct peer *p, const char *name, bool up,
                      const struct on_the_way *w)
{
    if (l->n)
        line(l, p, name, up);
    data(l, name, w);
    if (!p || !peer_open(p))
        return;
    reason_clocks_below(l, p);
    if (p->forgets_ahead)
        reason_add(l, &(struct reason){.code = "neighbour",
                                       .subject = name,
                                       .text = "it says that more is forgotten there than the hub "
                                               "has declared: rows cannot be compared with it",
                                       .next = "look at that office: its database was altered, or "
                                               "the hub's is older than it; it may have to join "
                                               "again"});
}

/* ---- the database */

static void table_away(struct status_look *l, const char *code, const char *table, const char *seen)
{
    struct buf b = {0};
    buf_printf(&b,
               "%s: table %s is not in this database%s, or not with all its columns%s: nothing is "
               "captured, and what comes for it waits",
               code, table, seen[0] ? " any more" : "", seen);
    own(l, code, buf_str(&b), "tonle doctor names what is missing; make it again");
    buf_fini(&b);
}

/* "/a/b/" as "a, b". */
static void put_neighbours(struct buf *b, const char *names)
{
    for (const char *p = names + 1; *p; p++)
        if (*p != '/')
            buf_put(b, p, 1);
        else if (p[1])
            buf_printf(b, ", ");
}

static void gap_reason(struct status_look *l, const struct gap *g, bool here)
{
    char from[40], found[40], seen[60];
    struct buf b = {0};
    struct reason r = {.subject = l->id->node, .since_ms = g->from_ms ? g->from_ms : g->found_ms};
    status_time(from, g->from_ms);
    status_time(found, g->found_ms);
    const char *other = l->id->parent[0] ? "the parent" : "an office below";
    if (!here) {
        snprintf(seen, sizeof seen, " (seen at %s)", found);
        table_away(l, "capture-gap", g->table, seen);
        return;
    }
    if (g->state == GAP_OPEN) {
        r.code = "capture-gap";
        r.next = "wait; it goes on by itself while the line is up";
        buf_printf(&b,
                   "capture-gap: what was written to table %s between %s and %s may not have been "
                   "captured; it is compared with %s as soon as both have the same changes",
                   g->table, from, found, other);
    } else if (g->changed + g->born + g->deleted == 0) {
        r.code = "differs";
        r.next = "tonle verify --local --office NAME, for each of them";
        buf_printf(&b,
                   "rows of table %s were taken from an office below as lost here, and may have "
                   "been there alone: it has to be compared with ",
                   g->table);
        put_neighbours(&b, g->differs_from);
    } else {
        r.code = "differs";
        bool below = !l->id->parent[0] && strlen(g->differs_from) > 1;
        r.next = below ? "tonle verify --local --office NAME shows both values; tonle verify "
                         "--repair --office NAME --take here|parent"
                       : "tonle verify --local shows both values; tonle verify --repair --take "
                         "here|parent";
        buf_printf(&b, "rows of table %s differ from those at ", g->table);
        if (below)
            put_neighbours(&b, g->differs_from);
        else
            buf_printf(&b, "%s", other);
        buf_printf(&b,
                   " and wait for a person: %llu changed, "
                   "%llu only here, %llu only there",
                   (unsigned long long)g->changed, (unsigned long long)g->born,
                   (unsigned long long)g->deleted);
    }
    r.text = buf_str(&b);
    reason_add(l, &r);
    buf_fini(&b);
}

static const struct gap *gap_of(const struct gap *g, size_t n, uint32_t t)
{
    for (size_t i = 0; i < n; i++)
        if (g[i].t == t)
            return &g[i];
    return NULL;
}

/* Every published table: is it here, and was what is written to it captured? No office with a gap
 * is in step, whatever its positions say. */
static void tables(struct status_look *l)
{
    struct arena a = {0};
    struct gap *g = NULL;
    size_t n = 0;
    enum err e = schema_load(l->s);
    if (e == ERR_OK)
        e = gap_list(l->s, &a, &g, &n);
    if (reason_unread(l, e))
        n = 0;
    for (uint32_t i = 0; e == ERR_OK && i < l->s->schema->n_tables; i++) {
        const struct table_schema *t = &l->s->schema->tables[i];
        const struct gap *of = gap_of(g, n, t->t);
        l->synced = l->synced && !of;
        if (of)
            gap_reason(l, of, t->exists);
        else if (!t->exists)
            table_away(l, "table", t->name, "");
    }
    arena_fini(&a);
}

/* Whether the file is the one this office has written, and the newest of it. */
static void identity(struct status_look *l)
{
    struct node *n = l->n;
    const char *text = n && n->suspect ? n->suspect_text : l->outside;
    if (n && store_moved(l->s)) {
        l->synced = false;
        own(l, "database", store_message(l->s), "bring the right file back, then start the node");
    }
    if (text[0] == '\0')
        return;
    own(l, "database", text,
        l->id->parent[0] ? "nothing is published until the parent has been reached; nothing is "
                           "lost meanwhile"
                         : "stop it and bring back the newest copy of the database; until then "
                           "nothing that is captured here is published");
}

/* ---- what waits here */

static void captured(struct status_look *l, bool locked)
{
    struct node *n = l->n;
    struct reason r = {.subject = l->id->node, .waits = true};
    bool stands = locked || store_capture_check(l->s);
    if (locked) {
        (void)reason_unread(l, ERR_BUSY);
    } else if (store_capture_pending(l->s)) {
        r.code = "waiting";
        r.text = "writes of this office are captured and not sealed yet";
        r.next = n ? "nothing: it goes on by itself" : "start the node";
        if (n && n->notice_first_ms)
            r.since_ms = status_now(l) - (l->mono_ms - n->notice_first_ms);
    }
    l->synced = l->synced && !r.code && stands;
    if (r.code)
        reason_add(l, &r);
    if (!stands)
        own(l, "capture", "a published table's triggers are missing or out of date",
            n ? "wait: the node puts them back by itself and says what was not captured"
              : "start the node, which puts them back and says what was not captured");
}

/* Rows that stand only here: the first says why in its own words. */
static void too_large(struct status_look *l)
{
    struct arena a = {0};
    struct buf b = {0};
    struct held_record first;
    uint64_t n;
    enum err e = store_limit_rows(l->s, &n);
    if (e == ERR_OK)
        e = n > 0 ? store_held_limit(l->s, &a, &first) : ERR_NOT_FOUND;
    (void)reason_unread(l, e);
    if (e == ERR_OK)
        buf_printf(&b,
                   "%llu row%s of this office cannot be sent as %s; the first, of %.64s: %.300s",
                   (unsigned long long)n, n == 1 ? "" : "s", n == 1 ? "it is" : "they are",
                   first.table, first.message);
    if (e == ERR_OK)
        own(l, "limit", buf_str(&b),
            "tonle held list names them (reason limit): mend them, and that write is sent");
    buf_fini(&b);
    arena_fini(&a);
}

static void rows(struct status_look *l)
{
    const struct store_state *st = store_state_get(l->s);
    char text[160];
    bool waits;
    if (st->held > 0) {
        snprintf(text, sizeof text,
                 "rows are here that cannot stand in their tables now, or not go further: %llu",
                 (unsigned long long)st->held);
        own(l, "held", text, "tonle held list shows them and what is in their way");
    }
    too_large(l);
    if (!reason_unread(l, store_deferred_any(l->s, &waits)) && waits)
        own(l, "schema",
            "rows wait for a table or a column that is not in this database (tonle held list,"
            " reason schema)",
            "tonle doctor names it; make it again and they come in; what it held before comes "
            "back with tonle verify --repair --take parent");
    if (st->loading)
        reason_add(l, &(struct reason){.code = "loading",
                                       .subject = l->id->node,
                                       .text = "the first load has not caught up yet",
                                       .next = "wait; it goes on by itself",
                                       .waits = true});
}

static const char *const trouble_next[TROUBLES] = {
    [TROUBLE_STRANGERS] =
        "find out who it is (ss -tn shows their addresses) and shut them out by the firewall; "
        "LimitNOFILE or ulimit -n decides how many may stand",
};

/* Other programs at the database, beyond what passes by itself. */
static void programs(struct status_look *l)
{
    char text[200];
    uint64_t out_ms = neighbour_kept_out_ms(l->s), reader_ms = neighbour_reader_ms(l->s);
    if (out_ms >= LOCKED_MS) {
        snprintf(text, sizeof text,
                 "another program has kept the database locked for %llu s: nothing is sealed or"
                 " applied meanwhile",
                 (unsigned long long)(out_ms / 1000));
        reason_add(l, &(struct reason){.code = "locked",
                                       .subject = l->id->node,
                                       .text = text,
                                       .next = "find it (fuser names who has the file open): a"
                                               " transaction or a cursor that stays open, or PRAGMA"
                                               " locking_mode=EXCLUSIVE",
                                       .waits = true});
    }
    if (reader_ms < READER_MS)
        return;
    snprintf(text, sizeof text,
             "another program has been reading for %llu s: the -wal file grows until it ends",
             (unsigned long long)(reader_ms / 1000));
    own(l, "reader", text,
        "find it (fuser names who has the file open) and end its transaction or its cursor");
}

/* What only a running node knows. */
static void process(struct status_look *l)
{
    struct node *n = l->n;
    programs(l);
    for (int i = 0; i < TROUBLES; i++) {
        if (n->trouble[i][0] != '\0')
            own(l, "strangers", n->trouble[i], trouble_next[i]);
    }
    if (n->full[0] != '\0')
        own(l, "disk", n->full,
            "free some disk there; it is tried again by itself, and nothing is lost meanwhile");
    if (n->listen_fault[0] != '\0')
        own(l, "listen", n->listen_fault,
            "end the program that has that address, or name another in node.yaml (listen); it is "
            "tried again by itself");
    if (n->seal_fault[0] != '\0')
        own(l, "seal", n->seal_fault, "make that row smaller: everything behind it waits");
}

/* What is on record until somebody has seen to it. */
static const struct noted_reason {
    const char *key, *code, *before, *next;
    bool told; /* what is on record stands behind `before` */
} noted_reason[] = {
    {META_REGISTRY_ODD, "registry",
     "the registry of offices here is not what the hub has signed: it was altered here, or"
     " the parent held a change back",
     "tonle verify names the table; tell the administrator of the hub: this office has to"
     " join again",
     false},
    {META_DECISION_REFUSED, "decision", "",
     "it counts nowhere: ask that office; tonle history shows the row, tonle verify "
     "--local puts this away",
     true},
    {META_ROWS_REFUSED, "refused",
     "changes came that the charter has no place for: rows that only the hub may write, columns"
     " that are not published any more, or parts of a group (the journal has them); the last: ",
     "tonle charter show names what is published, tonle history shows a row's writes; tonle verify "
     "--local puts this away",
     true},
    {META_ROWS_ASTRAY, "astray",
     "changes came of rows that are not here, or of half a row: one was lost here or there behind"
     " capture's back, or that office is not honest; the last: ",
     "tonle verify compares this office with its parent, tonle history shows the row's writes; "
     "tonle "
     "verify --local puts this away",
     true},
    {META_PARENTS_REFUSED, "references",
     "rows without the parent that the charter asks for could not be held, so none was: ",
     "mend what it names, or tell whoever made it; tonle verify --local has it tried again", true},
};

static void noted(struct status_look *l, const struct noted_reason *r)
{
    struct arena a = {0};
    struct buf text = {0};
    struct bytes what;
    enum err e = store_meta_get(l->s, &a, r->key, &what);
    if (!reason_unread(l, e) && e == ERR_OK) {
        buf_printf(&text, "%s%.*s", r->before, r->told ? (int)what.len : 0, (const char *)what.p);
        own(l, r->code, buf_str(&text), r->next);
    }
    buf_fini(&text);
    arena_fini(&a);
}

void reason_own(struct status_look *l, bool locked)
{
    if (!l->n)
        own(l, "not-running", "the node is not running: nothing is sent, and nothing comes in",
            "tonle run, or start its service");
    identity(l);
    captured(l, locked);
    tables(l);
    rows(l);
    for (size_t i = 0; i < sizeof noted_reason / sizeof noted_reason[0]; i++)
        noted(l, &noted_reason[i]);
    reason_own_clock(l);
    if (l->n)
        process(l);
}
