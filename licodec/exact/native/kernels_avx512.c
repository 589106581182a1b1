/* Kernels for x86-64 with AVX512-VNNI. */

#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>

#include "portable.h"
#include "programs.h"

#define TARGET "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"
#include "target_begin.h"

#define LANES 16
#define MOST_POSITIONS 12
#define MOST_VECTORS 2
#define HAS_U8
typedef __m512i vi;
typedef __m512 vf;

static inline vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline void vi_store(int32_t *p, vi v) { _mm512_storeu_si512(p, v); }
static inline vi vi_set(int32_t n) { return _mm512_set1_epi32(n); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi vi_min(vi a, vi b) { return _mm512_min_epi32(a, b); }
static inline vi vi_max(vi a, vi b) { return _mm512_max_epi32(a, b); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline vf vf_set(float v) { return _mm512_set1_ps(v); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_of(vi n) { return _mm512_cvtepi32_ps(n); }
static inline vf vf_bits(vi n) { return _mm512_castsi512_ps(n); }
static inline vi vi_bits(vf v) { return _mm512_castps_si512(v); }

static inline vi vi_load_u8(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}

static inline vi vi_load_s16(const int16_t *p)
{
    return _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)p));
}

static inline void vi_store_u8(uint8_t *p, vi v)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(v));
}

static inline void vi_store_s16(int16_t *p, vi v)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(v));
}

static inline vf vf_choose(vi n, vf a, vf b)
{
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(n), b, a);
}

static inline vi vi_rounded(vf v, vf low, vf high)
{
    return _mm512_cvt_roundps_epi32(_mm512_min_ps(_mm512_max_ps(v, low), high),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

#define vd_add_product(sums, x, y) _mm512_fmadd_pd(x, y, sums)
#define vd_take_roots(v) (v) = _mm512_sqrt_pd(v)
#define vi_look_up(table, index) _mm512_i32gather_epi32(index, table, 4)

#include "pieces.h"

#define WEIGHT vi
#define LOAD_WEIGHT(p) vi_load((const int32_t *)(p))

static inline vi spread_four_bytes(const void *p)
{
    int32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return _mm512_set1_epi32(bytes);
}

#define SPREAD(p) spread_four_bytes(p)

#define NAME(x) x##_u8
#define ELEMENT uint8_t
#define STEP 4
#define DOT(sums, x, w) _mm512_dpbusd_epi32(sums, x, w)
#include "dots.h"
#undef NAME
#undef ELEMENT
#undef STEP
#undef DOT

#define NAME(x) x##_s16
#define ELEMENT int16_t
#define STEP 2
#define DOT(sums, x, w) _mm512_dpwssd_epi32(sums, x, w)
#include "dots.h"

#include "tiles.h"

const struct level level_avx512 = {"avx512", LANES, 4, 2, 0, run_block};

#include "target_end.h"

#else
typedef int licodec_no_avx512;
#endif
