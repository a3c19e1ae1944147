/* yaml.h - YAML for a person who makes mistakes: libcyaml binds the text to structs, and a
 * pass over libyaml's events before it finds every mistake with its line, and a proposal.
 *
 * Invariant: what charter_yaml_load accepts has only known keys, each once and of its one type, no
 * anchors, aliases or tags, and one document.
 */
#ifndef NODE_FILE_YAML_H
#define NODE_FILE_YAML_H

#include "conflict/err.h"
#include "conflict/mem.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdbool.h>

#define YAML_MSG_BYTES 1024

/* Where each key and each list entry stands: paths such as "tables[0].columns[2].policy". */
struct yaml_place {
    const char *path;
    unsigned line;
};
struct yaml_lines {
    const char *file;
    struct yaml_place *places;
    size_t n, cap;
};

/* `name` stands for the file in messages. `schema` is a mapping with CYAML_FLAG_POINTER; *out and
 * all it points to live in the arena. A string field's min is 0 or 1: 1 forbids the empty string.
 */
enum err charter_yaml_load(struct arena *a, const char *name, const char *text, size_t len,
                           const cyaml_schema_value_t *schema, void **out,
                           const struct yaml_lines **lines, char msg[YAML_MSG_BYTES]);
/* A file of at most max_bytes, NUL-terminated in the arena. */
enum err charter_yaml_read_file(struct arena *a, const char *path, size_t max_bytes,
                                const char **text, size_t *len, char msg[YAML_MSG_BYTES]);

/* The line of a path; of its nearest parent that is there; else 1. */
unsigned charter_yaml_line(const struct yaml_lines *l, const char *path);
bool charter_yaml_has(const struct yaml_lines *l, const char *path);

/* Appends "file:line: text\n" to msg while there is room for whole lines; line 0: "file: text". */
void charter_yaml_report(char msg[YAML_MSG_BYTES], const char *file, unsigned line, const char *fmt,
                         ...) __attribute__((format(printf, 4, 5)));

#endif
