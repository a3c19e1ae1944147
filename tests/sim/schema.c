#include "node/schema/schema.h"
#include "tests/sim/schema.h"

#include "node/charter/charter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[] = {"active", "suspended", "revoked"};
static const char *const key_type[] = {"TEXT", "INT", "BLOB"};

uint32_t draw_below(struct generator *g, uint32_t n)
{
    g->state ^= g->state << 13;
    g->state ^= g->state >> 7;
    g->state ^= g->state << 17;
    return (uint32_t)((g->state >> 16) % n);
}

bool draw_chance(struct generator *g, uint32_t per_mille)
{
    return draw_below(g, 1000) < per_mille;
}

/* ---- tables */

static enum policy draw_policy(struct generator *g, bool owner)
{
    static const enum policy all[] = {POLICY_LATEST,   POLICY_LATEST, POLICY_EARLIEST,
                                      POLICY_MAX,      POLICY_MIN,    POLICY_OWNER,
                                      POLICY_NATIONAL, POLICY_LOCAL,  POLICY_REVIEW};
    enum policy p = all[draw_below(g, sizeof all / sizeof *all)];
    return p == POLICY_OWNER && !owner ? POLICY_NATIONAL : p;
}

static enum policy draw_fallback(struct generator *g)
{
    static const enum policy some[] = {POLICY_LATEST, POLICY_EARLIEST, POLICY_MAX, POLICY_LOCAL};
    return some[draw_below(g, 4)];
}

static void draw_policies(struct generator *g, const struct drawn_table *t, struct drawn_column *c)
{
    c->policy = draw_policy(g, t->scope >= 0 && c->domain != DOMAIN_SCOPE);
    c->fallback = draw_fallback(g);
    if (c->domain == DOMAIN_COUNT)
        c->policy = POLICY_SUM;
    if (c->domain == DOMAIN_STATE && draw_chance(g, 700))
        c->policy = POLICY_RANK;
}

static struct drawn_column *add_column(struct drawn_table *t, enum domain domain, const char *type)
{
    struct drawn_column *c = &t->column[t->n_columns];
    *c = (struct drawn_column){.domain = domain, .type = type};
    snprintf(c->name, sizeof c->name, "%c%d", "katwspuc"[domain], t -> n_columns++);
    return c;
}

static bool is_unique(const struct drawn_column *c)
{
    return c->unique && c->domain != DOMAIN_PARENT;
}

/* A reference to a key, to both columns of one, or to what is unique in a table drawn before. */
static void draw_reference(struct drawn *d, struct generator *g, struct drawn_table *t)
{
    int parent = (int)draw_below(g, (uint32_t)d->n), at = 0;
    const struct drawn_table *p = &d->table[parent];
    bool unique = draw_chance(g, 350);
    for (int i = p->n_key; unique && p < t && i < p->n_columns; i++)
        at = is_unique(&p->column[i]) ? i : at;
    if (at == 0 && p->n_key == 2 && t->n_columns + 2 > DRAWN_COLUMNS) {
        add_column(t, DOMAIN_TOKEN, "TEXT");
        return;
    }
    for (int k = 0; k < (at == 0 ? p->n_key : 1); k++) {
        struct drawn_column *c = add_column(t, DOMAIN_PARENT, p->column[at + k].type);
        c->parent = parent;
        c->parent_column = at + k;
    }
}

static void draw_column(struct drawn *d, struct generator *g, struct drawn_table *t)
{
    switch (draw_below(g, 9)) {
    case 0:
        add_column(t, DOMAIN_TOKEN, draw_chance(g, 150) ? "BLOB" : "TEXT");
        break;
    case 1:
    case 2:
        add_column(t, DOMAIN_SMALL, "INTEGER")->unique = draw_chance(g, 400);
        break;
    case 3:
    case 4:
        add_column(t, DOMAIN_WORD, "TEXT")->unique = draw_chance(g, 400);
        break;
    case 5:
        add_column(t, DOMAIN_STATE, "TEXT");
        break;
    case 6:
    case 7:
        draw_reference(d, g, t);
        break;
    default:
        add_column(t, DOMAIN_COUNT, "INTEGER");
    }
}

