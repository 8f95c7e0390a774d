"""Reuse on pipelines of diffusers. Needs torch and diffusers; skipped without them."""

import copy
import json

import numpy
import pytest
from conftest import PIPELINES, ROOT, quiet

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

import reprise  # noqa: E402
from PIL import Image  # noqa: E402
from reprise import _core, cachify  # noqa: E402
from reprise.adapter.families import FAMILIES, denoiser_of, named_modules  # noqa: E402
from reprise.adapter.steps import steps_of_evaluations  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

torch.set_num_threads(1)  # for operations as small as these

CLASSES = {
    "tiny-sdxl": "StableDiffusionXLPipeline",
    "tiny-sd": "StableDiffusionPipeline",
    "tiny-sd3": "StableDiffusion3Pipeline",
    "tiny-sd35": "StableDiffusion3Pipeline",
    "tiny-pixart": "PixArtAlphaPipeline",
    "tiny-pixart-ms": "PixArtAlphaPipeline",
    "tiny-pixart-sigma": "PixArtSigmaPipeline",
    "tiny-svd": "StableVideoDiffusionPipeline",
}
EMOJI = ROOT / "models" / "emoji-sdxl"
HEUN = {"heun": (diffusers.HeunDiscreteScheduler, {}), "ddim": (diffusers.DDIMScheduler, {}),
        "dpm++2m-karras": (diffusers.DPMSolverMultistepScheduler, {"use_karras_sigmas": True})}  # fmt: skip
DEFAULT = cachify.SDXL_DEFAULT_CONFIG
STEPS = 6
opened = {}


def pipeline(folder, scheduler=None, dtype=torch.float32):
    """The fixture's pipeline, not prepared. The same objects each time; its scheduler is its own again."""
    key = (folder, dtype)
    if key not in opened:
        absent = {"text_encoder_3": None, "tokenizer_3": None} if folder == "tiny-sd35" else {}
        kind = getattr(diffusers, CLASSES[folder])
        opened[key] = quiet(kind.from_pretrained(PIPELINES / folder, dtype=dtype, **absent))
    pipe = opened[key]
    cachify.unprepare(pipe)
    kind = type(pipe.scheduler) if scheduler is None else None
    if scheduler is not None:
        kind, extra = HEUN[scheduler]
        pipe = copy.copy(pipe)
        pipe.scheduler = kind.from_config(pipe.scheduler.config, **extra)
    return pipe


def latents(pipe, seed=42, **options):
    options = {"num_inference_steps": STEPS, "guidance_scale": 5.0, "prompt": "red apple"} | options
    with torch.no_grad():
        return pipe(**options, generator=torch.Generator().manual_seed(seed), output_type="latent").images


def difference(a, b):
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    assert a.shape == b.shape
    return float((a - b).abs().max() / b.abs().max())


def cached_runs():
    for name in ("runs", "sd3_runs", "pixart_runs", "svd_videos"):
        for run in json.loads((PIPELINES / f"{name}.json").read_text()):
            if "cache" in run:
                yield pytest.param(run | {"results": f"{name}.safetensors"}, id=run["name"])


