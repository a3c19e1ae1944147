/* Sets of hashes in memory that answer "certainly not" for the database (B. H. Bloom, "Space/time
 * trade-offs in hash coding with allowable errors", 1970), each entry within one word (F. Putze,
 * P. Sanders, J. Singler, "Cache-, hash- and space-efficient Bloom filters", 2007): 2 bytes an
 * entry when it is full, so that the set of many thousand held rows stays in the processor's cache;
 * about one answer in 200 is a needless "perhaps".
 *
 * Nothing is taken out of a set, and an entry is added when its row has been written. So it is
 * right, if with too much in it, after everything but a commit of another connection (its revision
 * tells), and a rollback of the transaction in which it was read (what that had deleted is back).
 * Then, and when it has grown too full, whoever asks it next reads it again from the database.
 * Outside a transaction nobody knows what others commit: the database is asked. So it is over
 * FILTER_MAX entries.
 */
#include "node/db/store_int.h"

#define FILTER_MIN 8192
#define FILTER_MAX (64 * FILTER_MIN)
#define BITS_PER_ENTRY 16

static uint64_t *word_of(const struct hash_filter *f, uint64_t h, uint64_t *bits)
{
    h *= 0x9e3779b97f4a7c15u;
    *bits = 1ull << (h >> 58) | 1ull << (h >> 52 & 63) | 1ull << (h >> 46 & 63) |
            1ull << (h >> 40 & 63);
    return &f->word[(h & 0xffffffff) * (f->room * BITS_PER_ENTRY / 64) >> 32];
}

static void empty(struct hash_filter *f, size_t room)
{
    mem_free(f->word);
    *f = (struct hash_filter){.room = room};
}

void filter_add(struct hash_filter *f, uint64_t h)
{
    uint64_t bits;
    if (!f->known || f->full)
        return;
    if (f->n == f->room) { /* read again, with more room */
        empty(f, 8 * f->room);
        return;
    }
    uint64_t *word = word_of(f, h, &bits);
    f->n += (*word & bits) != bits;
    *word |= bits;
}

bool filter_has(const struct hash_filter *f, uint64_t h)
{
    uint64_t bits;
    return f->full || (f->n && (*word_of(f, h, &bits) & bits) == bits);
}

bool filter_open(struct store *s, struct hash_filter *f)
{
    if (f->known)
        return false;
    empty(f, f->room ? f->room : FILTER_MIN);
    f->rev = s->state_version;
    f->known = true;
    f->in_write = s->in_write;
    f->full = f->room > FILTER_MAX;
    if (!f->full)
        f->word = mem_alloc(f->room * BITS_PER_ENTRY / 8);
    return !f->full;
}

bool filter_serves(const struct store *s)
{
    return s->in_write || s->in_read;
}

static void begin(struct store *s, struct hash_filter *f)
{
    if (s->state_version < 0 || f->rev != s->state_version)
        empty(f, f->room);
}

static void commit(struct store *s, struct hash_filter *f)
{
    f->rev = s->state_version;
    f->in_write = false;
}

static void undo(struct hash_filter *f)
{
    if (f->in_write)
        empty(f, f->room);
}

void filters_begin(struct store *s)
{
    begin(s, &s->claims);
    begin(s, &s->swept);
}

void filters_commit(struct store *s)
{
    commit(s, &s->claims);
    commit(s, &s->swept);
}

void filters_undo(struct store *s)
{
    undo(&s->claims);
    undo(&s->swept);
}

void filters_clear(struct store *s)
{
    empty(&s->claims, 0);
    empty(&s->swept, 0);
}
