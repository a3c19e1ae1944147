/* store_apply: one changeset merged, decided and written, our own seals and remote ones alike.
 *
 * Our own rows stand in the table already; everything else is the same code, because a local write
 * may free a unique value, take a claimed one, or lack a parent, just as a remote one may.
 */
#include "node/apply/apply.h"

#include "node/apply/applying.h"
#include "node/capture/capture.h"
#include "node/db/query.h"
#include "node/journal/attest.h"
#include "node/journal/journal.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

/* ---- may it be applied at all? ---- */

/* Whether the changeset on record as (site, seq) has this hash. Also where none is on record, or
 * its hash is not known: after a first load the clock names changesets that were never seen here.
 */
static enum err has_hash(struct store *s, uint64_t site, uint64_t seq, const uint8_t *hash,
                         bool *fits)
{
    static const uint8_t unknown[HASH_BYTES];
    *fits = true;
    struct query q = DB_QUERY(s, "SELECT hash FROM tonle_clock WHERE site = ?1 AND seq = ?2",
                              value_u64(site), value_u64(seq));
    while (query_next(&q)) {
        struct bytes known = query_borrow(&q, 0);
        *fits = known.len == HASH_BYTES && (memcmp(known.p, hash, HASH_BYTES) == 0 ||
                                            memcmp(known.p, unknown, HASH_BYTES) == 0);
    }
    return query_end(&q);
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
    uint64_t have = clock_get(&state_of(s)->clock, cs->dot.site);
    if (cs->dot.seq <= have) {
        report->already = true;
        return check_same(s, in);
    }
    if (cs->dot.seq != have + 1)
        return store_fail(s, ERR_GAP, "changeset %016llx:%llu came, %llu is the next",
                          (unsigned long long)cs->dot.site, (unsigned long long)cs->dot.seq,
                          (unsigned long long)have + 1);
    bool own_of_load = in->own && state_of(s)->loading; /* store_seal_context */
    if (!own_of_load && !clock_includes(&state_of(s)->clock, &cs->context))
        return store_fail(s, ERR_CAUSAL,
                          "changeset %016llx:%llu builds on changesets that are not here",
                          (unsigned long long)cs->dot.site, (unsigned long long)cs->dot.seq);
    if (in->own)
        return ERR_OK;
    if (store_capture_pending(s))
        return store_fail(s, ERR_STATE, "local changes are not sealed yet");
    return check_chain(s, in);
}

/* ---- the clock, the journal ---- */

static enum err advance(struct store *s, const struct apply_input *in, uint64_t *at)
{
    const struct changeset *cs = in->cs;
    enum err e = state_advance(s, cs->dot, cs->hlc, in->hash);
    if (e == ERR_OK)
        e = store_journal_append(s, ITEM_CHANGESET, in->own ? "" : in->source, cs->dot, cs->hlc,
                                 in->bytes, at);
    if (e == ERR_OK)
        e = touch_note(s, cs, *at);
    if (e == ERR_OK)
        e = store_set_hlc(s, cs->hlc);
    if (e == ERR_OK && in->own)
        e = state_sealed(s, cs->dot.seq, in->hash);
    return e;
}

/* What the hub has changed has to fit what is here: a parent that held back an earlier change at
 * the first load is found out, and whoever altered the registry behind our back. */
static enum err look_at_registry(struct store *s, struct arena *a)
{
    const char *table;
    enum err e = attest_look(s, a, &table);
    if (e != ERR_OK)
        return e;
    return table ? store_meta_set(s, META_REGISTRY_ODD, table, strlen(table))
                 : store_meta_drop(s, META_REGISTRY_ODD);
}

