#!/usr/bin/env python3
"""Runs the converted modules on request. Protocol: see stepper.cpp; the line read names what to run next
("full" or "rest").

    openvino_worker.py --models DIR --run full,rest --height 64 --width 64 --precision bf16 --threads 2
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy
import openvino


def say(**line) -> None:
    print(json.dumps(line), flush=True)


def inputs(model: openvino.Model) -> dict[str, numpy.ndarray]:
    """Values of the size that a denoiser sees."""
    generator = numpy.random.default_rng(0)
    result = {}
    for port in model.inputs:
        name, shape = port.any_name, [int(side) for side in port.shape]
        if name == "timestep":
            result[name] = numpy.full(shape, 500, dtype=numpy.float32)
        elif name == "attention_mask":
            result[name] = (numpy.arange(shape[-1]) < 12).astype(numpy.float32).reshape(shape)
        else:
            result[name] = generator.standard_normal(shape).astype(numpy.float32)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="what convert.py wrote")
    parser.add_argument("--run", required=True, help="names, separated by commas")
    parser.add_argument("--height", type=int, required=True, help="of the latents")
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--profile", type=Path, help="write the operations' times here at the end")
    options = parser.parse_args()

    begin = time.perf_counter()
    core = openvino.Core()
    properties = {
        "INFERENCE_PRECISION_HINT": options.precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": options.threads,
    }
    if options.profile:
        properties["PERF_COUNT"] = True
    requests, values = {}, {}
    for name in options.run.split(","):
        model = core.read_model(options.models / f"{name}.xml")
        model.reshape({port.any_name: [1, port.partial_shape[1], options.height, options.width]
                       for port in model.inputs if port.partial_shape.is_dynamic})  # fmt: skip
        requests[name] = core.compile_model(model, "CPU", properties).create_infer_request()
        values[name] = inputs(model)
        requests[name].set_tensors({key: openvino.Tensor(value) for key, value in values[name].items()})
    say(ready="openvino", load_seconds=time.perf_counter() - begin, cpu_seconds=time.process_time())

    for line in sys.stdin:
        name = line.strip()
        begin, cpu_begin = time.perf_counter(), time.process_time()
        requests[name].infer()
        say(step=name, seconds=time.perf_counter() - begin, cpu_seconds=time.process_time() - cpu_begin)

    if options.profile:
        counters = {
            name: [{"node": entry.node_name, "type": entry.node_type, "exec": entry.exec_type,
                    "ms": entry.real_time.total_seconds() * 1e3} for entry in request.profiling_info]
            for name, request in requests.items()
        }  # fmt: skip
        options.profile.write_text(json.dumps(counters, indent=1))


if __name__ == "__main__":
    main()
