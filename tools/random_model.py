#!/usr/bin/env python3
"""Writes a runnable diffusers pipeline folder of true size with random weights, for benchmarks.

    tools/random_model.py --preset sdxl --out /big/disk/sdxl-random

Shapes come from diffusers and transformers on the meta device and values are streamed to disk, so about
1 GB of memory does. Weights are normal with a deviation of 0.02, norms are ones, biases zeros. Needs torch,
diffusers and transformers. Folders inside this repository are refused.
"""

import argparse
import json
import shutil
import struct
import sys
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLTemporalDecoder,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
    UNetSpatioTemporalConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    T5Config,
    T5EncoderModel,
)

REPOSITORY = Path(__file__).resolve().parent.parent
T5_TOKENIZER = REPOSITORY / "tests" / "fixtures" / "text_t5" / "both"  # fewer tokens than the encoder knows
DEVIATION = 0.02
CHUNK = 1 << 23  # elements drawn at once
TYPES = {"f16": (torch.float16, "F16"), "bf16": (torch.bfloat16, "BF16"), "f32": (torch.float32, "F32")}
DOWN, CROSS_DOWN = "DownBlock2D", "CrossAttnDownBlock2D"
UP, CROSS_UP = "UpBlock2D", "CrossAttnUpBlock2D"

CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
          "hidden_act": "quick_gelu", "projection_dim": 768, "bos_token_id": 0, "eos_token_id": 2}  # fmt: skip
CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
          "hidden_act": "gelu", "projection_dim": 1280}  # fmt: skip
CLIP_H_VISION = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
                 "hidden_act": "gelu", "projection_dim": 1024, "patch_size": 14, "image_size": 224}  # fmt: skip
T5_XXL = {"vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
          "feed_forward_proj": "gated-gelu", "is_encoder_decoder": False, "use_cache": False}  # fmt: skip
SVD_UNET = {"sample_size": 96, "num_attention_heads": [5, 10, 20, 20], "num_frames": 25}
TINY_CLIP = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
SDXL_UNET = {"sample_size": 128, "block_out_channels": [320, 640, 1280], "attention_head_dim": [5, 10, 20],
             "down_block_types": [DOWN, CROSS_DOWN, CROSS_DOWN], "up_block_types": [CROSS_UP, CROSS_UP, UP],
             "transformer_layers_per_block": [1, 2, 10], "cross_attention_dim": 2048,
             "use_linear_projection": True, "addition_embed_type": "text_time",
             "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}  # fmt: skip
SD3_TRANSFORMER = {"sample_size": 128, "num_layers": 24, "num_attention_heads": 24, "attention_head_dim": 64,
                   "caption_projection_dim": 1536, "joint_attention_dim": 4096, "pooled_projection_dim": 2048,
                   "pos_embed_max_size": 192}  # fmt: skip
VAE = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}
SD3_VAE = VAE | {"sample_size": 1024, "latent_channels": 16, "scaling_factor": 1.5305, "shift_factor": 0.0609,
                 "use_quant_conv": False, "use_post_quant_conv": False, "force_upcast": False}  # fmt: skip
PIXART = {"transformer": {"sample_size": 128, "caption_channels": 4096},
          "vae": VAE | {"sample_size": 1024, "scaling_factor": 0.13025}, "text_encoder": T5_XXL}  # fmt: skip
PIXART_512 = PIXART | {"transformer": {"sample_size": 64, "caption_channels": 4096}}
SD3 = {"transformer": SD3_TRANSFORMER, "vae": SD3_VAE, "text_encoder": CLIP_L, "text_encoder_2": CLIP_G}
PRESETS = {
    "sdxl": {
        "unet": SDXL_UNET,
        "vae": VAE | {"sample_size": 1024, "scaling_factor": 0.13025},
        "text_encoder": CLIP_L,
        "text_encoder_2": CLIP_G,
    },
    "sd15": {
        "unet": {"sample_size": 64, "cross_attention_dim": 768},
        "vae": VAE | {"sample_size": 512},
        "text_encoder": CLIP_L,
    },
    "pixart": PIXART,
    "pixart-512": PIXART_512,
    "pixart-512-t5-4": PIXART_512 | {"text_encoder": T5_XXL | {"num_layers": 4}},  # for measuring memory
    "sd3": SD3,  # without its T5, which is optional
    "sd3-t5": SD3 | {"text_encoder_3": T5_XXL},
    "sd35": SD3
    | {"transformer": SD3_TRANSFORMER
       | {"pos_embed_max_size": 384, "qk_norm": "rms_norm", "dual_attention_layers": list(range(13))}},
    "svd": {
        "unet": SVD_UNET,
        "vae": {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "sample_size": 768},
        "image_encoder": CLIP_H_VISION,
    },
    "tiny": {
        "unet": SDXL_UNET
        | {"sample_size": 16, "block_out_channels": [32, 64, 64], "attention_head_dim": [1, 2, 2],
           "transformer_layers_per_block": [1, 1, 2], "cross_attention_dim": 128,
           "addition_time_embed_dim": 32, "projection_class_embeddings_input_dim": 6 * 32 + 64},
        "vae": {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1, "sample_size": 128,
                "scaling_factor": 0.13025},
        "text_encoder": CLIP_L | TINY_CLIP,
        "text_encoder_2": CLIP_G | TINY_CLIP | {"projection_dim": 64},
    },
}  # fmt: skip


