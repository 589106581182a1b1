"""The interpreter that the torch backends share; they differ in how they convolve.

A value is a contiguous tensor (rows, columns, channels): what oneDNN calls channels last. It
holds int16 where its proved range fits and int32 otherwise; an accumulator is float32, the
exact sum rounded once, which is all that a requantization reads of it. Operations work in
place on operands that die with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from licodec.exact.backends import torch_transforms
from licodec.exact.bounds import ValueInfo, analyse
from licodec.exact.program import Operation, Program, Tensors

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
Convolve = Callable[[Tensor], Tensor]
"""Planes (H, W, I) of integers -> a fresh float32 tensor (H/stride, W/stride, O): the exact
sums, each rounded once."""


@dataclass(frozen=True)
class Convolution:
    """What a backend must know of a conv2d: weight (O, I/groups, k, k), bias (O,), both
    integers, the range [low, high] of the operand and whether it may be overwritten."""

    weight: np.ndarray
    bias: np.ndarray
    stride: int
    padding: int
    groups: int
    low: int
    high: int
    operand_dies: bool


@dataclass(frozen=True)
class Operand:
    """A value as an operation meets it; `dies` where nothing reads it afterwards."""

    info: ValueInfo
    dies: bool


Kernel = Callable[..., Tensor]
"""One bound operation: its operands' tensors -> its result, which shares memory with no
operand that lives on."""


@dataclass(frozen=True)
class Step:
    kernel: Kernel
    inputs: tuple[str, ...]
    output: str
    dead: tuple[str, ...]  # values that nothing reads after this step


def prepare(
    program: Program,
    tensors: Tensors,
    bind_convolution: Callable[[Convolution], Convolve],
    device: torch.device,
) -> Run:
    """Bind `program` to its tensors on `device`."""
    values = analyse(program, tensors)
    steps = _steps(program, tensors, values, bind_convolution, device)
    unused = {port.name for port in program.inputs} - set(program.outputs)
    unused -= {name for step in steps for name in step.inputs}

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode(), ieee_precision():
            live = {
                port.name: _to_device(inputs[port.name], values[port.name], device)
                for port in program.inputs
                if port.name not in unused
            }
            for step in steps:
                live[step.output] = step.kernel(*(live[name] for name in step.inputs))
                for name in step.dead:
                    del live[name]
            return {name: _from_planes(live[name]) for name in program.outputs}

    return run


@contextmanager
def ieee_precision() -> Iterator[None]:
    """No bfloat16 or TF32 inside oneDNN's float32 convolutions and matrix products."""
    settings = (torch.backends.mkldnn.conv, torch.backends.mkldnn.matmul)
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision


def _steps(
    program: Program,
    tensors: Tensors,
    values: Mapping[str, ValueInfo],
    bind_convolution: Callable[[Convolution], Convolve],
    device: torch.device,
) -> tuple[Step, ...]:
    last_read = {name: i for i, op in enumerate(program.operations) for name in op.inputs}
    orders = _channel_orders(program, values)
    steps = []
    for i, operation in enumerate(program.operations):
        dying = {n for n in operation.inputs if last_read[n] == i and n not in program.outputs}
        operands = [Operand(values[n], n in dying) for n in operation.inputs]
        roles = {role: tensors[name] for role, name in operation.tensors.items()}
        if (order := orders.get(operation.output)) is not None:
            # Weights, biases and multipliers are by channel of the result.
            roles = {role: t if t.shape == (1,) else t[order] for role, t in roles.items()}
        if operation.kind == "conv2d":
            (x,) = operands
            kernel = bind_convolution(
                Convolution(
                    roles["weight"],
                    roles["bias"],
                    **operation.attributes,
                    low=x.info.low,
                    high=x.info.high,
                    operand_dies=x.dies,
                )
            )
        elif operation.kind == "pixel_shuffle" and operation.inputs[0] in orders:
            kernel = _bind_block_shuffle(operation.attributes["factor"])
        else:
            result = values[operation.output]
            kernel = _BINDERS[operation.kind](operation, operands, result, roles, device)
        # A result that nothing reads dies at once.
        if operation.output not in last_read and operation.output not in program.outputs:
            dying.add(operation.output)
        steps.append(Step(kernel, operation.inputs, operation.output, tuple(dying)))
    return tuple(steps)


