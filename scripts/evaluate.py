#!/usr/bin/env python3
"""Rate and distortion of licodec and of the classical codecs on a set of pictures.

    scripts/evaluate.py PICTURES --json out.json --plot out.png --published kodak_rd.json
    scripts/evaluate.py PICTURES --codecs '' --alphas 0,0.25,0.5,0.75,1 --betas 0,0.5,1 \\
        --perceptual --json out.json --tables out.md --plot-perception out.png

Every picture becomes real .lic files, all overhead counted, at each d, and each is decoded
again and must give the pixels that encoding promised. JPEG, WebP and AVIF (through Pillow)
code the same pixels in the same run: JPEG with optimized Huffman tables and Pillow's default
subsampling, WebP with method 6, AVIF with speed 4 and 4:4:4. Alpha and metadata are left out
of all of them.

Curves are means over the pictures of bits per pixel, PSNR (over all samples of the 8-bit
pixels) and MS-SSIM (pytorch-msssim; pictures with a side under 161 pixels are left out of it,
and said so). BD-rates are the bjontegaard package's, pchip, over the range of PSNR, or of
MS-SSIM in dB, that both curves cover, which is stated. Published curves, {name: {bpp, psnr,
ms_ssim}}, are overlaid on the plot, and BD-rates against them given too.

With --alphas, the adapter sets of the pack code them too, each at every alpha and, where it has
beta, at each of --betas; d goes with alpha as the set says. BD-rates are given against the
pack's curve over d, of sets against the one for mse, and for the rates below --below bits per
pixel by themselves. With --perceptual all is also measured by SSIMULACRA 2 (the package
ssimulacra2), which no part was trained on; --plot-perception draws rate, distortion and
perception. --tables writes everything as Markdown.

With --packs, further packs of the same or other networks code the pictures at the same d, and
BD-rates among all packs are given: precision plans side by side.

With --float, the float network of the pack's training state codes the same pictures with the
pack's tables at the same d: ideal lengths of the symbols plus the file's overhead.

With --export, nothing is measured against other codecs: the decoded pictures are written to a
folder, one folder in it for each setting, with a manifest.json of names, settings and bpp, for
evaluations of one's own (detection, segmentation).

With --json, samples are kept beside it in a cache as each picture is done; the same command
goes on after an interruption.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from evaluation.cache import Cache, picture_hash
from evaluation.curves import (
    MEASURES,
    Curve,
    Saving,
    curve_to_json,
    mean_curve,
    published_curves,
    saving,
)
from evaluation.export import export, settings_of
from evaluation.perceptual import require_package
from evaluation.report import plot, plot_perception, print_report
from evaluation.samples import Sample
from evaluation.sources import (
    PILLOW_SOURCES,
    AdaptedSource,
    PackSource,
    Source,
    adapted_sources,
    representable,
)
from evaluation.tables import markdown
from rich.console import Console

from licodec.errors import LicodecError
from licodec.exact.interpreter import set_threads
from licodec.images import INPUT_SUFFIXES, read_picture
from licodec.packs import choose_pack, read_name


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="+", help="folders or files")
    parser.add_argument("--ds", default="0.5,0.75,1,1.5,2.5,4,7,12", help="separated by commas")
    parser.add_argument("--model", default="lite", help="a backbone, or the path of a pack")
    parser.add_argument("--plan", default="standard")
    parser.add_argument(
        "--packs", type=Path, nargs="+", default=[], metavar="PACK", help="further packs"
    )
    parser.add_argument(
        "--codecs", default=",".join(PILLOW_SOURCES), help="separated by commas; '' for none"
    )
    parser.add_argument("--published", type=Path, help="JSON of curves to compare with")
    parser.add_argument(
        "--published-names", help="which of them, separated by commas; by default all"
    )
    parser.add_argument("--float", type=Path, help="training state to compare with")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write decoded pictures here")
    parser.add_argument(
        "--alphas", default="", help="of the adapter sets, separated by commas; --ds '' for no d"
    )
    parser.add_argument("--betas", default="0", help="of those that have it, separated by commas")
    parser.add_argument("--objectives", help="adapter sets, separated by commas; by default all")
    parser.add_argument(
        "--below", type=float, default=0.4, help="bits per pixel of the lower part (%(default)s)"
    )
    parser.add_argument("--perceptual", action="store_true", help="measure SSIMULACRA 2, too")
    parser.add_argument("--tables", type=Path, help="write the tables here, as Markdown")
    parser.add_argument("--plot-perception", type=Path, help="write that plot here")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--plot", type=Path, help="write the curves here: .png, .svg, .pdf")
    cpus = os.cpu_count() or 1
    parser.add_argument("--jobs", type=int, default=min(4, cpus), help="processes (%(default)s)")
    return parser.parse_args(argv)


def numbers(text: str) -> list[float]:
    """The numbers of "0.5,1,2", none of "". Raises LicodecError."""
    try:
        return [float(part) for part in text.split(",") if part]
    except ValueError:
        raise LicodecError(f"{text!r}: give numbers separated by commas") from None


def find_pictures(paths: list[Path]) -> list[Path]:
    """The files named, and the pictures in the folders named, in the order of their names."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.iterdir() if p.suffix.lower() in INPUT_SUFFIXES)
            found += sorted(inside)
        else:
            found.append(path)
    if not found:
        raise LicodecError(f"no pictures in {', '.join(map(str, paths))}")
    return found


