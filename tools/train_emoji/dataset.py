"""Extract the single-code-point pictures of a CBDT emoji font and name them.

Writes `pictures.npy` (uint8, N x 128 x 128 x 3, on white) and `captions.json`
(a list of {"code_point", "caption", "weight"}) into the work folder.
"""

from __future__ import annotations

import argparse
import io
import json
import re
from pathlib import Path

import numpy as np
from fontTools import unicodedata as ftunicode
from fontTools.ttLib import TTFont
from PIL import Image

SIZE = 128
DEFAULT_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")

# Pieces of sequences, which show no thing of their own.
LEFT_OUT = re.compile(r"regional indicator|emoji component|combining enclosing keycap")

# Pictures that differ only in a detail nobody will ask for by name: sampled less often.
RARE = re.compile(
    r"\b(clock face|mahjong|(negative )?squared|input symbol|moon symbol|emoji modifier|circled|button|"
    r"(large|medium|small|heavy|black|white) .*(square|circle)|arrows?|triangle|ideograph|keycap|digit|"
    r"copyright|registered|trade mark|asterisk|number sign|part alternation|double vertical|"
    r"aquarius|aries|cancer|capricorn|gemini|leo|libra|ophiuchus|pisces|sagittarius|scorpius|taurus|virgo)\b"
)
COMMON = re.compile(r"^(bow and arrow|heart with arrow|three button mouse)$")


def caption_of(code_point: int) -> str | None:
    """Lower-case Unicode name, or None for an unnamed code point."""
    name = ftunicode.name(chr(code_point), "")
    return name.lower().strip() or None


def on_white(png: bytes) -> np.ndarray:
    """Decode one bitmap, centre it in a square and lay it on white."""
    glyph = Image.open(io.BytesIO(png)).convert("RGBA")
    canvas = Image.new("RGBA", (max(glyph.size), max(glyph.size)), (255, 255, 255, 255))
    canvas.alpha_composite(glyph, ((canvas.width - glyph.width) // 2, (canvas.height - glyph.height) // 2))
    left = (canvas.width - SIZE) // 2
    return np.asarray(canvas.convert("RGB").crop((left, left, left + SIZE, left + SIZE)))


def extract(font_path: Path) -> tuple[np.ndarray, list[dict[str, object]]]:
    """Return the pictures and their descriptions in code point order."""
    font = TTFont(font_path, lazy=True)
    bitmaps = font["CBDT"].strikeData[0]
    pictures: list[np.ndarray] = []
    rows: list[dict[str, object]] = []
    for code_point, glyph in sorted(font.getBestCmap().items()):
        caption = caption_of(code_point)
        png = getattr(bitmaps.get(glyph), "imageData", None)
        if caption is None or not png or LEFT_OUT.search(caption):
            continue
        picture = on_white(png)
        if picture.min() == 255:
            continue
        pictures.append(picture)
        rare = RARE.search(caption) and not COMMON.search(caption)
        rows.append({"code_point": f"U+{code_point:04X}", "caption": caption, "weight": 0.4 if rare else 1.0})
    return np.stack(pictures), rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--font", type=Path, default=DEFAULT_FONT)
    parser.add_argument("--work", type=Path, default=Path("work"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    pictures, rows = extract(args.font)
    np.save(args.work / "pictures.npy", pictures)
    (args.work / "captions.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{len(rows)} pictures, {sum(row['weight'] < 1 for row in rows)} of them sampled less often")


if __name__ == "__main__":
    main()
