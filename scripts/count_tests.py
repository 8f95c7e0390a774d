#!/usr/bin/env python3
"""Counts what ctest ran: `count_tests.py LastTest.log` prints "passed failed skipped". A program of googletest counts with
its cases; one that ended without its sum counts as one failure more; any other test counts as one."""

import re
import sys
from pathlib import Path

PART = re.compile(r"^\d+/\d+ Testing: .*?^Test ([A-Z]\w*)", re.MULTILINE | re.DOTALL)
CASES = re.compile(r"^\[ +(PASSED|FAILED|SKIPPED) +\] (\d+) tests?", re.MULTILINE)


def counts(log: str) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of ctest's log."""
    passed = failed = skipped = 0
    for part in PART.finditer(log):
        cases = dict.fromkeys(("PASSED", "FAILED", "SKIPPED"), 0)
        found = CASES.findall(part[0])
        for kind, number in found:
            cases[kind] += int(number)
        if not found:
            cases[{"Passed": "PASSED", "Skipped": "SKIPPED"}.get(part[1], "FAILED")] = 1
        elif part[1] != "Passed" and not cases["FAILED"]:
            cases["FAILED"] = 1
        passed += cases["PASSED"]
        failed += cases["FAILED"]
        skipped += cases["SKIPPED"]
    return passed, failed, skipped


if __name__ == "__main__":
    print(*counts(Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")))
