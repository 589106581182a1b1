"""`import licodec.pillow` makes Pillow, and what stands on it, read and write .lic files.

Image.open("photo.lic")             size, mode and metadata; pixels when they are needed
image.save("photo.lic", d=4)        options by the names that `licodec.encode` has
image.thumbnail((256, 256))         decodes box means, the fewest that it takes
"""

from __future__ import annotations

from typing import IO, Any, BinaryIO, cast

from PIL import Image, ImageFile

from licodec.container import MAGIC, MAX_LIC_FILE_BYTES, LicFile, LosslessFile, read_file
from licodec.errors import LicodecError, UsageError
from licodec.files import read_at_most

FORMAT, SUFFIX, MIME_TYPE = "LIC", ".lic", "image/x-licodec"

_OPTIONS = (
    *("d", "quality", "target_bpp", "target_size", "target_psnr", "alpha", "beta", "objective"),
    *("lossless", "background", "keep_hidden_colors", "crop", "resize", "model", "plan", "backend"),
)
_METADATA = ("icc_profile", "exif", "xmp")
_SCALES = (8, 4, 2)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


class LicImageFile(ImageFile.ImageFile):
    """A .lic file that Pillow has opened."""

    format = FORMAT
    format_description = "licodec picture"

    def _open(self) -> None:
        assert self.fp is not None
        head = self.fp.read(len(MAGIC))
        if not _accept(head):
            raise SyntaxError("not a .lic file")
        try:
            stream = cast(BinaryIO, self.fp)
            self._lic = read_file(head + read_at_most(stream, MAX_LIC_FILE_BYTES, "the file"))
        except LicodecError as error:
            raise OSError(str(error)) from error
        self._scale = 1
        header = self._lic.header
        self._size = header.width, header.height
        self._mode = {1: "L", 3: "RGB"}[header.channels] + "A" * header.has_alpha
        self.tile = [ImageFile._Tile("lic", (0, 0, *self._size), 0, None)]  # for `load` to decode
        self.info.update(_info(self._lic))

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Decode a half, a quarter or an eighth of the sides, where that is no less than `size`."""
        if not self.tile or size is None:  # a copy that was pickled has pixels alone
            return None
        header = self._lic.header
        least = min(header.width // max(1, size[0]), header.height // max(1, size[1]))
        self._scale = next((scale for scale in _SCALES if scale <= least), 1)
        self._size = -(-header.width // self._scale), -(-header.height // self._scale)
        return self.mode, (0, 0, header.width / self._scale, header.height / self._scale)

    def load_seek(self, pos: int) -> None:
        """Say to ImageFile.Parser, by being there, that it is `load` that decodes."""

    def load(self) -> Any:
        """Decode the pixels, once. Raises OSError."""
        if self.tile:
            self.im = _decoded(self._lic, self._scale).im
            self.tile = []
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()


def _info(lic: LicFile | LosslessFile) -> dict[str, Any]:
    metadata = lic.metadata
    exif = None if metadata.exif is None else b"Exif\0\0" + metadata.exif
    blocks = zip(_METADATA, (metadata.icc, exif, metadata.xmp), strict=True)
    return {name: block for name, block in blocks if block is not None}


def _decoded(lic: LicFile | LosslessFile, scale: int) -> Image.Image:
    # Imported here, so that registering the format takes no time.
    from licodec.api import shared_library
    from licodec.images.views import View

    try:
        library = shared_library(None)
        return library.decode_with(library.codec_for(lic), lic, View(scale=scale)).to_image()
    except LicodecError as error:
        raise OSError(str(error)) from error


def _block(name: str, given: object) -> bytes | str | None:
    """Metadata as it is given to `save`. Raises TypeError."""
    if isinstance(given, Image.Exif):
        return given.tobytes()
    if given is None or isinstance(given, (bytes, str)):
        return given
    raise TypeError(f"{name} is {type(given).__name__}, not bytes")


def _save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    from licodec.api import encode

    given = image.encoderinfo
    replaced = {name: given[name] for name in _METADATA if name in given}
    if replaced:
        image = image.copy()
        for name, block in replaced.items():
            image.info[name] = _block(name, block)
    try:
        data = encode(image, **{name: given[name] for name in _OPTIONS if name in given})
    except UsageError as error:
        raise ValueError(str(error)) from error
    except LicodecError as error:
        raise OSError(str(error)) from error
    stream.write(data)


Image.register_open(FORMAT, LicImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, SUFFIX)
Image.register_mime(FORMAT, MIME_TYPE)
