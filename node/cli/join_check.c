/* join_check.c - what could stop a join here, on this machine, is tried before the invitation is
 * used: the database (opened, its tables made and rolled back), room on the disks, the endpoint. */
#include "node/cli/join.h"

#include "node/file/write.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libgen.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for the tables of a small federation; more is not known before it has been fetched. */
#define ROOM_BYTES (4u << 20)

/* As the join will: everything of ours is made, and rolled back. */
static enum err rehearse(struct store *s, const struct join_session *j)
{
    struct store_identity id = join_identity(&j->invitation, j->invitation.hub_site);
    enum err e = store_begin(s);
    if (e == ERR_OK && j->mode != LOAD_EMPTY && store_remains(s))
        e = store_clear(s);
    if (e == ERR_OK)
        e = store_create(s, &id);
    return e;
}

static int check_database(const struct join_session *j)
{
    struct store *s = NULL;
    struct store_options so = {.path = j->db, .busy_ms = CLI_BUSY_MS};
    char msg[256] = "";
    if (access(j->db, F_OK) != 0)
        return CLI_OK;
    enum err e = store_open(&s, &so, msg);
    if (e != ERR_OK)
        return cli_fail(cli_exit_of(e), "the database %s cannot be opened: %s", j->db, msg);
    int code = CLI_OK;
    if (store_is_ready(s))
        code = cli_fail(CLI_ERROR,
                        "the database %s has joined the federation \"%s\" already, as %s: start it "
                        "with `tonle run`",
                        j->db, store_identity_get(s)->federation_name, store_identity_get(s)->node);
    e = code == CLI_OK ? rehearse(s, j) : ERR_OK;
    if (e != ERR_OK)
        code = cli_store_fail(e, store_message(s), "making this office's tables in the database");
    store_close(s); /* which rolls back */
    return code;
}

/* The old database is kept beside the new one. */
static int check_room(const struct join_session *j)
{
    char msg[256] = "";
    struct stat st;
    uint64_t copy = j->mode != LOAD_EMPTY && stat(j->db, &st) == 0 ? (uint64_t)st.st_size : 0;
    const char *dir = dirname(arena_strdup(&j->cli->arena, j->db));
    enum err e = file_room(j->cli->dir, ROOM_BYTES, msg);
    if (e == ERR_OK)
        e = file_room(dir, ROOM_BYTES + copy, msg);
    if (e == ERR_OK)
        return CLI_OK;
    return cli_fail(cli_exit_of(e), "%s; nothing was changed, and the invitation is not used", msg);
}

/* Bound for a moment, as libzmq will bind it. */
static int try_endpoint(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    int one = 1, fault = 0;
    if (getaddrinfo(strcmp(host, "*") == 0 ? "0.0.0.0" : host, port, &hints, &found) != 0)
        return EADDRNOTAVAIL;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 1))
        fault = errno;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    return fault;
}

static int check_listen(const struct join_session *j)
{
    if (j->listen[0] == '\0')
        return CLI_OK;
    char *host = arena_strdup(&j->cli->arena, j->listen + strlen("tcp://"));
    char *port = strrchr(host, ':');
    *port++ = '\0';
    if (host[0] == '[') {
        host[strcspn(host, "]")] = '\0';
        host++;
    }
    int fault = try_endpoint(host, port);
    if (fault == 0)
        return CLI_OK;
    return cli_fail(CLI_ERROR,
                    "this machine cannot listen on %s: %s. Give another endpoint with --listen; "
                    "nothing was changed, and the invitation is not used",
                    j->listen, strerror(fault));
}

int join_check(const struct join_session *j)
{
    int code = check_room(j);
    if (code == CLI_OK)
        code = check_database(j);
    return code == CLI_OK ? check_listen(j) : code;
}
