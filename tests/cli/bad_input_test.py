"""One clear line, the right status, and nothing half-written."""

import os
import re
import shutil
import signal
import struct
import subprocess
import unittest

from support import CANCELLED, COMMAND, FAILURE, USAGE, CommandTest


class BadInput(CommandTest):
    def test_no_such_folder(self):
        self.assert_refused(self.generate(model=self.folder / "absent"), USAGE, "absent")

    def test_truncated_weights(self):
        model = self.copied_model()
        weights = model / "unet" / "diffusion_pytorch_model.safetensors"
        os.truncate(weights, weights.stat().st_size - 100)
        self.assert_refused(self.generate(model=model), USAGE, str(weights))

    def test_lying_header(self):
        model = self.copied_model()
        weights = model / "unet" / "diffusion_pytorch_model.safetensors"
        data = bytearray(weights.read_bytes())
        data[:8] = struct.pack("<Q", 1 << 60)
        weights.write_bytes(data)
        self.assert_refused(self.generate(model=model), USAGE, str(weights))

    def test_missing_weight(self):
        model = self.copied_model()
        weights = model / "unet" / "diffusion_pytorch_model.safetensors"
        data = weights.read_bytes()
        self.assertEqual(data.count(b'"conv_in.bias"'), 1)
        weights.write_bytes(data.replace(b'"conv_in.bias"', b'"conv_in.bais"'))
        self.assert_refused(self.generate(model=model), USAGE, "conv_in.bi")

    def test_broken_json(self):
        for name in ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"]:
            with self.subTest(name=name):
                model = self.copied_model()
                (model / name).write_text('{"_class_name": ')
                self.assert_refused(self.generate(model=model), USAGE, name)
                shutil.rmtree(model)

    def test_unknown_scheduler(self):
        self.assert_refused(self.generate("--scheduler", "warp"), USAGE, "warp", "euler")

    def test_unknown_classes(self):
        for name, old, new in [
            ("model_index.json", "StableDiffusionXLPipeline", "StableVoicePipeline"),
            ("model_index.json", "UNet2DConditionModel", "UNet9DModel"),
            ("model_index.json", "EulerDiscreteScheduler", "WarpScheduler"),
        ]:
            with self.subTest(new=new):
                model = self.copied_model()
                text = (model / name).read_text()
                (model / name).write_text(text.replace(old, new))
                self.assert_refused(self.generate(model=model), USAGE, new)
                shutil.rmtree(model)

    def test_odd_sizes(self):
        for size in ["65", "4", "100000"]:
            with self.subTest(size=size):
                self.assert_refused(self.generate("--width", size), USAGE, "width", size)

    def test_numbers(self):
        for option, value in [("--steps", "0"), ("--steps", "many"), ("--images", "0"), ("--threads", "-1"),
                              ("--seed", "-1"), ("--guidance-rescale", "2")]:  # fmt: skip
            with self.subTest(option=option, value=value):
                self.assert_refused(self.generate(option, value), USAGE, value)

    def test_options(self):
        self.assert_refused(self.generate("--strength", "1"), USAGE, "--strength", "--help")
        self.assert_refused(self.run_command("generate", "--prompt", "x"), USAGE, "--model")
        self.assert_refused(self.run_command("paint"), USAGE, "paint")
        self.assert_refused(self.run_command(), USAGE, "--help")
        self.assert_refused(self.generate(prompt=()), USAGE, "--prompt")
        self.assert_refused(self.generate("--precision", "f8"), USAGE, "f8", "bf16")
        self.assert_refused(self.generate("--prompt-2", "x", model=self.model("tiny-sd")), USAGE, "prompt_2")

    def test_configurations(self):
        for text, word in [
            ('[{"wildcard_or_filter_func": "sideways_blocks.*", "select_cache_step_func": [1]}]', "sideways_blocks"),
            ('[{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "step >= 0"}]', "step 0"),
            ('[{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": "step ~ 2"}]', "step ~ 2"),
            ('[{"wildcard_or_filter_func": {"regex": "("}, "select_cache_step_func": [1]}]', "("),
            ('[{"wildcard_or_filter_func": "mid_block", "when": 1}]', "cache.json"),
            ("{", "cache.json"),
        ]:
            with self.subTest(text=text):
                self.assert_refused(self.generate("--cache", self.config(text)), USAGE, word)
        self.assert_refused(self.generate("--cache", "sometimes"), USAGE, "sometimes", "modelopt")
        self.assert_refused(self.generate("--cache", "absent.json"), USAGE, "absent.json")

    def test_prompts_file(self):
        empty = self.config("\n\n", "empty.txt")
        self.assert_refused(self.generate(prompt=("--prompts-file", empty)), USAGE, "empty.txt")
        self.assert_refused(self.generate(prompt=("--prompts-file", "absent.txt")), USAGE, "absent.txt")

    def test_latents(self):
        wrong = self.model() / "vae" / "diffusion_pytorch_model.safetensors"
        self.assert_refused(self.generate("--latents-in", wrong), USAGE, "latents")
        self.ok(self.generate("--steps", 1, "--cache", "off", "--latents-out", self.folder / "l", "--out",
                              self.folder / "l.png"))  # fmt: skip
        result = self.generate("--latents-in", self.folder / "l", "--images", 2)
        self.assert_refused(result, USAGE, "(1, 4, 8, 8)", "(2, 4, 8, 8)")


