"""emoji-pixart: PixArt-alpha's transformer and a small T5, trained together on emoji-sdxl's latents.

    python pixart.py train --minutes 35       # WORK/pixart (tokenizer, latents), WORK/pixart.ckpt
    python pixart.py export --out emoji-pixart
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
from functools import partial
from pathlib import Path

import sentencepiece
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
)
from torch import nn
from transformers import T5Config, T5EncoderModel, T5Tokenizer

import growth
from captions import Draw
from common import Dataset
from folder import SDXL, write
from loop import add_options, train
from ranks import launch
from tasks import LatentTask, noised
from train_vae import encode_all

PIECES = 1000
DEPTH = 28
MAX_LENGTH = 120  # what the pipeline pads to
TEXT_LENGTH = 12  # what training pads to
TEXT_WIDTH = 64
HEADS = 6


def train_tokenizer(corpus: list[str], folder: Path) -> None:
    """A Unigram model with T5's ids, as `spiece.model` and as transformers' files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "spiece.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus),
            model_writer=file,
            vocab_size=PIECES,
            model_type="unigram",
            character_coverage=1.0,
            normalization_rule_name="identity",  # T5's table of characters would be nine tenths of the file
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            pad_piece="<pad>",
            minloglevel=2,
        )
    T5Tokenizer.from_pretrained(folder, model_max_length=MAX_LENGTH).save_pretrained(folder)


class Denoiser(nn.Module):
    """Noisy latents, timesteps, token ids and their mask to predicted v."""

    def __init__(self, vocab_size: int, blocks: int = DEPTH) -> None:
        super().__init__()
        self.text_encoder = T5EncoderModel(
            T5Config(
                vocab_size=vocab_size,
                d_model=TEXT_WIDTH,
                d_kv=16,
                d_ff=160,
                num_layers=3,
                num_heads=4,
                feed_forward_proj="gated-gelu",
                dropout_rate=0.0,
                is_encoder_decoder=False,
                use_cache=False,
            )
        )
        self.transformer = PixArtTransformer2DModel(
            num_attention_heads=HEADS,
            attention_head_dim=16,
            in_channels=4,
            out_channels=8,
            num_layers=blocks,
            cross_attention_dim=16 * HEADS,
            sample_size=16,
            patch_size=2,
            caption_channels=TEXT_WIDTH,
            use_additional_conditions=False,
        )
        # As PixArt starts: no prediction, and no text until it helps.
        nn.init.zeros_(self.transformer.proj_out.weight)
        for block in self.transformer.transformer_blocks:
            nn.init.zeros_(block.attn2.to_out[0].weight)

    def forward(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The first half of the output; the learned variance stays unused, as in diffusers."""
        text = self.text_encoder(ids, attention_mask=mask).last_hidden_state
        both = self.transformer(noisy, text, timesteps, encoder_attention_mask=mask).sample
        return both.chunk(2, dim=1)[0]


class Task(LatentTask[Denoiser]):
    """Prediction of v; a dropped caption is the empty one, as the pipeline's negative prompt."""

    def __init__(self, work: Path, batch: int, focus: float) -> None:
        super().__init__(Draw(Dataset.load(work), focus), torch.load(work / "pixart" / "latents.pt"), batch)
        self.alphas = build_scheduler().alphas_cumprod
        self.tokenizer = T5Tokenizer.from_pretrained(work / "pixart" / "tokenizer")

    def loss(
        self,
        model: Denoiser,
        clean: torch.Tensor,
        captions: list[str],
        noise: torch.Tensor,
        places: torch.Tensor,
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """Squared error. Captions are padded to TEXT_LENGTH only: what is masked does not change the result."""
        timesteps, alpha, noisy = noised(self.alphas, clean, noise, places)
        wanted = alpha.sqrt() * noise - (1.0 - alpha).sqrt() * clean
        texts = [text if kept else "" for text, kept in zip(captions, keep.tolist(), strict=True)]
        tokens = self.tokenizer(
            texts, padding="max_length", max_length=TEXT_LENGTH, truncation=True, return_tensors="pt"
        )
        predicted = model(noisy, timesteps, tokens.input_ids, tokens.attention_mask)
        return (predicted - wanted).square().mean()


def build_scheduler() -> DPMSolverMultistepScheduler:
    """The scheduler of PixArt-alpha, but for what the denoiser predicts."""
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=0.0001,
        beta_end=0.02,
        beta_schedule="linear",
        solver_order=2,
        prediction_type="v_prediction",
        algorithm_type="dpmsolver++",
        solver_type="midpoint",
        lower_order_final=True,
    )


def prepare(work: Path) -> None:
    """Write WORK/pixart/tokenizer and WORK/pixart/latents.pt (scaled)."""
    dataset = Dataset.load(work)
    train_tokenizer(Draw(dataset).book.corpus(), work / "pixart" / "tokenizer")
    vae = AutoencoderKL.from_pretrained(SDXL / "vae")
    latents = encode_all(vae, dataset.tensor()) * vae.config.scaling_factor
    torch.save(latents, work / "pixart" / "latents.pt")


def run(args: argparse.Namespace, rank: int) -> None:
    """Build the same model in every process and train it."""
    torch.manual_seed(0)
    random.seed(0)
    task = Task(args.work, args.batch, args.focus)
    vocab_size = len(task.tokenizer)
    build = partial(Denoiser, vocab_size)
    model = build(args.blocks)
    if args.grow:
        model = growth.load(build, torch.load(args.work / f"{args.grow}.ckpt"), args.blocks)
    if rank == 0:
        print(f"transformer {sum(p.numel() for p in model.transformer.parameters()):,} weights")
        print(f"text encoder {sum(p.numel() for p in model.text_encoder.parameters()):,}", flush=True)
    train(task, model, args, rank, {"vocab_size": vocab_size, "blocks": args.blocks})


def export(args: argparse.Namespace) -> None:
    """The diffusers folder, from the averaged weights."""
    state = torch.load(args.work / f"{args.name}.ckpt")
    model = growth.load(partial(Denoiser, state["vocab_size"]), state, DEPTH)
    tokenizer = args.work / "pixart" / "tokenizer"
    pipeline = PixArtAlphaPipeline(
        tokenizer=T5Tokenizer.from_pretrained(tokenizer),
        text_encoder=model.text_encoder.eval(),
        vae=AutoencoderKL.from_pretrained(SDXL / "vae"),
        transformer=model.transformer.eval(),
        scheduler=build_scheduler(),
    )
    shutil.rmtree(args.out, ignore_errors=True)
    write(pipeline, args.out, {"tokenizer": tokenizer})


def main() -> None:
    """Command line."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    add_options(training, "pixart", minutes=35.0, batch=24)
    growth.add_options(training, DEPTH)
    training.add_argument("--focus", type=float, default=math.inf, help="how often familiar things are drawn")
    exporting = commands.add_parser("export")
    exporting.add_argument("--name", default="pixart", help="name of the checkpoint")
    exporting.add_argument("--out", type=Path, required=True)
    for command in (training, exporting):
        command.add_argument("--work", type=Path, default=Path("work"))
    args = parser.parse_args()
    if args.command == "export":
        export(args)
        return
    if not (args.resume and (args.work / "pixart" / "latents.pt").exists()):
        prepare(args.work)
    launch(run, args)


if __name__ == "__main__":
    main()
