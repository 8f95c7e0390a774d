#!/usr/bin/env python3
"""Holds the table "Where a change goes" of docs/architecture.md to patches, one for each row, in this folder.

`changes.py REPOSITORY` applies them all, in the table's order, to a copy of the sources, and prints one line for
each that does not apply, that changes a file which its row does not name, or that leaves out one which it does.
`changes.py REPOSITORY --build FOLDER` then also builds the copy there and runs the patches' tests.

A row names files as `code` with a "/", or `CMakeLists.txt`, where `{a,b}` are alternatives that are all meant and `<name>`
is any word. Those after "; also" need not be changed. A patch begins with a line `Tests: PROGRAM FILTER`, or several; the
program is one of googletest, or a file for pytest.

Where the sources have moved on: apply a patch by hand (`git apply --3way`), mend it, and write it again with
`git diff` below its first lines.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHANGED = re.compile(r"^\+\+\+ b/(.*)$", re.MULTILINE)
TESTS = re.compile(r"^Tests: (\S+) (\S+)$", re.MULTILINE)


def rows(page: str) -> list[tuple[str, str]]:
    """What is added, and what is touched, of each row of the table."""
    section = page.split("\n## Where a change goes\n")[1].split("\n## ")[0]
    cells = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [(what.strip(), " | ".join(rest)) for what, *rest in cells if set(what) - set("- ") and what.strip() != "to add"]


def patch_of(what: str) -> Path:
    """That of "a store rule" is store_rule.patch."""
    return HERE / ("_".join(re.sub(r"^(an?|the) ", "", what).split()).lower() + ".patch")


def expanded(path: str) -> list[str]:
    braces = re.search(r"\{([^}]*)\}", path)
    if braces is None:
        return [path]
    before, after = path[: braces.start()], path[braces.end() :]
    return [each for choice in braces[1].split(",") for each in expanded(before + choice.strip() + after)]


def paths(text: str) -> list[re.Pattern[str]]:
    spans = [span for span in re.findall(r"`([^`]*)`", text) if "/" in span or span == "CMakeLists.txt"]
    names = [name for span in spans for name in expanded(span)]
    return [re.compile(re.sub("<[^>]*>", r"\\w+", re.escape(name))) for name in names]


def wrong_files(touches: str, changed: list[str]) -> list[str]:
    """What a row that says `touches` does not say of the files that were changed."""
    always, _, sometimes = touches.partition("; also")
    must, may = paths(always), paths(sometimes)
    unknown = [
        f"changes {file}, which its row does not name" for file in changed if not any(p.fullmatch(file) for p in must + may)
    ]
    idle = [
        f"does not change {p.pattern}, which its row names" for p in must if not any(p.fullmatch(file) for file in changed)
    ]
    return unknown + idle


def copy(repository: Path, target: Path, names: Iterable[str]) -> None:
    """Copies those files that there are."""
    for name in names:
        if (repository / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, target / name)


def all_files(repository: Path) -> list[str]:
    """What a commit of the working tree would have."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=repository, check=True, capture_output=True)
    return [name for name in listed.stdout.decode().split("\0") if name]


def changed_by(patch: Path) -> list[str]:
    return CHANGED.findall(patch.read_text(encoding="utf-8"))


def apply(repository: Path, target: Path) -> list[str]:
    """Applies the patch of each row to a copy; what is wrong, a line each."""
    wrong = []
    known = set()
    for what, touches in rows((repository / "docs/architecture.md").read_text(encoding="utf-8")):
        patch = patch_of(what)
        known.add(patch)
        if not patch.is_file():
            wrong.append(f"{what}: there is no {patch.relative_to(repository)}")
            continue
        wrong += [f"{what}: {patch.name} {each}" for each in wrong_files(touches, changed_by(patch))]
        alone = os.environ | {"GIT_CEILING_DIRECTORIES": str(target.parent)}  # the copy is in no repository
        command = ["git", "apply", str(patch)]
        run = subprocess.run(command, cwd=target, env=alone, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            wrong.append(f"{what}: {patch.name} does not apply: {run.stderr.strip().splitlines()[0]}")
    return wrong + [f"{patch.name}: no row of the table is its" for patch in sorted(set(HERE.glob("*.patch")) - known)]


def tests() -> dict[str, list[str]]:
    """Of each test program, the filters of the patches."""
    result: dict[str, list[str]] = {}
    for patch in sorted(HERE.glob("*.patch")):
        for program, which in TESTS.findall(patch.read_text(encoding="utf-8")):
            result.setdefault(program, []).append(which)
    return result


def build(target: Path) -> None:
    """Builds the copy in its folder `build`, and runs the patches' tests."""
    programs = tests()
    compiled = ["reprise_python" if program.endswith(".py") else program for program in programs]
    script = '. scripts/common.sh; configure build -DREPRISE_WERROR=ON -DREPRISE_PYTHON=ON "$0"; build build "$@"'
    subprocess.run(["bash", "-ec", script, f"-DPython_EXECUTABLE={sys.executable}", *compiled], cwd=target, check=True)
    environment = os.environ | {"PYTHONPATH": str(target / "build/python")}
    for program, filters in programs.items():
        for which in filters:
            command = [f"build/bin/{program}", f"--gtest_filter={which}"]
            if program.endswith(".py"):
                command = [sys.executable, "-m", "pytest", "-q", "-k", which, program]
            run = subprocess.run(command, cwd=target, env=environment, check=False, capture_output=True, text=True)
            if run.returncode != 0 or "[  PASSED  ] 0 tests." in run.stdout:
                sys.exit(f"{program}, {which}: a test failed, or there is none\n{run.stdout}{run.stderr}")
            print(f"{program}, {which}: passed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path)
    parser.add_argument("--build", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    repository = options.repository.resolve()
    with tempfile.TemporaryDirectory() as own:
        target = (options.build or Path(own)).resolve()
        patched = [name for patch in HERE.glob("*.patch") for name in changed_by(patch)]
        copy(repository, target, all_files(repository) if options.build else patched)
        wrong = apply(repository, target)
        print("\n".join(wrong) or "each row of the table has its patch, and each patch applies")
        if options.build and not wrong:
            if not (target / ".deps").exists():
                (target / ".deps").symlink_to(repository / ".deps")  # what scripts/setup.sh installed
            build(target)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
