"""The loops over symbols come in two forms, which give the same bytes and integers: native where
that is there, and on NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from licodec.entropy import adaptive, quantization, rans_native, rans_python, steps_native
from licodec.entropy.coder_tables import Coder, CoderTables
from licodec.exact import native


@dataclass(frozen=True)
class Form:
    """The functions of ``adaptive`` and ``quantization`` by their names, and a coder."""

    coder: Callable[[CoderTables], Coder]
    adaptive_steps: Callable[..., np.ndarray]
    scale_indexes: Callable[..., np.ndarray]
    dequantize: Callable[..., np.ndarray]
    nearest_symbols: Callable[..., np.ndarray]
    rdoq_symbols: Callable[..., np.ndarray]


PLAIN = Form(
    rans_python.PythonCoder,
    adaptive.adaptive_steps,
    adaptive.scale_indexes,
    adaptive.dequantize,
    quantization.nearest_symbols,
    quantization.rdoq_symbols,
)
NATIVE = Form(
    rans_native.NativeCoder,
    steps_native.adaptive_steps,
    steps_native.scale_indexes,
    steps_native.dequantize,
    steps_native.nearest_symbols,
    steps_native.rdoq_symbols,
)


def fastest() -> Form:
    """The form to use on this machine."""
    return PLAIN if native.library() is None else NATIVE
