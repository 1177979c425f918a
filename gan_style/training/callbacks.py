"""What `fit` shows and keeps while a GAN trains: images, a film and losses."""

import csv
import math
import sys

import imageio.v3 as imageio
import keras
import numpy as np

from gan_style.evaluation import plotting
from gan_style.evaluation.metrics import check_count
from gan_style.utils.checks import check_array, check_int, check_path
from gan_style.utils.files import atomic_write
from gan_style.utils.images import read_image, save_image


class _Figures(keras.callbacks.Callback):
    """Draws a figure every so many epochs and at the end; shows and keeps it."""

    def __init__(self, folder=None, every=1, show=None, names=("A", "B")):
        super().__init__()
        owner = type(self).__name__
        self.every = check_int(owner, "every", every)
        self.folder = None if folder is None else check_path(owner, "folder", folder)
        check_count(owner, "names", names, 2, "what A and B hold")
        self.names = names
        self._show = "ipykernel" in sys.modules if show is None else show
        self.on_train_begin()

    def on_train_begin(self, logs=None):
        self._display = self._epoch = self._drawn = None

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if self._epoch % self.every == 0:
            self._draw()

    def on_train_end(self, logs=None):
        if self._epoch != self._drawn:
            self._draw()

    def _publish(self, figure, name):
        self._drawn = self._epoch
        if self._display is not None:
            self._display.update(figure)
        elif self._show:
            from IPython.display import display

            self._display = display(figure, display_id=True)
        if self.folder is not None:
            save_image(self.folder / name, plotting.rendered(figure))


class TranslationGrid(_Figures):
    """Shows how a CycleGAN or Pix2Pix translates the same test images as it trains.

    Each image has a row: the original, its translation, the reconstruction (translated
    back) and the identity (by the generator that should leave it unchanged); of a
    Pix2Pix, the original, its translation and the ground truth.

    Args:
        test_a, test_b: a few images of each domain, all of one size: uint8
            `(count, height, width, 3)` or a list of such images.
        every: int from 1, epochs between two grids.
        folder: path of a folder for the grids, as PNG files, and the film `film.gif`,
            which a restarted training continues; or None.
        show: whether the newest grid appears below the cell; by default in notebooks.
        names: two strings, what A and B hold, for the titles.

    Raises:
        ValueError: for an argument of another kind.

    >>> images = np.zeros((2, 16, 16, 3), "uint8")
    >>> TranslationGrid(images, images, every=5, folder="outputs").film.path.name
    'film.gif'
    """

    def __init__(
        self, test_a, test_b, every=1, folder=None, show=None, names=("A", "B")
    ):
        super().__init__(folder, every, show, names)
        owner, shape = "TranslationGrid", "(count, height, width, 3), of one size"
        self.test_a = np.array(check_array(owner, "test_a", test_a, 4, shape))
        self.test_b = np.array(check_array(owner, "test_b", test_b, 4, shape))
        self.film = Film(self.folder) if self.folder else None

    def on_epoch_begin(self, epoch, logs=None):
        # Not before: a callback that restores an interrupted training has done so now.
        if self._epoch is None:
            self._epoch = epoch
            self._draw()

    def on_train_end(self, logs=None):
        super().on_train_end()
        if self.film is not None:
            self.film.write()

    def _draw(self):
        step = int(self.model.steps_done.numpy())
        title = f"epoch {self._epoch}, step {step}"
        titles, rows, row_titles = self._rows()
        zoom = None if len(rows) < 3 else 1
        grid = plotting.image_grid(rows, titles, row_titles, title, zoom)
        self._publish(grid, f"epoch_{self._epoch:04}.png")
        if self.film is not None:
            frame = plotting.image_grid([row[:2] for row in rows], title=title, zoom=1)
            self.film.add(step, plotting.rendered(frame))

    def _rows(self):
        translate, (a, b) = self.model.translate, self.names
        titles, rows = ["original", "translated"], []
        row_titles = [f"to {b}"] * len(self.test_a)
        if hasattr(self.model, "generator"):  # of a Pix2Pix
            rows += zip(self.test_a, translate(self.test_a), self.test_b, strict=True)
            return [*titles, "ground truth"], rows, row_titles
        for images, there, back in (self.test_a, "ab", "ba"), (self.test_b, "ba", "ab"):
            translated = translate(images, there)
            made = translated, translate(translated, back), translate(images, back)
            rows += zip(images, *made, strict=True)
        row_titles += [f"to {a}"] * len(self.test_b)
        return [*titles, "reconstructed", "identity"], rows, row_titles


