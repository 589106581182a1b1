#include "rans.h"

#include <string.h>

static const uint64_t STATE_LOW = UINT64_C(1) << 31; /* between symbols a state is in */
static const uint32_t TOTAL = UINT32_C(1) << RANS_PRECISION; /* [STATE_LOW, 2^32 * STATE_LOW) */
enum { WORD = 4, ESCAPE_BYTES = 3, BUCKET_SHIFT = RANS_PRECISION - RANS_BUCKET_BITS };

/* Tables ------------------------------------------------------------------------------------- */

/* The sums of one table of `length` frequencies; whether it is legal. */
static int sum_up(const int32_t *frequencies, int32_t length, uint32_t *sums)
{
    uint32_t sum = 0;
    sums[0] = 0;
    for (int32_t s = 0; s < length; s++) {
        if (frequencies[s] < 1 || (uint32_t)frequencies[s] >= TOTAL - sum + (s == length - 1))
            return 0; /* not positive, or nothing is left for those behind it */
        sum += (uint32_t)frequencies[s];
        sums[s + 1] = sum;
    }
    return sum == TOTAL;
}

static void fill_buckets(const uint32_t *sums, uint16_t *firsts)
{
    uint32_t symbol = 0;
    for (uint32_t bucket = 0; bucket < RANS_BUCKETS; bucket++) {
        while (sums[symbol + 1] <= bucket << BUCKET_SHIFT)
            symbol++; /* ends, as the last sum is 2^16 */
        firsts[bucket] = (uint16_t)symbol;
    }
}

int64_t rans_prepare(struct rans_tables *tables)
{
    const int32_t *frequencies = tables->frequencies;
    uint32_t *sums = tables->sums;
    int64_t left = tables->total;
    for (int64_t t = 0; t < tables->count; t++) {
        int32_t length = tables->lengths[t], offset = tables->offsets[t];
        if (length < 2 || length > RANS_LARGEST_TABLE || length > left ||
            offset < -RANS_LARGEST_OFFSET || offset > RANS_LARGEST_OFFSET ||
            !sum_up(frequencies, length, sums))
            return t;
        fill_buckets(sums, tables->firsts + t * RANS_BUCKETS);
        tables->starts[t] = sums - tables->sums;
        frequencies += length;
        sums += length + 1;
        left -= length;
    }
    return left ? tables->count : -1;
}

/* Escapes ------------------------------------------------------------------------------------ */

/* The next escape of a table that holds low ... high, into `value`; whether it is legal. */
static int read_escape(struct rans_reader *reader, int32_t low, int32_t high, int32_t *value)
{
    int32_t code = 0;
    uint8_t byte;
    int bytes = 0;
    do {
        if (bytes == ESCAPE_BYTES || reader->escapes_position >= reader->escapes_size)
            return 0;
        byte = reader->escapes[reader->escapes_position++];
        code |= (byte & 127) << (7 * bytes++);
    } while (byte & 128);
    if (byte == 0 && bytes > 1)
        return 0; /* padded: there is a shorter form */
    *value = code & 1 ? low - 1 - (code >> 1) : high + 1 + (code >> 1);
    return -RANS_LARGEST_MAGNITUDE <= *value && *value <= RANS_LARGEST_MAGNITUDE;
}

/* Whether there was room for the escape of `value`, which is outside low ... high. */
static int write_escape(struct rans_writer *writer, int32_t low, int32_t high, int32_t value)
{
    int32_t code = value > high ? 2 * (value - high - 1) : 2 * (low - 1 - value) + 1;
    if (writer->escapes_size - writer->escapes_position < ESCAPE_BYTES)
        return 0;
    for (; code >= 128; code >>= 7)
        writer->escapes[writer->escapes_position++] = (uint8_t)(code & 127) | 128;
    writer->escapes[writer->escapes_position++] = (uint8_t)code;
    return 1;
}

/* Streams ------------------------------------------------------------------------------------ */

