#!/usr/bin/env python3
"""Converts diffusers' own UNet, and the part of it that a reused step still runs, with openvino.convert_model.

    convert.py --model SDXL --out DIR

Writes DIR/full.xml and DIR/rest.xml with f32 weights, sizes of the latents left open. The weights are
mapped files throughout (DIR/unet-f32.safetensors is written first and removed at the end), so that little
memory does.
"""

import argparse
import json
import struct
from pathlib import Path

import openvino
import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open

TOKENS = 77
TRACED = 16  # side of the latents that the tracing run sees


class Full(torch.nn.Module):
    """The UNet with plain tensors as inputs."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample, timestep, encoder_hidden_states, text_embeds, time_ids):
        return self.unet(
            sample,
            timestep,
            encoder_hidden_states,
            added_cond_kwargs={"text_embeds": text_embeds, "time_ids": time_ids},
            return_dict=False,
        )[0]


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


def read_header(path: Path) -> tuple[dict, int]:
    with path.open("rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        return json.loads(file.read(size)), 8 + size


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


def load_unet(folder: Path, weights: Path) -> UNet2DConditionModel:
    """The module over mapped f32 weights."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder))
    with safe_open(weights, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}
    unet.load_state_dict(state, assign=True)
    return unet.eval()


def example_inputs(unet: UNet2DConditionModel) -> dict[str, dict[str, torch.Tensor]]:
    config = unet.config
    channels = config.block_out_channels
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    common = {"sample": torch.randn(1, config.in_channels, TRACED, TRACED), "timestep": torch.tensor(500.0)}
    return {
        "full": common
        | {"encoder_hidden_states": torch.randn(1, TOKENS, config.cross_attention_dim),
           "text_embeds": torch.randn(1, pooled), "time_ids": torch.zeros(1, 6)},
        "rest": common
        | {"added_embedding": torch.randn(1, channels[0] * 4),
           "hidden": torch.randn(1, channels[1], TRACED, TRACED),
           "skip_1": torch.randn(1, channels[0], TRACED, TRACED),
           "skip_2": torch.randn(1, channels[0], TRACED, TRACED)},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="pipeline folder")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    weights = options.out / "unet-f32.safetensors"
    write_f32(options.model / "unet" / "diffusion_pytorch_model.safetensors", weights)
    unet = load_unet(options.model / "unet", weights)
    for name, module in {"rest": Rest(unet), "full": Full(unet)}.items():
        example = example_inputs(unet)[name]
        open_sides = {key: openvino.PartialShape([1, value.shape[1], -1, -1]) if value.dim() == 4 else value.shape
                      for key, value in example.items()}  # fmt: skip
        with torch.no_grad():
            model = openvino.convert_model(module, example_input=example, input=list(open_sides.items()))
        openvino.save_model(model, options.out / f"{name}.xml", compress_to_fp16=False)
        print(f"converted {name}: {len(model.get_ops())} operations", flush=True)
    weights.unlink()


if __name__ == "__main__":
    main()
