"""Pipelines called from Python."""

import gc
import json
import os
import signal
import subprocess
import threading
import time

import numpy
import pytest
import reprise
from conftest import PIPELINES, ROOT, RUN, STEPS, quiet
from PIL import Image
from reprise import cachify


def test_a_call_gives_pictures_and_latents(pipe):
    out = pipe("red apple", **RUN)
    assert [image.size for image in out.images] == [(64, 64)]
    assert isinstance(out.images[0], Image.Image)
    assert out.latents.shape == (1, 4, 8, 8)
    assert out.latents.dtype == numpy.float32
    assert numpy.array_equal(out.arrays[0], numpy.asarray(out.images[0]))
    assert len(out.report.steps) == STEPS
    assert out.report.scheduler == "EulerDiscreteScheduler"
    assert json.loads(out.report.to_json())["steps"][0]["variant"] == "full"
    assert (pipe.class_name, pipe.denoiser_class) == ("StableDiffusionXLPipeline", "UNet2DConditionModel")
    assert pipe.precision == "f32"


def test_without_decoding_there_are_no_pictures(pipe):
    assert pipe("red apple", decode=False, **RUN).images == []


@pytest.mark.parametrize("cache", ["off", "modelopt", "functions"])
def test_the_command_gives_the_same_bytes(pipe, command, tmp_path, cache):
    """The same call in C++: equal latents and pixels, to the last bit."""
    if cache == "modelopt":
        cachify.prepare(pipe, STEPS, "modelopt")
    elif cache == "functions":  # the command has no functions: the default configuration, as the original writes it
        config = [
            {"wildcard_or_filter_func": lambda n: "up_blocks.2" not in n, "select_cache_step_func": lambda s: s % 2 != 0}
        ]
        cachify.prepare(pipe, STEPS, config)
    out = pipe("red apple", **RUN)
    arguments = {
        "--model": PIPELINES / "tiny-sdxl", "--prompt": "red apple", "--steps": STEPS, "--seed": 42, "--guidance": 5,
        "--precision": "f32", "--guidance-mode": "batched", "--cache": "off" if cache == "off" else "modelopt",
        "--out": tmp_path / "out.png", "--latents-out": tmp_path / "latents.safetensors",
    }  # fmt: skip
    subprocess.run([command, "generate", "-q", *(str(x) for pair in arguments.items() for x in pair)], check=True)
    assert numpy.array_equal(numpy.asarray(Image.open(tmp_path / "out.png")), out.arrays[0])
    data = (tmp_path / "latents.safetensors").read_bytes()
    header = int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8 : 8 + header])["latents"]["data_offsets"]
    assert data[8 + header + begin : 8 + header + end] == out.latents.tobytes()


def test_latents_are_the_library_s_memory_and_outlive_it():
    own = quiet(reprise.Pipeline.from_pretrained(PIPELINES / "tiny-sdxl", precision="f32"))
    out = own("red apple", **RUN)
    latents, pixels = out.latents, out.arrays[0]
    assert numpy.shares_memory(latents, out.latents)
    assert not latents.flags.owndata
    before, colours = latents.copy(), pixels.copy()
    del out, own
    gc.collect()
    assert numpy.array_equal(latents, before)
    assert numpy.array_equal(pixels, colours)


def test_embeddings_in_place_of_texts(pipe):
    texts = {"prompt": ["red apple", "a dog"], "negative_prompt": "blue"}
    embeddings = pipe.encode_prompt(**texts)
    assert {name: array.shape[0] for name, array in embeddings.items()} == dict.fromkeys(
        ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"), 2
    )
    expected = pipe(**texts, **RUN).latents
    assert numpy.array_equal(pipe(**embeddings, **RUN).latents, expected)
    without = reprise.Pipeline.from_pretrained(PIPELINES / "tiny-sdxl", precision="f32", text_encoders=False)
    without.set_progress_bar_config(disable=True)
    assert numpy.array_equal(without(**embeddings, **RUN).latents, expected)
    half = {name: array.astype("float16") for name, array in embeddings.items()}
    assert pipe(**half, **RUN).latents.shape == expected.shape
    with pytest.raises(ValueError, match="a prompt is given beside"):
        pipe("red apple", **embeddings, **RUN)
    del embeddings["pooled_prompt_embeds"]
    with pytest.raises(ValueError, match="pooled_prompt_embeds is not given"):
        pipe(**embeddings, **RUN)


