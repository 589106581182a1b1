"""What can be typed. The work is imported when a command is called, so that help is instant."""

from __future__ import annotations

import typer

from licodec.cli import options, view_options
from licodec.cli.picture_options import (
    Background,
    TransparencyOptions,
    WritingOptions,
    parse_background,
)
from licodec.cli.rate_options import RateOptions
from licodec.cli.streams import say
from licodec.errors import UsageError

SUMMARY = "Learned image compression whose files decode to the same pixels everywhere."
MODELS_SUMMARY = "List, check and install weights packs."


def licodec(
    context: typer.Context,
    version: options.Version = False,
    verbose: options.VersionVerbose = False,
) -> int:
    """Show the help where no command is given."""
    if verbose and context.invoked_subcommand is not None:
        raise UsageError("-v goes with --version here; for a command, give it behind its name")
    if context.invoked_subcommand is not None:
        return 0
    say(context.get_help())
    return UsageError.exit_code


def encode(
    *,
    inputs: options.Pictures,
    output: options.EncodeOutput = None,
    force: options.Force = False,
    rate: RateOptions,
    pack: options.ModelOptions,
    framing: view_options.FramingOptions,
    transparency: TransparencyOptions,
    metadata: options.MetadataKept = options.ALL_METADATA,
    psnr: options.Psnr = False,
    machine: options.MachineOptions,
    said: options.VerbosityOptions,
) -> int:
    """Encode pictures into .lic files.

    Prints a line for each: bytes, bits per pixel, d (or lossless), PSNR with --psnr, and seconds.
    """
    wanted, kept = rate.chosen(), options.parse_metadata(metadata)
    on, verbosity = machine.chosen(), said.chosen()
    frame = framing.chosen()
    pack.check_beside(wanted)

    from licodec.cli.encode import EncodeSettings, encode_files

    settings = EncodeSettings(
        *(wanted, pack.model, pack.plan, kept, psnr, force, on),
        transparency.chosen(wanted),
        frame,
    )
    return encode_files(inputs, output, settings, verbosity)


def decode(
    *,
    inputs: options.LicFiles,
    output: options.DecodeOutput = None,
    force: options.Force = False,
    writing: WritingOptions,
    background: Background = None,
    crop: view_options.Crop = None,
    reduction: view_options.ReductionOptions,
    metadata: options.MetadataKept = options.ALL_METADATA,
    machine: options.MachineOptions,
    said: options.VerbosityOptions,
) -> int:
    """Decode .lic files into pictures, the same pixels on every machine."""
    kept, on, verbosity = options.parse_metadata(metadata), machine.chosen(), said.chosen()
    view = reduction.chosen(crop)

    from licodec.cli.decode import DecodeSettings, decode_files

    settings = DecodeSettings.chosen(writing, kept, force, on, parse_background(background), view)
    return decode_files(inputs, output, settings, verbosity)


def batch(
    *,
    folder: options.Folder,
    output: options.BatchOutput = None,
    decode: options.Decode = False,
    jobs: options.Jobs = None,
    selection: options.SelectionOptions,
    preserve: options.Preserve = False,
    force: options.BatchForce = False,
    dry_run: options.DryRun = False,
    rate: RateOptions,
    pack: options.ModelOptions,
    framing: view_options.FramingOptions,
    transparency: TransparencyOptions,
    writing: WritingOptions,
    reduction: view_options.ReductionOptions,
    metadata: options.MetadataKept = options.ALL_METADATA,
    psnr: options.Psnr = False,
    machine: options.MachineOptions,
    json: options.JsonLines = False,
    said: options.VerbosityOptions,
) -> int:
    """Encode all pictures of a folder and its subfolders, or decode all .lic files of one.

    The outputs form a mirrored tree. Beside them, in .licodec-batch.jsonl, stands what was made of
    what and how. So a batch that was stopped goes on where it was, and where a source or an option
    has changed the output is made anew. A file that batch has not made is an error, unless it is
    what would be made; --force alone replaces it. Pictures whose outputs would have one name, as
    of a.png and a.jpg, keep their suffixes: a.png.lic, a.jpg.lic.

    A bad file never stops the rest; the exit code is 1 if any failed. Names that begin with a dot,
    links to folders, what is no file, and OUT within DIR are passed over.
    """
    wanted, kept = rate.chosen(), options.parse_metadata(metadata)
    on, verbosity = machine.chosen(), said.chosen_beside(json)
    pack.check_beside(wanted)
    if decode and (psnr or rate != RateOptions()):
        raise UsageError("rate options and --psnr are for encoding; --decode takes none of them")
    if decode:
        pack.require_default()
        framing.require_no_encoding()
        transparency.require_no_encoding()
    else:
        writing.require_default()
        reduction.require_default()

    from licodec.cli.batch import BatchSettings, decode_tree, encode_tree
    from licodec.cli.decode import DecodeSettings
    from licodec.cli.encode import EncodeSettings

    files = selection.chosen()
    settings = BatchSettings(files, jobs, force, preserve, dry_run, json, verbosity)
    if decode:
        own = parse_background(transparency.background), reduction.chosen(framing.crop)
        decoding = DecodeSettings.chosen(writing, kept, force, on, *own)
        return decode_tree(folder, output, decoding, settings)
    stated = wanted, pack.model, pack.plan, kept, psnr, force, on
    encoding = EncodeSettings(*stated, transparency.chosen(wanted), framing.chosen())
    return encode_tree(folder, output, encoding, settings)


def info(
    inputs: options.LicFiles,
    json: options.Json = False,
    verbose: options.InfoVerbose = False,
) -> int:
    """Show what .lic files say about themselves, without decoding them."""
    verbosity = options.VerbosityOptions(verbose).chosen()

    from licodec.cli.info import info_json, info_text

    return (info_json if json else info_text)(inputs, verbosity)


def verify(
    *,
    inputs: options.LicFiles,
    machine: options.MachineOptions,
    said: options.VerbosityOptions,
) -> int:
    """Check that .lic files are whole and decode to the pixels that they promise.

    Each is decoded in memory. The exit code is the highest of the files'.
    """
    on, verbosity = machine.chosen(), said.chosen()

    from licodec.cli.verify import verify_files

    return verify_files(inputs, on, verbosity)


def models(context: typer.Context) -> int:
    """List the packs where no command is given."""
    return models_list() if context.invoked_subcommand is None else 0


def models_list(json: options.Json = False) -> int:
    """List the installed packs in the order in which they are searched.

    A star marks the one that encode takes of several with one model and plan.
    """
    from licodec.cli.models import list_json, list_text

    return list_json() if json else list_text()


def models_verify(packs: options.Packs = None, quiet: options.Quiet = False) -> int:
    """Read packs whole and check them: form, proved bounds, tables, and their ids."""
    verbosity = options.VerbosityOptions(quiet=quiet).chosen()

    from licodec.cli.models import verify_packs

    return verify_packs(packs or [], verbosity)


def models_install(pack: options.PackFile, quiet: options.Quiet = False) -> int:
    """Check a pack and copy it to where licodec finds it."""
    verbosity = options.VerbosityOptions(quiet=quiet).chosen()

    from licodec.cli.models import install_pack

    return install_pack(pack, verbosity)
