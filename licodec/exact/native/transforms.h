/* Transforms across the channels of a position, and attention across a window.
 *
 * Their sums and quotients are in binary64, where bounds.analyse proves them exact, or rounded as
 * the exact quotients are. Included by tiles.h.
 */

/* What one product of matrices sums up in registers, and the numbers of a vector. */
enum { POSITIONS = 4, OUTPUTS = 16, DOUBLES = 8 };
typedef double vd __attribute__((vector_size(8 * DOUBLES), aligned(8)));
typedef int32_t integers __attribute__((vector_size(4 * DOUBLES)));
typedef float floats __attribute__((vector_size(4 * DOUBLES)));

/* sums + x * y, all of them exact, and the roots of v, where the level has no instruction. */
#ifndef vd_add_product
#define vd_add_product(sums, x, y) ((sums) + (x) * (y))
#define vd_take_roots(v) UNROLL for (int i = 0; i < DOUBLES; i++) (v)[i] = square_root((v)[i])
#endif

/* sums (POSITIONS, padded) = offsets + squares (POSITIONS, inputs) * weights (inputs, padded). */
static void sum_squares(const struct transform *own, const double *squares, int64_t inputs,
                        int64_t padded, double *sums)
{
    for (int64_t o = 0; o < padded; o += OUTPUTS) {
        const vd *offsets = (const vd *)(own->offsets + o);
        vd acc[POSITIONS][2];
        UNROLL for (int p = 0; p < POSITIONS; p++) acc[p][0] = offsets[0], acc[p][1] = offsets[1];
        for (int64_t i = 0; i < inputs; i++) {
            const vd *weights = (const vd *)(own->weights + i * padded + o);
            UNROLL for (int p = 0; p < POSITIONS; p++) {
                vd square = squares[p * inputs + i] - (vd){0};
                acc[p][0] = vd_add_product(acc[p][0], weights[0], square);
                acc[p][1] = vd_add_product(acc[p][1], weights[1], square);
            }
        }
        UNROLL for (int p = 0; p < POSITIONS; p++) {
            vd *to = (vd *)(sums + p * padded + o);
            to[0] = acc[p][0], to[1] = acc[p][1];
        }
    }
}

/* fl32(n * root), the roots of up to DOUBLES sums, whose integers are below 2^27. */
static inline void multiply_roots(const double *sums, int32_t *numbers, int64_t count)
{
    vd sum;
    integers own = {0};
    size_t bytes = (size_t)(count < DOUBLES ? count : DOUBLES) * sizeof *numbers;
    memcpy(&sum, sums, sizeof sum);
    memcpy(&own, numbers, bytes);
    vd_take_roots(sum);
    integers roots = __builtin_convertvector(sum, integers);
    floats product = __builtin_convertvector(own, floats) * __builtin_convertvector(roots, floats);
    memcpy(numbers, &product, bytes);
}

/* n -> n * root or n * 2^bits / root, with root = isqrt(offset + sum weight * n^2) of the output.
 * Weights (inputs, outputs) and offsets have the unit 4^-root_bits; outputs are padded to whole
 * OUTPUTS. `scratch` holds POSITIONS * (inputs + padded) doubles. */
