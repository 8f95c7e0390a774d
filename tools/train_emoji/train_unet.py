"""Train the denoiser and both text encoders on the latents that train_vae.py left.

Epsilon prediction on SDXL's noise schedule; min-SNR weighting; captions sampled from full and short
names, dropped 10 % of the time the way the pipeline does it without a negative prompt (zeros). The
learning rate follows the wall clock. Checkpoints (with an average of the weights) go to WORK/NAME.ckpt
every five minutes and at the end; `--resume` goes on from the last one.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from captions import CaptionBook
from common import Budget, Dataset, Ema, learning_rate_scale, save_atomically
from models import (
    MAX_LENGTH,
    TIME_IDS,
    build_scheduler,
    build_text_encoders,
    build_unet,
    load_tokenizers,
    train_tokenizers,
)
from optimizer import build_optimizers
from ranks import average, launch

DROP = 0.1
SNR_GAMMA = 5.0


class Denoiser(nn.Module):
    """Noisy latents, timesteps and two rows of token ids per caption to predicted noise."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.text_encoder, self.text_encoder_2 = build_text_encoders(vocab_size)
        self.unet = build_unet()

    def forward(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor, keep: torch.Tensor
    ) -> torch.Tensor:
        """`ids`: batch x 2 x length; `keep`: batch, 0 where the caption is dropped."""
        first = self.text_encoder(ids[:, 0], output_hidden_states=True)
        second = self.text_encoder_2(ids[:, 1], output_hidden_states=True)
        hidden = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        conditions = {
            "text_embeds": second.text_embeds * keep[:, None],
            "time_ids": torch.tensor(TIME_IDS, dtype=torch.float32).expand(len(noisy), -1),
        }
        hidden = hidden * keep[:, None, None]
        return self.unet(noisy, timesteps, hidden, added_cond_kwargs=conditions).sample


