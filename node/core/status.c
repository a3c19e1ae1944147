/* DESIGN 12: line and data as two facts, for this office and each neighbour; the clock and `synced`
 * from one read. Without a running node only what is stored is known. */
#include "node/core/internal.h"

#include "node/capture/gap.h"
#include "node/schema/schema.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct status_look {
    struct node *n; /* NULL: not running */
    struct store *s;
    uint64_t mono_ms, now_ms;
    const struct store_identity *id;
    bool captured;
    bool synced;
    json_t *reasons;
};

/* False where no time is known; the text says so. */
static bool time_text(char text[40], uint64_t ms)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (ms != 0 && gmtime_r(&t, &tm) && strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        return true;
    snprintf(text, 40, "a time not known");
    return false;
}

static json_t *time_json(uint64_t ms)
{
    char text[40];
    return time_text(text, ms) ? json_string(text) : json_null();
}

static json_t *site_json(uint64_t site)
{
    char text[20];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)site);
    return json_string(text);
}

static json_t *clock_json(const struct clock *c)
{
    json_t *o = json_object();
    for (size_t i = 0; i < c->n; i++) {
        char text[20];
        snprintf(text, sizeof text, "%016llx", (unsigned long long)c->entry[i].site);
        json_object_set_new(o, text, json_integer((json_int_t)c->entry[i].seq));
    }
    return o;
}

static void reason(struct status_look *l, const char *subject, const char *text, const char *next)
{
    json_array_append_new(
        l->reasons, json_pack("{s:s, s:s, s:s}", "subject", subject, "text", text, "next", next));
}

static const char *line_name(const struct status_look *l, const struct peer *p)
{
    static const char *const names[] = {[LINE_DOWN] = "down",
                                        [LINE_CONNECTING] = "connecting",
                                        [LINE_CONNECTED] = "connected",
                                        [LINE_REFUSED] = "refused"};
    if (!l->n)
        return "stopped";
    return p ? names[p->line] : "down";
}

/* Connected, or was within the last three heartbeats. */
static bool is_near(const struct status_look *l, const struct peer *p)
{
    return peer_open(p) ||
           (p->signed_ms && l->mono_ms < p->signed_ms + NODE_SILENCE * l->n->o.heartbeat_ms);
}

/* How many of its items wait, as far as is known: what is in the inbox, and at least one when its
 * last heartbeat named a later position. */
static uint64_t pending_in(const struct peer *p)
{
    return p->inbox_n + (p->tail_pos > p->received_pos && p->tail_pos > p->seen_pos);
}

static json_t *peer_json(struct status_look *l, const char *name, const char *unit, bool up)
{
    struct peer *p = !l->n ? NULL : up ? l->n->parent : peer_find(l->n, name);
    struct peer_record rec = {0};
    struct backlog b = {0};
    enum err e = store_peer_get(l->s, name, &rec);
    uint64_t acked = p && p->acked_pos > rec.acked_pos ? p->acked_pos : rec.acked_pos;
    if (e == ERR_OK)
        e = store_journal_backlog(l->s, up ? LINK_UP : LINK_DOWN, name, acked, &b);
    uint64_t in = p ? pending_in(p) : 0;
    bool waits = e != ERR_OK || b.changesets > 0 || in > 0;
    if ((up && (!p || !peer_open(p) || waits)) || (!up && p && is_near(l, p) && waits))
        l->synced = false;
    json_t *o =
        json_pack("{s:s, s:s, s:o, s:I, s:I, s:o}", "name", name, "line", line_name(l, p),
                  "last_contact", time_json(p && p->contact_ms ? p->contact_ms : rec.contact_ms),
                  "pending_out", (json_int_t)b.changesets, "pending_in", (json_int_t)in,
                  "oldest_pending", time_json(b.changesets ? hlc_ms(b.oldest_hlc) : 0));
    if (!up)
        json_object_set_new(o, "unit", json_string(unit));
    if (p && peer_open(p))
        json_object_set_new(o, "skew_ms", json_integer(p->skew_ms));
    if (p && p->reason[0] != '\0')
        reason(l, name, p->reason, p->next);
    else if (up && p && !peer_open(p))
        reason(l, name,
               "the line to the parent is down; work goes on here and is sent when it returns",
               "check this office's network and the parent's endpoint in node.yaml");
    else if (!up && l->n && (!p || !peer_open(p)))
        reason(l, name,
               "it has no line to this office; its work goes on there and comes when the line does",
               "check that office's network and power, and that its node runs");
    if (p && peer_open(p) && (p->skew_ms > 300000 || p->skew_ms < -300000))
        reason(l, name, "its wall clock is more than five minutes off",
               "set the clock of that machine");
    return o;
}

