/* Kernels for every arm64. */

#if defined(__aarch64__)

#include "neon.h"
#include "programs.h"

#define NAME(x) x##_s16
#define ELEMENT int16_t
#define STEP 1
#define WEIGHT int16x4_t
#define LOAD_WEIGHT(p) vld1_s16((const int16_t *)(p))
#define SPREAD(p) vld1_dup_s16(p)
#define DOT(sums, x, w) vmlal_s16(sums, x, w)
#include "dots.h"

#include "tiles.h"

const struct level level_neon = {"neon", LANES, 0, 1, 0, run_block};

#else
typedef int licodec_no_neon;
#endif
