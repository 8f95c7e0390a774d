"""Writes tests/fixtures/io/{jpeg_*.jpg,pictures.safetensors}: JPEGs as Pillow reads them, and pictures at other
sizes as diffusers and Pillow make them for Stable Video Diffusion.

    python tests/parity/pictures.py

Needs diffusers 0.42, torch, numpy and Pillow.
"""

from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from diffusers.video_processor import VideoProcessor
from PIL import Image, ImageOps
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent.parent / "fixtures" / "io"
EXIF_ORIENTATION = 0x0112
SIZES = [(53, 37), (24, 40), (80, 16), (53, 64), (120, 37), (7, 90), (8, 8)]  # width, height
ANTIALIASED_SIZES = [(64, 40), (16, 12), (53, 37), (3, 70)]


def pixels(image):
    return torch.from_numpy(np.array(image.convert("RGB")))


def jpegs(base) -> dict:
    """Every way of storing the picture that libjpeg reads, and what it gives."""
    small = base.crop((0, 0, 21, 13))
    kinds = {
        "baseline": (small, {}),
        "progressive": (small, {"progressive": True, "quality": 90}),
        "full_chroma": (small, {"subsampling": 0, "quality": 95}),
        "restarts": (small, {"restart_marker_blocks": 1}),
        "gray": (small.convert("L"), {}),
        "cmyk": (small.convert("CMYK"), {}),
    }
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        kinds[f"turned_{orientation}"] = (small, {"exif": exif, "quality": 60})
    tensors = {}
    for name, (image, options) in kinds.items():
        path = HERE / f"jpeg_{name}.jpg"
        image.save(path, **options)
        path.chmod(0o644)
        tensors[f"jpeg/{name}"] = pixels(ImageOps.exif_transpose(Image.open(path)))
    return tensors


def letterboxed(image, width, height):
    """diffusers' resize_mode "fill" without its filling."""
    wide = width / height < image.width / image.height
    size = (width, image.height * width // image.width) if wide else (image.width * height // image.height, height)
    result = Image.new("RGB", (width, height))
    result.paste(image.resize(size, Image.Resampling.LANCZOS), (width // 2 - size[0] // 2, height // 2 - size[1] // 2))
    return result


def resized(base) -> dict:
    processor = VideoProcessor(do_resize=True, vae_scale_factor=1)
    tensors = {}
    for width, height in SIZES:
        key = f"{width}x{height}"
        tensors[f"lanczos/{key}"] = pixels(base.resize((width, height), Image.Resampling.LANCZOS))
        tensors[f"crop/{key}"] = pixels(processor.resize(base, height, width, resize_mode="crop"))
        tensors[f"letterbox/{key}"] = pixels(letterboxed(base, width, height))
    tensors["preprocessed"] = processor.preprocess(base, height=16, width=24)[0]
    picture = processor.numpy_to_pt(processor.pil_to_numpy(base)) * 2.0 - 1.0
    for width, height in ANTIALIASED_SIZES:
        tensors[f"antialiased/{width}x{height}"] = _resize_with_antialiasing(picture, (height, width))[0]
    return tensors


def main() -> None:
    base = Image.open(HERE / "base.png").convert("RGB")
    save_file({k: v.contiguous() for k, v in (jpegs(base) | resized(base)).items()}, HERE / "pictures.safetensors")
    (HERE / "pictures.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
