/* Convolutions of one type of operand: tiles of positions times vectors of outputs.
 *
 * Included by tiles.h once for each type, with
 *   NAME(x)          x with the type's name behind it
 *   ELEMENT          of the operand's plane
 *   STEP             inputs whose products one instruction adds to a sum
 *   WEIGHT           a vector of STEP weights for each of LANES outputs
 *   LOAD_WEIGHT(p)   of them
 *   SPREAD(p)        STEP inputs, in every lane
 *   DOT(sums, x, w)  sums + products of inputs and weights
 *
 * Sums are formed modulo 2^32; that they fit is proved beforehand.
 */

/* M positions, `step` elements apart, times N vectors of outputs that are `next` bytes of
 * weights apart. All M * N sums stay in registers, so M and N are constants where it is inlined. */
static ALWAYS_INLINE void NAME(block)(const struct taps *taps, const ELEMENT *x, int64_t step,
                                      const char *weights, int64_t next, const int32_t *bias,
                                      int32_t *sums, int64_t pitch, int64_t outputs, const int M,
                                      const int N)
{
    vi acc[MOST_POSITIONS][MOST_VECTORS];
    UNROLL for (int m = 0; m < M; m++)
        UNROLL for (int n = 0; n < N; n++) acc[m][n] = vi_load(bias + n * LANES);
    for (int64_t row = 0; row < taps->rows; row++) {
        for (int64_t run = 0; run < taps->runs; run++) {
            const ELEMENT *at = x + row * taps->row + run * taps->pixel;
            for (int64_t k = 0; k < taps->length; k += STEP) {
                WEIGHT w[MOST_VECTORS];
                UNROLL for (int n = 0; n < N; n++) w[n] = LOAD_WEIGHT(weights + n * next);
                UNROLL for (int m = 0; m < M; m++)
                    UNROLL for (int n = 0; n < N; n++)
                        acc[m][n] = DOT(acc[m][n], SPREAD(at + m * step), w[n]);
                at += STEP;
                weights += sizeof(WEIGHT);
            }
        }
    }
    UNROLL for (int m = 0; m < M; m++) {
        UNROLL for (int n = 0; n < N; n++) {
            int64_t left = outputs - n * LANES;
            if (left >= LANES) {
                vi_store(sums + m * pitch + n * LANES, acc[m][n]);
            } else {
                int32_t last[LANES];
                vi_store(last, acc[m][n]);
                memcpy(sums + m * pitch + n * LANES, last, (size_t)left * sizeof *last);
            }
        }
    }
}

static NOINLINE void NAME(vectors_2)(const struct taps *taps, const ELEMENT *x, int64_t step,
                                     int64_t count, const char *weights, int64_t next,
                                     const int32_t *bias, int32_t *sums, int64_t pitch,
                                     int64_t outputs)
{
    while (count > 0) {
        int64_t m = piece(count);
#define BLOCK(M) NAME(block)(taps, x, step, weights, next, bias, sums, pitch, outputs, M, 2)
        FOR_PIECE(m, BLOCK);
#undef BLOCK
        x += m * step, sums += m * pitch, count -= m;
    }
}

static NOINLINE void NAME(vectors_1)(const struct taps *taps, const ELEMENT *x, int64_t step,
                                     int64_t count, const char *weights, const int32_t *bias,
                                     int32_t *sums, int64_t pitch, int64_t outputs)
{
    while (count > 0) {
        int64_t m = piece(count);
#define BLOCK(M) NAME(block)(taps, x, step, weights, 0, bias, sums, pitch, outputs, M, 1)
        FOR_PIECE(m, BLOCK);
#undef BLOCK
        x += m * step, sums += m * pitch, count -= m;
    }
}

/* `count` positions of a row, all groups and outputs: sums (count, groups * outputs). */
static void NAME(convolve)(const struct convolution *c, const struct taps *taps, const ELEMENT *x,
                           int64_t step, int64_t count, const char *weights, const int32_t *bias,
                           int32_t *sums)
{
    int64_t pitch = c->groups * c->outputs;
    int64_t next = taps->rows * taps->runs * taps->length / STEP * (int64_t)sizeof(WEIGHT);
    for (int64_t group = 0; group < c->groups; group++) {
        for (int64_t o = 0; o < c->outputs;) {
            int64_t left = c->outputs - o;
            int vectors = left > LANES ? 2 : 1;
            const ELEMENT *own = x + group * c->inputs;
            int32_t *to = sums + group * c->outputs + o;
            if (vectors == 2)
                NAME(vectors_2)(taps, own, step, count, weights, next, bias, to, pitch, left);
            else
                NAME(vectors_1)(taps, own, step, count, weights, bias, to, pitch, left);
            weights += vectors * next, bias += vectors * LANES, o += vectors * LANES;
        }
    }
}
