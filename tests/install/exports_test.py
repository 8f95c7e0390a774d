#!/usr/bin/env python3
"""What the shared library exports: `exports_test.py LIBRARY INCLUDE` prints how many symbols there are, and fails when one
is neither declared in a public header (the folder INCLUDE) nor named reprise_*, or when one that users need is missing."""

import re
import subprocess
import sys
from pathlib import Path

# What a program needs to call the library and to catch what it throws.
NEEDED = [
    "reprise::Pipeline::from_pretrained(",
    "reprise::Image::save(",
    "reprise::cachify::SDXL_DEFAULT_CONFIG",
    "typeinfo for reprise::Error",
]
SPECIAL = re.compile(r"^(?:typeinfo (?:name )?for|vtable for|VTT for|guard variable for|(?:non-)?virtual thunk to) ")


def exported(library: str) -> list[str]:
    """The names of all defined dynamic symbols, demangled."""
    listed = subprocess.run(["nm", "-D", "--defined-only", "-C", library], capture_output=True, text=True, check=True)
    return [line.split(" ", 2)[2] for line in listed.stdout.splitlines()]


def declared_in(headers: str, symbol: str) -> bool:
    """Whether a public header has the name that follows the symbol's namespaces."""
    name = SPECIAL.sub("", symbol)
    if re.fullmatch(r"reprise_\w+", name):
        return re.search(rf"\b{name}\b", headers) is not None
    path = re.match(r"(?:[^(<]* )?reprise::((?:[a-z_]+::)*)(operator[^\w\s(]+|~?\w+)", name)
    if not path:
        return False
    *spaces, last = [*path[1].split("::")[:-1], path[2]]
    known = all(re.search(rf"^namespace (?:\w+::)*{space}\b|^class {space}\b", headers, re.MULTILINE) for space in spaces)
    return known and re.search(rf"(?<!\w){re.escape(last)}(?!\w)", headers) is not None


def main(library: str, include: str) -> int:
    headers = "\n".join(path.read_text(encoding="utf-8") for path in sorted(Path(include).rglob("*.h")))
    # A namespace of classes that are only named there is not public.
    headers = re.sub(r"^namespace [\w:]+ \{\s*(?:class \w+;[^\n]*\s*)+\}", "", headers, flags=re.MULTILINE)
    symbols = exported(library)
    foreign = [symbol for symbol in symbols if not declared_in(headers, symbol)]
    missing = [needed for needed in NEEDED if not any(symbol.startswith(needed) for symbol in symbols)]
    print(f"{len(symbols)} symbols are exported, {len(foreign)} of them are in no public header")
    for symbol in foreign[:50]:
        print(f"  in no public header: {symbol}")
    for needed in missing:
        print(f"  not exported: {needed}")
    return 1 if foreign or missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
