/* Rows that a trigger of this office answers with RAISE(ROLLBACK). */
#include "node/record/table.h"

#include "node/record/own.h"

#include <stdio.h>
#include <string.h>

struct raised {
    struct raised *next; /* the last that was tried comes first */
    int64_t schema;      /* PRAGMA schema_version: of another, the trigger may be gone */
    uint32_t t;
    size_t len;
    char message[256];
    uint8_t key[];
};

#define RAISED_AGAIN 20u

/* The rest of the list. */
static void free_from(struct raised **at)
{
    struct raised *x = *at;
    *at = NULL;
    while (x) {
        struct raised *next = x->next;
        mem_free(x);
        x = next;
    }
}

/* What was said under another schema says nothing now. */
static void forget_stale(struct store *s)
{
    struct raised **at = &s->record->raised;
    while (*at) {
        struct raised *x = *at;
        if (x->schema == schema_cookie(s) || schema_cookie(s) < 0) { /* which it is, is not known */
            at = &x->next;
            continue;
        }
        *at = x->next;
        mem_free(x);
    }
}

enum err raised_remember(struct store *s, struct row_key k, const char *message)
{
    struct raised *x = mem_alloc(sizeof *x + k.len);
    forget_stale(s);
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

bool raised_again(struct store *s, bool all)
{
    struct record *own = s->record;
    size_t n = 0;
    forget_stale(s);
    for (const struct raised *x = own->raised; x; x = x->next)
        n++;
    if (all || own->raised_due > n)
        own->raised_due = n;
    size_t now = own->raised_due < RAISED_AGAIN ? own->raised_due : RAISED_AGAIN;
    struct raised **at = &own->raised;
    for (size_t skip = n - now; skip > 0; skip--)
        at = &(*at)->next;
    free_from(at);
    own->raised_due -= now;
    return own->raised_due > 0;
}

void raised_forget(struct store *s)
{
    free_from(&s->record->raised);
}
