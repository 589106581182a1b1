/* Weights in the order in which the kernels read them. */

#include <stdint.h>
#include <string.h>

#include "native.h"

LICODEC_EXPORT void licodec_pack(const int16_t *weight, int64_t groups, int64_t outputs,
                                 int64_t inputs, int64_t kernel, int64_t pitch, int64_t runs,
                                 int64_t length, int64_t lanes, int64_t step, int64_t bytes,
                                 char *packed);

/* weight (groups * outputs, inputs, kernel, kernel) -> packed (groups, vectors of outputs,
 * kernel * runs, length / step, lanes, step), elements of 1 or 2 bytes, 0 beyond the weights.
 *
 * A run of weights is for elements that lie side by side in a plane: with `runs` of 1 those of
 * all columns of the kernel, whose pixels are `pitch` elements apart; else those of one. */
void licodec_pack(const int16_t *weight, int64_t groups, int64_t outputs, int64_t inputs,
                  int64_t kernel, int64_t pitch, int64_t runs, int64_t length, int64_t lanes,
                  int64_t step, int64_t bytes, char *packed)
{
    int64_t vectors = (outputs + lanes - 1) / lanes, vector = lanes * step * bytes;
    int64_t columns = kernel / runs; /* of a run */
    memset(packed, 0, (size_t)(groups * vectors * kernel * runs * length * lanes * bytes));
    for (int64_t group = 0; group < groups; group++) {
        for (int64_t o = 0; o < outputs; o++) {
            const int16_t *own = weight + (group * outputs + o) * inputs * kernel * kernel;
            char *first = packed +
                (group * vectors + o / lanes) * kernel * runs * length * lanes * bytes +
                o % lanes * step * bytes;
            for (int64_t i = 0; i < inputs; i++) {
                for (int64_t row = 0; row < kernel; row++) {
                    for (int64_t column = 0; column < kernel; column++) {
                        int64_t k = column % columns * pitch + i;
                        char *to = first + k / step * vector + k % step * bytes +
                            (row * runs + column / columns) * (length / step) * vector;
                        int16_t w = own[(i * kernel + row) * kernel + column];
                        if (bytes == 1)
                            *(int8_t *)to = (int8_t)w;
                        else
                            memcpy(to, &w, sizeof w);
                    }
                }
            }
        }
    }
}
