"""Figures: crisp images, no global state, words that say what is shown."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from gan_style import samples
from gan_style.evaluation import plotting


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), "uint8")


def blocks(image, zoom):
    return image.repeat(zoom, 0).repeat(zoom, 1)


def contains(image, part):
    height, width = part.shape[:2]
    corners = np.argwhere((image == part[0, 0]).all(-1))
    return any(
        np.array_equal(image[y : y + height, x : x + width], part) for y, x in corners
    )


@pytest.mark.parametrize("zoom", [1, 2, 5])
def test_shows_every_pixel_as_a_block(images, zoom):
    shown = plotting.rendered(
        plotting.image_grid(
            [images[:2], images[2:]],
            titles=["left", "right"],
            row_titles=["above", "below"],
            title="all",
            zoom=zoom,
        )
    )
    for image in images:
        assert contains(shown, blocks(image, zoom))


def test_is_exact_at_sizes_that_are_not_hundredths_of_an_inch():
    # 1.16 inches of 100 pixels are 115.99999999999999, and 1.1 are 110.00000000000001.
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 170, 3), "uint8")
    for width in range(90, 170, 2):
        shown = plotting.rendered(plotting.image_row(images[:, :, :width], zoom=1))
        assert shown.shape == (20, 2 * width + 18, 3)
        for place, image in zip((6, width + 12), images, strict=True):
            part = shown[6:14, place : place + width]
            np.testing.assert_array_equal(part, image[:, :width])


def test_a_notebook_shows_the_same_pixels_as_the_file(images):
    # With pyplot loaded, IPython draws figures its own way, and cuts their margins.
    from IPython.core.pylabtools import print_figure

    figure = plotting.image_row(images, zoom=3)
    png = print_figure(figure, fmt="png", base64=False)
    theirs = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    for image in images:
        assert contains(theirs, blocks(image, 3))


def test_a_notebook_keeps_images_small_and_true():
    photographs = [samples.fruit("apple", seed) for seed in range(3)]
    figure = plotting.image_row(photographs, zoom=1)
    jpeg, _ = figure._repr_jpeg_()
    shown = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    exact = plotting.rendered(figure)
    assert np.abs(shown - exact).mean() < 3
    png = io.BytesIO()
    Image.fromarray(exact).save(png, "png")
    assert figure._repr_png_() is None and 3 * len(jpeg) < len(png.getvalue())


def test_says_in_words_what_a_figure_shows(images):
    row = plotting.image_row(images[:2], titles=["before", "after"], title="Pears")
    assert row._repr_jpeg_()[1] == {"alt": "Pears; before; after"}
    curves = plotting.loss_curves({"validity_ab": [0.9, 0.5]})
    assert curves._repr_png_()[1] == {"alt": "Validity: does it pass for real?"}
    curves.alt = "A falling curve"
    assert curves._repr_png_()[1] == {"alt": "A falling curve"}


def test_takes_floats_as_the_networks_give_them(images):
    floats = images / np.float32(127.5) - np.float32(1)
    shown = plotting.rendered(plotting.image_row(floats, zoom=1))
    assert contains(shown, images[0])


def test_fits_into_a_notebook_by_default(images):
    for count in (1, 4, 20):
        row = plotting.image_row(np.resize(images, (count, 16, 16, 3)))
        width = row.get_size_inches()[0] * row.dpi
        assert 600 < width <= plotting.WIDTH


def test_shows_small_maps_as_large_as_the_images(images):
    answers = np.zeros((4, 4, 1))
    answers[1, 2] = 1
    figure = plotting.image_row([images[0], answers], zoom=2, map_range=(0, 1))
    image = plotting.rendered(figure)
    bright = (image == image[-10, -10]).all(-1)  # the map's darkest colour
    assert bright.sum() == 32 * 32 * 15 / 16


@pytest.mark.parametrize("form", ["uint8", "float", "without channels", "PIL"])
def test_grey_images_are_grey(images, form):
    grey = images[0, ..., :1]
    given = {
        "uint8": grey,
        "float": grey / np.float32(127.5) - 1,
        "without channels": grey[..., 0],
        "PIL": Image.fromarray(grey[..., 0]),
    }[form]
    shown = plotting.rendered(plotting.image_row([given], zoom=2))
    assert contains(shown, blocks(grey.repeat(3, -1), 2))


def test_maps_are_in_colours(images):
    grey = images[0, ..., :1]
    floats = grey / np.float32(255)
    for row, options in (
        ([grey], {"map_range": (0, 255)}),
        ([floats], {"map_range": (0, 1)}),
        ([floats[..., 0]], {}),
        ([9 * floats], {}),
        ([grey.astype(int)], {}),
        ([grey[..., 0] > 99], {}),
    ):
        shown = plotting.rendered(plotting.image_row(row, zoom=1, **options))
        assert np.ptp(shown.astype(int), axis=-1).max() > 50


def test_transparent_parts_are_white_and_palettes_are_looked_up(images):
    see_through = np.concatenate([images[0], np.zeros((16, 16, 1), "uint8")], -1)
    for given in (see_through, Image.fromarray(see_through)):
        shown = plotting.rendered(plotting.image_row([given], zoom=1))
        assert (shown == 255).all()
    palette = Image.fromarray(images[0]).convert("P")
    shown = plotting.rendered(plotting.image_row([palette], zoom=1))
    assert contains(shown, np.asarray(palette.convert("RGB")))


def test_a_single_image_is_a_grid_of_one(images):
    wanted = plotting.rendered(plotting.image_row(images[:1]))
    for drawn in (
        plotting.image_row(images[0]),
        plotting.image_grid(images[0]),
        plotting.image_grid([images[0]]),
        plotting.image_grid(images[:1]),
        plotting.image_row(Image.fromarray(images[0])),
    ):
        np.testing.assert_array_equal(plotting.rendered(drawn), wanted)
    column = plotting.rendered(plotting.image_grid(images, zoom=1))
    assert column.shape[0] > 4 * 16 and all(contains(column, x) for x in images)
    maps = plotting.image_row(np.zeros((3, 4, 4)), zoom=1)
    assert len(maps.axes) == 3


def test_titles_appear(images):
    def ink(**titles):
        return (plotting.rendered(plotting.image_row(images, **titles)) < 99).sum()

    assert ink(titles=list("wwww")) > ink()
    assert ink(title="www") > ink()


def test_works_without_a_screen_and_leaves_pyplot_alone():
    code = (
        "import sys, numpy as np\n"
        "from gan_style.evaluation import plotting\n"
        "figure = plotting.image_row(np.zeros((2, 16, 16, 3), 'uint8'))\n"
        "plotting.rendered(plotting.loss_curves({'validity_ab': [1.0]}))\n"
        "assert figure._repr_jpeg_()[0].startswith(b'\\xff\\xd8')\n"
        "import matplotlib.pyplot as plt\n"
        "assert plt.get_fignums() == []\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={"PATH": "", "MPLBACKEND": "TkAgg", "PYTHONPATH": ":".join(sys.path)},
    )


@pytest.fixture
def viewer(monkeypatch):
    """What the system's viewer was given, on Linux with a screen."""
    shown = []
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("PIL.ImageShow.show", lambda x: shown.append(x) or True)
    return shown


