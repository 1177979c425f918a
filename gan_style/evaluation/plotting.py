"""The few figures that the notebooks and callbacks share.

Images appear pixel by pixel: at a whole-number zoom, unsmoothed. The figures are
made without pyplot, so nothing has to be closed, no global state changes, and they
work where there is no screen. At the end of a notebook cell a figure shows itself.
"""

import collections.abc
import io
import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gan_style.utils.checks import (
    check_array,
    check_int,
    check_list,
    check_number,
    check_sequence,
    summarize,
)

DPI = 100
WIDTH = 900  # pixels that fit beside a notebook's margins
_GAP, _LINE, _SIDE = 6, 22, 22  # pixels: between images, of a title, of a row's title
_TRIFLE = 1e-6  # pixels

# The two directions, told apart by colour and by the kind of line.
_STYLES = (
    {"color": "#d1495b", "linestyle": "-"},
    {"color": "#2e6f95", "linestyle": "--"},
)


class PixelFigure(Figure):
    """A `matplotlib.figure.Figure` that a notebook shows at its exact size."""

    def get_tightbbox(self, renderer=None, bbox_extra_artists=None):
        # Cutting the margins would move the images by fractions of a pixel.
        return self.bbox_inches.frozen()

    def _repr_png_(self):
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=self.dpi)
        return buffer.getvalue()


class ImageFigure(PixelFigure):
    """Images, which a notebook keeps as JPEG: as PNG they fill megabytes."""

    def _repr_png_(self):
        return None

    def _repr_jpeg_(self):
        buffer = io.BytesIO()
        options = {"quality": 88, "subsampling": "4:2:0", "optimize": True}
        self.savefig(buffer, format="jpeg", dpi=self.dpi, pil_kwargs=options)
        return buffer.getvalue()


def image_row(images, titles=None, title=None, zoom=None, map_range=None):
    """Images side by side: `image_grid` with one row.

    >>> image_row(np.zeros((3, 32, 32, 3), "uint8"), titles=["a", "b", "c"], zoom=2)
    <ImageFigure size 216x92 with 3 Axes>
    """
    return image_grid([images], titles, None, title, zoom, map_range)


