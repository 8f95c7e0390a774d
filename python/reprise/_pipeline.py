"""Reprise's own pipelines."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from reprise import _core

if TYPE_CHECKING:
    import numpy
    import numpy.typing
    import PIL.Image

    ImageLike = PIL.Image.Image | numpy.typing.NDArray[numpy.uint8] | str | os.PathLike[str]

Precision = Literal["f32", "bf16", "f16"]
GuidanceMode = Literal["auto", "batched", "split"]
Fit = Literal["stretch", "crop", "letterbox"]


class Output:
    """What a call gives.

    `latents` and `arrays` are the library's own memory, not copies: it stays as long as an array on it does, whatever
    becomes of the `Output` and the pipeline.
    """

    def __init__(self, native: _core.GenerateOutput) -> None:
        self._native = native
        self._images: list[PIL.Image.Image] | None = None

    @property
    def images(self) -> list[PIL.Image.Image]:
        """Prompt by prompt, image by image; of videos, frame by frame. Empty with `decode=False`. Made once, by copying
        (Pillow keeps pictures in a layout of its own)."""
        if self._images is None:
            self._images = [to_pil(image) for image in self._native.images]
        return self._images

    @property
    def frames(self) -> list[list[PIL.Image.Image]]:
        """The frames of each video."""
        shape = self.latents.shape
        if len(shape) != 5:
            raise ValueError("these are pictures, not videos: use `images`")
        return [self.images[i : i + shape[1]] for i in range(0, len(self.images), shape[1])]

    @property
    def arrays(self) -> list[numpy.typing.NDArray[numpy.uint8]]:
        """The pictures as uint8 arrays (height, width, 3), not copied."""
        return [image.array for image in self._native.images]

    @property
    def latents(self) -> numpy.typing.NDArray[numpy.float32]:
        """Final latents, float32 (images, channels, height / 8, width / 8), as diffusers' `output_type="latent"`; of
        videos (videos, frames, channels, height / 8, width / 8). Not copied."""
        return self._native.latents

    @property
    def report(self) -> _core.RunReport:
        """What happened: steps, times in seconds, work in FLOPs, bytes kept."""
        return self._native.report

    def __repr__(self) -> str:
        return f"<reprise.Output: {len(self._native.images)} pictures; {self.report.summary}>"


class Pipeline:
    """A diffusion pipeline: prompt or picture in, pictures or frames out.

    Threads may call one pipeline at once: they share its compiled pieces, and the interpreter's lock is free while they
    compute. `cachify` functions must not run at the same time as a call.
    """

    def __init__(self, native: _core.Pipeline) -> None:
        self._native = native
        self._progress_bar_config: dict[str, Any] = {}

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        *,
        backend: str = "",
        device: str = "CPU",
        precision: Precision | None = None,
        vae_precision: Precision | Literal["auto"] = "auto",
        threads: int = 0,
        variant: str = "",
        keep_parameters_below: int = 100_000_000,
        text_encoders: bool = True,
    ) -> Pipeline:
        """Opens a folder in diffusers' layout.

        backend: "openvino" or "reference"; empty: the first that this build has.
        device: any of the backend's.
        precision: of the denoiser and the text encoders; None: bf16 where the device has it and is faster in it,
            else f32.
        vae_precision: of the autoencoder; "auto": likewise. A picture that is not finite in 16 bits is decoded again in
            f32, with a warning.
        threads: 0: one per core that the control group allows.
        variant: of the weight files, such as "fp16".
        keep_parameters_below: components of more weights than this are let go after their turn, and compiled again
            by the next call.
        text_encoders: False does not open them, nor need the folder have them: prompts come as embeddings.

        FileNotFoundError when there is no such folder; ValueError naming what in it is missing, broken or not supported.
        """
        return cls(
            _core.Pipeline.from_pretrained(
                os.fspath(folder),
                backend,
                device,
                precision,
                None if vae_precision == "auto" else vae_precision,
                threads,
                variant,
                keep_parameters_below,
                text_encoders,
            )
        )

    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        *,
        prompt_2: str | None = None,
        prompt_3: str | None = None,
        negative_prompt: str | None = None,
        negative_prompt_2: str | None = None,
        negative_prompt_3: str | None = None,
        prompt_embeds: numpy.typing.ArrayLike | None = None,
        negative_prompt_embeds: numpy.typing.ArrayLike | None = None,
        pooled_prompt_embeds: numpy.typing.ArrayLike | None = None,
        negative_pooled_prompt_embeds: numpy.typing.ArrayLike | None = None,
        prompt_attention_mask: numpy.typing.ArrayLike | None = None,
        negative_prompt_attention_mask: numpy.typing.ArrayLike | None = None,
        image: ImageLike | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float = 0.0,
        skip_guidance_layers: Sequence[int] = (),
        height: int = 0,
        width: int = 0,
        seed: int = 0,
        num_images_per_prompt: int = 1,
        clip_skip: int | None = None,
        max_sequence_length: int | None = None,
        clean_caption: bool = True,
        use_resolution_binning: bool = True,
        original_size: tuple[int, int] | None = None,
        crops_coords_top_left: tuple[int, int] = (0, 0),
        target_size: tuple[int, int] | None = None,
        scheduler: str = "",
        guidance_mode: GuidanceMode = "auto",
        latents: numpy.typing.ArrayLike | None = None,
        decode: bool = True,
        num_frames: int = 0,
        fps: int = 7,
        motion_bucket_id: int = 127,
        noise_aug_strength: float = 0.02,
        min_guidance_scale: float = 1.0,
        max_guidance_scale: float = 3.0,
        decode_chunk_size: int = 0,
        fit: Fit = "stretch",
        callback_on_step_end: Callable[[_core.StepInfo], bool | None] | None = None,
        on_phase: Callable[[str], None] | None = None,
    ) -> Output:
        """Makes pictures, or, of a picture, videos. Names and defaults are diffusers'; what the model cannot honour is
        refused with a ValueError.

        prompt: one, or several at once. prompt_2, prompt_3: for the other text encoders; None: the prompt.
        prompt_embeds ... negative_prompt_attention_mask: what `encode_prompt` gave, in place of all texts.
        image: what an image-to-video pipeline starts from: Pillow's, uint8 (height, width, 3), or a file.
        num_inference_steps, guidance_scale: None: what the pipeline has in diffusers. Guidance is off at 1 and below.
        height, width: in pixels; 0: what the model was trained for.
        seed: of the noise, PyTorch's: the same seed gives diffusers' picture.
        original_size, crops_coords_top_left, target_size: (height, width); None: the picture's.
        scheduler: a name such as "dpm++2m-karras"; empty: the folder's own.
        guidance_mode: both halves of guidance as one batch of two, as two passes, or as a timing decides.
        latents: standard normal noise in place of the seed's, float32 of the shape of `Output.latents`. A contiguous
            array is not copied on its way to the run, which makes its own copy of it.
        decode: False leaves the autoencoder out; `Output.images` is empty.
        num_frames ... fit: of videos. decode_chunk_size: frames decoded at once, 0: all, or as many as memory allows.
        callback_on_step_end: called after each step with a `StepInfo`. What it raises stops the run and comes out here;
            returning False stops it with `reprise.Cancelled`. So does Ctrl-C, between steps and phases, with
            KeyboardInterrupt. The pipeline can be used as before afterwards.
        on_phase: called when a phase begins: "text encoder", "compile 2/3", "denoise", "decode".
        """
        options = call_options(**{name: value for name, value in locals().items() if name in _OPTIONS})

        with _ProgressBar(self._progress_bar_config) as step_done:

            def on_step(info: _core.StepInfo) -> bool | None:
                step_done(info)
                return None if callback_on_step_end is None else callback_on_step_end(info)

            return Output(self._native(options, on_step, on_phase))

    def encode_prompt(
        self,
        prompt: str | Sequence[str],
        *,
        prompt_2: str | None = None,
        prompt_3: str | None = None,
        negative_prompt: str | None = None,
        negative_prompt_2: str | None = None,
        negative_prompt_3: str | None = None,
        clip_skip: int | None = None,
        max_sequence_length: int | None = None,
        clean_caption: bool = True,
    ) -> dict[str, numpy.typing.NDArray[numpy.float32]]:
        """What the text encoders make of prompts, to be kept: float32 arrays with a row for each prompt, named as the
        arguments of a call that takes them (`pipe(**embeddings)`), which are diffusers'. safetensors' `save_file` and
        `load_file` (of `safetensors.numpy`) keep them as `reprise encode` and `generate --embeddings` do.

        prompt_embeds, negative_prompt_embeds: (prompts, tokens, width); pooled_prompt_embeds,
        negative_pooled_prompt_embeds: (prompts, pooled width); prompt_attention_mask, negative_prompt_attention_mask:
        (prompts, tokens) of 1 and 0. Those that the model takes. ValueError as for a call.
        """
        options = call_options(**{name: value for name, value in locals().items() if name in _OPTIONS})
        return self._native.encode_prompt(options)

    def set_progress_bar_config(self, **config: Any) -> None:
        """What tqdm's progress bar is made with, as in diffusers: `disable=True` for none."""
        self._progress_bar_config = config

    @property
    def class_name(self) -> str:
        """In diffusers, such as "StableDiffusionXLPipeline"."""
        return self._native.class_name

    @property
    def denoiser_class(self) -> str:
        """In diffusers, such as "UNet2DConditionModel"."""
        return self._native.denoiser_class

    @property
    def precision(self) -> str:
        """Of the denoiser: "f32", "bf16" or "f16"."""
        return self._native.precision

    @property
    def last_report(self) -> _core.RunReport:
        """What the last call reported; empty before the first and after `cachify.reset_status`."""
        return self._native.last_report()

    def modules(self, kind: str | None = None) -> list[tuple[str, str]]:
        """Names and kinds of the denoiser's modules that a configuration can be about, in the order in which they run."""
        everything = _core.modules_of(self._native).all()
        return [(name, its) for name, its in everything if (its == kind if kind else its != "other")]

    def __repr__(self) -> str:
        return f"<reprise.Pipeline {self.class_name}, {self.precision}>"


