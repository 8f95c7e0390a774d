"""What the tests of the command share. REPRISE_COMMAND names the command."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
import zlib
from pathlib import Path

COMMAND = os.environ.get("REPRISE_COMMAND", "reprise")
FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
DONE, FAILURE, USAGE, CANCELLED = 0, 1, 2, 130
#: The commands that take one configuration or several.
REUSING = ("generate", "animate", "compare", "plan", "modules", "bench")
DEFAULT_REUSE = '[{"wildcard_or_filter_func": {"not": "*up_blocks.2*"}, "select_cache_step_func": "step % 2 != 0"}]'


def png_texts(data):
    """The texts of a PNG, whose chunks and pixels are checked on the way."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    texts, pixels, at, size = {}, b"", 8, None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0]
        at += 12 + length
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        elif kind == b"IDAT":
            pixels += body
        elif kind == b"tEXt":
            key, value = body.split(b"\0", 1)
            texts[key.decode()] = value.decode("latin-1")
        elif kind == b"iTXt":
            key, rest = body.split(b"\0", 1)
            packed, rest = rest[0], rest[2:]
            value = rest.split(b"\0", 2)[2]
            texts[key.decode()] = (zlib.decompress(value) if packed else value).decode()
    assert len(zlib.decompress(pixels)) == size[1] * (3 * size[0] + 1)
    return texts, size


def safetensors(path):
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


class CommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.cache = self.folder / "cache"
        self.work = self.folder / "work"
        self.work.mkdir()

    def environment(self):
        return os.environ | {"XDG_CACHE_HOME": str(self.cache), "LC_ALL": "C.UTF-8"}

    def run_command(self, *arguments, stdout=subprocess.PIPE, **options):
        """Runs the command. Without --cache it is the original's configuration, which reuses something on tiny models too."""
        arguments = [str(argument) for argument in arguments]
        if arguments[:1] and arguments[0] in REUSING and not {"--cache", "--help"} & set(arguments):
            arguments += ["--cache", "modelopt"]
        return self.run_plainly(*arguments, stdout=stdout, **options)

    def run_plainly(self, *arguments, stdout=subprocess.PIPE, **options):
        return subprocess.run(
            [COMMAND, *map(str, arguments)], stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=self.work,
            env=self.environment(), timeout=120, check=False, **options,
        )  # fmt: skip

    def model(self, name="tiny-sdxl"):
        return FIXTURES / "pipelines" / name

    def copied_model(self, name="tiny-sdxl"):
        target = self.folder / "model"
        shutil.copytree(self.model(name), target)
        return target

    def generate(self, *arguments, model=None, prompt=("--prompt", "red apple"), **options):
        mode = () if "--guidance-mode" in arguments else ("--guidance-mode", "batched")
        return self.run_command(
            "generate", "--model", model or self.model(), "--backend", "reference", *mode, *prompt, *arguments, **options
        )  # fmt: skip

    def ok(self, result):
        self.assertEqual(result.returncode, DONE, result.stderr)
        return result

    def files(self):
        return sorted(path.name for path in self.work.rglob("*") if path.is_file())

    def assert_refused(self, result, status, *words, files=()):
        """One line that names what is wrong, the right status, nothing half-written."""
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertEqual(result.returncode, status, result.stderr)
        for word in words:
            self.assertIn(word, errors[0])
        self.assertEqual(self.files(), sorted(files))

    def config(self, text, name="cache.json"):
        path = self.folder / name
        path.write_text(text)
        return path
