#!/usr/bin/env python3
"""Writes an SDXL folder in diffusers' layout as the one file, in the original names, that
stable-diffusion.cpp loads. Values are copied as they are.

    ldm_checkpoint.py --model SDXL --out sdxl.safetensors
"""

import argparse
import json
import math
import re
import struct
from pathlib import Path

UNET_TOP = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}  # fmt: skip
UNET_RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
               "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip
VAE_PARTS = [("conv_shortcut", "nin_shortcut"), ("conv_norm_out", "norm_out"), (r"mid_block\.attentions\.0", "mid.attn_1"),
             (r"mid_block\.resnets\.0", "mid.block_1"), (r"mid_block\.resnets\.1", "mid.block_2"),
             (r"resnets\.", "block."), (r"downsamplers\.0", "downsample"), (r"upsamplers\.0", "upsample"),
             ("down_blocks", "down"), ("group_norm", "norm"), (r"to_out\.0", "proj_out"), (r"to_([qkv])\b", r"\1")]  # fmt: skip


def unet_name(name: str, config: dict) -> str:
    layers = config["layers_per_block"]
    for ours, theirs in UNET_TOP.items():
        if name.startswith(ours + "."):
            new = theirs + name.removeprefix(ours)
            break
    else:
        side, block, part, index, rest = re.fullmatch(
            r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name
        ).groups()
        block, index = int(block), int(index)
        if part == "downsamplers":
            new = f"input_blocks.{(layers + 1) * (block + 1)}.0.op.{rest.removeprefix('conv.')}"
        elif part == "upsamplers":
            after = 2 if "CrossAttn" in config["up_block_types"][block] else 1
            new = f"output_blocks.{(layers + 1) * (block + 1) - 1}.{after}.{rest}"
        else:
            number = (layers + 1) * block + index + (1 if side == "down" else 0)
            new = f"{'in' if side == 'down' else 'out'}put_blocks.{number}.{int(part == 'attentions')}.{rest}"
    if "resnets" in name:
        for ours, theirs in UNET_RESNET.items():
            new = new.replace(f".{ours}.", f".{theirs}.")
    return "model.diffusion_model." + new


def vae_name(name: str, config: dict) -> str:
    last = len(config["block_out_channels"]) - 1
    name = re.sub(r"up_blocks\.(\d+)", lambda match: f"up.{last - int(match[1])}", name)
    for ours, theirs in VAE_PARTS:
        name = re.sub(ours, theirs, name)
    return "first_stage_model." + name


def clip_name(name: str, embedder: int) -> str:
    if not name.startswith(("text_model.", "text_projection.")):
        name = "text_model." + name
    return f"conditioner.embedders.{embedder}.transformer.{name}"


def new_name(component: str, name: str, config: dict) -> str:
    if component == "unet":
        return unet_name(name, config)
    if component == "vae":
        return vae_name(name, config)
    return clip_name(name, int(component == "text_encoder_2"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="pipeline folder")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    header, sources, offset = {}, [], 0
    for component in ["unet", "vae", "text_encoder", "text_encoder_2"]:
        folder = options.model / component
        config = json.loads((folder / "config.json").read_text())
        file = next(folder.glob("*.safetensors"))
        with file.open("rb") as weights:
            size = struct.unpack("<Q", weights.read(8))[0]
            tensors = json.loads(weights.read(size))
        tensors.pop("__metadata__", None)
        for name, entry in tensors.items():
            begin, end = entry["data_offsets"]
            new = new_name(component, name, config)
            shape = entry["shape"]
            if component == "vae" and ".attn_1." in new and len(shape) == 2:
                shape = [*shape, 1, 1]  # convolutions there
            assert new not in header and end - begin == math.prod(shape) * 2, f"{name} as {new}"
            header[new] = {"dtype": entry["dtype"], "shape": shape, "data_offsets": [offset, offset + end - begin]}
            sources.append((file, 8 + size + begin, end - begin))
            offset += end - begin
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with options.out.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for file, begin, count in sources:
            with file.open("rb") as weights:
                weights.seek(begin)
                out.write(weights.read(count))


if __name__ == "__main__":
    main()
