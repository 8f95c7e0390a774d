"""Writes tests/fixtures/pipelines/tiny-svd and svd_videos.{json,safetensors}: a random Stable Video Diffusion folder,
and whole runs of it, with and without reuse (see pipelines.py).

    python tests/parity/svd_pipelines.py

Needs diffusers 0.42, transformers 5.23 and Pillow 13.
"""

import json
import math

import numpy
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from PIL import Image, ImageOps
from pipelines import KINDS, Reuse
from safetensors.torch import save_file
from svd import CROSS_DOWN, CROSS_UP, DOWN, UP
from tiny_pipelines import FIXTURES, write
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

FOLDER = FIXTURES / "pipelines"
KINDS |= {"temporal_self_attention": ("*.temporal_transformer_blocks.?.attn1",), "temporal_resnet": ("*.temporal_res_block",)}


def drawn(model, seed):
    """Weights of one size and either sign: git keeps them in an eighth of their bytes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            sign = torch.randint(0, 2, weight.shape, generator=generator) * 2.0 - 1.0
            if weight.dim() > 1:
                weight.copy_(sign / math.sqrt(1 if "embedding.weight" in name else math.prod(weight.shape[1:])))
            elif name.endswith("mix_factor"):
                weight.copy_(sign)
            else:
                weight.copy_(0.1 * sign + (1.0 if name.endswith("weight") else 0.0))
    return model.eval()


def tiny_svd():
    unet = UNetSpatioTemporalConditionModel(
        sample_size=16, block_out_channels=(32, 32, 32, 32), layers_per_block=1, num_attention_heads=(2, 4, 1, 2),
        down_block_types=(CROSS_DOWN, DOWN, DOWN, DOWN), up_block_types=(UP, UP, UP, CROSS_UP), cross_attention_dim=12,
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=24, num_frames=3,
    )  # fmt: skip
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32), down_block_types=["DownEncoderBlock2D"] * 2, layers_per_block=1, sample_size=32
    )
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=224,
                         patch_size=16, projection_dim=12, hidden_act="gelu")
    )  # fmt: skip
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        sigma_min=0.002, sigma_max=700.0, steps_offset=1, timestep_spacing="leading", timestep_type="continuous",
        use_karras_sigmas=True,
    )  # fmt: skip
    return StableVideoDiffusionPipeline(
        vae=drawn(vae, 1), image_encoder=drawn(encoder, 2), unet=drawn(unet, 3), scheduler=scheduler,
        feature_extractor=CLIPImageProcessor(),
    )  # fmt: skip


DEFAULT = [{"wildcard_or_filter_func": {"not": "*up_blocks.3*"}, "select_cache_step_func": "step % 2 != 0"}]
TEMPORAL = [
    {"wildcard_or_filter_func": "*", "select_cache_step_func": "step > 1", "kinds": ["temporal_self_attention"]},
    {"wildcard_or_filter_func": "up_blocks.*", "select_cache_step_func": "step % 2 != 0", "kinds": ["temporal_resnet"],
     "store": "delta"},
]  # fmt: skip
BASE = {"image": "base.png", "num_inference_steps": 6, "width": 32, "height": 32, "seed": 5}
CASES = [
    {"name": "full", **BASE},
    {"name": "default", **BASE, "cache": DEFAULT},
    {"name": "temporal", **BASE, "cache": TEMPORAL},
    {"name": "settings", **BASE, "image": "jpeg_turned_6.jpg", "width": 40, "height": 24, "num_frames": 2, "fps": 12,
     "motion_bucket_id": 30, "noise_aug_strength": 0.5, "min_guidance_scale": 2.5, "max_guidance_scale": 1.5},
    {"name": "no_guidance", **BASE, "max_guidance_scale": 1.0, "cache": DEFAULT},
    {"name": "two_videos", **BASE, "num_videos_per_prompt": 2, "num_frames": 2},
    {"name": "latents", **BASE, "latents": 9, "cache": DEFAULT},
    {"name": "chunks", **BASE, "num_inference_steps": 2, "num_frames": 5, "decode_chunk_size": 2},
]  # fmt: skip
SHOWN = ("full", "default", "settings", "chunks")


def main():
    write("tiny-svd", tiny_svd(), {})
    tensors = {}
    for case in CASES:
        pipe = StableVideoDiffusionPipeline.from_pretrained(FOLDER / "tiny-svd", dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        options = {k: v for k, v in case.items() if k not in ("name", "cache", "seed")}
        options["image"] = ImageOps.exif_transpose(Image.open(FIXTURES / "io" / case["image"])).convert("RGB")
        if "latents" in case:
            shape = (1, pipe.unet.config.num_frames, 4, case["height"] // 2, case["width"] // 2)
            options["latents"] = torch.randn(shape, generator=torch.Generator().manual_seed(case["latents"]))
        reuse = Reuse(pipe.unet, case["cache"], case["num_inference_steps"], lambda e: e) if "cache" in case else None
        with torch.no_grad():
            generator = torch.Generator().manual_seed(case["seed"])
            latents = pipe(**options, generator=generator, output_type="latent").frames
            tensors[case["name"]] = latents.contiguous()
            if case["name"] in SHOWN:
                frames = latents.shape[1]
                decoded = pipe.decode_latents(latents, frames, case.get("decode_chunk_size", frames))
                pictures = pipe.video_processor.postprocess_video(video=decoded, output_type="pil")[0]
                tensors["frames/" + case["name"]] = torch.stack([torch.from_numpy(numpy.array(p)) for p in pictures])
        if reuse:
            reuse.remove()
        print(case["name"], tuple(latents.shape), float(latents.abs().max()))
    path = FOLDER / "svd_videos.safetensors"
    save_file(tensors, path)
    path.chmod(0o644)
    (FOLDER / "svd_videos.json").write_text(json.dumps(CASES, indent=1) + "\n")


if __name__ == "__main__":
    main()
