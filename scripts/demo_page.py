#!/usr/bin/env python3
"""One page of several comparisons, which carries all that it shows.

    demo_page.py PAGE.html FOLDER...

FOLDER: what `reprise compare --out FOLDER` wrote. Of each, the page shows the full way, the ways of reuse, and fewer steps
in about their time; the frames of a video as an animated PNG.
"""

import base64
import html
import json
import os
import struct
import sys
import zlib
from pathlib import Path

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { margin: 2.2rem 0 .2rem; font-size: 1.2rem } h2 small { font-weight: normal }
.ways { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: 1rem; margin-top: .8rem }
figure { margin: 0; border: 1px solid #8884; border-radius: .5rem; overflow: hidden }
figure img { width: 100%; display: block; background: #fff }
figcaption { padding: .5rem .8rem .7rem } figcaption b { display: block } p { margin: .3rem 0 }
"""


def chunks(png):
    """The (kind, body) of a PNG's parts."""
    at = 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def animated(pngs, rate):
    """One animated PNG, endless, of PNGs of one size and kind, `rate` a second."""
    out = bytearray(b"\x89PNG\r\n\x1a\n")
    number = 0

    def add(kind, body):
        out.extend(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))

    header = next(body for kind, body in chunks(pngs[0]) if kind == b"IHDR")
    add(b"IHDR", header)
    add(b"acTL", struct.pack(">II", len(pngs), 0))
    for index, png in enumerate(pngs):
        add(b"fcTL", struct.pack(">I8s2I2H2B", number, header[:8], 0, 0, 1, rate, 0, 0))
        number += 1
        for kind, body in chunks(png):
            if kind == b"IDAT" and index == 0:
                add(kind, body)
            elif kind == b"IDAT":
                add(b"fdAT", struct.pack(">I", number) + body)
                number += 1
    add(b"IEND", b"")
    return bytes(out)


def seconds(value):
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def chosen(ways):
    """The full way, those of reuse, and the fewer steps that take about as long as one of these."""
    cached = [way for way in ways if way["kind"] == "cached"]
    beside = {way.get("equal_time_steps") for way in cached}
    fewer = [way for way in ways if way["kind"] == "fewer" and way["steps"] in beside]
    return [*(way for way in ways if way["kind"] == "full"), *cached, *reversed(fewer)]


#: What the demo's ways of reuse are, for people.
NAMES = {
    "auto:speedup=2": "reused, as tuned for 2 times the speed",
    "auto:speedup=3": "reused, as tuned for 3 times the speed",
    "modelopt": "reused by the original's configuration",
}


def caption(way, by_cpu):
    time = seconds(way["denoise_seconds"]["median"]) + (" of CPU time" if by_cpu else "")
    if way["kind"] == "full":
        return f"<b>full</b> {way['steps']} steps, {time}"
    name = NAMES.get(way["name"], f"reused ({way['name']})") if way["kind"] == "cached" else "fewer steps"
    speed, psnr = way["denoise_speedup"]["median"], way["psnr_db"]["mean"]
    distance = "equal to full" if psnr is None else f"{psnr:.1f} dB from full"
    off = way["latent_error"]["mean"]
    return (f"<b>{html.escape(name)}</b> {way['steps']} steps, {time}: {speed:.2f} times as fast"
            f"<p>{distance}; latents off by {100 * off:.1f} %</p>")  # fmt: skip


def section(folder, page):
    told = json.loads((folder / "comparison.json").read_text())
    made = json.loads((folder / "pictures" / "pictures.json").read_text())
    folders = {way["name"]: folder / "pictures" / way["folder"] for way in made["ways"]}
    pair = made["pairs"][0]
    settings = told["settings"]
    figures = []
    for way in chosen(told["ways"]):
        pngs = [(folders[way["name"]] / file).read_bytes() for file in pair["files"]]
        png = pngs[0] if len(pngs) == 1 else animated(pngs, 7)
        data = base64.b64encode(png).decode()
        figures.append(f'<figure><img alt="{html.escape(way["name"])}" src="data:image/png;base64,{data}">'
                       f"<figcaption>{caption(way, told['clock'] == 'cpu')}</figcaption></figure>")
    frames = f", {len(pair['files'])} frames" if len(pair["files"]) > 1 else ""
    subject = f"“{html.escape(pair['prompt'])}”" if not frames else f"from the picture {html.escape(pair['prompt'])}"
    whole = html.escape(os.path.relpath(folder / "comparison.html", page.parent))
    told_settings = "; ".join(html.escape(f"{key} {settings[key]}") for key in
                              ("size", "scheduler", "guidance", "precision", "engine", "times") if key in settings)  # fmt: skip
    return (f"<h2>{html.escape(settings['model'])} <small>{subject}{frames}</small></h2>"
            f"<p>{told_settings}. <a href=\"{whole}\">The whole comparison</a></p>"
            f'<div class="ways">{"".join(figures)}</div>')  # fmt: skip


def main():
    page, folders = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    body = "\n".join(section(folder, page) for folder in folders)
    intro = (
        "Each model drew the same thing in full, with outputs of its blocks reused between steps, and with fewer steps in "
        "about the same time. More dB are nearer to the full picture. Times are the denoiser's on this machine, measured now."
    )
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Reprise: the bundled models</title><style>{STYLE}</style><h1>Reprise: the bundled models, each in full, reused and with fewer steps</h1>"
        f"<p>{intro}</p>\n{body}\n</html>\n"
    )


if __name__ == "__main__":
    main()
