/* The unit of every site that the registry knows, by site: what owner, national and local look at.
 *
 * tonle_site names the node of a site, tonle_node that node's unit. Both are small (one row an
 * office) and change rarely, so they are read as a whole. Another connection's commit shows in
 * PRAGMA data_version, which stands still within a transaction; our own writes do not move it, so
 * whoever writes rows of these tables says so (units_changed). Being told once too often costs one
 * read. */
#include "node/schema/schema.h"

#include "node/db/query.h"
#include "node/schema/own.h"

void units_changed(struct store *s)
{
    own_of(s)->units_known = false;
}

static enum err read_units(struct store *s, struct arena *a, struct unit_list *out)
{
    size_t cap = 0;
    struct site_unit *list = NULL;
    *out = (struct unit_list){0};
    /* 16 hex digits: the order of the text is the order of the unsigned numbers */
    struct query q = DB_QUERY(s, "SELECT s.number, n.unit FROM main.tonle_site s"
                                 " JOIN main.tonle_node n ON n.name = s.node ORDER BY s.site");
    while (query_next(&q)) {
        list = arena_grow(a, list, out->n, &cap, sizeof *list);
        list[out->n++] = (struct site_unit){query_u64(&q, 0), query_text(&q, a, 1)};
    }
    out->site = list;
    return query_end(&q);
}

enum err units_refresh(struct store *s)
{
    struct schema_own *own = own_of(s);
    int64_t version;
    enum err e = db_number(s, "PRAGMA main.data_version", &version);
    if (e != ERR_OK || (own->units_known && version == own->units_version))
        return e;
    arena_reset(&own->units_arena);
    e = read_units(s, &own->units_arena, &own->units);
    if (e != ERR_OK)
        own->units = (struct unit_list){0};
    own->units_known = e == ERR_OK;
    own->units_version = version;
    return e;
}
