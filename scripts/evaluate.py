#!/usr/bin/env python3
"""Rate and distortion of licodec and of the classical codecs on a set of pictures.

    scripts/evaluate.py PICTURES --json out.json --plot out.png --published kodak_rd.json
    scripts/evaluate.py PICTURES --codecs '' --alphas 0,0.25,0.5,0.75,1 --betas 0,0.5,1 \\
        --perceptual --json out.json --tables out.md --plot-perception out.png
    scripts/evaluate.py --others FOLDER
    scripts/evaluate.py PICTURES --export DIR --alphas 0.8 --betas 0,1 --crop 160x120+200+100
    scripts/evaluate.py --search run.search.json --packs small.safetensors --plot plan.png

Every picture becomes real .lic files, all overhead counted, at each d, and each is decoded
again and must give the pixels that encoding promised. JPEG, WebP and AVIF (through Pillow)
code the same pixels in the same run, with the options of `licodec compare`. Alpha and metadata are
left out of all of them.

Curves are means over the pictures of bits per pixel, PSNR (over all samples of the 8-bit
pixels) and MS-SSIM (pictures with a side under 161 pixels are left out of it,
and said so). BD-rates are the bjontegaard package's, pchip, over the range of PSNR, or of
MS-SSIM in dB, that both curves cover, which is stated. Published curves, {name: {bpp, psnr,
ms_ssim}}, are overlaid on the plot, and BD-rates against them given too.

With --alphas, the adapter sets of the pack code them too, each at every alpha and, where it has
beta, at each of --betas; d goes with alpha as the set says. BD-rates are given against the
pack's curve over d, of sets against the one for mse, and for the rates below --below bits per
pixel by themselves. With --perceptual all is also measured by SSIMULACRA 2 (the package
ssimulacra2), which `lite` was not trained on; --plot-perception draws rate, distortion and
perception. --tables writes to a file what is printed, Markdown.

With --packs, further packs of the same or other networks code the pictures at the same d, and
BD-rates among all packs are given: precision plans side by side.

With --float, the float network of the pack's training state codes the same pictures with the
pack's tables at the same d: ideal lengths of the symbols plus the file's overhead.

With --export, nothing is measured against other codecs: the decoded pictures are written to a
folder, one folder in it for each setting, with a manifest.json of names, settings and bpp, for
evaluations of one's own (detection, segmentation). --crop draws a crop of each picture, too: of the
original and of every setting, enlarged, side by side.

BD-rates are averaged over all qualities that both curves cover, or over those of --over, and with
--by-picture they are given as means over the pictures, too, each from the picture's own curves. The
codec avif-psnr is AVIF tuned for PSNR; plain AVIF is tuned for what people see, and so are the
others. Butteraugli (its 3-norm) stands beside SSIMULACRA 2 where libjxl's butteraugli_main is
installed.

With --others, pictures of other kinds than photographs are first written to that folder.

With --search, a search for a precision plan is shown instead, by the state file that `licodec
quantize --state` left: of every layer what was measured at each width, and the bits that --packs
give it; --plot draws both.

With --json, samples are kept beside it in a cache as each picture is done; the same command
goes on after an interruption.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from command import command, numbers, parser
from evaluation import plans
from evaluation.cache import Cache, picture_hash
from evaluation.curves import (
    MEASURES,
    Curve,
    Saving,
    Span,
    mean_curve,
    mean_saving,
    published_curves,
    saving,
)
from evaluation.export import export, named
from evaluation.plots import plot, plot_perception
from evaluation.results import results
from evaluation.samples import Sample, measure
from evaluation.sources import PEERS, PackSource, Source, peer_source, representable
from rates import sets_at, swept

from licodec.compare.crops import parse_crop
from licodec.compare.measures import SSIMULACRA2, require_ssimulacra2
from licodec.errors import LicodecError
from licodec.exact.interpreter import set_threads
from licodec.images import INPUT_SUFFIXES, read_picture
from licodec.packs import choose_pack, read_name
from licodec.rate.modes import Rate, RateMode


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name]


def spans(text: str) -> dict[str, Span]:
    """By measure. Raises ValueError."""
    found = {}
    for part in names(text):
        field, low, high = part.split(":")
        measure = next((m for m, own in MEASURES.items() if own == field), None)
        if measure is None or not float(low) < float(high):
            raise ValueError(f"{part}: a measure of {', '.join(MEASURES.values())}, and its ends")
        found[measure] = float(low), float(high)
    return found


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    options = parser(__doc__)
    add = options.add_argument
    # fmt: off
    add("pictures", type=Path, nargs="*", help="folders or files")
    add("--ds", type=numbers, default=(0.5, 0.75, 1, 1.5, 2.5, 4, 7, 12),
        help="separated by commas")
    add("--model", default="lite", help="a backbone, or the path of a pack")
    add("--plan", default="standard")
    add("--packs", type=Path, nargs="+", default=[], metavar="PACK", help="further packs")
    add("--codecs", type=names, default=["jpeg", "webp", "avif"],
        help="separated by commas; '' for none; there are jxl and avif-psnr, too")
    add("--published", type=Path, help="JSON of curves to compare with")
    add("--published-names", type=names, help="which of them, separated by commas; all by default")
    add("--float", type=Path, help="training state to compare with")
    add("--export", type=Path, metavar="DIR", help="write decoded pictures here")
    add("--crop", metavar="WxH+X+Y", help="of exported pictures, as in `licodec compare`")
    add("--others", type=Path, metavar="FOLDER", help="write pictures of other kinds here first")
    add("--search", type=Path, metavar="STATE", help="show this search for a precision plan")
    add("--alphas", type=numbers, default=(),
        help="of the adapter sets, separated by commas; --ds '' for no d")
    add("--betas", type=numbers, default=(0.0,),
        help="of those that have it, separated by commas")
    add("--objectives", type=names, help="adapter sets, separated by commas; by default all")
    add("--over", type=spans, default={}, metavar="MEASURE:LOW:HIGH,...",
        help="qualities to average over, as psnr:27:38,ssimulacra2:30:85")
    add("--by-picture", action="store_true", help="means of pictures' BD-rates, too")
    add("--below", type=float, default=0.4, help="bits per pixel of the lower part (%(default)s)")
    add("--perceptual", action="store_true", help="measure SSIMULACRA 2 and Butteraugli, too")
    add("--tables", type=Path, help="write the tables here, too")
    add("--plot-perception", type=Path, help="write that plot here")
    add("--json", type=Path, help="write all figures here")
    add("--plot", type=Path, help="write the curves here: .png, .svg, .pdf")
    add("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="processes (%(default)s)")
    # fmt: on
    return options.parse_args(argv)


def find_pictures(paths: list[Path]) -> list[Path]:
    """The files named, and the pictures in the folders named, in the order of their names."""
    found: list[Path] = []
    for path in paths:
        inside = path.iterdir() if path.is_dir() else ()
        found += sorted(p for p in inside if p.suffix.lower() in INPUT_SUFFIXES)
        found += [] if path.is_dir() else [path]
    if not found:
        where = f" in {', '.join(map(str, paths))}" if paths else ": name some, or folders of them"
        raise LicodecError(f"no pictures{where}")
    return found


def further_sources(arguments: argparse.Namespace, ds: tuple[float, ...]) -> list[Source]:
    """A source for each of --packs, called by its file's name. Raises LicodecError."""
    labels = [path.stem for path in arguments.packs]
    if len(set(labels)) < len(labels) or (labels and not ds):
        raise LicodecError("--packs: give files of different names, and --ds to code them at")
    return [
        PackSource(read_name(path), ds, Rate(), label)
        for path, label in zip(arguments.packs, labels, strict=True)
    ]


