/* Kernels in C alone, for processors that have no others. */

#include "portable.h"
#include "programs.h"

#define LANES 1
typedef int32_t vi;
typedef float vf;

static inline vi vi_load(const int32_t *p) { return *p; }
static inline vi vi_load_u8(const uint8_t *p) { return *p; }
static inline vi vi_load_s16(const int16_t *p) { return *p; }
static inline void vi_store(int32_t *p, vi v) { *p = v; }
static inline void vi_store_u8(uint8_t *p, vi v) { *p = (uint8_t)v; }
static inline void vi_store_s16(int16_t *p, vi v) { *p = (int16_t)v; }
static inline vi vi_set(int32_t n) { return n; }
static inline vi vi_add(vi a, vi b) { return a + b; }
static inline vi vi_min(vi a, vi b) { return a < b ? a : b; }
static inline vi vi_max(vi a, vi b) { return a > b ? a : b; }
static inline vf vf_load(const float *p) { return *p; }
static inline vf vf_set(float v) { return v; }
static inline vf vf_mul(vf a, vf b) { return a * b; }
static inline vf vf_of(vi n) { return (float)n; }
static inline vf vf_choose(vi n, vf a, vf b) { return n < 0 ? a : b; }

static inline vf vf_bits(vi n)
{
    vf v;
    memcpy(&v, &n, sizeof v);
    return v;
}

static inline vi vi_bits(vf v)
{
    vi n;
    memcpy(&n, &v, sizeof n);
    return n;
}

static inline vi vi_rounded(vf v, vf low, vf high)
{
    const double large = 6755399441055744.0; /* leaves no bits for a fraction */
    v = v < low ? low : v > high ? high : v;
    return (vi)(((double)v + large) - large);
}

/* Sums modulo 2^32, an output after the other: weights (groups, outputs, taps, elements). */
static void convolve_s16(const struct convolution *c, const struct taps *taps, const int16_t *x,
                         int64_t step, int64_t count, const void *weights, const int32_t *bias,
                         int32_t *sums)
{
    int64_t all = c->groups * c->outputs, size = taps->rows * taps->runs * taps->length;
    for (int64_t o = 0; o < all; o++) {
        for (int64_t i = 0; i < count; i++) {
            const int16_t *w = (const int16_t *)weights + o * size;
            const int16_t *own = x + i * step + o / c->outputs * c->inputs;
            uint32_t sum = (uint32_t)bias[o];
            for (int64_t row = 0; row < taps->rows; row++) {
                for (int64_t run = 0; run < taps->runs; run++, w += taps->length) {
                    const int16_t *at = own + row * taps->row + run * taps->pixel;
                    for (int64_t k = 0; k < taps->length; k++) sum += (uint32_t)(at[k] * w[k]);
                }
            }
            sums[i * all + o] = (int32_t)sum;
        }
    }
}

#include "tiles.h"

const struct level level_c = {"c", LANES, 0, 1, 0, run_block};
