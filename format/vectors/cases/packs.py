"""Weights of less than 8 bits as stored, and a whole small pack."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from oracle.arrays import LATENT_HIGH, LATENT_LOW, Array, Json, Noise, fl32, vector
from oracle.packs import SmallPack

from cases.forms import number, operation, port, program


def packed_cases() -> Iterator[Json]:
    noise = Noise(7)

    def packed(name: str, width: int, values: Array) -> Json:
        bits = "".join(f"{v + 2 ** (width - 1):0{width}b}" for v in values.values)
        bits += "0" * (-len(bits) % 8)
        data = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        return {
            "name": name,
            "width": width,
            "shape": list(values.shape),
            "values": list(values.values),
            "bytes": data.hex(),
        }

    yield packed("example", 3, Array((5,), (-4, 3, 0, 1, -1)))
    for width in range(2, 8):
        low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
        ends = Array((1, 2, 1, 1), (low, high))
        yield packed(f"width {width}, ends", width, ends)
        yield packed(f"width {width}", width, noise.array((3, 2, 2, 2), low, high))


def pack_case(name: str, shows: str, pack: SmallPack) -> Json:
    own = pack.to_json()
    own["adapters"] = [one | {"id": pack.set_id(one)} for one in pack.adapters]
    return {
        "name": name,
        "shows": shows,
        **own,
        "canonical_json": pack.head(),
        "weights_id": pack.weights_id,
        "adapter_canonical_json": [pack.set_head(one) for one in pack.adapters],
    }


def small_programs() -> dict[str, Json]:
    latent = (LATENT_LOW, LATENT_HIGH)
    return {
        "up": program(
            [port("hyper_latents", 1, -8, 7)],
            # Written with defaults, which canonical JSON leaves out.
            [operation("conv2d", "hyper_latents", "a", weight="up.w", bias="up.b",
                       stride=1, padding=0, groups=1),
             operation("requantize", "a", "b", multiplier="up.m", low=-8, high=7),
             operation("pixel_shuffle", "b", "features", factor=2)],
            "features",
        ),
        "predict": program(
            [port("features", 1, -8, 7)],
            [operation("table", "features", "mean", table="means", low=-8),
             operation("clamp", "features", 'the "scale"', low=0, high=7)],
            "mean", 'the "scale"', "features",
        ),
        "correct": program(
            [port("context", 1, -8, 7), port("decoded", 1, *latent)],
            [operation("clamp", "decoded", "half", low=-1, high=1)],
            "half",
        ),
        "paint": program(
            [port("latents", 1, *latent)],
            [operation("conv2d", "latents", "a", weight="paint.w", bias="paint.b", padding=1),
             operation("requantize", "a", "b", multiplier="paint.m", low=0, high=255),
             operation("pixel_shuffle", "b", "samples", factor=2)],
            "samples",
        ),
        "adapted paint": program(
            [port("latents", 1, *latent), number("alpha", 0, 65535)],
            [operation("conv2d", "latents", "a", weight="paint.w", bias="paint.b", padding=1),
             operation("requantize", "a", "b", multiplier="paint.m", low=-400, high=400),
             operation("conv2d", "latents", "c", weight="branch.w", bias="branch.b"),
             operation("requantize", "c", "d", multiplier="branch.m", low=-500, high=500),
             operation("scale", "d alpha", "e"),
             operation("requantize", "e", "f", multiplier="branch.gain", low=-400, high=400),
             operation("add", "b f", "g", low=0, high=255),
             operation("pixel_shuffle", "g", "samples", factor=2)],
            "samples",
        ),
        "adapted predict": program(
            [port("features", 1, -8, 7), number("alpha", 0, 65535)],
            [operation("table", "features", "a", table="means", low=-8),
             operation("scale", "features alpha", "b"),
             operation("requantize", "b", "c", multiplier="branch.gain", low=-60, high=60),
             operation("add", "a c", "mean", low=-100, high=100),
             operation("clamp", "features", 'the "scale"', low=0, high=7)],
            "mean", 'the "scale"', "features",
        ),
        "adapted correct": program(
            [port("context", 1, -8, 7), port("decoded", 1, *latent), number("beta", 0, 65535)],
            [operation("clamp", "decoded", "a", low=-100, high=100),
             operation("scale", "a beta", "b"),
             operation("requantize", "b", "half", multiplier="branch.gain", low=-1, high=1)],
            "half",
        ),
        "analysis": program(
            [port("pixels", 1, 0, 255)],
            [operation("clamp", "pixels", "y", low=0, high=1)],
            "y",
        ),
        "unused by decoders": program(
            [port("pixels", 1, 0, 255), number("alpha", 0, 65535)],
            [operation("clamp", "pixels", "y", low=0, high=1)],
            "y",
        ),
    }  # fmt: skip


def small_pack() -> SmallPack:
    """Small and legal: alignment 4, latents of 2x2 pixels, hyper-latents of 4x4."""
    schedule = {
        "alignment": 4,
        "latent_stride": 2,
        "hyper_stride": 4,
        "latent_fraction_bits": 2,
        "scale_fraction_bits": 0,
        "d_low": 1,
        "d_high": 64,
        "hyper_synthesis": "up",
        "synthesis": "paint",
        "steps": [{"start": 0, "stop": 1, "parameters": "predict", "residual": "correct"}],
    }
    noise = Noise(8)
    tensors = {
        "up.w": noise.array((4, 1, 1, 1), -2, 1, "int8"),
        "up.b": vector(1, -1, 0, 2),
        "up.m": vector(fl32(Fraction(1, 3)), type="float32"),
        "means": noise.array((16,), -40, 40),
        "paint.w": noise.array((12, 1, 3, 3), -300, 300, "int16"),
        "paint.b": noise.array((12,), 0, 10**6),
        "paint.m": vector(*(fl32(Fraction(n, 10**4)) for n in range(1, 13)), type="float32"),
        "tables.hyper.medians": vector(1),
        "tables.hyper.lengths": vector(4),
        "tables.hyper.offsets": vector(-1),
        "tables.hyper.frequencies": vector(10000, 30000, 20000, 5536),
        "tables.latent.thresholds": vector(2),
        "tables.latent.lengths": vector(2, 4),
        "tables.latent.offsets": vector(0, -1),
        "tables.latent.frequencies": vector(65535, 1, 20000, 25000, 20000, 536),
        "branch.w": noise.array((12, 1, 1, 1), -7, 7, "int8"),
        "branch.b": noise.array((12,), -100, 100),
        "branch.m": vector(fl32(Fraction(1, 3)), type="float32"),
        "branch.gain": vector(fl32(Fraction(8, 65535)), type="float32"),
        "unused by decoders": vector(1, 2, 3),
    }
    # A set whose prediction adapts too, with steps of its own, one for samples alone, and one
    # whose steps go with beta.
    adapted = (
        ("mse", {"predict": "adapted predict", "paint": "adapted paint"}, 20,
         {"step_shares": [40000]}),
        ("ms-ssim", {"paint": "adapted paint"}, 4, {}),
        ("perceptual", {"correct": "adapted correct", "paint": "adapted paint"}, 30,
         {"step_shares": [40000], "beta_step_shares": [9000]}),
    )  # fmt: skip
    adapters = [
        {"objective": objective, "programs": programs | {"analysis": "unused by decoders"},
         "d": d, **stated}
        for objective, programs, d, stated in adapted
    ]  # fmt: skip
    widths = {"up.w": 2, "paint.w": 16, "branch.w": 4}
    return SmallPack(schedule, small_programs(), widths, tensors, adapters)


def pack_cases() -> Iterator[Json]:
    shows = (
        "defaults left out, a quotation mark escaped, what decoders do not use left out, "
        "and adapter sets that share tensors"
    )
    case = pack_case("a small pack", shows, small_pack())
    sets = {key: case.pop(key) for key in ("adapters", "adapter_canonical_json")}
    yield case | sets  # the sets behind the pack itself