def make_sources(arguments: argparse.Namespace) -> list[Source]:
    """licodec first. Raises UsageError and LicodecError."""
    pack = choose_pack(arguments.model, arguments.plan)
    ds = representable(pack, arguments.ds)
    sources: list[Source] = [PackSource(pack, ds, Rate(), state=arguments.float)] if ds else []
    sources += [
        PackSource(pack, ds, Rate(objective=own.objective), own.objective)
        for own in pack.adapters
        if ds and own.modes == ("beta",)  # it goes over d, as the pack itself does
    ]
    sources += further_sources(arguments, ds)
    if alphas := tuple(sorted(set(arguments.alphas))):
        for objective, beta in sets_at(pack.adapters, arguments.betas, arguments.objectives):
            rate = Rate(RateMode.ALPHA, beta=beta, objective=objective)
            label = f"alpha, {objective}" + (f", beta {beta:g}" if beta else "")
            sources.append(PackSource(pack, alphas, rate, label))
    if not sources:
        raise LicodecError("neither --ds nor --alphas: give one of them")
    for name in arguments.codecs:
        if name not in PEERS:
            raise LicodecError(f"no codec {name!r}; there are {', '.join(PEERS)}")
        sources.append(peer_source(name))
    return sources


def read_published(arguments: argparse.Namespace) -> list[Curve]:
    """The published curves that were asked for. Raises LicodecError for one that is not there."""
    curves = published_curves(arguments.published) if arguments.published else {}
    wanted = list(curves) if arguments.published_names is None else arguments.published_names
    if unknown := [name for name in wanted if name not in curves]:
        raise LicodecError(
            f"{arguments.published}: no curve {unknown[0]!r}; there are {', '.join(curves)}"
        )
    return [curves[name] for name in wanted]


def code(
    path: Path, source: Source, values: tuple[float, ...], perceptual: bool
) -> list[tuple[float, tuple[Sample, ...]]]:
    """One task of a worker."""
    pixels = read_picture(path, str(path)).pixels
    return [
        (value, tuple(measure(pixels, *coding, perceptual) for coding in codings))
        for value, codings in source.code(pixels, values)
    ]


