"""The C++ library behind the package `reprise`; use that."""

from collections.abc import Sequence
import os
from typing import Annotated, overload

import numpy
import numpy.typing
from numpy.typing import NDArray


VERSION: str = '0.1.0'

class Cancelled(RuntimeError):
    """A run was stopped by a callback that returned False."""

class Image:
    """A picture of 8-bit RGB pixels, row by row from the top left."""

    @staticmethod
    def from_rgb(width: int, height: int, rgb: bytes) -> Image:
        """A picture of width * height * 3 bytes."""

    @staticmethod
    def load(path: str | os.PathLike) -> Image:
        """Reads a PNG, JPEG or WebP. ValueError naming the file."""

    def save(self, path: str | os.PathLike, text: Sequence[tuple[str, str]] = []) -> None:
        """Writes a .png or .webp with (key, value) texts."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def array(self) -> numpy.typing.NDArray[numpy.uint8]:
        """
        uint8 (height, width, 3): the picture's own memory, which the array keeps alive.
        """

def save_video(frames: Sequence[Image], path: str | os.PathLike, fps: int, text: Sequence[tuple[str, str]]) -> None:
    """Writes an .mp4 (H.264) or an animated lossless .webp."""

def option_rows(of_opening: bool) -> str:
    """The options of a call, or of opening a folder, as JSON."""

def embedding_names() -> list[str]:
    """The names of a prompt's embeddings."""

class GenerateOptions:
    def __init__(self) -> None: ...

    def set(self, name: str, value: object | None) -> None:
        """
        An option by its row's name. ValueError for another type, or outside of its domain.
        """

    def set_reuse(self, reuse: object) -> None:
        """
        A policy with its parameters, "off", or a configuration; or these by the denoisers' names.
        """

    @overload
    def attach(self, name: str, image: Image) -> None: ...

    @overload
    def attach(self, name: str, array: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)]) -> None:
        """
        A picture, or an array (f32, C-contiguous; held, not copied), under the name of its argument.
        """

class StepInfo:
    """One sampler step, as a callback sees it after the step."""

    @property
    def step(self) -> int:
        """Counted from 0."""

    @property
    def num_steps(self) -> int: ...

    @property
    def seconds(self) -> float:
        """Of this step."""

    @property
    def reused(self) -> bool:
        """Whether any module was reused."""

    @property
    def reused_modules(self) -> list[str]:
        """Names of the modules, or halves of guidance, that were reused."""

    @property
    def flops_share(self) -> float:
        """Of a full step's FLOPs."""

    @property
    def timestep(self) -> float:
        """Of the step's first evaluation."""

    @property
    def latents(self) -> numpy.typing.NDArray[numpy.float32] | None:
        """
        After the step, float32 of the final latents' shape: the run's own memory, read-only, not copied. It may be kept. A callback may put other latents in its place. None outside a callback.
        """

    @latents.setter
    def latents(self, value: numpy.typing.ArrayLike, /) -> None: ...

    @property
    def last(self) -> bool:
        """
        A callback sets it to leave the remaining steps out and decode the latents as they are.
        """

    @last.setter
    def last(self, value: bool, /) -> None: ...

class HeldCode:
    """
    What the process holds of compiled code, of all pipelines together, for calls to come. Sizes are the backend's estimates.
    """

    @property
    def pieces(self) -> int:
        """Compiled graphs."""

    @property
    def bytes(self) -> float: ...

    @property
    def mappings(self) -> float:
        """Of memory; the system allows a process so many."""

    @property
    def bytes_in_use(self) -> float:
        """Of these, what other calls were running then: it cannot be freed."""

class StageReport:
    """What one of several denoisers did in a run."""

    @property
    def denoiser(self) -> str:
        """The component's name."""

    @property
    def first_step(self) -> int:
        """The sampler's step that is its step 0."""

    @property
    def summary(self) -> str: ...

    @property
    def decisions(self) -> list[list[int]]:
        """As RunReport.decisions, its own steps."""

