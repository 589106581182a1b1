/* What every file of kernels needs beside its vectors. */

#ifndef LICODEC_PORTABLE_H
#define LICODEC_PORTABLE_H

#include <stdint.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Where the elements of a kernel's taps lie, in elements of the plane. */
struct taps {
    int64_t rows, runs, length; /* rows of the kernel, each `runs` runs of `length` elements */
    int64_t row, pixel;         /* from one row, and from one run, to the next */
};

/* The root, correctly rounded. The root of r^2 - 1, r <= 2^26, is so far below r that it is not
 * rounded up to it: cut off, this is isqrt. */
#if defined(__SSE2__)
#include <emmintrin.h>
static inline double square_root(double v)
{
    __m128d x = _mm_set_sd(v);
    return _mm_cvtsd_f64(_mm_sqrt_sd(x, x));
}
#elif defined(__aarch64__)
#include <arm_neon.h>
static inline double square_root(double v)
{
    return vget_lane_f64(vsqrt_f64(vdup_n_f64(v)), 0);
}
#else
static inline double square_root(double v)
{
    int64_t left = (int64_t)v, root = 0; /* an integer is all that is wanted */
    for (int64_t bit = (int64_t)1 << 26; bit; bit >>= 1)
        if ((root + bit) * (root + bit) <= left) root += bit;
    return (double)root;
}
#endif

#endif