@pytest.mark.parametrize("run", list(cached_runs()))
def test_latents_are_those_of_the_wrapped_modules_and_of_the_library(run):
    """The fixtures' latents, which the C++ pipelines are held to as well, were made with modules wrapped one by one."""
    folder = run.get("model", "tiny-svd")
    options = {k: v for k, v in run.items() if k not in ("name", "model", "cache", "seed", "results", "scheduler")}
    pipe = pipeline(folder, run.get("scheduler"))
    if folder == "tiny-pixart":
        options["use_resolution_binning"] = False
    if isinstance(options.get("prompt"), list) and "negative_prompt" in options:
        options["negative_prompt"] = [options["negative_prompt"]] * len(options["prompt"])
    if folder == "tiny-svd":
        options["image"] = Image.open(ROOT / "tests/fixtures/io" / run["image"]).convert("RGB")
    if isinstance(options.get("latents"), int):
        shape = (1, 3, 4, run["height"] // 2, run["width"] // 2)
        options["latents"] = torch.randn(shape, generator=torch.Generator().manual_seed(run["latents"]))
    cachify.prepare(pipe, run["num_inference_steps"], run["cache"])
    with torch.no_grad():
        out = pipe(**options, generator=torch.Generator().manual_seed(run["seed"]), output_type="latent")
    result = out.frames if folder == "tiny-svd" else out.images
    assert difference(result, load_file(PIPELINES / run["results"])[run["name"]]) < 1e-3


@pytest.mark.parametrize("cache", ["off", "default", "deepcache:interval=3,branch=1", "taylorseer:interval=3"])
def test_the_bundled_model_on_both_roads(cache):
    kind = diffusers.StableDiffusionXLPipeline
    theirs = opened.setdefault("emoji", quiet(kind.from_pretrained(EMOJI, dtype=torch.float32)))
    ours = opened.setdefault("ours", quiet(reprise.Pipeline.from_pretrained(EMOJI, precision="f32", vae_precision="f32")))
    for pipe in (theirs, ours):
        cachify.unprepare(pipe)
        if cache != "off":
            cachify.prepare(pipe, 8, cachify.make_policy(pipe, cache))
    expected = ours("red apple", num_inference_steps=8, seed=42, guidance_scale=5.0, decode=False)
    assert difference(latents(theirs, num_inference_steps=8), expected.latents) < 1e-3
    assert (cache != "off") == any(step.reused for step in expected.report.steps)


@pytest.mark.parametrize("folder", [name for name in CLASSES if name != "tiny-svd"])
def test_embeddings_are_the_library_s(folder):
    theirs, ours = (
        pipeline(folder),
        reprise.Pipeline.from_pretrained(PIPELINES / folder, precision="f32", vae_precision="f32"),
    )
    names = ["prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"]
    if "pixart" in folder:
        names = ["prompt_embeds", "prompt_attention_mask", "negative_prompt_embeds", "negative_prompt_attention_mask"]
    extra = {"device": "cpu", "num_images_per_prompt": 1} if folder == "tiny-sd" else {}
    extra |= {"prompt_2": None, "prompt_3": None} if "sd3" in folder else {}
    with torch.no_grad():
        made = theirs.encode_prompt("red apple", negative_prompt="blue", do_classifier_free_guidance=True, **extra)
    made = dict(zip(names, made, strict=False))
    found = ours.encode_prompt("red apple", negative_prompt="blue")
    assert found.keys() == made.keys()
    for name, array in found.items():
        assert difference(array, made[name].float()) < 1e-4, name


@pytest.mark.parametrize("folder", CLASSES)
def test_modules_have_the_names_and_kinds_that_the_library_gives_them(folder):
    ours = reprise.Pipeline.from_pretrained(PIPELINES / folder, precision="f32", vae_precision="f32")
    theirs = cachify._modules(pipeline(folder)).all()
    assert sorted(theirs) == sorted(ours.modules())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("EulerDiscreteScheduler", {}),
        ("EulerAncestralDiscreteScheduler", {}),
        ("HeunDiscreteScheduler", {}),
        ("DDIMScheduler", {}),
        ("DPMSolverMultistepScheduler", {}),
        ("PNDMScheduler", {"skip_prk_steps": True}),
        ("PNDMScheduler", {"skip_prk_steps": False}),
        ("FlowMatchEulerDiscreteScheduler", {}),
    ],
)
def test_evaluations_belong_to_the_steps_that_the_library_says(kind, options):
    scheduler = getattr(diffusers, kind)(**options)
    for steps in (4, 7, 20):
        scheduler.set_timesteps(steps)
        config = json.dumps(dict(scheduler.config) | {"_class_name": kind})
        assert steps_of_evaluations(scheduler) == _core.steps_of_evaluations(config, steps)


def test_disabled_it_changes_nothing_and_unprepared_nothing_is_left():
    pipe = pipeline("tiny-sdxl")
    modules = dict(pipe.unet.named_modules())
    before = {name: dict(vars(module)) for name, module in modules.items()}
    scheduler, names = set(vars(pipe.scheduler)), list(pipe.unet.state_dict())
    plain = latents(pipe)
    cachify.prepare(pipe, STEPS, DEFAULT)
    assert not torch.equal(latents(pipe), plain)
    assert list(pipe.unet.state_dict()) == names
    assert dict(pipe.unet.named_modules()) == modules
    cachify.disable(pipe)
    assert torch.equal(latents(pipe), plain)
    cachify.unprepare(pipe)
    assert torch.equal(latents(pipe), plain)
    assert set(vars(pipe.scheduler)) == scheduler
    for name, module in modules.items():
        assert vars(module).keys() == before[name].keys(), name
        assert "forward" not in vars(module)
        assert not module._forward_pre_hooks and not module._forward_hooks


