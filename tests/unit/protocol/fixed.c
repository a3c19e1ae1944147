#include "protocol/seal_enrol.h"
#include "tests/unit/protocol/sample.h"

#include <math.h>

#define B(text) ((struct bytes){(const uint8_t *)(text), sizeof text - 1})
#define CLOCK(entries) ((struct clock){(entries), sizeof entries / sizeof *(entries), 0})

static const char federation[] = "00112233445566778899aabbccddeeff";
static struct clock_entry two[] = {{0x1111111111111111, 7}, {0x8000000000000001, 300}};
static struct clock_entry one[] = {{0x1111111111111111, 6}};

static void ascending(uint8_t *p, size_t n, uint8_t from)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(from + i);
}

#define INTEGER(v)                                                                                 \
    {                                                                                              \
        .type = VALUE_INTEGER, .u.i = (v)                                                          \
    }
#define REAL(v)                                                                                    \
    {                                                                                              \
        .type = VALUE_REAL, .u.r = (v)                                                             \
    }
#define TEXT(s)                                                                                    \
    {                                                                                              \
        .type = VALUE_TEXT, .len = sizeof s - 1, .u.p = (s)                                        \
    }
#define BLOB(s)                                                                                    \
    {                                                                                              \
        .type = VALUE_BLOB, .len = sizeof s - 1, .u.p = (s)                                        \
    }

const struct dot fixed_dot = {0x1111111111111111, 8};

static const char *resident_columns[] = {"book", "no", "name", "fees", "weight", "photo"};
static const uint32_t resident_key[] = {0, 1};
static const uint32_t all[] = {0, 1, 2, 3, 4, 5};
static const uint32_t name_and_weight[] = {2, 4};

/* born twice, updated three times (one names its birth), deleted once with a cell */
static const struct value born_1[] = {TEXT("A"),          INTEGER(1),     TEXT("a\0b"),
                                      INTEGER(INT64_MAX), REAL(INFINITY), BLOB("\x00\xff")};
static const struct value born_2[] = {TEXT("A"),          INTEGER(2),      TEXT("\xc3\x28"),
                                      INTEGER(INT64_MIN), REAL(-INFINITY), {.type = VALUE_NULL}};
static const struct value update_1[] = {TEXT(""), REAL(0.0)};
static const struct value update_2[] = {{.type = VALUE_NULL}, REAL(-2.5)};
static const struct value update_3[] = {INTEGER(-1), TEXT("1e3")};
static const struct value delete_1[] = {TEXT("\xe1\x9e\x88"), INTEGER(0)};
static const struct value key_3[] = {TEXT("B"), INTEGER(-3)};
static const struct value key_4[] = {BLOB(""), REAL(0.5)};
static const struct value key_5[] = {TEXT("B"), INTEGER(5)};
static const struct value key_6[] = {{.type = VALUE_NULL}, INTEGER(120104)};

static struct row_change resident_rows[] = {
    {CHANGE_BORN, {0x1111111111111111, 8}, born_1, 6, all, born_1, 0, NULL},
    {CHANGE_BORN, {0x1111111111111111, 8}, born_2, 6, all, born_2, 0, NULL},
    {CHANGE_UPDATE, {0, 0}, key_3, 2, name_and_weight, update_1, 0, NULL},
    {CHANGE_UPDATE, {0x8000000000000001, 299}, key_4, 2, name_and_weight, update_2, 0, NULL},
    {CHANGE_UPDATE, {0, 0}, key_5, 2, name_and_weight, update_3, 0, NULL},
    {CHANGE_DELETE, {0x1111111111111111, 5}, key_6, 2, name_and_weight, delete_1, 0, NULL},
};

static const char *unit_columns[] = {"code"};
static const uint32_t unit_key[] = {0};
static const struct value unit_code[] = {TEXT("12")};
static struct row_change unit_rows[] = {
    {CHANGE_DELETE, {0, 0}, unit_code, 0, all, unit_code, 0, NULL},
};

static struct table_changes national[] = {{"unit", 1, unit_columns, 1, unit_key, 1, unit_rows}};
static struct table_changes local[] = {
    {"resident", 6, resident_columns, 2, resident_key, 6, resident_rows}};
static struct segment segments[] = {{"", 1, national}, {"120104", 1, local}, {"13", 0, NULL}};

void fixed_changeset(struct changeset *cs)
{
    *cs = (struct changeset){.federation = federation,
                             .dot = fixed_dot,
                             .context = CLOCK(two),
                             .hlc = 0x0190000000000001,
                             .charter_version = 3,
                             .schema_version = 12,
                             .cut = true,
                             .n_segments = 3,
                             .segments = segments};
    ascending(cs->previous, HASH_BYTES, 0x40);
}

/* a counter: one row born, one key changed under two births, a value that is no number, a delete */
#define WIDE(s)                                                                                    \
    {                                                                                              \
        .type = VALUE_WIDE, .len = 16, .u.p = (s)                                                  \
    }