static void normalize(const struct tile *t, const struct transform *own, int divide,
                      double *scratch)
{
    int64_t channels = t->channels, padded = (channels + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
    double unit = (double)((int64_t)1 << (own->root_bits + own->fraction_bits));
    double *squares = scratch, *sums = scratch + POSITIONS * channels;
    for (int64_t first = 0; first < t->count; first += POSITIONS) {
        int64_t left = t->count - first, count = left < POSITIONS ? left : POSITIONS;
        int32_t *numbers = t->numbers + first * channels;
        for (int64_t i = 0; i < POSITIONS * channels; i++)
            squares[i] = i < count * channels ? (double)numbers[i] * numbers[i] : 0;
        sum_squares(own, squares, channels, padded, sums);
        for (int64_t p = 0; p < count; p++, numbers += channels) {
            const double *sum = sums + p * padded;
            for (int64_t c = 0; !divide && c < channels; c += DOUBLES)
                multiply_roots(sum + c, numbers + c, channels - c);
            for (int64_t c = 0; divide && c < channels; c++) {
                int64_t root = (int64_t)square_root(sum[c]);
                double quotient = numbers[c] * unit / (double)(root < 1 ? 1 : root);
                quotient = limited(quotient, (double)own->low, (double)own->high);
                numbers[c] = (int32_t)nearest(quotient);
            }
        }
    }
}

/* sat(rne(fl32(n * gain)) + bias), n the deviation from the mean in units of 2^-fraction_bits
 * standard deviations. */
static void layernorm(const struct tile *t, const struct transform *own)
{
    int64_t channels = t->channels;
    double unit = (double)((int64_t)1 << (own->root_bits + own->fraction_bits));
    for (int64_t p = 0; p < t->count; p++) {
        int32_t *numbers = t->numbers + p * channels;
        int64_t total = 0, squares = 0;
        for (int64_t c = 0; c < channels; c++) {
            total += numbers[c];
            squares += (int64_t)numbers[c] * numbers[c];
        }
        int64_t variance = channels * squares - total * total + own->epsilon;
        int64_t root = (int64_t)square_root((double)(variance << 2 * own->root_bits));
        double divisor = (double)(root < 1 ? 1 : root);
        for (int64_t c = 0; c < channels; c++) {
            double dividend = (double)(channels * numbers[c] - total) * unit;
            float product = (float)nearest(dividend / divisor) * own->gain[c];
            /* Beyond 2^26 it is clamped whatever the bias is; below, binary64 holds the sum. */
            double sum = nearest(limited(product, -67108864.0, 67108864.0)) + own->bias[c];
            numbers[c] = (int32_t)limited(sum, (double)own->low, (double)own->high);
        }
    }
}

/* Attention ------------------------------------------------------------------------------------- */

/* Positions of a window that lie inside of the plane. */
struct window {
    int64_t top, bottom, left, right;
};

static int64_t windows_of(const struct task *task, int64_t size)
{
    int64_t w = task->transform.window, before = (w - task->transform.shift) % w;
    return (before + size + w - 1) / w;
}

static int64_t window_rows(const struct task *task)
{
    return windows_of(task, task->rows);
}

/* Where window number `i` begins and ends along a side of `size` positions. */
static void ends_of(const struct task *task, int64_t i, int64_t size, int64_t *first, int64_t *last)
{
    int64_t w = task->transform.window, start = i * w - (w - task->transform.shift) % w;
    *first = start < 0 ? 0 : start;
    *last = start + w < size ? start + w : size;
}

/* The channels [first, first + depth) of a window's positions, by position or by channel. */
static void read_window(const struct job *job, const struct plane *p, const struct window *window,
                        int64_t first, int64_t depth, int by_channel, double *to, int32_t *numbers)
{
    int64_t across = window->right - window->left;
    int64_t count = (window->bottom - window->top) * across;
    for (int64_t i = 0; i < count; i++) {
        const char *pixel = pixel_of(job, p, window->top + i / across, window->left + i % across);
        loads[p->type](numbers, (void *)(pixel + first * size_of(p->type)), depth, (int32_t)p->zero);
        for (int64_t c = 0; c < depth; c++)
            to[by_channel ? c * count + i : i * depth + c] = numbers[c];
    }
}

/* One head in one window. `scratch` holds 3 * count * depth + count + depth doubles, and depth
 * int32_t behind them. */
static void attend(const struct job *job, const struct task *task, const struct window *window,
                   int64_t head, double *scratch)
{
    const struct transform *own = &task->transform;
    const struct plane *in = &task->input, *out = &task->output;
    int64_t w = own->window, span = 2 * w - 1, all = own->heads * (in->channels / 3 / own->heads);
    int64_t depth = in->channels / 3 / own->heads, across = window->right - window->left;
    int64_t count = (window->bottom - window->top) * across;
    double *queries = scratch, *keys = queries + count * depth, *values = keys + count * depth;
    double *scores = values + count * depth, *sums = scores + count;
    int32_t *numbers = (int32_t *)(sums + depth);
    float multiplier = own->gain[own->by_head ? head : 0];
    const int32_t *bias = own->bias + head * span * span;
    read_window(job, in, window, head * depth, depth, 0, queries, numbers);
    read_window(job, in, window, all + head * depth, depth, 1, keys, numbers);
    read_window(job, in, window, 2 * all + head * depth, depth, 0, values, numbers);
    for (int64_t q = 0; q < count; q++) {
        int64_t row = q / across, column = q % across;
        for (int64_t k = 0; k < count; k++) scores[k] = 0;
        for (int64_t c = 0; c < depth; c++) {
            double query = queries[q * depth + c];
            for (int64_t k = 0; k < count; k++) scores[k] += query * keys[c * count + k];
        }
        double largest = -1e18;
        for (int64_t k = 0; k < count; k++) {
            int64_t place = (row - k / across + w - 1) * span + column - k % across + w - 1;
            float product = (float)scores[k] * multiplier;
            scores[k] = nearest(product) + bias[place];
            largest = scores[k] > largest ? scores[k] : largest;
        }
        double total = 0;
        for (int64_t c = 0; c < depth; c++) sums[c] = 0;
        for (int64_t k = 0; k < count; k++) {
            double below = largest - scores[k];
            if (below >= (double)own->entries) continue;
            double weight = own->table[(int64_t)below];
            total += weight;
            for (int64_t c = 0; c < depth; c++) sums[c] += weight * values[k * depth + c];
        }
        for (int64_t c = 0; c < depth; c++) numbers[c] = (int32_t)nearest(sums[c] / total);
        char *pixel = pixel_of(job, out, window->top + row, window->left + column);
        stores[out->type](numbers, pixel + head * depth * size_of(out->type), depth,
                          (int32_t)out->zero);
    }
}

static void fill_border(const struct job *, const struct plane *, int64_t, int64_t, int64_t, int64_t);

/* A row of windows, all heads. */
static void attend_row(const struct job *job, const struct task *task, int64_t i, double *scratch)
{
    struct window window;
    ends_of(task, i, task->rows, &window.top, &window.bottom);
    for (int64_t j = 0; j < windows_of(task, task->columns); j++) {
        ends_of(task, j, task->columns, &window.left, &window.right);
        for (int64_t head = 0; head < task->transform.heads; head++)
            attend(job, task, &window, head, scratch);
    }
    fill_border(job, &task->output, window.top, window.bottom, task->rows, task->columns);
}
