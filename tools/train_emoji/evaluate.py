"""Generate with diffusers and ask whether the nearest training picture is the right one.

Also draws a contact sheet: of prompts.txt, or for a model that animates pictures, of the frames of some.
"""

from __future__ import annotations

import argparse
import json
import random
import textwrap
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline, PixArtAlphaPipeline, StableVideoDiffusionPipeline
from PIL import Image, ImageDraw

from captions import CaptionBook
from common import Dataset, grid
from retrieval import ranks

HERE = Path(__file__).parent
LABEL_HEIGHT = 28


def generate(pipeline: DiffusionPipeline, prompts: list[str], args: argparse.Namespace) -> np.ndarray:
    """One uint8 picture per prompt, each from a generator of the same seed."""
    # There are no aspect-ratio bins for pictures this small.
    options = {"use_resolution_binning": False} if isinstance(pipeline, PixArtAlphaPipeline) else {}
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
            **options,
        ).images
        made.append((pictures * 255).round().astype(np.uint8))
        print(f"{min(i + args.batch, len(prompts))} of {len(prompts)}", flush=True)
    return np.concatenate(made)


def animate(
    pipeline: StableVideoDiffusionPipeline, pictures: np.ndarray, args: argparse.Namespace
) -> np.ndarray:
    """uint8 N x frames x 128 x 128 x 3 with the pipeline's own motion and guidance, one picture at a time."""
    made = []
    for done, picture in enumerate(pictures):
        frames = pipeline(
            image=Image.fromarray(picture),
            height=128,
            width=128,
            num_inference_steps=args.steps,
            generator=torch.Generator().manual_seed(args.seed),
            output_type="np",
        ).frames[0]
        made.append((frames * 255).round().astype(np.uint8))
        print(f"{done + 1} of {len(pictures)}", flush=True)
    return np.stack(made)


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


def evaluate_prompts(pipeline: DiffusionPipeline, dataset: Dataset, args: argparse.Namespace) -> None:
    """A sheet of the prompts, and retrieval by caption."""
    if args.only != "retrieval":
        prompts = [line for line in args.prompts.read_text().splitlines() if line.strip()]
        grid(labelled(generate(pipeline, prompts, args), prompts), 8).save(args.sheet)
        print(f"{len(prompts)} prompts drawn in {args.sheet}", flush=True)
    if args.only == "sheet":
        return
    chosen = choose(dataset, args)
    start = time.monotonic()
    made = generate(pipeline, [dataset.captions[i] for i in chosen], args)
    seconds = (time.monotonic() - start) / len(chosen)
    book = CaptionBook(dataset.captions)
    found = ranks(made, chosen, dataset.pictures)
    familiar = np.array([book.is_familiar[i] for i in chosen])
    print(f"{args.steps} steps, guidance {args.guidance}, seed {args.seed}: {seconds:.2f} s per picture")
    for name, part in (("all", found), ("familiar", found[familiar]), ("others", found[~familiar])):
        if len(part):
            shares = f"top-1 {(part < 1).mean():.1%}, top-5 {(part < 5).mean():.1%}"
            print(f"{len(part)} captions ({name}): {shares}")


def evaluate_frames(
    pipeline: StableVideoDiffusionPipeline, dataset: Dataset, args: argparse.Namespace
) -> None:
    """A sheet with one row per picture, retrieval of every frame, and how much the frames differ."""
    chosen = choose(dataset, args)
    made = animate(pipeline, dataset.pictures[chosen], args)
    rows = np.concatenate([dataset.pictures[chosen[:12], None], made[:12]], axis=1)
    grid(rows.reshape(-1, *rows.shape[2:]), rows.shape[1]).save(args.sheet)
    frames = made.shape[1]
    found = ranks(made.reshape(-1, *made.shape[2:]), np.repeat(chosen, frames).tolist(), dataset.pictures)
    by_frame = (found.reshape(-1, frames) < 1).mean(axis=0)
    error = (made[:, 0].astype(float) - dataset.pictures[chosen]) / 255
    step = np.abs(np.diff(made.astype(float), axis=1)).mean() / 255
    print(f"{len(chosen)} pictures, {args.steps} steps, seed {args.seed}, drawn in {args.sheet}")
    print(f"top-1 by frame {', '.join(f'{share:.0%}' for share in by_frame)}")
    print(f"first frame {-10 * np.log10((error**2).mean()):.2f} dB; between frames {step:.4f} on average")


def choose(dataset: Dataset, args: argparse.Namespace) -> list[int]:
    """`--count` random pictures of those asked for, or all of them."""
    familiar = CaptionBook(dataset.captions).is_familiar
    wanted = {"all": (True, False), "familiar": (True,), "others": (False,)}[args.of]
    kept = [i for i, known in enumerate(familiar) if known in wanted]
    return sorted(random.Random(args.seed).sample(kept, args.count)) if args.count else kept


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, default=HERE / "prompts.txt")
    parser.add_argument("--count", type=int, default=0, help="random pictures to try; 0 is all")
    parser.add_argument("--of", choices=("all", "familiar", "others"), default="all", help="which pictures")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("sheet", "retrieval"), help="do one of the two")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.sheet = args.work / f"{args.model.name}.png"
    index = json.loads((args.model / "model_index.json").read_text())
    absent = {name: None for name, kind in index.items() if kind == [None, None]}
    pipeline = DiffusionPipeline.from_pretrained(args.model, torch_dtype=torch.float32, **absent)
    pipeline.set_progress_bar_config(disable=True)
    video = isinstance(pipeline, StableVideoDiffusionPipeline)
    (evaluate_frames if video else evaluate_prompts)(pipeline, Dataset.load(args.work), args)


if __name__ == "__main__":
    main()