/* Two or three neighbours of the same kind of use change together. */
static void draw_bundle(struct generator *g, struct drawn_table *t)
{
    int from = t->n_key, n = 2 + (int)draw_below(g, 2);
    if (t->counted || draw_chance(g, 350) || t->n_columns - from < 2)
        return;
    from += (int)draw_below(g, (uint32_t)(t->n_columns - from - 1));
    n = from + n > t->n_columns ? t->n_columns - from : n;
    for (int i = from; i < from + n; i++) {
        enum domain m = t->column[i].domain;
        if (m == DOMAIN_COUNT || m == DOMAIN_PARENT || m == DOMAIN_SCOPE)
            return;
    }
    t->bundle = from;
    t->n_bundle = n;
    t->named = draw_chance(g, 500);
    enum policy p = draw_policy(g, t->scope >= 0);
    if (t->named && t->column[from].domain == DOMAIN_STATE)
        p = POLICY_RANK;
    for (int i = from; i < from + n; i++) {
        t->column[i].policy = p;
        t->column[i].fallback = t->column[from].fallback;
    }
}

static void draw_keys(struct generator *g, struct drawn_table *t, int i)
{
    snprintf(t->name, sizeof t->name, "t%d", i);
    t->n_key = draw_chance(g, 250) ? 2 : 1;
    for (int k = 0; k < t->n_key; k++)
        add_column(t, DOMAIN_KEY, key_type[draw_below(g, 3)])->notnull = true;
    t->scope = -1;
}

static void draw_table(struct drawn *d, struct generator *g, struct drawn_table *t)
{
    int n = t->n_key + 1 + (int)draw_below(g, (uint32_t)(DRAWN_COLUMNS - t->n_key));
    t->without_rowid = draw_chance(g, 400);
    t->strict = draw_chance(g, 150);
    t->counted = draw_chance(g, 200);
    if (draw_chance(g, 500)) {
        t->scope = t->n_columns;
        add_column(t, DOMAIN_SCOPE, "TEXT")->notnull = true;
    }
    if (t->counted)
        add_column(t, DOMAIN_COUNT, "INTEGER");
    while (t->n_columns < n)
        draw_column(d, g, t);
    for (int c = t->n_key; c < t->n_columns; c++)
        draw_policies(g, t, &t->column[c]);
    draw_bundle(g, t);
    t->policy = draw_chance(g, 400) ? draw_policy(g, t->scope >= 0) : POLICY_LATEST;
    t->policy = t->policy == POLICY_REVIEW ? POLICY_LATEST : t->policy; /* it needs a fallback */
    t->delete_policy = (enum delete_policy)draw_below(g, DELETE_COUNT);
    t->birth_policy = (enum birth_policy)draw_below(g, BIRTH_COUNT);
}

/* ---- SQL */

static bool in_bundle(const struct drawn_table *t, int c)
{
    return c >= t->bundle && c < t->bundle + t->n_bundle;
}

/* One of the two columns that refer to a key of two. */
static bool is_pair(const struct drawn *d, const struct drawn_column *c)
{
    const struct drawn_table *p = &d->table[c->parent];
    return c->domain == DOMAIN_PARENT && p->n_key == 2 && c->parent_column < 2;
}

static void print_column(struct generator *g, const struct drawn *d, const struct drawn_table *t,
                         int i, struct buf *b)
{
    const struct drawn_column *c = &t->column[i];
    const char *type = t->strict && strcmp(c->type, "INT") == 0 ? "INTEGER" : c->type;
    bool lone = t->n_key == 1 && i == 0;
    if (lone && !t->without_rowid && strcmp(type, "INTEGER") == 0)
        type = "INT"; /* a rowid alias would be given out twice */
    buf_printf(b, "%s%s %s%s%s", i ? ", " : "", c->name, type, lone ? " PRIMARY KEY" : "",
               c->notnull ? " NOT NULL" : "");
    if (c->domain == DOMAIN_WORD && draw_chance(g, 250))
        buf_printf(b, " COLLATE NOCASE");
    if (c->unique)
        buf_printf(b, " UNIQUE%s",
                   !t->counted && draw_chance(g, 100) ? " ON CONFLICT REPLACE" : "");
    if (c->domain == DOMAIN_SMALL && draw_chance(g, 300))
        buf_printf(b, " CHECK(%s < 8)", c->name);
    if (c->domain == DOMAIN_PARENT && !is_pair(d, c))
        buf_printf(b, " REFERENCES %s(%s)%s", d->table[c->parent].name,
                   d->table[c->parent].column[c->parent_column].name,
                   t->counted || draw_chance(g, 600) ? ""
                   : draw_chance(g, 500)             ? " ON DELETE CASCADE"
                                                     : " ON DELETE SET NULL");
}

