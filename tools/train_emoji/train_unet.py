"""Train the denoiser and both text encoders on the latents that train_vae.py left.

Epsilon prediction on SDXL's noise schedule; min-SNR weighting; captions sampled from full and short
names, dropped 10 % of the time the way the pipeline does it without a negative prompt (zeros). The
learning rate follows the wall clock. Checkpoints (with an average of the weights) go to WORK/NAME.ckpt
every five minutes and at the end; `--resume` goes on from the last one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from captions import CaptionBook, Draw
from common import Dataset
from loop import add_options, train
from models import (
    TIME_IDS,
    TokenRows,
    build_scheduler,
    build_text_encoders,
    build_unet,
    train_tokenizers,
)
from ranks import launch
from tasks import NoiseTask


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


class Task(NoiseTask[Denoiser]):
    """Noise prediction with SDXL's two text encoders."""

    def __init__(self, work: Path, batch: int) -> None:
        config = AutoencoderKL.load_config(work / "vae")
        latents = torch.load(work / "latents.pt") * config["scaling_factor"]
        super().__init__(Draw(Dataset.load(work)), latents, batch, build_scheduler().alphas_cumprod)
        self.rows = TokenRows(work)
        self.vocab_size = len(self.rows.tokenizers[0])

    def predict(
        self,
        model: Denoiser,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        captions: list[str],
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """The noise that the denoiser sees."""
        return model(noisy, timesteps, self.rows(captions), keep)


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
        train(task, denoiser, args, rank, {"vocab_size": task.vocab_size})


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"))
    add_options(parser, "unet", minutes=80.0, batch=32)
    args = parser.parse_args()
    if not (args.resume and (args.work / "tokenizer").exists()):
        train_tokenizers(CaptionBook(Dataset.load(args.work).captions).corpus(), args.work)
    launch(run, args)


if __name__ == "__main__":
    main()
