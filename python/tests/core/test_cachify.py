"""Reuse from Python: the original's configurations, policies, plans."""

import gc
import inspect
import json
import logging
import re
import weakref

import numpy
import pytest
import reprise
from conftest import PIPELINES, ROOT, RUN, STEPS, quiet
from PIL import Image
from reprise import _core, cachify

#: As the documentation of the original has them.
ORIGINAL_SDXL = [
    {
        "wildcard_or_filter_func": lambda name: "up_blocks.2" not in name,
        "select_cache_step_func": lambda step: (step % 2) != 0,
    }
]
ORIGINAL_SVD = [
    {
        "wildcard_or_filter_func": lambda name: "up_blocks.3" not in name,
        "select_cache_step_func": lambda step: (step % 2) != 0,
    }
]
ORIGINAL_SD3 = [
    {
        "wildcard_or_filter_func": lambda name: re.search(r"^((?!transformer_blocks\.(1[6-9]|2[0-3])).)*$", name),
        "select_cache_step_func": lambda step: (step % 2) != 0,
    }
]
ORIGINAL_PIXART = [
    {
        "wildcard_or_filter_func": lambda name: not re.search(r"transformer_blocks\.(2[1-7])\.", name),
        "select_cache_step_func": lambda step: (step % 3) != 0,
    }
]


def latents(pipe, **options):
    return pipe("red apple", decode=False, **RUN | options).latents


def reused_steps(pipe):
    return [info.step for info in pipe.last_report.steps if info.reused]


def test_the_few_lines(pipe):
    plain = latents(pipe)
    cachify.prepare(pipe, STEPS, cachify.SDXL_DEFAULT_CONFIG)
    with cachify.infer(pipe) as cached:
        assert cached is pipe
        reused = latents(cached)
        assert reused_steps(pipe) == [1, 3, 5]
        assert not numpy.array_equal(reused, plain)
    assert not pipe.last_report.steps  # reset
    latents(pipe)
    assert reused_steps(pipe) == []  # and disabled
    cachify.enable(pipe)
    assert numpy.array_equal(latents(pipe), reused)
    cachify.disable(pipe)
    numpy.testing.assert_allclose(latents(pipe), plain, atol=1e-4)
    cachify.unprepare(pipe)
    assert numpy.array_equal(latents(pipe), plain)


@pytest.mark.parametrize("folder", ["tiny-sdxl", "tiny-svd", "tiny-sd3", "tiny-pixart"])
def test_the_original_s_functions_mean_what_the_configurations_of_these_names_mean(folder):
    functions, published = {
        "tiny-sdxl": (ORIGINAL_SDXL, cachify.SDXL_DEFAULT_CONFIG),
        "tiny-svd": (ORIGINAL_SVD, cachify.SVD_DEFAULT_CONFIG),
        "tiny-sd3": (ORIGINAL_SD3, cachify.SD3_DEFAULT_CONFIG),
        "tiny-pixart": (ORIGINAL_PIXART, cachify.PIXART_ORIGINAL_EXAMPLE_CONFIG),
    }[folder]
    pipe = reprise.Pipeline.from_pretrained(PIPELINES / folder, precision="f32")
    plans = []
    for config in (functions, published):
        cachify.prepare(pipe, 9, config)
        plans.append(reprise.plan(pipe, 9).to_dict())
    assert plans[0] == plans[1]
    assert any(execution["reused"] for execution in plans[0]["executions"])


def test_forms_of_a_configuration(pipe):
    forms = [
        ("mid_block", lambda step: step in (1, 4)),
        (lambda name: name == "mid_block", [1, 4]),
        ({"regex": "^mid_bl"}, "step in [1, 4]"),
        ({"not": "*_blocks.*"}, lambda step, num_steps: step in (1, num_steps - 2)),
        ("mid_?lock", (1, 4)),
        ("mid_block", lambda step: numpy.bool_(step in (1, 4))),
        ("mid_block", {1, 4}),
    ]
    results = []
    for which, when in forms:
        cachify.prepare(pipe, STEPS, [{"wildcard_or_filter_func": which, "select_cache_step_func": when}])
        results.append(latents(pipe))
        assert reused_steps(pipe) == [1, 4]
    assert all(numpy.array_equal(results[0], other) for other in results[1:])


