"""Any bytes under any name: a result, or a ValueError that names the file."""

import io
import os
import struct
import warnings

import keras
import numpy as np
import pytest
from helpers.cyclegans import one_step, random_images, small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_style import datasets
from gan_style.datasets.sources import find_records
from gan_style.inference.folders import RECORD, translate_folder
from gan_style.inference.translation import translate
from gan_style.models.pytorch_weights import load_pytorch_generator
from gan_style.style_transfer.checkpoints import HISTORY, load_run
from gan_style.style_transfer.inputs import mask
from gan_style.style_transfer.inputs import rgb_array as style_image
from gan_style.training.callbacks import LossCurves
from gan_style.training.checkpoints import SaveAndResume
from gan_style.utils import images as images

# A few, always the same; GAN_STYLE_FUZZ=50 tries fifty times as many, and others
# at each time.
TIMES = int(os.environ.get("GAN_STYLE_FUZZ", 1))


def bounded(examples):
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def encoded(kind, mode="RGB"):
    buffer = io.BytesIO()
    levels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype="uint8")
    Image.fromarray(levels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


IMAGES = [encoded(kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")]
IMAGES += [encoded("PNG", "P"), encoded("PNG", "1"), encoded("TIFF", "CMYK")]


@st.composite
def damaged(draw, whole):
    """A whole file with a few bytes changed, cut out, put in or cut off."""
    content = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(0, 4))):
        size = len(content)
        # Headers, tables at the end, and whatever lies between.
        near = st.integers(0, min(100, size))
        place = draw(
            st.one_of(
                near,
                near.map(size.__sub__),
                st.integers(0, size),
            )
        )
        removed = draw(st.sampled_from([0, 1, 1, 4, 50, 10**9]))
        put_in = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from([b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(8), b"PK"]),
            )
        )
        content[place : place + removed] = put_in
    return bytes(content)


def anything(whole):
    """Mostly damaged files, and some that are nothing at all."""
    return st.one_of(
        damaged(whole), damaged(whole), damaged(whole), st.binary(max_size=64)
    )


