"""Pictures from prompts."""

import json
import shutil
import unittest

from support import DEFAULT_REUSE, FIXTURES, USAGE, CommandTest, png_texts, safetensors


class Generate(CommandTest):
    def test_picture_carries_its_settings(self):
        result = self.ok(
            self.generate("--steps", 4, "--seed", 7, "--negative-prompt", "größe", "--out", "a.png", "--width", 72)
        )
        self.assertEqual(result.stdout, "a.png\n")
        self.assertIn("cache modelopt:", result.stderr)
        self.assertIn("reused 6 modules at 2 of 4 steps", result.stderr)
        texts, size = png_texts((self.work / "a.png").read_bytes())
        self.assertEqual(size, (72, 64))
        for key, value in {"prompt": "red apple", "negative_prompt": "größe", "seed": "7", "num_inference_steps": "4",
                           "guidance_scale": "5", "scheduler_class": "EulerDiscreteScheduler", "model": "tiny-sdxl",
                           "width": "72", "height": "64"}.items():  # fmt: skip
            self.assertEqual(texts[key], value)
        self.assertIn("step % 2 != 0", texts["cache"])
        self.assertRegex(texts["parameters"], r"^red apple\nNegative prompt: größe\nSteps: 4, Sampler: .*Seed: 7")

    def test_json_says_what_happened(self):
        report = json.loads(self.ok(self.generate("--steps", 4, "--json", "--quiet", "--out", "a.png")).stdout)
        self.assertEqual([step["variant"] for step in report["steps"]], ["full", "reused", "full", "reused"])
        shares = [step["flops_share"] for step in report["steps"]]
        self.assertEqual(shares[0], 1)
        self.assertLess(shares[1], 0.5)
        self.assertEqual(report["files"], ["a.png"])
        self.assertEqual(report["guidance_mode"], "batched")
        self.assertLess(report["flops"]["run"], report["flops"]["full"])
        self.assertGreater(report["memory"]["peak_resident_bytes"], 1e6)
        self.assertGreater(report["bytes"]["kept"], 0)
        self.assertEqual(report["settings"]["seed"], 0)

    def test_many_pictures_say_how_long_they_take_and_how_much_memory(self):
        made = self.ok(self.generate("--steps", 3, "--images", 5, "--width", 16, "--height", 16, "--out", "{n}.png"))
        self.assertRegex(made.stderr, r"denoise 5 pictures, about \d[\d.]* m?s in full\n")
        files = [f"{n}.png" for n in range(1, 6)]
        for images, words in ((1_000_000, ("1000000 pictures", "GB", "free")), (1_000_001, ("1 to 1000000",))):
            self.assert_refused(self.generate("--steps", 3, "--images", images), USAGE, *words, files=files)

    def test_quiet_is_quiet(self):
        self.assertEqual(self.ok(self.generate("--steps", 2, "--quiet")).stderr, "")
        self.assertEqual(self.files(), ["reprise-0.png"])

    def test_latents_go_out_and_come_back(self):
        self.ok(self.generate("--steps", 2, "--latents-out", "a.safetensors", "--out", "a.png", "--images", 2))
        header, _ = safetensors(self.work / "a.safetensors")
        self.assertEqual(header["latents"]["shape"], [2, 4, 8, 8])
        self.assertEqual(header["latents"]["dtype"], "F32")
        noise = ("--steps", 3, "--latents-in", "a.safetensors", "--images", 2)
        self.ok(self.generate(*noise, "--seed", 1, "--latents-out", "b.safetensors", "--out", "b.png"))
        self.ok(self.generate(*noise, "--seed", 2, "--latents-out", "c.safetensors", "--out", "c.png"))
        b, c = (self.work / "b.safetensors").read_bytes(), (self.work / "c.safetensors").read_bytes()
        self.assertEqual(b, c)
        self.assertNotEqual(b, (self.work / "a.safetensors").read_bytes())
        self.assertIn("b-2.png", self.files())

    def test_a_refiner_goes_on(self):
        folder = FIXTURES / "pipelines/tiny-sdxl-refiner"
        way = ("--steps", 10, "--refiner", folder, "--denoising-end", 0.8, "--latents-out", "l", "--out", "a.png")
        report = json.loads(self.ok(self.generate(*way, "--prompt-2", "a table", "--json")).stdout)
        self.assertEqual([step["step"] for step in report["steps"]], [8, 9])
        texts, _ = png_texts((self.work / "a.png").read_bytes())
        self.assertEqual((texts["refiner"], texts["denoising_end"]), ("tiny-sdxl-refiner", "0.8"))
        self.assert_refused(self.generate("--refiner", folder), USAGE, "--denoising-end", files=["a.png", "l"])
        self.assert_refused(self.generate("--denoising-end", 1), USAGE, "above 0 and below 1", files=["a.png", "l"])

    def test_reusing_nothing_is_no_reuse(self):
        never = self.config('[{"wildcard_or_filter_func": "*", "select_cache_step_func": []}]')
        off = self.ok(self.generate("--steps", 4, "--cache", "off", "--latents-out", "off", "--json"))
        self.ok(self.generate("--steps", 4, "--cache", never, "--latents-out", "never"))
        self.ok(self.generate("--steps", 4, "--latents-out", "default"))
        off_bytes = (self.work / "off").read_bytes()
        self.assertEqual(off_bytes, (self.work / "never").read_bytes())
        self.assertNotEqual(off_bytes, (self.work / "default").read_bytes())
        self.assertFalse(json.loads(off.stdout)["reuse"])

    def test_configuration_file_equals_the_default_it_spells(self):
        self.ok(self.generate("--steps", 4, "--latents-out", "a"))
        self.ok(self.generate("--steps", 4, "--latents-out", "b", "--cache", self.config(DEFAULT_REUSE)))
        self.assertEqual((self.work / "a").read_bytes(), (self.work / "b").read_bytes())

    def test_scheduler_and_guidance_mode(self):
        """That they are passed on: tests/pipelines runs every scheduler in both."""
        names = {entry["name"]: entry for entry in json.loads(self.ok(self.run_command("schedulers", "--json")).stdout)}
        self.assertIn("dpm++2m-karras", names)
        result = self.generate("--steps", 4, "--scheduler", "heun", "--guidance-mode", "split", "--json")
        report = json.loads(self.ok(result).stdout)
        self.assertEqual((report["scheduler"], report["guidance_mode"]), ("HeunDiscreteScheduler", "split"))

    def test_mean_over_branches_finds_two_passes(self):
        mean = self.config('[{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [1], "store": "mean"}]')
        result = self.run_command("generate", "--model", self.model(), "--backend", "reference", "--prompt", "x",
                                  "--steps", 2, "--cache", mean, "--json")  # fmt: skip
        self.assertEqual(json.loads(self.ok(result).stdout)["guidance_mode"], "split")

    def test_several_prompts(self):
        prompts = self.folder / "prompts.txt"
        prompts.write_bytes("\ufeffred apple\r\n\r\ncafé ☕\n".encode())
        (self.work / "out").mkdir()
        result = self.ok(self.generate("--steps", 2, "--out", "out/{seed}-{n}.png", prompt=("--prompts-file", prompts)))
        self.assertEqual(result.stdout.split(), ["out/0-1.png", "out/0-2.png"])
        texts = [png_texts((self.work / name).read_bytes())[0]["prompt"] for name in result.stdout.split()]
        self.assertEqual(texts, ["red apple", "café ☕"])

    def test_webp(self):
        self.ok(self.generate("--steps", 1, "--cache", "off", "--out", "a.webp"))
        self.assertEqual((self.work / "a.webp").read_bytes()[8:12], b"WEBP")

    def test_stable_diffusion_1(self):
        report = json.loads(self.ok(self.generate("--steps", 2, "--json", model=self.model("tiny-sd"))).stdout)
        self.assertEqual(report["settings"]["guidance_scale"], 7.5)
        self.assertEqual(report["settings"]["width"], 128)


