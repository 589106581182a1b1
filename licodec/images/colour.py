"""Colour spaces that files state in numbers, and the ICC profiles that say the same.

PNG (cICP, cHRM, gAMA), AVIF (nclx) and TIFF state primaries and a transfer function. A .lic file
keeps them as an ICC profile: a matrix and a curve say exactly what those numbers say.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]

_D65 = (0.3127, 0.3290)
_D50_XYZ = np.array((0.9642, 1.0, 0.8249))
_ILLUMINANT_C = (0.310, 0.316)
_BRADFORD = np.array(
    ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
)

# The tolerances within which a stated space is sRGB, as libpng has them or closer.
_SAME_POINT = 0.002
_SAME_GAMMA = 0.005  # of the exponent 1 / 2.2, which stands for sRGB's own curve


@dataclass(frozen=True)
class Curve:
    """From a sample to light: ((a x + b)^gamma where x >= d, else c x), as ICC's type 3."""

    gamma: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0


SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


@dataclass(frozen=True)
class ColourSpace:
    """White point and red, green and blue primaries (CIE xy), and the transfer function."""

    white: Point = _D65
    red: Point = (0.64, 0.33)
    green: Point = (0.30, 0.60)
    blue: Point = (0.15, 0.06)
    curve: Curve = SRGB_CURVE

    @property
    def points(self) -> tuple[Point, Point, Point, Point]:
        return (self.white, self.red, self.green, self.blue)

    def is_srgb(self, channels: int) -> bool:
        """Whether samples of 1 or 3 channels are what they are taken for without a profile."""
        same_curve = self.curve == SRGB_CURVE or (
            self.curve == Curve(self.curve.gamma)
            and abs(1 / self.curve.gamma - 1 / 2.2) <= _SAME_GAMMA
        )
        known = ColourSpace().points
        same_points = np.allclose(self.points, known, rtol=0, atol=_SAME_POINT)
        return same_curve and (channels == 1 or same_points)


# Rec. ITU-T H.273, "ColourPrimaries": white, red, green, blue. 2 is "unspecified".
_PRIMARIES = {
    1: ColourSpace().points,
    4: (_ILLUMINANT_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    8: (_ILLUMINANT_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: (_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_BT709_CURVE = Curve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
# "TransferCharacteristics", those that are such a curve.
_TRANSFERS = {
    1: _BT709_CURVE,
    4: Curve(2.2),
    5: Curve(2.8),
    6: _BT709_CURVE,
    8: Curve(1.0),
    13: SRGB_CURVE,
    14: _BT709_CURVE,
    15: _BT709_CURVE,
}
UNSPECIFIED = 2
_TRANSFER_NAMES = {16: "PQ", 18: "HLG"}


def coded_space(primaries: int, transfer: int) -> ColourSpace | None:
    """The space of H.273's code points; None where no matrix and curve are that.

    What is unspecified is taken as sRGB has it.
    """
    points = _PRIMARIES[1] if primaries == UNSPECIFIED else _PRIMARIES.get(primaries)
    curve = SRGB_CURVE if transfer == UNSPECIFIED else _TRANSFERS.get(transfer)
    if points is None or curve is None:
        return None
    return ColourSpace(*points, curve)


def transfer_name(transfer: int) -> str:
    return _TRANSFER_NAMES.get(transfer, f"transfer characteristics {transfer}")


def icc_profile(space: ColourSpace, channels: int) -> bytes | None:
    """The profile, ICC version 4, of samples of 1 (grey) or 3 (RGB) channels.

    None where the points span no colours or a profile does not hold the numbers, as those of a
    damaged file may.
    """
    tags = {b"wtpt": _xyz_tag(_D50_XYZ)}
    try:
        curve = _parametric(space.curve)
        white = _xyz(space.white)
        if channels == 1:
            return _profile(b"GRAY", {**tags, b"kTRC": curve})
        # XYZ of full red, green and blue, which together are white.
        primaries = np.stack([_xyz(point) for point in (space.red, space.green, space.blue)])
        amounts = _times(_inverse(primaries.T), white)
        adaptation = _adaptation(white)
        tags[b"chad"] = b"sf32" + bytes(4) + b"".join(map(_fixed, adaptation.flat))
        for tag, amount, primary in zip(_COLUMN_TAGS, amounts, primaries, strict=True):
            tags[tag] = _xyz_tag(_times(adaptation, amount * primary))
    except (ArithmeticError, ValueError, struct.error):
        return None
    return _profile(b"RGB ", {**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)})


_COLUMN_TAGS = (b"rXYZ", b"gXYZ", b"bXYZ")


def _xyz(point: Point) -> np.ndarray:
    x, y = point
    if y <= 0:
        raise ValueError("a point without light")
    return np.array((x / y, 1.0, (1 - x - y) / y))


def _adaptation(white: np.ndarray) -> np.ndarray:
    """Bradford's matrix from a white to D50, in which ICC profiles state colours."""
    source, target = _times(_BRADFORD, white), _times(_BRADFORD, _D50_XYZ)
    if 0 in source:
        raise ValueError("a white that no eye sees")
    scaled = _BRADFORD * target[:, None] / source[:, None]
    inverse = _inverse(_BRADFORD)
    return np.stack([_times(inverse, column) for column in scaled.T], axis=1)


def _times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Not by BLAS: the same bits on every machine."""
    return (matrix * vector).sum(axis=1)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Of a 3x3 matrix, by cofactors: the same bits on every machine."""
    a, b, c = matrix
    cofactors = np.stack((np.cross(b, c), np.cross(c, a), np.cross(a, b)), axis=1)
    determinant = (a * cofactors[:, 0]).sum()
    if abs(determinant) < 1e-9:
        raise ValueError("points that span no colours")
    return cofactors / determinant


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": _text("licodec: made of the colour space that the file states"),
        b"cprt": _text("CC0"),
        **tags,
    }
    start = 128 + 4 + 12 * len(tags)
    body, table, places = b"", b"", {}
    for name, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, places[data], len(data))
    header = struct.pack(
        ">I4xI4s4s4s12x4s4x4x4x4x8xI12s4x",
        start + len(body),
        0x04300000,
        b"mntr",
        space,
        b"XYZ ",
        b"acsp",
        0,
        b"".join(map(_fixed, _D50_XYZ)),
    )
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz_tag(xyz: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, xyz))


def _parametric(curve: Curve) -> bytes:
    if curve == Curve(curve.gamma):
        return b"para" + bytes(4) + struct.pack(">H2x", 0) + _fixed(curve.gamma)
    values = (curve.gamma, curve.a, curve.b, curve.c, curve.d)
    return b"para" + bytes(4) + struct.pack(">H2x", 3) + b"".join(map(_fixed, values))


def _text(words: str) -> bytes:
    data = words.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data
