"""Generate from captions with diffusers and ask whether the nearest training picture is the right one.

Pictures are compared as 16 x 16 RGB by squared distance. Also draws a contact sheet for prompts.txt.
"""

from __future__ import annotations

import argparse
import random
import textwrap
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image, ImageDraw

from common import Dataset, grid

HERE = Path(__file__).parent
LABEL_HEIGHT = 28


def generate(pipeline: StableDiffusionXLPipeline, prompts: list[str], args: argparse.Namespace) -> np.ndarray:
    """One uint8 picture per prompt, each from a generator of the same seed."""
    made: list[np.ndarray] = []
    for i in range(0, len(prompts), args.batch):
        part = prompts[i : i + args.batch]
        pictures = pipeline(
            prompt=part,
            height=128,
            width=128,
            num_inference_steps=args.steps,
            guidance_scale=args.guidance,
            generator=[torch.Generator().manual_seed(args.seed) for _ in part],
            output_type="np",
        ).images
        made.append((pictures * 255).round().astype(np.uint8))
        print(f"{min(i + args.batch, len(prompts))} of {len(prompts)}", flush=True)
    return np.concatenate(made)


def thumbnails(pictures: np.ndarray) -> np.ndarray:
    """Mean colours of 16 x 16 cells, flattened."""
    count = len(pictures)
    cells = pictures.astype(np.float64).reshape(count, 16, 8, 16, 8, 3).mean(axis=(2, 4))
    return cells.reshape(count, -1)


def ranks(made: np.ndarray, truth: list[int], pictures: np.ndarray) -> np.ndarray:
    """How many training pictures are nearer to each generated picture than the right one."""
    known, asked = thumbnails(pictures), thumbnails(made)
    distance = (asked**2).sum(axis=1)[:, None] + (known**2).sum(axis=1)[None] - 2 * asked @ known.T
    own = distance[np.arange(len(truth)), truth]
    return (distance < own[:, None]).sum(axis=1)


def labelled(pictures: np.ndarray, labels: list[str]) -> np.ndarray:
    """Add the prompt below each picture."""
    out = []
    for picture, label in zip(pictures, labels, strict=True):
        tile = Image.new("RGB", (picture.shape[1], picture.shape[0] + LABEL_HEIGHT), "white")
        tile.paste(Image.fromarray(picture))
        text = "\n".join(textwrap.wrap(label, 21)[:2])
        ImageDraw.Draw(tile).text((3, picture.shape[0]), text, fill="black")
        out.append(np.asarray(tile))
    return np.stack(out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, default=HERE / "prompts.txt")
    parser.add_argument("--count", type=int, default=0, help="random captions to try; 0 is all")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("sheet", "retrieval"), help="do one of the two")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipeline = StableDiffusionXLPipeline.from_pretrained(args.model, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)

    if args.only != "retrieval":
        prompts = [line for line in args.prompts.read_text().splitlines() if line.strip()]
        sheet = grid(labelled(generate(pipeline, prompts, args), prompts), 8)
        sheet.save(args.work / "contact.png")
        print(f"{len(prompts)} prompts drawn in {args.work / 'contact.png'}", flush=True)
    if args.only == "sheet":
        return

    dataset = Dataset.load(args.work)
    chosen = list(range(len(dataset.captions)))
    if args.count:
        chosen = sorted(random.Random(args.seed).sample(chosen, args.count))
    start = time.monotonic()
    made = generate(pipeline, [dataset.captions[i] for i in chosen], args)
    seconds = time.monotonic() - start
    np.save(args.work / "generated.npy", made)
    found = ranks(made, chosen, dataset.pictures)
    print(
        f"{len(chosen)} of {len(dataset.captions)} captions, {args.steps} steps, guidance {args.guidance}, "
        f"seed {args.seed}: top-1 {(found < 1).mean():.1%}, top-5 {(found < 5).mean():.1%}, "
        f"{seconds / len(chosen):.2f} s per picture"
    )


if __name__ == "__main__":
    main()
