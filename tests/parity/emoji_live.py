"""The bundled model in diffusers and in Reprise: the same folder and seed give the same picture, with and without reuse.

    REPRISE_COMMAND=build/bin/reprise python tests/parity/emoji_live.py [MODEL]

Run by `./check --full`. Pictures must agree to more than 40 dB in f32. Prints a line for each case and exits with 1 when
one differs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from diffusers import HeunDiscreteScheduler, StableDiffusionXLPipeline
from PIL import Image
from pipelines import DEFAULT, FORECAST, Reuse, step_map

MODEL = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "models" / "emoji-sdxl"
CASES = [
    {"prompt": "red apple", "steps": 20, "seed": 42},
    {"prompt": "red apple", "steps": 20, "seed": 42, "cache": DEFAULT},
    {"prompt": "rocket", "steps": 20, "seed": 7, "cache": FORECAST},
    {"prompt": "cat face", "steps": 10, "seed": 3, "cache": DEFAULT, "scheduler": "heun"},
    {"prompt": "fire", "steps": 12, "seed": 1, "negative": "blue"},
]


def psnr(a, b):
    error = numpy.mean((a.astype(numpy.float64) - b.astype(numpy.float64)) ** 2)
    return float("inf") if error == 0 else 10 * numpy.log10(255**2 / error)


def theirs(case):
    pipe = StableDiffusionXLPipeline.from_pretrained(MODEL, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    if case.get("scheduler") == "heun":
        pipe.scheduler = HeunDiscreteScheduler.from_config(pipe.scheduler.config)
    reuse = Reuse(pipe.unet, case.get("cache", []), case["steps"], step_map(pipe.scheduler))
    with torch.no_grad():
        image = pipe(
            case["prompt"], num_inference_steps=case["steps"], guidance_scale=5.0, negative_prompt=case.get("negative"),
            generator=torch.Generator().manual_seed(case["seed"]),
        ).images[0]  # fmt: skip
    reuse.remove()
    return numpy.array(image)


def ours(case, folder):
    out = folder / "ours.png"
    cache = "off"
    if "cache" in case:
        cache = str(folder / "cache.json")
        Path(cache).write_text(json.dumps(case["cache"]))
    options = {
        "--model": MODEL, "--prompt": case["prompt"], "--steps": case["steps"], "--seed": case["seed"], "--guidance": 5,
        "--precision": "f32", "--cache": cache, "--out": out,
    }  # fmt: skip
    if "scheduler" in case:
        options["--scheduler"] = case["scheduler"]
    if "negative" in case:
        options["--negative-prompt"] = case["negative"]
    subprocess.run([os.environ["REPRISE_COMMAND"], "generate", *(str(x) for pair in options.items() for x in pair)], check=True)
    return numpy.array(Image.open(out).convert("RGB"))


def main():
    worst = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            value = psnr(ours(case, Path(folder)), theirs(case))
            worst = min(worst, value)
            label = {k: v for k, v in case.items() if k != "cache"} | {"reuse": "cache" in case}
            print(f"{value:6.1f} dB  {label}", flush=True)
    if worst <= 40:
        sys.exit(f"pictures differ: {worst:.1f} dB, expected more than 40")


if __name__ == "__main__":
    main()
