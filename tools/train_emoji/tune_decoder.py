"""Train the autoencoder's decoder further on the latents that the denoiser learns, without moving them.

Reads WORK/vae and WORK/latents.pt, writes WORK/vae. The latents get a little noise, since the denoiser's are
not exact either. May run before, beside or after train_unet.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from common import Budget, Dataset, Ema, learning_rate_scale, mixed_precision
from ranks import average, launch
from train_vae import LATENT_STD, reconstruction_loss, report

LATENT_NOISE = 0.05 * LATENT_STD


def run(args: argparse.Namespace, rank: int) -> None:
    """Train in every process; the first one measures and writes the result."""
    torch.manual_seed(rank)
    pictures = Dataset.load(args.work).tensor()
    latents = torch.load(args.work / "latents.pt")
    vae = AutoencoderKL.from_pretrained(args.work / "vae").train()
    parameters = [*vae.post_quant_conv.parameters(), *vae.decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-3)
    ema = Ema(parameters, 0.99)
    budget = Budget(args.minutes * 60)
    step, fraction = 0, average(parameters, 0.0)
    while fraction < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * learning_rate_scale(fraction, step, 30)
        chosen = torch.randint(len(pictures), (args.batch,))
        noisy = latents[chosen] + LATENT_NOISE * torch.rand(()) * torch.randn_like(latents[chosen])
        with mixed_precision():
            output = vae.decode(noisy).sample
        loss = reconstruction_loss(output.float(), pictures[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        fraction = average(parameters, budget.tick())
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        ema.update(step)
        if step % 50 == 0 and rank == 0:
            print(f"step {step} {budget.spent:.0f} s loss {loss.item():.4f}", flush=True)
    if rank == 0:
        ema.swap()
        vae.eval().save_pretrained(args.work / "vae")
        report(vae, latents, pictures, args.work)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--batch", type=int, default=4, help="pictures per process")
    parser.add_argument("--lr", type=float, default=7e-4)
    parser.add_argument("--processes", type=int, default=2)
    launch(run, parser.parse_args())


if __name__ == "__main__":
    main()
