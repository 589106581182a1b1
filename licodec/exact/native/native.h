/* What every native source needs: the mark of functions that Python calls through ctypes. */

#ifndef LICODEC_NATIVE_H
#define LICODEC_NATIVE_H

#if defined(_WIN32)
#define LICODEC_EXPORT __declspec(dllexport)
#else
#define LICODEC_EXPORT __attribute__((visibility("default")))
#endif

#endif
