"""Writes tests/fixtures/pipelines/runs.{json,safetensors}: whole diffusers runs, with and without reuse.

    python tests/parity/pipelines.py

Reuse is design's meaning done naively: every matched module's forward is wrapped so that at a sampler step where its
function says so it gives what its store rule makes of its last outputs, and otherwise runs and remembers. Run after
tiny_pipelines.py. Needs diffusers 0.42 and transformers 5.23.
"""

import fnmatch
import json
from pathlib import Path

import numpy
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "pipelines"
SCHEDULERS = {
    "euler": (EulerDiscreteScheduler, {}),
    "euler_a": (EulerAncestralDiscreteScheduler, {}),
    "heun": (HeunDiscreteScheduler, {}),
    "ddim": (DDIMScheduler, {}),
    "dpm++2m-karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
}
BLOCKS = ("down_blocks.?", "mid_block", "up_blocks.?")
KINDS = {"block": BLOCKS, "cross_attention": ("*.attn2",), "resnet": ("*.resnets.?",), "transformer": ("*.attentions.?",)}


class Reuse:
    """Wraps a UNet's modules by a configuration in Reprise's JSON form (patterns and {"not": pattern} only)."""

    def __init__(self, unet, config, num_steps, step_of_evaluation):
        self.unet, self.step_of = unet, step_of_evaluation
        self.evaluation = -1
        self.hook = unet.register_forward_pre_hook(self.next_evaluation)
        self.wrapped = []
        chosen = {}
        for entry in config:
            names = [n for n, _ in unet.named_modules() if self.shown(n, entry.get("kinds", ["block"]))]
            matched = [n for n in names if self.matches(n, entry["wildcard_or_filter_func"])]
            assert matched, entry
            chosen.update({name: entry for name in matched})
        for name, entry in chosen.items():
            steps = {s for s in range(num_steps) if eval(entry["select_cache_step_func"], {"step": s, "num_steps": num_steps})}  # noqa: S307
            self.wrap(unet.get_submodule(name), steps, entry.get("store", "output"))

    @staticmethod
    def shown(name, kinds):
        return any(fnmatch.fnmatchcase(name, p) for kind in kinds for p in KINDS[kind])

    @staticmethod
    def matches(name, pattern):
        if isinstance(pattern, dict):
            return not Reuse.matches(name, pattern["not"])
        return fnmatch.fnmatchcase(name, pattern)

    def next_evaluation(self, *_):
        self.evaluation += 1

    def wrap(self, module, steps, store):
        forward = module.forward
        memory = []  # newest first: (evaluation, outputs)
        order = store["forecast"] if isinstance(store, dict) else 0

        def as_list(outputs):
            if isinstance(outputs, torch.Tensor):
                return [outputs]
            return [outputs[0], *(outputs[1] if isinstance(outputs[1], tuple) else outputs[1:])] if len(outputs) > 1 else list(outputs)

        def run(*args, **kwargs):
            step = self.step_of(self.evaluation)
            x = args[0] if args else kwargs["hidden_states"]
            if step not in steps:
                outputs = forward(*args, **kwargs)
                memory.insert(0, (self.evaluation, [o.clone() for o in as_list(outputs)], x.clone(), outputs))
                del memory[max(order + 1, 1) :]
                return outputs
            _, last, last_x, shape = memory[0]
            result = list(last)
            if store == "delta" and result[0].shape == x.shape:
                result[0] = x + (last[0] - last_x)
            if order:
                for i in range(len(result)):
                    f = [m[1][i] for m in memory]
                    when = [m[0] for m in memory]
                    level, derivatives = f, [f[0]]
                    for k in range(1, len(f)):
                        level = [(level[j] - level[j + 1]) / (when[j] - when[j + 1]) for j in range(len(level) - 1)]
                        derivatives.append(level[0])
                    h, total, factor = self.evaluation - when[0], 0, 1.0
                    for k, d in enumerate(derivatives):
                        total = total + d * factor
                        factor = factor * h / (k + 1)
                    result[i] = total
            if isinstance(shape, torch.Tensor):
                return result[0]
            if len(shape) > 1 and isinstance(shape[1], tuple):
                return (result[0], tuple(result[1:]))
            return tuple(result)

        module.forward = run
        self.wrapped.append((module, forward))

    def remove(self):
        self.hook.remove()
        for module, forward in self.wrapped:
            module.forward = forward


DEFAULT = [{"wildcard_or_filter_func": {"not": "*up_blocks.2*"}, "select_cache_step_func": "step % 2 != 0"}]
THIRDS = [{"wildcard_or_filter_func": {"not": "*up_blocks.2*"}, "select_cache_step_func": "step % 3 != 0"}]
FINE = [
    {"wildcard_or_filter_func": "*", "select_cache_step_func": "step > 3", "kinds": ["cross_attention"]},
    {"wildcard_or_filter_func": "up_blocks.*", "select_cache_step_func": "step % 2 != 0", "kinds": ["resnet"]},
]
DELTA = [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "step % 2 != 0", "store": "delta"}]
FORECAST = [{"wildcard_or_filter_func": {"not": "*up_blocks.2*"}, "select_cache_step_func": "step > 2 and step % 3 != 0", "store": {"forecast": 2}}]
BLOCK_CHAIN = [
    {"wildcard_or_filter_func": "*.attentions.?", "select_cache_step_func": "step % 3 == 1", "kinds": ["transformer"], "store": "delta"},
]
SD_DEFAULT = [{"wildcard_or_filter_func": {"not": "*up_blocks.3*"}, "select_cache_step_func": "step % 2 != 0"}]

