/* The integer loops around the coder: quantization steps, scale indexes, and the way from
 * latents to symbols and back. format/SPEC.md, "Quantization steps" and "Scale index".
 *
 * Planes are (channels, positions). Steps are 1 to 2^15, one for all, for each channel or for
 * each position: that of position i of channel c stands at c * channel_stride + i * stride. */

#include <stdint.h>

#include "native.h"

struct planes {
    int64_t channels;
    int64_t positions;
    const int32_t *steps;
    int64_t channel_stride;
    int64_t stride;
};

/* What each integer costs in each table: licodec.entropy.quantization.SymbolCosts. */
struct costs {
    int64_t count;              /* tables */
    const int32_t *costs;       /* one table behind the other, the last of each is the escape's */
    const int32_t *starts;      /* count */
    const int32_t *low, *high;  /* count: what a table holds */
};

LICODEC_EXPORT void steps_adaptive(const int32_t *scales, int64_t channels, int64_t positions,
                                   const int32_t *least, const int32_t *largest, int32_t lo,
                                   int32_t hi, int32_t *steps);
LICODEC_EXPORT void steps_indexes(const struct planes *planes, const int32_t *scales, int32_t unit,
                                  const int32_t *thresholds, int64_t count, int32_t *indexes);
LICODEC_EXPORT void steps_dequantize(const struct planes *planes, const int32_t *symbols,
                                     const int16_t *means, int16_t *latents);
LICODEC_EXPORT void steps_nearest(const struct planes *planes, const int32_t *residuals,
                                  int32_t *symbols);
LICODEC_EXPORT int64_t steps_rdoq(const struct planes *planes, const int32_t *residuals,
                                     const int32_t *indexes, const struct costs *costs,
                                     int64_t weight, int32_t *symbols);

/* The quotient rounded to the nearest, halves to the even; the denominator is positive. */
static inline int64_t divide_half_even(int64_t numerator, int64_t denominator)
{
    int64_t quotient = numerator / denominator, rest = numerator % denominator;
    if (rest < 0) {
        quotient--;
        rest += denominator;
    }
    return quotient + (2 * rest > denominator || (2 * rest == denominator && quotient & 1));
}

/* The same for numbers below 2^30, whose division is several times faster. */
static inline int32_t divide_small(int32_t numerator, int32_t denominator)
{
    int32_t quotient = numerator / denominator, rest = numerator % denominator;
    if (rest < 0) {
        quotient--;
        rest += denominator;
    }
    return quotient + (2 * rest > denominator || (2 * rest == denominator && quotient & 1));
}

/* AQVR: delta = hi - rne((scale - least)(hi - lo) / (largest - least)). */
void steps_adaptive(const int32_t *scales, int64_t channels, int64_t positions,
                    const int32_t *least, const int32_t *largest, int32_t lo, int32_t hi,
                    int32_t *steps)
{
    for (int64_t c = 0; c < channels; c++) {
        int64_t span = (int64_t)largest[c] - least[c];
        if (span < 1)
            span = 1; /* every scale is the least: delta = hi */
        for (int64_t i = c * positions; i < (c + 1) * positions; i++) {
            int64_t above = (int64_t)scales[i] - least[c];
            steps[i] = hi - (int32_t)divide_half_even(above * (hi - lo), span);
        }
    }
}

/* How many of the ascending thresholds T have T * step < scaled. Without branches to guess: the
 * processor looks up several positions at a time. */
static inline int32_t count_below(const int32_t *thresholds, int64_t count, int64_t step,
                                  int64_t scaled)
{
    const int32_t *base = thresholds;
    while (count > 1) {
        int64_t half = count / 2;
        base += base[half - 1] * step < scaled ? half : 0;
        count -= half;
    }
    return (int32_t)(base - thresholds) + (count == 1 && *base * step < scaled);
}

enum { SMALL_SCALES = 1 << 15, MOST_SMALL_INDEXES = UINT8_MAX };

/* steps_indexes where all have one step: those of small scales, which nearly all are, are counted
 * once for all and looked up. */
