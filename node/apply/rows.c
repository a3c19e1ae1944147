/* The rows of a changeset: each is found, loaded and merged; what that means for the tables is
 * decided when all are (work_finish). */
#include "node/apply/applying.h"
#include "node/apply/forged.h"

#include "conflict/twin.h"
#include "node/capture/capture.h"
#include "node/journal/attest.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct column_map { /* changeset column -> ours; UINT32_MAX: the charter does not publish it any
                       more (it is never older here than where the change was made) */
    uint32_t *to;
};

/* While the first load catches up: a chunk's clock tells what its rows already hold (DESIGN 8). */
static enum err chunk_has(struct applying *ap, struct row_key k, bool *yes)
{
    *yes = false;
    if (!state_of(ap->w.s)->loading || ap->own)
        return ERR_OK;
    return load_chunk_covers(ap->w.s, k, ap->cs->dot, yes);
}

/* Only such a column carries one: any other would keep the row's record for ever. */
static bool carries_reference(const struct store *s, const struct table_schema *t, uint32_t column)
{
    for (uint32_t f = 0; f < s->schema->n_fks; f++) {
        const struct foreign_key *fk = &s->schema->fks[f];
        if (&s->schema->tables[fk->child] == t && fk->key_column &&
            fk->key_column[fk->n - 1] == column)
            return true;
    }
    return false;
}

static void to_references(struct applying *ap, const struct row_change *rc,
                          const struct column_map *map, const struct table_schema *t,
                          struct change *ch)
{
    struct reference *ref = NULL;
    if (rc->n_references)
        ref = arena_alloc(ap->w.a, rc->n_references * sizeof *ref);
    for (uint32_t i = 0; i < rc->n_references; i++) {
        uint32_t to = map->to[rc->references[i].column];
        if (to != UINT32_MAX && carries_reference(ap->w.s, t, to))
            ref[ch->n_references++] =
                (struct reference){.column = to, .birth = rc->references[i].birth};
    }
    ch->references = ref;
}

static bool has_all(const struct change *ch, const struct cell_group *g)
{
    uint32_t n = 0;
    for (uint32_t k = 0; g && k < g->n; k++)
        for (uint32_t i = 0; i < ch->n_cells; i++)
            n += ch->column[i] == g->column[k];
    return !g || n == g->n;
}

/* Groups are sent whole (capture/collect.c). Part of one would be completed with what each office
 * shows at the time, which is not the same everywhere: it counts nowhere. Groups are the same in
 * every charter: they change by a migration alone. */
static void refuse_parts(struct applying *ap, const struct table_rules *rules, struct change *ch)
{
    uint32_t *column = arena_alloc(ap->w.a, (ch->n_cells + 1) * sizeof *column);
    struct value *value = arena_alloc(ap->w.a, (ch->n_cells + 1) * sizeof *value);
    uint32_t n = 0;
    for (uint32_t i = 0; i < ch->n_cells; i++) {
        if (!has_all(ch, rules->group[ch->column[i]]))
            continue;
        column[n] = ch->column[i];
        value[n++] = ch->value[i];
    }
    ap->w.report->refused += ch->n_cells - n;
    ch->n_cells = n;
    ch->column = column;
    ch->value = value;
}

/* Of the row as it travels: what the charter publishes today, and in which order, has no say. */
static const uint8_t *born_hash(struct applying *ap, const struct row_change *rc)
{
    uint8_t *hash = arena_alloc(ap->w.a, BORN_BYTES);
    birth_hash(hash, ap->cs->schema_version, rc->n_cells, rc->column, rc->value);
    return hash;
}