def test_latents_in_place_of_the_seed(pipe):
    noise = reprise.randn((1, 4, 8, 8), 42)
    kept = noise.copy()
    seeded = pipe("red apple", **RUN).latents
    given = pipe("red apple", **RUN | {"seed": 1}, latents=noise).latents
    assert numpy.array_equal(seeded, given)
    assert numpy.array_equal(noise, kept)
    with pytest.raises(ValueError, match=r"\(1, 4, 8, 8\)"):
        pipe("red apple", **RUN, latents=noise[:, :, :4])


def test_the_callback_sees_each_step(pipe):
    cachify.prepare(pipe, STEPS, cachify.SDXL_DEFAULT_CONFIG)
    seen, phases = [], []
    out = pipe("red apple", **RUN, callback_on_step_end=seen.append, on_phase=phases.append)
    assert [info.step for info in seen] == list(range(STEPS))
    assert [info.reused for info in seen] == [step % 2 != 0 for step in range(STEPS)]
    assert all(info.reused_modules == out.report.steps[1].reused_modules for info in seen[1::2])
    assert "down_blocks.0" in seen[1].reused_modules and "up_blocks.2" not in seen[1].reused_modules
    assert seen[0].reused_modules == []
    assert "denoise" in phases and phases[-1] == "decode"


def test_the_callback_s_latents_may_be_kept_and_not_written(pipe):
    kept, copies = [], []

    def keep(info):
        kept.append(info.latents)
        copies.append(info.latents.copy())

    out = pipe("red apple", **RUN, callback_on_step_end=keep)
    assert all(numpy.array_equal(a, b) for a, b in zip(kept, copies, strict=True))
    assert numpy.array_equal(kept[-1], out.latents)
    assert not numpy.array_equal(kept[0], kept[1])
    with pytest.raises(ValueError, match="read-only"):
        kept[0][0] = 0


def test_what_a_callback_raises_stops_the_run_and_comes_out(pipe):
    class Mine(Exception):
        pass

    steps = []

    def stop(info):
        steps.append(info.step)
        if info.step == 2:
            raise Mine("enough")

    with pytest.raises(Mine, match="enough"):
        pipe("red apple", **RUN, callback_on_step_end=stop)
    assert steps == [0, 1, 2]
    assert len(pipe("red apple", **RUN).report.steps) == STEPS  # works as before

    def fail_at_once(phase):
        raise Mine(phase)

    with pytest.raises(Mine, match="text encoder"):
        pipe("red apple", **RUN, on_phase=fail_at_once)


def test_a_callback_may_end_the_run(pipe):
    with pytest.raises(reprise.Cancelled, match="step 2 of 6"):
        pipe("red apple", **RUN, callback_on_step_end=lambda info: info.step < 1)


def test_ctrl_c_stops_the_run(pipe):
    steps = []

    def interrupt(info):
        steps.append(info.step)
        if info.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    before = pipe("red apple", **RUN).latents
    with pytest.raises(KeyboardInterrupt):
        pipe("red apple", **RUN, callback_on_step_end=interrupt)
    assert len(steps) < STEPS
    assert numpy.array_equal(pipe("red apple", **RUN).latents, before)