/* References with two columns, to tables with two keys. */
static void print_pairs(const struct drawn *d, const struct drawn_table *t, struct buf *b)
{
    for (int i = 0; i + 1 < t->n_columns; i++) {
        const struct drawn_column *x = &t->column[i];
        if (is_pair(d, x) && x->parent_column == 0)
            buf_printf(b, ", FOREIGN KEY(%s, %s) REFERENCES %s(%s, %s)", x->name,
                       t->column[i + 1].name, d->table[x->parent].name,
                       d->table[x->parent].column[0].name, d->table[x->parent].column[1].name);
    }
}

static void print_bundle(struct generator *g, const struct drawn_table *t, struct buf *b)
{
    const struct drawn_column *x = &t->column[t->bundle], *y = x + 1;
    if (t->n_bundle == 0 || (t->named && draw_chance(g, 500)))
        return;
    if (t->n_bundle == 2 && draw_chance(g, 600))
        buf_printf(b, ", UNIQUE(%s, %s)", x->name, y->name);
    else
        buf_printf(b, ", CHECK(%s IS NULL OR %s IS NOT %s)", x->name, x->name, y->name);
}

static void print_table(struct generator *g, const struct drawn *d, const struct drawn_table *t,
                        struct buf *b)
{
    buf_printf(b, "CREATE TABLE %s(", t->name);
    for (int i = 0; i < t->n_columns; i++)
        print_column(g, d, t, i, b);
    if (t->n_key == 2)
        buf_printf(b, ", PRIMARY KEY(%s, %s)", t->column[0].name, t->column[1].name);
    print_pairs(d, t, b);
    print_bundle(g, t, b);
    buf_printf(b, ")%s%s%s;", t->without_rowid ? " WITHOUT ROWID" : "",
               t->without_rowid && t->strict ? "," : "", t->strict ? " STRICT" : "");
    for (int i = t->n_key; i < t->n_columns; i++) {
        const struct drawn_column *c = &t->column[i];
        if (c->domain == DOMAIN_WORD && draw_chance(g, 150))
            buf_printf(b, "CREATE UNIQUE INDEX %s_%s ON %s(lower(%s));", t->name, c->name, t->name,
                       c->name);
        if (c->domain == DOMAIN_SMALL && draw_chance(g, 150))
            buf_printf(b, "CREATE UNIQUE INDEX %s_%s ON %s(%s) WHERE %s > 3;", t->name, c->name,
                       t->name, c->name, c->name);
        if (c->domain == DOMAIN_SMALL && i + 1 < t->n_columns && !in_bundle(t, i) &&
            t->column[i + 1].domain == DOMAIN_STATE && draw_chance(g, 300))
            buf_printf(b, "CREATE UNIQUE INDEX %s_p%s ON %s(%s / 2) WHERE %s = 'active';", t->name,
                       c->name, t->name, c->name, t->column[i + 1].name);
    }
}

/* ---- the charter */

static void print_policy(const struct drawn_column *c, struct buf *b)
{
    enum policy p = c->policy;
    buf_printf(b, "policy: %s", policy_name(p));
    if (p == POLICY_RANK)
        buf_printf(b, ", rank: [%s, %s, %s]", states[0], states[1], states[2]);
    if (p == POLICY_REVIEW)
        buf_printf(b, ", fallback: %s", policy_name(c->fallback));
}

