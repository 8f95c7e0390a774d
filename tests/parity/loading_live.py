"""What diffusers' pipelines do to their parts when they load, row by row of docs/diffusers.md.

    PYTHONPATH=build/python python tests/parity/loading_live.py [ROW...]

Run by `./check --full`. Changes copies of the tiny fixtures, opens each in diffusers and in Reprise, and compares latents,
pictures or refusals. Every row of the document has a check here and every check a row. Prints a line for each row that
differs and exits with 1 when one does.
"""

import contextlib
import io
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
warnings.simplefilter("ignore")

import diffusers  # noqa: E402
import numpy  # noqa: E402
import reprise  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

for library in (diffusers, transformers):
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(tempfile.mkdtemp(prefix="reprise-loading-"))
DROP = object()
PROMPT = "red apple"
CHECKS = {}


def check(function):
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


# Folders


def model(name, **index):
    """A copy of a fixture, with these values in its model_index.json."""
    folder = Path(tempfile.mkdtemp(dir=WORK)) / name
    shutil.copytree(ROOT / "tests/fixtures/pipelines" / name, folder, copy_function=shutil.copyfile)
    edit(folder / "model_index.json", **index)
    return folder


def edit(path, **values):
    found = json.loads(path.read_text())
    for key, value in values.items():
        found.pop(key, None)
        if value is not DROP:
            found[key] = value
    path.write_text(json.dumps(found))
    return path.parent.parent


def scheduled(name, kind, **values):
    """A fixture with a scheduler of this class and these values alone."""
    folder = model(name, scheduler=["diffusers", kind])
    base = {"_class_name": kind, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(base | values))
    return folder


def weights_of(folder):
    (path,) = folder.glob("*.safetensors")
    return path


def change_weights(folder, change):
    path = weights_of(folder)
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def moved(tensors, amount=0.05):
    """Other weights than these."""
    generator = torch.Generator().manual_seed(5)
    return {k: v + (torch.randn(v.shape, generator=generator) * amount).to(v.dtype) for k, v in tensors.items()}


