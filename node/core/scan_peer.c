/* Whom a comparison of rows is with. */
#include "node/core/scanning.h"

#include <string.h>

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
    if (!name && ask && ask->what != SCAN_LOOK && n->n_children > 1) {
        name = n->scan_seen;
        *why = "several offices are below, and none was compared yet";
        *next = "name one: --office NAME, after tonle verify --local --office NAME";
        if (!name[0])
            return NULL;
    }
    if (!name)
        return next_child(n);
    p = peer_find(n, name);
    *why = p ? "the line to that office is down" : "no office below has that name and a line";
    return p && peer_open(p) ? p : NULL;
}
