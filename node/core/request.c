/* One line of JSON on the control socket: {"do": ...}. */
#include "node/core/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void request_reply(struct node *n, uint64_t id, const char *json)
{
    struct action *a = node_action(n, ACTION_REPLY);
    a->request_id = id;
    a->bytes.len = strlen(json);
    a->bytes.p = arena_copy(&n->arena, json, a->bytes.len);
}

void request_error(struct node *n, uint64_t id, const char *text, const char *next)
{
    json_t *o = json_pack("{s:b, s:s, s:s}", "ok", 0, "error", text, "next", next);
    char *line = json_dumps(o, JSON_COMPACT);
    request_reply(n, id, line);
    free(line);
    json_decref(o);
}

/* It is being seen to: the next one that does not count says so again. False: the request was
 * answered. */
static bool put_refused_away(struct node *n, uint64_t id)
{
    static const char *const told[] = {META_DECISION_REFUSED, META_ROWS_REFUSED, META_ROWS_ASTRAY};
    struct bytes why;
    bool parents = store_meta_get(n->store, &n->arena, META_PARENTS_REFUSED, &why) == ERR_OK;
    bool any = parents;
    for (size_t i = 0; !any && i < sizeof told / sizeof *told; i++)
        any = store_meta_get(n->store, &n->arena, told[i], &why) != ERR_NOT_FOUND;
    if (!any)
        return true;
    enum err e = store_begin(n->store);
    for (size_t i = 0; e == ERR_OK && i < sizeof told / sizeof *told; i++)
        e = store_meta_drop(n->store, told[i]);
    if (e == ERR_OK && parents)
        e = store_parents_again(n->store);
    if (e == ERR_OK)
        e = store_commit(n->store);
    n->sweep_more = n->sweep_more || parents;
    if (e == ERR_OK)
        return true;
    store_rollback(n->store);
    request_error(n, id, store_message(n->store),
                  "the database cannot be written just now: try again in a moment");
    return false;
}

static void verify_local(struct node *n, uint64_t id, const json_t *o)
{
    const char *take = json_string_value(json_object_get(o, "take"));
    struct scan_ask ask = {.what = SCAN_LOOK,
                           .table = json_string_value(json_object_get(o, "table")),
                           .key = json_string_value(json_object_get(o, "key")),
                           .office = json_string_value(json_object_get(o, "office"))};
    if (take && strcmp(take, "here") == 0)
        ask.what = SCAN_TAKE_HERE;
    else if (take && strcmp(take, "there") == 0)
        ask.what = SCAN_TAKE_THERE;
    if ((take && ask.what == SCAN_LOOK) || (ask.key && !ask.table)) {
        request_error(n, id, "take is here or there, and a key goes with its table",
                      "correct the request");
        return;
    }
    if (!put_refused_away(n, id))
        return;
    scan_start(n, id, &ask);
}

static void dispatch(struct node *n, uint64_t id, const char *what, const json_t *o)
{
    struct buf b = {0};
    if (strcmp(what, "status") == 0) {
        node_status_json(
            &(struct status_ask){
                .node = n, .store = n->store, .mono_ms = n->mono_ms, .wall_ms = n->wall_ms},
            &b);
        request_reply(n, id, buf_str(&b));
    } else if (strcmp(what, "verify") == 0) {
        verify_start(n, id);
    } else if (strcmp(what, "verify_local") == 0) {
        verify_local(n, id, o);
    } else if (strcmp(what, "poke") == 0) {
        n->seal_now = n->seal_now || store_capture_pending(n->store);
        n->authorised_known = false;
        request_reply(n, id, "{\"ok\":true}");
    } else {
        request_error(n, id, "this node does not know that request",
                      "use the tonle of the same version");
    }
    buf_fini(&b);
}

void request_line(struct node *n, const struct event *ev)
{
    json_error_t error;
    json_t *o = json_loadb((const char *)ev->bytes, ev->len, 0, &error);
    const char *what = json_string_value(json_object_get(o, "do"));
    if (what)
        dispatch(n, ev->request_id, what, o);
    else
        request_error(n, ev->request_id, "a request is one line of JSON with \"do\"",
                      "correct the request");
    json_decref(o);
}
