"""Opens what `reprise compare` and `reprise plan --svg` draw in headless Chromium, without a network.

    python browser_test.py path/to/reprise path/to/tests/fixtures

Exits with 77 where there is no Chromium.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

COMMAND, FIXTURES = "", Path()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SKIPPED = 77

# What a reader does: the second way, the slider to a quarter, the keyboard on a picture. Then what can be seen of it.
USE = """
<script>
addEventListener("load", () => {
  const seen = document.documentElement.dataset, viewer = document.getElementById("viewer");
  const way = viewer.querySelector("[name=way]"), slider = viewer.querySelector("input[type=range]");
  way.value = "2";
  way.dispatchEvent(new Event("change"));
  slider.value = "25";
  slider.dispatchEvent(new Event("input"));
  seen.cut = viewer.querySelector(".stage").style.getPropertyValue("--cut");
  seen.right = viewer.querySelector(".right").textContent;
  const second = document.querySelectorAll("figure[data-way='1']")[1];
  second.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
  seen.opened = second.getAttribute("aria-pressed") + " " + viewer.querySelector("[name=pair]").value;
  seen.alts = [...viewer.querySelectorAll(".stage img")].map((one) => one.alt).join("; ");
  seen.before = getComputedStyle(document.querySelector(".chosen2")).display;
  document.getElementById("by2").click();
  seen.after = getComputedStyle(document.querySelector(".chosen2")).display;
  seen.overflow = String(document.documentElement.scrollWidth - innerWidth);
  seen.requests = String(performance.getEntriesByType("resource").filter((one) => !one.name.startsWith("data:")).length);
});
</script>
"""

# Frames are stopped, another picture is chosen, frames play again. How the animations are after each.
STOP = """
<script>
addEventListener("load", () => {
  const seen = document.documentElement.dataset, play = document.getElementById("play");
  const pair = document.querySelector("#viewer [name=pair]");
  const states = () => [...new Set(document.getAnimations().map((one) => one.playState))].join();
  const choose = (value) => {
    pair.value = value;
    pair.dispatchEvent(new Event("change"));
  };
  seen.first = states();
  play.click();
  choose("1");
  seen.stopped = states();
  choose("0");
  play.click();
  seen.again = states();
  seen.times = String(new Set(document.getAnimations().map((one) => one.currentTime)).size);
});
</script>
"""


class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.reprise(
            "compare", "--model", FIXTURES / "pipelines" / "tiny-sdxl", "--guidance-mode", "batched", "--prompt", "red <apple>",
            "--prompt", "cat & dog", "--steps", 4, "--runs", 1, "--fewer-steps", 2, "--cache", "default", "--cache",
            "deepcache:interval=2", "--report", cls.folder / "page.html",
        )  # fmt: skip
        cls.reprise("plan", "--model", FIXTURES / "pipelines" / "tiny-sdxl", "--svg", cls.folder / "plan.svg")

    @classmethod
    def reprise(cls, *arguments):
        subprocess.run(
            [COMMAND, *map(str, arguments), "--backend", "reference"], check=True, capture_output=True, timeout=300,
            env=os.environ | {"XDG_CACHE_HOME": str(cls.folder / "cache")},
        )  # fmt: skip

    def opened(self, path, *options):
        """The document after its scripts have run."""
        result = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
             "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", f"--user-data-dir={self.folder}/profile",
             "--virtual-time-budget=4000", *options, "--dump-dom", path.as_uri()],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        self.assertEqual([line for line in result.stderr.splitlines() if "CONSOLE" in line], [])
        return result.stdout

    def used(self, *options, name="page.html", script=USE):
        """What was seen while a page was used, by name."""
        page = self.folder / "used.html"
        page.write_text((self.folder / name).read_text().replace("</body>", script + "</body>"))
        root = re.search(r"<html[^>]*>", self.opened(page, *options)).group()
        return dict(re.findall(r'data-([a-z]+)="([^"]*)"', root))

    def test_scripts_run_to_their_end(self):
        page = self.opened(self.folder / "page.html")
        self.assertRegex(page, r'<html[^>]* data-ready="yes"')
        self.assertNotIn("hidden", re.search(r'<div class="viewer[^>]*>', page).group())
        self.assertEqual(len(re.findall(r'<figure[^>]* role="button"', page)), 2 * 3)
        self.assertEqual(len(re.findall(r'aria-pressed="true"', page)), 1)

    def test_slider_and_pictures_are_used(self):
        for width in (1200, 360):
            with self.subTest(width=width):
                seen = self.used(f"--window-size={width},900")
                self.assertEqual(seen["cut"], "25%")
                self.assertEqual(seen["right"], "deepcache:interval=2")
                self.assertEqual(seen["opened"], "true 1")
                self.assertEqual(seen["alts"], "full: cat &amp; dog; default: cat &amp; dog")
                self.assertEqual((seen["before"], seen["after"]), ("none", "block"))
                self.assertLessEqual(int(seen["overflow"]), 0)
                self.assertEqual(seen["requests"], "0")

    def test_frames_stay_stopped(self):
        pictures = [word for name in ("base.png", "noise.png") for word in ("--image", FIXTURES / "io" / name)]
        self.reprise("compare", "--cache", "modelopt", "--model", FIXTURES / "pipelines" / "tiny-svd", "--guidance-mode", "batched", *pictures,
                     "--width", 32, "--height", 32, "--frames", 2, "--steps", 2, "--runs", 1, "--fewer-steps", 1,
                     "--report", self.folder / "video.html")  # fmt: skip
        seen = self.used(name="video.html", script=STOP)
        self.assertEqual((seen["first"], seen["stopped"], seen["again"]), ("running", "paused", "running"))
        self.assertEqual(seen["times"], "1")  # frames are in step

    def test_a_printed_page_has_room_for_all(self):
        page = self.folder / "printed.html"
        seen = """<script>addEventListener("load", () => {
          const right = (one) => one.getBoundingClientRect().right - document.body.getBoundingClientRect().right;
          const all = [...document.querySelectorAll("th, td, figure")];
          document.documentElement.dataset.over = String(Math.ceil(Math.max(...all.map(right))));
        });</script>"""
        text = (self.folder / "page.html").read_text().replace("@media print", "@media screen")
        page.write_text(text.replace("</body>", seen + "</body>"))
        found = re.search(r'data-over="([^"]*)"', self.opened(page, "--window-size=718,1000")).group(1)
        self.assertLessEqual(int(found), 0)

    def test_without_scripts_pictures_stand_side_by_side(self):
        plain = self.folder / "plain.html"
        whole = (self.folder / "page.html").read_text()
        plain.write_text(re.sub(r"<script>.*?</script>", "", whole, flags=re.DOTALL))
        page = self.opened(plain)
        self.assertNotIn("data-ready", page)
        self.assertIn("hidden", re.search(r'<div class="viewer[^>]*>', page).group())
        self.assertEqual(len(re.findall(r"<figure ", page)), 2 * 4)

    def test_plan_is_a_drawing(self):
        drawing = self.opened(self.folder / "plan.svg")
        self.assertNotIn("parsererror", drawing)
        self.assertIn(">up_blocks.2</text>", drawing)


if __name__ == "__main__":
    COMMAND, FIXTURES = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve()
    if not CHROMIUM:
        print("no Chromium here")
        sys.exit(SKIPPED)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
