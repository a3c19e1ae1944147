#include "node/store_work.h"

#include <stdio.h>
#include <string.h>

/* store_apply: one changeset merged, decided and written, our own seals and remote ones alike.
 *
 * Our own rows stand in the table already; everything else is the same code, because a local write
 * may free a unique value, take a claimed one, or lack a parent, just as a remote one may.
 */

struct column_map { /* changeset column -> our column; UINT32_MAX: not known here */
    uint32_t *to;
};

struct apply {
    struct work w;
    const struct apply_input *in;
    bool own;
    bool charter;  /* it carries a row of tonle_charter */
    bool registry; /* it carries rows that only the hub writes */
};

/* ---- may it be applied at all? ---- */

/* Whether the changeset on record as (site, seq) has this hash. Also where none is on record, or
 * its hash is not known: after a first load the clock names changesets that were never seen here.
 */
static enum err has_hash(struct store *s, uint64_t site, uint64_t seq, const uint8_t *hash,
                         bool *fits)
{
    static const uint8_t unknown[HASH_BYTES];
    *fits = true;
    sqlite3_stmt *q = store_stmt(s, "SELECT hash FROM tonle_clock WHERE site = ?1 AND seq = ?2");
    if (!q)
        return ERR_SCHEMA;
    store_bind_u64(q, 1, site);
    store_bind_u64(q, 2, seq);
    bool row = false;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK || !row)
        return e;
    const void *known = sqlite3_column_blob(q, 0);
    *fits = sqlite3_column_bytes(q, 0) == HASH_BYTES &&
            (memcmp(known, hash, HASH_BYTES) == 0 || memcmp(known, unknown, HASH_BYTES) == 0);
    sqlite3_reset(q);
    return ERR_OK;
}

static enum err check_same(struct store *s, const struct apply_input *in)
{
    const struct dot d = in->cs->dot;
    bool fits;
    enum err e = has_hash(s, d.site, d.seq, in->hash, &fits);
    if (e == ERR_OK && !fits)
        return store_fail(s, ERR_IDENTITY, "two different changesets are named %016llx:%llu",
                          (unsigned long long)d.site, (unsigned long long)d.seq);
    return e;
}

/* Two copies of one database write two histories under one site: the first that is not built on
 * what is on record here shows it (DESIGN 2, promise 11). */
static enum err check_chain(struct store *s, const struct apply_input *in)
{
    const struct dot d = in->cs->dot;
    bool fits;
    enum err e = has_hash(s, d.site, d.seq - 1, in->cs->previous, &fits);
    if (e == ERR_OK && !fits)
        return store_fail(
            s, ERR_IDENTITY,
            "changeset %016llx:%llu does not follow the one on record: two copies of one"
            " database were used",
            (unsigned long long)d.site, (unsigned long long)d.seq);
    return e;
}

static enum err check(struct store *s, const struct apply_input *in, struct apply_report *report)
{
    const struct changeset *cs = in->cs;
    uint64_t have = clock_get(&s->state.clock, cs->dot.site);
    if (cs->dot.seq <= have) {
        report->already = true;
        return check_same(s, in);
    }
    if (cs->dot.seq != have + 1)
        return store_fail(s, ERR_GAP, "changeset %016llx:%llu came, %llu is the next",
                          (unsigned long long)cs->dot.site, (unsigned long long)cs->dot.seq,
                          (unsigned long long)have + 1);
    bool own_of_load = in->source[0] == '\0' && s->state.loading; /* store_seal_context */
    if (!own_of_load && !clock_includes(&s->state.clock, &cs->context))
        return store_fail(s, ERR_CAUSAL,
                          "changeset %016llx:%llu builds on changesets that are not here",
                          (unsigned long long)cs->dot.site, (unsigned long long)cs->dot.seq);
    if (in->source[0] == '\0')
        return ERR_OK;
    if (store_capture_pending(s))
        return store_fail(s, ERR_STATE, "local changes are not sealed yet");
    return check_chain(s, in);
}

/* ---- the rows ---- */

/* While the first load catches up: a chunk's clock tells what its rows already hold (DESIGN 8). */
static bool chunk_has(struct apply *ap, struct row_key k)
{
    return ap->w.s->state.loading && !ap->own && load_chunk_covers(ap->w.s, k, ap->in->cs->dot);
}

static struct change to_change(struct apply *ap, const struct row_change *rc,
                               const struct column_map *map, const struct table_schema *t)
{
    const struct changeset *cs = ap->in->cs;
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
    return ch;
}

