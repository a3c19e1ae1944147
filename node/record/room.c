#include "node/record/record.h"

#include "node/db/query.h"
#include "node/record/own.h"
#include "node/record/table.h"
#include "node/state/state.h"

#include <assert.h>

void record_open(struct store *s)
{
    s->record = mem_alloc(sizeof *s->record);
}

void record_close(struct store *s)
{
    struct record *r = s->record;
    if (!r)
        return;
    deferral_forget(s);
    raised_forget(s);
    filter_clear(&r->claims);
    filter_clear(&r->swept);
    buf_fini(&r->claim_key);
    buf_fini(&r->scratch);
    mem_free(r);
    s->record = NULL;
}

void record_begin(struct store *s)
{
    struct record *r = s->record;
    r->keep_known = false;
    filter_begin(s, &r->claims);
    filter_begin(s, &r->swept);
    if (r->deferred_rev != state_version(s))
        deferral_forget(s);
}

void record_commit(struct store *s)
{
    struct record *r = s->record;
    filter_commit(s, &r->claims);
    filter_commit(s, &r->swept);
    r->deferred_rev = state_version(s);
}

void record_rollback(struct store *s)
{
    s->record->keep_known = false;
    filter_undo(&s->record->claims);
    filter_undo(&s->record->swept);
    deferral_forget(s);
}

enum err record_forget_table(struct store *s, const struct table_schema *t)
{
    assert(s->in_write);
    const struct value of = value_integer(t->t);
    filter_clear(&s->record->claims);
    filter_clear(&s->record->swept);
    s->record->keep_known = false;
    enum err e = DB_RUN(s, "DELETE FROM tonle_row WHERE swept IN (0, 1) AND t = ?1", of);
    if (e == ERR_OK)
        e = DB_RUN(s, "DELETE FROM tonle_claim WHERE t = ?1", of);
    if (e == ERR_OK)
        e = DB_RUN(s, "DELETE FROM tonle_came WHERE t = ?1", of);
    return e == ERR_OK ? DB_RUN(s, "DELETE FROM tonle_keep WHERE t = ?1", of) : e;
}
