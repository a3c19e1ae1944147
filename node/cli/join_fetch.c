#define _GNU_SOURCE /* mkostemp */
#include "node/cli/join.h"

#include "protocol/codec.h"
#include "protocol/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRY_MS 500     /* one attempt to reach the parent */
#define ADMIT_MS 15000 /* from the hub's word to the parent's */
#define CHUNK_MS 30000 /* a parent that gives no chunk for so long is not there */

static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms); /* Ctrl-C ends it and the program: nothing is half done */
}

/* ---- the line to the parent */

static int dial(struct join_session *j, bool invited)
{
    char msg[256] = "";
    join_close(j->line);
    j->line = NULL;
    enum err e = join_open(&j->line, j->invitation.parent_endpoint, j->invitation.parent_curve_key,
                           invited ? j->enrol_key : j->keys.curve_key,
                           invited ? j->enrol_secret : j->keys.curve_secret, msg);
    return e == ERR_OK ? CLI_OK
                       : cli_fail(CLI_ERROR, "the invitation's endpoint %s is not usable: %s",
                                  j->invitation.parent_endpoint, msg);
}

static enum err send_message(struct join_session *j, const struct message *m, uint32_t timeout_ms)
{
    char msg[256] = "";
    struct buf b = {0};
    codec_encode(m, NULL, &b);
    enum err e = join_send(j->line, b.data, b.len, timeout_ms, msg);
    buf_fini(&b);
    return e;
}

/* One message of the parent. Its bytes live in the arena. */
static enum err receive_message(struct join_session *j, struct arena *a, uint32_t timeout_ms,
                                struct message *m, struct bytes *raw)
{
    char msg[256] = "";
    struct buf b = {0};
    struct bytes body, signature;
    enum err e = join_receive(j->line, timeout_ms, &b, msg);
    if (e == ERR_OK) {
        raw->p = arena_copy(a, b.data, b.len);
        raw->len = b.len;
        e = codec_decode(a, raw->p, raw->len, m, &body, &signature);
    }
    buf_fini(&b);
    return e;
}

/* ---- enrolment */

static void enrol_message(struct join_session *j, struct message *m)
{
    *m = (struct message){.type = MESSAGE_ENROL};
    m->u.enrol = (struct enrol){.federation = j->invitation.federation,
                                .node = j->invitation.node,
                                .incarnation = j->incarnation,
                                .listen = j->listen,
                                .software = "tonle " TONLE_VERSION};
    memcpy(m->u.enrol.curve_key, j->keys.curve_key, CURVE_KEY_BYTES);
    memcpy(m->u.enrol.sign_key, j->keys.sign_key, SIGN_PUBLIC_BYTES);
}

/* What came back; CLI_TEMPORARY: not yet, ask again. */
static int judge_enrolled(const struct join_session *j, const struct message *m)
{
    if (m->type == MESSAGE_REFUSAL)
        return cli_fail(CLI_REFUSED, "%s refuses: %s", j->invitation.parent, m->u.refusal.reason);
    if (m->type != MESSAGE_ENROLLED || m->u.enrolled.state == ENROL_PENDING)
        return CLI_TEMPORARY;
    const struct enrolled *r = &m->u.enrolled;
    if (r->state == ENROL_REFUSED)
        return cli_fail(CLI_REFUSED, "the hub refuses: %s", r->reason);
    if (r->hub_site != j->invitation.hub_site ||
        memcmp(r->hub_sign_key, j->invitation.hub_sign_key, SIGN_PUBLIC_BYTES) != 0)
        return cli_fail(CLI_REFUSED,
                        "the hub that answered at %s is not the one that signed this invitation; "
                        "nothing was changed. "
                        "Ask the administrator for a new invitation",
                        j->invitation.parent_endpoint);
    return CLI_OK;
}

/* Whether the parent takes our own key: an earlier join got as far as that. */
static bool enrolled_before(struct join_session *j)
{
    struct arena a = {0};
    struct bytes raw;
    struct message ask = {.type = MESSAGE_LOAD_REQUEST}, reply;
    ask.u.load_request = (struct load_request){.table = "tonle_node", .max_rows = 1};
    bool yes = dial(j, false) == CLI_OK && send_message(j, &ask, TRY_MS * 4) == ERR_OK &&
               receive_message(j, &a, TRY_MS * 4, &reply, &raw) == ERR_OK &&
               reply.type == MESSAGE_LOAD_CHUNK;
    arena_fini(&a);
    return yes;
}

static int enrol_once(struct join_session *j, enum err *e)
{
    struct arena a = {0};
    struct bytes raw;
    struct message m, reply;
    enrol_message(j, &m);
    *e = send_message(j, &m, TRY_MS);
    if (*e == ERR_OK)
        *e = receive_message(j, &a, TRY_MS, &reply, &raw);
    int code = *e == ERR_OK ? judge_enrolled(j, &reply) : CLI_TEMPORARY;
    arena_fini(&a);
    return code;
}