def test_modules_are_skipped_and_not_only_their_results_thrown_away():
    pipe = pipeline("tiny-sdxl")
    ran = {name: 0 for name in ("mid_block", "up_blocks.1", "up_blocks.2", "mid_block.resnets.0")}
    modules = named_modules(pipe.unet)

    def counted(name, forward):
        def run(*args, **kwargs):
            ran[name] += 1
            return forward(*args, **kwargs)

        return run

    for name in ran:
        modules[name].forward = counted(name, modules[name].forward)
    try:
        cachify.prepare(pipe, STEPS, DEFAULT)
        latents(pipe)
        assert ran == {"mid_block": 3, "up_blocks.1": 3, "up_blocks.2": 6, "mid_block.resnets.0": 3}
        cachify.unprepare(pipe)
        latents(pipe)
        assert ran["mid_block"] == 9  # what was there before is there again
    finally:
        for name in ran:
            del modules[name].forward


def test_the_few_lines_with_and_without_the_number_of_steps():
    pipe = pipeline("tiny-sdxl")
    cachify.prepare(pipe, STEPS, DEFAULT)
    expected = latents(pipe)
    cachify.prepare(pipe, DEFAULT)
    with cachify.infer(pipe) as cached:
        assert cached is pipe
        assert torch.equal(latents(cached), expected)
    assert not torch.equal(latents(pipe), expected)
    cachify.enable(pipe)
    assert torch.equal(latents(pipe), expected)
    cachify.reset_status(pipe)
    assert torch.equal(latents(pipe), expected)
    cachify.unprepare(pipe)
    for function in (cachify.enable, cachify.disable, cachify.reset_status):
        with pytest.raises(ValueError, match="prepare first"):
            function(pipe)


def test_a_generation_never_sees_another_s_tensors():
    pipe = pipeline("tiny-sdxl")
    cachify.prepare(pipe, STEPS, DEFAULT)
    expected = latents(pipe)
    cases = [
        {"seed": 7},
        {"prompt": ["red apple", "a dog"]},
        {"height": 72},
        {"guidance_scale": 1.0},
        {"num_inference_steps": 9},
    ]
    fresh = []
    for options in cases:
        cachify.unprepare(pipe)
        cachify.prepare(pipe, STEPS, DEFAULT)
        fresh.append(latents(pipe, **options))
    for options, alone in zip(cases, fresh, strict=True):
        assert torch.equal(latents(pipe, **options), alone), options
        assert torch.equal(latents(pipe), expected)

    def stop(_pipe, step, _timestep, _values):
        if step == 2:
            raise InterruptedError
        return {}

    with pytest.raises(InterruptedError):
        latents(pipe, seed=3, callback_on_step_end=stop)
    assert torch.equal(latents(pipe), expected)


def test_nothing_is_kept_after_the_last_step():
    pipe = pipeline("tiny-sdxl")
    cachify.prepare(pipe, STEPS, DEFAULT)
    latents(pipe)
    reuse = pipe.unet._reprise
    assert reuse._forwards and all(not any(forward.memory.values()) for forward in reuse._forwards.values())


def test_what_is_kept_is_not_changed_by_those_who_change_outputs_in_place():
    pipe = pipeline("tiny-sdxl")
    cachify.prepare(pipe, STEPS, DEFAULT)
    results = []
    for change in (lambda _m, _a, x: x * 0.5, lambda _m, _a, x: x.mul_(0.5)):
        handle = pipe.unet.mid_block.register_forward_hook(change)
        results.append(latents(pipe))
        handle.remove()
    assert torch.equal(*results)
    assert not torch.equal(results[0], latents(pipe))


def test_two_passes_of_guidance_are_two_branches():
    """A loop of one's own that calls the denoiser for each half of guidance by itself."""
    pipe = pipeline("tiny-sdxl")

    def run():
        with torch.no_grad():
            texts = pipe.encode_prompt("red apple", do_classifier_free_guidance=True)
            ids = torch.tensor([[64.0, 64, 0, 0, 64, 64]])
            pipe.scheduler.set_timesteps(STEPS)
            x = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(42)) * pipe.scheduler.init_noise_sigma
            for t in pipe.scheduler.timesteps:
                halves = [
                    pipe.unet(pipe.scheduler.scale_model_input(x, t), t, encoder_hidden_states=text,
                              added_cond_kwargs={"text_embeds": pooled, "time_ids": ids}).sample
                    for text, pooled in ((texts[1], texts[3]), (texts[0], texts[2]))
                ]  # fmt: skip
                x = pipe.scheduler.step(halves[0] + 5.0 * (halves[1] - halves[0]), t, x).prev_sample
            return x

    plain = run()
    cachify.prepare(pipe, STEPS, DEFAULT)
    reused = run()
    assert difference(reused, plain) > 1e-2
    assert difference(reused, latents(pipe)) < 1e-4  # one batch of two


