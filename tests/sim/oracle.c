#include "tests/sim/world.h"

#include "protocol/seal.h"

#include <stdio.h>
#include <string.h>

/* After every step of a node: the journal is read on, and the promises that each of its items can
 * break are looked at. When the capture log is empty, the office must look exactly as the model of
 * its own journal does: the same rows in the tables, the same held rows, no cell version on record
 * that nobody wrote. */

#define FULL_STEPS 25 /* the tables are compared at least so often */
/* What a join could not take in stays aside as a local matter. */
#define HELD_COUNT "SELECT count(*) FROM tonle_held WHERE reason <> 'local'"

static void broken(struct world *w, const struct machine *m, const char *promise, const char *what)
{
    world_break(w, promise, "%s: %s", m->o.name, what);
}

static int office_of(const struct world *w, uint64_t site)
{
    for (int i = 0; i < w->n; i++) {
        if (w->m[i].o.site == site)
            return i;
    }
    return -1;
}

static void forget_deferred(struct machine *m)
{
    for (size_t i = 0; i < m->n_deferred; i++)
        mem_free((void *)m->deferred[i].p);
    m->n_deferred = 0;
    clock_reset(&m->merged);
}

void oracle_start(struct world *w, struct machine *m)
{
    char msg[256];
    struct store_options o = {.path = m->o.path, .vfs = m->o.vfs, .read_only = true};
    if (store_open(&m->watch, &o, msg) != ERR_OK)
        broken(w, m, "1", msg);
    model_fini(&m->model);
    clock_reset(&m->clock);
    forget_deferred(m);
    memset(m->chain, 0, sizeof m->chain);
    m->model_pos = m->model_checked = 0;
    m->base_read = false;
    m->model.late = m->n_base > 0;
    m->restarted = true;
}

void oracle_stop(struct machine *m)
{
    store_close(m->watch);
    m->watch = NULL;
    model_fini(&m->model);
    clock_fini(&m->clock);
    forget_deferred(m);
    clock_fini(&m->merged);
    mem_free(m->deferred);
    m->deferred = NULL;
    m->cap_deferred = 0;
}

void oracle_sent(struct world *w, struct machine *from, struct machine *to,
                 const struct message *msg)
{
    uint64_t *acked = &from->acked[to - w->m];
    uint64_t said = 0;
    if (msg->type == MESSAGE_ACK)
        said = msg->u.ack.pos;
    else if (msg->type == MESSAGE_HELLO || msg->type == MESSAGE_WELCOME)
        said = msg->u.hello.received_pos;
    *acked = said > *acked ? said : *acked;
    if (msg->type == MESSAGE_ITEM && msg->u.item.pos > from->told)
        from->told = msg->u.item.pos;
}

/* ---- the journal */

static void print_changeset(struct world *w, struct machine *m, struct arena *a,
                            const struct changeset *cs)
{
    printf("%8llu %s: sealed %llu%s:", (unsigned long long)w->now, m->o.name,
           (unsigned long long)cs->dot.seq, cs->cut ? " (cut)" : "");
    for (uint32_t i = 0; i < cs->segments[0].n_tables; i++) {
        const struct table_changes *tc = &cs->segments[0].tables[i];
        const struct table_schema *t = schema_table(m->watch, tc->table);
        for (uint32_t j = 0; t && j < tc->n_rows; j++) {
            struct buf key = {0};
            key_encode(&key, tc->rows[j].key, tc->n_key);
            printf(" %s %s %s", (const char *[]){"", "born", "update", "delete"}[tc->rows[j].kind],
                   tc->table, schema_key_json(a, t, key.data, key.len));
            buf_fini(&key);
        }
    }
    printf("\n");
}

/* Merged in causal order: an office that still loads seals on top of row states whose changesets
 * its journal does not hold yet. */
static bool merge_changeset(struct world *w, struct machine *m, const struct changeset *cs)
{
    char why[256] = "";
    if (!clock_includes(&m->merged, &cs->context) ||
        cs->dot.seq != clock_get(&m->merged, cs->dot.site) + 1)
        return false;
    if (w->broken[0] == '\0' && !model_apply(&m->model, m->watch, cs, why))
        broken(w, m, "6", why);
    clock_raise(&m->merged, cs->dot.site, cs->dot.seq);
    return true;
}