static uint32_t read_word(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void write_word(uint8_t *bytes, uint32_t word)
{
    for (int i = 0; i < WORD; i++)
        bytes[i] = (uint8_t)(word >> 8 * i);
}

int64_t rans_decode(const struct rans_tables *tables, struct rans_reader *reader,
                    const int32_t *indexes, int64_t count, int32_t *values)
{
    uint64_t state = reader->state; /* in a register: stores into values cannot change it */
    int64_t position = reader->words_position, i;
    reader->fault = RANS_FINE;
    for (i = 0; i < count; i++) {
        int64_t table = indexes[i];
        if (table < 0 || table >= tables->count) {
            reader->fault = RANS_BAD_INDEX;
            break;
        }
        const uint32_t *sums = tables->sums + tables->starts[table];
        uint32_t rest = (uint32_t)state & (TOTAL - 1);
        int32_t symbol = tables->firsts[table * RANS_BUCKETS + (rest >> BUCKET_SHIFT)];
        while (sums[symbol + 1] <= rest)
            symbol++;
        state = (sums[symbol + 1] - sums[symbol]) * (state >> RANS_PRECISION) + rest - sums[symbol];
        if (state < STATE_LOW) {
            if (reader->words_size - position < WORD) {
                reader->fault = RANS_WORDS_END;
                break;
            }
            state = state << 32 | read_word(reader->words + position);
            position += WORD;
        }
        int32_t low = tables->offsets[table], escape = tables->lengths[table] - 1;
        values[i] = low + symbol;
        if (symbol == escape && !read_escape(reader, low, low + escape - 1, &values[i])) {
            reader->fault = RANS_ESCAPE_DAMAGED;
            break;
        }
    }
    reader->state = state;
    reader->words_position = position;
    return i;
}

/* Check everything and write the escapes, which are in coding order. Returns as rans_encode. */
static int64_t write_escapes(const struct rans_tables *tables, struct rans_writer *writer,
                             const int32_t *indexes, int64_t count, const int32_t *values)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t table = indexes[i];
        int32_t value = values[i];
        if (table < 0 || table >= tables->count) {
            writer->fault = RANS_BAD_INDEX;
            return i;
        }
        int32_t low = tables->offsets[table], high = low + tables->lengths[table] - 2;
        if (low <= value && value <= high)
            continue;
        if (value < -RANS_LARGEST_MAGNITUDE || value > RANS_LARGEST_MAGNITUDE) {
            writer->fault = RANS_BAD_VALUE;
            return i;
        }
        if (!write_escape(writer, low, high, value)) {
            writer->fault = RANS_NO_ROOM;
            return i;
        }
    }
    return count;
}

int64_t rans_encode(const struct rans_tables *tables, struct rans_writer *writer,
                    const int32_t *indexes, int64_t count, const int32_t *values)
{
    uint64_t state = STATE_LOW;
    int64_t position = writer->words_size;
    writer->escapes_position = 0;
    writer->fault = RANS_FINE;
    int64_t written = write_escapes(tables, writer, indexes, count, values);
    if (writer->fault)
        return written;
    for (int64_t i = count - 1; i >= 0; i--) { /* a decoder takes them the other way round */
        int64_t table = indexes[i];
        int32_t escape = tables->lengths[table] - 1;
        int64_t symbol = (int64_t)values[i] - tables->offsets[table];
        if (symbol < 0 || symbol > escape)
            symbol = escape;
        const uint32_t *sums = tables->sums + tables->starts[table];
        uint64_t frequency = sums[symbol + 1] - sums[symbol];
        if (state >= frequency << 47) {
            if (position < WORD) {
                writer->fault = RANS_NO_ROOM;
                return i;
            }
            position -= WORD;
            write_word(writer->words + position, (uint32_t)state);
            state >>= 32;
        }
        state = (state / frequency << RANS_PRECISION) + sums[symbol] + state % frequency;
    }
    if (position < 2 * WORD) {
        writer->fault = RANS_NO_ROOM;
        return 0;
    }
    write_word(writer->words + position - WORD, (uint32_t)(state >> 32));
    write_word(writer->words + position - 2 * WORD, (uint32_t)state);
    writer->words_position = position - 2 * WORD;
    return count;
}
