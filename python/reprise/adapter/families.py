"""Which denoisers of diffusers are known, and what their modules are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch

from reprise import _core

HIDDEN, TEXT = "hidden_states", "encoder_hidden_states"


@dataclass(frozen=True)
class Family:
    """Denoisers of one class."""

    blocks: str  # a regular expression that the names of blocks match wholly
    streams: tuple[str, ...] = ()  # what a block's outputs transform, by argument; its first argument where empty


UNET = Family(r"(down|up)_blocks\.\d+|mid_block")

#: All of them: the list to add a denoiser to.
FAMILIES = {
    "UNet2DConditionModel": UNET,
    "UNetSpatioTemporalConditionModel": UNET,
    "PixArtTransformer2DModel": Family(r"transformer_blocks\.\d+"),
    "SD3Transformer2DModel": Family(r"transformer_blocks\.\d+", (TEXT, HIDDEN)),
    "FluxTransformer2DModel": Family(r"(single_)?transformer_blocks\.\d+", (TEXT, HIDDEN)),
    "QwenImageTransformer2DModel": Family(r"transformer_blocks\.\d+", (TEXT, HIDDEN)),
    "SanaTransformer2DModel": Family(r"transformer_blocks\.\d+"),
    "CogVideoXTransformer3DModel": Family(r"transformer_blocks\.\d+", (HIDDEN, TEXT)),
    "LTXVideoTransformer3DModel": Family(r"transformer_blocks\.\d+"),
    "WanTransformer3DModel": Family(r"blocks\.\d+"),
    "DiTTransformer2DModel": Family(r"transformer_blocks\.\d+"),
}


def denoiser_of(pipe: Any) -> torch.nn.Module:
    """The pipeline's denoiser. TypeError for what is no pipeline of diffusers, ValueError for one that is not known."""
    denoiser = getattr(pipe, "unet", None)
    if denoiser is None:
        denoiser = getattr(pipe, "transformer", None)
    if denoiser is None or not hasattr(pipe, "scheduler"):
        raise TypeError(
            f"expected a reprise.Pipeline or a pipeline of diffusers with a denoiser, found {type(pipe).__name__}"
        )
    denoiser = plain(denoiser)
    if type(denoiser).__name__ not in FAMILIES:
        raise ValueError(f"a {type(denoiser).__name__} is not known; there are {', '.join(FAMILIES)}")
    if getattr(pipe, "transformer_2", None) is not None:
        raise ValueError(f"{type(pipe).__name__} changes from one denoiser to another, which is not supported")
    return denoiser


def plain(module: torch.nn.Module) -> torch.nn.Module:
    """The module itself where torch.compile made another around it."""
    return getattr(module, "_orig_mod", module)


def named_modules(denoiser: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """All modules inside by their names, parents first."""
    found: dict[str, torch.nn.Module] = {}
    for name, module in denoiser.named_modules():
        name = name.replace("._orig_mod", "")
        if name:
            found[name] = plain(module)
    return found


def modules_of(pipe: Any) -> _core.Modules:
    """What configurations and policies can be about."""
    denoiser = denoiser_of(pipe)
    family = FAMILIES[type(denoiser).__name__]
    kinds = ((name, kind_of(name, module, family)) for name, module in named_modules(denoiser).items())
    return _core.Modules(type(denoiser).__name__, [(name, kind) for name, kind in kinds if kind != "other"])


def kind_of(name: str, module: torch.nn.Module, family: Family) -> str:
    if re.fullmatch(family.blocks, name):
        return "block"
    if hasattr(module, "to_q"):
        return attention_kind(name, module)
    known = _core.kind_of_class(type(module).__name__)
    return "other" if known == "block" else known


def attention_kind(name: str, module: Any) -> str:
    if getattr(module, "added_kv_proj_dim", None) is not None or getattr(module, "add_k_proj", None) is not None:
        return "joint_attention"
    cross = getattr(module, "is_cross_attention", name.endswith("attn2"))
    kind = "cross_attention" if cross else "self_attention"
    return "temporal_" + kind if "temporal_transformer_blocks" in name else kind


def streams_of(name: str, module: torch.nn.Module, denoiser: torch.nn.Module) -> tuple[str, ...]:
    """The arguments that the module's outputs transform, output by output; empty for its first argument."""
    family = FAMILIES[type(denoiser).__name__]
    kind = kind_of(name, module, family)
    if kind == "block":
        return family.streams
    return (HIDDEN, TEXT) if kind == "joint_attention" else ()