class _ProgressBar:
    """tqdm's, of a terminal or a notebook, made when the first step is done."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._bar: Any = None

    def __enter__(self) -> Callable[[_core.StepInfo], None]:
        return self._step_done

    def _step_done(self, info: _core.StepInfo) -> None:
        if self._config.get("disable"):
            return
        if self._bar is None:
            from tqdm.auto import tqdm

            self._bar = tqdm(**({"total": info.num_steps} | self._config))
        self._bar.update()

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def to_pil(image: _core.Image) -> PIL.Image.Image:
    """A copy in Pillow's own layout."""
    import PIL.Image

    return PIL.Image.frombytes("RGB", (image.width, image.height), image.array)


def to_native(image: ImageLike) -> _core.Image:
    """A picture of Pillow's, an array (height, width, 3) of uint8, or a file. Transparent pixels are laid over white."""
    if isinstance(image, (str, os.PathLike)):
        if not os.path.exists(image):
            raise FileNotFoundError(f"{os.fspath(image)}: there is no such picture")
        return _core.Image.load(os.fspath(image))
    import PIL.Image

    if isinstance(image, PIL.Image.Image):
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
        return _core.Image.from_rgb(image.width, image.height, image.convert("RGB").tobytes())
    if getattr(image, "dtype", None) != "uint8" or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if hasattr(image, "dtype") else type(image).__name__
        raise TypeError(f"the picture is {found}; expected Pillow's, uint8 (height, width, 3), or a file's name")
    return _core.Image.from_rgb(image.shape[1], image.shape[0], image.tobytes())


