"""Plans, modules and drawings, and what every command has."""

import json
import re
import shutil
import subprocess
import unittest
from xml.etree import ElementTree

from support import USAGE, CommandTest, safetensors


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


if __name__ == "__main__":
    unittest.main()
