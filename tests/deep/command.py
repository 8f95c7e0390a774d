"""What the deep checks share: the command on a small model, in a folder of its own."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from support import COMMAND, FIXTURES, png_texts  # noqa: E402

MODEL = FIXTURES / "pipelines" / "tiny-sdxl"


def generate(folder: Path, name: str = "picture.png", seed: int = 0) -> subprocess.Popen:
    """Starts the command, which converts the weights into the folder's cache unless they are there."""
    (folder / "out").mkdir(exist_ok=True)
    arguments = [COMMAND, "generate", "--model", MODEL, "--backend", "reference", "--precision", "bf16"]
    arguments += ["--prompt", "red apple", "--steps", "4", "--seed", str(seed), "--out", folder / "out" / name]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen) -> None:
    """Waits; an error if it did not end well."""
    output = process.communicate()[0].decode()
    assert process.returncode == 0, f"ended with {process.returncode}: {output}"


def picture(path: Path) -> str:
    """The fingerprint of a whole picture with its texts; an error if any of it is missing."""
    data = path.read_bytes()
    png_texts(data)
    return hashlib.sha256(data).hexdigest()
