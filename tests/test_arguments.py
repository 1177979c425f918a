"""Whatever is passed: a result, or a ValueError that says what to pass."""

import re
import warnings

import keras
import numpy as np
import pytest
from cyclegans import small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import gan_style
from gan_style import (
    callbacks,
    checkpoints,
    datasets,
    diagnosis,
    distribution,
    export,
    folders,
    metrics,
    models,
    picture_features,
    pictures,
    planner,
    plotting,
    samples,
    translation,
)
from gan_style.style_transfer import StyleTransfer, vgg_features

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype="uint8")
PICTURE = PICTURES[0]
FEATURES = np.random.default_rng(1).normal(size=(4, 4, 2)).astype("float32")


def same():
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


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
        self.transfer = StyleTransfer(PICTURE, PICTURE, **self.options)
        self.networks = {
            name: getattr(self.model, name)
            for name in (
                *("generator_ab", "generator_ba"),
                *("discriminator_a", "discriminator_b"),
            )
        }
        self.features = picture_features.PictureFeatures(
            "mean", lambda batch: batch.mean((1, 2))
        )

    def style(self, content=PICTURE, styles=PICTURE, **options):
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
        pictures.save_picture(folder / "in" / "a.png", PICTURE)
        yield folder


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([-(10**12), 2.5, 0.5, -1.0, float("nan"), float("inf"), 1j]),
    st.sampled_from(["", "x", "ab", "/nowhere/x.png", "\0", b"", b"x", "ä" * 300]),
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

