"""Whatever is passed: a result, or a ValueError that says what to pass."""

import os
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.cyclegans import small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import gan_style
from gan_style import datasets, models, samples
from gan_style.evaluation import features as image_features
from gan_style.evaluation import metrics, plotting
from gan_style.inference import export, folders, translation
from gan_style.models import vgg_features
from gan_style.style_transfer import planning as planner
from gan_style.style_transfer.transfer import StyleTransfer
from gan_style.training import callbacks, checkpoints, diagnosis, distribution
from gan_style.training.planning import plan_training
from gan_style.utils import images

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype="uint8")
IMAGE = IMAGES[0]
FEATURES = np.random.default_rng(1).normal(size=(4, 4, 2)).astype("float32")


def same():
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


# GAN_STYLE_FUZZ=50 tries fifty times as many values, and others at each time.
TIMES = int(os.environ.get("GAN_STYLE_FUZZ", 1))


class Made:
    """What the calls below need, made once."""

    def __init__(self):
        self.same = same()
        self.model = small(16, pool_size=2)
        self.model.compile()
        self.data = datasets.load("samples/fruit", 16, train_count=2, test_count=0)
        self.options = {
            "content_layers": ["relu1_1"],
            "style_layers": ["relu1_1"],
            "features": {"weights": None, "backbone": "vgg16"},
        }
        self.transfer = StyleTransfer(IMAGE, IMAGE, **self.options)
        self.networks = {
            name: getattr(self.model, name)
            for name in (
                *("generator_ab", "generator_ba"),
                *("discriminator_a", "discriminator_b"),
            )
        }
        self.features = image_features.ImageFeatures(
            "mean", lambda batch: batch.mean((1, 2))
        )

    def style(self, content=IMAGE, styles=IMAGE, **options):
        return StyleTransfer(content, styles, **{**self.options, **options})

    def run(self, **options):
        return self.transfer.run(
            **{"steps": 1, "scales": [16], "progress": False, **options}
        )

    def cyclegan(self, **options):
        return gan_style.CycleGAN(**{**self.networks, "pool_size": 2, **options})


@pytest.fixture(scope="module")
def made():
    return Made()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder that is the working folder meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.chdir(folder)
        images.save_image(folder / "in" / "a.png", IMAGE)
        yield folder


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([-(10**12), 2.5, 0.5, -1.0, float("nan"), float("inf"), 1j]),
    st.sampled_from(["", "x", "ab", "nowhere/x.png", "\0", b"", b"x", "ä" * 300]),
    st.sampled_from([[], (), {}, [[]], [None], {"a": 1}, ["x"], [1, 2], (16, 16, 3)]),
    st.sampled_from([object(), print, keras.layers.ReLU(), type, range(3), {1, 2}]),
    arrays.arrays(
        st.sampled_from(["uint8", "int64", "bool", "float16", "float32", "float64"]),
        st.sampled_from([(), (0,), (3,), (4, 4), (16, 16, 3), (2, 16, 16, 3)]),
        fill=st.sampled_from([0, 1]),
        elements=st.sampled_from([0, 1]),
    ),
    st.sampled_from(["complex64", "U3", "O", "datetime64[s]"]).map(
        lambda kind: np.zeros((16, 16, 3), kind)
    ),
    st.sampled_from([np.nan, np.inf, -1e30, 300.0, 2.0]).map(
        lambda number: np.full((2, 16, 16, 3), number, "float32")
    ),
    st.sampled_from([(16, 16), (16, 16, 1), (16, 16, 4), (3, 16, 16), (0, 16, 3)]).map(
        lambda shape: np.zeros(shape, "uint8")
    ),
    st.sampled_from(["L", "RGBA", "P", "1", "I", "F", "CMYK"]).map(
        lambda mode: Image.new(mode, (16, 16))
    ),
)