enum err apply_note_refused(struct applying *ap)
{
    const struct apply_report *r = ap->w.report;
    struct dot d = ap->cs->dot;
    struct buf b = {0};
    enum err e = ERR_OK;
    if (r->refused > 0) {
        buf_printf(&b, "changeset %llu of %.64s: %u", (unsigned long long)d.seq,
                   work_site(&ap->w, d.site)->node, r->refused);
        e = store_meta_set(ap->w.s, META_ROWS_REFUSED, b.data, b.len);
    }
    if (e == ERR_OK && r->astray) {
        buf_reset(&b);
        buf_printf(&b, "changeset %llu of %.64s %s", (unsigned long long)d.seq,
                   work_site(&ap->w, d.site)->node, r->astray);
        e = store_meta_set(ap->w.s, META_ROWS_ASTRAY, b.data, b.len);
    }
    if (e == ERR_OK && r->decision_refused)
        e = store_meta_set(ap->w.s, META_DECISION_REFUSED, r->decision_refused,
                           strlen(r->decision_refused));
    buf_fini(&b);
    return e;
}

static enum err take(struct store *s, struct arena *a, const struct apply_input *in,
                     struct apply_report *report)
{
    struct applying ap = {.cs = in->cs, .own = in->own, .collected = in->collected};
    uint64_t pos = 0;
    work_init(&ap.w, s, a);
    ap.w.dot = in->cs->dot;
    ap.w.part = ap.own && in->cs->cut;
    ap.w.hlc = in->cs->hlc;
    ap.w.now_ms = in->now_ms;
    ap.w.report = report;
    enum err e = apply_rows(&ap, NULL);
    if (e == ERR_OK)
        e = work_finish(&ap.w);
    if (e == ERR_OK)
        e = apply_note_refused(&ap);
    if (ap.registry)
        units_changed(s);
    if (e == ERR_OK && ap.charter) {
        schema_changed(s);
        bool first = state_of(s)->charter_version == 0; /* nobody referred to anything before */
        e = schema_charter_passed(s);
        if (e == ERR_OK && !first)
            e = store_meta_set_u64(s, META_PARENTS_DUE, 1);
    }
    if (e == ERR_OK && ap.attested && !ap.own)
        e = look_at_registry(s, a);
    if (e == ERR_OK)
        e = advance(s, in, &pos);
    for (size_t i = 0; e == ERR_OK && i < ap.n_later; i++)
        e = defer_note(&ap, ap.later[i], pos);
    return e;
}

enum err store_apply(struct store *s, struct arena *a, const struct apply_input *in,
                     struct apply_report *report)
{
    bool more;
    *report = (struct apply_report){0};
    assert(s->in_write && in->own == !in->source);
    enum err e = capture_temp_triggers(s); /* reads the schema too */
    if (e == ERR_OK)
        e = check(s, in, report);
    if (e == ERR_OK && !report->already && !in->own)
        e = defer_replay(s, a, DEFER_SLICE, &more);
    if (e == ERR_OK && !report->already)
        e = take(s, a, in, report);
    if (e == ERR_OK && !in->own)
        e = store_peer_received(s, in->source, in->link_pos);
    return e;
}

/* ---- naming, before the seal ---- */

enum err store_name_births(struct store *s, struct arena *a, struct changeset *cs,
                           const struct collected *c)
{
    enum err e = schema_load(s);
    for (uint32_t g = 0; e == ERR_OK && g < cs->n_segments; g++) {
        for (uint32_t i = 0; e == ERR_OK && i < cs->segments[g].n_tables; i++) {
            struct table_changes *tc = &cs->segments[g].tables[i];
            const struct table_schema *t = schema_table(s, tc->table);
            for (uint32_t j = 0; t && e == ERR_OK && j < tc->n_rows; j++) {
                if (tc->rows[j].kind == CHANGE_BORN || collect_is_named(c, i, j))
                    continue;
                struct row row;
                buf_reset(&s->apply->scratch);
                key_encode(&s->apply->scratch, tc->rows[j].key, tc->n_key);
                struct row_key k = {t, arena_copy(a, s->apply->scratch.data, s->apply->scratch.len),
                                    s->apply->scratch.len};
                e = row_load(s, a, k, &row, NULL);
                struct birth *b = e == ERR_OK ? row_standing(&row, &t->rules) : NULL;
                tc->rows[j].birth = b ? b->name : (struct dot){0, 0};
            }
        }
    }
    return e == ERR_OK ? refer_name(s, a, cs) : e;
}