def test_threads_generate_at_once_without_the_interpreter_s_lock(pipe):
    cachify.prepare(
        pipe, STEPS, [{"wildcard_or_filter_func": lambda n: True, "select_cache_step_func": lambda s: s % 3 == 1}]
    )
    expected = {seed: pipe("red apple", **RUN | {"seed": seed}).latents.copy() for seed in (1, 2)}
    results, together = {}, threading.Barrier(2, timeout=60)

    def meet(info):  # only two runs that are under way at once get beyond their first step
        if info.step == 0:
            together.wait()

    def generate(seed):
        results[seed] = pipe("red apple", **RUN | {"seed": seed}, callback_on_step_end=meet).latents

    threads = [threading.Thread(target=generate, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(numpy.array_equal(results[seed], expected[seed]) for seed in expected)


def test_python_runs_while_a_picture_is_made(pipe):
    count, done = 0, threading.Event()

    def generate():
        pipe("red apple", **RUN | {"num_inference_steps": 30})
        done.set()

    thread = threading.Thread(target=generate)
    thread.start()
    while not done.is_set():
        count += 1
    thread.join()
    assert count > 100


def test_each_call_reuses_what_it_says(pipe):
    """Reuse is an argument of a call: threads with different reuse share the pipeline."""
    entries = [{"wildcard_or_filter_func": lambda name: name != "up_blocks.2", "select_cache_step_func": [1, 3]}]
    ways = ["off", "deepcache:interval=2,branch=0", entries]
    run = {**RUN, "decode": False, "guidance_mode": "split"}
    alone = [pipe("red apple", reuse=way, **run) for way in ways]
    assert [out.report.reuse for out in alone] == [False, True, True]
    made = {}

    def call(number):
        made[number] = pipe("red apple", reuse=ways[number], **run)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(ways))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, out in enumerate(alone):
        assert numpy.array_equal(made[number].latents, out.latents)
        assert made[number].report.summary == out.report.summary
    cachify.prepare(pipe, STEPS, entries)
    assert numpy.array_equal(pipe("red apple", **run).latents, alone[2].latents)
    assert numpy.array_equal(pipe("red apple", reuse="off", **run).latents, alone[0].latents)
    with pytest.raises(ValueError, match="nosuch"):
        pipe("red apple", reuse="nosuch", **run)


def test_messages_are_the_call_s(pipe):
    report = pipe("red apple", reuse="auto", decode=False, **RUN).report
    assert report.messages[0][0] == "info"
    assert report.messages[0][1].startswith("auto: ")
    assert {"level": "info", "text": report.messages[0][1]} in json.loads(report.to_json())["messages"]
    assert pipe("red apple", decode=False, **RUN).report.messages == []


def test_several_prompts_and_pictures(pipe):
    out = pipe(["red apple", "a dog"], num_images_per_prompt=2, **RUN)
    assert len(out.images) == 4
    assert out.latents.shape == (4, 4, 8, 8)


def test_each_prompt_has_texts_of_its_own(pipe):
    """A list for each of several prompts: the same as the calls one by one, with the noise of each."""
    lists = {
        "prompt": ["red apple", "a dog"], "prompt_2": ["on a table", "a cat"],
        "negative_prompt": ["blue", "green"], "negative_prompt_2": ["dark", ""],
    }  # fmt: skip
    noise = reprise.randn((2, 4, 8, 8), 42)
    together = pipe(**lists, **RUN, latents=noise).latents
    for i in range(2):
        alone = pipe(**{name: texts[i] for name, texts in lists.items()}, **RUN, latents=noise[i : i + 1]).latents
        assert numpy.array_equal(alone[0], together[i])
    swapped = pipe(**lists | {"negative_prompt": ("green", "blue")}, **RUN, latents=noise).latents
    assert not numpy.array_equal(swapped[0], together[0]) and not numpy.array_equal(swapped[1], together[1])
    embeddings = pipe.encode_prompt(**lists)
    assert numpy.array_equal(pipe(**embeddings, **RUN, latents=noise).latents, together)
    assert numpy.array_equal(
        pipe(["a"], negative_prompt=["b"], **RUN).latents, pipe("a", negative_prompt="b", **RUN).latents
    )
    for name in ("prompt_2", "negative_prompt", "negative_prompt_2"):
        with pytest.raises(
            ValueError, match=f"^{name} is a list of 3; expected one text, or as many as there are prompts: 2$"
        ):
            pipe(["a", "b"], **{name: ["c", "d", "e"]}, **RUN)
    with pytest.raises(ValueError, match="negative_prompt_3 is .*does not take it: it has no third text encoder"):
        pipe(["a", "b"], negative_prompt_3=["c", "d"], **RUN)


def test_a_prompt_is_asked_for(pipe):
    for nothing in (None, [], ()):
        with pytest.raises(ValueError, match="^prompt is "):
            pipe(nothing, **RUN)
    with pytest.raises(TypeError, match=r"^prompt\[1\] is 5; expected a str$"):
        pipe(["a", 5], **RUN)


def test_numbers_of_numpy_are_numbers(pipe):
    expected = pipe("red apple", width=72, **RUN).latents
    kinds = {"num_inference_steps": numpy.int32, "seed": numpy.uint64, "guidance_scale": numpy.float32}
    options = RUN | {name: kind(RUN[name]) for name, kind in kinds.items()}
    found = pipe(numpy.str_("red apple"), width=numpy.array(72), **options).latents
    assert numpy.array_equal(found, expected)
    sizes = {"original_size": numpy.array([100, 200]), "target_size": [90, 80]}
    pairs = {name: tuple(int(side) for side in value) for name, value in sizes.items()}
    assert numpy.array_equal(pipe("a", **sizes, **RUN).latents, pipe("a", **pairs, **RUN).latents)


def test_callbacks_of_diffusers_form(pipe):
    expected, seen = pipe("red apple", **RUN), []

    def look(its_pipe, step, timestep, kwargs):
        assert its_pipe is pipe and pipe.num_timesteps == STEPS
        seen.append((step, timestep, kwargs["latents"].copy()))
        return kwargs

    assert numpy.array_equal(pipe("red apple", **RUN, callback_on_step_end=look).latents, expected.latents)
    assert [step for step, _, _ in seen] == list(range(STEPS))
    timesteps = [timestep for _, timestep, _ in seen]
    assert timesteps == sorted(timesteps, reverse=True) and timesteps[0] > timesteps[-1]
    assert numpy.array_equal(seen[-1][2], expected.latents)

    def replaced(_pipe, step, _timestep, kwargs):
        return {"latents": kwargs["latents"].astype("float64") * 0} if step == 2 else kwargs

    def in_place(_pipe, step, _timestep, kwargs):
        if step == 2:
            kwargs["latents"][:] = 0
        return kwargs

    def by_its_own(info):
        if info.step == 2:
            info.latents = numpy.zeros(info.latents.shape)

    changed = [pipe("red apple", **RUN, callback_on_step_end=one).latents for one in (replaced, in_place, by_its_own)]
    assert not numpy.array_equal(changed[0], expected.latents)
    assert numpy.array_equal(changed[0], changed[1]) and numpy.array_equal(changed[0], changed[2])


def test_a_call_is_interrupted_as_in_diffusers(pipe):
    kept = []

    def interrupt(its_pipe, step, _timestep, kwargs):
        kept.append(kwargs["latents"].copy())
        if step == 2:
            its_pipe._interrupt = True
        return kwargs

    out = pipe("red apple", **RUN, callback_on_step_end=interrupt)
    assert pipe.interrupt and len(kept) == len(out.report.steps) == 3 and len(out.images) == 1
    assert numpy.array_equal(out.latents, kept[-1])
    assert len(pipe("red apple", **RUN).report.steps) == STEPS  # the next call is not


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"callback_on_step_end": lambda a, b: None},
            TypeError,
            "^callback_on_step_end is .*; expected a function of a StepInfo",
        ),
        (
            {"callback_on_step_end": lambda p, i, t, k: k | {"prompt_embeds": 1}},
            TypeError,
            "^what callback_on_step_end returned is",
        ),
        ({"callback_on_step_end": lambda p, i, t, k: False}, TypeError, "^what callback_on_step_end returned is False"),
        (
            {"callback_on_step_end": lambda p, i, t, k: {"latents": [1]}},
            ValueError,
            r"callback_on_step_end put latents of f32 \(1",
        ),
        ({"callback_on_step_end": lambda p, i, t, k: {"latents": "a"}}, TypeError, "^latents is 'a'; expected an array"),
        (
            {"callback_on_step_end_tensor_inputs": ["latents", "prompt_embeds"]},
            ValueError,
            "^callback_on_step_end_tensor_inputs is",
        ),
        ({"output_type": "np"}, ValueError, "^output_type is 'np'; expected 'pil' or 'latent'"),
        ({"return_dict": False}, ValueError, "^return_dict is False"),
        ({"generator": 5}, TypeError, "^generator is 5; expected one torch.Generator"),
    ],
)
def test_what_diffusers_has_and_this_has_not_is_named(pipe, options, error, message):
    with pytest.raises(error, match=message) as raised:
        pipe("red apple", **RUN | {"seed": 0} | options)
    assert "\n" not in str(raised.value)


