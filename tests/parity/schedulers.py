"""Writes tests/fixtures/schedulers/trajectories.safetensors for tests/schedulers/parity_test.cpp.

Runs diffusers' schedulers over many configurations with a denoiser that both languages compute alike, and
stores the timesteps, the noise levels (where the class has them) and the sample after every evaluation.
"""

import inspect
import json
import warnings
from pathlib import Path

import diffusers
import torch
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "schedulers"
ALL_STEPS = [1, 2, 3, 7, 20, 50]
SOME_STEPS = [3, 17]

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SDXL_EULER = {
    **SD, "clip_sample": False, "interpolation_type": "linear", "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False, "skip_prk_steps": True,
    "steps_offset": 1, "timestep_spacing": "leading", "trained_betas": None, "use_karras_sigmas": False,
}  # fmt: skip
SD15_PNDM = {
    **SD, "clip_sample": False, "num_train_timesteps": 1000, "set_alpha_to_one": False,
    "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None,
}  # fmt: skip
SVD = {
    **SD, "clip_sample": False, "interpolation_type": "linear", "num_train_timesteps": 1000,
    "prediction_type": "v_prediction", "set_alpha_to_one": False, "sigma_max": 700.0, "sigma_min": 0.002,
    "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "leading", "timestep_type": "continuous",
    "trained_betas": None, "use_karras_sigmas": True,
}  # fmt: skip
V = {"prediction_type": "v_prediction"}
SAMPLE = {"prediction_type": "sample"}
KARRAS = {"use_karras_sigmas": True}
EXPONENTIAL = {"use_exponential_sigmas": True}
LINSPACE, LEADING, TRAILING = ({"timestep_spacing": s} for s in ("linspace", "leading", "trailing"))
ZERO_SNR = {"rescale_betas_zero_snr": True}
TRAINED = {"num_train_timesteps": 40, "trained_betas": [0.001 * (i + 1) for i in range(40)]}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
MIN = {"final_sigmas_type": "sigma_min"}


