"""Pictures that are drawn again by what is written in them."""

import json
import shutil
import struct
import unittest
import zlib

from support import FIXTURES, USAGE, CommandTest, png_texts


def pixels(path):
    """The chunks of a PNG that hold its pixels."""
    data, at, found = path.read_bytes(), 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            found += data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def png_with(key, value):
    """A PNG of one pixel with a text."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tEXt", key + b"\0" + value)
        + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")
    )  # fmt: skip


class Like(CommandTest):
    def like(self, picture, *arguments, model=None, out="again.png"):
        return self.run_plainly("generate", "--model", model or self.model(), "--like", picture, "--out", out, *arguments)

    def assert_same(self, a, b):
        self.assertEqual(pixels(self.work / a), pixels(self.work / b), f"{a} and {b}")

    def settings(self, name):
        return json.loads(png_texts((self.work / name).read_bytes())[0]["reprise"])

    def test_many_options(self):
        self.ok(self.generate("--steps", 5, "--seed", 7, "--negative-prompt", "größe\n\"blue\"", "--prompt-2", "on a <table> &",
                              "--width", 72, "--height", 48, "--scheduler", "euler_a", "--guidance", 3.25,
                              "--guidance-rescale", 0.4, "--clip-skip", 1, "--guidance-mode", "split", "--precision", "bf16",
                              "--vae-precision", "f32", "--threads", 1, "--cache", "deepcache:interval=2", "--count",
                              "evaluations", "--out", "a.png"))  # fmt: skip
        texts, _ = png_texts((self.work / "a.png").read_bytes())
        for key, value in {"prompt": "red apple", "prompt_2": "on a <table> &", "num_inference_steps": "5", "width": "72",
                           "height": "48", "scheduler": "euler_a", "guidance_scale": "3.25", "guidance_rescale": "0.4",
                           "clip_skip": "1", "guidance_mode": "split", "precision": "bf16", "seed": "7"}.items():  # fmt: skip
            self.assertEqual(texts[key], value)
        call = self.settings("a.png")["call"]
        self.assertEqual(call["reuse"]["count"], "evaluations")
        self.ok(self.like("a.png"))
        self.assert_same("a.png", "again.png")
        self.assertEqual(self.settings("a.png"), self.settings("again.png"))
        self.ok(self.like("a.png", out="again.webp"))
        self.ok(self.like("again.webp", out="third.png"))
        self.assert_same("a.png", "third.png")

    def test_each_of_several_is_drawn_alone(self):
        for scheduler in ("euler", "euler_a"):
            with self.subTest(scheduler):
                self.ok(self.generate("--steps", 3, "--images", 2, "--prompt", "blue", "--scheduler", scheduler,
                                      "--out", "a-{n}.png"))  # fmt: skip
                for number in range(1, 5):
                    self.ok(self.like(f"a-{number}.png"))
                    self.assert_same(f"a-{number}.png", "again.png")
                    prompt = "red apple" if number <= 2 else "blue"
                    self.assertEqual(png_texts((self.work / "again.png").read_bytes())[0]["prompt"], prompt)
        self.ok(self.like("again.png", out="third.png"))
        self.assert_same("again.png", "third.png")

    def test_flags_go_before_it(self):
        self.ok(self.generate("--steps", 3, "--seed", 3, "--out", "a.png"))
        self.ok(self.generate("--steps", 2, "--seed", 4, "--cache", "off", "--out", "b.png"))
        self.ok(self.like("a.png", "--steps", 2, "--seed", 4, "--cache", "off"))
        self.assert_same("b.png", "again.png")
        self.ok(self.generate("--steps", 3, "--seed", 3, "--out", "c.png", prompt=("--prompt", "blue")))
        self.ok(self.like("a.png", "--prompt", "blue"))
        self.assert_same("c.png", "again.png")

    def test_what_a_refiner_made(self):
        refiner = FIXTURES / "pipelines/tiny-sdxl-refiner"
        for cache in ("modelopt", "taylorseer"):  # of the base's steps, and of the refiner's own
            with self.subTest(cache):
                way = ("--steps", 10, "--seed", 3, "--refiner", refiner, "--denoising-end", 0.6, "--cache", cache)
                self.ok(self.generate(*way, "--out", "a.png"))
                self.assertNotEqual(self.settings("a.png")["refiner"]["reuse"], [])
                self.ok(self.like("a.png", "--refiner", refiner))
                self.assert_same("a.png", "again.png")
                self.assert_refused(self.like("a.png"), USAGE, "give it too", files=["a.png", "again.png"])

    def test_files_are_asked_for(self):
        self.ok(self.generate("--steps", 2, "--latents-out", "noise", "--out", "n.png", "--images", 2))
        self.ok(self.generate("--steps", 2, "--latents-in", "noise", "--images", 2, "--out", "a-{n}.png"))
        self.ok(self.run_command("encode", "--model", self.model(), "--prompt", "one", "--prompt", "two", "--out", "e"))
        self.ok(self.generate("--steps", 2, "--embeddings", "e", "--out", "e-{n}.png", prompt=()))
        refused = self.like("a-2.png")
        self.assertEqual(refused.returncode, USAGE)
        for word in ("latents", "noise", "SHA-256"):
            self.assertIn(word, refused.stderr)
        self.ok(self.like("a-2.png", "--latents-in", "noise"))
        self.assert_same("a-2.png", "again.png")
        self.ok(self.like("e-2.png", "--embeddings", "e"))
        self.assert_same("e-2.png", "again.png")
        self.assertEqual(png_texts((self.work / "again.png").read_bytes())[0]["prompt"], "two")
        self.ok(self.generate("--steps", 2, "--seed", 9, "--latents-out", "other", "--out", "n.png", "--images", 2))
        self.assertIn("another file as latents", self.ok(self.like("a-2.png", "--latents-in", "other")).stderr)

    def test_another_model_is_said(self):
        self.ok(self.generate("--steps", 2, "--out", "a.png", model=self.model("tiny-sd")))
        self.assertIn("another model", self.ok(self.like("a.png")).stderr)

    def test_other_pipelines(self):
        for name, options in {"tiny-sd3": ("--prompt-3", "blue", "--max-sequence-length", 5),
                              "tiny-pixart-ms": ("--no-clean-caption", "--width", 64, "--height", 96)}.items():  # fmt: skip
            with self.subTest(name):
                self.ok(self.generate("--steps", 2, "--out", "a.png", *options, model=self.model(name)))
                self.ok(self.like("a.png", model=self.model(name)))
                self.assert_same("a.png", "again.png")

    def test_pictures_of_others(self):
        shutil.copy(FIXTURES / "io" / "base.png", self.work / "base.png")
        self.assert_refused(self.like("base.png"), USAGE, "base.png", "no settings", files=["base.png"])
        self.assert_refused(self.like("absent.png"), USAGE, "absent.png", files=["base.png"])
        (self.work / "base.png").unlink()
        for text, words in (
            (b"{", ("a.png", "JSON")),
            (b"[]", ("a.png",)),
            (b"{}", ("a.png", "call")),
            (b'{"call": []}', ("a.png", "expected an object")),
            (b'{"call": {"promt": 1}}', ("promt",)),
            (b'{"call": {"decode": false}}', ("decode",)),
            (b'{"call": {"seed": -1}}', ("seed",)),
            (b'{"call": {"width": 1e30}}', ("width",)),
            (b'{"call": {"only_picture": 3}}', ("only_picture is 3", "expected 0 to 0")),
            (b'{"call": {"reuse": "blockcache:profile=/etc/passwd"}}', ("reuse", "configuration")),
            (b'{"call": {"reuse": [{}]}}', ("reuse",)),
            (b'{"call": {}, "load": {"memory_limit": 1}}', ("memory_limit",)),
            (b'{"call": {}, "load": {"backend": "warp"}}', ("warp",)),
            (b'{"call": {}, "attached": {"latents": 3}}', ("file", "found 3")),
            (b'{"call": {}, "attached": 3}', ("file", "found 3")),
            (b'{"call": {}, "prompt": 3}', ("prompt",)),
            (b"[" * 100000, ("a.png",)),
        ):
            with self.subTest(text=text[:60]):
                (self.work / "a.png").write_bytes(png_with(b"reprise", text))
                self.assert_refused(self.like("a.png"), USAGE, *words, files=["a.png"])


class LikeVideo(CommandTest):
    def test_frames_and_animations(self):
        common = ("animate", "--model", self.model("tiny-svd"), "--image", FIXTURES / "io" / "base.png")
        options = ("--steps", 3, "--frames", 2, "--fps", 9, "--fit", "crop", "--width", 32, "--height", 32, "--noise-aug", 0.1,
                   "--max-guidance", 2.5, "--backend", "reference", "--decode-chunk-size", 1, "--cache", "modelopt")  # fmt: skip
        for out in ("a-{n}.png", "a.webp", "a.mp4"):
            self.ok(self.run_plainly(*common, *options, "--out", out))
        for like, out in (("a-1.png", "b-{n}.png"), ("a.webp", "c-{n}.png"), ("a.mp4", "d-{n}.png")):
            self.ok(self.run_plainly(*common, "--like", like, "--out", out))
        for name in ("b", "c", "d"):
            for number in (1, 2):
                self.assertEqual(pixels(self.work / f"a-{number}.png"), pixels(self.work / f"{name}-{number}.png"))


if __name__ == "__main__":
    unittest.main()