static void merge_deferred(struct world *w, struct machine *m, struct arena *a)
{
    for (size_t i = 0; i < m->n_deferred;) {
        struct changeset cs;
        uint8_t hash[HASH_BYTES];
        struct bytes b = m->deferred[i];
        if (seal_peek(a, b.p, b.len, &cs) != ERR_OK ||
            seal_open(a, b.p, b.len, w->m[office_of(w, cs.dot.site)].o.key, &cs, hash) != ERR_OK ||
            !merge_changeset(w, m, &cs)) {
            i++;
            continue;
        }
        mem_free((void *)b.p);
        memmove(&m->deferred[i], &m->deferred[i + 1], (--m->n_deferred - i) * sizeof *m->deferred);
        i = 0;
    }
}

static void read_changeset(struct world *w, struct machine *m, struct arena *a, struct bytes b)
{
    struct changeset cs;
    uint8_t hash[HASH_BYTES];
    if (seal_peek(a, b.p, b.len, &cs) != ERR_OK || office_of(w, cs.dot.site) < 0) {
        broken(w, m, "11", "a changeset of the journal cannot be read");
        return;
    }
    int office = office_of(w, cs.dot.site);
    if (seal_open(a, b.p, b.len, w->m[office].o.key, &cs, hash) != ERR_OK) {
        broken(w, m, "9", "a changeset of the journal cannot be opened");
        return;
    }
    if (cs.dot.seq != clock_get(&m->clock, cs.dot.site) + 1)
        world_break(w, "2", "%s: changeset %llu of %s follows %llu in the journal", m->o.name,
                    (unsigned long long)cs.dot.seq, w->m[office].o.name,
                    (unsigned long long)clock_get(&m->clock, cs.dot.site));
    if (memcmp(cs.previous, m->chain[office], HASH_BYTES) != 0)
        broken(w, m, "11", "a changeset does not follow the one before it");
    /* DESIGN 8: sealed while it loaded, here or at the parent whose journal we began with */
    bool on_load = m->n_base > 0 && (cs.dot.site == m->o.site || !m->base_read);
    if (!on_load && !clock_includes(&m->clock, &cs.context))
        broken(w, m, "4", "a changeset stands in the journal before what it builds on");
    memcpy(m->chain[office], hash, HASH_BYTES);
    clock_raise(&m->clock, cs.dot.site, cs.dot.seq);
    if (w->verbose && cs.dot.site == m->o.site && cs.n_segments > 0)
        print_changeset(w, m, a, &cs);
    w->parts += cs.cut && cs.dot.site == m->o.site;
    if (merge_changeset(w, m, &cs)) {
        merge_deferred(w, m, a);
        return;
    }
    m->deferred = mem_grow(m->deferred, m->n_deferred, &m->cap_deferred, sizeof *m->deferred);
    m->deferred[m->n_deferred++] = (struct bytes){mem_copy(b.p, b.len), b.len};
}

static void read_journal(struct world *w, struct machine *m)
{
    struct arena a = {0};
    for (size_t i = 0; !m->base_read && w->broken[0] == '\0' && i < m->n_base; i++)
        read_changeset(w, m, &a, m->base[i]);
    m->base_read = true;
    sqlite3_stmt *q = store_stmt(
        m->watch, "SELECT pos, kind, bytes FROM tonle_journal WHERE pos > ?1 ORDER BY pos");
    bool row = q != NULL;
    if (q)
        store_bind_u64(q, 1, m->model_pos);
    while (row && w->broken[0] == '\0') {
        if (store_step(m->watch, q, &row) != ERR_OK)
            broken(w, m, "1", store_message(m->watch));
        if (!row)
            break;
        m->model_pos = store_column_u64(q, 0);
        if (sqlite3_column_int(q, 1) == ITEM_CHANGESET)
            read_changeset(w, m, &a, store_column_bytes(&a, q, 2));
        arena_reset(&a);
    }
    if (q)
        sqlite3_reset(q);
    arena_fini(&a);
}

