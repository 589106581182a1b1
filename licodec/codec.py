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
from licodec.exact.gains import ANCHOR, Gains
from licodec.exact.interpreter import Interpreter, choose
from licodec.exact.planes import PlaneRunner
from licodec.images import Picture, compress_alpha, decompress_alpha, psnr
from licodec.packs import ANALYSIS, ENCODER_PROGRAMS, HYPER_ANALYSIS, Pack, PackAdapters
from licodec.rate import Rate, RateScale, Setting, target_of
from licodec.targets import Found, Target, TargetKind, search

CUDA, REFERENCE = "cuda", "reference"
STRIP_PIXELS = 1 << 22  # pixels of one strip; smaller pictures run whole


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


class Codec:
    """One weights pack on one backend: encodes and decodes pictures."""

    def __init__(self, pack: Pack, backend: str | None = None) -> None:
        self.pack = pack
        self._requested = backend
        self._interpreters: dict[tuple[str | None, tuple[str, ...]], Interpreter] = {}
        self._runners: dict[str, PlaneRunner] = {}
        order = dict.fromkeys(pack.schedule.program_order)
        runners = {name: self._runner(name, ANCHOR, None) for name in order}
        self.entropy_model = EntropyModel(
            pack.schedule, runners, pack.tables, pack.distortion_weight
        )

    @property
    def interpreter(self) -> Interpreter:
        """What decodes without adapters."""
        return self._interpreter_of(self.pack.schedule.program_order, None)

    def _interpreter_of(
        self, places: tuple[str, ...], adapters: PackAdapters | None
    ) -> Interpreter:
        """The interpreter of the programs `places`, or of a set's stand-ins for them: made when it
        is first needed, as proving a backend takes time. Raises LicodecError as ``choose``."""
        key = (None if adapters is None else adapters.objective, places)
        if key not in self._interpreters:
            names = places
            if adapters is not None:
                names = tuple(adapters.programs[n] for n in places if n in adapters.programs)
            own = {name: self.pack.programs[name] for name in names}
            self._interpreters[key] = choose(self._requested, own, self.pack.tensors)
        return self._interpreters[key]

    def _runner(self, place: str, gains: Gains, adapters: PackAdapters | None) -> PlaneRunner:
        """The program that runs in the place of a program: itself or its stand-in."""
        stand_in = None if adapters is None else adapters.programs.get(place)
        name = stand_in or place
        if name not in self._runners:
            # What only encoders run is proved by itself: decoding does without.
            decoders = self.pack.schedule.program_order
            places = ENCODER_PROGRAMS if place in ENCODER_PROGRAMS else decoders
            interpreter = self._interpreter_of(places, adapters if stand_in else None)
            program = self.pack.programs[name]
            self._runners[name] = PlaneRunner.bind(
                program,
                self.pack.tensors,
                interpreter.prepare(program),
                STRIP_PIXELS // pixels_per_position(place, self.pack),
            )
        return self._runners[name].with_numbers(gains.by_mode())

    def _model(self, gains: Gains, adapters: PackAdapters | None) -> EntropyModel:
        """The entropy model, with the stand-ins of an adapter set."""
        if adapters is None:
            return self.entropy_model
        own = {n: self._runner(n, gains, adapters) for n in self.pack.schedule.program_order}
        shares = adapters.step_shares_at(gains.beta)
        return replace(self.entropy_model, runners=own, step_shares=shares)

    def _adapters(self, gains: Gains, objective: str | None) -> PackAdapters | None:
        """The adapter set to encode with. Raises UsageError where the pack has none."""
        found = None if gains.neutral else self.rate_scale.adapters_for(gains, objective)
        return None if found is None else self.pack.adapters_named(found.objective)

    @property
    def backend(self) -> str:
        """That of :attr:`interpreter`."""
        return self.interpreter.backend

    @property
    def rate_scale(self) -> RateScale:
        return RateScale(self.pack.title, self.pack.schedule, self.pack.adapter_rates)

    # Encoding ------------------------------------------------------------------------------

    def prepare_encoding(self) -> None:
        """Prove and bind what encoding without adapters runs beside decoding, once.

        It is done when it is first needed, too: this is for taking the time. Raises LicodecError
        as ``choose``.
        """
        for place in ENCODER_PROGRAMS:
            self._runner(place, ANCHOR, None)

    def analyse(
        self, picture: Picture, gains: Gains = ANCHOR, objective: str | None = None
    ) -> Analysed:
        """Run the analysis transforms over `picture`, padded by edge replication.

        `objective` names an adapter set of the pack; None takes the one that serves `gains`.
        Raises UsageError where there is none.
        """
        adapters = self._adapters(gains, objective)
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
        runner = self._runner(ANALYSIS, gains, adapters)
        centred = replace(runner, run=lambda p: runner.run({**p, "pixels": _centred(p["pixels"])}))
        (latents,) = centred({"pixels": planes})
        (hyper_latents,) = self._runner(HYPER_ANALYSIS, gains, adapters)({"latents": latents})
        return Analysed(
            latents, hyper_latents, gains, None if adapters is None else adapters.objective
        )

    def code(self, picture: Picture, analysed: Analysed, d: int) -> Coded:
        """Code an analysed picture at `d` (units of 2^-g), decode it, and build the file."""
        setting = Setting(d, analysed.gains, analysed.objective)
        return self._finish(picture, *self._encode_latents(analysed, d), setting)

    def encode(
        self, picture: Picture, d: int, gains: Gains = ANCHOR, objective: str | None = None
    ) -> Coded:
        """Analyse and code `picture` at `d` (units of 2^-g) and `gains`, with the adapter set that
        :meth:`analyse` takes."""
        analysed = self.analyse(picture, gains, objective)
        streams, latents = self._encode_latents(analysed, d)
        setting = Setting(d, gains, analysed.objective)
        del analysed  # before the synthesis, where a large picture needs the most memory
        return self._finish(picture, streams, latents, setting)

    def _encode_latents(self, analysed: Analysed, d: int) -> tuple[tuple[Stream, ...], np.ndarray]:
        gains = analysed.gains
        model = self._model(gains, self._adapters(gains, analysed.objective))
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
            d_fraction_bits=self.pack.schedule.latent_fraction_bits,
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

        The analysis runs once, unless the search is over alpha, which the analysis depends on;
        for a size, the synthesis runs once, too.
        """
        axis = self.rate_scale.axis(rate or Rate())
        analysed: dict[Gains, Analysed] = {}

        def encoded(setting: Setting) -> tuple[tuple[Stream, ...], np.ndarray]:
            gains = setting.gains
            if gains not in analysed:
                analysed.clear()
                analysed[gains] = self.analyse(picture, gains, setting.objective)
            return self._encode_latents(analysed[gains], setting.d)

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
            "d's unit": header.d_fraction_bits != schedule.latent_fraction_bits,
            "d": not schedule.d_low <= header.d <= schedule.d_high,
            **{mode: gains[mode] > 0 and mode not in modes for mode in gains},
        }
        for field, wrong in disagreements.items():
            if wrong:
                raise CorruptFileError(f"the file's header ({field}) disagrees with its pack")

    def _adapters_of(self, header: Header) -> PackAdapters | None:
        """The adapter set that a file names, None where it names none or the pack lacks it."""
        if header.adapter_id is None:
            return None
        return self.pack.adapters_with_id(header.adapter_id)

    def _decode_latents(self, header: Header, streams: tuple[Stream, ...]) -> np.ndarray:
        schedule = self.pack.schedule
        shape = tuple(
            -(-side // schedule.alignment) * (schedule.alignment // schedule.hyper_stride)
            for side in (header.height, header.width)
        )
        model = self._model(header.gains, self._adapters_of(header))
        return decode_latents(model, streams, shape, header.d)

    def _synthesise(self, latents: np.ndarray, header: Header) -> np.ndarray:
        """Latents int16 (M, h, w) to the header's pixels, uint8 (height, width, channels)."""
        height, width, channels = header.height, header.width, header.channels
        pixels = np.empty((height, width, channels), np.uint8)
        runner = self._runner(self.pack.schedule.synthesis, header.gains, self._adapters_of(header))
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
