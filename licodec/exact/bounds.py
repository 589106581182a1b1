"""What a program's values can be: shapes, ranges and proved bounds, by walking its operations.

Normative counterpart: format/SPEC.md, "Programs". Called when a pack is written and again
when it is read, so that nothing is executed whose sums are not proved to be exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from licodec.errors import CorruptFileError
from licodec.exact.program import Operation, Program, Tensors

ACCUMULATOR_LIMIT = 2**53  # sums below it are exact in binary64, so every backend can form them
ACTIVATION_LOW, ACTIVATION_HIGH = -(2**15), 2**16 - 1  # what a convolution may read ...
ACTIVATION_SPAN = 2**16 - 1  # ... in at most 16 bits
VALUE_LIMIT = 2**24  # any stored or computed value is exact in binary32
MULTIPLIER_LIMIT = 2.0**24
DIVIDEND_LIMIT = 2**52  # below it a quotient in binary64 rounds as the exact one does
RADICAND_LIMIT = 2**48  # so that the root of a normalization is exact in binary32
BITS_LIMIT = 32  # attributes that state a power of two
NORMALIZED_LIMIT = 2**23  # of what layernorm multiplies by its gain
SCORE_LIMIT = 2**21  # of each term of an attention's scores
WINDOW_LIMIT = 16
CHANNEL_LIMIT = 2**13
OPERATION_LIMIT = 2**12
KERNEL_LIMIT = 32
# Numbers for each position of a program's inputs: of a value, and of all that are alive at a time.
EXPANSION_LIMIT = 2**15
ALIVE_LIMIT = 2**17


@dataclass(frozen=True)
class ValueInfo:
    """One value of a program: integer planes in [low, high].

    `rate` is rows (and columns) per row of the program's inputs. An accumulator is an
    exact sum that only a requantization may read, and only one. A number is one integer
    for all positions.
    """

    channels: int
    low: int
    high: int
    rate: Fraction
    accumulator: bool = False
    number: bool = False

    @property
    def expansion(self) -> Fraction:
        """How many numbers it holds for each position of the program's inputs."""
        return Fraction(0) if self.number else self.channels * self.rate**2


def analyse(program: Program, tensors: Tensors) -> dict[str, ValueInfo]:
    """Check every operation of `program` and return what is known of each value by name.

    Raises CorruptFileError where an operand, tensor shape, range or bound is not legal.
    """
    if len(program.operations) > OPERATION_LIMIT:
        raise CorruptFileError(f"program {program.name}: more than {OPERATION_LIMIT} operations")
    values: dict[str, ValueInfo] = {}
    read: set[str] = set()
    try:
        for port in program.inputs:
            _require(port.name not in values, f"input {port.name} stated twice")
            number = port.channels is None
            channels = 1 if port.channels is None else port.channels
            info = ValueInfo(channels, port.low, port.high, Fraction(1), number=number)
            values[port.name] = _checked(info)
        for operation in program.operations:
            operands = [_operand(values, name) for name in operation.inputs]
            for position, (name, operand) in enumerate(
                zip(operation.inputs, operands, strict=True)
            ):
                takes_number = operation.kind == "scale" and position == 1
                _require(operand.number == takes_number, f"{operation.kind}: operand {name}")
                if operand.accumulator:
                    _require(operation.kind == "requantize", f"{operation.kind} reads a sum")
                    _require(name not in read, f"the sum {name} is read twice")
                read.add(name)
            _require(operation.output not in values, f"{operation.output} computed twice")
            roles = {role: _tensor(tensors, name) for role, name in operation.tensors.items()}
            values[operation.output] = _checked(_RULES[operation.kind](operation, operands, roles))
        for output in program.outputs:
            given = _operand(values, output)
            _require(not given.accumulator, f"output {output} is a sum")
            _require(not given.number, f"output {output} is a number")
        alive = most_alive(program, values)
        _require(alive <= ALIVE_LIMIT, f"values of {float(alive):.6g} numbers a position at a time")
    except _RuleError as error:
        raise CorruptFileError(f"program {program.name}: {error}") from None
    return values


def last_readers(program: Program) -> dict[str, int]:
    """The number of the operation after which each value is not needed any more.

    It is that of the operation which makes a value that none reads. Outputs are left out, and
    inputs that none reads.
    """
    last: dict[str, int] = {}
    for i, operation in enumerate(program.operations):
        last |= dict.fromkeys((*operation.inputs, operation.output), i)
    return {name: i for name, i in last.items() if name not in program.outputs}