static void print_charter(const struct drawn *d, struct buf *b)
{
    buf_printf(b, "federation: sim\nschema_version: 1\nreview_by: any\ntables:\n");
    for (int i = 0; i < d->n; i++) {
        const struct drawn_table *t = &d->table[i];
        buf_printf(b, "  - name: %s\n    delete: %s\n    birth: %s\n", t->name,
                   delete_policy_name(t->delete_policy), birth_policy_name(t->birth_policy));
        buf_printf(b, "    policy: %s\n", policy_name(t->policy));
        if (t->scope >= 0)
            buf_printf(b, "    scope: { column: %s }\n", t->column[t->scope].name);
        buf_printf(b, "    columns:\n");
        for (int c = 0; c < t->n_columns; c++) {
            if ((t->named && in_bundle(t, c)) || (t->column[c].policy == t->policy && c > 0))
                continue;
            buf_printf(b, "      - { name: %s, ", t->column[c].name);
            print_policy(&t->column[c], b);
            buf_printf(b, " }\n");
        }
        if (!t->named)
            continue;
        buf_printf(b, "    groups:\n      - { name: together, columns: [");
        for (int c = 0; c < t->n_bundle; c++)
            buf_printf(b, "%s%s", c ? ", " : "", t->column[t->bundle + c].name);
        buf_printf(b, "], ");
        print_policy(&t->column[t->bundle], b);
        buf_printf(b, " }\n");
    }
}

static bool compile(struct drawn *d, char why[1024])
{
    struct arena a = {0};
    struct buf yaml = {0};
    struct charter c;
    const char *json = NULL;
    print_charter(d, &yaml);
    enum err e = charter_parse(&a, "drawn.yaml", buf_str(&yaml), yaml.len, &c, why);
    if (e == ERR_OK)
        e = charter_write(&a, &c, &json);
    if (e == ERR_OK)
        d->compiled = mem_strdup(json);
    else
        printf("%s\n%s\n", d->sql, buf_str(&yaml));
    buf_fini(&yaml);
    arena_fini(&a);
    return e == ERR_OK;
}

/* ---- the whole */

static void open_probe(struct drawn *d)
{
    char *message = NULL;
    if (sqlite3_open_v2(":memory:", &d->probe, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) ==
            SQLITE_OK &&
        sqlite3_exec(d->probe, d->sql, NULL, NULL, &message) == SQLITE_OK)
        return;
    fprintf(stderr, "%s: %s\n", d->sql, message ? message : "");
    abort();
}

void schema_fixed(struct drawn *d, const char *sql, const char *compiled)
{
    *d = (struct drawn){.fixed = true, .sql = mem_strdup(sql), .compiled = mem_strdup(compiled)};
    open_probe(d);
}

bool schema_draw(struct drawn *d, uint64_t seed, char why[1024])
{
    struct generator g = {(seed + 77) * 0x9e3779b97f4a7c15ULL};
    struct buf sql = {0};
    *d = (struct drawn){.n = 2 + (int)draw_below(&g, DRAWN_TABLES - 1)};
    for (int i = 0; i < d->n; i++)
        draw_keys(&g, &d->table[i], i);
    for (int i = 0; i < d->n; i++)
        draw_table(d, &g, &d->table[i]);
    for (int i = 0; i < d->n; i++)
        print_table(&g, d, &d->table[i], &sql);
    d->sql = mem_strdup(buf_str(&sql));
    buf_fini(&sql);
    open_probe(d);
    return compile(d, why);
}

void schema_fini(struct drawn *d)
{
    sqlite3_close(d->probe);
    mem_free(d->sql);
    mem_free(d->compiled);
    *d = (struct drawn){0};
}

/* ---- values */

static void key_literal(const struct drawn_column *c, unsigned id, struct buf *out)
{
    if (strcmp(c->type, "TEXT") == 0)
        buf_printf(out, "'k%u'", id);
    else if (strcmp(c->type, "BLOB") == 0)
        buf_printf(out, "x'%04x'", id);
    else
        buf_printf(out, "%u", id);
}

static void word_literal(struct generator *g, struct buf *out)
{
    static const char *const word[] = {"'oak'",
                                       "'Oak'",
                                       "'ash'",
                                       "'elm'",
                                       "'o' || char(8203) || 'ak'",
                                       "'cafe' || char(769)",
                                       "'caf' || char(233)",
                                       "'box'"};
    buf_printf(out, "%s", word[draw_below(g, 8)]);
}