def put_shards(folder, base, tensors, index=None, shard="{base}-0000{i}-of-00002.safetensors", both=()):
    """Two shards of these tensors behind an index; `both`: names that the first shard has too, as zeros."""
    names = sorted(tensors)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    where = {}
    for i, half in enumerate(halves, 1):
        file = shard.format(base=base, i=i)
        extra = {name: torch.zeros_like(tensors[name]) for name in both if i == 1}
        save_file({name: tensors[name].contiguous() for name in half} | extra, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(half, file)
    if both:  # mapped to the shard of zeros
        where |= dict.fromkeys(both, shard.format(base=base, i=1))
    text = json.dumps({"metadata": {"total_size": 0}, "weight_map": where})
    (folder / (index or f"{base}.safetensors.index.json")).write_text(text)


# Runs


def opened(folder, **options):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pipe = diffusers.DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


class Log(logging.Handler):
    def emit(self, record):
        self.lines.append(record.getMessage())


log = Log()
log.lines = []
logging.getLogger("reprise").addHandler(log)
logging.getLogger("reprise").propagate = False


def ours(folder, load=None, decode=False, **call):
    pipe = reprise.Pipeline.from_pretrained(folder, backend="reference", precision="f32", threads=1, **(load or {}))
    output = pipe(seed=42, decode=decode, **call)
    return numpy.asarray(output.images[0], float) / 255 if decode else numpy.asarray(output.latents)


def theirs(pipe, decode=False, **call):
    with torch.no_grad():
        images = pipe(output_type="np" if decode else "latent", generator=torch.Generator().manual_seed(42), **call)[0]
    return numpy.asarray(images[0] if decode else images)


def same(folder, pipe=None, load=None, scheduler="", ours_too=None, **call):
    """Empty where both give the same for a folder; `pipe`: diffusers' pipeline where it is not just loaded."""
    call = {"prompt": PROMPT, "num_inference_steps": 3, "guidance_scale": 5.0} | call
    expected = theirs(pipe or opened(folder, **(load or {})), **call)
    found = ours(folder, load, scheduler=scheduler, **call | (ours_too or {}))
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    error = numpy.linalg.norm(found - expected) / numpy.linalg.norm(expected)
    return "" if error < (0.02 if call.get("decode") else 1e-3) else f"differs by {error:.1e}"


def refused(folder, *words, load=None, theirs_too=True, **call):
    """Empty where Reprise refuses a folder, or a run, in one line with these words, and diffusers fails too."""
    call = {"prompt": PROMPT, "num_inference_steps": 2} | call
    if theirs_too:
        try:
            theirs(opened(folder, **(load or {})), **call)
            return "diffusers takes it"
        except Exception:  # of any kind
            pass
    try:
        ours(folder, load, **call)
    except ValueError as error:
        missing = [word for word in words if word not in str(error)]
        return f"not named: {missing} in {error}" if missing or "\n" in str(error) else ""
    return "Reprise takes it"


def all_of(results):
    return "; ".join(f"{name}: {result}" for name, result in results.items() if result)


# The folder


@check
def pipeline_class():
    kinds = ("StableDiffusionXLInpaintPipeline", "FlaxStableDiffusionPipeline")
    return all_of({kind: refused(model("tiny-sdxl", _class_name=kind), kind, theirs_too=False) for kind in kinds})


@check
def part_class():
    folder = model("tiny-sdxl")
    edit(folder / "unet/config.json", _class_name="UNet2DModel")
    edit(folder / "vae/config.json", _class_name="AutoencoderTiny")
    edit(folder / "text_encoder/config.json", architectures=["CLIPTextModelWithProjection"])
    return same(folder)


@check
def old_part_class():
    folder = model("tiny-pixart", transformer=["diffusers", "Transformer2DModel"])
    edit(folder / "transformer/config.json", _class_name="Transformer2DModel")
    return same(folder, use_resolution_binning=False)


@check
def other_part_class():
    cases = {
        "vae": refused(model("tiny-sdxl", vae=["diffusers", "AutoencoderTiny"]), "AutoencoderTiny", "AutoencoderKL", theirs_too=False),
        "text_encoder": refused(model("tiny-sd", text_encoder=["transformers", "CLIPTextModelWithProjection"]), "CLIPTextModel"),
        "text_encoder_2": refused(model("tiny-sdxl", text_encoder_2=["transformers", "CLIPTextModel"]), "WithProjection"),
        "tokenizer": refused(model("tiny-sd", tokenizer=["transformers", "T5Tokenizer"]), "T5Tokenizer", "CLIPTokenizer"),
    }  # fmt: skip
    return all_of(cases)


@check
def generic_tokenizer():
    found = {}
    for kind in ("PreTrainedTokenizerFast", "TokenizersBackend"):
        tokenizer = ["transformers", kind]
        found[f"CLIP {kind}"] = same(model("tiny-sd", tokenizer=tokenizer), height=32, width=32)
        found[f"T5 {kind}"] = same(model("tiny-pixart-sigma", tokenizer=tokenizer), use_resolution_binning=False)
    return all_of(found)


@check
def null_part():
    folder = model("tiny-sd", safety_checker=[None, "StableDiffusionSafetyChecker"], image_encoder=DROP)
    return same(folder) or refused(model("tiny-sd", vae=[None, None]), "vae", "null")


@check
def part_without_folder():
    folder = model("tiny-sdxl")
    for part in ("scheduler", "unet"):
        for path in (folder / part).iterdir():
            path.rename(folder / path.name)
        (folder / part).rmdir()
    found = same(folder)
    shutil.rmtree(folder / "vae")
    return found or refused(folder)  # the denoiser's configuration is no autoencoder's


@check
def unread_part():
    folder = model("tiny-sd", safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    expected = theirs(opened(folder, safety_checker=None), prompt=PROMPT, num_inference_steps=2)
    found = ours(folder, prompt=PROMPT, num_inference_steps=2)
    return "" if numpy.allclose(found, expected, rtol=1e-3, atol=1e-3) else "differs"


@check
def add_watermarker():
    return same(model("tiny-sdxl", add_watermarker=False), decode=True)


# Weights


@check
def shards_before_file():
    found = {}
    for name, part in (("tiny-sdxl", "unet"), ("tiny-sdxl", "vae"), ("tiny-sd3", "transformer")):
        folder = model(name)
        path = weights_of(folder / part)
        put_shards(folder / part, "diffusion_pytorch_model", moved(load_file(path)))
        found[part] = same(folder, decode=part == "vae", **({"height": 64, "width": 64} if part == "vae" else {}))
    return all_of(found)


@check
def file_before_shards():
    found = {}
    for part, other in (("text_encoder", "diffusion_pytorch_model.safetensors"), ("text_encoder_2", "")):
        folder = model("tiny-sdxl")
        tensors = moved(load_file(weights_of(folder / part)))
        put_shards(folder / part, "model", tensors)
        if other:  # of another library's name: read by nobody
            save_file(tensors, folder / part / other, metadata={"format": "pt"})
        found[part] = same(folder)
    return all_of(found)


@check
def names_of_the_library():
    folder = model("tiny-sdxl")
    save_file(moved(load_file(weights_of(folder / "unet"))), folder / "unet/model.safetensors", metadata={"format": "pt"})
    return same(folder)


@check
def tensor_in_two_shards():
    found = {}
    for part, base in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        folder = model("tiny-sdxl")
        path = weights_of(folder / part)
        tensors = load_file(path)
        path.unlink()
        put_shards(folder / part, base, tensors, both=sorted(tensors)[-3:])
        found[part] = same(folder)
    return all_of(found)


@check
def variant_by_part():
    folder = model("tiny-sdxl")
    for part in ("unet", "text_encoder", "text_encoder_2"):
        path = weights_of(folder / part)
        base = path.name.split(".")[0]
        path.rename(folder / part / f"{base}.fp16.safetensors")
        plain = {k: torch.zeros_like(v) for k, v in load_file(folder / part / f"{base}.fp16.safetensors").items()}
        save_file(plain, path, metadata={"format": "pt"})
    found = same(folder, load={"variant": "fp16"}, decode=True)
    torch.save(load_file(weights_of(folder / "vae")), folder / "vae/diffusion_pytorch_model.fp16.bin")
    return found or refused(folder, "fp16", load={"variant": "fp16"}, theirs_too=False, decode=True)


@check
def variant_nowhere():
    return refused(model("tiny-sdxl"), 'variant "fp16"', load={"variant": "fp16"})


@check
def variant_shards():
    found = {}
    forms = {
        "new": ("diffusion_pytorch_model.safetensors.index.fp16.json", "{base}.fp16-0000{i}-of-00002.safetensors"),
        "old": ("diffusion_pytorch_model.safetensors.fp16.index.json", "{base}-0000{i}-of-00002.fp16.safetensors"),
    }
    for form, (index, shard) in forms.items():
        folder = model("tiny-sdxl")
        tensors = moved(load_file(weights_of(folder / "unet")))
        put_shards(folder / "unet", "diffusion_pytorch_model", tensors, index, shard)
        save_file(moved(tensors), folder / "unet/diffusion_pytorch_model.fp16.safetensors", metadata={"format": "pt"})
        found[form] = same(folder, load={"variant": "fp16"})
    folder = model("tiny-sdxl")
    tensors = moved(load_file(weights_of(folder / "text_encoder")))
    shard = "{base}.fp16-0000{i}-of-00002.safetensors"
    put_shards(folder / "text_encoder", "model", tensors, "model.safetensors.index.fp16.json", shard)
    found["transformers"] = same(folder, load={"variant": "fp16"})
    return all_of(found)


@check
def left_over_tensor():
    found = {}
    more = {
        "float": torch.tensor([0.999]), "empty": torch.zeros(0), "scalar": torch.tensor(3),
        "f8": torch.zeros(4).to(torch.float8_e4m3fn), "bool": torch.ones(2, dtype=torch.bool),
    }  # fmt: skip
    for part in ("unet", "vae", "text_encoder"):
        folder = model("tiny-sd")
        change_weights(folder / part, lambda tensors: tensors | {f"more.{name}": value for name, value in more.items()})
        log.lines.clear()
        found[part] = same(folder, height=32, width=32, decode=part == "vae")
        if not any("left over" in line for line in log.lines):
            found[part] += " no warning"
    return all_of(found)


@check
def missing_tensor():
    folder = model("tiny-sd")
    change_weights(folder / "unet", lambda tensors: {k: v for k, v in tensors.items() if k != "conv_in.bias"})
    return refused(folder, "conv_in.bias", theirs_too=False)


@check
def quantized_weights():
    found = {}
    for part in ("unet", "text_encoder"):
        folder = model("tiny-sd")
        edit(folder / part / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
        found[part] = refused(folder, part, "quantization_config", theirs_too=False)
    return all_of(found)


@check
def weights_of_8_bits():
    found = {}
    for kind in (torch.float8_e4m3fn, torch.int8):
        folder = model("tiny-sd")
        change_weights(folder / "unet", lambda tensors: tensors | {"conv_in.bias": tensors["conv_in.bias"].to(kind)})  # noqa: B023
        found[str(kind)] = refused(folder, "conv_in.bias", theirs_too=False)
    return all_of(found)


@check
def pickled_weights():
    folder = model("tiny-sd")
    path = weights_of(folder / "unet")
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    return refused(folder, "pickled", theirs_too=False)


# The scheduler


@check
def scheduler_class():
    folder = model("tiny-sdxl", scheduler=["diffusers", "DPMSolverMultistepScheduler"])
    found = {"index": same(folder)}
    folder = model("tiny-sdxl")
    edit(folder / "scheduler/scheduler_config.json", _class_name="DDIMScheduler")
    found["file"] = same(folder)
    edit(folder / "scheduler/scheduler_config.json", _class_name=DROP)
    found["none"] = same(folder)
    return all_of(found)


@check
def steps_offset():
    found = {}
    for kind, more in (
        ("PNDMScheduler", {"skip_prk_steps": True}),
        ("EulerDiscreteScheduler", {"timestep_spacing": "leading"}),
        ("DDIMScheduler", {"clip_sample": False}),
        ("DPMSolverMultistepScheduler", {"timestep_spacing": "leading"}),
    ):
        for offset in (0, 2, DROP):
            values = more | ({} if offset is DROP else {"steps_offset": offset})
            name = f"{kind} {'absent' if offset is DROP else offset}"
            found[name] = same(scheduled("tiny-sd", kind, **values), num_inference_steps=7, height=32, width=32)
    return all_of(found)


@check
def clip_sample():
    cases = {"true": {"clip_sample": True}, "false": {"clip_sample": False}, "absent": {}}
    found = {
        name: same(scheduled("tiny-sd", "DDIMScheduler", **values), height=32, width=32) for name, values in cases.items()
    }
    found["heun"] = same(scheduled("tiny-sd", "HeunDiscreteScheduler", clip_sample=True), height=32, width=32)
    return all_of(found)


@check
def no_corrections():
    return same(scheduled("tiny-sdxl", "DDIMScheduler", clip_sample=True, steps_offset=0))


KINDS = {
    "euler": "EulerDiscreteScheduler",
    "ddim": "DDIMScheduler",
    "dpm++2m": "DPMSolverMultistepScheduler",
}


def other_scheduler(folder, name, **call):
    pipe = opened(folder)
    pipe.scheduler = getattr(diffusers, KINDS[name]).from_config(pipe.scheduler.config)
    return same(folder, pipe, scheduler=name, height=32, width=32, **call)


@check
def corrected_for_another():
    found = {}
    for name in KINDS:
        for given in ({"steps_offset": 0, "clip_sample": True}, {"steps_offset": 3}, {"clip_sample": True}):
            folder = scheduled("tiny-sd", "PNDMScheduler", skip_prk_steps=True, timestep_spacing="leading", **given)
            found[f"{name} {given}"] = other_scheduler(folder, name)
    folder = scheduled("tiny-sd", "LCMScheduler", steps_offset=0, clip_sample=True, timestep_spacing="leading")
    found["ddim of LCM"] = other_scheduler(folder, "ddim")
    return all_of(found)


@check
def defaults_for_another():
    found = {}
    for name in KINDS:  # also the class itself, whose corrected defaults are not passed on
        folder = scheduled("tiny-sd", "DDIMScheduler", timestep_spacing="leading")
        found[name] = other_scheduler(folder, name)
    return all_of(found)


@check
def unscaled_sd3():
    return all_of({name: other_scheduler(model("tiny-sd3"), name) for name in KINDS})


@check
def flow_matching_elsewhere():
    kind = "FlowMatchEulerDiscreteScheduler"
    return all_of({name: refused(scheduled(name, kind), kind) for name in ("tiny-sd", "tiny-sdxl", "tiny-pixart")})


@check
def use_default_values():
    unset = ["beta_schedule", "steps_offset"]
    return same(scheduled("tiny-sdxl", "DDIMScheduler", steps_offset=3, _use_default_values=unset))


@check
def replaced_by_its_class():
    found = {}
    for kind, values in (
        ("DEISMultistepScheduler", {"algorithm_type": "dpmsolver", "solver_type": "heun", "final_sigmas_type": "sigma_min"}),
        ("UniPCMultistepScheduler", {"solver_type": "heun"}),
    ):
        found[kind] = other_scheduler(scheduled("tiny-sd", kind, **values), "dpm++2m", num_inference_steps=5)
    return all_of(found)


# The denoiser and the autoencoder


@check
def old_sample_size():
    found = {}
    cases = (("0.2.2", 4), ("0.8.1", 4), ("0.9.0", 4), ("0.10.2", 4), ("0.2.2", [4, 4]), (DROP, 4), ("0.2.2", 64))
    for version, size in cases:
        folder = model("tiny-sd")
        edit(folder / "unet/config.json", _diffusers_version=version, sample_size=size)
        result = same(folder, num_inference_steps=1, guidance_scale=1.0)
        found[f"{'none' if version is DROP else version} {size}"] = result
    return all_of(found)


@check
def latent_scale():
    found = {}
    sizes = {"height": 32, "width": 32, "num_inference_steps": 1}
    for name, channels in (("tiny-sd", 4), ("tiny-sdxl", 4), ("tiny-pixart-sigma", 4), ("tiny-sd3", 16)):
        statistics = {"latents_mean": [0.5] * channels, "latents_std": [2.0] * channels}
        more = {"use_resolution_binning": False} if "pixart" in name else {}
        for given in ({"shift_factor": 0.7}, statistics | {"shift_factor": 0.7}, {"latents_mean": [0.5] * channels}):
            folder = model(name)
            if len(json.loads((folder / "vae/config.json").read_text()).get("block_out_channels", [])) == 0:
                continue
            given = dict(given)
            if name == "tiny-sd3":
                given.setdefault("shift_factor", 0.1)
                actual = json.loads((folder / "vae/config.json").read_text())["latent_channels"]
                given |= {k: v[:actual] for k, v in given.items() if isinstance(v, list)}
            edit(folder / "vae/config.json", **given)
            found[f"{name} {' '.join(given)}"] = same(folder, decode=True, **sizes, **more)
    return all_of(found)


# Texts


def learn(folder, names, suffix=""):
    """Adds tokens to a tokenizer, and random rows for them to its encoder."""
    kind = json.loads((folder / "model_index.json").read_text())["text_encoder" + suffix][1]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / f"tokenizer{suffix}")
    before = len(tokenizer)
    tokenizer.add_tokens(names)
    tokenizer.save_pretrained(folder / f"tokenizer{suffix}")
    encoder = getattr(transformers, kind).from_pretrained(folder / f"text_encoder{suffix}")
    encoder.resize_token_embeddings(len(tokenizer))
    rows = encoder.get_input_embeddings().weight.data
    noise = torch.randn(rows[before:].shape, generator=torch.Generator().manual_seed(7))
    rows[before:] = noise * rows[:before].std()
    encoder.save_pretrained(folder / f"text_encoder{suffix}")


VECTORS = ["<cat>", "<cat>_1", "<cat>_2"]


@check
def all_vectors():
    found = {}
    for name in ("tiny-sd", "tiny-sdxl"):
        folder = model(name)
        for suffix in ("",) if name == "tiny-sd" else ("", "_2"):
            learn(
                folder, [*VECTORS, "<Dog>", "<Dog>_1", transformers.AddedToken("<Cow>", normalized=False), "<Cow>_1"], suffix
            )
        pipe = opened(folder)
        size = {"height": 32, "width": 32}
        for text in ("a <cat> on<cat>s", "<CAT> <cat>_1", "<Dog> and <dog>", "a <Cow> <cow>", "<cat> <cat>_1"):
            found[f"{name} {text}"] = same(folder, pipe, prompt=text, **size)
        found[f"{name} negative"] = same(folder, pipe, negative_prompt="a <cat>", **size)
    found["prompt_2"] = same(folder, pipe, prompt_2="a <cat>", **size)
    return all_of(found)


@check
def vectors_of_sd3():
    folder = model("tiny-sd3")
    for suffix in ("", "_2"):
        learn(folder, VECTORS, suffix)
    return same(folder, prompt="a <cat> on <cat>", negative_prompt="a <cat>")


@check
def token_without_row():
    folder = model("tiny-sd")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "tokenizer")
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder / "tokenizer")
    return same(folder, height=32, width=32) or refused(folder, "<new>", prompt="a <new> one")


