"""The page: one HTML file with everything in it, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from licodec.compare.comparison import LICODEC, Coding, Compared
from licodec.compare.figures import (
    MEASURES,
    Group,
    Measure,
    Row,
    codings_in_words,
    groups_of,
    mean_groups,
    measured,
)
from licodec.compare.matching import Equal
from licodec.compare.measures import SSIMULACRA2, Quality
from licodec.compare.plots import plot, series_styles, swatch
from licodec.images import Picture, encode_picture

ORIGINAL = "original"
_ZOOMS = {"fit": "Fit", "1": "1&times;", "2": "2&times;", "4": "4&times;"}


@dataclass(frozen=True)
class Report:
    """What a page is made of.

    equal      what the codecs were made equal in
    generator  the program, with its version
    libraries  what coded, by the codec's name, licodec first
    """

    pictures: tuple[Compared, ...]
    equal: Equal
    generator: str
    libraries: Mapping[str, str]

    @property
    def ds(self) -> list[float]:
        return [level.d for level in self.pictures[0].levels]

    @property
    def peers(self) -> list[str]:
        return [name for name in self.libraries if name != LICODEC]


def render(report: Report) -> str:
    """The page as HTML."""
    names = _short_names(report.pictures)
    renamed = zip(report.pictures, names, strict=True)
    report = replace(report, pictures=tuple(replace(p, name=name) for p, name in renamed))
    parts = files("licodec.compare")
    text = {name: parts.joinpath(f"page.{name}").read_text("utf-8") for name in _PARTS}
    several = len(report.pictures) > 1
    title = f"{len(report.pictures)} pictures" if several else report.pictures[0].name
    main = [_contents(report.pictures), _means(report)] if several else []
    main += [_picture(report, i) for i in range(len(report.pictures))]
    return Template(text["html"]).substitute(
        title=escape(title),
        generator=escape(report.generator),
        style=text["css"].strip(),
        script=text["js"].strip(),
        lede=_lede(report),
        main="\n".join(main),
        footer=_footer(report),
    )


_PARTS = ("html", "css", "js")


# Words ---------------------------------------------------------------------------------------


def _listed(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _lede(report: Report) -> str:
    ds = _listed([f"{d:g}" for d in report.ds])
    nearly = f"at nearly the same {_equal_in_words(report)}"
    beside = f", each beside {_listed(report.peers)} {nearly}" if report.peers else ""
    own = f"{_size(report.pictures[0])}. " if len(report.pictures) == 1 else ""
    return f"{own}licodec at d {ds}{beside}."


def _size(picture: Compared) -> str:
    return f"{picture.width} &times; {picture.height} pixels"


def _short_names(pictures: Sequence[Compared]) -> list[str]:
    """The pictures' names without the folder that all of them are in."""
    folders = [os.path.dirname(picture.name) for picture in pictures]
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # of absolute and relative names
        common = ""
    return [os.path.relpath(p.name, common) if common else p.name for p in pictures]


def _equal_in_words(report: Report) -> str:
    if report.equal is Equal.SIZE:
        return "file size"
    first = (picture.levels[0].codings[0].quality for picture in report.pictures)
    scored = all(quality.ssimulacra2 is not None for quality in first)
    return f"quality by {SSIMULACRA2 if scored else 'PSNR'}"


def _bytes(size: float) -> str:
    return f"{round(size):,}"


def _signed(value: float, digits: int) -> str:
    """With its sign, a true minus sign where it is one; without one where it rounds to 0."""
    text = f"{value:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else _with_minus(text)


def _with_minus(number: str) -> str:
    return number.replace("-", "&minus;") if number != "-" else "&ndash;"


def _image(pixels: np.ndarray, alt: str, icc: bytes | None = None) -> str:
    """(h, w, C) pixels as an element with all their data."""
    height, width = pixels.shape[:2]
    return (
        f'<img src="{_data_url(pixels, icc)}" width="{width}" height="{height}" '
        f'alt="{escape(alt)}" draggable="false" decoding="async">'
    )


def _data_url(pixels: np.ndarray, icc: bytes | None) -> str:
    png = encode_picture(Picture(pixels, icc=icc), "PNG")
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


# A picture -----------------------------------------------------------------------------------


def _contents(pictures: Sequence[Compared]) -> str:
    entries = (
        f'<li><a href="#picture-{i}">{_image(p.thumbnail, "", p.icc)}'
        f"<span>{escape(p.name)}</span></a></li>"
        for i, p in enumerate(pictures, 1)
    )
    return f'<nav aria-label="Pictures"><ul class="contents">{"".join(entries)}</ul></nav>'


def _means(report: Report) -> str:
    groups = mean_groups(report.pictures)
    return (
        f'<section class="means"><h2>Means over {len(report.pictures)} pictures</h2>'
        f"{_figures(report, groups)}{_plots(report, groups)}</section>"
    )


