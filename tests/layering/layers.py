#!/usr/bin/env python3
"""Holds the sources to the order of the folders: `layers.py REPOSITORY` prints one line per violation and
exits 1 if there is any. What the rules are is in the tables below."""

import re
import sys
from pathlib import Path

# Lowest first: a folder of src/ includes itself and those before it.
ORDER = [
    "core", "files", "media", "text", "graph", "backends", "nn", "models", "schedulers",
    "cachify", "options", "pipelines", "tune", "report", "compare", "capi",
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
    "pipeline.h": "options",  # their structures; what they are given to is implemented in pipelines
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
    "openssl/": "apps/",
}

# Of models and policies, which backends do not know.
FOREIGN_TO_BACKENDS = re.compile(
    r"(?i:sdxl|stable.?diffusion|unet|pixart|\bsvd\b|\bsd[123]|\bflux\b|\bvae\b|autoencoder)|\bCLIP\b|\bT5\b"
    r"|(?i:cachify|(?:deep|block|tea|mag|easy|db).?cache|t-?gate|attention.?broadcast|\bPAB\b|taylor)"
)

# A test that starts threads has "Threads" in its name: so it is found by who runs it under ThreadSanitizer.
TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+, *\w+)\)(.*?)^}", re.MULTILINE | re.DOTALL)
STARTS_THREADS = re.compile(r"std::(?:jthread|thread|async)\b(?!::)")

# What a model is says its graph: names of denoisers' classes and of their blocks stand in few places. Comments may
# have them as examples.
NAMES_OF_MODELS = re.compile(
    r"(?:down|up)_blocks|mid_block|transformer_blocks"
    r"|\b(?:UNet2DConditionModel|UNetSpatioTemporalConditionModel"
    r"|(?:PixArt|SD3|Flux|QwenImage|Sana|CogVideoX|LTXVideo|Wan|DiT)?Transformer[23]DModel)\b"
)
NAMES_STAND_IN = (
    "src/models/",  # each in its model's file, the registry, the facts, the names of weights
    "src/nn/",  # the layers that name themselves
    "src/pipelines/registry.cpp",  # which classes a pipeline's part may have
    "src/core/module_kind.cpp",  # kinds of diffusers' classes, of which a layer is called as a denoiser
    "apps/reprise/generate.cpp",  # an example in the help
)
# Text and raw text, which stay, and comments, which do not count.
TEXT_OR_COMMENT = re.compile(
    r'R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|//[^\n]*|/\*.*?\*/', re.DOTALL
)

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
            if not name.startswith(NAMES_STAND_IN):
                for number, line in enumerate(without_comments(text).splitlines(), 1):
                    found = NAMES_OF_MODELS.search(line)
                    if found:
                        yield f"{name}:{number}: a model is named: {found[0]!r}; ask its outline or its facts"
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


def without_comments(text: str) -> str:
    """The text with as many lines."""

    def kept(found: re.Match) -> str:
        return "\n" * found[0].count("\n") if found[0].startswith("/") else found[0]

    return TEXT_OR_COMMENT.sub(kept, text)


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
