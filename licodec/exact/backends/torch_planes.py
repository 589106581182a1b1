"""The interpreter that the torch backends share; they differ in how they convolve.

A value is a contiguous tensor (rows, columns, channels): what oneDNN calls channels last. It
holds int16 where its proved range fits and int32 otherwise. Sums never are such a tensor: they
are formed and requantized block by block, in float32, the exact sum rounded once, which is all
that a requantization reads of it. Operations write over operands that die with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from licodec.exact.backends import torch_pointwise, torch_transforms
from licodec.exact.backends.torch_blocks import (
    SUMS_PER_THREAD,
    Scratch,
    Window,
    chunk_size,
    chunks,
    row_blocks,
)
from licodec.exact.backends.torch_nodes import Node, storage
from licodec.exact.backends.torch_pointwise import Pointwise, Sums, bind_finish, product_sums
from licodec.exact.bounds import CheckedProgram
from licodec.exact.passes import KernelLimits, Pass, split_into_passes
from licodec.exact.program import Operation, Program, Tensors
from licodec.exact.values import Planes, Run, ValueInfo
from licodec.forks import limit_torch

Convolve = Callable[[Tensor, Window, Scratch], Tensor]
"""Planes (H, W, I) of integers, the window of them to convolve, and scratch memory -> float32
(rows, columns, O), contiguous: the exact sums, each rounded once."""


@dataclass(frozen=True)
class Convolution:
    """What a backend must know of a conv2d: weight (O, I/groups, k, k), bias (O,), both
    integers, and the range [low, high] of the operand."""

    weight: np.ndarray
    bias: np.ndarray
    stride: int
    padding: int
    groups: int
    low: int
    high: int

    def passes(self, limits: KernelLimits) -> tuple[Pass, ...]:
        """It cut as a kernel of such limits needs it. Raises NoExactSplit."""
        cut = (self.weight, self.bias, self.low, self.high, self.groups)
        return split_into_passes(*cut, limits)


Kernel = Callable[..., Tensor]
"""One bound task: its operands' tensors, then scratch memory -> its result, which shares memory
with no operand that lives on."""


@dataclass(frozen=True)
class Task:
    """What is computed in one step: an operation, or a sum, the requantization that reads it,
    and the pixel shuffle behind that where it alone reads the result."""

    operations: tuple[Operation, ...]

    @property
    def kind(self) -> str:
        return self.operations[0].kind

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.operations[0].inputs

    @property
    def output(self) -> str:
        return self.operations[-1].output


@dataclass(frozen=True)
class Step:
    kernel: Kernel
    inputs: tuple[str, ...]
    output: str
    dead: tuple[str, ...]  # values that nothing reads after this step


def prepare(
    checked: CheckedProgram,
    bind_convolution: Callable[[Convolution], Convolve],
    device: torch.device,
) -> Run:
    """What runs a program on `device`."""
    program, values = checked.program, checked.values
    steps = _steps(checked, bind_convolution, device)
    unused = {port.name for port in program.inputs} - set(program.outputs)
    unused -= {name for step in steps for name in step.inputs}

    def run(inputs: Planes) -> dict[str, np.ndarray]:
        limit_torch()
        with torch.inference_mode(), ieee_precision():
            live = {
                port.name: _to_device(inputs[port.name], values[port.name], device)
                for port in program.inputs
                if port.name not in unused
            }
            scratch = Scratch(device)
            for step in steps:
                live[step.output] = step.kernel(*(live[name] for name in step.inputs), scratch)
                for name in step.dead:
                    del live[name]
            return {name: _from_planes(live[name]) for name in program.outputs}

    return run


@contextmanager
def ieee_precision() -> Iterator[None]:
    """No bfloat16 or TF32 inside oneDNN's float32 convolutions and matrix products."""
    mkldnn = torch.backends.mkldnn
    settings = (mkldnn.conv, mkldnn.matmul)  # type: ignore[attr-defined]  # put there at run time
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision


