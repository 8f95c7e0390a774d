"""Reprise's own pipelines."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reprise import _core
from reprise._arguments import (
    Check,
    Positive,
    Seed,
    Shape,
    boolean,
    checked,
    checks_of,
    found,
    natural,
    number,
    path,
    refused,
    several,
    text,
    unchecked,
)
from reprise._options import CALL, ENCODE, LOAD, load_values, takes, unknown

if TYPE_CHECKING:
    import numpy
    import numpy.typing
    import PIL.Image
    from typing_extensions import Unpack

    from reprise._options import CallOptions, EncodeOptions, LoadOptions

    ImageLike = PIL.Image.Image | numpy.typing.NDArray[numpy.uint8] | str | os.PathLike[str]


class Output:
    """What a call gives.

    `latents` and `arrays` are the library's own memory, not copies: it stays as long as an array on it does, whatever
    becomes of the `Output` and the pipeline.
    """

    def __init__(self, native: _core.GenerateOutput, output_type: str = "pil") -> None:
        self._native = native
        self._output_type = output_type
        self._images: list[PIL.Image.Image] | None = None

    @property
    def images(self) -> Any:
        """Pillow's, prompt by prompt, image by image; of videos, frame by frame. Empty with `decode=False`. Made once, by
        copying (Pillow keeps pictures in a layout of its own). With `output_type="latent"` the latents, as in diffusers."""
        if self._output_type == "latent":
            return self.latents
        if self._images is None:
            self._images = [to_pil(image) for image in self._native.images]
        return self._images

    @property
    def frames(self) -> Any:
        """The frames of each video; with `output_type="latent"` their latents."""
        shape = self.latents.shape
        if len(shape) != 5:
            raise ValueError("these are pictures, not videos: use `images`")
        if self._output_type == "latent":
            return self.latents
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

    # What a pipeline of diffusers would take and this one would ignore, such as `pipe.scheduler = ...`, is an AttributeError.
    __slots__ = ("__weakref__", "_interrupt", "_native", "_num_timesteps", "_progress_bar_config")

    def __init__(self, native: _core.Pipeline) -> None:
        self._native = native
        self._progress_bar_config: dict[str, Any] = {}
        self._interrupt = False
        self._num_timesteps = 0

    @classmethod
    @checked
    @takes(LOAD)
    def from_pretrained(cls, folder: str | os.PathLike[str], **options: Unpack[LoadOptions]) -> Pipeline:
        """Opens a folder in diffusers' layout.

        backend: "openvino" or "reference"; empty: the first that this build has.
        device: any of the backend's.
        precision: of the denoiser and the text encoders; None: bf16 where the device has it and is faster in it,
            else f32.
        vae_precision: of the autoencoder; "auto": likewise. A picture that is not finite in 16 bits is decoded again in
            f32, with a warning.
        threads: 0: one per core that the control group allows.
        variant: of the weight files, such as "fp16".
        memory_limit: bytes of each compiled component (text encoder, denoiser, autoencoder) that may stay in memory between
            its uses. None: what a call used stays as far as free memory allows, and the next call compiles nothing. 0: each is
            freed after its use.
        text_encoders: False does not open them, nor need the folder have them: prompts come as embeddings.
        keep_parameters_below: the older name of memory_limit, as a number of parameters. It warns, and goes with version 0.2.

        FileNotFoundError when there is no such folder; ValueError naming what in it is missing, broken or not supported.
        """
        given: dict[str, Any] = dict(options)
        unknown("from_pretrained", given, LOAD)
        older = given.pop("keep_parameters_below", None)
        if older is not None:
            words = "keep_parameters_below is called memory_limit now, in bytes"
            if given.get("memory_limit") is not None:
                raise ValueError(f"{words}; both are given")
            warnings.warn(words, DeprecationWarning, stacklevel=3)
            given["memory_limit"] = min(4 * older, 2**63 - 1)  # bytes of a parameter in f32
        return cls(_core.Pipeline.from_pretrained(folder, load_values(given)))

    @takes(CALL)
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        *,
        generator: Any = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., Any] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        on_phase: Callable[[str], None] | None = None,
        **options: Unpack[CallOptions],
    ) -> Output:
        """Makes pictures, or, of a picture, videos. Names and defaults are diffusers'; what the model cannot honour is
        refused with a ValueError.

        prompt: one, or several at once. prompt_2, prompt_3: for the other text encoders; None: the prompt. These and the
            negative ones: one for all prompts, or a list with one for each.
        prompt_embeds ... negative_prompt_attention_mask: what `encode_prompt` gave, in place of all texts.
        image: what an image-to-video pipeline starts from: Pillow's, uint8 (height, width, 3), or a file.
        num_inference_steps, guidance_scale: None: what the pipeline has in diffusers. Guidance is off at 1 and below.
        height, width: in pixels; None or 0: what the model was trained for.
        seed: of the noise, PyTorch's: the same seed gives diffusers' picture.
        generator: in its place a fresh `torch.Generator` of the CPU, which stands for its seed. The call uses it up.
        original_size, crops_coords_top_left, target_size: (height, width); None: the picture's.
        scheduler: a name such as "dpm++2m-karras"; None: the folder's own.
        guidance_mode: both halves of guidance as one batch of two, as two passes, or as a timing decides.
        reuse: what is reused between steps in this call: a policy ("auto:speedup=2"), a configuration, or "off"; or these by
            the denoisers' names (`{"transformer": "auto", "transformer_2": "off"}`). None: what `cachify.prepare` left on the
            pipeline, or nothing. Calls of several threads may reuse differently.
        denoising_start, denoising_end: which part of the way from noise to picture is made, as shares of the noise levels that
            the model was trained for (Stable Diffusion XL). start_latents: with denoising_start, the latents that a call with
            that denoising_end gave; diffusers has them as `image`. A refiner goes on so from its base:
            `refiner(prompt, denoising_start=0.8, start_latents=base(prompt, denoising_end=0.8, output_type="latent").latents)`.
        aesthetic_score, negative_aesthetic_score: what a refiner is told of the picture.
        latents: standard normal noise in place of the seed's, float32 of the shape of `Output.latents`. A contiguous
            array is not copied on its way to the run, which makes its own copy of it.
        decode: False leaves the autoencoder out; `Output.images` is empty.
        output_type: "pil", or "latent", which leaves the autoencoder out and has the latents as `Output.images`.
            `Output.arrays` has pixels. return_dict: True; a call gives an `Output`.
        only_picture: of the pictures that the call asks for, counted from 0, this one alone is made, as it is among them.
        num_frames ... fit: of videos. num_frames None: as many as the model was trained for. decode_chunk_size: frames decoded
            at once, None: all, or as many as memory allows.
        callback_on_step_end: called after each step with a `StepInfo`. What it raises stops the run and comes out here;
            returning False stops it with `reprise.Cancelled`. So does Ctrl-C, between steps and phases, with
            KeyboardInterrupt. The pipeline can be used as before afterwards. A function of diffusers' form takes (pipe,
            step, timestep, kwargs) and returns a dict; its "latents", a NumPy array, may be changed or replaced. Setting
            `pipe._interrupt = True` leaves the remaining steps out.
        on_phase: called when a phase begins: "text encoder", "compile 2/3", "denoise", "decode".
        """
        own = {name: value for name, value in locals().items() if name not in ("self", "prompt", "options")}
        given: dict[str, Any] = {"prompt": prompt, **options}
        native = call_options(**given)
        rest = {name: _CHECKS[name](name, value) for name, value in own.items()}
        if prompt is None and given.get("prompt_embeds") is None and not self._native.animates:
            raise refused("prompt", prompt, "a str or a list of them, or prompt_embeds in its place", ValueError)
        if output_type not in ("pil", "latent"):
            raise refused("output_type", output_type, "'pil' or 'latent'; Output.arrays has pixels", ValueError)
        if not rest["return_dict"]:
            raise refused("return_dict", return_dict, "True: a call gives an Output", ValueError)
        if output_type == "latent":
            native.set("decode", False)
        then = _step_callback(self, callback_on_step_end, rest["callback_on_step_end_tensor_inputs"])
        if generator is not None:
            if given.get("seed", 0) != 0:
                raise refused("seed", given["seed"], "none beside a generator", ValueError)
            native.set("seed", _seed_of(generator))
        self._interrupt = False

        with _ProgressBar(self._progress_bar_config) as step_done:

            def on_step(info: _core.StepInfo) -> Any:
                step_done(info)
                self._num_timesteps = info.num_steps
                going_on = None if then is None else then(info)
                if self._interrupt:
                    info.last = True
                return going_on

            return Output(self._native(native, on_step, on_phase), output_type)

    @checked
    @takes(ENCODE)
    def encode_prompt(
        self, prompt: str | Sequence[str], **options: Unpack[EncodeOptions]
    ) -> dict[str, numpy.typing.NDArray[numpy.float32]]:
        """What the text encoders make of prompts, to be kept: float32 arrays with a row for each prompt, named as the
        arguments of a call that takes them (`pipe(**embeddings)`), which are diffusers'. safetensors' `save_file` and
        `load_file` (of `safetensors.numpy`) keep them as `reprise encode` and `generate --embeddings` do.

        prompt_embeds, negative_prompt_embeds: (prompts, tokens, width); pooled_prompt_embeds,
        negative_pooled_prompt_embeds: (prompts, pooled width); prompt_attention_mask, negative_prompt_attention_mask:
        (prompts, tokens) of 1 and 0. Those that the model takes. ValueError as for a call.
        """
        unknown("encode_prompt", options, ENCODE)
        return self._native.encode_prompt(call_options(prompt=prompt, **options))

    def set_progress_bar_config(self, **config: Any) -> None:
        """What tqdm's progress bar is made with, as in diffusers: `disable=True` for none. TypeError or ValueError for what
        tqdm does not take."""
        for name in config.keys() - _BAR.keys():
            raise TypeError(f"a progress bar has no option {name!r}")
        self._progress_bar_config = {
            name: None if value is None else _BAR[name](name, value) for name, value in config.items()
        }

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

    @property
    def interrupt(self) -> bool:
        """Whether the call under way leaves its remaining steps out, as in diffusers; `_interrupt` sets it."""
        return self._interrupt

    @property
    def num_timesteps(self) -> int:
        """Steps of the call under way or of the last."""
        return self._num_timesteps

    @checked
    def modules(self, kind: str | None = None) -> list[tuple[str, str]]:
        """Names and kinds of the denoiser's modules that a configuration can be about, in the order in which they run."""
        everything = _core.modules_of(self._native, _core.GenerateOptions()).all()
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


