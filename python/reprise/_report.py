"""What a run would do, and how ways of making the same pictures compare."""

from __future__ import annotations

import base64
import html
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from reprise import _core, cachify
from reprise._arguments import Natural, Positive, Seed, checked, refused
from reprise._pipeline import Pipeline, call_options, pictures, to_native, to_pil

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

    @checked
    def to_svg(self, most_panels: Natural = 8) -> str:
        """A drawing of the blocks at each kind of step, at most so many kinds side by side."""
        return self._native.to_svg(self._title, most_panels)

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def __str__(self) -> str:
        return self._native.to_text()

    def __repr__(self) -> str:
        return f"<reprise.Plan: {self.num_steps} steps, {self.expected_speedup:.2f} times as fast by FLOPs>"


@checked
def plan(
    pipe: Pipeline,
    num_inference_steps: int | None = None,
    **options: Any,
) -> Plan:
    """What a call with these options would do on the pipeline as it is prepared. Reads no weights. Options and errors
    are those of a call, such as height, num_frames, guidance_scale."""
    native = call_options(num_inference_steps=num_inference_steps, **options)
    return Plan(_core.plan(pipe._native, native), pipe.class_name)


class Comparison:
    """Full runs against ways of reuse against fewer steps. In a notebook a table and the grid of pictures."""

    def __init__(self, native: _core.Comparison) -> None:
        self._native = native

    @checked
    def grid(self, most_pairs: Positive = 4) -> PIL.Image.Image:
        """A row for each of the first pairs of prompt and seed: full, reused, fewer steps. Of videos the middle frame."""
        return to_pil(self._native.contact_sheet(most_pairs))

    def to_dict(self) -> dict[str, Any]:
        """All numbers: seconds, speedups, PSNR, SSIM, distances of latents."""
        return cast("dict[str, Any]", json.loads(self._native.to_json()))

    def to_csv(self) -> str:
        """A line for each way."""
        return self._native.to_csv()

    @checked
    def save(self, path: str | os.PathLike[str], most_pairs: Natural = 8) -> None:
        """Writes the page that `reprise compare` makes, which carries its pictures and needs nothing from elsewhere."""
        Path(path).write_text(self._native.to_html(most_pairs), encoding="utf-8")

    def _repr_html_(self) -> str:
        file = io.BytesIO()
        self.grid().save(file, "PNG")
        picture = base64.b64encode(file.getvalue()).decode()
        return f'<pre>{html.escape(str(self))}</pre><img src="data:image/png;base64,{picture}">'

    def __str__(self) -> str:
        return self._native.to_text()


@checked
def compare(
    pipe: Pipeline,
    prompts: Sequence[str] = (),
    ways: Mapping[str, str | Sequence[cachify.Entry]] | None = None,
    *,
    images: Sequence[ImageLike] = (),
    num_inference_steps: int | None = None,
    seeds: Sequence[Seed] = (0,),
    runs: int | None = None,
    fewer: Sequence[int] | None = None,
    progress: Callable[[str], bool | None] | None = None,
    **options: Any,
) -> Comparison:
    """Makes the same pictures in full, in each way of reuse, and with fewer steps, as `reprise compare` does: by turns, so
    that a machine which is slower meanwhile is as slow for each. The pipeline's preparation is as before afterwards.

    prompts: what to draw; a str is one. images: in their place, what to animate. Each with each of the seeds.
    ways: configurations, or policies by their names, under names for people; None: "auto".
    runs: measured, of each way, prompt and seed; None: 3 of a single prompt and seed, 2 of two, else 1.
    fewer: numbers of steps; None: for each way as many as take about its time, and some that make a curve.
    progress: told before each run what it is; returning False stops it with `reprise.Cancelled`.
    options: of the calls, such as guidance_scale. ValueError for what cannot be run or compared.
    """
    for name in ("prompt", "image", "seed"):
        if name in options:
            raise TypeError(f"{name} differs from run to run: give {name}s")
    natives = pictures(images, "images")
    if bool(prompts) == bool(natives):
        raise ValueError("expected prompts to draw or images to animate, one of the two")
    ways = ways if ways is not None else {"auto": "auto"}
    configs = [(n, _config_of(pipe, way, f"ways[{n!r}]", num_inference_steps, options)) for n, way in ways.items()]
    native = _core.compare(
        pipe._native,
        call_options(num_inference_steps=num_inference_steps, **options),
        prompts or [f"picture {number}" for number, _ in enumerate(natives, 1)],
        natives,
        configs,
        seeds,
        runs,
        fewer,
        progress,
    )
    plain = {name: value for name, value in options.items() if isinstance(value, (str, int, float, tuple))}
    native.settings += [(name, str(value)) for name, value in plain.items()]
    return Comparison(native)


def _config_of(
    pipe: Pipeline, way: str | Sequence[cachify.Entry], name: str, steps: int | None, options: dict[str, Any]
) -> list[Any]:
    if isinstance(way, str):
        config, said = cachify.policy_and_choice(pipe, way, steps, options)
        if said and not config:
            raise ValueError(f"{name}: {said[-1]}; what is compared has to reuse something")
        return list(config)
    if not isinstance(way, (list, tuple)):
        raise refused(name, way, "a policy's name or a list of dicts")
    return list(way)


@checked
def psnr(a: ImageLike, b: ImageLike) -> float:
    """Peak signal-to-noise ratio over all 8-bit values, in dB; infinity for equal pictures. RuntimeError when the sizes
    differ."""
    return _core.psnr(to_native(a, "a"), to_native(b, "b"))


@checked
def ssim(a: ImageLike, b: ImageLike) -> float:
    """Structural similarity (Wang et al. 2004), 1 for equal pictures: Gaussian window of 11x11, sigma 1.5, the mean of
    the channels. RuntimeError when the sizes differ or a side is below 11."""
    return _core.ssim(to_native(a, "a"), to_native(b, "b"))
