#!/usr/bin/env python3
"""Write the conformance vectors of this folder, from format/SPEC.md alone.

    format/vectors/write.py            write them
    format/vectors/write.py --check    compare the files with what would be written

Every expected result is computed by `oracle` with unbounded integers and fractions, one element
at a time and without NumPy or licodec, so that the vectors check both licodec and the reference
decoder. `cases` holds what is asked, and README.md describes the files.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from cases.conditioned_packs import conditioned_pack_cases
from cases.conditions import band_cases, channel_step_cases, condition_cases, multiplier_cases
from cases.convolution import conv2d_cases, requantize_cases
from cases.elementwise import (
    add_cases,
    clamp_cases,
    concat_cases,
    product_cases,
    table_cases,
)
from cases.layout import phase_cases, program_cases, shuffle_cases, split_cases
from cases.normalization import attention_cases, layernorm_cases, normalization_cases
from cases.packs import pack_cases, packed_cases
from cases.refused_packs import refused_pack_cases
from cases.refused_programs import refused_cases
from cases.steps import even_steps_cases, shares_between_cases, steps_cases
from cases.streams import damaged_stream_cases, stream_cases, stream_count_cases, wavefront_cases
from cases.walks import refused_file_cases, walk_cases
from oracle.arrays import Json


def render(content: Json) -> str:
    """JSON with one line for each field of each case."""
    lines = [f'{{"about": {json.dumps(content["about"])},']
    lists = [(k, v) for k, v in content.items() if k != "about"]
    for key, cases in lists:
        rows = []
        for entry in cases:
            fields = (f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in entry.items())
            rows.append("  {\n" + ",\n".join(fields) + "\n  }")
        end = "" if key == lists[-1][0] else ","
        lines.append(f' "{key}": [\n' + ",\n".join(rows) + "\n ]" + end)
    return "\n".join([*lines, "}"]) + "\n"


FOLDER = Path(__file__).resolve().parent

OPERATIONS: dict[str, Callable[[], Iterable[Json]]] = {
    "conv2d": conv2d_cases,
    "requantize": requantize_cases,
    "add": add_cases,
    "clamp": clamp_cases,
    "table": table_cases,
    "concat": concat_cases,
    **{kind: partial(product_cases, kind) for kind in ("mul", "scale")},
    **{kind: partial(normalization_cases, kind) for kind in ("igdn", "gdn")},
    "layernorm": layernorm_cases,
    "window_attention": attention_cases,
    "split": split_cases,
    **{kind: partial(shuffle_cases, kind) for kind in ("pixel_shuffle", "pixel_unshuffle")},
    "phase": phase_cases,
}

# By file, what it is about and its arrays of cases.
OTHERS: dict[str, tuple[str, dict[str, Callable[[], Iterable[Json]]]]] = {
    "programs": ("Programs of several operations.", {"cases": program_cases}),
    "refused": (
        "Programs and packs that a decoder must refuse.",
        {"cases": refused_cases, "packs": refused_pack_cases},
    ),
    "steps": (
        "Quantization steps, scale indexes and the latents that symbols decode to.",
        {"cases": steps_cases, "even": even_steps_cases, "between": shares_between_cases},
    ),
    "streams": (
        "rANS streams with their escapes, streams that must be refused, and how many "
        "symbols the streams of a picture have.",
        {"cases": stream_cases, "refused": damaged_stream_cases, "lengths": stream_count_cases},
    ),
    "wavefronts": (
        "The positions of each wavefront, and a position's neighbours.",
        {"cases": wavefront_cases},
    ),
    "packs": (
        "Weights of less than 8 bits as stored, and the id of a whole small pack.",
        {
            "packed": packed_cases,
            "cases": pack_cases,
            "conditioned": conditioned_pack_cases,
        },
    ),
    "conditions": (
        "What conditions are worth, multipliers that have them, steps by channel, and "
        "hyper-latents by band.",
        {
            "cases": condition_cases,
            "multipliers": multiplier_cases,
            "steps": channel_step_cases,
            "bands": band_cases,
        },
    ),
    "walks": (
        "Files of the packs with conditions in packs.json, decoded step by step, and "
        "files that must be refused.",
        {"cases": walk_cases, "refused": refused_file_cases},
    ),
}


def contents() -> Iterator[tuple[Path, Json]]:
    """Every file and what it holds."""
    operations = {
        kind: (f"Programs that show the operation {kind}.", {"cases": cases})
        for kind, cases in OPERATIONS.items()
    }
    for name, (about, arrays) in (operations | OTHERS).items():
        made = {key: list(cases()) for key, cases in arrays.items()}
        yield FOLDER / f"{name}.json", {"about": about, **made}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail on differences")
    check = parser.parse_args().check
    for path, content in contents():
        text = render(content)
        if not check:
            path.write_text(text, encoding="ascii")
        elif not path.is_file() or path.read_text(encoding="ascii") != text:
            sys.exit(f"{path}: not what this script writes")


if __name__ == "__main__":
    main()
