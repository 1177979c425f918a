"""State dicts of the authors' networks without PyTorch: loaded, or refused."""

import numpy as np
import pytest

from gan_style import load_pytorch_generator


def state(channels_in=3, channels_out=3, filters=2):
    """A network without residual blocks."""
    f = filters
    shapes = {
        "model.1": (f, channels_in, 7, 7),
        "model.4": (2 * f, f, 3, 3),
        "model.7": (4 * f, 2 * f, 3, 3),
        "model.10": (4 * f, 2 * f, 3, 3),
        "model.13": (2 * f, f, 3, 3),
        "model.17": (channels_out, f, 7, 7),
    }
    arrays = {f"{name}.weight": np.ones(shape) for name, shape in shapes.items()}
    return arrays | {"model.17.bias": np.zeros(channels_out)}


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_as_many_channels_out_as_in(channels):
    model = load_pytorch_generator(state(channels, channels))
    assert model.input_shape == model.output_shape == (None, None, None, channels)


@pytest.mark.parametrize(("inside", "outside"), [(1, 3), (3, 1), (6, 3)])
def test_other_channels_out_than_in_are_refused(inside, outside):
    message = rf"model\.17\.weight .*\({outside}, .*\({inside}, .*as many channels out"
    with pytest.raises(ValueError, match=message):
        load_pytorch_generator(state(inside, outside))


def test_other_errors_in_the_last_layer_keep_their_name():
    wrong = state() | {"model.17.weight": np.ones((3, 9, 7, 7))}
    with pytest.raises(ValueError, match=r"model\.17\.weight .*\(3, 9, 7, 7\), but"):
        load_pytorch_generator(wrong)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match=f"path is '{tmp_path}/it.pth', but must be"):
        load_pytorch_generator("~/it.pth")
