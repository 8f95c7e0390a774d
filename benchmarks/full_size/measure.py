#!/usr/bin/env python3
"""Measures Reprise on SDXL's true shapes beside other engines, as ratios with their spread.

    measure.py --work /big/disk/bench --build build --results results/my-machine

Makes what it needs in the work folder first (about 45 GB: a pipeline with random weights, diffusers' UNet
converted for OpenVINO, the same as one file for stable-diffusion.cpp, Reprise's converted weights). Engines
take turns step by step where both fit into memory, else process by process. After each part the results so
far are written as JSON and as a table; --only names parts to measure (again), the others are kept.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import report
from workers import Others, Worker, now, run_json, spread

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BOTH_FIT = {"bf16"}  # two denoisers of 5.1 GB; in f32 they are 10.3 GB each


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.work, self.threads, self.rounds = options.work, options.threads, options.rounds
        self.model = options.model or options.work / "sdxl"
        self.converted = options.work / "openvino"
        self.ldm = options.work / "sdxl-ldm.safetensors"
        self.reprise = options.build / "bin" / "reprise"
        self.stepper = options.build / "bin" / "reprise_stepper"
        self.log = options.work / "log"
        self.environment = {"XDG_CACHE_HOME": str(options.work / "cache")}
        self.side = options.side  # of the large latents: 64 for pictures of 512
        self.small = options.small

    # What has to be there.

    def make(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)

        def script(path: Path, *words) -> None:
            subprocess.run([sys.executable, path, *words], check=True)

        if not self.model.exists():
            script(ROOT / "tools" / "random_model.py", "--preset", "sdxl", "--out", self.model)
        if not (self.converted / "full.xml").exists():
            script(HERE / "convert.py", "--model", self.model, "--out", self.converted)

    def warm(self, *folders: Path) -> None:
        """Reads files into the page cache."""
        for folder in folders:
            for file in sorted(folder.rglob("*.safetensors")) if folder.is_dir() else [folder]:
                subprocess.run(["cat", file], stdout=subprocess.DEVNULL, check=True)

    # The engines.

    def ours(self, side: int, precision: str, isa: str = "", cache: str = "default", steps: int = 100) -> Worker:
        return Worker("reprise", [self.stepper, "--model", self.model, "--width", side * 8, "--height", side * 8,
                                  "--precision", precision, "--threads", self.threads, "--cache", cache,
                                  "--steps", steps], self.environment | self.isa(isa), self.log)  # fmt: skip

    def theirs(self, side: int, precision: str, isa: str = "") -> Worker:
        return Worker("openvino", [sys.executable, HERE / "openvino_worker.py", "--models", self.converted,
                                   "--run", "full,rest", "--side", side, "--precision", precision,
                                   "--threads", self.threads], self.isa(isa), self.log)  # fmt: skip

    @staticmethod
    def isa(limit: str) -> dict[str, str]:
        return {"ONEDNN_MAX_CPU_ISA": limit} if limit else {}

    def bench(self, side: int, precision: str, steps: int, *words):
        return run_json([self.reprise, "bench", "--model", self.model, "--json", "--quiet", "--width", side * 8,
                         "--height", side * 8, "--precision", precision, "--threads", self.threads,
                         "--steps", steps, "--runs", 1, *words],
                        self.environment, self.log)  # fmt: skip

    # The parts.

    def steps(self, side: int, precision: str, isa: str = "") -> dict:
        """Full and reused steps beside the converted module's full step and remaining part."""
        names = ["reprise full", "reprise reused", "openvino full", "openvino rest"]
        seconds, cpu = {name: [] for name in names}, {name: [] for name in names}

        def pair(worker: Worker, keep: bool) -> None:
            for what in ["full", "rest"]:
                name, value, cpu_value = worker.turn(what)
                if keep:
                    seconds[f"{worker.name} {name}"].append(value)
                    cpu[f"{worker.name} {name}"].append(cpu_value)

        makers = [lambda: self.ours(side, precision, isa), lambda: self.theirs(side, precision, isa)]
        load, memory = {}, {}
        if precision in BOTH_FIT:
            workers = []
            for make in reversed(makers):  # the one whose compiling needs most goes first, alone
                workers.insert(0, make())
            for r in range(-1, self.rounds):
                for worker in workers if r % 2 == 0 else reversed(workers):
                    pair(worker, keep=r >= 0)
            for worker in workers:
                load[worker.name] = worker.ready["load_seconds"]
                memory[worker.name] = worker.close()
        else:
            per_process = 2
            for _ in range(max(1, self.rounds // per_process)):
                for make in makers:
                    worker = make()
                    load[worker.name] = worker.ready["load_seconds"]
                    for i in range(-1, per_process):
                        pair(worker, keep=i >= 0)
                    memory[worker.name] = worker.close()

        def ratios(values: dict[str, list[float]]) -> dict:
            pairs = {"full": ("reprise full", "openvino full"), "reused": ("reprise reused", "openvino full"),
                     "reused to rest": ("reprise reused", "openvino rest")}  # fmt: skip
            return {name: spread([x / y for x, y in zip(values[a], values[b], strict=True)])
                    for name, (a, b) in pairs.items()}  # fmt: skip

        return {
            "interleaved": "steps" if precision in BOTH_FIT else "processes",
            "seconds": {name: spread(values) for name, values in seconds.items()},
            "cpu_seconds": {name: spread(values) for name, values in cpu.items()},
            "ratios": ratios(seconds),
            "cpu_ratios": ratios(cpu),
            "load_seconds": load,
            "memory": memory,
        }

    def start(self, precision: str, times: int = 2) -> dict:
        """From process start to the first step: with the conversion, then with what it left."""
        cache = self.work / "cache-start"
        shutil.rmtree(cache, ignore_errors=True)
        self.warm(self.model)
        found = []
        for _ in range(1 + times):
            worker = Worker("reprise", [self.stepper, "--model", self.model, "--width", self.side * 8, "--height",
                                        self.side * 8, "--precision", precision, "--threads", self.threads],
                            {"XDG_CACHE_HOME": str(cache)}, self.log)  # fmt: skip
            before = worker.age()
            _, step, cpu_step = worker.turn()
            found.append({"process start to first step": worker.age(), "until compiled": before, "first step": step,
                          "cpu": worker.ready["cpu_seconds"] + cpu_step})  # fmt: skip
            worker.close()
            self.warm(self.model, cache)
        shutil.rmtree(cache)
        return {"first": found[0], "later": {name: spread([run[name] for run in found[1:]]) for name in found[0]}}

    def memory(self, precision: str) -> dict:
        """A whole run: both guidance halves, default reuse, picture decoded."""
        found, memory = self.bench(self.side, precision, 4, "--decode")
        run = found["runs"][-1]
        return memory | {"kept_bytes": run["bytes"]["kept"], "guidance_mode": run["guidance_mode"],
                         "seconds": {"full step": found["seconds"]["full_step"], "text": found["seconds"]["text"],
                                     "reused step": found["seconds"]["reused_step"],
                                     "decode": found["seconds"]["decode"]}}  # fmt: skip

    def whole(self, precision: str) -> dict:
        """20 steps without and with reuse, alternating by step where both fit, else one after the other."""
        totals, cpu = {}, {}

        def take(workers: dict[str, Worker]) -> None:
            for i in range(-2, 20):
                for name, worker in workers.items():
                    _, seconds, cpu_seconds = worker.turn()
                    if i >= 0:
                        totals[name] = totals.get(name, 0.0) + seconds
                        cpu[name] = cpu.get(name, 0.0) + cpu_seconds
            for worker in workers.values():
                worker.close()

        names = ["off", "default"]
        for group in [names] if precision in BOTH_FIT else [[name] for name in names]:
            take({name: self.ours(self.side, precision, cache=name) for name in group})
        return {"seconds": totals, "cpu_seconds": cpu, "speedup": totals["off"] / totals["default"],
                "cpu_speedup": cpu["off"] / cpu["default"]}  # fmt: skip

    def end_to_end(self, precision: str) -> dict:
        """Parts of a 1024x1024 picture with guidance, and from them 20 steps with and without reuse."""
        found, _ = self.bench(self.side * 2, precision, 2, "--decode")
        seconds = found["seconds"]
        full, reused = seconds["full_step"]["median"], seconds["reused_step"]["median"]
        text, decode = found["seconds"]["text"], seconds["decode"]["median"]
        start = seconds["start_to_first_step"] - seconds["first_step"] - text
        off, default = 20 * full, 10 * (full + reused)
        return {
            "seconds": {"start": start, "text": text, "full_step": full, "reused_step": reused, "decode": decode},
            "denoiser_speedup": off / default,
            "speedup": (text + off + decode) / (text + default + decode),
            "speedup_with_start": (start + text + off + decode) / (start + text + default + decode),
        }

    def ggml(self, precision: str) -> dict:
        """Steps of stable-diffusion.cpp between ours."""
        if importlib.util.find_spec("stable_diffusion_cpp") is None:
            return {"missing": "stable-diffusion-cpp-python is not installed here"}
        if not self.ldm.exists():
            subprocess.run([sys.executable, HERE / "ldm_checkpoint.py", "--model", self.model, "--out", self.ldm],
                           check=True)  # fmt: skip
        theirs = Worker("ggml", [sys.executable, HERE / "sdcpp_worker.py", "--model", self.ldm, "--size",
                                 self.side * 8, "--threads", self.threads], {}, self.log)  # fmt: skip
        ours = self.ours(self.side, precision, cache="off")
        pairs = [(theirs.turn()[1:], ours.turn()[1:]) for _ in range(1 + max(2, self.rounds // 2))][1:]
        ours.close()
        theirs.close(patience=5)
        result = {}
        for i, prefix in enumerate(["", "cpu_"]):
            result[prefix + "seconds"] = {"ggml": spread([a[i] for a, _ in pairs]),
                                          "reprise": spread([b[i] for _, b in pairs])}  # fmt: skip
            result[prefix + "faster"] = spread([a[i] / b[i] for a, b in pairs])
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for large files, outside the repository")
    parser.add_argument("--build", type=Path, required=True, help="build folder with bin/reprise, bin/reprise_stepper")
    parser.add_argument("--results", type=Path, required=True, help="file to write, without .json and .md")
    parser.add_argument("--model", type=Path, help="pipeline folder (default: one made in the work folder)")
    parser.add_argument("--only", help="parts to measure, separated by commas")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--side", type=int, default=64, help="of the latents; smaller to try the script out")
    parser.add_argument("--small", type=int, default=16)
    options = parser.parse_args()
    options.work = options.work.resolve()
    if options.work.is_relative_to(ROOT) and ROOT / "build" not in options.work.parents:
        sys.exit(f"{options.work} is inside the repository; choose another folder")

    bench = Bench(options)
    instructions = report.machine(options.threads)["instructions"]
    parts = {}
    for precision in ["bf16", "f32"] if {"avx512_bf16", "amx_bf16"} & set(instructions) else ["f32"]:
        parts |= {
            f"steps_{precision}": lambda p=precision: bench.steps(bench.side, p),
            f"start_{precision}": lambda p=precision: bench.start(p),
            f"memory_{precision}": lambda p=precision: bench.memory(p),
            f"steps_{precision}_small": lambda p=precision: bench.steps(bench.small, p),
            f"whole_{precision}": lambda p=precision: bench.whole(p),
            f"end_to_end_{precision}": lambda p=precision: bench.end_to_end(p),
            f"ggml_{precision}": lambda p=precision: bench.ggml(p),
        }
    if "avx512f" in instructions:
        parts["steps_avx2"] = lambda: bench.steps(bench.side, "f32", "AVX2")
    wanted = options.only.split(",") if options.only else list(parts)
    for name in wanted:
        if name not in parts:
            sys.exit(f"there is no part {name}; there are {', '.join(parts)}")
    bench.make()
    file = options.results.with_suffix(".json")
    results = json.loads(file.read_text()) if file.exists() else {"parts": {}}
    results["machine"] = report.machine(options.threads)
    for name in wanted:
        print(f"{now()}  {name}", flush=True)
        others, begun, load = Others(), now(), os.getloadavg()[0]
        try:
            found = parts[name]()
        except Exception as error:  # one engine's trouble must not cost the other parts
            traceback.print_exc()
            found = {"failed": str(error)}
        found |= {"when": begun, "load_before": load, "others_share": others.lap()}
        results["parts"][name] = found
        file.write_text(json.dumps(results, indent=1) + "\n")
        options.results.with_suffix(".md").write_text(report.text(results))


if __name__ == "__main__":
    main()
