"""Whole folders: what is done, skipped, redone, left alone."""

import keras
import numpy as np
import pytest
from PIL import Image

from gan_style.inference import folders
from gan_style.inference.folders import translate_folder
from gan_style.inference.translation import translate
from gan_style.layers import InstanceNormalization
from gan_style.utils.images import read_image


class Negative(keras.layers.Layer):
    def call(self, x):
        return -x


class Scaled(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale


@pytest.fixture(scope="module")
def negative():
    images = keras.Input((None, None, 3))
    return keras.Model(images, Scaled()(Negative()(images)))


@pytest.fixture
def photos(tmp_path):
    """A folder with six images of several kinds, and other things."""
    home = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for name in ("b.png", "a.jpg", "day 1/a.JPG", "day 1/sea.bmp", "c.gif", "c.webp"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.kron(rng.integers(0, 256, (3, 4, 3)), np.ones((5, 5, 1)))
        Image.fromarray(pixels.astype("uint8")).save(home / name)
    (home / "notes.txt").write_text("no image")
    (home / ".hidden.png").write_bytes(b"")
    return home


def go(generator, photos, **options):
    target = options.pop("target", photos.parent / "out")
    return translate_folder(generator, photos, target, progress=False, **options)


def names(paths, home):
    return [path.relative_to(home).as_posix() for path in paths]


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_image_is_translated_and_the_originals_stay(negative, photos):
    before = contents(photos)
    result = go(negative, photos)
    out = photos.parent / "out"
    want = ["a.jpg", "b.png", "c.png", "c.webp.png", "day 1/a.JPG", "day 1/sea.png"]
    assert names(result.done, out) == want
    assert result.skipped == result.unreadable == result.reasons == []
    assert contents(photos) == before
    np.testing.assert_array_equal(
        read_image(out / "b.png"), translate(negative, photos / "b.png")
    )
    with Image.open(out / "day 1/a.JPG") as image:
        assert image.format == "JPEG"
    # Nothing but the images and the record.
    kept = names(contents(out), out)
    assert sorted(kept) == sorted([folders.RECORD, *want])


def test_a_second_call_skips_what_is_done(negative, photos):
    first = go(negative, photos)
    times = [path.stat().st_mtime_ns for path in first.done]
    second = go(negative, photos)
    assert second.done == [] and second.skipped == first.done
    assert [path.stat().st_mtime_ns for path in first.done] == times


def test_only_what_changed_is_redone(negative, photos):
    out = photos.parent / "out"
    go(negative, photos)
    Image.new("RGB", (4, 4), "red").save(photos / "b.png")  # another original
    (out / "a.jpg").write_bytes((out / "a.jpg").read_bytes()[:50])  # half of a file
    (out / "c.png").unlink()
    Image.new("RGB", (4, 4), "red").save(photos / "new.png")
    result = go(negative, photos)
    assert names(result.done, out) == ["a.jpg", "b.png", "c.png", "new.png"]
    assert read_image(out / "b.png")[0, 0].tolist() == [0, 255, 255]
    assert len(go(negative, photos).skipped) == 7


def test_other_weights_and_other_tiles_are_other_images(negative, photos):
    go(negative, photos)
    scale = negative.layers[-1].scale
    scale.assign(0.5)
    assert len(go(negative, photos).done) == 6
    assert len(go(negative, photos).skipped) == 6
    scale.assign(1.0)
    assert len(go(negative, photos).done) == 6
    assert len(go(negative, photos, tile_size=8).done) == 6


def build(activation="tanh", epsilon=1e-5):
    """A network with the same weights at every call."""
    keras.utils.set_random_seed(0)
    images = keras.Input((None, None, 3))
    x = InstanceNormalization(epsilon)(keras.layers.Conv2D(3, 1)(images))
    return keras.Model(images, keras.layers.Activation(activation)(x))


def test_another_configuration_of_the_layers_makes_other_images(photos):
    assert len(go(build(), photos).done) == 6
    for other in (build("softsign"), build(epsilon=1e-2)):
        for got, want in zip(other.get_weights(), build().get_weights(), strict=True):
            np.testing.assert_array_equal(got, want)
        assert len(go(other, photos).done) == 6
        assert len(go(other, photos).skipped) == 6


def test_the_same_generator_is_known_when_built_or_loaded_again(photos, tmp_path):
    go(build(), photos)
    assert len(go(build(), photos).skipped) == 6
    build().save(tmp_path / "it.keras")
    loaded = keras.models.load_model(tmp_path / "it.keras")
    assert len(go(loaded, photos).skipped) == 6


def test_a_layer_that_keras_cannot_save_is_no_obstacle(photos):
    class Scaled(keras.layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def call(self, x):
            return self.function(x)

    images = keras.Input((None, None, 3))
    generator = keras.Model(images, Scaled(lambda x: x / 2)(images))
    assert len(go(generator, photos).done) == 6
    assert len(go(generator, photos).skipped) == 6


def test_unreadable_files_are_listed_and_the_rest_is_done(negative, photos, capsys):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8 nothing more")
    (photos / "empty.png").write_bytes(b"")
    result = go(negative, photos)
    assert names(result.unreadable, photos) == ["broken.jpg", "empty.png"]
    assert len(result.done) == 6 and len(result.reasons) == 2
    said = capsys.readouterr().out
    assert said.startswith("2 of 8 files could not be read:\n")
    assert said.count("broken.jpg") == said.count("empty.png") == 1
    # They are tried again, and done once they are whole.
    Image.new("RGB", (4, 4), "red").save(photos / "empty.png")
    result = go(negative, photos)
    assert names(result.done, photos.parent / "out") == ["empty.png"]
    assert names(result.unreadable, photos) == ["broken.jpg"]


def test_images_of_kinds_that_are_not_read_are_named_once(negative, photos, capsys):
    for name in ("day 1/plan.svg", "logo.ico", "raw.dng", ".secret.svg", "x.csv"):
        (photos / name).write_bytes(b"<svg>")
    result = go(negative, photos)
    assert names(result.unreadable, photos) == ["day 1/plan.svg", "logo.ico", "raw.dng"]
    said = capsys.readouterr().out
    assert said.startswith("3 of 9 files could not be read:\n")
    assert said.count("plan.svg") == said.count("logo.ico") == 1
    assert len(result.done) == 6


def test_grey_generators_translate_files_in_grey(photos):
    images = keras.Input((None, None, 1))
    result = go(keras.Model(images, Negative()(images)), photos)
    for path in result.done:
        with Image.open(path) as image:
            assert image.mode == "L"
    grey = Image.fromarray(read_image(photos / "b.png")).convert("L")
    got = read_image(result.done[1])[..., 0].astype(int)
    assert np.abs(got - (255 - np.asarray(grey))).max() <= 1


def test_generators_of_other_channels_are_refused(photos):
    images = keras.Input((None, None, 4))
    for outputs in (Negative()(images), keras.layers.Conv2D(3, 1)(images)):
        maps = rf"is \(4, {outputs.shape[-1]}\), but must be 1 or 3 each"
        with pytest.raises(ValueError, match=maps):
            go(keras.Model(images, outputs), photos)
    assert not (photos.parent / "out").exists()


def test_folders_may_be_in_the_home_folder(negative, photos, monkeypatch):
    monkeypatch.setenv("HOME", str(photos.parent))
    result = translate_folder(negative, "~/photos", "~/out", progress=False)
    assert names(result.done, photos.parent / "out")[0] == "a.jpg"


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_run_goes_on(negative, photos, monkeypatch, moment):
    out = photos.parent / "out"
    real = folders.save_image

    def killed_at_b(path, image):
        if path.name == "b.png":
            if moment == "after":
                real(path, image)
            else:
                (path.parent / f".{path.name}.77.part").write_bytes(b"half")
            raise Killed
        return real(path, image)

    monkeypatch.setattr(folders, "save_image", killed_at_b)
    with pytest.raises(Killed):
        go(negative, photos)
    monkeypatch.setattr(folders, "save_image", real)
    with open(out / folders.RECORD, "a") as file:
        file.write('["c.p')  # and half a line
    result = go(negative, photos)
    assert names(result.skipped, out) == ["a.jpg"] and len(result.done) == 5
    assert not list(out.rglob("*.part"))
    assert len(go(negative, photos).skipped) == 6


def test_names_never_collide(negative, tmp_path):
    home = tmp_path / "photos"
    home.mkdir()
    for i, name in enumerate(["a.bmp", "a.png", "a.bmp.png", "A.gif", "a.jpg"]):
        Image.new("RGB", (2, 2), (i, i, i)).save(home / name)
    result = go(negative, home)
    assert len({path.name.casefold() for path in result.done}) == 5
    shades = sorted(int(255 - read_image(path).mean()) for path in result.done)
    assert shades == [0, 1, 2, 3, 4]
    by_name = {path.name: read_image(path) for path in result.done}
    assert by_name["a.png"].max() == 254 and by_name["a.bmp.png"].max() == 253


def test_orientation_is_applied(negative, tmp_path):
    home = tmp_path / "photos"
    home.mkdir()
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 20, 20))  # the left half; turned, the top half
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(home / "phone.jpg", exif=exif)
    (done,) = go(negative, home).done
    with Image.open(done) as image:
        assert image.size == (20, 40) and 0x0112 not in image.getexif()
    image = read_image(done)
    assert image[:15].max() < 20 and image[25:].min() > 235


def test_a_target_inside_the_source_is_no_source(negative, photos):
    for _ in range(2):
        result = go(negative, photos, target=photos / "monet")
        assert len(result.done) + len(result.skipped) == 6


def test_a_target_around_the_source_is_refused(negative, photos):
    with pytest.raises(ValueError, match="target is .* another folder, not around it"):
        go(negative, photos, target=photos.parent)


def test_originals_and_other_files_are_never_replaced(negative, photos, tmp_path):
    with pytest.raises(ValueError, match="target is .* must be another folder"):
        go(negative, photos, target=photos / "day 1" / "..")
    target = tmp_path / "album"
    (target / "day 1").mkdir(parents=True)
    (target / "day 1" / "sea.png").write_text("mine")
    with pytest.raises(ValueError, match="did not make and .*sea.png"):
        go(negative, photos, target=target)
    assert [p.name for p in contents(target)] == ["sea.png"]


def test_other_arguments_are_refused(negative, photos, tmp_path):
    with pytest.raises(ValueError, match="nowhere: cannot be read .* must be a folder"):
        go(negative, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="source is .* must hold an image"):
        go(negative, tmp_path / "empty")
    assert not (tmp_path / "out").exists()


def test_a_bar_is_shown(negative, photos, capsys):
    translate_folder(negative, photos, photos.parent / "out")
    assert "6/6" in capsys.readouterr().err