def test_steps_are_counted_once_however_often_the_denoiser_is_called():
    pipe = pipeline("tiny-sdxl", "heun")
    by_step, by_call = [], []
    for count in ("steps", "evaluations"):
        cachify.prepare(pipe, 4, DEFAULT, count=count)
        (by_step if count == "steps" else by_call).append(latents(pipe, num_inference_steps=4))
        rules = pipe.unet._reprise._decided[1]
        assert rules.num_decisions == (4 if count == "steps" else 7)
    assert not torch.equal(by_step[0], by_call[0])


def test_another_scheduler_in_its_place():
    pipe = pipeline("tiny-sdxl", "heun")
    cachify.prepare(pipe, STEPS, DEFAULT)
    expected = latents(pipe)
    pipe = pipeline("tiny-sdxl", "ddim")
    cachify.prepare(pipe, STEPS, DEFAULT)
    latents(pipe)
    pipe.scheduler = diffusers.HeunDiscreteScheduler.from_config(pipe.scheduler.config)
    assert difference(latents(pipe), expected) < 1e-5


def test_copies_are_not_prepared():
    pipe = pipeline("tiny-sdxl")
    plain = latents(pipe)
    cachify.prepare(pipe, STEPS, DEFAULT)
    reused = latents(pipe)
    other = copy.copy(pipe)
    other.unet, other.scheduler = copy.deepcopy(pipe.unet), copy.deepcopy(pipe.scheduler)
    assert torch.equal(latents(other), plain)
    with torch.no_grad():
        next(other.unet.mid_block.parameters()).zero_()
    assert not torch.equal(latents(other), plain)
    assert torch.equal(latents(pipe), reused)


def test_inference_mode():
    pipe = pipeline("tiny-sdxl")
    cachify.prepare(pipe, STEPS, DEFAULT)
    expected = latents(pipe)
    with torch.inference_mode():
        assert torch.equal(latents(pipe), expected)
    assert torch.equal(latents(pipe), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_types(dtype):
    pipe = pipeline("tiny-sdxl", dtype=dtype)
    plain = latents(pipe)
    cachify.prepare(
        pipe, STEPS, [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [2, 3], "store": {"forecast": 1}}]
    )
    reused = latents(pipe)
    assert reused.dtype == dtype and not torch.equal(reused, plain)


def with_a_denoiser_to_change(config):
    """The small pipeline, not prepared, with a denoiser that no other test has; its latents in full, and prepared so."""
    pipe = pipeline("tiny-sdxl")
    plain = latents(pipe)
    cachify.prepare(pipe, STEPS, config)
    expected = latents(pipe)
    cachify.unprepare(pipe)
    pipe.unet = copy.deepcopy(pipe.unet)
    return pipe, plain, expected


@pytest.mark.parametrize("when", ["before", "after"])
def test_compiled_blocks(when):
    pipe, _, expected = with_a_denoiser_to_change(DEFAULT)
    try:
        if when == "after":
            cachify.prepare(pipe, STEPS, DEFAULT)
        seen = []

        def backend(module, inputs):
            seen.append(module)
            return module.forward

        for block in (*pipe.unet.down_blocks, pipe.unet.mid_block, *pipe.unet.up_blocks):
            block.compile(backend=backend)
        if when == "before":
            cachify.prepare(pipe, STEPS, DEFAULT)
        assert difference(latents(pipe), expected) < 1e-4
        assert len(seen) >= 3  # blocks are still compiled
        assert difference(latents(pipe), expected) < 1e-4
    finally:
        torch._dynamo.reset()
        opened.clear()


@pytest.mark.parametrize("when", ["before", "after"])
def test_offloaded_weights(when):
    accelerate = pytest.importorskip("accelerate")
    pipe, plain, expected = with_a_denoiser_to_change(DEFAULT)
    try:
        if when == "after":
            cachify.prepare(pipe, STEPS, DEFAULT)
            latents(pipe)
        accelerate.cpu_offload(pipe.unet, execution_device=torch.device("cpu"))
        if when == "before":
            cachify.prepare(pipe, STEPS, DEFAULT)
        assert next(pipe.unet.mid_block.parameters()).device.type == "meta"
        assert torch.equal(latents(pipe), expected)
        if when == "before":
            cachify.unprepare(pipe)
            assert torch.equal(latents(pipe), plain)
            cachify.prepare(pipe, STEPS, DEFAULT)
        accelerate.hooks.remove_hook_from_module(pipe.unet, recurse=True)
        assert torch.equal(latents(pipe), expected)
        cachify.unprepare(pipe)
        assert torch.equal(latents(pipe), plain)
    finally:
        opened.clear()