def to_native(image: ImageLike, name: str = "image") -> _core.Image:
    """A picture of Pillow's, an array (height, width, 3) of uint8, or a file. Transparent pixels are laid over white."""
    import PIL.Image

    if isinstance(image, (list, tuple)) and len(image) == 1:  # as diffusers takes them
        (image,) = image
    if isinstance(image, PIL.Image.Image):
        width, height = image.size
        data = _rgb_of(image, name)
    elif isinstance(image, (str, os.PathLike)):
        where = path(name, image)
        if not os.path.exists(where):
            raise FileNotFoundError(f"{' '.join(where.split())}: there is no such picture")
        return _core.Image.load(where)
    elif str(getattr(image, "dtype", "")) == "uint8" and image.ndim == 3 and image.shape[2] == 3:
        height, width = image.shape[:2]
        data = image.tobytes()
    else:
        raise refused(name, image, "one picture: Pillow's, uint8 (height, width, 3), or a file's name")
    try:
        return _core.Image.from_rgb(width, height, data)
    except RuntimeError as error:  # of no pixels, or too many
        raise ValueError(f"{name}: {error}") from None


def pictures(images: Sequence[ImageLike], name: str) -> list[_core.Image]:
    if hasattr(images, "shape") and getattr(images, "ndim", 0) != 4:
        raise refused(name, images, "a list of pictures")
    return several(name, images, lambda its_name, image: to_native(image, its_name), "pictures")


