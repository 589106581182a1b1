/* Blocks of rows, tile by tile: sources, stages and planes.
 *
 * Included by each kernels_*.c behind the vectors of its level:
 *   LANES, vi, vf                        vectors of int32_t and float
 *   vi_load/store/set/add/min/max, vf_load/set/mul
 *   vi_load_u8/s16, vi_store_u8/s16      LANES stored integers; what is stored fits
 *   vf_of(vi)                            rounded once
 *   vi_rounded(vf, low, high)            clamped, then to the nearest, ties to even
 *   vf_choose(vi n, vf a, vf b)          a where n < 0, else b
 *   vi_look_up(table, vi)                optional
 *   convolve_s16, and convolve_u8 where HAS_U8
 * What is left over behind the last vector is done by the same rules one by one.
 */

enum { BOTH_ENDS = 2 };

static inline int64_t size_of(int64_t type)
{
    return type == U8 ? 1 : type == S16 ? 2 : type == S32 ? 4 : 8;
}

/* Adding 1.5 * 2^52 leaves no bits for a fraction: to the nearest integer, ties to even. */
static inline double nearest(double v)
{
    const double large = 6755399441055744.0;
    return (v + large) - large;
}

static inline double limited(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

static inline int32_t clamped(int32_t n, int64_t low, int64_t high)
{
    return n < low ? (int32_t)low : n > high ? (int32_t)high : n;
}

static inline float as_float(int32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline int32_t as_bits(float v)
{
    int32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* Runs: integers that lie together in a tile and in a plane ------------------------------------ */

typedef void run_function(int32_t *numbers, void *stored, int64_t count, int32_t zero);

/* f(vector) over `count` numbers, of which each is computed from itself and what is stored. */
#define RUN(name, STORED, LOADED, RESULT, SINGLE)                                                  \
    static void name(int32_t *numbers, void *stored, int64_t count, int32_t zero)                  \
    {                                                                                              \
        const STORED *from = stored;                                                               \
        vi z = vi_set(zero);                                                                       \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= count; i += LANES) {                                                   \
            vi x = vi_add(LOADED(from + i), z), n = vi_load(numbers + i);                          \
            (void)n;                                                                               \
            vi_store(numbers + i, RESULT(n, x));                                                   \
        }                                                                                          \
        for (; i < count; i++) {                                                                   \
            int32_t x = from[i] + zero, n = numbers[i];                                            \
            (void)n;                                                                               \
            numbers[i] = SINGLE(n, x);                                                             \
        }                                                                                          \
    }
#define SECOND(n, x) (x)
#define SUM(n, x) ((n) + (x))
#define PRODUCT(n, x) vi_bits(vf_mul(vf_of(n), vf_of(x)))
#define ONE_PRODUCT(n, x) as_bits((float)(n) * (float)(x))
RUN(load_u8, uint8_t, vi_load_u8, SECOND, SECOND)
RUN(load_s16, int16_t, vi_load_s16, SECOND, SECOND)
RUN(load_s32, int32_t, vi_load, SECOND, SECOND)
RUN(add_u8, uint8_t, vi_load_u8, vi_add, SUM)
RUN(add_s16, int16_t, vi_load_s16, vi_add, SUM)
RUN(add_s32, int32_t, vi_load, vi_add, SUM)
RUN(multiply_u8, uint8_t, vi_load_u8, PRODUCT, ONE_PRODUCT)
RUN(multiply_s16, int16_t, vi_load_s16, PRODUCT, ONE_PRODUCT)
RUN(multiply_s32, int32_t, vi_load, PRODUCT, ONE_PRODUCT)

#define STORE_RUN(name, STORED, STORING)                                                           \
    static void name(int32_t *numbers, void *stored, int64_t count, int32_t zero)                  \
    {                                                                                              \
        STORED *to = stored;                                                                       \
        vi z = vi_set(-zero);                                                                      \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= count; i += LANES) STORING(to + i, vi_add(vi_load(numbers + i), z));   \
        for (; i < count; i++) to[i] = (STORED)(numbers[i] - zero);                                \
    }
STORE_RUN(store_u8, uint8_t, vi_store_u8)
STORE_RUN(store_s16, int16_t, vi_store_s16)
STORE_RUN(store_s32, int32_t, vi_store)

static run_function *const loads[] = {load_u8, load_s16, load_s32};
static run_function *const additions[] = {add_u8, add_s16, add_s32};
static run_function *const products[] = {multiply_u8, multiply_s16, multiply_s32};
static run_function *const stores[] = {store_u8, store_s16, store_s32};

struct tile {
    int64_t row, column, count; /* its positions are (row, column) to (row, column + count - 1) */
    int64_t channels, factor;
    int32_t *numbers; /* (count, channels) */
};

static inline char *pixel_of(const struct job *job, const struct plane *p, int64_t row,
                             int64_t column)
{
    return job->memory[p->slot] + p->offset + (row * p->row + column * p->pixel) * size_of(p->type);
}

/* `function` of the tile and the plane, `factor` times as large, that goes with it. */
static void for_runs(const struct job *job, const struct tile *t, const struct plane *p,
                     run_function *const functions[])
{
    run_function *function = functions[p->type];
    int64_t f = t->factor, channels = p->channels, size = size_of(p->type);
    if (f == 1 && p->pixel == channels) {
        function(t->numbers, pixel_of(job, p, t->row, t->column), t->count * channels,
                 (int32_t)p->zero);
        return;
    }
    /* Pixels side by side are one run where no other channels lie between them. */
    int64_t together = p->pixel == channels ? f : 1;
    for (int64_t a = 0; a < f; a++) {
        char *line = pixel_of(job, p, t->row * f + a, t->column * f);
        for (int64_t i = 0; i < t->count; i++)
            for (int64_t b = 0; b < f; b += together)
                function(t->numbers + i * t->channels + (a * f + b) * channels,
                         line + (i * f + b) * p->pixel * size, together * channels,
                         (int32_t)p->zero);
    }
}

/* Stages ---------------------------------------------------------------------------------------- */

static ALWAYS_INLINE void requantize_as(int32_t *numbers, int64_t positions, int64_t channels,
                                        const struct stage *s, const int floats,
                                        const int by_channel, const int two)
{
    const float *positive = s->positive, *negative = s->negative;
    vf low = vf_set((float)s->low), high = vf_set((float)s->high);
    vf m = vf_set(positive[0]), m_negative = vf_set(two ? negative[0] : 0.0f);
    for (int64_t p = 0; p < positions; p++, numbers += channels) {
        int64_t c = 0;
        for (; c + LANES <= channels; c += LANES) {
            vi n = vi_load(numbers + c);
            vf exact = floats ? vf_bits(n) : vf_of(n);
            if (by_channel) m = vf_load(positive + c);
            if (by_channel && two) m_negative = vf_load(negative + c);
            /* The sign bit says the same of integers and of floats, but for -0, and that gives
             * 0 whatever it is multiplied by. */
            vf product = vf_mul(exact, two ? vf_choose(n, m_negative, m) : m);
            vi_store(numbers + c, vi_rounded(product, low, high));
        }
        for (; c < channels; c++) {
            float exact = floats ? as_float(numbers[c]) : (float)numbers[c];
            float own = positive[by_channel ? c : 0];
            if (two && numbers[c] < 0) own = negative[by_channel ? c : 0];
            float product = exact * own;
            numbers[c] = (int32_t)nearest(limited(product, (double)s->low, (double)s->high));
        }
    }
}

static void requantize(const struct tile *t, const struct stage *s)
{
    int64_t positions = t->count, channels = t->channels;
    int floats = s->kind == REQUANTIZE_FLOAT;
    if (!s->by_channel) channels *= positions, positions = 1;
#define AS(f, b, n) requantize_as(t->numbers, positions, channels, s, f, b, n)
    switch (4 * floats + 2 * !!s->by_channel + !!s->negative) {
    case 0: AS(0, 0, 0); break;
    case 1: AS(0, 0, 1); break;
    case 2: AS(0, 1, 0); break;
    case 3: AS(0, 1, 1); break;
    case 4: AS(1, 0, 0); break;
    case 5: AS(1, 0, 1); break;
    case 6: AS(1, 1, 0); break;
    case 7: AS(1, 1, 1); break;
    }
#undef AS
}

static void clamp(int32_t *numbers, int64_t count, int64_t low, int64_t high)
{
    vi least = vi_set((int32_t)low), most = vi_set((int32_t)high);
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        vi_store(numbers + i, vi_min(vi_max(vi_load(numbers + i), least), most));
    for (; i < count; i++) numbers[i] = clamped(numbers[i], low, high);
}

/* fl32(n * number): both are exact in binary32, so their product is rounded once. */
static void scale(int32_t *numbers, int64_t count, int64_t number)
{
    vf factor = vf_set((float)number);
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        vi_store(numbers + i, vi_bits(vf_mul(vf_of(vi_load(numbers + i)), factor)));
    for (; i < count; i++) numbers[i] = as_bits((float)numbers[i] * (float)number);
}

static void look_up(int32_t *numbers, int64_t count, const struct stage *s)
{
    int64_t i = 0;
#ifdef vi_look_up
    vi first = vi_set(-(int32_t)s->low), zero = vi_set(0), last = vi_set((int32_t)s->high);
    for (; i + LANES <= count; i += LANES) {
        vi index = vi_min(vi_max(vi_add(vi_load(numbers + i), first), zero), last);
        vi_store(numbers + i, vi_look_up(s->table, index));
    }
#endif
    for (; i < count; i++) numbers[i] = s->table[clamped(numbers[i] - (int32_t)s->low, 0, s->high)];
}

static void run_stage(const struct job *job, const struct tile *t, const struct stage *s)
{
    int64_t count = t->count * t->channels;
    switch (s->kind) {
    case REQUANTIZE:
    case REQUANTIZE_FLOAT: requantize(t, s); break;
    case ADD:
        for_runs(job, t, &s->plane, additions);
        clamp(t->numbers, count, s->low, s->high);
        break;
    case MULTIPLY: for_runs(job, t, &s->plane, products); break;
    case SCALE: scale(t->numbers, count, job->numbers[s->number]); break;
    case CLAMP: clamp(t->numbers, count, s->low, s->high); break;
    case TABLE: look_up(t->numbers, count, s); break;
    case STORE: for_runs(job, t, &s->plane, stores); break;
    }
}

/* Sources --------------------------------------------------------------------------------------- */

/* Integers `step` elements apart, to every `spread`th number. */
static void gather(const struct plane *p, const char *from, int64_t step, int64_t count,
                   int32_t *numbers, int64_t spread)
{
#define GATHER(STORED)                                                                             \
    for (int64_t i = 0; i < count; i++)                                                            \
        numbers[i * spread] = (int32_t)(((const STORED *)from)[i * step] + p->zero)
    switch (p->type) {
    case U8: GATHER(uint8_t); break;
    case S16: GATHER(int16_t); break;
    case S32: GATHER(int32_t); break;
    case S64: GATHER(int64_t); break;
    }
#undef GATHER
}

static void load(const struct job *job, const struct tile *t, const struct plane *p)
{
    if (p->channel == 1 && p->type != S64) {
        struct tile whole = *t;
        whole.factor = 1;
        for_runs(job, &whole, p, loads);
        return;
    }
    const char *from = pixel_of(job, p, t->row, t->column);
    for (int64_t c = 0; c < t->channels; c++)
        gather(p, from + c * p->channel * size_of(p->type), p->pixel, t->count, t->numbers + c,
               t->channels);
}

/* Channels in the order (row in block, column in block, channel), in which they are stored. */
static void shuffle(const struct job *job, const struct tile *t, const struct plane *p)
{
    int64_t area = t->factor * t->factor, channels = t->channels / area;
    for (int64_t i = 0; i < t->count; i++) {
        const char *from = pixel_of(job, p, t->row, t->column + i);
        for (int64_t place = 0; place < area; place++)
            gather(p, from + place * size_of(p->type), area, channels,
                   t->numbers + i * t->channels + place * channels, 1);
    }
}

/* Of pixels in blocks of `factor` each way, the channels (channel, row in block, column). */
static void unshuffle(const struct job *job, const struct tile *t, const struct plane *p,
                      int64_t factor)
{
    int64_t area = factor * factor;
    for (int64_t i = 0; i < t->count; i++)
        for (int64_t place = 0; place < area; place++) {
            int64_t row = t->row * factor + place / factor;
            int64_t column = (t->column + i) * factor + place % factor;
            gather(p, pixel_of(job, p, row, column), 1, p->channels,
                   t->numbers + i * t->channels + place, area);
        }
}

/* Sums of one part of the weights, modulo 2^32. */
static void convolve(const struct job *job, const struct task *task, const struct tile *t,
                     int64_t part, int32_t *sums)
{
    const struct convolution *c = &task->convolution;
    const struct plane *p = &task->input;
    struct taps taps = {c->kernel, c->runs, c->length, p->row, p->pixel};
    const char *x = pixel_of(job, p, t->row * c->stride, t->column * c->stride);
    x += part % c->blocks * c->block * size_of(p->type);
    int64_t vectors = (c->outputs + LANES - 1) / LANES;
    const int32_t *bias = c->bias + part * c->groups * vectors * LANES;
    int64_t step = c->stride * p->pixel;
#ifdef HAS_U8
    if (p->type == U8) {
        convolve_u8(c, &taps, (const uint8_t *)x, step, t->count, c->weights[part], bias, sums);
        return;
    }
#endif
    convolve_s16(c, &taps, (const int16_t *)x, step, t->count, c->weights[part], bias, sums);
}

/* fl32 of sums beyond 32 bits, joined from their parts: below 2^53 binary64 holds all of them. */
static void convolve_wide(const struct job *job, const struct task *task, const struct tile *t,
                          double *joined)
{
    const struct convolution *c = &task->convolution;
    int32_t *part = (int32_t *)(joined + t->count * t->channels);
    for (int64_t i = 0; i < t->count; i++)
        for (int64_t o = 0; o < t->channels; o++) joined[i * t->channels + o] = c->plain_bias[o];
    int64_t count = t->count * t->channels;
    for (int64_t number = 0; number < c->parts; number++) {
        double unit = (double)((int64_t)1 << (number / c->blocks * c->part_bits));
        convolve(job, task, t, number, part);
        for (int64_t i = 0; i < count; i++) joined[i] += unit * part[i];
    }
    for (int64_t i = 0; i < count; i++) t->numbers[i] = as_bits((float)joined[i]);
}

/* The same one by one, for sums that no few parts hold: no network of ours has them. */
static void convolve_slowly(const struct job *job, const struct task *task, const struct tile *t)
{
    const struct convolution *c = &task->convolution;
    const struct plane *p = &task->input;
    int64_t size = size_of(p->type), area = c->kernel * c->kernel;
    for (int64_t i = 0; i < t->count; i++) {
        const char *x = pixel_of(job, p, t->row * c->stride, (t->column + i) * c->stride);
        for (int64_t o = 0; o < t->channels; o++) {
            const int16_t *w = c->plain_weights + o * c->inputs * area;
            int64_t sum = c->plain_bias[o], first = o / c->outputs * c->inputs;
            for (int64_t tap = 0; tap < area; tap++) {
                int64_t place = tap / c->kernel * p->row + tap % c->kernel * p->pixel + first;
                const char *from = x + place * size;
                for (int64_t k = 0; k < c->inputs; k++) {
                    int64_t stored = p->type == U8 ? ((const uint8_t *)from)[k]
                                                   : ((const int16_t *)from)[k];
                    sum += (stored + p->zero) * w[k * area + tap];
                }
            }
            t->numbers[i * t->channels + o] = as_bits((float)sum);
        }
    }
}

#include "transforms.h"

static void fill_tile(const struct job *job, const struct task *task, const struct tile *t,
                      char *scratch)
{
    switch (task->source) {
    case LOAD: load(job, t, &task->input); break;
    case SHUFFLE: shuffle(job, t, &task->input); break;
    case UNSHUFFLE:
        unshuffle(job, t, &task->input, task->plane_rows / task->rows);
        break;
    case CONVOLUTION: convolve(job, task, t, 0, t->numbers); break;
    case WIDE_CONVOLUTION:
        if (task->convolution.parts)
            convolve_wide(job, task, t, (double *)scratch);
        else
            convolve_slowly(job, task, t);
        break;
    case NORMALIZE:
    case DIVIDE:
        load(job, t, &task->input);
        normalize(t, &task->transform, task->source == DIVIDE, (double *)scratch);
        break;
    case LAYERNORM:
        load(job, t, &task->input);
        layernorm(t, &task->transform);
        break;
    }
}

/* What stands for 0 around the rows [top, bottom) of `rows`, and above the first, below the last. */
static void fill_border(const struct job *job, const struct plane *p, int64_t top, int64_t bottom,
                        int64_t rows, int64_t columns)
{
    if (!p->border) return;
    int64_t first = top == 0 ? -p->border : top, last = bottom == rows ? rows + p->border : bottom;
    for (int64_t row = first; row < last; row++) {
        int inside = row >= 0 && row < rows;
        int64_t left = inside ? p->border : columns + BOTH_ENDS * p->border;
        for (int end = 0; end < (inside ? BOTH_ENDS : 1); end++) {
            char *to = pixel_of(job, p, row, end ? columns : -p->border);
            for (int64_t i = 0; i < left; i++, to += p->pixel * size_of(p->type)) {
                if (p->type == U8)
                    memset(to, (int)-p->zero, (size_t)p->channels);
                else
                    for (int64_t c = 0; c < p->channels; c++) ((int16_t *)to)[c] = (int16_t)-p->zero;
            }
        }
    }
}

static void run_block(const struct job *job, const struct task *task, int64_t block, char *scratch)
{
    const struct stage *stages = job->stages + task->first_stage;
    int64_t units = task->source == ATTENTION ? window_rows(task) : task->rows;
    int64_t top = units * block / task->blocks, bottom = units * (block + 1) / task->blocks;
    if (task->source == ATTENTION) {
        for (int64_t row = top; row < bottom; row++) attend_row(job, task, row, (double *)scratch);
        return;
    }
    int64_t f = task->factor;
    struct tile t = {.channels = task->channels, .factor = f, .numbers = (int32_t *)scratch};
    char *rest = scratch + task->positions * task->channels * (int64_t)sizeof(int32_t);
    rest += -(uintptr_t)rest & 7; /* for doubles */
    for (t.row = top; t.row < bottom; t.row++) {
        for (t.column = 0; t.column < task->columns; t.column += t.count) {
            int64_t left = task->columns - t.column;
            t.count = left < task->positions ? left : task->positions;
            fill_tile(job, task, &t, rest);
            for (int64_t i = 0; i < task->stages; i++) run_stage(job, &t, &stages[i]);
        }
    }
    for (int64_t i = 0; i < task->stages; i++)
        if (stages[i].kind == STORE)
            fill_border(job, &stages[i].plane, top * f, bottom * f, task->rows * f,
                        task->columns * f);
}