def _channel_orders(program: Program, values: Mapping[str, ValueInfo]) -> dict[str, np.ndarray]:
    """For values that only a pixel shuffle reads, and the sums they are made of: the order of
    channels (row in block, column in block, channel) in which to compute them.

    The shuffle then copies whole runs, which is several times faster than single integers.
    """
    makers = {operation.output: operation for operation in program.operations}
    reads = Counter(name for operation in program.operations for name in operation.inputs)
    reads.update(program.outputs)
    orders = {}
    for operation in program.operations:
        if operation.kind != "pixel_shuffle" or reads[operation.inputs[0]] != 1:
            continue
        requantize = makers.get(operation.inputs[0])
        if requantize is None or requantize.kind != "requantize":
            continue
        conv = makers.get(requantize.inputs[0])
        # With groups, the order of the results is tied to that of the operand.
        if conv is None or conv.kind != "conv2d" or conv.attributes["groups"] != 1:
            continue
        channels = np.arange(values[conv.output].channels)
        order = channels.reshape(-1, operation.attributes["factor"] ** 2).T.ravel()
        orders[requantize.output] = orders[conv.output] = order
    return orders


def _storage(info: ValueInfo) -> torch.dtype:
    return torch.int16 if _fits_int16(info.low, info.high) else torch.int32


def _fits_int16(low: int, high: int) -> bool:
    return low >= -(2**15) and high < 2**15


def _to_device(plane: np.ndarray, info: ValueInfo, device: torch.device) -> Tensor:
    """(C, H, W) integers -> fresh (H, W, C) planes; a number () -> float32 ()."""
    if info.number:
        return torch.tensor(float(plane), dtype=torch.float32, device=device)
    kind = np.int16 if _storage(info) == torch.int16 else np.int32
    moved = np.moveaxis(plane, 0, 2).astype(kind, order="C", copy=True)
    return torch.from_numpy(moved).to(device)


def _from_planes(x: Tensor) -> np.ndarray:
    """(H, W, C) planes -> (C, H, W) int32, channels innermost in memory."""
    return x.to(torch.int32).permute(2, 0, 1).cpu().numpy()


def _clamp(x: Tensor, low: int, high: int, reached: tuple[int, int]) -> Tensor:
    """Clamp `x`, whose values lie in `reached`, in place where there is anything to do."""
    needed_low = low if reached[0] < low else None
    needed_high = high if reached[1] > high else None
    if needed_low is None and needed_high is None:
        return x
    return x.clamp_(needed_low, needed_high)


