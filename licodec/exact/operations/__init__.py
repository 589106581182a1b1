"""The kinds of operation: form, legality, bounds, reference kernel, reach and trials of each.

Normative counterpart: format/SPEC.md, "Programs". A new kind is a record in the module of its
family; the fast backends have kernels of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from licodec.exact.operations import attention, convolution, normalization, pointwise, shapes
from licodec.exact.operations.kind import OperationKind

FAMILIES = (convolution, pointwise, normalization, attention, shapes)
KINDS: Mapping[str, OperationKind] = MappingProxyType(
    {kind.name: kind for family in FAMILIES for kind in family.KINDS}
)
"""By name, in the order of SPEC.md."""
