#!/usr/bin/env python3
"""A member without a row in the table of options does not compile: `members_test.py COMPILE_COMMANDS REPOSITORY` gives each
structure of options one member more, in copies of the public headers, and compiles the tables with them."""

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

STRUCTURES = {
    "AnimateOptions": "animate.h",
    "LoadOptions": "pipeline.h",
    "PromptTexts": "pipeline.h",
    "GenerateOptions": "pipeline.h",
}


def compiled(command: list[str], folder: str, include: Path) -> subprocess.CompletedProcess:
    position = next(i for i, word in enumerate(command) if word.startswith("-I"))
    changed = [*command[:position], f"-I{include}", *command[position:], "-fsyntax-only"]
    return subprocess.run(changed, cwd=folder, capture_output=True, text=True, check=False)


def main() -> int:
    entries = json.loads(Path(sys.argv[1]).read_text())
    root = Path(sys.argv[2])
    entry = next(entry for entry in entries if entry["file"].endswith("src/options/tables.cpp"))
    words = shlex.split(entry["command"])
    words = words[1:] if Path(words[0]).name == "ccache" else words
    for option in ("-o", "-MT", "-MF"):
        while option in words:
            at = words.index(option)
            del words[at : at + 2]
    faults = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "reprise"
        folder.mkdir()
        for structure, header in STRUCTURES.items():
            copy = folder / header
            text = (copy if copy.exists() else root / "include/reprise" / header).read_text()
            begin = f"struct {structure} {{\n"
            assert begin in text, f"{header} has no {structure}"
            copy.write_text(text.replace(begin, f"{begin}    int one_member_more = 0;\n"))
        result = compiled(words, entry["directory"], Path(name))
        if result.returncode == 0:
            faults.append("members without rows compile")
        for structure in STRUCTURES:
            refused = [line for line in result.stderr.splitlines() if "decomposes into" in line and structure in line]
            if not refused:
                faults.append(f"{structure}: a member without a row is not refused")
    if faults:
        print(*faults, result.stderr[-3000:], sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
