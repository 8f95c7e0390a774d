"""Writes tests/fixtures/pipelines/tiny-pixart*, pixart_runs.{json,safetensors}: PixArt folders and whole runs.

    python tests/parity/pixart_pipelines.py

tiny-pixart: PixArtAlphaPipeline of 8 blocks for latents 8x8, for which there are no bins, DPM-Solver++.
tiny-pixart-ms: the same for latents 128x128, with resolution and aspect ratio as conditions; its autoencoder makes 32
pixels of a latent, so that pictures of 1024 pixels have few latents.
tiny-pixart-sigma: PixArtSigmaPipeline for latents 32x32 without a learned variance, the smallest with bins; Euler.
Reuse is done naively, as in pipelines.py: matched modules are wrapped. Needs diffusers 0.42, transformers 5.23, bs4 and
ftfy.
"""

import json
import shutil

import numpy
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
)
from diffusers.image_processor import PixArtImageProcessor
from diffusers.pipelines.pixart_alpha import pipeline_pixart_alpha as alpha
from diffusers.pipelines.pixart_alpha import pipeline_pixart_sigma as sigma
from safetensors.torch import save_file
from sd3_pipelines import KINDS, Reuse, t5
from tiny_pipelines import FIXTURES, autoencoder, drawn, write
from transformers import T5Tokenizer

FOLDER = FIXTURES / "pipelines"
BETAS = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
KINDS.update(self_attention=r".*\.attn1", cross_attention=r".*\.attn2")


class PixArtReuse(Reuse):
    @staticmethod
    def streams(_name, args, _kwargs):
        return [args[0]]


def pipeline(pipeline_class, seed, scheduler, tokenizer, vae=None, **options):
    options = {"num_attention_heads": 2, "attention_head_dim": 8, "caption_channels": 12, "cross_attention_dim": 16} | options
    tokenizer = T5Tokenizer.from_pretrained(FIXTURES / "text_t5" / tokenizer)
    return pipeline_class(
        tokenizer=tokenizer, text_encoder=t5(seed, tokenizer, 12),
        vae=vae or autoencoder(seed + 1, sample_size=64),
        transformer=drawn(PixArtTransformer2DModel(**options), seed + 2), scheduler=scheduler,
    )  # fmt: skip


def write_folder(name, tokenizer, pipe):
    write(name, pipe, {})
    folder = FOLDER / name
    shutil.rmtree(folder / "tokenizer")
    shutil.copytree(FIXTURES / "text_t5" / tokenizer, folder / "tokenizer")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def write_folders():
    dpm = DPMSolverMultistepScheduler(**BETAS)
    write_folder("tiny-pixart", "small",
                 pipeline(PixArtAlphaPipeline, 90, dpm, "small", sample_size=8, num_layers=8))  # fmt: skip
    vae = AutoencoderKL(block_out_channels=(4,) * 6, down_block_types=["DownEncoderBlock2D"] * 6, norm_num_groups=2,
                        up_block_types=["UpDecoderBlock2D"] * 6, layers_per_block=1)  # fmt: skip
    write_folder("tiny-pixart-ms", "small",
                 pipeline(PixArtAlphaPipeline, 100, dpm, "small", drawn(vae, 99), sample_size=128, num_layers=2,
                          num_attention_heads=3, cross_attention_dim=24))  # fmt: skip
    write_folder("tiny-pixart-sigma", "both",
                 pipeline(PixArtSigmaPipeline, 110, EulerDiscreteScheduler(**BETAS), "both", sample_size=32, patch_size=4,
                          num_layers=4, out_channels=4))  # fmt: skip


THIRDS = "step % 3 != 0"
DEFAULT = {"tiny-pixart": "transformer_blocks.[0-5]", "tiny-pixart-ms": "transformer_blocks.0",
           "tiny-pixart-sigma": "transformer_blocks.[0-2]"}  # fmt: skip
