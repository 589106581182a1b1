/* Runs the native coder on cases from the standard input, one after the other, with every array
 * in memory of its own and of just its size, where sanitizers see the first byte beside it.
 * scripts/fuzzing/native_cases.py writes the cases and reads the answers. */

#include <stdio.h>
#include <stdlib.h>

#include "rans.h"

enum { MOST = 1 << 20 }; /* of anything in a case: what is more is no case */

struct sizes {
    int64_t tables, total, words, escapes, indexes, words_room, escapes_room;
};

/* `count` elements of `size` bytes from the input, or zeros where it holds none of them. */
static void *take(int64_t count, size_t size, int from_input)
{
    void *array = count < 0 || count > MOST ? NULL : malloc((size_t)count * size);
    if (!array && count)
        exit(2);
    for (int64_t i = 0; !from_input && i < count * (int64_t)size; i++)
        ((char *)array)[i] = 0;
    if (from_input && fread(array, size, (size_t)count, stdin) != (size_t)count)
        exit(2);
    return array;
}

static void answer(int64_t number)
{
    fwrite(&number, sizeof number, 1, stdout);
}

static void decode(const struct rans_tables *tables, const struct sizes *sizes,
                   const uint8_t *words, const uint8_t *escapes, const int32_t *indexes)
{
    struct rans_reader reader = {.words = words, .words_size = sizes->words, .words_position = 8,
                                 .escapes = escapes, .escapes_size = sizes->escapes};
    for (int i = 0; i < 8; i++)
        reader.state |= (uint64_t)words[i] << 8 * i;
    int32_t *values = take(sizes->indexes, sizeof *values, 0);
    int64_t half = sizes->indexes / 2; /* in two calls, as a picture is in several */
    int64_t done = rans_decode(tables, &reader, indexes, half, values);
    if (!reader.fault)
        done += rans_decode(tables, &reader, indexes + half, sizes->indexes - half, values + half);
    answer(reader.fault);
    answer(done);
    answer(reader.words_position);
    answer(reader.escapes_position);
    answer((int64_t)reader.state);
    fwrite(values, sizeof *values, (size_t)done, stdout);
    free(values);
}

static void encode(const struct rans_tables *tables, const struct sizes *sizes,
                   const int32_t *indexes, const int32_t *values)
{
    struct rans_writer writer = {.words = take(sizes->words_room, 1, 0),
                                 .words_size = sizes->words_room,
                                 .escapes = take(sizes->escapes_room, 1, 0),
                                 .escapes_size = sizes->escapes_room};
    int64_t done = rans_encode(tables, &writer, indexes, sizes->indexes, values);
    int64_t words = writer.fault ? 0 : writer.words_size - writer.words_position;
    answer(writer.fault);
    answer(done);
    answer(words);
    answer(writer.escapes_position);
    fwrite(writer.words + writer.words_position, 1, (size_t)words, stdout);
    fwrite(writer.escapes, 1, (size_t)writer.escapes_position, stdout);
    free(writer.words);
    free(writer.escapes);
}

static void run(const struct sizes *sizes)
{
    int32_t *frequencies = take(sizes->total, sizeof *frequencies, 1);
    int32_t *lengths = take(sizes->tables, sizeof *lengths, 1);
    int32_t *offsets = take(sizes->tables, sizeof *offsets, 1);
    uint8_t *words = take(sizes->words, 1, 1);
    uint8_t *escapes = take(sizes->escapes, 1, 1);
    int32_t *indexes = take(sizes->indexes, sizeof *indexes, 1);
    int32_t *values = take(sizes->indexes, sizeof *values, 1);
    struct rans_tables tables = {
        .count = sizes->tables, .total = sizes->total, .frequencies = frequencies,
        .lengths = lengths, .offsets = offsets,
        .sums = take(sizes->total + sizes->tables, sizeof *tables.sums, 0),
        .starts = take(sizes->tables, sizeof *tables.starts, 0),
        .firsts = take(sizes->tables * RANS_BUCKETS, sizeof *tables.firsts, 0)};
    int64_t illegal = rans_prepare(&tables);
    answer(illegal);
    if (illegal < 0) {
        decode(&tables, sizes, words, escapes, indexes);
        encode(&tables, sizes, indexes, values);
    }
    fflush(stdout); /* so that it is known which case was the last */
    free(frequencies);
    free(lengths);
    free(offsets);
    free(words);
    free(escapes);
    free(indexes);
    free(values);
    free(tables.sums);
    free(tables.starts);
    free(tables.firsts);
}

int main(void)
{
    struct sizes sizes;
    while (fread(&sizes, sizeof sizes, 1, stdin) == 1)
        run(&sizes);
    return 0;
}
