#include "node/cli/findings.h"

#include "node/check/check.h"

#include <stdio.h>
#include <string.h>

void findings_add(struct cli *c, struct findings *l, const char *level, const char *subject,
                  const char *text)
{
    if (l->n == l->cap) {
        struct finding *more = arena_alloc(&c->arena, (l->cap + 32) * sizeof *more);
        if (l->n > 0)
            memcpy(more, l->f, l->n * sizeof *more);
        l->f = more;
        l->cap += 32;
    }
    l->f[l->n++] = (struct finding){.level = level, .subject = subject, .text = text};
    l->failed += strcmp(level, "fail") == 0;
    l->warned += strcmp(level, "warn") == 0;
}

static void print_level(struct cli *c, const struct findings *l, const char *level,
                        enum cli_colour colour)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->f[i].level, level) == 0)
            cli_print("%s%*s  %s: %s\n", cli_coloured(c, colour, level), (int)(4 - strlen(level)),
                      "", cli_safe(c, l->f[i].subject), cli_safe(c, l->f[i].text));
}

void findings_print(struct cli *c, const struct findings *l)
{
    if (!c->json) {
        print_level(c, l, "fail", COLOUR_BAD);
        print_level(c, l, "warn", COLOUR_WARN);
        print_level(c, l, "ok", COLOUR_GOOD);
        return;
    }
    json_t *all = json_array();
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(all, json_pack("{s:s, s:o, s:o}", "level", l->f[i].level, "subject",
                                             cli_text_json(l->f[i].subject), "text",
                                             cli_text_json(l->f[i].text)));
    cli_print_json(json_pack("{s:i, s:b, s:o}", "schema", CLI_SCHEMA, "ok", (int)(l->failed == 0),
                             "findings", all));
}
