"""Writes tests/fixtures/core/randn.safetensors: what torch.randn draws, for tests/core/generator_test.cpp.

Each tensor is named "<seed>/<position>": the draws of one generator, in order, each of its own size.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "core"
SIZES = [1, 5, 15, 16, 17, 31, 64, 1000, 4 * 16 * 16]
MIXED = [3, 16, 1, 20, 2, 15, 1, 40, 7]  # odd small draws leave a cached sample for the next small one
SEEDS = [0, 42, 2**32 + 5, 2**63 - 1, -1, -12345]


def main() -> None:
    tensors: dict[str, torch.Tensor] = {}
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        sizes = MIXED + SIZES if seed in (0, 42) else MIXED
        for position, size in enumerate(sizes):
            tensors[f"{seed}/{position:02}"] = torch.randn(size, generator=generator, dtype=torch.float32)
    for size in SIZES:  # fresh generators
        generator = torch.Generator().manual_seed(7 + size)
        tensors[f"{7 + size}/00"] = torch.randn(size, generator=generator, dtype=torch.float32)
    FIXTURES.mkdir(parents=True, exist_ok=True)
    save_file(tensors, FIXTURES / "randn.safetensors")


if __name__ == "__main__":
    main()
