"""Ask of pictures whether the training picture nearest to each is the right one.

Pictures are compared as 16 x 16 RGB by squared distance. As a command it is a score for `reprise compare`:

    reprise compare --model models/emoji-sdxl --prompts-file prompts.txt --seeds 4 --pictures work/compared \\
        --report page.html --score "python tools/train_emoji/retrieval.py"

It reads the folder of pictures, compares those whose prompt is a picture's name or an everyday word for it, and
prints for each way the share of them (in %) that are nearest to the right picture. `--font` is where the emoji are;
no pictures of them have to be stored.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 128


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


def numbers_of_names(captions: list[str]) -> dict[str, int]:
    """Which picture a prompt asks for: by its name, or by an everyday word."""
    from captions import EVERYDAY

    numbers = {name: i for i, caption in enumerate(captions) for name in EVERYDAY.get(caption, [])}
    return numbers | {caption: i for i, caption in enumerate(captions)}


def share_right(folder: Path, files: list[str], truth: list[int], pictures: np.ndarray) -> float:
    """Of these files, how many in a hundred are nearest to the right picture."""
    made = np.stack([np.asarray(Image.open(folder / file).convert("RGB")) for file in files])
    if made.shape[1:] != (SIDE, SIDE, 3):
        raise SystemExit(f"{folder}: pictures of {made.shape[2]}x{made.shape[1]}; expected {SIDE}x{SIDE}")
    return 100 * float((ranks(made, truth, pictures) < 1).mean())


def main() -> None:
    """Command line."""
    from dataset import DEFAULT_FONT, extract

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what `reprise compare --pictures` wrote")
    parser.add_argument("--font", type=Path, default=DEFAULT_FONT)
    args = parser.parse_args()
    index = json.loads((args.folder / "pictures.json").read_text())
    pictures, rows = extract(args.font)
    numbers = numbers_of_names([str(row["caption"]) for row in rows])
    asked = [pair for pair in index["pairs"] if pair["prompt"] in numbers]
    left_out = len(index["pairs"]) - len(asked)
    if left_out:
        print(f"{left_out} of {len(index['pairs'])} prompts are no picture's name", file=sys.stderr)
    if not asked:
        raise SystemExit("no prompt is the name of an emoji picture")
    files = [file for pair in asked for file in pair["files"]]
    truth = [numbers[pair["prompt"]] for pair in asked for _ in pair["files"]]
    shares = {
        way["name"]: share_right(args.folder / way["folder"], files, truth, pictures) for way in index["ways"]
    }
    print(json.dumps({"title": "right picture nearest, %", "ways": shares}))


if __name__ == "__main__":
    main()
