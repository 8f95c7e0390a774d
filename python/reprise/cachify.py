"""Reuse of module outputs between denoising steps: the interface of NVIDIA's Cache Diffusion, on Reprise's own pipelines
and on those of diffusers.

A configuration is a list of dicts. Of several that match a module the last holds.

- `wildcard_or_filter_func`: which modules: an fnmatch pattern over the whole name, a function of the name, {"regex": ...}
  (Python's `re.search` meaning), or {"not": ...} of one of these.
- `select_cache_step_func`: when they are reused: a function of the step (counted from 0) and, if it takes a second argument,
  of the number of steps; an expression over `step` and `num_steps` ("step % 2 != 0"); or a list of steps.
- `kinds`: what the filter is shown, a list of names such as "cross_attention"; ["block"] where it is not given.
- `store`: what reuse gives: "output", the last; "delta", the input now plus what the module last added to it;
  {"forecast": order} and {"delta_forecast": order}, extrapolations of the same; {"linear": weights} and
  {"delta_linear": weights}, sums of the same: weights of the last values, newest first ([2, -1]), or for each step such a
  list; "mean" over guidance's halves; "drop" of a half.
- `kept_in`: "f16" or "bf16": what is kept takes half the bytes of a denoiser that runs in f32.
- `as_one`: whether the modules, which follow one another, are reused as one: what they add together is kept.
- `decide`: what decides while running, at the steps above; the policies that do so fill it in.
- `part`: of which network beside the denoiser's own the modules are, a name or an fnmatch pattern ("control.0", "control.*");
  the filter sees the names that they have there. The denoiser's own modules where it is not given.

Functions are called when a plan is made, not while it runs.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from reprise import _core
from reprise._arguments import checked, refused
from reprise._pipeline import Pipeline, call_options

if TYPE_CHECKING:
    from reprise._tune import Profile
    from reprise.adapter.reuse import Reuse

Filter = str | dict[str, Any] | Callable[[str], Any]
Steps = str | Sequence[int] | Callable[[int], Any] | Callable[[int, int], Any]


class _Required(TypedDict):
    wildcard_or_filter_func: Filter
    select_cache_step_func: Steps


class Entry(_Required, total=False):
    """One line of a configuration."""

    kinds: list[str]
    store: str | dict[str, int | list[float] | list[list[float]]]
    kept_in: Literal["f16", "bf16"]
    as_one: bool
    decide: dict[str, Any]
    part: str


Config = list[Entry]
Count = Literal["steps", "evaluations"]

_published = _core.published_configs()
SDXL_DEFAULT_CONFIG: Config = _published["SDXL_DEFAULT_CONFIG"]
PIXART_DEFAULT_CONFIG: Config = _published["PIXART_DEFAULT_CONFIG"]
#: What the original's example for PixArt does, where PIXART_DEFAULT_CONFIG is what it means: its expression ends in a dot,
#: which no block's own name has, so that all blocks are reused, the last ones too.
PIXART_ORIGINAL_EXAMPLE_CONFIG: Config = _published["PIXART_ORIGINAL_EXAMPLE_CONFIG"]
SVD_DEFAULT_CONFIG: Config = _published["SVD_DEFAULT_CONFIG"]
SD3_DEFAULT_CONFIG: Config = _published["SD3_DEFAULT_CONFIG"]

Pipe = TypeVar("Pipe")
AnyPipeline = Any
"""A `reprise.Pipeline`, or a pipeline of diffusers."""


@checked
def prepare(
    pipe: AnyPipeline,
    num_inference_steps: int | str | Sequence[Entry] | None = None,
    config: str | Sequence[Entry] | None = None,
    *,
    count: Count = "steps",
    **options: Any,
) -> None:
    """Makes the pipeline reuse modules by this configuration from its next call on; replaces an earlier one.

    pipe: a `reprise.Pipeline`, or a pipeline of diffusers.
    num_inference_steps: what the configuration is checked for; a call with another number is planned for that. It may
        be left out: `prepare(pipe, config)`.
    config: a list of dicts, or a policy's name ("deepcache:interval=3"). None: "auto", which is what was tuned for this
        model and number of steps, else a preset that is ahead of fewer steps for its class of denoiser, else nothing; a
        line says which, where the pipeline has a progress bar.
    count: what `step` counts: the sampler's steps, or calls of the denoiser, as the original does.
    options: of the calls that are to come, such as height or scheduler, on a `reprise.Pipeline`: the configuration is
        checked for these.

    ValueError naming the entry for a filter that matches nothing, and naming module and step for reuse of what never
    ran; then the pipeline is as it was.
    """
    if num_inference_steps is not None and not isinstance(num_inference_steps, int):
        if config is not None:
            raise refused("num_inference_steps", num_inference_steps, "an integer")
        num_inference_steps, config = None, num_inference_steps
    if options and not isinstance(pipe, Pipeline):
        raise TypeError(f"{next(iter(options))} is an option of a call; on a pipeline of diffusers the call alone takes it")
    if config is None or isinstance(config, str):
        policy = config or "auto"
        made, said = policy_and_choice(pipe, policy, num_inference_steps, options)
        if not getattr(pipe, "_progress_bar_config", {}).get("disable"):
            for line in said:
                print(line, file=sys.stderr)
        try:
            _prepare(pipe, num_inference_steps, made, count, options, nothing=bool(said) and not made)
        except ValueError as error:  # in the policy's name: its entries are not the caller's
            raise ValueError(f"{policy}: {error}") from None
    else:
        _prepare(pipe, num_inference_steps, config, count, options)


def _prepare(
    pipe: Any,
    num_inference_steps: int | None,
    config: Sequence[Entry],
    count: Count,
    options: dict[str, Any],
    nothing: bool = False,
) -> None:
    """nothing: `auto` chose to reuse nothing, and said so: that is not warned of again."""
    if isinstance(pipe, Pipeline) and nothing:
        _core.prepare_nothing(pipe._native)
    elif isinstance(pipe, Pipeline):
        steps = pipe._native.num_inference_steps if num_inference_steps is None else num_inference_steps
        run = call_options(num_inference_steps=steps, **options) if options else steps
        _core.prepare(pipe._native, run, list(config), count)
    else:
        _adapter().prepare(pipe, num_inference_steps, list(config), count, not nothing)


@checked
def enable(pipe: AnyPipeline) -> None:
    """Switches a prepared pipeline's reuse on. ValueError when it was not prepared."""
    if isinstance(pipe, Pipeline):
        _core.enable(pipe._native)
    else:
        _prepared(pipe, "enable").enabled = True


