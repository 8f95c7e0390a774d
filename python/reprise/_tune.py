"""Finding out how a model is best reused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from reprise import _core
from reprise._arguments import Natural, Seed, checked
from reprise._pipeline import Pipeline, call_options, pictures

if TYPE_CHECKING:
    from reprise._pipeline import ImageLike


class Profile:
    """How much a denoiser's parts change from step to step without reuse; what `cachify.block_caching` is made from."""

    @checked
    def __init__(self, json: str, origin: str = "profile") -> None:
        """From its JSON form; `origin` names it in errors (ValueError)."""
        _core.check_profile(json, origin)
        self._json = json

    @classmethod
    @checked
    def load(cls, path: str | os.PathLike[str]) -> Profile:
        return cls(Path(path).read_text(encoding="utf-8"), os.fspath(path))

    @checked
    def save(self, path: str | os.PathLike[str]) -> None:
        Path(path).write_text(self._json, encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """Changes by module and step, as plain values."""
        return cast("dict[str, Any]", json.loads(self._json))


def _run_options(options: dict[str, Any]) -> _core.GenerateOptions:
    """Those of calls but for what differs from run to run. TypeError for that, and for what is no option."""
    for name in ("prompt", "seed", "latents", "decode"):
        if name in options:
            raise TypeError(f"{name} differs from run to run, or is never asked for")
    return call_options(**options)


@checked
def calibrate(
    pipe: Pipeline,
    prompts: Sequence[str] = (),
    *,
    images: Sequence[ImageLike] = (),
    seeds: Sequence[Seed] = (0, 1),
    kinds: Sequence[str] = ("block",),
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Profile:
    """Runs the pipeline without reuse and measures what changes from step to step. Its preparation is as before afterwards.

    prompts: each is drawn with each seed, a str is one; none: some everyday things. images: likewise, of pipelines that animate them.
    kinds: of the modules that are measured; blocks always are.
    progress: told before each run which it is, from 0, and of how many. Ctrl-C stops it between steps.
    options: of the calls, such as num_inference_steps, scheduler, negative_prompt, motion_bucket_id.
    """
    native = _run_options(options)
    natives = pictures(images, "images")
    return Profile(_core.calibrate(pipe._native, native, prompts, natives, seeds, kinds, progress))


@checked
def tune(
    pipe: Pipeline,
    speedups: Sequence[float] | None = None,
    *,
    ssim: float = 0,
    psnr: float = 0,
    prompts: Sequence[str] = (),
    images: Sequence[ImageLike] = (),
    pairs: Natural = 6,
    seed: Seed = 0,
    trials: Natural = 200,
    minutes: float = 0,
    state: str | os.PathLike[str] = "",
    progress: Callable[[str], bool | None] | None = None,
    **options: Any,
) -> list[_core.Tuned]:
    """Finds the schedules that keep most of the picture at a speed (docs/tuning.md): a configuration for each speedup of the
    denoiser's steps (2), or with `ssim` or `psnr` (dB) in its place the fastest that keeps so much on average. The pipeline's preparation is
    as before afterwards.

    prompts: none: some everyday things. images: what pipelines animate that do so. pairs: prompts or images with seeds that
        it tunes on; as many are held out.
    seed: of the search; the same state and seed give the same schedules.
    trials: schedules that are run for each speedup. minutes: after so many no more are tried; 0: as many as `trials` says.
    state: a file where what was measured is kept, and taken from.
    progress: told what it does, in words; returning False stops it with `reprise.Cancelled`.
    options: of the calls, such as num_inference_steps, scheduler, negative_prompt, motion_bucket_id.
    """
    by_quality = ssim != 0 or psnr != 0
    if by_quality and speedups is not None:
        raise ValueError("expected speedups, or what pictures are to reach, one of the two")
    asked = [] if by_quality else [2.0] if speedups is None else speedups
    native = _run_options(options)
    natives = pictures(images, "images")
    return _core.tune(
        pipe._native, native, prompts, natives, pairs, asked, ssim, psnr, seed, trials, minutes, str(state), progress
    )
