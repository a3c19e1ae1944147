/* Two passes over one text:
 *
 *   1. libyaml's events against the libcyaml schema. libcyaml 1.3.1 finds the same mistakes but
 *      names the line of what came before, and proposes nothing. The schema bounds the recursion: a
 *      value that the schema does not know is an error before its content is read.
 *   2. libcyaml binds, in memory of the arena. Numbers are checked in pass 1 to be plain decimals,
 *      because libcyaml would read 010 as eight.
 *
 * An error stops pass 1; what the meaning of the file forbids is the caller's matter.
 */
#include "node/file/yaml.h"

#include "node/file/near.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#define PATH_BYTES 256
#define MAX_FIELDS 32

struct yaml_walk {
    struct arena *arena;
    yaml_parser_t parser;
    struct yaml_lines *lines;
    char *msg;
};

/* ---- messages */

void charter_yaml_report(char msg[YAML_MSG_BYTES], const char *file, unsigned line, const char *fmt,
                         ...)
{
    char one[YAML_MSG_BYTES];
    size_t used = strlen(msg);
    int n = line ? snprintf(one, sizeof one, "%s:%u: ", file, line)
                 : snprintf(one, sizeof one, "%s: ", file);
    if (n < 0 || (size_t)n >= sizeof one)
        n = 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(one + n, sizeof one - (size_t)n, fmt, ap);
    va_end(ap);
    size_t len = strlen(one);
    size_t separator = used ? 1 : 0;
    if (used + separator + len + 1 > YAML_MSG_BYTES)
        return;
    if (separator)
        msg[used] = '\n';
    memcpy(msg + used + separator, one, len + 1);
}

/* ---- where things stand */

static const struct yaml_place *find(const struct yaml_lines *l, const char *path, size_t len)
{
    for (size_t i = 0; i < l->n; i++)
        if (strncmp(l->places[i].path, path, len) == 0 && l->places[i].path[len] == '\0')
            return &l->places[i];
    return NULL;
}

bool charter_yaml_has(const struct yaml_lines *l, const char *path)
{
    return find(l, path, strlen(path));
}

unsigned charter_yaml_line(const struct yaml_lines *l, const char *path)
{
    size_t len = strlen(path);
    while (len > 0) {
        const struct yaml_place *p = find(l, path, len);
        if (p)
            return p->line;
        do
            len--;
        while (len > 0 && path[len] != '.' && path[len] != '[');
    }
    return 1;
}

static void remember(struct yaml_walk *w, const char *path, unsigned line)
{
    struct yaml_lines *l = w->lines;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct yaml_place *grown = arena_alloc(w->arena, cap * sizeof *grown);
        if (l->n)
            memcpy(grown, l->places, l->n * sizeof *grown);
        l->places = grown;
        l->cap = cap;
    }
    l->places[l->n++] = (struct yaml_place){.path = arena_strdup(w->arena, path), .line = line};
}

/* ---- pass 1 */

static unsigned line_of(const yaml_event_t *e)
{
    return (unsigned)e->start_mark.line + 1;
}

/* A value's path as a person reads it: "the file" at the top. */
static const char *in_words(const char *path)
{
    return path[0] ? path : "the file";
}

static enum err next(struct yaml_walk *w, yaml_event_t *e)
{
    if (yaml_parser_parse(&w->parser, e))
        return ERR_OK;
    const yaml_parser_t *p = &w->parser;
    unsigned line = (unsigned)p->problem_mark.line + 1;
    if (p->error == YAML_READER_ERROR) { /* no mark: count the lines before the offending byte */
        line = (unsigned)p->mark.line + 1;
        charter_yaml_report(w->msg, w->lines->file, line, "not readable as UTF-8 text: %s",
                            p->problem ? p->problem : "unknown byte");
    } else {
        charter_yaml_report(w->msg, w->lines->file, line, "not readable as YAML: %s%s%s",
                            p->problem ? p->problem : "unknown error", p->context ? " " : "",
                            p->context ? p->context : "");
    }
    return ERR_MALFORMED;
}

static const char *kind_wanted(const cyaml_schema_value_t *v)
{
    switch (v->type) {
    case CYAML_MAPPING:
        return "a mapping, such as { key: value }";
    case CYAML_SEQUENCE:
        return "a list, such as [a, b]";
    case CYAML_UINT:
        return "a whole number";
    default:
        return "a single value";
    }
}

