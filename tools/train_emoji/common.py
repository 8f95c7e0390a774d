"""What the training scripts share: the data on disk, wall-clock schedules, EMA and picture grids."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

PICTURE_SIZE = 128

# Which is faster depends on the CPU: bf16 on Zen 5, float32 (twice as fast) on an Intel Xeon.
HAS_BF16 = os.environ.get("BF16") == "1" and torch.cpu._is_avx512_bf16_supported()


@dataclass(frozen=True)
class Dataset:
    """Pictures (uint8, N x 128 x 128 x 3), their captions and sampling weights."""

    pictures: np.ndarray
    captions: list[str]
    weights: np.ndarray

    @staticmethod
    def load(work: Path) -> Dataset:
        """Read what dataset.py wrote."""
        rows = json.loads((work / "captions.json").read_text())
        return Dataset(
            pictures=np.load(work / "pictures.npy"),
            captions=[row["caption"] for row in rows],
            weights=np.array([row["weight"] for row in rows], dtype=np.float64),
        )

    def tensor(self) -> torch.Tensor:
        """All pictures as floats in [-1, 1], N x 3 x 128 x 128."""
        return torch.from_numpy(self.pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


class Budget:
    """Seconds of work, of which `spent` may already be used by an earlier run.

    Counted by `tick`, once per step. A step's time beyond `LONGEST` times the usual does not count: that is a
    process stopped for a while, not work.
    """

    LONGEST = 6.0

    def __init__(self, seconds: float, spent: float = 0.0) -> None:
        self.seconds = seconds
        self.spent = spent
        self._last = time.monotonic()
        self._usual = math.inf

    @property
    def fraction(self) -> float:
        """Share of the budget used, at most 1."""
        return min(1.0, self.spent / self.seconds)

    def tick(self) -> float:
        """Count the time since the last call, and return the share then used."""
        now = time.monotonic()
        taken = min(now - self._last, self.LONGEST * self._usual)
        self._last = now
        self._usual = taken if math.isinf(self._usual) else 0.9 * self._usual + 0.1 * taken
        self.spent += taken
        return self.fraction


def mixed_precision() -> torch.autocast:
    """bf16 where that is wanted and this CPU has it, else plain float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16)


def learning_rate_scale(fraction: float, step: int, warmup_steps: int, hold: float = 0.0) -> float:
    """Linear warm-up by step, flat until `hold` of the budget, then a cosine to 0.5 %."""
    decay = max(0.0, (fraction - hold) / (1.0 - hold))
    cosine = 0.005 + 0.995 * 0.5 * (1.0 + math.cos(math.pi * decay))
    return min(1.0, (step + 1) / warmup_steps) * cosine


class Ema:
    """Exponential moving average of parameters, with the usual warm-up of the decay."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.shadow = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the present weights."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(self.shadow, [p.detach() for p in self.parameters], 1.0 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights and their average."""
        for parameter, shadow in zip(self.parameters, self.shadow, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(shadow)
            shadow.copy_(kept)


def save_atomically(value: object, path: Path) -> None:
    """torch.save that never leaves a half-written checkpoint."""
    partial = path.with_suffix(".partial")
    torch.save(value, partial)
    partial.replace(path)


def grid(pictures: np.ndarray, columns: int) -> Image.Image:
    """Lay uint8 N x H x W x 3 pictures out in rows."""
    count, height, width, _ = pictures.shape
    rows = math.ceil(count / columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = divmod(i, columns)
        sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = picture
    return Image.fromarray(sheet)


def to_uint8(pictures: torch.Tensor) -> np.ndarray:
    """Float N x 3 x H x W in [-1, 1] to uint8 N x H x W x 3."""
    scaled = pictures.detach().float().clamp(-1, 1).add(1).mul(127.5).round()
    return scaled.byte().permute(0, 2, 3, 1).cpu().numpy()