@pytest.mark.parametrize("blocks", [1, 2, None])
@pytest.mark.parametrize("when", ["before", "after"])
def test_weights_that_are_offloaded_in_groups(blocks, when, tmp_path, monkeypatch):
    """Of a group of two blocks the first, which brings the group's weights, may be reused while the second runs."""
    from diffusers.hooks.group_offloading import ModuleGroup, apply_group_offloading

    monkeypatch.setattr(ModuleGroup, "_offload_to_disk", poisoned(ModuleGroup._offload_to_disk))
    config = [{"wildcard_or_filter_func": "down_blocks.0", "select_cache_step_func": "step % 2 != 0"}]
    pipe, plain, expected = with_a_denoiser_to_change(config)
    try:
        if when == "after":
            cachify.prepare(pipe, STEPS, config)
            latents(pipe)
        grouped = (
            {"offload_type": "block_level", "num_blocks_per_group": blocks} if blocks else {"offload_type": "leaf_level"}
        )
        cpu = torch.device("cpu")
        apply_group_offloading(pipe.unet, cpu, cpu, offload_to_disk_path=str(tmp_path), **grouped)
        if when == "before":
            cachify.prepare(pipe, STEPS, config)
        assert next(pipe.unet.down_blocks[0].parameters()).isnan().all()
        assert torch.equal(latents(pipe), expected)
        cachify.unprepare(pipe)
        assert torch.equal(latents(pipe), plain)
    finally:
        opened.clear()


def poisoned(offload):
    """Weights on disk are no longer in memory: what happens to lie there must not be used."""

    def run(group):
        offload(group)
        for weight in (*group.parameters, *(p for module in group.modules for p in module.parameters())):
            weight.data = torch.full_like(weight.data, float("nan"))

    return run


def test_low_rank_adapters():
    pytest.importorskip("peft")
    pipe = pipeline("tiny-sdxl")
    pipe.unet = copy.deepcopy(pipe.unet)
    generator = torch.Generator().manual_seed(1)
    adapter = {}
    for name, module in pipe.unet.named_modules():
        if name.endswith(("to_q", "to_v")):
            for side, shape in (("A", (2, module.in_features)), ("B", (module.out_features, 2))):
                adapter[f"unet.{name}.lora_{side}.weight"] = torch.randn(shape, generator=generator)
    results = []
    try:
        plain = latents(pipe)
        for when in ("before", "after"):
            if when == "after":
                cachify.prepare(pipe, STEPS, DEFAULT)
                latents(pipe)
            pipe.load_lora_weights(dict(adapter))
            if when == "before":
                cachify.prepare(pipe, STEPS, DEFAULT)
            results.append(latents(pipe))
            cachify.disable(pipe)
            adapted = latents(pipe)
            assert difference(adapted, plain) > 1e-3 and difference(adapted, results[-1]) > 1e-3
            pipe.unload_lora_weights()
            assert difference(latents(pipe), plain) < 1e-5  # the weights are elsewhere in memory
            cachify.unprepare(pipe)
        assert difference(*results) < 1e-5
    finally:
        opened.clear()


def test_modules_that_give_dataclasses_and_dicts():
    from reprise.adapter.structure import combined, copied

    output = diffusers.models.modeling_outputs.Transformer2DModelOutput(sample=torch.ones(2))
    value = {"a": (output, [torch.zeros(1), None]), "b": 3}
    other = copied(value)
    other["a"][0].sample.mul_(5)
    assert value["a"][0].sample.tolist() == [1, 1] and type(other["a"][0]) is type(output)
    doubled = combined(lambda x, y: x + y, value, other)
    assert doubled["a"][0].sample.tolist() == [6, 6] and doubled["a"][1][1] is None and doubled["b"] == 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            [{"wildcard_or_filter_func": "up_block.7", "select_cache_step_func": "step > 1"}],
            "matches no module of kind block",
        ),
        (
            [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "step == 0"}],
            "'mid_block' is to be reused at step 0",
        ),
        ("guidance", "halves of guidance.*not supported on diffusers"),
        ("tgate", "not supported on diffusers"),
    ],
)
def test_bad_configurations_change_nothing(config, message):
    pipe = pipeline("tiny-sdxl")
    plain = latents(pipe)
    with pytest.raises(ValueError, match=message):
        cachify.prepare(pipe, STEPS, config)
    assert torch.equal(latents(pipe), plain)


