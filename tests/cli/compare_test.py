"""Ways of reuse beside full runs and fewer steps."""

import base64
import json
import re
import sys
import unittest

from support import FAILURE, FIXTURES, USAGE, CommandTest, png_texts


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
        self.assertEqual([ways[name]["steps"] for name in ("full", "modelopt")], [6, 6])
        self.assertGreater(ways["modelopt"]["latent_error"]["mean"], 0)
        self.assertGreater(ways["full"]["denoise_seconds"]["median"], 0)
        self.assertEqual([step["variant"] for step in ways["modelopt"]["per_step"]], ["full", "reused"] * 3)
        self.assertIn("mid_block", ways["modelopt"]["per_step"][1]["reused"])
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
            (("--steps", "4", "--fewer-steps", "4"), ("4 as a number of fewer steps", "3")),
            (("--report", "no/page.html"), ("no",)),
            (("--csv", "no/t.csv"), ("no",)),
            (("--pictures", "no/such"), ("no/such",)),
            (("--score", "true", "--report", "page.html"), ("--pictures",)),
            (("--image", FIXTURES / "io" / "base.png"), ("--image", "--prompt")),
            (("--fps", 3), ("--fps", "--image")),
        ]:
            with self.subTest(arguments=arguments):
                self.assert_refused(self.compare(*arguments), USAGE, *words)


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


if __name__ == "__main__":
    unittest.main()
