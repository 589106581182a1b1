/* How many positions a block of sums takes: the most, or what is left over in a few pieces. */

static inline int64_t piece(int64_t left)
{
    return left >= MOST_POSITIONS ? MOST_POSITIONS : left >= 6 ? 6 : left >= 3 ? 3 : 1;
}

#if MOST_POSITIONS == 6
#define FOR_PIECE(m, BLOCK)                                                                        \
    switch (m) {                                                                                   \
    case 6: BLOCK(6); break;                                                                       \
    case 3: BLOCK(3); break;                                                                       \
    default: BLOCK(1);                                                                             \
    }
#else
#define FOR_PIECE(m, BLOCK)                                                                        \
    switch (m) {                                                                                   \
    case MOST_POSITIONS: BLOCK(MOST_POSITIONS); break;                                             \
    case 6: BLOCK(6); break;                                                                       \
    case 3: BLOCK(3); break;                                                                       \
    default: BLOCK(1);                                                                             \
    }
#endif