def objectives(arguments: argparse.Namespace) -> list[str] | None:
    return arguments.objectives and arguments.objectives.split(",")


def further_sources(arguments: argparse.Namespace, ds: tuple[float, ...]) -> list[Source]:
    """A source for each of --packs, called by its file's name. Raises LicodecError."""
    labels = [path.stem for path in arguments.packs]
    if len(set(labels)) < len(labels) or (labels and not ds):
        raise LicodecError("--packs: give files of different names, and --ds to code them at")
    return [
        PackSource(read_name(path), ds, None, arguments.perceptual, label=label)
        for path, label in zip(arguments.packs, labels, strict=True)
    ]


def make_sources(arguments: argparse.Namespace) -> list[Source]:
    """licodec first. Raises UsageError and LicodecError."""
    perceptual = arguments.perceptual
    pack = choose_pack(arguments.model, arguments.plan)
    ds = representable(pack, numbers(arguments.ds))
    sources: list[Source] = [PackSource(pack, ds, arguments.float, perceptual)] if ds else []
    sources += [
        PackSource(pack, ds, None, perceptual, own.objective, objective=own.objective)
        for own in pack.adapters
        if ds and own.modes == ("beta",)  # it goes over d, as the pack itself does
    ]
    sources += further_sources(arguments, ds)
    sources += adapted_sources(
        pack,
        numbers(arguments.alphas),
        numbers(arguments.betas),
        objectives(arguments),
        perceptual,
    )
    if not sources:
        raise LicodecError("neither --ds nor --alphas: give one of them")
    for name in filter(None, arguments.codecs.split(",")):
        if name not in PILLOW_SOURCES:
            raise LicodecError(f"no codec {name!r}; there are {', '.join(PILLOW_SOURCES)}")
        sources.append(replace(PILLOW_SOURCES[name], perceptual=perceptual))
    return sources


def read_published(arguments: argparse.Namespace) -> list[Curve]:
    """The published curves that were asked for. Raises LicodecError for one that is not there."""
    if not arguments.published:
        return []
    curves = published_curves(arguments.published)
    if arguments.published_names is None:
        return list(curves.values())
    names = [name.strip() for name in arguments.published_names.split(",")]
    if unknown := [name for name in names if name not in curves]:
        raise LicodecError(
            f"{arguments.published}: no curve {unknown[0]!r}; there are {', '.join(curves)}"
        )
    return [curves[name] for name in names]


def code(
    path: Path, source: Source, values: tuple[float, ...]
) -> list[tuple[float, tuple[Sample, ...]]]:
    """One task of a worker."""
    return list(source.code(read_picture(path, str(path)).pixels, values))


def fill(cache: Cache, pictures: dict[Path, str], sources: list[Source], jobs: int) -> None:
    """Make the samples that the cache lacks; `pictures` are hashes by path."""
    tasks = [  # by source, so that a worker seldom has to open another pack
        (path, source, missing)
        for source in sources
        for path, key in pictures.items()
        if (missing := cache.missing(key, source))
    ]
    if not tasks:
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(
        min(jobs, len(tasks)), get_context("spawn"), initializer=set_threads, initargs=(threads,)
    )
    with pool:
        waiting: dict[Future[Any], tuple[Path, Source]] = {
            pool.submit(code, *task): task[:2] for task in tasks
        }
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                path, source = waiting[future]
                cache.add(pictures[path], source, future.result())
                print(f"{done}/{len(tasks)}  {path.name}  {source.curves[0]}", file=sys.stderr)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def collect(
    cache: Cache, pictures: dict[Path, str], sources: list[Source]
) -> dict[str, dict[str, dict[float, Sample]]]:
    """All samples by curve, picture's name and value."""
    return {
        curve: {
            str(path): {v: cache.get(key, source, v)[i] for v in source.values}
            for path, key in pictures.items()
        }
        for source in sources
        for i, curve in enumerate(source.curves)
    }


