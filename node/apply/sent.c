/* What a version was sent with. A record leaves out the value of a cell's only version, because it
 * stands in the table; but where capture was away, something else may stand there that nobody has
 * sent. A change that meets the version meets what was sent, as it does at every other office. */
#include "node/apply/work.h"

#include "node/journal/open.h"

/* *found false: its changeset came with a first load, and is not here. */
static enum err find_sent(struct work *w, const struct work_row *r, const struct birth *b,
                          uint32_t cell, struct version *v, bool *found)
{
    struct item item;
    struct changeset cs;
    struct opener opener = {0};
    struct change_place at = {0};
    const struct table_changes *tc;
    const struct row_change *rc;
    *found = false;
    enum err e = store_journal_find(w->s, w->a, v->dot, &item);
    if (e == ERR_OK)
        e = part_open(w->s, &opener, w->a, &item, &cs);
    while (
        e == ERR_OK && !*found &&
        (rc = part_next_change(&cs, r->k.t->name, (struct bytes){r->k.key, r->k.len}, &at, &tc))) {
        struct dot of = rc->kind == CHANGE_BORN ? cs.dot : rc->birth;
        if (dot_is_none(of) || dot_is_none(b->name) || dot_equal(of, b->name))
            *found = part_written(w->a, r->k.t, cell, tc, rc, &v->value);
    }
    part_opener_fini(&opener);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err restore_cell(struct work *w, const struct work_row *r, struct birth *b,
                             uint32_t cell, const struct change *ch)
{
    uint32_t n;
    bool found;
    const struct version *v = birth_cell(w->a, b, &r->k.t->rules, cell, &n);
    if (n != 1 || clock_covers(ch->context, v->dot))
        return ERR_OK;
    struct version sent = *v;
    enum err e = find_sent(w, r, b, cell, &sent, &found);
    if (e == ERR_OK && found)
        birth_set_cell(w->a, b, cell, &sent, 1);
    return e;
}

enum err sent_restore(struct work *w, struct work_row *r, const struct change *ch)
{
    const struct table_rules *rules = &r->k.t->rules;
    struct birth *b = r->now ? row_standing(&r->row, rules) : NULL;
    bool gap = false;
    if (!b || ch->kind != CHANGE_UPDATE || r->k.t->internal)
        return ERR_OK;
    enum err e = work_gap(w, r->k.t, &gap);
    for (uint32_t i = 0; e == ERR_OK && gap && i < ch->n_cells; i++) {
        uint32_t cell = cell_of(rules, ch->column[i]);
        if (policy_of(rules, cell) != POLICY_SUM)
            e = restore_cell(w, r, b, cell, ch);
    }
    return e;
}
