"""One weights pack on one backend, and the sessions that it opens."""

from __future__ import annotations

from dataclasses import replace

from licodec.codec.headers import setting_of
from licodec.codec.programs import BoundPrograms
from licodec.codec.search import encode_to_target
from licodec.codec.session import Coded, Session
from licodec.container import LicFile
from licodec.exact.interpreter import Interpreter
from licodec.images import Picture
from licodec.images.views import WHOLE, View
from licodec.packs import ENCODER_PROGRAMS, Pack, PackAdapters, require_adapters
from licodec.rate.conditions import Place
from licodec.rate.modes import Rate
from licodec.rate.scale import RateScale
from licodec.rate.setting import Setting
from licodec.rate.targets import Found, Target, target_of

CUDA, REFERENCE = "cuda", "reference"
BOUND_PLACES = 2  # at which programs with conditions are kept bound


class Codec:
    """One weights pack on one backend: encodes and decodes pictures."""

    def __init__(self, pack: Pack, backend: str | None = None) -> None:
        self.pack = pack
        self._requested = backend
        self._adapters: dict[str, PackAdapters] = {}
        self._bound: dict[Place | None, BoundPrograms] = {}

    def at(self, setting: Setting) -> Session:
        """A session at `setting`. Raises UsageError where the pack has no adapter set for it, and
        CorruptFileError where that is damaged."""
        adapters = None
        if not setting.gains.neutral:
            own = self.rate_scale.adapters_for(setting.gains, setting.objective)
            adapters = self._adapters_for(own.objective)
        objective = None if adapters is None else adapters.objective
        place = self.pack.place(setting.d, setting.gains, adapters)
        setting = replace(setting, objective=objective)
        return Session(self.pack, setting, adapters, self._bound_at(place))

    def _adapters_for(self, objective: str) -> PackAdapters:
        """The adapter set for an objective, checked once. Raises CorruptFileError."""
        if objective not in self._adapters:
            adapters = self.pack.adapters_named(objective)
            require_adapters(self.pack, adapters)
            self._adapters[objective] = adapters
        return self._adapters[objective]

    def _bound_at(self, place: Place | None) -> BoundPrograms:
        """The programs with conditions as they are at `place`; those of few places are kept."""
        if place not in self._bound:
            self._bound[place] = BoundPrograms(self.pack, self._requested, place)
            for earlier in list(self._bound)[:-BOUND_PLACES]:
                del self._bound[earlier]
        return self._bound[place]

    @property
    def neutral(self) -> Session:
        """At the neutral d, without adapters."""
        return self.at(Setting(self.pack.schedule.d_unit))

    @property
    def interpreter(self) -> Interpreter:
        """What decodes at the neutral d without adapters. Raises LicodecError as ``choose``."""
        return self.neutral.programs.interpreter(self.pack.schedule.synthesis, {})

    @property
    def backend(self) -> str:
        """That of :attr:`interpreter`."""
        return self.interpreter.backend

    @property
    def rate_scale(self) -> RateScale:
        return self.pack.rate_scale

    def prepare_encoding(self) -> None:
        """Prove and bind what encoding without adapters runs beside decoding, once.

        It is done when it is first needed, too: this is for taking the time. Raises LicodecError
        as ``choose``.
        """
        session = self.neutral
        for name in ENCODER_PROGRAMS:
            session.runner(name)

    def encode_at(self, picture: Picture, rate: Rate) -> Found[Coded]:
        """The coding at a rate, or the nearest one where it is a target out of reach.

        Raises UsageError for a value out of range and a mode that the pack does not have.
        """
        setting = self.rate_scale.setting(rate)
        if setting is not None:
            return Found(setting, self.at(setting).encode(picture), True)
        target = target_of(rate, picture.width, picture.height)
        return self.encode_to_target(picture, target, rate)

    def encode_to_target(
        self, picture: Picture, target: Target, rate: Rate | None = None
    ) -> Found[Coded]:
        """The coding that meets `target`, by the beta and the objective of `rate`."""
        return encode_to_target(self.at, picture, self.rate_scale.axis(rate or Rate()), target)

    def session_of(self, lic: LicFile) -> Session:
        """A session at the setting that a file of this pack states. Raises CorruptFileError where
        they disagree, and WeightsMissingError where the pack lacks the file's adapter set."""
        return self.at(setting_of(self.pack, lic))

    def decode(self, lic: LicFile, view: View = WHOLE) -> Picture:
        """Decode a file of this pack, or a view of it. Raises as :meth:`session_of` and
        :meth:`Session.decode`."""
        return self.session_of(lic).decode(lic, view)
