"""The figures that the notebooks and callbacks share.

Images appear pixel by pixel: at an integer zoom, unsmoothed. Without pyplot, figures
change no global state and need no screen. At the end of a notebook cell they appear.
"""

import io
import math
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gan_style.evaluation.metrics import check_count, image_levels
from gan_style.utils import checks
from gan_style.utils.images import to_uint8

DPI = 100
WIDTH = 900  # pixels that fit beside a notebook's margins
_GAP, _LINE, _SIDE = 6, 22, 22  # pixels: between images, of a title, of a row's title
_COLOURS = ("#d1495b", "#2e6f95")
_TITLES = {
    "validity": "Validity: does it pass for real?",
    "reconstruction": "Reconstruction: does it come back?",
    "identity": "Identity: is it left alone?",
    "discriminator": "Discriminators: do they tell?",
}
_SQUARED = {  # the other losses are absolute
    "validity": "mean squared difference to 1",
    "discriminator": "half the mean squared differences",
}


class PixelFigure(Figure):
    """A `matplotlib.figure.Figure` that a notebook shows at its exact size."""

    def get_tightbbox(self, renderer=None, bbox_extra_artists=None):
        # Cutting the margins would move the images by fractions of a pixel.
        return self.bbox_inches.frozen()

    def _repr_png_(self):
        return self._encoded(format="png")

    def _encoded(self, **options):
        buffer = io.BytesIO()
        self.savefig(buffer, dpi=self.dpi, **options)
        return buffer.getvalue()


class ImageFigure(PixelFigure):
    """A figure of images, which a notebook keeps as JPEG: PNG fills megabytes."""

    def _repr_png_(self):
        return None

    def _repr_jpeg_(self):
        options = {"quality": 88, "subsampling": "4:2:0", "optimize": True}
        return self._encoded(format="jpeg", pil_kwargs=options)


def image_row(images, titles=None, title=None, zoom=None, map_range=None):
    """Draw images side by side: `image_grid` with one row.

    >>> image_row(np.zeros((3, 32, 32, 3), "uint8"), titles=["a", "b", "c"], zoom=2)
    <ImageFigure size 216x92 with 3 Axes>
    """
    return image_grid([images], titles, None, title, zoom, map_range)


