"""The self-test lets exact backends through and nothing else."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
import types

import numpy as np
import pytest

from licodec.errors import LicodecError
from licodec.exact import interpreter, selftest
from licodec.exact.bounds import CheckedProgram, analyse, check
from licodec.exact.operations import KINDS, normalization
from licodec.exact.passes import FLOAT32_KERNEL, INT8_KERNEL, KernelLimits, split_into_passes
from licodec.exact.program import Program
from licodec.exact.selftest import failures
from tests.exact.programs import Builder, synthesis

names = (f"imitation {i}" for i in itertools.count())


def backend(limits: KernelLimits = FLOAT32_KERNEL, **kernels) -> types.SimpleNamespace:
    """The reference with some of its kernels replaced, under a name that was not tested yet."""

    def prepare(checked: CheckedProgram):
        program, tensors = checked.program, checked.tensors

        def run(inputs):
            values = {port.name: inputs[port.name].astype(np.int64) for port in program.inputs}
            for operation in program.operations:
                operands = [values[name] for name in operation.inputs]
                kernel = kernels.get(operation.kind, operation.form.kernel)
                result = kernel(*operands, **operation.roles(tensors), **operation.attributes)
                values[operation.output] = result
            return {name: values[name].astype(np.int32) for name in program.outputs}

        return run

    return types.SimpleNamespace(NAME=next(names), LIMITS=limits, prepare=prepare)


def exact(kind: str):
    return KINDS[kind].kernel


def small() -> tuple[Program, dict[str, np.ndarray]]:
    """All kinds of operation."""
    builder = Builder("small")
    x = builder.port("x", 20, 0, 65535)  # sums over it are beyond 2^24
    y = builder.layer(x, 20, 3, -2048, 2047, 2000)
    shuffled = builder.shuffle(y, 2)
    back = builder.operation("pixel_unshuffle", (shuffled,), 20, factor=2)
    later = builder.operation("phase", (builder.shuffle(y, 2),), 5, factor=2, row=1, column=0)
    entries = np.arange(-50, 50, dtype=np.int32)
    looked_up = builder.operation("table", (back,), 20, {"table": entries}, low=-50)
    total = builder.add(looked_up, y, -2048, 2047)
    relu = builder.operation("clamp", (total,), 20, low=0, high=255)
    joined = builder.operation("concat", (relu, x), 40)
    last = builder.layer(joined, 12, 1, -128, 127, 1500)
    return builder.build(last, later, *kinds_of_transforms(builder, y))


def kinds_of_transforms(builder: Builder, x: str) -> tuple[str, ...]:
    """The kinds that only some backbones have, over 20 channels of 12 bits."""
    part = builder.operation("split", (x,), 6, start=3, stop=9)
    weight = builder.random.integers(0, 128, (6, 6)).astype(np.int8)
    bias = builder.random.integers(0, 2**30, 6).astype(np.int32)
    norm = {"weight": weight, "bias": bias}
    bits = {"bias_bits": 1, "root_bits": 6}
    up = builder.operation("igdn", (part,), 6, norm, **bits)
    wide = {"fraction_bits": 15, "low": -(2**15), "high": 2**15 - 1}
    down = builder.operation("gdn", (part,), 6, norm, **bits, **wide)
    gate = builder.operation("mul", (part, part), 6)
    scaled = builder.operation("scale", (part, builder.number("n", 0, 65535)), 6)
    moments = {
        "gain": np.linspace(-2, 2, 6, dtype=np.float32),
        "bias": np.arange(6, dtype=np.int32),
    }
    normal = builder.operation(
        "layernorm", (part,), 6, moments, epsilon=5, root_bits=4, fraction_bits=9,
        low=-3000, high=3000,
    )  # fmt: skip
    attended = builder.attention(part, 2, 3, 1, 2048)
    sums = (builder.requantize(s, 2.0**-12, -(2**20), 2**20) for s in (up, gate, scaled))
    return (down, normal, attended, *sums)


def verdict(module) -> list[str]:
    return failures(module, [check(*small())])


def test_the_reference_passes_its_own_test():
    assert verdict(backend()) == []
    assert verdict(backend(INT8_KERNEL)) == []


def saturating(x, *, weight, bias, padding, **others) -> np.ndarray:
    """Pairs of products of adjacent channels are added in 16 bits, as without VNNI.

    The operand is cut into bytes, the operand's sign taken up by an offset.
    """
    low, total = int(x.min()), 0
    offset = max(0, -(low >> 8)) << 8
    fill = np.pad(x + offset, ((0, 0), (padding,) * 2, (padding,) * 2), constant_values=offset)
    weight = weight.astype(np.int64)
    kernel = weight.shape[2]
    for part, coefficient in ((fill >> 8, 256), (fill & 255, 1)):
        windows = np.lib.stride_tricks.sliding_window_view(part, (kernel, kernel), (1, 2))
        for i in range(0, weight.shape[1], 2):
            pair = sum(
                np.einsum("okl,hwkl->ohwkl", weight[:, j], windows[j])
                for j in range(i, min(i + 2, weight.shape[1]))
            )
            total = total + coefficient * np.clip(pair, -(2**15), 2**15 - 1).sum((3, 4))
    shift = bias.astype(np.int64) - offset * weight.sum((1, 2, 3))
    return total + shift[:, None, None]


def wrong_by(change):
    return lambda x, **constants: change(exact("conv2d")(x, **constants))


def low_precision(bits: int):
    """Operands rounded to so many significant bits, as by TF32 (11) or bfloat16 (8)."""

    def conv2d(x, **constants):
        mantissa, exponent = np.frexp(x)
        rounded = np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)
        return exact("conv2d")(rounded.astype(np.int64), **constants)

    return conv2d


def one_wrong_corner(acc: np.ndarray) -> np.ndarray:
    acc[-1, -1, -1] += 1
    return acc


def empty_border(acc: np.ndarray) -> np.ndarray:
    acc[:, 0] = 0
    return acc


def truncated(x, *, multiplier, low, high, **others):
    return np.clip(np.trunc(x.astype(np.float32) * multiplier[:, None, None]), low, high)


def fused(x, *, multiplier, low, high, **others):
    """Sums that are not rounded to binary32 before the product."""
    product = (x * multiplier.astype(np.float64)[:, None, None]).astype(np.float32)
    return np.clip(np.rint(product), low, high)


def half_up(x, *, multiplier, low, high, **others):
    product = x.astype(np.float32) * multiplier[:, None, None]
    return np.clip(np.floor(product.astype(np.float64) + 0.5), low, high)


def other_channel_order(x, *, factor):
    reordered = x.reshape(factor**2, -1, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape)
    return exact("pixel_shuffle")(reordered, factor=factor)


def failing(*operands, **constants):
    raise RuntimeError("could not create a primitive\nlong explanation")


def wrapping_add(x, y, **constants):
    return x + y


def roots_too_large(x, **constants):
    return x * (normalization.roots(x, **constants) + 1)


def coarse_roots(x, *, weight, bias, bias_bits, root_bits):
    norm = np.tensordot(weight.astype(np.int64), x * x, 1)
    norm += bias.astype(np.int64)[:, None, None] << bias_bits
    return x * np.sqrt((norm << 2 * root_bits).astype(np.float32)).astype(np.int64)


def floored_quotients(x, *, fraction_bits, low, high, **constants):
    divisor = np.maximum(normalization.roots(x, **constants), 1)
    return np.clip((x << constants["root_bits"] + fraction_bits) // divisor, low, high)


def changed(kind: str, **changes: int):
    return lambda *operands, **constants: exact(kind)(*operands, **(constants | changes))


def with_turned_bias(x, *, bias, **constants):
    return exact("window_attention")(x, bias=bias.mT, **constants)


def with_last_entry_for_ever(x, *, table, **constants):
    longer = np.append(table, np.full(2**14, table[-1]))
    return exact("window_attention")(x, table=longer, **constants)


WRONG = {
    "pairs saturate at 16 bits": {"conv2d": saturating},
    "TF32": {"conv2d": low_precision(11)},
    "one integer is wrong": {"conv2d": wrong_by(one_wrong_corner)},
    "sums to 23 bits": {"conv2d": wrong_by(lambda acc: acc & ~1)},
    "sums saturate at 24 bits": {"conv2d": wrong_by(lambda a: np.clip(a, -(2**23), 2**23))},
    "an empty border": {
        "conv2d": wrong_by(lambda acc: np.pad(acc[:, 1:], ((0, 0), (1, 0), (0, 0))))
    },
    "another shape": {"conv2d": wrong_by(lambda acc: acc[:, 1:])},
    "truncation": {"requantize": truncated},
    "rounding half up": {"requantize": half_up},
    "unrounded sums": {"requantize": fused},
    "no saturation": {"add": wrapping_add, "clamp": lambda x, **span: x},
    "table off by one": {"table": lambda x, **rest: exact("table")(x + 1, **rest)},
    "concat in another order": {"concat": lambda *xs: np.concatenate(xs[::-1])},
    "pixel shuffle in another order": {"pixel_shuffle": other_channel_order},
    "pixel unshuffle turned": {
        "pixel_unshuffle": lambda x, factor: exact("pixel_unshuffle")(x[:, ::-1], factor=factor)
    },
    "another phase": {"phase": changed("phase", row=0, column=1)},
    "a kernel that cannot run": {"conv2d": failing},
    "split at another channel": {"split": changed("split", start=2, stop=8)},
    "products of 32 bits": {"mul": lambda x, y: (x * y).astype(np.int16)},
    "a number of 16 bits with sign": {"scale": lambda x, n: x * n.astype(np.int16)},
    "roots too large": {"igdn": roots_too_large},
    "roots in binary32": {"igdn": coarse_roots},
    "quotients rounded down": {"gdn": floored_quotients},
    "no epsilon": {"layernorm": changed("layernorm", epsilon=0)},
    "fewer bits of the root": {"layernorm": changed("layernorm", root_bits=3)},
    "windows not shifted": {"window_attention": changed("window_attention", shift=0)},
    "bias of the wrong key": {"window_attention": with_turned_bias},
    "weights beyond the table": {"window_attention": with_last_entry_for_ever},
}
REVEALED = ("conv2d", "mul", "scale", "igdn")  # they give sums, which a requantization shows


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_backend_is_found(name):
    found = verdict(backend(**WRONG[name]))
    assert found
    for line in found:
        revealing = any(f"{kind} of" in line for kind in ("clamp", *REVEALED))
        assert next(iter(WRONG[name])) in line or revealing
        assert "\n" not in line


def test_the_message_names_the_operation_and_the_error():
    (first, *_) = verdict(backend(conv2d=failing))
    assert first.startswith("conv2d of 20 channels in 0...65535")
    assert first.endswith("cannot run (could not create a primitive)")
    (first, *_) = verdict(backend(add=wrapping_add))
    assert "integers are wrong" in first and first.startswith("add of 20 channels")


def test_an_obscure_fault_of_a_plane_that_needs_blocking_is_found():
    def conv2d(x, **constants):
        acc = exact("conv2d")(x, **constants)
        if acc.shape[1] > 32:
            acc[0, 32, 0] ^= 1
        return acc

    assert len(verdict(backend(conv2d=conv2d))) == 1


def test_a_kernel_that_no_split_suits_is_a_failure():
    (only,) = verdict(backend(KernelLimits(8)))
    assert "too large to be split" in only


@pytest.mark.parametrize("value", [0, -1, 1, -128])
def test_weights_that_are_all_alike(value):
    builder = Builder("alike")
    x = builder.port("x", 4, -5, 5)
    weight = np.full((3, 4, 3, 3), value, np.int8)
    acc = builder.conv(x, weight, np.zeros(3, np.int32))
    program, tensors = builder.build(builder.requantize(acc, 1.0, -9, 9))
    for limits in (FLOAT32_KERNEL, INT8_KERNEL):
        assert failures(backend(limits), [check(program, tensors)]) == []


def test_verdicts_are_kept(monkeypatch):
    module = backend()
    assert verdict(module) == []
    monkeypatch.setattr(module, "prepare", None)
    assert verdict(module) == []
    other = backend(conv2d=failing)
    assert verdict(other) == verdict(other) != []


@pytest.mark.parametrize("limits", [FLOAT32_KERNEL, INT8_KERNEL])
def test_trials_have_the_passes_of_the_operations_they_stand_for(limits):
    """And sums within 2 % of what those passes can hold."""
    program, tensors = synthesis()
    values = analyse(program, tensors)

    def structure(passes):
        return [(one.coefficient, one.operand, one.weight.shape[1:]) for one in passes]

    def passes_of(operation, tensors, x):
        weight, bias = (tensors[operation.tensors[role]] for role in ("weight", "bias"))
        return split_into_passes(
            weight, bias, x.low, x.high, operation.attributes["groups"], limits
        )

    for operation in program.operations:
        if operation.kind != "conv2d":
            continue
        x = values[operation.inputs[0]]
        roles = operation.roles(tensors)
        case = selftest._case(operation, [x], roles, limits)
        trial = selftest._trial(case).program
        own = passes_of(operation, tensors, x)
        tried = passes_of(trial.program.operations[0], trial.tensors, x)
        assert structure(tried) == structure(own)
        full = case.facts.total == case.facts.largest * roles["weight"][0].size
        assert full or max(one.bound for one in tried) > 0.98 * limits.sum_limit


def test_every_kind_of_trial_is_a_legal_program():
    for case in selftest._cases([check(*small())], INT8_KERNEL):
        trial = selftest._trial(case)
        values = trial.program.values
        for port in trial.program.program.inputs:
            plane = trial.inputs[port.name]
            if port.channels is None:
                assert plane in (port.low, port.high)
                continue
            assert values[port.name].low <= plane.min() and plane.max() <= values[port.name].high
            if port.low < port.high:
                assert plane.min() == port.low and plane.max() == port.high


SCRIPT = """
from tests.exact.test_selftest import pixel_hashes
print("\\n".join(pixel_hashes()))
"""
ENVIRONMENTS = (
    ("ONEDNN_MAX_CPU_ISA", "AVX2"),
    ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE"),
    ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
)


def pixel_hashes() -> list[str]:
    """The automatic choice, then for each backend a hash of the pixels or why it is rejected."""
    programs = {"synthesis": check(*synthesis(64, (64, 48, 48), (1, 1, 1)))}
    lines = [interpreter.choose(None, programs).backend]
    latents = np.random.default_rng(5).integers(-(2**15), 2**15, (64, 6, 7))
    for name in ("reference", "float32", "int8"):
        try:
            run = interpreter.choose(name, programs).prepare("synthesis")
        except LicodecError as error:
            lines.append(f"rejected: {error}")
        else:
            (pixels,) = run({"latents": latents}).values()
            lines.append(hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest())
    return lines


@pytest.fixture(scope="module")
def outcomes():
    """What `pixel_hashes` gives here and, by (variable, value), in processes of their own."""
    started = {
        variable: subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {variable[0]: variable[1], "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for variable in ENVIRONMENTS
    }
    results = {None: pixel_hashes()}
    for variable, process in started.items():
        output, _ = process.communicate()
        assert process.returncode == 0
        results[variable] = output.splitlines()
    return results


@pytest.mark.parametrize("variable", ENVIRONMENTS[:2], ids=" ".join)
def test_int8_is_rejected_where_products_saturate(outcomes, variable):
    if outcomes[None][3].startswith("rejected"):
        pytest.skip("int8 is not exact here anyway")
    chosen, exact, float32, int8 = outcomes[variable]
    assert exact == float32 == outcomes[None][1]
    assert int8.startswith("rejected: backend int8: not exact on this machine: conv2d of")
    assert chosen in ("native", "cuda", "float32")


@pytest.mark.parametrize("variable", [None, ENVIRONMENTS[2]])
def test_backends_that_are_not_rejected_agree(outcomes, variable):
    """In bfloat16 mode too, where some processors give up precision and must be rejected."""
    expected = outcomes[None][1]
    for line in outcomes[variable][1:]:
        assert line == expected or line.startswith("rejected")


def test_errors_that_are_not_the_backends_own_are_not_swallowed():
    def conv2d(*operands, **constants):
        raise KeyError("a mistake in the program text")

    with pytest.raises(KeyError):
        verdict(backend(conv2d=conv2d))
    assert issubclass(LicodecError, Exception)
