#include "node/cli/review.h"

#include "node/db/db.h"
#include "node/desk/desk.h"

#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_MS 2000
#define SEAL_MS 5000 /* how long a running node is waited for */
#define POLL_MS 20

static const char *operator_name(const char *by)
{
    static const char *const names[] = {"SUDO_USER", "LOGNAME", "USER"};
    for (size_t i = 0; !by && i < sizeof names / sizeof names[0]; i++) {
        const char *name = getenv(names[i]);
        by = name && name[0] != '\0' ? name : NULL;
    }
    const struct passwd *user = !by ? getpwuid(getuid()) : NULL;
    return user ? user->pw_name : by;
}

/* COL=TEXT or COL:=JSON. */
static int parse_assignment(struct cli *c, const char *word, struct assignment *out)
{
    const char *equals = strchr(word, '=');
    if (!equals || equals == word)
        return cli_usage(c, "\"%s\" is no COL=VALUE", word);
    out->json = equals[-1] == ':';
    out->column = cli_printf(c, "%.*s", (int)(equals - word) - (int)out->json, word);
    out->text = equals + 1;
    return CLI_OK;
}

int review_read(struct cli *c, const struct review_words *w, struct review *out)
{
    struct assignment *set = arena_alloc(&c->arena, (w->set.n + 1) * sizeof *set);
    *out = (struct review){
        .by = operator_name(w->by), .reason = w->reason, .now_ms = cli_now_ms(), .set = set};
    if (!w->reason || w->reason[strspn(w->reason, " \t\n")] == '\0')
        return cli_usage(c, "say why with --reason TEXT: the decision and its reason reach every "
                            "office");
    if (!out->by || out->by[0] == '\0')
        return cli_usage(c, "say who decides with --by NAME");
    for (size_t i = 0; i < w->set.n; i++) {
        int code = parse_assignment(c, w->set.item[i], &set[i]);
        if (code != CLI_OK)
            return code;
    }
    out->n_set = w->set.n;
    return CLI_OK;
}

bool review_dot(const char *text, struct dot *out)
{
    unsigned long long site, seq;
    int used = 0;
    if (strspn(text, "0123456789abcdefABCDEF") != 16 || text[16] != ':' ||
        strspn(text + 17, "0123456789") == 0 ||
        sscanf(text, "%16llx:%llu%n", &site, &seq, &used) != 2 || text[used] != '\0')
        return false;
    *out = (struct dot){site, seq};
    return true;
}

int review_fail(const struct cli_office *o, enum err e, const char *list_command)
{
    if (e == ERR_NOT_FOUND)
        return cli_fail(CLI_ERROR, "%s: `%s` shows them; nothing was changed",
                        store_message(o->store), list_command);
    return office_fail(o, e, "nothing was decided");
}

static bool node_runs(struct cli *c)
{
    json_t *answer = NULL;
    int code = cli_ask(c, json_pack("{s:s}", "do", "status"), ASK_MS, &answer);
    json_decref(answer);
    return code != CLI_NOT_RUNNING;
}

static enum err wait_sealed(struct cli *c, struct cli_office *o, const char *decision,
                            struct dot *dot)
{
    uint64_t deadline = cli_mono_ms() + SEAL_MS;
    enum err e;
    while ((e = store_decision_dot(o->store, &c->arena, decision, dot)) == ERR_OK ||
           e == ERR_BUSY) {
        if ((e == ERR_OK && !dot_is_none(*dot)) || cli_mono_ms() >= deadline)
            return ERR_OK;
        (void)poll(NULL, 0, POLL_MS);
    }
    return e;
}

int review_done(struct cli *c, struct cli_office *o, const struct held_settled *settled)
{
    const char *decision = settled->decision;
    struct dot dot = {0, 0};
    const char *held = NULL, *why = "";
    bool runs = node_runs(c);
    enum err e = runs ? wait_sealed(c, o, decision, &dot) : ERR_OK;
    if (e == ERR_OK && !dot_is_none(dot))
        e = store_decision_held(o->store, &c->arena, decision, &held, &why);
    if (e != ERR_OK)
        return office_fail(o, e, "the decision is queued; looking whether it is sealed");
    if (c->json)
        cli_print_json(json_pack("{s:i, s:s, s:o, s:b, s:o, s:s}", "schema", CLI_SCHEMA, "decision",
                                 decision, "sealed", cli_dot_json(dot), "running", (int)runs,
                                 "held", held ? cli_text_json(held) : json_null(), "children",
                                 settled->children));
    else if (!dot_is_none(dot))
        cli_print("decided, and sealed as %s\n", cli_dot(c, dot));
    else
        cli_print("decided; it takes effect %s\n",
                  runs ? "as soon as the node has sealed what was written before (`tonle status`)"
                       : "when the node runs: start it with `tonle run` or its service");
    if (!c->json && settled->children[0] != '\0')
        cli_print("rows that refer to it: %s\n", cli_safe(c, settled->children));
    if (held)
        cli_note("A row of that key is held (%s): `tonle held show %s` says what settles it.",
                 cli_safe(c, why), held);
    return CLI_OK;
}