ORIGINAL = [{"wildcard_or_filter_func": "transformer_blocks.*", "select_cache_step_func": THIRDS}]
DELTA = [{"wildcard_or_filter_func": "transformer_blocks.[2-7]", "select_cache_step_func": "step % 2 != 0", "store": "delta"}]
PARTS = [
    {"wildcard_or_filter_func": "*", "select_cache_step_func": "step > 3", "kinds": ["cross_attention"]},
    {"wildcard_or_filter_func": "*.[1-5].*", "select_cache_step_func": THIRDS, "kinds": ["self_attention", "feed_forward"]},
]
ALPHA = {"model": "tiny-pixart", "prompt": "red apple", "num_inference_steps": 8, "guidance_scale": 4.5, "seed": 42}
MS = ALPHA | {"model": "tiny-pixart-ms", "num_inference_steps": 5}
SIGMA = ALPHA | {"model": "tiny-pixart-sigma"}
LONG = "A cat and a dog and a bird sit on a table with a red apple and a green pear. " * 10
CASES = [
    {"name": "pixart_full", **ALPHA, "num_inference_steps": 20},
    {"name": "pixart_default", **ALPHA, "cache": "default", "num_inference_steps": 20},
    {"name": "pixart_original", **ALPHA, "cache": ORIGINAL},
    {"name": "pixart_delta", **ALPHA, "cache": DELTA},
    {"name": "pixart_parts", **ALPHA, "cache": PARTS},
    {"name": "pixart_long", **ALPHA, "prompt": LONG, "negative_prompt": "blurred <b>sky</b> &amp; sea", "height": 48, "width": 80},
    {"name": "pixart_as_it_is", **ALPHA, "prompt": " A <b>Red</b> Apple!! ", "negative_prompt": "Blue", "clean_caption": False,
     "max_sequence_length": 17},
    {"name": "pixart_no_guidance", **ALPHA, "guidance_scale": 1.0, "cache": "default", "width": 32},
    {"name": "pixart_two_prompts", **ALPHA, "prompt": ["red apple", "a dog 🐕 runs"], "num_images_per_prompt": 2,
     "cache": "default"},
    {"name": "pixart_ms", **MS, "cache": "default", "height": 500, "width": 1777},
    {"name": "pixart_ms_high", **MS, "height": 1024, "width": 640},
    {"name": "pixart_sigma", **SIGMA, "cache": "default"},
    {"name": "pixart_sigma_bins", **SIGMA, "height": 130, "width": 301},
    {"name": "pixart_sigma_without_bins", **SIGMA, "height": 128, "width": 320, "use_resolution_binning": False},
]  # fmt: skip
PICTURES = ("pixart_full", "pixart_default", "pixart_long", "pixart_sigma_bins")


def write_bins():
    """What diffusers makes of picture sizes, and of pictures that were drawn at another size."""
    tables = {32: alpha.ASPECT_RATIO_256_BIN, 64: alpha.ASPECT_RATIO_512_BIN, 128: alpha.ASPECT_RATIO_1024_BIN,
              256: sigma.ASPECT_RATIO_2048_BIN}  # fmt: skip
    processor = PixArtImageProcessor
    sides = (1, 64, 100, 333, 512, 640, 777, 1024, 1025, 1920, 4096)
    tensors = {}
    for size, table in tables.items():
        rows = [(h, w, *processor.classify_height_width_bin(h, w, table)) for h in sides for w in sides]
        tensors[f"bins/{size}"] = torch.tensor(rows)
    picture = torch.randn((1, 3, 12, 20), generator=torch.Generator().manual_seed(7))
    tensors["picture"] = picture
    for height, width in ((12, 20), (24, 40), (7, 11), (13, 20), (12, 9), (30, 31), (1, 1)):
        resized = processor.resize_and_crop_tensor(picture, width, height)
        tensors[f"resized/{height}x{width}"] = resized.clone(memory_format=torch.contiguous_format)
    save_file(tensors, FOLDER / "aspect_bins.safetensors")
    (FOLDER / "aspect_bins.safetensors").chmod(0o644)


def main():
    write_bins()
    write_folders()
    tensors = {}
    for case in CASES:
        options = {k: v for k, v in case.items() if k not in ("name", "model", "cache", "seed")}
        if case["model"] == "tiny-pixart":  # which has no bins
            options["use_resolution_binning"] = False
        pipeline_class = PixArtSigmaPipeline if case["model"].endswith("sigma") else PixArtAlphaPipeline
        pipe = pipeline_class.from_pretrained(FOLDER / case["model"], torch_dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        reuse = None
        if "cache" in case:
            config = case["cache"]
            if config == "default":
                config = [{"wildcard_or_filter_func": DEFAULT[case["model"]], "select_cache_step_func": THIRDS}]
            reuse = PixArtReuse(pipe.transformer, config, case["num_inference_steps"])
        kept = []
        decode = pipe.vae.decode

        def keep(latents, *args, kept=kept, decode=decode, **kwargs):
            kept.append(latents)
            return decode(latents, *args, **kwargs)

        pipe.vae.decode = keep
        shows = case["name"] in PICTURES
        with torch.no_grad():
            generator = torch.Generator().manual_seed(case["seed"])
            result = pipe(**options, generator=generator, output_type="pil" if shows else "latent").images
        if shows:
            tensors["image/" + case["name"]] = torch.from_numpy(numpy.array(result[0]))
            result = kept[0] * pipe.vae.config.scaling_factor
        tensors[case["name"]] = result.contiguous()
        if reuse:
            reuse.remove()
        print(case["name"], tuple(result.shape), float(result.abs().max()))
    save_file(tensors, FOLDER / "pixart_runs.safetensors")
    (FOLDER / "pixart_runs.safetensors").chmod(0o644)
    (FOLDER / "pixart_runs.json").write_text(json.dumps(CASES, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
