"""Many prompts on many machines: an actor pool of pipelines on Ray Data. Needs the packages of the extra `ray`.

Ray does the work of a scheduler: it spreads prompts over actors and nodes, starts anew what dies and runs again what was
under way there. The driver alone writes results, so nodes need to share nothing but the model's folder. A result's name is
made of everything that decides the picture; what is there already is not rendered again, so that a run which was stopped
is taken up by starting it again, and each prompt and seed has exactly one result.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import ray
import ray.data

from reprise._arguments import Natural, Positive, Seed, checked, plain, refused
from reprise._arguments import path as path_of

Row = dict[str, Any]
ResultFormat = Literal["png", "parquet"]


@dataclass(frozen=True)
class Job:
    """What decides the pictures, beside prompt and seed."""

    model: str
    """Folder in diffusers' layout, at the same place on every node."""
    cache: str | list[dict[str, Any]] | None = "auto"
    """A policy's name, or a configuration in its JSON form; None: nothing is reused."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Keywords of the pipeline's call, such as num_inference_steps; values that JSON has."""
    load: dict[str, Any] = field(default_factory=dict)
    """Keywords of Pipeline.from_pretrained, such as precision."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", path_of("model", self.model))
        if self.cache is not None and not isinstance(self.cache, str) and not isinstance(self.cache, (list, tuple)):
            raise refused("cache", self.cache, "a policy's name, a list of dicts, or None")
        for name in ("cache", "settings", "load"):
            value = getattr(self, name)
            if name != "cache" and not isinstance(value, dict):
                raise refused(name, value, "a dict")
            try:
                object.__setattr__(self, name, json.loads(json.dumps(value, default=plain)))
            except (TypeError, ValueError) as error:
                raise TypeError(f"{name} has something that JSON has not: {error}") from None

    def text(self) -> str:
        return json.dumps([self.model, self.cache, self.settings, self.load], sort_keys=True)

    @checked
    def key(self, prompt: str, seed: Seed) -> str:
        """The name of a result."""
        text = json.dumps([self.text(), prompt, seed])
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class Renderer:
    """What an actor of the pool runs: one pipeline, opened once."""

    @checked
    def __init__(self, job: Job, threads: Natural) -> None:
        from reprise import Pipeline, cachify

        self.job = job
        self.pipe = Pipeline.from_pretrained(job.model, threads=threads, **job.load)
        self.pipe.set_progress_bar_config(disable=True)
        if job.cache is not None:
            calls = dict(job.settings)
            cachify.prepare(self.pipe, calls.pop("num_inference_steps", None), cast(Any, job.cache), **calls)

    @checked
    def render(self, prompt: str, seed: Seed) -> bytes:
        """The picture as a PNG that says how it was made."""
        from PIL.PngImagePlugin import PngInfo

        image = self.pipe(prompt, seed=seed, **self.job.settings).images[0]
        text = PngInfo()
        for name, value in (("prompt", prompt), ("seed", str(seed)), ("settings", self.job.text())):
            text.add_itxt(name, value)
        file = io.BytesIO()
        image.save(file, "PNG", pnginfo=text)
        return file.getvalue()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(batch["prompt"], batch["seed"], strict=True)
        return batch | {"image": [self.render(str(prompt), int(seed)) for prompt, seed in pairs]}


@dataclass(frozen=True)
class Summary:
    rendered: int
    """By this run."""
    there_before: int
    failed: list[tuple[str, int]]
    """(prompt, seed) whose retries were used up. Another run tries them again."""


@checked
def render(
    prompts: Iterable[str] | os.PathLike[str],
    job: Job,
    out: str | os.PathLike[str],
    *,
    seeds: Sequence[Seed] = (0,),
    format: ResultFormat = "png",
    actors: Positive = 1,
    cpus: Positive = 1,
    retries: Natural = 3,
    rows_per_file: Positive = 64,
    renderer: type[Renderer] = Renderer,
) -> Summary:
    """Renders each prompt with each seed, on the cluster that `ray.init` connected to (a local one otherwise).

    prompts: a list, or a `Path` of a file with a prompt on each line.
    out: a folder. "png": a file for each picture, "<key>.png". "parquet": files of up to `rows_per_file` rows with key,
        prompt, seed, settings (JSON) and image (PNG bytes); at most that many pictures are rendered again after a crash.
    actors: pipelines at once, spread over the nodes; each takes `cpus` of a node's CPUs, and computes with so many threads.
    retries: of a prompt that raises. What dies with its process or node is run again in any case.
    renderer: what the actors run; a class like `Renderer`.
    """
    if isinstance(prompts, os.PathLike):
        prompts = [line for line in Path(prompts).read_text(encoding="utf-8").splitlines() if line.strip()]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {job.key(p, s): (p, s) for p in prompts for s in seeds}
    known = Writers[format].keys(folder) & wanted.keys()
    rows = [{"key": key, "prompt": p, "seed": s} for key, (p, s) in wanted.items() if key not in known]
    done = set()
    if rows:
        with Writers[format](folder, job, rows_per_file) as writer:
            for row in _stream(rows, job, actors, cpus, retries, renderer):
                writer.write(row)
                done.add(row["key"])
    return Summary(len(done), len(known), [pair for key, pair in wanted.items() if key not in done | known])


def _stream(rows: list[Row], job: Job, actors: int, cpus: int, retries: int, renderer: type[Renderer]) -> Iterator[Row]:
    """The rows with their pictures, each once, as they are ready."""
    context = ray.data.DataContext.get_current().copy()
    context.actor_task_retry_on_errors = True
    context.max_errored_blocks = -1  # a prompt that fails for good costs no other
    with ray.data.DataContext.current(context):
        pictures = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            renderer,
            fn_constructor_args=(job, cpus),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=cpus,
            max_task_retries=retries,
            max_restarts=-1,
        )
        yield from pictures.iter_rows()


class PngWriter:
    """A file for each picture, which appears whole or not at all."""

    def __init__(self, folder: Path, _job: Job, _rows_per_file: int) -> None:
        self._folder = folder

    @staticmethod
    def keys(folder: Path) -> set[str]:
        return {path.stem for path in folder.glob("*.png")}

    def write(self, row: Row) -> None:
        _write(self._folder / f"{row['key']}.png", row["image"])

    def __enter__(self) -> PngWriter:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class ParquetWriter:
    """Files of several rows, each of which appears whole or not at all, under its first row's key."""

    def __init__(self, folder: Path, job: Job, rows_per_file: int) -> None:
        self._folder, self._job, self._rows_per_file = folder, job, rows_per_file
        self._rows: list[Row] = []

    @staticmethod
    def keys(folder: Path) -> set[str]:
        import pyarrow.parquet as parquet

        files = folder.glob("*.parquet")
        return {key for path in files for key in parquet.read_table(path, columns=["key"])["key"].to_pylist()}

    def write(self, row: Row) -> None:
        self._rows.append({**row, "settings": self._job.text()})
        if len(self._rows) >= self._rows_per_file:
            self._flush()

    def _flush(self) -> None:
        import pyarrow
        import pyarrow.parquet as parquet

        if not self._rows:
            return
        columns = {name: [row[name] for row in self._rows] for name in ("key", "prompt", "seed", "settings", "image")}
        file = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), file)
        _write(self._folder / f"{self._rows[0]['key']}.parquet", file.getvalue())
        self._rows = []

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()  # also when the run was stopped: what is ready is kept


Writers: dict[str, Any] = {"png": PngWriter, "parquet": ParquetWriter}


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_bytes(data)
    temporary.replace(path)
