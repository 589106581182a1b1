"""Options that belong together, declared once as a dataclass: each field is an option."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter
from typing import Any, get_type_hints


def grouped(command: Callable[..., int]) -> Callable[..., int]:
    """A command as typer takes it: in the place of every parameter that is such a dataclass its
    fields, of which the dataclass is made again for the call."""
    signature = inspect.signature(command, eval_str=True)
    groups = {
        name: kind
        for name, parameter in signature.parameters.items()
        if isinstance(kind := parameter.annotation, type) and is_dataclass(kind)
    }

    def parameters() -> Iterator[Parameter]:
        for name, parameter in signature.parameters.items():
            if name in groups:
                yield from _options(groups[name])
            else:
                yield parameter.replace(kind=Parameter.KEYWORD_ONLY)

    @functools.wraps(command)
    def call(**given: Any) -> int:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**given, **made)

    # What inspect reads in the place of a function's own.
    call.__signature__ = signature.replace(  # type: ignore[attr-defined]  # no callable has it
        parameters=list(parameters())
    )
    return call


def _options(group: type) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        default = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(
            field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
        )
