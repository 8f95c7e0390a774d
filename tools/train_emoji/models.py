"""The miniature's parts: two small CLIP tokenizers and text encoders, and SDXL's denoiser."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 32
MERGES = 510
TEXT_WIDTHS = (64, 96)
TIME_ID_WIDTH = 32
# What StableDiffusionXLPipeline passes for a 128 x 128 picture.
TIME_IDS = (128, 128, 0, 0, 128, 128)
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def train_tokenizers(corpus: list[str], folder: Path) -> int:
    """Train the byte-level BPE and write `tokenizer` and `tokenizer_2` in CLIP's form; return its size."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = _byte_alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,
        min_frequency=2,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    merges = [tuple(merge) for merge in json.loads(bpe.to_str())["model"]["merges"]][:MERGES]
    tokens = [*alphabet, *(char + "</w>" for char in alphabet)]
    tokens += [left + right for left, right in merges] + [START, END]
    vocab = {token: i for i, token in enumerate(tokens)}
    if len(vocab) != len(tokens):
        raise ValueError("two merges give the same token")
    for name, pad in (("tokenizer", END), ("tokenizer_2", "!")):
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        (target / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False) + "\n")
        lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
        (target / "merges.txt").write_text("\n".join(lines) + "\n")
        special = {"bos_token": START, "eos_token": END, "pad_token": pad, "unk_token": END}
        config = special | {
            "add_prefix_space": False,
            "do_lower_case": True,
            "errors": "replace",
            "model_max_length": MAX_LENGTH,
            "tokenizer_class": "CLIPTokenizer",
        }
        (target / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
        (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return len(tokens)


def load_tokenizers(folder: Path) -> tuple[CLIPTokenizer, CLIPTokenizer]:
    """Read the two tokenizers back the way diffusers does."""
    first = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    return first, CLIPTokenizer.from_pretrained(folder / "tokenizer_2")


class TokenRows:
    """Token ids of both tokenizers, kept per caption."""

    def __init__(self, folder: Path) -> None:
        self.tokenizers = load_tokenizers(folder)
        self._rows: dict[str, torch.Tensor] = {}

    def __call__(self, captions: list[str]) -> torch.Tensor:
        """Batch x 2 x MAX_LENGTH."""
        for caption in captions:
            if caption not in self._rows:
                rows = [
                    t(caption, padding="max_length", max_length=MAX_LENGTH, truncation=True).input_ids
                    for t in self.tokenizers
                ]
                self._rows[caption] = torch.tensor(rows)
        return torch.stack([self._rows[caption] for caption in captions])


def _text_config(width: int, heads: int, activation: str, vocab_size: int, pad: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=3,
        num_attention_heads=heads,
        max_position_embeddings=MAX_LENGTH,
        hidden_act=activation,
        bos_token_id=vocab_size - 2,
        eos_token_id=vocab_size - 1,
        pad_token_id=pad,
    )


def build_text_encoders(vocab_size: int) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """SDXL's pair: the first with quick GELU, the second with GELU and a projection."""
    first = _text_config(TEXT_WIDTHS[0], 4, "quick_gelu", vocab_size, vocab_size - 1)
    second = _text_config(TEXT_WIDTHS[1], 6, "gelu", vocab_size, 0)
    return CLIPTextModel(first), CLIPTextModelWithProjection(second)


def build_unet() -> UNet2DConditionModel:
    """SDXL's denoiser in miniature."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(48, 96, 96),
        layers_per_block=2,
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(3, 6, 6),
        cross_attention_dim=sum(TEXT_WIDTHS),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_ID_WIDTH,
        projection_class_embeddings_input_dim=TEXT_WIDTHS[1] + len(TIME_IDS) * TIME_ID_WIDTH,
        norm_num_groups=16,
    )


def build_scheduler() -> EulerDiscreteScheduler:
    """The scheduler of SDXL base."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        interpolation_type="linear",
        timestep_spacing="leading",
        steps_offset=1,
        use_karras_sigmas=False,
    )
