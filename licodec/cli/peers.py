"""Options of cwebp, cjxl, avifenc and their decoders, and what a command of ours has for them."""

from __future__ import annotations

from collections.abc import Collection

_FORMATS = ("-ppm", "-pgm", "-bmp", "-tiff")
_EFFORTS = ("-m", "-e", "-s", "--effort", "--speed")
OURS = {
    "-size": "--target-size",
    "-psnr": "--target-psnr",
    "-l": "--lossless",
    "-z": "--lossless",
    "--distance": "--d",
    "-exact": "--keep-hidden-colors",
    "--keep_invisible": "--keep-hidden-colors",
    "-noalpha": "--background",
    "-blend_alpha": "--background",
    "--alpha_blend": "--background",
    "-resize": "--scale",
    "--resize": "--scale",
    "--downsampling": "--scale",
    "-q": "--output-quality",
    "--quality": "--output-quality",
    "--png-compress": "--compress",
    "-x": "--metadata",
    "--strip": "--metadata",
    "--ignore-exif": "--metadata",
    "--ignore-xmp": "--metadata",
    "--ignore-icc": "--metadata",
    "-mt": "--threads",
    "-j": "--threads",
    "--num_threads": "--threads",
} | dict.fromkeys(_FORMATS, "--format")


def counterpart(words: Collection[str], known: Collection[str]) -> str | None:
    """What to say of the first of the words that is a peer's option, where the command has one
    for it; `known` are the command's options."""
    for word in (word.partition("=")[0] for word in words):
        if word in known:
            continue
        if OURS.get(word) in known:
            return f"in the place of {word} there is {OURS[word]}"
        if f"-{word}" in known:
            return f"long options have two dashes: -{word}"
        if word in _EFFORTS and "--lossless" in known:
            return f"{word}: there is no effort to choose, it is always the most"
    return None
