"""The conventions of others' losses, against numbers computed by hand."""

import numpy as np
import pytest

from gan_style.style_transfer.losses import content_loss, style_loss
from gan_style.style_transfer.recipes import CONVENTIONS, convert_weights

# One layer of 2 x 3 positions and 2 channels, of a 4 x 6 image. G_style is zero and
# the activations are ones: D = sum of dG^2 = 4 entries of 6^2 = 144.
SHAPE, IMAGE, D = (2, 3, 2), (4, 6), 144.0
BY_HAND = {  # the style loss, and the content loss, as each convention has them
    "gatys": (D / (4 * 4 * 36), 12 / 2),
    "neural_style": (D / (16 * 36), 1.0),
    "tensorflow": (D / (4 * 36), 1.0),
    "keras": (D / (4 * 9 * 24**2), 12.0),
}


@pytest.mark.parametrize("source", sorted(CONVENTIONS))
def test_converted_weights_weigh_the_same(source):
    ones = np.ones(SHAPE)
    ours = style_loss(np.zeros(SHAPE), ones), content_loss(np.zeros(SHAPE), ones)
    content, style = convert_weights(7.0, 3.0, source, SHAPE, {"a": SHAPE}, IMAGE)
    assert style["a"] * float(ours[0]) == pytest.approx(3 * BY_HAND[source][0])
    assert content * float(ours[1]) == pytest.approx(7 * BY_HAND[source][1])


@pytest.mark.parametrize("source", ["tensorflow", "keras"])
def test_means_over_layers_divide_by_their_number(source):
    one = convert_weights(1, 1.0, source, SHAPE, {"a": SHAPE}, IMAGE)[1]["a"]
    both = convert_weights(1, 1.0, source, SHAPE, {"a": SHAPE, "b": SHAPE}, IMAGE)
    assert both[1] == pytest.approx({"a": one / 2, "b": one / 2})


def test_conversion_names_what_it_does_not_know():
    with pytest.raises(ValueError, match="convert_weights: source is 'torch'.*keras"):
        convert_weights(1, 1, "torch", SHAPE, {"a": SHAPE}, IMAGE)
    with pytest.raises(ValueError, match="convert_weights: style_weight .*'b'.*'a'"):
        convert_weights(1, {"b": 1}, "keras", SHAPE, {"a": SHAPE}, IMAGE)