def test_the_last_entry_holds_and_kinds_and_stores_count(pipe):
    config = [
        {"wildcard_or_filter_func": "*", "select_cache_step_func": "step == 1"},
        {"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "step == 3"},
        {"wildcard_or_filter_func": "*attn2", "select_cache_step_func": "step > 4", "kinds": ["cross_attention"]},
    ]
    seen = {}
    cachify.prepare(pipe, STEPS, config)
    pipe("red apple", **RUN, callback_on_step_end=lambda info: seen.__setitem__(info.step, info.reused_modules))
    assert "mid_block" not in seen[1] and "down_blocks.0" in seen[1]
    assert seen[3] == ["mid_block"]
    assert seen[5] and all(name.endswith("attn2") for name in seen[5])
    outputs = set()
    for store in ("output", "delta", {"forecast": 1}, {"forecast": 2}):
        cachify.prepare(
            pipe, STEPS, [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "step > 2", "store": store}]
        )
        outputs.add(latents(pipe).tobytes())
    assert len(outputs) == 4


def test_a_forecast_is_a_linear_combination(pipe):
    """At evenly spaced steps a line through the last two values has the weights 2 and -1."""
    results = {}
    stores = {"forecast": {"forecast": 1}, "every": {"linear": [2, -1]}, "by step": {"linear": [[], [], [], [2, -1]]}}
    for name, store in stores.items():
        cachify.prepare(
            pipe, STEPS, [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "step == 3", "store": store}]
        )
        results[name] = latents(pipe)
    assert numpy.array_equal(results["forecast"], results["every"])
    assert numpy.array_equal(results["forecast"], results["by step"])


def test_steps_are_left_out_or_the_policy_is_named(pipe):
    cachify.prepare(pipe, STEPS, cachify.SDXL_DEFAULT_CONFIG)
    expected = latents(pipe)
    for arguments in ((cachify.SDXL_DEFAULT_CONFIG,), ("modelopt",), (STEPS, "modelopt"), (STEPS, "default")):
        cachify.unprepare(pipe)
        cachify.prepare(pipe, *arguments)
        assert numpy.array_equal(latents(pipe), expected), arguments


def test_without_a_configuration_it_is_auto_and_a_line_says_what_that_is(pipe, capsys, caplog):
    eight = {"num_inference_steps": 8, "seed": 1, "decode": False, "guidance_mode": "batched"}
    cachify.prepare(pipe, 8, "taylorseer:interval=2")  # the preset of UNets that is ahead of fewer steps
    expected = pipe("red apple", **eight).latents
    pipe.set_progress_bar_config()
    try:
        for arguments in ((8,), (8, "auto"), (8, None)):
            cachify.unprepare(pipe)
            cachify.prepare(pipe, *arguments)
            said = capsys.readouterr().err
            assert said.startswith("auto: ") and "taylorseer:interval=2" in said and said.count("\n") == 1
        pipe.set_progress_bar_config(disable=True)
        assert numpy.array_equal(pipe("red apple", **eight).latents, expected)
        cachify.prepare(pipe, 8, scheduler="euler_a")  # adds noise: nothing is known to be ahead
        assert cachify.make_policy(pipe, "auto", 8, scheduler="euler_a") == []
        with cachify.infer(pipe):
            pipe("red apple", scheduler="euler_a", **eight)
        assert capsys.readouterr().err == "" and caplog.messages == []  # it does not warn of its own choice
    finally:
        pipe.set_progress_bar_config(disable=True)


def test_a_configuration_is_checked_for_the_calls_own_options(pipe):
    config = [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [12]}]
    cachify.prepare(pipe, 7, config, scheduler="heun", count="evaluations")  # 13 evaluations
    with pytest.raises(ValueError, match="height"):
        cachify.prepare(pipe, 7, config, height=63)
    with pytest.raises(ValueError, match="num_frames"):
        cachify.prepare(pipe, 7, config, num_frames=3)