static void indexes_of_one_step(const struct planes *planes, const int32_t *scales, int32_t unit,
                                const int32_t *thresholds, int64_t count, int32_t *indexes)
{
    uint8_t small[SMALL_SCALES];
    int64_t step = planes->steps[0], index = 0;
    for (int64_t scale = 0; scale < SMALL_SCALES; scale++) {
        while (index < count && thresholds[index] * step < scale * unit) index++;
        small[scale] = (uint8_t)index;
    }
    for (int64_t i = 0; i < planes->channels * planes->positions; i++)
        indexes[i] = 0 <= scales[i] && scales[i] < SMALL_SCALES
            ? small[scales[i]]
            : count_below(thresholds, count, step, (int64_t)scales[i] * unit);
}

/* Of scale s the number of thresholds T with s * unit > T * step. */
void steps_indexes(const struct planes *planes, const int32_t *scales, int32_t unit,
                   const int32_t *thresholds, int64_t count, int32_t *indexes)
{
    int one_step = planes->stride == 0 && planes->channel_stride == 0;
    int worth_it = planes->channels * planes->positions > SMALL_SCALES;
    if (one_step && worth_it && count <= MOST_SMALL_INDEXES) {
        indexes_of_one_step(planes, scales, unit, thresholds, count, indexes);
        return;
    }
    for (int64_t c = 0; c < planes->channels; c++) {
        const int32_t *step = planes->steps + c * planes->channel_stride;
        for (int64_t i = 0; i < planes->positions; i++)
            indexes[i] = count_below(thresholds, count, step[i * planes->stride],
                                     (int64_t)scales[i] * unit);
        scales += planes->positions;
        indexes += planes->positions;
    }
}

/* Latents of symbols: symbol * step + mean, kept within 16 bits. */
void steps_dequantize(const struct planes *planes, const int32_t *symbols, const int16_t *means,
                      int16_t *latents)
{
    for (int64_t c = 0; c < planes->channels; c++) {
        const int32_t *step = planes->steps + c * planes->channel_stride;
        for (int64_t i = 0; i < planes->positions; i++) {
            int64_t latent = (int64_t)symbols[i] * step[i * planes->stride] + means[i];
            latent = latent < INT16_MIN ? INT16_MIN : latent;
            latents[i] = (int16_t)(latent > INT16_MAX ? INT16_MAX : latent);
        }
        symbols += planes->positions;
        means += planes->positions;
        latents += planes->positions;
    }
}

/* rne(residual / step); residuals are differences of latents, so of 17 bits. */
void steps_nearest(const struct planes *planes, const int32_t *residuals, int32_t *symbols)
{
    for (int64_t c = 0; c < planes->channels; c++) {
        const int32_t *step = planes->steps + c * planes->channel_stride;
        for (int64_t i = 0; i < planes->positions; i++)
            symbols[i] = divide_small(residuals[i], step[i * planes->stride]);
        residuals += planes->positions;
        symbols += planes->positions;
    }
}

static inline int64_t cost_of(const struct costs *costs, int32_t table, int32_t symbol)
{
    int32_t low = costs->low[table], high = costs->high[table];
    int32_t place = low <= symbol && symbol <= high ? symbol - low : high + 1 - low;
    return costs->costs[costs->starts[table] + place];
}

/* The nearest symbol, or the next one towards zero where bits + weight * error^2 is less; as
 * rdoq_symbols in licodec/entropy/quantization.py. Returns how many were chosen: all, or as
 * many as stand before an index that no table has. */
int64_t steps_rdoq(const struct planes *planes, const int32_t *residuals,
                      const int32_t *indexes, const struct costs *costs, int64_t weight,
                      int32_t *symbols)
{
    int64_t at = 0;
    for (int64_t c = 0; c < planes->channels; c++) {
        for (int64_t i = 0; i < planes->positions; i++, at++) {
            int64_t step = planes->steps[c * planes->channel_stride + i * planes->stride];
            int32_t residual = residuals[at], table = indexes[at];
            if (table < 0 || table >= costs->count)
                return at;
            int32_t nearest = divide_small(residual, (int32_t)step);
            symbols[at] = nearest;
            if (nearest == 0)
                continue;
            int32_t sign = nearest > 0 ? 1 : -1;
            int64_t saved = cost_of(costs, table, nearest) - cost_of(costs, table, nearest - sign);
            /* With e = residual - nearest * step the squared error grows by
             * step * (step + 2 sign e). */
            int64_t growth = step + 2 * sign * (residual - nearest * step);
            if (saved * step > weight * growth)
                symbols[at] = nearest - sign;
        }
    }
    return at;
}