class Outputs(CommandTest):
    def test_places_are_checked_before_anything_runs(self):
        absent = self.folder / "absent"
        (self.work / "folder.png").mkdir()
        for out, word in [("no/such/a.png", "no/such"), ("a.jpg", ".png"), ("folder.png", "folder"),
                          ("model_index.json/a.png", "model_index.json")]:  # fmt: skip
            with self.subTest(out=out):
                # The model is not looked for: its absence would be the error.
                self.assert_refused(self.generate("--out", out, model=absent), USAGE, word)
        self.assert_refused(self.generate("--latents-out", "no/l", model=absent), USAGE, "no/l")

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_read_only_folder(self):
        (self.work / "fixed").mkdir(mode=0o555)
        self.assert_refused(self.generate("--out", "fixed/a.png"), USAGE, "fixed", "denied")

    def test_full_disk(self):
        result = self.generate("--steps", 1, "--cache", "off", "--latents-out", "/dev/full", "--out", "a.png")
        self.assert_refused(result, FAILURE, "/dev/full", "space")

    def test_full_standard_output(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = self.run_command("schedulers", stdout=full)
        self.assert_refused(result, FAILURE, "space")

    def test_small_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if os.geteuid() != 0 or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8k", "none", disk], capture_output=True, check=False
        ).returncode:  # fmt: skip
            self.skipTest("no small disk can be mounted here")
        try:
            result = self.generate("--steps", 1, "--cache", "off", "--out", disk / "a.png")
            self.assert_refused(result, FAILURE, "a.png", "space")
            self.assertEqual(list(disk.iterdir()), [])
        finally:
            subprocess.run(["umount", disk], check=True)

    def test_interrupt(self):
        process = subprocess.Popen(
            [COMMAND, "generate", "--model", self.model(), "--backend", "reference", "--guidance-mode", "batched",
             "--prompt", "x", "--steps", "900", "--out", "a.png", "--latents-out", "l"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.work, env=self.environment(),
        )  # fmt: skip
        for line in process.stderr:
            if line.startswith("step 3/"):
                break
        process.send_signal(signal.SIGINT)
        out, rest = process.communicate(timeout=120)
        self.assertEqual(process.returncode, CANCELLED)
        self.assertEqual(out, "")
        self.assertEqual([line for line in rest.splitlines() if not line.startswith("step ")],
                         [re.search("cancelled: .*", rest).group()])  # fmt: skip
        self.assertEqual(self.files(), [])


if __name__ == "__main__":
    unittest.main()
