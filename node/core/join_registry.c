/* The registry and the charter, as they come from the parent. They say whose signature is whose,
 * so the parent is not believed: what came has to be what the hub signed (journal/attest.h), with
 * the hub's key from the invitation, and so new that this office is in it with its own key: no
 * older than its enrolment. A parent that holds back what is newer is found out when the hub's next
 * change of the registry does not fit what is here (apply/apply.c).
 *
 * What differs may have changed while it was fetched: then, and only then, the hub's entry in the
 * chunks' clocks is not one, and all of it is fetched again. */
#include "node/core/joining.h"

#include "node/file/hex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MOST 10u
#define REGISTRY_BYTES ((size_t)64 << 20) /* no federation has as much */

void join_registry_begin(struct joining *j)
{
    memset(&j->registry, 0, sizeof j->registry);
    j->registry.site_text = "";
}

static const struct value *chunk_value(const struct load_chunk *chunk, const struct row_state *row,
                                       const char *column)
{
    static const struct value null = {0};
    for (uint32_t i = 0; i < chunk->n_columns && i < row->n_values; i++)
        if (strcmp(chunk->columns[i], column) == 0)
            return &row->values[i];
    return &null;
}

static const char *chunk_text(struct joining *j, const struct load_chunk *chunk,
                              const struct row_state *row, const char *column)
{
    const struct value *v = chunk_value(chunk, row, column);
    char number[24];
    if (v->type == VALUE_INTEGER) {
        snprintf(number, sizeof number, "%lld", (long long)v->u.i);
        return arena_strdup(&j->arena, number);
    }
    if (v->type != VALUE_TEXT)
        return "";
    char *text = arena_alloc(&j->arena, v->len + 1);
    if (v->len > 0)
        memcpy(text, v->u.p, v->len);
    return text;
}

static bool is_hex_of(const char *hex, const uint8_t *p, size_t n)
{
    uint8_t bytes[SIGN_PUBLIC_BYTES];
    return n <= sizeof bytes && hex_bytes(hex, bytes, n) && memcmp(bytes, p, n) == 0;
}

static void read_node(struct joining *j, const struct load_chunk *chunk,
                      const struct row_state *row)
{
    if (strcmp(chunk_text(j, chunk, row, "name"), j->o.invitation->node) != 0)
        return;
    j->registry.site_text = chunk_text(j, chunk, row, "site");
    j->registry.site = strtoull(j->registry.site_text, NULL, 16);
    j->report.listen = chunk_text(j, chunk, row, "listen");
}

static void read_site(struct joining *j, const struct load_chunk *chunk,
                      const struct row_state *row)
{
    const char *site = chunk_text(j, chunk, row, "site"),
               *key = chunk_text(j, chunk, row, "sign_key");
    const struct invitation *inv = j->o.invitation;
    if (strcmp(site, j->registry.site_text) == 0)
        j->registry.own_key = is_hex_of(key, j->o.keys->sign_key, SIGN_PUBLIC_BYTES);
    if (strtoull(site, NULL, 16) == inv->hub_site)
        j->registry.hub_key = is_hex_of(key, inv->hub_sign_key, SIGN_PUBLIC_BYTES);
}

static void read_charter(struct joining *j, const struct load_chunk *chunk,
                         const struct row_state *row)
{
    uint64_t version = strtoull(chunk_text(j, chunk, row, "version"), NULL, 10);
    if (version < j->registry.version)
        return;
    j->registry.version = version;
    j->registry.compiled = chunk_text(j, chunk, row, "compiled");
}

/* ---- what the hub signed */

static void read_attest(struct joining *j, const struct load_chunk *chunk,
                        const struct row_state *row)
{
    struct attest *at = &j->registry.attest;
    at->number = strtoull(chunk_text(j, chunk, row, "number"), NULL, 10);
    j->registry.attested =
        hex_bytes(chunk_text(j, chunk, row, "signature"), at->signature, SIGNATURE_BYTES);
    for (int i = 0; i < ATTEST_SUMS; i++) {
        const char *sum = chunk_text(j, chunk, row, attest_sum[i]);
        j->registry.attested = j->registry.attested && hex_bytes(sum, at->sum[i], HASH_BYTES);
    }
}

