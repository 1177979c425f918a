"""Tiles cover an image once, and their halos reach far enough."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gan_style.style_transfer.features import plan_tiles

sizes = st.integers(1, 200)


@given(sizes, sizes, st.integers(1, 90), st.integers(0, 40), st.sampled_from([1, 4, 8]))
def test_cores_cover_every_pixel_once(height, width, tile_size, halo, stride):
    count = np.zeros((height, width), int)
    for tile in plan_tiles(height, width, tile_size, halo, stride):
        top, bottom, left, right = tile.core
        count[top:bottom, left:right] += 1
    assert (count == 1).all()


@given(sizes, st.integers(1, 90), st.integers(0, 40), st.sampled_from([1, 4, 8]))
def test_halos_reach_as_far_as_asked_and_start_on_a_cell(size, tile, halo, stride):
    for piece in plan_tiles(size, size, tile, halo, stride):
        (start, stop), (first, last) = piece.core[:2], piece.outer[:2]
        assert first <= max(0, start - halo) and last >= min(size, stop + halo)
        assert first % stride == start % stride == 0


@given(sizes, st.integers(1, 90), st.sampled_from([2, 4, 8]))
def test_cores_cover_every_activation_once(size, tile_size, stride):
    grid = (size // stride, size // stride)
    count = np.zeros(grid, int)
    for tile in plan_tiles(size, size, tile_size, 10, 8):
        inside, whole = tile.core_at(stride, (size, size))
        count[whole[0] : whole[1], whole[2] : whole[3]] += 1
        assert inside[0] >= 0 and inside[1] - inside[0] == whole[1] - whole[0]
    assert (count == 1).all()


def test_pieces_are_of_about_the_same_size():
    columns = [tile.core[2:] for tile in plan_tiles(8, 130, 64, 0, 8)]
    assert columns == [(0, 48), (48, 96), (96, 130)]
