"""`pip wheel .`, and the wheel in an environment of its own, away from the sources and the build."""

import os
import subprocess
import sys

from conftest import ROOT

USE = """
import importlib.metadata, pathlib, sys
import reprise
from reprise import cachify
assert pathlib.Path(reprise.__file__).is_relative_to(sys.prefix), reprise.__file__
pipe = reprise.Pipeline.from_pretrained(sys.argv[1])
cachify.prepare(pipe, 4, cachify.SDXL_DEFAULT_CONFIG)
with cachify.infer(pipe):
    out = pipe("red apple", num_inference_steps=4, seed=42)
out.images[0].save(sys.argv[2])
assert importlib.metadata.version("reprise-diffusion") == reprise.__version__
assert [step.reused for step in out.report.steps] == [False, True, False, True]
libraries = {line.split()[-1] for line in open("/proc/self/maps") if "libopenvino.so" in line}
assert libraries and all(pathlib.Path(path).is_relative_to(sys.prefix) for path in libraries), libraries
"""


def test_the_wheel_works_by_itself(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH", "REPRISE_COMMAND")}
    environment |= {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache"}

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    # the flags of `./check --full`'s own build, so that ccache has most objects
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-C", "cmake.define.REPRISE_WERROR=ON",
        "-C", f"build-dir={tmp_path}/build", "-w", tmp_path, ROOT)  # fmt: skip
    (wheel,) = tmp_path.glob("reprise_diffusion-*.whl")
    assert wheel.stat().st_size < 30e6
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", wheel)
    run(python, "-c", USE, ROOT / "models" / "emoji-sdxl", tmp_path / "apple.png")
    assert (tmp_path / "apple.png").stat().st_size > 1000
