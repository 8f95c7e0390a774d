"""What a run would do, and how ways of making the same pictures compare."""

from __future__ import annotations

import base64
import html
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from reprise import _core, cachify
from reprise._pipeline import GuidanceMode, Pipeline, run_options, to_native, to_pil

if TYPE_CHECKING:
    import PIL.Image

    from reprise._pipeline import ImageLike


class Plan:
    """What runs at each step, what is kept, and what that saves. Prints as `reprise plan` does; in a notebook it is drawn."""

    def __init__(self, native: _core.Plan, title: str) -> None:
        self._native = native
        self._title = title

    @property
    def num_steps(self) -> int:
        return self._native.num_steps

    @property
    def expected_speedup(self) -> float:
        """Of the denoiser, by FLOPs."""
        return self._native.expected_speedup

    @property
    def kept_bytes(self) -> int:
        """What reuse keeps between steps, one picture."""
        return self._native.kept_bytes

    @property
    def total_flops(self) -> float:
        """Of all evaluations, one picture."""
        return self._native.total_flops

    @property
    def full_total_flops(self) -> float:
        """The same with nothing reused."""
        return self._native.full_total_flops

    def to_dict(self) -> dict[str, Any]:
        """Segments, executions and slots as plain values, as `reprise plan --json` writes them."""
        return cast("dict[str, Any]", json.loads(self._native.to_json()))

    def to_svg(self, most_panels: int = 8) -> str:
        """A drawing of the blocks at each kind of step, at most so many kinds side by side."""
        return self._native.to_svg(self._title, most_panels)

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def __str__(self) -> str:
        return self._native.to_text()

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
    options = run_options(num_inference_steps, guidance_scale, height, width, scheduler, guidance_mode)
    video = _core.AnimateOptions()
    video.num_frames = num_frames
    options.video = video
    return Plan(_core.plan(pipe._native, options), pipe.class_name)


class Comparison:
    """Full runs against ways of reuse against fewer steps. In a notebook a table and the grid of pictures."""

    def __init__(self, native: _core.Comparison) -> None:
        self._native = native

    def grid(self, most_pairs: int = 4) -> PIL.Image.Image:
        """A row for each of the first pairs of prompt and seed: full, reused, fewer steps. Of videos the middle frame."""
        return to_pil(self._native.contact_sheet(most_pairs))

    def to_dict(self) -> dict[str, Any]:
        """All numbers: seconds, speedups, PSNR, SSIM, distances of latents."""
        return cast("dict[str, Any]", json.loads(self._native.to_json()))

    def to_csv(self) -> str:
        """A line for each way."""
        return self._native.to_csv()

    def save(self, path: str | os.PathLike[str], most_pairs: int = 8) -> None:
        """Writes the page that `reprise compare` makes, which carries its pictures and needs nothing from elsewhere."""
        Path(path).write_text(self._native.to_html(most_pairs), encoding="utf-8")

    def _repr_html_(self) -> str:
        file = io.BytesIO()
        self.grid().save(file, "PNG")
        picture = base64.b64encode(file.getvalue()).decode()
        return f'<pre>{html.escape(str(self))}</pre><img src="data:image/png;base64,{picture}">'

    def __str__(self) -> str:
        return self._native.to_text()