int join_enrol(struct join_session *j)
{
    uint64_t deadline = cli_mono_ms() + JOIN_REACH_MS;
    bool at_hub = strcmp(j->invitation.parent, j->invitation.hub_node) == 0, answered = false;
    enum err e = ERR_OK;
    int code = dial(j, true);
    while (code == CLI_OK && cli_mono_ms() < deadline) {
        uint64_t began = cli_mono_ms();
        code = enrol_once(j, &e);
        if (code != CLI_TEMPORARY)
            return code;
        answered = answered || e == ERR_OK;
        if (e == ERR_REFUSED) { /* the parent does not know the invitation's key: used up, or not
                                   known there yet */
            if (enrolled_before(j))
                return CLI_OK;
            if (at_hub)
                break;
            pause_ms(TRY_MS);
        }
        code = e == ERR_OK || e == ERR_BUSY ? CLI_OK : dial(j, true);
        if (cli_mono_ms() < began + TRY_MS)
            pause_ms((int)(began + TRY_MS - cli_mono_ms()));
    }
    if (code != CLI_OK && code != CLI_TEMPORARY)
        return code;
    char expired[256]; /* by this machine's clock: only worth saying once the parent has refused */
    if (e == ERR_REFUSED && invitation_check_time(&j->invitation, cli_now_ms(), expired) != ERR_OK)
        return cli_fail(CLI_REFUSED, "%s does not accept this invitation: %s", j->invitation.parent,
                        expired);
    if (e == ERR_REFUSED)
        return cli_fail(CLI_REFUSED,
                        "%s does not accept this invitation: it is used up, expired or withdrawn, "
                        "or meant for another "
                        "machine's keys. Ask the administrator for a new one (`tonle node add`)",
                        j->invitation.parent);
    return cli_fail(
        CLI_TEMPORARY,
        answered ? "%s was reached but has no answer of the hub yet; run the same command again"
                 : "%s could not be reached within 30 s; nothing was changed but the keys made. "
                   "Check the "
                   "line, then run the same command again",
        j->invitation.parent_endpoint);
}

/* ---- the spool */

static enum err write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno != EINTR)
            return errno == ENOSPC ? ERR_FULL : ERR_IO;
        if (done > 0) {
            at += done;
            n -= (size_t)done;
        }
    }
    return ERR_OK;
}

static enum err spool_put(struct join_session *j, struct bytes raw)
{
    uint64_t len = raw.len;
    enum err e = write_all(j->spool, &len, sizeof len);
    return e == ERR_OK ? write_all(j->spool, raw.p, raw.len) : e;
}

static enum err spool_read(int fd, uint64_t offset, void *p, size_t n)
{
    char *at = p;
    while (n > 0) {
        ssize_t got = pread(fd, at, n, (off_t)offset);
        if (got == 0)
            return ERR_NOT_FOUND;
        if (got < 0 && errno != EINTR)
            return ERR_IO;
        if (got > 0) {
            at += got;
            offset += (uint64_t)got;
            n -= (size_t)got;
        }
    }
    return ERR_OK;
}

enum err join_spool_next(struct join_session *j, struct arena *a, uint64_t *offset,
                         struct load_chunk *out)
{
    uint64_t len;
    struct message m;
    struct bytes body, signature;
    enum err e = spool_read(j->spool, *offset, &len, sizeof len);
    if (e != ERR_OK)
        return e;
    uint8_t *p = arena_alloc(a, len);
    e = spool_read(j->spool, *offset + sizeof len, p, len);
    if (e == ERR_OK)
        e = codec_decode(a, p, len, &m, &body, &signature);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? ERR_IO : e;
    *offset += sizeof len + len;
    *out = m.u.load_chunk;
    return ERR_OK;
}

/* ---- chunks */

static int fetch_fail(const struct join_session *j, enum err e, const char *table)
{
    switch (e) {
    case ERR_REFUSED:
        return cli_fail(CLI_REFUSED,
                        "%s does not accept this office's key: run the same command again; when it "
                        "stays so, ask the "
                        "administrator for a new invitation",
                        j->invitation.parent);
    case ERR_BUSY:
        return cli_fail(CLI_TEMPORARY,
                        "the line to %s went down while loading %s; nothing was changed, run the "
                        "same command again",
                        j->invitation.parent_endpoint, table);
    case ERR_FULL:
    case ERR_IO:
        return cli_fail(CLI_ERROR,
                        "what was fetched could not be kept in the state directory (%s): free some "
                        "disk, then run the "
                        "same command again",
                        e == ERR_FULL ? "disk full" : strerror(errno));
    case ERR_LIMIT:
        return cli_fail(CLI_ERROR,
                        "%s has a row of %s that is too large to be sent: `tonle doctor` there "
                        "names it; run the same command again when it has been made smaller",
                        j->invitation.parent, table);
    default:
        return cli_fail(
            CLI_ERROR,
            "%s sent something for %s that makes no sense (%s): is it of the same version?",
            j->invitation.parent, table, err_name(e));
    }
}

