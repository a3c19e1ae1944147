/* tree.h - a random tree of offices, each with a journal that its neighbours read in order. Lines
 * fall and come back, positions are forgotten (everything is sent again), offices change their
 * parent. */
#ifndef TESTS_PROPERTY_TREE_H
#define TESTS_PROPERTY_TREE_H

#include "tests/property/gen.h"

#include <stdbool.h>

#define OFFICES_MAX 7

struct journal {
    void **item; /* borrowed */
    size_t n;
    size_t cap;
};
struct tree {
    int n;
    int parent[OFFICES_MAX]; /* [0] is the hub: -1 */
    bool line_up[OFFICES_MAX];
    size_t up_at[OFFICES_MAX];   /* what the parent has read of the child's journal */
    size_t down_at[OFFICES_MAX]; /* what the child has read of its parent's */
    struct journal journal[OFFICES_MAX];
};
typedef void tree_deliver(void *world, int to, void *item);

void tree_init(struct tree *t, struct gen *g, int low, int high);
void tree_fini(struct tree *t);
void tree_append(struct tree *t, int office, void *item);
void tree_toggle_line(struct tree *t, struct gen *g);
void tree_change_parent(struct tree *t, struct gen *g);
/* Up to `most` items over one random line that is up. */
void tree_carry(struct tree *t, struct gen *g, int most, tree_deliver *deliver, void *world);
/* All lines come back and everything arrives. */
void tree_heal(struct tree *t, tree_deliver *deliver, void *world);

#endif
