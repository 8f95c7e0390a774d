"""Renders a file of prompts on a Ray cluster, or on this machine. Started again, it goes on where it was.

    pip install '.[ray]'        # in the repository's folder
    python examples/ray_batch.py --model models/emoji-sdxl --prompts prompts.txt --out pictures --steps 20 --seeds 0 1
    python examples/ray_batch.py --model /shared/sdxl --prompts prompts.txt --out run.parquet --format parquet \
        --address auto --actors 16 --cpus 8
"""

import argparse
from pathlib import Path

import ray

try:
    import reprise.ray
except ModuleNotFoundError as error:
    raise SystemExit(f"{error}: this needs the package reprise-diffusion; PyPI's `reprise` is another project") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder in diffusers' layout, at the same place on every node")
    parser.add_argument("--prompts", required=True, type=Path, help="a file with a prompt on each line")
    parser.add_argument("--out", required=True, type=Path, help="a folder")
    parser.add_argument("--format", choices=["png", "parquet"], default="png")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cache", default="auto", help="a policy's name, or 'off'")
    parser.add_argument("--precision", choices=["f32", "bf16", "f16"])
    parser.add_argument("--address", help="of a cluster, 'auto' for the one that this machine is in; none: this machine")
    parser.add_argument("--actors", type=int, default=1, help="pipelines at once")
    parser.add_argument("--cpus", type=int, default=1, help="of each pipeline")
    options = parser.parse_args()

    ray.init(address=options.address)
    job = reprise.ray.Job(
        model=options.model,
        cache=None if options.cache == "off" else options.cache,
        settings={"num_inference_steps": options.steps},
        load={"precision": options.precision} if options.precision else {},
    )
    summary = reprise.ray.render(
        options.prompts,
        job,
        options.out,
        seeds=options.seeds,
        format=options.format,
        actors=options.actors,
        cpus=options.cpus,
    )
    print(f"{summary.rendered} rendered, {summary.there_before} there before, {len(summary.failed)} failed")
    for prompt, seed in summary.failed:
        print(f"failed: seed {seed}: {prompt}")
    if summary.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
