"""Steps, scale indexes and symbols in native code, ``licodec/exact/native/steps.c``: what the
functions of the same names in ``adaptive`` and ``quantization`` give, for planes (C, H, W)."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_int32, c_int64, c_void_p

import numpy as np

from licodec.entropy.quantization import SymbolCosts
from licodec.exact import native
from licodec.exact.native.arrays import INT16, INT32, address


class _Planes(ctypes.Structure):
    _fields_ = (
        ("channels", c_int64),
        ("positions", c_int64),
        ("steps", c_void_p),
        ("channel_stride", c_int64),
        ("stride", c_int64),
    )


class _Costs(ctypes.Structure):
    _fields_ = (
        ("count", c_int64),
        ("costs", c_void_p),
        ("starts", c_void_p),
        ("low", c_void_p),
        ("high", c_void_p),
    )


_PLANES, _COSTS = POINTER(_Planes), POINTER(_Costs)
_ADAPTIVE = (INT32, c_int64, c_int64, INT32, INT32, c_int32, c_int32, INT32)
_INDEXES = (_PLANES, INT32, c_int32, INT32, c_int64, INT32)
_DEQUANTIZE = (_PLANES, INT32, INT16, INT16)
_NEAREST = (_PLANES, INT32, INT32)
_THRIFTY = (_PLANES, INT32, INT32, _COSTS, c_int64, INT32)


def _planes(shape: tuple[int, ...], steps: np.ndarray) -> _Planes:
    """Planes of this shape with int32 `steps`, (1, 1, 1), (C, 1, 1) or (C, H, W)."""
    channels, positions = shape[0], shape[1] * shape[2]
    of_channel = steps.size // len(steps)
    if len(steps) not in (1, channels) or of_channel not in (1, positions):
        raise ValueError(f"steps of {steps.shape} for planes of {shape}")
    channel_stride = of_channel if len(steps) == channels else 0
    stride = 1 if of_channel == positions else 0
    return _Planes(channels, positions, address(steps, np.int32), channel_stride, stride)


def _integers(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.int32)


def adaptive_steps(
    scale: np.ndarray, least: np.ndarray, largest: np.ndarray, steps: tuple[int, int]
) -> np.ndarray:
    """As :func:`licodec.entropy.adaptive.adaptive_steps`; int32."""
    scale, least, largest = map(_integers, (scale, least, largest))
    found = np.empty(scale.shape, np.int32)
    run = native.function("steps_adaptive", None, *_ADAPTIVE)
    run(scale, len(scale), scale[0].size, least, largest, *steps, found)
    return found


def scale_indexes(
    scale: np.ndarray, step: np.ndarray, unit: int, thresholds: np.ndarray
) -> np.ndarray:
    """As :func:`licodec.entropy.adaptive.scale_indexes`; int32."""
    scale, step, thresholds = map(_integers, (scale, step, thresholds))
    indexes = np.empty(scale.shape, np.int32)
    run = native.function("steps_indexes", None, *_INDEXES)
    run(_planes(scale.shape, step), scale, unit, thresholds, len(thresholds), indexes)
    return indexes


def dequantize(symbols: np.ndarray, step: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """As :func:`licodec.entropy.adaptive.dequantize`."""
    symbols, step = map(_integers, (symbols, step))
    latents = np.empty(symbols.shape, np.int16)
    run = native.function("steps_dequantize", None, *_DEQUANTIZE)
    run(_planes(symbols.shape, step), symbols, np.ascontiguousarray(mean, np.int16), latents)
    return latents


def nearest_symbols(residual: np.ndarray, step: np.ndarray) -> np.ndarray:
    """As :func:`licodec.entropy.quantization.nearest_symbols`; int32."""
    residual, step = map(_integers, (residual, step))
    symbols = np.empty(residual.shape, np.int32)
    run = native.function("steps_nearest", None, *_NEAREST)
    run(_planes(residual.shape, step), residual, symbols)
    return symbols


def rdoq_symbols(
    residual: np.ndarray, step: np.ndarray, indexes: np.ndarray, costs: SymbolCosts, weight: int
) -> np.ndarray:
    """As :func:`licodec.entropy.quantization.rdoq_symbols`; int32."""
    residual, step, indexes = map(_integers, (residual, step, indexes))
    arrays = [_integers(array) for array in (costs.costs, costs.starts, costs.low, costs.high)]
    given = _Costs(len(costs.starts), *(address(array, np.int32) for array in arrays))
    symbols = np.empty(residual.shape, np.int32)
    run = native.function("steps_rdoq", c_int64, *_THRIFTY)
    chosen = run(_planes(residual.shape, step), residual, indexes, given, weight, symbols)
    if chosen < residual.size:
        raise IndexError(f"the index of symbol {chosen} names no table")
    return symbols
