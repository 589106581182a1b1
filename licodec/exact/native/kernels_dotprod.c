/* Kernels for arm64 with products of bytes, four at a time. */

#if defined(__aarch64__)

#include <arm_neon.h>

#include "portable.h"
#include "programs.h"

#if defined(__clang__)
#define TARGET "dotprod"
#else
#define TARGET "arch=armv8.2-a+dotprod"
#endif
#include "target_begin.h"

#include "neon.h"

/* Products are of signed bytes: 128 less than what is stored, which the bias makes up for. */
static inline int8x16_t spread_four_bytes(const uint8_t *p)
{
    uint32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return vreinterpretq_s8_u32(vdupq_n_u32(bytes ^ 0x80808080u));
}

#define HAS_U8
#define NAME(x) x##_u8
#define ELEMENT uint8_t
#define STEP 4
#define WEIGHT int8x16_t
#define LOAD_WEIGHT(p) vld1q_s8((const int8_t *)(p))
#define SPREAD(p) spread_four_bytes(p)
#define DOT(sums, x, w) vdotq_s32(sums, x, w)
#include "dots.h"
#undef NAME
#undef ELEMENT
#undef STEP
#undef WEIGHT
#undef LOAD_WEIGHT
#undef SPREAD
#undef DOT

#define NAME(x) x##_s16
#define ELEMENT int16_t
#define STEP 1
#define WEIGHT int16x4_t
#define LOAD_WEIGHT(p) vld1_s16((const int16_t *)(p))
#define SPREAD(p) vld1_dup_s16(p)
#define DOT(sums, x, w) vmlal_s16(sums, x, w)
#include "dots.h"

#include "tiles.h"

const struct level level_dotprod = {"dotprod", LANES, 4, 1, 128, run_block};

#include "target_end.h"

#else
typedef int licodec_no_dotprod;
#endif
