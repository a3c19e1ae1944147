/* The state directory: node.yaml, the lock, the record outside the database.
 *
 * identity, 32 bytes, rewritten in place (one sector; torn or missing means nothing):
 *
 *   0  8  "tonleid1"
 *   8  8  site, big-endian
 *  16  8  seq, big-endian
 *  24  8  FNV-1a of the 24 bytes before
 *
 * The lock is an open-file-description lock: like flock it goes with its descriptor, and unlike
 * flock it can be asked for without being taken, so `tonle status` never stands in the way of a
 * node that starts.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "node/config/config.h"

#include "conflict/value.h"
#include "node/file/hex.h"
#include "node/file/write.h"
#include "node/file/yaml.h"
#include "protocol/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_FILE "node.yaml"
#define CONFIG_MAX_BYTES 65536
#define KEY_HEX (2 * CURVE_KEY_BYTES)

static enum err failed(const char *what, const char *path, char msg[256])
{
    snprintf(msg, 256, "%.160s: %s: %s", path, what, strerror(errno));
    return errno == ENOSPC ? ERR_FULL : ERR_IO;
}

const char *config_dir(const char *flag)
{
    if (flag && flag[0])
        return flag;
    const char *env = getenv("TONLE_DIR");
    return env && env[0] ? env : "/var/lib/tonle";
}

enum err config_make_dir(const char *dir, char msg[256])
{
    char path[CONFIG_PATH_BYTES];
    struct stat st;
    enum err err = config_path(path, dir, "", msg);
    if (err)
        return err;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return failed("cannot be made", path, msg);
        *slash = '/';
    }
    if (stat(dir, &st) != 0)
        return failed("cannot be used", dir, msg);
    if (S_ISDIR(st.st_mode))
        return ERR_OK;
    snprintf(msg, 256, "%.160s: is not a directory; name another with --dir", dir);
    return ERR_IO;
}

/* ---- node.yaml */

/* As the file has it. NULL: not given. */
struct config_text {
    char *db, *listen, *parent, *parent_key;
    uint64_t batch_ms, batch_max_ms, heartbeat_ms, mark_ms;
};

static const cyaml_schema_field_t config_fields[] = {
    CYAML_FIELD_STRING_PTR("db", CYAML_FLAG_DEFAULT, struct config_text, db, 1, LIMIT_TEXT_BYTES),
    CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_OPTIONAL, struct config_text, listen, 0,
                           LIMIT_TEXT_BYTES),
    CYAML_FIELD_STRING_PTR("parent", CYAML_FLAG_OPTIONAL, struct config_text, parent, 0,
                           LIMIT_TEXT_BYTES),
    CYAML_FIELD_STRING_PTR("parent_key", CYAML_FLAG_OPTIONAL, struct config_text, parent_key, 0,
                           KEY_HEX),
    CYAML_FIELD_UINT("batch_ms", CYAML_FLAG_OPTIONAL, struct config_text, batch_ms),
    CYAML_FIELD_UINT("batch_max_ms", CYAML_FLAG_OPTIONAL, struct config_text, batch_max_ms),
    CYAML_FIELD_UINT("heartbeat_ms", CYAML_FLAG_OPTIONAL, struct config_text, heartbeat_ms),
    CYAML_FIELD_UINT("mark_ms", CYAML_FLAG_OPTIONAL, struct config_text, mark_ms),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_text, config_fields),
};

/* A number of milliseconds with its default and its bounds. */
static bool take_ms(const struct yaml_lines *l, const char *key, uint64_t given, uint32_t otherwise,
                    uint32_t least, uint32_t *out, char msg[1024])
{
    *out = otherwise;
    if (!charter_yaml_has(l, key))
        return true;
    if (given < least || given > 600000) {
        charter_yaml_report(msg, l->file, charter_yaml_line(l, key),
                            "%s must be between %u and 600000 (milliseconds)", key, least);
        return false;
    }
    *out = (uint32_t)given;
    return true;
}

static bool take_parent(const struct yaml_lines *l, const struct config_text *t, struct config *out,
                        char msg[1024])
{
    const char *key = t->parent_key ? t->parent_key : "";
    out->parent_endpoint = t->parent ? t->parent : "";
    if ((out->parent_endpoint[0] != '\0') != (key[0] != '\0')) {
        charter_yaml_report(msg, l->file, charter_yaml_line(l, "parent"),
                            "parent and parent_key go together; give both or none");
        return false;
    }
    if (key[0] == '\0' || hex_read(key, out->parent_curve_key, CURVE_KEY_BYTES))
        return true;
    charter_yaml_report(msg, l->file, charter_yaml_line(l, "parent_key"),
                        "parent_key must be %d hexadecimal digits", KEY_HEX);
    return false;
}

