"""The loss and its gradient: right, and the same whole or in tiles."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_style.style_transfer.losses import (
    content_loss,
    style_loss,
    total_variation_loss,
)
from gan_style.style_transfer.objective import StyleObjective
from gan_style.style_transfer.transfer import StyleTransfer

LAYERS = {"content_layers": ["relu3_1"], "style_layers": ["relu1_1", "relu2_2"]}


def random_images(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(0, 255, (*shape, 3)) for shape in shapes]


def transfer(shape=(45, 61), dtype="float64", seed=0, **options):
    """A StyleTransfer of random images on random features, and a third start."""
    keras.utils.set_random_seed(seed)
    content, style, image = random_images(shape, (40, 52), shape, seed=seed)
    options = {**LAYERS, **options}
    features = {"weights": None, "dtype": dtype, **options.pop("features", {})}
    made = StyleTransfer(
        content.astype(dtype), [style.astype(dtype)], features=features, **options
    )
    return made, image.astype(dtype)


def difference(got, expected):
    """The largest difference, relative to the largest value."""
    return np.abs(got - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(
    ("dtype", "pooling", "most"),
    [("float64", "average", 1e-9), ("float64", "max", 1e-9), ("float32", "max", 2e-5)],
)
def test_tiles_give_what_the_whole_gives(dtype, pooling, most):
    made, image = transfer(dtype=dtype, features={"pooling": pooling})
    whole, expected = made.loss_and_gradient(image)
    tiled, gradient = made.loss_and_gradient(image, tile_size=24)
    assert difference(gradient, expected) < most
    assert tiled == pytest.approx(whole, rel=most)


@pytest.mark.parametrize(
    ("shape", "padding"),
    [((33, 65), "zero"), ((17, 50), "reflect"), ((7, 63), "reflect")],
)
def test_tiles_are_exact_at_odd_sizes(shape, padding):
    made, image = transfer(shape, features={"padding": padding})
    _, expected = made.loss_and_gradient(image)
    _, gradient = made.loss_and_gradient(image, tile_size=16)
    assert difference(gradient, expected) < 1e-9


def test_tiles_are_exact_under_masks():
    mask = np.linspace(0, 1, 45 * 61).reshape(45, 61)
    keras.utils.set_random_seed(0)
    content, one, other, image = random_images((45, 61), (40, 40), (50, 30), (45, 61))
    made = StyleTransfer(
        content,
        [one, other],
        masks=[mask, 1 - mask],
        features={"weights": None, "dtype": "float64"},
        **LAYERS,
    )
    whole, expected = made.loss_and_gradient(image)
    tiled, gradient = made.loss_and_gradient(image, tile_size=24)
    assert difference(gradient, expected) < 1e-9
    assert tiled == pytest.approx(whole, rel=1e-9)


def test_targets_computed_in_tiles_are_the_same():
    made, image = transfer()
    again, _ = transfer()
    again.objective(None, tile_size=24)
    assert again.loss_and_gradient(image)[0] == pytest.approx(
        made.loss_and_gradient(image)[0], rel=1e-9
    )


def test_the_halo_is_needed():
    made, image = transfer()
    _, expected = made.loss_and_gradient(image)
    made.features.halo -= 2 * 4  # two convolutions of the third block's stride
    _, gradient = made.loss_and_gradient(image, tile_size=24)
    assert difference(gradient, expected) > 1e-6


def test_the_gradient_is_that_of_finite_differences():
    made, image = transfer((24, 30), total_variation_power=1.25)
    image = np.clip(image, 1, 254)
    _, gradient = made.loss_and_gradient(image)
    for seed in range(3):
        direction = np.random.default_rng(seed).normal(size=image.shape)
        ahead, behind = (
            made.loss_and_gradient(image + sign * 1e-4 * direction)[0]["total"]
            for sign in (1, -1)
        )
        slope = (ahead - behind) / 2e-4
        assert slope == pytest.approx((direction * gradient).sum(), rel=1e-5)


@pytest.mark.parametrize("weight", [1e-5, 1.0, 1e3])
def test_small_and_large_gradients_survive_float16(weight):
    # Smaller than float16 can hold, as those of a very large image are, or so large
    # that a scaled loss would overflow.
    weights = dict.fromkeys(("content_weight", "style_weight"), weight)
    weights["total_variation_weight"] = 0.0
    gradients = []
    for dtype in "float32", "mixed_float16":
        made, image = transfer(features={"dtype": dtype}, **weights)
        gradients.append(made.loss_and_gradient(image.astype("float32"))[1].ravel())
    assert np.corrcoef(gradients)[0, 1] > 0.95


def test_the_terms_are_the_published_losses():
    made, image = transfer(
        size=61, content_weight=3.0, style_weight=5.0, total_variation_weight=7.0
    )
    style = made.styles[0]
    # The style is resized to as many pixels as the content has.
    scale = np.sqrt(45 * 61 / (40 * 52))
    shape = [round(side * scale) for side in (40, 52)]
    resized = tf.image.resize(style[None], shape, method="bicubic", antialias=True)
    resized = tf.clip_by_value(tf.cast(resized, "float64"), 0, 255)
    model = made.features.model
    base, painted, out = (
        model(start) for start in (made.content[None], resized, image[None])
    )
    content = content_loss(base["relu3_1"], out["relu3_1"])
    styles = [style_loss(painted[n], out[n]) for n in LAYERS["style_layers"]]
    expected = {
        "content": float(content),
        "style": float(sum(styles)) / 2,
        "total_variation": float(total_variation_loss(image)),
    }
    terms, _ = made.loss_and_gradient(image)
    assert terms == pytest.approx(
        expected
        | {
            "total": 3 * expected["content"]
            + 5 * expected["style"]
            + 7 * expected["total_variation"]
        }
    )


def test_the_gradient_is_pytorchs():
    torch = pytest.importorskip("torch")
    made, image = transfer(
        (36, 44),
        content_weight=3.0,
        style_weight=1e-6,
        total_variation_weight=0.1,
        style_scale=1.0,
        features={"pooling": "average"},
    )
    terms, gradient = made.loss_and_gradient(image)

    convolutions = {
        layer.name: [torch.tensor(x) for x in layer.get_weights()]
        for layer in made.features.model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    mean = torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1).double()
    functional = torch.nn.functional

    def look(x):
        x, seen = x - mean, {}
        for name in ("1_1", "1_2", "pool", "2_1", "2_2", "pool", "3_1"):
            if name == "pool":
                x = functional.avg_pool2d(x, 2)
                continue
            kernel, bias = convolutions[f"block{name[0]}_conv{name[2]}"]
            x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
            kernel = kernel.double().permute(3, 2, 0, 1)
            x = torch.relu(functional.conv2d(x, kernel, bias.double()))
            seen[f"relu{name}"] = x
        return seen

    def planes(start):
        return torch.tensor(start).permute(2, 0, 1)[None]

    pixels = planes(image).requires_grad_(True)
    seen = look(pixels)
    objective = made.objective()
    content = objective.targets.content["relu3_1"].numpy()[0]
    loss = 3.0 * ((seen["relu3_1"] - planes(content)) ** 2).mean()
    for name in LAYERS["style_layers"]:
        flat = seen[name][0].flatten(1)
        gram = flat @ flat.T / flat.shape[1]
        target = torch.tensor(objective.targets.grams[name].numpy()[0])
        loss = loss + 0.5e-6 * ((gram - target) ** 2).sum() / (4 * len(gram) ** 2)
    down, right = pixels.diff(dim=2), pixels.diff(dim=3)
    loss = loss + 0.1 * ((down**2).sum() + (right**2).sum())
    loss.backward()
    assert terms["total"] == pytest.approx(float(loss.detach()), rel=1e-9)
    expected = pixels.grad[0].permute(1, 2, 0).numpy()
    assert difference(gradient, expected) < 1e-9


def test_many_transfers_in_a_row_are_no_reason_to_warn(caplog):
    # What is counted is tracings, so one layer of the network will do.
    layer = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}
    for _ in range(7):
        made, image = transfer((8, 8), features={}, **layer)
        made.loss_and_gradient(image)
        made.loss_and_gradient(image, tile_size=4)
    assert "retracing" not in caplog.text


def test_a_image_of_another_shape_is_refused():
    made, image = transfer((24, 30))
    with pytest.raises(ValueError, match=r"image.*\(20, 30\).*\(24, 30\)"):
        made.loss_and_gradient(image[:20])


@pytest.mark.parametrize("tile_size", [0, -5])
def test_a_tile_has_a_size(tile_size):
    made, image = transfer((24, 30))
    with pytest.raises(ValueError, match="tile_size"):
        made.loss_and_gradient(image, tile_size=tile_size)


def test_a_region_of_zeros_gives_no_nan():
    content, style, image = random_images((24, 30), (20, 20), (24, 30))
    made = StyleTransfer(
        content,
        [style, style],
        masks=[None, np.zeros((5, 5))],
        features={"weights": None},
        **LAYERS,
    )
    terms, gradient = made.loss_and_gradient(image)
    assert np.isfinite(gradient).all() and np.isfinite(list(terms.values())).all()


def hed(seed=0, shape=(32, 48), **options):
    options = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1"], **options}
    features = {"weights": "hed", **options.pop("features", {})}
    images = random_images(shape, (40, 52), shape, seed=seed)
    return StyleTransfer(*images[:2], features=features, **options), images[2]


def test_a_transfer_like_the_last_one_shares_its_network_and_trace(monkeypatch):
    whole, traces = StyleObjective.whole_terms, []

    def counted(self, image):
        traces.append(image.shape)
        return whole(self, image)

    monkeypatch.setattr(StyleObjective, "whole_terms", counted)
    expected = []
    for which in ({"seed": 1, "strength": 0.1}, {"seed": 2, "strength": 0.9}):
        hed(style_layers=["relu1_2"])  # unlike: what comes next has its own network
        made, image = hed(**which)
        expected.append(made.loss_and_gradient(image))
    again, image = hed(seed=1, strength=0.1)
    found = again.loss_and_gradient(image)
    assert again.features is made.features
    assert len(traces) == 2
    assert found[0] == expected[0][0]
    np.testing.assert_array_equal(found[1], expected[0][1])


@pytest.mark.parametrize(
    "other",
    [
        {"style_layers": ["relu1_2"]},
        {"features": {"pooling": "average"}},
        {"features": {"dtype": "mixed_bfloat16"}},
    ],
)
def test_a_transfer_unlike_the_last_one_has_its_own_network(other):
    assert hed(**other)[0].features is not hed()[0].features


def test_random_networks_are_not_shared():
    made, image = transfer(seed=1)
    other, _ = transfer(seed=2)
    assert made.features is not other.features
