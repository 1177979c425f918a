"""The figures that the notebooks and callbacks share.

Images appear pixel by pixel, at an integer zoom. Without pyplot, figures change no
global state and need no screen. At the end of a notebook cell they appear.
"""

import io
import math
import os
import sys
import warnings
from collections.abc import Mapping
from itertools import permutations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageShow

from gan_style.evaluation.metrics import check_count, image_levels
from gan_style.utils import checks
from gan_style.utils.images import round_levels

DPI = 100
WIDTH = 900  # pixels that fit beside a notebook's margins
_GAP, _LINE, _SIDE = 6, 22, 22  # pixels: between images, of a title, of a row's title
_SCREENS = {"DISPLAY", "WAYLAND_DISPLAY"}  # on Linux, a variable of the environment
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
    """A `matplotlib.figure.Figure` that a notebook shows at its exact size.

    Its text for those who cannot see it is `alt`, by default its titles.
    """

    alt = None

    def get_tightbbox(self, renderer=None, bbox_extra_artists=None):
        # Cutting the margins would move the images by fractions of a pixel.
        return self.bbox_inches.frozen()

    def show(self, warn=True):
        """Show the figure below a notebook's cell, or in the system's image viewer."""
        screen = not sys.platform.startswith("linux") or {*os.environ} & _SCREENS
        if "ipykernel" in sys.modules:
            from IPython.display import display

            display(self)
        elif not (screen and ImageShow.show(Image.fromarray(rendered(self)))) and warn:
            said = "there is no screen. Use figure.savefig('figure.png')."
            warnings.warn(f"PixelFigure.show: {said}", stacklevel=2)

    def _repr_png_(self):
        return self._encoded(format="png")

    def _encoded(self, **options):
        buffer = io.BytesIO()
        self.savefig(buffer, dpi=self.dpi, **options)
        titles = [text.get_text() for text in self.texts]
        titles += [axes.get_title() for axes in self.axes]
        alt = self.alt or "; ".join(dict.fromkeys(filter(None, titles)))
        return buffer.getvalue(), {"alt": alt}


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
    """Draw rows of images, crisp, under the titles of their columns, in a figure.

    Args:
        rows: sequences of images, of any lengths, or single images. An image is as in
            `metrics`; grey ones may be uint8 `(height, width)`. A map is drawn from
            dark to light: `(height, width)` of other numbers, or `(height, width, 1)`
            of floats beyond [-1, 1] or with `map_range`.
        titles, row_titles: one for each column or row, or None.
        title: of the whole, or None.
        zoom: screen pixels for an image's pixel; by default as many as fit in 900.
            Smaller images are shown larger, to match the largest.
        map_range: (lowest, highest) of the maps' colours; by default each map's own.

    Raises:
        ValueError: for no or other images, or another number of titles.

    >>> image_grid(np.zeros((2, 3, 16, 16, 3), "uint8"), zoom=1)
    <ImageFigure size 72x50 with 6 Axes>
    """
    owner, what = "image_grid", "images (height, width, 3)"
    rows = [rows] if _is_image(rows) else rows
    check_count(owner, "rows", rows, what=f"rows of {what}")
    rows = [[row] if _is_image(row) else row for row in rows]
    columns = max(len(checks.check_sequence(owner, "a row", row, what)) for row in rows)
    rows = [[_pixels(owner, image, map_range) for image in row] for row in rows]
    check_count(owner, "the longest row", range(columns))
    given = ("titles", titles, columns), ("row_titles", row_titles, len(rows))
    for name, words, count in given:
        if words is not None:
            check_count(owner, name, words, count, "titles")
    shapes = [image.shape[:2] for row in rows for image in row]
    height, width = np.max(shapes, axis=0).tolist()
    left = _GAP + (_SIDE if row_titles is not None else 0)
    top = _LINE * sum(part is not None for part in (title, titles)) or _GAP
    fitting = max(1, ((WIDTH - left) // columns - _GAP) // width)
    zoom = checks.check_int(owner, "zoom", fitting if zoom is None else zoom)
    height, width = zoom * height, zoom * width
    size = left + columns * (width + _GAP), top + len(rows) * (height + _GAP)
    figure = _figure(*size, kind=ImageFigure)

    def write(x, y, words, **options):
        options |= {"ha": "center", "va": "center", "color": "black", "fontsize": 10}
        figure.text(x / size[0], 1 - y / size[1], words, **options)

    if title is not None:
        write(size[0] / 2, _LINE / 2, title, weight="bold")
    across = [left + column * (width + _GAP) for column in range(columns)]
    for x, words in zip(across, titles if titles is not None else (), strict=False):
        write(x + width / 2, top - _LINE / 2, words)
    for number, row in enumerate(rows):
        y = top + number * (height + _GAP)
        if row_titles is not None:
            write(_SIDE / 2 + 2, y + height / 2, row_titles[number], rotation=90)
        for x, image in zip(across, row, strict=False):
            _draw(figure, size, x, y, width, height, image, map_range)
    return figure


def loss_curves(history, names=("A", "B")):
    """Draw losses, epoch by epoch, in a figure with a panel for each kind.

    Args:
        history: what `fit` of a CycleGAN or another model returns, or its `.history`: a
            dict of lists, with NaN where an epoch lacks a loss.
        names: what the domains A and B hold, such as ("apples", "oranges").

    Raises:
        ValueError: when the history holds no losses.

    >>> loss_curves({"validity_ab": [0.9, 0.5], "validity_ba": [0.8, 0.6]})
    <PixelFigure size 900x300 with 1 Axes>
    """
    losses, labels, panels = getattr(history, "history", history), {}, {}
    losses = losses if isinstance(losses, Mapping) else {}
    for (a, source), (b, target) in permutations(zip("ab", names, strict=True)):
        labels |= {
            f"validity_{a}{b}": f"{source} to {target}",
            f"reconstruction_{a}": f"{source} reconstructed",
            f"identity_{b}": f"{source} to {target}, given {target}",
            f"discriminator_{b}": f"discriminator of {target}",
        }
    others = [k for k, v in losses.items() if isinstance(v, list) and k != "epoch"]
    for key in [key for key in labels if key in losses] or others:
        kind = key.removeprefix("val_").partition("_")[0]
        panels.setdefault(kind, []).append(key)
    if not panels:
        expected = "what CycleGAN.fit returns, or a dict of lists of losses"
        raise checks.refused("loss_curves", "history", history, expected)
    lines, columns = (len(panels) + 1) // 2, min(2, len(panels))
    figure = _figure(WIDTH, 300 * lines, layout="constrained")
    for place, (panel, keys) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(lines, columns, place)
        for key, color, line in zip(keys, _COLOURS, ("-", "--"), strict=False):
            values = np.asarray(losses[key], "float64")
            epochs = losses.get("epoch", ())  # which Keras' own history lacks
            epochs = epochs if len(epochs) == len(values) else range(1, len(values) + 1)
            known = ~np.isnan(values)
            style = {"color": color, "ls": line, "label": labels.get(key, key)}
            style["marker"] = "o" if known.sum() < 3 else None
            axes.plot(np.asarray(epochs)[known], values[known], **style)
        unit = _SQUARED.get(panel, "mean absolute difference\nin [-1, 1]")
        unit = unit if keys[0] in labels else "loss"
        axes.set(xlabel="epoch", ylabel=unit, ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(edgecolor="none", fontsize=9)
        _finish(axes, _TITLES.get(panel, panel))
    return figure


def bars(values, label, title=None):
    """Draw numbers as bars, such as a model's error beside its baselines', in a figure.

    Args:
        values: dict of names and numbers, drawn from top to bottom.
        label: what the numbers are, with their unit.
        title: of the figure, or None.

    Raises:
        ValueError: for an empty dict, or anything else.

    >>> bars({"do nothing": 20.0, "translated": 8.0}, "mean error in levels of 255")
    <PixelFigure size 700x154 with 1 Axes>
    """
    if not isinstance(values, dict) or not values:
        raise checks.refused("bars", "values", values, "a dict of names and numbers")
    numbers = [checks.check_number("bars", *item, -math.inf) for item in values.items()]
    height = 70 + 42 * len(values) + (26 if title is not None else 0)
    axes = _figure(700, height, layout="constrained").add_subplot(xlabel=label)
    colours = [_COLOURS[int(number > min(numbers))] for number in numbers]
    drawn = axes.barh(list(values), numbers, color=colours, height=0.6)
    axes.bar_label(drawn, fmt="%.1f", padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.tick_params(axis="y", length=0)
    _finish(axes, title, grid="x")
    return axes.figure


def rendered(figure):
    """Return a figure as an image, uint8 RGB `(height, width, 3)`.

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


def _draw(figure, size, x, y, width, height, image, map_range):
    # A small image, such as a discriminator's answers, fills its cell as well.
    zoom = max(1, min(height // image.shape[0], width // image.shape[1]))
    rows, columns = zoom * image.shape[0], zoom * image.shape[1]
    x, y = x + (width - columns) // 2, y + (height - rows) // 2
    # Edges 1e-6 pixels within the pixels' own: Matplotlib 3.10 rounds sizes up, and
    # 80 pixels, which became 80.00000000000001 on their way, would be drawn as 81.
    box = np.array([x, size[1] - y - rows, columns, rows], "float64")
    box += 1e-6 * np.array([1, 1, -2, -2])
    axes = figure.add_axes((box / (*size, *size)).tolist())
    axes.imshow(image, "magma", interpolation="nearest", aspect="auto", clim=map_range)
    axes.set_axis_off()


def _finish(axes, title, grid="both"):
    axes.set_title("" if title is None else title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.25)
    axes.set_axisbelow(True)


def _is_image(images):
    """Return whether this is a single image, not an array of several or of maps."""
    shape = getattr(images, "shape", ())
    one = len(shape) == 3 and shape[1] > 4 and shape[2] in (1, 3, 4)
    return one or hasattr(images, "getexif")


def _pixels(owner, image, map_range):
    """Return a map as float32 `(height, width)`, else uint8 RGB or RGBA."""
    if not hasattr(image, "getexif"):
        image = checks.check_array(owner, "an image", image, shape="(height, width, 3)")
        flat = image[..., 0] if image.shape[2:] == (1,) else image
        if flat.ndim == 2 and image.size:
            grey = image.dtype == np.uint8
            if image.ndim == 3 and image.dtype.kind in "fV":
                grey = np.abs(flat).max() <= 1 + checks.TOLERANCE
            if map_range is not None or not grey:
                return flat.astype("float32")
            image = flat[..., None]
    levels = image_levels(owner, image)
    return round_levels(levels.repeat(3, -1) if levels.shape[-1] == 1 else levels)
