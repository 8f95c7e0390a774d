"""Diffusion models that do not compute again, at a denoising step, what they may take from an earlier one.

>>> import reprise
>>> from reprise import cachify
>>> pipe = reprise.Pipeline.from_pretrained("models/emoji-sdxl")
>>> cachify.prepare(pipe, 20, cachify.SDXL_DEFAULT_CONFIG)
>>> with cachify.infer(pipe):
...     image = pipe("red apple", num_inference_steps=20, seed=42).images[0]

Errors: `ValueError` for a mistake in what was asked (`FileNotFoundError` for a folder that is not there), `RuntimeError`
for what failed, `KeyboardInterrupt` for Ctrl-C during a run; the message is the library's one line. What the library
warns of goes to the logger "reprise".
"""

from reprise._engine import load_core
from reprise._name import warn_of_the_other

warn_of_the_other()
load_core()

from reprise import cachify  # noqa: E402
from reprise._core import VERSION as __version__  # noqa: E402
from reprise._core import Cancelled, RunReport, StepInfo  # noqa: E402
from reprise._pipeline import Output, Pipeline, randn, save_video  # noqa: E402
from reprise._report import Comparison, Plan, compare, plan, psnr, ssim  # noqa: E402
from reprise._tune import Profile, calibrate, tune  # noqa: E402

__all__ = [
    "Cancelled",
    "Comparison",
    "Output",
    "Pipeline",
    "Plan",
    "Profile",
    "RunReport",
    "StepInfo",
    "__version__",
    "cachify",
    "calibrate",
    "compare",
    "plan",
    "psnr",
    "randn",
    "save_video",
    "ssim",
    "tune",
]
