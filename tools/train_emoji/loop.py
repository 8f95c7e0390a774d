"""The training loop that all denoisers share: clocked learning rates, averaged weights, checkpoints."""

from __future__ import annotations

import argparse
import random
import time
from typing import Protocol, TypeVar

import torch
from torch import nn

from common import Budget, Ema, learning_rate_scale, save_atomically
from optimizer import build_optimizers
from ranks import average


Model = TypeVar("Model", bound=nn.Module, contravariant=True)


class Task(Protocol[Model]):
    """What a training run needs beside the model."""

    def train_loss(self, model: Model, rng: random.Random) -> torch.Tensor:
        """Loss on a fresh batch."""

    def fixed_loss(self, model: Model) -> float:
        """Loss on fixed examples and noise, to compare runs."""


def add_options(parser: argparse.ArgumentParser, name: str, minutes: float, batch: int) -> None:
    """The command line of a training run."""
    parser.add_argument("--name", default=name, help="name of the checkpoint")
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--batch", type=int, default=batch, help="examples per process")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--lr", type=float, default=1e-3, help="AdamW's peak")
    parser.add_argument("--muon-lr", type=float, default=2e-3)
    parser.add_argument("--hold", type=float, default=0.3, help="share of the time at the peak")
    parser.add_argument("--ema", type=float, default=0.997)
    parser.add_argument("--save-minutes", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resume", action="store_true")


def train(
    task: Task[Model],
    model: Model,
    args: argparse.Namespace,
    rank: int,
    kept: dict[str, object] | None = None,
) -> None:
    """Train until the budget is spent; WORK/NAME.ckpt holds the weights, their average and `kept`."""
    checkpoint = args.work / f"{args.name}.ckpt"
    optimizers = build_optimizers(list(model.children()), args.optimizer == "muon", args.muon_lr, args.lr)
    parameters = list(model.parameters())
    ema = Ema(parameters, args.ema)
    step, spent = 0, 0.0
    if args.resume and checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        ema.shadow = state["ema"]
        for optimizer, saved_state in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved_state)
        step, spent = state["step"], state["spent"]
    rng = random.Random(2 * step + rank)
    torch.manual_seed(2 * step + rank)
    budget = Budget(args.minutes * 60, spent)

    def save() -> None:
        ema.swap()
        fixed = task.fixed_loss(model)
        ema.swap()
        print(f"saved at step {step} {budget.spent:.0f} s, fixed loss {fixed:.4f}", flush=True)
        state = {
            "model": model.state_dict(),
            "ema": ema.shadow,
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "step": step,
            "spent": budget.spent,
        }
        save_atomically(state | (kept or {}), checkpoint)

    saved, running = time.monotonic(), None
    fraction = average(parameters, budget.fraction)
    while fraction < 1.0:
        scale = learning_rate_scale(fraction, step, 60, hold=args.hold)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * scale
        loss = task.train_loss(model, rng)
        model.zero_grad(set_to_none=True)
        loss.backward()
        fraction = average(parameters, budget.tick())
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        step += 1
        ema.update(step)
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0 and rank == 0:
            print(f"step {step} {budget.spent:.0f} s lr x{scale:.3f} loss {running:.4f}", flush=True)
        if time.monotonic() - saved > args.save_minutes * 60 and rank == 0:
            save()
            saved = time.monotonic()
    if rank == 0:
        save()


def averaged_weights(model: nn.Module, state: dict[str, object]) -> None:
    """Put a checkpoint's averaged weights into the model."""
    ema = Ema(model.parameters(), 0.0)
    ema.shadow = state["ema"]
    ema.swap()
