"""Which sizes a generator accepts, found by trying."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers

from gan_style.inference.translation import compile_for_any_size
from gan_style.models import (
    patch_discriminator,
    resnet_generator,
    unet_generator,
)


@pytest.mark.parametrize(
    ("generator", "multiple", "minimum"),
    [
        (lambda: unet_generator((128, 128, 3), 2), 16, 16),
        (lambda: unet_generator((None, None, 1), 2), 16, 16),
        (lambda: resnet_generator((64, 32, 3), 2, 1), 4, 8),
        (lambda: resnet_generator((None, None, 3), 2, 1, layout="pytorch"), 4, 8),
    ],
)
def test_the_networks_of_the_papers(generator, multiple, minimum):
    model = generator()
    network = compile_for_any_size(model)
    assert (network.multiple, network.minimum) == (multiple, minimum)
    assert network.channels == model.input_shape[-1]
    shape = (1, 2 * multiple, 3 * multiple, network.channels)
    assert network.run(np.zeros(shape, "float32")).shape == shape


@pytest.mark.parametrize(("factor", "multiple"), [(1, 1), (3, 3), (5, 5), (6, 6)])
def test_unusual_multiples_are_found(factor, multiple):
    images = keras.Input((30, 30, 2))
    x = layers.UpSampling2D(factor)(layers.AveragePooling2D(factor)(images))
    assert compile_for_any_size(keras.Model(images, x))[1:] == (multiple, multiple, 2)


def test_the_answer_is_kept_and_goes_with_the_generator():
    model = resnet_generator((16, 16, 3), 2, 1)
    assert compile_for_any_size(model) is compile_for_any_size(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_all_sizes_are_compiled_once():
    model = resnet_generator((16, 16, 3), 2, 1)
    network = compile_for_any_size(model)
    for side in (8, 12, 16):
        network.run(np.zeros((1, side, side + 4, 3), "float32"))
    assert network.run.experimental_get_tracing_count() == 1


def test_behaviour_of_training_is_left_out():
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, layers.Dropout(0.9)(images))
    x = np.ones((1, 8, 8, 3), "float32")
    np.testing.assert_array_equal(compile_for_any_size(model).run(x), x)


def test_results_are_float32_under_mixed_precision(policy):
    policy("mixed_bfloat16")
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, layers.Conv2D(3, 1)(images))
    assert model.output.dtype == "bfloat16"
    network = compile_for_any_size(model)
    assert network.run(np.zeros((1, 4, 4, 3), "float32")).dtype == "float32"


def test_fit_gives_the_next_size_that_is_accepted():
    network = compile_for_any_size(resnet_generator((16, 16, 3), 2, 1))
    assert [network.fit(side) for side in (1, 8, 9, 12)] == [8, 8, 12, 12]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: patch_discriminator((16, 16, 3), 2),
            "changes the size",
        ),
        (lambda: keras.Sequential([layers.Dense(3)]), "built keras.Model"),
        (
            lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3)]),
            r"\(None, 4\)",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((8, 8, None)), layers.Activation("tanh")]
            ),
            "the channels fixed",
        ),
        (lambda: "generator", "built keras.Model"),
    ],
)
def test_other_networks_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        compile_for_any_size(model())