static struct change to_change(struct applying *ap, const struct row_change *rc,
                               const struct column_map *map, const struct table_schema *t)
{
    const struct changeset *cs = ap->cs;
    struct change ch = {.dot = cs->dot,
                        .hlc = cs->hlc,
                        .context = &cs->context,
                        .kind = rc->kind,
                        .birth = rc->birth};
    bool born = rc->kind == CHANGE_BORN;
    uint32_t room = born ? t->n_columns : rc->n_cells;
    uint32_t *column = arena_alloc(ap->w.a, (room + 1) * sizeof *column);
    struct value *value = arena_alloc(ap->w.a, (room + 1) * sizeof *value);
    if (born) { /* every column of ours; what the changeset does not know is NULL */
        for (uint32_t i = 0; i < t->n_columns; i++)
            column[i] = i;
        ch.n_cells = t->n_columns;
    }
    for (uint32_t i = 0; i < rc->n_cells; i++) {
        uint32_t to = map->to[rc->column[i]];
        if (to == UINT32_MAX) {
            ap->w.report->refused++;
        } else if (born) {
            value[to] = rc->value[i];
        } else {
            uint32_t at = ch.n_cells++;
            while (at > 0 && column[at - 1] > to) { /* ascending in our order, too */
                column[at] = column[at - 1];
                value[at] = value[at - 1];
                at--;
            }
            column[at] = to;
            value[at] = rc->value[i];
        }
    }
    ch.column = column;
    ch.value = value;
    if (t->rules.group && !born)
        refuse_parts(ap, &t->rules, &ch);
    if (born && !t->internal)
        ch.born = born_hash(ap, rc);
    to_references(ap, rc, map, t, &ch);
    return ch;
}

struct row_at { /* in segments[0] of our own changeset */
    uint32_t table, row;
};

/* What the sums were before the deltas that the table already shows: merging adds them. */
static struct value *before_deltas(struct applying *ap, const struct table_schema *t,
                                   const struct value *values, const struct row_at *at)
{
    const struct value *old = values ? collect_old_sums(ap->collected, at->table, at->row) : NULL;
    if (!old)
        return (struct value *)values;
    struct value *v = arena_copy(ap->w.a, values, t->n_columns * sizeof *v);
    for (uint32_t i = 0; i < t->n_columns; i++)
        if (policy_of(&t->rules, i) == POLICY_SUM)
            v[i] = old[i];
    return v;
}

/* What stands in the table after our own write. `kind`: what the application did; of a decision
 * only what it wrote beside it is in the table. */
static enum err load_own(struct applying *ap, struct work_row *r, const struct change *ch,
                         enum change_kind kind, const struct row_at *at)
{
    if (r->loaded)
        return ERR_OK;
    struct value *now = NULL;
    enum err e = ERR_OK;
    if (kind == CHANGE_BORN)
        now = arena_copy(ap->w.a, ch->value, ch->n_cells * sizeof *now);
    else if (kind == CHANGE_UPDATE)
        e = row_read(ap->w.s, ap->w.a, r->k, &now);
    if (e != ERR_OK)
        return e;
    const struct value *known = kind == CHANGE_BORN ? NULL : now;
    const struct value *old = collect_old_values(ap->collected, at->table, at->row);
    if (kind == CHANGE_DELETE || (kind == CHANGE_UPDATE && (!now || old)))
        known = old; /* as it was; without any it has lost its key */
    e = work_load_with(&ap->w, r, before_deltas(ap, r->k.t, known, at));
    r->now = now;
    if (kind == CHANGE_BORN) {
        r->before = now; /* rows of others may have come in for it already */
        r->in_table = ch->dot;
    }
    return e;
}

/* A birth of a row without record needs no read: the INSERT tells whether a row stands there. */
static enum err load_remote(struct applying *ap, struct work_row *r, const struct change *ch)
{
    if (r->loaded || ch->kind != CHANGE_BORN)
        return work_load(&ap->w, r);
    enum err e = work_load_with(&ap->w, r, NULL);
    if (e != ERR_OK || r->row.n_births == 0) {
        r->unread = true;
        return e;
    }
    r->loaded = false; /* there is a record: read the row, too */
    return work_load(&ap->w, r);
}

static enum err record_closed(struct applying *ap, struct work_row *r,
                              const struct conflict_list *list)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < list->n; i++) {
        if (list->c[i].open)
            continue;
        e = conflict_save(&ap->w, r, &list->c[i]);
        ap->w.report->conflicts++;
    }
    return e;
}