@pytest.mark.parametrize("rule", ["", "delta_"])
def test_a_forecast_is_a_linear_combination(rule):
    """At evenly spaced steps a line through the last two values has the weights 2 and -1."""
    pipe = pipeline("tiny-sdxl")
    results = []
    for store in ({f"{rule}forecast": 1}, {f"{rule}linear": [2, -1]}, {f"{rule}linear": [[], [], [2, -1]]}):
        cachify.prepare(
            pipe, STEPS, [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [2], "store": store}]
        )
        results.append(latents(pipe))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    with pytest.raises(ValueError, match="as a sum of its last 2 outputs"):
        config = [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [1], "store": {"linear": [2, -1]}}]
        cachify.prepare(pipe, STEPS, config)


@pytest.mark.parametrize("store", ["output", "delta", {"forecast": 1}, {"delta_forecast": 1}, {"linear": [1]}])
def test_kept_in_half_the_bytes(store):
    """Loses the last digits and no more, and comes back in the type that it had."""
    pipe = pipeline("tiny-sdxl")
    config = [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "step % 2 != 0", "store": store}]
    cachify.prepare(pipe, STEPS, config)
    whole = latents(pipe)
    cachify.prepare(pipe, STEPS, [config[0] | {"kept_in": "f16"}])
    types = set()

    def look(*_):
        memory = vars(pipe.unet)["_reprise"]._forwards["mid_block"].memory
        types.update(value.dtype for kept in memory.values() for _, value in kept)

    hook = pipe.unet.conv_in.register_forward_hook(look)
    half = latents(pipe)
    hook.remove()  # pipelines share their modules
    assert half.dtype == whole.dtype and 0 < difference(half, whole) < 1e-3
    assert types == {torch.float16}


def test_what_is_not_supported_says_so():
    pipe = pipeline("tiny-sdxl")
    samplers = [
        {
            "wildcard_or_filter_func": "*downsamplers.0",
            "select_cache_step_func": "step > 1",
            "kinds": ["sampler"],
            "store": "delta",
        }
    ]
    cachify.prepare(pipe, STEPS, samplers)
    with pytest.raises(ValueError, match="cannot be stored as a delta"):
        latents(pipe)
    cachify.prepare(pipe, STEPS, DEFAULT)
    pipe.scheduler.set_timesteps(STEPS)
    sample, text = torch.zeros(1, 4, 8, 8), torch.zeros(1, 3, 24)
    added = {"text_embeds": torch.zeros(1, 16), "time_ids": torch.zeros(1, 6)}
    with pytest.raises(RuntimeError, match="without a step of the pipeline's scheduler"), torch.no_grad():
        for _ in range(100):
            pipe.unet(sample, 5, encoder_hidden_states=text, added_cond_kwargs=added)
    cachify.unprepare(pipe)
    other = copy.copy(pipe)
    other.unet = pipe.vae
    with pytest.raises(ValueError, match="AutoencoderKL is not known"):
        cachify.prepare(other, STEPS, DEFAULT)
    with pytest.raises(TypeError, match="expected a reprise.Pipeline or a pipeline of diffusers"):
        cachify.prepare(pipe.unet, STEPS, DEFAULT)


