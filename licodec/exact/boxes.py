"""Parts of planes, and programs that run over no more than a part takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from licodec.exact.planes import PlaneRunner


@dataclass(frozen=True)
class Box:
    """Rows [top, bottom) and columns [left, right) of a plane."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def spread(self, halo: int, unit: int, within: Box) -> Box:
        """The box from multiples of `unit` to multiples of it, with a margin of `halo`."""
        return Box(
            self.top - self.top % unit - halo,
            self.bottom + -self.bottom % unit + halo,
            self.left - self.left % unit - halo,
            self.right + -self.right % unit + halo,
        ).cut(within)

    def cut(self, within: Box) -> Box:
        """What of it is within another."""
        return Box(
            max(self.top, within.top),
            min(self.bottom, within.bottom),
            max(self.left, within.left),
            min(self.right, within.right),
        )

    def joined(self, other: Box) -> Box:
        """The smallest that holds both."""
        return Box(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )

    def finer(self, times: int) -> Box:
        """The same part of a plane of so many times the rows and columns."""
        return Box(*(times * edge for edge in (self.top, self.bottom, self.left, self.right)))

    def coarser(self, times: int) -> Box:
        """The least part of a plane with a fraction of the rows and columns that holds it."""
        return Box(
            self.top // times, -(-self.bottom // times), self.left // times, -(-self.right // times)
        )

    def slices(self, inner: Box) -> tuple[slice, slice, slice]:
        """Where `inner` is in planes (C, height, width) of this box."""
        return (
            slice(None),
            slice(inner.top - self.top, inner.bottom - self.top),
            slice(inner.left - self.left, inner.right - self.left),
        )


@dataclass(frozen=True)
class Place:
    """Some channels of planes, at every position or at those of a phase of a coarser grid."""

    channels: slice
    pitch: int = 1
    row: int = 0
    column: int = 0


ALL = Place(slice(None))


@dataclass(frozen=True)
class Window:
    """Planes (C, height, width) of a box; where only a phase is there, (C, height / pitch, ...)."""

    planes: np.ndarray
    box: Box

    def of(self, inner: Box) -> np.ndarray:
        """The planes of a box within; a view."""
        return self.planes[self.box.slices(inner)]

    def take(self, other: Window, box: Box, place: Place = ALL) -> None:
        """Set what of `box` is in both windows to the other's, which is of a phase where `place`
        is; then the edges of all three boxes are multiples of the pitch."""
        box, pitch = box.cut(self.box), place.pitch
        if box.height <= 0 or box.width <= 0:
            return
        _, rows, columns = other.box.coarser(pitch).slices(box.coarser(pitch))
        _, own_rows, own_columns = self.box.slices(box)
        own_rows = slice(own_rows.start + place.row, own_rows.stop, pitch)
        own_columns = slice(own_columns.start + place.column, own_columns.stop, pitch)
        self.planes[place.channels, own_rows, own_columns] = other.planes[:, rows, columns]


def input_box(runner: PlaneRunner, box: Box, whole: Box) -> Box:
    """Which input positions the outputs at the input positions of `box` depend on."""
    return box.spread(runner.geometry.halo, runner.geometry.unit, whole)


def run_over(
    runner: PlaneRunner, inputs: Mapping[str, Window], box: Box, whole: Box
) -> tuple[np.ndarray, ...]:
    """Outputs, in the program's order, at the input positions of `box`: what running it over the
    `whole` planes gives there. `inputs` hold `input_box`; the box ends where outputs do."""
    read = input_box(runner, box, whole)
    outputs = runner({name: inputs[name].of(read) for name in runner.plane_ports})
    cut = read.slices(box)[1:]
    trimmed = []
    for output, rate in zip(outputs, runner.rates, strict=True):
        rows, columns = (slice(int(own.start * rate), int(own.stop * rate)) for own in cut)
        trimmed.append(output[:, rows, columns])
    return tuple(trimmed)