class Encode(CommandTest):
    def encode(self, *arguments, model=None):
        return self.run_command(
            "encode", "--model", model or self.model("tiny-pixart"), "--backend", "reference", *arguments
        )

    def test_pictures_of_embeddings_are_those_of_the_prompts(self):
        model, steps = self.copied_model("tiny-pixart"), ("--steps", 2, "--no-resolution-binning")
        result = self.ok(self.encode("--prompt", "red apple", "--prompt", "größe", "--out", "e.safetensors"))
        self.assertEqual(result.stdout, "e.safetensors\n")
        for part in ("text_encoder", "tokenizer"):
            shutil.rmtree(model / part)
        self.ok(self.generate("--embeddings", "e.safetensors", *steps, "--out", "a-{n}.png", model=model, prompt=()))
        self.ok(self.generate(*steps, "--out", "b-{n}.png", model=self.model("tiny-pixart")))
        texts = png_texts((self.work / "a-2.png").read_bytes())[0]
        self.assertEqual(texts["prompt"], "größe")
        self.assertEqual(self.files(), ["a-1.png", "a-2.png", "b-1.png", "e.safetensors"])
        same = [
            (self.work / f"{name}-1.png").read_bytes().split(b"IDAT")[1] for name in ("a", "b")
        ]  # the first prompt and the noise are the same
        self.assertEqual(*same)

    def test_json(self):
        report = json.loads(self.ok(self.encode("--prompt", "red apple", "--json", "--out", "e.safetensors")).stdout)
        self.assertEqual((report["prompts"], report["files"]), (["red apple"], ["e.safetensors"]))
        self.assertEqual((report["tokens"], report["width"]), (120, 12))

    def test_mistakes(self):
        video = self.encode("--prompt", "red apple", model=self.model("tiny-svd"))
        self.assert_refused(video, USAGE, "takes no prompts")
        self.assert_refused(self.encode("--out", "e.safetensors"), USAGE, "no prompt")
        self.assert_refused(self.encode("--prompt", "a", "--out", "none/e.safetensors"), USAGE, "none")
        absent = self.generate("--embeddings", "absent.safetensors", prompt=())
        self.assert_refused(absent, USAGE, "absent.safetensors")
        both = self.generate("--embeddings", "e.safetensors")
        self.assertEqual(both.returncode, USAGE)


