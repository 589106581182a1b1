#if defined(__clang__)
TARGET_PRAGMA(clang attribute pop)
#else
TARGET_PRAGMA(GCC pop_options)
#endif