def _picture(report: Report, index: int) -> str:
    picture, groups = report.pictures[index], groups_of(report.pictures[index])
    several = len(report.pictures) > 1
    heading = f"<h2>{escape(picture.name)}</h2>" if several else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in picture.notes)
    return "\n".join(
        [
            f'<section class="picture" id="picture-{index + 1}" '
            f'aria-label="{escape(picture.name)}">{heading}',
            f"<p>{_size(picture)}</p>" if several else "",
            f'<ul class="notes">{notes}</ul>' if notes else "",
            _viewer(report, picture, groups, index),
            _place(picture),
            _figures(report, groups),
            _plots(report, groups),
            "</section>",
        ]
    )


def _viewer(report: Report, picture: Compared, groups: Sequence[Group], index: int) -> str:
    crop, measures = picture.crop, measured(groups)
    original = (
        f'<figure class="crop" data-codec="{ORIGINAL}" data-level="any">'
        f"{_image(crop, f'Crop of the original {picture.name}', picture.icc)}"
        f"<figcaption><b>Original</b></figcaption></figure>"
    )
    crops = (
        _crop(picture, coding, row, number, measures)
        for number, (level, group) in enumerate(zip(picture.levels, groups, strict=True))
        for coding, row in zip(level.codings, group.rows, strict=True)
    )
    return (
        f"{_controls(report, groups, index)}"
        '<div class="stage"><div class="scroller" role="group" aria-label="Crops">'
        f'<div class="sheet" data-width="{crop.shape[1]}" data-height="{crop.shape[0]}">'
        f"{original}{''.join(crops)}</div></div>"
        '<span class="tag left" aria-hidden="true"></span>'
        '<span class="tag right" aria-hidden="true"></span>'
        '<input class="wipe" type="range" min="0" max="100" step="any" value="50" '
        'aria-label="Where the left crop ends">'
        '<div class="handle"></div></div>'
        '<div class="readout" aria-live="polite"><div class="left"></div>'
        '<div class="right"></div></div>'
        '<p class="hint">Drag across the picture, or use the arrow keys.</p>'
    )


def _controls(report: Report, groups: Sequence[Group], index: int) -> str:
    middle = len(groups) // 2
    levels = {
        str(i): f"d {group.d:g}<small>{group.rows[0].bpp:.2f} bpp</small>"
        for i, group in enumerate(groups)
    }
    codecs = {ORIGINAL: "Original", **{name: name for name in report.libraries}}
    right = report.peers[0] if report.peers else ORIGINAL
    return (
        '<form class="controls" hidden>'
        f"{_choices('Rate', 'level', index, levels, str(middle))}"
        f'<div class="sides">{_select("Left", "side-left", codecs, LICODEC)}'
        '<button class="swap" type="button" aria-label="Swap left and right">⇄</button>'
        f"{_select('Right', 'side-right', codecs, right)}</div>"
        f"{_choices('Zoom', 'zoom', index, _ZOOMS, 'fit')}</form>"
    )


def _choices(legend: str, choice: str, index: int, labels: Mapping[str, str], chosen: str) -> str:
    buttons = (
        f'<label><input type="radio" name="{choice}-{index}" data-choice="{choice}" '
        f'value="{value}"{" checked" if value == chosen else ""}>{label}</label>'
        for value, label in labels.items()
    )
    return (
        f'<fieldset><legend>{legend}</legend><div class="choices">{"".join(buttons)}</div>'
        "</fieldset>"
    )


def _select(name: str, kind: str, options: Mapping[str, str], chosen: str) -> str:
    entries = (
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>'
        f"{escape(text)}</option>"
        for value, text in options.items()
    )
    return (
        f'<label><span class="name">{name}</span>'
        f'<select class="{kind}" autocomplete="off">{"".join(entries)}</select></label>'
    )


