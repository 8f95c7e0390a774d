"""Calibrating and tuning."""

import json
import unittest
from xml.etree import ElementTree

from support import FIXTURES, USAGE, CommandTest


class Tuning(CommandTest):
    def calibrate(self, *arguments, **options):
        return self.run_command("calibrate", "--model", self.model(), "--steps", 5, "--prompt", "red apple",
                                "--seeds", 1, "--backend", "reference", *arguments, **options)  # fmt: skip

    def tune(self, *arguments, model=None):
        return self.run_command("tune", "--model", model or self.model(), "--steps", 5, "--prompt", "red apple",
                                "--pairs", 1, "--trials", 3, "--backend", "reference", *arguments)  # fmt: skip

    def test_calibrate_writes_a_profile_that_a_policy_takes(self):
        result = self.ok(self.calibrate("--kinds", "transformer", "--out", "p.json", "--cache-out", "c.json",
                                        "--svg", "p.svg"))  # fmt: skip
        self.assertIn("up_blocks.2", (self.work / "p.svg").read_text())
        self.assertRegex(result.stdout, r"down_blocks\.0 +block +0\.\d+")
        profile = json.loads((self.work / "p.json").read_text())
        kinds = {module["kind"] for module in profile["modules"]}
        self.assertEqual(kinds, {"block", "transformer"})
        self.assertEqual({len(module["change"]) for module in profile["modules"]}, {5})
        report = json.loads(self.ok(self.generate(
            "--steps", 5, "--cache", "blockcache:profile=p.json,threshold=100", "--json", "--out", "a.png")).stdout)  # fmt: skip
        self.assertEqual([step["variant"] for step in report["steps"]], ["full"] + ["reused"] * 4)
        self.ok(self.generate("--steps", 5, "--cache", "c.json", "--out", "b.png"))
        found = ("p.json", "c.json", "p.svg", "a.png", "b.png")
        self.assert_refused(self.generate("--steps", 6, "--cache", "c.json"), USAGE, "for 5 steps", "asked for 6",
                            files=found)  # fmt: skip
        self.assert_refused(self.generate("--steps", 5, "--cache", "c.json", model=self.model("tiny-sd")), USAGE,
                            "c.json", "UNet2DConditionModel of other sizes", files=found)  # fmt: skip

    def test_calibrate_draws_the_changes(self):
        self.ok(self.calibrate("--out", "p.json", "--svg", "p.svg"))
        texts = [element.text for element in ElementTree.parse(self.work / "p.svg").iter("{http://www.w3.org/2000/svg}text")]
        blocks = [module["name"] for module in json.loads((self.work / "p.json").read_text())["modules"]]
        self.assertIn("mid_block", blocks)
        self.assertEqual([text for text in texts if text in blocks], blocks)

    def test_calibrate_refuses(self):
        self.assert_refused(self.calibrate("--kinds", "brick"), USAGE, "brick")
        self.assert_refused(self.calibrate("--out", "nowhere/p.json"), USAGE, "nowhere")
        for threshold in ("-1", "nan"):
            self.assert_refused(self.calibrate("--threshold", threshold), USAGE, "--threshold", threshold)
        self.assert_refused(self.calibrate("--images", 2), USAGE, "2 images per prompt")
        self.assert_refused(self.calibrate("--image", FIXTURES / "io" / "base.png"), USAGE, "--image", "--prompt")
        self.assert_refused(self.generate("--cache", "blockcache"), USAGE, "blockcache", "profile=")

    def test_tune_writes_what_auto_takes(self):
        model = self.copied_model()
        (model / "reprise").mkdir()
        out = model / "reprise" / "tuned-{speedup}.json"
        result = self.ok(self.tune("--speedup", "1.4,1.7", "--state", "s.json", "--out", out, model=model))
        self.assertIn("tuned-1.7.json", result.stdout)
        evidence = json.loads((model / "reprise" / "tuned-1.7.json").read_text())["evidence"]
        self.assertGreaterEqual(evidence["figures"]["predicted_speedup"], 1.7)
        self.assertEqual(evidence["run"]["steps"], 5)
        self.assertTrue((self.work / "s.json").exists())
        report = json.loads(self.ok(self.generate(
            "--steps", 5, "--cache", "auto:speedup=1.6", "--guidance-mode", "auto", "--json", "--out", "a.png",
            model=model)).stdout)  # fmt: skip
        self.assertEqual(report["settings"]["cache"].split(":")[0], "auto")
        self.assertIn("reused", [step["variant"] for step in report["steps"]])

    def test_tune_for_quality(self):
        found = json.loads(self.ok(self.tune("--quality", "ssim=0.2", "--json", "--out", "t.json")).stdout)
        self.assertEqual(len(found), 1)
        figures = found[0]["figures"]
        self.assertGreaterEqual(figures["speedup"], 1.25)
        self.assertGreaterEqual(figures["predicted_speedup"], figures["speedup"] * (1 - 1e-5))
        self.assertEqual(json.loads((self.work / "t.json").read_text())["evidence"]["figures"], figures)

    def test_tune_refuses(self):
        self.assert_refused(self.tune("--quality", "beauty=3"), USAGE, "beauty")
        self.assert_refused(self.tune("--speedup", "2,3", "--out", "one.json"), USAGE, "{speedup}")
        self.assert_refused(self.tune("--speedup", "1000"), USAGE, "no schedule is 1000.00 times as fast")


if __name__ == "__main__":
    unittest.main()
