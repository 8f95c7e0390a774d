"""Pictures of Pillow's, arrays and files: each kind means what its file means, or is refused by name."""

import io

import numpy
import pytest
from PIL import Image, ImageOps
from reprise._pipeline import to_native

COLOURS = numpy.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(numpy.uint8)
RAMP = numpy.linspace(0, 65535, 35).reshape(5, 7).astype(numpy.uint16)


def from_file(image, path, **options):
    image.save(path, **options)
    return to_native(path).array


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
@pytest.mark.parametrize("said_by", ["exif", "xmp"])
def test_files_are_turned_as_pillow_turns_them(tmp_path, kind, said_by):
    options = {"png": {}, "webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}}[kind]
    seen = set()
    for orientation in range(10):
        path = tmp_path / f"{orientation}.{kind}"
        if said_by == "exif":
            exif = Image.Exif()
            exif[0x0112] = orientation
            options["exif"] = exif
        else:
            packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
            if kind == "png":
                from PIL.PngImagePlugin import PngInfo

                options["pnginfo"] = PngInfo()
                options["pnginfo"].add_itxt("XML:com.adobe.xmp", packet)
            else:
                options["xmp"] = packet.encode()
        Image.fromarray(COLOURS).save(path, **options)
        with Image.open(path) as opened:
            expected = numpy.asarray(ImageOps.exif_transpose(opened).convert("RGB")).astype(int)
        found = to_native(path).array
        assert found.shape == expected.shape, orientation
        assert numpy.abs(found - expected).max() <= (3 if kind == "jpg" else 0), orientation
        seen.add(found.tobytes())
    assert len(seen) == 8


def test_exif_goes_before_xmp_as_in_pillow(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOURS).save(tmp_path / "a.webp", lossless=True, exif=exif, xmp=b'<a tiff:Orientation="3"/>')
    with Image.open(tmp_path / "a.webp") as opened:
        assert numpy.array_equal(to_native(tmp_path / "a.webp").array, numpy.asarray(ImageOps.exif_transpose(opened)))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "P with a colour that is clear", "RGB with one"]
)
def test_each_mode_means_what_its_file_means(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(RAMP)
    else:
        image = Image.fromarray(COLOURS)
        if "A" in mode:
            image.putalpha(Image.fromarray(COLOURS[:, :, 0]))
        image = image.convert(mode.split()[0])
    options = {"transparency": 1} if mode.startswith("P with") else {}
    if mode == "RGB with one":
        options = {"transparency": tuple(int(c) for c in COLOURS[2, 3])}
    expected = from_file(image, tmp_path / "a.png", **options)
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.mode == mode.split()[0]
        assert numpy.abs(to_native(opened).array.astype(int) - expected).max() <= 1
    assert len(numpy.unique(expected)) > 1


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "RGBX", "RGBa", "La"])
def test_modes_of_8_bits_without_a_png_are_converted(mode):
    image = Image.fromarray(COLOURS)
    via = {"RGBa": "RGBA", "La": "LA"}.get(mode)
    image = image.convert(via).convert(mode) if via else image.convert(mode)
    expected = numpy.asarray((image.convert(via) if via else image).convert("RGB"))
    assert numpy.array_equal(to_native(image).array, expected)


def test_16_bits_of_either_order():
    little, big = Image.fromarray(RAMP), Image.frombytes("I;16B", (7, 5), RAMP.astype(">u2").tobytes())
    expected = numpy.rint(RAMP / 257).astype(numpy.uint8)
    for image in (little, big):
        assert numpy.array_equal(to_native(image).array[:, :, 1], expected)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_modes_without_a_range_are_refused(mode):
    with pytest.raises(TypeError, match=rf"^image is .*mode={mode} .*; expected one of 8 or 16 bits a channel"):
        to_native(Image.fromarray(RAMP).convert("I").convert(mode))


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (COLOURS.astype(numpy.float32) / 255, TypeError),
        (COLOURS[:, :, 0], TypeError),
        (RAMP, TypeError),
        (COLOURS[None], TypeError),
        (COLOURS[:0], ValueError),
        ([Image.fromarray(COLOURS)] * 2, TypeError),
        ([], TypeError),
        (b"a.png", TypeError),
    ],
)
def test_what_is_no_picture_is_named(image, error):
    with pytest.raises(error, match="^image") as raised:
        to_native(image)
    assert "\n" not in str(raised.value)


def test_one_in_a_list_is_that_one_and_arrays_may_be_views():
    assert numpy.array_equal(to_native([Image.fromarray(COLOURS)]).array, COLOURS)
    assert numpy.array_equal(to_native(COLOURS[::-1, ::2]).array, COLOURS[::-1, ::2])


def test_a_file_that_ends_early_is_named(tmp_path):
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue()[:-40])
    with pytest.raises(ValueError, match=r"^image is .*, which Pillow does not read: "):
        to_native(Image.open(tmp_path / "a.png"))
    with pytest.raises(ValueError, match=r"a\.png: broken PNG"):
        to_native(tmp_path / "a.png")
