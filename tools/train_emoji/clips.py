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
# The motion bucket, 1 to 255, says what moves: a fifth of its range is a motion, which grows within it. So a clip
# follows from what the model is told, and nothing has to be guessed. The usual bucket, 127, bounces.
MOTIONS = ("grow", "spin", "bounce", "shake", "drift")
BAND = 51
REACH = (0.6, 1.4)
# Nothing moves by more than two cells of the latents (eighths of half a picture): twice as far was not learned in the
# time that there was, and every motion came out as the same blur.


@dataclass(frozen=True)
class Motion:
    """What moves how."""

    fps: int
    bucket: int

    @staticmethod
    def draw(rng: np.random.Generator) -> Motion:
        """Any motion at any speed and size, but for buckets between two motions."""
        bucket = BAND * int(rng.integers(len(MOTIONS))) + int(rng.integers(5, BAND - 3))
        return Motion(fps=int(rng.integers(FPS[0], FPS[1] + 1)), bucket=bucket)

    @property
    def kind(self) -> str:
        """One of MOTIONS."""
        return MOTIONS[(self.bucket - 1) // BAND]

    def poses(self, frames: int = FRAMES) -> list[tuple[float, float, float, float]]:
        """Per frame: scale, angle in radians, shift right and down in half pictures. The first rests."""
        reach = REACH[0] + (REACH[1] - REACH[0]) * ((self.bucket - 1) % BAND) / (BAND - 1)
        poses = []
        for frame in range(frames):
            phase = 2.0 * math.pi * frame / self.fps / PERIOD
            there = (1.0 - math.cos(phase)) / 2.0
            scale, angle, right, down = 1.0, 0.0, 0.0, 0.0
            if self.kind == "bounce":
                down = -0.16 * reach * abs(math.sin(phase / 2.0))
            elif self.kind == "spin":
                angle = 0.25 * reach * math.sin(phase)
            elif self.kind == "shake":
                right = 0.1 * reach * math.sin(2.0 * phase)
            elif self.kind == "grow":
                scale = 1.0 - 0.2 * reach * there
            else:
                right = 0.18 * reach * there
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
