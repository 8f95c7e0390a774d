"""Writes tests/fixtures/pipelines/: tiny-sdxl-refiner, and refiner_runs.{json,safetensors}, runs of diffusers with it.

    python tests/parity/refiner_pipelines.py

tiny-sdxl-refiner: StableDiffusionXLImg2ImgPipeline with the second text encoder alone and an aesthetic score. It goes on
from latents of tiny-sdxl, as the ensemble of SDXL does: a case's "start_latents" is the name of the run that made them.
Run after tiny_pipelines.py. Needs diffusers 0.42 and transformers 5.23.
"""

import json

import torch
from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from pipelines import FOLDER, SCHEDULERS
from safetensors.torch import save_file
from tiny_pipelines import BETAS, CROSS_DOWN, CROSS_UP, FIXTURES, autoencoder, drawn, text_encoder, write
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

BASE = {"prompt": "red apple", "num_inference_steps": 10, "guidance_scale": 5.0, "seed": 42}
MADE = {"model": "tiny-sdxl", **BASE, "denoising_end": 0.8}
REFINED = {"model": "tiny-sdxl-refiner", **BASE, "denoising_start": 0.8}
CASES = [
    {"name": "base_end", **MADE},
    {"name": "base_end_two", **MADE, "num_images_per_prompt": 2},
    {"name": "base_end_heun", **MADE, "scheduler": "heun", "denoising_end": 0.5},
    {"name": "base_end_dpm", **MADE, "scheduler": "dpm++2m-karras", "denoising_end": 0.55},
    {"name": "refined", **REFINED, "start_latents": "base_end"},
    {"name": "refined_two", **REFINED, "start_latents": "base_end_two", "num_images_per_prompt": 2},
    {"name": "refined_repeated", **REFINED, "start_latents": "base_end", "num_images_per_prompt": 2},
    {"name": "refined_heun", **REFINED, "start_latents": "base_end_heun", "scheduler": "heun", "denoising_start": 0.5},
    {"name": "refined_dpm", **REFINED, "start_latents": "base_end_dpm", "scheduler": "dpm++2m-karras", "denoising_start": 0.55},
    {"name": "refined_ancestral", **REFINED, "start_latents": "base_end", "scheduler": "euler_a", "denoising_start": 0.7},
    {"name": "refined_part", **REFINED, "start_latents": "base_end", "denoising_start": 0.4, "denoising_end": 0.75},
    {"name": "refined_score", **REFINED, "start_latents": "base_end", "aesthetic_score": 4.5, "negative_aesthetic_score": 3.0,
     "crops_coords_top_left": [3, 5], "original_size": [100, 200], "negative_prompt": "blue"},
    {"name": "refined_no_guidance", **REFINED, "start_latents": "base_end", "guidance_scale": 1.0},
]  # fmt: skip


def refiner():
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / "text" / "slow_bang")
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", CROSS_DOWN), up_block_types=(CROSS_UP, "UpBlock2D"),
        transformer_layers_per_block=1, attention_head_dim=(2, 4), cross_attention_dim=16,
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=5 * 8 + 16,
    )  # fmt: skip
    return StableDiffusionXLImg2ImgPipeline(
        vae=autoencoder(1, scaling_factor=0.13025, sample_size=64), text_encoder=None, tokenizer=None,
        text_encoder_2=text_encoder(CLIPTextModelWithProjection, 23, tokenizer, 16, hidden_act="gelu", projection_dim=16),
        tokenizer_2=tokenizer, unet=drawn(unet, 24),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", **BETAS),
        requires_aesthetics_score=True, force_zeros_for_empty_prompt=False, add_watermarker=False,
    )  # fmt: skip


def main():
    write("tiny-sdxl-refiner", refiner(), {"tokenizer_2": "slow_bang"})
    classes = {"tiny-sdxl": StableDiffusionXLPipeline, "tiny-sdxl-refiner": StableDiffusionXLImg2ImgPipeline}
    tensors = {}
    for case in CASES:
        options = {k: v for k, v in case.items() if k not in ("name", "model", "scheduler", "seed", "start_latents")}
        for key in ("original_size", "crops_coords_top_left"):
            if key in options:
                options[key] = tuple(options[key])
        pipe = classes[case["model"]].from_pretrained(FOLDER / case["model"], torch_dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        if "scheduler" in case:
            kind, extra = SCHEDULERS[case["scheduler"]]
            pipe.scheduler = kind.from_config(pipe.scheduler.config, **extra)
        if "start_latents" in case:
            options["image"] = tensors[case["start_latents"]]
        with torch.no_grad():
            generator = torch.Generator().manual_seed(case["seed"])
            latents = pipe(**options, generator=generator, output_type="latent").images
        tensors[case["name"]] = latents.contiguous()
        print(case["name"], tuple(latents.shape), float(latents.abs().max()))
    save_file(tensors, FOLDER / "refiner_runs.safetensors")
    (FOLDER / "refiner_runs.json").write_text(json.dumps(CASES, indent=1) + "\n")


if __name__ == "__main__":
    main()
