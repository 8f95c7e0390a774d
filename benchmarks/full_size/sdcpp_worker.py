#!/usr/bin/env python3
"""Steps stable-diffusion.cpp on request. Protocol: see stepper.cpp. The progress callback, which comes after
each step, waits for the next turn.

    sdcpp_worker.py --model sdxl.safetensors --size 512 --threads 2
"""

import argparse
import json
import os
import sys
import time

import stable_diffusion_cpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="what ldm_checkpoint.py wrote")
    parser.add_argument("--size", type=int, required=True, help="side of the picture")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()

    # Lines of the protocol go to the true standard output; whatever the engine prints goes elsewhere.
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**line) -> None:
        print(json.dumps(line), file=protocol, flush=True)

    begin = time.perf_counter()
    engine = stable_diffusion_cpp.StableDiffusion(
        model_path=options.model, n_threads=options.threads, vae_decode_only=True, verbose=False
    )
    say(ready="stable-diffusion.cpp", load_seconds=time.perf_counter() - begin,
        cpu_seconds=time.process_time())
    sys.stdin.readline()
    turn, cpu_turn = time.perf_counter(), time.process_time()

    def after_step(step: int, steps: int, seconds: float) -> None:
        nonlocal turn, cpu_turn
        if step == 0:  # called once before the first
            turn, cpu_turn = time.perf_counter(), time.process_time()
            return
        say(step="full", seconds=time.perf_counter() - turn, cpu_seconds=time.process_time() - cpu_turn)
        if not sys.stdin.readline():
            os._exit(0)  # nothing else stops the engine
        turn, cpu_turn = time.perf_counter(), time.process_time()

    engine.generate_image(
        prompt="a photograph of a red apple on a table",
        width=options.size,
        height=options.size,
        cfg_scale=1.0,
        sample_method="euler",
        sample_steps=options.steps,
        progress_callback=after_step,
    )


if __name__ == "__main__":
    main()