/* ---- counters that change with the journal */

static void check_state(struct world *w, struct machine *m)
{
    const struct store_state *st = store_state(m->watch);
    if (clock_compare(&m->clock, &st->clock) != CLOCK_EQUAL)
        broken(w, m, "2", "the clock is not that of the journal");
    if (clock_get(&st->clock, m->o.site) != st->seq)
        broken(w, m, "11", "the own seq is not that of the clock");
    if (st->seq > 0 && memcmp(st->chain, m->chain[m - w->m], HASH_BYTES) != 0)
        broken(w, m, "11", "the chain hash is not that of the journal");
    if (!clock_includes(&st->clock, &st->stable))
        broken(w, m, "4", "the stable clock is ahead of the clock");
    if (m->told > m->model_pos)
        world_break(w, "2", "%s: sent position %llu, its journal ends at %llu", m->o.name,
                    (unsigned long long)m->told, (unsigned long long)m->model_pos);
    for (int i = 0; i < w->n; i++) {
        struct peer_record p;
        if (m->acked[i] == 0)
            continue;
        if (store_peer_get(m->watch, w->m[i].o.name, &p) != ERR_OK)
            broken(w, m, "1", store_message(m->watch));
        else if (p.received_pos < m->acked[i])
            world_break(w, "2", "%s: acknowledged position %llu of %s, has %llu", m->o.name,
                        (unsigned long long)m->acked[i], w->m[i].o.name,
                        (unsigned long long)p.received_pos);
    }
}

/* ---- the tables */

struct comparing {
    struct world *w;
    struct machine *m;
    struct arena a;
    struct model_birth *birth;
    size_t n;
    const struct model_row *bad; /* where the first difference is */
};

static char *key_text(struct comparing *c, const struct model_row *r)
{
    return schema_key_json(&c->a, &c->m->watch->tables[r->table], r->key, r->len);
}

static const char *values_text(struct comparing *c, const struct table_schema *t,
                               const struct value *v)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < t->n_columns; i++) {
        buf_printf(&b, "%s%s=", i ? " " : "", t->column[i]);
        if (v[i].type == VALUE_INTEGER)
            buf_printf(&b, "%lld", (long long)v[i].u.i);
        else if (v[i].type == VALUE_TEXT)
            buf_printf(&b, "%.*s", (int)v[i].len, (const char *)v[i].u.p);
        else
            buf_printf(&b, v[i].type == VALUE_NULL ? "-" : "?");
    }
    char *text = arena_strdup(&c->a, buf_str(&b));
    buf_fini(&b);
    return text;
}

/* The row in the table is the birth that the model lets stand, with the values it shows. */
static void check_row(struct comparing *c, const struct model_row *r)
{
    const struct table_schema *t = &c->m->watch->tables[r->table];
    struct value *now = NULL;
    const struct birth *stands = NULL;
    for (size_t i = 0; i < c->n; i++) {
        if (c->birth[i].row == r && c->birth[i].held == HOLD_NONE)
            stands = c->birth[i].birth;
    }
    if (row_read(c->m->watch, &c->a, (struct row_key){t, r->key, r->len}, &now) != ERR_OK)
        broken(c->w, c->m, "1", store_message(c->m->watch));
    if (now == NULL && stands)
        world_break(c->w, "3", "%s: %s %s should stand (%s)", c->m->o.name, t->name, key_text(c, r),
                    values_text(c, t, stands->values));
    if (now && !stands)
        world_break(c->w, "3", "%s: %s %s should not stand (%s)", c->m->o.name, t->name,
                    key_text(c, r), values_text(c, t, now));
    for (uint32_t i = 0; now && stands && i < t->n_columns; i++) {
        if (!value_equal(&now[i], &stands->values[i]))
            world_break(c->w, "3", "%s: %s %s differs in %s: shows (%s), should (%s)", c->m->o.name,
                        t->name, key_text(c, r), t->column[i], values_text(c, t, now),
                        values_text(c, t, stands->values));
    }
}

