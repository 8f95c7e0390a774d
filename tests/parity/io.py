"""Writes tests/fixtures/io: safetensors by the reference library, and pictures with their SSIM by scikit-image.

Needs torch, safetensors, numpy, scikit-image and Pillow.
"""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

HERE = Path(__file__).resolve().parent.parent / "fixtures" / "io"


def write_types() -> None:
    values = torch.arange(6).reshape(2, 3)
    types = {
        "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
        "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8,
        "bool": torch.bool, "f8": torch.float8_e4m3fn,
    }
    tensors = {name: values.to(dtype) for name, dtype in types.items()}
    tensors["scalar"] = torch.tensor(3.5)
    tensors["empty"] = torch.zeros(0, 4)
    save_file(tensors, HERE / "types.safetensors", metadata={"format": "pt"})
    (HERE / "types.safetensors").chmod(0o644)


def write_pictures() -> None:
    """A smooth picture and four that differ from it in their own ways, and what scikit-image makes of them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:37, 0:53]
    base = np.stack([127 + 100 * np.sin(x / 9 + y / 7), 127 + 120 * np.cos(x / 5), (x * 4 + y) % 256], axis=-1)
    base = base.clip(0, 255).round().astype(np.uint8)
    others = {
        "noise": (base + rng.normal(0, 12, base.shape)).clip(0, 255).round().astype(np.uint8),
        "shift": np.roll(base, 2, axis=1),
        "dark": (base * 0.8).round().astype(np.uint8),
        "random": rng.integers(0, 256, base.shape).astype(np.uint8),
    }
    Image.fromarray(base).save(HERE / "base.png")
    write_interlaced(HERE / "interlaced.png", base)
    expected = {}
    for name, other in others.items():
        Image.fromarray(other).save(HERE / f"{name}.png")
        expected[name] = {
            "psnr": peak_signal_noise_ratio(base, other, data_range=255),
            "ssim": structural_similarity(base, other, gaussian_weights=True, sigma=1.5,
                                          use_sample_covariance=False, data_range=255, channel_axis=-1),
        }
    (HERE / "metrics.json").write_text(json.dumps(expected, indent=2) + "\n")


def write_interlaced(path: Path, pixels: np.ndarray) -> None:
    """An RGB picture as an Adam7-interlaced PNG, which Pillow does not write."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b""
    for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = pixels[y::dy, x::dx]
        if part.size:
            rows += b"".join(b"\0" + row.tobytes() for row in part)
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9))
                     + chunk(b"IEND", b""))


def write_png_kinds() -> None:
    """One 5x4 picture as PNGs of several kinds; kinds.json holds the RGB pixels that each must give."""
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    alpha = rng.integers(0, 256, (4, 5)).astype(np.uint8)
    gray = rgb[..., 0]
    bits = gray > 127
    over_white = (rgb * (alpha[..., None] / 255.0) + 255 * (1 - alpha[..., None] / 255.0)).round().astype(np.uint8)
    kinds = {
        "rgb": (Image.fromarray(rgb), rgb),
        "gray": (Image.fromarray(gray), np.repeat(gray[..., None], 3, axis=-1)),
        "bits": (Image.fromarray(bits), np.repeat(bits[..., None] * np.uint8(255), 3, axis=-1)),
        "gray16": (Image.fromarray(gray.astype(np.uint16) * 257), np.repeat(gray[..., None], 3, axis=-1)),
        "rgba": (Image.fromarray(np.concatenate([rgb, alpha[..., None]], axis=-1)), over_white),
    }
    palette = Image.fromarray(rgb).quantize(8)
    kinds["palette"] = (palette, np.asarray(palette.convert("RGB")))
    expected = {}
    for name, (image, pixels) in kinds.items():
        image.save(HERE / f"kind_{name}.png")
        expected[name] = pixels.reshape(-1).tolist()
    (HERE / "kinds.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    HERE.mkdir(parents=True, exist_ok=True)
    write_types()
    write_pictures()
    write_png_kinds()
