"""AdamW for vectors and embeddings, Muon for matrices and convolutions."""

from __future__ import annotations

from collections import defaultdict

import torch
import torch.distributed as dist
from torch import nn

from common import HAS_BF16

# Parts of names: weights that turn something into a model's width or back, or look something up.
ENDS = ("embed", "conv_in", "conv_out", "time_emb", "adaln", "shared", "table", "relative_attention_bias")


def orthogonalise(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Newton-Schulz towards the nearest semi-orthogonal matrices (Jordan et al., Muon)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if HAS_BF16 else matrices
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, updates scaled to the size of AdamW's (Liu et al. 2025)."""

    def __init__(self, params: list[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update; matrices of one shape are orthogonalised together, each process taking its share."""
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        jobs: list[tuple[list[nn.Parameter], torch.Tensor, float]] = []
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape[0], p.numel() // p.shape[0]].append(p)
            for shape, params in by_shape.items():
                directions = []
                for p in params:
                    state = self.state[p]
                    if not state:
                        state["momentum"] = torch.zeros_like(p)
                    state["momentum"].lerp_(p.grad, 1.0 - group["momentum"])
                    directions.append(p.grad.lerp(state["momentum"], group["momentum"]).reshape(shape))
                updates = torch.zeros(len(params), *shape)
                if directions[rank::world]:
                    updates[rank::world] = orthogonalise(torch.stack(directions[rank::world]))
                jobs.append((params, updates, group["lr"] * 0.2 * max(shape) ** 0.5))
        if world > 1:
            flat = torch.cat([updates.reshape(-1) for _, updates, _ in jobs])
            dist.all_reduce(flat)
            parts = flat.split([updates.numel() for _, updates, _ in jobs])
        else:
            parts = tuple(updates.reshape(-1) for _, updates, _ in jobs)
        for (params, updates, rate), part in zip(jobs, parts, strict=True):
            for p, update in zip(params, part.view_as(updates), strict=True):
                p.add_(update.reshape(p.shape), alpha=-rate)


def build_optimizers(
    modules: list[nn.Module], muon: bool, muon_lr: float, adamw_lr: float
) -> list[torch.optim.Optimizer]:
    """Matrices inside the networks go to Muon if wanted; embeddings, ends, norms and biases to AdamW."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for module in modules:
        for name, p in module.named_parameters():
            end = name.startswith("proj_out") or any(part in name for part in ENDS)
            inner = p.ndim >= 2 and not end
            (matrices if muon and inner else others).append(p)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=adamw_lr, betas=(0.9, 0.98), weight_decay=1e-3)
    ]
    if matrices:
        optimizers.append(Muon(matrices, lr=muon_lr))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers
