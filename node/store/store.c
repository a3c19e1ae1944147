#include "node/store/store.h"

#include "node/apply/apply.h"
#include "node/capture/capture.h"
#include "node/capture/triggers.h"
#include "node/db/ddl.h"
#include "node/db/neighbour.h"
#include "node/db/query.h"
#include "node/state/state.h"

#include <stdio.h>
#include <string.h>

#define IS_READY "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'tonle_meta'"

/* ---- open and close ---- */

/* Nothing changes the node's own tables of a database that another version made. */
static enum err check_version(struct store *s, char msg[256])
{
    int64_t made = 0;
    enum err e = db_number(s, "SELECT v FROM tonle_meta WHERE k = 'ddl'", &made);
    if (e != ERR_OK && e != ERR_NOT_FOUND) {
        snprintf(msg, 256, "%s: %.200s", s->options.path, s->message);
        return e;
    }
    if (made == DDL_VERSION)
        return ERR_OK;
    snprintf(msg, 256,
             "%.120s: its tonle_* tables are version %lld, this program keeps version %d: run the"
             " version of Tonle that it was made with",
             s->options.path, (long long)made, DDL_VERSION);
    return ERR_SCHEMA;
}

/* Whether the tonle_* tables are here; a database that is locked now does not say. */
static enum err look_ready(struct store *s, bool *ready, char msg[256])
{
    struct query q = DB_QUERY(s, IS_READY);
    *ready = query_next(&q) && query_i64(&q, 0) == 1;
    enum err e = query_end(&q);
    if (e != ERR_OK)
        snprintf(msg, 256, "%s: %.200s", s->options.path, s->message);
    return e;
}

static enum err settle(struct store *s, char msg[256])
{
    enum err e = neighbour_settle(s, s->options.distrust);
    if (e != ERR_OK)
        snprintf(msg, 256, "%s: %.200s", s->options.path, s->message);
    return e;
}

enum err store_open(struct store **out, const struct store_options *o, char msg[256])
{
    *out = NULL;
    struct store *s = mem_alloc(sizeof *s);
    s->data_version = -1;
    enum err e = db_open(s, o, msg);
    bool ready = false;
    if (e == ERR_OK)
        e = look_ready(s, &ready, msg);
    state_open(s, ready);
    schema_open(s);
    record_open(s);
    capture_open(s);
    apply_open(s);
    if (e == ERR_OK && ready)
        e = check_version(s, msg);
    if (e == ERR_OK && ready && !o->read_only)
        e = settle(s, msg);
    if (e == ERR_OK)
        *out = s;
    else
        store_close(s);
    return e;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->in_write || s->in_read)
        store_rollback(s);
    apply_close(s);
    capture_close(s);
    record_close(s);
    schema_close(s);
    state_close(s);
    db_close(s);
    mem_free(s);
}

bool store_changed(struct store *s)
{
    int64_t v = -1; /* a locked database does not say: it is looked at again */
    if (db_number(s, "PRAGMA data_version", &v) == ERR_OK && v == s->data_version)
        return false;
    s->data_version = v;
    return true;
}

bool store_moved(struct store *s)
{
    bool moved = db_moved(s);
    if (moved)
        (void)store_fail(
            s, ERR_IO,
            "%.300s was moved, removed or replaced by another file while the node ran: "
            "put the right file back (with its -wal file), then start the node again",
            s->options.path);
    else if (state_went_back(s))
        (void)store_fail(s, ERR_IO,
                         "%.300s was overwritten with an older copy while the node ran: stop "
                         "everything that uses it and put the right file back",
                         s->options.path);
    return moved || state_went_back(s);
}

/* ---- transactions ---- */

/* Back to before the transaction; the message stays that of what failed. */
static enum err undone(struct store *s, enum err e)
{
    char keep[sizeof s->message];
    memcpy(keep, s->message, sizeof keep);
    store_rollback(s);
    memcpy(s->message, keep, sizeof keep);
    return e;
}

/* What cannot be begun whole is not begun: the caller finds no transaction open. */
static enum err begin(struct store *s, bool write)
{
    enum err e = db_begin(s, write);
    if (e != ERR_OK)
        return db_open_transaction(s) ? undone(s, e) : e;
    e = store_is_ready(s) ? state_refresh(s) : ERR_OK;
    record_begin(s);
    return e == ERR_OK ? e : undone(s, e);
}

enum err store_try(struct store *s)
{
    return begin(s, true);
}

/* For so long as somebody else's transaction may take, and then as long as a lock is waited for. */
enum err store_begin(struct store *s)
{
    enum err e = store_try(s);
    while (e == ERR_BUSY && s->options.busy_ms && neighbour_wait(s))
        e = store_try(s);
    if (e == ERR_BUSY && neighbour_hurry(s))
        e = store_try(s);
    if (e == ERR_BUSY)
        neighbour_unwanted(s);
    return e;
}

enum err store_begin_read(struct store *s)
{
    return begin(s, false);
}

enum err store_commit(struct store *s)
{
    bool wrote = db_wrote(s);
    enum err e = wrote && store_is_ready(s) ? state_commit(s) : ERR_OK;
    if (e == ERR_OK)
        e = db_commit(s);
    if (e != ERR_OK)
        return undone(s, e);
    if (!wrote)
        return ERR_OK;
    record_commit(s);
    if (store_is_ready(s))
        neighbour_reclaim(s);
    return ERR_OK;
}

void store_rollback(struct store *s)
{
    db_rollback(s);
    int64_t ready; /* store_create may have been undone; a locked database tells nothing */
    if (store_is_ready(s) && db_number(s, IS_READY, &ready) == ERR_OK && ready == 0)
        state_set_ready(s, false);
    state_forget(s);
    record_rollback(s);
    capture_forget_copies(s);
    schema_changed(s);
    units_changed(s);
}