def _steps(
    checked: CheckedProgram,
    bind_convolution: Callable[[Convolution], Convolve],
    device: torch.device,
) -> tuple[Step, ...]:
    program, values = checked.program, checked.values
    orders = _channel_orders(program, values)
    tasks = _tasks(program, values, orders)
    last_read = {name: i for i, task in enumerate(tasks) for name in task.inputs}
    steps = []
    for i, task in enumerate(tasks):
        dying = {n for n in task.inputs if last_read[n] == i and n not in program.outputs}
        first, *further = (
            Node(
                operation.attributes,
                tuple(values[name] for name in operation.inputs),
                values[operation.output],
                frozenset(i for i, name in enumerate(operation.inputs) if name in dying),
                _roles(operation, checked.tensors, orders),
                device,
            )
            for operation in task.operations
        )
        if task.kind == "conv2d":
            convolve = bind_convolution(_convolution(first))
            kernel = _bind_convolution(convolve, first, *further)
        elif task.kind in _SUMS:
            kernel = _bind_sums(_SUMS[task.kind](first), first, *further)
        else:
            kernel = _BINDERS[task.kind](first)
        # A result that nothing reads dies at once.
        if task.output not in last_read and task.output not in program.outputs:
            dying.add(task.output)
        steps.append(Step(kernel, task.inputs, task.output, tuple(dying)))
    return tuple(steps)


def _tasks(
    program: Program, values: Mapping[str, ValueInfo], orders: Mapping[str, np.ndarray]
) -> list[Task]:
    """The operations in order, those joined that are computed together."""
    tasks: list[Task] = []
    begun: dict[str, tuple[Operation, ...]] = {}  # by the value that is not computed by itself
    for operation in program.operations:
        joined = (*begun.pop(operation.inputs[0], ()), operation)
        if values[operation.output].accumulator or operation.output in orders:
            begun[operation.output] = joined
        else:
            tasks.append(Task(joined))
    return tasks