A, O = PICTURES, {"verbose": 0}  # noqa: E741
# Name -> call with one argument; what it needs besides is `made`.
CALLS = {
    "translate": lambda m, x: translation.translate(m.same, x),
    "translate generator": lambda m, x: translation.translate(x, PICTURE),
    "translate tile_size": lambda m, x: translation.translate(m.same, PICTURE, x),
    "translate overlap": lambda m, x: translation.translate(m.same, PICTURE, 16, x),
    "translate batch_size": lambda m, x: translation.translate(
        m.same, PICTURE, batch_size=x
    ),
    "CycleGAN.translate": lambda m, x: m.model.translate(x),
    "CycleGAN.translate direction": lambda m, x: m.model.translate(PICTURE, x),
    "StyleTransfer content": lambda m, x: m.style(content=x),
    "StyleTransfer styles": lambda m, x: m.style(styles=x),
    **{
        f"StyleTransfer {name}": lambda m, x, name=name: m.style(**{name: x})
        for name in (
            *("size", "strength", "content_weight", "total_variation_power", "blend"),
            *("masks", "style_scale", "colours", "content_layers", "style_layers"),
            *("tile_size", "seed", "features"),
        )
    },
    "StyleTransfer mask": lambda m, x: m.style(masks=[x]),
    "loss_and_gradient": lambda m, x: m.transfer.loss_and_gradient(x),
    "loss_and_gradient tile_size": lambda m, x: m.transfer.loss_and_gradient(
        PICTURE, x
    ),
    **{
        f"StyleTransfer.run {name}": lambda m, x, name=name: m.run(**{name: x})
        for name in ("steps", "scales", "optimizer", "initial", "branch_from", "memory")
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
    "Diagnosis path": lambda m, x: diagnosis.Diagnosis(A, A, path=x),
    "luminance_correlation": lambda m, x: diagnosis.luminance_correlation(x, A),
    "kept_variation": lambda m, x: diagnosis.kept_variation(A, x),
    "train model": lambda m, x: distribution.train(x, m.data.train, 1),
    "train dataset": lambda m, x: distribution.train(m.model, x, 1),
    "train steps": lambda m, x: distribution.train(
        m.model, m.data.train, 0 if isinstance(x, int) and x > 0 else x
    ),
    "export_keras": lambda m, x: export.export_keras(x, "x.keras"),
    "export_keras path": lambda m, x: export.export_keras(m.same, x),
    "translate_folder generator": lambda m, x: folders.translate_folder(x, "in", "out"),
    "translate_folder source": lambda m, x: folders.translate_folder(m.same, x, "out"),
    "translate_folder target": lambda m, x: folders.translate_folder(
        m.same, "in", x, progress=False
    ),
    "translate_folder kind": lambda m, x: folders.translate_folder(
        m.same, "in", "out", kind=x, progress=False
    ),
    "kernel_inception_distance": lambda m, x: metrics.kernel_inception_distance(
        x, FEATURES[0]
    ),
    **{
        f"kernel_inception_distance {name}": lambda m, x, name=name: (
            metrics.kernel_inception_distance(FEATURES[0], FEATURES[1], **{name: x})
        )
        for name in ("subset_size", "seed", "degree", "gamma", "coef")
    },
    "paired_error": lambda m, x: metrics.paired_error(x, A),
    "paired_error truth": lambda m, x: metrics.paired_error(A, x),
    "colour_statistics": lambda m, x: metrics.colour_statistics(x),
    "baselines": lambda m, x: metrics.baselines(x, A, A),
    "baselines target": lambda m, x: metrics.baselines(A, A, x),
    "report": lambda m, x: metrics.report(x, A, A),
    "report translated": lambda m, x: metrics.report(A, x, A),
    "report target": lambda m, x: metrics.report(A, A, x, m.features),
    "table": lambda m, x: metrics.table(x),
    "PictureFeatures": lambda m, x: m.features(x),
    "picture_features": lambda m, x: picture_features.picture_features(
        x if not isinstance(x, str) else "x"
    ),
    "read_picture": lambda m, x: pictures.read_picture(x),
    "read_picture at_least": lambda m, x: pictures.read_picture("in/a.png", x),
    "read_picture pixel_limit": lambda m, x: pictures.read_picture(
        "in/a.png", pixel_limit=x
    ),
    "check_picture": lambda m, x: pictures.check_picture(x),
    "list_pictures": lambda m, x: pictures.list_pictures(x),
    "save_picture": lambda m, x: pictures.save_picture("x.png", x),
    "save_picture path": lambda m, x: pictures.save_picture(x, PICTURE),
    "plan_style transfer": lambda m, x: planner.plan_style(x),
    "plan_style time": lambda m, x: planner.plan_style(m.transfer, x, costs=Costs),
    "plan_style memory": lambda m, x: planner.plan_style(
        m.transfer, memory=x, costs=Costs
    ),
    "plan_training model": lambda m, x: planner.plan_training(x, (A, A), 1),
    "plan_training batch": lambda m, x: planner.plan_training(
        m.model, x, 1, memory="64 kB"
    ),
    "plan_training time": lambda m, x: planner.plan_training(
        m.model, (A, A), 1, time=x, memory="64 kB"
    ),
    "picture_row": lambda m, x: plotting.picture_row(x),
    "picture_grid": lambda m, x: plotting.picture_grid(x),
    "picture_grid titles": lambda m, x: plotting.picture_grid([A], x),
    "picture_grid zoom": lambda m, x: plotting.picture_grid([A], zoom=x),
    "loss_curves": lambda m, x: plotting.loss_curves(x),
    "bars": lambda m, x: plotting.bars(x, "label"),
    "fruit kind": lambda m, x: samples.fruit(x, 1, 16),
    "fruit seed": lambda m, x: samples.fruit("apple", x, 16),
    "fruit size": lambda m, x: samples.fruit("apple", 1, x),
    "landscape kind": lambda m, x: samples.landscape(x, 1, 16),
    "photograph size": lambda m, x: samples.photograph(x),
    "load_pytorch_generator": lambda m, x: gan_style.load_pytorch_generator(x),
}


class Costs:
    """What `plan_style` would measure."""

    tile_size = None

    @staticmethod
    def seconds(transfer, scales, steps):
        return 1.0


SAYS = re.compile(
    r"has to be|have to be|had to|expected|[Pp]ass|[Gg]ive|[Cc]heck|needs|[Cc]hoose|"
    r"[Ss]ave it|[Tt]ake|call compile|at most|one mask|must be|Look|Expected"
)


@pytest.mark.parametrize("name", CALLS)
def test_anything_gives_a_result_or_is_refused_in_words(made, home, name):
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
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
    f"gan_style.{name}" for name in ("pictures", "downloads", "budgets", "archives")
]
