"""Writes tests/fixtures/models/pixart*: small random PixArtTransformer2DModels and what diffusers computes with them.

    python tests/parity/pixart.py

Layout and rules are those of models.py. Of a learned variance only the prediction is kept, as the pipelines do.
"""

import json

import torch
from diffusers import PixArtTransformer2DModel
from models import MODULE_CLASSES, plain_config, randomize, record_modules, write


def pixart(name, seed, size, batch=2, tokens=5, timestep=601.0, dtype=torch.float16, modules=False, old_files=False,
           **options) -> None:  # fmt: skip
    options = {"num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 2, "sample_size": 8} | options
    model = PixArtTransformer2DModel(**options)
    randomize(model, seed, dtype)
    config = model.config
    generator = torch.Generator().manual_seed(seed + 1)
    sample = torch.randn((batch, config.in_channels, *size), generator=generator)
    text = torch.randn((batch, tokens, config.caption_channels or config.cross_attention_dim), generator=generator)
    mask = torch.ones(batch, tokens)
    for row in range(batch):
        mask[row, tokens - 1 - row :] = 0
    tensors = {"in.sample": sample, "in.timestep": torch.tensor([timestep]), "in.encoder_hidden_states": text,
               "in.attention_mask": mask}  # fmt: skip
    added = {"resolution": None, "aspect_ratio": None}
    if model.use_additional_conditions:
        ids = torch.tensor([[size[0] * 8.0, size[1] * 8.0, size[0] / size[1]]]).repeat(batch, 1)
        ids[-1] = torch.tensor([1024.0, 512.0, 2.0])
        tensors["in.time_ids"] = ids
        added = {"resolution": ids[:, :2].contiguous(), "aspect_ratio": ids[:, 2:].contiguous()}
    classes: dict[str, str] = {}
    if modules:
        record_modules(model, tensors, classes)
    with torch.no_grad():
        result = model(sample, encoder_hidden_states=text, timestep=torch.full((batch,), timestep),
                       encoder_attention_mask=mask, added_cond_kwargs=added).sample  # fmt: skip
    if result.shape[1] == 2 * config.in_channels:
        result = result.chunk(2, dim=1)[0]
    tensors["out.sample"] = result
    weights = {key: value.to(dtype) for key, value in model.state_dict().items()}
    if old_files:
        weights["pos_embed.pos_embed"] = model.pos_embed.pos_embed.to(dtype)
    metadata = {"classes": json.dumps(classes)} if modules else None
    write(name, plain_config(model), weights, "diffusion_pytorch_model.safetensors", tensors, metadata)


def main() -> None:
    assert "BasicTransformerBlock" in MODULE_CLASSES
    pixart("pixart", 80, (8, 8), modules=True, num_layers=3, caption_channels=20, cross_attention_dim=24, old_files=True)
    pixart("pixart_sizes", 81, (6, 10), use_additional_conditions=True, interpolation_scale=2, activation_fn="geglu",
           norm_elementwise_affine=True, attention_bias=False, caption_channels=7, cross_attention_dim=24,
           timestep=999.0)  # fmt: skip
    pixart("pixart_128", 82, (9, 15), batch=3, sample_size=128, patch_size=3, in_channels=3, out_channels=None,
           num_attention_heads=3, attention_head_dim=4, cross_attention_dim=10, activation_fn="gelu", num_layers=1,
           dtype=torch.bfloat16, timestep=1.0)  # fmt: skip
    pixart("pixart_patch_1", 83, (5, 3), batch=1, tokens=4, sample_size=7, patch_size=1, out_channels=5, norm_eps=1e-2,
           interpolation_scale=0.5, attention_head_dim=4, cross_attention_dim=6, dtype=torch.float32, use_additional_conditions=False,
           timestep=500.5)  # fmt: skip


if __name__ == "__main__":
    main()