def image_grid(
    rows, titles=None, row_titles=None, title=None, zoom=None, map_range=None
):
    """Draw rows of images, crisp, under the titles of their columns.

    Args:
        rows: sequences of images; they may differ in length. An image is uint8, or
            float in [-1, 1], `(height, width, 3)`. A map, `(height, width)` or
            `(height, width, 1)`, is drawn in colours from dark to light.
        titles, row_titles: one for each column or row, or None.
        title: of the whole, or None.
        zoom: screen pixels for an image's pixel; by default as many as fit in 900.
            Smaller images are shown larger, to match the largest.
        map_range: (lowest, highest) of the maps' colours; by default each map's own.

    Returns:
        A figure.

    Raises:
        ValueError: for no or other images, or another number of titles.

    >>> image_grid(np.zeros((2, 3, 16, 16, 3), "uint8"), zoom=1)
    <ImageFigure size 72x50 with 6 Axes>
    """
    owner, what = "image_grid", "images (height, width, 3)"
    check_count(owner, "rows", rows, what=f"rows of {what}")
    columns = max(len(checks.check_sequence(owner, "a row", row, what)) for row in rows)
    rows = [[_pixels(owner, image) for image in row] for row in rows]
    check_count(owner, "the longest row", range(columns))
    if titles is not None:
        check_count(owner, "titles", titles, columns, "titles")
    if row_titles is not None:
        check_count(owner, "row_titles", row_titles, len(rows), "titles")
    shapes = [image.shape[:2] for row in rows for image in row]
    height, width = np.max(shapes, axis=0).tolist()
    left = _GAP + (_SIDE if row_titles is not None else 0)
    top = _LINE * sum(part is not None for part in (title, titles)) or _GAP
    if zoom is None:
        zoom = max(1, ((WIDTH - left) // columns - _GAP) // width)
    zoom = checks.check_int(owner, "zoom", zoom)
    height, width = zoom * height, zoom * width
    size = left + columns * (width + _GAP), top + len(rows) * (height + _GAP)
    figure = _figure(*size, kind=ImageFigure)

    def write(x, y, words, **options):
        options |= {"ha": "center", "va": "center", "color": "black", "fontsize": 10}
        figure.text(x / size[0], 1 - y / size[1], words, **options)

    if title is not None:
        write(size[0] / 2, _LINE / 2, title, weight="bold")
    for column, words in enumerate(titles if titles is not None else ()):
        write(left + column * (width + _GAP) + width / 2, top - _LINE / 2, words)
    for number, row in enumerate(rows):
        y = top + number * (height + _GAP)
        if row_titles is not None:
            write(_SIDE / 2 + 2, y + height / 2, row_titles[number], rotation=90)
        for column, image in enumerate(row):
            x = left + column * (width + _GAP)
            _draw(figure, size, (x, y, width, height), image, map_range)
    return figure


def loss_curves(history, names=("A", "B")):
    """Draw losses, epoch by epoch, in a panel for each kind.

    Args:
        history: what `fit` of a CycleGAN or another model returns, or its `.history`: a
            dict of lists, with NaN for an epoch without that loss, which its curve
            leaves out.
        names: what the domains A and B hold, such as ("apples", "oranges").

    Returns:
        A figure.

    Raises:
        ValueError: when the history holds no losses.

    >>> loss_curves({"validity_ab": [0.9, 0.5], "validity_ba": [0.8, 0.6]})
    <PixelFigure size 900x300 with 1 Axes>
    """
    losses, (a, b) = getattr(history, "history", history), names
    labels = {
        "validity_ab": f"{a} to {b}",
        "validity_ba": f"{b} to {a}",
        "reconstruction_a": f"{a} reconstructed",
        "reconstruction_b": f"{b} reconstructed",
        "identity_b": f"{a} to {b}, given {b}",
        "identity_a": f"{b} to {a}, given {a}",
        "discriminator_b": f"discriminator of {b}",
        "discriminator_a": f"discriminator of {a}",
    }
    panels, losses = {}, losses if isinstance(losses, Mapping) else {}
    others = [k for k, v in losses.items() if isinstance(v, list) and k != "epoch"]
    for key in [key for key in labels if key in losses] or others:
        kind = key.removeprefix("val_").partition("_")[0]
        panels.setdefault(kind, []).append(key)
    if not panels:
        raise ValueError(
            f"loss_curves: history is {checks.summarize(history)}, but must hold lists "
            "of losses. Pass what CycleGAN.fit returns, or its .history."
        )
    lines, columns = (len(panels) + 1) // 2, min(2, len(panels))
    figure = _figure(WIDTH, 300 * lines, layout="constrained")
    for place, (panel, keys) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(lines, columns, place)
        for key, color, line in zip(keys, _COLOURS, ("-", "--"), strict=False):
            values = np.asarray(losses[key], "float64")
            epochs = np.asarray(losses.get("epoch", range(1, len(values) + 1)))
            known = ~np.isnan(values)
            style = {"color": color, "ls": line, "label": labels.get(key, key)}
            style["marker"] = "o" if known.sum() < 3 else None
            axes.plot(epochs[known], values[known], **style)
        unit = _SQUARED.get(panel, "mean absolute difference\nin [-1, 1]")
        if keys[0] not in labels:
            unit = "loss"
        axes.set(xlabel="epoch", ylabel=unit, ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=9)
        _finish(axes, _TITLES.get(panel, panel))
    return figure


def bars(values, label, title=None):
    """Draw numbers as bars, such as a model's error beside its baselines'.

    Args:
        values: dict of names and numbers, drawn from top to bottom.
        label: what the numbers are, with their unit.
        title: of the figure, or None.

    Returns:
        A figure.

    Raises:
        ValueError: for an empty dict, or anything else.

    >>> bars({"do nothing": 20.0, "translated": 8.0}, "mean error in levels of 255")
    <PixelFigure size 700x154 with 1 Axes>
    """
    if not isinstance(values, dict) or not values:
        raise ValueError(
            f"bars: values is {checks.summarize(values)}, but must be a dict of names "
            "and numbers. Pass at least one."
        )
    for name, value in values.items():
        checks.check_number("bars", name, value, minimum=-math.inf)
    numbers = list(values.values())
    height = 70 + 42 * len(values) + (26 if title is not None else 0)
    axes = _figure(700, height, layout="constrained").add_subplot()
    colours = [_COLOURS[int(number > min(numbers))] for number in numbers]
    drawn = axes.barh(list(values), numbers, color=colours, height=0.6)
    axes.bar_label(drawn, fmt="%.1f", padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel(label)
    axes.tick_params(axis="y", length=0)
    _finish(axes, title, grid="x")
    return axes.figure


def rendered(figure):
    """Render a figure to an image.

    Returns:
        uint8 `(height, width, 3)`, RGB.

    >>> rendered(image_row(np.zeros((1, 16, 16, 3), "uint8"), zoom=1)).shape
    (28, 28, 3)
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _figure(*size, kind=PixelFigure, **options):
    # Matplotlib 3.10 rounds down: 1.16 inches of 100 pixels would be 115.
    inches = [math.nextafter(pixels / DPI, math.inf) for pixels in size]
    return kind(figsize=inches, dpi=DPI, facecolor="white", **options)


def _draw(figure, size, cell, image, map_range):
    x, y, width, height = cell
    # A small image, such as a discriminator's answers, fills its cell as well.
    zoom = max(1, min(height // image.shape[0], width // image.shape[1]))
    rows, columns = zoom * image.shape[0], zoom * image.shape[1]
    x, y = x + (width - columns) // 2, y + (height - rows) // 2
    # Edges 1e-6 pixels within the pixels' own: Matplotlib 3.10 rounds sizes up, and
    # 80 pixels, which became 80.00000000000001 on their way, would be drawn as 81.
    box = np.array([x, size[1] - y - rows, columns, rows], "float64")
    box += 1e-6 * np.array([1, 1, -2, -2])
    axes = figure.add_axes((box / (*size, *size)).tolist())
    options = {"cmap": "magma", "interpolation": "nearest", "aspect": "auto"}
    axes.imshow(image, clim=map_range, **options)
    axes.set_axis_off()


def _finish(axes, title, grid="both"):
    if title is not None:
        axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.25)
    axes.set_axisbelow(True)


def _pixels(owner, image):
    image = checks.check_array(owner, "an image", image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim == 2 and image.size:
        return image.astype("float32")
    image_levels(owner, image)
    return image if image.dtype == np.uint8 else to_uint8(image.astype("float32"))
