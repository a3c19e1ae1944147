#include "node/store_int.h"

/* Sets of hashes in memory that answer "certainly not" for the database (B. H. Bloom, "Space/time
 * trade-offs in hash coding with allowable errors", 1970), each entry within one word (F. Putze,
 * P. Sanders, J. Singler, "Cache-, hash- and space-efficient Bloom filters", 2007): 2 bytes an
 * entry, so that the set of many thousand held rows stays in the processor's cache; about one
 * answer in 200 is a needless "perhaps".
 *
 * Nothing is taken out of a set, so it is right after everything but a commit of another connection
 * (its revision tells) or a rollback. Then, and when it has grown too full, whoever asks it next
 * reads it again from the database, which holds all that was ever added. Over FILTER_MAX entries
 * the database is asked every time.
 */

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
    f->full = f->room > FILTER_MAX;
    if (!f->full)
        f->word = mem_alloc(f->room * BITS_PER_ENTRY / 8);
    return !f->full;
}

void filters_begin(struct store *s)
{
    if (s->claims.rev != s->state_version)
        empty(&s->claims, s->claims.room);
    if (s->swept.rev != s->state_version)
        empty(&s->swept, s->swept.room);
}

void filters_commit(struct store *s)
{
    s->claims.rev = s->swept.rev = s->state_version;
}

void filters_forget(struct store *s)
{
    empty(&s->claims, 0);
    empty(&s->swept, 0);
}
