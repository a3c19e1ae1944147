/* A segment written by hand, right in every field, and then wrong in one of them. */
#include "protocol/codec.h"
#include "protocol/limits.h"
#include "tests/lib/check.h"
#include "tests/unit/protocol/sample.h"
#include "tests/unit/protocol/wire.h"

#include <string.h>

#define B(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof text - 1                                                   \
    }

/* Two columns, the key is the first; rows: two born, one updated in the second column, one deleted.
 * Contents of the packed and repeated fields of TableChanges, and of each Column. */
struct sample_table {
    const char *column[3];
    struct bytes key;
    uint64_t rows;
    struct bytes form_kind;
    struct bytes form_mask;
    struct bytes run_form;
    struct bytes run_rows;
    struct bytes birth_row;
    struct bytes birth_site;
    struct bytes birth_seq;
    struct bytes key_value[3]; /* until one without p */
    struct bytes value[3];
    struct bytes ref_column;
    struct bytes ref_row;
    struct bytes ref_rows;
    struct bytes ref_site;
    struct bytes ref_seq;
};

static const struct sample_table right = {
    .column = {"id", "name"},
    .key = B("\x00"),
    .rows = 4,
    .form_kind = B("\x01\x02\x03"),
    .form_mask = B("\x03\x02\x00"),
    .run_form = B("\x00\x01\x02"),
    .run_rows = B("\x02\x01\x01"),
    .birth_row = B("\x03"),
    .birth_site = B("\x09\x00\x00\x00\x00\x00\x00\x00"),
    .birth_seq = B("\x07"),
    .key_value = {B("\x08\x01\x1a\x02\x06\x02")},                    /* integers 3, 4 */
    .value = {B("\x08\x01\x1a\x02\x02\x02"),                         /* integers 1, 2 */
              B("\x12\x03\x03\x00\x03\x2a\x02\x02\x01\x32\x03xyz")}, /* "xy", NULL, "z" */
    .ref_column = B("\x01\x01"),                                     /* of the first two this */
    .ref_row = B("\x00\x02"), /* changeset's, of the third another's */
    .ref_rows = B("\x02\x01"),
    .ref_site = B("\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0"),
    .ref_seq = B("\x00\x07"),
};

static void put_packed(struct buf *b, unsigned id, struct bytes content)
{
    if (content.len)
        wire_bytes(b, id, content.p, content.len);
}

static enum err decode(const struct sample_table *t, struct buf *image)
{
    struct arena a = {0};
    struct buf table = {0}, segment = {0};
    struct segment s;
    wire_string(&table, 1, "t");
    for (size_t i = 0; i < 3 && t->column[i]; i++)
        wire_string(&table, 2, t->column[i]);
    put_packed(&table, 3, t->key);
    wire_varint(&table, 4, t->rows);
    const struct bytes packed[] = {t->form_kind, t->form_mask,  t->run_form, t->run_rows,
                                   t->birth_row, t->birth_site, t->birth_seq};
    for (unsigned i = 0; i < 7; i++)
        put_packed(&table, 5 + i, packed[i]);
    for (size_t i = 0; i < 3 && t->key_value[i].p; i++)
        wire_bytes(&table, 12, t->key_value[i].p, t->key_value[i].len);
    for (size_t i = 0; i < 3 && t->value[i].p; i++)
        wire_bytes(&table, 13, t->value[i].p, t->value[i].len);
    const struct bytes refs[] = {t->ref_column, t->ref_row, t->ref_rows, t->ref_site, t->ref_seq};
    for (unsigned i = 0; i < 5; i++)
        put_packed(&table, 14 + i, refs[i]);
    wire_string(&segment, 1, "12");
    wire_bytes(&segment, 2, table.data, table.len);
    enum err e = codec_segment_decode(&a, segment.data, segment.len, (struct dot){5, 6}, &s);
    if (!e && image)
        image_segment(image, &s);
    assert_in_range(a.used_bytes, 0, 1 << 16);
    buf_fini(&table), buf_fini(&segment);
    arena_fini(&a);
    return e;
}

