/* What a comparison of rows found, as JSON. */
#include "node/core/scanning.h"

#include "node/core/looking.h"
#include "node/schema/schema.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_ROWS 100u /* in the answer, with the values of both sides */
#define SHOWN_BYTES 200000u

uint64_t scan_waiting(const struct counts *c)
{
    return c->changed + c->born + c->deleted;
}

json_t *scan_counts_json(const struct counts *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "changed", (json_int_t)c->changed, "new",
                     (json_int_t)c->born, "deleted", (json_int_t)c->deleted, "settled",
                     (json_int_t)c->settled, "waiting", (json_int_t)scan_waiting(c));
}

void scan_answer(struct node *n, const struct open_scan *sc, bool complete)
{
    json_t *o = scan_counts_json(&sc->all);
    json_object_set_new(o, "ok", json_true());
    json_object_set_new(o, "complete", json_boolean(complete));
    json_object_set_new(o, "neighbour", json_string(sc->peer));
    json_object_set(o, "tables", sc->tables);
    json_object_set(o, "rows", sc->rows);
    char *text = json_dumps(o, JSON_COMPACT);
    if (!sc->by_itself)
        request_reply(n, sc->request_id, text);
    free(text);
    json_object_del(o, "rows");
    text = json_dumps(o, JSON_COMPACT);
    if (!sc->by_itself || json_array_size(sc->tables) > 0)
        node_log(n, scan_waiting(&sc->all) || sc->all.settled ? 1 : 2, "event=compared result=%s",
                 text);
    free(text);
    json_decref(o);
}

static const char *kind_name(enum escape_kind kind)
{
    static const char *const name[] = {[ESCAPE_CHANGED] = "changed",
                                       [ESCAPE_NEW] = "new",
                                       [ESCAPE_DELETED] = "deleted",
                                       [ESCAPE_HELD] = "held"};
    return name[kind];
}

static json_t *values_json(struct node *n, const struct table_schema *t, const struct value *v)
{
    json_t *o = v ? json_loads(schema_row_json(&n->arena, t, v), 0, NULL) : NULL;
    return o ? o : json_null();
}

/* The row of a list; NULL: it is not in it. */
static json_t *shown_row(const json_t *rows, const char *table, const json_t *key)
{
    size_t i;
    json_t *o;
    json_array_foreach(rows, i, o)
    {
        if (strcmp(json_string_value(json_object_get(o, "table")), table) == 0 &&
            json_equal(json_object_get(o, "key"), key))
            return o;
    }
    return NULL;
}

enum err scan_show(struct node *n, struct open_scan *sc, const struct load_chunk *c,
                   const struct escape *esc)
{
    struct escape_rows r;
    if (!sc->shows || json_array_size(sc->rows) >= SHOWN_ROWS || sc->shown_bytes > SHOWN_BYTES)
        return ERR_OK;
    enum err e = store_escape_rows(n->store, &n->arena, c, esc, &r);
    if (e != ERR_OK)
        return e;
    const char *key = schema_key_json(&n->arena, r.t, esc->key.p, esc->key.len);
    json_t *o =
        json_pack("{s:s, s:o, s:s, s:o, s:o}", "table", esc->table, "key",
                  json_loads(key, JSON_DECODE_ANY, NULL), "kind", kind_name(esc->kind), "here",
                  values_json(n, r.t, r.here), "there", values_json(n, r.t, r.there));
    const json_t *left = shown_row(n->scan_left, esc->table, json_object_get(o, "key"));
    if (left && strcmp(n->scan_left_of, sc->peer) == 0) /* it was to be settled already */
        json_object_set(o, "why", json_object_get(left, "why"));
    char *text = json_dumps(o, JSON_COMPACT);
    sc->shown_bytes += text ? strlen(text) : 0;
    free(text);
    json_array_append_new(sc->rows, o);
    return ERR_OK;
}

enum err scan_show_why(struct node *n, struct open_scan *sc, const struct escape *esc,
                       const char *why)
{
    enum err e = schema_load(n->store);
    const struct table_schema *t = e == ERR_OK ? schema_by_number(n->store, sc->t) : NULL;
    if (!t)
        return e;
    json_t *key =
        json_loads(schema_key_json(&n->arena, t, esc->key.p, esc->key.len), JSON_DECODE_ANY, NULL);
    json_t *o = shown_row(sc->rows, t->name, key);
    if (!o && json_array_size(sc->rows) < SHOWN_ROWS && sc->shown_bytes <= SHOWN_BYTES) {
        o = json_pack("{s:s, s:O, s:s}", "table", t->name, "key", key, "kind",
                      kind_name(esc->kind));
        json_array_append_new(sc->rows, o);
        sc->shown_bytes += esc->key.len + strlen(why);
    }
    if (o)
        json_object_set_new(o, "why", status_text_json(why));
    json_decref(key);
    return ERR_OK;
}