def result_or_named(name, call, *arguments, **options):
    """Calls; None for a ValueError that names the file, other errors go on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(*arguments, **options)
        except ValueError as error:
            assert str(name) in str(error), repr(error)
    return None


def is_image(result):
    return result is None or (result.dtype == np.uint8 and result.shape[-1] == 3)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def same():
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


SUFFIXES = st.sampled_from([".jpg", ".png", ".gif", ".tif", ".webp", ".bmp"])


@bounded(60)
@given(anything(IMAGES), SUFFIXES, st.sampled_from([None, 1, 4, 100]))
def test_reading_a_image(home, content, suffix, at_least):
    path = home / f"a{suffix}"
    path.write_bytes(content)
    from_file = result_or_named(path, images.read_image, path, at_least)
    assert is_image(from_file)
    from_bytes = result_or_named(
        f"{len(content)} bytes", images.read_image, content, at_least
    )
    np.testing.assert_array_equal(from_file, from_bytes)
    result_or_named(path, images.open_image(path).__enter__)


@bounded(20)
@given(anything(IMAGES), SUFFIXES)
def test_images_for_style_transfer_and_translation(home, same, content, suffix):
    path = home / f"b{suffix}"
    path.write_bytes(content)
    result_or_named(path, style_image, "content", path)
    values = result_or_named(path, mask, "masks[0]", path)
    assert values is None or 0 <= values.min() <= values.max() <= 1
    assert is_image(result_or_named(path, translate, same, path))


@bounded(8)
@given(st.lists(st.tuples(anything(IMAGES), SUFFIXES), max_size=3), st.booleans())
def test_a_folder_of_images(tmp_path_factory, same, files, skip):
    folder = tmp_path_factory.mktemp("folder")
    for part in ("trainA", "trainB"):
        (folder / part).mkdir()
        (folder / part / "whole.png").write_bytes(IMAGES[1])
    for i, (content, suffix) in enumerate(files):
        (folder / "trainA" / f"{i}{suffix}").write_bytes(content)

    def train():
        data = datasets.load(folder, 8, unreadable="skip" if skip else "error")
        # Read in this process: tf.data would turn an error into one of its own.
        return [data.train.cursor.read(i) for i in range(data.steps_per_epoch)]

    items = result_or_named(folder, train)
    assert not skip or items
    target = tmp_path_factory.mktemp("target")
    options = {"progress": False}
    result = translate_folder(same, folder / "trainA", target, **options)
    assert len(result.done) + len(result.unreadable) == len(files) + 1
    for path, reason in zip(result.unreadable, result.reasons, strict=True):
        assert str(path) in reason


@bounded(12)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text('[]{}",:0123456789./\\ab\n', max_size=60).map(str.encode),
        damaged([b'["a.png"]\n["b/c.png", 12, ["b/c.png", 1, 2, "x"]]\n'] * 2),
    )
)
def test_the_record_of_a_translated_folder(tmp_path_factory, same, record):
    folder = tmp_path_factory.mktemp("record")
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    (folder / "in" / "a.png").write_bytes(IMAGES[1])
    (folder / ".b.png.1.part").write_bytes(b"")
    (folder / "out" / RECORD).write_bytes(record)
    result = translate_folder(same, folder / "in", folder / "out", progress=False)
    assert len(result.done) == 1
    assert sorted(p.name for p in folder.iterdir()) == [".b.png.1.part", "in", "out"]


def record_of(*examples):
    content = b""
    for data in examples:
        # The checksums are not looked at: another length gives no whole records.
        content += struct.pack("<QI", len(data), 0) + data + bytes(4)
    return content


def example(image):
    import tensorflow as tf

    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
    features = tf.train.Features(feature={"image": value})
    return tf.train.Example(features=features).SerializeToString()


@bounded(30)
@given(
    st.one_of(
        anything([record_of(*map(example, IMAGES[:2]))]),
        damaged([example(IMAGES[1])]).map(record_of),
        damaged(IMAGES).map(example).map(record_of),
    )
)
def test_tfrecords(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("records")
    (folder / "a.tfrec").write_bytes(content)
    for record in result_or_named(folder, find_records, folder) or ():
        assert is_image(result_or_named(folder / "a.tfrec", record.read))


def run_file():
    buffer = io.BytesIO()
    history = {f"history_{name}": np.zeros(2) for name in HISTORY}
    np.savez(
        buffer,
        fingerprint=np.array("0" * 64),
        scale=np.array(0),
        optimizer_steps=np.array(1),
        optimizer_image=np.zeros((1, 4, 4, 3), "float32"),
        **history,
    )
    return buffer.getvalue()


@bounded(40)
@given(anything([run_file()]))
def test_a_saved_run(home, content):
    path = home / "run.npz"
    path.write_bytes(content)
    run = result_or_named(path, load_run, path)
    assert run is None or run["optimizer_image"].ndim == 4


@bounded(20)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text('epoch,validity_ab\n"0123456789.-', max_size=60).map(str.encode),
        damaged([b"epoch,validity_ab\r\n1,0.5\r\n2,0.25\r\n"]),
    )
)
def test_the_losses_of_an_earlier_training(home, content):
    (home / "losses.csv").write_bytes(content)
    curves = LossCurves(home, every=1000, show=False)
    result_or_named("losses.csv", curves.on_epoch_end, 5, {"validity_ab": 0.1})


@pytest.fixture(scope="module")
def training(home):
    model = small(pool_size=1)
    model.compile()
    path = home / "training.keras"
    callback = SaveAndResume(path)
    callback.set_model(model)
    callback.resume(model)
    one_step(model, random_images(1, 8), random_images(1, 8, seed=1))
    callback.on_epoch_end(0)
    return model, path.read_bytes()


def test_the_state_of_a_training(home, training):
    model, whole = training
    path = home / "training.keras"

    @bounded(12)
    @given(anything([whole]))
    def check(content):
        path.write_bytes(content)
        result_or_named(path, SaveAndResume(path).resume, model)

    check()


def test_weights_of_pytorch(home):
    torch = pytest.importorskip("torch")
    shapes = {1: (2, 3, 7, 7), 4: (4, 2, 3, 3), 7: (8, 4, 3, 3), 10: (8, 4, 3, 3)}
    shapes |= {13: (4, 2, 3, 3), 17: (3, 2, 7, 7)}
    state = {f"model.{i}.weight": torch.zeros(s) for i, s in shapes.items()}
    state["model.17.bias"] = torch.zeros(3)
    whole = []
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
        whole.append(buffer.getvalue())
    path = home / "weights.pth"

    @bounded(12)
    @given(anything(whole))
    def check(content):
        path.write_bytes(content)
        result_or_named("weights.pth", load_pytorch_generator, path)

    check()
