"""What a run would do, and how far pictures are apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from reprise import _core
from reprise._pipeline import GuidanceMode, Pipeline, to_native

if TYPE_CHECKING:
    from reprise._pipeline import ImageLike


class Plan:
    """What runs at each step, what is kept, and what that saves. Prints as `reprise plan` does."""

    def __init__(self, view: _core.PlanView) -> None:
        self._view = view

    @property
    def num_steps(self) -> int:
        return self._view.num_steps

    @property
    def expected_speedup(self) -> float:
        """Of the denoiser, by FLOPs."""
        return self._view.expected_speedup

    @property
    def kept_bytes(self) -> int:
        """What reuse keeps between steps, one picture."""
        return self._view.kept_bytes

    @property
    def total_flops(self) -> float:
        """Of all evaluations, one picture."""
        return self._view.total_flops

    @property
    def full_total_flops(self) -> float:
        """The same with nothing reused."""
        return self._view.full_total_flops

    def to_dict(self) -> dict[str, Any]:
        """Segments, executions and slots as plain values, as `reprise plan --json` writes them."""
        return cast("dict[str, Any]", json.loads(self._view.to_json()))

    def __str__(self) -> str:
        return self._view.to_text()

    def __repr__(self) -> str:
        return f"<reprise.Plan: {self.num_steps} steps, {self.expected_speedup:.2f} times as fast by FLOPs>"


def plan(
    pipe: Pipeline,
    num_inference_steps: int | None = None,
    *,
    guidance_scale: float | None = None,
    height: int = 0,
    width: int = 0,
    num_frames: int = 0,
    scheduler: str = "",
    guidance_mode: GuidanceMode = "auto",
) -> Plan:
    """What a call with these options would do on the pipeline as it is prepared. Reads no weights. Options and errors
    are those of a call."""
    options = _core.GenerateOptions()
    options.num_inference_steps = num_inference_steps
    options.guidance_scale = guidance_scale
    options.height, options.width = height, width
    options.scheduler = scheduler
    options.guidance_mode = guidance_mode
    video = _core.AnimateOptions()
    video.num_frames = num_frames
    options.video = video
    return Plan(_core.plan(pipe._native, options))


def psnr(a: ImageLike, b: ImageLike) -> float:
    """Peak signal-to-noise ratio over all 8-bit values, in dB; infinity for equal pictures. RuntimeError when the sizes
    differ."""
    return _core.psnr(to_native(a), to_native(b))


def ssim(a: ImageLike, b: ImageLike) -> float:
    """Structural similarity (Wang et al. 2004), 1 for equal pictures: Gaussian window of 11x11, sigma 1.5, the mean of
    the channels. RuntimeError when the sizes differ or a side is below 11."""
    return _core.ssim(to_native(a), to_native(b))
