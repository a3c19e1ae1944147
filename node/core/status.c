/* DESIGN 12: line and data as two facts, for this office and each neighbour; the clock and `synced`
 * from one read. What of it is not green is reason.c's. Without a running node only what is stored
 * is known. */
#include "node/core/looking.h"

#include "node/capture/gap.h"
#include "node/schema/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool status_time(char text[40], uint64_t ms)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (ms != 0 && gmtime_r(&t, &tm) && strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        return true;
    snprintf(text, 40, "a time not known");
    return false;
}

json_t *status_time_json(uint64_t ms)
{
    char text[40];
    return status_time(text, ms) ? json_string(text) : json_null();
}

json_t *status_text_json(const char *text)
{
    json_t *whole = json_string(text);
    if (whole)
        return whole;
    struct buf b = {0};
    for (; *text != '\0'; text++)
        buf_put_u8(&b, (unsigned char)*text < 0x80 ? (uint8_t)*text : '?');
    whole = json_string(buf_str(&b));
    buf_fini(&b);
    return whole;
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

/* What waits between this office and the neighbour: changesets that it has not acknowledged, and
 * items of its that are here, or that it has told of. */
static enum err count_waiting(struct status_look *l, const struct peer *p, const char *name,
                              bool up, const struct peer_record *rec, struct on_the_way *w)
{
    struct backlog b = {0};
    uint64_t acked = p && p->acked_pos > rec->acked_pos ? p->acked_pos : rec->acked_pos;
    enum err e = store_journal_backlog(l->s, up ? LINK_UP : LINK_DOWN, name, acked, &b);
    *w = (struct on_the_way){.out = b.changesets, .in = p ? pending_in(p) : 0};
    if (w->out > 0)
        w->since_ms = hlc_ms(b.oldest_hlc);
    uint64_t behind_ms = w->in == 0 ? 0 : p->inbox ? p->inbox->arrived_ms : p->behind_ms;
    uint64_t age_ms = behind_ms ? l->mono_ms - behind_ms : 0;
    uint64_t since_ms = l->wall_ms + (uint64_t)l->offset_ms - age_ms;
    if (behind_ms && (w->since_ms == 0 || since_ms < w->since_ms))
        w->since_ms = since_ms;
    return e;
}

static json_t *peer_json(struct status_look *l, const char *name, const char *unit, bool up)
{
    struct peer *p = !l->n ? NULL : up ? l->n->parent : peer_find(l->n, name);
    struct peer_record rec = {0};
    struct on_the_way w = {0};
    enum err e = store_peer_get(l->s, name, &rec);
    if (e == ERR_OK)
        e = count_waiting(l, p, name, up, &rec, &w);
    if (reason_unread(l, e)) /* not known is not nothing */
        w.out = w.out ? w.out : 1;
    bool waits = w.out > 0 || w.in > 0;
    if ((up && (!p || !peer_open(p) || waits)) || (!up && p && is_near(l, p) && waits))
        l->synced = false;
    json_t *o = json_pack("{s:s, s:s, s:o, s:I, s:I, s:o}", "name", name, "line", line_name(l, p),
                          "last_contact",
                          status_time_json(p && p->contact_ms ? p->contact_ms : rec.contact_ms),
                          "pending_out", (json_int_t)w.out, "pending_in", (json_int_t)w.in,
                          "oldest_pending", status_time_json(w.since_ms));
    if (!up)
        json_object_set_new(o, "unit", json_string(unit));
    if (p && peer_open(p))
        json_object_set_new(o, "skew_ms", json_integer(p->skew_ms));
    reason_neighbour(l, p, name, up, &w);
    return o;
}

static json_t *children_json(struct status_look *l)
{
    json_t *list = json_array();
    struct arena a = {0};
    struct node_record *r;
    size_t count = 0;
    if (reason_unread(l, store_node_list(l->s, &a, &r, &count)))
        count = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(r[i].parent, l->id->node) == 0 && r[i].state == NODE_ACTIVE)
            json_array_append_new(list, peer_json(l, r[i].name, r[i].unit, false));
    }
    arena_fini(&a);
    return list;
}

