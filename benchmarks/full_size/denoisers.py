"""diffusers' own denoisers as other engines run them: over mapped weights, with plain tensors as inputs."""

import json
import struct
from pathlib import Path

import diffusers
import torch
from safetensors import safe_open


def read_header(path: Path) -> tuple[dict, int]:
    with path.open("rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        return json.loads(file.read(size)), 8 + size


def weights_of(pipeline: Path) -> tuple[Path, Path]:
    """The denoiser's folder and weight file."""
    folder = next(pipeline / name for name in ("unet", "transformer") if (pipeline / name).exists())
    return folder, folder / "diffusion_pytorch_model.safetensors"


def load(folder: Path, weights: Path) -> torch.nn.Module:
    """The module over mapped weights, in their precision."""
    config = json.loads((folder / "config.json").read_text())
    kind = getattr(diffusers, config["_class_name"])
    with torch.device("meta"):
        module = kind.from_config(kind.load_config(folder))
    with safe_open(weights, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}
    module.load_state_dict(state, assign=True)
    if left := [name for name, _ in module.named_buffers() if name not in state]:
        small = kind.from_config(kind.load_config(folder) | {"num_layers": 1})  # tables that no checkpoint holds
        for name in left:
            owner, _, last = name.rpartition(".")
            setattr(module.get_submodule(owner), last, small.get_buffer(name))
    return module.eval()


class Denoiser(torch.nn.Module):
    """A whole evaluation. `inputs` makes values for latents of a size, in the order of `forward`."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module, self.config = module, module.config


class Sdxl(Denoiser):
    def forward(self, sample, timestep, encoder_hidden_states, text_embeds, time_ids):
        added = {"text_embeds": text_embeds, "time_ids": time_ids}
        return self.module(sample, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False)[0]

    def inputs(self, height: int, width: int, frames: int) -> dict[str, torch.Tensor]:
        pooled = self.config.projection_class_embeddings_input_dim - 6 * self.config.addition_time_embed_dim
        return {
            "sample": torch.randn(1, self.config.in_channels, height, width),
            "timestep": torch.tensor(500.0),
            "encoder_hidden_states": torch.randn(1, 77, self.config.cross_attention_dim),
            "text_embeds": torch.randn(1, pooled),
            "time_ids": torch.tensor([[512.0, 512.0, 0.0, 0.0, 512.0, 512.0]]),
        }


class PixArt(Denoiser):
    def forward(self, sample, timestep, encoder_hidden_states, attention_mask):
        nothing = {"resolution": None, "aspect_ratio": None}  # as at 512
        return self.module(sample, encoder_hidden_states, timestep, nothing,
                           encoder_attention_mask=attention_mask, return_dict=False)[0]  # fmt: skip

    def inputs(self, height: int, width: int, frames: int) -> dict[str, torch.Tensor]:
        mask = torch.zeros(1, 120)
        mask[:, :12] = 1
        return {
            "sample": torch.randn(1, self.config.in_channels, height, width),
            "timestep": torch.tensor([500.0]),
            "encoder_hidden_states": torch.randn(1, 120, self.config.caption_channels),
            "attention_mask": mask,
        }


class Sd3(Denoiser):
    def forward(self, sample, timestep, encoder_hidden_states, pooled):
        return self.module(sample, encoder_hidden_states, pooled, timestep, return_dict=False)[0]

    def inputs(self, height: int, width: int, frames: int) -> dict[str, torch.Tensor]:
        return {
            "sample": torch.randn(1, self.config.in_channels, height, width),
            "timestep": torch.tensor([500.0]),
            "encoder_hidden_states": torch.randn(1, 77 + 256, self.config.joint_attention_dim),
            "pooled": torch.randn(1, self.config.pooled_projection_dim),
        }


class Svd(Denoiser):
    def forward(self, sample, timestep, encoder_hidden_states, time_ids):
        return self.module(sample, timestep, encoder_hidden_states, time_ids, return_dict=False)[0]

    def inputs(self, height: int, width: int, frames: int) -> dict[str, torch.Tensor]:
        return {
            "sample": torch.randn(1, frames, self.config.in_channels, height, width),
            "timestep": torch.tensor(1.6),
            "encoder_hidden_states": torch.randn(1, 1, self.config.cross_attention_dim),
            "time_ids": torch.tensor([[6.0, 127.0, 0.02]]),
        }


KINDS = {"UNet2DConditionModel": Sdxl, "PixArtTransformer2DModel": PixArt, "SD3Transformer2DModel": Sd3,
         "UNetSpatioTemporalConditionModel": Svd}  # fmt: skip


def open_denoiser(folder: Path, weights: Path) -> Denoiser:
    module = load(folder, weights)
    return KINDS[type(module).__name__](module)