def family_denoiser(name):
    """A small random denoiser of that class, and what it is called with."""
    torch.manual_seed(0)
    text, picture = torch.randn(1, 5, 16), torch.randn(1, 16, 16)
    if name == "FluxTransformer2DModel":
        model = diffusers.FluxTransformer2DModel(in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=8,
                                                 num_attention_heads=2, joint_attention_dim=16, pooled_projection_dim=8,
                                                 axes_dims_rope=(2, 2, 4))  # fmt: skip
        call = {"hidden_states": picture, "encoder_hidden_states": text, "pooled_projections": torch.randn(1, 8),
                "timestep": torch.tensor([0.5]), "img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(5, 3),
                "guidance": None}  # fmt: skip
    elif name == "QwenImageTransformer2DModel":
        model = diffusers.QwenImageTransformer2DModel(in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16,
                                                      num_attention_heads=2, joint_attention_dim=16,
                                                      axes_dims_rope=(4, 6, 6))  # fmt: skip
        call = {"hidden_states": picture, "encoder_hidden_states": text, "timestep": torch.tensor([0.5]),
                "encoder_hidden_states_mask": torch.ones(1, 5, dtype=torch.bool), "img_shapes": [(1, 4, 4)]}  # fmt: skip
    elif name == "SanaTransformer2DModel":
        model = diffusers.SanaTransformer2DModel(in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8,
                                                 num_layers=2, num_cross_attention_heads=2, cross_attention_head_dim=8,
                                                 cross_attention_dim=16, caption_channels=16, sample_size=8)  # fmt: skip
        call = {"hidden_states": torch.randn(1, 4, 8, 8), "encoder_hidden_states": text, "timestep": torch.tensor([5])}
    elif name == "CogVideoXTransformer3DModel":
        model = diffusers.CogVideoXTransformer3DModel(num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4,
                                                      time_embed_dim=4, text_embed_dim=16, num_layers=2, sample_width=8,
                                                      sample_height=8, sample_frames=5, max_text_seq_length=5)  # fmt: skip
        call = {"hidden_states": torch.randn(1, 2, 4, 8, 8), "encoder_hidden_states": text, "timestep": torch.tensor([5])}
    elif name == "LTXVideoTransformer3DModel":
        model = diffusers.LTXVideoTransformer3DModel(in_channels=16, out_channels=16, num_attention_heads=2, attention_head_dim=8,
                                                     cross_attention_dim=16, num_layers=2, caption_channels=16)  # fmt: skip
        call = {"hidden_states": torch.randn(1, 8, 16), "encoder_hidden_states": text, "timestep": torch.tensor([5]),
                "encoder_attention_mask": torch.ones(1, 5), "num_frames": 2, "height": 2, "width": 2}  # fmt: skip
    elif name == "WanTransformer3DModel":
        model = diffusers.WanTransformer3DModel(num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
                                                text_dim=16, freq_dim=8, ffn_dim=16, num_layers=2)  # fmt: skip
        call = {"hidden_states": torch.randn(1, 4, 2, 8, 8), "encoder_hidden_states": text, "timestep": torch.tensor([5])}
    else:
        model = diffusers.DiTTransformer2DModel(num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=2,
                                                sample_size=8)  # fmt: skip
        call = {"hidden_states": torch.randn(1, 4, 8, 8), "timestep": torch.tensor([5]), "class_labels": torch.tensor([1])}
    return model.eval(), call


class Bare:
    """A pipeline of a denoiser and a scheduler."""

    def __init__(self, transformer):
        self.transformer = transformer
        self.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in FAMILIES
        if not hasattr(reprise, n)
        and n
        not in (
            "UNet2DConditionModel",
            "UNetSpatioTemporalConditionModel",
            "PixArtTransformer2DModel",
            "SD3Transformer2DModel",
        )
    ],
)
@pytest.mark.parametrize("store", ["output", "delta"])
def test_other_families(name, store):
    """Given the same again, a reused step is the step before it; given something else, it is not what it would have been.
    With deltas, a step whose blocks are all reused still follows its input."""
    model, call = family_denoiser(name)
    pipe = Bare(model)
    blocks = cachify._modules(pipe).all()
    assert sum(kind == "block" for _, kind in blocks) >= 2
    everything = [{"wildcard_or_filter_func": "*", "select_cache_step_func": "step % 2 != 0", "store": store}]
    cachify.prepare(pipe, 4, everything)
    other = call | {"hidden_states": call["hidden_states"].roll(1, -1)}
    results = []
    with torch.no_grad():
        fresh = [model(**x, return_dict=False)[0] for x in (call, other)]
        pipe.scheduler.set_timesteps(4)
        for x in (call, call, call, other):
            results.append(model(**x, return_dict=False)[0])
            pipe.scheduler.step(torch.zeros(1), pipe.scheduler.timesteps[len(results) - 1], torch.zeros(1))
    assert torch.equal(results[0], fresh[0])
    assert difference(results[1], results[0]) < 1e-5
    assert difference(results[3], fresh[1]) > 1e-4
    if store == "delta":
        assert difference(results[3], results[2]) > 1e-4
    cachify.unprepare(pipe)
    assert denoiser_of(pipe) is model and "_reprise" not in vars(model)


