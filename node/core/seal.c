/* The captured log becomes one signed changeset (DESIGN 3 "Seal"), inside the caller's transaction.
 * The context is the clock before it: nothing remote is applied while the log is not empty, so it
 * says exactly what the writers here had before them. What a capture gap makes ours was written by
 * somebody who had what stood here at its beginning: `begun`, its clock, is the context then. */
#include "node/core/internal.h"

#include "node/capture/sequence.h"

#include <stdio.h>
#include <string.h>

/* What is born here is named by the changeset it is born in. */
static void name_born(struct table_changes *t, struct dot dot)
{
    for (uint32_t r = 0; r < t->n_rows; r++) {
        if (t->rows[r].kind == CHANGE_BORN)
            t->rows[r].birth = dot;
    }
}

static void fill_header(struct node *n, struct changeset *cs, const struct clock *context)
{
    const struct store_state *st = store_state_get(n->store);
    cs->federation = n->federation;
    cs->dot = (struct dot){n->site, st->seq + 1};
    cs->context = *context; /* borrowed */
    cs->hlc = hlc_tick(st->hlc, node_time(n));
    cs->charter_version = st->charter_version;
    cs->schema_version = st->schema_version;
    memcpy(cs->previous, st->chain, HASH_BYTES);
    for (uint32_t i = 0; i < cs->n_segments; i++) {
        for (uint32_t t = 0; t < cs->segments[i].n_tables; t++)
            name_born(&cs->segments[i].tables[t], cs->dot);
    }
}

/* Numbers that are not this office's to give: the commit steers it on, and people are told. */
static enum err look_at_keys(struct node *n, const struct changeset *cs, const struct collected *c)
{
    uint64_t outside = 0;
    enum err e = sequence_look(n->store, cs, c, node_time(n), &outside);
    if (e == ERR_OK && outside > 0)
        node_log(n, 1, "event=keys-outside seq=%llu rows=%llu", (unsigned long long)cs->dot.seq,
                 (unsigned long long)outside);
    return e;
}

static enum err apply_own(struct node *n, const struct changeset *cs, struct collected *c,
                          const struct buf *bytes, const uint8_t *hash)
{
    struct apply_input in = {.cs = cs,
                             .bytes = {bytes->data, bytes->len},
                             .hash = hash,
                             .own = true,
                             .collected = c,
                             .now_ms = node_time(n)};
    struct apply_report report;
    enum err e = store_apply(n->store, &n->arena, &in, &report);
    if (e == ERR_OK)
        e = look_at_keys(n, cs, c);
    if (e == ERR_OK)
        e = store_collect_done(n->store, c, node_time(n));
    n->mark_check = true; /* the registry may be among it */
    if (e == ERR_OK && cs->cut)
        node_log(n, 2, "event=seal seq=%llu rows=%u bytes=%zu cut=%d",
                 (unsigned long long)cs->dot.seq, report.rows, bytes->len, cs->cut);
    return e;
}

/* ERR_LIMIT: the rows collected do not fit into one changeset. */
static enum err seal_collected(struct node *n, const struct clock *begun, struct changeset *cs,
                               struct collected *c)
{
    struct clock context = {0};
    struct buf bytes = {0};
    uint8_t hash[HASH_BYTES];
    enum err e = ERR_OK;
    clock_copy(&context, begun ? begun : &store_state_get(n->store)->clock);
    if (begun) /* and what was sealed here since */
        clock_raise(&context, n->site, store_state_get(n->store)->seq);
    if (store_state_get(n->store)->loading)
        e = store_seal_context(n->store, &n->arena, cs, &context);
    fill_header(n, cs, &context);
    if (e == ERR_OK)
        e = store_name_births(n->store, &n->arena, cs, c);
    if (e == ERR_OK)
        e = seal_changeset(cs, n->o.sign_secret, &bytes, hash);
    if (e == ERR_OK)
        e = apply_own(n, cs, c, &bytes, hash);
    clock_fini(&context);
    buf_fini(&bytes);
    return e;
}

static enum err seal_rows(struct node *n, const struct clock *begun, struct collect_most most,
                          bool *cut)
{
    struct changeset cs = {0};
    struct collected *c = NULL;
    enum err e = store_collect(n->store, &n->arena, most, &cs, &c);
    *cut = cs.cut;
    if (c && collect_left_nobodys(n->store, c, NULL))
        scan_once_more(n, c);
    if (e == ERR_OK)
        e = seal_collected(n, begun, &cs, c);
    else if (e == ERR_NOT_FOUND)
        e = store_collect_done(n->store, c, node_time(n));
    collected_free(c);
    return e;
}

enum err seal_captured(struct node *n, const struct clock *begun, bool *cut)
{
    *cut = false;
    enum err e = node_is_hub(n) ? store_registry_attest(n->store, n->o.sign_secret) : ERR_OK;
    if (e != ERR_OK)
        return e;
    e = ERR_LIMIT;
    uint32_t most = n->o.seal_rows ? n->o.seal_rows : SEAL_ROWS;
    for (uint32_t rows = most; e == ERR_LIMIT && rows > 0; rows = rows > 8 ? rows / 8 : rows > 1)
        e = seal_rows(
            n, begun,
            (struct collect_most){
                .rows = rows, .bytes = SEAL_BYTES, .apart = rows != most, .compared = n->compared},
            cut);
    if (e != ERR_LIMIT)
        return e;
    /* A row that no changeset can carry: it is safe in the table and in the log, and everything
     * behind it waits until the application makes it smaller; the work of the others goes on. */
    snprintf(n->seal_fault, sizeof n->seal_fault,
             "a captured row is too large to be sent (over %u bytes)", LIMIT_ROW_BYTES);
    node_log(n, 0, "event=seal-failed error=limit text=%s", node_quoted(n, n->seal_fault));
    *cut = true;
    return ERR_OK;
}
