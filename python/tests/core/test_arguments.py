"""Every argument of every public function: taken, or refused by one line that names it."""

import decimal
import inspect
import logging
from pathlib import Path

import numpy
import pytest
import reprise
from conftest import PIPELINES, STEPS, quiet
from PIL import Image
from reprise import cachify
from reprise._arguments import checks_of, found

STOP = {"progress": lambda *_: False, "num_inference_steps": 2}
GRAY = numpy.zeros((16, 16, 3), numpy.uint8)
ENTRY = {"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [1, 3]}


class Odd:
    """Prints in lines, and has no length."""

    def __repr__(self):
        return "odd\nin lines\n"


def generator():
    yield from (1, 2)


try:
    import torch

    TORCH = [torch.tensor(3), torch.tensor(0.5), torch.tensor(True), torch.zeros(2, 3), torch.Generator()]
except ImportError:
    TORCH = []

#: What is tried as each argument. Functions make what can be used once.
VALUES = [
    None, True, numpy.True_, 0, 1, -1, 3, 2**31, 2**64, -(2**63) - 1, 10**5000, 2.0, 0.5, float("nan"), float("inf"), 1e300, 1j,
    numpy.int8(2), numpy.int64(3), numpy.uint64(2**63), numpy.float32(0.5), numpy.float64(3), numpy.array(2), numpy.array([1, 3]),
    numpy.array([[1.0, 2.0]]), numpy.array(["a"]), numpy.array([None, Odd()]), numpy.str_("a"), numpy.zeros((2, 2, 3)),
    "", "a", "5", "a\0b", "\ud800", "x\ny", b"a", bytearray(b"a"), [], (), [1, 2], (1, 2), ["a"], ["a", "b"], [None], [[1]], [b"a"],
    {}, {"a": 1}, {1, 3}, range(1, 4, 2), generator, iter, Odd, Path("nowhere"), lambda: None, object, int, decimal.Decimal(2),
    Image.new("I", (2, 2)), GRAY[:0], GRAY, *TORCH,
]  # fmt: skip


def fresh(value):
    return value() if value in (generator, Odd, object) else value


def functions(pipe, tmp_path):
    """(function, what it is called with otherwise, names of arguments that are not its own). Each public one."""
    profile = reprise.Profile.load(tmp_path / "profile.json")
    plan = reprise.plan(pipe, 2)
    call = {"prompt": "a", "num_inference_steps": 1, "decode": False, "guidance_scale": 1.0}
    options = ("height", "negative_prompt", "skip_guidance_layers", "image", "nonsense")  # the others go the same way
    yield reprise.Pipeline.from_pretrained, {"folder": PIPELINES / "tiny-sd", "precision": "f32"}, ()
    yield pipe, call, sorted(checks_of(reprise.Pipeline.__call__))
    yield pipe.encode_prompt, {"prompt": "a"}, ()
    yield pipe.modules, {}, ()
    yield pipe.set_progress_bar_config, {"disable": True}, ("total", "desc", "ncols", "mininterval", "leave", "nonsense")
    yield reprise.plan, {"pipe": pipe, "num_inference_steps": 2}, options
    yield plan.to_svg, {}, ()
    yield reprise.compare, {"pipe": pipe, "prompts": "a"} | STOP, options
    yield reprise.calibrate, {"pipe": pipe, "prompts": "a"} | STOP | {"progress": stop}, options
    yield reprise.tune, {"pipe": pipe, "prompts": "a", "pairs": 1, "trials": 1} | STOP, options
    yield reprise.psnr, {"a": GRAY, "b": GRAY}, ()
    yield reprise.ssim, {"a": GRAY, "b": GRAY}, ()
    yield reprise.randn, {"shape": (2,), "seed": 0}, ()
    yield reprise.save_video, {"frames": [GRAY], "path": tmp_path / "a.webp"}, ()
    yield reprise.Profile, {"json": profile._json}, ()
    yield reprise.Profile.load, {"path": tmp_path / "profile.json"}, ()
    yield profile.save, {"path": tmp_path / "other.json"}, ()
    entries = {
        "config": [ENTRY],
        "num_inference_steps": STEPS,
        "pipe": pipe,
        "profile": profile,
        "decisions": [[1]],
        "text": "default",
    }
    entries |= {"json": cachify.to_json([ENTRY]), "path": tmp_path / "config.json"}
    for name, function in inspect.getmembers(cachify, inspect.isfunction):
        if (
            function.__module__ == cachify.__name__
            and not name.startswith("_")
            and name not in ("infer", "policy_and_choice")
        ):
            given = set(inspect.signature(function).parameters) & entries.keys()
            if name == "load_config" or name == "parse_config":
                given -= {"pipe"}
            yield function, {name: entries[name] for name in given}, ()
    yield lambda pipe: cachify.infer(pipe).__enter__(), {"pipe": pipe}, ("pipe",)
    yield lambda **entry: cachify.prepare(pipe, STEPS, [ENTRY | entry]), {}, (
        "wildcard_or_filter_func", "select_cache_step_func", "kinds", "store", "kept_in", "as_one", "decide",
        "part",
    )  # fmt: skip


def stop(*_):
    raise reprise.Cancelled("stopped")


@pytest.fixture
def prepared(pipe, tmp_path):
    cachify.prepare(pipe, STEPS, [ENTRY])
    reprise.calibrate(pipe, "a", seeds=(0,), num_inference_steps=2).save(tmp_path / "profile.json")
    (tmp_path / "config.json").write_text(cachify.to_json([ENTRY]))
    yield pipe
    quiet(pipe)
    logging.getLogger("reprise").setLevel(logging.NOTSET)


def test_each_argument_is_taken_or_refused_by_one_line(prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logging.getLogger("reprise").setLevel(logging.ERROR)
    faults = []
    for function, arguments, more in functions(prepared, tmp_path):
        what = getattr(function, "__qualname__", type(function).__name__)
        names = more if more and function is prepared else [*inspect.signature(function).parameters, *more]
        for name in names:
            if name in ("options", "config_", "entry", "callback_on_step_end_", "args", "kwargs"):
                continue
            quiet(prepared)
            cachify.prepare(prepared, STEPS, [ENTRY])
            for value in VALUES:
                if callable(value) and name.startswith(("progress", "on_phase", "callback", "wildcard", "select")):
                    continue  # what it raises is its own
                try:
                    function(**arguments | {name: fresh(value)})
                except (TypeError, ValueError, OSError, RuntimeError) as error:
                    text = str(error)
                    about = f"{what}({name}={found(value)}): {type(error).__name__}: {text[:150]!r}"
                    if len(text.splitlines()) != 1 or "incompatible function arguments" in text or "Traceback" in text:
                        faults.append(about)
                    elif isinstance(error, TypeError) and name not in text:
                        faults.append("not named: " + about)
                    elif isinstance(error, RuntimeError) and not isinstance(error, reprise.Cancelled):
                        faults.append("of another kind: " + about)
                except BaseException as error:
                    faults.append(f"{what}({name}={found(value)}): {type(error).__name__}: {str(error)[:150]!r}")
    assert not faults, "\n".join([f"{len(faults)} faults", *faults])