/* No other row stands. */
static void check_others(struct comparing *c, const struct table_schema *t)
{
    struct store *s = c->m->watch;
    char sql[512];
    size_t stands = 0;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", t->qname);
    for (size_t i = 0; i < c->n; i++)
        stands += &s->tables[c->birth[i].row->table] == t && c->birth[i].held == HOLD_NONE;
    if (store_pragma(s, sql) != (int64_t)stands)
        world_break(c->w, "3", "%s: %s has %lld rows, %zu should stand", c->m->o.name, t->name,
                    (long long)store_pragma(s, sql), stands);
}

static void check_held(struct comparing *c)
{
    struct store *s = c->m->watch;
    size_t held = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct model_birth *b = &c->birth[i];
        if (b->held == HOLD_NONE)
            continue;
        held++;
        size_t want = 0, have = 0;
        for (size_t j = 0; j < c->n; j++)
            want += c->birth[j].row == b->row && c->birth[j].held == b->held;
        sqlite3_stmt *q = store_stmt(
            s, "SELECT count(*) FROM tonle_held WHERE t = ?1 AND k = ?2 AND reason = ?3");
        sqlite3_bind_int64(q, 1, s->tables[b->row->table].t);
        store_bind_blob(q, 2, b->row->key, b->row->len);
        store_bind_text(q, 3, hold_reason_name(b->held));
        bool row = false;
        if (store_step(s, q, &row) == ERR_OK && row)
            have = (size_t)sqlite3_column_int(q, 0);
        sqlite3_reset(q);
        if (have == want)
            continue;
        c->bad = b->row;
        world_break(c->w, "3", "%s: %s %s (%s) is held %zu times for '%s', should %zu times",
                    c->m->o.name, s->tables[b->row->table].name, key_text(c, b->row),
                    values_text(c, &s->tables[b->row->table], b->birth->values), have,
                    hold_reason_name(b->held), want);
    }
    if (store_pragma(s, HELD_COUNT) != (int64_t)held)
        world_break(c->w, "3", "%s: %lld rows are held, %zu should be", c->m->o.name,
                    (long long)store_pragma(s, HELD_COUNT), held);
}

static bool has_version(const struct birth *b, struct arena *a, const struct table_rules *rules,
                        uint32_t column, struct dot d)
{
    uint32_t n;
    const struct version *v = birth_cell(a, b, rules, column, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (dot_equal(v[i].dot, d))
            return true;
    }
    return false;
}

/* The identity that lost its name: stable, not named on record, and not stably dead. */
static bool may_be_unnamed(struct comparing *c, const struct birth *b, const struct row *rec,
                           const struct table_schema *t)
{
    const struct clock *stable = &store_state(c->m->watch)->stable;
    uint32_t n;
    if (!clock_covers(stable, b->name) || row_find_birth(rec, b->name))
        return false;
    if (birth_alive(b, &t->rules))
        return true;
    const struct version *v = birth_cell(&c->a, b, &t->rules, COLUMN_EXISTS, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (!clock_covers(stable, v[i].dot))
            return true;
    }
    return false;
}

/* A version on record is one that the model has; one that is not stable is on record. */
static void check_versions(struct comparing *c, const struct model_row *r, const struct row *row,
                           const struct birth *rec)
{
    const struct table_schema *t = &c->m->watch->tables[r->table];
    const struct birth *b = row_find_birth(&r->row, rec->name);
    const struct clock *stable = &store_state(c->m->watch)->stable;
    for (uint32_t i = 0; !b && dot_is_none(rec->name) && i < r->row.n_births; i++) {
        if (may_be_unnamed(c, &r->row.births[i], row, t))
            b = &r->row.births[i];
    }
    if (!b) {
        world_break(c->w, "3", "%s: %s %s has a birth on record that nobody made", c->m->o.name,
                    t->name, key_text(c, r));
        return;
    }
    for (uint32_t column = 0; column <= t->n_columns; column++) {
        uint32_t at = column == t->n_columns ? COLUMN_EXISTS : column, n;
        const char *name = column == t->n_columns ? "existence" : t->column[column];
        const struct version *v = birth_cell(&c->a, rec, &t->rules, at, &n);
        for (uint32_t i = 0; i < n; i++) {
            if (!clock_covers(stable, v[i].dot) && !has_version(b, &c->a, &t->rules, at, v[i].dot))
                world_break(c->w, "3", "%s: %s %s: a version of %s on record is not of this row",
                            c->m->o.name, t->name, key_text(c, r), name);
        }
        v = birth_cell(&c->a, b, &t->rules, at, &n);
        for (uint32_t i = 0; i < n; i++) {
            if (!clock_covers(stable, v[i].dot) &&
                !has_version(rec, &c->a, &t->rules, at, v[i].dot))
                world_break(c->w, "2", "%s: %s %s: a version of %s is not on record", c->m->o.name,
                            t->name, key_text(c, r), name);
        }
    }
}

