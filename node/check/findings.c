/* Saying what was found, and what of it was probably meant. */
#include "node/check/checking.h"

#include "node/db/query.h"
#include "node/file/near.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void check_say(struct check_run *c, const char *level, const char *subject, const char *fmt, ...)
{
    char text[768];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->list = mem_grow(c->list, c->n, &c->cap, sizeof *c->list);
    c->list[c->n++] =
        (struct finding){level, arena_strdup(c->a, subject), arena_strdup(c->a, text)};
}

void check_hand_over(struct check_run *c, struct finding **out, size_t *n)
{
    *out = arena_copy(c->a, c->list, c->n * sizeof *c->list);
    *n = c->n;
    mem_free(c->list);
    c->list = NULL;
    c->n = c->cap = 0;
}

const char *check_near(struct check_run *c, const char *name, const char *sql, const char *argument)
{
    struct buf b = {0};
    struct value of = argument ? value_text(argument) : value_null();
    struct query q = query_of(c->s, sql, argument ? 1 : 0, &of);
    while (query_next(&q)) {
        const char *other = query_text(&q, c->a, 0);
        if (near_distance(name, other) <= 1 + strlen(name) / 4)
            buf_printf(&b, "%s%s", b.len ? " or " : "; did you mean ", other);
    }
    if (query_end(&q) == ERR_OK && b.len)
        buf_printf(&b, "?");
    return sql_take(c->a, &b);
}

const char *check_near_column(struct check_run *c, const char *table, const char *name)
{
    return check_near(c, name, "SELECT name FROM pragma_table_xinfo(?1, 'main')", table);
}

bool check_replicated(const struct check_run *c, const char *table)
{
    for (uint32_t i = 0; i < c->replicated.n; i++) {
        if (db_same_name(c->replicated.name[i], table))
            return true;
    }
    return false;
}
