/* A part of a transaction that may fail by itself. */
#include "node/apply/apply.h"

#include "node/record/record.h"
#include "node/schema/schema.h"
#include "node/state/state.h"

#include <assert.h>
#include <string.h>

bool store_try_refused(enum err e)
{
    return e == ERR_CONSTRAINT || e == ERR_LIMIT || e == ERR_REFUSED || e == ERR_MALFORMED;
}

enum err store_try_begin(struct store *s)
{
    assert(s->in_write);
    return store_exec(s, "SAVEPOINT tonle_try");
}

enum err store_try_keep(struct store *s)
{
    return store_exec(s, "RELEASE tonle_try");
}

enum err store_try_undo(struct store *s)
{
    char keep[sizeof s->message];
    memcpy(keep, s->message, sizeof keep);
    enum err e = store_exec(s, "ROLLBACK TO tonle_try; RELEASE tonle_try");
    state_forget(s);
    record_rollback(s);
    units_changed(s);
    if (e == ERR_OK && store_is_ready(s)) /* rooms look at the state without asking for it */
        e = state_refresh(s);
    if (e == ERR_OK)
        memcpy(s->message, keep, sizeof keep);
    return e;
}
