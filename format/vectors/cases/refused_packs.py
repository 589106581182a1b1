"""Packs that a decoder must refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from oracle.arrays import LARGEST_BIAS, Array, Json, array, array_to_json, vector
from oracle.packs import SmallPack

from cases.conditioned_packs import conditioned_pack_cases
from cases.forms import by_knot, operation
from cases.packs import pack_cases


def merged(target: Any, patch: Any) -> Any:
    """`target` changed by a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    changed = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            changed.pop(key, None)
        else:
            changed[key] = merged(changed.get(key), value)
    return changed


CONDITIONED, PLAIN = next(conditioned_pack_cases()), next(pack_cases())
WHOLE = SmallPack.from_json(CONDITIONED)


def of(name: str, patch: Json, base: Json = CONDITIONED) -> Json:
    pack = SmallPack.from_json(merged(base, patch))
    ids = [pack.set_id(own) for own in pack.adapters]
    return {
        "name": name, "pack": base["name"], "patch": patch, "weights_id": pack.weights_id,
        "adapter_ids": ids,
    }  # fmt: skip


def schedule(name: str, **fields: Any) -> Json:
    return of(name, {"schedule": fields})


def tensors(name: str, **fields: Array | None) -> Json:
    stated = {k: None if x is None else array_to_json(x, stored=True)
              for k, x in fields.items()}  # fmt: skip
    return of(name, {"tensors": stated, "adapters": []})


def conditions(name: str, of_what: str, rows: Array | None) -> Json:
    return tensors(name, **{f"conditions.{of_what}": rows})


def changed(of_what: str, value: int, row: int = 2) -> Array:
    """Conditions with another number in one row."""
    rows = WHOLE.tensors[f"conditions.{of_what}"]
    return array(rows.shape, lambda i, c: value if (i, c) == (row, 1) else rows[i, c])


def narrowed(of_what: str, channels: int) -> Array:
    """Conditions of the first channels."""
    rows = WHOLE.tensors[f"conditions.{of_what}"]
    return array((rows.shape[0], channels), lambda i, c: rows[i, c])


def first_of(name: str, count: int, shape: tuple[int, ...] = ()) -> Json:
    """The first integers of a tensor."""
    x = WHOLE.tensors[name]
    return array_to_json(Array(shape or (count,), x.values[:count], x.type), stored=True)


CONDITIONS = [name for name in WHOLE.tensors if name.startswith("conditions.")]
FIRST_ROWS = {
    name: first_of(name, columns, (1, columns))
    for name in CONDITIONS
    for columns in WHOLE.tensors[name].shape[1:]
}
ONE_BAND = {
    f"tables.hyper.{part}": first_of(f"tables.hyper.{part}", count)
    for part, count in (("lengths", 2), ("offsets", 2), ("frequencies", 11))
}


def refused_schedules() -> Iterator[Json]:
    """The coding schedule's numbers."""
    yield schedule("knots that do not ascend", knots=[16, 200, 64, 768])
    yield schedule("two equal knots", knots=[16, 64, 64, 768])
    yield schedule("a first knot that is not d_low", knots=[17, 64, 200, 768])
    yield schedule("a last knot that is not d_high", knots=[16, 64, 200, 767])
    yield schedule("a knot that is no integer", knots=[16, "64", 200, 768])

    one_knot = {"knots": [64], "d_low": 64, "d_high": 64, "hyper_bands": None}
    yield of("one knot", {"schedule": one_knot, "tensors": FIRST_ROWS | ONE_BAND, "adapters": []})
    yield schedule("d_low above 1.0", d_fraction_bits=3)
    yield schedule("d_high below 1.0", d_fraction_bits=10)
    yield schedule("16 fraction bits of d", d_fraction_bits=16)
    yield of("fraction bits of d without knots", {"schedule": {"d_fraction_bits": 3}}, PLAIN)
    yield schedule("bands that do not ascend", hyper_bands=[200, 50])
    yield schedule("a band from d_low on", hyper_bands=[16, 200])
    yield schedule("a band above d_high", hyper_bands=[50, 769])
    two_bands = {
        "lengths": [4, 4], "offsets": [-1, -1],
        "frequencies": [10000, 30000, 20000, 5536] * 2,
    }  # fmt: skip
    stated = {f"tables.hyper.{part}": {"shape": [len(values)], "values": values}
              for part, values in two_bands.items()}  # fmt: skip
    yield of("bands without knots", {"schedule": {"hyper_bands": [20]}, "tensors": stated}, PLAIN)
    yield schedule("tables of another number of bands", hyper_bands=[50])
    yield schedule("a schedule's key that is not defined", bands=[50, 200])
    yield schedule("features called latents", features=["latents", "level"])


