"""Depth by growth: a shallow transformer learns fast, then continues as a deep one."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import nn

from loop import averaged_weights

# What a block adds to its streams comes out of these.
OUTPUTS = ("to_out.0", "to_add_out", "ff.net.2", "ff_context.net.2")


def add_options(parser: argparse.ArgumentParser, depth: int) -> None:
    """The command line of a run that may be shallow, or go on from a shallower one."""
    parser.add_argument("--blocks", type=int, default=depth, help="depth of this run")
    parser.add_argument("--grow", help="name of a checkpoint to start from, as deep or shallower")


@torch.no_grad()
def transplant(small: nn.Module, large: nn.Module) -> None:
    """Make `large` the same function: `small`'s blocks spread over its depth, identities between.

    The identities are copies of the block that follows them, with nothing coming out.
    """
    blocks: nn.ModuleList = small.transformer_blocks
    depth = len(large.transformer_blocks)
    if depth % len(blocks):
        raise ValueError(f"{len(blocks)} blocks do not spread over {depth}")
    stride = depth // len(blocks)
    rest = {key: w for key, w in small.state_dict().items() if not key.startswith("transformer_blocks.")}
    large.load_state_dict(rest, strict=False)
    for index, block in enumerate(large.transformer_blocks):
        wanted = block.state_dict()
        for key, weight in blocks[index // stride].state_dict().items():
            # The last block of SD3 has a part less.
            if key in wanted and wanted[key].shape == weight.shape:
                wanted[key] = weight
        block.load_state_dict(wanted)
        if (index + 1) % stride:
            for name, module in block.named_modules():
                if name.endswith(OUTPUTS) and isinstance(module, nn.Linear):
                    nn.init.zeros_(module.weight)
                    nn.init.zeros_(module.bias)


def load(build: Callable[[int], nn.Module], state: dict[str, object], depth: int) -> nn.Module:
    """The model of a checkpoint with its averaged weights, grown to `depth` blocks."""
    small = build(state["blocks"])
    averaged_weights(small, state)
    if state["blocks"] == depth:
        return small
    large = build(depth)
    for name, part in small.named_children():
        if name != "transformer":
            getattr(large, name).load_state_dict(part.state_dict())
    transplant(small.transformer, large.transformer)
    return large