A, O = IMAGES, {"verbose": 0}  # noqa: E741
# Name -> call with one argument; what it needs besides is `made`.
CALLS = {
    "translate": lambda m, x: translation.translate(m.same, x),
    "translate generator": lambda m, x: translation.translate(x, IMAGE),
    "translate tile_size": lambda m, x: translation.translate(m.same, IMAGE, x),
    "translate overlap": lambda m, x: translation.translate(m.same, IMAGE, 16, x),
    "CycleGAN.translate": lambda m, x: m.model.translate(x),
    "CycleGAN.translate direction": lambda m, x: m.model.translate(IMAGE, x),
    "StyleTransfer content": lambda m, x: m.style(content=x),
    "StyleTransfer styles": lambda m, x: m.style(styles=x),
    **{
        f"StyleTransfer {name}": lambda m, x, name=name: m.style(**{name: x})
        for name in (
            *("size", "strength", "content_weight", "total_variation_power", "blend"),
            *("masks", "style_scale", "colours", "content_layers", "style_layers"),
            *("seed", "features"),
        )
    },
    "StyleTransfer mask": lambda m, x: m.style(masks=[x]),
    "loss_and_gradient": lambda m, x: m.transfer.loss_and_gradient(x),
    "loss_and_gradient tile_size": lambda m, x: m.transfer.loss_and_gradient(IMAGE, x),
    **{
        f"StyleTransfer.run {name}": lambda m, x, name=name: m.run(**{name: x})
        for name in (
            "steps",
            "scales",
            "optimizer",
            "initial",
            "branch_from",
            "tile_size",
        )
    },
    "StyleTransfer.run save_every": lambda m, x: m.run(save_every=x),
    "vgg_features": lambda m, x: vgg_features(x, weights=None),
    **{
        f"vgg_features {name}": lambda m, x, name=name: vgg_features(
            "relu1_1", **{"weights": None, name: x}
        )
        for name in ("backbone", "pooling", "padding", "dtype")
    },
    "content_loss": lambda m, x: gan_style.content_loss(x, FEATURES),
    "content_loss second": lambda m, x: gan_style.content_loss(FEATURES, x),
    "gram_matrix": lambda m, x: gan_style.gram_matrix(x),
    "style_loss": lambda m, x: gan_style.style_loss(x, FEATURES),
    "style_loss second": lambda m, x: gan_style.style_loss(FEATURES, x),
    "total_variation_loss": lambda m, x: gan_style.total_variation_loss(x),
    "total_variation_loss power": lambda m, x: gan_style.total_variation_loss(
        FEATURES, x
    ),
    **{
        f"{name} {argument}": lambda m, x, name=name, argument=argument: getattr(
            models, name
        )(**{"image_shape": (16, 16, 3), "filters": 1, argument: x})
        for name in ("unet_generator", "resnet_generator", "patch_discriminator")
        for argument in ("image_shape", "filters")
    },
    "resnet_generator blocks": lambda m, x: models.resnet_generator((16, 16, 3), 1, x),
    "InstanceNormalization epsilon": lambda m, x: gan_style.InstanceNormalization(x),
    "ReflectionPadding2D": lambda m, x: gan_style.ReflectionPadding2D(x),
    "ImagePool size": lambda m, x: gan_style.ImagePool(x),
    "ImagePool seed": lambda m, x: gan_style.ImagePool(2, x),
    **{
        f"constant_then_linear {i}": lambda m, x, i=i: gan_style.constant_then_linear(
            *[x if i == j else 1 for j in range(3)]
        )
        for i in range(3)
    },
    **{
        f"CycleGAN {name}": lambda m, x, name=name: m.cyclegan(**{name: x})
        for name in (
            *("generator_ab", "discriminator_b", "validity_weight", "pool_size"),
            *("reconstruction_weight", "identity_weight", "seed", "average_decay"),
        )
    },
    "TranslationGrid": lambda m, x: callbacks.TranslationGrid(x, A),
    "TranslationGrid every": lambda m, x: callbacks.TranslationGrid(A, A, x),
    "TranslationGrid names": lambda m, x: callbacks.TranslationGrid(A, A, names=x),
    "TranslationGrid folder": lambda m, x: callbacks.TranslationGrid(A, A, folder=x),
    "LossCurves folder": lambda m, x: callbacks.LossCurves(x),
    "LossCurves every": lambda m, x: callbacks.LossCurves(every=x),
    "SaveAndResume": lambda m, x: checkpoints.SaveAndResume(x),
    "SaveAndResume every": lambda m, x: checkpoints.SaveAndResume("x.keras", x),
    "load": lambda m, x: datasets.load(x, 16),
    "load two": lambda m, x: datasets.load((x, x), 16),
    **{
        f"load {name}": lambda m, x, name=name: datasets.load(
            "samples/fruit", **{"image_size": 16, "train_count": 2, name: x}
        )
        for name in (
            *("image_size", "batch_size", "seed", "train_count", "test_count"),
            *("unreadable", "cache_megabytes"),
        )
    },
    "Diagnosis": lambda m, x: diagnosis.Diagnosis(x, A),
    "Diagnosis every": lambda m, x: diagnosis.Diagnosis(A, A, x),
    "train model": lambda m, x: distribution.train(x, m.data.train, 1),
    "train dataset": lambda m, x: distribution.train(m.model, x, 1),
    "train steps": lambda m, x: distribution.train(
        m.model, m.data.train, 0 if isinstance(x, int) and x > 0 else x
    ),
    "export_savedmodel": lambda m, x: export.export_savedmodel(x, "exported"),
    "export_savedmodel folder": lambda m, x: export.export_savedmodel(m.same, x),
    "translate_folder generator": lambda m, x: folders.translate_folder(x, "in", "out"),
    "translate_folder source": lambda m, x: folders.translate_folder(m.same, x, "out"),
    "translate_folder target": lambda m, x: folders.translate_folder(
        m.same, "in", x, progress=False
    ),
    "kernel_inception_distance": lambda m, x: metrics.kernel_inception_distance(
        x, FEATURES[0]
    ),
    **{
        f"kernel_inception_distance {name}": lambda m, x, name=name: (
            metrics.kernel_inception_distance(FEATURES[0], FEATURES[1], **{name: x})
        )
        for name in ("subset_size", "seed")
    },
    "paired_error": lambda m, x: metrics.paired_error(x, A),
    "paired_error truth": lambda m, x: metrics.paired_error(A, x),
    "colour_statistics": lambda m, x: metrics.colour_statistics(x),
    "baselines": lambda m, x: metrics.baselines(x, A, A),
    "baselines target": lambda m, x: metrics.baselines(A, A, x),
    "report": lambda m, x: metrics.report(x, A, A),
    "report translated": lambda m, x: metrics.report(A, x, A),
    "report target": lambda m, x: metrics.report(A, A, x, m.features),
    "ImageFeatures": lambda m, x: m.features(x),
    "image_features": lambda m, x: image_features.image_features(
        x if not isinstance(x, str) else "x"
    ),
    "read_image": lambda m, x: images.read_image(x),
    "read_image at_least": lambda m, x: images.read_image("in/a.png", x),
    "find_images": lambda m, x: images.find_images(x),
    "save_image": lambda m, x: images.save_image("x.png", x),
    "save_image path": lambda m, x: images.save_image(x, IMAGE),
    "plan_style transfer": lambda m, x: planner.plan_style(x),
    "plan_style time": lambda m, x: planner.plan_style(m.transfer, x),
    "plan_style memory": lambda m, x: planner.plan_style(m.transfer, memory=x),
    "plan_training model": lambda m, x: plan_training(x, (A, A), 1),
    "plan_training batch": lambda m, x: plan_training(m.model, x, 1, memory="64 kB"),
    "plan_training time": lambda m, x: plan_training(
        m.model, (A, A), 1, time=x, memory="64 kB"
    ),
    "image_row": lambda m, x: plotting.image_row(x),
    "image_grid": lambda m, x: plotting.image_grid(x),
    "image_grid titles": lambda m, x: plotting.image_grid([A], x),
    "image_grid zoom": lambda m, x: plotting.image_grid([A], zoom=x),
    "loss_curves": lambda m, x: plotting.loss_curves(x),
    "bars": lambda m, x: plotting.bars(x, "label"),
    "fruit kind": lambda m, x: samples.fruit(x, 1, 16),
    "fruit seed": lambda m, x: samples.fruit("apple", x, 16),
    "fruit size": lambda m, x: samples.fruit("apple", 1, x),
    "landscape kind": lambda m, x: samples.landscape(x, 1, 16),
    "photograph size": lambda m, x: samples.photograph(x),
    "load_pytorch_generator": lambda m, x: gan_style.load_pytorch_generator(x),
}


