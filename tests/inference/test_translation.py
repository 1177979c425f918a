"""Images of any size and kind through a generator."""

import io

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_style.inference.translation import translate
from gan_style.models import resnet_generator, unet_generator
from gan_style.utils.images import read_image


def same(channels=3, size=None):
    """A generator whose translation is the image itself."""
    images = keras.Input((size, size, channels))
    return keras.Model(images, keras.layers.Identity()(images))


@pytest.fixture(scope="module")
def identity():
    return same()


@pytest.fixture(scope="module")
def unet():
    keras.utils.set_random_seed(0)
    return unet_generator((32, 32, 3), 2)


@pytest.fixture(scope="module", params=["unet", "same", "pytorch"])
def generator(request, unet):
    if request.param == "unet":
        return unet
    return resnet_generator((32, 32, 3), 2, 1, layout=request.param)


def photo(height, width, channels=3):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, channels), dtype="uint8")


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40), (2, 3), (17, 31), (32, 32), (50, 75)]
)
def test_any_height_and_width(generator, size):
    got = translate(generator, photo(*size))
    assert got.shape == (*size, 3) and got.dtype == np.uint8


def test_the_size_that_the_network_was_built_for_is_its_own_answer(unet):
    x = np.random.default_rng(0).uniform(-1, 1, (5, 32, 32, 3)).astype("float32")
    want = unet.predict(x, verbose=0)
    np.testing.assert_allclose(translate(unet, x), want, atol=1e-5)
    np.testing.assert_allclose(translate(unet, x[0]), want[0], atol=1e-5)


def test_what_is_missing_is_mirrored_at_the_end(unet):
    image = photo(20, 27)
    mirrored = np.pad(image, ((0, 12), (0, 5), (0, 0)), mode="reflect")
    want = unet(mirrored[None] / np.float32(127.5) - 1)[0, :20, :27]
    got = translate(unet, image).astype(float)
    assert np.abs(got - (np.asarray(want) + 1) * 127.5).max() < 0.51


def test_every_level_of_grey_comes_back(identity):
    levels = np.arange(256, dtype="uint8").reshape(16, 16, 1).repeat(3, axis=-1)
    np.testing.assert_array_equal(translate(identity, levels), levels)


def test_bytes_are_rounded_and_clipped():
    images = keras.Input((None, None, 1))
    stretched = keras.Model(images, keras.layers.Rescaling(1.5, 0.003)(images))
    levels = np.array([[0, 100, 127, 130, 255]], "uint8")[..., None]
    exact = (1.5 * (levels / 127.5 - 1) + 0.003 + 1) * 127.5
    want = np.clip(np.rint(exact), 0, 255)
    np.testing.assert_array_equal(translate(stretched, levels), want)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "bfloat16"])
def test_floats_stay_floats(identity, kind):
    x = np.linspace(-1, 1, 48).reshape(4, 4, 3).astype(_dtype(kind))
    got = translate(identity, x)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, x.astype("float32"))


def _dtype(name):
    import ml_dtypes

    return ml_dtypes.bfloat16 if name == "bfloat16" else name


def test_lists_hold_images_of_every_kind_and_size(identity, tmp_path):
    image = photo(6, 9)
    Image.fromarray(image).save(tmp_path / "a.png")
    mixed = [
        image,
        Image.fromarray(image),
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        image[:3, :5] / np.float32(127.5) - 1,
        image[None],
    ]
    got = translate(identity, mixed)
    assert isinstance(got, list)
    for result in got[:4]:
        np.testing.assert_array_equal(result, image)
    assert got[4].dtype == np.float32 and got[4].shape == (3, 5, 3)
    assert got[5].shape == (1, 6, 9, 3)
    assert translate(identity, []) == []
    assert translate(identity, np.zeros((0, 4, 4, 3), "uint8")).shape == (0, 4, 4, 3)