static json_t *children_json(struct status_look *l)
{
    json_t *list = json_array();
    struct arena a = {0};
    struct node_record *r;
    size_t count = 0;
    if (store_node_list(l->s, &a, &r, &count) != ERR_OK)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(r[i].parent, l->id->node) == 0 && r[i].state == NODE_ACTIVE)
            json_array_append_new(list, peer_json(l, r[i].name, r[i].unit, false));
    }
    arena_fini(&a);
    return list;
}

static void own_reasons(struct status_look *l)
{
    struct node *n = l->n;
    if (n->suspect)
        reason(l, n->name, n->suspect_text,
               n->parent ? "nothing is published until the parent has been reached; nothing is "
                           "lost meanwhile"
                         : "stop it and bring back the newest copy of the database; until then "
                           "nothing that is captured here is published");
    if (n->seal_fault[0] != '\0')
        reason(l, n->name, n->seal_fault, "make that row smaller: everything behind it waits");
    if (store_limit_rows(l->s) > 0)
        reason(
            l, n->name,
            "values are too large to be sent (8 MiB a value, 12 MiB a row); they stand only here",
            "tonle held list names them (reason limit): make them smaller, that write is sent");
    if (store_deferred_any(l->s))
        reason(l, n->name,
               "rows wait for a table or a column that is not in this database (tonle held list,"
               " reason schema)",
               "tonle doctor names it; make it again and they come in; what it held before comes "
               "back with tonle verify --repair --take parent");
    struct bytes odd;
    if (store_meta_get(l->s, &n->arena, META_REGISTRY_ODD, &odd) == ERR_OK)
        reason(
            l, n->name,
            "the registry of offices here is not what the hub has signed: it was altered here, or"
            " the parent held a change back",
            "tonle verify names the table; tell the administrator of the hub: this office has to"
            " join again");
    if (n->decision_refused[0] != '\0')
        reason(l, n->name, n->decision_refused,
               "it counts nowhere: ask that office; tonle history shows the row, tonle verify "
               "--local puts this away");
    if (n->rows_refused)
        reason(
            l, n->name,
            "changes came that the charter has no place for: rows that only the hub may write, or"
            " columns that are not published any more (the journal has them)",
            "tonle charter show names what is published; tonle history shows a row's writes");
    if (store_state_get(l->s)->loading)
        reason(l, n->name, "the first load has not caught up yet", "wait; it goes on by itself");
}

static const char *state_name(const struct gap *g)
{
    return g->state == GAP_OPEN ? "capture-gap" : "differs";
}

/* In words; the same for a node that does not run. */
static void gap_reason(struct status_look *l, const struct gap *g, bool here)
{
    char text[400], from[40], found[40];
    time_text(from, g->from_ms);
    time_text(found, g->found_ms);
    const char *other = l->id->parent[0] ? "the parent" : "an office below";
    if (!here) {
        snprintf(text, sizeof text,
                 "capture-gap: table %.64s is not in this database any more, or not with all its"
                 " columns (seen at %s): nothing is captured, and what comes for it waits",
                 g->table, found);
        reason(l, l->id->node, text, "tonle doctor names what is missing; make it again");
    } else if (g->state == GAP_OPEN) {
        snprintf(text, sizeof text,
                 "capture-gap: what was written to table %.64s between %s and %s may not have been"
                 " captured; it is compared with %s as soon as both have the same changes",
                 g->table, from, found, other);
        reason(l, l->id->node, text, "wait; it goes on by itself while the line is up");
    } else {
        snprintf(text, sizeof text,
                 "rows of table %.64s differ from those at %s and wait for a person: %llu changed,"
                 " %llu only here, %llu only there",
                 g->table, other, (unsigned long long)g->changed, (unsigned long long)g->born,
                 (unsigned long long)g->deleted);
        reason(l, l->id->node, text,
               "tonle verify --local shows both values; tonle verify --repair --take here|parent");
    }
}

