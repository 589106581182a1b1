"""Pictures decoded step by step, and the files that hold them."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence

from oracle.arrays import (
    LATENT_HIGH,
    LATENT_LOW,
    Array,
    Json,
    Noise,
    Number,
    array,
    array_to_json,
    fl32,
    sat,
    vector,
)
from oracle.conditions import band_of, coded_channels, scale_index, worth
from oracle.operations import add, run, split
from oracle.packs import SmallPack
from oracle.streams import Table, varint


class Walk:
    """Decodes a picture of made-up symbols step by step, and writes down what happens."""

    def __init__(
        self, pack: SmallPack, noise: Noise, d: int, objective: str = "", alpha: int = 0,
        beta: int = 0,
    ) -> None:  # fmt: skip
        self.pack, self.noise, self.d = pack, noise, d
        sets = [own for own in pack.adapters if own["objective"] == objective]
        self.own = sets[0] if sets else None
        self.gains = {"alpha": Array((), (alpha,)), "beta": Array((), (beta,))}
        self.beta = beta
        self.tables: list[int] = []
        self.symbols: list[int] = []
        self.latent = tables_of(pack, "latent")
        self.hyper = tables_of(pack, "hyper")

    def worth(self, name: str) -> Array:
        others = (self.own or {}).get("conditions", {}).get(name)
        rows = self.pack.tensors[f"conditions.{name}"]
        other = None if others is None else self.pack.tensors[others]
        return worth(rows, self.pack.schedule["knots"], self.d, other, self.beta)

    def tensor(self, name: str) -> Array:
        """The constant of an operation."""
        stored = self.pack.tensors.get(name)
        if f"conditions.{name}" not in self.pack.tensors:
            return stored
        if stored is None:
            return self.worth(name)
        products = zip(stored.values, self.worth(name).values, strict=True)
        return vector(*(fl32(m * v) for m, v in products), type="float32")

    def stand_in(self, place: str) -> str:
        return place if self.own is None else self.own["programs"].get(place, place)

    def run(self, place: str, **inputs: Array) -> list[Array]:
        """The outputs of the program at a place of the schedule."""
        code = self.pack.programs[self.stand_in(place)]
        names = self.pack.named([self.stand_in(place)])
        tensors = {name: self.tensor(name) for name in names}
        values = inputs | self.gains
        for stated in code["inputs"]:
            x = values[stated["name"]]
            assert stated["low"] <= min(x.values) and max(x.values) <= stated["high"]
        found = run(code, tensors, values)
        return [found[name] for name in code["outputs"]]

    def symbol(self, table: int, spread: int) -> int:
        """One that this table is asked for."""
        value = self.noise.integer(-spread, spread)
        self.tables.append(table)
        self.symbols.append(value)
        return value

    def decode_hyper(self, rows: int, columns: int) -> Array:
        medians, steps = self.pack.tensors["tables.hyper.medians"], self.worth("hyper_steps")
        bands = self.pack.schedule.get("hyper_bands", [])
        first = band_of(self.d, bands) * len(medians.values)
        return array(
            (len(medians.values), rows, columns),
            lambda c, *_: self.symbol(first + c, 4) * steps[c,] + medians[c,],
        )

    def decode_step(
        self, step: Json, mean: Array, scale: Array, context: Sequence[Array]
    ) -> tuple[dict[tuple[int, ...], Number], Json]:
        """What a step decodes, by channel, row and column of the latents, and what is written
        down of it."""
        schedule, by_channel = self.pack.schedule, self.worth("steps")
        unit = 2 ** schedule["latent_fraction_bits"]
        thresholds = self.pack.tensors["tables.latent.thresholds"].values
        coded = coded_channels(step)
        steps = [by_channel[c,] for c in coded]
        indexes = array(
            scale.shape, lambda *p: scale_index(scale[p], unit, steps[p[0]], thresholds)
        )

        def value(*p: int) -> int:
            symbol = self.symbol(len(self.hyper) + indexes[p], (0, 2, 3, 7)[indexes[p]])
            return sat(symbol * steps[p[0]] + mean[p], LATENT_LOW, LATENT_HIGH)

        decoded = array(scale.shape, value)

        def place(plane: int, row: int, column: int) -> tuple[int, int, int]:
            if "phases" not in step:
                return coded[plane], row, column
            phase = plane // step["count"]
            return coded[plane], 2 * row + phase // 2, 2 * column + phase % 2

        written = {
            "mean": array_to_json(mean, stored=False),
            "scale": array_to_json(scale, stored=False),
            "steps": steps,
            "scale_indexes": array_to_json(indexes, stored=False),
            "decoded": array_to_json(decoded, stored=False),
        }
        if "residual" in step:
            (correction,) = self.run(step["residual"], context=context[0], decoded=decoded)
            written["correction"] = array_to_json(correction, stored=False)
            decoded = corrected(decoded, correction)
        return {place(*p): decoded[p] for p in decoded.indexes()}, written

    def decode(self, rows: int, columns: int) -> Json:
        """The samples of a picture with hyper-latent planes of rows x columns, and all before
        them."""
        schedule = self.pack.schedule
        z = self.decode_hyper(rows, columns)
        outputs = self.run(schedule["hyper_synthesis"], hyper_latents=z)
        features = dict(zip(schedule["features"], outputs, strict=True))
        finer = schedule["hyper_stride"] // schedule["latent_stride"]
        channels = len({c for step in schedule["steps"] for c in coded_channels(step)})
        shape = (channels, rows * finer, columns * finer)
        known: dict[tuple[int, ...], Number] = {}

        def latents_known() -> Array:
            return array(shape, lambda *at: known.get(at, 0))

        walked = []
        for step in schedule["steps"]:
            before = latents_known()
            seen = {"latents": before} | features
            if step.get("start"):
                seen["previous"] = split(before, 0, step["start"])
            mean, scale, *context = self.run(step["parameters"], **seen)
            decoded, written = self.decode_step(step, mean, scale, context)
            assert not known.keys() & decoded.keys()
            known |= decoded
            walked.append({"latents": array_to_json(before, stored=False), **written})
        latents = latents_known()
        assert len(known) == len(latents.values)
        written = {
            "hyper_latents": array_to_json(z, stored=False),
            "steps": walked,
            "latents": array_to_json(latents, stored=False),
        }
        if "residual" in schedule:
            (correction,) = self.run(schedule["residual"], context=context[0], latents=latents)
            latents = corrected(latents, correction)
            written["correction"] = array_to_json(correction, stored=False)
            written["corrected"] = array_to_json(latents, stored=False)
        (samples,) = self.run(schedule["synthesis"], latents=latents)
        return written | {"samples": array_to_json(samples, stored=False)}


def corrected(latents: Array, correction: Array) -> Array:
    return add(latents, correction, LATENT_LOW, LATENT_HIGH)


def tables_of(pack: SmallPack, family: str) -> list[Table]:
    lengths, offsets, frequencies = (
        list(pack.tensors[f"tables.{family}.{part}"].values)
        for part in ("lengths", "offsets", "frequencies")
    )
    found = []
    for length, offset in zip(lengths, offsets, strict=True):
        own, frequencies = frequencies[:length], frequencies[length:]
        assert sum(own) == 2**16
        found.append(Table(int(offset), tuple(int(f) for f in own)))
    assert not frequencies
    return found


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return len(data).to_bytes(4, "big") + kind + data + crc.to_bytes(4, "big")


def lic_file(
    pack: SmallPack, size: tuple[int, int, int], d: int, bits: int, gains: tuple[int, int],
    adapter_id: str, checksum: int, stream: tuple[bytes, bytes],
) -> bytes:  # fmt: skip
    """A whole file; `size` is height, width and channels."""
    height, width, channels = size
    header = bytes([1]) + varint(width) + varint(height) + bytes([8, channels, 0])
    header += bytes([len(pack.backbone)]) + pack.backbone.encode("ascii") + bytes([1])
    header += bytes.fromhex(pack.weights_id) + bytes([bits]) + varint(d)
    header += varint(gains[0]) + varint(gains[1]) + bytes.fromhex(adapter_id)
    widths = (2, 3, 4, 5, 6, 7, 8, 16)
    runs = [(w, len([*same])) for w, same in itertools.groupby(pack.plan(pack.places))]
    plan = bytes((length - 1) * 8 + widths.index(width) for width, length in runs)
    rans, escapes = stream
    data = checksum.to_bytes(4, "big") + varint(1) + varint(len(rans)) + varint(len(escapes))
    return b"".join([
        b"\x89LIC\r\n\x1a\n", chunk(b"LHDR", header), chunk(b"PLAN", plan),
        chunk(b"DATA", data + rans + escapes),
    ])  # fmt: skip


def pixels_of(samples: Array, size: tuple[int, int, int]) -> Array:
    def element(row: int, column: int, channel: int) -> int:
        if size[2] == 3:
            return samples[channel, row, column]
        return (2 * sum(samples[c, row, column] for c in range(3)) + 3) // 6

    return array(size, element)
