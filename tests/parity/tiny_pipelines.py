"""Writes tests/fixtures/pipelines/: whole random diffusers folders, small enough to commit.

    python tests/parity/tiny_pipelines.py

tiny-sdxl: StableDiffusionXLPipeline, latents 8x8, pictures 64x64, Euler. tiny-sd: StableDiffusionPipeline with
four UNet levels, latents 16x16, pictures 128x128, PNDM, a tokenizer in tokenizer.json alone. Weights are random
(they keep the size of what passes through) and stored in f16. Needs diffusers 0.42 and transformers 5.23.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from models import randomize
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
CROSS_DOWN, CROSS_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def drawn(model, seed):
    randomize(model, seed, torch.float16)
    return model


def text_encoder(model_class, seed, tokenizer, width, **options):
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=77, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, **options,
    )  # fmt: skip
    return drawn(model_class(config), seed)


def autoencoder(seed, **options):
    return drawn(
        AutoencoderKL(
            block_out_channels=(8, 8, 8, 8), down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4, layers_per_block=1, norm_num_groups=4, **options,
        ),
        seed,
    )  # fmt: skip


def tiny_sdxl():
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / "text" / "slow")
    tokenizer_2 = CLIPTokenizer.from_pretrained(FIXTURES / "text" / "slow_bang")
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", CROSS_DOWN, CROSS_DOWN), up_block_types=(CROSS_UP, CROSS_UP, "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2), attention_head_dim=(1, 2, 4), cross_attention_dim=24,
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
    )  # fmt: skip
    return StableDiffusionXLPipeline(
        vae=autoencoder(1, scaling_factor=0.13025, sample_size=64),
        text_encoder=text_encoder(CLIPTextModel, 2, tokenizer, 8, hidden_act="quick_gelu"),
        text_encoder_2=text_encoder(CLIPTextModelWithProjection, 3, tokenizer_2, 16, hidden_act="gelu",
                                    projection_dim=16),
        tokenizer=tokenizer, tokenizer_2=tokenizer_2, unet=drawn(unet, 4),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", **BETAS),
        force_zeros_for_empty_prompt=True, add_watermarker=False,
    )  # fmt: skip


def tiny_sd():
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / "text" / "fast")
    unet = UNet2DConditionModel(
        sample_size=16, block_out_channels=(4, 8, 8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=(CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, "DownBlock2D"),
        up_block_types=("UpBlock2D", CROSS_UP, CROSS_UP, CROSS_UP), attention_head_dim=2, cross_attention_dim=16,
    )  # fmt: skip
    return StableDiffusionPipeline(
        vae=autoencoder(11, sample_size=128),
        text_encoder=text_encoder(CLIPTextModel, 12, tokenizer, 16, hidden_act="quick_gelu"),
        tokenizer=tokenizer, unet=drawn(unet, 13), scheduler=PNDMScheduler(skip_prk_steps=True, **BETAS),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def write(name, pipeline, tokenizers):
    folder = FIXTURES / "pipelines" / name
    shutil.rmtree(folder, ignore_errors=True)
    pipeline.to(torch.float16).save_pretrained(folder)
    for part, source in tokenizers.items():  # the files as they were, not as this transformers release rewrites them
        shutil.rmtree(folder / part)
        shutil.copytree(FIXTURES / "text" / source, folder / part)
        config = folder / part / "tokenizer_config.json"  # both encoders of a pipeline see as many tokens
        config.write_text(json.dumps(json.loads(config.read_text()) | {"model_max_length": 77}, indent=1) + "\n")
        config = folder / part / "tokenizer_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"model_max_length": 77}, indent=1) + "\n")
    for path in folder.rglob("*.json"):  # no machine's paths, smaller files
        text = json.loads(path.read_text())
        if path.name in ("config.json", "model_index.json", "scheduler_config.json"):
            text.pop("_name_or_path", None)
            path.write_text(json.dumps(text, indent=1) + "\n")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    print(f"{name}: {sum(p.stat().st_size for p in folder.rglob('*') if p.is_file())} bytes")


def main():
    write("tiny-sdxl", tiny_sdxl(), {"tokenizer": "slow", "tokenizer_2": "slow_bang"})
    write("tiny-sd", tiny_sd(), {"tokenizer": "fast"})


if __name__ == "__main__":
    main()
