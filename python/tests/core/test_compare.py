"""Comparisons from Python: the same that `reprise compare` makes."""

import json

import numpy
import pytest
import reprise
from conftest import PIPELINES, ROOT, RUN, STEPS, quiet
from PIL import Image
from reprise import cachify

OPTIONS = {"num_inference_steps": STEPS, "guidance_mode": "batched"}


def ways_of(comparison):
    return {way["name"]: way for way in comparison.to_dict()["ways"]}


def test_comparisons(pipe, tmp_path):
    cachify.prepare(pipe, STEPS, cachify.SDXL_DEFAULT_CONFIG)
    before = pipe("red apple", decode=False, **RUN).latents
    ways = {"every other": cachify.SDXL_DEFAULT_CONFIG, "deep": "deepcache:interval=2"}
    said = []
    result = reprise.compare(
        pipe,
        ["red apple", "a dog"],
        ways,
        seeds=(42,),
        runs=1,
        fewer=(4, 2, 4),
        guidance_scale=5.0,
        progress=said.append,
        **OPTIONS,
    )
    assert numpy.array_equal(pipe("red apple", decode=False, **RUN).latents, before)  # prepared as before
    assert said[0] == "full, warming up" and said[-1] == "4 steps, 2 of 2"
    numbers = result.to_dict()
    assert [way["name"] for way in numbers["ways"]] == ["full", "every other", "deep", "2 steps", "4 steps"]
    assert [way["kind"] for way in numbers["ways"]] == ["full", "cached", "cached", "fewer", "fewer"]
    assert all(name in result.to_csv() for name in ("every other", "deep", "2 steps", "4 steps"))
    per_step = ways_of(result)["every other"]["per_step"]
    assert [step["variant"] for step in per_step] == ["full", "reused"] * 3
    assert "mid_block" in per_step[1]["reused"]
    for name in ("model", "seeds", "size", "scheduler", "engine", "runs", "version"):
        assert numbers["settings"][name]
    assert numbers["settings"]["guidance_scale"] == "5.0"
    assert result.grid().width >= 4 * 64 and result.grid().height > 2 * 64
    assert "data:image/png" in result._repr_html_() and "every other" in result._repr_html_()
    result.save(tmp_path / "page.html")
    assert "<html" in (tmp_path / "page.html").read_text()


def test_counts_of_fewer_steps_make_a_curve(pipe):
    ways = ways_of(reprise.compare(pipe, "red apple", {"deep": "deepcache:interval=3"}, runs=1, **OPTIONS))
    fewer = [way for way in ways.values() if way["kind"] == "fewer"]
    counts = [way["steps"] for way in fewer]
    equal = ways["deep"].get("equal_time_steps", STEPS)  # absent where reuse saves nothing
    assert counts == sorted(set(counts)) and all(1 <= steps < STEPS for steps in counts)
    if equal < STEPS:  # a curve around the count of equal time
        assert len(counts) >= 2 and equal in counts
    else:  # reuse saves no time, or less than a step
        assert not counts or counts[-1] == STEPS - 1
    none = ways_of(reprise.compare(pipe, "red apple", {"deep": "deepcache:interval=3"}, runs=1, fewer=(), **OPTIONS))
    assert list(none) == ["full", "deep"]


def test_pictures_of_one_prompt_are_pairs(pipe):
    result = reprise.compare(
        pipe, "red apple", {"default": "modelopt"}, seeds=(-1,), num_images_per_prompt=2, runs=1, fewer=(2,), **OPTIONS
    )
    assert [(pair["seed"], pair["number"]) for pair in result.to_dict()["pairs"]] == [(2**64 - 1, 0), (2**64 - 1, 1)]
    assert result.grid().size == (3 * 64 + 2 * 8, 2 * 64 + 8)
    assert json.dumps(result.to_dict())


def test_pictures_that_are_animated():
    pipe = quiet(reprise.Pipeline.from_pretrained(PIPELINES / "tiny-svd", precision="f32"))
    picture = Image.open(ROOT / "tests/fixtures/io/base.png")
    run = {"runs": 1, "fewer": (1,), "num_inference_steps": 2, "width": 32, "height": 32}
    result = reprise.compare(pipe, ways={"default": "modelopt"}, images=[picture, picture.rotate(90)], **run).to_dict()
    assert [pair["prompt"] for pair in result["pairs"]] == ["picture 1", "picture 2"]


WAYS = {"original": "modelopt"}


@pytest.mark.parametrize(
    ("error", "words", "arguments"),
    [
        (ValueError, "one of the two", {}),
        (ValueError, "one of the two", {"prompts": "a dog", "images": [numpy.zeros((8, 8, 3), numpy.uint8)]}),
        (ValueError, "way of reuse", {"prompts": "a dog", "ways": {}}),
        (ValueError, "nothing is reused", {"prompts": "a dog"}),  # auto, of so few steps
        (ValueError, "'full'", {"prompts": "a dog", "ways": {"full": "default"}}),
        (ValueError, "'5 steps'", {"prompts": "a dog", "ways": {"5 steps": "default"}}),
        (ValueError, "decode", {"prompts": "a dog", "ways": WAYS, "decode": False}),
        (ValueError, "seeds", {"prompts": "a dog", "ways": WAYS, "seeds": ()}),
        (ValueError, "seed 3 is given twice", {"prompts": "a dog", "ways": WAYS, "seeds": (3, 3)}),
        (ValueError, "fewer steps", {"prompts": "a dog", "ways": WAYS, "fewer": (STEPS,)}),
        (ValueError, "0 runs", {"prompts": "a dog", "ways": WAYS, "runs": 0}),
        (TypeError, "seeds", {"prompts": "a dog", "seed": 3}),
        (TypeError, "nonsense", {"prompts": "a dog", "nonsense": 3}),
    ],
)
def test_what_cannot_be_compared_is_refused_before_it_runs(pipe, error, words, arguments):
    with pytest.raises(error, match=words):
        reprise.compare(pipe, **arguments | {"progress": pytest.fail} | OPTIONS)


def test_a_comparison_is_stopped(pipe):
    def stop(_what):
        raise InterruptedError

    cachify.prepare(pipe, STEPS, cachify.SDXL_DEFAULT_CONFIG)
    with pytest.raises(InterruptedError):
        reprise.compare(pipe, "red apple", {"it": "modelopt"}, progress=stop, **OPTIONS)
    with pytest.raises(reprise.Cancelled):
        reprise.compare(
            pipe, "red apple", ways={"it": "modelopt"}, progress=lambda what: not what.startswith("it"), **OPTIONS
        )
    pipe("red apple", decode=False, **RUN)
    assert any(info.reused for info in pipe.last_report.steps)  # prepared as before
