/* The library is loaded by ctypes and never imported. Packaging tools know extension modules
 * alone, so it has the shape of one: an entry point, which refuses. That needs no Python.h, so
 * building needs a compiler and nothing else, and the same library serves every Python. */

#include <stddef.h>
#include <stdint.h>

#include "native.h"

LICODEC_EXPORT void *PyInit__native(void);
LICODEC_EXPORT uint32_t licodec_fingerprint(void);

void *PyInit__native(void)
{
    return NULL;
}

/* Of the sources that this was built from: a library is used with its own sources alone. */
uint32_t licodec_fingerprint(void)
{
    return LICODEC_FINGERPRINT;
}
