/* The unit of every site that the registry knows, by site: what owner, national and local look at.
 *
 * tonle_site names the node of a site, tonle_node that node's unit. Both are small (one row an
 * office) and change rarely, so they are read as a whole. Another connection's commit shows in
 * PRAGMA data_version, which stands still within a transaction; our own writes do not move it, so
 * whoever writes rows of these tables says so (units_changed). Being told once too often costs one
 * read. */
#include "node/schema/schema.h"

#include "node/db/sqlite.h"
#include "node/schema/own.h"

void units_changed(struct store *s)
{
    own_of(s)->units_known = false;
}

static enum err read_units(struct store *s, struct site_unit **list, size_t *n)
{
    size_t cap = 0;
    /* 16 hex digits: the order of the text is the order of the unsigned numbers */
    sqlite3_stmt *q = store_stmt(s, "SELECT s.number, n.unit FROM main.tonle_site s"
                                    " JOIN main.tonle_node n ON n.name = s.node ORDER BY s.site");
    enum err e = ERR_OK;
    for (bool row = true; row;) {
        e = store_step(s, q, &row);
        if (e != ERR_OK || !row)
            break;
        *list = mem_grow(*list, *n, &cap, sizeof **list);
        (*list)[(*n)++] =
            (struct site_unit){.site = store_column_u64(q, 0),
                               .unit = store_column_text(&own_of(s)->units_arena, q, 1)};
    }
    return e;
}

enum err units_refresh(struct store *s)
{
    int64_t version = store_pragma(s, "PRAGMA main.data_version");
    if (version >= 0 && own_of(s)->units_known && version == own_of(s)->units_version)
        return ERR_OK;
    struct site_unit *list = NULL;
    size_t n = 0;
    own_of(s)->units = (struct unit_list){0};
    own_of(s)->units_known = false;
    arena_reset(&own_of(s)->units_arena);
    enum err e = read_units(s, &list, &n);
    if (e == ERR_OK) {
        own_of(s)->units =
            (struct unit_list){n, arena_copy(&own_of(s)->units_arena, list, n * sizeof *list)};
        own_of(s)->units_known = version >= 0;
        own_of(s)->units_version = version;
    }
    mem_free(list);
    return e;
}
