"""Writes tests/fixtures/models/: small random diffusers and transformers models and what they compute.

Each case is a folder with config.json, weights and `expected.safetensors`, which holds inputs ("in.NAME") and
results ("out.NAME"). Weights are scaled so that results stay of order one, and are rounded to the type that
they are stored in before the results are computed.
"""

import json
import math
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention import FeedForward
from diffusers.models.embeddings import get_timestep_embedding
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "models"
MODULE_CLASSES = {  # what src/graph/module.cpp calls a unit of reuse
    "DownBlock2D", "CrossAttnDownBlock2D", "UNetMidBlock2DCrossAttn", "UNetMidBlock2D", "UpBlock2D",
    "CrossAttnUpBlock2D", "ResnetBlock2D", "Transformer2DModel", "BasicTransformerBlock", "Attention",
    "FeedForward", "Downsample2D", "Upsample2D",
}  # fmt: skip
VALUES_PER_MODULE = 128  # of each intermediate result, from its beginning


def randomize(model: torch.nn.Module, seed: int, dtype: torch.dtype) -> None:
    """Draws weights that keep the size of what passes through, and biases that show when they are lost."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.dim() > 1:
                fan_in = 1 if "embedding.weight" in name else math.prod(weight.shape[1:])
                weight.copy_(noise / math.sqrt(fan_in))
            elif name.endswith("weight"):
                weight.copy_(1 + 0.1 * noise)
            else:
                weight.copy_(0.1 * noise)
            weight.copy_(weight.to(dtype).float())
    model.eval()


def write(name: str, config: dict, weights: dict, weights_file: str, tensors: dict, metadata=None) -> None:
    folder = FIXTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / weights_file)
    # Clones: safetensors refuses tensors that share memory, as a block's output and its last skip do.
    tensors = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    save_file(tensors, folder / "expected.safetensors", metadata=metadata)


def plain_config(model) -> dict:
    return {key: value for key, value in model.config.items() if not key.startswith("_")} | {
        "_class_name": type(model).__name__
    }


def record_modules(unet, tensors: dict, classes: dict) -> None:
    """Keeps the beginning of every output of every unit of reuse, as "module.NAME.INDEX"."""

    def hook(name):
        def keep(_module, _args, output):
            outputs = []
            for value in output if isinstance(output, tuple) else (output,):
                outputs.extend(value if isinstance(value, tuple) else (value,))
            for index, value in enumerate(outputs):
                tensors[f"module.{name}.{index}"] = value.flatten()[:VALUES_PER_MODULE]
                tensors[f"shape.{name}.{index}"] = torch.tensor(value.shape)

        return keep

    for name, module in unet.named_modules():
        if type(module).__name__ in MODULE_CLASSES:
            classes[name] = type(module).__name__
            module.register_forward_hook(hook(name))


def unet(name, seed, size, batch=2, tokens=5, timestep=601.0, dtype=torch.float16, modules=False, **options):
    options = {"norm_num_groups": 4, "cross_attention_dim": 12, "sample_size": 8} | options
    model = UNet2DConditionModel(**options)
    randomize(model, seed, dtype)
    generator = torch.Generator().manual_seed(seed + 1)
    config = model.config
    width = config.cross_attention_dim if isinstance(config.cross_attention_dim, int) else config.cross_attention_dim[-1]
    sample = torch.randn((batch, config.in_channels, *size), generator=generator)
    text = torch.randn((batch, tokens, width), generator=generator)
    tensors = {"in.sample": sample, "in.timestep": torch.tensor([timestep]), "in.encoder_hidden_states": text}
    added = None
    if config.addition_embed_type == "text_time":
        pooled_width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        pooled = torch.randn((batch, pooled_width), generator=generator)
        ids = torch.tensor([[1024.0, 768.0, 0.0, 16.0, 1024.0, 1024.0]]).repeat(batch, 1)
        ids[-1, 2] = 32.0
        added = {"text_embeds": pooled, "time_ids": ids}
        tensors |= {"in.text_embeds": pooled, "in.time_ids": ids}
    classes: dict[str, str] = {}
    if modules:
        record_modules(model, tensors, classes)
    with torch.no_grad():
        tensors["out.sample"] = model(sample, timestep, text, added_cond_kwargs=added).sample
    weights = {key: value.to(dtype) for key, value in model.state_dict().items()}
    metadata = {"classes": json.dumps(classes)} if modules else None
    write(name, plain_config(model), weights, "diffusion_pytorch_model.safetensors", tensors, metadata)


def unets() -> None:
    cross_down, cross_up = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
    sdxl = {
        "down_block_types": ["DownBlock2D", cross_down, cross_down],
        "up_block_types": [cross_up, cross_up, "UpBlock2D"],
        "transformer_layers_per_block": [1, 1, 2],
        "attention_head_dim": [1, 2, 4],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 10,
    }
    unet("unet_sdxl", 1, (8, 8), modules=True, block_out_channels=[8, 12, 16], **sdxl)
    unet("unet_sdxl_odd", 2, (9, 11), batch=1, timestep=999.0, tokens=7, block_out_channels=[8, 8, 16],
         layers_per_block=1, **sdxl)  # fmt: skip
    unet("unet_sd1", 3, (9, 11), block_out_channels=[8, 8, 12, 16], layers_per_block=1, attention_head_dim=2,
         timestep=1.0)  # fmt: skip
    unet("unet_sd2", 4, (8, 12), dtype=torch.float32, block_out_channels=[4, 8, 8], layers_per_block=2,
         down_block_types=[cross_down, cross_down, "DownBlock2D"],
         up_block_types=["UpBlock2D", cross_up, cross_up], attention_head_dim=[1, 2, 4],
         only_cross_attention=[True, False, False], use_linear_projection=True, upcast_attention=True,
         norm_num_groups=2)  # fmt: skip
    unet("unet_asymmetric", 5, (9, 8), dtype=torch.bfloat16, block_out_channels=[8, 12, 8],
         layers_per_block=[1, 2, 1], down_block_types=["DownBlock2D", cross_down, cross_down],
         up_block_types=[cross_up, cross_up, "UpBlock2D"], attention_head_dim=[2, 3, 2],
         transformer_layers_per_block=[[], [1, 2], [1]],
         reverse_transformer_layers_per_block=[[2, 1], [0, 1, 1], 1], flip_sin_to_cos=False, freq_shift=1,
         center_input_sample=True, in_channels=9, out_channels=8, downsample_padding=0,
         timestep=500.5)  # fmt: skip
    unet("unet_scale_shift", 6, (7, 5), block_out_channels=[8, 16], layers_per_block=1,
         down_block_types=["DownBlock2D", cross_down], up_block_types=[cross_up, "UpBlock2D"],
         mid_block_type=None, resnet_time_scale_shift="scale_shift", norm_num_groups=2, norm_eps=1e-3,
         act_fn="gelu", time_embedding_dim=20, timestep_post_act="silu", time_embedding_act_fn="relu",
         conv_in_kernel=5, conv_out_kernel=1, attention_head_dim=2, batch=3, tokens=1)  # fmt: skip
    unet("unet_mid_resnet", 7, (6, 6), block_out_channels=[9, 12], layers_per_block=2,
         down_block_types=["UNetResDownBlock2D", cross_down], up_block_types=[cross_up, "UpBlock2D"],
         mid_block_type="UNetMidBlock2D", mid_block_scale_factor=math.sqrt(2), norm_num_groups=3,
         attention_head_dim=5, cross_attention_dim=[3, 10])  # fmt: skip


def clip(name, seed, model_class, layout, **options) -> None:
    """`layout` says how the weights are named: "as_saved", "prefixed", or "whole" for a whole CLIP model's file."""
    sizes = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
             "num_attention_heads": 4, "max_position_embeddings": 12, "projection_dim": 10}  # fmt: skip
    model = model_class(CLIPTextConfig(**(sizes | options)))
    randomize(model, seed, torch.float16)
    generator = torch.Generator().manual_seed(seed + 1)
    ids = torch.randint(3, 57, (2, 9), generator=generator)
    end = 59 if model.config.eos_token_id == 2 else model.config.eos_token_id
    ids[0, 5:] = end
    ids[1, 7:] = end
    with torch.no_grad():
        result = model(ids, output_hidden_states=True)
        tensors = {"in.input_ids": ids, "out.last_hidden_state": result.last_hidden_state}
        projects = model_class is CLIPTextModelWithProjection
        tensors["out.pooled"] = result.text_embeds if projects else result.pooler_output
        for index, state in enumerate(reversed(result.hidden_states)):
            tensors[f"out.hidden_states.{index + 1}"] = state
        text_model = model.text_model if projects else model
        tensors["out.normed_hidden_states.2"] = text_model.final_layer_norm(result.hidden_states[-2])
    folder = FIXTURES / name
    model.half().save_pretrained(folder)  # the names that this transformers release writes
    config = json.loads((folder / "config.json").read_text())
    weights = {key: value.half() for key, value in model.state_dict().items()}
    if layout == "as_saved":
        from safetensors.torch import load_file

        weights = load_file(folder / "model.safetensors")
    else:
        weights = {key if key.startswith("text_") else f"text_model.{key}": value for key, value in weights.items()}
        weights["text_model.embeddings.position_ids"] = torch.arange(12)[None]
    if layout == "whole":
        config = {"model_type": "clip", "text_config": config, "projection_dim": 512}
        weights["logit_scale"] = torch.tensor(2.6)
        weights["visual_projection.weight"] = torch.zeros(3, 4)
        weights["text_projection.weight"] = torch.zeros(5, 16)
    shutil.rmtree(folder)
    write(name, config, weights, "model.safetensors", tensors)