SAYS = re.compile(
    r"(has|have) to |expected|[Pp]ass|[Gg]ive|[Cc]heck|needs|[Cc]hoose|"
    r"[Ss]ave it|[Tt]ake|call compile|at most|one mask|must be|Look|Missing"
)


@pytest.mark.parametrize("name", CALLS)
def test_anything_gives_a_result_or_is_refused_in_words(made, home, name):
    @settings(
        max_examples=10 * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(ODD)
    def check(value):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                CALLS[name](made, value)
            except ValueError as error:
                assert type(error).__module__ in ("builtins", *MODULES), repr(error)
                assert SAYS.search(str(error)), f"{error!r} for {value!r}"

    check()


MODULES = [
    f"gan_style.{name}"
    for name in (*("utils.images", "utils.files", "utils.download", "hardware.memory"),)
]


# --- What an ordinary user passes: every form of one image is that image.


def torch_tensor(array):
    return pytest.importorskip("torch").from_numpy(np.array(array))


LAYOUTS = {
    "contiguous": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "every second pixel": lambda x: np.repeat(np.repeat(x, 2, 0), 2, 1)[::2, ::2],
    "turned round twice": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "channels moved": lambda x: np.moveaxis(np.moveaxis(x, -1, 0).copy(), 0, -1),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "TensorFlow": tf.constant,
    "PyTorch": torch_tensor,
}
FILES = {
    "PIL": Image.fromarray,
    "PIL with alpha": lambda x: Image.fromarray(x).convert("RGBA"),
    "str": lambda x: str(images.save_image("form.png", x)),
    "Path": lambda x: images.save_image("form.png", x),
}
FLOATS = ["float16", "float32", "float64"]


def unit(x):
    """uint8 as float in [-1, 1]."""
    return x / 127.5 - 1


@pytest.mark.parametrize("form", [*LAYOUTS, *FILES])
class TestFormsOfAImage:
    @pytest.fixture
    def given(self, form, home):
        return {**LAYOUTS, **FILES}[form](IMAGE)

    def test_translate(self, made, given):
        for wrapped in (given, [given]):
            result = np.squeeze(made.model.translate(wrapped))
            np.testing.assert_array_equal(result, made.model.translate(IMAGE))

    def test_style_transfer(self, made, given):
        for styles in (given, [given]):
            transfer = made.style(given, styles)
            np.testing.assert_array_equal(transfer.content, IMAGE)
            np.testing.assert_array_equal(transfer.styles[0], IMAGE)
        got, wanted = map(made.transfer.loss_and_gradient, (given, IMAGE))
        assert got[0] == wanted[0]
        np.testing.assert_array_equal(got[1], wanted[1])

    def test_a_start(self, made, given):
        np.testing.assert_array_equal(made.transfer.start(given, 16)[0], IMAGE)


@pytest.mark.parametrize("form", LAYOUTS)
class TestFormsOfImages:
    @pytest.fixture
    def given(self, form):
        return LAYOUTS[form](IMAGES)

    def test_metrics(self, made, given):
        statistics = np.stack(metrics.colour_statistics(IMAGES))
        for wrapped in (given, list(given)):
            assert metrics.paired_error(wrapped, IMAGES) == 0
            got = np.stack(metrics.colour_statistics(wrapped))
            np.testing.assert_array_equal(got, statistics)
            np.testing.assert_array_equal(made.features(wrapped), made.features(IMAGES))
            shifted = metrics.baselines(wrapped, IMAGES, IMAGES)
            np.testing.assert_array_equal(shifted["do nothing"], IMAGES)

    def test_figures(self, given):
        def drawn(images):
            return plotting.rendered(plotting.image_row(images))

        np.testing.assert_array_equal(drawn(given), drawn(IMAGES))
        np.testing.assert_array_equal(drawn(list(given)), drawn(IMAGES))

    def test_callbacks_and_diagnosis(self, given):
        grid = callbacks.TranslationGrid(given, list(given))
        np.testing.assert_array_equal(grid.test_a, IMAGES)
        np.testing.assert_array_equal(grid.test_b, IMAGES)
        found = diagnosis.Diagnosis(given, IMAGES).test["ab"]
        np.testing.assert_array_equal(found, IMAGES)
        assert diagnosis.diversity_ratio(given, IMAGES) == pytest.approx(1)

    def test_saving(self, home, given):
        path = images.save_image("saved.png", given[0])
        np.testing.assert_array_equal(images.read_image(path), IMAGE)

    def test_translate(self, made, given):
        np.testing.assert_array_equal(
            made.model.translate(given), made.model.translate(IMAGES)
        )


@pytest.mark.parametrize("dtype", FLOATS)
class TestFloats:
    def test_in_one_range(self, made, dtype):
        floats = unit(IMAGES).astype(dtype)
        within = 0.2 if dtype == "float16" else 1e-3  # levels
        assert metrics.paired_error(floats, IMAGES) < within
        assert made.features(floats) == pytest.approx(made.features(IMAGES), abs=within)
        translated = made.same(floats.astype("float32"))
        result = translation.translate(made.same, floats)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, translated)

    def test_in_the_other(self, made, dtype):
        content = IMAGE.astype(dtype)
        np.testing.assert_array_equal(made.style(content=content).content, IMAGE)
        with pytest.raises(ValueError, match="Multiply by 255"):
            made.style(content=IMAGE / 255)
        with pytest.raises(ValueError, match=r"must be .* \[0, 255\]"):
            made.style(content=unit(IMAGE))

    def test_the_other_range_is_refused(self, made, dtype):
        floats = IMAGES.astype(dtype)
        for call in (
            *(made.model.translate, metrics.colour_statistics, made.features),
            plotting.image_row,
        ):
            with pytest.raises(ValueError, match=r"\[-1, 1\]"):
                call(floats)

    def test_losses_of_activations(self, dtype):
        base = FEATURES.astype(dtype)
        within = {"rel": 1e-2 if dtype == "float16" else 1e-5}
        for loss in (gan_style.content_loss, gan_style.style_loss):
            wanted = float(loss(FEATURES, FEATURES[::-1].copy()))
            got = float(loss(base, FEATURES[::-1].copy()))
            assert got == pytest.approx(wanted, abs=1e-8, **within)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "bool"])
