"""NumPy arrays as native functions take them."""

from __future__ import annotations

import numpy as np

# Types of arguments: contiguous arrays, which live as long as the call at least.
INT16, INT32 = (np.ctypeslib.ndpointer(kind, flags="C_CONTIGUOUS") for kind in (np.int16, np.int32))


def address(array: np.ndarray, dtype: type[np.generic]) -> int:
    """Where the elements stand; the array must be contiguous, aligned, of `dtype`, and outlive the
    use."""
    if array.dtype != dtype or not (array.flags.c_contiguous and array.flags.aligned):
        raise TypeError(f"a contiguous array of {np.dtype(dtype)} is expected, not {array.dtype}")
    return array.ctypes.data