/* Our own log says which columns were written, not what a row's referenced columns were before:
 * then the children are found by what they lack. NULL: any of them. */
static void seek_orphans(struct work *w, const struct table_schema *t, const struct change *ch)
{
    for (uint32_t f = 0; f < w->s->schema->n_fks; f++) {
        const struct foreign_key *fk = &w->s->schema->fks[f];
        if (&w->s->schema->tables[fk->parent] != t)
            continue;
        w->seek_orphans[f] = w->seek_orphans[f] || !ch;
        for (uint32_t i = 0; i < fk->n; i++) {
            for (uint32_t c = 0; ch && c < ch->n_cells; c++)
                w->seek_orphans[f] = w->seek_orphans[f] || ch->column[c] == fk->parent_column[i];
        }
    }
}

/* Whether one of our own versions was sealed when this deferred change was here, and has seen it.
 */
static bool seen_by_own(const struct applying *ap, const struct version *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (v[i].dot.site == identity_of(ap->w.s)->site && v[i].dot.seq > ap->own_seq)
            return true;
    return false;
}

/* A deferred change meets what we have sealed meanwhile: everywhere else that was merged behind it,
 * and what it wrote there is gone. Deltas are added all the same. */
static void leave_out_seen(struct applying *ap, const struct work_row *r, struct change *ch)
{
    const struct table_rules *rules = &r->k.t->rules;
    const struct birth *b = row_find_birth(&r->row, ch->birth);
    if (!b)
        b = row_find_birth(&r->row, (struct dot){0});
    if (!b || ch->kind == CHANGE_BORN)
        return;
    uint32_t *column = arena_alloc(ap->w.a, (ch->n_cells + 1) * sizeof *column);
    struct value *value = arena_alloc(ap->w.a, (ch->n_cells + 1) * sizeof *value);
    uint32_t n = 0;
    for (uint32_t i = 0; i < ch->n_cells; i++) {
        uint32_t versions = 0, cell = cell_of(rules, ch->column[i]);
        bool sum = policy_of(rules, cell) == POLICY_SUM;
        const struct version *v = sum ? NULL : birth_cell(ap->w.a, b, rules, cell, &versions);
        if (seen_by_own(ap, v, versions))
            continue;
        column[n] = ch->column[i];
        value[n++] = ch->value[i];
    }
    ch->n_cells = n;
    ch->column = column;
    ch->value = value;
}

/* Births of ours that were sealed when this deferred one was here have seen it. */
static void see_deferred(const struct applying *ap, const struct work_row *r, struct dot name)
{
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        struct birth *b = &r->row.births[i];
        if (b->name.site == identity_of(ap->w.s)->site && b->name.seq > ap->own_seq)
            birth_see(ap->w.a, b, name);
    }
}

/* A delete, or a change of what we have deleted since: nothing of it is left. */
static bool wholly_seen(struct applying *ap, const struct work_row *r, const struct change *ch)
{
    const struct table_rules *rules = &r->k.t->rules;
    const struct birth *b = row_find_birth(&r->row, ch->birth);
    uint32_t n = 0;
    if (!ap->replay || ch->kind == CHANGE_BORN || !b)
        return false;
    const struct version *v = birth_cell(ap->w.a, b, rules, COLUMN_EXISTS, &n);
    return seen_by_own(ap, v, n) && (ch->kind == CHANGE_DELETE || !birth_alive(b, rules));
}

/* Who is meant may be another though the value is the same, and then the table does not change. */
static bool writes_reference(const struct store *s, const struct table_schema *t,
                             const struct change *ch)
{
    for (uint32_t c = 0; c < ch->n_cells; c++)
        if (carries_reference(s, t, ch->column[c]))
            return true;
    return false;
}

/* What the change meets is unknown (part_birth_unknown), also where it brings a dead birth back. */
static bool meets_unknown(struct work *w, const struct work_row *r, const struct change *ch)
{
    const struct birth *b = row_find_birth(&r->row, ch->birth);
    bool stands = b && r->now && b == row_standing(&r->row, &r->k.t->rules);
    return work_torn(w, r) || (b && !stands && part_birth_unknown(w->a, r->k.t, b));
}

