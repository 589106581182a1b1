"""A codec at one setting: everything that coding and decoding take is bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from licodec.codec.headers import header_of
from licodec.codec.pixels import (
    PixelCheck,
    centred,
    checksum,
    joined,
    padded_planes,
    pixel_rows,
)
from licodec.codec.programs import BoundPrograms
from licodec.container import (
    Header,
    LicFile,
    LosslessHeader,
    Metadata,
    Stream,
    Tiles,
    check_picture_size,
    storable_plan,
    write_file,
)
from licodec.entropy.model import EntropyModel
from licodec.entropy.slices import decode_latents, encode_latents
from licodec.entropy.tiled import choose_tiles
from licodec.errors import PixelChecksumError
from licodec.exact.planes import PlaneRunner
from licodec.images import Picture, compress_alpha, decompress_alpha
from licodec.images.views import WHOLE, Crop, Reduction, View
from licodec.packs import ANALYSIS, HYPER_ANALYSIS, Pack, PackAdapters, require_encoder
from licodec.rate.conditions import HYPER_STEPS, STEPS, value
from licodec.rate.setting import Setting

TILED_PIXELS = 1 << 24  # with their padding, from which on planes are cut into tiles


@dataclass(frozen=True)
class Analysed:
    """What coding needs of a picture.

    latents        int16 (M, h, w), in units of 2^-g
    hyper_latents  int16 (Z, H, W), integers
    """

    latents: np.ndarray
    hyper_latents: np.ndarray


@dataclass(frozen=True)
class CodedLatents:
    """Streams, the latents int16 (M, h, w) that decoding them gives, and the tiles, where planes
    are cut into those."""

    streams: tuple[Stream, ...]
    latents: np.ndarray
    tiles: Tiles | None


@dataclass(frozen=True)
class Coded:
    """One coding of a picture: the file, its header, and what decoding it gives."""

    data: bytes
    header: Header | LosslessHeader
    picture: Picture

    @property
    def d(self) -> float | None:
        """None where no network coded it."""
        return self.header.d_value if isinstance(self.header, Header) else None


@dataclass(frozen=True)
class Session:
    """A codec at one setting.

    adapters  the adapter set in force, whose objective `setting` names; None at the anchor
    programs  bound where the conditions of this setting are
    """

    pack: Pack
    setting: Setting
    adapters: PackAdapters | None
    programs: BoundPrograms

    @property
    def _stand_ins(self) -> Mapping[str, str]:
        return {} if self.adapters is None else self.adapters.programs

    def runner(self, name: str) -> PlaneRunner:
        """What runs in the place of a program, with the gains. Raises LicodecError where the
        backend cannot run it."""
        runner = self.programs.runner(name, self._stand_ins)
        return runner.with_numbers(self.setting.gains.by_mode())

    @property
    def backend(self) -> str:
        """What decodes."""
        return self.programs.interpreter(self.pack.schedule.synthesis, self._stand_ins).backend

    @cached_property
    def entropy_model(self) -> EntropyModel:
        """The schedule's programs, with the steps of this setting."""
        pack, setting = self.pack, self.setting
        runners = {name: self.runner(name) for name in pack.schedule.program_order}
        weight = pack.distortion_weight
        model = EntropyModel(pack.schedule, runners, pack.tables, setting.d, weight)
        if self.adapters is not None:
            model = replace(model, step_shares=self.adapters.step_shares_at(setting.gains.beta))
        place = self.programs.place
        if place is None:
            return model
        steps, hyper_steps = (value(name, pack.tensors, place) for name in (STEPS, HYPER_STEPS))
        return replace(model, steps=steps, hyper_steps=hyper_steps[:, None, None])

    # Encoding ------------------------------------------------------------------------------

    @property
    def analysis_conditions(self) -> object:
        """What the analysis depends on: sessions in which it is equal analyse alike."""
        return self.setting.gains, self.setting.objective, self.programs.place

    def analyse(self, picture: Picture) -> Analysed:
        """Run the analysis transforms over `picture`, padded by edge replication.

        Raises LimitError, and CorruptFileError where those of the adapters do not fit.
        """
        check_picture_size(picture.width, picture.height)
        if self.adapters is not None:
            require_encoder(self.pack, self.adapters)
        planes = padded_planes(picture.pixels, self.pack.schedule.alignment)
        runner = self.runner(ANALYSIS)
        # Centred strip by strip: of a whole picture it would take much memory.
        analysis = replace(runner, run=lambda p: runner.run({**p, "pixels": centred(p["pixels"])}))
        (latents,) = analysis({"pixels": planes})
        (hyper_latents,) = self.runner(HYPER_ANALYSIS)({"latents": latents})
        return Analysed(latents, hyper_latents)

    def encode(self, picture: Picture) -> Coded:
        """Analyse and code `picture`. Raises LimitError."""
        # Analysed latents go before the synthesis, where a large picture needs the most memory.
        return self.finish(picture, self.code_latents(self.analyse(picture)))

    def code(self, picture: Picture, analysed: Analysed) -> Coded:
        """Code a picture that a session of the same conditions of analysis has analysed."""
        return self.finish(picture, self.code_latents(analysed))

    def code_latents(self, analysed: Analysed) -> CodedLatents:
        """Code latents, without their synthesis; those of a large picture in tiles."""
        model, hyper_latents = self.entropy_model, analysed.hyper_latents
        _, rows, columns = hyper_latents.shape
        tiles = None
        if rows * columns * self.pack.schedule.hyper_stride**2 >= TILED_PIXELS:
            tiles = choose_tiles(model, (rows, columns))
        return CodedLatents(*encode_latents(model, analysed.latents, hyper_latents, tiles))

    def finish(self, picture: Picture, coded: CodedLatents) -> Coded:
        """Decode what was coded and build the file."""
        shape = picture.height, picture.width, picture.channels
        pixels = self.synthesise(coded.latents, shape)
        pixel_crc = checksum(pixels, picture.alpha)
        lic = self.file(picture, coded, alpha_chunk(picture), pixel_crc)
        return Coded(write_file(lic), lic.header, replace(picture, pixels=pixels))

    def file(
        self,
        picture: Picture,
        coded: CodedLatents,
        alpha_plane: bytes | None,
        pixel_crc: int,
    ) -> LicFile:
        """The file of a picture; `alpha_plane` is what ``alpha_chunk`` gives."""
        return LicFile(
            header=header_of(self.pack, self.setting, picture),
            plan=storable_plan(self.pack.plan),
            streams=coded.streams,
            tiles=coded.tiles,
            pixel_crc=pixel_crc,
            alpha_plane=alpha_plane,
            metadata=Metadata(picture.icc, picture.exif, picture.xmp),
        )

    # Decoding ------------------------------------------------------------------------------

    def decode(self, lic: LicFile, view: View = WHOLE) -> Picture:
        """Decode a file of this setting, or a view of it; the picture's notes are the file's
        warnings.

        Of a crop no more is decoded than it takes, and the pixels' checksum, which is that of all,
        is not compared. Raises CorruptFileError where the payload is damaged, PixelChecksumError
        where the pixels are not the encoder's, and UsageError for a crop that is not within.
        """
        header = lic.header
        part = view.part(header.width, header.height)
        alpha = None
        if lic.alpha_plane is not None:
            alpha = decompress_alpha(lic.alpha_plane, header.height, header.width)
        check: PixelCheck | None = None
        if part.is_whole(header.width, header.height):
            rows = self._rows(self._latents(lic), (part.height, part.width, header.channels))
            check = PixelCheck()
            rows = map(check.add, rows)
        else:
            rows = self._rows_of_part(lic, part)
            if alpha is not None:
                alpha = part.cut(alpha)
        divisor = view.divisor(part)
        if divisor == 1:
            shape, plane = (part.height, part.width, header.channels), alpha
            pixels = joined(rows, shape)
        else:
            pixels, plane = Reduction(divisor, alpha).of(rows)
        if check is not None and check.result(alpha) != lic.pixel_crc:
            raise PixelChecksumError(
                f"the decoded pixels do not match the file's checksum {lic.pixel_crc:08x} "
                f"(backend {self.backend}): the file is damaged, or this machine miscalculates"
            )
        metadata = lic.metadata
        found = Picture(pixels, plane, metadata.icc, metadata.exif, metadata.xmp, lic.warnings)
        return view.finish(found, header.width, header.height)

    def _hyper_shape(self, header: Header) -> tuple[int, int]:
        schedule = self.pack.schedule
        positions = schedule.alignment // schedule.hyper_stride
        rows, columns = (
            -(-side // schedule.alignment) * positions for side in (header.height, header.width)
        )
        return rows, columns

    def _latents(self, lic: LicFile) -> np.ndarray:
        """All latents, int16 (M, h, w). Raises CorruptFileError."""
        hyper_shape = self._hyper_shape(lic.header)
        return decode_latents(self.entropy_model, lic.streams, hyper_shape, lic.tiles)

    def _rows_of_part(self, lic: LicFile, part: Crop) -> Iterator[np.ndarray]:
        """The pixels (rows, W, C) of a part, from top to bottom. Raises CorruptFileError."""
        # Here, so that whole pictures do not wait for it.
        from licodec.entropy.regions import decode_region
        from licodec.exact.boxes import Box, Window, input_box

        schedule, model, header = self.pack.schedule, self.entropy_model, lic.header
        hyper_shape, stride = self._hyper_shape(header), schedule.latent_stride
        _, height, width = model.latent_shape(hyper_shape)
        whole = Box(0, height, 0, width)
        pixels = Box(part.top, part.top + part.height, part.left, part.left + part.width)
        read = input_box(self.runner(schedule.synthesis), pixels.coarser(stride), whole)
        if lic.tiles is None:
            latents = Window(self._latents(lic), whole).of(read)
        else:
            latents = decode_region(model, lic.streams, hyper_shape, lic.tiles, read).planes
        corner = part.top - stride * read.top, part.left - stride * read.left
        return self._rows(latents, (part.height, part.width, header.channels), corner)

    def _rows(
        self, latents: np.ndarray, shape: tuple[int, int, int], corner: tuple[int, int] = (0, 0)
    ) -> Iterator[np.ndarray]:
        """What latents int16 (M, h, w) give, as :func:`pixel_rows` yields it."""
        strips = self.runner(self.pack.schedule.synthesis).strips({"latents": latents})
        return pixel_rows((strip for (strip,) in strips), corner, shape)

    def synthesise(self, latents: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """Latents int16 (M, h, w) to pixels uint8 of `shape` (height, width, channels)."""
        return joined(self._rows(latents, shape), shape)


def alpha_chunk(picture: Picture) -> bytes | None:
    """The alpha plane as it stands in a file, None where the picture has none."""
    return None if picture.alpha is None else compress_alpha(picture.alpha)
