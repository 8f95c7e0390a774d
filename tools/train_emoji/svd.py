"""emoji-svd: Stable Video Diffusion's denoiser and temporal autoencoder on loops made from the stills.

    python svd.py vae --minutes 12            # WORK/svd_vae.ckpt
    python svd.py clips                       # WORK/svd (autoencoder, latents of clips)
    python svd.py train --minutes 25          # WORK/svd.ckpt
    python svd.py export --out emoji-svd

The autoencoder keeps emoji-sdxl's latents and starts from its weights.
"""

from __future__ import annotations

import argparse
import random
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import (
    _resize_with_antialiasing,
)
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from captions import Draw
from clips import FRAMES, Motion
from common import Dataset, mixed_precision
from folder import SDXL, write
from loop import add_options, averaged_weights, train
from ranks import launch
from train_vae import reconstruction_loss

GROUPS = 32  # of every normalisation in these two classes
IMAGE_WIDTH = 48
TIME_ID_WIDTH = 32
DROP = 0.1
LATENT_NOISE = 0.2  # of a spread of 4: the denoiser's latents are not exact
AUGMENTATION = (-3.0, 0.5)  # mean and spread of the logarithm, as SVD was trained
# Of log sigma. Frames are alike, so they take more noise than stills before they are gone.
LOG_SIGMA = (1.0, 1.8)


def _fit(new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """The old weights in the first rows and columns; further inputs start at nothing."""
    if old.ndim == 1:
        new[: len(old)] = old
        return new
    new[:, old.shape[1] :] = 0.0
    new[: old.shape[0], : old.shape[1]] = old
    return new


def _old_name(name: str) -> str:
    """Where emoji-sdxl's autoencoder keeps the weight of this name."""
    return name.replace("spatial_res_block.", "")


@torch.no_grad()
def build_vae(pictures: torch.Tensor) -> AutoencoderKLTemporalDecoder:
    """Start from emoji-sdxl's weights where they have a place, as near to its function as that goes.

    This class divides channels into 32 groups, so it is wider (32 instead of 16) and its norms see other
    groups: their affine parts are fitted to the old norms' outputs on `pictures`, layer by layer. Layers that
    the old one lacks start as identities.
    """
    source = AutoencoderKL.from_pretrained(SDXL / "vae").eval()
    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=2,
        sample_size=128,
        scaling_factor=source.config.scaling_factor,
        force_upcast=False,
    ).eval()
    old = source.state_dict()
    post_weight, post_bias = old["post_quant_conv.weight"][..., 0, 0], old["post_quant_conv.bias"]
    conv_in = old["decoder.conv_in.weight"]
    old["decoder.conv_in.weight"] = torch.einsum("ockl,ci->oikl", conv_in, post_weight)
    old["decoder.conv_in.bias"] = old["decoder.conv_in.bias"] + conv_in.sum(dim=(2, 3)) @ post_bias
    # Where the old one changes width and the new one does not, the shortcut joins the resampling before it.
    for before, block in (
        ("encoder.down_blocks.0.downsamplers.0.conv", "encoder.down_blocks.1.resnets.0"),
        ("decoder.up_blocks.2.upsamplers.0.conv", "decoder.up_blocks.3.resnets.0"),
    ):
        shortcut = old[f"{block}.conv_shortcut.weight"][..., 0, 0]
        bias = old[f"{block}.conv_shortcut.bias"]
        old[f"{before}.weight"] = torch.einsum("oc,cikl->oikl", shortcut, old[f"{before}.weight"])
        old[f"{before}.bias"] = shortcut @ old[f"{before}.bias"] + bias
        old = {name: weight for name, weight in old.items() if not name.startswith(f"{block}.")}
    weights = vae.state_dict()
    for name, new in weights.items():
        if _old_name(name) in old:
            _fit(new, old[_old_name(name)])
        elif name.endswith(("conv2.weight", "conv2.bias")):
            new.zero_()
    last = weights["decoder.time_conv_out.weight"]
    last.zero_()
    last[:, :, 1, 0, 0] = torch.eye(3)
    weights["decoder.time_conv_out.bias"].zero_()
    vae.load_state_dict(weights)
    _fit_norms(vae, source, pictures)
    return vae