static bool event_fits(const yaml_event_t *e, const cyaml_schema_value_t *v)
{
    if (v->type == CYAML_MAPPING)
        return e->type == YAML_MAPPING_START_EVENT;
    if (v->type == CYAML_SEQUENCE)
        return e->type == YAML_SEQUENCE_START_EVENT;
    return e->type == YAML_SCALAR_EVENT;
}

static bool has_anchor_or_tag(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    default:
        return e->type == YAML_ALIAS_EVENT;
    }
}

static bool is_decimal(const char *s, size_t data_size)
{
    size_t n = strlen(s), most = data_size >= 8 ? 18 : 9;
    return n >= 1 && n <= most && strspn(s, "0123456789") == n && (n == 1 || s[0] != '0');
}

static enum err check_enum(struct yaml_walk *w, const char *path, unsigned line, const char *s,
                           const cyaml_schema_value_t *v)
{
    for (uint32_t i = 0; i < v->enumeration.count; i++)
        if (strcmp(v->enumeration.strings[i].str, s) == 0)
            return ERR_OK;
    charter_yaml_report(w->msg, w->lines->file, line, "%s: '%s' is not known; write '%s' or '%s'",
                        path, s, v->enumeration.strings[0].str, v->enumeration.strings[1].str);
    return ERR_MALFORMED;
}

static enum err check_scalar(struct yaml_walk *w, const char *path, const yaml_event_t *e,
                             const cyaml_schema_value_t *v)
{
    const char *file = w->lines->file, *s = (const char *)e->data.scalar.value;
    unsigned line = line_of(e);
    size_t len = e->data.scalar.length;
    if (strlen(s) != len) {
        charter_yaml_report(w->msg, file, line, "%s: a zero byte is not allowed", path);
        return ERR_MALFORMED;
    }
    if (len == 0 && (v->type != CYAML_STRING || v->string.min > 0 ||
                     e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)) {
        charter_yaml_report(w->msg, file, line,
                            "%s is empty; give it a value or take the line away", path);
        return ERR_MALFORMED;
    }
    if (v->type == CYAML_UINT && !is_decimal(s, v->data_size)) {
        charter_yaml_report(w->msg, file, line, "%s: '%.40s' is not a whole number (digits only)",
                            path, s);
        return ERR_MALFORMED;
    }
    if (v->type == CYAML_STRING && len > v->string.max) {
        charter_yaml_report(w->msg, file, line, "%s is too long (%zu bytes, at most %u)", path, len,
                            (unsigned)v->string.max);
        return ERR_LIMIT;
    }
    if (v->type == CYAML_ENUM)
        return check_enum(w, path, line, s, v);
    return ERR_OK;
}

static enum err walk_value(struct yaml_walk *w, const char *path, const yaml_event_t *e,
                           const cyaml_schema_value_t *v);

static void report_unknown(struct yaml_walk *w, const char *path, unsigned line, const char *key,
                           const cyaml_schema_field_t *fields)
{
    const char *known[MAX_FIELDS + 1] = {0};
    char list[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < MAX_FIELDS && fields[i].key; i++) {
        known[i] = fields[i].key;
        int n = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", fields[i].key);
        if (n > 0 && used + (size_t)n < sizeof list)
            used += (size_t)n;
    }
    const char *near = near_word(key, known);
    if (near)
        charter_yaml_report(w->msg, w->lines->file, line,
                            "%s: unknown key '%.100s'; did you mean '%s'?", in_words(path), key,
                            near);
    else
        charter_yaml_report(w->msg, w->lines->file, line,
                            "%s: unknown key '%.100s'; known here: %s", in_words(path), key, list);
}

/* One "key: value"; `e` is the key's event. Sets the key's bit in *seen. */
static enum err walk_field(struct yaml_walk *w, const char *path, const yaml_event_t *e,
                           const cyaml_schema_field_t *fields, uint32_t *seen)
{
    char inner[PATH_BYTES];
    unsigned line = line_of(e), i = 0;
    if (e->type != YAML_SCALAR_EVENT || has_anchor_or_tag(e)) {
        charter_yaml_report(w->msg, w->lines->file, line, "%s: a key must be a plain word",
                            in_words(path));
        return ERR_MALFORMED;
    }
    const char *key = (const char *)e->data.scalar.value;
    while (fields[i].key && strcmp(fields[i].key, key) != 0)
        i++;
    if (!fields[i].key || strlen(key) != e->data.scalar.length) {
        report_unknown(w, path, line, key, fields);
        return ERR_MALFORMED;
    }
    snprintf(inner, sizeof inner, "%s%s%s", path, path[0] ? "." : "", key);
    if (*seen & (1u << i)) {
        charter_yaml_report(w->msg, w->lines->file, line,
                            "%s is given twice (first on line %u); keep one", inner,
                            charter_yaml_line(w->lines, inner));
        return ERR_MALFORMED;
    }
    *seen |= 1u << i;
    remember(w, inner, line);
    yaml_event_t value;
    enum err err = next(w, &value);
    if (err)
        return err;
    err = walk_value(w, inner, &value, &fields[i].value);
    yaml_event_delete(&value);
    return err;
}