def test_losses_count_whole_numbers_as_numbers(dtype):
    whole = np.random.default_rng(0).integers(0, 2, (5, 6, 3))
    whole = (whole if dtype == "bool" else whole * 100).astype(dtype)
    floats, other = whole.astype("float32"), FEATURES[:3, :3]
    other = np.repeat(other, 3, -1)[..., :3]
    for loss in (
        gan_style.total_variation_loss,
        gan_style.gram_matrix,
        lambda x: gan_style.style_loss(x, other),
        lambda x: gan_style.style_loss(other, x),
        lambda x: gan_style.content_loss(x, floats[::-1].copy()),
    ):
        np.testing.assert_allclose(loss(whole), loss(floats))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64, np.uint64])
def test_numpy_s_whole_numbers_are_whole_numbers(made, kind):
    data = datasets.load(
        "samples/fruit", kind(16), kind(2), kind(3), train_count=kind(3)
    )
    plain = datasets.load("samples/fruit", 16, 2, 3, train_count=3)
    for got, wanted in zip(
        next(iter(data.train)), next(iter(plain.train)), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(
        samples.fruit("apple", kind(7), kind(64)), samples.fruit("apple", 7, 64)
    )
    shape = (kind(16), kind(16), kind(3))
    assert models.unet_generator(shape, kind(2)).output_shape == (None, 16, 16, 3)
    big = np.zeros((200, 200, 3), "uint8")
    result = translation.translate(made.same, big, kind(96), kind(24))
    np.testing.assert_array_equal(result, big)


@pytest.mark.parametrize("form", ["bool", "uint8", "float64", "grey image", "path"])
def test_masks(made, home, form):
    mask = np.random.default_rng(0).random((16, 16)) < 0.5
    grey = np.repeat(mask[..., None] * np.uint8(255), 3, -1)
    given = {
        "bool": mask,
        "uint8": grey[..., 0],
        "float64": mask.astype("float64"),
        "grey image": Image.fromarray(grey),
        "path": str(images.save_image("mask.png", grey)),
    }[form]
    for masks in ([given], np.asarray([mask])):
        np.testing.assert_array_equal(made.style(masks=masks).masks[0][..., 0], mask)