def test_evaluations_are_counted_on_request(pipe):
    options = {"scheduler": "heun", "num_inference_steps": 4}
    cachify.prepare(pipe, 4, cachify.SDXL_DEFAULT_CONFIG)
    latents(pipe, **options)
    assert reused_steps(pipe) == [1, 3]
    cachify.prepare(pipe, 4, cachify.SDXL_DEFAULT_CONFIG, count="evaluations")
    latents(pipe, **options)
    assert reused_steps(pipe) == [0, 1, 2]
    with pytest.raises(ValueError, match='count is "calls"'):
        cachify.prepare(pipe, 4, cachify.SDXL_DEFAULT_CONFIG, count="calls")


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ([{"wildcard_or_filter_func": "up_block.7", "select_cache_step_func": "step > 1"}], ValueError, "matches no module"),
        ([{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "step == 0"}], ValueError, "'mid_block'.*step 0"),
        ([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step %"}], ValueError, "step %"),
        ([{"wildcard_or_filter_func": "*"}], ValueError, "'select_cache_step_func' is missing"),
        ([{"wildcard_or_filter_func": 3, "select_cache_step_func": "step > 1"}], ValueError, "entry 0: wildcard_or_filter_func is 3"),
        ([{"wildcard_or_filter_func": "*", "select_cache_step_func": 3}], ValueError, "entry 0: select_cache_step_func is 3"),
        ([{"wildcard_or_filter_func": "*", "select_cache_step_func": [-1]}], ValueError, "lists -1"),
        ([{"wildcard_or_filter_func": "*", "select_cache_step_func": [1], "kind": ["block"]}], ValueError, "unknown key 'kind'"),
        ([{"wildcard_or_filter_func": "*", "select_cache_step_func": [1], "kinds": ["blok"]}], ValueError, "'blok' is not a kind"),
        ([{"wildcard_or_filter_func": "*", "select_cache_step_func": [1], "store": {"forecast": 3}}], ValueError, "store is"),
        ([{"wildcard_or_filter_func": "*", "select_cache_step_func": [1], "store": {"linear": "2"}}], ValueError, "linear has"),
        (
            [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [1], "store": {"linear": [2, -1]}}],
            ValueError,
            "'mid_block' is to be reused at step 1 as a sum of its last 2 outputs",
        ),
        ([{"wildcard_or_filter_func": {"regex": "("}, "select_cache_step_func": [1]}], ValueError, "regular|expression|parenthes"),
        (["*"], ValueError, "entry 0: expected an object"),
        ({"wildcard_or_filter_func": "*", "select_cache_step_func": [1]}, TypeError, "expected a list of dicts"),
        ("deepcash", ValueError, "'deepcash' is no policy"),
    ],
)  # fmt: skip
def test_bad_configurations_change_nothing(pipe, config, error, message):
    with pytest.raises(error, match=message):
        cachify.prepare(pipe, STEPS, config)
    latents(pipe)
    assert reused_steps(pipe) == []
    assert not pipe.last_report.reuse


def test_what_a_configuration_s_function_raises_comes_out(pipe):
    def which(name):
        raise KeyError(name)

    with pytest.raises(KeyError, match="down_blocks.0"):
        cachify.prepare(pipe, STEPS, [{"wildcard_or_filter_func": which, "select_cache_step_func": [1]}])
    when = [{"wildcard_or_filter_func": "*", "select_cache_step_func": lambda step: step / 0}]
    with pytest.raises(ZeroDivisionError):
        cachify.prepare(pipe, STEPS, when)


@pytest.mark.parametrize("function", [cachify.enable, cachify.disable])
def test_what_needs_preparation_says_so(pipe, function):
    with pytest.raises(ValueError, match="prepare first"):
        function(pipe)
    with pytest.raises(ValueError, match="prepare first"), cachify.infer(pipe):
        pass


def test_something_else_than_a_pipeline():
    pytest.importorskip("torch")
    with pytest.raises(TypeError, match="expected a reprise.Pipeline or a pipeline of diffusers"):
        cachify.prepare(object(), 20, cachify.SDXL_DEFAULT_CONFIG)


