"""Steps, scale indexes and symbols in native code, ``licodec/exact/native/steps.c``: what the
functions of the same names in ``adaptive`` and ``quantization`` give, for planes (C, H, W)."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_int32, c_int64, c_void_p

import numpy as np

from licodec.entropy.quantization import SymbolCosts
from licodec.exact import native
from licodec.exact.native.arrays import address


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


_TWO, _THREE = (c_void_p,) * 2, (c_void_p,) * 3  # arrays
_ADAPTIVE = ("steps_adaptive", None, c_void_p, c_int64, c_int64, *_TWO, c_int32, c_int32, c_void_p)
_INDEXES = ("steps_indexes", None, POINTER(_Planes), c_void_p, c_int32, c_void_p, c_int64, c_void_p)
_DEQUANTIZE = ("steps_dequantize", None, POINTER(_Planes), *_THREE)
_NEAREST = ("steps_nearest", None, POINTER(_Planes), *_TWO)
_THRIFTY = (
    *("steps_rdoq", c_int64, POINTER(_Planes), *_TWO),
    *(POINTER(_Costs), c_int64, c_void_p),
)


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
    native.function(*_ADAPTIVE)(
        address(scale, np.int32),
        len(scale),
        scale[0].size,
        address(least, np.int32),
        address(largest, np.int32),
        *steps,
        address(found, np.int32),
    )
    return found


def scale_indexes(
    scale: np.ndarray, step: np.ndarray, unit: int, thresholds: np.ndarray
) -> np.ndarray:
    """As :func:`licodec.entropy.adaptive.scale_indexes`; int32."""
    scale, step, thresholds = map(_integers, (scale, step, thresholds))
    indexes = np.empty(scale.shape, np.int32)
    native.function(*_INDEXES)(
        _planes(scale.shape, step),
        address(scale, np.int32),
        unit,
        address(thresholds, np.int32),
        len(thresholds),
        address(indexes, np.int32),
    )
    return indexes


def dequantize(symbols: np.ndarray, step: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """As :func:`licodec.entropy.adaptive.dequantize`."""
    symbols, step = map(_integers, (symbols, step))
    mean = np.ascontiguousarray(mean, np.int16)
    latents = np.empty(symbols.shape, np.int16)
    native.function(*_DEQUANTIZE)(
        _planes(symbols.shape, step),
        address(symbols, np.int32),
        address(mean, np.int16),
        address(latents, np.int16),
    )
    return latents


def nearest_symbols(residual: np.ndarray, step: np.ndarray) -> np.ndarray:
    """As :func:`licodec.entropy.quantization.nearest_symbols`; int32."""
    residual, step = map(_integers, (residual, step))
    symbols = np.empty(residual.shape, np.int32)
    native.function(*_NEAREST)(
        _planes(residual.shape, step), address(residual, np.int32), address(symbols, np.int32)
    )
    return symbols


def rdoq_symbols(
    residual: np.ndarray, step: np.ndarray, indexes: np.ndarray, costs: SymbolCosts, weight: int
) -> np.ndarray:
    """As :func:`licodec.entropy.quantization.rdoq_symbols`; int32."""
    residual, step, indexes = map(_integers, (residual, step, indexes))
    arrays = [_integers(array) for array in (costs.costs, costs.starts, costs.low, costs.high)]
    symbols = np.empty(residual.shape, np.int32)
    chosen = native.function(*_THRIFTY)(
        _planes(residual.shape, step),
        address(residual, np.int32),
        address(indexes, np.int32),
        _Costs(len(costs.starts), *(address(array, np.int32) for array in arrays)),
        weight,
        address(symbols, np.int32),
    )
    if chosen < residual.size:
        raise IndexError(f"the index of symbol {chosen} names no table")
    return symbols
