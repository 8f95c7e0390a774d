"""That scripts/count_tests.py counts cases of googletest, and what ended without a sum."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from count_tests import counts  # noqa: E402


def part(output: str, result: str) -> str:
    return f"1/9 Testing: name\n1/9 Test: name\nTest time =   0.1 sec\n{output}\n<end of output>\nTest {result}.\n"


class CountTest(unittest.TestCase):
    def test_counts(self):
        for log, expected in [
            (part("[  PASSED  ] 12 tests.", "Passed"), (12, 0, 0)),
            (part("[  PASSED  ] 1 test.\n[  SKIPPED ] 2 tests, listed below:\n[  SKIPPED ] A.B", "Passed"), (1, 0, 2)),
            (part("[  PASSED  ] 3 tests.\n[  FAILED  ] 2 tests, listed below:\n[  FAILED  ] A.B", "Failed"), (3, 2, 0)),
            (part("[       OK ] A.B (1 ms)\n[ RUN      ] A.C", "Failed"), (0, 1, 0)),  # it crashed
            (part("[  PASSED  ] 4 tests.", "Failed"), (4, 1, 0)),  # a leak, found at the end
            (part("a script", "Passed"), (1, 0, 0)),
            (part("a script", "Failed"), (0, 1, 0)),
            (part("no browser", "Skipped"), (0, 0, 1)),
            ("", (0, 0, 0)),
        ]:
            with self.subTest(log=log):
                self.assertEqual(counts(log), expected)
        both = part("[  PASSED  ] 4 tests.", "Passed") + part("a script", "Failed")
        self.assertEqual(counts("Start testing\n" + both), (4, 1, 0))


if __name__ == "__main__":
    unittest.main()