def test_a_script_shows_figures_in_the_systems_viewer(images, viewer):
    figure = plotting.image_row(images)
    figure.show()
    np.testing.assert_array_equal(viewer[0], plotting.rendered(figure))


def test_a_script_without_a_screen_says_what_to_do(images, viewer, monkeypatch):
    monkeypatch.delenv("DISPLAY")
    with pytest.warns(UserWarning, match=r"no screen.*savefig\('figure.png'\)"):
        plotting.bars({"a": 1}, "b").show()
    assert not viewer
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plotting.image_row(images).show(warn=False)


def test_a_notebook_shows_figures_below_the_cell(images, viewer, monkeypatch):
    shown = []
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr("IPython.display.display", shown.append)
    figure = plotting.image_row(images)
    figure.show()
    assert shown == [figure] and not viewer


def history(*without):
    names = [
        f"{kind}_{side}"
        for kind, sides in (
            ("validity", ("ab", "ba")),
            ("reconstruction", "ab"),
            ("identity", "ab"),
            ("discriminator", "ab"),
        )
        for side in sides
        if kind not in without
    ]
    return {name: [3.0 + place, 1.0 + place] for place, name in enumerate(names)}


def test_every_loss_is_drawn_under_its_own_label():
    losses = history()
    figure = plotting.loss_curves(losses, ("apples", "oranges"))
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    assert len(figure.axes) == 4
    assert len({line.get_label() for line in lines}) == len(lines) == 8
    drawn = sorted(tuple(line.get_ydata()) for line in lines)
    assert drawn == sorted(map(tuple, losses.values()))
    for axes in figure.axes:
        assert axes.get_xlabel() == "epoch"
        assert "difference" in axes.get_ylabel()
        assert axes.get_legend() is not None