@pytest.mark.parametrize("name", [n for n in FAMILIES if not n.startswith("UNetSpatio")])
def test_every_policy_is_prepared_or_refused_in_its_name(name, caplog):
    """On denoisers whose stacks have any name, and on a UNet of K blocks, which has no middle and shares its skips."""
    if name == "UNet2DConditionModel":
        model = diffusers.UNet2DConditionModel(
            sample_size=16, layers_per_block=1, block_out_channels=[16, 32], down_block_types=["KDownBlock2D", "KCrossAttnDownBlock2D"],
            up_block_types=["KCrossAttnUpBlock2D", "KUpBlock2D"], mid_block_type=None, cross_attention_dim=16, attention_head_dim=8,
            norm_num_groups=8, time_embedding_type="fourier", resnet_time_scale_shift="scale_shift", act_fn="gelu")  # fmt: skip
        deepest = ["down_blocks.1", "up_blocks.0"]
    elif name in ("PixArtTransformer2DModel", "SD3Transformer2DModel"):
        model = copy.copy(pipeline("tiny-pixart" if name.startswith("PixArt") else "tiny-sd3")).transformer
        deepest = [f"transformer_blocks.{n}" for n in range(1, len(model.transformer_blocks) - 1)]
    else:
        model, _ = family_denoiser(name)
        lists = [n for n in ("blocks", "transformer_blocks", "single_transformer_blocks") if hasattr(model, n)]
        deepest = [f"{n}.{i}" for n in lists for i in range(len(getattr(model, n)))][1:-1]
    pipe = Bare(model)
    prepared = []
    for policy in cachify.policies():
        try:
            cachify.prepare(pipe, 20, policy)
        except ValueError as error:
            assert str(error).startswith(f"{policy}: ") and "\n" not in str(error), policy
            continue
        prepared.append(policy)
        cachify.unprepare(pipe)
    assert "taylorseer" in prepared
    assert ("deepcache" in prepared) == bool(deepest), prepared
    if deepest:
        config = cachify.make_policy(pipe, "deepcache")
        decided = cachify._modules(pipe).decide(config, list(range(20)), "steps", True)
        assert [rule.module for rule in decided.rules] == deepest
    cachify.prepare(pipe, 20, "taylorseer:interval=2")
    caplog.clear()
    cachify.prepare(pipe, 20, [{"wildcard_or_filter_func": "*", "select_cache_step_func": "step > 50"}])
    pipe.scheduler.set_timesteps(20)  # decided again, for the run: said once
    assert [record.message.count("reuses nothing") for record in caplog.records] == [1]
    cachify.unprepare(pipe)


def test_pictures_agree_with_the_library_s():
    theirs = opened.setdefault(
        "emoji", quiet(diffusers.StableDiffusionXLPipeline.from_pretrained(EMOJI, dtype=torch.float32))
    )
    ours = quiet(reprise.Pipeline.from_pretrained(EMOJI, precision="f32", vae_precision="f32"))
    for pipe in (theirs, ours):
        cachify.prepare(pipe, 10, DEFAULT)
    picture = ours("rocket", num_inference_steps=10, seed=7, guidance_scale=5.0).images[0]
    with torch.no_grad():
        other = theirs(
            "rocket", num_inference_steps=10, guidance_scale=5.0, generator=torch.Generator().manual_seed(7)
        ).images[0]
    cachify.unprepare(theirs)
    assert reprise.psnr(picture, other) > 40
    assert numpy.asarray(picture).std() > 5


@pytest.mark.parametrize("folder", ["tiny-sdxl", "tiny-sd", "tiny-sd3", "tiny-pixart"])
def test_lists_and_a_generator_are_taken_as_diffusers_takes_them(folder):
    lists = {"prompt": ["red apple", "a dog"], "negative_prompt": ["blue", "a cat"]}
    if folder in ("tiny-sdxl", "tiny-sd3"):
        lists |= {"prompt_2": ["on a table", "in a box"], "negative_prompt_2": ["green", "dark"]}
    if folder == "tiny-pixart":
        lists |= {"use_resolution_binning": False}
    own = quiet(reprise.Pipeline.from_pretrained(PIPELINES / folder, precision="f32", threads=1))
    expected = latents(pipeline(folder), seed=7, num_images_per_prompt=2, **lists)
    options = {"num_inference_steps": STEPS, "guidance_scale": 5.0, "num_images_per_prompt": 2, "output_type": "latent"}
    generator = torch.Generator().manual_seed(7)
    found = own(**lists, **options, generator=generator).images
    assert difference(found, expected) < 1e-3
    with pytest.raises(ValueError, match="generator was drawn from before"):
        own(**lists, **options, generator=generator)
    with pytest.raises(TypeError, match="^generator is "):
        own(**lists, **options, generator=[torch.Generator(), torch.Generator()])
    other = own(**lists | {"negative_prompt": ["a cat", "blue"]}, **options, seed=7).images
    assert difference(other, expected) > 1e-2
