/* value.h - one SQLite value, and the canonical bytes of a key.
 *
 * Invariant: equality is identity of type and bytes (1 is not 1.0, '' is not NULL, 'a' is not 'A');
 * -0.0 is stored by SQLite as 0.0 and so is normalised everywhere; NaN does not exist (SQLite:
 * NULL).
 */
#ifndef CONFLICT_VALUE_H
#define CONFLICT_VALUE_H

#include "conflict/buf.h"
#include "conflict/err.h"
#include "conflict/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_type {
    VALUE_NULL = 0,
    VALUE_INTEGER = 1,
    VALUE_REAL = 2,
    VALUE_TEXT = 3,
    VALUE_BLOB = 4,
    /* Never in an application's table: */
    VALUE_WIDE = 5, /* an integer of more than 64 bits: the delta of a `sum` column in a change
                       (also when it is small), or a total beyond 64 bits; 16 bytes, two's
                       complement, big endian */
    VALUE_TUPLE = 6 /* the values of a group of columns, in the group's order: canonical bytes, one
                       after another; in records and versions only */
};

struct value {    /* {0} is NULL */
    uint8_t type; /* enum value_type */
    uint32_t len; /* bytes of those that have a pointer */
    union {
        int64_t i;
        double r;
        const void *p; /* TEXT (any bytes, not terminated), BLOB, WIDE, TUPLE; owned by whoever
                          made it */
    } u;
};

struct value value_null(void);
struct value value_integer(int64_t i);
struct value value_real(double r);
struct value value_text(const char *s); /* borrows s, length by strlen */
struct value value_bytes(enum value_type type, const void *p, size_t len); /* borrows p */

bool value_equal(const struct value *a, const struct value *b);

/* Whether people see one value: equal, or TEXTs (of well-formed UTF-8) that are equal in Unicode
 * Normalization Form C (UAX 15) once the characters U+200B to U+200D are left out, which Khmer
 * keyboards put in unseen; tuples by their members. Decides whether two versions differ, never what
 * is stored. (text.c) */
bool value_alike(const struct value *a, const struct value *b);

/* ---- wide integers. NULL counts 0. What is made is within WIDE_MAX: beyond it, where
 * only hostile deltas lead, numbers go round modulo 2 * WIDE_MAX, so that adding commutes there
 * too. */
struct value value_wide(struct arena *a, __int128 n);  /* VALUE_WIDE, also when it is small */
struct value value_total(struct arena *a, __int128 n); /* INTEGER where it fits, else WIDE */
bool value_is_count(const struct value *v);            /* NULL, INTEGER or WIDE */
__int128 value_count(const struct value *v);           /* of such a value */
/* Beyond it, either way, bytes from outside are malformed. */
#define WIDE_MAX ((__int128)1 << 100)
/* In decimal. */
#define WIDE_TEXT 44
void value_wide_text(char out[WIDE_TEXT], __int128 n);

/* ---- tuples */
struct value value_tuple(struct arena *a, const struct value *v, size_t n);
/* Exactly n values, borrowing the tuple's bytes. ERR_MALFORMED. */
enum err value_tuple_split(const struct value *tuple, struct value *v, size_t n);

/* SQLite's ordering (datatype3.html, section 4.1) with collation BINARY: NULL < numbers < TEXT <
 * BLOB; integer and real by exact numeric value. Equal numbers of different type: INTEGER first, so
 * that the order is total over value_equal. Returns <0, 0, >0. */
int value_compare(const struct value *a, const struct value *b);

/* A copy whose bytes live in the arena. */
struct value value_copy(struct arena *a, const struct value *v);

/* Canonical bytes: type byte, then INTEGER as zig-zag varint, REAL as 8 big-endian bytes of IEEE
 * 754, TEXT, BLOB and TUPLE as varint length and bytes, WIDE as 16 bytes. Decoding refuses a WIDE
 * beyond WIDE_MAX and a TUPLE that holds a TUPLE or anything malformed. */
void value_encode(struct buf *b, const struct value *v);
/* Borrows the cursor's bytes. ERR_MALFORMED on an unknown type or a short cursor. */
enum err value_decode(struct cursor *c, struct value *v);

/* A key: n values one after another. An integral REAL in int64's range is encoded as INTEGER,
 * because SQLite's indexes hold 1 and 1.0 to be the same key. Two keys are the same row exactly
 * when their bytes are the same. */
void key_encode(struct buf *b, const struct value *v, size_t n);
/* Decodes exactly n values and requires the end; the values borrow `p`. */
enum err key_decode(const void *p, size_t len, struct value *v, size_t n);

/* FNV-1a; for indexes, never for decisions. */
#define VALUE_HASH_SEED 1469598103934665603ULL
uint64_t bytes_hash(uint64_t seed, const void *p, size_t n);
/* The same in 128 bits, for identities and equality; not against somebody who looks for two
 * alike. */
#define VALUE_HASH_WIDE_SEED ((unsigned __int128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d)
unsigned __int128 bytes_hash_wide(unsigned __int128 seed, const void *p, size_t n);
/* Eight bytes at a time, and other numbers on another kind of machine: for tables in memory alone,
 * never written or sent. */
uint64_t hash_key(uint64_t seed, const void *p, size_t n);

#endif
