/* Kernels for x86-64 with AVX2.
 *
 * It multiplies bytes with saturation alone, so operands of bytes are stored as 16 bits here.
 */

#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>

#include "portable.h"
#include "programs.h"

#define TARGET "avx2"
#include "target_begin.h"

#define LANES 8
#define MOST_POSITIONS 6
#define MOST_VECTORS 2
typedef __m256i vi;
typedef __m256 vf;

static inline vi vi_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void vi_store(int32_t *p, vi v) { _mm256_storeu_si256((__m256i *)p, v); }
static inline vi vi_set(int32_t n) { return _mm256_set1_epi32(n); }
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi vi_min(vi a, vi b) { return _mm256_min_epi32(a, b); }
static inline vi vi_max(vi a, vi b) { return _mm256_max_epi32(a, b); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline vf vf_set(float v) { return _mm256_set1_ps(v); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_of(vi n) { return _mm256_cvtepi32_ps(n); }
static inline vf vf_bits(vi n) { return _mm256_castsi256_ps(n); }
static inline vi vi_bits(vf v) { return _mm256_castps_si256(v); }
static inline vf vf_choose(vi n, vf a, vf b) { return _mm256_blendv_ps(b, a, vf_bits(n)); }

static inline vi vi_load_u8(const uint8_t *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

static inline vi vi_load_s16(const int16_t *p)
{
    return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)p));
}

/* Narrowing saturates, and what is stored fits: no number is changed. */
static inline __m128i narrowed(vi v)
{
    return _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

static inline void vi_store_s16(int16_t *p, vi v) { _mm_storeu_si128((__m128i *)p, narrowed(v)); }

static inline void vi_store_u8(uint8_t *p, vi v)
{
    __m128i words = narrowed(v);
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(words, words));
}

static inline vi vi_rounded(vf v, vf low, vf high)
{
    v = _mm256_min_ps(_mm256_max_ps(v, low), high);
    return _mm256_cvtps_epi32(_mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

#define vi_look_up(table, index) _mm256_i32gather_epi32(table, index, 4)

#include "pieces.h"

#define WEIGHT vi
#define LOAD_WEIGHT(p) vi_load((const int32_t *)(p))

static inline vi spread_two_words(const void *p)
{
    int32_t words;
    memcpy(&words, p, sizeof words);
    return _mm256_set1_epi32(words);
}

#define NAME(x) x##_s16
#define ELEMENT int16_t
#define STEP 2
#define SPREAD(p) spread_two_words(p)
#define DOT(sums, x, w) _mm256_add_epi32(sums, _mm256_madd_epi16(x, w))
#include "dots.h"

#include "tiles.h"

const struct level level_avx2 = {"avx2", LANES, 0, 2, 0, run_block};

#include "target_end.h"

#else
typedef int licodec_no_avx2;
#endif
