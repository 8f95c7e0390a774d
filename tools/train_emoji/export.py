"""Write the trained parts as one diffusers folder with float16 weights."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from common import Ema
from models import build_scheduler, load_tokenizers
from train_unet import Denoiser


def assemble(work: Path, name: str) -> StableDiffusionXLPipeline:
    """Build the pipeline from WORK/vae, WORK/tokenizer* and the averaged weights of WORK/NAME.ckpt."""
    state = torch.load(work / f"{name}.ckpt")
    denoiser = Denoiser(state["vocab_size"])
    ema = Ema(denoiser.parameters(), 0.0)
    ema.shadow = state["ema"]
    ema.swap()
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


def write(pipeline: StableDiffusionXLPipeline, work: Path, out: Path) -> None:
    """Save in float16, with CLIP's tokenizer files and without traces of this machine."""
    pipeline.to(torch.float16).save_pretrained(out, safe_serialization=True)
    for name in ("tokenizer", "tokenizer_2"):
        shutil.rmtree(out / name)
        shutil.copytree(work / name, out / name)
    for path in [*out.glob("*.json"), *out.glob("*/config.json"), *out.glob("*/*_config.json")]:
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        if "dtype" in config:  # what transformers loads in by default, as diffusers does for its own parts
            config["dtype"] = "float32"
        path.write_text(json.dumps(config, indent=2) + "\n")
    # transformers 5 leaves out the prefix under which every published SDXL keeps these; it reads both.
    path = out / "text_encoder" / "model.safetensors"
    weights = {f"text_model.{key.removeprefix('text_model.')}": w for key, w in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    for path in out.glob("*/*.safetensors"):
        path.chmod(0o644)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--name", default="unet", help="name of the checkpoint")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    pipeline = assemble(args.work, args.name)
    write(pipeline, args.work, args.out)
    files = [path for path in args.out.rglob("*") if path.is_file()]
    print(f"{args.out}: {sum(path.stat().st_size for path in files) / 1e6:.2f} MB in {len(files)} files")


if __name__ == "__main__":
    main()
