/* The library is loaded by ctypes. It has the name of an extension module, since packaging tools
 * know no other libraries, and no entry point of one: importing it is an ImportError. So building
 * needs a compiler and nothing else, not even Python.h, and one library serves every Python. */

#include <stdint.h>

#include "native.h"

LICODEC_EXPORT uint32_t licodec_fingerprint(void);

/* Of the sources that this was built from: a library is used with its own sources alone. */
uint32_t licodec_fingerprint(void)
{
    return LICODEC_FINGERPRINT;
}
