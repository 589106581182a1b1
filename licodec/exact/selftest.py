"""The proof, on this machine, that a backend gives the reference's integers.

Kernels differ with the processor, the library's version and the environment, so before a
backend is used it runs every distinct class of operation of the pack's programs on small
planes whose sums are odd, near the limit of what its kernels add exactly, or saturating.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np

from licodec.errors import LicodecError
from licodec.exact.backends import reference
from licodec.exact.bounds import VALUE_LIMIT, ValueInfo, analyse
from licodec.exact.passes import BYTE, KernelLimits, NoExactSplit, split_into_passes
from licodec.exact.program import Operation, Port, Program, Tensors

SMALL = (9, 11)  # rows, columns: odd, so that every kernel meets its tails
LARGE = (33, 40)  # enough for kernels to block rows and to share them among threads
QUICK_WEIGHTS = 2**16
LARGEST = VALUE_LIMIT - 1
REVEALED = frozenset({"conv2d", "mul", "scale", "igdn"})  # give sums, so they are requantized
WITH_OWN_TENSORS = frozenset(
    {"gdn", "igdn", "layernorm", "window_attention"}
)  # whose bounds other tensors would not keep


@dataclass(frozen=True)
class Sums:
    """What decides how a convolution is cut into passes, and so which kernels run.

    least, largest  range of the weights
    total           sum of the weights' magnitudes for an output, at the most that leaves
                    the passes as they are whatever the weights' signs
    bias            magnitude of the bias to the byte: a power of 256, or 0
    """

    least: int
    largest: int
    total: int
    bias: int


@dataclass(frozen=True)
class Stored:
    """Tensors of an operation by role, equal to others by their content."""

    digest: bytes
    tensors: Mapping[str, np.ndarray] = field(compare=False)

    @classmethod
    def of(cls, roles: Tensors) -> Stored:
        digest = hashlib.sha256()
        for role, tensor in sorted(roles.items()):
            digest.update(f"{role} {tensor.shape} {tensor.dtype.str}\n".encode())
            digest.update(np.ascontiguousarray(tensor).data)
        return cls(digest.digest(), dict(roles))


@dataclass(frozen=True)
class Case:
    """A class of operations that a backend treats alike: all that its kernels may depend on."""

    kind: str
    operands: tuple[tuple[int | None, int, int], ...]  # (channels, None for a number, low, high)
    attributes: tuple[tuple[str, int], ...]
    tensors: tuple[tuple[str, tuple[int, ...], str], ...]  # (role, shape, data type)
    sums: Sums | None = None  # of conv2d alone
    entries: tuple[int, int] | None = None  # of table alone: their range
    stored: Stored | None = None  # where the operation's own tensors are tried
    plane: tuple[int, int] = SMALL

    def __str__(self) -> str:
        operands = " and ".join(
            f"{'a number' if n is None else f'{n} channels'} in {low}...{high}"
            for n, low, high in self.operands
        )
        tensors = (f"{role} {'x'.join(map(str, shape))}" for role, shape, _ in self.tensors)
        return ", ".join([f"{self.kind} of {operands}", *tensors])


_verdicts: dict[tuple[str, Case], str | None] = {}  # by backend: what was wrong


def failures(backend: ModuleType, programs: Iterable[Program], tensors: Tensors) -> list[str]:
    """What `backend` gets wrong among the operations of `programs`; empty where it is exact.

    The verdict on each class of operation is kept for the rest of the process.
    """
    try:
        cases = _cases(programs, tensors, backend.LIMITS)
    except NoExactSplit as error:
        return [str(error)]
    found = []
    for case in cases:
        key = (backend.NAME, case)
        if key not in _verdicts:
            _verdicts[key] = _verdict(backend, case)
        if (verdict := _verdicts[key]) is not None:
            found.append(f"{case}: {verdict}")
    return found


def _cases(programs: Iterable[Program], tensors: Tensors, limits: KernelLimits) -> list[Case]:
    """The distinct classes of operation, and one convolution on a large plane too: the heaviest
    of those that the reference runs in a few milliseconds."""
    cases: dict[Case, int] = {}  # and the number of weights
    for program in programs:
        values = analyse(program, tensors)
        for operation in program.operations:
            roles = {role: tensors[name] for role, name in operation.tensors.items()}
            operands = [values[name] for name in operation.inputs]
            weights = roles["weight"].size if "weight" in roles else 0
            cases[_case(operation, operands, roles, limits)] = weights
    quick = [case for case in cases if case.sums and cases[case] <= QUICK_WEIGHTS]
    large = [replace(max(quick, key=cases.__getitem__), plane=LARGE)] if quick else []
    return [*cases, *large]


def _case(
    operation: Operation, operands: list[ValueInfo], roles: Tensors, limits: KernelLimits
) -> Case:
    ranges = [
        (
            None if x.number else x.channels,
            # The range of an accumulator makes no difference to how it is requantized.
            -LARGEST if x.accumulator else x.low,
            LARGEST if x.accumulator else x.high,
        )
        for x in operands
    ]
    case = Case(
        operation.kind,
        tuple(ranges),
        tuple(sorted(operation.attributes.items())),
        tuple((role, tensor.shape, tensor.dtype.str) for role, tensor in sorted(roles.items())),
    )
    if operation.kind == "conv2d":
        return replace(case, sums=_sums(operation, operands[0], roles, limits))
    if operation.kind == "table":
        return replace(case, entries=(int(roles["table"].min()), int(roles["table"].max())))
    if operation.kind in WITH_OWN_TENSORS:
        return replace(case, stored=Stored.of(roles))
    return case


def _sums(operation: Operation, x: ValueInfo, roles: Tensors, limits: KernelLimits) -> Sums:
    weight, bias = roles["weight"].astype(np.int64), roles["bias"].astype(np.int64)
    passes = split_into_passes(weight, bias, x.low, x.high, operation.attributes["groups"], limits)
    bits = int(max(weight.max(), -1 - weight.min())).bit_length()
    least, largest = min(1 - (1 << bits), int(weight.min())), (1 << bits) - 1
    bias_bits = int(np.abs(bias).max()).bit_length()
    bias_magnitude = 1 << (bias_bits - 1) // BYTE * BYTE if bias_bits else 0
    if any(one.weight.shape != weight.shape or (one.weight != weight).any() for one in passes):
        total = int(np.abs(weight).reshape(len(weight), -1).sum(1).max())
    else:
        # The first pass takes most of the bias, the others what rounding to it leaves over.
        shares = [bias_magnitude // passes[0].coefficient + 1] + [128] * (len(passes) - 1)
        room = [
            (limits.sum_limit - 1 - share) // max(1, -one.operand.low, one.operand.high)
            for one, share in zip(passes, shares, strict=True)
        ]
        total = min(*room, largest * weight[0].size)
    return Sums(least, largest, max(1, total), bias_magnitude)


def _verdict(backend: ModuleType, case: Case) -> str | None:
    """None where `backend` agrees with the reference on `case`, else what happened."""
    program, tensors, inputs = _trial(case)
    expected = reference.prepare(program, tensors)(inputs)["result"]
    try:
        found = backend.prepare(program, tensors)(inputs)["result"]
    except (AttributeError, LicodecError, RuntimeError, ValueError) as error:
        reason = str(error).strip() or type(error).__name__
        return f"cannot run ({reason.splitlines()[0]})"
    if found.shape != expected.shape:
        return f"shape {found.shape} for {expected.shape}"
    wrong = np.count_nonzero(found != expected)
    return f"{wrong} of {expected.size} integers are wrong" if wrong else None


def _trial(case: Case) -> tuple[Program, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A program of one operation with tensors and inputs made to expose inexact kernels."""
    random = np.random.default_rng(0)
    attributes = dict(case.attributes)
    scale = attributes["factor"] if case.kind in ("pixel_unshuffle", "phase") else 1
    rows, columns = case.plane[0] * scale, case.plane[1] * scale
    ports, inputs = [], {}
    for i, (channels, low, high) in enumerate(case.operands):
        name = f"operand_{i}"
        ports.append(Port(name, channels, low, high))
        if channels is None:
            inputs[name] = np.array(high if -low <= high else low)
        else:
            inputs[name] = _plane(random, channels, rows, columns, low, high)
            if case.kind == "layernorm":  # channels that hardly differ have small roots
                near_zero = random.integers(-1, 2, (channels, columns))
                inputs[name][:, rows // 2] = np.clip(near_zero, low, high)
    if case.stored is None:
        tensors = {
            role: _tensor(random, role, shape, case).astype(kind)
            for role, shape, kind in case.tensors
        }
    else:
        tensors = dict(case.stored.tensors)
    names = {role: role for role in tensors}
    output = "sum" if case.kind in REVEALED else "result"
    operations = [Operation(case.kind, tuple(inputs), output, names, attributes)]
    if case.kind in REVEALED:
        single = Program("self-test", tuple(ports), tuple(operations), ())
        total = analyse(single, tensors)["sum"]
        bound = np.full(total.channels, max(-total.low, total.high))
        if case.kind == "conv2d":
            bound = _bounds_by_channel(tensors, max(-case.operands[0][1], case.operands[0][2]))
        tensors["reveal"] = _revealing_multiplier(random, bound)
        span = {"low": -LARGEST, "high": LARGEST}
        reveal = Operation("requantize", ("sum",), "result", {"multiplier": "reveal"}, span)
        operations.append(reveal)
    return Program("self-test", tuple(ports), tuple(operations), ("result",)), tensors, inputs


def _plane(
    random: np.random.Generator, channels: int, rows: int, columns: int, low: int, high: int
) -> np.ndarray:
    """(C, H, W) integers in [low, high]: all largest on top, a mixture of extremes, of zeros and
    of anything in the middle, all least below but for rows of -1 (all bits set)."""
    special = np.clip([low, high, 0, -1, 1, 255, 256], low, high)
    plane = random.integers(low, high + 1, (channels, rows, columns), np.int64)
    mixed = random.integers(0, 2, plane.shape, np.int8).astype(bool)
    plane[mixed] = random.choice(special, np.count_nonzero(mixed))
    third = rows // 3
    plane[:, :third] = high
    plane[:, rows - third :, : columns // 2] = low
    plane[:, rows - third :, columns // 2 :] = np.clip(-1, low, high)
    return plane


def _tensor(
    random: np.random.Generator, role: str, shape: tuple[int, ...], case: Case
) -> np.ndarray:
    if role == "weight":
        return _weight(random, shape, case.sums)
    if role == "bias":
        # Odd, so that the sums of saturated operands are odd too for even sums of weights.
        return random.integers(-case.sums.bias, case.sums.bias + 1, shape) | 1
    if role == "table":
        low, high = case.entries
        return random.integers(low, high + 1, shape)
    # Multipliers: halves give ties, the others products that need rounding.
    anything = np.exp2(random.uniform(-12, 0, shape))
    return np.where(random.random(shape) < 0.25, 0.5, anything)


def _weight(random: np.random.Generator, shape: tuple[int, ...], sums: Sums) -> np.ndarray:
    """(O, I, k, k) weights whose magnitudes add up to `sums.total` at most for each output.

    By turns: the largest weights side by side along the input channels (pairs of products that
    overflow 16 bits), the same negative, the same with random signs, and random weights.
    """
    outputs, inputs, kernel, _ = shape
    taps = inputs * kernel**2
    profile = np.zeros(taps, np.int32)
    full, rest = divmod(sums.total, sums.largest) if sums.largest else (0, 0)
    profile[: full + 1] = [*[sums.largest] * min(full, taps), rest][: min(full + 1, taps)]
    turned = np.lib.stride_tricks.sliding_window_view(np.tile(profile, 2), taps)
    weight = turned[random.integers(0, taps, outputs)]
    signs = random.integers(0, 2, weight.shape, np.int8) * 2 - 1
    weight[1::4] *= -1
    if sums.least < -sums.largest and sums.total > sums.largest:
        weight[1::4, 0] = sums.least
    weight[2::4] *= signs[2::4]
    cap = min(sums.largest, 2 * sums.total // taps + 1)
    spread = random.integers(0, cap + 1, weight[3::4].shape)
    spread[np.cumsum(spread, axis=1) > sums.total] = 0
    weight[3::4] = spread * signs[3::4]
    return weight.reshape(outputs, kernel, kernel, inputs).transpose(0, 3, 1, 2)


def _bounds_by_channel(tensors: Tensors, largest: int) -> np.ndarray:
    """Of a convolution: (O,) the largest magnitude of each output's sums."""
    sums = np.abs(tensors["weight"], dtype=np.int64).reshape(len(tensors["bias"]), -1).sum(1)
    return sums * largest + np.abs(tensors["bias"], dtype=np.int64)


def _revealing_multiplier(random: np.random.Generator, bound: np.ndarray) -> np.ndarray:
    """One multiplier by output, of three kinds: 1 shows small sums to the last bit and saturates
    large ones; a power of two shows all of large sums that survives their rounding to binary32;
    anything a little smaller shows whether they were rounded before the product."""
    fitting = np.exp2(-np.maximum(0, np.ceil(np.log2(bound + 1)) - 24))
    count = len(bound)
    kinds = np.stack([np.ones_like(fitting), fitting, fitting * random.uniform(0.5, 1, count)])
    return kinds[random.integers(0, 3, count), np.arange(count)].astype(np.float32)