@check
def force_zeros():
    values = {"true": True, "false": False, "null": None, "absent": DROP}
    return all_of({k: same(model("tiny-sdxl", force_zeros_for_empty_prompt=v)) for k, v in values.items()})


def narrowed(folder, width):
    """The UNet for text of another width."""
    config = json.loads((folder / "unet/config.json").read_text())
    config["cross_attention_dim"] = width
    unet = diffusers.UNet2DConditionModel.from_config(config)
    torch.manual_seed(3)
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    unet.save_pretrained(folder / "unet")


@check
def one_encoder_of_sdxl():
    folder = model("tiny-sdxl", text_encoder=[None, None], tokenizer=[None, None])
    width = json.loads((folder / "text_encoder_2/config.json").read_text())["hidden_size"]
    narrowed(folder, width)
    shutil.rmtree(folder / "text_encoder")
    return (
        same(folder)
        or same(folder, negative_prompt="blue", clip_skip=1)
        or refused(model("tiny-sdxl", text_encoder_2=[None, None]), "text_encoder_2")
        or refused(model("tiny-sdxl", tokenizer=[None, None]), "tokenizer")
    )


@check
def pooled_text():
    folder = model("tiny-sdxl", text_encoder=["transformers", "CLIPTextModelWithProjection"])
    wanted = json.loads((folder / "text_encoder_2/config.json").read_text())["projection_dim"]
    config = transformers.CLIPTextConfig.from_pretrained(folder / "text_encoder", projection_dim=wanted)
    encoder = transformers.CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder", config=config)
    torch.nn.init.normal_(encoder.text_projection.weight, generator=torch.Generator().manual_seed(3))
    encoder.save_pretrained(folder / "text_encoder")
    return same(folder) or same(folder, negative_prompt="blue")