BASE = {"prompt": "red apple", "num_inference_steps": 8, "guidance_scale": 5.0, "seed": 42}
CASES = [
    {"name": "full", "model": "tiny-sdxl", **BASE, "num_inference_steps": 20},
    {"name": "default", "model": "tiny-sdxl", **BASE, "num_inference_steps": 20, "cache": DEFAULT},
    {"name": "heun", "model": "tiny-sdxl", **BASE, "scheduler": "heun", "cache": DEFAULT},
    {"name": "ddim_thirds", "model": "tiny-sdxl", **BASE, "scheduler": "ddim", "cache": THIRDS},
    {"name": "dpm_karras", "model": "tiny-sdxl", **BASE, "scheduler": "dpm++2m-karras", "cache": DEFAULT},
    {"name": "ancestral", "model": "tiny-sdxl", **BASE, "scheduler": "euler_a", "num_images_per_prompt": 2},
    {"name": "fine", "model": "tiny-sdxl", **BASE, "cache": FINE},
    {"name": "delta", "model": "tiny-sdxl", **BASE, "cache": DELTA},
    {"name": "attentions_delta", "model": "tiny-sdxl", **BASE, "cache": BLOCK_CHAIN},
    {"name": "forecast", "model": "tiny-sdxl", **BASE, "num_inference_steps": 11, "cache": FORECAST},
    {"name": "odd_size", "model": "tiny-sdxl", **BASE, "height": 72, "width": 88, "cache": DEFAULT},
    {"name": "no_guidance", "model": "tiny-sdxl", **BASE, "guidance_scale": 1.0, "cache": DEFAULT},
    {"name": "texts", "model": "tiny-sdxl", **BASE, "prompt_2": "on a table", "negative_prompt": "blue",
     "negative_prompt_2": "blurred sky", "guidance_rescale": 0.7},
    {"name": "empty_negative", "model": "tiny-sdxl", **BASE, "negative_prompt": ""},
    {"name": "clip_skip", "model": "tiny-sdxl", **BASE, "clip_skip": 1, "negative_prompt": "blue"},
    {"name": "sizes", "model": "tiny-sdxl", **BASE, "original_size": [100, 200], "crops_coords_top_left": [3, 5],
     "target_size": [90, 80]},
    {"name": "two_prompts", "model": "tiny-sdxl", **BASE, "prompt": ["red apple", "a dog 🐕 runs"],
     "num_images_per_prompt": 2, "cache": DEFAULT},
    {"name": "sd_full", "model": "tiny-sd", **BASE, "guidance_scale": 7.5},
    {"name": "sd_default", "model": "tiny-sd", **BASE, "guidance_scale": 7.5, "cache": SD_DEFAULT},
    {"name": "sd_negative", "model": "tiny-sd", **BASE, "guidance_rescale": 0.5, "negative_prompt": "blue"},
]  # fmt: skip


def step_map(scheduler):
    return {"HeunDiscreteScheduler": lambda e: e // 2, "PNDMScheduler": lambda e: max(0, e - 1)}.get(
        type(scheduler).__name__, lambda e: e
    )


def main():
    classes = {"tiny-sdxl": StableDiffusionXLPipeline, "tiny-sd": StableDiffusionPipeline}
    tensors = {}
    for case in CASES:
        options = {k: v for k, v in case.items() if k not in ("name", "model", "scheduler", "cache", "seed")}
        pipe = classes[case["model"]].from_pretrained(FOLDER / case["model"], torch_dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        if "scheduler" in case:
            kind, extra = SCHEDULERS[case["scheduler"]]
            pipe.scheduler = kind.from_config(pipe.scheduler.config, **extra)
        for key in ("original_size", "target_size", "crops_coords_top_left"):
            if key in options:
                options[key] = tuple(options[key])
        reuse = None
        if "cache" in case:
            reuse = Reuse(pipe.unet, case["cache"], case["num_inference_steps"], step_map(pipe.scheduler))
        generator = torch.Generator().manual_seed(case["seed"])
        with torch.no_grad():
            latents = pipe(**options, generator=generator, output_type="latent").images
            tensors[case["name"]] = latents.contiguous()
            if case["name"] in ("full", "sd_full", "odd_size"):
                scaled = latents / pipe.vae.config.scaling_factor
                picture = pipe.vae.decode(scaled).sample
                image = pipe.image_processor.postprocess(picture, output_type="pil")[0]
                tensors["image/" + case["name"]] = torch.from_numpy(numpy.array(image))
            if case["name"] == "odd_size":
                pipe.vae.enable_tiling()
                pipe.vae.tile_sample_min_size, pipe.vae.tile_latent_min_size = 64, 8
                tensors["tiled/odd_size"] = pipe.vae.decode(scaled).sample
        if reuse:
            reuse.remove()
        print(case["name"], tuple(latents.shape), float(latents.abs().max()))
    save_file(tensors, FOLDER / "runs.safetensors")
    (FOLDER / "runs.json").write_text(json.dumps(CASES, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
