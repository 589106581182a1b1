/* Weights in the order in which the kernels read them. */

#include <stdint.h>
#include <string.h>

#include "native.h"

/* What is packed: weight (groups * outputs, inputs, kernel, kernel).
 *
 * A run of weights is for elements that lie side by side in a plane: with `runs` of 1 those of
 * all columns of the kernel, whose pixels are `pitch` elements apart; else those of one. */
struct shape {
    int64_t groups, outputs, inputs, kernel;
    int64_t pitch, runs, length;
    int64_t lanes, step;
};

LICODEC_EXPORT void licodec_pack(const void *weight, int64_t from_bytes, const struct shape *shape,
                                 int64_t to_bytes, void *packed, int64_t *sums);

/* Where element `k` of a run comes from, in elements of one output's weights; -1: from nowhere. */
static int64_t source_of(const struct shape *s, int64_t row, int64_t run, int64_t k)
{
    int64_t column = s->runs == 1 ? k / s->pitch : run;
    int64_t i = s->runs == 1 ? k % s->pitch : k;
    return column < s->kernel && i < s->inputs ? (i * s->kernel + row) * s->kernel + column : -1;
}

/* One vector of `lanes` outputs, of which `there` exist: the lanes of a step lie together. */
#define PACK(name, FROM, TO)                                                                       \
    static void name(const struct shape *s, const FROM *weight, int64_t there, TO *to,             \
                     int64_t *sums)                                                                \
    {                                                                                              \
        int64_t size = s->inputs * s->kernel * s->kernel;                                          \
        memset(sums, 0, (size_t)there * sizeof *sums);                                             \
        for (int64_t row = 0; row < s->kernel; row++)                                              \
            for (int64_t run = 0; run < s->runs; run++, to += s->length * s->lanes)                \
                for (int64_t k = 0; k < s->length; k++) {                                          \
                    int64_t source = source_of(s, row, run, k);                                    \
                    TO *own = to + k / s->step * s->step * s->lanes + k % s->step;                 \
                    for (int64_t lane = 0; lane < s->lanes; lane++) {                              \
                        int known = source >= 0 && lane < there;                                   \
                        FROM w = known ? weight[lane * size + source] : 0;                         \
                        own[lane * s->step] = (TO)w;                                               \
                        if (known) sums[lane] += w;                                                \
                    }                                                                              \
                }                                                                                  \
    }
PACK(bytes_to_bytes, int8_t, int8_t)
PACK(bytes_to_words, int8_t, int16_t)
PACK(words_to_bytes, int16_t, int8_t)
PACK(words_to_words, int16_t, int16_t)

/* -> packed (groups, vectors of outputs, kernel * runs, length / step, lanes, step), elements of
 * `to_bytes` 1 or 2 bytes, 0 beyond the weights, and `sums` of each output's weights. */
void licodec_pack(const void *weight, int64_t from_bytes, const struct shape *s, int64_t to_bytes,
                  void *packed, int64_t *sums)
{
    int64_t size = s->inputs * s->kernel * s->kernel;
    char *to = packed;
    for (int64_t group = 0; group < s->groups; group++) {
        for (int64_t o = 0; o < s->outputs; o += s->lanes) {
            int64_t left = s->outputs - o, there = left < s->lanes ? left : s->lanes;
            int64_t first = group * s->outputs + o;
            const char *from = (const char *)weight + first * size * from_bytes;
            int64_t *own = sums + first;
            if (from_bytes == 1 && to_bytes == 1)
                bytes_to_bytes(s, (const int8_t *)from, there, (int8_t *)to, own);
            else if (from_bytes == 1)
                bytes_to_words(s, (const int8_t *)from, there, (int16_t *)to, own);
            else if (to_bytes == 1)
                words_to_bytes(s, (const int16_t *)from, there, (int8_t *)to, own);
            else
                words_to_words(s, (const int16_t *)from, there, (int16_t *)to, own);
            to += s->kernel * s->runs * s->length * s->lanes * to_bytes;
        }
    }
}