def compare(
    pipe: Pipeline,
    prompts: str | Sequence[str] = (),
    ways: Mapping[str, str | Sequence[cachify.Entry]] | None = None,
    *,
    images: Sequence[ImageLike] = (),
    num_inference_steps: int | None = None,
    seeds: Sequence[int] = (0,),
    fewer: Sequence[int] | None = None,
    **options: Any,
) -> Comparison:
    """Makes the same pictures in full, in each way of reuse, and with fewer steps; all by turns, so that a machine which is
    slower meanwhile is as slow for each. The pipeline's preparation is as before afterwards. ValueError unless there are
    prompts or images.

    prompts: what to draw. images: in their place, what to animate.
    ways: configurations, or policies by their names, under names for people; None: the denoiser's default.
    fewer: numbers of steps; None: for each way as many as take about its time.
    options: of the calls, such as guidance_scale.
    """
    ways = ways if ways is not None else {"default": "default"}
    prompts = [prompts] if isinstance(prompts, str) else prompts
    if bool(prompts) == bool(images):
        raise ValueError("expected prompts to draw or images to animate, one of the two")
    subjects: list[tuple[str, dict[str, Any]]] = [(prompt, {"prompt": prompt}) for prompt in prompts]
    subjects += [(f"picture {number}", {"image": image}) for number, image in enumerate(images, 1)]
    steps = num_inference_steps or pipe._native.num_inference_steps
    configs = {n: cachify.make_policy(pipe, way) if isinstance(way, str) else list(way) for n, way in ways.items()}
    pairs = [(label, subject | {"seed": seed}) for seed in seeds for label, subject in subjects]
    before = _core.preparation_of(pipe._native)
    bar, pipe._progress_bar_config = pipe._progress_bar_config, {"disable": True}

    def run(pair: tuple[str, dict[str, Any]], config: list[cachify.Entry] | None, num_steps: int) -> _core.GenerateOutput:
        if config is None:
            cachify.unprepare(pipe)
        else:
            cachify.prepare(pipe, num_steps, config)
        return pipe(**pair[1], num_inference_steps=num_steps, **options)._native

    try:
        run(pairs[0], None, steps)  # the first of each way compiles, and is not counted
        full = run(pairs[0], None, steps).report.denoise_seconds
        equal = {}  # by way: the number of steps that takes about its time
        for name, config in configs.items():
            run(pairs[0], config, steps)
            share = run(pairs[0], config, steps).report.denoise_seconds / full
            equal[name] = max(1, min(steps - 1, round(steps * share)))
        counts = sorted(set(equal.values() if fewer is None else fewer))
        if counts:
            equal = {n: min((abs(count - wanted), count) for count in counts)[1] for n, wanted in equal.items()}
        runs: dict[tuple[str, str], tuple[list[cachify.Entry] | None, int]] = {("full", "full"): (None, steps)}
        runs |= {("cached", name): (config, steps) for name, config in configs.items()}
        runs |= {("fewer", f"{count} steps"): (None, count) for count in counts}
        outputs: dict[tuple[str, str], list[_core.GenerateOutput]] = {way: [] for way in runs}
        for pair in pairs:
            for way, (used, num_steps) in runs.items():
                outputs[way].append(run(pair, used, num_steps))
    finally:
        pipe._progress_bar_config = bar
        _core.restore_preparation(pipe._native, before)

    native = _core.Comparison()
    native.title = f"{pipe.class_name}, {steps} steps"
    native.settings = [("precision", pipe.precision), *((name, str(value)) for name, value in options.items())]
    for label, call in pairs:
        native.add_pair(label, call["seed"])
    full_seconds = [output.report.denoise_seconds for output in outputs["full", "full"]]
    for (kind, name), (_, num_steps) in runs.items():
        text = ways[name] if kind == "cached" else ""
        cache = text if isinstance(text, str) else "a configuration"
        beside = equal.get(name) if kind == "cached" else None
        native.add_way(kind, name, cache, num_steps, outputs[kind, name], full_seconds, beside)
    native.measure()
    return Comparison(native)


def psnr(a: ImageLike, b: ImageLike) -> float:
    """Peak signal-to-noise ratio over all 8-bit values, in dB; infinity for equal pictures. RuntimeError when the sizes
    differ."""
    return _core.psnr(to_native(a), to_native(b))


def ssim(a: ImageLike, b: ImageLike) -> float:
    """Structural similarity (Wang et al. 2004), 1 for equal pictures: Gaussian window of 11x11, sigma 1.5, the mean of
    the channels. RuntimeError when the sizes differ or a side is below 11."""
    return _core.ssim(to_native(a), to_native(b))
