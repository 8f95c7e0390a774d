"""What the command does where nobody says otherwise."""

import json
import unittest

from support import FIXTURES, USAGE, CommandTest, png_texts

MODELS = FIXTURES.parent.parent / "models"


class Defaults(CommandTest):
    def plan(self, model, *arguments):
        result = self.ok(self.run_plainly("plan", "--model", model, "--precision", "f32", "--json", *arguments))
        return json.loads(result.stdout), [line for line in result.stderr.splitlines() if line.startswith("cache ")]

    def test_bundled_models_reuse_what_was_tuned_in_their_own_number_of_steps(self):
        for name in ("emoji-sdxl", "emoji-pixart", "emoji-sd3", "emoji-svd"):
            with self.subTest(name):
                plan, (line,) = self.plan(MODELS / name)
                self.assertEqual(plan["num_steps"], 20)
                self.assertIn("tuned-2.json", line)
                self.assertNotIn("it was tuned with", line)
                explicit, _ = self.plan(MODELS / name, "--cache", MODELS / name / "reprise" / "tuned-2.json")
                self.assertEqual(plan["executions"], explicit["executions"])
                faster, (line,) = self.plan(MODELS / name, "--cache", "auto:speedup=3")
                self.assertIn("tuned-3.json", line)
                self.assertLess(faster["total_flops"], plan["total_flops"])

    def test_what_differs_from_the_tuned_run_is_named_in_one_line(self):
        _, (line,) = self.plan(MODELS / "emoji-sdxl", "--scheduler", "ddim", "--guidance", 7, "--width", 256)
        for word in ("EulerDiscreteScheduler, here DDIMScheduler", "guidance 5, here 7", "16x16, here 32x16"):
            self.assertIn(word, line)

    def test_presets_and_nothing(self):
        unet = ("--steps", 30)
        plan, (line,) = self.plan(MODELS / "emoji-sdxl", *unet)
        self.assertIn("tuned for 20 steps, not for 30", line)
        named, _ = self.plan(MODELS / "emoji-sdxl", *unet, "--cache", "taylorseer:interval=2")
        self.assertEqual(plan["executions"], named["executions"])
        for arguments in (("--steps", 4), ("--steps", 30, "--scheduler", "euler_a")):
            plan, (line,) = self.plan(MODELS / "emoji-sdxl", *arguments)
            self.assertIn("nothing is reused", line)
            self.assertFalse(any(execution["reused"] for execution in plan["executions"]))
        plan, (line,) = self.plan(MODELS / "emoji-sd3", "--steps", 30)
        self.assertIn("nothing is reused", line)

    def test_the_choice_causes_no_warning_and_is_in_the_picture(self):
        made = self.ok(self.run_plainly("generate", "--model", MODELS / "emoji-sdxl", "--prompt", "red apple", "--guidance-mode",
                                        "batched", "--precision", "f32", "--out", "a.png"))  # fmt: skip
        self.assertNotIn("warning", made.stderr)
        texts, _ = png_texts((self.work / "a.png").read_bytes())
        self.assertEqual(texts["num_inference_steps"], "20")
        self.assertTrue(texts["cache"].startswith("auto: "), texts["cache"])

    def test_the_number_of_steps_is_diffusers_where_the_folder_says_none(self):
        for name, steps in (("tiny-sdxl", 50), ("tiny-sd3", 28), ("tiny-pixart", 20), ("tiny-svd", 25)):
            self.assertEqual(self.plan(self.model(name))[0]["num_steps"], steps)

    def test_the_folder_says_defaults(self):
        model = self.copied_model()
        (model / "reprise").mkdir()
        defaults = model / "reprise" / "defaults.json"
        defaults.write_text('{"num_inference_steps": 9, "guidance_scale": 1}')
        plan, _ = self.plan(model)
        self.assertEqual(plan["num_steps"], 9)
        guided, _ = self.plan(model, "--guidance", 5)
        self.assertAlmostEqual(guided["total_flops"] / plan["total_flops"], 2, delta=0.05)
        for text, word in (('{"steps": 9}', "steps"), ('{"num_inference_steps": 0}', "num_inference_steps"),
                           ('{"guidance_scale": "much"}', "guidance_scale"), ("[", "defaults.json")):  # fmt: skip
            defaults.write_text(text)
            self.assert_refused(self.run_plainly("plan", "--model", model), USAGE, "defaults.json", word)

    def test_compare_needs_something_to_compare(self):
        result = self.run_plainly("compare", "--model", self.model(), "--prompt", "x", "--steps", 4, "--backend", "reference")
        self.assert_refused(result, USAGE, "nothing is reused", "4 steps")


class OwnOptions(CommandTest):
    """Reuse is planned for the call's own options, not for the folder's."""

    def test_a_folders_scheduler_that_is_not_supported(self):
        model = self.copied_model()
        (model / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "LCMScheduler"}')
        index = json.loads((model / "model_index.json").read_text())
        index["scheduler"] = ["diffusers", "LCMScheduler"]
        (model / "model_index.json").write_text(json.dumps(index))
        named = ("--scheduler", "euler", "--steps", 8, "--backend", "reference")
        for cache in ("off", "modelopt", "auto", "deepcache:interval=2", "easycache"):
            self.ok(self.run_plainly("generate", "--model", model, "--prompt", "x", "--cache", cache, "--out", "a.png", *named))
        for command in ("plan", "modules"):
            self.ok(self.run_plainly(command, "--model", model, *named))
        self.ok(self.run_plainly("compare", "--model", model, "--prompt", "x", "--cache", "modelopt", "--runs", 1, "--fewer-steps",
                                 2, "--csv", "t.csv", *named))  # fmt: skip
        self.ok(self.run_plainly("modules", "--model", model))  # names depend on no sampler
        refused = self.run_plainly("plan", "--model", model)
        self.assertEqual(refused.returncode, USAGE)
        self.assertIn("LCMScheduler", refused.stderr)

    def test_a_video_models_scheduler_that_is_not_supported(self):
        model = self.copied_model("tiny-svd")
        (model / "scheduler" / "scheduler_config.json").write_text("{}")
        index = json.loads((model / "model_index.json").read_text())
        index["scheduler"] = ["diffusers", "EDMEulerScheduler"]
        (model / "model_index.json").write_text(json.dumps(index))
        size = ("--width", 32, "--height", 32, "--frames", 2, "--steps", 2, "--backend", "reference")
        animate = ("animate", "--model", model, "--image", FIXTURES / "io" / "base.png", *size, "--out", "a.webp")
        self.assert_refused(self.run_plainly(*animate), USAGE, "EDMEulerScheduler")
        self.ok(self.run_plainly(*animate, "--scheduler", "euler", "--cache", "modelopt"))

    def test_a_model_without_a_size(self):
        model = self.copied_model()
        config = json.loads((model / "unet" / "config.json").read_text())
        config["sample_size"] = None
        (model / "unet" / "config.json").write_text(json.dumps(config))
        size = ("--width", 64, "--height", 72, "--steps", 8, "--backend", "reference")
        self.ok(self.run_plainly("generate", "--model", model, "--prompt", "x", "--cache", "modelopt", *size, "--out", "a.png"))
        self.ok(self.run_plainly("plan", "--model", model, *size))
        self.ok(self.run_plainly("modules", "--model", model))
        self.assert_refused(self.run_plainly("generate", "--model", model, "--prompt", "x"), USAGE, "--height", files=["a.png"])


if __name__ == "__main__":
    unittest.main()
