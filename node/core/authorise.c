/* Which CURVE keys may connect: those of our active children, and of open invitations of our
 * children. The list is read from the registry when that may have changed, because every handshake
 * asks. */
#include "node/core/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void authorise_fini(struct node *n)
{
    mem_free(n->authorised);
    n->authorised = NULL;
    n->n_authorised = 0;
    n->authorised_known = false;
}

bool key_given(const uint8_t key[CURVE_KEY_BYTES])
{
    static const uint8_t none[CURVE_KEY_BYTES];
    return memcmp(key, none, CURVE_KEY_BYTES) != 0;
}

static void add(struct node *n, const uint8_t key[CURVE_KEY_BYTES], const char *prefix,
                const char *name, uint64_t expires_ms)
{
    if (!key_given(key))
        return;
    struct authorised *a = &n->authorised[n->n_authorised++];
    memcpy(a->key, key, CURVE_KEY_BYTES);
    snprintf(a->user_id, sizeof a->user_id, "%s%s", prefix, name);
    a->expires_ms = expires_ms;
}

/* The old list stays where the registry cannot be read now: a locked database does not make
 * strangers of all children. */
static bool read_registry(struct node *n)
{
    struct arena a = {0};
    struct node_record *r;
    size_t count;
    enum err e = store_node_list(n->store, &a, &r, &count);
    if (e == ERR_OK) {
        authorise_fini(n);
        n->authorised = mem_alloc((count + 1) * sizeof *n->authorised);
        for (size_t i = 0; i < count; i++) {
            if (r[i].state == NODE_RETIRED || strcmp(r[i].parent, n->name) != 0)
                continue;
            if (r[i].state == NODE_ACTIVE) /* its invitation is used up */
                add(n, r[i].curve_key, "", r[i].name, 0);
            else
                add(n, r[i].enrol_key, "invite:", r[i].name, r[i].enrol_expires_ms);
        }
        n->authorised_known = true;
    }
    arena_fini(&a);
    return n->authorised;
}

bool node_authorise(struct node *n, const uint8_t curve_key[CURVE_KEY_BYTES], uint64_t wall_ms,
                    char user_id[256])
{
    assert(!n->join); /* who joins has no children */
    uint64_t now = wall_ms + (uint64_t)n->offset_ms;
    if (store_changed(n->store)) {
        n->authorised_known = false;
        n->look_now = true;
    }
    if (!n->authorised_known && !read_registry(n))
        return false;
    for (size_t i = 0; i < n->n_authorised; i++) {
        const struct authorised *a = &n->authorised[i];
        if (memcmp(a->key, curve_key, CURVE_KEY_BYTES) == 0 &&
            (a->expires_ms == 0 || a->expires_ms > now) && strlen(a->user_id) < 256) {
            strcpy(user_id, a->user_id);
            return true;
        }
    }
    return false;
}