def test_the_curve_of_a_direction_has_its_name():
    figure = plotting.loss_curves(history(), ("apples", "oranges"))
    validity, _, identity, discriminator = figure.axes
    values = {line.get_label(): line.get_ydata()[0] for line in validity.get_lines()}
    assert values == {"apples to oranges": 3.0, "oranges to apples": 4.0}
    # identity_b is what the generator from A to B makes of b.
    values = {line.get_label(): line.get_ydata()[0] for line in identity.get_lines()}
    assert values["apples to oranges, given oranges"] == history()["identity_b"][0]
    values = {
        line.get_label(): line.get_ydata()[0] for line in discriminator.get_lines()
    }
    assert values["discriminator of oranges"] == history()["discriminator_b"][0]


def test_losses_that_were_not_used_get_no_panel():
    titles = [
        axes.get_title() for axes in plotting.loss_curves(history("identity")).axes
    ]
    assert len(titles) == 3
    assert not any("Identity" in title for title in titles)


def test_epochs_without_a_loss_leave_no_gap():
    known, unknown = [0.9, 0.5, 0.4], [float("nan")] * 3
    # As of a validation every second epoch: single points would be invisible.
    mixed = [number for pair in zip(unknown, known, strict=True) for number in pair]
    losses = {"epoch": range(4, 10), "validity_ab": mixed, "validity_ba": unknown * 2}
    figure = plotting.loss_curves(losses)
    drawn, empty = figure.axes[0].get_lines()
    assert drawn.get_xdata().tolist() == [5, 7, 9]
    assert drawn.get_ydata().tolist() == known
    assert len(empty.get_xdata()) == 0
    whole = plotting.loss_curves(
        {"epoch": [5, 7, 9], "validity_ab": known, "validity_ba": unknown}
    )
    np.testing.assert_array_equal(plotting.rendered(figure), plotting.rendered(whole))
    first = plotting.loss_curves({"validity_ab": [float("nan"), 0.5]})
    assert first.axes[0].get_lines()[0].get_marker() == "o"


def test_bars_carry_their_numbers():
    figure = plotting.bars(
        {"do nothing": 21.04, "translated": np.float32(7)}, "error", "Errors"
    )
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["21.0", "7.0"]
    assert figure.axes[0].get_xlabel() == "error"


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "count of rows is 0"),
        ([[]], {}, "count of the longest row is 0"),
        ([[], 5], {}, "a row is 5"),
        (
            [np.zeros((2, 8, 8, 3), "uint8")],
            {"titles": ["one"]},
            "count of titles is 1",
        ),
        (
            [np.zeros((2, 8, 8, 3), "uint8")],
            {"row_titles": []},
            "count of row_titles is 0",
        ),
        ([np.zeros((1, 8, 8, 3), "uint8")], {"zoom": 0.5}, "zoom is 0.5"),
        ([np.zeros((1, 8, 8, 2), "uint8")], {}, r"\(8, 8, 2\)"),
        ([[np.zeros(8, "uint8")]], {}, r"\(8,\)"),
        ([["x.png"]], {}, "an image is 'x.png'"),
        ([np.zeros((1, 8, 8, 3), "int64")], {}, "int64"),
        ([np.full((1, 8, 8, 3), 255.0)], {}, "255"),
        ([np.full((1, 8, 8, 3), np.nan)], {}, "nan"),
    ],
)
def test_says_what_it_cannot_show(rows, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.image_grid(rows, **options)


def test_says_when_there_are_no_losses():
    with pytest.raises(ValueError, match="'epoch'"):
        plotting.loss_curves({"epoch": [1]})
    with pytest.raises(ValueError, match="values is {}"):
        plotting.bars({}, "error")


def test_keras_history_with_rare_validation_is_drawn():
    losses = {"x": [4.0, 3.0, 2.0, 1.0], "val_x": [2.0, 1.0], "epoch": [1, 2, 3, 4]}
    assert len(plotting.loss_curves(losses).axes[0].lines) == 2