class RunReport:
    """What happened in a run. Times are in seconds."""

    @property
    def steps(self) -> list[StepInfo]: ...

    @property
    def text_seconds(self) -> float: ...

    @property
    def compile_seconds(self) -> float: ...

    @property
    def denoise_seconds(self) -> float: ...

    @property
    def denoise_cpu_seconds(self) -> float:
        """Of all threads of the process."""

    @property
    def denoise_waited_seconds(self) -> float:
        """That its threads were ready to run but had no CPU."""

    @property
    def decode_seconds(self) -> float: ...

    @property
    def scheduler(self) -> str:
        """diffusers' class."""

    @property
    def precision(self) -> str:
        """Of the denoiser."""

    @property
    def guidance_mode(self) -> str: ...

    @property
    def reuse(self) -> bool:
        """Whether a prepared configuration was in force."""

    @property
    def segments(self) -> int: ...

    @property
    def flops_full(self) -> float:
        """Of all steps without reuse, one picture."""

    @property
    def flops_run(self) -> float:
        """Of what was run."""

    @property
    def kept_bytes(self) -> int:
        """What reuse keeps between steps, one picture."""

    @property
    def prologue_bytes(self) -> int: ...

    @property
    def scratch_bytes(self) -> int: ...

    @property
    def held(self) -> HeldCode:
        """At the end of the call."""

    @property
    def decisions(self) -> list[list[int]]:
        """
        Where reuse is decided while running: for each picture the steps that were reused.
        """

    @property
    def stages(self) -> list[StageReport]:
        """Where several denoisers ran, one for each."""

    @property
    def complaints(self) -> list[str]:
        """Such as NaN in what a module keeps."""

    @property
    def messages(self) -> list[tuple[str, str]]:
        """What the call had to say: ("info" or "warning", text)."""

    @property
    def summary(self) -> str: ...

    def to_json(self) -> str:
        """Everything as JSON text."""

    def __repr__(self) -> str: ...

class GenerateOutput:
    @property
    def images(self) -> list[Image]: ...

    @property
    def report(self) -> RunReport: ...

    @property
    def latents(self) -> numpy.typing.NDArray[numpy.float32]: ...

class Pipeline:
    @staticmethod
    def from_pretrained(folder: str | os.PathLike, options: dict[str, object]) -> Pipeline: ...

    def __call__(self, options: GenerateOptions, on_step: object | None, on_phase: object | None) -> GenerateOutput: ...

    def encode_prompt(self, options: GenerateOptions) -> dict[str, numpy.typing.NDArray[numpy.float32]]: ...

    @property
    def class_name(self) -> str: ...

    @property
    def animates(self) -> bool:
        """Whether it takes a picture, not prompts."""

    @property
    def denoiser_class(self) -> str: ...

    @property
    def num_inference_steps(self) -> int: ...

    @property
    def precision(self) -> str: ...

    def last_report(self) -> RunReport: ...

def randn(shape: Sequence[int], seed: int) -> numpy.typing.NDArray[numpy.float32]:
    """
    The noise that torch.randn(shape, generator=torch.Generator().manual_seed(seed)) gives, float32.
    """

class ModuleFilter:
    """A function of a module's name, of the library's."""

    def __call__(self, name: str) -> bool: ...

class StepFunction:
    """A function of the step and the number of steps, of the library's."""

    def __call__(self, step: int, num_steps: int) -> bool: ...

class Rule:
    """What is decided for one module."""

    @property
    def module(self) -> str: ...

    @property
    def is_delta(self) -> bool:
        """Whether differences between a module's output and its input are kept."""

    @property
    def is_combination(self) -> bool:
        """Whether reuse sums what was kept; else it takes the last."""

    @property
    def most_terms(self) -> int:
        """How many of the last values are kept."""

    def least_terms(self, decision: int) -> int:
        """How many there must be to reuse there."""

    def weights(self, when: Sequence[int], evaluation: int, decision: int) -> list[float]:
        """
        Of the last values, newest first, which were computed at the evaluations `when`.
        """

    @property
    def kept_in(self) -> str:
        """f16, bf16, or empty: as computed."""

    @property
    def reuse(self) -> list[bool]:
        """For each decision, whether it is reused."""

class Decisions:
    @property
    def num_decisions(self) -> int:
        """Steps, or evaluations where those are counted."""

    @property
    def rules(self) -> list[Rule]:
        """For the modules that are reused at all."""

class Modules:
    """A denoiser's modules by name and kind."""

    def __init__(self, denoiser_class: str, modules: Sequence[tuple[str, str]]) -> None:
        """(name, kind), parents before what is inside."""

    def all(self) -> list[tuple[str, str]]:
        """(name, kind), in order."""

    def decide(self, config: object, steps_of_evaluations: Sequence[int], count: str, advises: bool) -> Decisions:
        """
        Which module is reused at which step. ValueError as for Reprise's own pipelines. advises: whether it warns where nothing is reused.
        """

    def make_policy(self, text: str, num_inference_steps: int) -> tuple[list, list[str]]:
        """The configuration, and in lines what "auto" chose."""

    def parse_config(self, json: str, origin: str) -> list: ...

def modules_of(pipe: Pipeline, options: GenerateOptions) -> Modules:
    """Those of a call with these options."""

def kind_of_class(diffusers_class: str) -> str: ...