/* No office with a gap is in step, whatever its positions say. */
static json_t *gaps_json(struct status_look *l)
{
    json_t *list = json_array();
    struct arena a = {0};
    struct gap *g;
    size_t n = 0;
    if (schema_load(l->s) != ERR_OK || gap_list(l->s, &a, &g, &n) != ERR_OK)
        n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct table_schema *t = schema_by_number(l->s, g[i].t);
        if (!t)
            continue; /* not published any more */
        l->synced = false;
        gap_reason(l, &g[i], t->exists);
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:b, s:o, s:o, s:I, s:I, s:I}", "table", g[i].table, "state",
                      state_name(&g[i]), "here", (int)t->exists, "from", time_json(g[i].from_ms),
                      "found", time_json(g[i].found_ms), "changed", (json_int_t)g[i].changed, "new",
                      (json_int_t)g[i].born, "deleted", (json_int_t)g[i].deleted));
    }
    arena_fini(&a);
    return list;
}

/* Held rows that were written here: their number, and the first few by name. */
static void held_own(struct status_look *l, json_t *o)
{
    struct arena a = {0};
    struct held_record few[HELD_FEW];
    uint64_t total = 0;
    json_t *list = json_array();
    enum err e = store_held_own(l->s, &a, few, &total);
    for (uint64_t i = 0; e == ERR_OK && i < total && i < HELD_FEW; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "id", few[i].id, "table",
                                              few[i].table, "key", few[i].key_json, "kind",
                                              few[i].reason));
    json_object_set_new(o, "held_own", json_integer((json_int_t)total));
    json_object_set_new(o, "held_own_rows", list);
    arena_fini(&a);
}

static json_t *status_json(struct status_look *l)
{
    const struct store_state *st = store_state_get(l->s);
    l->synced = l->n && !l->captured && !l->n->suspect && !st->loading;
    json_t *parent = l->id->parent[0] ? peer_json(l, l->id->parent, NULL, true) : json_null();
    json_t *children = children_json(l);
    json_t *gaps = gaps_json(l);
    if (l->n)
        own_reasons(l);
    json_t *o =
        json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:I, s:b, s:o, s:b, s:b}",
                  "schema", 1, "node", l->id->node, "unit", l->id->unit, "site",
                  site_json(l->id->site), "parent", parent, "children", children, "held",
                  (json_int_t)st->held, "conflicts_open", (json_int_t)st->conflicts_open, "clock",
                  clock_json(&st->clock), "sealed_seq", (json_int_t)st->seq, "synced", l->synced,
                  "reasons", l->reasons, "loading", st->loading, "running", l->n);
    if (st->held > 0)
        held_own(l, o);
    json_object_set_new(o, "gaps", gaps);
    return o;
}

void node_status_json(struct node *n, struct store *s, uint64_t mono_ms, uint64_t wall_ms,
                      struct buf *out)
{
    struct status_look l = {
        .n = n, .s = s, .mono_ms = mono_ms, .now_ms = wall_ms, .reasons = json_array()};
    enum err begun = store_begin_read(s);
    l.id = store_identity_get(s);
    /* A locked database: somebody writes. Capture that does not stand: the next step sees to it. */
    l.captured = begun != ERR_OK || store_capture_pending(s) || !store_capture_check(s);
    json_t *o = status_json(&l);
    char *text = json_dumps(o, JSON_COMPACT);
    buf_put(out, text, strlen(text));
    free(text);
    json_decref(o);
    if (begun != ERR_OK || store_commit(s) != ERR_OK)
        store_rollback(s);
}