def clips() -> None:
    clip("clip_quick_gelu", 20, CLIPTextModel, "as_saved", hidden_act="quick_gelu", eos_token_id=2)
    clip("clip_whole", 21, CLIPTextModel, "whole", hidden_act="gelu", eos_token_id=57, layer_norm_eps=1e-3)
    clip("clip_projection", 22, CLIPTextModelWithProjection, "as_saved", hidden_act="gelu", eos_token_id=58)
    clip("clip_projection_prefixed", 23, CLIPTextModelWithProjection, "prefixed", hidden_act="quick_gelu",
         eos_token_id=2)  # fmt: skip


def vae(name, seed, old_names=False, **options) -> None:
    blocks = len(options["block_out_channels"])
    model = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * blocks, up_block_types=["UpDecoderBlock2D"] * blocks, **options
    )
    randomize(model, seed, torch.float16)
    generator = torch.Generator().manual_seed(seed + 1)
    latents = torch.randn((2, model.config.latent_channels, 3, 5), generator=generator)
    image = torch.randn((1, model.config.in_channels, 12, 10), generator=generator)
    with torch.no_grad():
        tensors = {
            "in.latents": latents,
            "in.image": image,
            "out.image": model.decode(latents).sample,
            "out.moments": model.encode(image).latent_dist.parameters,
        }
    weights = {}
    for key, value in model.state_dict().items():
        if old_names and "attentions" in key:
            for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
                if f".{new}." in key and value.dim() == 2 and new == "to_q":
                    value = value[:, :, None, None]  # as a 1x1 convolution
                key = key.replace(f".{new}.", f".{old}.")
        weights[key] = value.half()
    write(name, plain_config(model), weights, "diffusion_pytorch_model.safetensors", tensors)


