/* The fuzz targets without a fuzzer, the same inputs every time:
 *
 *   fuzz_corpus DIR           every file of DIR (what a fuzzer once found), then every seed and its
 *                             mutations
 *   fuzz_corpus --write DIR   writes the seeds as files, for a fuzzer to start from
 */
#include "fuzz_decode.h"

#include "conflict/row.h"
#include "protocol/codec.h"
#include "protocol/seal.h"
#include "tests/unit/protocol/sample.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define MUTATIONS 400

struct seeds {
    struct buf input[64];
    size_t n;
};

static struct buf *seed_new(struct seeds *s, uint8_t decoder)
{
    struct buf *b = &s->input[s->n++];
    buf_put_u8(b, decoder);
    return b;
}

static void seed_items(struct seeds *s, struct arena *a, const struct sample_pair *k, uint64_t seed)
{
    struct mark mark;
    struct answer answer;
    struct stable stable;
    sample_mark(a, seed, &mark);
    codec_mark_encode(&mark, k->secret, seed_new(s, 4));
    sample_answer(a, seed, &answer);
    codec_answer_encode(&answer, k->secret, seed_new(s, 4));
    sample_stable(a, seed, &stable);
    codec_stable_encode(&stable, k->secret, seed_new(s, 4));
}

static bool seed_changeset(struct seeds *s, const struct sample_pair *k)
{
    struct changeset cs;
    struct segment_info info[3] = {{"", 1, 10, {1}}, {"120104", 6, 1000, {2}}, {"13", 0, 2, {3}}};
    uint8_t hash[HASH_BYTES];
    fixed_changeset(&cs);
    codec_header_encode(&cs, info, seed_new(s, 2));
    for (uint32_t i = 0; i < cs.n_segments; i++)
        if (codec_segment_encode(&cs.segments[i], cs.dot, seed_new(s, 3)))
            return false;
    struct segment deltas, references;
    fixed_deltas(&deltas);
    if (codec_segment_encode(&deltas, fixed_dot, seed_new(s, 3)))
        return false;
    fixed_references(&references);
    if (codec_segment_encode(&references, fixed_dot, seed_new(s, 3)))
        return false;
    return seal_changeset(&cs, k->secret, seed_new(s, 1), hash) == ERR_OK;
}

/* Two births, the second with conflicts and values of its own: a column, a group, a total beyond 64
 * bits beside what is no integer. */
static void seed_row(struct seeds *s, struct arena *a)
{
    struct value values[7] = {value_integer(1),
                              value_text("a"),
                              value_real(2.5),
                              value_null(),
                              value_wide(a, (__int128)1 << 70),
                              value_text("given"),
                              value_text("family")};
    struct value other[2] = {value_null(), value_integer(300)};
    struct version v[2] = {{{7, 1}, 100, value_text("x")}, {{8, 1}, 101, value_text("y")}};
    struct version names[2] = {{{7, 1}, 100, value_tuple(a, &values[5], 2)},
                               {{8, 1}, 101, value_tuple(a, other, 2)}};
    struct birth births[2] = {{.values = values},
                              {.name = {9, 3},
                               .hlc = 50,
                               .base = {9, 3},
                               .base_hlc = 50,
                               .values = values,
                               .held = HOLD_BIRTH}};
    struct row r = {2, births};
    birth_set_cell(a, &births[1], 1, v, 2);
    birth_set_cell(a, &births[1], 4, v, 1);
    birth_set_cell(a, &births[1], 5, names, 2);
    row_encode(seed_new(s, 5), &r, fuzz_rules());
}

static bool make_seeds(struct seeds *s)
{
    struct arena a = {0};
    struct sample_pair k = sample_keys(1);
    struct message m;
    for (uint64_t seed = 0; seed < 3; seed++) {
        for (unsigned type = MESSAGE_HELLO; type <= MESSAGE_DIGEST_REPLY; type++) {
            sample_message(&a, seed, (enum message_type)type, &m);
            codec_encode(&m, k.secret, seed_new(s, 0));
        }
        seed_items(s, &a, &k, seed);
    }
    seed_row(s, &a);
    bool ok = seed_changeset(s, &k);
    arena_fini(&a);
    return ok;
}

static bool write_seeds(const struct seeds *s, const char *dir)
{
    for (size_t i = 0; i < s->n; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/seed-%02zu", dir, i);
        FILE *f = fopen(path, "wb");
        if (!f)
            return false;
        bool ok = fwrite(s->input[i].data, 1, s->input[i].len, f) == s->input[i].len;
        if (fclose(f) || !ok)
            return false;
    }
    return true;
}

/* Bits turned over, a piece left out, a piece repeated, a piece of another seed put in. */
static void mutate(struct buf *to, const struct buf *from, const struct buf *other, uint64_t *seed)
{
    uint32_t at = sample_below(seed, (uint32_t)from->len);
    uint32_t n = 1 + sample_below(seed, 8);
    uint32_t rest = (uint32_t)from->len - at;
    uint32_t kind = sample_below(seed, 4);
    buf_reset(to);
    buf_put(to, from->data, at);
    if (kind == 1)
        buf_put(to, from->data + at, n < rest ? n : rest);
    if (kind == 2)
        buf_put(to, other->data, n < other->len ? n : other->len);
    uint32_t skip = kind == 3 ? (n < rest ? n : rest) : 0;
    buf_put(to, from->data + at + skip, rest - skip);
    for (uint32_t i = 0; kind == 0 && i < n; i++)
        to->data[sample_below(seed, (uint32_t)to->len)] ^= (uint8_t)(1u << sample_below(seed, 8));
}

static size_t run_seeds(const struct seeds *s)
{
    uint64_t seed = 1;
    struct buf b = {0};
    for (size_t i = 0; i < s->n; i++) {
        fuzz_decode(s->input[i].data, s->input[i].len);
        for (int k = 0; k < MUTATIONS; k++) {
            mutate(&b, &s->input[i], &s->input[sample_below(&seed, (uint32_t)s->n)], &seed);
            fuzz_decode(b.data, b.len);
        }
    }
    buf_fini(&b);
    return s->n * (MUTATIONS + 1);
}

static bool run_file(const char *dir, const char *name)
{
    char path[1024];
    uint8_t chunk[4096];
    struct buf b = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_put(&b, chunk, n);
    bool ok = !ferror(f);
    fclose(f);
    fuzz_decode(b.data, b.len);
    buf_fini(&b);
    return ok;
}

/* The number of files; 0 when the directory cannot be read, or one of them. */
static size_t run_files(const char *dir)
{
    size_t n = 0;
    bool ok = true;
    DIR *d = opendir(dir);
    if (!d)
        return 0;
    for (struct dirent *e; ok && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        ok = run_file(dir, e->d_name);
        n++;
    }
    closedir(d);
    return ok ? n : 0;
}

int main(int argc, char **argv)
{
    struct seeds s = {0};
    bool writes = argc == 3 && strcmp(argv[1], "--write") == 0;
    bool ok = (writes || argc == 2) && seal_start() == ERR_OK && make_seeds(&s);
    if (ok && writes)
        ok = write_seeds(&s, argv[2]);
    if (ok && !writes) {
        size_t files = run_files(argv[1]);
        printf("%zu files, %zu inputs from seeds\n", files, run_seeds(&s));
        ok = files > 0;
    }
    for (size_t i = 0; i < s.n; i++)
        buf_fini(&s.input[i]);
    return ok ? 0 : 1;
}
