"""What style transfer accepts as images, masks, shares and layers, and what not."""

import numpy as np
import pytest
from PIL import Image

from gan_style.style_transfer import inputs
from gan_style.utils.images import UnreadableImage, read_image

IMAGE = np.arange(60, dtype="uint8").reshape(4, 5, 3)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "float64"])
def test_images_become_floats_of_the_same_values(dtype):
    got = inputs.rgb_array("content", IMAGE.astype(dtype))
    assert got.dtype == ("float64" if dtype == "float64" else "float32")
    np.testing.assert_array_equal(got, IMAGE)


def test_an_image_is_an_array_a_pil_image_or_a_path(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(IMAGE).save(path)
    for image in (IMAGE, IMAGE.tolist(), Image.fromarray(IMAGE), path, str(path)):
        np.testing.assert_array_equal(inputs.rgb_array("content", image), IMAGE)
    for one in (IMAGE, Image.fromarray(IMAGE), path, str(path)):
        assert inputs.is_one(one)
    assert inputs.is_one(IMAGE[..., 0])
    assert not inputs.is_one([IMAGE]) and not inputs.is_one(IMAGE[None])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE[0, 0], r"is uint8 \(3,\) from 0 to 2, but must be grey or RGB"),
        (IMAGE[None], r"is uint8 \(1, 4, 5, 3\) from 0 to 59, but must be grey or RGB"),
        (IMAGE[:0], r"is uint8 \(0, 5, 3\), but must be grey or RGB"),
        (np.tile(IMAGE, 2), r"is uint8 \(4, 5, 6\) from 0 to 59, but must be grey"),
        (IMAGE * 5.0, r"is float64 \(4, 5, 3\) from 0 to 295, but .* \[0, 255\]\.$"),
        (IMAGE * np.nan, r"from nan to nan, but must be .* \[0, 255\]"),
        (IMAGE.astype(np.int16) - 1, "from -1 to 58, but must be"),
        (IMAGE / 255.0, r"but must be .* \[0, 255\]\. Multiply by 255\.$"),
        (IMAGE > 9, "is bool"),
        (IMAGE.astype(str), "is <U"),
        ([[1], [2, 3]], r"is \[\[1\], \[2, 3\]\], but must be an image or a path"),
        (None, r"is object \(\), but must be"),
    ],
)
def test_what_is_not_an_rgb_image_is_refused(image, message):
    with pytest.raises(ValueError, match=f"^StyleTransfer: content .*{message}"):
        inputs.rgb_array("content", image)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK"])
def test_grey_and_alpha_are_seen_as_in_a_file(mode, tmp_path):
    seen = np.arange(80, dtype="uint8").reshape(4, 5, 4) * 3
    image = Image.fromarray(seen, "RGBA")
    image = image.convert("LA" if mode == "LA" else mode if mode == "RGBA" else "L")
    image = image.convert(mode)
    image.save(path := tmp_path / ("image.tif" if mode == "CMYK" else "image.png"))
    expected = read_image(path)
    kinds = [image, path, str(path)]
    if mode in ("L", "LA", "RGBA"):
        array = np.asarray(image)
        kinds += [array, array.astype("float64")]
    if mode == "L":
        kinds += [array[..., None]]
    for given in kinds:
        got = inputs.rgb_array("content", given)
        np.testing.assert_allclose(got, expected, atol=0.51)  # rounding to levels


def test_alpha_of_another_range_is_refused():
    image = np.full((4, 5, 4), 90.0)
    image[..., 3] = 1.0
    with pytest.raises(ValueError, match=r"content is float64 .* Multiply by 255"):
        inputs.rgb_array("content", image)
    image[..., 2], image[..., 3] = 0.5, 255.0  # blue alone may be that small
    assert inputs.rgb_array("content", image)[0, 0].tolist() == [90, 90, 0.5]


def test_a_file_that_cannot_be_read_is_named_with_its_argument():
    with pytest.raises(UnreadableImage, match=r"StyleTransfer: styles\[1\]: .*no\.png"):
        inputs.rgb_array("styles[1]", "no.png")


def test_masks_are_between_0_and_1():
    grey = np.array([[0, 51], [255, 102]], "uint8")
    expected = np.array([[0, 0.2], [1, 0.4]], "float32")[..., None]
    rgb = np.repeat(grey[..., None], 3, -1)
    for mask in (grey, grey[..., None], rgb, Image.fromarray(rgb), expected[..., 0]):
        got = inputs.mask("masks[0]", mask)
        assert got.dtype == np.float32 and got.shape == (2, 2, 1)
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    np.testing.assert_array_equal(inputs.mask("m", grey > 60)[..., 0], grey > 60)
    assert inputs.mask("masks[0]", None).shape == (1, 1, 1)


@pytest.mark.parametrize(
    "mask", [np.full((2, 2), 1.5), np.zeros(3), np.zeros((0, 2)), "?", [["a"]], -1.0]
)
def test_what_is_not_a_mask_is_refused(mask):
    with pytest.raises(ValueError, match=r"StyleTransfer: masks\[0\]"):
        inputs.mask("masks[0]", mask)


def test_shares_sum_to_1():
    assert inputs.shares(2, None) == [0.5, 0.5]
    assert inputs.shares(3, (2, 0, 6)) == [0.25, 0, 0.75]


@pytest.mark.parametrize(
    "blend", [[1], [1, -1], [0, 0], [1, np.inf], [1, np.nan], "ab", 3, [1, None]]
)
def test_what_cannot_be_shared_out_is_refused(blend):
    with pytest.raises(ValueError, match="StyleTransfer: blend is .* 2 numbers"):
        inputs.shares(2, blend)


def test_layers_are_weighed():
    assert inputs.layer_weights("l", "relu1_1") == {"relu1_1": 1}
    assert inputs.layer_weights("l", {"relu1_1": 3, "a": 0}) == {"relu1_1": 3, "a": 0}


@pytest.mark.parametrize("layers", [[], {}, [1], {"a": "b"}, {"a": -1}, None])
def test_layers_without_names_or_weights_are_refused(layers):
    with pytest.raises(ValueError, match="StyleTransfer: style_layers.* must be"):
        inputs.layer_weights("style_layers", layers)


def test_resizing_does_not_overshoot():
    edge = np.where(np.arange(16) < 8, 0.0, 255.0).astype("float32")
    image = np.tile(edge[:, None], (16, 1, 3))[None]
    for shape in ((5, 7), (40, 33)):
        got = inputs.resize(image, shape).numpy()
        assert got.shape == (1, *shape, 3)
        assert got.min() >= 0 and got.max() <= 255
    assert inputs.resize(image, (16, 16), "float64").dtype == "float64"
