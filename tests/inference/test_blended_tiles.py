"""Where tiles lie, and how they are blended."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_style.inference.translation import blend_tiles, tile_starts


@settings(max_examples=200)
@given(
    multiple=st.sampled_from([1, 4, 16]),
    tile=st.integers(1, 12),
    more=st.integers(0, 60),
    share=st.floats(0, 0.5),
)
def test_tiles_cover_the_side_and_overlap(multiple, tile, more, share):
    tile, size = tile * multiple, (tile + more) * multiple
    overlap = int(share * tile)
    starts = tile_starts(size, tile, overlap, multiple)
    assert starts[0] == 0 and starts[-1] == size - tile
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert all(start % multiple == 0 for start in starts)
    # Rounding to the multiple may take at most that from the overlap.
    assert (steps <= tile - overlap).all() or multiple > 1
    assert (steps <= tile).all()


def test_a_short_side_takes_one_tile():
    assert tile_starts(10, 16, 4) == [0]
    assert tile_starts(16, 16, 8) == [0]
    assert tile_starts(17, 16, 8) == [0, 1]


def test_constant_tiles_blend_smoothly_and_monotonously():
    def translate_tiles(places):
        for _, columns in places:
            yield np.full((8, 16, 1), float(columns.start > 0), "float32")

    got = blend_tiles(8, 24, 16, 8, 1, translate_tiles)[0, :, 0]
    assert (got[:8] == 0).all() and (got[16:] == 1).all()
    steps = np.diff(got[7:17])
    assert (steps >= 0).all() and steps.max() < 0.25
    # A raised cosine and its mirror image share evenly.
    np.testing.assert_allclose(got[8:16] + got[8:16][::-1], 1, atol=1e-6)


@pytest.mark.parametrize("overlap", [0, 1, 5, 8])
def test_every_pixel_is_a_mean_of_its_tiles(overlap):
    image = np.random.default_rng(0).normal(size=(40, 23, 2)).astype("float32")

    def translate_tiles(places):
        return (image[place] for place in places)

    got = blend_tiles(40, 23, 16, overlap, 1, translate_tiles)
    np.testing.assert_allclose(got, image, atol=1e-6)
    assert got.dtype == np.float32
