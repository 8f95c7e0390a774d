"""Write the trained parts as one diffusers folder with float16 weights."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline

from folder import write
from loop import averaged_weights
from models import build_scheduler, load_tokenizers
from train_unet import Denoiser


def assemble(work: Path, name: str) -> StableDiffusionXLPipeline:
    """Build the pipeline from WORK/vae, WORK/tokenizer* and the averaged weights of WORK/NAME.ckpt."""
    state = torch.load(work / f"{name}.ckpt")
    denoiser = Denoiser(state["vocab_size"])
    averaged_weights(denoiser, state)
    tokenizer, tokenizer_2 = load_tokenizers(work)
    return StableDiffusionXLPipeline(
        vae=AutoencoderKL.from_pretrained(work / "vae"),
        text_encoder=denoiser.text_encoder.eval(),
        text_encoder_2=denoiser.text_encoder_2.eval(),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        unet=denoiser.unet.eval(),
        scheduler=build_scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--name", default="unet", help="name of the checkpoint")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    pipeline = assemble(args.work, args.name)
    write(pipeline, args.out, {name: args.work / name for name in ("tokenizer", "tokenizer_2")})


if __name__ == "__main__":
    main()
