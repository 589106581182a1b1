"""Divisive normalizations, LayerNorm and window attention for the torch backends.

What is summed beyond binary32 is summed in binary64, where ``bounds.analyse`` proves every
sum, product and dividend exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from licodec.exact.backends.torch_blocks import CHUNK_PER_THREAD, Scratch, chunk_size, chunks
from licodec.exact.backends.torch_nodes import Node
from licodec.exact.operations.attention import relative_bias
from licodec.exact.passes import EXACT_IN_FLOAT32

MASKED = 2.0**24  # taken from scores below 2^22, it puts them behind all others and every table

Transform = Callable[[Tensor, Scratch], Tensor]
"""Planes (H, W, C) of integers -> fresh planes of as many rows and columns."""


def isqrt(v: Tensor, scratch: Scratch) -> Tensor:
    """floor(sqrt(v)) of integers 0 <= v < 2^52 in float64; overwrites `v`.

    torch's root is not correctly rounded everywhere. Where it is off by one, so is
    floor((v - r^2) / (2 r + 1)), which is 0 where r^2 <= v < (r + 1)^2.
    """
    root = torch.sqrt(v, out=scratch.of("root", tuple(v.shape), torch.float64)).floor_()
    odd = torch.mul(root, 2, out=scratch.of("odd", tuple(v.shape), torch.float64)).add_(1)
    return root.add_(v.addcmul_(root, root, value=-1).div_(odd).floor_().clamp_(max=1))


# Position by position --------------------------------------------------------------------------

OnPositions = Callable[[Tensor, Tensor, Scratch], None]
"""Positions (P, C), and where their results (P, C) go."""


def by_positions(kernel: OnPositions, node: Node) -> Transform:
    """The transform that `kernel` is."""

    def transform(x: Tensor, scratch: Scratch) -> Tensor:
        out = torch.empty(x.shape, dtype=node.dtype, device=node.device)
        for positions, target in chunks(node.device, x, out):
            kernel(positions, target, scratch)
        return out

    return transform


def bind_igdn_sums(node: Node) -> Callable[[Tensor, Scratch], Tensor]:
    """Positions (P, C) -> their sums, float32."""
    roots = _bind_roots(node)

    def igdn(positions: Tensor, scratch: Scratch) -> Tensor:
        wide = scratch.copy("operand", positions, torch.float64)
        # The exact product, rounded once.
        return scratch.copy("sums", roots(wide, scratch).mul_(wide), torch.float32)

    return igdn


def bind_gdn(node: Node) -> Transform:
    roots, a = _bind_roots(node), node.attributes
    unit, low, high = 2.0 ** (a["root_bits"] + a["fraction_bits"]), a["low"], a["high"]

    def gdn(positions: Tensor, target: Tensor, scratch: Scratch) -> None:
        wide = scratch.copy("operand", positions, torch.float64)
        divisor = roots(wide, scratch).clamp_(min=1)
        target.copy_(wide.mul_(unit).div_(divisor).round_().clamp_(low, high))

    return by_positions(gdn, node)


def _bind_roots(node: Node) -> Callable[[Tensor, Scratch], Tensor]:
    """(P, C) integers in float64 -> what gdn and igdn normalize by, likewise."""
    unit = 4.0 ** node.attributes["root_bits"]
    weight = node.constant("weight", torch.float64).T * unit
    bias = node.constant("bias", torch.float64) * (2.0 ** node.attributes["bias_bits"] * unit)
    # floor(sqrt(v)) = floor(sqrt(v + 1/2)) for integers v, and below 2^48 the latter root is 2^-26
    # or more from any integer: eight units in its last place, which no library's is wrong by.
    bias += 0.5

    def roots(wide: Tensor, scratch: Scratch) -> Tensor:
        shape = tuple(wide.shape)
        squares = torch.mul(wide, wide, out=scratch.of("squares", shape, torch.float64))
        norm = scratch.of("norm", shape, torch.float64)
        return torch.addmm(bias, squares, weight, out=norm).sqrt_().floor_()

    return roots


def bind_layernorm(node: Node) -> Transform:
    a, channels = node.attributes, node.result.channels
    unit, low, high = 2.0 ** (a["root_bits"] + a["fraction_bits"]), a["low"], a["high"]
    gain, bias = node.constant("gain"), node.constant("bias", torch.float32)
    ones = torch.ones(channels, dtype=torch.float64, device=node.device)

    def layernorm(positions: Tensor, target: Tensor, scratch: Scratch) -> None:
        wide = scratch.copy("operand", positions, torch.float64)
        squares = scratch.of("squares", tuple(wide.shape), torch.float64)
        total = torch.mv(wide, ones)
        variance = torch.mv(torch.mul(wide, wide, out=squares), ones).mul_(channels)
        variance.sub_(total * total).add_(a["epsilon"]).mul_(4.0 ** a["root_bits"])
        divisor = isqrt(variance, scratch).clamp_(min=1)[:, None]
        # S - C x, in one go, over minus the divisor: all of these are exact.
        negative = torch.sub(total.mul_(unit)[:, None], wide, alpha=channels * unit, out=wide)
        normal = negative.div_(divisor.neg_()).round_()
        # Rounded between product and sum, so that nothing can fuse them. A sum that binary32
        # has to round is beyond the range that it is clamped to.
        product = scratch.copy("product", normal, torch.float32).mul_(gain).round_()
        target.copy_(product.add_(bias).clamp_(low, high))

    return by_positions(layernorm, node)


# Windows ---------------------------------------------------------------------------------------


def bind_window_attention(node: Node) -> Transform:
    heads, w, shift = (node.attributes[k] for k in ("heads", "window", "shift"))
    channels, device, before = node.result.channels, node.device, -shift % w
    attend = _bind_attention(node)

    def window_attention(planes: Tensor, scratch: Scratch) -> Tensor:
        rows, columns, _ = planes.shape
        after_rows, after_columns = (-(before + n) % w for n in (rows, columns))
        if before or after_rows or after_columns:
            planes = functional.pad(planes, (0, 0, before, after_columns, before, after_rows))
        out = torch.empty((*planes.shape[:2], channels), dtype=node.dtype, device=device)
        down, across = planes.shape[0] // w, planes.shape[1] // w
        masks = [_masks(*n, before, w, device) for n in ((down, rows), (across, columns))]
        # Of both, the grid of windows, each (w, w) positions * channels.
        grid, results = (
            x.view(down, w, across, w, x.shape[2]).transpose(1, 2) for x in (planes, out)
        )
        for block in _blocks(down, across, chunk_size(device, CHUNK_PER_THREAD) // (heads * w**4)):
            by_row, by_column = (
                {i - part.start: mask for i, mask in masked.items() if i in part}
                for masked, part in zip(masks, block, strict=True)
            )
            area = tuple(slice(part.start, part.stop) for part in block)
            results[area].copy_(attend(grid[area], by_row, by_column, scratch))
        inner = out[before : before + rows, before : before + columns]
        return out if inner.shape == out.shape else inner.contiguous()

    return window_attention


Masks = Mapping[int, Tensor]
"""By rows of windows that the plane does not fill: what to take from the scores of keys in
each of the w rows of positions; likewise columns."""


def _masks(count: int, inside: int, before: int, w: int, device: torch.device) -> Masks:
    place = np.arange(count * w).reshape(count, w) - before
    outside = (place < 0) | (place >= inside)
    return {
        i: torch.tensor(MASKED * outside[i], dtype=torch.float32, device=device)
        for i in np.flatnonzero(outside.any(1)).tolist()
    }


def _blocks(down: int, across: int, count: int) -> Iterator[tuple[range, range]]:
    """The grid of windows in blocks of about `count`: their rows and columns."""
    rows, columns = max(1, count // across), max(1, min(count, across))
    for top in range(0, down, rows):
        for left in range(0, across, columns):
            yield range(top, min(top + rows, down)), range(left, min(left + columns, across))


def _bind_attention(node: Node) -> Callable[[Tensor, Masks, Masks, Scratch], Tensor]:
    """(rows, columns, w, w, 3 * heads * depth) queries, keys and values of a block of windows,
    and its masks -> (rows, columns, w, w, heads * depth)."""
    heads, w, entries = node.attributes["heads"], node.attributes["window"], node.roles["table"]
    largest, depth, device = node.operands[0].largest, node.result.channels // heads, node.device
    multiplier = node.constant("multiplier")[:, None, None, None]
    distances = relative_bias(node.roles["bias"])[:, None]
    bias = torch.tensor(distances, dtype=torch.float32, device=device)
    last = len(entries)
    of_products = _exact_type(depth * largest**2, device)
    of_weights = _exact_type(w**2 * int(entries.max()) * largest, device)
    table = torch.tensor(np.append(entries, 0), dtype=of_weights, device=device)
    ones = torch.ones(w * w, dtype=of_weights, device=device)

    def attend(block: Tensor, by_row: Masks, by_column: Masks, scratch: Scratch) -> Tensor:
        down, across = block.shape[:2]
        count = down * across
        # By window first, in long runs, and then by head: cheaper than both at once.
        channels = scratch.copy("windows", block, of_products).view(count, w * w, 3, heads, depth)
        q, k, v = channels.permute(2, 3, 0, 1, 4)
        q, k = scratch.copy("q", q, of_products), scratch.copy("k", k.mT, of_products)
        v = scratch.copy("v", v, of_weights)
        products = scratch.of("products", (heads, count, w * w, w * w), of_products)
        torch.bmm(q.flatten(0, 1), k.flatten(0, 1), out=products.view(-1, w * w, w * w))
        scores = scratch.copy("scores", products, torch.float32)
        # Product, rounding and sum stay operations of their own, as in requantize.
        scores.mul_(multiplier).round_().add_(bias)
        by_key = scores.view(heads, down, across, w * w, w, w)
        for row, mask in by_row.items():
            by_key[:, row].sub_(mask[:, None])
        for column, mask in by_column.items():
            by_key[:, :, column].sub_(mask)
        below = torch.sub(scores.amax(3, keepdim=True), scores, out=scores).clamp_(max=last)
        index = scratch.copy("index", below, torch.int32)
        weights = scratch.of("weights", tuple(index.shape), of_weights)
        torch.index_select(table, 0, index.flatten(), out=weights.view(-1))
        totals = torch.mv(weights.view(-1, w * w), ones).view(heads, count, w * w, 1)
        sums = scratch.of("sums", tuple(v.shape), of_weights)
        torch.bmm(weights.flatten(0, 1), v.flatten(0, 1), out=sums.view(-1, w * w, depth))
        means = scratch.of("means", (count, w * w, heads, depth), torch.float64)
        torch.div(sums.to(torch.float64), totals, out=means.permute(2, 0, 1, 3))
        return means.round_().view(down, across, w, w, heads * depth)

    return attend


def _exact_type(bound: int, device: torch.device) -> torch.dtype:
    """The type in which matrix products of sums up to `bound` are exact.

    Never binary32 on a device, where it may mean less (TF32).
    """
    narrow = bound < EXACT_IN_FLOAT32 and device.type == "cpu"
    return torch.float32 if narrow else torch.float64


BINDERS = {
    "gdn": bind_gdn,
    "layernorm": bind_layernorm,
    "window_attention": bind_window_attention,
}
