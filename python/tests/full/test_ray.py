"""Batches on Ray, on a local cluster of two nodes. Skipped without Ray."""

import io
import os
import signal
from pathlib import Path

import numpy
import pytest
from conftest import PIPELINES, quiet
from PIL import Image

ray = pytest.importorskip("ray")
pytest.importorskip("pyarrow")

import reprise  # noqa: E402
from reprise import cachify  # noqa: E402
from reprise.ray import Job, Renderer, render  # noqa: E402

JOB = Job(
    model=str(PIPELINES / "tiny-sdxl"),
    cache="modelopt",
    settings={"num_inference_steps": 4, "guidance_mode": "batched"},
    load={"precision": "f32"},
)
PROMPTS = [f"red apple {i}" for i in range(6)]


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parent), str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    )
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100_000_000})
    cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def expected():
    """What one pipeline makes of each prompt and seed."""
    pipe = quiet(reprise.Pipeline.from_pretrained(JOB.model, threads=1, **JOB.load))
    cachify.prepare(pipe, 4, "modelopt")
    return {(p, s): pipe(p, seed=s, **JOB.settings).arrays[0] for p in PROMPTS for s in (0, 1)}


def pixels(png):
    return numpy.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


class DiesOnce(Renderer):
    """Its process is killed in the middle of the first run, and a prompt raises once."""

    def render(self, prompt, seed):
        if prompt.endswith("3") and self.first("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if prompt.endswith("4") and self.first("raised"):
            raise RuntimeError("for once")
        return super().render(prompt, seed)

    def first(self, what):
        try:
            (Path(self.job.settings["marks"]) / what).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class Marked(DiesOnce):
    """Takes the marks' folder out of the settings, which the pipeline does not know."""

    def __init__(self, job, threads):
        super().__init__(Job(job.model, job.cache, JOB.settings, job.load), threads)
        self.job = job
        pipe = self.pipe
        self.pipe = lambda prompt, marks, **options: pipe(prompt, **options)


def test_nothing_is_lost_and_nothing_double_when_a_worker_is_killed(cluster, expected, tmp_path):
    marks, out = tmp_path / "marks", tmp_path / "out"
    marks.mkdir()
    job = Job(JOB.model, JOB.cache, JOB.settings | {"marks": str(marks)}, JOB.load)
    summary = render(PROMPTS, job, out, seeds=(0, 1), actors=2, renderer=Marked)
    assert {path.name for path in marks.iterdir()} == {"killed", "raised"}
    assert (summary.rendered, summary.there_before, summary.failed) == (12, 0, [])
    files = {path.name: path for path in out.iterdir()}
    assert len(files) == 12
    for (prompt, seed), array in expected.items():
        file = files[f"{job.key(prompt, seed)}.png"]
        assert numpy.array_equal(pixels(file.read_bytes()), array)
        assert Image.open(file).text["prompt"] == prompt


def test_a_run_is_taken_up_and_prompts_that_fail_cost_no_other(cluster, expected, tmp_path):
    import pyarrow.parquet as parquet

    class FailsOn5(Renderer):
        def render(self, prompt, seed):
            if prompt.endswith("5"):
                raise ValueError(prompt)
            return super().render(prompt, seed)

    out = tmp_path / "out"
    lines = tmp_path / "prompts.txt"
    lines.write_text("\n".join([*PROMPTS[:4], "", PROMPTS[5], PROMPTS[0]]))
    options = {"format": "parquet", "rows_per_file": 3, "actors": 2}
    summary = render(lines, JOB, out, retries=1, renderer=FailsOn5, **options)
    assert (summary.rendered, summary.there_before) == (4, 0)
    assert summary.failed == [(PROMPTS[5], 0)]
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    summary = render(PROMPTS, JOB, out, **options)
    assert (summary.rendered, summary.there_before, summary.failed) == (2, 4, [])
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    rows = [row for path in out.glob("*.parquet") for row in parquet.read_table(path).to_pylist()]
    assert sorted(row["prompt"] for row in rows) == PROMPTS
    for row in rows:
        assert numpy.array_equal(pixels(row["image"]), expected[row["prompt"], row["seed"]])
        assert row["settings"] == JOB.text()
    assert not list(out.glob("*.part"))


def test_everything_that_decides_a_picture_is_in_its_key():
    other = [Job("elsewhere", settings=JOB.settings), Job(JOB.model), Job(JOB.model, cache=None, settings=JOB.settings)]
    keys = {JOB.key("a", 0), JOB.key("a", 1), JOB.key("b", 0), *(job.key("a", 0) for job in other)}
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"prompts": "red apple"}, TypeError, "prompts"),
        ({"prompts": "prompts.txt"}, TypeError, "prompts"),
        ({"prompts": b"red apple"}, TypeError, "prompts"),
        ({"prompts": 5}, TypeError, "prompts"),
        ({"prompts": ["a", 5]}, TypeError, r"prompts\[1\]"),
        ({"prompts": Path("absent.txt")}, FileNotFoundError, "prompts"),
        ({"seeds": 5}, TypeError, "seeds"),
        ({"seeds": [0.5]}, TypeError, r"seeds\[0\]"),
        ({"seeds": [2**64]}, ValueError, r"seeds\[0\]"),
        ({"format": "jpg"}, ValueError, "format"),
        ({"actors": 0}, ValueError, "actors"),
        ({"cpus": 1.0}, TypeError, "cpus"),
        ({"retries": -1}, ValueError, "retries"),
        ({"rows_per_file": None}, TypeError, "rows_per_file"),
        ({"renderer": JOB}, TypeError, "renderer"),
        ({"job": "tiny-sdxl"}, TypeError, "job"),
        ({"out": None}, TypeError, "out"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, monkeypatch, arguments, error, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=f"^{name} is ") as raised:
        render(**{"prompts": ["a"], "job": JOB, "out": tmp_path / "out"} | arguments)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_jobs_take_what_json_has_and_numpy_s_numbers():
    settings = {"num_inference_steps": numpy.int64(4), "original_size": (64, 64)}
    job = Job(Path("model"), cache=[{"select_cache_step_func": range(1, 4, 2)}], settings=settings)
    assert job == Job("model", [{"select_cache_step_func": [1, 3]}], {"num_inference_steps": 4, "original_size": [64, 64]})
    assert job.key("a", numpy.int32(3)) == job.key("a", 3)
    for arguments, name in (({"model": 5}, "model"), ({"cache": 5}, "cache"), ({"settings": [1]}, "settings"),
                            ({"load": {"precision": object}}, "load")):  # fmt: skip
        with pytest.raises(TypeError, match=f"^{name} ") as raised:
            Job(**{"model": "m"} | arguments)
        assert len(str(raised.value).splitlines()) == 1


def test_seeds_of_numpy_are_seeds(cluster, expected, tmp_path):
    summary = render(numpy.array(PROMPTS[:1]), JOB, tmp_path, seeds=numpy.arange(2))
    assert (summary.rendered, summary.failed) == (2, [])
    for seed in (0, 1):
        png = (tmp_path / f"{JOB.key(PROMPTS[0], seed)}.png").read_bytes()
        assert numpy.array_equal(pixels(png), expected[PROMPTS[0], seed])