def most_alive(program: Program, values: Mapping[str, ValueInfo]) -> Fraction:
    """How many numbers a program's values hold, at most, for each position of its inputs, where
    each is forgotten when it is not needed any more."""
    dying: dict[int, list[str]] = {}
    for name, i in last_readers(program).items():
        dying.setdefault(i, []).append(name)
    alive = sum((values[port.name].expansion for port in program.inputs), Fraction(0))
    most = alive
    for i, operation in enumerate(program.operations):
        alive += values[operation.output].expansion
        most = max(most, alive)
        alive -= sum(values[name].expansion for name in dying.get(i, ()))
    return most


def accumulator_bound(weight: np.ndarray, bias: np.ndarray, largest: int) -> int:
    """max over outputs of |bias| + sum |w| * largest, for weight (O, ...), bias (O,)."""
    sums = np.abs(weight, dtype=np.int64).reshape(len(weight), -1).sum(1)
    return int((np.abs(bias, dtype=np.int64) + sums * largest).max(initial=0))


class _RuleError(Exception):
    pass


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise _RuleError(message)


def _operand(values: Mapping[str, ValueInfo], name: str) -> ValueInfo:
    _require(name in values, f"{name} is read before it is computed")
    return values[name]


def _tensor(tensors: Tensors, name: str) -> np.ndarray:
    _require(name in tensors, f"tensor {name} is missing")
    return tensors[name]


def _checked(info: ValueInfo) -> ValueInfo:
    _require(0 < info.channels <= CHANNEL_LIMIT, f"{info.channels} channels")
    expansion = info.expansion
    _require(expansion <= EXPANSION_LIMIT, f"a value of {float(expansion):.6g} numbers a position")
    _require(info.low <= info.high, f"empty range {info.low} ... {info.high}")
    limit = ACCUMULATOR_LIMIT if info.accumulator else VALUE_LIMIT
    largest = max(-info.low, info.high)
    _require(largest < limit, f"values up to {largest}, the limit is {limit}")
    return info


def _conv2d(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,) = operands
    weight, bias = roles["weight"], roles["bias"]
    stride, padding, groups = (operation.attributes[k] for k in ("stride", "padding", "groups"))
    _require(weight.ndim == 4 and weight.dtype in (np.int8, np.int16), "conv2d: weight tensor")
    out_channels, in_channels, rows, columns = weight.shape
    _require(bias.shape == (out_channels,) and bias.dtype == np.int32, "conv2d: bias tensor")
    _require(rows == columns and 1 <= rows <= KERNEL_LIMIT, f"conv2d: kernel {rows}x{columns}")
    _require(out_channels >= 1, "conv2d: no channels out")
    # Then the output plane is the input plane divided by the stride, whatever its size.
    keeps = padding >= 0 and stride >= 1 and rows - stride <= 2 * padding < rows
    _require(keeps, "conv2d: stride and padding do not keep the plane")
    _require(groups >= 1 and out_channels % groups == 0, "conv2d: groups")
    _require(in_channels * groups == x.channels, f"conv2d: {x.channels} channels in")
    _require_activation(x)
    bound = accumulator_bound(weight, bias, max(-x.low, x.high))
    return ValueInfo(out_channels, -bound, bound, x.rate / stride, accumulator=True)


def _require_activation(x: ValueInfo) -> None:
    fits = x.low >= ACTIVATION_LOW and x.high <= ACTIVATION_HIGH
    _require(
        fits and x.high - x.low <= ACTIVATION_SPAN, f"operand {x.low} ... {x.high}: over 16 bits"
    )


def _requantize(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,) = operands
    for multiplier in roles.values():
        shaped = multiplier.shape in ((1,), (x.channels,)) and multiplier.dtype == np.float32
        _require(shaped, "requantize: multiplier tensor")
        legal = np.all((multiplier >= 0) & (multiplier < MULTIPLIER_LIMIT))
        _require(bool(legal), "requantize: multiplier out of range")
    return _ranged(operation, x)


def _ranged(operation: Operation, x: ValueInfo) -> ValueInfo:
    low, high = operation.attributes["low"], operation.attributes["high"]
    return ValueInfo(x.channels, low, high, x.rate)


