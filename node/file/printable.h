/* printable.h - text that others wrote, for somebody's terminal, log, table or document.
 *
 * What a terminal might obey, or what makes a reader see another text than the bytes say, is
 * written as its number: control characters (C0, DEL, and C1, also as single bytes), line and
 * paragraph separators, and the controls of bidirectional text ("Trojan Source", Boucher and
 * Anderson 2021). Bytes that are not UTF-8 are written so too. Everything else stays, with the
 * joiners and the zero-width space that Khmer needs.
 */
#ifndef NODE_FILE_PRINTABLE_H
#define NODE_FILE_PRINTABLE_H

#include "conflict/buf.h"

#include <stdbool.h>

/* "\n", "\t" and "\r"; others as "\x1b" below 256, "\u202e" above; bytes that are not UTF-8 as
 * "\xff". */
void printable_put(struct buf *b, const char *s, size_t len);
/* The same where a line feed may stand: text of ours of several lines. */
void printable_put_lines(struct buf *b, const char *s, size_t len);
/* JSON that is valid already: what is unsafe in its strings becomes "\u202E", the same value. */
void printable_put_json(struct buf *b, const char *s, size_t len);
/* A value of a log line, in quotes where it has to be: words of others make no field of their own.
 * What is not printable stays, for whoever writes the line. */
void printable_put_value(struct buf *b, const char *value);
bool printable_is_utf8(const char *s, size_t len);

#endif
