/* The private keys and the invitation. */
#include "node/config/config.h"
#include "protocol/seal.h"
#include "tests/lib/check.h"
#include "tests/lib/dir.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena arena;
static char dir[256], keys_path[264];

static int start(void **state)
{
    dir_make(dir);
    snprintf(keys_path, sizeof keys_path, "%s/keys", dir);
    return 0;
}

static int stop(void **state)
{
    arena_fini(&arena);
    unlink(keys_path);
    return rmdir(dir); /* fails when a temporary file was left */
}

/* Keys are made once: a second call reads the first one's, and they sign and verify. */
static void keys_are_made_once(void **state)
{
    struct keys made, again, loaded;
    char msg[256] = "";
    uint8_t signature[SIGNATURE_BYTES];
    struct stat st;
    assert_err(keys_load(dir, &loaded, msg), ERR_NOT_FOUND);
    assert_ok(keys_make(dir, &made, msg));
    assert_ok(keys_make(dir, &again, msg));
    assert_ok(keys_load(dir, &loaded, msg));
    assert_memory_equal(&made, &again, sizeof made);
    assert_memory_equal(&made, &loaded, sizeof made);
    assert_int_equal(stat(keys_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    seal_sign("test", "x", 1, made.sign_secret, signature);
    assert_ok(seal_verify("test", "x", 1, loaded.sign_key, signature));
    assert_memory_not_equal(made.sign_seed, made.curve_secret, 32);
}

/* Two directories never have the same keys. */
static void keys_differ_between_nodes(void **state)
{
    struct keys a, b;
    char msg[256];
    assert_ok(keys_make(dir, &a, msg));
    unlink(keys_path);
    assert_ok(keys_make(dir, &b, msg));
    assert_memory_not_equal(a.sign_seed, b.sign_seed, 32);
    assert_memory_not_equal(a.curve_secret, b.curve_secret, 32);
}

/* Keys that others may read are refused, with the remedy. */
static void keys_that_others_may_read_are_refused(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601};
    struct keys k;
    char msg[256];
    assert_ok(keys_make(dir, &k, msg));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(keys_path, modes[i]), 0);
        assert_err(keys_load(dir, &k, msg), ERR_REFUSED);
        assert_non_null(strstr(msg, "chmod 600"));
    }
    assert_int_equal(chmod(keys_path, 0600), 0);
    assert_ok(keys_load(dir, &k, msg));
}

/* A key file that was cut off or changed is never read as other keys, nor replaced. */
static void keys_file_is_whole_or_refused(void **state)
{
    struct keys k;
    char msg[256], text[256] = "";
    assert_ok(keys_make(dir, &k, msg));
    FILE *f = fopen(keys_path, "r");
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_in_range(len, 140, 200);
    for (size_t cut = 0; cut < len; cut += 7) {
        assert_int_equal(truncate(keys_path, 0), 0);
        f = fopen(keys_path, "w");
        fwrite(text, 1, cut, f);
        fclose(f);
        assert_err(keys_make(dir, &k, msg), ERR_CORRUPT);
    }
    f = fopen(keys_path, "w");
    fprintf(f, "%sx", text);
    fclose(f);
    assert_err(keys_load(dir, &k, msg), ERR_CORRUPT);
}

static struct invitation example(void)
{
    struct invitation i = {.federation = "f1",
                           .federation_name = "kh-civil-registry",
                           .node = "kampot",
                           .unit = "07",
                           .parent = "hub",
                           .listen = "",
                           .parent_endpoint = "tcp://hub.example:5700",
                           .hub_node = "hub",
                           .hub_site = 0xfedcba9876543210u,
                           .expires_ms = 1900000000000u};
    memset(i.parent_curve_key, 0x11, sizeof i.parent_curve_key);
    memset(i.hub_sign_key, 0x22, sizeof i.hub_sign_key);
    memset(i.enrol_secret, 0xf3, sizeof i.enrol_secret);
    return i;
}

static char *encoded(const struct invitation *i)
{
    const char *line = NULL;
    assert_ok(invitation_encode(&arena, i, &line));
    return arena_strdup(&arena, line);
}

static void expect_refused(const char *line, const char *wanted)
{
    struct invitation i;
    char msg[256] = "";
    enum err err = invitation_decode(&arena, line, &i, msg);
    if (err != ERR_MALFORMED || !strstr(msg, wanted))
        fail_msg("wanted '%s', got %s '%s'", wanted, err_name(err), msg);
}

