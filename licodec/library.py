"""Codecs by pack, opened once each: what a batch or a service keeps.

Native code starts at once. Where there is none, importing torch and proving a backend takes
seconds. The reference backend needs neither, and codes a small picture in less. So there each pack
begins on the reference, and goes on with the fastest exact backend once it has been given more to
do than such a start is worth: at worst that takes twice as long as whichever would have been
better from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from licodec.codec import CUDA, REFERENCE, Codec, decode_lossless, pixels_per_position
from licodec.container import LicFile, LosslessFile, read_file
from licodec.errors import PixelChecksumError
from licodec.exact.backends import native
from licodec.exact.work import multiplications
from licodec.forks import is_fork_of_torch
from licodec.images import Picture
from licodec.images.views import WHOLE, View
from licodec.packs import ENCODER_PROGRAMS, Pack, PackName, find_pack, open_pack, require_encoder
from licodec.rate.modes import Rate

# Multiplications that the reference does in about the time that the others take to start.
START_WORK = 3e10
ATTEMPTS = 8  # of a search for a target, about


class PackCodecs:
    """The codecs of one pack.

    `backend` forces one. Otherwise the reference does the first `start_work` multiplications,
    none of them where that is 0, and the fastest backend that proves exact the others. None is
    what the start is worth here.
    """

    def __init__(
        self, pack: Pack, backend: str | None = None, start_work: float | None = None
    ) -> None:
        self.pack = pack
        self._backend = backend
        self._fastest: Codec | None = None
        if start_work is None:
            start_work = START_WORK if native.obstacle() else 0.0
        self._work_left = start_work if backend is None else 0.0

    def require_backend(self) -> None:
        """Raise LicodecError where a backend was asked for that cannot encode here."""
        if self._backend is not None:
            self.fastest.prepare_encoding()

    @property
    def fastest(self) -> Codec:
        """On the backend that was asked for, or on the fastest. Raises LicodecError where it
        cannot run."""
        self._work_left = 0.0  # what has started does everything
        lost = self._fastest is not None and self._fastest.backend == CUDA and is_fork_of_torch()
        if self._fastest is None or lost:
            self._fastest = Codec(self.pack, self._backend)
        return self._fastest

    @cached_property
    def reference(self) -> Codec:
        """On the reference backend, which runs everywhere and starts at once."""
        return Codec(self.pack, REFERENCE)

    def to_encode(self, width: int, height: int, rate: Rate) -> Codec:
        """The codec for a picture of so many pixels each way, ready.

        Raises UsageError for a pack that decodes alone, CorruptFileError where its programs of
        encoders do not fit, and LicodecError as `fastest`.
        """
        require_encoder(self.pack)
        attempts = ATTEMPTS if rate.is_target else 1
        codec = self._for_work(lambda: self._encoding_work * attempts, width, height)
        codec.prepare_encoding()
        return codec

    def to_decode(self, width: int, height: int) -> Codec:
        """The codec for a file of a picture of so many pixels each way. Raises LicodecError as
        `fastest`."""
        return self._for_work(lambda: self._decoding_work, width, height)

    @cached_property
    def _decoding_work(self) -> float:
        """Multiplications for each pixel."""
        return self._work(self.pack.schedule.program_order)

    @cached_property
    def _encoding_work(self) -> float:
        """The same; an encoder decodes, too."""
        return self._decoding_work + self._work(ENCODER_PROGRAMS)

    def _work(self, programs: Iterable[str]) -> float:
        pack = self.pack
        return sum(
            float(multiplications(pack.checked[name])) / pixels_per_position(name, pack)
            for name in programs
        )

    def _for_work(self, per_pixel: Callable[[], float], width: int, height: int) -> Codec:
        """The codec for so much work for each pixel, those of the padding included."""
        if not self._work_left:
            return self.fastest
        alignment = self.pack.schedule.alignment
        columns, rows = (-(-side // alignment) * alignment for side in (width, height))
        work = per_pixel() * columns * rows
        if work > self._work_left:
            return self.fastest
        self._work_left -= work
        return self.reference


class Library:
    """The codecs of every pack that was needed; `backend` and `start_work` are those of each."""

    def __init__(self, backend: str | None = None, start_work: float | None = None) -> None:
        self._backend, self._start_work = backend, start_work
        self._codecs: dict[Path, tuple[PackName, PackCodecs]] = {}

    def open(self, name: PackName) -> PackCodecs:
        """The codecs of an installed pack."""
        own, codecs = self._codecs.get(name.path, (None, None))
        if codecs is None or own != name:
            codecs = PackCodecs(open_pack(name.path), self._backend, self._start_work)
            self._codecs[name.path] = name, codecs
        return codecs

    def codecs_for(self, lic: LicFile) -> PackCodecs:
        """The codecs of the pack that a file names. Raises WeightsMissingError."""
        wanted, adapter_id = lic.header.weights_id, lic.header.adapter_id
        for name, codecs in self._codecs.values():
            if name.weights_id == wanted and name.has_adapters(adapter_id):
                return codecs
        return self.open(find_pack(wanted, lic.header.backbone, adapter_id))

    def codec_for(self, lic: LicFile | LosslessFile) -> Codec | None:
        """The codec to decode a file with, None where that takes no network. Raises
        WeightsMissingError."""
        if isinstance(lic, LosslessFile):
            return None
        return self.codecs_for(lic).to_decode(lic.header.width, lic.header.height)

    def decode(self, data: bytes, view: View = WHOLE) -> Picture:
        """Decode the bytes of a .lic file; see `decode_with`."""
        lic = read_file(data)
        return self.decode_with(self.codec_for(lic), lic, view)

    def decode_with(
        self, codec: Codec | None, lic: LicFile | LosslessFile, view: View = WHOLE
    ) -> Picture:
        """Decode a file, or a view of it, with the codec that `codec_for` gave.

        A checksum failure is tried again on the reference backend before it is reported.
        Raises CorruptFileError, LimitError, WeightsMissingError, PixelChecksumError, and
        UsageError for a crop that is not within the picture.
        """
        if isinstance(lic, LosslessFile):
            return view.of(decode_lossless(lic))
        if codec is None:
            raise ValueError("a network's file takes a codec")
        try:
            return codec.decode(lic, view)
        except PixelChecksumError:
            if codec.backend == REFERENCE:
                raise
            return self.codecs_for(lic).reference.decode(lic, view)