/* Asks until the chunk with this request number has come. */
static enum err fetch_chunk(struct join_session *j, struct arena *a,
                            const struct load_request *request, struct load_chunk *out,
                            struct bytes *raw)
{
    uint64_t deadline = cli_mono_ms() + CHUNK_MS;
    struct message ask = {.type = MESSAGE_LOAD_REQUEST}, reply;
    ask.u.load_request = *request;
    enum err e = send_message(j, &ask, CHUNK_MS);
    while (e == ERR_OK) {
        uint64_t now = cli_mono_ms();
        if (now >= deadline)
            return ERR_BUSY;
        e = receive_message(j, a, (uint32_t)(deadline - now), &reply, raw);
        if (e == ERR_OK && reply.type == MESSAGE_REFUSAL)
            return ERR_BUSY;
        if (e == ERR_OK && reply.type == MESSAGE_LOAD_CHUNK &&
            reply.u.load_chunk.request == request->request) {
            *out = reply.u.load_chunk;
            return strcmp(out->table, request->table) == 0 ? ERR_OK : ERR_MALFORMED;
        }
    }
    return e;
}

static void show_progress(const struct join_session *j, const char *table, uint64_t rows)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[Kloading %s: %llu rows (%llu in all)", table,
                (unsigned long long)rows, (unsigned long long)j->rows);
}

/* A whole table into the spool. */
static int fetch_table(struct join_session *j, const char *table, uint64_t *request)
{
    struct arena a[2] = {
        {0}, {0}}; /* this chunk's, and the one that holds the key after which it begins */
    struct load_request ask = {.table = table, .max_rows = LIMIT_CHUNK_ROWS};
    struct load_chunk chunk = {0};
    uint64_t rows = 0;
    enum err e = ERR_OK;
    for (unsigned turn = 0; e == ERR_OK && !chunk.end; turn ^= 1) {
        struct bytes raw;
        arena_reset(&a[turn]);
        ask.request = ++*request;
        e = fetch_chunk(j, &a[turn], &ask, &chunk, &raw);
        if (e == ERR_OK)
            e = spool_put(j, raw);
        if (e == ERR_OK && !chunk.end && chunk.last_key.len == 0)
            e = ERR_MALFORMED; /* it would begin anew for ever */
        if (e != ERR_OK)
            break;
        ask.after = chunk.last_key;
        rows += chunk.rows;
        j->rows += chunk.rows;
        show_progress(j, table, rows);
    }
    arena_fini(&a[0]);
    arena_fini(&a[1]);
    return e == ERR_OK ? CLI_OK : fetch_fail(j, e, table);
}

/* ---- the registry that was fetched */

static const struct value *chunk_value(const struct load_chunk *chunk, const struct row_state *row,
                                       const char *column)
{
    static const struct value null = {0};
    for (uint32_t i = 0; i < chunk->n_columns && i < row->n_values; i++)
        if (strcmp(chunk->columns[i], column) == 0)
            return &row->values[i];
    return &null;
}

static const char *chunk_text(struct cli *c, const struct load_chunk *chunk,
                              const struct row_state *row, const char *column)
{
    const struct value *v = chunk_value(chunk, row, column);
    if (v->type == VALUE_INTEGER)
        return cli_printf(c, "%lld", (long long)v->u.i);
    return v->type == VALUE_TEXT ? cli_printf(c, "%.*s", (int)v->len, (const char *)v->u.p) : "";
}

static bool is_hex_of(const char *hex, const uint8_t *p, size_t n)
{
    char digits[3];
    for (size_t i = 0; i < n; i++) {
        snprintf(digits, sizeof digits, "%02x", p[i]);
        if (strncmp(hex + i * 2, digits, 2) != 0)
            return false;
    }
    return hex[n * 2] == '\0';
}

struct fetched_registry { /* what the internal tables say of us and of the hub */
    const char *site;
    bool own_key, hub_key;
    uint64_t version;
};

static void read_node(struct cli *c, struct join_session *j, const struct load_chunk *chunk,
                      const struct row_state *row, struct fetched_registry *r)
{
    if (strcmp(chunk_text(c, chunk, row, "name"), j->invitation.node) != 0)
        return;
    r->site = chunk_text(c, chunk, row, "site");
    j->own_listen = chunk_text(c, chunk, row, "listen");
    j->site = strtoull(r->site, NULL, 16);
}