class Task:
    """Draws batches and measures the weighted noise-prediction loss."""

    def __init__(self, work: Path, batch: int) -> None:
        dataset = Dataset.load(work)
        config = AutoencoderKL.load_config(work / "vae")
        self.latents = torch.load(work / "latents.pt") * config["scaling_factor"]
        self.book = CaptionBook(dataset.captions)
        self.tokenizers = load_tokenizers(work)
        self.vocab_size = len(self.tokenizers[0])
        everyday = torch.tensor([3.0 if known else 1.0 for known in self.book.is_everyday])
        self.weights = torch.from_numpy(dataset.weights) * everyday
        self.alphas = build_scheduler().alphas_cumprod
        self.batch = batch
        self._ids: dict[str, torch.Tensor] = {}

    def token_ids(self, captions: list[str]) -> torch.Tensor:
        """Batch x 2 x MAX_LENGTH, cached per caption."""
        for caption in captions:
            if caption not in self._ids:
                rows = [
                    t(caption, padding="max_length", max_length=MAX_LENGTH, truncation=True).input_ids
                    for t in self.tokenizers
                ]
                self._ids[caption] = torch.tensor(rows)
        return torch.stack([self._ids[caption] for caption in captions])

    def loss(
        self,
        denoiser: Denoiser,
        chosen: torch.Tensor,
        captions: list[str],
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """min-SNR weighted squared error; noise-heavy steps count a little more than in the paper."""
        alpha = self.alphas[timesteps]
        snr = alpha / (1.0 - alpha)
        weight = snr.clamp(max=SNR_GAMMA) / snr * snr.clamp(max=1.0) ** -0.25
        alpha = alpha[:, None, None, None]
        noisy = alpha.sqrt() * self.latents[chosen] + (1.0 - alpha).sqrt() * noise
        with torch.autocast("cpu", torch.bfloat16):
            predicted = denoiser(noisy, timesteps, self.token_ids(captions), keep)
        error = (predicted.float() - noise).square().mean(dim=(1, 2, 3))
        return (weight * error).mean()

    def train_loss(self, denoiser: Denoiser, rng: random.Random) -> torch.Tensor:
        """Loss on a fresh batch; timesteps are spread evenly over the batch."""
        chosen = torch.multinomial(self.weights, self.batch, replacement=True)
        captions = [self.book.sample(i, rng) for i in chosen.tolist()]
        spread = (torch.arange(self.batch) + torch.rand(self.batch)) / self.batch
        timesteps = (spread * len(self.alphas)).long().clamp(max=len(self.alphas) - 1)
        noise = torch.randn_like(self.latents[chosen])
        keep = (torch.rand(self.batch) >= DROP).float()
        return self.loss(denoiser, chosen, captions, noise, timesteps, keep)

    @torch.no_grad()
    def fixed_loss(self, denoiser: Denoiser, count: int = 96) -> float:
        """The same loss on fixed pictures, noise and timesteps with full names, to compare runs."""
        generator = torch.Generator().manual_seed(1)
        chosen = torch.randint(len(self.latents), (count,), generator=generator)
        noise = torch.randn(count, *self.latents.shape[1:], generator=generator)
        timesteps = (torch.arange(count) * len(self.alphas)) // count
        timesteps = timesteps[torch.randperm(count, generator=generator)]
        total = 0.0
        for part in torch.arange(count).split(self.batch):
            captions = [self.book.captions[i] for i in chosen[part].tolist()]
            keep = torch.ones(len(part))
            loss = self.loss(denoiser, chosen[part], captions, noise[part], timesteps[part], keep)
            total += loss.item() * len(part)
        return total / count


def train(task: Task, denoiser: Denoiser, args: argparse.Namespace, rank: int) -> None:
    """Run until the budget is spent."""
    checkpoint = args.work / f"{args.name}.ckpt"
    modules = [denoiser.unet, denoiser.text_encoder, denoiser.text_encoder_2]
    optimizers = build_optimizers(modules, args.optimizer == "muon", args.muon_lr, args.lr)
    ema = Ema(denoiser.parameters(), args.ema)
    step, spent = 0, 0.0
    if args.resume and checkpoint.exists():
        state = torch.load(checkpoint)
        denoiser.load_state_dict(state["model"])
        ema.shadow = state["ema"]
        for optimizer, saved_state in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved_state)
        step, spent = state["step"], state["spent"]
    rng = random.Random(2 * step + rank)
    torch.manual_seed(2 * step + rank)
    budget = Budget(args.minutes * 60, spent)
    parameters = list(denoiser.parameters())

    def save() -> None:
        ema.swap()
        fixed = task.fixed_loss(denoiser)
        ema.swap()
        print(f"saved at step {step} {budget.spent:.0f} s, fixed loss {fixed:.4f}", flush=True)
        state = {
            "model": denoiser.state_dict(),
            "ema": ema.shadow,
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "vocab_size": task.vocab_size,
            "step": step,
            "spent": budget.spent,
        }
        save_atomically(state, checkpoint)

    saved, running = time.monotonic(), None
    fraction = average(parameters, budget.fraction)
    while fraction < 1.0:
        scale = learning_rate_scale(fraction, step, 60, hold=args.hold)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * scale
        loss = task.train_loss(denoiser, rng)
        denoiser.zero_grad(set_to_none=True)
        loss.backward()
        fraction = average(parameters, budget.fraction)
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


def run(args: argparse.Namespace, rank: int) -> None:
    """Build the same model in every process and train it."""
    torch.manual_seed(0)
    task = Task(args.work, args.batch)
    denoiser = Denoiser(task.vocab_size)
    if rank == 0:
        print(f"denoiser {sum(p.numel() for p in denoiser.unet.parameters()):,} weights", flush=True)
    # On a CPU the fused attention's backward pass is slow for short sequences: a third of the time.
    denoiser.unet.set_attn_processor(AttnProcessor())
    with sdpa_kernel(SDPBackend.MATH):
        train(task, denoiser, args, rank)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--name", default="unet", help="name of the checkpoint")
    parser.add_argument("--minutes", type=float, default=80.0)
    parser.add_argument("--batch", type=int, default=32, help="pictures per process")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--lr", type=float, default=1e-3, help="AdamW's peak")
    parser.add_argument("--muon-lr", type=float, default=2e-3)
    parser.add_argument("--hold", type=float, default=0.3, help="share of the time at the peak")
    parser.add_argument("--ema", type=float, default=0.997)
    parser.add_argument("--save-minutes", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    if not (args.resume and (args.work / "tokenizer").exists()):
        train_tokenizers(CaptionBook(Dataset.load(args.work).captions).corpus(), args.work)
    launch(run, args)


if __name__ == "__main__":
    main()