static enum err walk_mapping(struct yaml_walk *w, const char *path, unsigned line,
                             const cyaml_schema_field_t *fields)
{
    uint32_t seen = 0;
    for (;;) {
        yaml_event_t e;
        enum err err = next(w, &e);
        if (err)
            return err;
        bool end = e.type == YAML_MAPPING_END_EVENT;
        if (!end)
            err = walk_field(w, path, &e, fields, &seen);
        yaml_event_delete(&e);
        if (err)
            return err;
        if (end)
            break;
    }
    for (unsigned i = 0; fields[i].key; i++) {
        if (!(fields[i].value.flags & CYAML_FLAG_OPTIONAL) && !(seen & (1u << i))) {
            charter_yaml_report(w->msg, w->lines->file, line, "%s lacks '%s'", in_words(path),
                                fields[i].key);
            return ERR_MALFORMED;
        }
    }
    return ERR_OK;
}

static enum err walk_sequence(struct yaml_walk *w, const char *path, unsigned line,
                              const cyaml_schema_value_t *v)
{
    for (uint32_t i = 0;; i++) {
        char inner[PATH_BYTES];
        yaml_event_t e;
        enum err err = next(w, &e);
        if (err)
            return err;
        bool end = e.type == YAML_SEQUENCE_END_EVENT;
        if (end && i < v->sequence.min) {
            charter_yaml_report(w->msg, w->lines->file, line, "%s is empty; name at least one",
                                path);
            err = ERR_MALFORMED;
        } else if (!end && i >= v->sequence.max) {
            charter_yaml_report(w->msg, w->lines->file, line_of(&e), "%s has more than %u entries",
                                path, (unsigned)v->sequence.max);
            err = ERR_LIMIT;
        } else if (!end) {
            snprintf(inner, sizeof inner, "%s[%u]", path, (unsigned)i);
            remember(w, inner, line_of(&e));
            err = walk_value(w, inner, &e, v->sequence.entry);
        }
        yaml_event_delete(&e);
        if (err || end)
            return err;
    }
}

static enum err walk_value(struct yaml_walk *w, const char *path, const yaml_event_t *e,
                           const cyaml_schema_value_t *v)
{
    if (has_anchor_or_tag(e)) {
        charter_yaml_report(
            w->msg, w->lines->file, line_of(e),
            "%s: anchors, aliases and tags (& * !) are not used in this file; put text "
            "that begins with them in quotes",
            in_words(path));
        return ERR_MALFORMED;
    }
    if (!event_fits(e, v)) {
        charter_yaml_report(w->msg, w->lines->file, line_of(e), "%s must be %s", in_words(path),
                            kind_wanted(v));
        return ERR_MALFORMED;
    }
    if (v->type == CYAML_MAPPING)
        return walk_mapping(w, path, line_of(e), v->mapping.fields);
    if (v->type == CYAML_SEQUENCE)
        return walk_sequence(w, path, line_of(e), v);
    return check_scalar(w, path, e, v);
}

