#!/usr/bin/env python3
"""Measures Reprise on models of true shapes beside other engines, as ratios with their spread.

    measure.py --work /big/disk/bench --build build --results results/my-machine

Makes what a part needs in the work folder first: a pipeline with random weights, diffusers' denoiser converted
for OpenVINO, SDXL as one file for stable-diffusion.cpp, Reprise's converted weights. With --tidy what belongs to
one model is removed before the next is measured (SDXL needs about 45 GB, the others less). Engines take turns
step by step where both fit into memory, else process by process. After each part the results so far are written
as JSON and as a table; --only names parts to measure (again), the others are kept.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

import report
from workers import Others, Worker, now, read_json, spread

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BOTH_FIT = 6e9  # bytes of a denoiser's weights up to which two engines hold them at once
PLANNED = ["kept_bytes", "once_bytes", "scratch_bytes"]


@dataclass(frozen=True)
class Subject:
    """A model at a size."""

    name: str
    preset: str  # of tools/random_model.py
    weights: float  # of the denoiser
    height: int  # of the latents
    width: int
    frames: int = 0
    period: int = 2  # steps after which the default configuration repeats
    dtype: str = "f16"  # of the files

    def fits_twice(self, precision: str) -> bool:
        return self.weights * (2 if precision == "bf16" else 4) <= BOTH_FIT

    def at(self, scale: float) -> "Subject":
        return replace(self, height=round(self.height * scale), width=round(self.width * scale))


SDXL = Subject("sdxl", "sdxl", 2.57e9, 64, 64)
PIXART = Subject("pixart", "pixart-512-t5-4", 0.61e9, 64, 64, period=3, dtype="bf16")  # 4 of T5-XXL's 24 layers
SD3 = Subject("sd3", "sd3", 2.03e9, 64, 64)
SVD = Subject("svd", "svd", 1.52e9, 24, 40, frames=8)  # 192x320; true is 576x1024 with 25 frames


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.work, self.threads, self.rounds = options.work, options.threads, options.rounds
        self.ldm = options.work / "sdxl-ldm.safetensors"
        self.reprise = options.build / "bin" / "reprise"
        self.stepper = options.build / "bin" / "reprise_stepper"
        self.log = options.work / "log"
        self.cache = options.work / "cache"

    # What has to be there.

    def model(self, subject: Subject) -> Path:
        return self.work / subject.name

    def converted(self, subject: Subject) -> Path:
        return self.work / f"{subject.name}-openvino"

    def script(self, path: Path, *words) -> None:
        subprocess.run([sys.executable, path, *map(str, words)], check=True)

    def make(self, subject: Subject) -> None:
        if not self.model(subject).exists():
            self.script(ROOT / "tools" / "random_model.py", "--preset", subject.preset, "--dtype", subject.dtype,
                        "--out", self.model(subject))  # fmt: skip

    def convert(self, subject: Subject) -> None:
        if not (self.converted(subject) / "full.xml").exists():
            self.script(HERE / "convert.py", "--model", self.model(subject), *self.size(subject),
                        "--out", self.converted(subject))  # fmt: skip

    def tidy(self, subject: Subject) -> None:
        for folder in [self.model(subject), self.converted(subject), self.cache]:
            shutil.rmtree(folder, ignore_errors=True)
        self.ldm.unlink(missing_ok=True)

    def warm(self, *folders: Path) -> None:
        """Reads files into the page cache."""
        for folder in folders:
            for file in sorted(folder.rglob("*.safetensors")):
                subprocess.run(["cat", file], stdout=subprocess.DEVNULL, check=True)

    # The engines.

    @staticmethod
    def size(subject: Subject) -> list:
        return ["--height", subject.height, "--width", subject.width, "--frames", subject.frames]

    def ours(self, subject: Subject, precision: str, *words, isa: str = "", cache: str | Path = "default",
             steps: int = 100, weight_cache: Path | None = None) -> Worker:  # fmt: skip
        return Worker("reprise", [self.stepper, "--model", self.model(subject), "--width", subject.width * 8,
                                  "--height", subject.height * 8, "--frames", subject.frames, "--precision",
                                  precision, "--threads", self.threads, "--cache", cache, "--steps", steps, *words],
                      {"XDG_CACHE_HOME": str(weight_cache or self.cache)} | self.isa(isa), self.log)  # fmt: skip

    def theirs(self, subject: Subject, names: list[str], precision: str, isa: str = "") -> Worker:
        return Worker("openvino", [sys.executable, HERE / "openvino_worker.py", "--models", self.converted(subject),
                                   "--run", ",".join(names), *self.size(subject)[:4], "--precision", precision,
                                   "--threads", self.threads], self.isa(isa), self.log)  # fmt: skip

    def pytorch(self, subject: Subject, precision: str) -> Worker:
        return Worker("pytorch", [sys.executable, HERE / "torch_worker.py", "--model", self.model(subject),
                                  *self.size(subject), "--precision", precision, "--threads", self.threads],
                      {}, self.log)  # fmt: skip

    @staticmethod
    def isa(limit: str) -> dict[str, str]:
        return {"ONEDNN_MAX_CPU_ISA": limit} if limit else {}

    # The parts.

    def steps(self, subject: Subject, precision: str, isa: str = "") -> dict:
        """Full and reused steps beside the converted module's full step and, of SDXL, its remaining part."""
        self.convert(subject)
        names = ["full", "rest"] if (self.converted(subject) / "rest.xml").exists() else ["full"]
        turns = {"reprise": [""] * subject.period, "openvino": names}
        rounds: list[dict[str, dict]] = []

        def take(worker: Worker, into: dict[str, dict]) -> None:
            for what in turns[worker.name]:
                answer = worker.turn(what)
                into[f"{worker.name} {answer['step']}"] = answer

        makers = {"reprise": lambda: self.ours(subject, precision, isa=isa),
                  "openvino": lambda: self.theirs(subject, names, precision, isa)}  # fmt: skip
        load, memory = {}, {}
        if subject.fits_twice(precision):
            # The one whose compiling needs most goes first, alone.
            workers = [makers[name]() for name in ["openvino", "reprise"]]
            for r in range(-1, self.rounds):
                values: dict[str, dict] = {}
                for worker in workers if r % 2 == 0 else reversed(workers):
                    take(worker, values)
                rounds += [values] if r >= 0 else []
            for worker in workers:
                load[worker.name] = worker.ready["load_seconds"]
                memory[worker.name] = worker.close()
        else:
            per_process = 2
            for _ in range(max(1, self.rounds // per_process)):
                group: list[dict[str, dict]] = [{} for _ in range(per_process)]
                for name, make in makers.items():
                    worker = make()
                    load[name] = worker.ready["load_seconds"]
                    take(worker, {})
                    for values in group:
                        take(worker, values)
                    memory[name] = worker.close()
                rounds += group
        kinds = list(rounds[0])
        share = rounds[0]["reprise reused"]["flops_share"]
        pairs = {"full": ("reprise full", "openvino full"), "reused": ("reprise reused", "openvino full"),
                 "reused to full": ("reprise reused", "reprise full")}  # fmt: skip
        if "rest" in names:
            pairs["reused to rest"] = ("reprise reused", "openvino rest")
        result = {"interleaved": "steps" if subject.fits_twice(precision) else "processes", "flops_share": share,
                  "load_seconds": load, "memory": memory}  # fmt: skip
        for prefix in ["", "cpu_"]:
            values = {kind: [values[kind][prefix + "seconds"] for values in rounds] for kind in kinds}
            ratios = {name: [x / y for x, y in zip(values[a], values[b], strict=True)]
                      for name, (a, b) in pairs.items()}  # fmt: skip
            ratios["reused to its FLOPs"] = [ratio / share for ratio in ratios["reused to full"]]
            result[prefix + "seconds"] = {kind: spread(those) for kind, those in values.items()}
            result[prefix + "ratios"] = {name: spread(those) for name, those in ratios.items()}
        return result

    def start(self, subject: Subject, precision: str, times: int = 2) -> dict:
        """From process start to the first step: with the conversion, then with what it left."""
        cache = self.work / "cache-start"
        shutil.rmtree(cache, ignore_errors=True)
        self.warm(self.model(subject))
        found = []
        for _ in range(1 + times):
            worker = self.ours(subject, precision, weight_cache=cache, steps=20)
            before = worker.age()
            step = worker.turn()
            run = {"process start to first step": worker.age(), "until compiled": before, "first step": step["seconds"],
                   "cpu": worker.ready["cpu_seconds"] + step["cpu_seconds"], "opening": worker.phases[0][1]}  # fmt: skip
            ends = [begin for _, begin in worker.phases[1:]]
            run |= {name: end - begin for (name, begin), end in zip(worker.phases, ends)}
            found.append(run)
            worker.close()
            self.warm(self.model(subject), cache)
        shutil.rmtree(cache)
        return {"first": found[0], "later": {name: spread([run[name] for run in found[1:]]) for name in found[0]}}

    def whole_run(self, subject: Subject, precision: str, steps: int) -> dict:
        """One run with both guidance halves, default reuse and the picture decoded."""
        worker = self.ours(subject, precision, "--whole", "--guidance", 5, steps=steps)
        ready, answers = worker.age(), [worker.turn() for _ in range(steps)]
        end = worker.turn()
        seconds = {"process start to first step": ready + answers[0]["seconds"],
                   "decode": worker.seconds_of("decode")}  # fmt: skip
        seconds |= {"text": worker.seconds_of("text encoder"), "start": ready - worker.seconds_of("text encoder")}
        seconds |= {f"{answer['step']} step": answer["seconds"] for answer in answers}  # the last of each
        return {"seconds": seconds, "kept_bytes": end["kept_bytes"]} | worker.close()

    def memory(self, subject: Subject, precision: str) -> dict:
        found = self.whole_run(subject, precision, subject.period)
        phases = found["peak_own_bytes_by_phase"]
        text = [name for name in phases if name in ("text encoder", "image encoder")]
        found["text_peak_bytes"] = max(phases[name] for name in text)
        found["rest_peak_bytes"] = max(peak for name, peak in phases.items() if name not in text)
        return found

    def whole(self, subject: Subject, precision: str) -> dict:
        """20 steps without and with reuse, alternating by step where both fit, else one after the other."""
        totals, cpu = {}, {}

        def take(workers: dict[str, Worker]) -> None:
            for i in range(-2, 20):
                for name, worker in workers.items():
                    answer = worker.turn()
                    if i >= 0:
                        totals[name] = totals.get(name, 0.0) + answer["seconds"]
                        cpu[name] = cpu.get(name, 0.0) + answer["cpu_seconds"]
            for worker in workers.values():
                worker.close()

        names = ["off", "default"]
        for group in [names] if subject.fits_twice(precision) else [[name] for name in names]:
            take({name: self.ours(subject, precision, cache=name) for name in group})
        return {"seconds": totals, "cpu_seconds": cpu, "speedup": totals["off"] / totals["default"],
                "cpu_speedup": cpu["off"] / cpu["default"]}  # fmt: skip

    def end_to_end(self, subject: Subject, precision: str) -> dict:
        """Parts of a picture of twice the size with guidance, and from them 20 steps with and without reuse."""
        seconds = self.whole_run(subject.at(2), precision, subject.period + 1)["seconds"]
        full, reused, text, decode, start = (
            seconds[name] for name in ["full step", "reused step", "text", "decode", "start"]
        )
        off, default = 20 * full, 10 * (full + reused)
        return {
            "seconds": seconds,
            "denoiser_speedup": off / default,
            "speedup": (text + off + decode) / (text + default + decode),
            "speedup_with_start": (start + text + off + decode) / (start + text + default + decode),
        }

    def by_turns(self, first: Worker, second: Worker, rounds: int) -> dict:
        """Full steps of two workers, in alternating order after a round that warms up: seconds, and first to second."""
        pairs = []
        for r in range(-1, rounds):
            order = [first, second] if r % 2 == 0 else [second, first]
            answers = {worker: worker.turn() for worker in order}
            pairs += [(answers[first], answers[second])] if r >= 0 else []
        result: dict = {}
        for prefix in ["", "cpu_"]:
            key = prefix + "seconds"
            result[key] = {first.name: spread([a[key] for a, _ in pairs]), second.name: spread([b[key] for _, b in pairs])}
            result[prefix + "ratio"] = [a[key] / b[key] for a, b in pairs]
        return result

    def beside(self, theirs: Worker, ours: Worker) -> dict:
        """Full steps of two engines by turns; how many times faster ours are."""
        load = {worker.name: worker.ready["load_seconds"] for worker in (ours, theirs)}
        result = self.by_turns(theirs, ours, max(2, self.rounds // 2))
        ours.close()
        theirs.close(patience=5)
        for prefix in ["", "cpu_"]:
            result[prefix + "faster"] = spread(result.pop(prefix + "ratio"))
        return {"load_seconds": load} | result

    def torch(self, subject: Subject, precision: str) -> dict:
        return self.beside(self.pytorch(subject, precision), self.ours(subject, precision, cache="off"))

    def ggml(self, subject: Subject, precision: str) -> dict:
        if importlib.util.find_spec("stable_diffusion_cpp") is None:
            return {"missing": "stable-diffusion-cpp-python is not installed here"}
        if not self.ldm.exists():
            self.script(HERE / "ldm_checkpoint.py", "--model", self.model(subject), "--out", self.ldm)
        theirs = Worker("ggml", [sys.executable, HERE / "sdcpp_worker.py", "--model", self.ldm, "--size",
                                 subject.height * 8, "--threads", self.threads], {}, self.log)  # fmt: skip
        return self.beside(theirs, self.ours(subject, precision, cache="off"))

    def probe(self, subject: Subject, precision: str) -> dict:
        """Steps of a first-block cache that decides each time to run everything, between full steps without it."""
        config = self.work / "probe.json"
        config.write_text(json.dumps([{"policy": "fbcache:threshold=0"}]))
        cut, whole = (self.ours(subject, precision, cache=cache) for cache in [config, "off"])
        cut.name, whole.name = "with", "without"
        result = self.by_turns(cut, whole, self.rounds)
        whole.close()
        cut.close()
        for prefix in ["", "cpu_"]:
            result[prefix + "overhead"] = spread([ratio - 1 for ratio in result.pop(prefix + "ratio")])
        return result

    def on_paper(self, subject: Subject, precision: str, height: int, width: int, frames: int) -> dict:
        """What `reprise plan` says of a size that is not run here, guidance in two passes, as large models take
        it. No weights are read."""
        plan = read_json([self.reprise, "plan", "--model", self.model(subject), "--json", "--quiet", "--precision",
                          precision, "--height", height, "--width", width, "--frames", frames, "--steps", 25,
                          "--guidance-mode", "split"],
                         {}, self.log)  # fmt: skip
        full, reused = plan["executions"][0], min(plan["executions"], key=lambda each: each["share"])
        return {"size": [frames, height, width], "full_flops": full["flops"], "reused_share": reused["share"],
                "passes": plan["passes"]} | {key: plan[key] for key in PLANNED}  # fmt: skip


def all_parts(bench: Bench, precisions: list[str], instructions: list[str]) -> dict[str, tuple]:
    """By name: the model, and what measures it."""
    parts: dict[str, tuple] = {}
    for precision in precisions:
        p = precision
        parts |= {
            f"steps_{p}": (SDXL, lambda p=p: bench.steps(SDXL, p)),
            f"start_{p}": (SDXL, lambda p=p: bench.start(SDXL, p)),
            f"memory_{p}": (SDXL, lambda p=p: bench.memory(SDXL, p)),
            f"steps_{p}_small": (SDXL, lambda p=p: bench.steps(SDXL.at(0.25), p)),
            f"whole_{p}": (SDXL, lambda p=p: bench.whole(SDXL, p)),
            f"end_to_end_{p}": (SDXL, lambda p=p: bench.end_to_end(SDXL, p)),
            f"ggml_{p}": (SDXL, lambda p=p: bench.ggml(SDXL, p)),
            f"torch_{p}": (SDXL, lambda p=p: bench.torch(SDXL, p)),
            f"probe_{p}": (SDXL, lambda p=p: bench.probe(SDXL, p)),
        }
    if "avx512f" in instructions:
        parts["steps_avx2"] = (SDXL, lambda: bench.steps(SDXL, "f32", "AVX2"))
    for subject in [PIXART, SD3, SVD]:
        for p in precisions:
            parts |= {
                f"{subject.name}_steps_{p}": (subject, lambda s=subject, p=p: bench.steps(s, p)),
                f"{subject.name}_memory_{p}": (subject, lambda s=subject, p=p: bench.memory(s, p)),
                f"{subject.name}_probe_{p}": (subject, lambda s=subject, p=p: bench.probe(s, p)),
                f"{subject.name}_torch_{p}": (subject, lambda s=subject, p=p: bench.torch(s, p)),
            }
    for p in precisions:
        parts[f"svd_plan_{p}"] = (SVD, lambda p=p: bench.on_paper(SVD, p, 576, 1024, 25))
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for large files, outside the repository")
    parser.add_argument("--build", type=Path, required=True, help="build folder with bin/reprise, bin/reprise_stepper")
    parser.add_argument("--results", type=Path, required=True, help="file to write, without .json and .md")
    parser.add_argument("--only", help="parts to measure, separated by commas")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--tidy", action="store_true", help="remove a model's files when its parts are done")
    options = parser.parse_args()
    options.work = options.work.resolve()
    if options.work.is_relative_to(ROOT) and ROOT / "build" not in options.work.parents:
        sys.exit(f"{options.work} is inside the repository; choose another folder")

    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    instructions = report.machine(options.threads)["instructions"]
    native = {"avx512_bf16", "amx_bf16"} & set(instructions)
    parts = all_parts(bench, ["bf16", "f32"] if native else ["f32"], instructions)
    wanted = options.only.split(",") if options.only else list(parts)
    for name in wanted:
        if name not in parts:
            sys.exit(f"there is no part {name}; there are {', '.join(parts)}")
    wanted.sort(key=lambda name: [SDXL, PIXART, SD3, SVD].index(parts[name][0]))
    file = options.results.with_suffix(".json")
    results = json.loads(file.read_text()) if file.exists() else {"parts": {}}
    results["machine"] = report.machine(options.threads)
    for i, name in enumerate(wanted):
        subject, measure = parts[name]
        bench.make(subject)
        print(f"{now()}  {name}", flush=True)
        others, begun, load = Others(), now(), os.getloadavg()[0]
        try:
            found = measure()
        except Exception as error:  # one engine's trouble must not cost the other parts
            traceback.print_exc()
            found = {"failed": str(error)}
        found |= {"when": begun, "load_before": load, "others_share": others.lap(),
                  "commit": results["machine"]["commit"]}  # fmt: skip
        results["parts"][name] = found
        file.write_text(json.dumps(results, indent=1) + "\n")
        options.results.with_suffix(".md").write_text(report.text(results))
        if options.tidy and subject not in [parts[other][0] for other in wanted[i + 1 :]]:
            bench.tidy(subject)


if __name__ == "__main__":
    main()