/* The control: the rows are what the format on top of codec_changeset.c says they are. */
static void the_format_is_as_described(void **state)
{
    struct buf got = {0}, expected = {0};
    static const uint32_t column[] = {0, 1};
    static const uint32_t key = 0;
    const char *names[] = {"id", "name"};
    const struct value v[][2] = {{value_integer(1), value_text("xy")},
                                 {value_integer(2), value_null()}};
    const struct value keys[] = {value_integer(3), value_integer(4)}, z = value_text("z");
    const struct reference own = {1, {0, 0}, {5, 6}}, other = {1, {0, 0}, {9, 7}};
    struct row_change rows[] = {
        {CHANGE_BORN, {5, 6}, &v[0][0], 2, column, v[0], 1, &own},
        {CHANGE_BORN, {5, 6}, &v[1][0], 2, column, v[1], 1, &own},
        {CHANGE_UPDATE, {0, 0}, &keys[0], 1, column + 1, &z, 1, &other},
        {CHANGE_DELETE, {9, 7}, &keys[1], 0, column, NULL, 0, NULL},
    };
    struct table_changes t = {"t", 2, names, 1, &key, 4, rows};
    struct segment s = {"12", 1, &t};
    assert_ok(decode(&right, &got));
    assert_string_equal(buf_str(&got), image_segment(&expected, &s));
    buf_fini(&got), buf_fini(&expected);
}

static void assert_refused(const struct sample_table *t, const char *what)
{
    enum err e = decode(t, NULL);
    if (e != ERR_MALFORMED)
        print_error("%s: %s\n", what, err_name(e));
    assert_err(e, ERR_MALFORMED);
}

