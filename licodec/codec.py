"""The two flows: pixels to a .lic file, and back.

    encode:  pixels -> analysis -> y, z -> entropy model -> streams -> container
    decode:  container -> streams <-> entropy model -> latents -> synthesis -> pixels

Every network runs in exact arithmetic, the encoder's too, so that the same pixels and
settings give the same file on every machine, and a file the same pixels.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from licodec.container import (
    Header,
    LicFile,
    Metadata,
    Stream,
    check_picture_size,
    storable_plan,
    write_file,
)
from licodec.entropy.slices import EntropyModel, decode_latents, encode_latents
from licodec.errors import CorruptFileError, PixelChecksumError, WeightsMissingError
from licodec.exact.interpreter import Interpreter, choose
from licodec.exact.planes import PlaneRunner
from licodec.images import Picture, compress_alpha, decompress_alpha, psnr
from licodec.packs import ANALYSIS, ENCODER_PROGRAMS, HYPER_ANALYSIS, Pack, PackAdapters
from licodec.rate.conditions import HYPER_STEPS, STEPS, Place, value
from licodec.rate.gains import ANCHOR, Gains
from licodec.rate.scale import Rate, RateScale, Setting, target_of
from licodec.rate.targets import Found, Target, TargetKind, search

CUDA, REFERENCE = "cuda", "reference"
STRIP_PIXELS = 1 << 22  # pixels of one strip; smaller pictures run whole
BOUND_PLACES = 2  # at which programs with conditions are kept bound


@dataclass(frozen=True)
class Analysed:
    """What coding needs of a picture: its latents, for any d.

    latents        int16 (M, h, w), in units of 2^-g
    hyper_latents  int16 (Z, H, W), integers
    gains          those that the picture was analysed with
    objective      of the adapter set, None at the anchor
    """

    latents: np.ndarray
    hyper_latents: np.ndarray
    gains: Gains = ANCHOR
    objective: str | None = None


@dataclass(frozen=True)
class Coded:
    """One coding of a picture: the file, its header, and what decoding it gives."""

    data: bytes
    header: Header
    picture: Picture

    @property
    def d(self) -> float:
        return self.header.d_value


@dataclass(frozen=True)
class _Sized:
    """Coded latents, before their synthesis, and the bytes that their file will have."""

    size: int
    streams: tuple[Stream, ...]
    latents: np.ndarray


@dataclass(frozen=True)
class _Bound:
    """What runs at a setting: the gains, the adapter set, and where conditions are, if there are
    any."""

    gains: Gains
    adapters: PackAdapters | None
    place: Place | None


class Codec:
    """One weights pack on one backend: encodes and decodes pictures."""

    def __init__(self, pack: Pack, backend: str | None = None) -> None:
        self.pack = pack
        self._requested = backend
        self._interpreters: dict[tuple[object, ...], Interpreter] = {}
        self._runners: dict[tuple[str, Place | None], PlaneRunner] = {}
        self._places: list[Place] = []

    @property
    def interpreter(self) -> Interpreter:
        """What decodes without adapters, at the neutral d."""
        setting = Setting(self.pack.schedule.d_unit)
        return self._interpreter_of(self.pack.schedule.program_order, self._bound(setting))

    @property
    def entropy_model(self) -> EntropyModel:
        """That without adapters, at the neutral d where anything but AQVR's steps depends on it."""
        return self.entropy_model_at(Setting(self.pack.schedule.d_unit))

    def entropy_model_at(self, setting: Setting) -> EntropyModel:
        """That of a rate. Raises UsageError where the pack has no adapter set for it."""
        return self._model(self._bound(setting))

    def runner_at(self, place: str, setting: Setting) -> PlaneRunner:
        """What runs in the place of a program at a rate. Raises UsageError as above."""
        return self._runner(place, self._bound(setting))

    @property
    def backend(self) -> str:
        """That of :attr:`interpreter`."""
        return self.interpreter.backend

    @property
    def rate_scale(self) -> RateScale:
        return self.pack.rate_scale

    def _adapters(self, gains: Gains, objective: str | None) -> PackAdapters | None:
        """The adapter set to encode with. Raises UsageError where the pack has none."""
        found = None if gains.neutral else self.rate_scale.adapters_for(gains, objective)
        return None if found is None else self.pack.adapters_named(found.objective)

    def _bound(self, setting: Setting) -> _Bound:
        """Where conditions are at `setting`, and which programs stand in. Raises UsageError where
        the pack has no adapter set for it."""
        adapters = self._adapters(setting.gains, setting.objective)
        return _Bound(setting.gains, adapters, self.pack.place(setting.d, setting.gains, adapters))

    def _bound_by(self, header: Header) -> _Bound:
        """The same for a file."""
        adapters = self._adapters_of(header)
        place = self.pack.place(header.d, header.gains, adapters)
        return _Bound(header.gains, adapters, place)

    def _adapters_of(self, header: Header) -> PackAdapters | None:
        """The adapter set that a file names, None where it names none or the pack lacks it."""
        if header.adapter_id is None:
            return None
        return self.pack.adapters_with_id(header.adapter_id)

    def _interpreter_of(self, places: tuple[str, ...], bound: _Bound) -> Interpreter:
        """The interpreter of the programs `places`, or of a set's stand-ins for them: made when it
        is first needed, as proving a backend takes time. Raises LicodecError as ``choose``."""
        stand_ins = {} if bound.adapters is None else bound.adapters.programs
        names = tuple(stand_ins.get(place, place) for place in places)
        if bound.place is None and bound.adapters is not None:  # others are proved alone
            names = tuple(stand_ins[place] for place in places if place in stand_ins)
        key = (names, bound.place)
        if key not in self._interpreters:
            self._keep(bound.place)
            programs = self.pack.programs_at(names, bound.place)
            self._interpreters[key] = choose(self._requested, programs)
        return self._interpreters[key]

    def _keep(self, place: Place | None) -> None:
        """Note that programs are bound at a place, and forget those of the earliest ones."""
        if place is None or place in self._places:
            return
        self._places = [*self._places, place][-BOUND_PLACES:]
        for bound in (self._interpreters, self._runners):
            for key in [k for k in bound if k[-1] is not None and k[-1] not in self._places]:
                del bound[key]

    def _runner(self, place: str, bound: _Bound) -> PlaneRunner:
        """The program that runs in the place of a program: itself or its stand-in."""
        adapters = bound.adapters
        stand_in = None if adapters is None else adapters.programs.get(place)
        name = stand_in or place
        key = (name, bound.place)
        if key not in self._runners:
            # What only encoders run is proved by itself: decoding does without.
            decoders = self.pack.schedule.program_order
            places = ENCODER_PROGRAMS if place in ENCODER_PROGRAMS else decoders
            own = bound if stand_in or bound.place else replace(bound, adapters=None)
            interpreter = self._interpreter_of(places, own)
            self._runners[key] = PlaneRunner.bind(
                self.pack.checked[name],
                interpreter.prepare(name),
                STRIP_PIXELS // pixels_per_position(place, self.pack),
            )
        return self._runners[key].with_numbers(bound.gains.by_mode())

    def _model(self, bound: _Bound) -> EntropyModel:
        """The entropy model, with the stand-ins of an adapter set and the steps of a place."""
        pack, adapters, place = self.pack, bound.adapters, bound.place
        runners = {name: self._runner(name, bound) for name in pack.schedule.program_order}
        model = EntropyModel(pack.schedule, runners, pack.tables, pack.distortion_weight)
        if adapters is not None:
            model = replace(model, step_shares=adapters.step_shares_at(bound.gains.beta))
        if place is None:
            return model
        steps, hyper_steps = (value(n, pack.tensors, place) for n in (STEPS, HYPER_STEPS))
        band = pack.schedule.band_of(place.d)
        return replace(model, steps=steps, hyper_steps=hyper_steps, band=band)

    # Encoding ------------------------------------------------------------------------------

    def prepare_encoding(self) -> None:
        """Prove and bind what encoding without adapters runs beside decoding, once.

        It is done when it is first needed, too: this is for taking the time. Raises LicodecError
        as ``choose``.
        """
        bound = self._bound(Setting(self.pack.schedule.d_unit))
        for place in ENCODER_PROGRAMS:
            self._runner(place, bound)

    @property
    def analysis_depends_on_d(self) -> bool:
        """Whether a picture has to be analysed anew for another d."""
        return bool(self.pack.schedule.knots)

    def analyse(
        self,
        picture: Picture,
        gains: Gains = ANCHOR,
        objective: str | None = None,
        d: int | None = None,
    ) -> Analysed:
        """Run the analysis transforms over `picture`, padded by edge replication.

        `objective` names an adapter set of the pack; None takes the one that serves `gains`. `d`,
        in its units, counts where the analysis depends on it; None is 1.0. Raises UsageError where
        there is no such set.
        """
        d = self.pack.schedule.d_unit if d is None else d
        bound = self._bound(Setting(d, gains, objective))
        height, width = picture.pixels.shape[:2]
        check_picture_size(width, height)
        align = self.pack.schedule.alignment
        padding = ((0, -height % align), (0, -width % align), (0, 0))
        pixels = picture.pixels
        if padding != ((0, 0),) * 3:
            pixels = np.pad(pixels, padding, mode="edge")
        planes = pixels.transpose(2, 0, 1)  # (C, H, W), a view
        if planes.shape[0] == 1:
            planes = np.broadcast_to(planes, (3, *planes.shape[1:]))
        runner = self._runner(ANALYSIS, bound)
        centred = replace(runner, run=lambda p: runner.run({**p, "pixels": _centred(p["pixels"])}))
        (latents,) = centred({"pixels": planes})
        (hyper_latents,) = self._runner(HYPER_ANALYSIS, bound)({"latents": latents})
        objective = None if bound.adapters is None else bound.adapters.objective
        return Analysed(latents, hyper_latents, gains, objective)

    def code(self, picture: Picture, analysed: Analysed, d: int) -> Coded:
        """Code an analysed picture at `d` (in its units), decode it, and build the file. Where the
        analysis depends on d, it was done at this one."""
        setting = Setting(d, analysed.gains, analysed.objective)
        return self._finish(picture, *self._encode_latents(analysed, d), setting)

    def encode(
        self, picture: Picture, d: int, gains: Gains = ANCHOR, objective: str | None = None
    ) -> Coded:
        """Analyse and code `picture` at `d` (in its units) and `gains`, with the adapter set that
        :meth:`analyse` takes."""
        analysed = self.analyse(picture, gains, objective, d)
        streams, latents = self._encode_latents(analysed, d)
        setting = Setting(d, gains, analysed.objective)
        del analysed  # before the synthesis, where a large picture needs the most memory
        return self._finish(picture, streams, latents, setting)

    def _encode_latents(self, analysed: Analysed, d: int) -> tuple[tuple[Stream, ...], np.ndarray]:
        model = self._model(self._bound(Setting(d, analysed.gains, analysed.objective)))
        return encode_latents(model, analysed.latents, analysed.hyper_latents, d)

    def _finish(
        self,
        picture: Picture,
        streams: tuple[Stream, ...],
        latents: np.ndarray,
        setting: Setting,
    ) -> Coded:
        """Decode what was coded and build the file."""
        header = self._header(picture, setting)
        decoded = self._synthesise(latents, header)
        crc = _checksum(decoded, picture.alpha)
        data = self._file(picture, header, streams, _alpha_plane(picture), crc)
        return Coded(data, header, replace(picture, pixels=decoded))

    def _header(self, picture: Picture, setting: Setting) -> Header:
        height, width, channels = picture.pixels.shape
        gains, adapters = setting.gains, self._adapters(setting.gains, setting.objective)
        return Header(
            width=width,
            height=height,
            channels=channels,
            has_alpha=picture.alpha is not None,
            backbone=self.pack.backbone,
            weights_id=self.pack.weights_id,
            d_fraction_bits=self.pack.schedule.d_bits,
            d=setting.d,
            alpha=gains.alpha,
            beta=gains.beta,
            adapter_id=None if adapters is None else self.pack.adapter_ids[adapters.objective],
        )

    def _file(
        self,
        picture: Picture,
        header: Header,
        streams: tuple[Stream, ...],
        alpha_plane: bytes | None,
        pixel_crc: int,
    ) -> bytes:
        return write_file(
            LicFile(
                header=header,
                plan=storable_plan(self.pack.plan),
                streams=streams,
                pixel_crc=pixel_crc,
                alpha_plane=alpha_plane,
                metadata=Metadata(picture.icc, picture.exif, picture.xmp),
            )
        )

    def encode_at(self, picture: Picture, rate: Rate) -> Found[Coded]:
        """The coding at a rate, or the nearest one where it is a target out of reach.

        Raises UsageError for a value out of range and a mode that the pack does not have.
        """
        setting = self.rate_scale.setting(rate)
        if setting is not None:
            coded = self.encode(picture, setting.d, setting.gains, setting.objective)
            return Found(setting, coded, True)
        target = target_of(rate, picture.width, picture.height)
        return self.encode_to_target(picture, target, rate)

    def encode_to_target(
        self, picture: Picture, target: Target, rate: Rate | None = None
    ) -> Found[Coded]:
        """The coding that meets `target`, by the beta and the objective of `rate`.

        The analysis runs once, unless it depends on what the search is over, alpha or conditions
        by d; for a size, the synthesis runs once, too.
        """
        axis = self.rate_scale.axis(rate or Rate())
        analysed: dict[Setting, Analysed] = {}

        def encoded(setting: Setting) -> tuple[tuple[Stream, ...], np.ndarray]:
            key = setting if self.analysis_depends_on_d else replace(setting, d=0)
            if key not in analysed:
                analysed.clear()
                of_set = setting.gains, setting.objective
                analysed[key] = self.analyse(picture, *of_set, setting.d)
            return self._encode_latents(analysed[key], setting.d)

        if target.kind is TargetKind.PSNR:
            return search(
                axis,
                target,
                lambda setting: self._finish(picture, *encoded(setting), setting),
                lambda coded: psnr(picture.pixels, coded.picture.pixels),
            )
        alpha_plane = _alpha_plane(picture)

        def sized(setting: Setting) -> _Sized:
            streams, latents = encoded(setting)
            header = self._header(picture, setting)
            # Whatever the pixels' checksum is, the file is as long.
            data = self._file(picture, header, streams, alpha_plane, 0)
            return _Sized(len(data), streams, latents)

        found = search(axis, target, sized, lambda coded: coded.size)
        chosen = found.result
        coded = self._finish(picture, chosen.streams, chosen.latents, found.setting)
        return Found(found.setting, coded, found.met)

    # Decoding ------------------------------------------------------------------------------

    def decode(self, lic: LicFile) -> Picture:
        """Decode a file that names this codec's pack; the picture's notes are the file's warnings.

        Raises CorruptFileError where file and pack disagree or the payload is damaged, and
        PixelChecksumError where the pixels are not the encoder's.
        """
        self._check_agreement(lic)
        header = lic.header
        alpha = None
        if lic.alpha_plane is not None:
            alpha = decompress_alpha(lic.alpha_plane, header.height, header.width)
        latents = self._decode_latents(header, lic.streams)
        pixels = self._synthesise(latents, header)
        if _checksum(pixels, alpha) != lic.pixel_crc:
            raise PixelChecksumError(
                f"the decoded pixels do not match the file's checksum {lic.pixel_crc:08x} "
                f"(backend {self.backend}): the file is damaged, or this machine miscalculates"
            )
        metadata = lic.metadata
        return Picture(pixels, alpha, metadata.icc, metadata.exif, metadata.xmp, lic.warnings)

    def _check_agreement(self, lic: LicFile) -> None:
        header, schedule = lic.header, self.pack.schedule
        adapters = self._adapters_of(header)
        if header.adapter_id is not None and adapters is None:
            raise WeightsMissingError(
                f"the file needs the adapter set {header.adapter_id.hex()}, which the installed "
                f"pack {self.pack.title} does not have; install the one it was encoded with"
            )
        gains = header.gains.by_mode()
        modes = () if adapters is None else self.pack.gain_modes(adapters)
        disagreements = {
            "backbone": header.backbone != self.pack.backbone,
            "precision plan": lic.plan not in (None, self.pack.plan),
            "d's unit": header.d_fraction_bits != schedule.d_bits,
            "d": not schedule.d_low <= header.d <= schedule.d_high,
            **{mode: gains[mode] > 0 and mode not in modes for mode in gains},
        }
        for field, wrong in disagreements.items():
            if wrong:
                raise CorruptFileError(f"the file's header ({field}) disagrees with its pack")

    def _decode_latents(self, header: Header, streams: tuple[Stream, ...]) -> np.ndarray:
        schedule = self.pack.schedule
        shape = tuple(
            -(-side // schedule.alignment) * (schedule.alignment // schedule.hyper_stride)
            for side in (header.height, header.width)
        )
        model = self._model(self._bound_by(header))
        return decode_latents(model, streams, shape, header.d)

    def _synthesise(self, latents: np.ndarray, header: Header) -> np.ndarray:
        """Latents int16 (M, h, w) to the header's pixels, uint8 (height, width, channels)."""
        height, width, channels = header.height, header.width, header.channels
        pixels = np.empty((height, width, channels), np.uint8)
        runner = self._runner(self.pack.schedule.synthesis, self._bound_by(header))
        for top, strip in _strips(runner, latents):
            rows = min(strip.shape[1], height - top)
            if rows > 0:
                planes = strip[:, :rows, :width]
                pixels[top : top + rows] = (_grey(planes) if channels == 1 else planes).transpose(
                    1, 2, 0
                )
        return pixels


def _alpha_plane(picture: Picture) -> bytes | None:
    return None if picture.alpha is None else compress_alpha(picture.alpha)


def _strips(synthesis: PlaneRunner, latents: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Strips of samples with the row that each begins at."""
    top = 0
    for (strip,) in synthesis.strips({"latents": latents}):
        yield top, strip
        top += strip.shape[1]


def pixels_per_position(name: str, pack: Pack) -> int:
    """Pixels that one input position of a program stands for."""
    if name == ANALYSIS:
        return 1
    if name == pack.schedule.hyper_synthesis:
        return pack.schedule.hyper_stride**2
    return pack.schedule.latent_stride**2


def _centred(planes: np.ndarray) -> np.ndarray:
    """8-bit samples as the analysis takes them: 2 p - 255, int16."""
    return 2 * planes.astype(np.int16) - 255


def _grey(planes: np.ndarray) -> np.ndarray:
    """The rounded mean of three planes, (3, H, W) uint8 -> (1, H, W) uint8."""
    total = planes.sum(0, dtype=np.uint16)
    return ((2 * total + 3) // 6).astype(np.uint8)[None]


def _checksum(pixels: np.ndarray, alpha: np.ndarray | None) -> int:
    """CRC-32 over interleaved samples, then the alpha plane."""
    checksum = zlib.crc32(np.ascontiguousarray(pixels).data)
    return checksum if alpha is None else zlib.crc32(np.ascontiguousarray(alpha).data, checksum)
