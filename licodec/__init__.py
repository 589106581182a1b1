"""licodec: learned image compression whose files decode to the same pixels everywhere.

data = licodec.encode(pixels, d=8)     # a .lic file as bytes
picture = licodec.decode(data)         # picture.pixels: (H, W, C) uint8
licodec.read_info(data)["bpp"]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from licodec.forks import watch_forks

if TYPE_CHECKING:
    from licodec.api import decode, encode, read_info
    from licodec.images import Picture

    __version__: str

watch_forks()

__all__ = ["Picture", "__version__", "decode", "encode", "read_info"]

_HOMES = {
    "decode": "licodec.api",
    "encode": "licodec.api",
    "read_info": "licodec.api",
    "Picture": "licodec.images",
}


def __getattr__(name: str) -> Any:
    """Load the public names on first use: `import licodec` stays instant."""
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'licodec' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def _version() -> str:
    # It takes as long to import as all that a short command needs.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("licodec")
    except PackageNotFoundError:  # a checkout that was not installed
        return "0+unknown"