def _crop(
    picture: Compared, coding: Coding, row: Row, level: int, measures: Sequence[Measure]
) -> str:
    title = f"{coding.codec}, {codings_in_words([coding])}"
    values = [f"<em>{_bytes(row.size)}</em> bytes", f"<em>{row.bpp:.3f}</em> bpp"]
    values += [_with_name(measure, row.quality) for measure in measures]
    spans = " ".join(f"<span>{value}</span>" for value in values)
    caption = f"<b>{escape(title)}</b>{spans}"
    return (
        f'<figure class="crop" data-codec="{escape(coding.codec)}" data-level="{level}">'
        f"{_image(coding.crop, f'The same crop by {title}', picture.icc)}"
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _with_name(measure: Measure, quality: Quality) -> str:
    """ "PSNR 31.11 dB", its number marked."""
    name, _, unit = measure.name.rstrip(")").partition(" (")
    return f"{name} <em>{_with_minus(measure.text(quality))}</em> {unit}".strip()


def _place(picture: Compared) -> str:
    """Where the crop is, on a small picture of the whole; nothing where it is the whole."""
    box, width, height = picture.box, picture.width, picture.height
    if (box.width, box.height) == (width, height):
        return ""
    at = f'x="{box.left}" y="{box.top}" width="{box.width}" height="{box.height}"'
    return (
        f'<div class="place"><svg viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="The whole picture with the crop outlined">'
        f'<image href="{_data_url(picture.thumbnail, picture.icc)}" width="{width}" '
        f'height="{height}" preserveAspectRatio="none"/><rect class="edge" {at}/><rect {at}/>'
        f"</svg><span>Shown: {box.width} &times; {box.height} pixels at {box.left}, {box.top}."
        " The figures are of the whole picture.</span></div>"
    )


# Figures and plots -----------------------------------------------------------------------------


def _figures(report: Report, groups: Sequence[Group]) -> str:
    measures = measured(groups)
    headings = "".join(
        f'<th scope="col" class="figure">{escape(m.name).replace("SIMUL", "SIMU&shy;L")}</th>'
        for m in measures
    )
    styles = series_styles(list(report.libraries))
    bodies = (
        f'<tbody data-level="{i}"><tr class="level"><th colspan="{4 + len(measures)}" '
        f'scope="rowgroup">d {group.d:g}<small>{group.rows[0].bpp:.3f} bits per pixel</small></th>'
        f"</tr>{''.join(_table_rows(report, group, measures, styles))}</tbody>"
        for i, group in enumerate(groups)
    )
    best = "best of each measure" if report.equal is Equal.SIZE else "smallest file"
    caption = (
        f"At nearly the same {_equal_in_words(report)}. Small figures: the difference to licodec. "
        f"Bold: the {best}."
    )
    return (
        f"<h3>Figures</h3><table><caption>{escape(caption)}</caption><thead><tr>"
        '<th scope="col">Codec</th><th scope="col" class="setting wide">Setting</th>'
        '<th scope="col" class="figure">Bytes</th><th scope="col" class="wide">Bits per pixel</th>'
        f"{headings}</tr></thead>{''.join(bodies)}</table>"
    )


def _table_rows(
    report: Report, group: Group, measures: Sequence[Measure], styles: Mapping[str, int]
) -> Iterator[str]:
    first = group.rows[0]
    by_size = report.equal is Equal.SIZE
    smallest = min(row.size for row in group.rows)
    for row in group.rows:
        change = f"{_signed(100 * (row.size / first.size - 1), 1)} %" if row is not first else ""
        setting = escape(row.setting).replace(" ", "&nbsp;", 1)
        cells = (_measure_cell(measure, row, group, by_size) for measure in measures)
        yield (
            f'<tr><th scope="row">{swatch(styles[row.codec])}{escape(row.codec)}'
            f'<small class="narrow">{setting}</small></th><td class="setting wide">{setting}</td>'
            f"{_cell(_bytes(row.size), change, not by_size and row.size == smallest)}"
            f'<td class="wide">{row.bpp:.3f}</td>{"".join(cells)}</tr>'
        )


def _measure_cell(measure: Measure, row: Row, group: Group, mark_best: bool) -> str:
    values = [measure.value(other.quality) for other in group.rows]
    value, reference = measure.value(row.quality), values[0]
    difference = ""
    if row is not group.rows[0] and value is not None and reference is not None:
        change = value - reference
        difference = _signed(change, measure.digits) if math.isfinite(change) else ""
    best = mark_best and value is not None and value == max(v for v in values if v is not None)
    return _cell(_with_minus(measure.text(row.quality)), difference, best)


def _cell(text: str, difference: str, best: bool) -> str:
    """A figure; an empty difference keeps the figures of a column in line."""
    shown = f"<strong>{text}</strong>" if best else text
    return f"<td>{shown} <small>{difference}</small></td>"


def _plots(report: Report, groups: Sequence[Group]) -> str:
    styles = series_styles(list(report.libraries))
    drawn = "".join(map(partial(plot, groups, styles=styles), MEASURES))
    legend = "".join(f"<li>{swatch(style)}{escape(codec)}</li>" for codec, style in styles.items())
    return (
        f'<h3>Quality against rate</h3><ul class="legend">{legend}</ul>'
        f'<div class="plots">{drawn}</div>'
    )


def _footer(report: Report) -> str:
    if report.equal is Equal.SIZE:
        nearest = "whose file is nearest in size to licodec's"
    else:
        nearest = f"whose {_equal_in_words(report)} is nearest to licodec's"
    entries = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(library)}</dd>"
        for name, library in report.libraries.items()
    )
    return (
        f"<h2>How this was made</h2><p>Every other codec has the quality setting {nearest}. "
        "Sizes are those of whole files, without alpha and metadata. PSNR is over all samples of "
        "the 8-bit pixels; MS-SSIM in dB is &minus;10 log₁₀(1 &minus; MS-SSIM). SSIMULACRA 2: "
        "90 is hardly to be told from the original, 70 high, 50 medium, 30 low quality.</p>"
        f"<dl>{entries}</dl>"
    )