def refused_phases() -> Iterator[Json]:
    """Steps by phases."""
    slice_, sparse, rest = WHOLE.schedule["steps"]
    biases = {
        name.removeprefix("conditions."): first_of(name, WHOLE.tensors[name].shape[1])
        for name in CONDITIONS
        if name.endswith(".b")
    }
    unknotted = {"knots": None, "hyper_bands": None, "d_fraction_bits": None, "d_low": 1,
                 "d_high": 64}  # fmt: skip
    without = dict.fromkeys(FIRST_ROWS, None) | biases | ONE_BAND
    yield of("phases without knots",
             {"schedule": unknotted, "tensors": without, "adapters": []})  # fmt: skip
    yield of("a residual for all without phases", {"schedule": {"residual": "correct"}}, PLAIN)
    corrected = slice_ | {"residual": "correct"}
    yield schedule("a slice's residual beside phases", steps=[corrected, sparse, rest])
    yield schedule("a slice behind phases", steps=[sparse, rest, slice_])
    yield schedule("a slice of another start", steps=[slice_ | {"start": 1}, sparse, rest])
    for name, phases in (
        ("a channel twice at a phase", [1, 3, 3, 2]),
        ("a channel not at all at a phase", [1, 3, 3, 4]),
        ("phases before the slice's stop", [0, 3, 3, 1]),
        ("three phases", [1, 3, 3]),
        ("five phases", [1, 3, 3, 1, 1]),
        ("a phase that is no integer", [1, 3, 3, "1"]),
    ):
        yield schedule(name, steps=[slice_, sparse | {"phases": phases}, rest])
    yield schedule("a step by phases of no channels",
                   steps=[slice_, sparse, sparse | {"count": 0}, rest])  # fmt: skip
    yield schedule("fewer channels by phases", steps=[slice_, sparse, rest | {"count": 1}])
    yield schedule("a step by phases with start", steps=[slice_, sparse | {"start": 1}, rest])
    up = WHOLE.programs["up"]["operations"]
    yield of(
        "an odd number of rows",
        {"schedule": {"alignment": 6, "hyper_stride": 2},
         "programs": {"up": {"operations": [
             *up[:2], *(one | {"inputs": ["b"]} for one in up[3:])]}}},
    )  # fmt: skip


def refused_contexts() -> Iterator[Json]:
    """What goes from step to step."""
    parameters = WHOLE.programs["sparse"]
    for name, outputs in (
        ("no context of phases", ["mean", "scale"]),
        ("means at all positions", ["context", "scale", "context"]),
        ("scales of another number of channels", ["mean", "s0", "context"]),
        ("a context at one phase", ["mean", "scale", "p0"]),
    ):
        yield of(name, {"programs": {"sparse": {"outputs": outputs}}})
    yield of("a context of a slice without residual",
             {"programs": {"first": {"outputs": ["mean", "scale", "features"]}}})  # fmt: skip
    features, latents = parameters["inputs"]
    for name, ports in (
        ("latents of another range", [features, latents | {"low": -32767}]),
        ("latents before the features", [latents, features]),
    ):
        yield of(name, {"programs": {"sparse": {"inputs": ports}}})
    near, joined, *others = parameters["operations"]
    code = {"inputs": [features, latents | {"channels": 5}],
            "operations": [operation("split", "latents", "four", start=0, stop=4),
                           near | {"inputs": ["four"]}, joined, *others]}  # fmt: skip
    yield of("latents of too many channels", {"programs": {"sparse": code}})
    joined = joined | {"inputs": ["other", "near"]}
    code = {"inputs": [features | {"name": "other"}, latents],
            "operations": [near, joined, *others]}  # fmt: skip
    yield of("a port that is none of the features", {"programs": {"sparse": code}})
    context, latents = WHOLE.programs["correct"]["inputs"]
    yield of("a context whose range the residual does not hold",
             {"programs": {"correct": {"inputs": [context | {"high": 99}, latents]}}})  # fmt: skip
    yield of("a residual of three channels",
             {"programs": {"correct": {
                 "operations": [*WHOLE.programs["correct"]["operations"],
                                operation("split", "correction", "three", start=0, stop=3)],
                 "outputs": ["three"]}}})  # fmt: skip


