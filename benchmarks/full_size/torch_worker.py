#!/usr/bin/env python3
"""Steps diffusers' own denoiser in PyTorch on request. Protocol: see stepper.cpp.

    torch_worker.py --model FOLDER --height 64 --width 64 --precision bf16 --threads 2
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from denoisers import open_denoiser, weights_of


def say(**line) -> None:
    print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="pipeline folder")
    parser.add_argument("--height", type=int, required=True, help="of the latents")
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    begin = time.perf_counter()
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.precision]
    denoiser = open_denoiser(*weights_of(options.model)).to(dtype)
    inputs = denoiser.inputs(options.height, options.width, options.frames)
    inputs = {name: value if name == "timestep" else value.to(dtype) for name, value in inputs.items()}
    say(ready="pytorch", load_seconds=time.perf_counter() - begin, cpu_seconds=time.process_time())
    with torch.inference_mode():
        for _ in sys.stdin:
            begin, cpu_begin = time.perf_counter(), time.process_time()
            denoiser(**inputs)
            say(step="full", seconds=time.perf_counter() - begin, cpu_seconds=time.process_time() - cpu_begin)


if __name__ == "__main__":
    main()
