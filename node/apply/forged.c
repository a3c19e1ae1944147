#include "node/apply/forged.h"

#include "conflict/twin.h"
#include "node/journal/open.h"
#include "node/state/state.h"

/* Of earlier changesets, for the sake of one: each may be of any size, and to verify one takes as
 * long as to read some kilobytes more. */
#define MOST_READ_BYTES (4u << 20)
#define READ_BYTES (16u << 10)

static const char *words(struct applying *ap, const struct work_row *r, const char *what)
{
    struct buf b = {0};
    buf_printf(&b, "changes %.70s %.80s, %s", r->k.t->name,
               schema_key_json(ap->w.a, r->k.t, r->k.key, r->k.len), what);
    const char *text = arena_strdup(ap->w.a, buf_str(&b));
    buf_fini(&b);
    return text;
}

enum bearing { BEARING_UNKNOWN, BEARING_NONE, BEARING_ROW, BEARING_DECIDED };

/* Whether the changeset bore a row of this key, perhaps with a decision. */
static enum bearing bearing_in(const struct changeset *cs, const struct work_row *r)
{
    struct change_place at = {0};
    const struct table_changes *tc;
    const struct row_change *rc;
    struct bytes key = {r->k.key, r->k.len};
    while ((rc = part_next_change(cs, r->k.t->name, key, &at, &tc))) {
        if (rc->kind == CHANGE_BORN)
            return ruling_needed(cs) ? BEARING_DECIDED : BEARING_ROW;
    }
    return BEARING_NONE;
}

/* Nothing of it outlives the look. */
static enum err bearing_of(struct applying *ap, const struct work_row *r, struct dot dot,
                           enum bearing *out)
{
    struct arena a = {0};
    struct opener o = {0};
    struct item item;
    struct changeset cs;
    enum err e = store_journal_find(ap->w.s, &a, dot, &item);
    if (e == ERR_OK)
        e = part_open(ap->w.s, &o, &a, &item, &cs);
    if (e == ERR_OK)
        *out = bearing_in(&cs, r);
    ap->births_read += READ_BYTES + a.used_bytes;
    part_opener_fini(&o);
    arena_fini(&a);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err look_at_orphan(struct applying *ap, const struct work_row *r, struct dot birth)
{
    struct apply_report *report = ap->w.report;
    enum bearing bearing = BEARING_UNKNOWN;
    enum err e = ERR_OK;
    if (dot_equal(birth, ap->cs->dot))
        bearing = bearing_in(ap->cs, r);
    else if (!dot_is_none(birth) && !clock_covers(&state_of(ap->w.s)->clock, birth))
        bearing = BEARING_NONE;
    else if (!dot_is_none(birth) && ap->births_read < MOST_READ_BYTES)
        e = bearing_of(ap, r, birth, &bearing);
    if (bearing == BEARING_NONE)
        report->forged = words(ap, r, "which nobody has entered so");
    else if (bearing != BEARING_DECIDED)
        report->astray = words(ap, r, "which is not here");
    return e;
}

static bool is_deleted_too(const struct applying *ap, const struct work_row *r, struct dot birth)
{
    struct change_place at = {0};
    const struct table_changes *tc;
    const struct row_change *rc;
    struct bytes key = {r->k.key, r->k.len};
    while ((rc = part_next_change(ap->cs, r->k.t->name, key, &at, &tc)))
        if (rc->kind == CHANGE_DELETE && dot_equal(rc->birth, birth))
            return true;
    return false;
}

/* Whoever deletes one of two equal births names the other, which nobody has touched, as well: else
 * it would stay where both have names, and go where they have become one row. Where more births are
 * on record, dead ones too, nobody can tell whose twin each was there: an honest office deletes one
 * of two, and the other was the twin of a third that somebody else has deleted. */
static bool leaves_twin(const struct applying *ap, const struct work_row *r,
                        const struct row_change *rc, const struct birth *deleted)
{
    const struct row *row = &r->row;
    if (rc->kind != CHANGE_DELETE || dot_is_none(deleted->name) || row->n_births != 2)
        return false;
    const struct birth *other = &row->births[deleted == row->births];
    return !dot_is_none(other->name) && !other->touched && birth_alive(other, &r->k.t->rules) &&
           births_equal(deleted, other) && clock_covers(&ap->cs->context, other->name) &&
           !is_deleted_too(ap, r, other->name);
}

enum err forged_look(struct applying *ap, const struct work_row *r, const struct table_changes *tc,
                     const struct row_change *rc, const struct merge_result *m)
{
    if (ap->own || ap->replay)
        return ERR_OK;
    if (m->orphan && rc->kind == CHANGE_DELETE && dot_is_none(rc->birth))
        return ERR_OK; /* it is gone here, as it is to be */
    if (m->orphan)
        return look_at_orphan(ap, r, rc->birth);
    if (m->applied && leaves_twin(ap, r, rc, m->birth))
        ap->w.report->astray = words(ap, r, "and not its equal, which it had seen");
    if (!m->late || (ap->decides && ruling_decides(&ap->ruling, tc, rc)))
        return ERR_OK;
    const char *text = words(ap, r, "which it had seen deleted");
    if (dot_is_none(rc->birth))
        ap->w.report->astray = text;
    else
        ap->w.report->forged = text;
    return ERR_OK;
}