def _bind_requantize(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    low, high = result.low, result.high
    dtype = _storage(result)
    positive = torch.tensor(roles["multiplier"], device=device)
    negative = None
    if "negative_multiplier" in roles:
        negative = torch.tensor(roles["negative_multiplier"], device=device)
    in_place = operands[0].info.accumulator

    def requantize(acc: Tensor) -> Tensor:
        product = acc if in_place else acc.to(torch.float32)
        # Product, rounding and clamp stay operations of their own: an addition fused to the
        # product would round once where the format rounds twice.
        factor = positive if negative is None else torch.where(product < 0, negative, positive)
        return product.mul_(factor).round_().clamp_(low, high).to(dtype)

    return requantize


def _bind_add(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    a, b = operands
    reached = (a.info.low + b.info.low, a.info.high + b.info.high)
    narrow = _fits_int16(*reached) and all(_storage(x.info) == torch.int16 for x in operands)
    dtype = _storage(result)

    def add(x: Tensor, y: Tensor) -> Tensor:
        if narrow and (a.dies or b.dies):
            total = x.add_(y) if a.dies else y.add_(x)
        elif narrow:
            total = x + y
        else:
            total = x.to(torch.int32) + y.to(torch.int32)
        return _clamp(total, result.low, result.high, reached).to(dtype)

    return add


def _bind_product(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    def product(x: Tensor, y: Tensor) -> Tensor:
        # Both are exact in binary32, so their product is the exact one rounded once.
        return x.to(torch.float32) * y.to(torch.float32)

    return product


def _bind_transform(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    bind = torch_transforms.BINDERS[operation.kind]
    dtype = torch.float32 if result.accumulator else _storage(result)
    return bind(operation, operands[0].info, roles, dtype, device)


def _bind_clamp(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    (operand,) = operands
    reached = (operand.info.low, operand.info.high)
    dtype = _storage(result)

    def clamp(x: Tensor) -> Tensor:
        own = x if operand.dies else x.clone()
        return _clamp(own, result.low, result.high, reached).to(dtype)

    return clamp


def _bind_table(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    (operand,), low = operands, operation.attributes["low"]
    entries = torch.tensor(roles["table"], dtype=_storage(result), device=device)
    last = len(entries) - 1
    reached = (operand.info.low - low, operand.info.high - low)

    def table(x: Tensor) -> Tensor:
        index = _clamp(x.to(torch.int32) - low, 0, last, reached)
        return entries.index_select(0, index.flatten()).view(x.shape)

    return table


def _bind_concat(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    dtype = _storage(result)

    def concat(*xs: Tensor) -> Tensor:
        return torch.cat([x.to(dtype) for x in xs], 2)

    return concat


def _bind_split(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    start, stop = operation.attributes["start"], operation.attributes["stop"]

    def split(x: Tensor) -> Tensor:
        return x[:, :, start:stop].clone(memory_format=torch.contiguous_format)

    return split


def _bind_pixel_shuffle(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    f = operation.attributes["factor"]

    def pixel_shuffle(x: Tensor) -> Tensor:
        rows, columns, channels = x.shape
        blocks = x.view(rows, columns, channels // f**2, f, f).permute(0, 3, 1, 4, 2)
        fresh = blocks.clone(memory_format=torch.contiguous_format)
        return fresh.view(rows * f, columns * f, channels // f**2)

    return pixel_shuffle


def _bind_pixel_unshuffle(
    operation: Operation,
    operands: list[Operand],
    result: ValueInfo,
    roles: Tensors,
    device: torch.device,
) -> Kernel:
    f = operation.attributes["factor"]

    def pixel_unshuffle(x: Tensor) -> Tensor:
        rows, columns, channels = x.shape[0] // f, x.shape[1] // f, x.shape[2]
        blocks = x.view(rows, f, columns, f, channels).permute(0, 2, 4, 1, 3)
        fresh = blocks.clone(memory_format=torch.contiguous_format)
        return fresh.view(rows, columns, channels * f**2)

    return pixel_unshuffle


def _bind_block_shuffle(factor: int) -> Kernel:
    """A pixel shuffle of channels in the order that ``_channel_orders`` gives."""

    def block_shuffle(x: Tensor) -> Tensor:
        rows, columns, channels = x.shape
        blocks = x.view(rows, columns, factor, -1).permute(0, 2, 1, 3)
        fresh = blocks.clone(memory_format=torch.contiguous_format)
        return fresh.view(rows * factor, columns * factor, channels // factor**2)

    return block_shuffle


_Binder = Callable[[Operation, list[Operand], ValueInfo, Tensors, torch.device], Kernel]
_BINDERS: dict[str, _Binder] = {
    "requantize": _bind_requantize,
    "add": _bind_add,
    "mul": _bind_product,
    "scale": _bind_product,
    **dict.fromkeys(torch_transforms.BINDERS, _bind_transform),
    "clamp": _bind_clamp,
    "table": _bind_table,
    "concat": _bind_concat,
    "split": _bind_split,
    "pixel_shuffle": _bind_pixel_shuffle,
    "pixel_unshuffle": _bind_pixel_unshuffle,
}


def sum_passes(results: list[Tensor], coefficients: list[int]) -> Tensor:
    """fl32(sum c_p * result_p) of exact float32 integers below 2^24; overwrites `results`.

    c_p are powers of two in falling order and the last is 1. With two, c * first is exact in
    binary32, so their sum is rounded once; more are added in binary64, exactly, and rounded
    once at the end.
    """
    if len(results) == 1:
        return results[0]
    if len(results) == 2:
        high, low = results
        return low.add_(high, alpha=coefficients[0])
    total = results[0].to(torch.float64).mul_(coefficients[0])
    for result, coefficient in zip(results[1:], coefficients[1:], strict=True):
        total.add_(result, alpha=coefficient)
    return total.to(torch.float32)