def test_latents_in_the_place_of_pictures(pipe):
    out = pipe("red apple", output_type="latent", **RUN)
    assert out.images is not None and numpy.array_equal(out.images, pipe("red apple", **RUN).latents)
    assert out.arrays == []


def test_what_a_pipeline_would_ignore_is_refused(pipe):
    for name in ("scheduler", "_guidance_scale", "unet"):
        with pytest.raises(AttributeError, match=name):
            setattr(pipe, name, None)
    with pytest.raises(TypeError, match="a progress bar has no option 'disabled'"):
        pipe.set_progress_bar_config(disabled=True)
    with pytest.raises(TypeError, match="ncols is 'wide'"):
        pipe.set_progress_bar_config(ncols="wide")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"width": 63}, ValueError, "width is 63; expected a multiple of 8"),
        ({"num_inference_steps": 0}, ValueError, "num_inference_steps is 0, expected an integer from 1"),
        ({"scheduler": "nonsense"}, ValueError, "nonsense"),
        ({"guidance_mode": "both"}, ValueError, 'guidance_mode is "both", expected one of auto, batched, split'),
        ({"clip_skip": 40}, ValueError, "clip_skip is 40; expected 0 to 1"),
        ({"skip_guidance_layers": [7]}, ValueError, "skip_guidance_layers is .*no third branch"),
        ({"image": numpy.zeros((8, 8, 3), numpy.uint8)}, ValueError, "image is given, but"),
        ({"image": numpy.zeros((8, 8), numpy.uint8)}, TypeError, r"uint8 \(8, 8\)"),
        ({"image": "absent.png"}, FileNotFoundError, "absent.png"),
        ({"seed": "42"}, TypeError, None),
    ],
)
def test_what_cannot_be_done_is_refused(pipe, options, error, message):
    with pytest.raises(error, match=message):
        pipe("red apple", **RUN | options)


