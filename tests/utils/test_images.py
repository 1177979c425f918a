"""Image files of every kind, whole and broken."""

import io
import os
import struct
import warnings
import zlib
from importlib.util import find_spec

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from gan_style.utils import images
from gan_style.utils.images import (
    NoImages,
    UnreadableImage,
    find_images,
    luma,
    open_image,
    read_image,
    save_image,
    to_float,
    to_uint8,
)

# Corners that tell every turn and mirror apart: red, green; blue, yellow.
CORNERS = np.array(
    [[(250, 10, 10), (10, 250, 10)], [(10, 10, 250), (250, 250, 10)]], "uint8"
)
IMAGE = CORNERS.repeat(32, axis=0).repeat(16, axis=1)  # 64 high, 32 wide


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def check_image(source):
    """Reads the header alone."""
    with open_image(source):
        pass


def rgb(image=IMAGE):
    return Image.fromarray(image)


def assert_close(got, expected, within):
    assert got.dtype == np.uint8 and got.shape == expected.shape
    # Away from the edges, which JPEG smears.
    distance = np.abs(got.astype(int) - expected)[4::8, 4::8]
    assert distance.max() <= within


@pytest.mark.parametrize(
    ("kind", "options", "within"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("GIF", {}, 0),
        ("TIFF", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 90}, 12),
        ("JPEG", {"quality": 95}, 6),
        ("JPEG", {"quality": 95, "progressive": True}, 6),
        ("MPO", {"quality": 95}, 6),
        ("MPO", {"quality": 95, "save_all": True, "append_images": [rgb()]}, 6),
        ("AVIF", {"quality": 95}, 8),
    ],
)
def test_each_kind_of_file(kind, options, within):
    assert_close(read_image(encoded(rgb(), kind, **options)), IMAGE, within)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PPM", "TGA", "ICO", "PCX", "JPEG2000"])
def test_what_is_not_promised_is_not_decoded_under_any_name(tmp_path, kind):
    path = tmp_path / "p.jpg"
    rgb().save(path, kind)
    for read in (read_image, check_image):
        with pytest.raises(UnreadableImage, match=r"p\.jpg.* but must be one of JPEG"):
            read(path)


@pytest.mark.skipif(find_spec("pillow_heif") is not None, reason="it can be read")
def test_heic_is_named_where_it_cannot_be_read(tmp_path):
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(b"\0\0\0\x24ftypheic" + bytes(50))
    with pytest.raises(UnreadableImage, match=r"HEIC: is HEIC.*gan_style\[heic\]"):
        read_image(path)
    with pytest.raises(ValueError, match=r"HEIC.*gan_style\[heic\]"):
        save_image(tmp_path / "new.heic", IMAGE)


def test_heic_is_read_and_saved_with_the_extra(tmp_path):
    pytest.importorskip("pillow_heif")
    path = save_image(tmp_path / "p.heic", IMAGE)
    assert path.read_bytes()[4:12] == b"ftypheic"
    assert_close(read_image(path), IMAGE, 12)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UnreadableImage, match=r"p\.heic: "):
        read_image(path)


