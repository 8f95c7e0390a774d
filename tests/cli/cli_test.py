"""The command from outside: what it writes, prints and returns, for good input and bad.

    python cli_test.py path/to/reprise path/to/tests/fixtures
"""

import base64
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path
from xml.etree import ElementTree

COMMAND, FIXTURES = "", Path()
DONE, FAILURE, USAGE, CANCELLED = 0, 1, 2, 130
DEFAULT_REUSE = '[{"wildcard_or_filter_func": {"not": "*up_blocks.2*"}, "select_cache_step_func": "step % 2 != 0"}]'


def png_texts(data):
    """The texts of a PNG, whose chunks and pixels are checked on the way."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    texts, pixels, at, size = {}, b"", 8, None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0]
        at += 12 + length
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        elif kind == b"IDAT":
            pixels += body
        elif kind == b"tEXt":
            key, value = body.split(b"\0", 1)
            texts[key.decode()] = value.decode("latin-1")
        elif kind == b"iTXt":
            key, rest = body.split(b"\0", 1)
            packed, rest = rest[0], rest[2:]
            value = rest.split(b"\0", 2)[2]
            texts[key.decode()] = (zlib.decompress(value) if packed else value).decode()
    assert len(zlib.decompress(pixels)) == size[1] * (3 * size[0] + 1)
    return texts, size


def safetensors(path):
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


class CommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.cache = self.folder / "cache"
        self.work = self.folder / "work"
        self.work.mkdir()

    def environment(self):
        return os.environ | {"XDG_CACHE_HOME": str(self.cache), "LC_ALL": "C.UTF-8"}

    def run_command(self, *arguments, stdout=subprocess.PIPE, **options):
        return subprocess.run(
            [COMMAND, *map(str, arguments)], stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=self.work,
            env=self.environment(), timeout=120, check=False, **options,
        )  # fmt: skip

    def model(self, name="tiny-sdxl"):
        return FIXTURES / "pipelines" / name

    def copied_model(self, name="tiny-sdxl"):
        target = self.folder / "model"
        shutil.copytree(self.model(name), target)
        return target

    def generate(self, *arguments, model=None, prompt=("--prompt", "red apple"), **options):
        mode = () if "--guidance-mode" in arguments else ("--guidance-mode", "batched")
        return self.run_command(
            "generate", "--model", model or self.model(), "--backend", "reference", *mode, *prompt, *arguments, **options
        )  # fmt: skip

    def ok(self, result):
        self.assertEqual(result.returncode, DONE, result.stderr)
        return result

    def files(self):
        return sorted(path.name for path in self.work.rglob("*") if path.is_file())

    def assert_refused(self, result, status, *words, files=()):
        """One line that names what is wrong, the right status, nothing half-written."""
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertEqual(result.returncode, status, result.stderr)
        for word in words:
            self.assertIn(word, errors[0])
        self.assertEqual(self.files(), sorted(files))

    def config(self, text, name="cache.json"):
        path = self.folder / name
        path.write_text(text)
        return path


class Generate(CommandTest):
    def test_picture_carries_its_settings(self):
        result = self.ok(
            self.generate("--steps", 4, "--seed", 7, "--negative-prompt", "größe", "--out", "a.png", "--width", 72)
        )
        self.assertEqual(result.stdout, "a.png\n")
        self.assertIn("cache default:", result.stderr)
        self.assertIn("reused 6 modules at 2 of 4 steps", result.stderr)
        texts, size = png_texts((self.work / "a.png").read_bytes())
        self.assertEqual(size, (72, 64))
        for key, value in {"prompt": "red apple", "negative_prompt": "größe", "seed": "7", "steps": "4",
                           "guidance_scale": "5", "scheduler": "EulerDiscreteScheduler", "model": "tiny-sdxl",
                           "size": "72x64"}.items():  # fmt: skip
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

    def test_every_scheduler_and_both_guidance_modes(self):
        names = [entry["name"] for entry in json.loads(self.ok(self.run_command("schedulers", "--json")).stdout)]
        self.assertIn("dpm++2m-karras", names)
        for name in ["heun", "dpm++2m-karras"]:
            self.ok(self.generate("--steps", 4, "--scheduler", name, "--latents-out", name + ".split",
                                  "--guidance-mode", "split"))  # fmt: skip
            self.ok(self.generate("--steps", 4, "--scheduler", name, "--latents-out", name + ".batched"))
            one, other = (safetensors(self.work / f"{name}.{mode}")[1] for mode in ("split", "batched"))
            a, b = (struct.unpack(f"<{len(x) // 4}f", x) for x in (one, other))
            self.assertLess(max(abs(x - y) for x, y in zip(a, b, strict=True)), 1e-3 * max(map(abs, b)))

    def test_mean_over_branches_finds_two_passes(self):
        mean = self.config(
            '[{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [1], "store": "mean"}]'
        )
        result = self.run_command("generate", "--model", self.model(), "--backend", "reference", "--prompt", "x",
                                  "--steps", 2, "--cache", mean, "--json")  # fmt: skip
        self.assertEqual(json.loads(self.ok(result).stdout)["guidance_mode"], "split")

    def test_several_prompts(self):
        prompts = self.folder / "prompts.txt"
        prompts.write_bytes("\ufeffred apple\r\n\r\ncafé ☕\n".encode())
        (self.work / "out").mkdir()
        result = self.ok(
            self.generate("--steps", 2, "--out", "out/{seed}-{n}.png", prompt=("--prompts-file", prompts))
        )
        self.assertEqual(result.stdout.split(), ["out/0-1.png", "out/0-2.png"])
        texts = [png_texts((self.work / name).read_bytes())[0]["prompt"] for name in result.stdout.split()]
        self.assertEqual(texts, ["red apple", "café ☕"])

    def test_webp(self):
        self.ok(self.generate("--steps", 1, "--cache", "off", "--out", "a.webp"))
        self.assertEqual((self.work / "a.webp").read_bytes()[8:12], b"WEBP")

    def test_stable_diffusion_1(self):
        report = json.loads(
            self.ok(self.generate("--steps", 2, "--json", model=self.model("tiny-sd"))).stdout
        )
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


class Animate(CommandTest):
    def picture(self, name="base.png"):
        return FIXTURES / "io" / name

    def animate(self, *arguments, model=None, image=None):
        return self.run_command(
            "animate", "--model", model or self.model("tiny-svd"), "--image", image or self.picture(), "--backend",
            "reference", "--guidance-mode", "batched", "--steps", 2, *arguments,
        )  # fmt: skip

    @unittest.skipUnless(shutil.which("ffprobe"), "no ffprobe")
    def test_mp4(self):
        result = self.ok(self.animate("--fps", 12, "--frames", 2, "--width", 40, "--seed", 3, "--out", "{seed}.mp4"))
        self.assertEqual(result.stdout, "3.mp4\n")
        self.assertIn("reused 8 modules at 1 of 2 steps", result.stderr)
        probed = subprocess.run(
            ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json",
             self.work / "3.mp4"], capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.assertEqual(probed.stderr, "")
        probe = json.loads(probed.stdout)
        self.assertEqual(len(probe["streams"]), 1)
        stream = probe["streams"][0]
        expected = {"codec_name": "h264", "pix_fmt": "yuv420p", "width": 40, "height": 32, "avg_frame_rate": "12/1",
                    "nb_read_frames": "2", "color_space": "bt709", "color_range": "tv"}  # fmt: skip
        self.assertEqual({key: stream[key] for key in expected}, expected)
        comment = probe["format"]["tags"]["comment"].splitlines()
        for line in ["image: base.png", "seed: 3", "motion_bucket: 127", "guidance_scale: 1 to 3", "model: tiny-svd"]:
            self.assertIn(line, comment)

    def test_pictures_and_webp_hold_the_same_video(self):
        self.assertEqual(self.ok(self.animate("--out", "folder/")).stdout.split(),
                         [f"folder/frame-{n}.png" for n in (1, 2, 3)])  # fmt: skip
        self.ok(self.animate("--out", "folder"))  # a folder that is there
        self.ok(self.animate("--out", "walk-{n}.png", "--seed", 1))
        self.ok(self.animate("--out", "walk.png", "--fit", "letterbox"))
        self.ok(self.animate("--out", "a.webp", "--decode-chunk-size", 2))
        frames = [f"frame-{n}.png" for n in (1, 2, 3)]
        self.assertEqual(self.files(), sorted([*frames, *(f"walk-{n}.png" for n in (1, 2, 3)), "a.webp"]))
        texts, size = png_texts((self.work / "folder" / "frame-2.png").read_bytes())
        self.assertEqual(size, (32, 32))
        self.assertEqual(texts["frames"], "3")
        webp = (self.work / "a.webp").read_bytes()
        self.assertEqual(webp[8:12], b"WEBP")
        self.assertEqual(webp.count(b"ANMF"), 3)

    def test_latents_go_out_and_come_back(self):
        self.ok(self.animate("--latents-out", "a", "--out", "a.mp4"))
        header, _ = safetensors(self.work / "a")
        self.assertEqual(header["latents"]["shape"], [1, 3, 4, 16, 16])
        noise = ("--latents-in", "a", "--noise-aug", 0)
        self.ok(self.animate(*noise, "--seed", 1, "--latents-out", "b", "--out", "b.mp4"))
        self.ok(self.animate(*noise, "--seed", 2, "--latents-out", "c", "--out", "c.mp4"))
        self.assertEqual((self.work / "b").read_bytes(), (self.work / "c").read_bytes())
        result = self.animate("--latents-in", "a", "--frames", 2, "--out", "d.mp4")
        self.assert_refused(result, USAGE, "(1, 3, 4, 16, 16)", "(1, 2, 4, 16, 16)", files=self.files())

    def test_json_says_what_happened(self):
        report = json.loads(self.ok(self.animate("--json", "--quiet", "--out", "a.mp4")).stdout)
        self.assertEqual([step["variant"] for step in report["steps"]], ["full", "reused"])
        self.assertEqual(report["files"], ["a.mp4"])
        self.assertEqual(report["settings"]["pipeline"], "StableVideoDiffusionPipeline")
        self.assertEqual(report["settings"]["frames"], "3")

    def test_every_option_reaches_the_model(self):
        options = ("--fps", 9), ("--motion-bucket", 20), ("--noise-aug", 0.3), ("--min-guidance", 2), (
            "--max-guidance", 1.5), ("--fit", "crop"), ("--seed", 4), ("--image", self.picture("dark.png"))  # fmt: skip
        seen = set()
        for number, option in enumerate([(), *options]):
            arguments = [] if not option or option[0] == "--image" else option
            image = option[1] if option and option[0] == "--image" else None
            self.ok(self.animate(*arguments, "--latents-out", f"l{number}", "--out", "a.mp4", image=image))
            seen.add((self.work / f"l{number}").read_bytes())
        self.assertEqual(len(seen), 1 + len(options))

    def test_bad_input(self):
        broken = self.folder / "broken.jpg"
        broken.write_bytes(self.picture("jpeg_baseline.jpg").read_bytes()[:300])
        self.assert_refused(self.animate(image=broken), USAGE, "broken.jpg", "truncated")
        self.assert_refused(self.animate(image=self.picture("metrics.json")), USAGE, "metrics.json", "JPEG")
        self.assert_refused(self.animate(image="absent.png"), USAGE, "absent.png")
        for option, value, word in [("--frames", 0, "--frames"), ("--fps", 0, "--fps"), ("--width", 36, "width is 36"),
                                    ("--noise-aug", -1, "noise_aug_strength"), ("--fit", "squeeze", "letterbox"),
                                    ("--decode-chunk-size", 0, "--decode-chunk-size"), ("--frames", 99999, "num_frames"),
                                    ("--motion-bucket", "much", "--motion-bucket")]:  # fmt: skip
            with self.subTest(option=option, value=value):
                self.assert_refused(self.animate(option, value), USAGE, word)
        absent = self.folder / "absent"
        for out, word in [("a.gif", ".gif"), ("no/such/a.mp4", "no/such"), ("no/such", "no"), ("no/{n}.png", "no")]:
            with self.subTest(out=out):  # before the model is looked for
                self.assert_refused(self.animate("--out", out, model=absent), USAGE, word)
        self.assert_refused(self.animate(model=self.model()), USAGE, "generate")
        self.assert_refused(self.run_command("generate", "--model", self.model("tiny-svd"), "--prompt", "x"), USAGE,
                            "picture")  # fmt: skip

    def test_the_other_commands_take_videos(self):
        common = ("--model", self.model("tiny-svd"), "--backend", "reference", "--guidance-mode", "batched", "--steps", 2)
        plan = json.loads(self.ok(self.run_command("plan", *common, "--frames", 2, "--json")).stdout)
        longer = json.loads(self.ok(self.run_command("plan", *common, "--frames", 4, "--json")).stdout)
        self.assertLess(plan["kept_bytes"], longer["kept_bytes"])
        rows = json.loads(self.ok(self.run_command("modules", "--model", self.model("tiny-svd"), "--all", "--json")).stdout)
        kinds = {row["name"]: row["kind"] for row in rows}
        self.assertEqual(kinds["mid_block.resnets.0.temporal_res_block"], "temporal_resnet")
        bench = json.loads(self.ok(self.run_command("bench", *common, "--frames", 2, "--runs", 1, "--json")).stdout)
        self.assertGreater(bench["seconds"]["reused_step"]["median"], 0)
        other = self.work / "other.png"
        shutil.copy(self.picture(), other)
        result = json.loads(self.ok(self.run_command("compare", *common, "--image", self.picture(), "--image", other, "--runs", 1,
                                                     "--fewer-steps", 1, "--out", "c", "--json")).stdout)  # fmt: skip
        self.assertEqual(result["image"], ["base.png", "other.png"])
        self.assertEqual([pair["prompt"] for pair in result["pairs"]], ["base.png", "other.png"])
        self.assertEqual([way["name"] for way in result["ways"]], ["full", "default", "1 step"])
        self.assertGreater(result["ways"][1]["latent_error"]["mean"], 0)
        pictures = sorted(path.name for path in (self.work / "c" / "pictures" / "default").iterdir())
        self.assertEqual(pictures, [f"{pair}-{frame}.png" for pair in (1, 2) for frame in (1, 2, 3)])
        self.assertEqual((self.work / "c" / "comparison.html").read_text().count("--frames: 3"), 6)

    def test_full_disk(self):
        result = self.animate("--latents-out", "/dev/full", "--out", "frames")
        self.assert_refused(result, FAILURE, "/dev/full", "space")
        self.assertFalse((self.work / "frames").exists())


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
            ("scheduler/scheduler_config.json", "EulerDiscreteScheduler", "WarpScheduler"),
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
        self.assert_refused(self.generate("--cache", "sometimes"), USAGE, "sometimes", "default")
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


class Structure(CommandTest):
    def run_structure(self, command, *arguments, model=None):
        return self.run_command(command, "--model", model or self.model(), "--backend", "reference", *arguments)

    def test_plan(self):
        plan = json.loads(self.ok(self.run_structure("plan", "--steps", 6, "--json")).stdout)
        shares = [execution["share"] for execution in plan["executions"]]
        self.assertEqual(len(shares), 6)
        self.assertTrue(all(share < 0.5 for share in shares[1::2]) and all(share == 1 for share in shares[::2]))
        self.assertGreater(plan["expected_speedup"], 1.3)
        kept = [slot for slot in plan["slots"] if slot["use"] == "kept"]
        self.assertEqual(sum(slot["bytes"] for slot in kept), plan["kept_bytes"])
        self.assertEqual({slot["module"] for slot in kept}, {"down_blocks.0", "up_blocks.1"})
        text = self.ok(self.run_structure("plan", "--steps", 6)).stdout
        self.assertRegex(text, r"(?m)^ +1 +[░█]+ .*down_blocks.0-2, mid_block, up_blocks.0-1$")

    def test_plan_of_two_passes_and_heun(self):
        plan = json.loads(self.ok(self.run_structure("plan", "--steps", 4, "--scheduler", "heun", "--guidance-mode",
                                                     "split", "--json")).stdout)  # fmt: skip
        self.assertEqual(plan["passes"], 2)
        self.assertEqual([e["step"] for e in plan["executions"]], [0] * 4 + [1] * 4 + [2] * 4 + [3] * 2)
        self.assertTrue(all(bool(e["reused"]) == (e["step"] % 2 == 1) for e in plan["executions"]))

    def test_plan_without_reuse(self):
        plan = json.loads(self.ok(self.run_structure("plan", "--cache", "off", "--steps", 3, "--json")).stdout)
        self.assertEqual(plan["kept_bytes"], 0)
        self.assertEqual(plan["expected_speedup"], 1)

    def test_plan_needs_no_weights(self):
        model = self.copied_model()
        for weights in model.rglob("*.safetensors"):
            weights.unlink()
        self.ok(self.run_structure("plan", model=model))
        self.ok(self.run_structure("modules", model=model))

    def test_structure_needs_no_text_encoders(self):
        model = self.copied_model()
        whole = json.loads(self.ok(self.run_structure("plan", "--json", model=model)).stdout)
        for name in ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"):
            shutil.rmtree(model / name)
        alone = json.loads(self.ok(self.run_structure("plan", "--json", model=model)).stdout)
        self.assertEqual(alone["slots"][0]["module"], whole["slots"][0]["module"])
        self.ok(self.run_structure("modules", model=model))
        self.assert_refused(self.generate(model=model), USAGE, "text_encoder", "encode prompts")

    def test_modules(self):
        rows = json.loads(self.ok(self.run_structure("modules", "--all", "--json", "--steps", 4)).stdout)
        by_name = {row["name"]: row for row in rows}
        header, _ = safetensors(self.model() / "unet" / "diffusion_pytorch_model.safetensors")
        parameters = sum(
            (lambda begin, end: (end - begin) // 2)(*entry["data_offsets"])
            for name, entry in header.items() if name != "__metadata__"
        )  # fmt: skip
        self.assertEqual(by_name[""]["parameters"], parameters)
        self.assertEqual(by_name["mid_block"]["kind"], "block")
        self.assertEqual(by_name["mid_block"]["reused_steps"], [1, 3])
        self.assertEqual(by_name["up_blocks.2"]["reused_steps"], [])
        self.assertEqual(by_name["mid_block.attentions.0.transformer_blocks.1.attn2"]["kind"], "cross_attention")

    def test_modules_filters(self):
        text = self.ok(self.run_structure("modules", "--match", "mid_block.*attn2")).stdout
        self.assertEqual(len(re.findall("cross_attention", text)), 2)
        rows = json.loads(self.ok(self.run_structure("modules", "--kind", "block", "--json")).stdout)
        self.assertEqual(len(rows), 7)
        self.assert_refused(self.run_structure("modules", "--match", "sideways.*"), USAGE, "sideways")
        self.assert_refused(self.run_structure("modules", "--kind", "brick"), USAGE, "brick", "resnet")


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
                           "scheduler": "FlowMatchEulerDiscreteScheduler"}.items():  # fmt: skip
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


class Measuring(CommandTest):
    def test_bench(self):
        result = json.loads(self.ok(self.run_command("bench", "--model", self.model(), "--backend", "reference",
                                                     "--guidance-mode", "batched", "--steps", 4, "--runs", 2,
                                                     "--json")).stdout)  # fmt: skip
        seconds = result["seconds"]
        self.assertGreater(seconds["full_step"]["median"], 0)
        self.assertGreater(seconds["reused_step"]["median"], 0)
        self.assertGreater(seconds["start_to_first_step"], 0)
        self.assertIsNone(seconds["decode"])
        self.assertEqual(len(result["runs"]), 2)
        self.assertGreater(result["memory"]["peak_own_bytes"], 0)
        self.assertEqual(self.files(), [])


class Comparing(CommandTest):
    def compare(self, *arguments, prompt=("--prompt", "<b>red</b> apple"), model=None):
        return self.run_command("compare", "--model", model or self.model(), "--backend", "reference", "--guidance-mode",
                                "batched", *prompt, *arguments)  # fmt: skip

    def test_one_way(self):
        result = json.loads(self.ok(self.compare("--steps", 6, "--runs", 1, "--out", "c", "--json")).stdout)
        ways = {way["name"]: way for way in result["ways"]}
        kinds = [way["kind"] for way in result["ways"]]
        self.assertEqual(kinds[:2], ["full", "cached"])
        self.assertEqual(set(kinds[2:]) | {"fewer"}, {"fewer"})
        self.assertEqual([ways[name]["steps"] for name in ("full", "default")], [6, 6])
        self.assertGreater(ways["default"]["latent_error"]["mean"], 0)
        self.assertGreater(ways["full"]["denoise_seconds"]["median"], 0)
        self.assertEqual([step["variant"] for step in ways["default"]["per_step"]], ["full", "reused"] * 3)
        self.assertIn("mid_block", ways["default"]["per_step"][1]["reused"])
        page = (self.work / "c" / "comparison.html").read_text()
        self.assertIn("&lt;b&gt;red&lt;/b&gt; apple", page)
        self.assertNotIn("<b>red</b>", page)
        self.assertNotRegex(page, r"(?i)(src|href)=\"?(https?:|//)")
        pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
        self.assertIn(len(pictures), (2, 3))  # where reuse saved no time there are no fewer steps beside it
        self.assertEqual({png_texts(base64.b64decode(p))[1] for p in pictures}, {(64, 64)})
        _, size = png_texts((self.work / "c" / "comparison.png").read_bytes())
        self.assertEqual(size, (len(pictures) * 64 + (len(pictures) - 1) * 8, 64))
        self.assertTrue({"comparison.html", "comparison.png", "comparison.csv", "comparison.json", "pictures.json"}
                        <= set(self.files()))  # fmt: skip

    def test_several_ways_on_pairs(self):
        config = self.config('[{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [2, 3]}]', "mine.json")
        arguments = ("--steps", 4, "--seed", 5, "--seeds", 2, "--fewer-steps", "1,3", "--cache", "deepcache:interval=2,branch=1",
                     "--cache", config, "--report", "page.html", "--csv", "table.csv", "--pictures", "p", "--json",
                     "--shown", 3)  # fmt: skip
        prompts = ("--prompt", "cat", "--prompt", "[a, dog]")
        result = json.loads(self.ok(self.compare(*arguments, prompt=prompts)).stdout)
        names = ["full", "deepcache:interval=2,branch=1", "mine", "1 step", "3 steps"]
        self.assertEqual([way["name"] for way in result["ways"]], names)
        self.assertEqual([(pair["prompt"], pair["seed"]) for pair in result["pairs"]],
                         [("cat", 5), ("[a, dog]", 5), ("cat", 6), ("[a, dog]", 6)])  # fmt: skip
        self.assertEqual({way["runs"] for way in result["ways"]}, {4})  # two prompts with two seeds
        for way in result["ways"][1:]:
            self.assertGreater(way["latent_error"]["standard_error"], 0)
            self.assertGreaterEqual(way["latent_error"]["max"], way["latent_error"]["mean"])
        rows = (self.work / "table.csv").read_text().splitlines()
        self.assertEqual(len(rows), 6)
        self.assertTrue(rows[2].startswith('"deepcache:interval=2,branch=1",cached,4,4,4,'))
        index = json.loads((self.work / "p" / "pictures.json").read_text())
        self.assertEqual([way["name"] for way in index["ways"]], names)
        self.assertEqual(index["pairs"][3], {"prompt": "[a, dog]", "seed": 6, "number": 0, "files": ["4.png"]})
        for way in index["ways"]:
            self.assertEqual(len(list((self.work / "p" / way["folder"]).iterdir())), 4)
        # a column for each count that is beside a way: one or both, as they were measured
        self.assertIn((self.work / "page.html").read_text().count("<figure "), (3 * 4, 3 * 5))
        # pictures of a pair are those that generate draws
        prompts = ("--prompts-file", self.config("[a, dog]\n", "prompts.txt"))
        self.ok(self.generate("--steps", 4, "--seed", 6, "--cache", config, "--out", "g.png", prompt=prompts))
        self.assertEqual(self.pixels("g.png"), self.pixels("p/mine/4.png"))
        self.assertNotEqual(self.pixels("g.png"), self.pixels("p/full/4.png"))

    def pixels(self, name):
        data = (self.work / name).read_bytes()
        return b"".join(re.findall(rb"IDAT(.*?)....IEND", data, re.DOTALL))

    def test_sheet_alone(self):
        text = self.ok(self.compare("--steps", 2, "--runs", 1, "--fewer-steps", 1, "--out", "x.png")).stdout
        self.assertIn("1 step", text)
        self.assertEqual(self.files(), ["x.html", "x.png"])

    def test_score_of_a_script(self):
        script = self.config(
            "import json, sys, pathlib\n"
            "index = json.loads((pathlib.Path(sys.argv[1]) / 'pictures.json').read_text())\n"
            "ways = {way['name']: i + 0.5 for i, way in enumerate(index['ways'])}\n"
            "print(json.dumps({'title': 'liked', 'ways': ways}))\n", "score.py")  # fmt: skip
        arguments = ("--steps", 2, "--runs", 1, "--fewer-steps", 1, "--csv", "t.csv", "--pictures", "it's here")
        self.ok(self.compare(*arguments, "--score", f"{sys.executable} {script}"))
        rows = (self.work / "t.csv").read_text().splitlines()
        self.assertTrue(rows[0].endswith(",liked"))
        self.assertEqual([row.rsplit(",", 1)[1] for row in rows[1:]], ["0.5", "1.5", "2.5"])
        failed = self.compare(*arguments, "--score", "exit 3; echo")
        self.assertEqual(failed.returncode, FAILURE)
        self.assertIn("exit status 3", failed.stderr)
        self.assertNotIn("liked", (self.work / "t.csv").read_text())  # what was measured is written all the same
        (self.work / "t.csv").unlink()
        for text, word in (('{"title": 5, "ways": {}}', "title"), ('{"ways": {"full": "good"}}', "full"), ("[]", "object")):
            with self.subTest(text=text):
                wrong = self.compare(*arguments, "--score", f"echo '{text}' #")
                self.assertEqual(wrong.returncode, USAGE)
                self.assertIn(word, wrong.stderr.splitlines()[-1])
                self.assertEqual((self.work / "t.csv").read_text().count(",score"), 0)
                (self.work / "t.csv").unlink()
        self.ok(self.compare(*arguments, "--score", """echo '{"title": "", "ways": {"full": 7}}' #"""))
        self.assertTrue((self.work / "t.csv").read_text().splitlines()[0].endswith(",score"))

    def test_ways_have_names_of_their_own(self):
        for folder in ("a", "b"):
            (self.folder / folder).mkdir()
        names = ("a/x.json", "b/x.json", "full.json", "2 steps.json")
        caches = [self.config('[{"wildcard_or_filter_func": "mid_block", "select_cache_step_func": [1]}]', n) for n in names]
        arguments = [word for cache in caches for word in ("--cache", cache)]
        result = json.loads(self.ok(self.compare("--steps", 3, "--runs", 1, "--fewer-steps", "2,1,2", *arguments, "--json",
                                                 "--out", "c")).stdout)  # fmt: skip
        above = self.folder.name
        self.assertEqual([way["name"] for way in result["ways"]],
                         ["full", "a/x", "b/x", f"{above}/full", f"{above}/2 steps", "1 step", "2 steps"])  # fmt: skip

    def test_what_it_refuses(self):
        for arguments, words in [
            (("--cache", "off"), ("--cache off",)),
            (("--cache", "default", "--cache", "default"), ("default", "twice")),
            (("--cache", "default", "--cache", "sometimes"), ("sometimes",)),
            (("--seeds", "1,x"), ("1,x",)),
            (("--seeds", "-3"), ("-3",)),
            (("--seeds", "0"), ("--seeds 0", "count")),
            (("--seeds", "4,5,4"), ("twice",)),
            (("--steps", "4", "--fewer-steps", "4"), ("--fewer-steps 4", "3")),
            (("--report", "no/page.html"), ("no",)),
            (("--csv", "no/t.csv"), ("no",)),
            (("--pictures", "no/such"), ("no/such",)),
            (("--score", "true", "--report", "page.html"), ("--pictures",)),
            (("--image", FIXTURES / "io" / "base.png"), ("--image", "--prompt")),
            (("--fps", 3), ("--fps", "--image")),
        ]:
            with self.subTest(arguments=arguments):
                self.assert_refused(self.compare(*arguments), USAGE, *words)