def _roles(
    operation: Operation, tensors: Tensors, orders: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The operation's tensors by role, in the order in which its channels are computed."""
    roles = operation.roles(tensors)
    if (order := orders.get(operation.output)) is None:
        return roles
    # Weights, biases and multipliers are by channel of the result.
    return {role: t if t.shape == (1,) else t[order] for role, t in roles.items()}


def _convolution(node: Node) -> Convolution:
    (x,) = node.operands
    roles, a = node.roles, node.attributes
    place = a["stride"], a["padding"], a["groups"]
    return Convolution(roles["weight"], roles["bias"], *place, x.low, x.high)


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


def _to_device(plane: np.ndarray, info: ValueInfo, device: torch.device) -> Tensor:
    """(C, H, W) integers -> fresh (H, W, C) planes; a number () -> float32 ()."""
    if info.number:
        return torch.tensor(float(plane), dtype=torch.float32, device=device)
    kind = np.int16 if storage(info) == torch.int16 else np.int32
    moved = np.moveaxis(plane, 0, 2).astype(kind, order="C", copy=True)
    return torch.from_numpy(moved).to(device)


def _from_planes(x: Tensor) -> np.ndarray:
    """(H, W, C) planes -> (C, H, W) int32, channels innermost in memory."""
    return x.to(torch.int32).permute(2, 0, 1).cpu().numpy()


def _bind_convolution(
    convolve: Convolve, conv: Node, requantization: Node, *shuffles: Node
) -> Kernel:
    """A convolution, requantized, and its channels shuffled where the task says so."""
    stride, padding = conv.attributes["stride"], conv.attributes["padding"]
    finish, dtype, device = bind_finish(requantization), requantization.dtype, conv.device
    channels, kernel = conv.result.channels, conv.roles["weight"].shape[2]
    factor = shuffles[0].attributes["factor"] if shuffles else 1

    def convolution(x: Tensor, scratch: Scratch) -> Tensor:
        plane = x.shape[0], x.shape[1]
        rows, columns = ((n + 2 * padding - kernel) // stride + 1 for n in plane)
        shape = (rows * factor, columns * factor, channels // factor**2)
        out = torch.empty(shape, dtype=dtype, device=device)
        # Channels come as _channel_orders has them: runs that lie together in the result.
        runs = out.view(rows, factor, columns, -1).permute(0, 2, 1, 3)
        most = chunk_size(device, SUMS_PER_THREAD)
        for top, bottom in row_blocks(rows, columns * channels, most):
            window = Window.of(plane, top, bottom, kernel, stride, padding)
            finish(convolve(x, window, scratch), runs[top:bottom], scratch)
        return out

    return convolution


def _bind_sums(sums: Sums, node: Node, requantization: Node) -> Kernel:
    """Sums by position, requantized."""
    finish = bind_finish(requantization)

    def pointwise(*chunk: Any) -> None:
        *operands, target, scratch = chunk
        finish(sums(*operands, scratch), target, scratch)

    return _by_chunks(pointwise, node.operands, requantization, None)


def _bind_pointwise(bind: Callable[[Node], Pointwise], node: Node) -> Kernel:
    dying = (i for i in node.dying if storage(node.operands[i]) == node.dtype)
    return _by_chunks(bind(node), node.operands, node, min(dying, default=None))


def _by_chunks(
    pointwise: Pointwise, operands: tuple[ValueInfo, ...], last: Node, overwritten: int | None
) -> Kernel:
    """A task of each number by itself, whose result is that of `last`, chunk by chunk, into the
    memory of the operand that may be `overwritten`, or else of its own."""
    planes = [i for i, info in enumerate(operands) if not info.number]
    dtype, device = last.dtype, last.device

    def kernel(*values: Any) -> Tensor:
        *xs, scratch = values
        if overwritten is None:
            out = torch.empty(xs[0].shape, dtype=dtype, device=device)
        else:
            out = xs[overwritten]
        for *parts, target in chunks(device, *(xs[i] for i in planes), out):
            pointwise(*parts, *xs[len(parts) :], target, scratch)
        return out

    return kernel


def _bind_concat(node: Node) -> Kernel:
    dtype = node.dtype

    def concat(*values: Any) -> Tensor:
        *xs, _ = values
        return torch.cat([x.to(dtype) for x in xs], 2)

    return concat


def _bind_move(move: Callable[..., Tensor], node: Node) -> Kernel:
    """A task that makes fresh planes of what `move` shows of its operand's."""
    return lambda x, scratch: move(x, **node.attributes)


def _fresh(x: Tensor) -> Tensor:
    return x.clone(memory_format=torch.contiguous_format)


def _split(x: Tensor, *, start: int, stop: int) -> Tensor:
    return _fresh(x[:, :, start:stop])


def _pixel_shuffle(x: Tensor, *, factor: int) -> Tensor:
    f, (rows, columns, channels) = factor, x.shape
    blocks = x.view(rows, columns, channels // f**2, f, f).permute(0, 3, 1, 4, 2)
    return _fresh(blocks).view(rows * f, columns * f, channels // f**2)


def _pixel_unshuffle(x: Tensor, *, factor: int) -> Tensor:
    f, rows, columns, channels = factor, x.shape[0] // factor, x.shape[1] // factor, x.shape[2]
    blocks = x.view(rows, f, columns, f, channels).permute(0, 2, 4, 1, 3)
    return _fresh(blocks).view(rows, columns, channels * f**2)


def _phase(x: Tensor, *, factor: int, row: int, column: int) -> Tensor:
    return _fresh(x[row::factor, column::factor])


_BINDERS: dict[str, Callable[[Node], Kernel]] = {
    **{kind: partial(_bind_pointwise, bind) for kind, bind in torch_pointwise.BINDERS.items()},
    **torch_transforms.BINDERS,
    "concat": _bind_concat,
    "split": partial(_bind_move, _split),
    "pixel_shuffle": partial(_bind_move, _pixel_shuffle),
    "pixel_unshuffle": partial(_bind_move, _pixel_unshuffle),
    "phase": partial(_bind_move, _phase),
}
_SUMS: dict[str, Callable[[Node], Sums]] = {
    "mul": lambda node: product_sums,
    "scale": lambda node: product_sums,
    "igdn": torch_transforms.bind_igdn_sums,
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
