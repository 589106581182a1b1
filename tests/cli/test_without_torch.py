"""What an installation without torch does, and what it says of the rest."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from licodec.exact.backends.torch_loading import INSTALL
from tests.cli.shell import sh

ABSENT = 'raise ModuleNotFoundError("No module named \'torch\'", name="torch")\n'
PROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"


@pytest.fixture
def without_torch(tmp_path: Path) -> str:
    """A search path for modules on which torch is as if it were not installed."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "torch.py").write_text(ABSENT)
    return os.pathsep.join([str(folder), str(PROJECT.parent)])


def test_the_main_jobs_go_without_it(photo: Path, pack_path: Path, without_torch: str) -> None:
    script = f"""set -e
        mkdir tree; cp photo.png tree
        licodec encode photo.png
        licodec decode photo.lic -o back.png
        licodec info -v photo.lic
        licodec verify photo.lic
        licodec batch tree -o made --jobs 2 --quiet
        cmp photo.lic made/photo.lic
        licodec models verify "{pack_path}"
        licodec models install "{pack_path}"
        licodec models
    """
    done = sh(script, photo.parent, PYTHONPATH=without_torch)
    assert (done.code, done.errors) == (0, "")


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("quantize a.pt --size 5M -o a.safetensors", "quantize"),
        ("models import a.pt -o a.safetensors", "models import"),
    ],
)
def test_what_needs_it_says_how_to_install_it(
    command: str, what: str, tmp_path: Path, without_torch: str
) -> None:
    done = sh(f"licodec {command}", tmp_path, PYTHONPATH=without_torch)
    assert done.code == 1
    assert done.error == f"error: {what} needs torch, and it is not installed: {INSTALL}"


def test_so_do_its_backends(lic: Path, without_torch: str) -> None:
    done = sh("licodec decode photo.lic --backend int8", lic.parent, PYTHONPATH=without_torch)
    assert done.code == 1
    assert f"it is not installed: {INSTALL}; leave it out" in done.error


def test_the_project_says_which_torch() -> None:
    if not PROJECT.is_file():
        pytest.skip("no checkout")
    project = tomllib.loads(PROJECT.read_text())["project"]
    (wanted,) = project["optional-dependencies"]["torch"]
    assert f'pip install "{wanted}"' == INSTALL
    assert not any("torch" in needed for needed in project["dependencies"])