def test_policies(pipe):
    assert {"default", "deepcache", "tgate", "pab", "taylorseer", "guidance"} <= set(cachify.policies())
    pairs = [
        (cachify.deep_cache(pipe, interval=2, branch=1), "deepcache:interval=2,branch=1"),
        (cachify.t_gate(gate=4, warm_up=1, interval=2), "tgate:gate=4,warm_up=1,interval=2"),
        (cachify.attention_broadcast(pipe, self_attention=3, begin=0.1), "pab:self=3,from=0.1"),
        (cachify.taylor_seer(interval=3, before=2, order=2), "taylorseer:interval=3,before=2,order=2"),
        (cachify.guidance_reuse(interval=3), "guidance:interval=3"),
        (cachify.deep_cache(pipe) + cachify.guidance_reuse(), "deepcache+guidance"),
    ]
    for config, text in pairs:
        assert config == cachify.make_policy(pipe, text)
        cachify.prepare(pipe, STEPS, config)
        assert latents(pipe, guidance_mode="auto").shape == (1, 4, 8, 8)
        assert reused_steps(pipe), text
    uneven = cachify.deep_cache(pipe, uniform=False, center=3)  # its steps are a function of the library's
    assert callable(uneven[0]["select_cache_step_func"])
    cachify.prepare(pipe, STEPS, uneven)
    assert reprise.plan(pipe, STEPS).expected_speedup > 1
    with pytest.raises(ValueError, match="branch is 99"):
        cachify.deep_cache(pipe, branch=99)


def test_defaults_of_policies_are_the_library_s():
    names = {"self": "self_attention", "cross": "cross_attention", "joint": "joint_attention", "temporal": "temporal_attention",
             "from": "begin", "to": "end", "in_a_row": "most_in_a_row", "in_all": "most_in_all"}  # fmt: skip
    functions = {
        "deepcache": cachify.deep_cache, "tgate": cachify.t_gate, "pab": cachify.attention_broadcast,
        "taylorseer": cachify.taylor_seer, "guidance": cachify.guidance_reuse, "blockcache": cachify.block_caching,
        "dbcache": cachify.dual_block_cache, "magcache": cachify.mag_cache, "teacache": cachify.tea_cache,
    }  # fmt: skip
    policies = {policy["name"]: policy["parameters"] for policy in json.loads(_core.policy_rows())}
    for policy, function in functions.items():
        own = inspect.signature(function).parameters
        for row in policies[policy]:
            if row["name"] in ("attention", "kept_in", "profile"):  # kinds, or an entry's, or an argument
                continue
            default = own[names.get(row["name"], row["name"])].default
            assert default == ("" if row["default"] is None else row["default"]), f"{policy}: {row['name']}"
    running = {row["name"]: row["default"] for row in policies["ucache"]}
    assert (running["threshold"], running["warm_up"]) == (1, 1)


def test_policies_that_decide_while_running(pipe, tmp_path):
    profile = reprise.calibrate(pipe, ["red apple"], seeds=(0,), num_inference_steps=STEPS)
    profile.save(tmp_path / "p.json")
    limits = {"warm_up": 1, "most_in_a_row": 2, "most_in_all": 3}
    words = "warm_up=1,in_a_row=2,in_all=3"
    pairs = [
        (cachify.dual_block_cache(pipe, first=2, threshold=9, **limits), f"dbcache:first=2,threshold=9,{words}"),
        (cachify.dual_block_cache(pipe, first=1, order=1, threshold=9, **limits), f"fbcache:order=1,threshold=9,{words}"),
        (cachify.easy_cache(threshold=9, **limits), f"easycache:threshold=9,{words}"),
        (cachify.easy_cache(), "easycache"),
        (cachify.easy_cache(unet=True), "ucache"),
        (cachify.mag_cache(pipe, profile, threshold=9, **limits), f"magcache:profile={tmp_path}/p.json,threshold=9,{words}"),
        (cachify.tea_cache(pipe, profile, threshold=9, **limits), f"teacache:profile={tmp_path}/p.json,threshold=9,{words}"),
        (cachify.tea_cache(pipe, profile, mask="slow"), f"teacache:profile={tmp_path}/p.json,mask=slow"),
    ]
    for config, text in pairs:
        assert config == cachify.make_policy(pipe, text), text
    for config, text in pairs[:3]:
        cachify.prepare(pipe, STEPS, config)
        decided = latents(pipe)
        decisions = pipe.last_report.decisions
        assert decisions == [reused_steps(pipe)] != [[]], text
        cachify.prepare(pipe, STEPS, cachify.replay(config, decisions))
        assert numpy.array_equal(latents(pipe), decided)
        assert pipe.last_report.decisions == decisions
    with pytest.raises(ValueError, match="is no step mask"):
        cachify.easy_cache(mask="slower")


