"""Denoising losses over a set of captioned latents."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import nn

from captions import Draw
from common import mixed_precision

Model = TypeVar("Model", bound=nn.Module)

DROP = 0.1
SNR_GAMMA = 5.0


class LatentTask(ABC, Generic[Model]):
    """Draws batches of latents (already scaled), captions, noise and places in the noise schedule."""

    def __init__(self, draw: Draw, latents: torch.Tensor, batch: int) -> None:
        self.draw = draw
        self.latents = latents
        self.batch = batch

    @abstractmethod
    def loss(
        self,
        model: Model,
        clean: torch.Tensor,
        captions: list[str],
        noise: torch.Tensor,
        places: torch.Tensor,
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """`places`: batch, uniform in [0, 1); `keep`: batch, 0 where the caption is dropped."""

    def train_loss(self, model: Model, rng: random.Random) -> torch.Tensor:
        """Loss on a fresh batch; places are spread evenly over the batch."""
        chosen, captions = self.draw(self.batch, rng)
        clean = self.latents[chosen]
        places = (torch.arange(self.batch) + torch.rand(self.batch)) / self.batch
        keep = (torch.rand(self.batch) >= DROP).float()
        return self.loss(model, clean, captions, torch.randn_like(clean), places, keep)

    @torch.no_grad()
    def fixed_loss(self, model: Model, count: int = 96) -> float:
        """The same loss on fixed pictures, noise and places with full names, to compare runs."""
        generator = torch.Generator().manual_seed(1)
        chosen = torch.multinomial(self.draw.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, *self.latents.shape[1:], generator=generator)
        places = (torch.arange(count)[torch.randperm(count, generator=generator)] + 1e-4) / count
        total = 0.0
        for part in torch.arange(count).split(self.batch):
            captions = [self.draw.book.captions[i] for i in chosen[part].tolist()]
            clean, keep = self.latents[chosen[part]], torch.ones(len(part))
            loss = self.loss(model, clean, captions, noise[part], places[part], keep)
            total += loss.item() * len(part)
        return total / count


def noised(
    alphas: torch.Tensor, clean: torch.Tensor, noise: torch.Tensor, places: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The timesteps of these places, their alpha (batch, 1, 1, 1), and the noisy latents."""
    timesteps = (places * len(alphas)).long().clamp(max=len(alphas) - 1)
    alpha = alphas[timesteps][:, None, None, None]
    return timesteps, alpha, alpha.sqrt() * clean + (1.0 - alpha).sqrt() * noise


class NoiseTask(LatentTask[Model]):
    """Noise prediction on a discrete schedule, with min-SNR weights."""

    def __init__(self, draw: Draw, latents: torch.Tensor, batch: int, alphas: torch.Tensor) -> None:
        super().__init__(draw, latents, batch)
        self.alphas = alphas

    @abstractmethod
    def predict(
        self,
        model: Model,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        captions: list[str],
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """The noise that the model sees."""

    def loss(
        self,
        model: Model,
        clean: torch.Tensor,
        captions: list[str],
        noise: torch.Tensor,
        places: torch.Tensor,
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """Squared error; noise-heavy steps count a little more than in the min-SNR paper."""
        timesteps, alpha, noisy = noised(self.alphas, clean, noise, places)
        snr = (alpha / (1.0 - alpha)).flatten()
        weight = snr.clamp(max=SNR_GAMMA) / snr * snr.clamp(max=1.0) ** -0.25
        with mixed_precision():
            predicted = self.predict(model, noisy, timesteps, captions, keep)
        error = (predicted.float() - noise).square().mean(dim=(1, 2, 3))
        return (weight * error).mean()