def steps_of_evaluations(scheduler_config: str, num_inference_steps: int) -> list[int]:
    """
    For each evaluation of a scheduler, by its JSON configuration, the sampler's step.
    """

def t_gate(gate: int, warm_up: int, interval: int, interval_after_gate: int, conditional: bool) -> list: ...

def taylor_seer(interval: int, before: int, after: int, order: int, kinds: Sequence[str]) -> list: ...

def guidance_reuse(interval: int, before: int) -> list: ...

def deep_cache(modules: Modules, interval: int, branch: int, uniform: bool, center: float, power: float) -> list: ...

def attention_broadcast(modules: Modules, self_attention: int, cross_attention: int, joint_attention: int, temporal_attention: int, begin: float, end: float) -> list: ...

class RunningOptions:
    def __init__(self, threshold: float, warm_up: int, most_in_a_row: int, most_in_all: int, mask: str) -> None: ...

def dual_block_cache(modules: Modules, first: int, last: int, order: int, running: RunningOptions) -> list: ...

def easy_cache(unet: bool, running: RunningOptions) -> list: ...

def mag_cache(modules: Modules, profile: str, retention: float, running: RunningOptions) -> list: ...

def tea_cache(modules: Modules, profile: str, running: RunningOptions) -> list: ...

def replay(config: object, decisions: Sequence[Sequence[int]]) -> list: ...

def policy_rows() -> str:
    """The policies with their parameters, as JSON."""

def policy_names() -> list[str]: ...

def prepare(pipe: Pipeline, run: int | GenerateOptions, config: object, count: str) -> None:
    """run: a number of steps, or the options of a call."""

def prepare_nothing(pipe: Pipeline) -> None:
    """As "auto" chose and said."""

def enable(pipe: Pipeline) -> None: ...

def disable(pipe: Pipeline) -> None: ...

def unprepare(pipe: Pipeline) -> None: ...

def reset_status(pipe: Pipeline) -> None: ...

def parse_config(json: str, origin: str) -> list: ...

def to_json(config: object) -> str: ...

def published_configs() -> dict: ...

class Plan:
    @property
    def num_steps(self) -> int: ...

    @property
    def total_flops(self) -> float: ...

    @property
    def full_total_flops(self) -> float: ...

    @property
    def kept_bytes(self) -> int: ...

    @property
    def expected_speedup(self) -> float: ...

    def to_text(self) -> str: ...

    def to_json(self) -> str: ...

    def to_svg(self, title: str, most_panels: int) -> str: ...

def plan(pipe: Pipeline, options: GenerateOptions) -> Plan: ...

class Comparison:
    @property
    def settings(self) -> list[tuple[str, str]]:
        """(name, value): how it was made."""

    @settings.setter
    def settings(self, arg: Sequence[tuple[str, str]], /) -> None: ...

    def contact_sheet(self, most_pairs: int) -> Image: ...

    def to_text(self) -> str: ...

    def to_csv(self) -> str: ...

    def to_json(self) -> str: ...

    def to_html(self, most_pairs: int) -> str: ...

def compare(pipe: Pipeline, generate: GenerateOptions, prompts: Sequence[str], images: Sequence[Image], ways: Sequence[tuple[str, list]], seeds: Sequence[int], runs: int | None, fewer: Sequence[int] | None, progress: object | None) -> Comparison: ...

def psnr(a: Image, b: Image) -> float: ...

def ssim(a: Image, b: Image) -> float: ...

def calibrate(pipe: Pipeline, generate: GenerateOptions, prompts: Sequence[str], images: Sequence[Image], seeds: Sequence[int], kinds: Sequence[str], progress: object | None) -> str:
    """A profile's JSON form."""

def check_profile(json: str, origin: str) -> None: ...

def block_caching(profile: str, threshold: float, kinds: Sequence[str]) -> list: ...

class Tuned:
    """A configuration that was found, with what was measured of it."""

    @property
    def speedup(self) -> float:
        """That was asked for, or found to be fast enough."""

    @property
    def config(self) -> list: ...

    @property
    def figures(self) -> dict[str, float]:
        """
        Asked, predicted and measured speedup; distances on the tuning pairs and on those held out.
        """

    @property
    def notes(self) -> dict[str, str]:
        """The schedule in words."""

    def to_json(self) -> str:
        """The configuration's JSON form with its evidence."""

def tune(pipe: Pipeline, generate: GenerateOptions, prompts: Sequence[str], images: Sequence[Image], pairs: int, speedups: Sequence[float], ssim: float, psnr: float, seed: int, trials: int, minutes: float, state: str, progress: object | None) -> list[Tuned]: ...
