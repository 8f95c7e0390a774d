"""emoji-svd: Stable Video Diffusion's denoiser and temporal autoencoder on loops made from the stills.

    python svd.py fit                         # WORK/svd/fitted_vae
    python svd.py clips                       # WORK/svd/clips.pt
    python svd.py train --wide --minutes 66 --name svd_wide
    python svd.py train --narrow svd_wide --minutes 22          # WORK/svd.ckpt
    python svd.py export --out emoji-svd

The autoencoder keeps emoji-sdxl's latents and is fitted to its weights. (To train its decoder further made it worse.)
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
from diffusers.models.resnet import ResnetBlock2D
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

ROWS = 12_000  # pixels that a convolution is fitted to
IMAGE_WIDTH = 48
# The least that this class has, which divides channels into 32 groups, but at half the resolution. Attention is
# where a wide model missed it most when it was left out.
WIDTHS, DOWN_ATTENTION, UP_ATTENTION = (32, 64, 32, 32), (), (2,)
# Learns faster, and is too large to be bundled.
WIDE, WIDE_DOWN_ATTENTION, WIDE_UP_ATTENTION = (32, 64, 64, 64), (1, 2, 3), (0, 1, 2)
TIME_ID_WIDTH = 32
DROP = 0.1
AUGMENTATION = (-3.0, 0.5)  # mean and spread of the logarithm, as SVD was trained
# Of log sigma. Frames are alike, so they take more noise than stills before they are gone.
LOG_SIGMA = (1.3, 1.8)


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
    """Start from emoji-sdxl's weights, as near to its function as that goes.

    This class divides channels into 32 groups, so its outermost level is wider (64 instead of 16, the same
    two to a group) and its inner norms see other groups: norms and convolutions are fitted to the old ones'
    outputs on `pictures`, layer by layer. Layers that the old one lacks start as identities.
    """
    source = AutoencoderKL.from_pretrained(SDXL / "vae").eval()
    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(64, 32, 64, 64),
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
    _fit_layers(vae, source, pictures)
    return vae


def _fit_norm(module: nn.GroupNorm, x: torch.Tensor, target: torch.Tensor) -> None:
    """Least squares per channel."""
    count = target.shape[1]
    plain = F.group_norm(x, module.num_groups, eps=module.eps)[:, :count]
    axes = [axis for axis in range(target.ndim) if axis != 1]
    mean, target_mean = plain.mean(axes, keepdim=True), target.mean(axes, keepdim=True)
    slope = ((plain - mean) * (target - target_mean)).mean(axes) / (plain - mean).square().mean(axes)
    module.weight[:count] = slope
    module.bias[:count] = target_mean.flatten() - slope * mean.flatten()


def _fit_conv(module: nn.Conv2d, x: torch.Tensor, target: torch.Tensor) -> None:
    """Ridge regression from patches, towards the present weights."""
    count = target.shape[1]
    patches = F.unfold(x, module.kernel_size, padding=module.padding, stride=module.stride)
    patches, wanted = patches.mT.flatten(0, 1), target.flatten(2).mT.flatten(0, 1)
    rows = torch.randperm(len(patches))[:ROWS]
    patches, wanted = F.pad(patches[rows], (0, 1), value=1.0).double(), wanted[rows].double()
    present = torch.cat([module.weight.flatten(1), module.bias[:, None]], dim=1)[:count].double()
    gram = patches.mT @ patches
    ridge = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    found = present + torch.linalg.solve(gram + ridge, patches.mT @ (wanted - patches @ present.mT)).mT
    module.weight[:count] = found[:, :-1].float().view_as(module.weight[:count])
    module.bias[:count] = found[:, -1].float()


def _fit_layers(vae: AutoencoderKLTemporalDecoder, source: AutoencoderKL, pictures: torch.Tensor) -> None:
    """Fit each norm and convolution that the old autoencoder has too, in the order they run.

    A residual block's last convolution also makes up for what its input lacks.
    """
    wanted: dict[str, torch.Tensor] = {}
    past: dict[str, torch.Tensor] = {}

    def remember(name: str, module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        wanted[name] = output

    def enter(name: str, module: ResnetBlock2D, inputs: tuple[torch.Tensor]) -> None:
        past[name] = inputs[0] if module.conv_shortcut is None else module.conv_shortcut(inputs[0])

    def fit(name: str, module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        block, _, last = name.rpartition(".")
        if isinstance(module, nn.GroupNorm):
            _fit_norm(module, inputs[0], wanted[name])
        elif last == "conv2":
            _fit_conv(module, inputs[0], wanted[block] - past[block][:, : wanted[block].shape[1]])
        else:
            _fit_conv(module, inputs[0], wanted[name])
        return module.forward(inputs[0])

    kinds = (nn.GroupNorm, nn.Conv2d, ResnetBlock2D)
    old = {name: m for name, m in source.named_modules() if isinstance(m, kinds)}
    hooks = [m.register_forward_hook(partial(remember, name)) for name, m in old.items()]
    for name, module in vae.named_modules():
        known = _old_name(name).removesuffix(".spatial_res_block")
        if known not in old or known.endswith(("conv_shortcut", "quant_conv")):
            continue
        if isinstance(module, ResnetBlock2D):
            hooks.append(module.register_forward_pre_hook(partial(enter, known)))
        elif isinstance(module, kinds):
            hooks.append(module.register_forward_hook(partial(fit, known)))
    latents = source.encode(pictures).latent_dist.mean
    source.decode(latents)
    vae.encode(pictures)
    vae.decode(latents, num_frames=1)
    for hook in hooks:
        hook.remove()


def fit_vae(args: argparse.Namespace) -> None:
    """Write WORK/svd/fitted_vae."""
    torch.set_num_threads(1)  # processes are forked later
    torch.manual_seed(0)
    build_vae(Dataset.load(args.work).tensor()[::60]).save_pretrained(args.work / "svd" / "fitted_vae")


@torch.no_grad()
def make_clips(args: argparse.Namespace) -> None:
    """Write the latents of `--count` clips with what they are conditioned on."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dataset = Dataset.load(args.work)
    pictures = dataset.tensor()
    vae = AutoencoderKLTemporalDecoder.from_pretrained(args.work / "svd" / "fitted_vae").eval()
    source = AutoencoderKL.from_pretrained(SDXL / "vae").eval()
    rng = np.random.default_rng(0)
    chosen, _ = Draw(dataset, args.focus)(args.count, random.Random(0))
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