def refused_conditions() -> Iterator[Json]:
    """Conditions of programs and of steps."""
    yield conditions("no steps", "steps", None)
    yield conditions("no steps of hyper-latents", "hyper_steps", None)
    yield conditions("steps of three channels", "steps", narrowed("steps", 3))
    yield conditions("steps of hyper-latents for the latents", "hyper_steps",
                     WHOLE.tensors["conditions.steps"])  # fmt: skip
    yield conditions("a step of 0", "steps", changed("steps", 0))
    yield conditions("a step of 2^15 + 1", "steps", changed("steps", 2**15 + 1))
    yield conditions("a hyper-step of 0", "hyper_steps", changed("hyper_steps", 0))
    yield conditions("a hyper-step of 2^15 + 1", "hyper_steps", changed("hyper_steps", 2**15 + 1))
    yield conditions("steps in binary32", "steps",
                     replace(WHOLE.tensors["conditions.steps"], type="float32"))  # fmt: skip
    yield conditions("steps for three knots", "steps",
                     array((3, 4), lambda i, c: 8 + i + c))  # fmt: skip
    yield conditions("steps for no knots", "steps", vector(8, 8, 8, 8))
    bias = array((12,), lambda c: c)
    yield tensors("a bias that is stored and has conditions", **{"up.b": bias})
    yield conditions("a bias that is neither", "up.b", None)
    yield tensors("conditions of a multiplier that is not stored", **{"up.m": None})
    yield conditions("conditions of a bias for eleven channels", "up.b", narrowed("up.b", 11))
    yield conditions("conditions of a multiplier for eleven channels", "up.m",
                     narrowed("up.m", 11))  # fmt: skip
    yield conditions("conditions of one multiplier for all", "first.m", by_knot(*[(1,)] * 4))
    yield conditions("conditions of all for one multiplier", "first.m", by_knot(*[(1, 1)] * 4))
    for value in (-LARGEST_BIAS - 1, LARGEST_BIAS + 1):
        yield conditions(f"a bias of {value}", "up.b", changed("up.b", value))
    yield conditions("a gain of -1", "up.m", changed("up.m", -1))
    yield conditions("a gain of 2^24", "up.m", changed("up.m", 2**24))
    yield conditions("a negative gain of 2^24", "sparse.n", changed("sparse.n", 2**24))
    yield tensors(
        "a product of 2^24 at one knot",
        **{
            "paint.m": replace(WHOLE.tensors["paint.m"], values=(Fraction(2**14),) * 12),
            "conditions.paint.m": array((4, 12), lambda i, c: 1023 + (i + c == 9)),
        },
    )
    yield conditions("conditions of a table", "scales", by_knot(*[(1,) * 400] * 4))
    yield conditions("conditions of a weight", "first.w", by_knot((1, 1), *[(2, 2)] * 3))
    first = WHOLE.programs["correct"]["operations"]
    code = [one | ({"bias": "steps"} if "bias" in one else {}) for one in first]
    yield of("a bias called steps", {"programs": {"correct": {"operations": code}}, "adapters": []})
    code = [one | ({"multiplier": "steps"} if "multiplier" in one else {}) for one in first[1:]]
    yield of(
        "a multiplier called steps",
        {"programs": {"correct": {"operations": [first[0], *code]}},
         "tensors": {"steps": array_to_json(WHOLE.tensors["correct.m"], stored=True)},
         "adapters": []},
    )  # fmt: skip
    yield of("conditions without knots",
             {"tensors": {"conditions.up.m": array_to_json(by_knot((1,), (2,)), stored=True)}},
             PLAIN)  # fmt: skip
    yield of("steps without knots",
             {"tensors": {"conditions.steps": array_to_json(by_knot((8,), (9,)), stored=True)}},
             PLAIN)  # fmt: skip


def refused_sets() -> Iterator[Json]:
    """Adapter sets."""
    looks = WHOLE.adapters[1]

    def adapters(name: str, base: Json = CONDITIONED, **fields: Any) -> Json:
        return of(name, {"adapters": [{**looks, **fields}]}, base)

    def own_conditions(name: str, of_what: str, rows: Array) -> Json:
        stated = {"looks it": array_to_json(rows, stored=True)}
        return of(name, {"adapters": [looks | {"conditions": {of_what: "looks it"}}],
                         "tensors": stated})  # fmt: skip

    yield adapters("a set of no conditions and no stand-ins", conditions={})
    yield of("a set of nothing", {"adapters": [{k: v for k, v in looks.items()
                                                if k != "conditions"}]})  # fmt: skip
    yield adapters("conditions that the pack does not have", conditions={"rest.m": "looks steps"})
    yield adapters("a set's conditions that are not stored", conditions={"steps": "nothing"})
    yield adapters("step shares with knots", step_shares=[0])
    yield adapters("a set's d above d_high", d=769)
    yield adapters("a set of conditions without knots", PLAIN, conditions={"steps": "means"})
    yield own_conditions("a set's steps of three channels", "steps", narrowed("steps", 3))
    yield own_conditions("a set's steps for three knots", "steps", array((3, 4), lambda i, c: 8))
    yield own_conditions("a set's step of 0", "steps", changed("steps", 0))
    yield own_conditions("a set's hyper-step of 2^15 + 1", "hyper_steps",
                         changed("hyper_steps", 2**15 + 1))  # fmt: skip
    yield own_conditions("a set's steps in binary32", "steps",
                         replace(WHOLE.tensors["conditions.steps"], type="float32"))  # fmt: skip
    yield own_conditions("a set's bias of 2^30 + 1", "up.b", changed("up.b", LARGEST_BIAS + 1))
    yield own_conditions("a set's gain of -1", "up.m", changed("up.m", -1))
    yield own_conditions("a set's gain of 2^24", "up.m", changed("up.m", 2**24))


def refused_pack_cases() -> Iterator[Json]:
    """Packs with one fault each; their ids are right."""
    for family in (
        refused_schedules,
        refused_phases,
        refused_contexts,
        refused_conditions,
        refused_sets,
    ):
        yield from family()