static enum err take_config(const struct yaml_lines *l, const struct config_text *t,
                            struct config *out, char msg[1024])
{
    bool fits = true;
    memset(out, 0, sizeof *out);
    out->db = t->db;
    out->listen = t->listen ? t->listen : "";
    fits &= take_parent(l, t, out, msg);
    fits &= take_ms(l, "batch_ms", t->batch_ms, 10, 0, &out->batch_ms, msg);
    fits &= take_ms(l, "batch_max_ms", t->batch_max_ms, 100, 0, &out->batch_max_ms, msg);
    fits &= take_ms(l, "heartbeat_ms", t->heartbeat_ms, 2000, 10, &out->heartbeat_ms, msg);
    fits &= take_ms(l, "mark_ms", t->mark_ms, 1000, 0, &out->mark_ms, msg);
    if (fits && out->batch_max_ms < out->batch_ms) {
        charter_yaml_report(msg, l->file, charter_yaml_line(l, "batch_ms"),
                            "batch_ms (%u) is more than batch_max_ms (%u)", out->batch_ms,
                            out->batch_max_ms);
        fits = false;
    }
    return fits ? ERR_OK : ERR_MALFORMED;
}

enum err config_load(struct arena *a, const char *dir, struct config *out, char msg[1024])
{
    char path[CONFIG_PATH_BYTES], small[256] = "";
    const char *text = NULL;
    size_t len = 0;
    void *bound = NULL;
    const struct yaml_lines *lines = NULL;
    enum err err = config_path(path, dir, CONFIG_FILE, small);
    if (err) {
        snprintf(msg, 1024, "%s", small);
        return err;
    }
    err = charter_yaml_read_file(a, path, CONFIG_MAX_BYTES, &text, &len, msg);
    if (err == ERR_NOT_FOUND)
        snprintf(msg, 1024,
                 "%.600s: not the directory of a node (it has no node.yaml); make one with "
                 "'tonle hub init' or 'tonle join', or name another with --dir",
                 dir);
    if (err)
        return err;
    err = charter_yaml_load(a, path, text, len, &config_schema, &bound, &lines, msg);
    return err ? err : take_config(lines, bound, out, msg);
}

/* libcyaml leaves out what is NULL. */
static char *given(const char *s)
{
    return s && s[0] ? (char *)s : NULL;
}

enum err config_save(const char *dir, const struct config *c, char msg[256])
{
    static const char head[] = "# This office's settings. The node reads them when it starts.\n";
    static const uint8_t none[CURVE_KEY_BYTES] = {0};
    char key[KEY_HEX + 1] = "", *yaml = NULL;
    size_t len = 0;
    if (memcmp(c->parent_curve_key, none, sizeof none) != 0)
        hex_write(key, c->parent_curve_key, CURVE_KEY_BYTES);
    struct config_text text = {.db = (char *)c->db,
                               .listen = given(c->listen),
                               .parent = given(c->parent_endpoint),
                               .parent_key = given(key),
                               .batch_ms = c->batch_ms,
                               .batch_max_ms = c->batch_max_ms,
                               .heartbeat_ms = c->heartbeat_ms,
                               .mark_ms = c->mark_ms};
    cyaml_config_t config = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_STYLE_BLOCK};
    cyaml_err_t e = cyaml_save_data(&yaml, &len, &config, &config_schema, &text, 0);
    if (e != CYAML_OK) {
        snprintf(msg, 256, "node.yaml cannot be made: %s (a path must be UTF-8)",
                 cyaml_strerror(e));
        return ERR_MALFORMED;
    }
    struct buf all = {0};
    buf_put(&all, head, sizeof head - 1);
    buf_put(&all, yaml, len);
    free(yaml);
    enum err err = config_write_file(dir, CONFIG_FILE, all.data, all.len, false, msg);
    buf_fini(&all);
    return err;
}

const char *config_db_path(struct arena *a, const char *dir, const struct config *c)
{
    if (c->db[0] == '/')
        return c->db;
    size_t n = strlen(dir) + strlen(c->db) + 2;
    char *path = arena_alloc(a, n);
    snprintf(path, n, "%s/%s", dir, c->db);
    return path;
}

/* ---- the record outside the database */

#define IDENTITY_BYTES 32
static const char identity_magic[8] = {'t', 'o', 'n', 'l', 'e', 'i', 'd', '1'};

