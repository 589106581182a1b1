"""docs/commands.md: every command, argument and option, as `--help` has them.

scripts/make.py reference                     writes docs/commands.md
scripts/make.py reference -o commands.md      writes another file
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from licodec.cli.app import EXIT_CODES, app

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
HEAD = """# Commands

Made from the program's own `--help` by `scripts/make.py reference`. What rates mean is in
[rate.md](rate.md); who knows `cwebp`, `cjxl` or `avifenc` finds their options in
[coming-from.md](coming-from.md).

`licodec -V` prints the version, and with `-v` whether native code is there; every command has a
`--help`. `licodec --install-completion` sets up the shell's completion. `licodec models` alone is
`models list`.
"""
GENERAL = "Options"
HELP = "help"  # every command has it


def reference() -> str:
    """The whole page, as Markdown."""
    program: Any = typer.main.get_command(app)
    sections = [HEAD, *_sections(program, "licodec"), f"## Exit codes\n\n{EXIT_CODES}\n"]
    return "\n".join(sections)


def _sections(group: Any, path: str) -> Iterator[str]:
    for name in group.commands:
        one = group.commands[name]
        if hasattr(one, "commands"):
            yield from _sections(one, f"{path} {name}")
        else:
            yield _section(one, f"{path} {name}")


def _section(one: Any, path: str) -> str:
    arguments = [p for p in one.params if p.param_type_name == "argument"]
    options = [p for p in one.params if p.param_type_name == "option" and p.name != HELP]
    example = one.epilog.removeprefix("Example: ")
    called = " ".join([path, *map(_argument, arguments), "[OPTIONS]"])
    parts = [f"## {path}", one.help, f"    {called}", f"For example:\n\n    {example}"]
    parts += ["\n".join(f"- `{_argument(a)}`: {_text(a)}" for a in arguments)] if arguments else []
    panels = dict.fromkeys(p.rich_help_panel or GENERAL for p in options)
    for panel in sorted(panels, key=lambda title: title != GENERAL):
        rows = [_row(p) for p in options if (p.rich_help_panel or GENERAL) == panel]
        title = "" if panel == GENERAL else f"{panel}:\n\n"
        parts.append(f"{title}| option | meaning |\n|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _argument(argument: Any) -> str:
    name = argument.metavar + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _row(option: Any) -> str:
    """An option as a row of a table: its names and value, and what `--help` says of it."""
    names = ", ".join(sorted((*option.opts, *option.secondary_opts), key=len))
    value = "" if option.is_flag else f" {option.metavar or _values(option.type)}"
    return f"| `{names}{value}` | {_text(option)} |"


def _values(kind: Any) -> str:
    return "\\|".join(kind.choices) if hasattr(kind, "choices") else "N"


def _text(parameter: Any) -> str:
    """Its help, with its default where that is shown."""
    shown = parameter.show_default and parameter.default not in (None, False, ())
    default = getattr(parameter.default, "value", parameter.default)
    required = " Required." if parameter.required and parameter.param_type_name == "option" else ""
    text = f"{parameter.help}{f' Default: {default}.' if shown else ''}{required}"
    return re.sub(r"([*<|])", r"\\\1", text)  # none of them is markup here


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", dest="output", type=Path, default=REFERENCE)


def run(arguments: argparse.Namespace) -> None:
    arguments.output.write_text(reference(), encoding="utf-8")