def vaes() -> None:
    vae("vae_old_names", 30, old_names=True, block_out_channels=[4, 8, 8], layers_per_block=2, norm_num_groups=4,
        scaling_factor=0.13025)  # fmt: skip
    vae("vae_16_channels", 31, block_out_channels=[4, 8], layers_per_block=1, norm_num_groups=2,
        latent_channels=16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1159,
        scaling_factor=0.3611, force_upcast=False, sample_size=64)  # fmt: skip
    vae("vae_plain_mid", 32, block_out_channels=[6], layers_per_block=1, norm_num_groups=3,
        mid_block_add_attention=False, in_channels=1, out_channels=2, act_fn="gelu",
        latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.0, 2.0, 0.5, 1.5])  # fmt: skip


def sinusoids() -> None:
    timesteps = torch.tensor([0.0, 1.0, 37.5, 501.37, 999.0])
    tensors = {"timesteps": timesteps}
    for width in (8, 9, 320):
        for flip in (False, True):
            for shift in (0, 1):
                tensors[f"{width}/{int(flip)}/{shift}"] = get_timestep_embedding(
                    timesteps, width, flip_sin_to_cos=flip, downscale_freq_shift=shift
                )
    save_file(tensors, FIXTURES / "sinusoids.safetensors")


def feed_forwards() -> None:
    generator = torch.Generator().manual_seed(40)
    x = torch.randn((2, 3, 6), generator=generator)
    tensors = {"x": x}
    for seed, activation in enumerate(("geglu", "gelu", "gelu-approximate")):
        model = FeedForward(6, activation_fn=activation)
        randomize(model, 41 + seed, torch.float32)
        with torch.no_grad():
            tensors[f"{activation}.out"] = model(x)
        tensors |= {f"{activation}.{key}": value for key, value in model.state_dict().items()}
    save_file(tensors, FIXTURES / "feed_forward.safetensors")


def main() -> None:
    FIXTURES.mkdir(parents=True, exist_ok=True)
    feed_forwards()
    unets()
    clips()
    vaes()
    sinusoids()


if __name__ == "__main__":
    main()