def _kinds(name: str, attention: tuple[int, ...]) -> tuple[str, ...]:
    """The classes of four blocks, with attention in some."""
    return tuple(f"CrossAttn{name}" if block in attention else name for block in range(4))


class Denoiser(nn.Module):
    """Noisy clips with their picture to EDM's v."""

    def __init__(self, wide: bool = False) -> None:
        super().__init__()
        down, up = (WIDE_DOWN_ATTENTION, WIDE_UP_ATTENTION) if wide else (DOWN_ATTENTION, UP_ATTENTION)
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
            block_out_channels=WIDE if wide else WIDTHS,
            down_block_types=_kinds("DownBlockSpatioTemporal", down),
            up_block_types=_kinds("UpBlockSpatioTemporal", up),
            layers_per_block=1,
            num_attention_heads=2,
            cross_attention_dim=IMAGE_WIDTH,
            addition_time_embed_dim=TIME_ID_WIDTH,
            projection_class_embeddings_input_dim=3 * TIME_ID_WIDTH,
            num_frames=FRAMES,
        )

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
        predicted, target = self.predict(model, chosen, noise, places, keep)
        return F.mse_loss(predicted, target)

    def predict(
        self,
        model: Denoiser,
        chosen: torch.Tensor,
        noise: torch.Tensor,
        places: torch.Tensor,
        keep: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The model's v and the true one."""
        clean = self.latents[chosen]
        log_sigma = LOG_SIGMA[0] + LOG_SIGMA[1] * torch.special.ndtri(places.clamp(1e-4, 1 - 1e-4))
        sigma = log_sigma.exp()[:, None, None, None, None]
        size = (sigma.square() + 1.0).sqrt()
        noisy = clean + sigma * noise
        stills = (_resize_with_antialiasing(self.stills[chosen], (224, 224)) + 1.0) / 2.0
        with mixed_precision():
            stills = (stills - self.mean) / self.std
            v = model(noisy / size, log_sigma, stills, self.images[chosen], self.ids[chosen], keep)
        return v.float(), (noisy / size.square() - clean) * size / sigma

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


@torch.no_grad()
def fit_output(task: Task, model: Denoiser, batches: int = 24, size: int = 3) -> None:
    """Start from the last convolution that is best for the random features before it."""
    seen: list[torch.Tensor] = []
    hook = model.unet.conv_out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    width = model.unet.conv_out.in_channels * 9 + 1
    gram, moment = torch.zeros(width, width), torch.zeros(width, 4)
    for _ in range(batches):
        chosen = torch.randint(len(task.latents), (size,))
        places = (torch.randperm(size) + torch.rand(size)) / size
        noise = torch.randn_like(task.latents[chosen])
        _, target = task.predict(model, chosen, noise, places, torch.ones(size))
        patches = F.unfold(seen.pop(), 3, padding=1).mT.flatten(0, 1)
        patches = F.pad(patches, (0, 1), value=1.0)
        gram += patches.mT @ patches
        moment += patches.mT @ target.flatten(0, 1).flatten(2).mT.flatten(0, 1)
    hook.remove()
    gram += 1e-4 * gram.diagonal().mean() * torch.eye(width)
    found = torch.linalg.solve(gram, moment).mT
    model.unet.conv_out.weight.copy_(found[:, :-1].view_as(model.unet.conv_out.weight))
    model.unet.conv_out.bias.copy_(found[:, -1])


@torch.no_grad()
def narrow(model: Denoiser, state: dict[str, object]) -> None:
    """Start from a wide run's averaged weights: of each dimension that is too long every second channel.

    A group of a wide norm has two channels, of which one stays.
    """
    wide = Denoiser(wide=True)
    averaged_weights(wide, state)
    source = wide.state_dict()
    for name, weight in model.state_dict().items():
        if name not in source:  # a shortcut that the wide model had no need of
            weight.zero_()
            if weight.ndim > 1:
                weight[:, ::2, 0, 0] = torch.eye(len(weight))
            continue
        found = source[name]
        for axis, (long, short) in enumerate(zip(found.shape, weight.shape, strict=True)):
            if long == short:
                continue
            left_out = long - short  # of the wide streams; a narrow one beside them comes last
            kept = torch.cat([2 * torch.arange(left_out), torch.arange(2 * left_out, long)])
            found = found.index_select(axis, kept)
            if axis == 1:
                found = found * (long / short) ** 0.5  # as many terms are missing from the sum
        weight.copy_(found)


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
    model = Denoiser(args.wide)
    if rank == 0:
        print(f"denoiser {sum(p.numel() for p in model.unet.parameters()):,} weights", flush=True)
    if args.narrow:
        narrow(model, torch.load(args.work / f"{args.narrow}.ckpt"))
    elif not args.resume:
        fit_output(task, model)
    train(task, model, args, rank)


def export(args: argparse.Namespace) -> None:
    """The diffusers folder, from the averaged weights."""
    model = Denoiser()
    averaged_weights(model, torch.load(args.work / f"{args.name}.ckpt"))
    vae = AutoencoderKLTemporalDecoder.from_pretrained(args.work / "svd" / "fitted_vae")
    pipeline = StableVideoDiffusionPipeline(
        vae=vae.eval(),
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
    fitting = commands.add_parser("fit")
    making = commands.add_parser("clips")
    making.add_argument("--count", type=int, default=3000)
    making.add_argument("--focus", type=float, default=3.0, help="how often familiar things are drawn")
    training = commands.add_parser("train")
    add_options(training, "svd", minutes=22.0, batch=4)
    training.add_argument("--wide", action="store_true", help="with more channels and attention")
    training.add_argument("--narrow", help="name of a wide run's checkpoint to start from")
    exporting = commands.add_parser("export")
    exporting.add_argument("--name", default="svd", help="name of the checkpoint")
    exporting.add_argument("--out", type=Path, required=True)
    for command in (fitting, making, training, exporting):
        command.add_argument("--work", type=Path, default=Path("work"))
    args = parser.parse_args()
    alone = {"fit": fit_vae, "clips": make_clips, "export": export}
    if args.command in alone:
        alone[args.command](args)
    else:
        launch(run, args)


if __name__ == "__main__":
    main()