class Drawing(CommandTest):
    def texts(self, *arguments, model="tiny-sdxl"):
        """All texts of the drawing, which has to be XML and by itself."""
        self.ok(self.run_command("plan", "--model", self.model(model), "--backend", "reference", "--svg", "plan.svg",
                                 *arguments))  # fmt: skip
        root = ElementTree.parse(self.work / "plan.svg").getroot()
        for element in root.iter():
            for name, value in element.attrib.items():
                self.assertFalse(name.endswith("href") or "://" in value, (name, value))
        return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]

    def test_default(self):
        texts = self.texts("--steps", 4)
        self.assertEqual([text for text in texts if text.startswith("step")], ["steps 0, 2", "steps 1, 3"])
        for name in ["down_blocks.0", "mid_block", "up_blocks.2", "latents", "prediction"]:
            self.assertEqual(texts.count(name), 2)
        self.assertEqual(texts.count("last output reused"), 2)  # what the last up block reads
        self.assertEqual(texts.count("not needed"), 5)  # one of them in the legend

    def test_transformer_in_a_column_and_inner_units(self):
        config = self.config(
            '[{"wildcard_or_filter_func": "*.attn1", "select_cache_step_func": [1], "kinds": ["self_attention"]},'
            ' {"wildcard_or_filter_func": "transformer_blocks.2", "select_cache_step_func": [2], "store": "delta"}]')  # fmt: skip
        texts = self.texts("--steps", 4, "--cache", config, model="tiny-pixart")
        self.assertIn("attn1", texts)
        self.assertIn("last change added", texts)
        self.assertEqual([text for text in texts if text.startswith("step")], ["steps 0, 3", "step 1", "step 2"])
        self.assertTrue(any(re.fullmatch(r"\d+(\.\d)? % computed", text) for text in texts))

    def test_nothing_reused(self):
        texts = self.texts("--steps", 3, "--cache", "off")
        self.assertIn("steps 0-2", texts)
        self.assertIn("everything computed", texts)

    def test_decided_while_running(self):
        texts = self.texts("--steps", 4, "--cache", "easycache")
        self.assertEqual([text for text in texts if text.startswith("step")], ["steps 0-3", "steps 1-3"])
        self.assertEqual(texts.count("change added, as one"), 7)
        self.assertTrue(any("up to" in text for text in texts))

    def test_halves_of_guidance(self):
        texts = self.texts("--steps", 4, "--cache", "guidance:before=1")
        self.assertIn("steps 0-3", texts)
        self.assertTrue(any("one half of guidance" in text for text in texts))

    def test_place_is_checked_first(self):
        result = self.run_command("plan", "--model", "absent", "--svg", "no/such.svg")
        self.assert_refused(result, USAGE, "no/such.svg")