def compare(
    sources: list[Source], curves: dict[str, Curve], published: list[Curve], below: float
) -> list[Saving]:
    """licodec's curves against every other codec's, the exact against the float form, packs
    against those before them, and adapter sets against d and against the first set, there also
    below a rate."""
    adapted = [curves[s.curves[0]] for s in sources if isinstance(s, AdaptedSource)]
    exact = [curves[s.exact_curve] for s in sources if isinstance(s, PackSource)]
    ours = [*exact, *adapted]
    others = [curve for curve in curves.values() if curve not in ours] + published
    among = [(test, anchor) for anchor in exact[:1] for test in adapted]
    among += [(test, adapted[0]) for test in adapted[1:]]
    pairs = [(test, other, None) for test in ours for other in others]
    pairs += [(test, anchor, None) for anchor, test in itertools.combinations(exact, 2)]
    pairs += [(*pair, limit) for pair in among for limit in (None, below)]
    cases = [(*pair, measure) for measure in MEASURES for pair in pairs]
    return [
        found
        for test, anchor, limit, measure in cases
        if (found := saving(test, anchor, measure, limit))
    ]


def to_json(
    arguments: argparse.Namespace,
    sources: list[Source],
    samples: dict[str, dict[str, dict[float, Sample]]],
    curves: dict[str, Curve],
    savings: list[Saving],
) -> dict[str, Any]:
    return {
        "pack": {
            "file": sources[0].pack.path.name,
            "backbone": sources[0].pack.backbone,
            "plan": sources[0].pack.plan_name,
            "weights_id": sources[0].pack.weights_id.hex(),
            "adapters": {o.objective: o.adapter_id.hex() for o in sources[0].pack.adapters},
        },
        "sources": {source.curves[0]: source.identity for source in sources},
        "curves": {name: curve_to_json(curve) for name, curve in curves.items()},
        "bd_rates": [asdict(found) for found in savings],
        "pictures": {
            curve: {
                picture: [{"value": v, **asdict(sample)} for v, sample in by_value.items()]
                for picture, by_value in by_picture.items()
            }
            for curve, by_picture in samples.items()
        },
    }


def without_infinity(data: Any) -> Any:
    """`data` with null for infinity, the PSNR of equal pictures: JSON has no other word."""
    if isinstance(data, dict):
        return {key: without_infinity(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [without_infinity(value) for value in data]
    return None if data == math.inf else data


def run(arguments: argparse.Namespace) -> None:
    if arguments.export:
        pack = choose_pack(arguments.model, arguments.plan)
        rates = settings_of(
            numbers(arguments.ds),
            numbers(arguments.alphas),
            numbers(arguments.betas),
            objectives(arguments),
        )
        print(export(arguments.export, pack, find_pictures(arguments.pictures), rates))
    else:
        evaluate(arguments)


def evaluate(arguments: argparse.Namespace) -> None:
    if arguments.perceptual:
        require_package()
    elif arguments.plot_perception:
        raise LicodecError("--plot-perception needs --perceptual")
    sources = make_sources(arguments)
    published = read_published(arguments)
    cache_path = arguments.json and arguments.json.with_suffix(".cache.json")
    cache = Cache(cache_path)
    paths = find_pictures(arguments.pictures)
    pictures = {path: picture_hash(read_picture(path, str(path)).pixels) for path in paths}
    fill(cache, pictures, sources, arguments.jobs)

    samples = collect(cache, pictures, sources)
    curves = {}
    for source in sources:
        for name in source.curves:
            by_value = {v: [s[v] for s in samples[name].values()] for v in source.values}
            curves[name] = mean_curve(name, source.values, by_value, source.parameter)
    savings = compare(sources, curves, published, arguments.below)
    if arguments.json:
        data = to_json(arguments, sources, samples, curves, savings)
        arguments.json.write_text(json.dumps(without_infinity(data), indent=1))
    if arguments.plot:
        plot(arguments.plot, list(curves.values()), published)
    if arguments.tables:
        arguments.tables.write_text(markdown(list(curves.values()), savings))
    if arguments.plot_perception:
        adapted = [source for source in sources if isinstance(source, AdaptedSource)]
        sets = [
            [curves[source.curves[0]] for source in own]
            for _, own in itertools.groupby(adapted, lambda source: source.objective)
        ]
        if not sets or any(curve.perceptual is None for own in sets for curve in own):
            raise LicodecError("--plot-perception needs --alphas, and pictures large enough")
        plot_perception(arguments.plot_perception, sets)
    console = Console(width=None if sys.stdout.isatty() else 160)
    print_report(console, samples[sources[0].curves[0]], list(curves.values()), savings)


def main() -> None:
    try:
        run(parse_arguments())
    except LicodecError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