/* What is encoded is what is decoded, on one line. */
static void invitation_survives_its_journey(void **state)
{
    struct invitation i = example(), back;
    char msg[256] = "";
    i.node = "ខេត្តកំពត";
    char *line = encoded(&i);
    assert_null(strpbrk(line, " \n\r\t+/="));
    assert_ok(invitation_decode(&arena, line, &back, msg));
    assert_string_equal(back.federation, i.federation);
    assert_string_equal(back.federation_name, i.federation_name);
    assert_string_equal(back.node, i.node);
    assert_string_equal(back.unit, i.unit);
    assert_string_equal(back.parent, i.parent);
    assert_string_equal(back.listen, "");
    assert_string_equal(back.parent_endpoint, i.parent_endpoint);
    assert_string_equal(back.hub_node, i.hub_node);
    assert_true(back.hub_site == i.hub_site);
    assert_true(back.expires_ms == i.expires_ms);
    assert_memory_equal(back.parent_curve_key, i.parent_curve_key, 32);
    assert_memory_equal(back.hub_sign_key, i.hub_sign_key, 32);
    assert_memory_equal(back.enrol_secret, i.enrol_secret, 32);
}

/* White space that a mail program or a shell adds does no harm. */
static void invitation_ignores_white_space(void **state)
{
    struct invitation i = example(), back;
    char msg[256], wrapped[4096];
    char *line = encoded(&i);
    snprintf(wrapped, sizeof wrapped, "\n  %.70s\r\n %s\n", line, line + 70);
    assert_ok(invitation_decode(&arena, wrapped, &back, msg));
    assert_string_equal(back.node, "kampot");
}

/* However it is cut, it is refused and says so. */
static void invitation_cut_off_is_told(void **state)
{
    struct invitation i = example();
    char *line = encoded(&i);
    for (size_t n = strlen(line) - 1; n >= 7; n--) {
        line[n] = '\0';
        expect_refused(line, n == 7 ? "cut off" : "invitation was");
        if (n % 50 == 0)
            expect_refused(line, "cut off");
    }
    line[6] = '\0';
    expect_refused(line, "this is not an invitation");
}

/* Any one character exchanged for any other is found. */
static void invitation_finds_a_wrong_character(void **state)
{
    struct invitation i = example(), back;
    char msg[256];
    char *line = encoded(&i);
    size_t len = strlen(line);
    for (size_t n = 7; n + 1 < len; n++) { /* the last one has bits that mean nothing */
        char was = line[n];
        line[n] = was == 'A' ? 'B' : 'A';
        assert_err(invitation_decode(&arena, line, &back, msg), ERR_MALFORMED);
        line[n] = was;
    }
    assert_ok(invitation_decode(&arena, line, &back, msg));
}

/* What is no invitation is told as that. */
static void invitation_refuses_other_text(void **state)
{
    expect_refused("", "this is not an invitation");
    expect_refused("hello", "this is not an invitation");
    expect_refused("tonle2:AAAA", "this is not an invitation");
    expect_refused("tonle1:", "cut off");
    expect_refused("tonle1:!!!!", "a character that does not belong");
    expect_refused("tonle1:e30", "was changed on its way");  /* {} */
    expect_refused("tonle1:e119", "was changed on its way"); /* {]} */
    expect_refused("tonle1:W119XX0", "invitation was");      /* [{}]} */
    char *big = malloc(40000);
    memset(big, 'A', 39999);
    memcpy(big, "tonle1:", 7);
    big[39999] = '\0';
    expect_refused(big, "too long");
    free(big);
}

/* Parts that are missing or unfit are named, also behind a check that fits. */
static void invitation_names_an_unfit_part(void **state)
{
    struct invitation i = example();
    i.unit = "123";
    expect_refused(encoded(&i), "'unit' is missing or unfit");
    i = example();
    i.node = "";
    expect_refused(encoded(&i), "'node' is missing or unfit");
    i = example();
    i.parent_endpoint = "tcp://x\n";
    expect_refused(encoded(&i), "'parent_endpoint' is missing or unfit");
    i = example();
    i.expires_ms = 0;
    expect_refused(encoded(&i), "'expires_ms' is missing or unfit");
    i = example();
    i.hub_node = NULL;
    const char *line = NULL;
    assert_err(invitation_encode(&arena, &i, &line), ERR_MALFORMED);
}

/* An expired invitation says when it expired; one millisecond earlier it is good. */
static void invitation_tells_its_end(void **state)
{
    struct invitation i = example();
    char msg[256] = "";
    assert_ok(invitation_check_time(&i, i.expires_ms, msg));
    assert_err(invitation_check_time(&i, i.expires_ms + 1, msg), ERR_REFUSED);
    assert_non_null(strstr(msg, "expired on 2030-03-17 17:46 UTC"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_are_made_once),
        TEST(keys_differ_between_nodes),
        TEST(keys_that_others_may_read_are_refused),
        TEST(keys_file_is_whole_or_refused),
        TEST(invitation_survives_its_journey),
        TEST(invitation_ignores_white_space),
        TEST(invitation_cut_off_is_told),
        TEST(invitation_finds_a_wrong_character),
        TEST(invitation_refuses_other_text),
        TEST(invitation_names_an_unfit_part),
        TEST(invitation_tells_its_end),
    };
    if (seal_start())
        return 1;
    return check_run(tests);
}
