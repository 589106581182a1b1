"""Which backend is used, why, and that torch is imported only for those that need it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest

from licodec.errors import LicodecError, UsageError
from licodec.exact import interpreter
from licodec.exact.backends import native, reference
from licodec.exact.bounds import check
from licodec.exact.passes import FLOAT32_KERNEL
from tests.exact.programs import synthesis


def tiny() -> tuple[dict, dict]:
    checked = check(*synthesis(8, (8, 8, 8), (1, 1, 1)))
    latents = np.random.default_rng(0).integers(-(2**15), 2**15, (8, 3, 4))
    return {checked.name: checked}, {"latents": latents}


def imitation(name: str, prepare=reference.prepare, obstacle: str | None = None):
    return types.SimpleNamespace(
        NAME=name, LIMITS=FLOAT32_KERNEL, prepare=prepare, obstacle=lambda: obstacle
    )


@pytest.fixture
def backends(monkeypatch):
    """Puts imitations in place of the torch backends, and forgets earlier verdicts; there is no
    native code."""
    modules = {}
    monkeypatch.setattr(interpreter.native, "obstacle", lambda: "no compiler")

    def load(name: str):
        return modules[name.rsplit(".", 1)[1]]

    monkeypatch.setattr(interpreter, "importlib", types.SimpleNamespace(import_module=load))
    monkeypatch.setattr("licodec.exact.selftest._verdicts", {})
    return modules


def inexact(checked):
    run = reference.prepare(checked)
    return lambda inputs: {name: plane + 1 for name, plane in run(inputs).items()}


def test_the_fastest_exact_backend_is_chosen(backends):
    programs, _ = tiny()
    backends["cuda"] = imitation("cuda", obstacle="no device")
    backends["int8"] = imitation("int8", inexact)
    backends["float32"] = imitation("float32")
    chosen = interpreter.choose(None, programs)
    assert chosen.backend == "float32"
    assert chosen.rejected["cuda"] == "no device"
    assert chosen.rejected["int8"].startswith("not exact on this machine: ")
    assert list(chosen.rejected) == ["native", "cuda", "int8"]


def test_the_reference_is_the_last_resort(backends):
    programs, _ = tiny()
    for name in ("cuda", "int8", "float32"):
        backends[name] = imitation(name, inexact)
    chosen = interpreter.choose(None, programs)
    assert chosen.backend == "reference"
    assert set(chosen.rejected) == {"native", "cuda", "int8", "float32"}


def test_a_requested_backend_must_be_exact(backends):
    programs, _ = tiny()
    backends["int8"] = imitation("int8", inexact)
    with pytest.raises(
        LicodecError, match=r"^backend int8: not exact .* the same pixels$"
    ) as raised:
        interpreter.choose("int8", programs)
    assert raised.value.exit_code == 1 and "\n" not in str(raised.value)
    backends["cuda"] = imitation("cuda", obstacle="no device")
    with pytest.raises(LicodecError, match=r"^backend cuda: no device; "):
        interpreter.choose("cuda", programs)
    backends["float32"] = imitation("float32")
    assert interpreter.choose("float32", programs).rejected == {}


def test_an_unknown_backend_is_a_usage_error():
    programs, _ = tiny()
    with pytest.raises(UsageError, match="'tpu'; there are native, cuda, int8, float32, reference"):
        interpreter.choose("tpu", programs)


def test_programs_are_prepared_once(backends):
    programs, inputs = tiny()
    prepared = []

    def prepare(checked):
        prepared.append(checked.name)
        return reference.prepare(checked)

    backends["float32"] = imitation("float32", prepare)
    chosen = interpreter.choose("float32", programs)
    runs = [chosen.prepare("synthesis") for _ in range(3)]
    assert prepared.count("synthesis") == 1
    expected = reference.prepare(programs["synthesis"])(inputs)
    for name, plane in runs[2](inputs).items():
        np.testing.assert_array_equal(plane, expected[name])


@pytest.mark.parametrize("count", [0, -3])
def test_threads_must_be_positive(count):
    with pytest.raises(UsageError, match="at least 1"):
        interpreter.set_threads(count)


def python(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_torch_is_imported_for_torch_backends_alone_and_may_be_missing():
    program = """
        import sys
        from licodec.exact import interpreter
        from licodec.exact.bounds import check
        from tests.exact.programs import synthesis
        programs = {"synthesis": check(*synthesis(8, (8, 8, 8), (1, 1, 1)))}
        interpreter.set_threads(1)
        interpreter.native.obstacle = lambda: "no compiler"
        interpreter.choose("reference", programs).prepare("synthesis")
        print("torch" in sys.modules)
        sys.modules["torch"] = None  # what an import then finds is an error
        chosen = interpreter.choose(None, programs)
        print(chosen.backend, sorted(chosen.rejected), chosen.rejected["int8"][:24])
        try:
            interpreter.choose("float32", programs)
        except interpreter.LicodecError as error:
            print(str(error)[:41])
    """
    assert python(program).splitlines() == [
        "False",
        "reference ['cuda', 'float32', 'int8', 'native'] torch cannot be imported",
        "backend float32: torch cannot be imported",
    ]


@pytest.mark.skipif(native.obstacle() is not None, reason=str(native.obstacle()))
def test_native_code_is_first_and_needs_no_torch():
    program = """
        import sys
        from licodec.exact import interpreter
        from licodec.exact.bounds import check
        from tests.exact.programs import synthesis
        programs = {"synthesis": check(*synthesis(8, (8, 8, 8), (1, 1, 1)))}
        chosen = interpreter.choose(None, programs)
        chosen.prepare("synthesis")
        print(chosen.backend, chosen.rejected, "torch" in sys.modules)
    """
    assert python(program) == "native {} False"


def test_the_number_of_threads_reaches_torch_before_and_after_its_import(backends, monkeypatch):
    programs, _ = tiny()
    counts = []
    torch = types.SimpleNamespace(set_num_threads=counts.append)
    monkeypatch.setattr(interpreter, "_threads", None)
    monkeypatch.setattr(native, "_threads", None)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    interpreter.set_threads(3)
    assert counts == []
    monkeypatch.setitem(sys.modules, "torch", torch)
    backends["float32"] = imitation("float32")
    interpreter.choose("float32", programs)
    assert counts == [3]
    interpreter.set_threads(2)
    assert counts == [3, 2]
