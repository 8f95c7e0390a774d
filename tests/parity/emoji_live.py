"""The bundled models in diffusers and in Reprise: the same folder and seed give the same picture or frames, with and
without reuse.

    REPRISE_COMMAND=build/bin/reprise python tests/parity/emoji_live.py [MODEL...]

Run by `./check --full`. MODEL: names in models/, all if none is given. Pictures must agree to more than 40 dB in f32. Prints
a line for each case and exits with 1 when one differs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from diffusers import DiffusionPipeline, HeunDiscreteScheduler
from PIL import Image
from pipelines import DEFAULT, FORECAST, SD_DEFAULT, Reuse, step_map
from pixart_pipelines import PixArtReuse
from sd3_pipelines import Reuse as Sd3Reuse

MODELS = Path(__file__).resolve().parents[2] / "models"
PICTURE = MODELS.parent / "tests" / "fixtures" / "io" / "base.png"


def blocks(steps, *patterns):
    return [{"wildcard_or_filter_func": p, "select_cache_step_func": steps} for p in patterns]


# What `--cache default` means, spelled out: PixArt runs the last 7 of 28 blocks, SD3 the last 8 of 24.
DEFAULTS = {
    "emoji-sdxl": DEFAULT,
    "emoji-pixart": blocks("step % 3 != 0", "transformer_blocks.?", "transformer_blocks.1?", "transformer_blocks.20"),
    "emoji-sd3": blocks("step % 2 != 0", "transformer_blocks.?", "transformer_blocks.1[0-5]"),
    "emoji-svd": SD_DEFAULT,
}
CASES = [
    {"model": "emoji-sdxl", "prompt": "red apple", "steps": 20, "seed": 42},
    {"model": "emoji-sdxl", "prompt": "red apple", "steps": 20, "seed": 42, "cache": "default"},
    {"model": "emoji-sdxl", "prompt": "rocket", "steps": 20, "seed": 7, "cache": FORECAST},
    {"model": "emoji-sdxl", "prompt": "cat face", "steps": 10, "seed": 3, "cache": "default", "scheduler": "heun"},
    {"model": "emoji-sdxl", "prompt": "fire", "steps": 12, "seed": 1, "negative": "blue"},
    {"model": "emoji-pixart", "prompt": "red apple", "steps": 12, "seed": 42},
    {"model": "emoji-pixart", "prompt": "a rocket", "steps": 12, "seed": 7, "cache": "default"},
    {"model": "emoji-sd3", "prompt": "red apple", "steps": 10, "seed": 42},
    {"model": "emoji-sd3", "prompt": "a rocket", "steps": 10, "seed": 7, "cache": "default", "negative": "blue"},
    {"model": "emoji-svd", "steps": 8, "seed": 42},
    {"model": "emoji-svd", "steps": 8, "seed": 7, "cache": "default", "bucket": 80},
]


def psnr(a, b):
    error = numpy.mean((a.astype(numpy.float64) - b.astype(numpy.float64)) ** 2)
    return float("inf") if error == 0 else 10 * numpy.log10(255**2 / error)


def theirs(case):
    folder = MODELS / case["model"]
    index = json.loads((folder / "model_index.json").read_text())
    absent = {name: None for name, kind in index.items() if kind == [None, None]}
    pipe = DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, **absent)
    pipe.set_progress_bar_config(disable=True)
    if case.get("scheduler") == "heun":
        pipe.scheduler = HeunDiscreteScheduler.from_config(pipe.scheduler.config)
    cache = case.get("cache", [])
    config = DEFAULTS[case["model"]] if cache == "default" else cache
    if hasattr(pipe, "unet"):
        reuse = Reuse(pipe.unet, config, case["steps"], step_map(pipe.scheduler))
    else:
        kind = PixArtReuse if "PixArt" in index["_class_name"] else Sd3Reuse
        reuse = kind(pipe.transformer, config, case["steps"])
    options = {"num_inference_steps": case["steps"], "generator": torch.Generator().manual_seed(case["seed"]), "output_type": "np"}
    if "prompt" in case:
        options |= {"prompt": case["prompt"], "guidance_scale": 5.0, "height": 128, "width": 128}
        if "negative" in case:
            options["negative_prompt"] = case["negative"]
        if "PixArt" in index["_class_name"]:
            options["use_resolution_binning"] = False
    else:
        options |= {"image": Image.open(PICTURE).convert("RGB"), "height": 128, "width": 128}
        options["motion_bucket_id"] = case.get("bucket", 127)
    with torch.no_grad():
        made = pipe(**options)
    reuse.remove()
    pictures = made.images if "prompt" in case else made.frames[0]
    return (numpy.asarray(pictures) * 255).round().astype(numpy.uint8)


def ours(case, folder):
    for old in folder.iterdir():
        old.unlink()
    cache = case.get("cache", "off")
    if not isinstance(cache, str):
        path = folder / "cache.json"
        path.write_text(json.dumps(cache))
        cache = path
    options = {
        "--model": MODELS / case["model"], "--steps": case["steps"], "--seed": case["seed"], "--precision": "f32",
        "--vae-precision": "f32",
        "--cache": cache, "--out": folder / "{n}.png",
    }  # fmt: skip
    if "prompt" in case:
        options |= {"--prompt": case["prompt"], "--guidance": 5}
    else:
        options |= {"--image": PICTURE, "--motion-bucket": case.get("bucket", 127)}
    if "scheduler" in case:
        options["--scheduler"] = case["scheduler"]
    if "negative" in case:
        options["--negative-prompt"] = case["negative"]
    command = [os.environ["REPRISE_COMMAND"], "generate" if "prompt" in case else "animate", "--quiet"]
    subprocess.run([*command, *(str(x) for pair in options.items() for x in pair)], check=True)
    return numpy.stack([numpy.array(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))])


def main():
    worst = float("inf")
    models = sys.argv[1:] or list(DEFAULTS)
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if case["model"] not in models:
                continue
            value = psnr(ours(case, Path(folder)), theirs(case))
            worst = min(worst, value)
            label = {k: v for k, v in case.items() if k != "cache"} | {"reuse": "cache" in case}
            print(f"{value:6.1f} dB  {label}", flush=True)
    if worst <= 40:
        sys.exit(f"pictures differ: {worst:.1f} dB, expected more than 40")


if __name__ == "__main__":
    main()
