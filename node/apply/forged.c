#include "node/apply/forged.h"

#include "node/journal/open.h"

static void note(struct applying *ap, const struct work_row *r, const char *what)
{
    struct buf b = {0};
    buf_printf(&b, "changes %.70s %.80s, %s", r->k.t->name,
               schema_key_json(ap->w.a, r->k.t, r->k.key, r->k.len), what);
    ap->w.report->forged = arena_strdup(ap->w.a, buf_str(&b));
    buf_fini(&b);
}

/* Whether that changeset bore a row of this key, with a decision. */
static enum err bore(struct applying *ap, const struct work_row *r, struct dot dot, bool *yes)
{
    struct opener o = {0};
    struct item item;
    struct changeset cs;
    struct change_place at = {0};
    const struct table_changes *tc;
    const struct row_change *rc = NULL;
    struct bytes key = {r->k.key, r->k.len};
    *yes = false;
    enum err e = store_journal_find(ap->w.s, ap->w.a, dot, &item);
    if (e == ERR_OK)
        e = part_open(ap->w.s, &o, ap->w.a, &item, &cs);
    while (e == ERR_OK && !*yes && ruling_needed(&cs) &&
           (rc = part_next_change(&cs, r->k.t->name, key, &at, &tc)))
        *yes = rc->kind == CHANGE_BORN;
    part_opener_fini(&o);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err forged_look(struct applying *ap, const struct work_row *r, const struct table_changes *tc,
                     const struct row_change *rc, const struct merge_result *m)
{
    bool may = ap->own || ap->replay;
    enum err e = ERR_OK;
    if (may || (!m->orphan && !m->late))
        return ERR_OK;
    if (m->late)
        may = ap->decides && ruling_decides(&ap->ruling, tc, rc);
    else if (rc->birth.site == ap->cs->dot.site)
        e = bore(ap, r, rc->birth, &may);
    if (e == ERR_OK && !may)
        note(ap, r, m->late ? "which it had seen deleted" : "which nobody has entered so");
    return e;
}