static void put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static void identity_from(int fd, struct identity_record *last)
{
    uint8_t b[IDENTITY_BYTES];
    if (pread(fd, b, sizeof b, 0) == IDENTITY_BYTES && memcmp(b, identity_magic, 8) == 0 &&
        get_u64(b + 24) == bytes_hash(VALUE_HASH_SEED, b, 24)) {
        last->site = get_u64(b + 8);
        last->seq = get_u64(b + 16);
    }
}

void identity_read(const char *dir, struct identity_record *last)
{
    char path[CONFIG_PATH_BYTES], msg[256];
    memset(last, 0, sizeof *last);
    if (config_path(path, dir, "identity", msg) != ERR_OK)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    identity_from(fd, last);
    close(fd);
}

enum err identity_open(const char *dir, struct identity_file *f, struct identity_record *last,
                       char msg[256])
{
    char path[CONFIG_PATH_BYTES];
    memset(last, 0, sizeof *last);
    f->fd = -1;
    enum err err = config_path(path, dir, "identity", msg);
    if (err)
        return err;
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (f->fd < 0)
        return failed("cannot be opened", path, msg);
    identity_from(f->fd, last);
    return ERR_OK;
}

void identity_write(struct identity_file *f, const struct identity_record *r)
{
    uint8_t b[IDENTITY_BYTES];
    memcpy(b, identity_magic, 8);
    put_u64(b + 8, r->site);
    put_u64(b + 16, r->seq);
    put_u64(b + 24, bytes_hash(VALUE_HASH_SEED, b, 24));
    /* A record that cannot be written is an old record: the worst it does is to miss a restored
     * copy that the parent finds at the next hello. */
    ssize_t ignored = pwrite(f->fd, b, sizeof b, 0);
    (void)ignored;
}

void identity_close(struct identity_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

/* ---- the last end: one line of text, blanks to the end of the block */

void last_exit_read(const char *dir, char text[LAST_EXIT_BYTES])
{
    char path[CONFIG_PATH_BYTES], msg[256];
    text[0] = '\0';
    int fd = config_path(path, dir, "last_exit", msg) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, LAST_EXIT_BYTES - 1) : 0;
    if (fd >= 0)
        close(fd);
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\n'))
        n--;
    text[n > 0 ? n : 0] = '\0';
}

void last_exit_write(const char *dir, const char *text)
{
    char path[CONFIG_PATH_BYTES], msg[256], block[LAST_EXIT_BYTES];
    memset(block, ' ', sizeof block);
    size_t len = strlen(text);
    memcpy(block, text, len < sizeof block - 2 ? len : sizeof block - 2);
    block[sizeof block - 1] = '\n';
    if (config_path(path, dir, "last_exit", msg) != ERR_OK)
        return;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    ssize_t written = pwrite(fd, block, sizeof block, 0);
    (void)written; /* nothing else can be done */
    close(fd);
}

/* ---- the lock */

enum err lock_take(const char *dir, int *fd, char msg[256])
{
    char path[CONFIG_PATH_BYTES];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    *fd = -1;
    enum err err = config_path(path, dir, "lock", msg);
    if (err)
        return err;
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0)
        return failed("cannot be opened", path, msg);
    if (fcntl(opened, F_OFD_SETLK, &whole) == 0) {
        *fd = opened;
        return ERR_OK;
    }
    if (errno == EAGAIN || errno == EACCES) {
        snprintf(msg, 256, "another process holds %.160s: a node is running on this directory",
                 path);
        err = ERR_BUSY;
    } else {
        err = failed("cannot be locked", path, msg);
    }
    close(opened);
    return err;
}

void lock_release(int fd)
{
    if (fd >= 0)
        close(fd);
}

enum err lock_name(const char *dir, char out[CONFIG_NAME_BYTES], char msg[256])
{
    char *real = realpath(dir, NULL);
    if (!real)
        return failed("cannot be used", dir, msg);
    snprintf(out, CONFIG_NAME_BYTES, "%s/lock", real);
    free(real);
    return ERR_OK;
}

static bool is_held(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &whole) != 0 || whole.l_type != F_UNLCK;
}

enum lock_holder lock_look(const char *name, int fd)
{
    struct stat theirs, ours;
    int opened = open(name, O_RDONLY | O_CLOEXEC);
    if (opened < 0)
        return errno == ENOENT || errno == ENOTDIR ? LOCK_NOBODYS : LOCK_UNKNOWN;
    enum lock_holder who = is_held(opened) ? LOCK_ANOTHERS : LOCK_NOBODYS;
    if (fstat(opened, &theirs) == 0 && fstat(fd, &ours) == 0 && theirs.st_dev == ours.st_dev &&
        theirs.st_ino == ours.st_ino)
        who = LOCK_OURS;
    close(opened);
    return who;
}
