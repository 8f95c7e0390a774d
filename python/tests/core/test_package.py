"""The package as such: what importing it brings in, that its stub is that of the extension, and its pins."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import reprise
from conftest import ROOT
from reprise import _core


def test_importing_it_brings_in_no_heavy_module():
    code = "import sys, reprise; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "reprise._core" in modules
    assert not {"torch", "numpy", "PIL", "openvino", "diffusers", "tqdm", "ray"} & set(modules)


def test_everything_in_all_is_there():
    assert all(hasattr(reprise, name) for name in reprise.__all__)


def test_the_stub_is_that_of_the_extension(tmp_path):
    pytest.importorskip("nanobind")
    made = tmp_path / "_core.pyi"
    subprocess.run([sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "reprise._core", "-o", made], check=True)
    committed = ROOT / "python" / "reprise" / "_core.pyi"
    assert made.read_text() == committed.read_text(), f"run: python -m nanobind.stubgen -m reprise._core -o {committed}"


def test_the_engine_has_one_version():
    pin = re.search(r"^openvino==[\d.]+", (ROOT / "scripts/openvino.txt").read_text(), re.MULTILINE)[0]
    assert (ROOT / "pyproject.toml").read_text().count(f'"{pin}"') == 2  # to build with and to run with


def test_the_version_is_the_library_s():
    version = re.search(r"project\(reprise VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert reprise.__version__ == version


def test_docstrings_are_there():
    for name in (*reprise.__all__, *(f"cachify.{n}" for n in ("prepare", "infer", "deep_cache", "load_config"))):
        thing = reprise
        for part in name.split("."):
            thing = getattr(thing, part)
        assert name == "__version__" or (thing.__doc__ and len(thing.__doc__) > 20), name
    assert Path(_core.__file__).suffix == ".so"