@checked
def disable(pipe: AnyPipeline) -> None:
    """Switches it off: everything runs in full. ValueError when the pipeline was not prepared."""
    if isinstance(pipe, Pipeline):
        _core.disable(pipe._native)
    else:
        _prepared(pipe, "disable").enabled = False


@checked
def unprepare(pipe: AnyPipeline) -> None:
    """Takes preparation back: the pipeline is as it was before `prepare`."""
    if isinstance(pipe, Pipeline):
        _core.unprepare(pipe._native)
    else:
        _adapter().unprepare(pipe)


@checked
def reset_status(pipe: AnyPipeline) -> None:
    """Forgets the last generation: what it reported and, on a diffusers pipeline, what was kept. Steps are counted from
    0 at each call in any case."""
    if isinstance(pipe, Pipeline):
        _core.reset_status(pipe._native)
    else:
        _prepared(pipe, "reset_status").reset()


@checked
@contextmanager
def infer(pipe: Pipe) -> Iterator[Pipe]:
    """Reuse within a scope: enabled when it begins, disabled and reset when it ends. Gives the pipeline."""
    enable(pipe)
    try:
        yield pipe
    finally:
        disable(pipe)
        reset_status(pipe)


@checked
def load_config(path: str | os.PathLike[str], pipe: AnyPipeline | None = None) -> Config:
    """A configuration from a JSON file. One that has {"policy": ...} entries needs the pipeline that it is for.
    FileNotFoundError, or ValueError naming the file and the entry."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return parse_config(text, os.fspath(path), pipe)


@checked
def parse_config(json: str, origin: str = "configuration", pipe: AnyPipeline | None = None) -> Config:
    """A configuration from its JSON form; `origin` names it in errors."""
    return _core.parse_config(json, origin) if pipe is None else _modules(pipe).parse_config(json, origin)


@checked
def to_json(config: Sequence[Entry]) -> str:
    """The JSON form. ValueError when an entry has a Python function, which has none."""
    return _core.to_json(list(config))


@checked
def make_policy(pipe: AnyPipeline, text: str, num_inference_steps: int | None = None, **options: Any) -> Config:
    """A policy by its name on the command line: "deepcache:interval=3,branch=0", several joined by "+". ValueError listing
    names or parameters for one that is unknown.

    num_inference_steps, options: of the calls that it is for: "auto" takes what was tuned for these. What it chose is
    logged as information by the logger "reprise".
    """
    config, said = policy_and_choice(pipe, text, num_inference_steps, options)
    for line in said:
        logging.getLogger("reprise").info(line)
    return config


def policies() -> list[str]:
    """The names of all policies."""
    return _core.policy_names()


@checked
def deep_cache(
    pipe: AnyPipeline, *, interval: int = 3, branch: int = 0, uniform: bool = True, center: float = 15, power: float = 1.4
) -> Config:
    """DeepCache (Ma et al., arXiv 2312.00858): all but a shallow path of the denoiser is reused between full steps.

    interval: one full step in so many. branch: which path still runs, counted in layers from the outside in, from 0.
    uniform: full steps evenly spaced; otherwise close together around step `center`, the denser the larger `power`.
    """
    return _core.deep_cache(_modules(pipe), interval, branch, uniform, center, power)


@checked
def t_gate(
    *, gate: int = 10, warm_up: int = 2, interval: int = 5, interval_after_gate: int = 1, conditional: bool = False
) -> Config:
    """T-Gate (Zhang et al., arXiv 2404.02747): from step `gate` on cross-attention is what it was and guidance is off;
    before it, after step `warm_up`, self-attention runs at one step in `interval`.

    conditional: that half of guidance goes on alone, as Stable Video Diffusion needs, whose other does not see the picture.
    """
    return _core.t_gate(gate, warm_up, interval, interval_after_gate, conditional)


@checked
def attention_broadcast(
    pipe: AnyPipeline,
    *,
    self_attention: int = 2,
    cross_attention: int = 0,
    joint_attention: int = 2,
    temporal_attention: int = 0,
    begin: float = 0.2,
    end: float = 0.9,
) -> Config:
    """Pyramid Attention Broadcast (Zhao et al., arXiv 2408.12588): each kind of attention runs at one step in so many
    (0: at all) within a window, given in shares of the steps."""
    return _core.attention_broadcast(
        _modules(pipe), self_attention, cross_attention, joint_attention, temporal_attention, begin, end
    )


@checked
def taylor_seer(
    *, interval: int = 5, before: int = 3, after: int = -1, order: int = 1, kinds: Sequence[str] = ("block",)
) -> Config:
    """TaylorSeer (Liu et al., arXiv 2503.06923): outputs are extrapolated between the steps that run, which are one in
    `interval`, the first `before`, and all from `after` on (-1: none)."""
    return _core.taylor_seer(interval, before, after, order, list(kinds))


@checked
def guidance_reuse(*, interval: int = 2, before: int = 2) -> Config:
    """The unconditional half of guidance at one step in `interval` only, its difference to the other kept (as in
    FasterCache, Lv et al., arXiv 2410.19355, there by frequency bands)."""
    return _core.guidance_reuse(interval, before)


@checked
def block_caching(profile: Profile, *, threshold: float = 0.2, kinds: Sequence[str] = ("block",)) -> Config:
    """Block Caching (Wimbauer et al., arXiv 2312.03209): each module runs again where its change, summed up since it last
    ran, exceeds the threshold; more is faster. `reprise.calibrate` makes the profile."""
    return _core.block_caching(profile._json, threshold, list(kinds))


@checked
def dual_block_cache(
    pipe: AnyPipeline,
    *,
    first: int = 8,
    last: int = 0,
    order: int = 0,
    threshold: float = 0.08,
    warm_up: int = 8,
    most_in_a_row: int = 0,
    most_in_all: int = 0,
    mask: str = "",
) -> Config:
    """DBCache (vipshop/cache-dit): the first and last blocks run at every step, and what the first ones add decides
    whether those between do. With `first=1` and `last=0` it is first-block cache (chengzeyi/ParaAttention).

    order: 1 or 2 extrapolates what is reused (TaylorSeer). This and all that decides while running take:
    threshold: of the change relative to its magnitude; more is faster, 0 reuses nothing. warm_up: steps at the beginning
    that run in full. most_in_a_row, most_in_all: reused steps; 0: no limit. mask: a step mask of cache-dit's, "slow",
    "medium", "fast" or "ultra", that says where reuse is allowed; "": anywhere.
    """
    running = _core.RunningOptions(threshold, warm_up, most_in_a_row, most_in_all, mask)
    return _core.dual_block_cache(_modules(pipe), first, last, order, running)


@checked
def easy_cache(
    *,
    unet: bool = False,
    threshold: float | None = None,
    warm_up: int | None = None,
    most_in_a_row: int = 0,
    most_in_all: int = 0,
    mask: str = "",
) -> Config:
    """EasyCache (Zhou et al., arXiv 2507.02860): the whole denoiser is reused by what it adds to its input, until the change
    that the input's own leads one to expect exceeds the threshold (0.05, after 2 steps); the last step always runs.

    unet: weighed as in stable-diffusion.cpp for UNets, on its scale (1), between 15 and 95 % of the steps. The rest is `dual_block_cache`'s.
    """
    threshold = (1.0 if unet else 0.05) if threshold is None else threshold
    warm_up = (1 if unet else 2) if warm_up is None else warm_up
    return _core.easy_cache(unet, _core.RunningOptions(threshold, warm_up, most_in_a_row, most_in_all, mask))


@checked
def mag_cache(
    pipe: AnyPipeline,
    profile: Profile,
    *,
    retention: float = 0.2,
    threshold: float = 0.06,
    warm_up: int = 1,
    most_in_a_row: int = 3,
    most_in_all: int = 0,
    mask: str = "",
) -> Config:
    """MagCache (Ma et al., arXiv 2506.09045): what all blocks add is reused while the magnitudes that `reprise.calibrate`
    measured say that it strays little.

    retention: the share of the steps, at the beginning, that run in full; a mask takes its place. The rest is
    `dual_block_cache`'s.
    """
    running = _core.RunningOptions(threshold, warm_up, most_in_a_row, most_in_all, mask)
    return _core.mag_cache(_modules(pipe), profile._json, retention, running)


@checked
def tea_cache(
    pipe: AnyPipeline,
    profile: Profile,
    *,
    threshold: float = 0.15,
    warm_up: int = 1,
    most_in_a_row: int = 0,
    most_in_all: int = 0,
    mask: str = "",
) -> Config:
    """TeaCache (Liu et al., arXiv 2411.19108): what all blocks add is reused until the changes of the first block's input,
    as the timestep modulates it and as the profile's polynomial translates them, add up to the threshold. The rest is
    `dual_block_cache`'s."""
    running = _core.RunningOptions(threshold, warm_up, most_in_a_row, most_in_all, mask)
    return _core.tea_cache(_modules(pipe), profile._json, running)


@checked
def replay(config: Sequence[Entry], decisions: Sequence[Sequence[int]]) -> Config:
    """What a run decided, as a configuration that decides the same again, bit for bit: `decisions` is its report's."""
    return _core.replay(list(config), decisions)


def _adapter() -> Any:
    from reprise import adapter

    return adapter


def _prepared(pipe: Any, what: str) -> Reuse:
    reuse: Reuse = _adapter().prepared(pipe, what)
    return reuse


def policy_and_choice(pipe: Any, text: str, steps: int | None, options: dict[str, Any]) -> tuple[Config, list[str]]:
    """The configuration, and in lines what "auto" chose."""
    return _modules(pipe, num_inference_steps=steps, **options).make_policy(text, 0 if steps is None else steps)


def _modules(pipe: Any, **options: Any) -> _core.Modules:
    if isinstance(pipe, Pipeline):
        return _core.modules_of(pipe._native, call_options(**options))
    modules: _core.Modules = _adapter().modules_of(pipe)
    return modules