def test_json(pipe, tmp_path):
    text = cachify.to_json(cachify.SDXL_DEFAULT_CONFIG)
    assert cachify.parse_config(text) == cachify.SDXL_DEFAULT_CONFIG
    path = tmp_path / "cache.json"
    path.write_text(text)
    assert cachify.load_config(path) == cachify.SDXL_DEFAULT_CONFIG
    path.write_text('[{"policy": "deepcache:interval=2"}]')
    assert cachify.load_config(path, pipe) == cachify.deep_cache(pipe, interval=2)
    with pytest.raises(ValueError, match="needs a pipeline"):
        cachify.load_config(path)
    with pytest.raises(FileNotFoundError):
        cachify.load_config(tmp_path / "absent.json")
    with pytest.raises(ValueError, match="function"):
        cachify.to_json(ORIGINAL_SDXL)


def test_plans(pipe):
    whole = reprise.plan(pipe, STEPS)
    assert whole.expected_speedup == pytest.approx(1, rel=0.2)
    cachify.prepare(pipe, STEPS, "modelopt")
    plan = reprise.plan(pipe, STEPS, guidance_mode="split")
    assert plan.expected_speedup > 1.2
    assert plan.kept_bytes > 0
    assert plan.total_flops < plan.full_total_flops
    assert "step" in str(plan).lower()
    shown = plan.to_dict()
    assert [e["step"] for e in shown["executions"] if e["pass"] == 0] == list(range(STEPS))
    assert json.dumps(shown)


def test_plans_are_drawn(pipe):
    cachify.prepare(pipe, STEPS, "modelopt")
    svg = reprise.plan(pipe, STEPS)._repr_svg_()
    assert svg.lstrip().startswith("<svg") and "down_blocks.0" in svg and "StableDiffusionXLPipeline" in svg


def test_calibrating_and_block_caching(pipe, tmp_path):
    runs = []
    profile = reprise.calibrate(
        pipe, ["red apple"], seeds=(0,), num_inference_steps=STEPS, progress=lambda run, of: runs.append((run, of))
    )
    assert runs == [(0, 1)]
    assert any(module["name"] == "mid_block" for module in profile.to_dict()["modules"])
    profile.save(tmp_path / "profile.json")
    config = cachify.block_caching(reprise.Profile.load(tmp_path / "profile.json"), threshold=5.0)
    cachify.prepare(pipe, STEPS, config)
    latents(pipe)
    assert reused_steps(pipe)
    with pytest.raises(ValueError, match="profile"):
        reprise.Profile("[]")

    def stop(_run, _of):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        reprise.calibrate(pipe, ["red apple"], num_inference_steps=STEPS, progress=stop)


def test_pictures_take_the_place_of_prompts():
    pipe = quiet(reprise.Pipeline.from_pretrained(PIPELINES / "tiny-svd", precision="f32"))
    picture = Image.open(ROOT / "tests/fixtures/io/base.png")
    run = {"seeds": (0,), "num_inference_steps": 2, "width": 32, "height": 32}
    runs = []
    both = reprise.calibrate(pipe, images=[picture, picture.rotate(90)], progress=lambda *which: runs.append(which), **run)
    assert runs == [(0, 2), (1, 2)]
    assert both.to_dict()["modules"] != reprise.calibrate(pipe, images=[picture], **run).to_dict()["modules"]
    assert reprise.calibrate(pipe, images=[picture] * 2, **run).to_dict()["run"]["seeds"] == [0]
    shorter = reprise.calibrate(pipe, images=[picture], num_frames=2, **run)
    assert shorter.to_dict()["modules"] != reprise.calibrate(pipe, images=[picture], **run).to_dict()["modules"]
    drawing = quiet(reprise.Pipeline.from_pretrained(PIPELINES / "tiny-sdxl", precision="f32"))
    for search in (reprise.calibrate, reprise.tune):
        with pytest.raises(ValueError, match="image is given"):
            search(drawing, images=[picture], num_inference_steps=2)


