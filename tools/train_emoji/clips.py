"""Short loops made from still pictures: bounce, spin, shake, grow, drift."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

FRAMES = 8
PERIOD = 8 / 7  # seconds: eight frames at seven a second close the loop
FPS = (5, 12)
USUAL_BUCKET = 127  # of 1 to 255; how far things move grows with the bucket
MOTIONS = ("bounce", "spin", "shake", "grow", "drift")


@dataclass(frozen=True)
class Motion:
    """What moves how; `direction` in radians is where a drift goes and which way a spin or shake starts."""

    kind: str
    fps: int
    bucket: int
    direction: float

    @staticmethod
    def draw(rng: np.random.Generator) -> Motion:
        """Any motion at any speed and size."""
        return Motion(
            kind=str(rng.choice(MOTIONS)),
            fps=int(rng.integers(FPS[0], FPS[1] + 1)),
            bucket=int(rng.integers(40, 216)),
            direction=float(rng.uniform(0.0, 2.0 * math.pi)),
        )

    def poses(self, frames: int = FRAMES) -> list[tuple[float, float, float, float]]:
        """Per frame: scale, angle in radians, shift right and down in half pictures. The first rests."""
        reach = self.bucket / USUAL_BUCKET
        sign = 1.0 if math.cos(self.direction) > 0 else -1.0
        poses = []
        for frame in range(frames):
            phase = 2.0 * math.pi * frame / self.fps / PERIOD
            there = (1.0 - math.cos(phase)) / 2.0
            scale, angle, right, down = 1.0, 0.0, 0.0, 0.0
            if self.kind == "bounce":
                down = -0.35 * reach * abs(math.sin(phase / 2.0))
            elif self.kind == "spin":
                angle = sign * 0.6 * reach * math.sin(phase)
            elif self.kind == "shake":
                right = sign * 0.15 * reach * math.sin(2.0 * phase)
            elif self.kind == "grow":
                scale = 1.0 - 0.35 * reach * there
            else:
                right, down = (0.4 * reach * there * f(self.direction) for f in (math.cos, math.sin))
            poses.append((scale, angle, right, down))
        return poses

    def frames(self, picture: torch.Tensor, count: int = FRAMES) -> torch.Tensor:
        """Frames x 3 x H x W from a 3 x H x W picture in [-1, 1]; white comes in at the borders."""
        rows = []
        for scale, angle, right, down in self.poses(count):
            cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
            rows.append([[cos, sin, -cos * right - sin * down], [-sin, cos, sin * right - cos * down]])
        places = F.affine_grid(torch.tensor(rows), [count, *picture.shape], align_corners=False)
        darkness = (1.0 - picture).expand(count, -1, -1, -1)
        return 1.0 - F.grid_sample(darkness, places, align_corners=False)
