/* A program as the native code runs it: a table of tasks, each a source and its stages.
 *
 * A value of a program is a plane (rows, columns, channels), channels innermost. A task computes
 * one tile after the other, some positions of a row at a time: its source fills the tile with
 * integers, (positions, channels) in a processor's cache, and its stages change these in place
 * or write them to planes. licodec/exact/native/layout.py fills these structures; all their
 * members have eight bytes, so that NumPy can.
 */

#ifndef LICODEC_PROGRAMS_H
#define LICODEC_PROGRAMS_H

#include <stdatomic.h>
#include <stdint.h>

enum type { U8, S16, S32, S64 };

/* Integers in memory. Beyond its edges a plane goes on for `border` pixels that stand for 0. */
struct plane {
    int64_t slot, offset; /* pixel (0, 0) is `offset` bytes behind the memory number `slot` */
    int64_t type, zero;   /* an integer is what is stored, plus `zero` */
    int64_t row, pixel, channel; /* elements from one to the next */
    int64_t channels, border;
};

enum stage_kind {
    REQUANTIZE,       /* sat(rne(fl32(fl32(n) * multiplier))) */
    REQUANTIZE_FLOAT, /* the same for tiles that hold fl32(n) already */
    ADD,              /* sat(n + plane) */
    MULTIPLY,         /* fl32(n * plane) */
    SCALE,            /* fl32(n * number) */
    CLAMP,
    TABLE,
    STORE
};

struct stage {
    int64_t kind;
    int64_t low, high; /* of the result; of TABLE what its first entry is for, and the last index */
    int64_t number;    /* index of SCALE's */
    int64_t by_channel; /* whether there is a multiplier for each channel */
    const float *positive, *negative; /* multipliers; `negative` may be NULL */
    const int32_t *table;
    struct plane plane;
};

enum source { LOAD, SHUFFLE, UNSHUFFLE, CONVOLUTION, WIDE_CONVOLUTION, NORMALIZE, DIVIDE, LAYERNORM, ATTENTION };

enum { MOST_PARTS = 8 };

/* Sums beyond 32 bits are formed in parts, of some of the inputs and of some bits of the weights:
 * part number d * blocks + b is of the inputs of block b, which begins at b * block, and has the
 * unit 2^(part_bits * d). weights.c says how the weights of each part are packed. */
struct convolution {
    int64_t kernel, stride;
    int64_t groups, inputs, outputs; /* channels of one group */
    int64_t runs, length;            /* a row of the kernel is `runs` runs of `length` elements */
    int64_t parts, part_bits;        /* no parts: sums are formed one by one in 64 bits */
    int64_t blocks, block;
    const void *weights[MOST_PARTS];
    const int32_t *bias; /* padded for vectors like the weights, less what zero points add */
    const int32_t *plain_bias;    /* as stored, for WIDE_CONVOLUTION */
    const int16_t *plain_weights; /* (groups * outputs, inputs, kernel, kernel), likewise */
};

/* gdn and igdn (weights, offsets), layernorm (gain, offsets) and attention. */
struct transform {
    int64_t root_bits, fraction_bits, epsilon, low, high;
    int64_t heads, window, shift, entries, by_head;
    const double *weights, *offsets; /* (inputs, outputs) and (outputs), padded as transforms.h says */
    const float *gain;               /* of layernorm; attention's multiplier */
    const int32_t *bias, *table;
};

struct task {
    int64_t source;
    int64_t rows, columns, channels; /* of the tiles */
    int64_t plane_rows, plane_columns; /* of `input` */
    /* Planes that stages meet are `factor` times as large: tile (r, c, (a * factor + b) * n + k)
     * is plane (r * factor + a, c * factor + b, k). */
    int64_t factor;
    int64_t positions; /* of a tile, at most */
    int64_t blocks;    /* of rows, which threads share */
    int64_t reach;     /* a block reads what the blocks from number - reach to number + reach of the
                        * task before have written, and all that earlier tasks have */
    int64_t first_stage, stages;
    struct plane input, output; /* `output` is attention's, which has no stages */
    struct convolution convolution;
    struct transform transform;
};

/* What a run works on; threads share it. */
struct job {
    const struct task *tasks;
    const struct stage *stages;
    char *const *memory; /* by slot */
    const int64_t *numbers;
};

/* The kernels of one level of instructions. */
struct level {
    const char *name;
    int64_t lanes;              /* outputs of a vector */
    int64_t step_u8, step_s16;  /* inputs of a product; 0: no kernel for such planes */
    int64_t offset_u8;          /* what the kernel for bytes takes off each: the bias adds it */
    void (*run_block)(const struct job *, const struct task *, int64_t block, char *scratch);
};

extern const struct level level_c;
#if defined(__x86_64__) || defined(_M_X64)
extern const struct level level_sse2, level_avx2, level_avx512;
#elif defined(__aarch64__)
extern const struct level level_neon, level_dotprod;
#endif

#endif