/* Births that are not stable are on record, and what is on record fits the model and the table. */
static void check_record(struct comparing *c, const struct model_row *r)
{
    struct store *s = c->m->watch;
    const struct table_schema *t = &s->tables[r->table];
    struct row rec;
    bool recorded;
    uint32_t standing = 0;
    if (row_load(s, &c->a, (struct row_key){t, r->key, r->len}, &rec, &recorded) != ERR_OK) {
        broken(c->w, c->m, "3", store_message(s));
        return;
    }
    for (uint32_t i = 0; i < rec.n_births; i++) {
        check_versions(c, r, &rec, &rec.births[i]);
        standing += birth_alive(&rec.births[i], &t->rules) && rec.births[i].held == HOLD_NONE;
    }
    struct value *now = NULL;
    if (row_read(s, &c->a, (struct row_key){t, r->key, r->len}, &now) != ERR_OK)
        broken(c->w, c->m, "1", store_message(s));
    if (recorded && rec.n_births > 0 && standing != (now != NULL))
        world_break(c->w, "3", "%s: %s %s: %u births on record stand, %d row in the table",
                    c->m->o.name, t->name, key_text(c, r), standing, now != NULL);
    for (uint32_t i = 0; i < r->row.n_births; i++) {
        const struct birth *b = &r->row.births[i];
        if (!clock_covers(&store_state(s)->stable, b->name) && !row_find_birth(&rec, b->name))
            world_break(c->w, "2", "%s: %s %s: a birth is not on record", c->m->o.name, t->name,
                        key_text(c, r));
    }
}

static void dump_birth(const struct birth *b, const struct table_schema *t)
{
    printf("        birth %04llx:%llu base %04llx:%llu %s%s",
           (unsigned long long)b->name.site >> 48, (unsigned long long)b->name.seq,
           (unsigned long long)b->base.site >> 48, (unsigned long long)b->base.seq,
           birth_alive(b, &t->rules) ? "alive " : "dead", hold_reason_name(b->held));
    for (uint32_t i = 0; i < b->n_cells; i++) {
        printf(" %s",
               b->cells[i].column < t->n_columns ? t->column[b->cells[i].column] : "existence");
        for (uint32_t j = 0; j < b->cells[i].n; j++)
            printf(" %04llx:%llu", (unsigned long long)b->cells[i].v[j].dot.site >> 48,
                   (unsigned long long)b->cells[i].v[j].dot.seq);
    }
    printf("\n");
}

/* Every change of one row, and both merged states. */
static void dump_row(struct comparing *c, const struct model_row *r)
{
    static const char *const kind[] = {"", "born", "update", "delete"};
    const struct table_schema *t = &c->m->watch->tables[r->table];
    struct row rec;
    bool recorded;
    printf("%s %s\n", t->name, key_text(c, r));
    for (size_t i = 0; i < r->n; i++) {
        const struct change *ch = &r->change[i].ch;
        const struct clock *context = &c->m->model.changeset[r->change[i].changeset].context;
        printf("    %s %04llx:%llu of %04llx:%llu after", kind[ch->kind],
               (unsigned long long)ch->dot.site >> 48, (unsigned long long)ch->dot.seq,
               (unsigned long long)ch->birth.site >> 48, (unsigned long long)ch->birth.seq);
        for (size_t j = 0; j < context->n; j++)
            printf(" %04llx:%llu", (unsigned long long)context->entry[j].site >> 48,
                   (unsigned long long)context->entry[j].seq);
        for (uint32_t j = 0; j < ch->n_cells; j++)
            printf(" %s", t->column[ch->column[j]]);
        printf("\n");
    }
    printf("    model\n");
    for (uint32_t i = 0; i < r->row.n_births; i++)
        dump_birth(&r->row.births[i], t);
    printf("    on record\n");
    if (row_load(c->m->watch, &c->a, (struct row_key){t, r->key, r->len}, &rec, &recorded) !=
        ERR_OK)
        return;
    for (uint32_t i = 0; i < rec.n_births; i++)
        dump_birth(&rec.births[i], t);
}