def image_grid(
    rows, titles=None, row_titles=None, title=None, zoom=None, map_range=None
):
    """Rows of images, crisp, under the titles of their columns.

    Args:
        rows: sequences of images, not all of one length if need be. An image is
            uint8, or float in [-1, 1], `(height, width, 3)`. A map, `(height, width)`
            or `(height, width, 1)`, is drawn in colours from dark to light.
        titles: one for each column, or None.
        row_titles: one for each row, or None.
        title: of the whole, or None.
        zoom: screen pixels for an image's pixel; as many as fit in 900 by default.
            What is smaller than the largest image is shown larger to match.
        map_range: (lowest, highest) of the maps' colours; by default each map's own.

    Returns:
        A figure.

    Raises:
        ValueError: when there is nothing to show, or it is no image.
    """
    owner, what = "image_grid", "images (height, width, 3)"
    check_sequence(owner, "rows", rows, f"rows of {what}")
    rows = [check_sequence(owner, "a row", row, what) for row in rows]
    rows = [[_shown(image) for image in row] for row in rows]
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("image_grid: there are no images; pass at least one.")
    for name, words, count in (
        ("titles", titles, columns),
        ("row_titles", row_titles, len(rows)),
    ):
        if words is not None and len(check_list(owner, name, words, "words")) != count:
            raise ValueError(
                f"image_grid: got {len(words)} {name} for {count} of them; pass one "
                "for each."
            )
    every = [image for row in rows for image in row]
    height, width = (max(image.shape[axis] for image in every) for axis in (0, 1))
    left = _GAP + (_SIDE if row_titles is not None else 0)
    if zoom is None:
        zoom = max(1, ((WIDTH - left) // columns - _GAP) // width)
    zoom = check_int("image_grid", "zoom", zoom)
    height, width = zoom * height, zoom * width
    top = _LINE * sum(part is not None for part in (title, titles)) or _GAP

    size = (
        left + columns * (width + _GAP),
        top + len(rows) * (height + _GAP),
    )
    figure = _figure(*size, kind=ImageFigure)
    if title is not None:
        _text(figure, size, size[0] / 2, _LINE / 2, title, weight="bold")
    for column, words in enumerate(titles if titles is not None else ()):
        middle = left + column * (width + _GAP) + width / 2
        _text(figure, size, middle, top - _LINE / 2, words)
    for number, row in enumerate(rows):
        down = top + number * (height + _GAP)
        if row_titles is not None:
            place = (_SIDE / 2 + 2, down + height / 2)
            _text(figure, size, *place, row_titles[number], rotation=90)
        for column, image in enumerate(row):
            across = left + column * (width + _GAP)
            _place(figure, size, across, down, (height, width), image, map_range)
    return figure


def loss_curves(history, names=("A", "B")):
    """What the networks answered for, epoch by epoch.

    Args:
        history: what `CycleGAN.fit` returns, or its `.history`: a dict of lists.
        names: what the domains A and B hold, such as ("apples", "oranges").

    Returns:
        A figure with a panel each for validity, reconstruction, identity (where it was
        used) and the discriminators.

    Raises:
        ValueError: when the history holds none of CycleGAN's losses.

    >>> loss_curves({"validity_ab": [0.9, 0.5], "validity_ba": [0.8, 0.6]})
    <PixelFigure size 900x300 with 1 Axes>
    """
    losses = getattr(history, "history", history)
    if not isinstance(losses, collections.abc.Mapping):
        raise ValueError(
            f"loss_curves: history is {summarize(history)}, but must be what "
            "CycleGAN.fit returns, or its .history, a dict of lists."
        )
    a, b = names
    to_b, to_a = f"{a} to {b}", f"{b} to {a}"
    squared, absolute = "mean squared difference", "mean absolute difference"
    panels = [
        (title, unit, {key: label for key, label in curves if key in losses})
        for title, unit, curves in (
            (
                "Validity: does it pass for real?",
                f"{squared} to 1",
                [("validity_ab", to_b), ("validity_ba", to_a)],
            ),
            (
                "Reconstruction: does it come back?",
                f"{absolute}\nin [-1, 1]",
                [
                    ("reconstruction_a", f"{a}, there and back"),
                    ("reconstruction_b", f"{b}, there and back"),
                ],
            ),
            (
                "Identity: is it left alone?",
                f"{absolute}\nin [-1, 1]",
                [
                    ("identity_b", f"{to_b}, given {b}"),
                    ("identity_a", f"{to_a}, given {a}"),
                ],
            ),
            (
                "Discriminators: do they tell?",
                f"half the {squared}s",
                [
                    ("discriminator_b", f"judge of {b}"),
                    ("discriminator_a", f"judge of {a}"),
                ],
            ),
        )
    ]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        raise ValueError(
            f"loss_curves: history holds {sorted(losses) or 'nothing'}, but none of "
            "CycleGAN's losses. Pass what CycleGAN.fit returns."
        )
    figure = _figure(WIDTH, 300 * ((len(panels) + 1) // 2), layout="constrained")
    for place, (title, unit, curves) in enumerate(panels, 1):
        axes = figure.add_subplot((len(panels) + 1) // 2, min(2, len(panels)), place)
        for style, (key, label) in zip(_STYLES, curves.items(), strict=False):
            values = losses[key]
            epochs = losses.get("epoch", range(1, len(values) + 1))
            marker = "o" if len(values) < 3 else None
            axes.plot(epochs, values, label=label, marker=marker, **style)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.set_ylim(bottom=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _quiet(axes)
        axes.legend(frameon=False, fontsize=9)
    return figure


def bars(values, label, title=None):
    """A few numbers beside each other, such as a model's error and its baselines'.

    Args:
        values: dict of names and numbers, drawn from top to bottom.
        label: what the numbers are, with their unit.
        title: of the figure, or None.

    Returns:
        A figure.

    >>> bars({"do nothing": 20.0, "translated": 8.0}, "mean error in levels of 255")
    <PixelFigure size 700x154 with 1 Axes>
    """
    if not isinstance(values, dict) or not values:
        got = "empty" if isinstance(values, dict) else summarize(values)
        raise ValueError(f"bars: values are {got}; pass a dict of names and numbers.")
    for name, value in values.items():
        check_number("bars", name, value, minimum=-math.inf)
    height = 70 + 42 * len(values) + (26 if title is not None else 0)
    figure = _figure(700, height, layout="constrained")
    axes = figure.add_subplot()
    names, numbers = list(values), [float(value) for value in values.values()]
    lowest = min(numbers)
    colours = [_STYLES[number > lowest]["color"] for number in numbers]
    drawn = axes.barh(names, numbers, color=colours, height=0.6)
    axes.bar_label(drawn, fmt="%.1f", padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel(label)
    if title is not None:
        axes.set_title(title, fontsize=11)
    _quiet(axes, grid="x")
    axes.tick_params(axis="y", length=0)
    return figure


def rendered(figure):
    """A figure as the image that it is.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    >>> rendered(image_row(np.zeros((1, 16, 16, 3), "uint8"), zoom=1)).shape
    (28, 28, 3)
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _figure(width, height, kind=PixelFigure, **options):
    inches = _inches(width), _inches(height)
    return kind(figsize=inches, dpi=DPI, facecolor="white", **options)


def _inches(pixels):
    # Matplotlib 3.10 rounds down: 1.16 inches of 100 pixels would be 115.
    inches = pixels / DPI
    return inches if inches * DPI >= pixels else math.nextafter(inches, math.inf)


def _text(figure, size, across, down, words, **options):
    figure.text(
        across / size[0],
        1 - down / size[1],
        words,
        ha="center",
        va="center",
        color="black",
        fontsize=10,
        **options,
    )


def _place(figure, size, across, down, cell, image, map_range):
    # A small image, such as a discriminator's answers, fills its place as well.
    own_zoom = max(1, min(cell[0] // image.shape[0], cell[1] // image.shape[1]))
    height, width = own_zoom * image.shape[0], own_zoom * image.shape[1]
    across += (cell[1] - width) // 2
    down += (cell[0] - height) // 2
    # Edges within the pixels' own by a trifle: Matplotlib 3.10 rounds sizes up, and 80
    # pixels, which became 80.00000000000001 on their way there, would be drawn as 81.
    box = np.array([across, size[1] - down - height, width, height], "float64")
    box += _TRIFLE * np.array([1, 1, -2, -2])
    axes = figure.add_axes((box / (*size, *size)).tolist())
    lowest, highest = map_range or (None, None)
    options = {"cmap": "magma", "vmin": lowest, "vmax": highest}
    axes.imshow(image, interpolation="nearest", aspect="auto", **options)
    axes.set_axis_off()


def _quiet(axes, grid="both"):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.25)
    axes.set_axisbelow(True)


def _shown(image):
    image = check_array("image_grid", "an image", image)
    if not image.size:
        raise ValueError(
            f"image_grid: an image's shape is {image.shape}, but it has to have pixels."
        )
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim == 2:
        return image.astype("float32")
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            f"image_grid: an image's shape is {image.shape}, but must be "
            "(height, width, 3), or (height, width) for a map."
        )
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(
            f"image_grid: an image's dtype is {image.dtype}, but must be "
            "uint8, or float in [-1, 1]."
        )
    if not np.abs(image).max(initial=0) <= 1.001:  # also where there is a NaN
        raise ValueError(
            f"image_grid: an image holds floats from {image.min():.4g} to "
            f"{image.max():.4g}, but must be in [-1, 1]. Pass 0 to 255 as "
            "uint8."
        )
    return np.clip(np.rint((image + 1) * 127.5), 0, 255).astype("uint8")