@check
def tokens_of_sd3():
    found = {}
    for first, second in ((20, 77), (77, 30)):
        folder = model("tiny-sd3")
        edit(folder / "tokenizer/tokenizer_config.json", model_max_length=first)
        edit(folder / "tokenizer_2/tokenizer_config.json", model_max_length=second)
        found[f"{first} {second}"] = same(folder)
    return all_of(found)


@check
def sd3_without_t5():
    folder = model("tiny-sd3", text_encoder_3=[None, None], tokenizer_3=[None, None])
    return same(folder, opened(folder, text_encoder_3=None, tokenizer_3=None))


@check
def tokens_of_sdxl():
    folder = model("tiny-sdxl")
    edit(folder / "tokenizer/tokenizer_config.json", model_max_length=20)
    return refused(folder, "20") or same(edit(folder / "tokenizer_2/tokenizer_config.json", model_max_length=20))


@check
def unlimited_tokenizer():
    found = {}
    expected = ours(model("tiny-sd"), prompt=PROMPT, num_inference_steps=2, height=32, width=32)
    for name, value in (("absent", DROP), ("null", None), ("huge", 10**30)):
        folder = model("tiny-sd")
        edit(folder / "tokenizer/tokenizer_config.json", model_max_length=value)
        limited = ours(folder, prompt=PROMPT, num_inference_steps=2, height=32, width=32)
        found[name] = "" if (limited == expected).all() else "not 77 tokens"
    return all_of(found)