static const char *state_name(const struct gap *g)
{
    return g->state == GAP_OPEN ? "capture-gap" : "differs";
}

static json_t *gaps_json(struct status_look *l)
{
    json_t *list = json_array();
    struct arena a = {0};
    struct gap *g;
    size_t n = 0;
    enum err e = schema_load(l->s);
    if (e == ERR_OK)
        e = gap_list(l->s, &a, &g, &n);
    if (reason_unread(l, e))
        n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct table_schema *t = schema_by_number(l->s, g[i].t);
        if (!t)
            continue; /* not published any more */
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b, s:o, s:o, s:I, s:I, s:I}", "table", g[i].table,
                            "state", state_name(&g[i]), "here", (int)t->exists, "from",
                            status_time_json(g[i].from_ms), "found",
                            status_time_json(g[i].found_ms), "changed", (json_int_t)g[i].changed,
                            "new", (json_int_t)g[i].born, "deleted", (json_int_t)g[i].deleted));
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
    (void)reason_unread(l, e);
    for (uint64_t i = 0; e == ERR_OK && i < total && i < HELD_FEW; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "id", few[i].id, "table",
                                              few[i].table, "key", few[i].key_json, "kind",
                                              few[i].reason));
    json_object_set_new(o, "held_own", json_integer((json_int_t)total));
    json_object_set_new(o, "held_own_rows", list);
    arena_fini(&a);
}

static json_t *status_json(struct status_look *l, bool locked)
{
    const struct store_state *st = store_state_get(l->s);
    l->synced = l->n && !l->n->suspect && !st->loading && l->n->full[0] == '\0';
    json_t *parent = l->id->parent[0] ? peer_json(l, l->id->parent, NULL, true) : json_null();
    json_t *children = children_json(l), *more = json_object();
    reason_own(l, locked);
    (void)reason_unread(l, store_state_look(l->s));
    if (st->held > 0)
        held_own(l, more);
    json_object_set_new(more, "gaps", gaps_json(l));
    json_t *o = json_pack(
        "{s:i, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:I, s:b, s:s, s:o, s:b, s:b, s:o}",
        "schema", 1, "node", l->id->node, "unit", l->id->unit, "site", site_json(l->id->site),
        "parent", parent, "children", children, "held", (json_int_t)st->held, "conflicts_open",
        (json_int_t)st->conflicts_open, "clock", clock_json(&st->clock), "sealed_seq",
        (json_int_t)st->seq, "synced", (int)l->synced, "state", reason_state(l), "reasons",
        l->reasons, "loading", (int)st->loading, "running", l->n ? 1 : 0, "now",
        status_time_json(l->wall_ms + (uint64_t)l->offset_ms));
    json_object_update(o, more);
    json_decref(more);
    return o;
}

/* For the times that are shown of a node that does not run. */
static int64_t stored_offset_ms(struct status_look *l)
{
    uint64_t ms = 0;
    if (l->id->parent[0] != '\0')
        (void)reason_unread(l, store_meta_u64(l->s, "offset_ms", 0, &ms));
    return (int64_t)ms;
}

void node_status_json(const struct status_ask *ask, struct buf *out)
{
    struct store *s = ask->store;
    struct status_look l = {.n = ask->node,
                            .s = s,
                            .mono_ms = ask->mono_ms,
                            .wall_ms = ask->wall_ms,
                            .outside = "",
                            .reasons = json_array()};
    char outside[256] = "";
    enum err begun = store_begin_read(s);
    l.id = store_identity_get(s);
    l.offset_ms = l.n ? l.n->offset_ms : stored_offset_ms(&l);
    if (!l.n && node_outside(s, ask->outside_site, ask->outside_seq, outside))
        l.outside = outside;
    /* Not begun: somebody writes. */
    json_t *o = status_json(&l, begun != ERR_OK);
    char *text = json_dumps(o, JSON_COMPACT);
    buf_put(out, text, strlen(text));
    free(text);
    json_decref(o);
    if (begun != ERR_OK || store_commit(s) != ERR_OK)
        store_rollback(s);
}
