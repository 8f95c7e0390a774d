#!/usr/bin/env python3
"""Kills the command at moments all over its run: `kills.py [TIMES]`. There is never half a picture, the next call with the
same cache of weights draws the whole one, and what was left of the weights is removed."""

import random
import sys
import tempfile
import time
from pathlib import Path

from command import finish, generate, picture


def main(times: int) -> None:
    moments = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.monotonic()
        finish(generate(folder))
        seconds = time.monotonic() - start
        whole = picture(folder / "out" / "picture.png")
        killed = 0
        for i in range(times):
            work = folder / str(i)
            work.mkdir()
            process = generate(work)
            time.sleep(seconds * moments.uniform(0, 1.1))
            process.kill()
            process.communicate()
            killed += process.returncode != 0
            drawn = work / "out" / "picture.png"
            assert not drawn.exists() or picture(drawn) == whole, f"half a picture after kill {i}"
            finish(generate(work))
            assert picture(drawn) == whole, f"another picture after kill {i}"
            left = [path for path in (work / "cache").rglob("*.tmp") if path.is_file()]
            assert not left, f"after kill {i} these stay: {left}"
    assert killed > times / 2, f"only {killed} of {times} were killed"
    print(f"{killed} of {times} killed")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
