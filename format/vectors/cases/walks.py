"""Files of the packs with conditions, decoded step by step, and files that must be refused."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from oracle.arrays import ONE, Json, Noise, array_from_json, array_to_json
from oracle.streams import encode_values
from oracle.walks import Walk, lic_file, pixels_of, tables_of

from cases.conditioned_packs import PHASED, SLICED, conditioned_pack, sliced_pack


def walk_cases() -> Iterator[Json]:
    noise, packs = Noise(19), {PHASED: conditioned_pack(), SLICED: sliced_pack()}
    for name, shows, used, size, d, objective, alpha, beta in (
        ("d 1.0", "a knot; the second of three bands", PHASED, (5, 11, 3), 64, "", 0, 0),
        ("the least d", "the first knot; the first band", PHASED, (8, 8, 3), 16, "", 0, 0),
        ("the largest d", "the last knot; the last band", PHASED, (3, 9, 1), 768, "", 0, 0),
        ("between knots", "constants that are rounded", PHASED, (8, 5, 3), 133, "", 0, 0),
        ("a set of conditions", "beta alone", PHASED, (7, 8, 3), 133, "looks", 0, 30000),
        ("all of beta", "the set's own conditions", PHASED, (8, 8, 1), 500, "looks", 0, ONE),
        ("a stand-in", "alpha alone; a bias that the stand-in alone names", PHASED, (8, 8, 3), 90,
         "mse", 20000, 0),
        ("a stand-in with conditions", "alpha and beta", PHASED, (6, 6, 3), 300, "both", ONE,
         40000),
        ("a stand-in at beta 0", "of a set that has conditions", PHASED, (6, 6, 3), 300, "both", 7,
         0),
        ("slices, d 1.0", "residuals slice by slice", SLICED, (8, 8, 3), 8, "", 0, 0),
        ("slices between knots", "steps that are rounded", SLICED, (4, 13, 3), 60, "", 0, 0),
    ):  # fmt: skip
        pack = packs[used]
        walk = Walk(pack, noise, d, objective, alpha, beta)
        rows, columns = (-(-side // 8) * 8 // 4 for side in size[:2])
        walked = walk.decode(rows, columns)
        pixels = pixels_of(array_from_json(walked["samples"]), size)
        checksum = zlib.crc32(bytes(pixels.values))
        stream = encode_values(walk.hyper + walk.latent, walk.tables, walk.symbols)
        adapter_id = "" if walk.own is None else pack.set_id(walk.own)
        bits = pack.schedule.get("d_fraction_bits", pack.schedule["latent_fraction_bits"])
        file = lic_file(pack, size, d, bits, (alpha, beta), adapter_id, checksum, stream)
        yield {
            "name": name, "shows": shows, "pack": used, "d": d, "objective": objective,
            "alpha": alpha, "beta": beta, "tables": walk.tables, "symbols": walk.symbols, **walked,
            "pixels": array_to_json(pixels, stored=False), "file": file.hex(),
        }  # fmt: skip


def refused_file_cases() -> Iterator[Json]:
    """Files that the pack's decoder must refuse, whatever their pixels' checksum is."""
    pack = conditioned_pack()
    size, channels = (8, 8, 3), 2
    ids = {own["objective"]: pack.set_id(own) for own in pack.adapters}
    hyper = tables_of(pack, "hyper")

    def of(
        name: str, d: int = 64, bits: int = 6, gains: tuple[int, int] = (0, 0),
        objective: str = "", symbol: int = 0,
    ) -> Json:  # fmt: skip
        """`symbol` is that of all hyper-latents."""
        count = 4 * channels
        stream = encode_values(hyper, [2 + i // 4 for i in range(count)], [symbol] * count)
        adapter_id = ids.get(objective, "0123456789abcdef") if any(gains) else ""
        file = lic_file(pack, size, d, bits, gains, adapter_id, 0, stream)
        return {"name": name, "pack": PHASED, "file": file.hex()}

    yield of("d in units of latents", d=8, bits=3)
    yield of("d below d_low", d=15)
    yield of("d above d_high", d=769)
    yield of("beta of a set without conditions", gains=(9, 9), objective="mse")
    yield of("alpha of a set of conditions", gains=(9, 9), objective="looks")
    yield of("an adapter set that the pack lacks", gains=(0, 9), objective="none")
    yield of("a hyper-latent out of range", symbol=75)
