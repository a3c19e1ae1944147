/* Clocks, as every kind of message has them. */
#include "protocol/codec_internal.h"

Tonle__Clock *codec_clock_put(struct arena *a, const struct clock *c)
{
    Tonle__Clock *m = arena_alloc(a, sizeof *m);
    tonle__clock__init(m);
    m->n_site = m->n_seq = c->n;
    m->site = arena_alloc(a, c->n * sizeof *m->site);
    m->seq = arena_alloc(a, c->n * sizeof *m->seq);
    for (size_t i = 0; i < c->n; i++) {
        m->site[i] = c->entry[i].site;
        m->seq[i] = c->entry[i].seq;
    }
    return m;
}

enum err codec_clock_get(struct arena *a, const Tonle__Clock *m, struct clock *c)
{
    if (m->n_site > LIMIT_CLOCK_ENTRIES)
        return ERR_LIMIT;
    if (m->n_site != m->n_seq)
        return ERR_MALFORMED;
    *c = (struct clock){.entry = arena_alloc(a, m->n_site * sizeof *c->entry), .n = m->n_site};
    for (size_t i = 0; i < m->n_site; i++) {
        bool ascends = i ? m->site[i] > m->site[i - 1] : m->site[i] > 0;
        if (!ascends || m->seq[i] == 0)
            return ERR_MALFORMED;
        c->entry[i] = (struct clock_entry){m->site[i], m->seq[i]};
    }
    return ERR_OK;
}
