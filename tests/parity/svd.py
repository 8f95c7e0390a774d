"""Writes the fixtures of Stable Video Diffusion's parts: tests/fixtures/models/{svd,vae_temporal,clip_vision}*.

    python tests/parity/svd.py

diffusers fixes the groups of these models' norms to 32, so their smallest weights are too large to commit. They are
not in the fixtures: both sides draw them, in the order of the list "weights" in expected.safetensors' metadata, from
PyTorch's generator (see `draw`). Needs diffusers 0.42 and transformers 5.23.
"""

import json
import math

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from models import FIXTURES, MODULE_CLASSES, plain_config, randomize, record_modules
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

CROSS_DOWN, DOWN = "CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"
CROSS_UP, UP = "CrossAttnUpBlockSpatioTemporal", "UpBlockSpatioTemporal"
MODULE_CLASSES |= {
    CROSS_DOWN, DOWN, CROSS_UP, UP, "UNetMidBlockSpatioTemporal", "SpatioTemporalResBlock", "TemporalResnetBlock",
    "TransformerSpatioTemporalModel", "TemporalBasicTransformerBlock",
}  # fmt: skip


def draw(model: torch.nn.Module, seed: int) -> list:
    """One generator for all weights in order; see tests/models/drawn_weights.h."""
    generator = torch.Generator().manual_seed(seed)
    listed = []
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.dim() > 1:
                noise = noise / math.sqrt(math.prod(weight.shape[1:]))
            elif not name.endswith("mix_factor"):
                noise = noise * 0.1 + (1.0 if name.endswith("weight") else 0.0)
            weight.copy_(noise)
            listed.append([name, list(weight.shape)])
    model.eval()
    return listed


def write(name: str, config: dict, tensors: dict, metadata: dict) -> None:
    folder = FIXTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    tensors = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    path = folder / "expected.safetensors"
    save_file(tensors, path, metadata={key: json.dumps(value) for key, value in metadata.items()})
    path.chmod(0o644)
    largest = max(float(value.abs().max()) for key, value in tensors.items() if key.startswith("out."))
    print(f"{name}: results up to {largest:.2f}, {path.stat().st_size} bytes")


