"""Train the autoencoder: AutoencoderKL (16, 32, 64, 64), 128 x 128 x 3 <-> 16 x 16 x 4.

Loss: L1 + L2 + L1 of the picture's gradients + L1 of coarse colour differences + 1e-5 KL. The learning
rate follows the wall clock, so the run ends on time whatever else the machine does. At the end each
latent channel is brought to zero mean and a common spread by folding an affine map into `quant_conv` and
`post_quant_conv`; the result is in WORK/vae (a diffusers folder), with the latents of all pictures in
WORK/latents.pt.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from common import Budget, Dataset, grid, learning_rate_scale, mixed_precision, save_atomically, to_uint8
from ranks import average, launch

KL_WEIGHT = 1e-5
COLOUR_WEIGHT = 0.5  # without it, colour differences come last: a green lizard stays brown for long
LATENT_STD = 4.0  # spread of an unscaled latent; scaling_factor is its inverse


def build_vae() -> AutoencoderKL:
    """An SDXL autoencoder in miniature."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=128,
        scaling_factor=1.0 / LATENT_STD,
        force_upcast=False,
    )


def reconstruction_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 + L2 + L1 between horizontal and vertical differences."""
    error = output - target
    loss = error.abs().mean() + error.square().mean()
    loss = loss + (error[..., 1:] - error[..., :-1]).abs().mean()
    loss = loss + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    red, green, blue = F.avg_pool2d(error, 4).unbind(dim=1)
    colour = (red - green).abs().mean() + (blue - 0.5 * (red + green)).abs().mean()
    return loss + COLOUR_WEIGHT * colour


def train(vae: AutoencoderKL, pictures: torch.Tensor, args: argparse.Namespace, rank: int) -> None:
    """Run until the budget is spent; `--resume` continues from the last checkpoint."""
    checkpoint = args.work / f"{args.name}.ckpt"
    optimizer = torch.optim.AdamW(vae.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-3)
    step, spent = 0, 0.0
    if args.resume and checkpoint.exists():
        state = torch.load(checkpoint)
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["spent"]
    budget = Budget(args.minutes * 60, spent)
    saved = time.monotonic()
    running = None
    parameters = list(vae.parameters())
    torch.manual_seed(2 * step + rank)
    fraction = average(parameters, budget.fraction)
    while fraction < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * learning_rate_scale(fraction, step, 100)
        batch = pictures[torch.randint(len(pictures), (args.batch,))]
        with mixed_precision():
            posterior = vae.encode(batch).latent_dist
            output = vae.decode(posterior.sample()).sample
        loss = reconstruction_loss(output.float(), batch)
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).sum(dim=(1, 2, 3)).mean()
        optimizer.zero_grad(set_to_none=True)
        (loss + KL_WEIGHT * kl).backward()
        fraction = average(parameters, budget.tick())
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        step += 1
        if step % 50 == 0 and rank == 0:
            print(f"step {step} {budget.spent:.0f} s loss {running:.4f} kl {kl.item():.0f}", flush=True)
        if time.monotonic() - saved > 300 and rank == 0:
            saved = time.monotonic()
            state = {"vae": vae.state_dict(), "optimizer": optimizer.state_dict()}
            save_atomically(state | {"step": step, "spent": budget.spent}, checkpoint)


@torch.no_grad()
def encode_all(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """The posterior means of all pictures, unscaled."""
    return torch.cat([vae.encode(part).latent_dist.mean for part in pictures.split(32)])


@torch.no_grad()
def standardise(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Fold "zero mean, spread LATENT_STD" per channel into the two 1 x 1 convolutions."""
    mean = latents.mean(dim=(0, 2, 3))
    scale = LATENT_STD / latents.std(dim=(0, 2, 3))
    quant, post = vae.quant_conv, vae.post_quant_conv
    channels = len(mean)
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight /= scale[None, :, None, None]
    quant.bias[:channels] = (quant.bias[:channels] - mean) * scale
    quant.weight[:channels] *= scale[:, None, None, None]
    quant.bias[channels:] += 2.0 * scale.log()
    return (latents - mean[None, :, None, None]) * scale[None, :, None, None]


@torch.no_grad()
def report(vae: AutoencoderKL, latents: torch.Tensor, pictures: torch.Tensor, work: Path) -> None:
    """Print the PSNR over all pictures and save a grid of some."""
    squared = torch.zeros(len(pictures))
    kept = []
    for i in range(0, len(pictures), 32):
        output = vae.decode(latents[i : i + 32]).sample.clamp(-1, 1)
        squared[i : i + 32] = ((output - pictures[i : i + 32]) / 2).square().mean(dim=(1, 2, 3))
        kept.append(output[:1])
    psnr = -10 * squared.log10()
    mean_psnr = -10 * squared.mean().log10()
    print(f"PSNR of the mean error {mean_psnr:.2f} dB, mean {psnr.mean():.2f}, worst {psnr.min():.2f}")
    shown = torch.stack([pictures[::32], torch.cat(kept)], dim=1).flatten(0, 1)
    grid(to_uint8(shown), 10).save(work / "vae_grid.png")


def run(args: argparse.Namespace, rank: int) -> None:
    """Train; then the first process measures and writes the result."""
    torch.manual_seed(0)
    pictures = Dataset.load(args.work).tensor()
    vae = build_vae()
    if rank == 0:
        print(f"{sum(p.numel() for p in vae.parameters()):,} weights")
    train(vae, pictures, args, rank)
    if rank:
        return
    vae.eval()
    latents = standardise(vae, encode_all(vae, pictures))
    vae.save_pretrained(args.work / "vae")
    torch.save(latents, args.work / "latents.pt")
    report(vae, latents, pictures, args.work)


def add_options(parser: argparse.ArgumentParser, name: str, minutes: float, lr: float) -> None:
    """The command line of an autoencoder's training run."""
    parser.add_argument("--name", default=name, help="name of the checkpoint")
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--batch", type=int, default=4, help="pictures per process")
    parser.add_argument("--lr", type=float, default=lr)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resume", action="store_true")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work"))
    add_options(parser, "vae", minutes=25.0, lr=1.5e-3)
    args = parser.parse_args()
    launch(run, args)


if __name__ == "__main__":
    main()