def test_folders_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        reprise.Pipeline.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="model_index.json"):
        reprise.Pipeline.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match='precision is "f8"'):
        reprise.Pipeline.from_pretrained(PIPELINES / "tiny-sdxl", precision="f8")


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"prompt_2": "on a table"}, "prompt_2"),
        ({"negative_prompt": "blue"}, "negative_prompt"),
        ({"guidance_rescale": 0.7}, "guidance_rescale"),
        ({"clip_skip": 1}, "clip_skip"),
        ({"original_size": (100, 200)}, "original_size"),
        ({"crops_coords_top_left": (3, 5)}, "crops"),
        ({"target_size": (90, 80)}, "target_size"),
        ({"scheduler": "ddim"}, "scheduler"),
        ({"height": 72, "width": 88}, "size"),
    ],
)
def test_every_option_has_its_effect(pipe, options, key):
    plain = pipe("red apple", **RUN).latents
    other = pipe("red apple", **RUN, **options).latents
    assert other.shape != plain.shape or not numpy.array_equal(other, plain), key


def test_videos():
    pipe = quiet(reprise.Pipeline.from_pretrained(PIPELINES / "tiny-svd", precision="f32"))
    picture = Image.open(ROOT / "tests/fixtures/io/base.png")
    run = {"num_inference_steps": 3, "width": 32, "height": 32, "num_frames": 2, "seed": 5}
    out = pipe(image=picture, **run)
    assert [len(video) for video in out.frames] == [2]
    assert out.latents.shape == (1, 2, 4, 16, 16)
    from_file = pipe(image=ROOT / "tests/fixtures/io/base.png", **run)
    assert numpy.array_equal(from_file.latents, out.latents)
    for option in (
        {"fps": 12},
        {"motion_bucket_id": 30},
        {"noise_aug_strength": 0.5},
        {"max_guidance_scale": 1.0},
        {"fit": "crop", "width": 64},
    ):
        other = pipe(image=picture, **run | option)
        assert other.latents.shape != out.latents.shape or not numpy.array_equal(other.latents, out.latents), option


