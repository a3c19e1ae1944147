#include "tests/property/tree.h"

#include "conflict/mem.h"

void tree_init(struct tree *t, struct gen *g, int low, int high)
{
    *t = (struct tree){.n = gen_between(g, low, high), .parent = {-1}};
    for (int i = 1; i < t->n; i++) {
        t->parent[i] = (int)gen_below(g, (uint32_t)i);
        t->line_up[i] = true;
    }
}

void tree_fini(struct tree *t)
{
    for (int i = 0; i < t->n; i++)
        mem_free(t->journal[i].item);
}

void tree_append(struct tree *t, int office, void *item)
{
    struct journal *j = &t->journal[office];
    j->item = mem_grow(j->item, j->n, &j->cap, sizeof *j->item);
    j->item[j->n++] = item;
}

static int any_child(const struct tree *t, struct gen *g)
{
    return gen_between(g, 1, t->n - 1);
}

void tree_toggle_line(struct tree *t, struct gen *g)
{
    int i = any_child(t, g);
    t->line_up[i] = !t->line_up[i];
    if (t->line_up[i] && gen_percent(g, 30))
        t->up_at[i] = t->down_at[i] = 0;
}

static bool is_above(const struct tree *t, int office, int of)
{
    for (; of >= 0; of = t->parent[of])
        if (of == office)
            return true;
    return false;
}

void tree_change_parent(struct tree *t, struct gen *g)
{
    int i = any_child(t, g);
    int to = (int)gen_below(g, (uint32_t)t->n);
    if (is_above(t, i, to))
        return;
    t->parent[i] = to;
    t->up_at[i] = t->down_at[i] = 0;
}

/* One item over the line of child i, upward or downward; false when there is none. */
static bool carry_one(struct tree *t, int i, bool upward, tree_deliver *deliver, void *world)
{
    int from = upward ? i : t->parent[i];
    int to = upward ? t->parent[i] : i;
    size_t *at = upward ? &t->up_at[i] : &t->down_at[i];
    if (*at >= t->journal[from].n)
        return false;
    deliver(world, to, t->journal[from].item[(*at)++]);
    return true;
}

void tree_carry(struct tree *t, struct gen *g, int most, tree_deliver *deliver, void *world)
{
    int i = any_child(t, g);
    bool upward = gen_percent(g, 50);
    if (!t->line_up[i])
        return;
    for (int k = gen_between(g, 1, most); k > 0; k--)
        carry_one(t, i, upward, deliver, world);
}

void tree_heal(struct tree *t, tree_deliver *deliver, void *world)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 1; i < t->n; i++) {
            t->line_up[i] = true;
            while (carry_one(t, i, true, deliver, world))
                moved = true;
            while (carry_one(t, i, false, deliver, world))
                moved = true;
        }
    }
}
