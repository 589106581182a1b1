"""What a file's header says of pack and setting: written, and read."""

from __future__ import annotations

from typing import Any

from licodec.container import Header, LicFile
from licodec.errors import CorruptFileError, WeightsMissingError
from licodec.images import Picture
from licodec.packs import Pack
from licodec.rate.setting import Setting


def rate_fields(pack: Pack, setting: Setting) -> dict[str, Any]:
    """The fields of the header that state a setting, by name."""
    adapter_id = None if setting.objective is None else pack.adapter_ids[setting.objective]
    return {"d": setting.d, **setting.gains.by_mode(), "adapter_id": adapter_id}


def header_of(pack: Pack, setting: Setting, picture: Picture) -> Header:
    """The header of a picture's file."""
    return Header(
        width=picture.width,
        height=picture.height,
        channels=picture.channels,
        has_alpha=picture.alpha is not None,
        backbone=pack.backbone,
        weights_id=pack.weights_id,
        d_fraction_bits=pack.schedule.d_bits,
        **rate_fields(pack, setting),
    )


def setting_of(pack: Pack, lic: LicFile) -> Setting:
    """The setting that a file states.

    Raises CorruptFileError where it disagrees with the pack, and WeightsMissingError where the
    pack lacks its adapter set.
    """
    header, schedule = lic.header, pack.schedule
    adapters = None if header.adapter_id is None else pack.adapters_with_id(header.adapter_id)
    if header.adapter_id is not None and adapters is None:
        raise WeightsMissingError(
            f"the file needs the adapter set {header.adapter_id.hex()}, which the installed "
            f"pack {pack.title} does not have; install the one it was encoded with"
        )
    modes = () if adapters is None else pack.gain_modes(adapters)
    disagreements = {
        "backbone": header.backbone != pack.backbone,
        "precision plan": lic.plan not in (None, pack.plan),
        "d's unit": header.d_fraction_bits != schedule.d_bits,
        "d": not schedule.d_low <= header.d <= schedule.d_high,
        **{mode: gain > 0 and mode not in modes for mode, gain in header.gains.by_mode().items()},
    }
    for field, wrong in disagreements.items():
        if wrong:
            raise CorruptFileError(f"the file's header ({field}) disagrees with its pack")
    return Setting(header.d, header.gains, None if adapters is None else adapters.objective)