def test_videos_are_written(tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    reprise.save_video(frames, tmp_path / "out.webp", fps=5)
    with Image.open(tmp_path / "out.webp") as video:
        assert video.n_frames == 2
    reprise.save_video(frames, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").stat().st_size > 200
    with pytest.raises(ValueError, match="out.avi"):
        reprise.save_video(frames, tmp_path / "out.avi")


def test_metrics(pipe):
    a, b = (pipe("red apple", **RUN | {"seed": seed}).images[0] for seed in (1, 2))
    assert reprise.psnr(a, a) == float("inf")
    difference = numpy.asarray(a, float) - numpy.asarray(b, float)
    assert reprise.psnr(a, b) == pytest.approx(10 * numpy.log10(255**2 / numpy.mean(difference**2)))
    assert reprise.ssim(a, a) == pytest.approx(1)
    assert reprise.ssim(a, b) < 1
    with pytest.raises(RuntimeError, match="size|64"):
        reprise.psnr(a, a.resize((32, 32)))


def test_transparent_pictures_lie_on_white():
    from reprise._pipeline import to_native

    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert to_native(clear).array.min() == 255
    assert numpy.array_equal(to_native(clear.convert("RGB")).array[0, 0], [10, 20, 30])


def stored(path, name):
    """A tensor of f32 in a file of safetensors."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:start])[name]
    first, end = entry["data_offsets"]
    return numpy.frombuffer(data[start + first : start + end], numpy.float32).reshape(entry["shape"])


def test_a_refiner_goes_on_from_its_base(pipe):
    refiner = quiet(reprise.Pipeline.from_pretrained(PIPELINES / "tiny-sdxl-refiner", precision="f32"))
    run = {"num_inference_steps": 10, "seed": 42, "output_type": "latent"}
    begun = pipe("red apple", denoising_end=0.8, **run).latents
    steps = []
    refined = refiner(
        "red apple",
        denoising_start=0.8,
        start_latents=begun,
        callback_on_step_end=lambda info: steps.append(info.step),
        **run,
    ).latents
    assert steps == [8, 9]
    expected = stored(PIPELINES / "refiner_runs.safetensors", "refined")
    assert abs(refined - expected).max() < 1e-3 * abs(expected - begun).max()
    with pytest.raises(ValueError, match="no start_latents"):
        refiner("red apple", denoising_start=0.8, **run)


def test_reuse_by_the_denoisers_names(pipe):
    wanted = pipe("red apple", **RUN, reuse="modelopt").latents
    assert numpy.array_equal(pipe("red apple", **RUN, reuse={"unet": "modelopt"}).latents, wanted)
    with pytest.raises(ValueError, match="'transformer'; this pipeline has unet"):
        pipe("red apple", **RUN, reuse={"transformer": "auto"})
    with pytest.raises(TypeError, match="reuse"):
        pipe("red apple", **RUN, reuse={1: "auto"})
