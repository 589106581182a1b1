"""Operations that take each number of a plane by itself, for the torch backends.

They are worked on in chunks and write where their result goes, which may be an operand's own
memory.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from licodec.exact.backends.torch_blocks import Scratch
from licodec.exact.backends.torch_nodes import Node, fits_int16
from licodec.exact.values import VALUE_LIMIT

Finish = Callable[[Tensor, Tensor, Scratch], None]
"""Exact sums (…, C), float32 and contiguous, which are overwritten, and where the integers that
they are requantized to go, a tensor of as many numbers in the same order."""

Pointwise = Callable[..., None]
"""Chunks of the operands (P, C), a chunk (P, C) of the result to write, and scratch memory."""

Sums = Callable[..., Tensor]
"""Chunks of the operands (P, C), or numbers (), and scratch memory -> float32 sums (P, C)."""


def clamp(x: Tensor, low: int, high: int, reached: tuple[int, int]) -> Tensor:
    """Clamp `x`, whose values lie in `reached`, in place where there is anything to do."""
    needed_low = low if reached[0] < low else None
    needed_high = high if reached[1] > high else None
    if needed_low is None and needed_high is None:
        return x
    return x.clamp_(needed_low, needed_high)


def bind_finish(node: Node) -> Finish:
    """The requantization of sums."""
    low, high = node.result.low, node.result.high
    positive = node.constant("multiplier")
    negative, choose = None, torch.maximum
    if "negative_multiplier" in node.roles:
        negative = node.constant("negative_multiplier")
        choose = _chooser(positive, negative)

    def finish(sums: Tensor, target: Tensor, scratch: Scratch) -> None:
        # Product, rounding and clamp stay operations of their own: an addition fused to the
        # product would round once where the format rounds twice.
        if negative is None:
            product = sums.mul_(positive)
        else:
            other = scratch.of("other product", tuple(sums.shape), torch.float32)
            torch.mul(sums, negative, out=other)
            product = choose(sums.mul_(positive), other, out=sums)
        target.copy_(product.round_().clamp_(low, high).view(target.shape))

    return finish


def _chooser(positive: Tensor, negative: Tensor) -> Callable[..., Tensor]:
    """Picks, of a sum's products with two multipliers, the one that its sign calls for.

    Rounding keeps order, so that is the larger product where the multiplier for positive sums
    is the larger one.
    """
    if bool((negative <= positive).all()):
        return torch.maximum
    if bool((positive <= negative).all()):
        return torch.minimum

    def choose(of_positive: Tensor, of_negative: Tensor, out: Tensor) -> Tensor:
        # A product keeps the sign of its sum, or is 0 and then tells nothing.
        below = torch.minimum(of_positive, of_negative) < 0
        return torch.where(below, of_negative, of_positive)

    return choose


def bind_requantize(node: Node) -> Pointwise:
    finish = bind_finish(node)

    def requantize(x: Tensor, target: Tensor, scratch: Scratch) -> None:
        finish(scratch.copy("sums", x, torch.float32), target, scratch)

    return requantize


def bind_add(node: Node) -> Pointwise:
    (a, b), result = node.operands, node.result
    reached = (a.low + b.low, a.high + b.high)
    if all(fits_int16(*x) for x in (reached, (a.low, a.high), (b.low, b.high))):

        def narrow_add(x: Tensor, y: Tensor, target: Tensor, scratch: Scratch) -> None:
            clamp(torch.add(x, y, out=target), result.low, result.high, reached)

        return narrow_add

    # A sum that binary32 holds exactly is taken in it: conversions are slower between integers.
    exact = max(-reached[0], reached[1]) < VALUE_LIMIT
    dtype = torch.float32 if exact else torch.int32

    def add(x: Tensor, y: Tensor, target: Tensor, scratch: Scratch) -> None:
        total = scratch.copy("total", x, dtype).add_(scratch.copy("second", y, dtype))
        target.copy_(clamp(total, result.low, result.high, reached))

    return add


def bind_clamp(node: Node) -> Pointwise:
    result = node.result

    def clamped(x: Tensor, target: Tensor, scratch: Scratch) -> None:
        if x.dtype == target.dtype:
            torch.clamp(x, result.low, result.high, out=target)
        else:
            # The wider of the two types, as the bounds may lie beyond the operand's.
            target.copy_(scratch.copy("clamped", x, torch.int32).clamp_(result.low, result.high))

    return clamped


def bind_table(node: Node) -> Pointwise:
    (operand,), low = node.operands, node.attributes["low"]
    entries = node.constant("table", node.dtype)
    last = len(entries) - 1
    reached = (operand.low - low, operand.high - low)

    def table(x: Tensor, target: Tensor, scratch: Scratch) -> None:
        index = scratch.copy("index", x, torch.int32).sub_(low)
        index = clamp(index, 0, last, reached).flatten()
        torch.index_select(entries, 0, index, out=target.view(-1))

    return table


def product_sums(x: Tensor, y: Tensor, scratch: Scratch) -> Tensor:
    """The products of two operands: of planes, or of planes and a number."""
    # Both are exact in binary32, so their product is the exact one rounded once.
    factor = scratch.copy("factor", y, torch.float32)
    return scratch.copy("sums", x, torch.float32).mul_(factor)


BINDERS = {
    "requantize": bind_requantize,
    "add": bind_add,
    "clamp": bind_clamp,
    "table": bind_table,
}
