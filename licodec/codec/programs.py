"""A pack's programs, proved and bound to a backend when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping

from licodec.exact.interpreter import Interpreter, choose
from licodec.exact.planes import PlaneRunner
from licodec.packs import ANALYSIS, ENCODER_PROGRAMS, Pack
from licodec.rate.conditions import Place

STRIP_PIXELS = 1 << 22  # pixels of one strip; smaller pictures run whole


class BoundPrograms:
    """The programs of a pack on one backend, with conditions as they are at `place`, if it has any.

    Programs go by the names that they have in the schedule; `stand_ins` are the ones that an
    adapter set has for them. What only encoders run is proved by itself, as decoding does without,
    and so are stand-ins. Raises LicodecError as ``choose``.
    """

    def __init__(self, pack: Pack, backend: str | None, place: Place | None) -> None:
        self.place = place
        self._pack, self._backend = pack, backend
        self._interpreters: dict[tuple[str, ...], Interpreter] = {}
        self._runners: dict[str, PlaneRunner] = {}

    def interpreter(self, name: str, stand_ins: Mapping[str, str]) -> Interpreter:
        """What runs the program `name`, or its stand-in."""
        encodes = name in ENCODER_PROGRAMS
        names = ENCODER_PROGRAMS if encodes else self._pack.schedule.program_order
        if name in stand_ins:
            names = tuple(stand_ins[other] for other in names if other in stand_ins)
        if names not in self._interpreters:
            programs = self._pack.programs_at(names, self.place)
            self._interpreters[names] = choose(self._backend, programs)
        return self._interpreters[names]

    def runner(self, name: str, stand_ins: Mapping[str, str]) -> PlaneRunner:
        """The program `name` or its stand-in, over planes."""
        own = stand_ins.get(name, name)
        if own not in self._runners:
            self._runners[own] = PlaneRunner.bind(
                self._pack.checked[own],
                self.interpreter(name, stand_ins).prepare(own),
                STRIP_PIXELS // pixels_per_position(name, self._pack),
            )
        return self._runners[own]


def pixels_per_position(name: str, pack: Pack) -> int:
    """Pixels that one input position of a program stands for."""
    if name == ANALYSIS:
        return 1
    if name == pack.schedule.hyper_synthesis:
        return pack.schedule.hyper_stride**2
    return pack.schedule.latent_stride**2
