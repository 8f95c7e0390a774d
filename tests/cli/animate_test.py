"""Videos from pictures."""

import json
import shutil
import subprocess
import unittest

from support import FAILURE, FIXTURES, USAGE, CommandTest, png_texts, safetensors


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
        result = self.ok(self.animate("--fps", 12, "--motion-bucket", 60, "--max-guidance", 2.5, "--frames", 2, "--width", 40, "--seed", 3, "--out", "{seed}.mp4"))
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
        for line in ["image: base.png", "seed: 3", "motion_bucket_id: 60", "max_guidance_scale: 2.5", "model: tiny-svd"]:
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
        self.assertEqual(texts["num_frames"], "3")
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
        self.assertEqual(report["settings"]["num_frames"], 3)

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
        for option, value, word in [("--frames", -1, "--frames"), ("--fps", 0, "--fps"), ("--width", 36, "width is 36"),
                                    ("--noise-aug", -1, "--noise-aug"), ("--fit", "squeeze", "letterbox"),
                                    ("--decode-chunk-size", -1, "--decode-chunk-size"), ("--frames", 99999, "4096"),
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
        self.assertEqual([way["name"] for way in result["ways"]], ["full", "modelopt", "1 step"])
        self.assertGreater(result["ways"][1]["latent_error"]["mean"], 0)
        pictures = sorted(path.name for path in (self.work / "c" / "pictures" / "modelopt").iterdir())
        self.assertEqual(pictures, [f"{pair}-{frame}.png" for pair in (1, 2) for frame in (1, 2, 3)])
        self.assertEqual((self.work / "c" / "comparison.html").read_text().count("--frames: 3"), 6)

    def test_full_disk(self):
        result = self.animate("--latents-out", "/dev/full", "--out", "frames")
        self.assert_refused(result, FAILURE, "/dev/full", "space")
        self.assertFalse((self.work / "frames").exists())


if __name__ == "__main__":
    unittest.main()
