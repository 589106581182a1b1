"""Builds the native code, where a C compiler is there; everything else is in pyproject.toml."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from runpy import run_path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = Path("licodec/exact/native")
FINGERPRINT = run_path(str(FOLDER / "fingerprint.py"))["fingerprint"](FOLDER)
# No -march, no -ffast-math: one build serves every machine of its kind, and in floating point
# nothing is reordered or fused.
FLAGS = ["-O3", "-std=c11", "-ffp-contract=off", "-fvisibility=hidden"]
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # has no stable interface yet


class Library(build_ext):
    """Builds what Python calls by ctypes and does not import: it marks itself what it exports."""

    def get_export_symbols(self, extension: Extension) -> list[str]:
        return []


native = Extension(
    "licodec.exact.native._native",
    sources=sorted(str(path) for path in FOLDER.glob("*.c")),
    depends=sorted(str(path) for path in FOLDER.glob("*.h")),
    define_macros=[("LICODEC_FINGERPRINT", f"{FINGERPRINT}u")],
    extra_compile_args=[] if os.name == "nt" else FLAGS,
    py_limited_api=not FREE_THREADED,
    optional=True,
)

setup(
    cmdclass={"build_ext": Library},
    ext_modules=[native],
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