#define REFUSE(field, ...)                                                                         \
    do {                                                                                           \
        struct sample_table t_ = right;                                                            \
        t_.field = (__typeof__(t_.field))__VA_ARGS__;                                              \
        assert_refused(&t_, #field " " #__VA_ARGS__);                                              \
    } while (0)

/* Names and key indices: none, twice the same, beyond the columns. */
static void columns_and_keys_are_sound(void **state)
{
    REFUSE(column[1], "id");
    REFUSE(column[1], "");
    REFUSE(column[2], "one too many for the values");
    REFUSE(key, B(""));
    REFUSE(key, B("\x02"));
    struct sample_table t = right;
    t.key_value[1] = t.key_value[0];
    t.key = (struct bytes)B("\x00\x01");
    assert_ok(decode(&t, NULL));
    t.key = (struct bytes)B("\x00\x00");
    assert_refused(&t, "a column twice in the key");
}

/* Forms: an unknown kind, a column that is not there, a born row without all columns, masks of
 * another number. */
static void forms_are_sound(void **state)
{
    REFUSE(form_kind, B("\x01\x02\x04"));
    REFUSE(form_kind, B("\x01\x02\x00"));
    REFUSE(form_mask, B("\x03\x02\x04"));
    REFUSE(form_mask, B("\x01\x02\x00"));
    REFUSE(form_mask, B("\x03\x02"));
    REFUSE(form_mask, B("\x03\x02\x00\x00"));
}

/* Runs: of a form that is not there, of no rows, that do not add up, or could be joined. */
static void runs_add_up(void **state)
{
    REFUSE(run_form, B("\x00\x01\x03"));
    REFUSE(run_form, B("\x00\x01"));
    REFUSE(run_form, B("\x00\x00\x02"));
    REFUSE(run_rows, B("\x02\x01\x00"));
    REFUSE(run_rows, B("\x02\x01\x02"));
    REFUSE(run_rows, B("\x02\x02\xff\xff\xff\xff\x0f"));
    REFUSE(rows, 5);
    REFUSE(rows, 3);
    struct sample_table t = right;
    t.run_form = (struct bytes)B("\x00\x00\x01\x02");
    t.run_rows = (struct bytes)B("\x01\x01\x01\x01");
    assert_refused(&t, "a run in two pieces");
    t.run_form = (struct bytes)B("\x00\x01\x00\x02");
    t.run_rows = (struct bytes)B("\x02\x01\x00\x01");
    assert_refused(&t, "a run of no rows");
}

/* Births: of a row that is not there or is born here, out of order, without a name. */
static void births_are_sound(void **state)
{
    REFUSE(birth_row, B("\x04"));
    REFUSE(birth_row, B("\x01"));
    REFUSE(birth_row, B("\x02\x03"));
    REFUSE(birth_row, B(""));
    REFUSE(birth_seq, B("\x00"));
    REFUSE(birth_site, B("\x00\x00\x00\x00\x00\x00\x00\x00"));
    struct sample_table t = right;
    t.birth_row = (struct bytes)B("\x02\x03");
    t.birth_site = (struct bytes)B("\x09\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0");
    t.birth_seq = (struct bytes)B("\x07\x07");
    assert_ok(decode(&t, NULL));
    t.birth_row = (struct bytes)B("\x03\x02");
    assert_refused(&t, "births that descend");
    t.birth_row = (struct bytes)B("\x03\x03");
    assert_refused(&t, "a row with two births");
}

/* References: of a column or row that is not there, or of a row without that column; out of order,
 * of half a name, of this changeset by its name, of no rows, or in two pieces. */
static void references_are_sound(void **state)
{
    struct sample_table t = right;
    t.ref_column = t.ref_row = t.ref_rows = t.ref_site = t.ref_seq = (struct bytes){0};
    assert_ok(decode(&t, NULL));
    REFUSE(ref_column, B("\x01\x02"));
    REFUSE(ref_column, B("\x01\x00")); /* descends */
    REFUSE(ref_column, B("\x00\x00")); /* the third row has no such column */
    REFUSE(ref_column, B("\x01"));
    REFUSE(ref_row, B("\x00\x03")); /* the fourth neither */
    REFUSE(ref_row, B("\x00\x04"));
    REFUSE(ref_row, B("\x00\x01")); /* a row twice */
    REFUSE(ref_rows, B("\x02\x00"));
    REFUSE(ref_rows, B("\x02\x02"));
    REFUSE(ref_rows, B("\x02\xff\xff\xff\xff\x0f"));
    REFUSE(ref_seq, B("\x00\x00"));
    REFUSE(ref_seq, B("\x00\x07\x07"));
    REFUSE(ref_site, B("\x05\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0"));
    t = right;
    t.ref_site = (struct bytes)B("\x05\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0");
    t.ref_seq = (struct bytes)B("\x06\x07");
    assert_refused(&t, "its own name in full");
    t = right;
    t.ref_site = (struct bytes)B("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    t.ref_seq = (struct bytes)B("\x00\x00");
    assert_refused(&t, "a run in two pieces");
}

/* Columns: types unknown, too few, given twice or not at all; streams that are longer or shorter
 * than the types say; NaN and -0.0. */
static void values_fit_their_rows(void **state)
{
    REFUSE(value[1], B("\x12\x03\x03\x00\x05\x2a\x02\x02\x01\x32\x03xyz"));  /* no bytes of it */
    REFUSE(value[1], B("\x12\x02\x03\x03\x2a\x02\x02\x01\x32\x03xyz"));      /* two types */
    REFUSE(value[1], B("\x12\x03\x03\x00\x03\x2a\x01\x03\x32\x03xyz"));      /* one length */
    REFUSE(value[1], B("\x12\x03\x03\x00\x03\x2a\x02\x02\x02\x32\x03xyz"));  /* data short */
    REFUSE(value[1], B("\x12\x03\x03\x00\x03\x2a\x02\x02\x01\x32\x04xyzz")); /* data long */
    REFUSE(value[1], B("\x12\x03\x03\x00\x03\x2a\x02\x02\x01"));             /* no data */
    REFUSE(value[1],
           B("\x08\x03\x12\x03\x03\x03\x03\x2a\x03\x01\x01\x01\x32\x03xyz")); /* both types */
    REFUSE(value[1], B("\x08\x05"));
    REFUSE(value[1], B(""));
    REFUSE(value[1], B("\x08\x00\x1a\x01\x02")); /* NULLs and an integer */
    REFUSE(value[0], B("\x08\x01\x1a\x01\x02")); /* one integer for two */
    REFUSE(value[0], B("\x08\x01\x1a\x03\x02\x02\x02"));
    REFUSE(value[0], B("\x08\x02\x22\x10\0\0\0\0\0\0\xf8\x7f\0\0\0\0\0\0\0\0")); /* NaN */
    REFUSE(value[0], B("\x08\x02\x22\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80"));   /* -0.0 */
    REFUSE(value[1].p, NULL);
    struct sample_table t = right;
    t.value[0] = (struct bytes)B("\x08\x02\x22\x10\0\0\0\0\0\0\xf0\x7f\0\0\0\0\0\0\0\0");
    assert_ok(decode(&t, NULL)); /* infinity and 0.0 */
    t.value[1] = (struct bytes)B("\x08\x00");
    assert_ok(decode(&t, NULL)); /* all NULL */
}

#define Z12 "\0\0\0\0\0\0\0\0\0\0\0\0"
#define F12 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
/* The third row's name is a WIDE, whose 16 bytes these are. */
#define THIRD(bytes) B("\x12\x03\x03\x00\x05\x2a\x01\x02\x32\x02xy\x3a\x10" bytes)

/* Deltas: 16 bytes each, within 2^100 either way, of no key and no born row; a tuple has no place
 * on the wire. */
static void deltas_are_sound(void **state)
{
    struct sample_table t = right;
    t.value[1] = (struct bytes)THIRD(Z12 "\0\0\0\x07");
    assert_ok(decode(&t, NULL));
    t.value[1] = (struct bytes)THIRD("\0\0\0\x10" Z12); /* 2^100 */
    assert_ok(decode(&t, NULL));
    t.value[1] = (struct bytes)THIRD("\xff\xff\xff\xf0" Z12); /* -2^100 */
    assert_ok(decode(&t, NULL));
    REFUSE(value[1], THIRD("\0\0\0\x10" Z12 "\0")); /* one byte is another field */
    REFUSE(value[1], THIRD("\xff\xff\xff\xef" F12));
    REFUSE(value[1], THIRD("\x80\0\0\0" Z12));
    REFUSE(value[1], B("\x12\x03\x03\x00\x05\x2a\x01\x02\x32\x02xy"));
    REFUSE(value[1], B("\x12\x03\x03\x00\x05\x2a\x01\x02\x32\x02xy\x3a\x00"));
    REFUSE(value[1], B("\x12\x03\x03\x00\x05\x2a\x01\x02\x32\x02xy\x3a\x0f" Z12 "\0\0\0"));
    REFUSE(value[1], B("\x12\x03\x03\x00\x05\x2a\x01\x02\x32\x02xy\x3a\x20" Z12 Z12 "\0\0\0\0"
                       "\0\0\0\0"));
    REFUSE(value[1], B("\x12\x03\x03\x05\x00\x2a\x01\x02\x32\x02xy\x3a\x10" Z12 "\0\0\0\0"));
    REFUSE(value[1], B("\x12\x03\x03\x00\x06\x2a\x01\x02\x32\x02xy\x3a\x10" Z12 "\0\0\0\0"));
    REFUSE(value[1], B("\x12\x03\x03\x00\x06\x2a\x02\x02\x01\x32\x03xyz"));
    REFUSE(key_value[0], B("\x08\x05\x3a\x20" Z12 Z12 "\0\0\0\0\0\0\0\x01"));
    REFUSE(key_value[0], B("\x08\x06"));
    t = right; /* the update names the key's own column */
    t.form_mask = (struct bytes)B("\x03\x03\x00");
    t.value[0] = (struct bytes)B("\x12\x03\x01\x01\x01\x1a\x03\x02\x02\x02");
    assert_ok(decode(&t, NULL));
    t.value[0] = (struct bytes)B("\x12\x03\x01\x01\x05\x1a\x02\x02\x02\x3a\x10" Z12 "\0\0\0\x03");
    assert_refused(&t, "a delta of a key");
}

/* One key may come several times, each under another birth. */
static void an_identity_comes_once(void **state)
{
    struct sample_table t = right;
    t.key_value[0] = (struct bytes)B("\x08\x01\x1a\x02\x06\x00"); /* 3, 3 */
    assert_ok(decode(&t, NULL));                                  /* unnamed, and 9:7 */
    t.birth_row = t.birth_site = t.birth_seq = (struct bytes){NULL, 0};
    assert_refused(&t, "one key unnamed twice");
    t = right;
    t.birth_row = (struct bytes)B("\x02\x03");
    t.birth_site = (struct bytes)B("\x09\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0");
    t.birth_seq = (struct bytes)B("\x07\x07");
    t.key_value[0] = (struct bytes)B("\x08\x01\x1a\x02\x06\x00");
    assert_refused(&t, "one key under one birth twice");
    REFUSE(value[0], B("\x08\x01\x1a\x02\x02\x00")); /* born twice */
    t = right;
    t.key_value[0] = (struct bytes)B("\x08\x01\x1a\x02\x06\x03"); /* 3, 1: the last deletes a key
                                                                    that is born here */
    assert_ok(decode(&t, NULL));
    t.birth_site = (struct bytes)B("\x05\0\0\0\0\0\0\0");
    t.birth_seq = (struct bytes)B("\x06");
    assert_refused(&t, "what is born here, deleted here");
}

/* Keys of the rows that are not born: as many as there are, and none where there are none. */
static void keys_fit_their_rows(void **state)
{
    REFUSE(key_value[0], B("\x08\x01\x1a\x01\x06"));
    REFUSE(key_value[0], B("\x08\x01\x1a\x03\x06\x02\x02"));
    REFUSE(key_value[0].p, NULL);
    REFUSE(key_value[1], B("\x08\x01\x1a\x02\x06\x02"));
    struct sample_table born = right;
    born.rows = 2;
    born.run_form = (struct bytes)B("\x00");
    born.run_rows = (struct bytes)B("\x02");
    born.birth_row = born.birth_site = born.birth_seq = (struct bytes){NULL, 0};
    born.ref_column = born.ref_row = born.ref_rows = born.birth_row;
    born.ref_site = born.ref_seq = born.birth_row;
    born.value[1] = (struct bytes)B("\x08\x00");
    assert_refused(&born, "keys, but all rows are born");
    born.key_value[0].p = NULL;
    assert_refused(&born, "more forms than rows");
    born.form_kind = (struct bytes)B("\x01\x02");
    born.form_mask = (struct bytes)B("\x03\x02");
    assert_ok(decode(&born, NULL));
}

/* Rows, columns and lengths over their limits, announced in a few bytes. */
static void limits_hold_before_memory_is_taken(void **state)
{
    struct sample_table t = right;
    t.rows = (uint64_t)LIMIT_ROWS + 4;
    t.run_rows = (struct bytes)B("\xa2\x9c\x01\x01\x01"); /* 20,002 */
    assert_err(decode(&t, NULL), ERR_LIMIT);
    t = right;
    t.value[1] = (struct bytes)B("\x12\x03\x03\x00\x03\x2a\x06\x02\xff\xff\xff\xff\x0f\x32\x03xyz");
    assert_err(decode(&t, NULL), ERR_LIMIT);
    t = right;
    t.key = (struct bytes)B("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_err(decode(&t, NULL), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_format_is_as_described),
        cmocka_unit_test(columns_and_keys_are_sound),
        cmocka_unit_test(forms_are_sound),
        cmocka_unit_test(runs_add_up),
        cmocka_unit_test(births_are_sound),
        cmocka_unit_test(references_are_sound),
        cmocka_unit_test(values_fit_their_rows),
        cmocka_unit_test(deltas_are_sound),
        cmocka_unit_test(an_identity_comes_once),
        cmocka_unit_test(keys_fit_their_rows),
        cmocka_unit_test(limits_hold_before_memory_is_taken),
    };
    return check_run(tests);
}
