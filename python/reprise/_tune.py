"""Finding out how a model is best reused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from reprise import _core
from reprise._pipeline import GuidanceMode, Pipeline, run_options, to_native

if TYPE_CHECKING:
    from reprise._pipeline import ImageLike


class Profile:
    """How much a denoiser's parts change from step to step without reuse; what `cachify.block_caching` is made from."""

    def __init__(self, json: str, origin: str = "profile") -> None:
        """From its JSON form; `origin` names it in errors (ValueError)."""
        _core.check_profile(json, origin)
        self._json = json

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Profile:
        return cls(Path(path).read_text(encoding="utf-8"), os.fspath(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        Path(path).write_text(self._json, encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Changes by module and step, as plain values."""
        return cast("dict[str, Any]", json.loads(self._json))


def calibrate(
    pipe: Pipeline,
    prompts: Sequence[str] = (),
    *,
    images: Sequence[ImageLike] = (),
    seeds: Sequence[int] = (0, 1),
    kinds: Sequence[str] = ("block",),
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    height: int = 0,
    width: int = 0,
    scheduler: str = "",
    guidance_mode: GuidanceMode = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Profile:
    """Runs the pipeline without reuse and measures what changes from step to step. Its preparation is as before afterwards.

    prompts: each is drawn with each seed; none: some everyday things. images: likewise, of pipelines that animate them.
    kinds: of the modules that are measured; blocks always are.
    progress: told before each run which it is, from 0, and of how many. Ctrl-C stops it between steps.
    """
    options = run_options(num_inference_steps, guidance_scale, height, width, scheduler, guidance_mode)
    natives = [to_native(image) for image in images]
    return Profile(_core.calibrate(pipe._native, options, list(prompts), natives, list(seeds), list(kinds), progress))


def tune(
    pipe: Pipeline,
    speedups: Sequence[float] = (2,),
    *,
    ssim: float = 0,
    psnr: float = 0,
    prompts: Sequence[str] = (),
    images: Sequence[ImageLike] = (),
    pairs: int = 6,
    seed: int = 0,
    trials: int = 200,
    minutes: float = 0,
    state: str | os.PathLike[str] = "",
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    height: int = 0,
    width: int = 0,
    scheduler: str = "",
    guidance_mode: GuidanceMode = "auto",
    progress: Callable[[str], bool | None] | None = None,
) -> list[_core.Tuned]:
    """Finds the schedules that keep most of the picture at a speed (docs/tuning.md): a configuration for each speedup of the
    denoiser's steps, or with `ssim` or `psnr` (dB) the fastest that keeps so much on average. The pipeline's preparation is
    as before afterwards.

    prompts: none: some everyday things. images: what pipelines animate that do so. pairs: prompts or images with seeds that
        it tunes on; as many are held out.
    seed: of the search; the same state and seed give the same schedules.
    trials: schedules that are run for each speedup. minutes: after so many no more are tried; 0: as many as `trials` says.
    state: a file where what was measured is kept, and taken from.
    progress: told what it does, in words; returning False stops it with `reprise.Cancelled`.
    """
    asked = [] if ssim > 0 or psnr > 0 else [float(speedup) for speedup in speedups]
    options = run_options(num_inference_steps, guidance_scale, height, width, scheduler, guidance_mode)
    where = os.fspath(state)
    natives = [to_native(image) for image in images]
    return _core.tune(
        pipe._native, options, list(prompts), natives, pairs, asked, ssim, psnr, seed, trials, minutes, where, progress
    )