class Others(CommandTest):
    def test_help_and_version(self):
        text = self.ok(self.run_command("--help")).stdout
        for command in ["generate", "animate", "compare", "plan", "modules", "bench", "schedulers", "cache", "completion"]:
            self.assertIn(command, text)
            self.assertIn("Usage:", self.ok(self.run_command(command, "--help")).stdout)
        self.assertRegex(self.ok(self.run_command("--version")).stdout, r"^reprise \d+\.\d+\.\d+\n(?s:.*)reference")

    def test_weight_cache(self):
        self.assertIn("nothing", self.ok(self.run_command("cache", "list")).stdout)
        self.ok(self.generate("--steps", 1, "--cache", "off", "--latents-out", self.folder / "l"))
        entries = json.loads(self.ok(self.run_command("cache", "list", "--json")).stdout)
        self.assertIn(str(self.model() / "unet"), [entry["source"] for entry in entries])
        self.assertIn("removed", self.ok(self.run_command("cache", "clear")).stdout)
        self.assertEqual(json.loads(self.ok(self.run_command("cache", "list", "--json")).stdout), [])

    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_completion(self):
        script = self.ok(self.run_command("completion", "bash")).stdout
        words = 'COMP_WORDS=(reprise generate --sched); COMP_CWORD=2; _reprise; echo "${COMPREPLY[@]}"'
        result = subprocess.run(["bash", "-c", script + words], capture_output=True, text=True, check=True)
        self.assertEqual(result.stdout, "--scheduler\n")


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
                plan = json.loads(self.ok(self.run_command("plan", "--model", self.bundled(name), "--steps", 6, "--json")).stdout)
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


class Tuning(CommandTest):
    def calibrate(self, *arguments, **options):
        return self.run_command("calibrate", "--model", self.model(), "--steps", 5, "--prompt", "red apple",
                                "--seeds", 1, *arguments, **options)  # fmt: skip

    def tune(self, *arguments, model=None):
        return self.run_command("tune", "--model", model or self.model(), "--steps", 5, "--prompt", "red apple",
                                "--pairs", 1, "--trials", 3, "--precision", "f32", *arguments)  # fmt: skip

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
        self.assertIn("ssim_held_out", found[0]["figures"])

    def test_tune_refuses(self):
        self.assert_refused(self.tune("--quality", "beauty=3"), USAGE, "beauty")
        self.assert_refused(self.tune("--speedup", "2,3", "--out", "one.json"), USAGE, "{speedup}")
        self.assert_refused(self.tune("--speedup", "1000"), USAGE, "no schedule is 1000.00 times as fast")
        self.assert_refused(self.generate("--cache", "auto"), USAGE, "tuned-*.json", "reprise tune")


if __name__ == "__main__":
    COMMAND, FIXTURES = sys.argv[1], Path(sys.argv[2]).resolve()
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
