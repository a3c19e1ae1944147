/* node_list.c - the registry, with line and data of the neighbours. */
#include "node/cli/cli.h"

#include "node/journal/registry.h"

#include <stdio.h>
#include <string.h>

static const char *state_name(enum node_state state)
{
    return state == NODE_INVITED ? "invited" : state == NODE_ACTIVE ? "active" : "retired";
}

/* What this office's own status says of a neighbour; NULL of all others. */
static json_t *neighbour_of(json_t *status, const char *name)
{
    size_t i;
    json_t *peer, *parent = json_object_get(status, "parent");
    const char *known = json_string_value(json_object_get(parent, "name"));
    if (known && strcmp(known, name) == 0)
        return parent;
    json_array_foreach(json_object_get(status, "children"), i, peer)
    {
        known = json_string_value(json_object_get(peer, "name"));
        if (known && strcmp(known, name) == 0)
            return peer;
    }
    return NULL;
}

static const struct freshness *fresh_of(const struct freshness *f, size_t n, const char *name)
{
    static const struct freshness none;
    for (size_t i = 0; i < n; i++)
        if (strcmp(f[i].node, name) == 0)
            return &f[i];
    return &none;
}

static json_t *reads_json(const char *reads)
{
    json_t *list = json_array();
    while (reads[0] != '\0') {
        size_t len = strcspn(reads, ",");
        json_array_append_new(list, json_stringn(reads, len));
        reads += len + (reads[len] == ',');
    }
    return list;
}

static json_t *node_json(struct cli *c, const struct node_record *r, json_t *peer,
                         const struct freshness *fresh)
{
    json_t *o =
        json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "name", cli_text_json(r->name),
                  "unit", cli_text_json(r->unit), "parent",
                  r->parent[0] != '\0' ? cli_text_json(r->parent) : json_null(), "state",
                  state_name(r->state), "listen", cli_text_json(r->listen), "site",
                  r->site != 0 ? json_string(cli_printf(c, "%016llx", (unsigned long long)r->site))
                               : json_null(),
                  "reads", reads_json(r->reads), "joined_at", cli_time_json(r->joined_ms));
    json_object_set_new(o, "as_of", cli_time_json(fresh->as_of_ms));
    json_object_set_new(o, "heard_up_to", cli_time_json(fresh->heard_up_to_ms));
    if (r->state == NODE_INVITED)
        json_object_set_new(o, "invitation_expires_at", cli_time_json(r->enrol_expires_ms));
    static const char *const facts[] = {"line", "last_contact", "pending_out", "pending_in",
                                        "oldest_pending"};
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        json_t *v = json_object_get(peer, facts[i]);
        json_object_set(o, facts[i], v ? v : json_null());
    }
    return o;
}

static void add_row(struct cli *c, struct text_table *t, const struct node_record *r, json_t *peer,
                    const struct freshness *fresh, bool self)
{
    const char *line = json_string_value(json_object_get(peer, "line"));
    json_int_t out = json_integer_value(json_object_get(peer, "pending_out"));
    json_int_t in = json_integer_value(json_object_get(peer, "pending_in"));
    const char *cells[] = {r->name,
                           r->unit[0] != '\0' ? r->unit : "nation",
                           r->parent[0] != '\0' ? r->parent : "-",
                           state_name(r->state),
                           self   ? "this office"
                           : line ? line
                                  : "-",
                           peer ? cli_printf(c, "%lld out, %lld in", (long long)out, (long long)in)
                                : "-",
                           cli_time(c, fresh->as_of_ms),
                           cli_time(c, fresh->heard_up_to_ms)};
    table_add(c, t, cells);
}

static int list(struct cli *c, struct cli_office *o, json_t *status)
{
    static const char *const heads[] = {"OFFICE", "UNIT",         "PARENT",     "STATE",
                                        "LINE",   "DATA WAITING", "DATA AS OF", "HEARD UP TO"};
    struct node_record *r = NULL;
    struct freshness *f = NULL;
    struct text_table t = {0};
    size_t n = 0, n_fresh = 0;
    enum err e = store_node_list(o->store, &c->arena, &r, &n);
    if (e == ERR_OK)
        e = store_freshness(o->store, &c->arena, &f, &n_fresh);
    if (e != ERR_OK)
        return office_fail(o, e, "reading the registry");
    json_t *nodes = json_array();
    table_head(c, &t, 8, heads);
    for (size_t i = 0; i < n; i++) {
        json_t *peer = neighbour_of(status, r[i].name);
        const struct freshness *fresh = fresh_of(f, n_fresh, r[i].name);
        json_array_append_new(nodes, node_json(c, &r[i], peer, fresh));
        add_row(c, &t, &r[i], peer, fresh,
                strcmp(r[i].name, store_identity_get(o->store)->node) == 0);
    }
    if (c->json)
        cli_print_json(json_pack("{s:i, s:O}", "schema", CLI_SCHEMA, "nodes", nodes));
    else
        table_print(&t);
    mem_free(t.cell);
    json_decref(nodes);
    return CLI_OK;
}

int command_node_list(struct cli *c, int argc, char **argv)
{
    struct cli_office o = {0};
    json_t *status = NULL;
    int code = cli_arguments(c, argc, argv, NULL, 0, 0);
    if (code == CLI_OK)
        code = status_read(c, &status);
    if (!status)
        return code;
    code = office_open(c, OFFICE_READ, &o);
    if (code == CLI_OK) {
        code = list(c, &o, status);
        office_close(&o);
    }
    json_decref(status);
    return code;
}