/* A row that was gone everywhere lives again, and what it was is not known here: whatever was
 * compared was compared without it. */
static enum err found_torn(struct applying *ap, const struct work_row *r)
{
    ap->w.s->apply->torn = true;
    return gap_suspect(ap->w.s, r->k.t->t, r->k.t->name);
}

bool store_found_torn(struct store *s)
{
    bool torn = s->apply->torn;
    s->apply->torn = false;
    return torn;
}

/* Deleted here behind capture, and now by another: that is put on record, where there would be
 * nothing, since somebody's edit may bring the row back (found_torn). */
static enum err expect_deleted(struct applying *ap, struct work_row *r, const struct change *ch,
                               const struct forget *f)
{
    enum gap_state gap = GAP_NONE;
    bool settled = dot_is_none(ch->birth) || clock_covers(f->stable, ch->birth);
    if (ch->kind != CHANGE_DELETE || r->now || r->row.n_births > 0 || !settled)
        return ERR_OK;
    enum err e = gap_state_of(ap->w.s, r->k.t->t, &gap);
    if (e == ERR_OK && gap != GAP_NONE) {
        r->row.births = arena_alloc(ap->w.a, sizeof *r->row.births);
        r->row.births[0] = (struct birth){0};
        r->row.n_births = 1;
    }
    return e;
}

/* It was deleted behind capture; those below it, and those that it kept out, did not hear of it. */
static enum err lost_already(struct work *w, struct work_row *r)
{
    seek_orphans(w, r->k.t, NULL);
    return work_contended(w, r->k.t) ? work_release_blocked(w, r) : ERR_OK;
}

static enum err merge_row(struct applying *ap, struct work_row *r, const struct table_changes *tc,
                          const struct row_change *rc, const struct change *ch)
{
    struct work *w = &ap->w;
    struct forget f;
    struct conflict_list list = {0};
    struct held_rows held = {0};
    assert(r->loaded);
    enum err e = row_forgetting(w->s, w->a, r->k, &f);
    if (e == ERR_OK)
        e = expect_deleted(ap, r, ch, &f);
    bool unknown = e == ERR_OK && meets_unknown(w, r, ch);
    bool absent = !ap->own && !r->now && row_standing(&r->row, &r->k.t->rules);
    if (e == ERR_OK && !ap->own)
        e = conflict_held(w, r, &held);
    e = e == ERR_OK && !ap->own ? sent_restore(w, r, ch, &f) : e;
    if (e != ERR_OK)
        return e;
    struct merge_result m = merge_change(w->a, &r->row, &r->k.t->rules, ch, &f, &list);
    e = conflict_held_found(w, r, &held);
    if (e != ERR_OK)
        return e;
    r->siblings = r->siblings || m.siblings || unknown;
    r->no_siblings = r->no_siblings && !unknown;
    w->report->rows++;
    if (m.orphan)
        w->report->orphans++;
    e = forged_look(ap, r, tc, rc, &m);
    if (e == ERR_OK && absent)
        e = lost_already(w, r);
    if (e == ERR_OK && m.applied && unknown && work_torn(w, r))
        e = found_torn(ap, r);
    if (!m.applied || e != ERR_OK)
        return e;
    if (ap->replay && ch->kind == CHANGE_BORN)
        see_deferred(ap, r, ch->dot);
    r->touched = true;
    /* an equal birth may mean another parent, though the row looks the same */
    if (r->row.n_births > 1 || (ch->kind == CHANGE_UPDATE && writes_reference(w->s, r->k.t, ch)))
        r->fk_new = true;
    if (ap->own) {
        r->sealed = true;
        work_note(r);
        if (ch->kind != CHANGE_BORN)
            seek_orphans(w, r->k.t, ch);
        if (ch->kind != CHANGE_BORN && work_contended(w, r->k.t))
            e = work_release_blocked(w, r);
    }
    return e == ERR_OK && !unknown ? record_closed(ap, r, &list) : e;
}

