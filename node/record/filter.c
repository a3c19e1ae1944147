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
#include "node/record/filter.h"

#include "node/state/state.h"

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
    f->rev = state_version(s);
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

void filter_begin(struct store *s, struct hash_filter *f)
{
    if (state_version(s) < 0 || f->rev != state_version(s))
        empty(f, f->room);
}

void filter_commit(struct store *s, struct hash_filter *f)
{
    f->rev = state_version(s);
    f->in_write = false;
}

void filter_undo(struct hash_filter *f)
{
    if (f->in_write)
        empty(f, f->room);
}

void filter_clear(struct hash_filter *f)
{
    empty(f, 0);
}