def _rgb_of(image: PIL.Image.Image, name: str) -> bytes:
    """The pixels of a picture of any mode: what they are where it was read from a file by the library."""
    import PIL.Image

    try:
        if image.mode.startswith("I;16"):
            import numpy

            # rounded to 8 bits, as PNG files of 16 are
            raw = numpy.asarray(image).astype(numpy.uint32)
            values = ((raw * 255 + 32895) >> 16).astype(numpy.uint8)
            if isinstance(key := image.info.get("transparency"), int):
                values[raw == key] = 255  # laid over white
            image = PIL.Image.fromarray(values)
        if image.mode in ("I", "F"):
            words = f"one of 8 or 16 bits a channel: values of mode {image.mode} may go to 1, 255, 65535 or beyond"
            raise refused(name, image, words)
        if image.mode == "La":  # multiplied by its transparency
            image = image.convert("LA")
        if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB").tobytes()
    except (OSError, SyntaxError, ValueError) as error:  # such as a file that ends early
        raise ValueError(f"{name} is {found(image)}, which Pillow does not read: {' '.join(str(error).split())}") from None


def _takes(callback: Callable[..., Any], count: int) -> bool | None:
    """Whether it can be called with so many arguments; None where it does not say."""
    try:
        signature = inspect.signature(callback)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _step_callback(
    pipe: Pipeline, callback: Callable[..., Any] | None, tensor_inputs: Sequence[str]
) -> Callable[[_core.StepInfo], Any] | None:
    """The callback as a function of a StepInfo, where it is one of diffusers' form."""
    tensor_inputs = getattr(callback, "tensor_inputs", tensor_inputs)
    for wanted in tensor_inputs:
        if wanted != "latents":
            raise refused("callback_on_step_end_tensor_inputs", list(tensor_inputs), "'latents' alone", ValueError)
    if callback is None or _takes(callback, 1) is not False:
        return callback
    if not _takes(callback, 4):
        forms = "a function of a StepInfo, or of diffusers' (pipe, step, timestep, kwargs)"
        raise refused("callback_on_step_end", callback, forms)

    def call(info: _core.StepInfo) -> None:
        kwargs: dict[str, Any] = {}
        if tensor_inputs and info.latents is not None:
            kwargs["latents"] = info.latents.copy()
        changed = callback(pipe, info.step, info.timestep, kwargs)
        if changed is None:
            changed = {}
        if not isinstance(changed, Mapping) or not changed.keys() <= {"latents"}:
            raise refused("what callback_on_step_end returned", changed, "a dict with 'latents' alone")
        for latents in (changed, kwargs):  # given back, or changed in place, as diffusers takes them
            if "latents" in latents:
                info.latents = latents["latents"]
                break

    return call


