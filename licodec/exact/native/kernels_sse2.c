/* Kernels for every x86-64. */

#if defined(__x86_64__) || defined(_M_X64)

#include <emmintrin.h>

#include "portable.h"
#include "programs.h"

#define LANES 4
#define MOST_POSITIONS 6
#define MOST_VECTORS 2
typedef __m128i vi;
typedef __m128 vf;

static inline vi vi_load(const int32_t *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline void vi_store(int32_t *p, vi v) { _mm_storeu_si128((__m128i *)p, v); }
static inline vi vi_set(int32_t n) { return _mm_set1_epi32(n); }
static inline vi vi_add(vi a, vi b) { return _mm_add_epi32(a, b); }
static inline vf vf_load(const float *p) { return _mm_loadu_ps(p); }
static inline vf vf_set(float v) { return _mm_set1_ps(v); }
static inline vf vf_mul(vf a, vf b) { return _mm_mul_ps(a, b); }
static inline vf vf_of(vi n) { return _mm_cvtepi32_ps(n); }
static inline vf vf_bits(vi n) { return _mm_castsi128_ps(n); }
static inline vi vi_bits(vf v) { return _mm_castps_si128(v); }

/* a where the mask is set, else b. */
static inline vi chosen(vi mask, vi a, vi b)
{
    return _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b));
}

static inline vi vi_min(vi a, vi b) { return chosen(_mm_cmplt_epi32(a, b), a, b); }
static inline vi vi_max(vi a, vi b) { return chosen(_mm_cmpgt_epi32(a, b), a, b); }

static inline vf vf_choose(vi n, vf a, vf b)
{
    return vf_bits(chosen(_mm_srai_epi32(n, 31), vi_bits(a), vi_bits(b)));
}

static inline vi vi_load_u8(const uint8_t *p)
{
    int32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    vi zero = _mm_setzero_si128();
    return _mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), zero), zero);
}

static inline vi vi_load_s16(const int16_t *p)
{
    vi words = _mm_loadl_epi64((const __m128i *)p);
    return _mm_srai_epi32(_mm_unpacklo_epi16(words, words), 16);
}

/* Narrowing saturates, and what is stored fits: no number is changed. */
static inline void vi_store_s16(int16_t *p, vi v)
{
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi32(v, v));
}

static inline void vi_store_u8(uint8_t *p, vi v)
{
    vi words = _mm_packs_epi32(v, v);
    int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    memcpy(p, &bytes, sizeof bytes);
}

/* Conversion rounds to the nearest, ties to even, as every thread does unless it is told. */
static inline vi vi_rounded(vf v, vf low, vf high)
{
    return _mm_cvtps_epi32(_mm_min_ps(_mm_max_ps(v, low), high));
}

#include "pieces.h"

#define WEIGHT vi
#define LOAD_WEIGHT(p) vi_load((const int32_t *)(p))

static inline vi spread_two_words(const void *p)
{
    int32_t words;
    memcpy(&words, p, sizeof words);
    return _mm_set1_epi32(words);
}

#define NAME(x) x##_s16
#define ELEMENT int16_t
#define STEP 2
#define SPREAD(p) spread_two_words(p)
#define DOT(sums, x, w) _mm_add_epi32(sums, _mm_madd_epi16(x, w))
#include "dots.h"

#include "tiles.h"

const struct level level_sse2 = {"sse2", LANES, 0, 2, 0, run_block};

#else
typedef int licodec_no_sse2;
#endif
