"""Write a trained pipeline as a diffusers folder with float16 weights, without traces of this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

SDXL = Path(__file__).parents[2] / "models" / "emoji-sdxl"  # the first model, from which others borrow parts


def write(pipeline: DiffusionPipeline, out: Path, tokenizers: dict[str, Path]) -> None:
    """Save; `tokenizers` names folders whose files replace what transformers would write."""
    pipeline.to(torch.float16).save_pretrained(out, safe_serialization=True)
    for name, files in tokenizers.items():
        shutil.rmtree(out / name)
        shutil.copytree(files, out / name)
    for path in [*out.glob("*.json"), *out.glob("*/config.json"), *out.glob("*/*_config.json")]:
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        for name, kind in config.items():
            if kind == ["transformers", "CLIPImageProcessorPil"]:  # its name where torchvision is absent
                config[name] = ["transformers", "CLIPImageProcessor"]
        if "dtype" in config:  # what transformers loads in by default, as diffusers does for its own parts
            config["dtype"] = "float32"
        path.write_text(json.dumps(config, indent=2) + "\n")
    for path in out.glob("text_encoder*/config.json"):
        if "CLIP" in json.loads(path.read_text())["architectures"][0]:
            _restore_prefix(path.parent / "model.safetensors")
    for path in out.glob("*/*.safetensors"):
        path.chmod(0o644)
    files = [path for path in out.rglob("*") if path.is_file()]
    print(f"{out}: {sum(path.stat().st_size for path in files) / 1e6:.2f} MB in {len(files)} files")


def _restore_prefix(path: Path) -> None:
    """transformers 5 may leave out the prefix under which every published CLIP keeps these; it reads both."""
    weights = {}
    for key, weight in load_file(path).items():
        outside = key.startswith(("text_model.", "text_projection."))
        weights[key if outside else f"text_model.{key}"] = weight
    save_file(weights, path, metadata={"format": "pt"})
