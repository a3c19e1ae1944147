/* The door: which connections to the children's endpoint stand, and which of them have never said
 * a word. libzmq takes in whoever connects and knows no most; a stranger who says nothing holds a
 * descriptor until ZMQ_HANDSHAKE_IVL is over, and a process without descriptors can neither open
 * its database's journal nor take in an office.
 *
 *   ACCEPTED --> mute (oldest ... newest) --a message--> spoken --> DISCONNECTED
 *
 * Only who has passed CURVE and the ZAP handler can give us a message, so whoever has spoken is an
 * office. Beyond `mute_most` the mute one that has stood longest is shut, beyond `most` of all too;
 * where all have spoken, the newcomer. Shutting is shutdown() of libzmq's own descriptor, which it
 * sees as a line that was cut: nothing else reaches one connection alone. (Unbinding the endpoint
 * would end every session that came through it.) The inode says whether the number still means that
 * connection.
 *
 * The monitor's events come after the fact: libzmq may have taken in as many more as its pipe to us
 * holds, about a thousand. That is what the reserve is for; where the limit is too small for one,
 * whoever needs a descriptor waits (ERR_BUSY), and libzmq's thread turns idly until some are free.
 */
#include "node/loop/int.h"

#include "conflict/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DESCRIPTORS_WANTED 65536u /* enough for every commune of a nation, and strangers */
#define RESERVE_LEAST 64u         /* database, journal, control socket, libzmq's own */
#define MUTE_MOST 2048u           /* about 20 KiB each once they have begun the handshake */
#define QUIET_MS 30000            /* without one more shut: it is over */
#define TURN_EVENTS 4096          /* of the monitor, in one turn */

struct door_line {  /* one connection; its number is its descriptor */
    uint64_t inode; /* 0: none */
    bool mute;
    int older, newer; /* of the mute; -1: none */
};

unsigned descriptors_raise(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r))
        return 1024;
    rlim_t most = r.rlim_max < DESCRIPTORS_WANTED ? r.rlim_max : DESCRIPTORS_WANTED;
    if (r.rlim_cur < most) {
        rlim_t before = r.rlim_cur;
        r.rlim_cur = most;
        if (setrlimit(RLIMIT_NOFILE, &r))
            r.rlim_cur = before;
    }
    return r.rlim_cur < 1u << 20 ? (unsigned)r.rlim_cur : 1u << 20;
}

enum err door_open(struct door *d, void *ctx, void *socket, unsigned limit, char msg[256])
{
    unsigned reserve = limit / 4 > RESERVE_LEAST ? limit / 4 : RESERVE_LEAST;
    *d = (struct door){.oldest = -1, .newest = -1};
    d->most = limit > 2 * reserve ? limit - reserve : limit / 2;
    d->mute_most = d->most / 2 < MUTE_MOST ? d->most / 2 : MUTE_MOST;
    return link_monitor(ctx, socket, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED, &d->monitor, msg);
}

void door_close(struct door *d)
{
    mem_free(d->line);
    *d = (struct door){0};
}

static uint64_t inode_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

static bool stands(const struct door *d, int fd)
{
    return fd >= 0 && (size_t)fd < d->cap && d->line[fd].inode != 0;
}

static void no_longer_mute(struct door *d, int fd)
{
    struct door_line *l = &d->line[fd];
    if (!l->mute)
        return;
    if (l->older >= 0)
        d->line[l->older].newer = l->newer;
    else
        d->oldest = l->newer;
    if (l->newer >= 0)
        d->line[l->newer].older = l->older;
    else
        d->newest = l->older;
    l->mute = false;
    d->mute--;
}

static void leave(struct door *d, int fd)
{
    if (!stands(d, fd))
        return;
    no_longer_mute(d, fd);
    d->line[fd].inode = 0;
    d->open--;
}

/* It counts no more from here on; libzmq's word that it is gone comes later. */
static void turn_away(struct door *d, int fd)
{
    if (inode_of(fd) == d->line[fd].inode && shutdown(fd, SHUT_RDWR) == 0)
        d->turned_away++;
    leave(d, fd);
}

static void make_room(struct door *d, size_t fd)
{
    size_t before = d->cap;
    d->line = mem_grow(d->line, fd, &d->cap, sizeof d->line[0]);
    if (d->cap > before)
        memset(d->line + before, 0, (d->cap - before) * sizeof d->line[0]);
}

static void enter(struct door *d, int fd)
{
    uint64_t inode = inode_of(fd);
    leave(d, fd); /* who had this number is gone */
    if (inode == 0)
        return;
    make_room(d, (size_t)fd);
    d->line[fd] = (struct door_line){.inode = inode, .mute = true, .older = d->newest, .newer = -1};
    if (d->newest >= 0)
        d->line[d->newest].newer = fd;
    else
        d->oldest = fd;
    d->newest = fd;
    d->open++;
    d->mute++;
    if (d->mute > d->mute_most || d->open > d->most)
        turn_away(d, d->oldest);
}

void door_spoke(struct door *d, int fd)
{
    if (stands(d, fd))
        no_longer_mute(d, fd);
}

void door_serve(struct door *d)
{
    char text[64];
    uint16_t event;
    uint32_t fd;
    for (int i = 0; i < TURN_EVENTS && monitor_next(d->monitor, &event, &fd); i++) {
        if (event == ZMQ_EVENT_ACCEPTED)
            enter(d, (int)fd);
        else if (event == ZMQ_EVENT_DISCONNECTED)
            leave(d, (int)fd);
    }
    if (d->turned_away == d->told)
        return;
    d->told = d->turned_away;
    d->told_ms = loop_mono_ms();
    snprintf(text, sizeof text, "%u connections, %u without a word", d->open, d->mute);
    loop_log_limited(&d->crowd, "connections_shut", "too many say nothing", text);
}

bool door_trouble(struct door *d, char text[256])
{
    text[0] = '\0';
    if (d->told_ms == 0)
        return false;
    if (loop_mono_ms() - d->told_ms < QUIET_MS)
        snprintf(text, 256,
                 "strangers crowd the endpoint: %llu connections that said nothing were shut (%u "
                 "stand, %u of them without a word); the offices' own are kept",
                 (unsigned long long)d->turned_away, d->open, d->mute);
    else
        d->told_ms = 0;
    return true;
}
