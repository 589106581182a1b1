#!/usr/bin/env python3
"""Compare how licodec reads pictures with how other libraries do: for peers' test suites.

    pip install "pyvips[binary]" tifffile imagecodecs opencv-python-headless
    apt install imagemagick
    scripts/peer_suite.py FOLDER
    scripts/peer_suite.py image/tests/images --references image/tests/reference
    scripts/peer_suite.py FOLDER --lossless

Every picture in the folder and below is read as `licodec encode` reads it, and again by a second
reader, all of them optional: libvips (pyvips), for BMP and PPM ImageMagick. Where that one is
missing, unable or of another opinion, others are asked (ImageMagick, for TIFF tifffile with
imagecodecs, for BMP and PPM OpenCV), and one that agrees is enough. What is right, and which
refusals are truthful, peers/comparison.py says.

A line is printed for each file that is not plainly right, and a table of counts by format:

    right             the same picture, by a second reader
    refused           licodec refuses it and is right to: a second reader has the same reason
    only one reader   read by licodec, and by others not at all or with complaints
    WRONG             other pixels, or something lost without a note; refused without a reason that
                      another reader knows; read, and its name is one of --corrupt

With --references, a folder of PNGs that are called like the suite's files (a/b.bmp.png for
a/b.bmp), those are asked first what the pixels are. Of a file that is WRONG without one it remains
to be seen who is, by the format's specification: ImageMagick 6 errs on BMPs of odd bit fields and
on JPEG in old TIFFs, libvips on GIFs whose first frame is smaller than their screen, both on TIFFs
in YCbCr with coefficients of their own.

With --lossless no other reader is asked: what licodec reads of each file is coded by `--lossless`
and decoded again, and WRONG is what is not the same in every sample, alpha value and byte of
metadata, or takes over 100 bytes more than lossless WebP at its best.

--corrupt are patterns of file names that a reader has to refuse; PngSuite's are the default.
The exit code is 1 where any file is wrong.
"""

from __future__ import annotations

import fnmatch
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from command import parser
from peers.comparison import tolerance_of
from peers.lossless import judge_lossless
from peers.readers import READERS, reference_reader
from peers.verdicts import OUTCOMES, WRONG, Verdict, judge
from tables import table

from licodec.files import display_name
from licodec.images import INPUT_SUFFIXES
from licodec.images.formats import damaged_format

# Of PngSuite: "x", what is broken, and then colour type and depth as in all of its names.
PNGSUITE_CORRUPT = ("x[a-z0-9][a-z0-9]n[0-9][a-z][0-9][0-9].png",)
# Pictures that licodec does not read, which are often TIFFs or JPEGs all the same.
OTHER_SUFFIXES = frozenset(
    (
        *(".arw", ".cr2", ".dng", ".nef", ".orf", ".pef"),
        *(".heic", ".jp2", ".jxl", ".pam", ".pfm"),
        *(".btf", ".ico", ".psd", ".tga"),
    )
)


def pictures_in(folder: Path) -> Iterator[Path]:
    """The files of a folder and below whose names say that they are pictures, in order."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in INPUT_SUFFIXES | OTHER_SUFFIXES and path.is_file():
            yield path


def table_of(counts: Counter[tuple[str, str]]) -> str:
    """Files by format and outcome."""
    rows = []
    for format in (*sorted({format for format, _ in counts}), "all"):
        numbers = [
            sum(n for (own, found), n in counts.items() if format in (own, "all") and found == one)
            for one in OUTCOMES
        ]
        rows.append((format, *numbers, sum(numbers)))
    return table(("format", *OUTCOMES, "all"), rows)


def judged(path: Path, head: bytes, format: str, options: Namespace) -> Verdict:
    """By other readers."""
    corrupt, references = options.corrupt or PNGSUITE_CORRUPT, options.references
    return judge(
        path,
        READERS.get(format, ()),
        tolerance_of(format, head),
        any(fnmatch.fnmatchcase(path.name, pattern) for pattern in corrupt),
        () if references is None else (reference_reader(options.folder, references),),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parse = parser(__doc__)
    parse.add_argument("folder", type=Path)
    parse.add_argument("--corrupt", action="append", metavar="PATTERN")
    parse.add_argument("--references", type=Path, metavar="FOLDER")
    parse.add_argument("--lossless", action="store_true")
    options = parse.parse_args(arguments)
    if not options.folder.is_dir():
        parse.error(f"{display_name(options.folder)} is no folder")
    counts: Counter[tuple[str, str]] = Counter()
    for path in pictures_in(options.folder):
        with path.open("rb") as file:
            head = file.read(4096)
        format = (damaged_format(head) or "other").upper()
        verdict = judge_lossless(path) if options.lossless else judged(path, head, format, options)
        counts[format, verdict.outcome] += 1
        if verdict.why:
            name = display_name(path.relative_to(options.folder))
            print(f"{verdict.outcome}  {name}: {verdict.why}", flush=True)
    print(table_of(counts))
    return 1 if any(outcome == WRONG for _, outcome in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
