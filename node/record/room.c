#include "node/record/record.h"

#include "node/db/query.h"
#include "node/record/own.h"
#include "node/state/state.h"

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
    filter_undo(&s->record->claims);
    filter_undo(&s->record->swept);
    deferral_forget(s);
}

void record_keep_changed(struct store *s)
{
    s->record->keep_known = false;
}

enum err record_keep_none(struct store *s)
{
    record_keep_changed(s);
    return store_exec(s, "DELETE FROM tonle_keep");
}

enum err record_keep_add(struct store *s, struct row_key k, struct dot birth)
{
    record_keep_changed(s);
    return DB_RUN(s, "INSERT OR IGNORE INTO tonle_keep(t, k, site, seq) VALUES(?1,?2,?3,?4)",
                  value_u64(k.t->t), value_blob(k.key, k.len), value_u64(birth.site),
                  value_u64(birth.seq));
}

void record_forget(struct store *s)
{
    filter_clear(&s->record->claims);
    filter_clear(&s->record->swept);
    s->record->keep_known = false;
}
