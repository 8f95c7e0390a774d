"""Writes tests/fixtures/pipelines/tiny-sd3*, sd3_runs.{json,safetensors}: Stable Diffusion 3 folders and whole runs.

    python tests/parity/sd3_pipelines.py

tiny-sd3: T5 as wide as the joint dimension, wider than both CLIP encoders (zeros fill them up), 6 blocks.
tiny-sd35: no T5, a joint dimension narrower than both CLIP encoders (diffusers cuts them), dual attention, query and
key norms, 3 blocks. Reuse is done naively, as in pipelines.py: matched modules are wrapped. Needs diffusers 0.42 and
transformers 5.23.
"""

import fnmatch
import json
import re
import shutil

import numpy
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from safetensors.torch import save_file
from sd3_models import draw_positions
from tiny_pipelines import FIXTURES, autoencoder, drawn, text_encoder, write
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

FOLDER = FIXTURES / "pipelines"
T5_TOKENIZER = "text_t5"


def transformer(seed, **options):
    model = drawn(
        SD3Transformer2DModel(sample_size=8, in_channels=16, out_channels=16, pooled_projection_dim=8 + 12,
                              caption_projection_dim=16, pos_embed_max_size=6, **options),
        seed,
    )  # fmt: skip
    draw_positions(model, seed + 1, torch.float16)
    return model


def t5(seed, tokenizer, width):
    config = T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=6, d_ff=24, num_layers=2, num_heads=3,
                      feed_forward_proj="gated-gelu", is_encoder_decoder=False, use_cache=False)  # fmt: skip
    return drawn(T5EncoderModel(config), seed)


def pipeline(seed, tokenizer_3=None, text_encoder_3=None, **options):
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / "text" / "slow")
    tokenizer_2 = CLIPTokenizer.from_pretrained(FIXTURES / "text" / "slow_bang")
    vae = autoencoder(seed, latent_channels=16, sample_size=64, scaling_factor=1.5305, shift_factor=0.0609,
                      use_quant_conv=False, use_post_quant_conv=False, force_upcast=False)  # fmt: skip
    return StableDiffusion3Pipeline(
        transformer=transformer(seed + 1, **options), scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), vae=vae,
        text_encoder=text_encoder(CLIPTextModelWithProjection, seed + 3, tokenizer, 8, hidden_act="quick_gelu",
                                  projection_dim=8),
        text_encoder_2=text_encoder(CLIPTextModelWithProjection, seed + 4, tokenizer_2, 16, hidden_act="gelu",
                                    projection_dim=12),
        tokenizer=tokenizer, tokenizer_2=tokenizer_2, text_encoder_3=text_encoder_3, tokenizer_3=tokenizer_3,
    )  # fmt: skip


def write_folders():
    clips = {"tokenizer": "slow", "tokenizer_2": "slow_bang"}
    tokenizer_3 = T5TokenizerFast.from_pretrained(FIXTURES / T5_TOKENIZER / "both")
    pipe = pipeline(60, tokenizer_3, t5(66, tokenizer_3, 32), joint_attention_dim=32, num_layers=6,
                    num_attention_heads=2, attention_head_dim=8)  # fmt: skip
    write("tiny-sd3", pipe, clips)
    shutil.rmtree(FOLDER / "tiny-sd3" / "tokenizer_3")
    shutil.copytree(FIXTURES / T5_TOKENIZER / "both", FOLDER / "tiny-sd3" / "tokenizer_3")
    write("tiny-sd35", pipeline(70, joint_attention_dim=20, num_layers=3, num_attention_heads=4, attention_head_dim=4,
                                qk_norm="rms_norm", dual_attention_layers=(0, 1)), clips)  # fmt: skip


KINDS = {"block": r"transformer_blocks\.\d+", "joint_attention": r".*\.attn", "self_attention": r".*\.attn2",
         "feed_forward": r".*\.ff(_context)?"}  # fmt: skip


class Reuse:
    """Wraps a transformer's modules by a configuration in Reprise's JSON form (patterns only)."""

    def __init__(self, model, config, num_steps):
        self.model, self.step, self.wrapped = model, -1, []
        self.hook = model.register_forward_pre_hook(self.next_step)
        chosen = {}
        for entry in config:
            kinds = [KINDS[kind] for kind in entry.get("kinds", ["block"])]
            shown = [n for n, _ in model.named_modules() if any(re.fullmatch(kind, n) for kind in kinds)]
            matched = [n for n in shown if fnmatch.fnmatchcase(n, entry["wildcard_or_filter_func"])]
            assert matched, entry
            chosen.update(dict.fromkeys(matched, entry))
        for name, entry in chosen.items():
            steps = {s for s in range(num_steps) if eval(entry["select_cache_step_func"], {"step": s, "num_steps": num_steps})}  # noqa: S307
            self.wrap(name, model.get_submodule(name), steps, entry.get("store", "output"))

    def next_step(self, *_):
        self.step += 1

    @staticmethod
    def streams(name, args, kwargs):
        """What each output transforms."""
        if name.rpartition(".")[2].startswith("ff"):
            return [args[0]]
        x, text = kwargs["hidden_states"], kwargs.get("encoder_hidden_states")
        if ".attn" in name:
            return [x, text]
        return [text, x]

    def wrap(self, name, module, steps, store):
        forward = module.forward
        memory = {}

        def run(*args, **kwargs):
            inputs = self.streams(name, args, kwargs)
            if self.step not in steps:
                memory["outputs"], memory["inputs"] = forward(*args, **kwargs), inputs
                return memory["outputs"]
            if store == "output":
                return memory["outputs"]
            last = memory["outputs"]
            if isinstance(last, torch.Tensor):
                return inputs[0] + (last - memory["inputs"][0])
            triples = zip(inputs, last, memory["inputs"], strict=True)
            return tuple(None if then is None else now + (then - before) for now, then, before in triples)

        module.forward = run
        self.wrapped.append((module, forward))

    def remove(self):
        self.hook.remove()
        for module, forward in self.wrapped:
            module.forward = forward