static void read_site(struct cli *c, const struct join_session *j, const struct load_chunk *chunk,
                      const struct row_state *row, struct fetched_registry *r)
{
    const char *site = chunk_text(c, chunk, row, "site"),
               *key = chunk_text(c, chunk, row, "sign_key");
    uint64_t number = strtoull(site, NULL, 16);
    if (strcmp(site, r->site) == 0)
        r->own_key = is_hex_of(key, j->keys.sign_key, SIGN_PUBLIC_BYTES);
    if (number == j->invitation.hub_site)
        r->hub_key = is_hex_of(key, j->invitation.hub_sign_key, SIGN_PUBLIC_BYTES);
}

static void read_charter(struct cli *c, struct join_session *j, const struct load_chunk *chunk,
                         const struct row_state *row, struct fetched_registry *r)
{
    uint64_t version = strtoull(chunk_text(c, chunk, row, "version"), NULL, 10);
    if (version < r->version)
        return;
    r->version = version;
    j->compiled = chunk_text(c, chunk, row, "compiled");
}

static int check_registry(struct cli *c, struct join_session *j)
{
    struct arena a = {0};
    struct load_chunk chunk;
    struct fetched_registry r = {.site = ""};
    uint64_t offset = 0;
    enum err e;
    while ((e = join_spool_next(j, &a, &offset, &chunk)) == ERR_OK) {
        for (uint32_t i = 0; i < chunk.n_states; i++) {
            if (strcmp(chunk.table, "tonle_node") == 0)
                read_node(c, j, &chunk, &chunk.states[i], &r);
            else if (strcmp(chunk.table, "tonle_site") == 0)
                read_site(c, j, &chunk, &chunk.states[i], &r);
            else if (strcmp(chunk.table, "tonle_charter") == 0)
                read_charter(c, j, &chunk, &chunk.states[i], &r);
        }
        arena_reset(&a);
    }
    arena_fini(&a);
    if (e != ERR_NOT_FOUND)
        return fetch_fail(j, e, "the registry");
    if (!r.hub_key)
        return cli_fail(CLI_REFUSED,
                        "the registry that %s sent names another hub than this invitation; nothing "
                        "was changed. Ask the "
                        "administrator",
                        j->invitation.parent);
    if (!r.own_key)
        return cli_fail(CLI_REFUSED,
                        "the registry does not name this machine's key for %s: the invitation was "
                        "used on another machine. "
                        "Ask the administrator for a new one",
                        j->invitation.node);
    return j->compiled
               ? CLI_OK
               : cli_fail(CLI_TEMPORARY, "%s has no charter yet; run the same command again",
                          j->invitation.parent);
}

static int open_spool(struct cli *c, struct join_session *j)
{
    char *path = mem_strdup(cli_printf(c, "%s/join.XXXXXX", c->dir));
    j->spool = mkostemp(path, O_CLOEXEC);
    if (j->spool >= 0)
        unlink(path);
    mem_free(path);
    return j->spool >= 0
               ? CLI_OK
               : cli_fail(CLI_ERROR, "%s cannot be written to: %s", c->dir, strerror(errno));
}

/* The hub has taken our keys; the parent lets them in once the registry has come down to it. */
static int dial_enrolled(struct join_session *j)
{
    uint64_t deadline = cli_mono_ms() + ADMIT_MS;
    while (!enrolled_before(j)) {
        if (cli_mono_ms() >= deadline)
            return cli_fail(
                CLI_TEMPORARY,
                "the hub has enrolled this office, but %s does not let it in yet; run the same "
                "command again",
                j->invitation.parent);
        pause_ms(TRY_MS / 5);
    }
    return CLI_OK;
}

int join_fetch_registry(struct cli *c, struct join_session *j)
{
    static const char *const internal[JOIN_INTERNAL] = {"tonle_node", "tonle_site", "tonle_charter",
                                                        "tonle_decision"};
    uint64_t request = 0;
    int code = open_spool(c, j);
    if (code == CLI_OK)
        code = dial_enrolled(j);
    for (int i = 0; code == CLI_OK && i < JOIN_INTERNAL; i++)
        code = fetch_table(j, internal[i], &request);
    if (code != CLI_OK)
        return code;
    j->internal_end = (uint64_t)lseek(j->spool, 0, SEEK_CUR);
    return check_registry(c, j);
}

int join_fetch_tables(struct cli *c, struct join_session *j)
{
    uint64_t request = 1000; /* beyond those of the registry */
    struct charter charter;
    char msg[CHARTER_MSG_BYTES];
    int code = CLI_OK;
    j->rows = 0;
    if (charter_read(&c->arena, j->compiled, strlen(j->compiled), &charter, msg) != ERR_OK)
        return cli_fail(CLI_ERROR, "%s", msg);
    for (unsigned i = 0; code == CLI_OK && i < charter.n_tables; i++)
        code = fetch_table(j, charter.tables[i].name, &request);
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
    return code;
}