/* What stands in the table after our own write. */
static enum err load_own(struct apply *ap, struct work_row *r, const struct change *ch, uint32_t ti,
                         uint32_t ri)
{
    if (r->loaded)
        return ERR_OK;
    struct value *now = NULL;
    enum err e = ERR_OK;
    if (ch->kind == CHANGE_BORN)
        now = arena_copy(ap->w.a, ch->value, ch->n_cells * sizeof *now);
    else if (ch->kind == CHANGE_UPDATE)
        e = row_read(ap->w.s, ap->w.a, r->k, &now);
    if (e != ERR_OK)
        return e;
    if (ch->kind == CHANGE_BORN) {
        e = work_load_with(&ap->w, r, NULL);
        r->now = now;
        r->in_table = ch->dot;
        return e;
    }
    const struct value *old =
        ch->kind == CHANGE_DELETE ? collect_old_values(ap->w.s, ti, ri) : NULL;
    e = work_load_with(&ap->w, r, old ? (struct value *)old : now);
    if (ch->kind == CHANGE_DELETE)
        r->now = NULL;
    return e;
}

/* A birth of a row without record needs no read: the INSERT tells whether a row stands there. */
static enum err load_remote(struct apply *ap, struct work_row *r, const struct change *ch)
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

static enum err record_closed(struct apply *ap, struct work_row *r,
                              const struct conflict_list *list)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < list->n; i++) {
        if (list->c[i].open)
            continue;
        e = conflict_save(&ap->w, r, &list->c[i], "auto");
        ap->w.report->conflicts++;
    }
    return e;
}

/* Our own log says which columns were written, not what a row's referenced columns were before:
 * then the children are found by what they lack. */
static void seek_orphans(struct work *w, const struct table_schema *t, const struct change *ch)
{
    for (uint32_t f = 0; f < w->s->n_fks; f++) {
        const struct foreign_key *fk = &w->s->fks[f];
        if (&w->s->tables[fk->parent] != t)
            continue;
        for (uint32_t i = 0; i < fk->n; i++) {
            for (uint32_t c = 0; c < ch->n_cells; c++)
                w->seek_orphans[f] = w->seek_orphans[f] || ch->column[c] == fk->parent_column[i];
        }
    }
}

static enum err apply_row(struct apply *ap, const struct table_schema *t,
                          const struct column_map *map, const struct table_changes *tc, uint32_t ti,
                          uint32_t ri)
{
    struct work *w = &ap->w;
    const struct row_change *rc = &tc->rows[ri];
    struct buf *key = &w->s->scratch;
    buf_reset(key);
    key_encode(key, rc->key, tc->n_key);
    struct work_row *r = work_get(w, t, key->data, key->len);
    if (chunk_has(ap, r->k))
        return ERR_OK;
    struct change ch = to_change(ap, rc, map, t);
    enum err e = ap->own ? load_own(ap, r, &ch, ti, ri) : load_remote(ap, r, &ch);
    if (e != ERR_OK)
        return e;
    struct forget f;
    struct conflict_list list = {0};
    e = row_forgetting(w->s, w->a, r->k, &f);
    if (e != ERR_OK)
        return e;
    struct merge_result m = merge_change(w->a, &r->row, &t->rules, &ch, &f, &list);
    r->siblings = r->siblings || m.siblings;
    w->report->rows++;
    if (m.orphan)
        w->report->orphans++;
    if (!m.applied)
        return ERR_OK;
    r->touched = true;
    if (ap->own) {
        r->sealed = true;
        work_note(w, r);
        if (ch.kind != CHANGE_BORN)
            seek_orphans(w, t, &ch);
        if (ch.kind != CHANGE_BORN && work_contended(w, t))
            e = work_release_blocked(w, r);
    }
    return e == ERR_OK ? record_closed(ap, r, &list) : e;
}

/* NULL where the table cannot be applied here: its rows stay in the journal. */
static const struct table_schema *resolve(struct apply *ap, const struct table_changes *tc,
                                          struct column_map *map)
{
    struct store *s = ap->w.s;
    struct table_schema *t = schema_table(s, tc->table);
    bool fits = t && t->exists && t->n_key == tc->n_key;
    if (fits && t->hub_only && ap->in->cs->dot.site != s->identity.hub_site)
        fits = false; /* the registry and the charter are the hub's alone */
    map->to = arena_alloc(ap->w.a, (tc->n_columns + 1) * sizeof *map->to);
    for (uint32_t i = 0; fits && i < tc->n_columns; i++)
        map->to[i] = schema_column(t, tc->columns[i]);
    for (uint32_t i = 0; fits && i < tc->n_key; i++)
        fits = map->to[tc->key[i]] == t->key[i];
    if (!fits)
        ap->w.report->refused += tc->n_rows;
    return fits ? t : NULL;
}

static enum err apply_rows(struct apply *ap)
{
    enum err e = ERR_OK;
    const struct changeset *cs = ap->in->cs;
    for (uint32_t g = 0; e == ERR_OK && g < cs->n_segments; g++) {
        for (uint32_t i = 0; e == ERR_OK && i < cs->segments[g].n_tables; i++) {
            const struct table_changes *tc = &cs->segments[g].tables[i];
            struct column_map map;
            const struct table_schema *t = resolve(ap, tc, &map);
            ap->charter = ap->charter || (t && strcmp(t->name, "tonle_charter") == 0);
            ap->registry = ap->registry || (t && t->hub_only);
            for (uint32_t j = 0; t && e == ERR_OK && j < tc->n_rows; j++)
                e = apply_row(ap, t, &map, tc, i, j);
        }
    }
    return e;
}

