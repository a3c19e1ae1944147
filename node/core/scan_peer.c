/* Whom a comparison of rows is with. */
#include "node/core/scanning.h"

#include <string.h>

enum err scan_children(struct node *n, const char ***name, size_t *n_names)
{
    struct node_record *r;
    size_t count, kept = 0;
    enum err e = store_node_list(n->store, &n->arena, &r, &count);
    if (e != ERR_OK)
        return e;
    *name = arena_alloc(&n->arena, count * sizeof **name);
    for (size_t i = 0; i < count; i++)
        if (r[i].site != 0 && r[i].state != NODE_RETIRED && strcmp(r[i].parent, n->name) == 0)
            (*name)[kept++] = r[i].name;
    *n_names = kept;
    return ERR_OK;
}

enum err scan_ask_neighbours(struct node *n)
{
    bool any;
    const char **below, *above = n->parent_name;
    size_t count = 1;
    enum err e = gap_asks_any(n->store, &any);
    if (e != ERR_OK || !any)
        return e;
    if (node_is_hub(n))
        e = scan_children(n, &below, &count);
    else
        below = &above;
    return e == ERR_OK ? gap_ask_only(n->store, &n->arena, below, count) : e;
}

struct peer *scan_peer(struct node *n, const struct open_scan *sc)
{
    struct peer *p = n->parent ? n->parent : peer_find(n, sc->peer);
    return p && peer_open(p) && p->session == sc->session ? p : NULL;
}

static struct peer *next_child(struct node *n)
{
    for (size_t i = 0; i < n->n_children; i++) {
        struct peer *p = n->children[(n->scan_child + i) % n->n_children];
        if (peer_open(p)) {
            n->scan_child = (n->scan_child + i + 1) % n->n_children;
            return p;
        }
    }
    return NULL;
}

/* Without a name a person means whom he was shown last, or the only one there is: by the registry,
 * since a line that is down makes nobody the only one. NULL: it cannot be told, *why, *next. */
static const char *whom_a_person_means(struct node *n, const char **why, const char **next)
{
    const char **below;
    size_t count;
    if (scan_children(n, &below, &count) != ERR_OK) {
        *why = "the registry cannot be read";
        *next = "try again in a moment";
        return NULL;
    }
    if (n->scan_seen[0] || count == 1)
        return n->scan_seen[0] ? n->scan_seen : below[0];
    if (count > 1) {
        *why = "several offices are below, and none was compared yet";
        *next = "name one: --office NAME, after tonle verify --local --office NAME";
    }
    return NULL;
}

struct peer *scan_choose(struct node *n, const struct scan_ask *ask, const char **why,
                         const char **next)
{
    const char *name = ask ? ask->office : NULL;
    struct peer *p = NULL;
    *why = n->parent ? "the line to the parent is down" : "no office below has a line";
    *next = "try again when tonle status shows it connected";
    if (n->parent && name && strcmp(name, n->parent->name) != 0) {
        *why = "an office is compared with its parent; the hub alone names an office below";
        *next = "leave --office out, or run it at the hub";
        return NULL;
    }
    if (n->parent)
        return peer_open(n->parent) ? n->parent : NULL;
    if (!name && ask && ask->what != SCAN_LOOK) {
        name = whom_a_person_means(n, why, next);
        if (!name)
            return NULL;
    }
    if (!name)
        return next_child(n);
    p = peer_find(n, name);
    *why = p ? "the line to that office is down" : "no office below has that name and a line";
    return p && peer_open(p) ? p : NULL;
}