static const char *cash_columns[] = {"id", "fees"};
static const uint32_t cash_key[] = {0};
static const struct value cash_born[] = {INTEGER(1), INTEGER(5)};
static const struct value cash_key_2[] = {INTEGER(2)}, cash_key_3[] = {INTEGER(3)};
static const struct value plus_7[] = {WIDE("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07")};
static const struct value least[] = {WIDE("\xff\xff\xff\xf0\0\0\0\0\0\0\0\0\0\0\0\0")};
static const struct value no_number[] = {TEXT("abc")};
static const struct value nothing[] = {WIDE("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")};
static struct row_change cash_rows[] = {
    {CHANGE_BORN, {0x1111111111111111, 8}, cash_born, 2, all, cash_born, 0, NULL},
    {CHANGE_UPDATE, {0, 0}, cash_key_2, 1, all + 1, plus_7, 0, NULL},
    {CHANGE_UPDATE, {0x8000000000000001, 299}, cash_key_2, 1, all + 1, least, 0, NULL},
    {CHANGE_UPDATE, {0x8000000000000001, 298}, cash_key_2, 1, all + 1, no_number, 0, NULL},
    {CHANGE_DELETE, {0, 0}, cash_key_3, 1, all + 1, nothing, 0, NULL},
};
static struct table_changes cash[] = {{"cash", 2, cash_columns, 1, cash_key, 5, cash_rows}};

void fixed_deltas(struct segment *s)
{
    *s = (struct segment){"1201", 1, cash};
}

/* children: three born with the parents of the changeset, one of them with another's; one moved to
 * a parent of the changeset, one to somebody's, one whose parent has no name; two columns refer */
static const char *visit_columns[] = {"id", "person", "room"};
static const struct value visit[][3] = {
    {INTEGER(1), TEXT("K"), INTEGER(7)},           {INTEGER(2), TEXT("K"), INTEGER(7)},
    {INTEGER(3), TEXT("L"), INTEGER(7)},           {INTEGER(4), TEXT("L"), INTEGER(7)},
    {INTEGER(5), TEXT("M"), {.type = VALUE_NULL}}, {INTEGER(6), TEXT("K"), {.type = VALUE_NULL}}};
#define OWN                                                                                        \
    {                                                                                              \
        0x1111111111111111, 8                                                                      \
    }
static const struct reference own_both[] = {{1, {0, 0}, OWN}, {2, {0, 0}, OWN}};
static const struct reference other[] = {{1, {0, 0}, {0x8000000000000001, 299}}, {2, {0, 0}, OWN}};
static struct row_change visit_rows[] = {
    {CHANGE_BORN, OWN, visit[0], 3, all, visit[0], 2, own_both},
    {CHANGE_BORN, OWN, visit[1], 3, all, visit[1], 2, own_both},
    {CHANGE_BORN, OWN, visit[2], 3, all, visit[2], 2, other},
    {CHANGE_UPDATE, {0, 0}, visit[3], 1, all + 1, visit[3] + 1, 1, other},
    {CHANGE_UPDATE, {0, 0}, visit[4], 1, all + 1, visit[4] + 1, 0, NULL},
    {CHANGE_UPDATE, {0, 0}, visit[5], 1, all + 1, visit[5] + 1, 1, own_both},
};
static struct table_changes visits[] = {{"visit", 3, visit_columns, 1, cash_key, 6, visit_rows}};

void fixed_references(struct segment *s)
{
    *s = (struct segment){"1201", 1, visits};
}

static struct kept_birth keep[] = {
    {"household",
     {(const uint8_t *)"\x03\x01"
                       "A",
      3},
     {0x1111111111111111, 5}},
    {"resident", {(const uint8_t *)"\x01\x02", 2}, {0x1111111111111111, 6}},
    {"resident", {(const uint8_t *)"\x01\x04", 2}, {0x8000000000000001, 200}},
};

void fixed_mark(struct mark *m)
{
    *m = (struct mark){0xabcdef, 0x1111111111111111, CLOCK(two), 0x0190000000000002};
}

void fixed_answer(struct answer *m)
{
    *m = (struct answer){0xabcdef, "commune-120104", 0x8000000000000001, 0x0190000000000003};
}

void fixed_stable(struct stable *m)
{
    *m = (struct stable){0xabcdef, 0x1111111111111111, CLOCK(one), 0x0190000000000002, 3, keep};
}

static struct clock_off clocks_off[] = {{"district-1201", -600000}, {"ឃុំ 120104", 315360000000}};

static struct hello fixed_hello(void)
{
    struct hello h = {.protocol = PROTOCOL_VERSION,
                      .session = 0x0102030405060708,
                      .run = 0xfffefdfcfbfaf9f8,
                      .federation = federation,
                      .node = "ឃុំ 120104",
                      .site = 0x8000000000000001,
                      .seq = 300,
                      .received_pos = 1000,
                      .journal_pos = 70000,
                      .clock = CLOCK(two),
                      .charter_version = 3,
                      .schema_version = 12,
                      .software = "tonle 0.1.0",
                      .time_ms = 1790000000000,
                      .credit_bytes = 8388608,
                      .heartbeat_ms = 5000,
                      .wall_ms = 1790000000321,
                      .latest_ms = 1790000300000,
                      .time_sure = true};
    ascending(h.chain, HASH_BYTES, 0x80);
    return h;
}