def test_options_of_calls_are_taken_by_what_runs_them(pipe):
    run = {"seeds": (0,), "num_inference_steps": 2}
    changes = [reprise.calibrate(pipe, ["rocket"], negative_prompt=n, **run).to_dict()["modules"] for n in ("red", "apple")]
    assert changes[0] != changes[1]
    for what in (reprise.calibrate, reprise.tune, reprise.plan):
        with pytest.raises(TypeError, match="nonsense"):
            what(pipe, nonsense=1)
    for search in (reprise.calibrate, reprise.tune):
        with pytest.raises(TypeError, match="run to run"):
            search(pipe, latents=numpy.zeros((1, 4, 8, 8)))


def test_steps_of_a_list_keep_of_how_many_they_are(pipe):
    profile = reprise.calibrate(pipe, ["rocket"], seeds=(0,), num_inference_steps=STEPS)
    config = cachify.block_caching(profile, threshold=5.0)
    assert config[0]["select_cache_step_func"]["of"] == STEPS
    for same in (config, cachify.parse_config(cachify.to_json(config))):
        cachify.prepare(pipe, STEPS, same)
        with pytest.raises(ValueError, match=f"is for {STEPS} steps"):
            cachify.prepare(pipe, STEPS + 1, same)


def test_tuning_refuses_before_it_runs(pipe):
    for wrong in ({"ssim": 2}, {"ssim": -1}, {"psnr": float("nan")}, {"speedups": [2, float("nan")]}, {"speedups": []},
                  {"speedups": [2], "ssim": 0.9}, {"minutes": -1}, {"num_images_per_prompt": 2}):  # fmt: skip
        with pytest.raises(ValueError):
            reprise.tune(pipe, progress=lambda _: pytest.fail("it began"), **wrong)


def test_tuning_is_stopped_by_its_callback(pipe):
    said = []

    def stop(what):
        said.append(what)
        return False

    with pytest.raises(reprise.Cancelled):
        reprise.tune(pipe, [1.3], prompts=["red apple"], pairs=1, num_inference_steps=STEPS, progress=stop)
    assert len(said) == 1 and isinstance(said[0], str)


def test_modules(pipe):
    modules = pipe.modules()
    assert ("mid_block", "block") in modules
    assert pipe.modules("cross_attention") == [m for m in modules if m[1] == "cross_attention"] != []


@pytest.mark.parametrize(
    ("config", "options", "why"),
    [
        ([{"wildcard_or_filter_func": "*", "select_cache_step_func": "step > 100"}], {}, "at none of 6 steps"),
        ("deepcache:interval=1", {}, "it has no entry"),
        ("tgate:gate=10,interval=1", {"guidance_mode": "auto"}, "at none of 6 steps"),
        ("guidance", {"guidance_scale": 1.0}, "this run has no guidance"),
        ("easycache:threshold=0", {}, "its threshold is 0"),
        ("easycache:threshold=1e-12", {}, "no change was small enough"),
        ("easycache:warm_up=6", {}, "at none of 6 steps"),
        ("default", {}, None),
        ("easycache:threshold=9", {}, None),
        ("guidance", {"guidance_mode": "auto"}, None),
    ],
)
def test_reuse_of_nothing_is_said_once_with_the_reason(pipe, caplog, config, options, why):
    with caplog.at_level(logging.WARNING, logger="reprise"):
        cachify.prepare(pipe, STEPS, config)
        for _ in range(2):
            latents(pipe, **options)
    said = [record.message for record in caplog.records if "reuses nothing" in record.message]
    assert bool(reused_steps(pipe)) == (why is None)
    assert len(said) == (why is not None) and all(why in message for message in said), said


def test_other_numbers_of_steps_are_planned_anew_with_the_functions(pipe):
    asked = []

    def when(step, num_steps):
        asked.append(num_steps)
        return step % 2 != 0

    cachify.prepare(pipe, STEPS, [{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": when}])
    latents(pipe, num_inference_steps=9)
    assert reused_steps(pipe) == [1, 3, 5, 7]
    assert set(asked) == {STEPS, 9}


def test_functions_are_held_as_long_as_they_may_be_called(pipe):
    def prepared():
        def when(step):
            return step % 2 != 0

        cachify.prepare(pipe, STEPS, [{"wildcard_or_filter_func": lambda n: True, "select_cache_step_func": when}])
        return weakref.ref(when)

    when = prepared()
    gc.collect()
    assert when() is not None
    latents(pipe, num_inference_steps=7)
    assert reused_steps(pipe) == [1, 3, 5]
    cachify.unprepare(pipe)
    gc.collect()
    assert when() is None