struct table_place { /* of a table in the changeset */
    const struct table_schema *t;
    const struct table_changes *tc;
    struct column_map map;
    uint32_t index;
};

struct keyed { /* a row of a changeset */
    struct bytes key;
    uint32_t row;
};

static int by_key(const void *x, const void *y)
{
    const struct keyed *p = x, *q = y;
    size_t n = p->key.len < q->key.len ? p->key.len : q->key.len;
    int order = memcmp(p->key.p, q->key.p, n);
    if (order == 0)
        order = (p->key.len > q->key.len) - (p->key.len < q->key.len);
    return order != 0 ? order : (p->row > q->row) - (p->row < q->row);
}

/* Rows are met, read and written in the order of their keys: neighbours are then on the same pages
 * of every table, and most seeks end where the last one did. What is decided does not depend on the
 * order; changes of one key keep theirs. */
static const struct keyed *in_key_order(struct applying *ap, const struct table_changes *tc)
{
    struct keyed *rows = arena_alloc(ap->w.a, (tc->n_rows + 1) * sizeof *rows);
    struct buf *key = &ap->w.s->apply->scratch;
    for (uint32_t i = 0; i < tc->n_rows; i++) {
        buf_reset(key);
        key_encode(key, tc->rows[i].key, tc->n_key);
        rows[i] = (struct keyed){{arena_copy(ap->w.a, key->data, key->len), key->len}, i};
    }
    qsort(rows, tc->n_rows, sizeof *rows, by_key);
    return rows;
}

/* Whether the row belongs to a decision that does not count (ruling.h). */
static bool is_refused(struct applying *ap, const struct table_changes *tc,
                       const struct row_change *rc)
{
    const char *why = ap->decides ? ruling_refuses(&ap->ruling, tc, rc) : NULL;
    if (!why)
        return false;
    ap->w.report->decisions_refused++;
    ap->w.report->decision_refused = why;
    return true;
}

/* Who took it and when is what the signature says, here as everywhere. */
static enum err sign_decision(struct applying *ap, const struct work_row *r, struct change *ch)
{
    const struct table_schema *t = r->k.t;
    uint32_t office = schema_column(t, "office"), at = schema_column(t, "at_ms");
    struct value *value = arena_copy(ap->w.a, ch->value, ch->n_cells * sizeof *value), *stands;
    assert(office < ch->n_cells && at < ch->n_cells);
    value[office] = value_text(ap->ruling.office);
    value[at] = value_u64(ap->ruling.at_ms);
    ch->value = value;
    if (!ap->own)
        return ERR_OK;
    enum err e = row_read(ap->w.s, ap->w.a, r->k, &stands); /* as the desk wrote it */
    if (e == ERR_OK && stands && part_mask(t, stands, value) != 0)
        e = part_update(ap->w.s, t, stands, value);
    return e;
}

/* The hub alone writes these tables and deletes no row of them, so a key has one birth and a change
 * means that: a first load brings the rows without the names of their births (load/chunk.c). */
static void mean_the_only_birth(const struct work_row *r, struct change *ch)
{
    if (r->k.t->hub_only && ch->kind != CHANGE_BORN && r->row.n_births == 1)
        ch->birth = r->row.births[0].name;
}

static enum err apply_row(struct applying *ap, const struct table_place *p, const struct keyed *at,
                          bool decision)
{
    struct work *w = &ap->w;
    const uint32_t ri = at->row;
    const struct row_change *rc = &p->tc->rows[ri];
    struct work_row *r = work_get(w, p->t, at->key.p, at->key.len);
    bool has;
    enum err e = chunk_has(ap, r->k, &has);
    if (e != ERR_OK || has)
        return e;
    if (!ap->own && is_refused(ap, p->tc, rc))
        return ERR_OK;
    struct change ch = to_change(ap, rc, &p->map, p->t);
    if (ap->decides && ch.kind == CHANGE_BORN && strcmp(p->t->name, DECISION_TABLE) == 0)
        e = sign_decision(ap, r, &ch);
    if (e != ERR_OK)
        return e;
    bool put = !ap->own || (decision && ch.kind == CHANGE_BORN);
    if (put)
        e = load_remote(ap, r, &ch);
    else
        e = load_own(ap, r, &ch, decision ? CHANGE_UPDATE : ch.kind,
                     &(struct row_at){p->index, ri});
    if (e != ERR_OK || wholly_seen(ap, r, &ch))
        return e;
    if (ap->replay)
        leave_out_seen(ap, r, &ch);
    mean_the_only_birth(r, &ch);
    return merge_row(ap, r, p->tc, rc, &ch);
}

