"""Measures every policy on the bundled models and writes docs/policies.md.

    python3 tools/policy_table.py [--models emoji-sdxl,...] [--seeds 1] [--work out/policies]

One command, two cores, about an hour for all models; --models measures some again and keeps the others' tables
(none: only writes the page). What was measured is kept as JSON in the work folder and, for each model, beside the page
in docs/policies/. Pictures are scored by tools/train_emoji/retrieval.py, which needs NumPy, Pillow and Debian's
fonts-noto-color-emoji (`--no-score` does without).
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of tools/train_emoji/prompts.txt the last, with seeds from this one on: the tuned schedules have not seen them.
PROMPTS = 32
SEED = 1000
PICTURES = 8  # of the same prompts, drawn by emoji-pixart: what emoji-svd animates, each with four seeds
STEPS = 20
TUNED = ["1.5", "2", "2.5", "3"]

EASY = [f"easycache:threshold={threshold}" for threshold in (0.1, 0.15, 0.2, 0.3, 0.4, 0.6)]
DECIDED = ["ucache:threshold=0.5", "magcache:profile={profile},threshold=0.3",
           "teacache:profile={profile},threshold=0.15", "teacache:profile={profile},threshold=0.4"]  # fmt: skip
EVERYWHERE = ["default", "default+guidance", "guidance", "deepcache:interval=3,branch=0",
              "deepcache:interval=3,branch=1", "deepcache:interval=4,branch=1+guidance",
              "blockcache:profile={profile},threshold=0.1", "blockcache:profile={profile},threshold=0.3",
              "taylorseer:interval=2", "taylorseer:interval=3,order=2", "tgate:gate=10",
              "fbcache:threshold=0.1", "fbcache:threshold=0.2,order=1"]  # fmt: skip
DEEP = ["deepcache:interval=4,branch=0", "deepcache:interval=5,branch=0"]
TRANSFORMERS = ["pab", "dbcache:first=4,warm_up=4,threshold=0.15", "dbcache:first=4,warm_up=4,threshold=0.15,order=1",
                "dbcache:first=4,warm_up=4,threshold=1,mask=fast"]  # fmt: skip
FIRST = [f"fbcache:threshold={threshold}" for threshold in (0.05, 0.07, 0.2)]
MODELS = {
    "emoji-sdxl": EVERYWHERE + ["pab"] + DEEP + DECIDED + EASY,
    "emoji-pixart": EVERYWHERE + TRANSFORMERS + ["pixart-original"] + FIRST + DECIDED + EASY,
    "emoji-sd3": [p for p in EVERYWHERE if "tgate" not in p] + TRANSFORMERS + DECIDED + EASY,
    # One setting of each, since a video takes as long as several pictures.
    "emoji-svd": ["default", "deepcache:interval=3,branch=0", "blockcache:profile={profile},threshold=0.1", "taylorseer:interval=2",
                  "fbcache:threshold=0.1", *DECIDED[1:3], "easycache:threshold=0.15", "easycache:threshold=0.3",
                  "easycache:threshold=0.6"],
}


def run(*words: object) -> str:
    return subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True).stdout


def measure(reprise: Path, model: str, work: Path, seeds: int, scored: bool) -> dict:
    folder = ROOT / "models" / model
    profile, prompts = work / f"{model}-profile.json", work / "prompts.txt"
    lines = (ROOT / "tools" / "train_emoji" / "prompts.txt").read_text().split("\n")
    prompts.write_text("\n".join([line for line in lines if line.strip()][-PROMPTS:]) + "\n")
    common: list[object] = ["--model", folder, "--steps", STEPS, "--precision", "f32", "--vae-precision", "f32"]
    if model == "emoji-svd":
        pictures = prompts.read_text().splitlines()[-PICTURES:]
        seeds *= PROMPTS // PICTURES
        for i, prompt in enumerate(pictures):
            run(reprise, "generate", "--model", ROOT / "models" / "emoji-pixart", "--prompt", prompt, "--steps", STEPS,
                "--cache", "off", "--quiet", "--out", work / f"picture-{i}.png")  # fmt: skip
            common += ["--image", work / f"picture-{i}.png"]
    else:
        common += ["--prompts-file", prompts]
    if not profile.exists():
        run(reprise, "calibrate", *common, "--seeds", 2, "--quiet", "--out", profile)
    caches = [cache.format(profile=profile) for cache in MODELS[model]]
    caches += [f"auto:speedup={s}" for s in TUNED if (folder / "reprise" / f"tuned-{s}.json").exists()]
    words: list[object] = [word for cache in caches for word in ("--cache", cache)]
    if scored and model != "emoji-svd":  # which shows the picture that it is given
        retrieval = ROOT / "tools" / "train_emoji" / "retrieval.py"
        words += ["--pictures", work / f"{model}-pictures", "--score", shlex.join([sys.executable, str(retrieval)])]
    result = json.loads(run(reprise, "compare", *common, "--seed", SEED, "--seeds", seeds, "--runs", 1, "--quiet", "--json", *words,
                            "--report", work / f"{model}.html", "--csv", work / f"{model}.csv"))  # fmt: skip
    result.pop("files", None)  # where they are is no one's business
    names = iter([cache.format(profile="...") for cache in MODELS[model]] + caches[len(MODELS[model]) :])
    for way in result["ways"]:
        for key in ("per_step", "cache", "decisions"):
            way.pop(key, None)
        if way["kind"] == "cached":  # a way with a file in it is named after the file
            way["name"] = next(names)
    return result


def decibels(mean: dict) -> str:
    return "equal" if mean["mean"] is None else f"{mean['mean']:.1f} ± {mean['standard_error']:.1f}"


def table(result: dict) -> list[str]:
    settings = result["settings"]
    full = next(way for way in result["ways"] if way["kind"] == "full")
    scored = "score" in full
    what = "picture" if "image" in result else "prompt"
    lines = [f"{len(result['pairs'])} pairs of {what} and seed, {STEPS} steps, {settings['scheduler']}, "
             f"{settings['precision']}, guidance {settings['guidance']}."
             + (f" Of the full result's pictures {full['score']:.0f} % are nearest to the right one." if scored else ""),
             "",
             "| way | speed | PSNR, dB | SSIM | latents off by | over fewer steps in its time, dB |"
             + (" right picture nearest |" if scored else ""),
             "| --- | --- | --- | --- | --- | --- |" + (" --- |" if scored else "")]  # fmt: skip
    ways = [way for way in result["ways"] if way["kind"] != "full"]
    for way in sorted(ways, key=lambda w: w["denoise_speedup"]["median"]):
        gain = way.get("fewer_steps_at_equal_time", {}).get("psnr_gain_db")
        shown = f"{gain['mean']:+.1f} ± {gain['standard_error']:.1f}" if gain and gain["mean"] is not None else ""
        name = f"`{way['name']}`" if way["kind"] == "cached" else f"*{way['name']}*"
        lines.append(f"| {name} | {way['denoise_speedup']['median']:.2f}x | {decibels(way['psnr_db'])} | "
                     f"{way['ssim']['mean']:.4f} | {100 * way['latent_error']['mean']:.1f} % | {shown} |"
                     + (f" {way['score']:.0f} % |" if scored else ""))  # fmt: skip
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--reprise", type=Path, default=ROOT / "build" / "bin" / "reprise")
    parser.add_argument("--no-score", action="store_true")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "policies")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    results = ROOT / "docs" / "policies"
    results.mkdir(exist_ok=True)
    for model in args.models.split(","):
        if model == "none":  # only the page
            break
        result = measure(args.reprise, model, args.work, args.seeds, not args.no_score)
        text = json.dumps(result, indent=1, ensure_ascii=False).replace(f"{ROOT}/", "")
        (results / f"{model}.json").write_text(text + "\n")
    page = (results / "intro.md").read_text().rstrip().split("\n")
    for model in MODELS:
        kept = results / f"{model}.json"
        if kept.exists():
            page += ["", f"## {model}", "", *table(json.loads(kept.read_text()))]
    (ROOT / "docs" / "policies.md").write_text("\n".join(page) + "\n")


if __name__ == "__main__":
    main()