def cases() -> list[tuple[str, dict, list[int]]]:
    euler = [
        (SDXL_EULER, ALL_STEPS), (SVD, ALL_STEPS), ({}, SOME_STEPS), ({**SD, **LINSPACE}, ALL_STEPS),
        ({**SD, **TRAILING}, ALL_STEPS), ({**SD, **V, **LEADING, "steps_offset": 1}, SOME_STEPS),
        ({**SD, **SAMPLE}, SOME_STEPS), ({**SD, **KARRAS}, ALL_STEPS), ({**SD, **EXPONENTIAL}, SOME_STEPS),
        ({**SD, **KARRAS, "sigma_min": 0.05, "sigma_max": 12.0}, SOME_STEPS),
        ({**SD, "interpolation_type": "log_linear"}, SOME_STEPS), ({**SD, **MIN}, SOME_STEPS),
        ({**SD, **V, **ZERO_SNR, **TRAILING}, SOME_STEPS), (COSINE, SOME_STEPS), (TRAINED, SOME_STEPS),
        ({**SD, "timestep_type": "continuous"}, SOME_STEPS),
        ({**SD, **V, "timestep_type": "continuous"}, SOME_STEPS),
        ({**SD, "_class_name": "PNDMScheduler", "skip_prk_steps": True, **LEADING}, SOME_STEPS),
    ]  # fmt: skip
    ancestral = [
        (SDXL_EULER, ALL_STEPS), ({**SD, **LINSPACE, **V}, SOME_STEPS), ({**SD, **TRAILING}, SOME_STEPS),
        ({**SD, **V, **ZERO_SNR, **TRAILING}, SOME_STEPS), (SVD, SOME_STEPS),
    ]  # fmt: skip
    heun = [
        (SDXL_EULER, ALL_STEPS), ({}, SOME_STEPS), ({**SD, **LINSPACE, **V}, SOME_STEPS),
        ({**SD, **TRAILING, **SAMPLE}, SOME_STEPS), ({**SD, **KARRAS}, ALL_STEPS),
        ({**SD, **EXPONENTIAL}, SOME_STEPS), ({"beta_schedule": "exp"}, SOME_STEPS), (COSINE, SOME_STEPS),
        ({**SD, "clip_sample": True, "clip_sample_range": 1.5}, SOME_STEPS), (SVD, SOME_STEPS),
        ({**SD, **EXPONENTIAL, "sigma_min": 0.05, "sigma_max": 12.0}, SOME_STEPS),
    ]  # fmt: skip
    ddim = [
        (SDXL_EULER, ALL_STEPS), ({}, SOME_STEPS), ({**SD15_PNDM, **V}, SOME_STEPS),
        ({**SD, **TRAILING, "clip_sample": False}, ALL_STEPS), ({**SD, **LINSPACE, **SAMPLE}, SOME_STEPS),
        ({**SD, **V, **ZERO_SNR, **TRAILING, "clip_sample": False}, SOME_STEPS),
        ({**SD, "clip_sample_range": 0.7}, SOME_STEPS), ({**COSINE, "clip_sample": False}, SOME_STEPS),
        ({**SD, "thresholding": True, "sample_max_value": 1.6, "dynamic_thresholding_ratio": 0.8}, SOME_STEPS),
        ({**TRAINED, "clip_sample": False}, SOME_STEPS),
    ]  # fmt: skip
    dpm = [
        (SDXL_EULER, ALL_STEPS), ({**SD, **KARRAS}, ALL_STEPS), ({}, SOME_STEPS),
        ({**SD, **LEADING, "steps_offset": 1}, ALL_STEPS), ({**SD, **TRAILING}, ALL_STEPS),
        ({**SD, **V}, SOME_STEPS), ({**SD, **SAMPLE}, SOME_STEPS), ({**SD, "solver_order": 1}, SOME_STEPS),
        ({**SD, "solver_order": 3}, ALL_STEPS), ({**SD, "solver_order": 3, "lower_order_final": False}, SOME_STEPS),
        ({**SD, "solver_type": "heun"}, SOME_STEPS), ({**SD, "euler_at_final": True, **MIN}, SOME_STEPS),
        ({**SD, **MIN, **TRAILING}, SOME_STEPS), ({**SD, **KARRAS, **MIN}, [5, 14]),
        ({**SD, **EXPONENTIAL}, SOME_STEPS), ({**SD, "use_lu_lambdas": True}, SOME_STEPS),
        ({**COSINE, "lambda_min_clipped": -5.1}, SOME_STEPS), ({**COSINE, **KARRAS}, SOME_STEPS),
        ({**COSINE, **TRAILING, "lambda_min_clipped": -5.1}, SOME_STEPS),
        ({**SD, "thresholding": True, "sample_max_value": 1.6, "dynamic_thresholding_ratio": 0.8}, SOME_STEPS),
        ({**SD, **V, **ZERO_SNR, **TRAILING}, SOME_STEPS), (TRAINED, SOME_STEPS),
    ]  # fmt: skip
    for order in (1, 2, 3):
        old = {**SD, "algorithm_type": "dpmsolver", "solver_order": order, **MIN}
        dpm += [(old, SOME_STEPS), ({**old, "solver_type": "heun"}, [21])]
        dpm += [({**SD, "algorithm_type": "sde-dpmsolver++", "solver_order": order}, SOME_STEPS)]
    dpm += [
        ({**SD, "algorithm_type": "dpmsolver", **MIN, **V}, [5]),
        ({**SD, "algorithm_type": "dpmsolver", **MIN, **SAMPLE}, [5]),
        ({**SD, "algorithm_type": "dpmsolver", **MIN, "thresholding": True, "sample_max_value": 1.6}, [5]),
        ({**SD, "algorithm_type": "sde-dpmsolver++", "solver_type": "heun", **KARRAS}, SOME_STEPS),
        ({**SD, "algorithm_type": "sde-dpmsolver", **MIN}, SOME_STEPS),
        ({**SD, "algorithm_type": "sde-dpmsolver", **MIN, "solver_type": "heun"}, [21]),
        ({**SD, "_class_name": "UniPCMultistepScheduler", "solver_type": "bh2"}, [5]),
        ({**SD, "_class_name": "DEISMultistepScheduler", "solver_type": "logrho", "algorithm_type": "deis", **MIN}, [5]),
        ({**SD, "_class_name": "DDPMScheduler", "variance_type": "fixed_small", "clip_sample": True}, [5]),
        (SVD, SOME_STEPS),
        ({**SD, **EXPONENTIAL, "sigma_min": 0.05, "sigma_max": 12.0}, SOME_STEPS),
        ({**SD, "use_lu_lambdas": True, "sigma_min": 0.05, "sigma_max": 12.0}, SOME_STEPS),
        ({**SD, "beta_end": 0.5, "_use_default_values": ["beta_end"]}, [5]),
    ]
    pndm = [
        (SD15_PNDM, ALL_STEPS), ({**SD15_PNDM, **V}, SOME_STEPS), ({**SD15_PNDM, **TRAILING}, SOME_STEPS),
        ({**SD15_PNDM, **LINSPACE}, SOME_STEPS), ({**SD, "set_alpha_to_one": True, "skip_prk_steps": True}, [21]),
        ({}, [4, 5, 21]), ({**SD, **V, "steps_offset": 1}, [7]), ({**TRAINED, "skip_prk_steps": True}, SOME_STEPS),
    ]  # fmt: skip
    flow = [
        ({}, ALL_STEPS), ({"shift": 3.0}, ALL_STEPS), ({"shift": 3.0, "shift_terminal": 0.1}, SOME_STEPS),
        ({"shift": 3.0, **KARRAS}, SOME_STEPS), ({"shift": 2.5, **EXPONENTIAL}, SOME_STEPS),
        ({"shift": 3.0, "stochastic_sampling": True}, SOME_STEPS), ({"num_train_timesteps": 500}, SOME_STEPS),
        ({**KARRAS, "sigma_min": 0.05, "sigma_max": 0.9}, SOME_STEPS),
    ]  # fmt: skip
    classes = {
        "EulerDiscreteScheduler": euler, "EulerAncestralDiscreteScheduler": ancestral,
        "HeunDiscreteScheduler": heun, "DDIMScheduler": ddim, "DPMSolverMultistepScheduler": dpm,
        "PNDMScheduler": pndm, "FlowMatchEulerDiscreteScheduler": flow,
    }  # fmt: skip
    return [(name, config, steps) for name, entries in classes.items() for config, steps in entries]