def _fit_norms(vae: AutoencoderKLTemporalDecoder, source: AutoencoderKL, pictures: torch.Tensor) -> None:
    """Least squares per channel for each norm that the old autoencoder has too, in the order they run."""
    wanted: dict[str, torch.Tensor] = {}

    def remember(name: str, module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        wanted[name] = output

    def fit(
        name: str, module: nn.GroupNorm, inputs: tuple[torch.Tensor], output: torch.Tensor
    ) -> torch.Tensor:
        target = wanted[name]
        plain = F.group_norm(inputs[0], module.num_groups, eps=module.eps)[:, : target.shape[1]]
        axes = [axis for axis in range(target.ndim) if axis != 1]
        mean, target_mean = plain.mean(axes, keepdim=True), target.mean(axes, keepdim=True)
        slope = ((plain - mean) * (target - target_mean)).mean(axes) / (plain - mean).square().mean(axes)
        count = target.shape[1]
        module.weight[:count] = slope
        module.bias[:count] = target_mean.flatten() - slope * mean.flatten()
        return F.group_norm(inputs[0], module.num_groups, module.weight, module.bias, module.eps)

    old = {name: m for name, m in source.named_modules() if isinstance(m, nn.GroupNorm)}
    hooks = [m.register_forward_hook(partial(remember, name)) for name, m in old.items()]
    for name, module in vae.named_modules():
        if isinstance(module, nn.GroupNorm) and _old_name(name) in old:
            hooks.append(module.register_forward_hook(partial(fit, _old_name(name))))
    latents = source.encode(pictures).latent_dist.mean
    source.decode(latents)
    vae.encode(pictures)
    vae.decode(latents, num_frames=1)
    for hook in hooks:
        hook.remove()


class VaeTask:
    """The encoder learns emoji-sdxl's latents, the decoder the frames of short stretches of clips."""

    stretch = 4

    def __init__(self, work: Path, batch: int) -> None:
        dataset = Dataset.load(work)
        self.pictures, self.draw, self.batch = dataset.tensor(), Draw(dataset), batch
        self.source = AutoencoderKL.from_pretrained(SDXL / "vae").eval()

    def _loss(self, vae: AutoencoderKLTemporalDecoder, frames: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            latents = self.source.encode(frames).latent_dist.mean
            noisy = latents + LATENT_NOISE * torch.rand(()) * torch.randn_like(latents)
        with mixed_precision():
            shown = frames[:: self.stretch]
            found = vae.encode(shown).latent_dist.mode()
            output = vae.decode(noisy, num_frames=self.stretch).sample
        latent_error = F.mse_loss(found.float(), latents[:: self.stretch])
        return reconstruction_loss(output.float(), frames) + 0.1 * latent_error

    def train_loss(self, vae: AutoencoderKLTemporalDecoder, rng: random.Random) -> torch.Tensor:
        """On fresh clips, with any of the motions; the first frame of each is seen by the encoder too."""
        chosen, _ = self.draw(self.batch, rng)
        motions = np.random.default_rng(rng.getrandbits(32))
        parts = [Motion.draw(motions).frames(self.pictures[i], FRAMES)[-self.stretch :] for i in chosen]
        return self._loss(vae, torch.cat(parts))

    @torch.no_grad()
    def fixed_loss(self, vae: AutoencoderKLTemporalDecoder) -> float:
        """On sixteen still pictures."""
        frames = self.pictures[::90].repeat_interleave(self.stretch, dim=0)
        return float(np.mean([self._loss(vae, part).item() for part in frames.split(self.stretch)]))


def run_vae(args: argparse.Namespace, rank: int) -> None:
    """Build the same autoencoder in every process and train it."""
    torch.manual_seed(0)
    task = VaeTask(args.work, args.batch)
    vae = build_vae(task.pictures[::40])
    if rank == 0:
        print(f"{sum(p.numel() for p in vae.parameters()):,} weights", flush=True)
        print(f"start: {task.fixed_loss(vae):.4f}", flush=True)
    train(task, vae, args, rank)


@torch.no_grad()
def make_clips(args: argparse.Namespace) -> None:
    """Write WORK/svd/vae and the latents of `--count` clips with what they are conditioned on."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dataset = Dataset.load(args.work)
    pictures = dataset.tensor()
    vae = build_vae(pictures[::40])
    averaged_weights(vae, torch.load(args.work / "svd_vae.ckpt"))
    vae.eval().save_pretrained(args.work / "svd" / "vae")
    source = AutoencoderKL.from_pretrained(SDXL / "vae").eval()
    rng = np.random.default_rng(0)
    chosen, _ = Draw(dataset)(args.count, random.Random(0))
    latents, images, ids = [], [], []
    for done, index in enumerate(chosen.tolist()):
        motion = Motion.draw(rng)
        frames = motion.frames(pictures[index])
        augmentation = float(np.exp(rng.normal(*AUGMENTATION)))
        noisy = frames[:1] + augmentation * torch.randn_like(frames[:1])
        latents.append(source.encode(frames).latent_dist.mean * vae.config.scaling_factor)
        images.append(vae.encode(noisy).latent_dist.mode()[0])
        ids.append([motion.fps - 1, motion.bucket, augmentation])
        if done % 100 == 99:
            print(f"{done + 1} of {args.count}", flush=True)
    made = {"chosen": chosen, "latents": torch.stack(latents), "images": torch.stack(images)}
    torch.save(made | {"ids": torch.tensor(ids)}, args.work / "svd" / "clips.pt")


class Denoiser(nn.Module):
    """Noisy clips with their picture to EDM's v."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=IMAGE_WIDTH,
                intermediate_size=4 * IMAGE_WIDTH,
                projection_dim=IMAGE_WIDTH,
                num_hidden_layers=2,
                num_attention_heads=3,
                image_size=224,  # what the pipeline resizes to
                patch_size=32,
                hidden_act="gelu",
            )
        )
        self.unet = UNetSpatioTemporalConditionModel(
            sample_size=16,
            block_out_channels=(32, 64, 32, 32),
            layers_per_block=1,
            num_attention_heads=(2, 4, 2, 2),
            cross_attention_dim=IMAGE_WIDTH,
            addition_time_embed_dim=TIME_ID_WIDTH,
            projection_class_embeddings_input_dim=3 * TIME_ID_WIDTH,
            num_frames=FRAMES,
        )
        nn.init.zeros_(self.unet.conv_out.weight)

    def forward(
        self,
        noisy: torch.Tensor,
        log_sigma: torch.Tensor,
        stills: torch.Tensor,
        images: torch.Tensor,
        ids: torch.Tensor,
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """`noisy`: clips x frames x 4 x 16 x 16, to unit spread; `keep`: 0 where the picture is dropped."""
        embedded = self.image_encoder(stills).image_embeds[:, None] * keep[:, None, None]
        images = (images * keep[:, None, None, None])[:, None].expand(-1, noisy.shape[1], -1, -1, -1)
        return self.unet(torch.cat([noisy, images], dim=2), 0.25 * log_sigma, embedded, ids).sample


class Task:
    """EDM's v on log-normal noise levels."""

    def __init__(self, work: Path, batch: int) -> None:
        made = torch.load(work / "svd" / "clips.pt")
        self.latents, self.images, self.ids = made["latents"], made["images"], made["ids"]
        self.stills = Dataset.load(work).tensor()[made["chosen"]]
        self.batch = batch
        processor = CLIPImageProcessor()
        self.mean = torch.tensor(processor.image_mean)[:, None, None]
        self.std = torch.tensor(processor.image_std)[:, None, None]

    def _loss(
        self,
        model: Denoiser,
        chosen: torch.Tensor,
        noise: torch.Tensor,
        places: torch.Tensor,
        keep: torch.Tensor,
    ) -> torch.Tensor:
        clean = self.latents[chosen]
        log_sigma = LOG_SIGMA[0] + LOG_SIGMA[1] * torch.special.ndtri(places.clamp(1e-4, 1 - 1e-4))
        sigma = log_sigma.exp()[:, None, None, None, None]
        size = (sigma.square() + 1.0).sqrt()
        noisy = clean + sigma * noise
        stills = (_resize_with_antialiasing(self.stills[chosen], (224, 224)) + 1.0) / 2.0
        with mixed_precision():
            stills = (stills - self.mean) / self.std
            v = model(noisy / size, log_sigma, stills, self.images[chosen], self.ids[chosen], keep)
        return F.mse_loss(v.float(), (noisy / size.square() - clean) * size / sigma)

    def train_loss(self, model: Denoiser, rng: random.Random) -> torch.Tensor:
        """On a fresh batch; noise levels are spread evenly over it."""
        chosen = torch.randint(len(self.latents), (self.batch,))
        places = (torch.arange(self.batch) + torch.rand(self.batch)) / self.batch
        keep = (torch.rand(self.batch) >= DROP).float()
        return self._loss(model, chosen, torch.randn_like(self.latents[chosen]), places, keep)

    @torch.no_grad()
    def fixed_loss(self, model: Denoiser, count: int = 32) -> float:
        """The same loss on fixed clips and noise, to compare runs."""
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(count, *self.latents.shape[1:], generator=generator)
        places = (torch.arange(count) + 0.5) / count
        return self._loss(model, torch.arange(count), noise, places, torch.ones(count)).item()


def build_scheduler() -> EulerDiscreteScheduler:
    """The scheduler of Stable Video Diffusion."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        interpolation_type="linear",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        timestep_spacing="leading",
        timestep_type="continuous",
        steps_offset=1,
    )


def run(args: argparse.Namespace, rank: int) -> None:
    """Build the same model in every process and train it."""
    torch.manual_seed(0)
    task = Task(args.work, args.batch)
    model = Denoiser()
    if rank == 0:
        print(f"denoiser {sum(p.numel() for p in model.unet.parameters()):,} weights", flush=True)
    train(task, model, args, rank)


def export(args: argparse.Namespace) -> None:
    """The diffusers folder, from the averaged weights."""
    model = Denoiser()
    averaged_weights(model, torch.load(args.work / f"{args.name}.ckpt"))
    pipeline = StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder.from_pretrained(args.work / "svd" / "vae"),
        image_encoder=model.image_encoder.eval(),
        unet=model.unet.eval(),
        scheduler=build_scheduler(),
        feature_extractor=CLIPImageProcessor(),
    )
    shutil.rmtree(args.out, ignore_errors=True)
    write(pipeline, args.out, {})


def main() -> None:
    """Command line."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    commands = parser.add_subparsers(dest="command", required=True)
    autoencoder = commands.add_parser("vae")
    add_options(autoencoder, "svd_vae", minutes=12.0, batch=1)
    autoencoder.set_defaults(optimizer="adamw")
    making = commands.add_parser("clips")
    making.add_argument("--count", type=int, default=1200)
    training = commands.add_parser("train")
    add_options(training, "svd", minutes=25.0, batch=4)
    exporting = commands.add_parser("export")
    exporting.add_argument("--name", default="svd", help="name of the checkpoint")
    exporting.add_argument("--out", type=Path, required=True)
    for command in (autoencoder, making, training, exporting):
        command.add_argument("--work", type=Path, default=Path("work"))
    args = parser.parse_args()
    if args.command in ("clips", "export"):
        (make_clips if args.command == "clips" else export)(args)
    else:
        launch(run_vae if args.command == "vae" else run, args)


if __name__ == "__main__":
    main()