def as_floats(array: numpy.typing.ArrayLike) -> numpy.typing.NDArray[numpy.float32]:
    """Contiguous; the same array where it is so already."""
    import numpy

    return numpy.ascontiguousarray(array, numpy.float32)


# Arguments of a call but for those that watch it.
_OPTIONS = frozenset(inspect.signature(Pipeline.__call__).parameters) - {"self", "callback_on_step_end", "on_phase"}
_EMBEDDINGS = frozenset(name for name in _OPTIONS if name.endswith(("_embeds", "_attention_mask")))


def call_options(**arguments: Any) -> _core.GenerateOptions:
    """The options of a call, by the names of its arguments. TypeError for a name that is none of them."""
    for name in arguments.keys() - _OPTIONS:
        raise TypeError(f"a call has no option {name!r}")
    options, video = _core.GenerateOptions(), _core.AnimateOptions()
    embeddings = {name: as_floats(arguments[name]) for name in _EMBEDDINGS & set(arguments) if arguments[name] is not None}
    if embeddings:
        options.set_embeddings(embeddings)
    for name, value in arguments.items():
        if name in _EMBEDDINGS or (value is None and name in ("prompt", "image", "latents")):
            continue
        if name == "prompt" and not isinstance(value, str):
            options.prompts = list(value)
        elif name == "image":
            options.image = to_native(value)
        elif name == "latents":
            options.set_latents(as_floats(value))
        elif name == "seed":
            options.seed = value % 2**64
        else:
            setattr(video if hasattr(video, name) else options, name, value)
    options.video = video
    return options


def save_video(frames: Sequence[ImageLike], path: str | os.PathLike[str], fps: int = 7) -> None:
    """Writes frames of one size as .mp4 (H.264) or as animated, lossless .webp. ValueError for another name."""
    _core.save_video([to_native(frame) for frame in frames], os.fspath(path), fps, [])