def values(name: str, shape: torch.Size, generator: torch.Generator):
    """The tensor's elements, in pieces."""
    count = shape.numel()
    constant = None
    if len(shape) == 1:
        constant = 0.0 if name.endswith("bias") else 1.0
    for begin in range(0, count, CHUNK):
        size = min(CHUNK, count - begin)
        if constant is None:
            yield torch.randn(size, generator=generator) * DEVIATION
        else:
            yield torch.full((size,), constant)


def write_safetensors(path: Path, shapes: dict, dtype: str, generator: torch.Generator) -> None:
    torch_type, type_name = TYPES[dtype]
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        end = offset + shape.numel() * torch_type.itemsize
        header[name] = {"dtype": type_name, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name, shape in shapes.items():
            for piece in values(name, shape, generator):
                file.write(piece.to(torch_type).view(torch.uint8).numpy())


def write_weights(folder: Path, stem: str, model: torch.nn.Module, options, generator) -> None:
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items() if name not in tied}
    item = TYPES[options.dtype][0].itemsize
    limit = options.max_shard_gb * 1e9
    shards: list[dict] = [{}]
    for name, shape in shapes.items():
        size = sum(other.numel() for other in shards[-1].values()) * item
        if shards[-1] and size + shape.numel() * item > limit:
            shards.append({})
        shards[-1][name] = shape
    if len(shards) == 1:
        write_safetensors(folder / f"{stem}.safetensors", shapes, options.dtype, generator)
        return
    files, weight_map = [f"{stem}-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))], {}
    for file, shard in zip(files, shards, strict=True):
        write_safetensors(folder / file, shard, options.dtype, generator)
        weight_map |= dict.fromkeys(shard, file)
    index = {
        "metadata": {"total_size": sum(shape.numel() for shape in shapes.values()) * item},
        "weight_map": weight_map,
    }
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=1))