static void keep_columns(struct joining *j, const struct load_chunk *chunk, struct attest_rows *to)
{
    const char **column = arena_alloc(&j->arena, (chunk->n_columns + 1) * sizeof *column);
    for (uint32_t c = 0; c < chunk->n_columns; c++)
        column[c] = arena_strdup(&j->arena, chunk->columns[c]);
    to->column = column;
    to->n_columns = chunk->n_columns;
}

static void keep_row(struct joining *j, int at, const struct row_state *row)
{
    struct attest_rows *to = &j->registry.rows[at];
    struct value *v = arena_alloc(&j->arena, (row->n_values + 1) * sizeof *v);
    for (uint32_t c = 0; c < row->n_values; c++) {
        v[c] = value_copy(&j->arena, &row->values[c]);
        j->registry.bytes += sizeof *v + (v[c].type >= VALUE_TEXT ? v[c].len : 0);
    }
    to->row = arena_grow(&j->arena, to->row, to->n, &j->registry.cap_rows[at], sizeof *to->row);
    to->row[to->n++] = v;
}

/* Nobody signed a record, a row that does not stand, a name of a birth. */
static void keep_rows(struct joining *j, int at, const struct load_chunk *chunk)
{
    struct attest_rows *to = &j->registry.rows[at];
    bool *odd = &j->registry.odd[at];
    if (!to->column)
        keep_columns(j, chunk, to);
    *odd = *odd || chunk->n_keep > 0 || chunk->n_columns != to->n_columns;
    for (uint32_t i = 0; i < chunk->n_states; i++) {
        const struct row_state *row = &chunk->states[i];
        *odd = *odd || !row->stands || row->record.len > 0 || row->n_values != to->n_columns;
        if (!*odd)
            keep_row(j, at, row);
    }
}

bool join_registry_read(struct joining *j, const struct load_chunk *chunk)
{
    static void (*const reads[ATTEST_SUMS])(struct joining *, const struct load_chunk *,
                                            const struct row_state *) = {read_node, read_site,
                                                                         read_charter};
    uint64_t seq = clock_get(&chunk->clock, j->o.invitation->hub_site);
    if (j->fetch.n_kept == 0)
        j->registry.first_seq = seq;
    j->registry.last_seq = seq;
    for (int at = 0; at < ATTEST_SUMS; at++) {
        if (strcmp(chunk->table, attest_table[at]) != 0)
            continue;
        keep_rows(j, at, chunk);
        for (uint32_t i = 0; i < chunk->n_states; i++)
            reads[at](j, chunk, &chunk->states[i]);
    }
    if (strcmp(chunk->table, ATTEST_TABLE) == 0 && chunk->n_states == 1)
        read_attest(j, chunk, &chunk->states[0]);
    return j->registry.bytes <= REGISTRY_BYTES;
}

/* The table that is not what the hub signed; NULL: all are. */
static const char *forged(struct joining *j)
{
    const struct invitation *inv = j->o.invitation;
    const struct attest *at = &j->registry.attest;
    if (!j->registry.attested || attest_verify(at, inv->federation, inv->hub_sign_key) != ERR_OK)
        return ATTEST_TABLE;
    for (int i = 0; i < ATTEST_SUMS; i++) {
        uint8_t sum[HASH_BYTES];
        attest_sum_of(attest_table[i], &j->registry.rows[i], sum);
        if (j->registry.odd[i] || memcmp(sum, at->sum[i], HASH_BYTES) != 0)
            return attest_table[i];
    }
    return NULL;
}

static void refuse_forged(struct node *n, const char *table)
{
    struct joining *j = n->join;
    if (j->registry.first_seq != j->registry.last_seq && j->registry_again++ < AGAIN_MOST) {
        join_fetch_again(n);
        return;
    }
    j->report.table = table;
    join_end(n, JOIN_FORGED_REGISTRY, ERR_SIGNATURE, NULL);
}

void join_registry_check(struct node *n)
{
    struct joining *j = n->join;
    j->fetch.n_internal = j->fetch.n_kept;
    const char *table = forged(j);
    if (!j->registry.hub_key)
        join_end(n, JOIN_OTHER_REGISTRY, ERR_REFUSED, NULL);
    else if (table)
        refuse_forged(n, table);
    else if (!j->registry.own_key)
        join_end(n, JOIN_OTHER_KEYS, ERR_REFUSED, NULL);
    else if (!j->registry.compiled)
        join_end(n, JOIN_NO_CHARTER, ERR_BUSY, NULL);
    else
        join_load_look(n);
}
