"""The application: its commands, and what every one of them ends in."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from licodec.cli import commands, streams
from licodec.cli.process import INTERRUPTED
from licodec.cli.rendering import print_error
from licodec.errors import LicodecError, LimitError, UsageError
from licodec.files import display_name

# Typer's own usage errors (an unknown option, a missing argument): a class of click's in
# older versions, of Typer's in newer ones.
TyperUsageError: type[Any] = typer.BadParameter.__bases__[0]

EXIT_CODES = (
    "Exit codes: 0 done; 1 any other failure (a batch with failures, no space); 2 usage; "
    "3 bad input or corrupt file; 4 weights missing; 5 pixel checksum mismatch; 6 over a "
    "limit; 130 interrupted. Of several files the highest code counts."
)


class Commands(TyperGroup):
    """The group of commands: ends every error in one line and its exit code."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run the arguments given (sys.argv's by default) and exit."""
        options["standalone_mode"] = False
        try:
            code = super().main(*args, **options) or 0
        except TyperUsageError as error:
            print_error(f"{error.format_message().rstrip('.')}{_help_hint(error)}")
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


def _help_hint(error: Any) -> str:
    return f"; see '{error.ctx.command_path} --help'" if error.ctx is not None else ""


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
for command in (
    commands.encode,
    commands.decode,
    commands.batch,
    commands.info,
    commands.verify,
    commands.compare,
    commands.quantize,
):
    app.command()(command)

models = typer.Typer(name="models", help=commands.MODELS_SUMMARY, invoke_without_command=True)
models.callback()(commands.models)
models.command(name="list")(commands.models_list)
models.command(name="verify")(commands.models_verify)
models.command(name="install")(commands.models_install)
models.command(name="import")(commands.models_import)
app.add_typer(models)
