"""That layers.py sees each kind of violation, and nothing in sources that keep to the order."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import layers


def violations_of(name: str, text: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
        return list(layers.violations(Path(folder)))


class LayersTest(unittest.TestCase):
    def test_accepts(self):
        for name, include in [
            ("src/core/a.cpp", '"core/half.h"'),
            ("src/files/a.h", '"core/half.h"'),
            ("src/media/a.h", '"reprise/image.h"'),
            ("src/nn/a.cpp", '"backends/backend.h"'),
            ("src/backends/openvino/a.cpp", "<openvino/openvino.hpp>"),
            ("src/report/a.cpp", '"pipelines/text_to_image.h"'),
            ("apps/reprise/main.cpp", '"report/comparison.h"'),
            ("apps/reprise/main.cpp", '"options.h"'),
            ("include/reprise/a.h", "<fmt/format.h>"),
            ("include/reprise/a.h", "<string_view>"),
            ("include/reprise/a.h", '"reprise/tensor.h"'),
            ("examples/a.cpp", "<reprise/reprise.h>"),
        ]:
            with self.subTest(name=name, include=include):
                self.assertEqual(violations_of(name, f"#include {include}\n"), [])

    def test_tests_with_threads_are_named_so(self):
        body = "{\n    std::jthread other([] {});\n}\n"
        self.assertEqual(violations_of("tests/a/a_test.cpp", "TEST(Suite, ThreadsMeet) " + body), [])
        self.assertEqual(violations_of("tests/a/a_test.cpp", "TEST(SuiteThreads, Meet) " + body), [])
        self.assertEqual(
            violations_of("tests/a/a_test.cpp", "\nTEST_P(Suite, Meets) " + body),
            ["tests/a/a_test.cpp:2: starts threads without 'Threads' in its name"],
        )
        self.assertEqual(violations_of("tests/a/a_test.cpp", "TEST(Suite, Meets) {\n}\nvoid f() " + body), [])

    def test_refuses(self):
        for name, include in [
            ("src/core/a.cpp", '"files/json.h"'),
            ("src/graph/a.cpp", '"backends/backend.h"'),
            ("src/backends/a.cpp", '"nn/attention.h"'),
            ("src/cachify/a.cpp", '"pipelines/text_to_image.h"'),
            ("src/cachify/a.cpp", '"reprise/pipeline.h"'),
            ("src/files/a.cpp", '"reprise/policies.h"'),
            ("src/cachify/a.cpp", '"reprise/embeddings.h"'),
            ("src/report/a.cpp", '"reprise/newcomer.h"'),
            ("include/reprise/reprise.h", '"reprise/newcomer.h"'),
            ("apps/reprise/main.cpp", "<reprise/newcomer.h>"),
            ("src/pipelines/a.cpp", '"report/comparison.h"'),
            ("src/core/a.cpp", '"reprise/reprise.h"'),
            ("src/files/a.cpp", '"json.h"'),
            ("src/newcomer/a.cpp", '"core/half.h"'),
            ("src/files/a.cpp", '"newcomer/a.h"'),
            ("src/backends/reference/a.cpp", "<openvino/openvino.hpp>"),
            ("src/models/a.cpp", '"openvino/core/node.hpp"'),
            ("src/files/a.cpp", "<pcre2.h>"),
            ("include/reprise/a.h", '"core/half.h"'),
            ("include/reprise/a.h", "<nlohmann/json.hpp>"),
            ("examples/a.cpp", '"core/half.h"'),
        ]:
            with self.subTest(name=name, include=include):
                lines = violations_of(name, f"// first line\n#  include {include}\n")
                self.assertEqual(len(lines), 1)
                self.assertTrue(lines[0].startswith(f"{name}:2: "), lines[0])

    def test_refuses_names_in_backends(self):
        self.assertEqual(len(violations_of("src/backends/a.cpp", "// what SDXL's UNet needs\nint sdxl;\n")), 2)
        self.assertEqual(violations_of("src/backends/a.cpp", "int clip, unit;\n"), [])
        self.assertEqual(violations_of("src/backends/a.cpp", "// aggregates, propagates\n"), [])
        self.assertEqual(violations_of("src/models/a.cpp", "int sdxl;\n"), [])

    def test_refuses_names_of_models(self):
        for line in (
            'auto n = "down_blocks.0"; // first',
            'call("^transformer_blocks");',
            'is("UNet2DConditionModel");',
            'R"(// mid_block)";',
            "int up_blocks;",
        ):
            for name in ("src/cachify/a.cpp", "src/tune/a.h", "apps/reprise/a.cpp", "include/reprise/a.h"):
                with self.subTest(name=name, line=line):
                    lines = violations_of(name, f"/* one\n two */\n{line}\n")
                    self.assertEqual(len(lines), 1)
                    self.assertTrue(lines[0].startswith(f"{name}:3: a model is named: "), lines[0])
            self.assertEqual(violations_of("src/models/a.cpp", line), [])
        for line in ("// down_blocks", "/* mid_block,\n up_blocks */", "int blocks; // of \"up_blocks\""):
            self.assertEqual(violations_of("src/cachify/a.cpp", line), [])

    def test_allows_names_only_where_they_stand(self):
        root = Path(layers.__file__).resolve().parents[2]
        for place in layers.NAMES_STAND_IN:
            files = sorted((root / place).rglob("*.cpp")) if place.endswith("/") else [root / place]
            texts = (layers.without_comments(path.read_text(encoding="utf-8")) for path in files)
            self.assertTrue(any(layers.NAMES_OF_MODELS.search(text) for text in texts), place)

    def test_lists_every_public_header(self):
        headers = Path(layers.__file__).resolve().parents[2] / "include" / "reprise"
        self.assertEqual(set(layers.PUBLIC_OWNER), {path.name for path in headers.iterdir()})

    def test_exit_status(self):
        with tempfile.TemporaryDirectory() as folder:
            run = [sys.executable, layers.__file__, folder]
            self.assertEqual(subprocess.run(run).returncode, 0)
            path = Path(folder, "src/core/a.h")
            path.parent.mkdir(parents=True)
            path.write_text('#include "files/json.h"\n', encoding="utf-8")
            result = subprocess.run(run, capture_output=True, text=True)
            self.assertEqual(result.returncode, 1)
            self.assertEqual(result.stdout, "src/core/a.h:1: files/json.h is above core\n")


if __name__ == "__main__":
    unittest.main()
