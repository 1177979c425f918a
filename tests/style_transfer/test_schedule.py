"""The scales and steps of a run by default."""

import pytest

from gan_style.style_transfer import default_scales, default_steps


@pytest.mark.parametrize("size", [64, 100, 384, 512, 2048])
def test_scales_grow_by_about_the_same_to_the_size(size):
    scales = default_scales(size)
    assert scales[-1] == size and scales == sorted(scales)
    ratios = [b / a for a, b in zip(scales, scales[1:], strict=False)]
    assert all(1.3 < ratio < 1.55 for ratio in ratios)
    assert len(default_steps(scales)) == len(scales)