def fill(
    cache: Cache, pictures: dict[Path, str], sources: list[Source], arguments: argparse.Namespace
) -> None:
    """Make the samples that the cache lacks; `pictures` are hashes by path."""
    tasks = [  # by source, so that a worker seldom has to open another pack
        (path, source, missing, arguments.perceptual)
        for source in sources
        for path, key in pictures.items()
        if (missing := cache.missing(key, source))
    ]
    if not tasks:
        return
    jobs = min(arguments.jobs, len(tasks))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=set_threads, initargs=(threads,)
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
    sources: list[Source],
    curves: dict[str, Curve],
    published: list[Curve],
    below: float,
    over: dict[str, Span],
) -> list[Saving]:
    """licodec's curves against every other codec's, the exact against the float form, packs
    against those before them, and adapter sets against d and against the first set, there also
    below a rate."""
    exact, adapted = (
        [curves[s.curves[0]] for s in sources if s.parameter == mode] for mode in ("d", "alpha")
    )
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
        if (found := saving(test, anchor, measure, limit, over.get(measure)))
    ]


def compare_by_picture(
    sources: list[Source],
    samples: dict[str, dict[str, dict[float, Sample]]],
    over: dict[str, Span],
) -> list[Saving]:
    """licodec's curves over d against every other codec's, as means over the pictures."""
    curves = {
        name: [
            mean_curve(name, source.values, {v: [by_value[v]] for v in source.values})
            for by_value in samples[name].values()
        ]
        for source in sources
        for name in source.curves
    }
    ours = [source.curves[0] for source in sources if source.parameter == "d"]
    return [
        found
        for measure in MEASURES
        for test in ours
        for other in curves
        if other not in ours
        if (found := mean_saving(curves[test], curves[other], measure, over.get(measure)))
    ]


def to_json(
    sources: list[Source],
    samples: dict[str, dict[str, dict[float, Sample]]],
    curves: dict[str, Curve],
    savings: list[Saving],
) -> dict[str, Any]:
    return {
        "pack": named(sources[0].pack),
        "sources": {source.curves[0]: source.identity for source in sources},
        "curves": {name: asdict(curve) for name, curve in curves.items()},
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
    return json.loads(json.dumps(data), parse_constant=lambda name: None)


def run(arguments: argparse.Namespace) -> None:
    """What the options ask for. Raises LicodecError."""
    if arguments.search:
        plans.report(arguments.search, arguments.packs, arguments.plot)
        return
    if arguments.others:
        from evaluation.drawings import write_pictures  # which needs scikit-image

        write_pictures(arguments.others)
        arguments.pictures.append(arguments.others)
    if arguments.export:
        pack = choose_pack(arguments.model, arguments.plan)
        swept_over = (arguments.ds, arguments.alphas, arguments.betas, arguments.objectives)
        rates, paths = swept(pack.adapters, *swept_over), find_pictures(arguments.pictures)
        crop = arguments.crop and parse_crop(arguments.crop)
        print(export(arguments.export, pack, paths, rates, crop))
    else:
        evaluate(arguments)


def evaluate(arguments: argparse.Namespace) -> None:
    if arguments.perceptual:
        require_ssimulacra2()
    elif arguments.plot_perception:
        raise LicodecError("--plot-perception needs --perceptual")
    sources = make_sources(arguments)
    published = read_published(arguments)
    cache_path = arguments.json and arguments.json.with_suffix(".cache.json")
    cache = Cache(cache_path, arguments.perceptual)
    paths = find_pictures(arguments.pictures)
    pictures = {path: picture_hash(read_picture(path, str(path)).pixels) for path in paths}
    fill(cache, pictures, sources, arguments)

    samples = collect(cache, pictures, sources)
    curves = {}
    for source in sources:
        for name in source.curves:
            by_value = {v: [s[v] for s in samples[name].values()] for v in source.values}
            curves[name] = mean_curve(name, source.values, by_value, source.parameter)
    savings = compare(sources, curves, published, arguments.below, arguments.over)
    if arguments.by_picture:
        savings += compare_by_picture(sources, samples, arguments.over)
    if arguments.json:
        data = to_json(sources, samples, curves, savings)
        arguments.json.write_text(json.dumps(without_infinity(data), indent=1))
    if arguments.plot:
        plot(arguments.plot, list(curves.values()), published)
    if arguments.plot_perception:
        draw_perception(arguments.plot_perception, sources, curves)
    text = results(samples[sources[0].curves[0]], list(curves.values()), savings)
    if arguments.tables:
        arguments.tables.write_text(text)
    print(text, end="")


def draw_perception(path: Path, sources: list[Source], curves: dict[str, Curve]) -> None:
    """Raises LicodecError where no set was measured by it."""
    adapted = [s for s in sources if isinstance(s, PackSource) and s.parameter == "alpha"]
    sets = [
        [curves[source.curves[0]] for source in own]
        for _, own in itertools.groupby(adapted, lambda source: source.rate.objective)
    ]
    if not sets or any(SSIMULACRA2 not in curve.means for own in sets for curve in own):
        raise LicodecError("--plot-perception needs --alphas, and pictures large enough")
    plot_perception(path, sets)


@command
def main(argv: list[str] | None = None) -> None:
    run(parse_arguments(argv))


if __name__ == "__main__":
    main()
