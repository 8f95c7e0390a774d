"""Writes tests/fixtures/models/t5_*: small random T5 encoders and what transformers computes with them.

    python tests/parity/t5.py

Layout and rules are those of models.py. Needs transformers 5.23.
"""

import json
import shutil

import torch
from models import FIXTURES, randomize, write
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5EncoderModel
from transformers.models.t5.modeling_t5 import T5Attention


def t5(name, seed, tokens=9, dtype=torch.float16, layout="as_saved", **options) -> None:
    """`layout` says how the table of tokens is named: "as_saved", "embed_tokens", "both", or "whole" for the file of
    a model with a decoder."""
    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 3, "num_heads": 4}
    model = T5EncoderModel(T5Config(**(sizes | options)))
    randomize(model, seed, dtype)
    table = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    with torch.no_grad():
        table.copy_((2 * table).to(dtype).float())
    generator = torch.Generator().manual_seed(seed + 1)
    ids = torch.randint(0, model.config.vocab_size, (2, tokens), generator=generator)
    mask = torch.ones(2, tokens)
    mask[0, tokens // 2 :] = 0
    mask[1, tokens - 1 :] = 0
    with torch.no_grad():
        tensors = {
            "in.input_ids": ids,
            "in.attention_mask": mask,
            "out.masked": model(ids, attention_mask=mask).last_hidden_state,
            "out.unmasked": model(ids).last_hidden_state,
        }
    folder = FIXTURES / name
    model.to(dtype).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    shutil.rmtree(folder)
    shared = weights.pop("shared.weight")
    if layout in ("embed_tokens", "both"):
        weights["encoder.embed_tokens.weight"] = shared
    if layout != "embed_tokens":
        weights["shared.weight"] = shared.clone()
    if layout == "whole":
        weights["decoder.final_layer_norm.weight"] = torch.ones(3)
        weights["lm_head.weight"] = torch.ones(2, 2)
    write(name, config, weights, "model.safetensors", tensors)


def position_buckets() -> None:
    """The bucket of each relative position from -300 to 300."""
    positions = torch.arange(-300, 301)
    tensors = {
        f"{buckets}/{distance}": T5Attention._relative_position_bucket(positions, True, buckets, distance)
        for buckets, distance in ((32, 128), (8, 20), (6, 7), (33, 100), (64, 256))
    }
    save_file(tensors, FIXTURES / "t5_position_buckets.safetensors")


def main() -> None:
    t5("t5_gated", 60, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    t5("t5_relu", 61, tokens=30, layout="both", relative_attention_num_buckets=8, relative_attention_max_distance=12,
       d_kv=6, layer_norm_epsilon=1e-3)  # fmt: skip
    t5("t5_gelu", 62, dtype=torch.float32, layout="embed_tokens", feed_forward_proj="gelu", num_layers=1, tokens=2)
    t5("t5_gated_silu", 63, dtype=torch.bfloat16, layout="whole", feed_forward_proj="gated-silu", num_heads=3,
       num_layers=4)  # fmt: skip
    position_buckets()


if __name__ == "__main__":
    main()
