/* A neighbour, and the states of its line.
 *
 *   the parent's line, as its child sees it
 *
 *   DOWN --dialled--> CONNECTING --welcome--> CONNECTED --silence, lost--> DOWN
 *                      |    ^                   |
 *                      refusal, then its retry time over: a new hello, or REFUSED meanwhile
 *
 *   a child's line, as its parent sees it
 *
 *   DOWN --hello--> CONNECTING, in the same step CONNECTED --silence, lost, refusal--> DOWN
 *     |                ^   ^                      |
 *     |                |   +---- items lost ------+
 *     +--refused--> REFUSED: until a hello that fits
 *
 * Every move is in the table below or is our own mistake. */
#include "node/core/internal.h"

#include <assert.h>
#include <string.h>

#define TO(state) (1u << (state))

static const unsigned line_moves[2][4] = {
    /* of a child */
    {[LINE_DOWN] = TO(LINE_DOWN) | TO(LINE_CONNECTING) | TO(LINE_REFUSED),
     [LINE_CONNECTING] =
         TO(LINE_DOWN) | TO(LINE_CONNECTING) | TO(LINE_CONNECTED) | TO(LINE_REFUSED),
     [LINE_CONNECTED] = TO(LINE_DOWN) | TO(LINE_CONNECTING) | TO(LINE_REFUSED),
     [LINE_REFUSED] = TO(LINE_CONNECTING) | TO(LINE_REFUSED)},
    /* of the parent */
    {[LINE_DOWN] = TO(LINE_DOWN) | TO(LINE_CONNECTING),
     [LINE_CONNECTING] =
         TO(LINE_DOWN) | TO(LINE_CONNECTING) | TO(LINE_CONNECTED) | TO(LINE_REFUSED),
     [LINE_CONNECTED] = TO(LINE_DOWN) | TO(LINE_CONNECTING) | TO(LINE_REFUSED),
     [LINE_REFUSED] = TO(LINE_CONNECTING) | TO(LINE_REFUSED)},
};

void peer_line(struct peer *p, enum line_state to)
{
    assert(line_moves[p->up][p->line] & TO(to));
    p->line = to;
}

struct peer *peer_new(const char *name, bool up)
{
    struct peer *p = mem_alloc(sizeof *p);
    p->name = mem_strdup(name);
    p->up = up;
    p->inbox_end = &p->inbox;
    return p;
}

void peer_free(struct peer *p)
{
    if (!p)
        return;
    stream_close(p);
    clock_fini(&p->clock);
    clock_fini(&p->vouched);
    mem_free(p->name);
    mem_free(p);
}

bool peer_open(const struct peer *p)
{
    return p->line == LINE_CONNECTED && p->session != 0;
}

struct peer *peer_find(struct node *n, const char *name)
{
    for (size_t i = 0; i < n->n_children; i++) {
        if (strcmp(n->children[i]->name, name) == 0)
            return n->children[i];
    }
    return NULL;
}

struct peer *peer_at(struct node *n, const struct route *r)
{
    if (r->len == 0)
        return n->parent;
    for (size_t i = 0; i < n->n_children; i++) {
        struct peer *p = n->children[i];
        if (peer_open(p) && route_equal(&p->route, r))
            return p;
    }
    return NULL;
}

/* Only for names that stand in the registry: their number bounds the list. */
struct peer *peer_child(struct node *n, const char *name)
{
    struct peer *p = peer_find(n, name);
    if (p)
        return p;
    p = peer_new(name, false);
    struct peer_record rec;
    if (store_peer_get(n->store, name, &rec) == ERR_OK)
        p->contact_ms = p->contact_saved_ms = rec.contact_ms;
    n->children = mem_grow(n->children, n->n_children, &n->cap_children, sizeof(struct peer *));
    n->children[n->n_children++] = p;
    return p;
}
