"""The coding that meets a target, with as few analyses and syntheses as it takes."""

from __future__ import annotations

from collections.abc import Callable

from licodec.codec.session import Analysed, Coded, CodedLatents, Session, alpha_chunk
from licodec.container import write_file
from licodec.images import Picture, psnr
from licodec.rate.setting import Setting
from licodec.rate.targets import Axis, Found, Target, TargetKind, search

Open = Callable[[Setting], Session]


class SharedAnalysis:
    """One picture's analysis for sessions one after the other: done anew only where one sees the
    picture otherwise than the one before, as by another alpha or by conditions at another d."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._conditions: object = None
        self._analysed: Analysed | None = None

    def at(self, session: Session) -> Analysed:
        """The analysis as `session` does it."""
        if self._analysed is None or self._conditions != session.analysis_conditions:
            self._analysed = None  # first, as a large picture's takes much memory
            self._conditions = session.analysis_conditions
            self._analysed = session.analyse(self._picture)
        return self._analysed


def encode_to_target(at: Open, picture: Picture, axis: Axis, target: Target) -> Found[Coded]:
    """The coding on `axis` that meets `target`, or the nearest one; `at` opens sessions.

    For a size, the synthesis runs once.
    """
    shared = SharedAnalysis(picture)

    def coded(session: Session) -> CodedLatents:
        return session.code_latents(shared.at(session))

    if target.kind is TargetKind.PSNR:

        def whole(setting: Setting) -> Coded:
            session = at(setting)
            return session.finish(picture, coded(session))

        return search(axis, target, whole, lambda c: psnr(picture.pixels, c.picture.pixels))
    alpha_plane = alpha_chunk(picture)

    def sized(setting: Setting) -> tuple[int, CodedLatents]:
        session = at(setting)
        latents = coded(session)
        # Whatever the pixels' checksum is, the file is as long.
        lic = session.file(picture, latents, alpha_plane, pixel_crc=0)
        return len(write_file(lic)), latents

    found = search(axis, target, sized, lambda attempt: attempt[0])
    _, latents = found.result
    return Found(found.setting, at(found.setting).finish(picture, latents), found.met)
