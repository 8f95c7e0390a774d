"""The package as such: what importing it brings in, that its stub is that of the extension, and its pins."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import reprise
from conftest import ROOT
from reprise import _core, _options


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


@pytest.mark.parametrize("which", ["beside", "over"])
def test_the_other_package_of_this_name_is_noticed(tmp_path, which):
    """PyPI's `reprise`: installed beside this one it is warned of; where its files lie over this one's, that is said."""
    package = tmp_path / "reprise"
    package.mkdir()
    for path in Path(reprise.__file__).parent.iterdir():
        (package / path.name).symlink_to(path)
    (tmp_path / "reprise_diffusion-0.1.0.dist-info").mkdir()
    run = [sys.executable, "-c", "from reprise import cachify"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    def errors():
        return subprocess.run(run, env=environment, capture_output=True, text=True).stderr

    assert "another project" not in errors()
    if which == "beside":
        (tmp_path / "reprise-1.0.0.dist-info").mkdir()
        assert "another project's package reprise-1.0.0 is installed under the name `reprise` too" in errors()
    else:
        (package / "__init__.py").unlink()
        (package / "__init__.py").write_text("__version__ = '1.0.0'\n")
        last = errors().splitlines()[-1]
        assert (
            last.startswith("ImportError: ") and "is another project's, which was installed over reprise-diffusion" in last
        )


def test_no_document_installs_a_package_that_is_not_ours():
    places = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*"), *ROOT.glob("python/reprise/**/*.py")]
    texts = {path: path.read_text(encoding="utf-8") for path in places if path.is_file()}
    assert len(texts) > 10
    for path, text in texts.items():
        assert not re.search(r"pip install\s+(-\S+\s+)*[\"']?reprise\b(?!-diffusion)|\breprise\[\w", text), path


def test_the_stub_of_options_is_that_of_the_table():
    committed = ROOT / "python" / "reprise" / "_options.pyi"
    wanted = _options.stub()
    assert wanted == committed.read_text(), (
        f"run: python -c 'from reprise import _options; print(_options.stub(), end=\"\")' > {committed}"
    )


def test_signatures_have_each_option():
    call = inspect.signature(reprise.Pipeline.__call__).parameters
    assert call["guidance_mode"].annotation == 'Literal["auto", "batched", "split"]'
    assert (call["fps"].default, call["width"].default, call["seed"].default) == (7, None, 0)
    assert list(call)[:2] == ["self", "prompt"]
    rows = [row for row in json.loads(_core.option_rows(False)) if row["settable"]]
    missing = {row["name"].rsplit(".")[-1] for row in rows} - call.keys()
    assert missing == {"prompts", "prompt_texts"}  # lists as the others
    opening = inspect.signature(reprise.Pipeline.from_pretrained).parameters
    assert {row["name"] for row in json.loads(_core.option_rows(True))} == opening.keys() - {"folder"}
