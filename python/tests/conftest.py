"""What the tests share. `reprise` is imported from wherever PYTHONPATH says: <build>/python. REPRISE_COMMAND is the
command of the same build."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = ROOT / "tests" / "fixtures" / "pipelines"
STEPS = 6
#: Keywords of a short run on the tiny fixtures.
RUN = {"num_inference_steps": STEPS, "seed": 42, "guidance_scale": 5.0, "guidance_mode": "batched"}


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="session")
def opened():
    import reprise

    return quiet(reprise.Pipeline.from_pretrained(PIPELINES / "tiny-sdxl", precision="f32"))


@pytest.fixture
def pipe(opened):
    """tiny-sdxl in f32, not prepared. One for all tests, which so compile less."""
    from reprise import cachify

    yield opened
    cachify.unprepare(opened)
    cachify.reset_status(opened)


@pytest.fixture
def command():
    path = os.environ.get("REPRISE_COMMAND")
    if not path:
        pytest.skip("REPRISE_COMMAND is not set")
    return path