def unet(name, seed, size, batch=1, frames=3, tokens=1, timestep=0.61, modules=False, **options):
    model = UNetSpatioTemporalConditionModel(**{"cross_attention_dim": 12, "num_frames": frames} | options)
    weights = draw(model, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    config = model.config
    width = config.cross_attention_dim if isinstance(config.cross_attention_dim, int) else config.cross_attention_dim[-1]
    image_channels = max(0, config.in_channels - config.out_channels)
    sample = torch.randn((batch, frames, config.in_channels - image_channels, *size), generator=generator)
    image = torch.randn((batch, frames, image_channels, *size), generator=generator)
    context = torch.randn((batch, tokens, width), generator=generator)
    count = config.projection_class_embeddings_input_dim // config.addition_time_embed_dim
    ids = torch.tensor([[6.0, 127.0, 0.02, 3.0][:count]]).repeat(batch, 1)
    ids[-1, 0] = 24.0
    tensors = {"in.sample": sample, "in.encoder_hidden_states": context, "in.time_ids": ids}
    tensors |= {"in.timestep": torch.tensor([timestep])} | ({"in.image_latents": image} if image_channels else {})
    classes: dict[str, str] = {}
    if modules:
        record_modules(model, tensors, classes)
    with torch.no_grad():
        tensors["out.sample"] = model(torch.cat([sample, image], 2), torch.tensor(timestep), context, ids).sample
    write(name, plain_config(model), tensors, {"weights": weights, "seed": seed, "classes": classes})


def unets() -> None:
    unet("svd", 1, (4, 6), batch=2, modules=True, block_out_channels=[32, 64], num_attention_heads=[2, 4],
         down_block_types=[CROSS_DOWN, DOWN], up_block_types=[UP, CROSS_UP], layers_per_block=1,
         addition_time_embed_dim=8, projection_class_embeddings_input_dim=24, sample_size=4)  # fmt: skip
    unet("svd_published_blocks", 2, (8, 8), frames=2, timestep=1.6378, block_out_channels=[32, 32, 64, 64],
         num_attention_heads=[1, 2, 4, 8], sample_size=[8, 16])  # fmt: skip
    unet("svd_odd", 3, (5, 7), batch=2, frames=4, tokens=3, timestep=-1.5537, block_out_channels=[32, 32, 64],
         num_attention_heads=4, layers_per_block=[1, 2, 1], transformer_layers_per_block=[2, 1, 1],
         down_block_types=[DOWN, CROSS_DOWN, CROSS_DOWN], up_block_types=[CROSS_UP, UP, CROSS_UP],
         cross_attention_dim=[10, 10, 10], addition_time_embed_dim=6, projection_class_embeddings_input_dim=12,
         in_channels=7, out_channels=3)  # fmt: skip
    unet("svd_nested_layers", 4, (6, 3), frames=1, block_out_channels=[64, 32], num_attention_heads=[1, 8],
         layers_per_block=2, transformer_layers_per_block=[[1, 0, 2], [2, 1, 1]], down_block_types=[CROSS_DOWN, DOWN],
         up_block_types=[CROSS_UP, CROSS_UP], cross_attention_dim=5, addition_time_embed_dim=3,
         projection_class_embeddings_input_dim=12, in_channels=4)  # fmt: skip


def vae(name, seed, frames, size, batch=1, **options) -> None:
    blocks = len(options["block_out_channels"])
    model = AutoencoderKLTemporalDecoder(down_block_types=["DownEncoderBlock2D"] * blocks, **options)
    weights = draw(model, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    config = model.config
    latents = torch.randn((batch * frames, config.latent_channels, *size), generator=generator)
    image = torch.randn((1, config.in_channels, 6, 4), generator=generator)
    with torch.no_grad():
        tensors = {
            "in.latents": latents,
            "in.image": image,
            "out.frames": model.decode(latents, num_frames=frames).sample,
            "out.moments": model.encode(image).latent_dist.parameters,
        }
    write(name, plain_config(model), tensors, {"weights": weights, "seed": seed, "frames": frames})


def vaes() -> None:
    vae("vae_temporal", 10, 3, (3, 2), block_out_channels=[32, 64], layers_per_block=2, scaling_factor=0.3)
    vae("vae_temporal_one_layer", 11, 2, (2, 3), batch=2, block_out_channels=[32], layers_per_block=1,
        latent_channels=3, in_channels=1, out_channels=2, force_upcast=False, sample_size=64)  # fmt: skip
    vae("vae_temporal_three_layers", 12, 1, (2, 2), block_out_channels=[32], layers_per_block=3)


def clip_vision(name, seed, rename=lambda key: key, **options) -> None:
    """`rename` gives the checkpoint's keys their names in other releases."""
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
             "image_size": 12, "patch_size": 4, "projection_dim": 10}  # fmt: skip
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**(sizes | options)))
    randomize(model, seed, torch.float16)
    side, channels = model.config.image_size, model.config.num_channels
    pixels = torch.randn((2, channels, side, side), generator=torch.Generator().manual_seed(seed + 1))
    with torch.no_grad():
        tensors = {"in.pixel_values": pixels, "out.image_embeds": model(pixels).image_embeds}
    folder = FIXTURES / name
    model.half().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    positions = {"vision_model.embeddings.position_ids": torch.arange((side // model.config.patch_size) ** 2 + 1)[None]}
    if options.get("hidden_act") == "gelu":  # as in a whole CLIP model's files of old releases
        config = {"model_type": "clip", "vision_config": config, "projection_dim": 10}
        weights |= positions | {"logit_scale": torch.tensor(2.6), "text_projection.weight": torch.zeros(5, 16)}
    save_file({rename(key): value.contiguous() for key, value in weights.items()}, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)
    write(name, config, tensors, {})


def clip_visions() -> None:
    clip_vision("clip_vision", 20)
    clip_vision("clip_vision_whole", 21, hidden_act="gelu", layer_norm_eps=1e-3, image_size=14, num_channels=2)
    clip_vision("clip_vision_unprefixed", 22, lambda key: key.removeprefix("vision_model."), num_hidden_layers=1)


def main() -> None:
    unets()
    vaes()
    clip_visions()


if __name__ == "__main__":
    main()