def _seed_of(generator: Any) -> int:
    """Of a torch.Generator that nothing was drawn from yet. Something is then, as a call of diffusers does."""
    if isinstance(generator, (list, tuple)) and len(generator) == 1:
        (generator,) = generator
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(generator, torch.Generator):
        raise refused("generator", generator, "one torch.Generator, for all pictures of the call")
    if generator.device.type != "cpu":
        raise ValueError(f"generator is of device {str(generator.device)!r}; expected one of the CPU, whose noise this is")
    seed: int = generator.initial_seed()
    if not torch.equal(torch.Generator().manual_seed(seed).get_state(), generator.get_state()):
        raise ValueError("generator was drawn from before; expected a fresh one, such as torch.Generator().manual_seed(42)")
    torch.rand(1, generator=generator)
    return seed


#: tqdm's own options, by how they are checked.
_BAR: dict[str, Check] = {
    **dict.fromkeys(("desc", "unit", "bar_format", "colour"), text),
    **dict.fromkeys(
        ("total", "mininterval", "maxinterval", "miniters", "smoothing", "initial", "unit_divisor", "delay"), number
    ),
    **dict.fromkeys(("ncols", "nrows", "position"), natural),
    **dict.fromkeys(("leave", "disable", "dynamic_ncols", "write_bytes", "gui"), boolean),
    **dict.fromkeys(("file", "ascii", "unit_scale", "postfix", "lock_args"), unchecked),
}


_CHECKS = checks_of(Pipeline.__call__)


def call_options(**arguments: Any) -> _core.GenerateOptions:
    """The options of a call, by the names of its arguments. TypeError for a name that is none of them."""
    unknown("a call", arguments.keys() - {"prompt"}, CALL)
    given = {name: _CHECKS[name](name, value) for name, value in arguments.items()}
    given = {name: value for name, value in given.items() if value is not None}
    options = _core.GenerateOptions()
    prompt = given.pop("prompt", "")
    options.set("prompt" if isinstance(prompt, str) else "prompts", prompt)
    options.set("prompt_texts", _prompt_texts(given, 1 if isinstance(prompt, str) else len(prompt)))
    for name, value in given.items():
        if CALL[name].is_attached:
            options.attach(name, to_native(value) if name == "image" else value)
        elif name == "reuse":
            try:
                options.set_reuse(value)
            except (TypeError, ValueError) as error:
                raise type(error)(f"reuse: {error}") from None
        else:
            options.set(CALL[name].row, value)
    return options


def _prompt_texts(given: dict[str, Any], count: int) -> list[dict[str, str]]:
    """What lists say for each of the prompts. They are taken out of `given`; of a list of one its text is put back."""
    lists = {name: given.pop(name) for name in list(given) if CALL[name].is_text and isinstance(given[name], list)}
    for name, values in lists.items():
        if len(values) != count:
            words = f"one text, or as many as there are prompts: {count}"
            raise ValueError(f"{name} is a list of {len(values)}; expected {words}")
    if count == 1:
        given.update({name: values[0] for name, values in lists.items()})
        return []
    return [{name: values[i] for name, values in lists.items()} for i in range(count)] if lists else []


@checked
def save_video(frames: Sequence[ImageLike], path: str | os.PathLike[str], fps: Positive = 7) -> None:
    """Writes frames of one size as .mp4 (H.264) or as animated, lossless .webp. ValueError for another name."""
    natives = pictures(frames, "frames")
    sizes = [(frame.width, frame.height) for frame in natives]
    if len(set(sizes)) != 1:
        raise ValueError(f"frames are of {found(sorted(set(sizes)))}; expected at least one, and of one size")
    _core.save_video(natives, path, fps, [])


@checked
def randn(shape: Shape, seed: Seed) -> numpy.typing.NDArray[numpy.float32]:
    """The noise that torch.randn(shape, generator=torch.Generator().manual_seed(seed)) gives, float32."""
    return _core.randn(shape, seed)
