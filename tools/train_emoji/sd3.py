"""emoji-sd3: Stable Diffusion 3's transformer without T5, on a 16-channel autoencoder.

    python sd3.py vae --minutes 5            # WORK/sd3 (autoencoder, scaled latents)
    python sd3.py train --minutes 30          # WORK/sd3.ckpt
    python sd3.py export --out emoji-sd3

The autoencoder and both text encoders start from those of emoji-sdxl.
"""

from __future__ import annotations

import argparse
import math
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from diffusers.models.attention_processor import Attention
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

import train_vae
import growth
from captions import Draw
from common import Dataset
from folder import SDXL, write
from loop import add_options, train
from models import TokenRows, load_tokenizers
from ranks import launch
from tasks import LatentTask

DEPTH = 24
CHANNELS = 16
HEADS, HEAD_DIM = 7, 8
JOINT_DIM = 192  # the two CLIP widths together are 160; the rest is padding
T5_LENGTH = 256  # tokens of zeros that the pipeline appends for the absent T5
SHIFT = 3.0
# Logit-normal noise levels: the median a little on the noisy side, towards where sampling spends its steps.
LOGIT_MEAN, LOGIT_STD = 0.5, 1.2


def build_vae() -> AutoencoderKL:
    """emoji-sdxl's autoencoder with 16 channels, its 1 x 1 convolutions folded: the same but for borders."""
    source = AutoencoderKL.from_pretrained(SDXL / "vae")
    known = source.config.latent_channels
    config = dict(source.config) | {
        "latent_channels": CHANNELS,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "scaling_factor": 1.0,
        "shift_factor": 0.0,
    }
    vae = AutoencoderKL.from_config(config)
    weights = source.state_dict()
    with torch.no_grad():
        quant, post = weights["quant_conv.weight"][..., 0, 0], weights["post_quant_conv.weight"][..., 0, 0]
        out = vae.encoder.conv_out
        rows = [*range(known), *range(CHANNELS, CHANNELS + known)]
        out_weight, out_bias = out.weight.clone(), torch.zeros_like(out.bias)
        out_weight[:CHANNELS] = 0.0
        out_weight[rows] = torch.einsum("oc,cikl->oikl", quant, weights["encoder.conv_out.weight"])
        out_bias[rows] = quant @ weights["encoder.conv_out.bias"] + weights["quant_conv.bias"]
        into = vae.decoder.conv_in
        in_weight = 0.05 * into.weight
        old = weights["decoder.conv_in.weight"]
        in_weight[:, :known] = torch.einsum("ockl,ci->oikl", old, post)
        in_bias = weights["decoder.conv_in.bias"] + old.sum(dim=(2, 3)) @ weights["post_quant_conv.bias"]
    weights |= {
        "encoder.conv_out.weight": out_weight,
        "encoder.conv_out.bias": out_bias,
        "decoder.conv_in.weight": in_weight,
        "decoder.conv_in.bias": in_bias,
    }
    vae.load_state_dict({key: w for key, w in weights.items() if "quant_conv" not in key})
    return vae


def run_vae(args: argparse.Namespace, rank: int) -> None:
    """Train; then the first process writes the autoencoder and the scaled latents."""
    torch.manual_seed(0)
    pictures = Dataset.load(args.work).tensor()
    vae = build_vae()
    if rank == 0:
        print(f"{sum(p.numel() for p in vae.parameters()):,} weights")
    drawn = Draw(Dataset.load(args.work), args.focus).weights
    train_vae.train(vae, pictures[drawn > 0.5 * drawn.max()], args, rank)
    if rank:
        return
    vae.eval()
    latents = train_vae.encode_all(vae, pictures)
    shift, scale = round(latents.mean().item(), 4), round(1.0 / latents.std().item(), 4)
    vae.register_to_config(shift_factor=shift, scaling_factor=scale)
    print(f"shift {shift}, scale {scale}, spread by channel {latents.std(dim=(0, 2, 3)).tolist()}")
    folder = args.work / "sd3"
    vae.save_pretrained(folder / "vae")
    torch.save((latents - shift) * scale, folder / "latents.pt")
    train_vae.report(vae, latents, pictures, folder)


