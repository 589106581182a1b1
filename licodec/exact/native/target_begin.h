/* From here to target_end.h functions are compiled for the instructions that TARGET names. */

#define TARGET_TEXT(x) #x
#define TARGET_PRAGMA(x) _Pragma(TARGET_TEXT(x))
#if defined(__clang__)
TARGET_PRAGMA(clang attribute push(__attribute__((target(TARGET))), apply_to = function))
#else
TARGET_PRAGMA(GCC push_options)
TARGET_PRAGMA(GCC target(TARGET))
#endif
