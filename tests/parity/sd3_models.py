"""Writes tests/fixtures/models/sd3_*: small random SD3Transformer2DModels and what they compute, as models.py does.

    python tests/parity/sd3_models.py
"""

import json

import torch
from diffusers import SD3Transformer2DModel
from models import VALUES_PER_MODULE, plain_config, randomize, write

MODULE_CLASSES = {"JointTransformerBlock", "Attention", "FeedForward"}


def record_modules(model, tensors: dict, classes: dict) -> None:
    """Keeps the beginning of every output of every unit of reuse, as "module.NAME.INDEX"; None is no output."""

    def hook(name):
        def keep(_module, _args, output):
            outputs = output if isinstance(output, tuple) else (output,)
            for index, value in enumerate(value for value in outputs if value is not None):
                tensors[f"module.{name}.{index}"] = value.flatten()[:VALUES_PER_MODULE]
                tensors[f"shape.{name}.{index}"] = torch.tensor(value.shape)

        return keep

    for name, module in model.named_modules():
        if type(module).__name__ in MODULE_CLASSES:
            classes[name] = type(module).__name__
            module.register_forward_hook(hook(name))


def draw_positions(model, seed: int, dtype: torch.dtype) -> None:
    """The table is a weight: other numbers than those that diffusers would compute."""
    table = model.pos_embed.pos_embed
    table.copy_((0.5 * torch.randn(table.shape, generator=torch.Generator().manual_seed(seed))).to(dtype).float())


def transformer(name, seed, size, batch=2, tokens=5, timestep=601.0, dtype=torch.float16, modules=False, **options):
    heads, width = options["num_attention_heads"], options["attention_head_dim"]
    options = {"joint_attention_dim": 12, "pooled_projection_dim": 10, "pos_embed_max_size": 7, "sample_size": 8,
               "caption_projection_dim": heads * width} | options  # fmt: skip
    model = SD3Transformer2DModel(**options)
    randomize(model, seed, dtype)
    draw_positions(model, seed + 2, dtype)
    generator = torch.Generator().manual_seed(seed + 1)
    config = model.config
    sample = torch.randn((batch, config.in_channels, *size), generator=generator)
    text = torch.randn((batch, tokens, config.joint_attention_dim), generator=generator)
    pooled = torch.randn((batch, config.pooled_projection_dim), generator=generator)
    tensors = {"in.sample": sample, "in.timestep": torch.tensor([timestep]), "in.encoder_hidden_states": text,
               "in.text_embeds": pooled}  # fmt: skip
    classes: dict[str, str] = {}
    if modules:
        record_modules(model, tensors, classes)
    with torch.no_grad():
        result = model(sample, text, pooled, torch.tensor([timestep]).expand(batch)).sample
    tensors["out.sample"] = result
    print(name, tuple(result.shape), float(result.abs().max()))
    weights = {key: value.to(dtype) for key, value in model.state_dict().items()}
    metadata = {"classes": json.dumps(classes)} if modules else None
    write(name, plain_config(model), weights, "diffusion_pytorch_model.safetensors", tensors, metadata)


def main() -> None:
    transformer("sd3", 50, (8, 8), modules=True, num_layers=3, num_attention_heads=2, attention_head_dim=6,
                in_channels=4, out_channels=4)  # fmt: skip
    transformer("sd35", 51, (6, 10), batch=1, timestep=999.0, tokens=7, modules=True, num_layers=3,
                num_attention_heads=3, attention_head_dim=4, in_channels=4, out_channels=4, qk_norm="rms_norm",
                dual_attention_layers=(0, 1, 9))  # fmt: skip
    transformer("sd3_one_block", 52, (3, 2), batch=3, tokens=1, timestep=0.25, dtype=torch.float32, num_layers=1,
                num_attention_heads=1, attention_head_dim=8, patch_size=1, in_channels=3, out_channels=None,
                pos_embed_max_size=3, qk_norm="layer_norm", dual_attention_layers=(0,), joint_attention_dim=5,
                pooled_projection_dim=3)  # fmt: skip
    transformer("sd3_patch_3", 53, (9, 6), dtype=torch.bfloat16, timestep=37.5, num_layers=2, num_attention_heads=2,
                attention_head_dim=4, patch_size=3, in_channels=2, out_channels=5, pos_embed_max_size=6,
                qk_norm="fp32_layer_norm", dual_attention_layers=(1,))  # fmt: skip


if __name__ == "__main__":
    main()