def denoise(sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    return sample / (1.0 + sample.abs()) * 0.75 + timestep.to(torch.float32) * 0.0001


def run(name: str, config: dict, steps: int, seed: int, shape: list[int]) -> tuple[dict, dict[str, torch.Tensor]]:
    scheduler = getattr(diffusers, name).from_config(config)
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "set_begin_index"):  # else a repeated first timestep is taken for the second
        scheduler.set_begin_index(0)
    generator = torch.Generator().manual_seed(seed)
    scale = float(getattr(scheduler, "init_noise_sigma", 1.0))
    sample = torch.randn(shape, generator=generator) * torch.tensor(scale)
    draws = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    tensors = {"sample": sample}
    trajectory = []
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(sample, timestep) if hasattr(scheduler, "scale_model_input") else sample
        sample = scheduler.step(denoise(scaled, timestep), timestep, sample, **draws).prev_sample
        trajectory.append(sample.flatten())
    tensors["timesteps"] = scheduler.timesteps.to(torch.float32).clone()
    tensors["trajectory"] = torch.stack(trajectory)
    if hasattr(scheduler, "sigmas"):
        tensors["sigmas"] = scheduler.sigmas.to(torch.float32).clone()
    case = {"class": name, "config": config, "steps": steps, "seed": seed, "shape": shape, "scale": scale}
    return case, tensors


def main() -> None:
    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    listed, stored = [], {}
    for name, config, step_counts in cases():
        shape = [2, 2, 3, 3] if config.get("thresholding") else [1, 2, 3, 3]
        for steps in step_counts:
            case, tensors = run(name, config, steps, len(listed), shape)
            if not torch.isfinite(tensors["trajectory"]).all():
                raise SystemExit(f"not finite: {case}")
            for key, tensor in tensors.items():
                stored[f"{len(listed)}/{key}"] = tensor
            listed.append(case)
    FIXTURES.mkdir(parents=True, exist_ok=True)
    path = FIXTURES / "trajectories.safetensors"
    save_file(stored, path, metadata={"cases": json.dumps(listed)})
    path.chmod(0o644)


if __name__ == "__main__":
    main()
