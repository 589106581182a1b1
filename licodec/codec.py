"""The two flows: pixels to a .lic file, and back.

    encode:  pixels -> analysis -> y, z -> entropy model -> streams -> container
    decode:  container -> streams <-> entropy model -> latents -> synthesis -> pixels

Every network runs in exact arithmetic, the encoder's too, so that the same pixels and
settings give the same file on every machine, and a file the same pixels.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from licodec.container import (
    Header,
    LicFile,
    Metadata,
    Stream,
    check_picture_size,
    read_file,
    storable_plan,
    write_file,
)
from licodec.entropy.slices import EntropyModel, decode_latents, encode_latents
from licodec.errors import CorruptFileError, PixelChecksumError, WeightsMissingError
from licodec.exact.gains import ANCHOR, Gains
from licodec.exact.interpreter import Interpreter, choose
from licodec.exact.planes import PlaneRunner
from licodec.images import Picture, compress_alpha, decompress_alpha, psnr
from licodec.packs import Pack, PackName, find_pack, read_pack
from licodec.rate import Found, Rate, RateScale, Setting, Target, TargetKind, search, target_of

REFERENCE = "reference"
STRIP_PIXELS = 1 << 22  # pixels of one strip; smaller pictures run whole
ANALYSIS, HYPER_ANALYSIS = ENCODER_PROGRAMS = "analysis", "hyper_analysis"


@dataclass(frozen=True)
class Analysed:
    """What coding needs of a picture: its latents, for any d.

    latents        int16 (M, h, w), in units of 2^-g
    hyper_latents  int16 (Z, H, W), integers
    gains          those that the picture was analysed with
    """

    latents: np.ndarray
    hyper_latents: np.ndarray
    gains: Gains = ANCHOR


@dataclass(frozen=True)
class Coded:
    """One coding of a picture: the file, its header, and what decoding it gives."""

    data: bytes
    header: Header
    picture: Picture

    @property
    def d(self) -> float:
        return self.header.d_value


class Codec:
    """One weights pack on one backend: encodes and decodes pictures."""

    def __init__(self, pack: Pack, backend: str | None = None) -> None:
        self.pack = pack
        self.interpreter: Interpreter = choose(backend, pack.programs, pack.tensors)
        schedule = pack.schedule
        self._runners = {
            name: self._bound(name)
            for name in (*schedule.program_order, *ENCODER_PROGRAMS)
            if name in pack.programs
        }
        self.entropy_model = EntropyModel(
            schedule, self._runners, pack.tables, pack.distortion_weight
        )

    def _bound(self, name: str) -> PlaneRunner:
        return PlaneRunner.bind(
            self.pack.programs[name],
            self.pack.tensors,
            self.interpreter.prepare(self.pack.programs[name]),
            STRIP_PIXELS // _pixels_per_position(name, self.pack),
        )

    def _runner(self, name: str) -> PlaneRunner:
        """A bound program; those of the adapter set are bound when they are first needed."""
        if name not in self._runners:
            self._runners[name] = self._bound(name)
        return self._runners[name]

    @property
    def backend(self) -> str:
        return self.interpreter.backend

    @property
    def rate_scale(self) -> RateScale:
        return RateScale(self.pack.title, self.pack.schedule, self.pack.rate_modes)

    # Encoding ------------------------------------------------------------------------------

    def analyse(self, picture: Picture, gains: Gains = ANCHOR) -> Analysed:
        """Run the analysis transforms over `picture`, padded by edge replication.

        Gains that are not neutral are of a pack that has them (Pack.gain_modes).
        """
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
        runner = self._runner(ANALYSIS if gains.neutral else self.pack.adapters.analysis)
        centred = replace(runner, run=lambda p: runner.run({**p, "pixels": _centred(p["pixels"])}))
        (latents,) = centred({"pixels": planes, **self._numbers(gains)})
        (hyper_latents,) = self._runners[HYPER_ANALYSIS]({"latents": latents})
        return Analysed(latents, hyper_latents, gains)

    def code(self, picture: Picture, analysed: Analysed, d: int) -> Coded:
        """Code an analysed picture at `d` (units of 2^-g), decode it, and build the file."""
        return self._finish(picture, *self._encode_latents(analysed, d), Setting(d, analysed.gains))

    def encode(self, picture: Picture, d: int, gains: Gains = ANCHOR) -> Coded:
        """Analyse and code `picture` at `d` (units of 2^-g) and `gains`."""
        analysed = self.analyse(picture, gains)
        streams, latents = self._encode_latents(analysed, d)
        del analysed  # before the synthesis, where a large picture needs the most memory
        return self._finish(picture, streams, latents, Setting(d, gains))

    def _numbers(self, gains: Gains) -> dict[str, np.ndarray]:
        """What the number ports of the adapter set's programs are given; nothing at the anchor."""
        if gains.neutral:
            return {}
        values = gains.by_mode(self.pack.gain_modes)
        return {mode: np.array(value) for mode, value in values.items()}

    def _encode_latents(self, analysed: Analysed, d: int) -> tuple[tuple[Stream, ...], np.ndarray]:
        return encode_latents(self.entropy_model, analysed.latents, analysed.hyper_latents, d)

    def _finish(
        self,
        picture: Picture,
        streams: tuple[Stream, ...],
        latents: np.ndarray,
        setting: Setting,
    ) -> Coded:
        """Decode what was coded and build the file."""
        height, width, channels = picture.pixels.shape
        schedule, gains = self.pack.schedule, setting.gains
        header = Header(
            width=width,
            height=height,
            channels=channels,
            has_alpha=picture.alpha is not None,
            backbone=self.pack.backbone,
            weights_id=self.pack.weights_id,
            d_fraction_bits=schedule.latent_fraction_bits,
            d=setting.d,
            alpha=gains.alpha,
            beta=gains.beta,
            adapter_id=None if gains.neutral else self.pack.adapter_id,
        )
        decoded = self._synthesise(latents, header)
        lic = LicFile(
            header=header,
            plan=storable_plan(self.pack.plan),
            streams=streams,
            pixel_crc=_checksum(decoded, picture.alpha),
            alpha_plane=None if picture.alpha is None else compress_alpha(picture.alpha),
            metadata=Metadata(picture.icc, picture.exif, picture.xmp),
        )
        return Coded(write_file(lic), header, replace(picture, pixels=decoded))

    def encode_at(self, picture: Picture, rate: Rate) -> Found[Coded]:
        """The coding at a rate, or the nearest one where it is a target out of reach.

        Raises UsageError for a value out of range and a mode that the pack does not have.
        """
        setting = self.rate_scale.setting(rate)
        if setting is not None:
            return Found(setting, self.encode(picture, setting.d, setting.gains), True)
        return self.encode_to_target(picture, target_of(rate, picture.width, picture.height))

    def encode_to_target(self, picture: Picture, target: Target) -> Found[Coded]:
        """The coding that meets `target`; the analysis runs once, unless the search is over
        alpha, which the analysis depends on."""
        analysed: dict[Gains, Analysed] = {}

        def attempt(setting: Setting) -> Coded:
            if setting.gains not in analysed:
                analysed.clear()
                analysed[setting.gains] = self.analyse(picture, setting.gains)
            return self.code(picture, analysed[setting.gains], setting.d)

        measure: Callable[[Coded], float] = (
            (lambda coded: len(coded.data))
            if target.kind is TargetKind.SIZE
            else (lambda coded: psnr(picture.pixels, coded.picture.pixels))
        )
        return search(self.rate_scale, target, attempt, measure)

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
        if header.adapter_id not in (None, self.pack.adapter_id):
            raise WeightsMissingError(
                f"the file needs the adapter set {header.adapter_id.hex()}, which the installed "
                f"pack {self.pack.title} does not have; install the one it was encoded with"
            )
        gains = header.gains.by_mode()
        disagreements = {
            "backbone": header.backbone != self.pack.backbone,
            "precision plan": lic.plan not in (None, self.pack.plan),
            "d's unit": header.d_fraction_bits != schedule.latent_fraction_bits,
            "d": not schedule.d_low <= header.d <= schedule.d_high,
            **{mode: gains[mode] > 0 and mode not in self.pack.gain_modes for mode in gains},
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
        return decode_latents(self.entropy_model, streams, shape, header.d)

    def _synthesise(self, latents: np.ndarray, header: Header) -> np.ndarray:
        """Latents int16 (M, h, w) to the header's pixels, uint8 (height, width, channels)."""
        height, width, channels = header.height, header.width, header.channels
        pixels = np.empty((height, width, channels), np.uint8)
        for top, strip in self._synthesis_strips(latents, header.gains):
            rows = min(strip.shape[1], height - top)
            if rows > 0:
                planes = strip[:, :rows, :width]
                pixels[top : top + rows] = (_grey(planes) if channels == 1 else planes).transpose(
                    1, 2, 0
                )
        return pixels

    def _synthesis_strips(
        self, latents: np.ndarray, gains: Gains
    ) -> Iterator[tuple[int, np.ndarray]]:
        adapted = not gains.neutral
        name = self.pack.adapters.synthesis if adapted else self.pack.schedule.synthesis
        top = 0
        for (strip,) in self._runner(name).strips({"latents": latents, **self._numbers(gains)}):
            yield top, strip
            top += strip.shape[1]


def _pixels_per_position(name: str, pack: Pack) -> int:
    """Pixels that one input position of a program stands for."""
    if name == ANALYSIS or (pack.adapters is not None and name == pack.adapters.analysis):
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


class Library:
    """Codecs by pack, opened once each: what a batch or a service keeps.

    `backend` forces one; otherwise each pack runs on the fastest that proves exact.
    """

    def __init__(self, backend: str | None = None) -> None:
        self._backend = backend
        self._codecs: dict[tuple[bytes, bytes | None], Codec] = {}

    def open(self, name: PackName) -> Codec:
        """The codec of an installed pack."""
        key = name.weights_id, name.adapter_id
        if key not in self._codecs:
            self._codecs[key] = Codec(read_pack(name.path), self._backend)
        return self._codecs[key]

    def codec_for(self, lic: LicFile) -> Codec:
        """The codec of the pack that a file names. Raises WeightsMissingError."""
        wanted, adapter_id = lic.header.weights_id, lic.header.adapter_id
        for (weights_id, own), codec in self._codecs.items():
            if weights_id == wanted and adapter_id in (None, own):
                return codec
        return self.open(find_pack(wanted, lic.header.backbone, adapter_id))

    def decode(self, data: bytes) -> Picture:
        """Decode the bytes of a .lic file; see `decode_file`."""
        return self.decode_file(read_file(data))

    def decode_file(self, lic: LicFile) -> Picture:
        """Decode a file.

        A checksum failure is tried again on the reference backend before it is reported.
        Raises CorruptFileError, LimitError, WeightsMissingError, PixelChecksumError.
        """
        codec = self.codec_for(lic)
        try:
            return codec.decode(lic)
        except PixelChecksumError:
            if codec.backend == REFERENCE:
                raise
            return Codec(codec.pack, REFERENCE).decode(lic)