static void token_literal(const struct drawn_column *c, const struct literals *l, struct buf *out)
{
    unsigned long long token = ++*l->token;
    if (strcmp(c->type, "BLOB") == 0)
        buf_printf(out, "x'%08llx'", token);
    else
        buf_printf(out, "'%llu'", token);
}

/* Anybody's. */
static void parent_literal(const struct drawn *d, const struct drawn_column *c, struct generator *g,
                           const struct literals *l, struct buf *out)
{
    struct literals all = *l;
    all.office = (int)draw_below(g, (uint32_t)l->n_units);
    schema_literal(d, &d->table[c->parent], c->parent_column, g, &all, out);
}

void schema_literal(const struct drawn *d, const struct drawn_table *t, int column,
                    struct generator *g, const struct literals *l, struct buf *out)
{
    const struct drawn_column *c = &t->column[column];
    /* of a counted table a key belongs to one office */
    unsigned id = draw_below(g, 4), owner = (unsigned)l->office;
    if (!c->notnull && c->domain != DOMAIN_TOKEN && draw_chance(g, 120)) {
        buf_printf(out, "NULL");
        return;
    }
    switch (c->domain) {
    case DOMAIN_KEY:
        key_literal(c, t->counted && column == 0 ? 100 + owner * 4 + id % 2 : id, out);
        break;
    case DOMAIN_TOKEN:
        token_literal(c, l, out);
        break;
    case DOMAIN_SMALL:
        buf_printf(out, "%u", draw_below(g, 9));
        break;
    case DOMAIN_WORD:
        word_literal(g, out);
        break;
    case DOMAIN_STATE:
        buf_printf(out, "'%s'", draw_chance(g, 150) ? "lost" : states[draw_below(g, 3)]);
        break;
    case DOMAIN_PARENT:
        parent_literal(d, c, g, l, out);
        break;
    case DOMAIN_SCOPE:
        buf_printf(out, "'%s'",
                   draw_chance(g, 100) ? "99" : l->unit[draw_below(g, (uint32_t)l->n_units)]);
        break;
    case DOMAIN_COUNT:
        buf_printf(out, "%d", (int)draw_below(g, 40) - 10);
        break;
    }
}

/* ---- what the store made of it */

static const char *group_differs(const struct drawn_table *t, const struct table_schema *s,
                                 char why[256])
{
    for (int i = t->bundle; t->named && i < t->bundle + t->n_bundle; i++) {
        const struct cell_group *g = s->rules.group ? s->rules.group[i] : NULL;
        if (g && g->n == (uint32_t)t->n_bundle && g->column[0] == (uint32_t)t->bundle)
            continue;
        snprintf(why, 256, "%s.%s is not in its group", t->name, t->column[i].name);
        return why;
    }
    return NULL;
}

static bool lists_differ(const struct drawn_column *c, const struct table_rules *r, uint32_t i)
{
    if (c->policy == POLICY_REVIEW && (r->fallback ? r->fallback[i] : POLICY_LATEST) != c->fallback)
        return true;
    if (c->policy != POLICY_RANK)
        return false;
    const struct rank_list *list = r->rank ? &r->rank[i] : NULL;
    return !list || list->n != 3 || strcmp(list->text[2], states[2]) != 0;
}

const char *schema_differs(const struct drawn *d, struct store *s, char why[256])
{
    for (int i = 0; i < d->n; i++) {
        const struct drawn_table *t = &d->table[i];
        const struct table_schema *x = schema_table(s, t->name);
        snprintf(why, 256, "table %s", t->name);
        if (!x || x->n_columns != (uint32_t)t->n_columns || x->n_key != (uint32_t)t->n_key ||
            x->rules.delete_policy != t->delete_policy ||
            x->rules.birth_policy != t->birth_policy || x->rules.scope != (uint32_t)(t->scope + 1))
            return why;
        for (int c = 0; c < t->n_columns; c++) {
            const struct drawn_column *col = &t->column[c];
            snprintf(why, 256, "%s.%s", t->name, col->name);
            if (c >= t->n_key && (x->rules.policy[c] != (uint8_t)col->policy ||
                                  lists_differ(col, &x->rules, (uint32_t)c)))
                return why;
        }
        if (group_differs(t, x, why))
            return why;
    }
    return NULL;
}