class StableDiffusion3(CommandTest):
    def test_picture_of_three_prompts(self):
        result = self.ok(
            self.generate("--steps", 2, "--prompt-2", "on a table", "--prompt-3", "größe", "--negative-prompt-3", "blue",
                          "--max-sequence-length", 5, "--out", "a.png", model=self.model("tiny-sd3"))
        )  # fmt: skip
        self.assertIn("reused 4 modules at 1 of 2 steps", result.stderr)
        texts, size = png_texts((self.work / "a.png").read_bytes())
        self.assertEqual(size, (64, 64))
        for key, value in {"prompt_3": "größe", "negative_prompt_3": "blue", "guidance_scale": "7",
                           "scheduler_class": "FlowMatchEulerDiscreteScheduler"}.items():  # fmt: skip
            self.assertEqual(texts[key], value)

    def test_what_it_refuses(self):
        model = self.model("tiny-sd35")
        self.assert_refused(self.generate("--prompt-3", "blue", model=model), USAGE, "prompt_3", "T5")
        self.assert_refused(self.generate("--skip-guidance-layers", "1,2", model=model), USAGE, "skip_guidance_layers")
        self.assert_refused(self.generate("--max-sequence-length", 600, model=model), USAGE, "max_sequence_length", "512")
        self.assert_refused(self.generate("--width", 72, model=model), USAGE, "width is 72", "multiple of 16")

    def test_modules(self):
        result = self.run_command("modules", "--model", self.model("tiny-sd35"), "--backend", "reference", "--all", "--json",
                                  "--steps", 4)  # fmt: skip
        by_name = {row["name"]: row for row in json.loads(self.ok(result).stdout)}
        self.assertEqual(by_name["transformer_blocks.1"]["reused_steps"], [1, 3])
        self.assertEqual(by_name["transformer_blocks.2"]["reused_steps"], [])
        self.assertEqual(by_name["transformer_blocks.2.attn"]["kind"], "joint_attention")
        self.assertEqual(by_name["transformer_blocks.1.attn2"]["kind"], "self_attention")
        self.assertNotIn("transformer_blocks.2.attn2", by_name)


class BundledModels(CommandTest):
    """models/*: each draws, and its default configuration reuses what its published sibling's does."""

    UNET = {"down_blocks.0", "down_blocks.1", "down_blocks.2", "mid_block", "up_blocks.0", "up_blocks.1"}
    REUSED = {  # at which of six steps, and what
        "emoji-sdxl": ({1, 3, 5}, UNET),
        "emoji-pixart": ({1, 2, 4, 5}, {f"transformer_blocks.{n}" for n in range(21)}),
        "emoji-sd3": ({1, 3, 5}, {f"transformer_blocks.{n}" for n in range(16)}),
        "emoji-svd": ({1, 3, 5}, UNET | {"down_blocks.3", "up_blocks.2"}),
    }

    def bundled(self, name):
        return FIXTURES.parents[1] / "models" / name

    def test_these_are_all(self):
        self.assertEqual({path.name for path in self.bundled("").iterdir()}, set(self.REUSED))

    def test_small_enough(self):
        size = sum(path.stat().st_size for path in self.bundled("").rglob("*") if path.is_file())
        self.assertLessEqual(size, 46_000_000)

    def test_default_configuration(self):
        for name, (steps, modules) in self.REUSED.items():
            with self.subTest(name):
                plan = json.loads(
                    self.ok(self.run_command("plan", "--model", self.bundled(name), "--steps", 6, "--json")).stdout
                )
                self.assertEqual({e["step"] for e in plan["executions"] if e["reused"]}, steps)
                for execution in plan["executions"]:
                    self.assertEqual(set(execution["reused"]), modules if execution["step"] in steps else set())

    def test_each_draws(self):
        for name in self.REUSED:
            with self.subTest(name):
                options = ["--model", self.bundled(name), "--steps", 2, "--out", f"{name}-{{n}}.png"]
                if name == "emoji-svd":
                    self.ok(self.run_command("animate", *options, "--image", FIXTURES / "io" / "base.png"))
                else:
                    self.ok(self.run_command("generate", *options, "--prompt", "red apple"))
                made = sorted(self.work.glob(f"{name}-*.png"))
                self.assertEqual(len(made), 8 if name == "emoji-svd" else 1)
                for path in made:
                    self.assertEqual(png_texts(path.read_bytes())[1], (128, 128))


if __name__ == "__main__":
    unittest.main()
