# Written from the library's table of options by reprise._options.stub().
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypedDict, TypeVar

import numpy
import numpy.typing
import PIL.Image

from reprise._arguments import Check, Large, Seed
from reprise.cachify import Entry

ImageLike = PIL.Image.Image | numpy.typing.NDArray[numpy.uint8] | str | os.PathLike[str]
P = ParamSpec("P")
R = TypeVar("R")

class CallOptions(TypedDict, total=False):
    prompt_embeds: numpy.typing.ArrayLike | None
    negative_prompt_embeds: numpy.typing.ArrayLike | None
    pooled_prompt_embeds: numpy.typing.ArrayLike | None
    negative_pooled_prompt_embeds: numpy.typing.ArrayLike | None
    prompt_attention_mask: numpy.typing.ArrayLike | None
    negative_prompt_attention_mask: numpy.typing.ArrayLike | None
    prompt_2: str | Sequence[str] | None
    prompt_3: str | Sequence[str] | None
    negative_prompt: str | Sequence[str] | None
    negative_prompt_2: str | Sequence[str] | None
    negative_prompt_3: str | Sequence[str] | None
    image: ImageLike | None
    num_images_per_prompt: int
    only_picture: int | None
    clip_skip: int | None
    max_sequence_length: int | None
    clean_caption: bool
    use_resolution_binning: bool
    skip_guidance_layers: Sequence[int]
    original_size: tuple[int, int] | None
    crops_coords_top_left: tuple[int, int]
    target_size: tuple[int, int] | None
    aesthetic_score: float
    negative_aesthetic_score: float
    start_latents: numpy.typing.ArrayLike | None
    num_inference_steps: int | None
    width: int | None
    height: int | None
    seed: Seed
    scheduler: str | None
    guidance_mode: Literal["auto", "batched", "split"]
    guidance_scale: float | None
    guidance_rescale: float
    denoising_start: float | None
    denoising_end: float | None
    fit: Literal["stretch", "crop", "letterbox"]
    num_frames: int | None
    fps: int
    motion_bucket_id: int
    noise_aug_strength: float
    min_guidance_scale: float
    max_guidance_scale: float
    decode_chunk_size: int | None
    latents: numpy.typing.ArrayLike | None
    decode: bool
    reuse: str | Sequence[Entry] | Mapping[str, str | Sequence[Entry]] | None

class EncodeOptions(TypedDict, total=False):
    prompt_2: str | Sequence[str] | None
    prompt_3: str | Sequence[str] | None
    negative_prompt: str | Sequence[str] | None
    negative_prompt_2: str | Sequence[str] | None
    negative_prompt_3: str | Sequence[str] | None
    clip_skip: int | None
    max_sequence_length: int | None
    clean_caption: bool

class LoadOptions(TypedDict, total=False):
    device: str
    precision: Literal["auto", "f32", "bf16", "f16"] | None
    vae_precision: Literal["auto", "f32", "bf16", "f16"] | None
    threads: int
    variant: str
    backend: str
    memory_limit: Large | None
    keep_parameters_below: Large | None
    text_encoders: bool

class Option:
    name: str
    row: str
    annotation: str
    default: Any
    is_text: bool
    choices: tuple[str, ...]
    is_attached: bool
    def check(self) -> Check: ...

LOAD: dict[str, Option]
CALL: dict[str, Option]
ENCODE: dict[str, Option]

def takes(options: dict[str, Option]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def unknown(callee: str, names: Iterable[str], options: dict[str, Option]) -> None: ...
def load_values(given: dict[str, Any]) -> dict[str, object]: ...
def stub() -> str: ...
