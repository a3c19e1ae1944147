/* What a first load does to the tables of this room: its chunks are on record until the stream has
 * passed them (catchup.c), what was known of a table's held rows and conflicts is not true any
 * more, and a row of the office that cannot stand beside those that came is shown as held. */
#include "node/apply/work.h"

#include "node/db/query.h"
#include "node/state/state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum err loaded_clear(struct store *s)
{
    assert(s->in_write);
    return store_exec(s, "DELETE FROM tonle_chunk");
}

enum err loaded_note(struct store *s, const struct table_schema *t, const struct load_chunk *chunk,
                     int64_t ord)
{
    assert(s->in_write && state_of(s)->loading);
    struct buf clock = {0};
    clock_encode(&clock, &chunk->clock);
    enum err e = DB_RUN(
        s, "INSERT INTO tonle_chunk(t, last_key, clock, pos, ord) VALUES(?1, ?2, ?3, ?4, ?5)",
        value_integer(t->t),
        chunk->end ? value_null() /* to the end of the table */
                   : value_blob(chunk->last_key.p, chunk->last_key.len),
        value_blob(clock.data, clock.len), value_u64(chunk->pos), value_integer(ord));
    buf_fini(&clock);
    return e;
}

enum err loaded_forget(struct store *s, const struct table_schema *t)
{
    assert(s->in_write);
    state_counts_changed(s);
    enum err e = DB_RUN(s, "DELETE FROM tonle_held WHERE t = ?1", value_integer(t->t));
    if (e == ERR_OK)
        e = DB_RUN(s,
                   "UPDATE tonle_conflict SET state = 'superseded', successor = '' WHERE t = ?1"
                   " AND state = 'open'",
                   value_integer(t->t));
    if (e != ERR_OK)
        return e;
    return DB_RUN(s, /* of an adoption */
                  "DELETE FROM tonle_held WHERE t = 0 AND table_name = ?1 AND reason = 'local'",
                  value_text(t->name));
}

/* The reason is 'local' whatever the database said (the message tells): no other office knows of
 * this row. It is no birth at its key: table number 0, and in place of the key where it is. */
enum err loaded_aside(struct store *s, struct arena *a, struct row_key k, const char *aside,
                      int64_t rowid)
{
    assert(s->in_write);
    char id[17];
    uint64_t h = bytes_hash(VALUE_HASH_SEED, aside, strlen(aside));
    snprintf(id, sizeof id, "%016llx", (unsigned long long)bytes_hash(h, &rowid, sizeof rowid));
    struct buf text = {0}, place = {0};
    buf_printf(&text,
               "%s; this row of the office from before it joined is kept in table %s, rowid %lld",
               store_message(s), aside, (long long)rowid);
    buf_printf(&place, "%s %lld", aside, (long long)rowid);
    enum err e = DB_RUN(
        s,
        "INSERT OR REPLACE INTO tonle_held(id, table_name, key, reason, message, office, since_ms,"
        " blocked_by, t, k, site, seq, bt, bk)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, '', 0, ?8, 0, 0, 0, x'')",
        value_text(id), value_text(k.t->name), value_text(schema_key_told(a, k.t, k.key, k.len)),
        value_text(hold_reason_name(HOLD_LOCAL)), value_text(buf_str(&text)),
        value_text(identity_of(s)->node), value_u64(state_of(s)->hlc >> 16),
        value_blob(place.data, place.len));
    state_counts_changed(s);
    buf_fini(&place);
    buf_fini(&text);
    return e;
}