def test_a_path_in_the_home_folder_is_found(identity, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(photo(6, 9)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(translate(identity, "~/a.png"), photo(6, 9))


def encoded(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_files_of_every_kind_become_what_the_generator_needs(mode, channels):
    given = Image.fromarray(photo(6, 9))
    given = (
        given.convert("L").convert("I;16") if mode == "I;16" else given.convert(mode)
    )
    if mode == "RGBA":
        given.putalpha(Image.fromarray(photo(6, 9)[..., 0]))
    seen = Image.fromarray(read_image(given))
    wanted = np.asarray(seen.convert("L"))[..., None] if channels == 1 else seen
    for form in (given, encoded(given)):
        got = translate(same(channels), form)
        assert got.shape == (6, 9, channels) and got.dtype == np.uint8
        # Pillow rounds the weights of red, green and blue.
        assert np.abs(got.astype(int) - np.asarray(wanted)).max() <= (channels == 1)


def test_a_grey_file_keeps_its_levels_in_a_grey_generator():
    grey = np.arange(256, dtype="uint8").reshape(16, 16)
    got = translate(same(1), Image.fromarray(grey))
    np.testing.assert_array_equal(got[..., 0], grey)


def test_a_generator_of_other_channels_gets_no_files():
    for form in (Image.new("RGBA", (4, 4)), encoded(Image.new("RGBA", (4, 4)))):
        with pytest.raises(ValueError, match="4 channels, but must have 1 or 3"):
            translate(same(4), form)
    clear = photo(4, 4, 4)
    np.testing.assert_array_equal(translate(same(4), clear), clear)


@pytest.mark.parametrize(
    ("channels", "given", "advice"),
    [
        (1, 3, r"convert\('L'\)"),
        (3, 1, r"numpy.repeat\(images, 3, axis=-1\)"),
        (3, 4, "Drop the fourth channel"),
        (4, 3, "Convert the channels"),
    ],
)
def test_arrays_of_other_channels_are_refused(channels, given, advice):
    for shape in ((8, 8, given), (2, 8, 8, given)):
        with pytest.raises(ValueError, match=advice):
            translate(same(channels), np.zeros(shape, "uint8"))


def test_a_image_held_sideways_comes_out_upright(identity):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(photo(8, 5)).save(file, "PNG", exif=exif)
    image = Image.open(file)
    got = translate(identity, image)
    assert got.shape == (5, 8, 3)
    np.testing.assert_array_equal(got, read_image(image))
    np.testing.assert_array_equal(got, np.rot90(photo(8, 5), -1))


def test_the_argument_is_not_changed(unet):
    for image in (photo(20, 20), np.zeros((20, 20, 3), "float32")):
        before = image.copy()
        translate(unet, image, tile_size=16)
        np.testing.assert_array_equal(image, before)


def test_training_is_seen_by_later_translations():
    images = keras.Input((None, None, 3))
    model = keras.Model(images, keras.layers.Conv2D(3, 1)(images))
    image = photo(4, 4)
    before = translate(model, image)
    model.layers[-1].bias.assign([0.5, 0, 0])
    assert (translate(model, image) != before).any()


@pytest.mark.parametrize("size", [(64, 64), (50, 75), (33, 140), (7, 300), (16, 16)])
def test_tiles_of_a_network_that_sees_single_pixels_leave_no_trace(identity, size):
    image = photo(*size)
    for overlap in (None, 0, 1, 16):
        got = translate(identity, image, tile_size=32, overlap=overlap)
        np.testing.assert_array_equal(got, image)


def test_tiles_of_a_network_that_sees_a_neighbourhood_agree_inside_the_overlap():
    images = keras.Input((None, None, 3))
    blur = keras.layers.DepthwiseConv2D(5, padding="same", depthwise_initializer="ones")
    model = keras.Model(images, keras.layers.Rescaling(1 / 25)(blur(images)))
    image = 190 + photo(80, 80) // 4
    whole = translate(model, image).astype(int)
    tiled = translate(model, image, tile_size=48, overlap=24).astype(int)
    # A tile's last two rows see zeros, but count for next to nothing.
    difference = np.abs(whole - tiled)
    assert difference.max() <= 2
    abrupt = translate(model, image, tile_size=48, overlap=0).astype(int)
    assert np.abs(whole - abrupt).max() > 20


def test_tiles_see_the_grid_of_the_whole_image():
    images = keras.Input((None, None, 3))
    x = keras.layers.AveragePooling2D(4)(images)
    mosaic = keras.Model(images, keras.layers.UpSampling2D(4)(x))
    image = photo(52, 90)
    whole = translate(mosaic, image)
    # 30 becomes 32, the next multiple of 4. One level is rounding.
    tiled = translate(mosaic, image, tile_size=30)
    assert np.abs(tiled.astype(int) - whole).max() <= 1


def test_tiles_with_instance_norm_are_another_image(unet):
    ramp = np.linspace(0, 255, 128).astype("uint8")[:, None, None]
    image = np.broadcast_to(ramp, (128, 128, 3)) // 2 + photo(128, 128) // 2
    whole = translate(unet, image).astype(int)
    assert np.abs(translate(unet, image, tile_size=128) - whole).max() <= 1
    assert np.abs(translate(unet, image, tile_size=64) - whole).max() > 1


@settings(max_examples=30)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    tile=st.integers(1, 40),
    share=st.floats(0, 0.5),
)
def test_any_tiles_of_any_image_are_the_image(height, width, tile, share):
    image = photo(height, width)
    got = translate(IDENTITY, image, tile_size=tile, overlap=int(share * tile))
    np.testing.assert_array_equal(got, image)


IDENTITY = same()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 4), "uint8"), "Add the axis of the channels"),
        (np.zeros((4, 4, 4), "uint8"), "Drop the fourth channel"),
        (np.zeros((3, 8, 8), "uint8"), r"numpy.moveaxis\(images, -3, -1\)"),
        (np.zeros((2, 3, 8, 8), "uint8"), "channels last"),
        (np.zeros((0, 4, 3), "uint8"), r"shape is \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), "int64"), r"is int64.*images.astype\('uint8'\)"),
        (np.zeros((4, 4, 3), bool), "is bool"),
        (np.full((4, 4, 3), 200.0), r"numbers from 200 to 200.*\[-1, 1\]"),
        (np.full((4, 4, 3), np.nan), "not finite"),
        (np.full((4, 4, 3), np.inf), "not finite"),
        ([[np.zeros((4, 4, 3), "uint8")]], "a list holds a list"),
        (None, "an image is None"),
        ("nowhere.png", "nowhere.png"),
        (b"", "an image of 0 bytes"),
        (b"GIF89b", "is not an image"),
        ((x for x in ()), "an image is <generator.* or a list"),
        ({"a": 1}, "an image is {'a': 1}.* or a list"),
    ],
)
def test_other_images_are_refused(identity, images, message):
    with pytest.raises(ValueError, match=message):
        translate(identity, images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile_size": 0}, "tile_size is 0"),
        ({"tile_size": 15}, "at least 16"),
        ({"tile_size": 64.0}, "tile_size is 64.0"),
        (
            {"tile_size": 32, "overlap": 17},
            "17, .* from 0 to 16",
        ),
        ({"tile_size": 32, "overlap": -1}, "overlap is -1"),
    ],
)
def test_other_arguments_are_refused(unet, options, message):
    with pytest.raises(ValueError, match=message):
        translate(unet, photo(20, 20), **options)


def test_weights_that_are_not_finite_are_named():
    model = resnet_generator((16, 16, 3), 2, 1)
    model.layers[-2].bias.assign([np.nan, 0, 0])
    with pytest.raises(ValueError, match="training has diverged"):
        translate(model, photo(16, 16))
