"""Weights packs: what they are, as files, what is checked of them, and where they are found.

Normative counterpart: format/SPEC.md, "Weights packs".
"""

from licodec.packs.checks import require_adapters, require_encoder
from licodec.packs.data import (
    ANALYSIS,
    ENCODER_PROGRAMS,
    HYPER_ANALYSIS,
    Pack,
    PackAdapters,
)
from licodec.packs.finding import (
    SEARCH_VARIABLE,
    choose_pack,
    embedded_folder,
    find_pack,
    found_packs,
    installed_packs,
    search_folders,
    user_folder,
)
from licodec.packs.storage import (
    LARGEST_PACK,
    SUFFIX,
    AdaptersName,
    PackName,
    is_objective,
    is_pack,
    open_pack,
    read_name,
    read_pack,
    write_pack,
)

__all__ = [
    "ANALYSIS",
    "ENCODER_PROGRAMS",
    "HYPER_ANALYSIS",
    "LARGEST_PACK",
    "SEARCH_VARIABLE",
    "SUFFIX",
    "AdaptersName",
    "Pack",
    "PackAdapters",
    "PackName",
    "choose_pack",
    "embedded_folder",
    "find_pack",
    "found_packs",
    "installed_packs",
    "is_objective",
    "is_pack",
    "open_pack",
    "read_name",
    "read_pack",
    "require_adapters",
    "require_encoder",
    "search_folders",
    "user_folder",
    "write_pack",
]