/* STREAM-START DOCUMENT-START value DOCUMENT-END STREAM-END, and nothing else. */
static enum err walk_stream(struct yaml_walk *w, const cyaml_schema_value_t *schema)
{
    static const yaml_event_type_t frame[] = {YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT,
                                              YAML_NO_EVENT /* the value */,
                                              YAML_DOCUMENT_END_EVENT, YAML_STREAM_END_EVENT};
    for (size_t i = 0; i < sizeof frame / sizeof frame[0]; i++) {
        yaml_event_t e;
        enum err err = next(w, &e);
        if (err)
            return err;
        if (frame[i] == YAML_NO_EVENT) {
            err = walk_value(w, "", &e, schema);
        } else if (e.type != frame[i]) {
            charter_yaml_report(w->msg, w->lines->file, line_of(&e), "%s",
                                i < 2 ? "the file is empty" : "only one YAML document is allowed");
            err = ERR_MALFORMED;
        }
        yaml_event_delete(&e);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* ---- pass 2 */

/* libcyaml's allocator over the arena. The bytes before each piece hold its capacity, doubled when
 * it grows because libcyaml grows a list by one entry at a time. */
#define HEAD_BYTES 16
static void *arena_mem(void *ctx, void *ptr, size_t size)
{
    size_t cap = 0;
    if (size == 0)
        return NULL;
    if (ptr)
        memcpy(&cap, (char *)ptr - HEAD_BYTES, sizeof cap);
    if (cap >= size)
        return ptr;
    size_t want = ptr && cap * 2 > size ? cap * 2 : size;
    char *p = arena_alloc(ctx, HEAD_BYTES + want);
    memcpy(p, &want, sizeof want);
    if (ptr)
        memcpy(p + HEAD_BYTES, ptr, cap);
    return p + HEAD_BYTES;
}

__attribute__((format(printf, 3, 0))) static void keep_first(cyaml_log_t level, void *ctx,
                                                             const char *fmt, va_list args)
{
    char *text = ctx;
    if (level == CYAML_LOG_ERROR && text[0] == '\0')
        vsnprintf(text, 256, fmt, args);
}

static enum err bind(struct yaml_walk *w, const char *text, size_t len,
                     const cyaml_schema_value_t *schema, void **out)
{
    char said[256] = "";
    cyaml_config_t config = {.log_fn = keep_first,
                             .log_ctx = said,
                             .mem_fn = arena_mem,
                             .mem_ctx = w->arena,
                             .log_level = CYAML_LOG_ERROR,
                             .flags = CYAML_CFG_NO_ALIAS};
    cyaml_err_t e = cyaml_load_data((const uint8_t *)text, len, &config, schema, out, NULL);
    if (e == CYAML_OK)
        return ERR_OK;
    said[strcspn(said, "\n")] = '\0';
    charter_yaml_report(w->msg, w->lines->file, 1, "%s", said[0] ? said : cyaml_strerror(e));
    return ERR_MALFORMED;
}

enum err charter_yaml_load(struct arena *a, const char *name, const char *text, size_t len,
                           const cyaml_schema_value_t *schema, void **out,
                           const struct yaml_lines **lines, char msg[YAML_MSG_BYTES])
{
    struct yaml_walk w = {.arena = a, .msg = msg};
    w.lines = arena_alloc(a, sizeof *w.lines);
    w.lines->file = arena_strdup(a, name);
    msg[0] = '\0';
    if (!yaml_parser_initialize(&w.parser)) {
        charter_yaml_report(msg, name, 1, "out of memory");
        return ERR_LIMIT;
    }
    yaml_parser_set_encoding(&w.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&w.parser, (const unsigned char *)text, len);
    enum err err = walk_stream(&w, schema);
    yaml_parser_delete(&w.parser);
    if (!err)
        err = bind(&w, text, len, schema, out);
    *lines = w.lines;
    return err;
}

enum err charter_yaml_read_file(struct arena *a, const char *path, size_t max_bytes,
                                const char **text, size_t *len, char msg[YAML_MSG_BYTES])
{
    struct stat st;
    size_t got = 0;
    enum err err = ERR_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        snprintf(msg, YAML_MSG_BYTES, "%s: cannot be read: %s", path, strerror(errno));
        return err;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        snprintf(msg, YAML_MSG_BYTES, "%s: not a regular file", path);
        err = ERR_IO;
        goto out;
    }
    if ((uint64_t)st.st_size > max_bytes) {
        snprintf(msg, YAML_MSG_BYTES, "%s: %lld bytes are too many (at most %zu)", path,
                 (long long)st.st_size, max_bytes);
        err = ERR_LIMIT;
        goto out;
    }
    char *bytes = arena_alloc(a, (size_t)st.st_size + 1);
    while (got < (size_t)st.st_size) {
        ssize_t n = read(fd, bytes + got, (size_t)st.st_size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            snprintf(msg, YAML_MSG_BYTES, "%s: cannot be read: %s", path, strerror(errno));
            err = ERR_IO;
            goto out;
        }
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *text = bytes;
    *len = got;
out:
    close(fd);
    return err;
}