static struct enrol fixed_enrol(void)
{
    struct enrol n = {.federation = federation,
                      .node = "district-1201",
                      .incarnation = 0x0123456789abcdef,
                      .listen = "tcp://192.0.2.7:7411",
                      .software = "tonle 0.1.0"};
    ascending(n.curve_key, CURVE_KEY_BYTES, 0x20);
    ascending(n.sign_key, SIGN_PUBLIC_BYTES, 0x60);
    uint8_t secret[INVITE_SECRET_BYTES];
    ascending(secret, sizeof secret, 0xc0);
    seal_enrol(&n, secret);
    return n;
}

static struct enrolled fixed_enrolled(void)
{
    struct enrolled n = {.state = ENROL_DONE,
                         .reason = "",
                         .hub_node = "hub",
                         .hub_site = 0x1111111111111111,
                         .node = "kampot"};
    ascending(n.hub_sign_key, SIGN_PUBLIC_BYTES, 0xa0);
    ascending(n.sign_key, SIGN_PUBLIC_BYTES, 0xb0);
    return n;
}

static struct value state_values[] = {INTEGER(1), TEXT("x")};
static const char *state_columns[] = {"id", "name"};
static struct row_state states[] = {
    {{(const uint8_t *)"\x01\x02", 2}, {NULL, 0}, true, 2, state_values},
    {{(const uint8_t *)"\x01\x04", 2}, {(const uint8_t *)"record", 6}, false, 0, NULL},
};

static struct load_chunk fixed_load_chunk(void)
{
    struct load_chunk c = {.request = 9,
                           .table = "resident",
                           .n_columns = 2,
                           .columns = state_columns,
                           .last_key = B("\x01\x04"),
                           .end = true,
                           .rows = 1,
                           .clock = CLOCK(two),
                           .stable = CLOCK(one),
                           .pos = 70001,
                           .hlc = 0x0190000000000004,
                           .n_keep = 3,
                           .keep = keep,
                           .n_states = 2,
                           .states = states};
    ascending(c.digest, HASH_BYTES, 0xc0);
    return c;
}

static const struct digest_leave leave[] = {{B("\x01\x03"), "photo"}, {B("\x01\x04"), "note"}};

static struct digest_request fixed_digest_request(void)
{
    return (struct digest_request){.request = 10,
                                   .table = "resident",
                                   .max_rows = 2000,
                                   .after = {DIGEST_AT_ROWS, B("\x01\x02")},
                                   .upto = {.part = DIGEST_AT_END},
                                   .leave = leave,
                                   .n_leave = 1};
}

static struct digest_reply fixed_digest_reply(void)
{
    struct digest_reply r = {.request = 10,
                             .exists = true,
                             .clock = CLOCK(one),
                             .last = {DIGEST_AT_HELD, B("\x01\x04")},
                             .leave = leave,
                             .n_leave = 2,
                             .sum = {.table = "resident", .rows = 17, .held = 1, .conflicts = 2}};
    ascending(r.sum.digest, HASH_BYTES, 0xd0);
    return r;
}

void fixed_message(enum message_type type, struct message *m)
{
    *m = (struct message){.type = type};
    if (type == MESSAGE_HELLO || type == MESSAGE_WELCOME)
        m->u.hello = fixed_hello();
    if (type == MESSAGE_REFUSAL)
        m->u.refusal =
            (struct refusal){1, REFUSAL_RESTORED, "run: tonle join --as-new-site", 60000};
    if (type == MESSAGE_ITEM)
        m->u.item = (struct item_message){1, 70001, 70000, ITEM_STABLE, B("\x00item")};
    if (type == MESSAGE_ACK)
        m->u.ack = (struct ack){1, 70001, 16777216};
    if (type == MESSAGE_HEARTBEAT)
        m->u.heartbeat = (struct heartbeat){
            1,    1790000000000, 0x8000000000000001, 70001,    CLOCK(two), 3,          2,
            true, 1790000000321, 1790000300000,      86400000, 2,          clocks_off, true};
    if (type == MESSAGE_ENROL)
        m->u.enrol = fixed_enrol();
    if (type == MESSAGE_ENROLLED)
        m->u.enrolled = fixed_enrolled();
    if (type == MESSAGE_LOAD_REQUEST)
        m->u.load_request = (struct load_request){9, "resident", B("\x01\x02"), B(""), 500, false};
    if (type == MESSAGE_LOAD_CHUNK)
        m->u.load_chunk = fixed_load_chunk();
    if (type == MESSAGE_DIGEST_REQUEST)
        m->u.digest_request = fixed_digest_request();
    if (type == MESSAGE_DIGEST_REPLY)
        m->u.digest_reply = fixed_digest_reply();
}
