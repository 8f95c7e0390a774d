"""The results as a table, and the machine in words."""

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

PACKAGES = ["openvino", "torch", "diffusers", "transformers", "stable-diffusion-cpp-python"]
ISA = {"avx512_bf16", "amx_bf16", "avx512f", "avx2"}


def machine(threads: int) -> dict:
    cpu = Path("/proc/cpuinfo").read_text()
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())

    def field(name: str) -> str:
        match = re.search(rf"^{name}\s*:\s*(.*)$", cpu, re.MULTILINE)
        return match[1] if match else "?"

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "missing"
    commit = subprocess.run(["git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True, check=False)  # fmt: skip
    return {
        "cpu": f"{field('model name')} (family {field('cpu family')}, model {field('model')})",
        "instructions": sorted(ISA & set(field("flags").split())),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gb": round(int(memory[1]) * 1024 / 1e9, 1),
        "kernel": platform.release(),
        "versions": versions,
        "commit": commit.stdout.strip(),
    }


def number(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.2f} %"
    if unit == "GB":
        return f"{value / 1e9:.2f} GB"
    if unit == "TFLOP":
        return f"{value / 1e12:.2f} TFLOP"
    return f"{value:.3g}{unit and ' ' + unit}"


def shown(value: float | dict, unit: str) -> str:
    if not isinstance(value, dict):
        return number(value, unit)
    return f"{number(value['median'], unit)} ({number(value['min'], unit)} .. {number(value['max'], unit)})"


# A row: words, part, path to the value, unit, bound. A bound is a limit above, or below where it ends in "+".
def sdxl_rows(precision: str) -> list[tuple]:
    native = precision == "bf16"
    return [
        (f"full step at 512x512, {precision}, to the converted module's", f"steps_{precision}", "ratios/full", "x", 1.0),
        (f"full step at 128x128, {precision}, to the converted module's", f"steps_{precision}_small", "ratios/full", "x", 1.0),
        (f"reused step at 512x512, {precision}, of the converted full step", f"steps_{precision}", "ratios/reused", "%", 0.065),
        (f"reused step at 512x512, {precision}, to the remaining parts converted alone", f"steps_{precision}", "ratios/reused to rest", "x", 1.0),
        (f"20 steps in the denoiser at 512x512, {precision}, full to reused", f"whole_{precision}", "speedup", "x", "1.85+"),
        ("the same from one full and one reused step", f"steps_{precision}", "twenty", "x", "1.85+"),
        (f"20 steps in the denoiser at 1024x1024, {precision}, extrapolated", f"end_to_end_{precision}", "denoiser_speedup", "x", "1.85+"),
        ("20 steps end to end at 1024x1024, extrapolated, text and decoding included", f"end_to_end_{precision}", "speedup", "x", "1.75+"),
        ("the same with loading and compiling", f"end_to_end_{precision}", "speedup_with_start", "x", None),
        (f"process start to first step, {precision}, first time", f"start_{precision}", "first/process start to first step", "s", 40.0 if native else None),
        ("CPU time of that, over all threads", f"start_{precision}", "first/cpu", "s", None),
        (f"process start to first step, {precision}, later", f"start_{precision}", "later/process start to first step", "s", 12.0 if native else None),
        ("CPU time of that, over all threads", f"start_{precision}", "later/cpu", "s", None),
        (f"peak own memory of a run, {precision}", f"memory_{precision}", "peak_own_bytes", "GB", 8e9 if native else 13e9),
        ("high-water mark of it, mapped files included", f"memory_{precision}", "high_water_bytes", "GB", None),
        ("of it, slots kept between steps", f"memory_{precision}", "kept_bytes", "GB", None),
        (f"times faster per full step ({precision}) than stable-diffusion.cpp (f16 weights)", f"ggml_{precision}", "faster", "x", "5+"),
        (f"times faster per full step ({precision}) than PyTorch ({precision})", f"torch_{precision}", "faster", "x", None),
        (f"what a first-block cache that runs everything adds to a full step, {precision}", f"probe_{precision}", "overhead", "%", 0.02),
    ]  # fmt: skip


SDXL_LIMITED = [
    ("full step at 512x512, f32 limited to AVX2, to the converted module's", "steps_avx2", "ratios/full", "x", 1.0),
    ("reused step, f32 limited to AVX2, of the converted full step", "steps_avx2", "ratios/reused", "%", 0.065),
    ("reused step, f32 limited to AVX2, to the remaining parts converted alone", "steps_avx2", "ratios/reused to rest", "x", 1.0),
]  # fmt: skip


def other_rows(name: str, size: str, precision: str) -> list[tuple]:
    """Of a model other than SDXL."""
    rows = [
        (f"full step, {size}, {precision}, to the converted module's", f"{name}_steps_{precision}", "ratios/full", "x", 1.0),
        ("reused step of the default configuration, of the full step", f"{name}_steps_{precision}", "ratios/reused to full", "%", None),
        ("what its FLOPs say", f"{name}_steps_{precision}", "flops_share", "%", None),
        ("the one to the other", f"{name}_steps_{precision}", "ratios/reused to its FLOPs", "x", 1.1),
        (f"what a first-block cache that runs everything adds to it, {precision}", f"{name}_probe_{precision}", "overhead", "%", 0.02),
        (f"times faster per full step than PyTorch, {precision}", f"{name}_torch_{precision}", "faster", "x", None),
    ]  # fmt: skip
    memory = f"{name}_memory_{precision}"
    if name == "pixart":
        rows += [
            (f"peak own memory of T5-XXL's turn, {precision}", memory, "text_peak_bytes", "GB", 2e9),
            (f"peak own memory of the rest of the run, {precision}", memory, "rest_peak_bytes", "GB", 3e9),
        ]
    else:
        rows.append((f"peak own memory of a run, {precision}", memory, "peak_own_bytes", "GB", None))
    rows.append(("of it, slots kept between steps", memory, "kept_bytes", "GB", None))
    if name == "svd":
        plan = f"svd_plan_{precision}"
        rows += [
            (f"on paper, 25 frames of 576x1024, {precision}: a full pass", plan, "full_flops", "TFLOP", None),
            ("a reused one, of it", plan, "reused_share", "%", None),
            ("slots kept between steps", plan, "kept_bytes", "GB", None),
            ("computed once and kept", plan, "once_bytes", "GB", None),
            ("slots within a step", plan, "scratch_bytes", "GB", None),
        ]
    return rows


OTHERS = [("PixArt-XL", "pixart", "512x512"), ("Stable Diffusion 3 medium", "sd3", "512x512"),
          ("Stable Video Diffusion", "svd", "8 frames of 192x320")]  # fmt: skip


def twenty_steps(part: dict, prefix: str) -> float | None:
    """How much faster 20 steps are with the default configuration, from one full and one reused step."""
    seconds = part.get(prefix + "seconds", {})
    full, reused = (seconds.get(name, {}).get("median") for name in ("reprise full", "reprise reused"))
    return 20 * full / (10 * full + 10 * reused) if full and reused else None


def find(part: dict | None, path: str):
    for key in path.split("/"):
        part = part.get(key) if isinstance(part, dict) else None
    return part


def verdict(value: float | dict, bound: float | str | None, unit: str) -> tuple[str, str]:
    if bound is None:
        return "", ""
    middle = value["median"] if isinstance(value, dict) else value
    if isinstance(bound, str):
        least = float(bound.rstrip("+"))
        return f"at least {number(least, unit)}", "yes" if middle >= least else "no"
    return f"at most {number(bound, unit)}", "yes" if middle <= bound else "no"


def seconds_table(parts: dict) -> list[str]:
    lines = ["| part | what | seconds: middle (smallest .. largest) |", "| --- | --- | --- |"]

    def add(part: str, what: str, value) -> None:
        if isinstance(value, dict) and "median" in value:
            lines.append(f"| {part} | {what} | {shown(value, '')} |")
        elif isinstance(value, dict):
            for key, inner in value.items():
                add(part, f"{what} {key}".strip(), inner)
        elif isinstance(value, (int, float)):
            lines.append(f"| {part} | {what} | {value:.3g} |")

    for name, part in parts.items():
        for key in ["seconds", "cpu_seconds", "load_seconds", "first", "later"]:
            if key in part:
                add(name, {"seconds": "", "cpu_seconds": "CPU:", "load_seconds": "loading:"}.get(key, key + ":"), part[key])
    return lines


def table(parts: dict, rows: list[tuple]) -> list[str]:
    lines = ["| what | target | measured | met | the same in CPU time |", "| --- | --- | --- | --- | --- |"]
    for words, name, path, unit, bound in rows:
        value = find(parts.get(name), path)
        if value is None:
            why = find(parts.get(name), "missing") or ("failed" if find(parts.get(name), "failed") else "")
            lines.append(f"| {words} | | {why or 'not measured'} | | |")
            continue
        target, met = verdict(value, bound, unit)
        if met == "no" and unit == "s" and parts[name]["others_share"] > 0.1:
            met = "no, on a busy machine"
        cpu = find(parts[name], f"cpu_{path}")
        lines.append(f"| {words} | {target} | {shown(value, unit)} | {met} | {shown(cpu, unit) if cpu else ''} |")
    return lines


def text(results: dict) -> str:
    about = results["machine"]
    parts = {name: dict(part) for name, part in results["parts"].items()}
    for name, part in parts.items():
        if "steps_" in name and "failed" not in part:
            part |= {"twenty": twenty_steps(part, ""), "cpu_twenty": twenty_steps(part, "cpu_")}
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    precisions = ["bf16", "f32"] if {"avx512_bf16", "amx_bf16"} & set(about["instructions"]) else ["f32"]
    lines = [
        "# Full-size benchmark",
        "",
        f"{about['cpu']}, {about['cores']} cores, {about['threads']} threads, {about['memory_gb']} GB, Linux "
        f"{about['kernel']}; {', '.join(about['instructions'])}. {versions}.",
        "" if len(precisions) > 1 else "This CPU has no native bf16: f32 alone is measured.\n",
        "True shapes with random weights. Written by `benchmarks/full_size/measure.py`; `docs/benchmarks.md` says",
        "what is compared and how to repeat it. Ratios: middle (smallest .. largest).",
        "",
    ]
    limited = SDXL_LIMITED if "avx512f" in about["instructions"] else []
    lines += ["## SDXL", "", *table(parts, [row for p in precisions for row in sdxl_rows(p)] + limited)]
    for words, name, size in OTHERS:
        lines += ["", f"## {words}", "", *table(parts, [row for p in precisions for row in other_rows(name, size, p)])]
    lines += ["", "## Seconds", "", *seconds_table(parts)]
    lines += ["", "## When, and what else the machine did", "",
              "Load: the run queue's average over the minute before. Others: the share of all cores' time that other",
              "processes used during the part; ratios hold better than seconds where it is not small.", "",
              "| part | when | load | others | Reprise at |", "| --- | --- | --- | --- | --- |"]  # fmt: skip
    lines += [f"| {name} | {part['when']} | {part['load_before']:.1f} | {100 * part['others_share']:.0f} % "
              f"| {part.get('commit', about['commit'])} |"
              for name, part in parts.items()]  # fmt: skip
    return "\n".join(lines) + "\n"