/* The newest charter here is in force from the changeset that brought it. */
static enum err charter_passed(struct store *s)
{
    sqlite3_stmt *q =
        store_stmt(s, "SELECT CAST(version AS INTEGER), schema_version FROM tonle_charter"
                      " ORDER BY version DESC LIMIT 1");
    bool row = false;
    enum err e = store_step(s, q, &row);
    if (e != ERR_OK || !row)
        return e;
    s->state.charter_version = store_column_u64(q, 0);
    s->state.schema_version = store_column_u64(q, 1);
    sqlite3_reset(q);
    s->schema_cookie = -1;
    e = store_meta_set_u64(s, "charter_version", s->state.charter_version);
    return e == ERR_OK ? store_meta_set_u64(s, "schema_version", s->state.schema_version) : e;
}

/* ---- the clock, the journal ---- */

static enum err advance(struct store *s, const struct apply_input *in)
{
    const struct changeset *cs = in->cs;
    sqlite3_stmt *q = store_stmt(
        s, "INSERT OR REPLACE INTO tonle_clock(site, seq, hlc, hash) VALUES(?1,?2,?3,?4)");
    if (!q)
        return ERR_SCHEMA;
    store_bind_u64(q, 1, cs->dot.site);
    store_bind_u64(q, 2, cs->dot.seq);
    store_bind_u64(q, 3, cs->hlc);
    store_bind_blob(q, 4, in->hash, HASH_BYTES);
    enum err e = store_run(s, q);
    clock_raise(&s->state.clock, cs->dot.site, cs->dot.seq);
    uint64_t pos;
    if (e == ERR_OK)
        e = store_journal_append(s, ITEM_CHANGESET, in->source, cs->dot, cs->hlc, in->bytes, &pos);
    if (e == ERR_OK)
        e = touch_note(s, cs, pos);
    if (e == ERR_OK)
        e = store_set_hlc(s, cs->hlc);
    if (e == ERR_OK && in->source[0] == '\0') {
        s->state.seq = cs->dot.seq;
        memcpy(s->state.chain, in->hash, HASH_BYTES);
        e = store_meta_set_u64(s, "seq", cs->dot.seq);
        if (e == ERR_OK)
            e = store_meta_set(s, "chain", in->hash, HASH_BYTES);
    }
    return e;
}

enum err store_apply(struct store *s, struct arena *a, const struct apply_input *in,
                     struct apply_report *report)
{
    *report = (struct apply_report){0};
    enum err e = capture_temp_triggers(s); /* reads the schema too */
    if (e == ERR_OK)
        e = check(s, in, report);
    if (e == ERR_OK && !report->already) {
        struct apply ap = {.in = in, .own = in->source[0] == '\0'};
        work_init(&ap.w, s, a);
        ap.w.dot = in->cs->dot;
        ap.w.part = ap.own && in->cs->cut;
        ap.w.hlc = in->cs->hlc;
        ap.w.now_ms = in->now_ms;
        ap.w.report = report;
        e = apply_rows(&ap);
        if (e == ERR_OK)
            e = work_finish(&ap.w);
        if (ap.registry)
            units_changed(s);
        if (e == ERR_OK && ap.charter)
            e = charter_passed(s);
        if (e == ERR_OK)
            e = advance(s, in);
    }
    if (e == ERR_OK && in->source[0] != '\0')
        e = store_peer_received(s, in->source, in->link_pos);
    if (e == ERR_OK && s->state.loading && strcmp(in->source, s->identity.parent) == 0)
        e = load_passed(s, a, in->link_pos);
    return e;
}

/* ---- naming, before the seal ---- */

enum err store_name_births(struct store *s, struct arena *a, struct changeset *cs)
{
    enum err e = schema_load(s);
    for (uint32_t g = 0; e == ERR_OK && g < cs->n_segments; g++) {
        for (uint32_t i = 0; e == ERR_OK && i < cs->segments[g].n_tables; i++) {
            struct table_changes *tc = &cs->segments[g].tables[i];
            const struct table_schema *t = schema_table(s, tc->table);
            for (uint32_t j = 0; t && e == ERR_OK && j < tc->n_rows; j++) {
                if (tc->rows[j].kind == CHANGE_BORN || collect_is_decision(s, i, j))
                    continue; /* a decision names its birth itself */
                struct row row;
                bool recorded;
                buf_reset(&s->scratch);
                key_encode(&s->scratch, tc->rows[j].key, tc->n_key);
                struct row_key k = {t, arena_copy(a, s->scratch.data, s->scratch.len),
                                    s->scratch.len};
                e = row_load(s, a, k, &row, &recorded);
                struct birth *b = e == ERR_OK ? row_standing(&row, &t->rules) : NULL;
                tc->rows[j].birth = b ? b->name : (struct dot){0, 0};
            }
        }
    }
    return e;
}
