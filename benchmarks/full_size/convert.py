#!/usr/bin/env python3
"""Converts diffusers' own denoiser with openvino.convert_model, and of SDXL's the part that a reused step still
runs.

    convert.py --model FOLDER --height 64 --width 64 --out DIR

Writes DIR/full.xml (and DIR/rest.xml) with f32 weights. The sizes of a UNet's latents are left open; a
transformer, whose positions are constants once traced, and a video's are those given. The weights are mapped
files throughout (DIR/f32.safetensors is written first and removed at the end), so that little memory does.
"""

import argparse
import json
import struct
from pathlib import Path

import openvino
import torch
from denoisers import Sdxl, open_denoiser, read_header, weights_of
from diffusers import UNet2DConditionModel
from safetensors import safe_open


class Rest(torch.nn.Module):
    """What the default configuration leaves to a reused step: the last up block reads its hidden input and
    the first down block's outputs as they were, while conv_in's is computed anew. The added embedding, which
    does not change between steps, is an input."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.time_proj, self.time_embedding = unet.time_proj, unet.time_embedding
        self.conv_in, self.up_block = unet.conv_in, unet.up_blocks[-1]
        self.norm, self.act, self.conv_out = unet.conv_norm_out, unet.conv_act, unet.conv_out

    def forward(self, sample, timestep, added_embedding, hidden, skip_1, skip_2):
        embedding = self.time_embedding(self.time_proj(timestep.expand(sample.shape[0])).to(sample.dtype))
        hidden = self.up_block(
            hidden_states=hidden,
            res_hidden_states_tuple=(self.conv_in(sample), skip_1, skip_2),
            temb=embedding + added_embedding,
        )
        return self.conv_out(self.act(self.norm(hidden)))


def write_f32(source: Path, target: Path) -> None:
    """The same tensors in f32, one after another."""
    old, _ = read_header(source)
    old.pop("__metadata__", None)
    header, offset = {}, 0
    for name, entry in old.items():
        count = torch.Size(entry["shape"]).numel()
        header[name] = {"dtype": "F32", "shape": entry["shape"], "data_offsets": [offset, offset + 4 * count]}
        offset += 4 * count
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with safe_open(source, framework="pt") as weights, target.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in old:
            file.write(weights.get_tensor(name).float().contiguous().view(-1).view(torch.uint8).numpy())


def rest_inputs(unet: UNet2DConditionModel, common: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    channels = unet.config.block_out_channels
    sides = common["sample"].shape[2:]
    return {
        "sample": common["sample"],
        "timestep": common["timestep"],
        "added_embedding": torch.randn(1, channels[0] * 4),
        "hidden": torch.randn(1, channels[1], *sides),
        "skip_1": torch.randn(1, channels[0], *sides),
        "skip_2": torch.randn(1, channels[0], *sides),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="pipeline folder")
    parser.add_argument("--height", type=int, required=True, help="of the latents")
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--frames", type=int, default=0, help="of a video")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    folder, source = weights_of(options.model)
    weights = options.out / "f32.safetensors"
    write_f32(source, weights)
    denoiser = open_denoiser(folder, weights)
    is_unet = isinstance(denoiser, Sdxl)
    if is_unet:  # any size will do for tracing
        options.height = options.width = 16
    inputs = denoiser.inputs(options.height, options.width, options.frames)
    modules = {"full": (denoiser, inputs)}
    if is_unet:
        modules = {"rest": (Rest(denoiser.module), rest_inputs(denoiser.module, inputs))} | modules
    for name, (module, example) in modules.items():
        shapes = {key: openvino.PartialShape([1, value.shape[1], -1, -1]) if is_unet and value.dim() == 4
                  else value.shape for key, value in example.items()}  # fmt: skip
        with torch.no_grad():
            model = openvino.convert_model(module, example_input=example, input=list(shapes.items()))
        openvino.save_model(model, options.out / f"{name}.xml", compress_to_fp16=False)
        print(f"converted {name}: {len(model.get_ops())} operations", flush=True)
    weights.unlink()


if __name__ == "__main__":
    main()
