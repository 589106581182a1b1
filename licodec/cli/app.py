"""The application: its commands, and what every one of them ends in."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import typer
from typer.core import TyperGroup

from licodec.cli import commands, streams
from licodec.cli.groups import grouped
from licodec.cli.process import INTERRUPTED
from licodec.cli.rendering import print_error
from licodec.errors import LicodecError, LimitError, UsageError
from licodec.files import display_name
from licodec.lazily import Lazily

# Typer's own usage errors (an unknown option, a missing argument): a class of click's in
# older versions, of Typer's in newer ones.
TyperUsageError: type[Any] = typer.BadParameter.__bases__[0]

EXIT_CODES = (
    "Exit codes: 0 done; 1 any other failure (a batch with failures, no space); 2 usage; "
    "3 bad input or corrupt file; 4 weights missing; 5 pixel checksum mismatch; 6 over a "
    "limit; 130 interrupted. Of several files the highest code counts."
)


class Commands(TyperGroup):
    """The group of commands, each made when it is asked for: ends every error in one line and its
    exit code."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        lazily: Any = Lazily((*COMMANDS, "models"), _command)  # a mapping that is only read
        self.commands = lazily

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run the arguments given (sys.argv's by default) and exit."""
        options["standalone_mode"] = False
        try:
            code = super().main(*args, **options) or 0
        except TyperUsageError as error:
            typed = options.get("args") or (args[0] if args else None) or sys.argv[1:]
            print_error(f"{_in_plain_words(error)}{_help_hint(error, typed)}")
            code = UsageError.exit_code
        except LicodecError as error:
            print_error(str(error))
            code = error.exit_code
        except OSError as error:
            print_error(_system_error(error))
            streams.abandon(streams.Channel.OUTPUT)  # it may be what failed, and keeps its buffer
            code = LicodecError.exit_code
        except RuntimeError as error:
            if "home directory" not in str(error):
                raise
            print_error("this user has no home folder, where completion is installed; set HOME")
            code = LicodecError.exit_code
        except MemoryError:
            print_error("not enough memory")
            code = LimitError.exit_code
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        if code == INTERRUPTED:
            print_error("interrupted")
        sys.exit(code)


def _in_plain_words(error: Any) -> str:
    """Typer's message without its names of types."""
    message: str = error.format_message().rstrip(".")
    for name, plain in (("int", "a whole number"), ("float", "a number")):
        message = re.sub(f"is not a valid {name}( range)?$", f"is not {plain}", message)
    return message


def _help_hint(error: Any, typed: Sequence[str]) -> str:
    """What to do about a usage error: an option may be a peer's, or have cwebp's one dash."""
    if error.ctx is None:
        return ""
    known = {name for p in error.ctx.command.params for name in (*p.opts, *p.secondary_opts)}
    from licodec.cli.peers import counterpart

    ours = counterpart([word for word in typed if len(word) > 1 and word[0] == "-"], known)
    return f"; {ours}" if ours else f"; see '{error.ctx.command_path} --help'"


def _system_error(error: OSError) -> str:
    """What to say of an error that no command foresees."""
    try:
        os.getcwd()
    except OSError:
        return "the working directory does not exist any more; change to one that does"
    if error.filename is None and error.errno == errno.ENOSPC:  # of the help: files are named
        return str(streams.output_failed(error))
    where = "" if error.filename is None else f"{display_name(os.fsdecode(error.filename))}: "
    return where + (error.strerror or str(error))


class Entry(NamedTuple):
    """Where the function of a command is, and a call of it as its help shows it."""

    module: str
    function: str
    example: str


PLAIN, PACKS = "licodec.cli.commands", "licodec.cli.pack_commands"
COMMANDS = {
    "encode": Entry(PLAIN, "encode", "licodec encode photo.png -o photo.lic --d 4"),
    "decode": Entry(PLAIN, "decode", "licodec decode photo.lic -o photo.png"),
    "batch": Entry(PLAIN, "batch", "licodec batch photographs -o archive -q 60"),
    "info": Entry(PLAIN, "info", "licodec info --json photo.lic"),
    "verify": Entry(PLAIN, "verify", "licodec verify archive/*.lic"),
    "compare": Entry(
        "licodec.cli.compare_options",
        "compare",
        "licodec compare photo.png --ds 1,4 --codecs webp,avif -o page.html",
    ),
    "quantize": Entry(
        PACKS,
        "quantize",
        "licodec quantize checkpoint.pt --size 25% --calibrate photographs -o quarter.safetensors",
    ),
}
MODELS_COMMANDS = {
    "list": Entry(PLAIN, "models_list", "licodec models list --json"),
    "verify": Entry(PLAIN, "models_verify", "licodec models verify lite"),
    "install": Entry(PLAIN, "models_install", "licodec models install quarter.safetensors"),
    "import": Entry(
        PACKS,
        "models_import",
        "licodec models import stf_0130_best.pth.tar --backbone stf --calibrate photographs "
        "-o stf.safetensors",
    ),
}


def _command(name: str) -> Any:
    """Of the first level, where "models" is a group."""
    return typer.main.get_group(models) if name == "models" else _made(name, COMMANDS[name])


def _made(name: str, entry: Entry) -> Any:
    """A command for Typer. Reading the declarations of all takes as long as some commands do."""
    alone = typer.Typer(add_completion=False)
    function = getattr(import_module(entry.module), entry.function)
    alone.command(name, help=_unwrapped(function.__doc__), epilog=f"Example: {entry.example}")(
        grouped(function)
    )
    return typer.main.get_command(alone)


def _unwrapped(text: str) -> str:
    """A docstring with a line for each paragraph: the terminal's width breaks it, not ours."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


class ModelsCommands(TyperGroup):
    """The group of the commands for packs, each made when it is asked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        lazily: Any = Lazily(MODELS_COMMANDS, lambda name: _made(name, MODELS_COMMANDS[name]))
        self.commands = lazily


models = typer.Typer(
    name="models", cls=ModelsCommands, help=commands.MODELS_SUMMARY, invoke_without_command=True
)
models.callback()(commands.models)
app = typer.Typer(
    name="licodec",
    cls=Commands,
    help=commands.SUMMARY,
    epilog=EXIT_CODES,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(commands.licodec)