class OneForManyZeros:
    """Joint attention whose last text token stands for T5_LENGTH equal ones.

    The zeros of the absent T5 carry no position, so they stay equal through all blocks; together they weigh
    as one token with the logarithm of their number added to its scores.
    """

    def __call__(
        self, attn: Attention, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, **_: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures' and texts' tokens, as in diffusers."""
        image, text = hidden_states, encoder_hidden_states
        query = torch.cat([attn.to_q(image), attn.add_q_proj(text)], dim=1)
        key = torch.cat([attn.to_k(image), attn.add_k_proj(text)], dim=1)
        value = torch.cat([attn.to_v(image), attn.add_v_proj(text)], dim=1)
        heads = [x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (query, key, value)]
        bias = torch.zeros(1, query.shape[1])
        bias[0, -1] = math.log(T5_LENGTH)
        mixed = F.scaled_dot_product_attention(*heads, attn_mask=bias.expand(query.shape[1], -1))
        mixed = mixed.transpose(1, 2).flatten(2)
        image, text = mixed.split([image.shape[1], text.shape[1]], dim=1)
        return attn.to_out[0](image), text if attn.context_pre_only else attn.to_add_out(text)


class Denoiser(nn.Module):
    """Noisy latents, timesteps and two rows of token ids per caption to the flow's velocity."""

    def __init__(self, blocks: int = DEPTH) -> None:
        super().__init__()
        config = CLIPTextConfig.from_pretrained(SDXL / "text_encoder")
        self.text_encoder = CLIPTextModelWithProjection.from_pretrained(
            SDXL / "text_encoder", config=config, dtype=torch.float32
        )
        nn.init.eye_(self.text_encoder.text_projection.weight)  # SDXL's first encoder has none
        self.text_encoder_2 = CLIPTextModelWithProjection.from_pretrained(
            SDXL / "text_encoder_2", dtype=torch.float32
        )
        pooled = config.hidden_size + self.text_encoder_2.config.projection_dim
        self.transformer = SD3Transformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=CHANNELS,
            num_layers=blocks,
            attention_head_dim=HEAD_DIM,
            num_attention_heads=HEADS,
            joint_attention_dim=JOINT_DIM,
            caption_projection_dim=HEADS * HEAD_DIM,
            pooled_projection_dim=pooled,
            out_channels=CHANNELS,
            pos_embed_max_size=16,
        )
        nn.init.zeros_(self.transformer.proj_out.weight)
        for block in self.transformer.transformer_blocks:
            for norm in (block.norm1, block.norm1_context):
                nn.init.zeros_(norm.linear.weight)

    def forward(self, noisy: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """`ids`: batch x 2 x length. With `OneForManyZeros` only: one zero token is appended."""
        first = self.text_encoder(ids[:, 0], output_hidden_states=True)
        second = self.text_encoder_2(ids[:, 1], output_hidden_states=True)
        text = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        text = F.pad(text, (0, JOINT_DIM - text.shape[-1], 0, 1))
        pooled = torch.cat([first.text_embeds, second.text_embeds], dim=-1)
        return self.transformer(noisy, text, pooled, timesteps).sample


class Task(LatentTask[Denoiser]):
    """Flow matching; a dropped caption is the empty one, as the pipeline's negative prompt."""

    def __init__(self, work: Path, batch: int, focus: float) -> None:
        super().__init__(Draw(Dataset.load(work), focus), torch.load(work / "sd3" / "latents.pt"), batch)
        spread = self.latents.std(dim=(0, 2, 3))
        self.channels = (spread / spread.mean()).clamp(min=0.05)[:, None, None]
        self.rows = TokenRows(SDXL)

    def loss(
        self,
        model: Denoiser,
        clean: torch.Tensor,
        captions: list[str],
        noise: torch.Tensor,
        places: torch.Tensor,
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """Squared error of the velocity at logit-normal noise levels; idle channels count less."""
        texts = [text if kept else "" for text, kept in zip(captions, keep.tolist(), strict=True)]
        normal = torch.special.ndtri(places.clamp(1e-4, 1 - 1e-4))
        sigma = torch.sigmoid(LOGIT_MEAN + LOGIT_STD * normal)
        mixed = torch.lerp(clean, noise, sigma[:, None, None, None])
        velocity = model(mixed, 1000.0 * sigma, self.rows(texts))
        return (self.channels * (velocity - (noise - clean)).square()).mean()


def run(args: argparse.Namespace, rank: int) -> None:
    """Build the same model in every process and train it."""
    torch.manual_seed(0)
    task = Task(args.work, args.batch, args.focus)
    model = Denoiser(args.blocks)
    if args.grow:
        model = growth.load(Denoiser, torch.load(args.work / f"{args.grow}.ckpt"), args.blocks)
    model.transformer.set_attn_processor(OneForManyZeros())
    if rank == 0:
        print(f"transformer {sum(p.numel() for p in model.transformer.parameters()):,} weights", flush=True)
    train(task, model, args, rank, {"blocks": args.blocks})


def export(args: argparse.Namespace) -> None:
    """The diffusers folder, from the averaged weights."""
    model = growth.load(Denoiser, torch.load(args.work / f"{args.name}.ckpt"), DEPTH)
    tokenizer, tokenizer_2 = load_tokenizers(SDXL)
    pipeline = StableDiffusion3Pipeline(
        transformer=model.transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=SHIFT),
        vae=AutoencoderKL.from_pretrained(args.work / "sd3" / "vae"),
        text_encoder=model.text_encoder.eval(),
        tokenizer=tokenizer,
        text_encoder_2=model.text_encoder_2.eval(),
        tokenizer_2=tokenizer_2,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    shutil.rmtree(args.out, ignore_errors=True)
    write(pipeline, args.out, {name: SDXL / name for name in ("tokenizer", "tokenizer_2")})


def main() -> None:
    """Command line."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    commands = parser.add_subparsers(dest="command", required=True)
    autoencoder = commands.add_parser("vae")
    train_vae.add_options(autoencoder, "sd3_vae", minutes=12.0, lr=1e-3)
    training = commands.add_parser("train")
    add_options(training, "sd3", minutes=30.0, batch=24)
    growth.add_options(training, DEPTH)
    for command in (autoencoder, training):
        command.add_argument("--focus", type=float, default=math.inf, help="how often familiar things are drawn")
    exporting = commands.add_parser("export")
    exporting.add_argument("--name", default="sd3", help="name of the checkpoint")
    exporting.add_argument("--out", type=Path, required=True)
    for command in (autoencoder, training, exporting):
        command.add_argument("--work", type=Path, default=Path("work"))
    args = parser.parse_args()
    if args.command == "export":
        export(args)
    else:
        launch(run_vae if args.command == "vae" else run, args)


if __name__ == "__main__":
    main()
