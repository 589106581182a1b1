/* rANS over stored frequency tables, with the escapes beside it: format/SPEC.md, "Entropy coding".
 *
 * All input is taken to be hostile. Tables are checked once, by rans_prepare; streams, indexes
 * and values as they are used. Nothing is read or written outside what a caller states. */

#ifndef LICODEC_RANS_H
#define LICODEC_RANS_H

#include <stdint.h>

#include "native.h"

enum {
    RANS_PRECISION = 16,                /* frequencies of a table sum to 2^16 */
    RANS_LARGEST_TABLE = 4096,          /* frequencies, the escape's included */
    RANS_BUCKET_BITS = 8,               /* of the 16, by which a symbol is looked up */
    RANS_BUCKETS = 1 << RANS_BUCKET_BITS,
    RANS_LARGEST_MAGNITUDE = 32767,     /* of an integer with an escape */
    RANS_LARGEST_OFFSET = 32767,        /* of a table's first integer */
};

enum rans_fault {
    RANS_FINE = 0,
    RANS_BAD_INDEX,         /* no table has this index */
    RANS_BAD_VALUE,         /* an integer that has no escape, RANS_LARGEST_MAGNITUDE being less */
    RANS_NO_ROOM,           /* of what is written into */
    RANS_WORDS_END,         /* the stream ends before its last symbol */
    RANS_ESCAPE_DAMAGED,    /* cut off, too long, padded, or out of range */
};

/* Table t codes the integers offsets[t], offsets[t] + 1, ... with all of its frequencies but the
 * last, which is the escape's. The last two arrays are rans_prepare's. */
struct rans_tables {
    int64_t count;
    int64_t total;              /* frequencies of all tables together */
    const int32_t *frequencies; /* total, one table behind the other */
    const int32_t *lengths;     /* count */
    const int32_t *offsets;     /* count */
    uint32_t *sums;             /* total + count: of each table 0, f_0, f_0 + f_1, ..., 2^16 */
    int64_t *starts;            /* count: where in sums a table begins */
    uint16_t *firsts;           /* count * RANS_BUCKETS: the symbol that a bucket begins in */
};

/* A stream as far as it is read. */
struct rans_reader {
    const uint8_t *words;
    int64_t words_size;         /* bytes */
    int64_t words_position;
    const uint8_t *escapes;
    int64_t escapes_size;
    int64_t escapes_position;
    uint64_t state;
    int64_t fault;              /* enum rans_fault, of the last call */
};

/* A stream as it is written: words end at the end of their buffer, escapes begin theirs. */
struct rans_writer {
    uint8_t *words;
    int64_t words_size;         /* bytes of the buffer; 8 + 4 for each integer is enough */
    int64_t words_position;     /* where the stream begins in it */
    uint8_t *escapes;
    int64_t escapes_size;       /* bytes of the buffer; 3 for each integer are enough */
    int64_t escapes_position;   /* where the escapes end in it */
    int64_t fault;
};

/* Check the tables and fill in what is looked up. Returns -1, or the first table that is not
 * legal (tables->count where the numbers of frequencies do not add up to the total). */
LICODEC_EXPORT int64_t rans_prepare(struct rans_tables *tables);

/* Decode `count` integers with the tables `indexes`. Returns how many were decoded: fewer where
 * reader->fault says why; the positions are then those of the fault. */
LICODEC_EXPORT int64_t rans_decode(const struct rans_tables *tables, struct rans_reader *reader,
                                   const int32_t *indexes, int64_t count, int32_t *values);

/* Encode a whole stream of `count` integers. Returns `count`, or where the fault is that
 * writer->fault names. */
LICODEC_EXPORT int64_t rans_encode(const struct rans_tables *tables, struct rans_writer *writer,
                                   const int32_t *indexes, int64_t count, const int32_t *values);

#endif