@check
def tokens_of_pixart():
    cases = {name: same(model(name), use_resolution_binning=False) for name in ("tiny-pixart", "tiny-pixart-sigma")}
    return all_of(cases)


@check
def video():
    folder = model("tiny-svd")
    edit(folder / "vae/config.json", force_upcast=False)
    picture = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    call = {"image": picture, "num_inference_steps": 2, "height": 32, "width": 32, "num_frames": 2}
    expected = theirs(opened(folder), **call)
    found = ours(folder, **call)
    return "" if numpy.allclose(found, expected, rtol=1e-3, atol=1e-3) else "differs"


def rows():
    """The names in the first columns of the document's tables."""
    text = (ROOT / "docs/diffusers.md").read_text()
    return re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE)


def main(wanted):
    wrong = 0
    if sorted(rows()) != sorted(CHECKS):
        print(
            f"rows without a check: {sorted(set(rows()) - set(CHECKS))}, checks without a row: {sorted(set(CHECKS) - set(rows()))}"
        )
        wrong += 1
    for name in wanted or CHECKS:
        try:
            result = CHECKS[name]()
        except Exception as error:  # of either side
            result = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if result:
            print(f"{name}: {result}", flush=True)
            wrong += 1
    shutil.rmtree(WORK, ignore_errors=True)
    print(f"loading: {len(wanted or CHECKS)} rows, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