ODD = "step % 2 != 0"
DEFAULT = {"tiny-sd3": "transformer_blocks.[0-3]", "tiny-sd35": "transformer_blocks.[01]"}
DELTA = [{"wildcard_or_filter_func": "transformer_blocks.[1-5]", "select_cache_step_func": ODD, "store": "delta"}]
ATTENTION = [
    {"wildcard_or_filter_func": "*", "select_cache_step_func": "step % 3 != 0", "kinds": ["joint_attention"], "store": "delta"},
    {"wildcard_or_filter_func": "*ff_context", "select_cache_step_func": ODD, "kinds": ["feed_forward"]},
]
DUAL = [{"wildcard_or_filter_func": "*", "select_cache_step_func": ODD, "kinds": ["self_attention"]}]
SD3 = {"model": "tiny-sd3", "prompt": "red apple", "num_inference_steps": 8, "guidance_scale": 7.0, "seed": 42}
SD35 = SD3 | {"model": "tiny-sd35"}
LONG = "a cat and a dog and a bird and a fish sit on a table with a red apple and a green pear " * 6
CASES = [
    {"name": "sd3_full", **SD3, "num_inference_steps": 28},
    {"name": "sd3_default", **SD3, "cache": "default"},
    {"name": "sd3_delta", **SD3, "cache": DELTA},
    {"name": "sd3_attention", **SD3, "cache": ATTENTION},
    {"name": "sd3_texts", **SD3, "prompt_2": "on a table", "prompt_3": "a dog 🐕 runs", "negative_prompt": "blue",
     "negative_prompt_2": "blurred sky", "negative_prompt_3": "dark"},
    {"name": "sd3_first_texts", **SD3, "prompt_2": "", "negative_prompt": "blue", "negative_prompt_2": "",
     "clip_skip": 1, "max_sequence_length": 19},
    {"name": "sd3_long", **SD3, "prompt": LONG, "max_sequence_length": 64, "height": 48, "width": 80},
    {"name": "sd35_full", **SD35, "num_inference_steps": 20},
    {"name": "sd35_default", **SD35, "cache": "default", "num_inference_steps": 9},
    {"name": "sd35_dual", **SD35, "cache": DUAL},
    {"name": "sd35_no_guidance", **SD35, "guidance_scale": 1.0, "cache": "default", "height": 32},
    {"name": "sd35_two_prompts", **SD35, "prompt": ["red apple", "a dog 🐕 runs"], "num_images_per_prompt": 2,
     "negative_prompt": "blue", "max_sequence_length": 3, "cache": "default"},
]  # fmt: skip
PICTURES = ("sd3_full", "sd3_default", "sd3_long", "sd35_full")


def main():
    write_folders()
    tensors = {}
    for case in CASES:
        options = {k: v for k, v in case.items() if k not in ("name", "model", "cache", "seed")}
        if isinstance(case["prompt"], list) and "negative_prompt" in options:
            options["negative_prompt"] = [options["negative_prompt"]] * len(case["prompt"])
        absent = {} if case["model"] == "tiny-sd3" else {"text_encoder_3": None, "tokenizer_3": None}
        pipe = StableDiffusion3Pipeline.from_pretrained(FOLDER / case["model"], torch_dtype=torch.float32, **absent)
        pipe.set_progress_bar_config(disable=True)
        reuse = None
        if "cache" in case:
            config = case["cache"]
            if config == "default":
                config = [{"wildcard_or_filter_func": DEFAULT[case["model"]], "select_cache_step_func": ODD}]
            reuse = Reuse(pipe.transformer, config, case["num_inference_steps"])
        with torch.no_grad():
            generator = torch.Generator().manual_seed(case["seed"])
            latents = pipe(**options, generator=generator, output_type="latent").images
            tensors[case["name"]] = latents.contiguous()
            if case["name"] in PICTURES:
                picture = pipe.vae.decode(latents / pipe.vae.config.scaling_factor + pipe.vae.config.shift_factor).sample
                image = pipe.image_processor.postprocess(picture, output_type="pil")[0]
                tensors["image/" + case["name"]] = torch.from_numpy(numpy.array(image))
        if reuse:
            reuse.remove()
        print(case["name"], tuple(latents.shape), float(latents.abs().max()))
    save_file(tensors, FOLDER / "sd3_runs.safetensors")
    (FOLDER / "sd3_runs.safetensors").chmod(0o644)
    (FOLDER / "sd3_runs.json").write_text(json.dumps(CASES, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