def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path):
    # Each scan costs a pass over all pixels: one megabyte would keep a core busy for
    # minutes.
    content = encoded(rgb(), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    read_image(content[:last] + 40 * content[last:-2] + content[-2:])
    many = content[:last] + 100 * content[last:-2] + content[-2:]
    with pytest.raises(UnreadableImage, match="scans, but must have at most 50"):
        read_image(many)
    profile = 99 * b"\xff\xda"  # a segment that is none
    read_image(encoded(rgb(), "JPEG", icc_profile=profile))


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_image("~/in/p.png", IMAGE)
    np.testing.assert_array_equal(read_image("~/in/p.png"), IMAGE)
    assert find_images("~/in") == [[tmp_path / "in" / "p.png"], []]
    with pytest.raises(UnreadableImage, match=f"{tmp_path}/none.png: does not exist"):
        check_image("~/none.png")


def test_conversions_are_inverse_and_the_same_for_arrays_and_tensors():
    levels = np.arange(256, dtype="uint8")
    floats = to_float(levels)
    assert floats.dtype == np.float32 and (floats[0], floats[-1]) == (-1, 1)
    tensor = to_float(tf.cast(levels, tf.float32))
    np.testing.assert_array_equal(tensor, floats)
    for same in (floats, tensor, floats.astype("float64"), floats * 1.0009):
        np.testing.assert_array_equal(to_uint8(same), levels)


def test_luma_of_white_is_white():
    white = np.ones((2, 3, 3), "float32")
    assert luma(white).shape == (2, 3) and luma(white).dtype == np.float32
    np.testing.assert_allclose(luma(white), 1, rtol=1e-6)


def test_a_path_its_bytes_and_an_open_image_are_the_same(tmp_path):
    path = save_image(tmp_path / "p.png", IMAGE)
    with Image.open(path) as image:
        for source in (path, str(path), path.read_bytes(), image):
            np.testing.assert_array_equal(read_image(source), IMAGE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_that_a_camera_noted_is_applied(orientation, kind):
    # What a camera stores so that `orientation` turns it upright again, by the
    # standard's own words: which stored row and column the image's 0th is.
    upright = IMAGE
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(rgb(np.ascontiguousarray(stored)), kind, exif=exif, **options)
    assert_close(read_image(content), upright, 14)


def test_a_broken_note_of_the_camera_does_not_lose_the_image():
    content = encoded(rgb(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff rubbish")
    assert_close(read_image(content), IMAGE, 14)


def test_grey_black_and_white_and_palette_images():
    grey = np.arange(256, dtype="uint8").reshape(16, 16)
    expected = np.repeat(grey[..., None], 3, axis=-1)
    for kind in ("PNG", "BMP", "TIFF"):
        got = read_image(encoded(Image.fromarray(grey), kind))
        np.testing.assert_array_equal(got, expected)
    two = Image.fromarray(grey > 99).convert("1")
    assert set(read_image(encoded(two, "PNG")).flat) == {0, 255}
    palette = rgb().quantize(4)
    np.testing.assert_array_equal(read_image(encoded(palette, "PNG")), IMAGE)


def test_transparent_parts_lie_on_white():
    clear = np.zeros((2, 4), "uint8")
    clear[:, 2:] = 255
    clear[:, 1] = 128
    colour = np.full((2, 4, 3), (200, 0, 100), "uint8")
    image = Image.fromarray(np.dstack([colour, clear]))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        got = read_image(encoded(image, kind, **options))
        assert got[0, 0].tolist() == [255, 255, 255]
        assert got[0, 3].tolist() == [200, 0, 100]
        np.testing.assert_allclose(got[0, 1], [227, 127, 177], atol=1)
    grey = Image.merge("LA", [Image.new("L", (2, 2), 9), Image.new("L", (2, 2), 0)])
    assert read_image(encoded(grey, "PNG")).min() == 255


def test_a_transparent_colour_of_the_palette_or_by_itself_lies_on_white():
    palette = rgb().quantize(4)
    red = palette.getpixel((0, 0))
    for kind in ("PNG", "GIF"):
        got = read_image(encoded(palette, kind, transparency=red))
        assert got[0, 0].tolist() == [255, 255, 255]
        assert got[-1, -1].tolist() == IMAGE[-1, -1].tolist()
    got = read_image(encoded(rgb(), "PNG", transparency=tuple(IMAGE[0, 0].tolist())))
    assert got[0, 0].tolist() == [255, 255, 255]


def sixteen_bit_png(samples):
    """A PNG file by the standard: Pillow cannot write RGB of 16 bits."""
    height, width, channels = samples.shape
    rows = samples.astype(">u2").reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_are_scaled_and_not_clipped(channels):
    ramp = np.linspace(0, 65535, 512).reshape(16, 32)
    samples = np.repeat(ramp[..., None], channels, axis=-1).round()
    if channels in (2, 4):
        samples[..., -1] = 65535
    expected = np.repeat(samples[..., :1] / 257, 3, axis=-1)
    got = read_image(sixteen_bit_png(samples))
    assert np.abs(got - expected).max() <= 1
    assert (got.min(), got.max()) == (0, 255)


def test_sixteen_bit_grey_tiff_of_both_byte_orders():
    ramp = np.linspace(0, 65535, 256).round().astype("uint16").reshape(16, 16)
    expected = np.rint(ramp / 257).astype("uint8")
    for mode in ("I;16", "I;16B"):
        raw = ramp.astype("<u2" if mode == "I;16" else ">u2").tobytes()
        image = Image.frombytes(mode, (16, 16), raw)
        np.testing.assert_array_equal(read_image(image)[..., 0], expected)
    got = read_image(encoded(Image.fromarray(ramp), "TIFF"))
    np.testing.assert_array_equal(got[..., 0], expected)


def test_cmyk_files_come_out_in_their_colours():
    cmyk = rgb().convert("CMYK")
    for kind, options in (("JPEG", {"quality": 95}), ("TIFF", {})):
        assert_close(read_image(encoded(cmyk, kind, **options)), IMAGE, 10)


def test_an_adobe_cmyk_jpeg_is_stored_inverted_and_comes_out_right():
    # White paper: no ink. Adobe's files, and Pillow's, store 255 for it.
    content = encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG")
    assert b"Adobe" in content
    assert read_image(content).min() >= 250


def test_colours_of_an_embedded_profile_become_srgb():
    profile = ImageCms.createProfile("LAB")  # of no use for RGB: plain colours then
    odd = ImageCms.ImageCmsProfile(profile).tobytes()
    got = read_image(encoded(rgb(), "PNG", icc_profile=odd))
    np.testing.assert_array_equal(got, IMAGE)
    # A profile with red and blue exchanged: what it calls red, a person sees blue.
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    swapped = srgb.replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ")
    swapped = bytes(swapped.replace(b"tmp_", b"bXYZ").replace(b"sRGB", b"odd "))
    for image in rgb(), rgb().convert("RGBA"), rgb().quantize(4):
        got = read_image(encoded(image, "PNG", icc_profile=swapped))
        np.testing.assert_allclose(got[0, 0], IMAGE[-1, 0], atol=4)
    clear = tuple(IMAGE[0, 0].tolist())
    got = read_image(encoded(rgb(), "PNG", icc_profile=swapped, transparency=clear))
    assert got[0, 0].min() == 255


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(kind):
    frames = [rgb(), rgb(IMAGE[::-1].copy())]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(
        frames[0], kind, save_all=True, append_images=frames[1:], **options
    )
    np.testing.assert_array_equal(read_image(content), IMAGE)


def test_a_large_jpeg_is_decoded_smaller_where_less_is_needed():
    large = IMAGE.repeat(16, axis=0).repeat(16, axis=1)  # 1024 x 512
    got = read_image(encoded(rgb(large), "JPEG"), at_least=100)
    assert got.shape == (256, 128, 3)  # a quarter: an eighth would be too small
    assert_close(got[2::4, 2::4], IMAGE[:64, :32], 8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF"])
def test_a_truncated_file_is_refused_by_its_name(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    content = encoded(rgb(noise), kind)
    path = tmp_path / f"half.{kind.lower()}"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImage, match=rf"half\.{kind.lower()}: "):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with b''"),
        (b"<!DOCTYPE html><html>", "begins with b'<!DOCTYP'"),
        (b"\x89PNG\r\n\x1a\n", "p.png"),
        (b"\xff\xd8\xff\xe0", "p.png"),
    ],
)
def test_what_is_no_image_says_what_it_is(tmp_path, content, message):
    path = tmp_path / "p.png"
    path.write_bytes(content)
    for read in (read_image, check_image):
        with pytest.raises(UnreadableImage, match=message):
            read(path)


def test_a_missing_file_and_a_folder_are_said(tmp_path):
    with pytest.raises(UnreadableImage, match="gone.jpg: does not exist"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(UnreadableImage, match="is not a file"):
        read_image(tmp_path)
    with pytest.raises(ValueError, match="source is 7, but must be a path"):
        read_image(7)


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side, monkeypatch):
    # A header alone: an image of gigabytes would have to be allocated after it.
    content = sixteen_bit_png(np.zeros((1, 1, 3)))
    size = struct.pack(">II", side, side)
    header = b"IHDR" + size + content[24:29]
    check = struct.pack(">I", zlib.crc32(header))
    bomb = content[:12] + header + check + content[33:]
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(UnreadableImage, match=r"pixels|too large"):
            read_image(bomb)


def test_more_pixels_than_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(images, "PIXEL_LIMIT", 2048)
    read_image(encoded(rgb(), "PNG"))
    monkeypatch.setattr(images, "PIXEL_LIMIT", 2047)
    with pytest.raises(UnreadableImage, match="has 32 x 64 pixels.* at most 2047"):
        read_image(encoded(rgb(), "PNG"))


def test_a_refused_image_is_named(tmp_path):
    path = tmp_path / "heights.tif"
    Image.fromarray(np.ones((4, 4), "float32")).save(path)
    with pytest.raises(UnreadableImage, match=r"heights\.tif: holds float32"):
        read_image(path)


def test_floating_point_images_are_refused():
    image = Image.fromarray(np.ones((4, 4), "float32"))
    with pytest.raises(UnreadableImage, match="holds float32 numbers from 1 to 1"):
        read_image(encoded(image, "TIFF"))


@settings(max_examples=60)
@given(st.data())
def test_damage_anywhere_gives_a_image_or_the_one_error(data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]))
    content = bytearray(encoded(rgb(), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            got = read_image(bytes(content))
        except UnreadableImage:
            return
    assert got.dtype == np.uint8 and got.ndim == 3 and got.shape[-1] == 3


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names_of(folder, **options):
    lists = find_images(folder, **options)
    return [[p.relative_to(folder).as_posix() for p in paths] for paths in lists]


def test_a_folder_is_listed_in_order_with_what_is_not_used(tmp_path):
    touch(tmp_path, "b.PNG", "a.jpg", "c.webp", ".hidden.jpg", "notes.txt", "A.bmp")
    touch(tmp_path, "d.avif", "e.heic", "raw.CR2", "f.psd", "g.svg", "h.tfrec")
    used = ["A.bmp", "a.jpg", "b.PNG", "c.webp", "d.avif", "e.heic"]
    assert names_of(tmp_path) == [used, ["f.psd", "g.svg", "raw.CR2"]]
    touch(tmp_path, "in/x.jpg", "in/x.psd", "in/y.txt", "in/in/y.jpg", ".git/z.jpg")
    unused = ["f.psd", "g.svg", "in/x.jpg", "in/x.psd", "raw.CR2"]
    assert names_of(tmp_path) == [used, unused]


def test_subfolders_are_searched_on_demand_but_not_behind_links(tmp_path):
    touch(tmp_path, "in/b.jpg", "in/in/a.png", "in/in/a.psd", "in/.git/z.jpg")
    (tmp_path / "in" / "link").symlink_to(touch(tmp_path, "out/c.jpg") / "out")
    assert names_of(tmp_path / "in", subfolders=True) == [
        ["b.jpg", "in/a.png"],
        ["in/a.psd"],
    ]


def test_a_folder_that_cannot_be_read_says_what_is_beside_it(tmp_path):
    assert find_images(tmp_path) == [[], []]
    (tmp_path / "trainA").mkdir()
    (tmp_path / "notes.txt").write_text("")
    message = r"No such file.*Beside it: notes.txt, trainA/\."
    with pytest.raises(NoImages, match=message):
        find_images(tmp_path / "trainX")
    with pytest.raises(NoImages, match="cannot be read"):
        find_images(tmp_path / "notes.txt")
    touch(tmp_path / "many", *"abcdefgh")
    with pytest.raises(NoImages, match="Beside it: a, b, c, d, e, f, and 2 more"):
        find_images(tmp_path / "many" / "x")
    with pytest.raises(NoImages, match="Beside it: nothing at all"):
        find_images(tmp_path / "many" / "x" / "y")


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg", "JPEG", "webp"])
def test_a_saved_image_reads_back(tmp_path, suffix):
    path = save_image(tmp_path / "new" / f"p.{suffix}", IMAGE)
    assert_close(read_image(path), IMAGE, 0 if suffix in ("png", "bmp") else 24)
    assert os.listdir(path.parent) == [path.name]


def test_a_tiff_is_compressed_as_asked(tmp_path):
    path = save_image(tmp_path / "p.tif", IMAGE, compression="tiff_lzw")
    assert Image.open(path).info["compression"] == "tiff_lzw"
    np.testing.assert_array_equal(read_image(path), IMAGE)


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif", "webp", "avif", "jpg"])
@pytest.mark.parametrize("shape", ["(h, w)", "(h, w, 1)", "(h, w, 4)"])
def test_grey_images_and_opacity_are_saved_as_a_person_expects(tmp_path, suffix, shape):
    grey, seen = IMAGE[..., 0], np.repeat(IMAGE[..., :1], 3, -1)
    clear = np.where(grey > 99, 0, 255).astype("uint8")[..., None]
    saved = {
        "(h, w)": grey,
        "(h, w, 1)": grey[..., None],
        "(h, w, 4)": np.concatenate([seen, clear], -1),
    }[shape]
    if shape == "(h, w, 4)":
        if suffix in ("jpg", "bmp"):
            with pytest.raises(ValueError, match=r"must be uint8 .*\(1, 3\) of them"):
                save_image(tmp_path / f"p.{suffix}", saved)
            return
        seen = np.where(clear == 0, 255, seen)
    path = save_image(tmp_path / f"p.{suffix}", saved)
    assert_close(read_image(path), seen, 0 if suffix in ("png", "bmp", "tif") else 12)


def test_a_save_that_fails_leaves_the_file_before(tmp_path, monkeypatch):
    path = save_image(tmp_path / "p.png", IMAGE)

    def half(self, file, *args, **options):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="disk full"):
        save_image(path, IMAGE[::-1])
    assert os.listdir(tmp_path) == ["p.png"]
    np.testing.assert_array_equal(read_image(path), IMAGE)


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("p.xyz", IMAGE, "one of the suffixes"),
        ("p", IMAGE, "one of the suffixes"),
        ("p.png", IMAGE / 255, "float64"),
        ("p.png", IMAGE[..., :2], r"\(64, 32, 2\).* but must be uint8 .*\(1, 3, 4\)"),
        ("p.png", IMAGE[None], r"\(1, 64, 32, 3\)"),
        ("p.png", np.uint8(1), r"uint8 \(\)|is 1"),
        ("p.jpg", np.dstack([IMAGE, IMAGE[..., :1]]), r"\(1, 3\) of them in JPEG"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path, name, image, message):
    with pytest.raises(ValueError, match=message):
        save_image(tmp_path / name, image)
    assert os.listdir(tmp_path) == []
