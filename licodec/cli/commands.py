"""What can be typed. The work is imported when a command is called, so that help is instant."""

from __future__ import annotations

import typer

from licodec.cli import compare_options, options
from licodec.cli.streams import say
from licodec.compare.matching import Equal
from licodec.errors import UsageError
from licodec.exact.backends.torch_loading import import_torch

SUMMARY = "Learned image compression whose files decode to the same pixels everywhere."
MODELS_SUMMARY = "List, check and install weights packs."


def licodec(context: typer.Context, version: options.Version = False) -> int:
    """Show the help where no command is given."""
    return _without_command(context) if context.invoked_subcommand is None else 0


def _without_command(context: typer.Context) -> int:
    say(context.get_help())
    return UsageError.exit_code


def encode(
    inputs: options.Pictures,
    output: options.EncodeOutput = None,
    force: options.Force = False,
    d: options.D = None,
    quality: options.Quality = None,
    target_bpp: options.TargetBpp = None,
    target_size: options.TargetSize = None,
    target_psnr: options.TargetPsnr = None,
    alpha: options.Alpha = None,
    beta: options.Beta = None,
    objective: options.Objective = None,
    model: options.Model = options.DEFAULT_MODEL,
    plan: options.Plan = options.DEFAULT_PLAN,
    metadata: options.MetadataKept = options.ALL_METADATA,
    psnr: options.Psnr = False,
    backend: options.BackendName = None,
    device: options.DeviceName = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Encode pictures into .lic files.

    Prints a line for each: bytes, bits per pixel, d, PSNR with --psnr, and seconds.
    """
    given = (d, quality, target_bpp, target_size, target_psnr, alpha, beta, objective)
    rate = options.parse_rate(*given)
    kept = options.parse_metadata(metadata)
    machine = options.choose_machine(backend, device, threads)
    verbosity = options.choose_verbosity(verbose, quiet)

    from licodec.cli.encode import EncodeSettings, encode_files

    settings = EncodeSettings(rate, model, plan, kept, psnr, force, machine)
    return encode_files(inputs, output, settings, verbosity)


def decode(
    inputs: options.LicFiles,
    output: options.DecodeOutput = None,
    force: options.Force = False,
    format: options.Format = None,
    metadata: options.MetadataKept = options.ALL_METADATA,
    backend: options.BackendName = None,
    device: options.DeviceName = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Decode .lic files into pictures, the same pixels on every machine."""
    kept = options.parse_metadata(metadata)
    machine = options.choose_machine(backend, device, threads)
    verbosity = options.choose_verbosity(verbose, quiet)

    from licodec.cli.decode import DecodeSettings, choose_format, decode_files

    settings = DecodeSettings(choose_format(format), kept, force, machine)
    return decode_files(inputs, output, settings, verbosity)


def batch(
    folder: options.Folder,
    output: options.BatchOutput = None,
    decode: options.Decode = False,
    jobs: options.Jobs = None,
    include: options.Include = None,
    exclude: options.Exclude = None,
    preserve: options.Preserve = False,
    force: options.BatchForce = False,
    dry_run: options.DryRun = False,
    d: options.D = None,
    quality: options.Quality = None,
    target_bpp: options.TargetBpp = None,
    target_size: options.TargetSize = None,
    target_psnr: options.TargetPsnr = None,
    alpha: options.Alpha = None,
    beta: options.Beta = None,
    objective: options.Objective = None,
    model: options.Model = options.DEFAULT_MODEL,
    plan: options.Plan = options.DEFAULT_PLAN,
    format: options.Format = None,
    metadata: options.MetadataKept = options.ALL_METADATA,
    psnr: options.Psnr = False,
    backend: options.BackendName = None,
    device: options.DeviceName = None,
    threads: options.Threads = None,
    json: options.JsonLines = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Encode all pictures of a folder and its subfolders, or decode all .lic files of one.

    The outputs form a mirrored tree. Beside them, in .licodec-batch.jsonl, stands
    what was made of what and how. So a batch that was stopped goes on where it was,
    and where a source or an option has changed the output is made anew. A file that
    batch has not made is an error, unless it is what would be made; --force alone
    replaces it. Pictures whose outputs would have one name (a.png and a.jpg in one
    folder) keep their suffixes: a.png.lic, a.jpg.lic.

    A bad file never stops the rest; the exit code is 1 if any failed. Names that
    begin with a dot, links to folders, what is no file, and OUT within DIR are
    passed over.
    """
    given = (d, quality, target_bpp, target_size, target_psnr, alpha, beta, objective)
    rate = options.parse_rate(*given)
    kept = options.parse_metadata(metadata)
    machine = options.choose_machine(backend, device, threads)
    verbosity = options.choose_verbosity(verbose, quiet)
    if json and quiet:
        raise UsageError("--json and --quiet exclude each other; give one of them")
    if decode and (psnr or any(value is not None for value in given)):
        raise UsageError("rate options and --psnr are for encoding; --decode takes none of them")
    if format is not None and not decode:
        raise UsageError("--format is for --decode; encoding writes .lic files")

    from licodec.batches.selection import Selection
    from licodec.cli.batch import BatchSettings, decode_tree, encode_tree
    from licodec.cli.decode import DecodeSettings, choose_format
    from licodec.cli.encode import EncodeSettings

    selection = Selection(tuple(include or ()), tuple(exclude or ()))
    settings = BatchSettings(selection, jobs, force, preserve, dry_run, json, verbosity)
    if decode:
        decoding = DecodeSettings(choose_format(format), kept, force, machine)
        return decode_tree(folder, output, decoding, settings)
    encoding = EncodeSettings(rate, model, plan, kept, psnr, force, machine)
    return encode_tree(folder, output, encoding, settings)


def info(
    inputs: options.LicFiles,
    json: options.Json = False,
    verbose: options.InfoVerbose = False,
) -> int:
    """Show what .lic files say about themselves, without decoding them."""
    verbosity = options.choose_verbosity(verbose, quiet=False)

    from licodec.cli.info import info_json, info_text

    return (info_json if json else info_text)(inputs, verbosity)


def verify(
    inputs: options.LicFiles,
    backend: options.BackendName = None,
    device: options.DeviceName = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Check that .lic files are whole and decode to the pixels that they promise.

    Each is decoded in memory. The exit code is the highest of the files'.
    """
    machine = options.choose_machine(backend, device, threads)
    verbosity = options.choose_verbosity(verbose, quiet)

    from licodec.cli.verify import verify_files

    return verify_files(inputs, machine, verbosity)


def compare(
    inputs: options.Pictures,
    output: compare_options.PageOutput = None,
    force: options.Force = False,
    ds: compare_options.Ds = compare_options.DEFAULT_DS,
    codecs: compare_options.Codecs = None,
    at_equal: compare_options.AtEqual = Equal.SIZE,
    crop: compare_options.CropShown = None,
    model: options.Model = options.DEFAULT_MODEL,
    plan: options.Plan = options.DEFAULT_PLAN,
    json: options.Json = False,
    backend: options.BackendName = None,
    device: options.DeviceName = None,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Compare licodec with JPEG, WebP, AVIF and JPEG XL on pictures.

    Each picture is coded at every d, and by the other codecs as near to that in
    size, or in quality, as they come. Sizes, PSNR, MS-SSIM and SSIMULACRA 2 are
    printed; with -o there is a page of them, too, with curves, and with crops to
    wipe between.
    """
    wanted = compare_options.parse_ds(ds)
    machine = options.choose_machine(backend, device, threads)
    verbosity = options.choose_verbosity(verbose, quiet)
    if json and quiet:
        raise UsageError("--json and --quiet exclude each other; give one of them")

    from licodec.cli.compare import CompareSettings, compare_files

    settings = CompareSettings(
        wanted, codecs, at_equal, crop, model, plan, force, json, machine
    )
    return compare_files(inputs, output, settings, verbosity)


def quantize(
    checkpoint: options.Checkpoint,
    size: options.WeightsSize,
    output: options.PackOutput,
    backbone: options.ImportedBackbone = None,
    adapters: options.SeparateAdapters = None,
    calibrate: options.Calibrate = None,
    rule: options.AllocationRule = options.Rule.GREEDY,
    state: options.SearchState = None,
    plan_name: options.PlanName = options.DEFAULT_PACK_PLAN,
    seed: options.Seed = 1,
    pictures: options.PictureCount = 24,
    crops: options.CropCount = 8,
    crop_size: options.CropSize = 256,
    objective: options.ImportedObjective = None,
    force: options.Force = False,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Make a weights pack of a given size from a checkpoint of any backbone (FMPQ).

    Searches how many bits each layer needs: it measures what quantizing one layer alone does
    to rate and distortion on calibration pictures. An interrupted search goes on where it was
    when the same command is given again.
    """
    wanted = options.parse_pack_size(size)
    verbosity = options.choose_verbosity(verbose, quiet)

    import_torch()
    from licodec.cli.quantize import QuantizeSettings
    from licodec.cli.quantize import quantize as run

    settings = QuantizeSettings(
        wanted,
        rule.value,
        calibrate,
        state,
        plan_name,
        seed,
        pictures,
        crops,
        crop_size,
        force,
        threads,
        backbone,
        tuple(adapters or ()),
        objective,
    )
    return run(checkpoint, output, settings, verbosity)


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
    verbosity = options.choose_verbosity(False, quiet)

    from licodec.cli.models import verify_packs

    return verify_packs(packs or [], verbosity)


def models_install(pack: options.PackFile, quiet: options.Quiet = False) -> int:
    """Check a pack and copy it to where licodec finds it."""
    verbosity = options.choose_verbosity(False, quiet)

    from licodec.cli.models import install_pack

    return install_pack(pack, verbosity)


def models_import(
    checkpoint: options.PublishedCheckpoint,
    output: options.PackOutput,
    backbone: options.ImportedBackbone = None,
    adapters: options.SeparateAdapters = None,
    calibrate: options.Calibrate = None,
    bits: options.ImportedBits = options.WeightBits.EIGHT,
    plan_name: options.PlanName = options.DEFAULT_PLAN,
    pictures: options.ImportPictureCount = 8,
    objective: options.ImportedObjective = None,
    force: options.Force = False,
    threads: options.Threads = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> int:
    """Make a weights pack from a published checkpoint of stf, tcm, icm or cheng-attn.

    Every key and shape is checked, the ranges of all values are measured on pictures, and the
    network is compiled into exact arithmetic. Adapters, in the checkpoint or in --adapters (which
    may be given twice), become the pack's adapter set.
    """
    verbosity = options.choose_verbosity(verbose, quiet)

    import_torch()
    from licodec.cli.models_import import ImportSettings, import_checkpoint

    settings = ImportSettings(
        backbone, calibrate, int(bits.value), plan_name, pictures, objective, force, threads,
        tuple(adapters or ()),
    )  # fmt: skip
    return import_checkpoint(checkpoint, output, settings, verbosity)
