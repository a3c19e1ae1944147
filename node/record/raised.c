/* Rows that a trigger of this office answers with RAISE(ROLLBACK). */
#include "node/record/table.h"

#include "node/record/own.h"

#include <stdio.h>
#include <string.h>

struct raised {
    struct raised *next;
    int64_t schema; /* PRAGMA schema_version: of another, the trigger may be gone */
    uint32_t t;
    size_t len;
    char message[256];
    uint8_t key[];
};

enum err raised_remember(struct store *s, struct row_key k, const char *message)
{
    struct raised *x = mem_alloc(sizeof *x + k.len);
    x->schema = schema_cookie(s);
    x->t = k.t->t;
    x->len = k.len;
    memcpy(x->key, k.key, k.len);
    snprintf(x->message, sizeof x->message, "%s", message);
    x->next = s->record->raised;
    s->record->raised = x;
    return store_fail(s, ERR_BUSY, "a trigger rolled the transaction back: %s", x->message);
}

const char *raised_before(struct store *s, struct row_key k)
{
    for (const struct raised *x = s->record->raised; x; x = x->next) {
        if (x->schema == schema_cookie(s) && x->t == k.t->t && x->len == k.len &&
            memcmp(x->key, k.key, x->len) == 0)
            return x->message;
    }
    return NULL;
}

void raised_forget(struct store *s)
{
    struct raised *x = s->record->raised;
    s->record->raised = NULL;
    while (x) {
        struct raised *next = x->next;
        mem_free(x);
        x = next;
    }
}
