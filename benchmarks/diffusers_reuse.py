"""Reuse on a diffusers denoiser of SDXL's true shapes, random weights, on the CPU: the time of a run with the default
configuration against the same without.

    PYTHONPATH=build/python python benchmarks/diffusers_reuse.py [--size 512] [--steps 6] [--dtype bf16]

Needs diffusers, and 6 GB of memory in bf16 (11 in f32). Prints seconds for each step both ways, and the ratio.
"""

import argparse
import time

import torch
from diffusers import EulerDiscreteScheduler, UNet2DConditionModel

from reprise import cachify

#: stabilityai/stable-diffusion-xl-base-1.0's unet/config.json, as far as it is not the default
SDXL = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


class Bare:
    """A pipeline of a denoiser and a scheduler, without guidance."""

    def __init__(self, dtype: torch.dtype) -> None:
        with torch.device("meta"):
            unet = UNet2DConditionModel(**SDXL)
        self.unet = unet.to(dtype).to_empty(device="cpu").eval()
        for weight in self.unet.parameters():
            torch.nn.init.uniform_(weight, -0.02, 0.02)
        self.scheduler = EulerDiscreteScheduler()

    @torch.inference_mode()
    def __call__(self, size: int, steps: int) -> list[float]:
        dtype = self.unet.dtype
        generator = torch.Generator().manual_seed(0)
        x = torch.randn((1, 4, size // 8, size // 8), generator=generator)
        text = torch.randn((1, 77, 2048), generator=generator).to(dtype)
        added = {"text_embeds": torch.zeros((1, 1280), dtype=dtype), "time_ids": torch.zeros((1, 6), dtype=dtype)}
        self.scheduler.set_timesteps(steps)
        seconds = []
        for t in self.scheduler.timesteps:
            begin = time.perf_counter()
            sample = self.scheduler.scale_model_input(x, t).to(dtype)
            noise = self.unet(sample, t, encoder_hidden_states=text, added_cond_kwargs=added).sample
            seconds.append(time.perf_counter() - begin)
            x = self.scheduler.step(noise.float(), t, x).prev_sample
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="of the picture, in pixels")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="bf16")
    options = parser.parse_args()
    pipe = Bare(torch.float32 if options.dtype == "f32" else torch.bfloat16)
    pipe(options.size, 1)  # warms up
    plain = pipe(options.size, options.steps)
    cachify.prepare(pipe, options.steps, cachify.SDXL_DEFAULT_CONFIG)
    reused = pipe(options.size, options.steps)
    for name, seconds in (("plain", plain), ("reused", reused)):
        print(f"{name:6}", *(f"{x:7.3f}" for x in seconds), f"  {sum(seconds):.2f} s")
    print(f"{sum(plain) / sum(reused):.2f} times as fast")


if __name__ == "__main__":
    main()