class Film:
    """Keeps frames in `folder/film`, also of interrupted trainings, for `film.gif`."""

    def __init__(self, folder):
        self.path = folder / "film.gif"

    def _frames(self):
        return sorted(self.path.parent.glob(f"film/{8 * '[0-9]'}.png"))

    def add(self, step, frame):
        """Add the frame of a step, uint8 `(height, width, 3)`; may write the GIF."""
        path = self.path.with_name("film") / f"{step:08}.png"
        for later in [other for other in self._frames() if other > path]:
            later.unlink(missing_ok=True)
        save_image(path, frame)
        # Every frame at first; as the film grows, writing it takes longer.
        if (count := len(self._frames())) < 20 or count % 20 == 0:
            self.write()

    def write(self):
        """Write a GIF of at most 160 frames, even over the training, and 8 seconds."""
        if not (paths := self._frames()):
            return
        shown = np.linspace(0, len(paths) - 1, min(len(paths), 160)).round()
        frames = [read_image(paths[int(i)]) for i in shown]
        frames = [frame for frame in frames if frame.shape == frames[-1].shape]
        each = min(8000 // len(frames), 400)  # milliseconds; the last frame stays 2 s
        times = [each] * (len(frames) - 1) + [2000] if len(frames) > 1 else 2000
        with atomic_write(self.path) as partial:
            imageio.imwrite(partial, frames, extension=".gif", duration=times, loop=0)


class LossCurves(_Figures):
    """Plots the losses after every epoch.

    Args:
        folder: path of a folder for `losses.png` and `losses.csv`, which a restarted
            training continues; or None.
        every: int from 1, epochs between two figures.
        show, names: as in `TranslationGrid`.

    Raises:
        ValueError: for another kind of argument; in training, another's `losses.csv`.

    >>> curves = LossCurves(show=False)
    >>> curves.on_epoch_end(0, {"validity_ab": 0.5})
    >>> curves.history
    {'epoch': [1], 'validity_ab': [0.5]}
    """

    @property
    def history(self):
        """A dict of lists, "epoch" and the losses; NaN where an epoch lacks one."""
        names = dict.fromkeys(name for row in self._rows for name in row)
        return {n: [row.get(n, math.nan) for row in self._rows] for n in names}

    def on_train_begin(self, logs=None):
        super().on_train_begin()
        self._rows = []

    def on_epoch_end(self, epoch, logs=None):
        file = self.folder and self.folder / "losses.csv"
        if file and epoch and not self._rows and file.exists():
            self._rows = _read_rows(file, epoch)
        logs = ((name, np.asarray(value)) for name, value in (logs or {}).items())
        row = {n: float(v) for n, v in logs if v.size == 1 and v.dtype.kind in "fiub"}
        self._rows.append({"epoch": epoch + 1, **row})
        if file:
            _write_rows(file, self.history, self._rows)
        super().on_epoch_end(epoch)

    def _draw(self):
        self._publish(plotting.loss_curves(self.history, self.names), "losses.png")


def _write_rows(path, names, rows):
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, names)
        writer.writeheader()
        writer.writerows(rows)


def _read_rows(path, epochs):
    """Read the losses of so many epochs, a dict each."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        rows = [{n: float(s) for n, s in cells.items() if s != ""} for cells in table]
        rows = [{**row, "epoch": int(row["epoch"])} for row in rows]
        return [row for row in rows if row["epoch"] <= epochs]
    except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as error:
        raise ValueError(
            f"LossCurves: {path} is damaged or another file ({error}), but must be "
            "written by LossCurves. Move it away, or pass another folder."
        ) from error
