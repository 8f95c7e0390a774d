#!/usr/bin/env python3
"""Holds the sources to the order of the folders: `layers.py REPOSITORY` prints one line per violation and
exits 1 if there is any. What the rules are is in the tables below."""

import re
import sys
from pathlib import Path

# Lowest first: a folder of src/ includes itself and those before it.
ORDER = [
    "core", "files", "media", "text", "graph", "backends", "nn", "models", "schedulers",
    "cachify", "pipelines", "tune", "report", "compare", "capi",
]  # fmt: skip

# The folder that implements a public header: all of them. A folder includes the public headers of itself and
# those before it.
PUBLIC_OWNER = {
    "dtype.h": "core",
    "error.h": "core",
    "module_kind.h": "core",
    "tensor.h": "core",
    "animate.h": "media",
    "image.h": "media",
    "cachify.h": "cachify",
    "decision.h": "cachify",
    "policies.h": "cachify",
    "profile.h": "cachify",
    "running_policies.h": "cachify",
    "message.h": "core",
    "reuse.h": "cachify",
    "embeddings.h": "pipelines",
    "pipeline.h": "pipelines",
    "tune.h": "tune",
    "c.h": "capi",
    "reprise.h": "apps",  # the umbrella is for users
}

# Where a dependency's headers may be included, by how their names begin.
ONLY_IN = {
    "openvino/": "src/backends/openvino/",
    "tbb/": "src/backends/openvino/",
    "oneapi/": "src/backends/openvino/",
    "unicode/": "src/text/",
    "sentencepiece": "src/text/",
    "pcre2": ("src/cachify/", "src/text/"),
    "png": "src/media/",
    "webp/": "src/media/",
    "jpeglib": "src/media/",
    "libav": "src/media/",
    "libsw": "src/media/",
    "CLI/": "apps/",
}

# Of models and policies, which backends do not know.
FOREIGN_TO_BACKENDS = re.compile(
    r"(?i:sdxl|stable.?diffusion|unet|pixart|\bsvd\b|\bsd[123]|\bflux\b|\bvae\b|autoencoder)|\bCLIP\b|\bT5\b"
    r"|(?i:cachify|(?:deep|block|tea|mag|easy|db).?cache|t-?gate|attention.?broadcast|\bPAB\b|taylor)"
)

# A test that starts threads has "Threads" in its name: so it is found by who runs it under ThreadSanitizer.
TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+, *\w+)\)(.*?)^}", re.MULTILINE | re.DOTALL)
STARTS_THREADS = re.compile(r"std::(?:jthread|thread|async)\b(?!::)")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def rank(folder: str) -> int:
    """How high a folder stands; apps, examples and the like stand above all of src/."""
    return ORDER.index(folder) if folder in ORDER else len(ORDER)


def violations(root: Path):
    """Yields "file:line: what is wrong" for every violation under root."""
    for top in ("include", "src", "apps", "examples"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".cpp"):
                continue
            name = path.relative_to(root).as_posix()
            text = path.read_text(encoding="utf-8")
            for found in INCLUDE.finditer(text):
                wrong = check_include(name, found[1] == '"', found[2])
                if wrong:
                    yield f"{name}:{text.count(chr(10), 0, found.start(2)) + 1}: {wrong}"
            if name.startswith("src/backends/"):
                for number, line in enumerate(text.splitlines(), 1):
                    found = FOREIGN_TO_BACKENDS.search(line)
                    if found:
                        yield f"{name}:{number}: a backend names a model or a policy: {found[0]!r}"


    for path in sorted((root / "tests").rglob("*.cpp")):
        text = path.read_text(encoding="utf-8")
        for found in TEST.finditer(text):
            if STARTS_THREADS.search(found[2]) and "Threads" not in found[1]:
                line = text.count("\n", 0, found.start()) + 1
                yield f"{path.relative_to(root).as_posix()}:{line}: starts threads without 'Threads' in its name"


def check_include(name: str, is_quoted: bool, header: str) -> str | None:
    """What is wrong with this include in the file of this name, or None."""
    top, folder = name.split("/")[:2]
    for start, place in ONLY_IN.items():
        if header.startswith(start):
            places = " or ".join((place,) if isinstance(place, str) else place)
            return None if name.startswith(place) else f"{header} may be included in {places} only"
    if header.startswith("reprise/"):
        owner = PUBLIC_OWNER.get(header.removeprefix("reprise/"))
        if owner is None:
            return f"{header} has no owner in tests/layering/layers.py"
        if top == "src" and rank(owner) > rank(folder):
            return f"{header} is implemented in {owner}, which is above {folder}"
        return None
    if top == "include":
        is_standard = not is_quoted and re.fullmatch(r"[a-z_0-9]+|std(bool|def|int)\.h", header)
        if not is_standard and not header.startswith("fmt/"):
            return f"public headers include reprise/, fmt/ and the standard library only, not {header}"
        return None
    if not is_quoted:
        return None
    if top == "examples":
        return f"examples use the public headers only, not {header}"
    if "/" not in header:
        return None if top == "apps" else f"{header} is to be written with its folder: {folder}/{header}"
    if top == "apps":
        return None
    if folder not in ORDER:
        return f"src/{folder} has no place in the order of tests/layering/layers.py"
    if header.split("/")[0] not in ORDER:
        return f"{header} is in no folder of src/"
    if rank(header.split("/")[0]) > rank(folder):
        return f"{header} is above {folder}"
    return None


if __name__ == "__main__":
    lines = list(violations(Path(sys.argv[1])))
    for line in lines:
        print(line)
    sys.exit(1 if lines else 0)