/* What the model says, and what is there. */
static void dump(struct comparing *c)
{
    struct store *s = c->m->watch;
    for (size_t i = 0; i < c->n; i++) {
        const struct model_birth *b = &c->birth[i];
        const struct table_schema *t = &s->tables[b->row->table];
        struct value *now = NULL;
        struct version rank =
            birth_rank(b->birth, &t->rules, t->unique_columns, t->n_unique_columns);
        if (row_read(s, &c->a, (struct row_key){t, b->row->key, b->row->len}, &now) != ERR_OK)
            continue;
        printf("%s %s born %04llx:%llu rank %llx.%04llx:%llu %s: %s\n    in the table: %s\n",
               t->name, key_text(c, b->row), (unsigned long long)b->birth->name.site >> 48,
               (unsigned long long)b->birth->name.seq, (unsigned long long)rank.hlc,
               (unsigned long long)rank.dot.site >> 48, (unsigned long long)rank.dot.seq,
               b->held ? hold_reason_name(b->held) : "stands", values_text(c, t, b->birth->values),
               now ? values_text(c, t, now) : "-");
    }
    printf("stable");
    for (size_t i = 0; i < store_state(s)->stable.n; i++)
        printf(" %04llx:%llu", (unsigned long long)store_state(s)->stable.entry[i].site >> 48,
               (unsigned long long)store_state(s)->stable.entry[i].seq);
    printf("\n");
    if (c->bad)
        dump_row(c, c->bad);
}

static void check_tables(struct world *w, struct machine *m)
{
    struct comparing c = {.w = w, .m = m};
    w->checks++;
    if (m->model.waiting > 0)
        broken(w, m, "2", "a change names a birth that nobody made");
    c.birth = model_decide(&m->model, m->watch, &c.a, &c.n);
    for (size_t i = 0; i < m->model.n_rows && w->broken[0] == '\0'; i++) {
        check_row(&c, &m->model.row[i]);
        check_record(&c, &m->model.row[i]);
        c.bad = w->broken[0] != '\0' ? &m->model.row[i] : NULL;
    }
    for (uint32_t i = 0; i < m->watch->n_tables && w->broken[0] == '\0'; i++) {
        if (!m->watch->tables[i].internal)
            check_others(&c, &m->watch->tables[i]);
    }
    check_held(&c);
    if (w->broken[0] != '\0' && w->verbose)
        dump(&c);
    arena_fini(&c.a);
}

void oracle_step(struct world *w, struct machine *m)
{
    if (w->broken[0] != '\0' || !m->watch)
        return;
    if (store_begin_read(m->watch) != ERR_OK) {
        store_rollback(m->watch);
        return; /* the application is committing */
    }
    enum err e = schema_load(m->watch);
    if (e != ERR_OK)
        broken(w, m, "1", store_message(m->watch));
    read_journal(w, m);
    if (w->broken[0] == '\0')
        check_state(w, m);
    bool due = m->restarted || m->steps % FULL_STEPS == 0 || m->model_pos != m->model_checked;
    if (w->broken[0] == '\0' && due && !store_capture_pending(m->watch) &&
        !store_state(m->watch)->loading && m->n_deferred == 0) {
        check_tables(w, m);
        m->model_checked = m->model_pos;
        m->restarted = false;
    }
    if (store_commit(m->watch) != ERR_OK)
        store_rollback(m->watch);
}