def write_tokenizer(folder: Path, pad_token: str) -> None:
    """CLIP's format with no merges: a token for every byte, inside a word and at its end."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(byte) for byte in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]
    vocabulary = {letter: i for i, letter in enumerate(letters + [letter + "</w>" for letter in letters])}
    vocabulary |= {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    if pad_token not in vocabulary:
        vocabulary[pad_token] = len(letters) * 2
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
               "pad_token": pad_token}  # fmt: skip
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1))
    config = special | {"model_max_length": 77, "do_lower_case": True, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


def write_component(folder: Path, model: torch.nn.Module, stem: str, options, generator) -> None:
    folder.mkdir()
    if hasattr(model, "save_config"):
        model.save_config(folder)
    else:
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(folder)
    write_weights(folder, stem, model, options, generator)
    count = sum(tensor.numel() for tensor in model.state_dict().values())
    print(f"{folder.name}: {type(model).__name__}, {count / 1e6:.1f} M weights", flush=True)


def make_models(preset: dict) -> dict[str, torch.nn.Module]:
    """The components with weights, on the meta device."""
    projected = "text_encoder_2" in preset
    blocks = len(preset["vae"]["block_out_channels"])
    down = ["DownEncoderBlock2D"] * blocks
    if "image_encoder" in preset:
        return {
            "vae": AutoencoderKLTemporalDecoder(down_block_types=down, **preset["vae"]),
            "unet": UNetSpatioTemporalConditionModel(**preset["unet"]),
            "image_encoder": CLIPVisionModelWithProjection(CLIPVisionConfig(**preset["image_encoder"])),
        }
    models: dict[str, torch.nn.Module] = {
        "vae": AutoencoderKL(down_block_types=down, up_block_types=["UpDecoderBlock2D"] * blocks, **preset["vae"])
    }
    if "caption_channels" in preset.get("transformer", {}):
        models["transformer"] = PixArtTransformer2DModel(**preset["transformer"])
        models["text_encoder"] = T5EncoderModel(T5Config(**preset["text_encoder"]))
    elif "transformer" in preset:
        models["transformer"] = SD3Transformer2DModel(**preset["transformer"])
        models["text_encoder"] = CLIPTextModelWithProjection(CLIPTextConfig(**preset["text_encoder"]))
    else:
        models["unet"] = UNet2DConditionModel(**preset["unet"])
        models["text_encoder"] = CLIPTextModel(CLIPTextConfig(**preset["text_encoder"]))
    if projected:
        models["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**preset["text_encoder_2"]))
    if "text_encoder_3" in preset:
        models["text_encoder_3"] = T5EncoderModel(T5Config(**preset["text_encoder_3"]))
    return models


def write_tokenizers(out: Path, models: dict[str, torch.nn.Module], options) -> dict[str, list[str]]:
    """Those of the text encoders; what the index says of them."""
    entries = {}
    for encoder, pad_token in [("text_encoder", "<|endoftext|>"), ("text_encoder_2", "!"), ("text_encoder_3", "")]:
        name = encoder.replace("text_encoder", "tokenizer")
        if encoder not in models:
            continue
        is_t5 = isinstance(models[encoder], T5EncoderModel)
        entries[name] = ["transformers", "T5TokenizerFast" if is_t5 else "CLIPTokenizer"]
        if options.tokenizers:
            shutil.copytree(options.tokenizers / name, out / name)
        elif is_t5:
            shutil.copytree(T5_TOKENIZER, out / name)
        else:
            write_tokenizer(out / name, pad_token)
    return entries


def write_pipeline(out: Path, options) -> None:
    preset = PRESETS[options.preset]
    generator = torch.Generator().manual_seed(options.seed)
    with torch.device("meta"):
        models = make_models(preset)
    for name, model in models.items():
        stem = "model" if "encoder" in name else "diffusion_pytorch_model"
        write_component(out / name, model, stem, options, generator)
    index: dict = {"_diffusers_version": "0.42.1"} | write_tokenizers(out, models, options)
    if isinstance(models.get("transformer"), PixArtTransformer2DModel):
        index |= {"_class_name": "PixArtAlphaPipeline"}
        scheduler = DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear")
    elif "transformer" in models:
        index |= {"_class_name": "StableDiffusion3Pipeline"}
        index |= dict.fromkeys(("text_encoder_3", "tokenizer_3"), [None, None]) | index
        scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    elif "image_encoder" in models:
        index |= {"_class_name": "StableVideoDiffusionPipeline"}
        index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
        (out / "feature_extractor").mkdir()
        (out / "feature_extractor" / "preprocessor_config.json").write_text(
            json.dumps({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 224}}, indent=1)
        )
        scheduler = EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
            use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0, timestep_type="continuous",
            timestep_spacing="leading", steps_offset=1,
        )  # fmt: skip
    else:
        xl = "text_encoder_2" in models
        index |= {"_class_name": "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline"}
        index |= {"force_zeros_for_empty_prompt": True} if xl else {
            "safety_checker": [None, None], "requires_safety_checker": False}  # fmt: skip
        scheduler = EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            timestep_spacing="leading",
        )  # fmt: skip
    scheduler.save_config(out / "scheduler")
    if index["_class_name"] not in ("PixArtAlphaPipeline", "StableVideoDiffusionPipeline"):
        index |= {"feature_extractor": [None, None], "image_encoder": [None, None]}
    index["scheduler"] = ["diffusers", type(scheduler).__name__]
    for name, model in models.items():
        library = "transformers" if "encoder" in name else "diffusers"
        index[name] = [library, type(model).__name__]
    (out / "model_index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to make; must not exist")
    parser.add_argument("--dtype", choices=TYPES, default="f16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-shard-gb", type=float, default=10.0, help="largest weight file, in 10^9 bytes")
    parser.add_argument("--tokenizers", type=Path, help="pipeline folder whose tokenizers to copy")
    options = parser.parse_args()
    out = options.out.resolve()
    if out.is_relative_to(REPOSITORY):
        sys.exit(f"{out} is inside the repository; choose another folder")
    if out.exists():
        sys.exit(f"{out} exists; remove it or choose another folder")
    unfinished = out.with_name(out.name + ".unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(parents=True)
    write_pipeline(unfinished, options)
    unfinished.rename(out)


if __name__ == "__main__":
    main()
