#!/usr/bin/env python3
"""Runs the command many times at once, on a cold cache of weights: `load.py [PROCESSES [ROUNDS]]`. Each draws what it draws
alone, and one of them converts the weights."""

import sys
import tempfile
from pathlib import Path

from command import finish, generate, picture


def main(processes: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        alone = Path(name, "alone")
        alone.mkdir()
        for seed in range(processes):
            finish(generate(alone, f"{seed}.png", seed))
        expected = [picture(alone / "out" / f"{seed}.png") for seed in range(processes)]
        assert len(set(expected)) == processes
        cached = sorted(path.name for path in (alone / "cache").rglob("*.safetensors"))
        for i in range(rounds):
            folder = Path(name, str(i))
            folder.mkdir()
            running = [generate(folder, f"{seed}.png", seed) for seed in range(processes)]
            for process in running:
                finish(process)
            for seed in range(processes):
                assert picture(folder / "out" / f"{seed}.png") == expected[seed], f"round {i}, seed {seed}"
            files = sorted(path.name for path in (folder / "cache").rglob("*") if path.is_file())
            assert [file for file in files if not file.startswith(".")] == cached, files
            assert not [file for file in files if file.endswith(".tmp")], files
    print(f"{rounds} times {processes} at once")


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:]]
    main(*(numbers + [16, 10][len(numbers) :]))