/* Whether the table is here, with all columns that are published and the same key; where each
 * column of the changeset is. */
static bool map_columns(struct arena *a, const struct table_schema *t,
                        const struct table_changes *tc, struct column_map *map)
{
    bool fits = t && t->exists && t->n_key == tc->n_key;
    map->to = arena_alloc(a, (tc->n_columns + 1) * sizeof *map->to);
    for (uint32_t i = 0; fits && i < tc->n_columns; i++)
        map->to[i] = schema_column(t, tc->columns[i]);
    for (uint32_t i = 0; fits && i < tc->n_key; i++)
        fits = map->to[tc->key[i]] == t->key[i];
    return fits;
}

/* Our own writes first, then our decisions: a key that has both is loaded as the application left
 * it. */
static enum err apply_table(struct applying *ap, const struct table_place *p)
{
    enum err e = ERR_OK;
    const struct keyed *rows = in_key_order(ap, p->tc);
    for (int pass = 0; pass < (ap->own ? 2 : 1); pass++) {
        for (uint32_t j = 0; e == ERR_OK && j < p->tc->n_rows; j++) {
            bool decision = ap->own && collect_is_decision(ap->collected, p->index, rows[j].row);
            if (decision == (pass == 1))
                e = apply_row(ap, p, &rows[j], decision);
        }
    }
    return e;
}

static void put_later(struct applying *ap, const struct table_changes *tc)
{
    ap->later = arena_grow(ap->w.a, ap->later, ap->n_later, &ap->cap_later, sizeof *ap->later);
    ap->later[ap->n_later++] = tc;
}

/* The registry and the charter are the hub's alone. A table that does not fit here waits until it
 * does, and so does all that comes for it meanwhile. */
static enum err take_table(struct applying *ap, const struct table_changes *tc, uint32_t index)
{
    struct store *s = ap->w.s;
    struct table_place p = {.t = schema_table(s, tc->table), .tc = tc, .index = index};
    if (p.t && p.t->hub_only && ap->cs->dot.site != identity_of(s)->hub_site) {
        ap->w.report->refused += tc->n_rows;
        return ERR_OK;
    }
    bool waits = false;
    enum err e = ap->own || ap->replay ? ERR_OK : defer_waits(s, tc->table, &waits);
    if (e != ERR_OK)
        return e;
    if (waits || !map_columns(ap->w.a, p.t, tc, &p.map)) {
        put_later(ap, tc);
        return ERR_OK;
    }
    ap->charter = ap->charter || strcmp(p.t->name, "tonle_charter") == 0;
    ap->registry = ap->registry || p.t->internal;
    ap->attested = ap->attested || strcmp(p.t->name, ATTEST_TABLE) == 0;
    return apply_table(ap, &p);
}

enum err apply_rows(struct applying *ap, const char *table)
{
    enum err e = ERR_OK;
    const struct changeset *cs = ap->cs;
    assert(ap->w.s->in_write && !(ap->own && ap->replay));
    ap->decides = ruling_needed(cs);
    if (ap->decides)
        e = ruling_begin(ap->w.s, ap->w.a, cs, &ap->ruling);
    for (uint32_t g = 0; e == ERR_OK && g < cs->n_segments; g++) {
        for (uint32_t i = 0; e == ERR_OK && i < cs->segments[g].n_tables; i++) {
            const struct table_changes *tc = &cs->segments[g].tables[i];
            if (!table || strcmp(tc->table, table) == 0)
                e = take_table(ap, tc, i);
        }
    }
    return e;
}