def _add(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    a, b = operands
    _require(a.channels == b.channels and a.rate == b.rate, "add: operands differ in shape")
    return _ranged(operation, a)


def _mul(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    a, b = operands
    _require(a.channels == b.channels and a.rate == b.rate, "mul: operands differ in shape")
    corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return ValueInfo(a.channels, min(corners), max(corners), a.rate, accumulator=True)


def _scale(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    x, number = operands
    corners = [i * n for i in (x.low, x.high) for n in (number.low, number.high)]
    return ValueInfo(x.channels, min(corners), max(corners), x.rate, accumulator=True)


def _bits(operation: Operation, name: str) -> int:
    bits = operation.attributes[name]
    _require(0 <= bits < BITS_LIMIT, f"{operation.kind}: {name} {bits}")
    return bits


def _largest_root(operation: Operation, x: ValueInfo, roles: Tensors) -> int:
    """Check the normalization of gdn and igdn; the largest root that it can have."""
    kind, weight, bias = operation.kind, roles["weight"], roles["bias"]
    shaped = weight.shape == (x.channels, x.channels) and weight.dtype in (np.int8, np.int16)
    _require(shaped, f"{kind}: weight tensor")
    _require(bias.shape == (x.channels,) and bias.dtype == np.int32, f"{kind}: bias tensor")
    _require(bool(np.all(weight >= 0) and np.all(bias >= 0)), f"{kind}: negative weight or bias")
    _require_activation(x)
    bias_bits, root_bits = _bits(operation, "bias_bits"), _bits(operation, "root_bits")
    sums = weight.sum(1, dtype=np.int64) * max(-x.low, x.high) ** 2  # at most 2^(13 + 15 + 32)
    norm = int((sums + (bias.astype(np.int64) << bias_bits)).max())
    radicand = norm << 2 * root_bits
    _require(radicand < RADICAND_LIMIT, f"{kind}: the root of up to {radicand}")
    return math.isqrt(radicand)


def _igdn(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,) = operands
    bound = max(-x.low, x.high) * _largest_root(operation, x, roles)
    return ValueInfo(x.channels, -bound, bound, x.rate, accumulator=True)


def _gdn(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,) = operands
    _largest_root(operation, x, roles)
    shift = _bits(operation, "root_bits") + _bits(operation, "fraction_bits")
    dividend = max(-x.low, x.high) << shift
    _require(dividend < DIVIDEND_LIMIT, f"gdn: dividends up to {dividend}")
    return _ranged(operation, x)


def _clamp(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    return _ranged(operation, operands[0])


def _table(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,) = operands
    table = roles["table"]
    _require(table.ndim == 1 and table.dtype == np.int32, "table: tensor")
    _require(1 <= len(table) <= 2**16, f"table: {len(table)} entries")
    _require(abs(operation.attributes["low"]) < VALUE_LIMIT, "table: low out of range")
    return ValueInfo(x.channels, int(table.min()), int(table.max()), x.rate)


def _layernorm(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,), channels = operands, operands[0].channels
    gain, bias = roles["gain"], roles["bias"]
    _require(gain.shape == (channels,) and gain.dtype == np.float32, "layernorm: gain tensor")
    _require(bool(np.all(np.abs(gain) < MULTIPLIER_LIMIT)), "layernorm: gain out of range")
    _require(bias.shape == (channels,) and bias.dtype == np.int32, "layernorm: bias tensor")
    largest_bias = int(np.abs(bias, dtype=np.int64).max())
    _require(largest_bias < VALUE_LIMIT, "layernorm: bias out of range")
    root_bits, fraction_bits = _bits(operation, "root_bits"), _bits(operation, "fraction_bits")
    epsilon = operation.attributes["epsilon"]
    _require(epsilon >= 0, f"layernorm: epsilon {epsilon}")
    span, largest = x.high - x.low, max(-x.low, x.high)
    _require((channels * largest) ** 2 < ACCUMULATOR_LIMIT, "layernorm: sum of squares")
    # The variance of numbers in a range is at most a quarter of its square.
    radicand = ((channels * span) ** 2 // 4 + epsilon) << 2 * root_bits
    _require(radicand < DIVIDEND_LIMIT, f"layernorm: the root of up to {radicand}")
    dividend = (channels - 1) * span << root_bits + fraction_bits
    _require(dividend < DIVIDEND_LIMIT, f"layernorm: dividends up to {dividend}")
    # No number is further than sqrt(C - 1) deviations from the mean, and the root, rounded
    # down, is more than half of what it stands for.
    squared = (channels - 1) << 2 * (fraction_bits + 1)
    _require(squared < NORMALIZED_LIMIT**2, "layernorm: fraction_bits")
    return _ranged(operation, x)


def _window_attention(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,) = operands
    heads, window, shift = (operation.attributes[k] for k in ("heads", "window", "shift"))
    _require(1 <= window <= WINDOW_LIMIT, f"window_attention: windows of {window}")
    _require(0 <= shift < window, f"window_attention: shift {shift}")
    _require(heads >= 1 and x.channels % (3 * heads) == 0, f"window_attention: {heads} heads")
    _require_activation(x)
    largest, depth = max(-x.low, x.high), x.channels // (3 * heads)
    multiplier, bias, table = roles["multiplier"], roles["bias"], roles["table"]
    shaped = multiplier.shape in ((1,), (heads,)) and multiplier.dtype == np.float32
    _require(shaped, "window_attention: multiplier tensor")
    legal = np.all((multiplier >= 0) & (multiplier < MULTIPLIER_LIMIT))
    _require(bool(legal), "window_attention: multiplier out of range")
    score = depth * largest**2 * Fraction(float(multiplier.max()))
    _require(score <= SCORE_LIMIT, f"window_attention: scores up to {float(score):.0f}")
    distances = 2 * window - 1
    shaped = bias.shape == (heads, distances, distances) and bias.dtype == np.int32
    _require(shaped, "window_attention: bias tensor")
    legal = np.all((bias > -SCORE_LIMIT) & (bias < SCORE_LIMIT))
    _require(bool(legal), "window_attention: bias out of range")
    _require(table.ndim == 1 and table.dtype == np.int32, "window_attention: table")
    _require(1 <= len(table) <= 2**16, f"window_attention: {len(table)} entries")
    _require(bool(table[0] >= 1 and np.all(table >= 0)), "window_attention: entries of the table")
    dividend = window**2 * int(table.max()) * largest
    _require(dividend < DIVIDEND_LIMIT, f"window_attention: dividends up to {dividend}")
    # A mean of values, weighted by what is not negative, lies among them.
    return ValueInfo(heads * depth, x.low, x.high, x.rate)


def _concat(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    _require(len({x.rate for x in operands}) == 1, "concat: operands differ in shape")
    return ValueInfo(
        sum(x.channels for x in operands),
        min(x.low for x in operands),
        max(x.high for x in operands),
        operands[0].rate,
    )


def _split(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,) = operands
    start, stop = operation.attributes["start"], operation.attributes["stop"]
    _require(0 <= start < stop <= x.channels, f"split: channels {start} ... {stop}")
    return ValueInfo(stop - start, x.low, x.high, x.rate)


def _pixel_shuffle(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,), factor = operands, operation.attributes["factor"]
    _require(1 <= factor <= 64 and x.channels % factor**2 == 0, "pixel_shuffle: factor")
    return ValueInfo(x.channels // factor**2, x.low, x.high, x.rate * factor)


def _pixel_unshuffle(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,), factor = operands, operation.attributes["factor"]
    _require(1 <= factor <= 64, "pixel_unshuffle: factor")
    return ValueInfo(x.channels * factor**2, x.low, x.high, x.rate / factor)


def _phase(operation: Operation, operands: list[ValueInfo], roles: Tensors) -> ValueInfo:
    (x,), factor = operands, operation.attributes["factor"]
    _require(2 <= factor <= 64, "phase: factor")
    inside = all(0 <= operation.attributes[place] < factor for place in ("row", "column"))
    _require(inside, "phase: row or column")
    return ValueInfo(x.channels, x.low, x.high, x.rate / factor)


_Rule = Callable[[Operation, list[ValueInfo], Tensors], ValueInfo]
_RULES: dict[str, _Rule] = {
    "conv2d": _conv2d,
    "requantize": _requantize,
    "add": _add,
    "mul": _mul,
    "scale": _scale,
    "clamp": _clamp,
    "table": _table,
    "igdn": _igdn,
    "gdn": _gdn,
    "layernorm": _layernorm,
    "window_attention": _window_attention,
    "concat": _concat,
    "split": _split,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "phase": _phase,
}
