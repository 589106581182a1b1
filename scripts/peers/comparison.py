"""What is right: licodec's pixels against a second reader's, and refusals against its facts.

Right is, where a second reader has no more than 8 bits a sample, the same samples; where it has
more, ones less than a level from the real value v * 255 / maximum, so that rounding and taking
the high byte both pass and a wrong scale does not. Of lossy formats (JPEG, AVIF, WebP's lossy
form, TIFF with them) decoders differ in inverse transforms, upsampling and rounding: there the
mean difference and its 99th percentile are limited. Colours are compared where they can be
seen, premultiplied ones as products; no alpha is an opaque one, and grey is RGB of equal parts.

A refusal is truthful where the second reader says the same of the file: several pictures, samples
without a range, other colours, a size over the limits, or damage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import numpy as np

from licodec.container.limits import check_picture_size
from licodec.errors import LimitError
from licodec.images import Picture
from peers.readers import Reading

# The colours of files that licodec reads.
COLOURS = ("grey", "RGB", "CMYK", "YCbCr")
_NOTED_KINDS = {"icc": r"ICC|profile", "exif": r"Exif", "xmp": r"XMP"}
# What a refusal has to speak of, by what the second reader knows of the file.
_WORDS = {
    "several pictures": r"frames|pages|animat|pictures|images",
    "samples without a stated range": r"float|signed|range|bits?\b",
    "a preview": r"preview|raw",
    "other colours": r"mode|colou?r|space|photometric|LAB|Log|raw|mosaic",
    "a size over the limits": r"over the limit|too large",
    "damage": r"damaged|cut short|not a picture|cannot be decoded|empty|corrupt",
}


@dataclass(frozen=True)
class Difference:
    """How two pictures differ, in levels of 255: colours where they can be seen, and alpha.

    percentile  99 % of the colours' samples differ by no more
    """

    mean: float
    percentile: float
    most: float
    alpha: float

    def __str__(self) -> str:
        return (
            f"mean {self.mean:.3g}, 99 % within {self.percentile:.3g}, most {self.most:.3g}, "
            f"alpha {self.alpha:.3g}"
        )

    def within(self, most: Difference) -> bool:
        """Whether no part is more than another's."""
        return all(getattr(self, field.name) <= getattr(most, field.name) for field in fields(self))


# High bytes of 16-bit samples are up to 255/257 of a level below the real value.
_LESS_THAN_A_LEVEL = 0.995
EXACT = Difference(*[_LESS_THAN_A_LEVEL] * 4)
# Samples of fewer bits are scaled by rounding or by repeating their bits.
SCALED = Difference(1, 1, 1, 1)
# Inks and what is multiplied by alpha: rounded twice more, or limited to white.
PRODUCTS = Difference(mean=1, percentile=2, most=16, alpha=1)
# libavif cuts 10 and 12 bits off before it converts to RGB: up to 1.3 levels in the mean.
LOSSY = Difference(mean=1.5, percentile=12, most=255, alpha=2)


def tolerance_of(format: str, head: bytes) -> Difference:
    """How far right pictures of the format may differ; `head` is its first 4096 bytes.

    Whether a TIFF is lossy the second reader knows.
    """
    if format in ("JPEG", "AVIF") or (format == "WEBP" and b"VP8L" not in head):
        return LOSSY
    bits_of_a_pixel, compression = head[28:29], head[30:31]
    if format == "BMP" and (bits_of_a_pixel == b"\x10" or compression in (b"\x03", b"\x06")):
        return SCALED
    return EXACT


def difference(picture: Picture, second: Reading) -> Difference:
    """Levels between licodec's picture and the second reader's; of equal sides."""
    ours = _expanded(_with_alpha(picture), 255.0)
    theirs = _expanded(second.samples, second.maximum or 1.0)
    alpha = np.abs(ours[:, :, 3] - theirs[:, :, 3])
    colours = ours[:, :, :3]
    if second.premultiplied:
        colours = colours * (ours[:, :, 3:] / 255)
    seen = np.abs(colours - theirs[:, :, :3])[theirs[:, :, 3] > 0]
    if not seen.size:
        return Difference(0, 0, 0, float(alpha.max()))
    found = seen.mean(), np.percentile(seen, 99), seen.max(), alpha.max()
    return Difference(*map(float, found))


def fault_of_pixels(picture: Picture, second: Reading, tolerance: Difference) -> str:
    """What is wrong with the picture's pixels by the second reader; empty where they are right."""
    sides = second.samples.shape[:2]
    if picture.pixels.shape[:2] != sides:
        return f"{picture.width}x{picture.height} pixels, not {sides[1]}x{sides[0]}"
    if second.premultiplied or (second.colours == "CMYK" and tolerance is EXACT):
        tolerance = PRODUCTS
    found = difference(picture, second)
    return "" if found.within(tolerance) else f"pixels differ: {found}"


def fault_of_silence(picture: Picture, second: Reading) -> str:
    """What was lost without a note by the second reader; empty where nothing was."""
    said = "; ".join(picture.notes)
    for kind, words in _NOTED_KINDS.items():
        lacks = kind in second.metadata and getattr(picture, kind) is None
        if lacks and not re.search(words, said):
            return f"its {kind} is left out without a note"
    if second.bits is not None and second.bits > 8 and not re.search(r"\bbit|\bbyte", said):
        return f"samples of {second.bits} bits reduced without a note"
    return ""


def comparable(second: Reading) -> bool:
    """Whether the samples mean colours that licodec reads."""
    return second.maximum is not None and second.colours in COLOURS


def reasons_to_refuse(second: Reading) -> list[str]:
    """Why licodec may refuse the file, by what the second reader knows of it."""
    height, width = second.samples.shape[:2]
    try:
        check_picture_size(width, height)
        large = False
    except LimitError:
        large = True
    facts = {
        "several pictures": second.pictures > 1,
        "samples without a stated range": second.maximum is None,
        "a preview": second.preview,
        "other colours": second.colours not in COLOURS,
        "a size over the limits": large,
        "damage": bool(second.complaint),
    }
    return [reason for reason, holds in facts.items() if holds]


def is_truthful(refusal: str, second: Reading) -> bool:
    """Whether the message of a refusal says something that the second reader knows too."""
    return any(re.search(_WORDS[reason], refusal) for reason in reasons_to_refuse(second))


def _with_alpha(picture: Picture) -> np.ndarray:
    if picture.alpha is None:
        return picture.pixels
    return np.concatenate([picture.pixels, picture.alpha[:, :, None]], axis=2)


def _expanded(samples: np.ndarray, maximum: float) -> np.ndarray:
    """RGB and alpha, (H, W, 4) float32 from 0 to 255, of samples with 1 to 4 channels."""
    height, width, channels = samples.shape
    expanded = np.full((height, width, 4), 255, np.float32)
    scaled = samples.astype(np.float32) * np.float32(255 / maximum)
    colours = 1 if channels < 3 else 3
    expanded[:, :, :3] = scaled[:, :, :colours]
    if channels > colours:
        expanded[:, :, 3] = scaled[:, :, colours]
    return expanded
