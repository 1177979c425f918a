"""What `fit` shows and keeps while a CycleGAN trains: images, a film and losses."""

import csv
import math
import sys
from pathlib import Path

import imageio.v3 as imageio
import keras
import numpy as np

from gan_style.evaluation import plotting
from gan_style.utils.checks import (
    check_array,
    check_int,
    check_list,
    check_path,
    check_sequence,
)
from gan_style.utils.files import atomic_write
from gan_style.utils.images import read_image, save_image


class _Figures(keras.callbacks.Callback):
    """Shows the newest figure below a notebook's cell, and keeps it as a file."""

    def __init__(self, every, folder, show, names):
        super().__init__()
        owner = type(self).__name__
        self.every = check_int(owner, "every", every)
        self.folder = None if folder is None else check_path(owner, "folder", folder)
        self.names = check_list(owner, "names", names, "what A and B hold")
        if len(self.names) != 2:
            raise ValueError(f"{owner}: names are {names}, but must be two.")
        if show is None:
            # A notebook's kernel has imported IPython.
            shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
            show = getattr(shell, "kernel", None) is not None
        self._show = show
        self._display = None

    def on_train_begin(self, logs=None):
        self._display = None

    def _publish(self, figure, name):
        if self._display is not None:
            self._display.update(figure)
        elif self._show:
            from IPython.display import display

            self._display = display(figure, display_id=True)
        if self.folder is not None:
            save_image(self.folder / name, plotting.rendered(figure))


class TranslationGrid(_Figures):
    """Shows how a CycleGAN translates the same test images as it trains.

    Each image has a row: the original, its translation, the reconstruction (translated
    back) and the identity (by the generator that should leave it unchanged).

    Args:
        test_a, test_b: a few images of each domain, all of one size: uint8
            `(count, height, width, 3)` or a list of such images.
        every: int from 1, epochs between two grids.
        folder: path of a folder for the grids, as PNG files, and the film; or None.
        show: bool, whether the newest grid appears below the cell that trains; None for
            only in a notebook.
        film: bool, whether to make a film of the training, `folder/film.gif`, which a
            restarted training continues.
        every_steps: int from 1, steps between two grids, in place of `every`; or None.
        names: two strings, what A and B hold, for the titles.

    Raises:
        ValueError: for an argument of another kind.

    >>> images = np.zeros((2, 16, 16, 3), "uint8")
    >>> TranslationGrid(images, images, every=5, folder="outputs").film.path.name
    'film.gif'
    """

    def __init__(
        self,
        test_a,
        test_b,
        every=1,
        folder=None,
        show=None,
        film=True,
        every_steps=None,
        names=("A", "B"),
    ):
        super().__init__(every, folder, show, names)
        self.test_a = _images("test_a", test_a)
        self.test_b = _images("test_b", test_b)
        if every_steps is not None:
            every_steps = check_int("TranslationGrid", "every_steps", every_steps)
        self.every_steps = every_steps
        self.film = Film(self.folder) if film and self.folder else None
        self._epoch = self._drawn = None
        self._step = 0

    def on_train_begin(self, logs=None):
        super().on_train_begin()
        self._epoch = self._drawn = None

    def on_epoch_begin(self, epoch, logs=None):
        # Not before: a callback that restores an interrupted training has done so now.
        step = getattr(self.model, "steps_done", self._step)
        # On several replicas, `int` does not read a variable.
        self._begun_at = self._step = int(getattr(step, "numpy", lambda: step)())
        first, self._epoch = self._epoch is None, epoch
        if first:
            self._draw()

    def on_train_batch_end(self, batch, logs=None):
        before, self._step = self._step, self._begun_at + batch + 1
        every = self.every_steps
        if every and self._step // every > before // every:
            self._draw()

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if not self.every_steps and self._epoch % self.every == 0:
            self._draw()

    def on_train_end(self, logs=None):
        if self._epoch is not None:
            self._draw()
        if self.film is not None:
            self.film.write()

    def grid(self):
        """Draw a figure of the test images as the model translates them now."""
        self._rows = []
        for images, direction in ((self.test_a, "ab"), (self.test_b, "ba")):
            inverse = direction[::-1]
            translated = self.model.translate(images, direction)
            reconstructed = self.model.translate(translated, inverse)
            identity = self.model.translate(images, inverse)
            self._rows += zip(images, translated, reconstructed, identity, strict=True)
        a, b = self.names
        return plotting.image_grid(
            self._rows,
            titles=["original", "translated", "reconstructed", "identity"],
            row_titles=[f"{a} to {b}"] * len(self.test_a)
            + [f"{b} to {a}"] * len(self.test_b),
            title=self._when(),
            zoom=None if len(self._rows) < 3 else 1,
        )

    def _when(self):
        epoch = "" if self.every_steps else f"epoch {self._epoch}, "
        return f"{epoch}step {self._step}"

    def _draw(self):
        now = (self._epoch, self._step)
        if now == self._drawn:
            return
        self._drawn = now
        name = f"step_{now[1]:08}" if self.every_steps else f"epoch_{now[0]:04}"
        self._publish(self.grid(), f"{name}.png")
        if self.film is not None:
            pairs = [row[:2] for row in self._rows]
            frame = plotting.image_grid(pairs, title=self._when(), zoom=1)
            self.film.add(self._step, plotting.rendered(frame))


def _images(name, images):
    owner, shape = "TranslationGrid", "(count, height, width, 3)"
    check_sequence(owner, name, images, "images (height, width, 3)")
    images = [check_array(owner, name, image) for image in images]
    shapes = sorted({image.shape for image in images})
    if len(shapes) != 1:
        raise ValueError(
            f"{owner}: {name} has images of the shapes {shapes}, but must have one or "
            f"more, of one shape. Pass data.{name}[:3], for example."
        )
    return check_array(owner, name, np.stack(images), 4, shape)


class Film:
    """Keeps frames in `folder/film`, and shows them in `folder/film.gif`.

    A restarted training continues with the frames that it finds, up to its own step.
    """

    def __init__(self, folder):
        self.path = Path(folder) / "film.gif"
        self._written = 0

    def _frames(self):
        return sorted(self.path.parent.glob(f"film/{8 * '[0-9]'}.png"))

    def add(self, step, frame):
        """Add the frame of a step, uint8 `(height, width, 3)`; may write the GIF."""
        path = self.path.with_name("film") / f"{step:08}.png"
        for later in [other for other in self._frames() if other > path]:
            later.unlink(missing_ok=True)
            self._written = 0
        save_image(path, frame)
        # Every frame at first; as the film grows, writing it takes longer.
        count = len(self._frames())
        if count - self._written > count // 20:
            self.write()

    def write(self):
        """Write a GIF of at most 160 frames, even over the training, and 8 seconds."""
        paths = self._frames()
        if not paths:
            return
        self._written = len(paths)
        shown = np.linspace(0, len(paths) - 1, min(len(paths), 160)).round()
        frames = [read_image(paths[int(i)]) for i in shown]
        frames = [frame for frame in frames if frame.shape == frames[-1].shape]
        each = min(8000 // len(frames), 400)  # milliseconds; the last frame stays 2 s
        times = [each] * (len(frames) - 1) + [2000]
        options = {"duration": times if len(times) > 1 else times[0], "loop": 0}
        with atomic_write(self.path) as partial:
            imageio.imwrite(partial, frames, extension=".gif", **options)


class LossCurves(_Figures):
    """Plots CycleGAN's losses after every epoch.

    Args:
        folder: path of a folder for `losses.png` and `losses.csv`, or None. A restarted
            training continues the numbers there.
        every: int from 1, epochs between two figures.
        show, names: as in `TranslationGrid`.

    Raises:
        ValueError: for an argument of another kind; in training, for a `losses.csv`
            that is not its own.

    >>> curves = LossCurves(show=False)
    >>> curves.on_epoch_end(0, {"validity_ab": 0.5})
    >>> curves.history
    {'epoch': [1], 'validity_ab': [0.5]}
    """

    def __init__(self, folder=None, every=1, show=None, names=("A", "B")):
        super().__init__(every, folder, show, names)
        self._epochs = []

    @property
    def history(self):
        """A dict of lists, "epoch" and the losses; NaN where an epoch lacks one."""
        names = dict.fromkeys(name for row in self._epochs for name in row)
        return {n: [row.get(n, math.nan) for row in self._epochs] for n in names}

    def on_train_begin(self, logs=None):
        super().on_train_begin()
        self._epochs = []

    def on_epoch_end(self, epoch, logs=None):
        if not self._epochs and epoch and self.folder is not None:
            self._read_before(epoch)
        losses = {name: float(value) for name, value in (logs or {}).items()}
        self._epochs.append({"epoch": epoch + 1, **losses})
        if self.folder is not None:
            self._write()
        if (epoch + 1) % self.every == 0:
            self._draw()

    def on_train_end(self, logs=None):
        if self._epochs and self._epochs[-1]["epoch"] % self.every:
            self._draw()

    def _draw(self):
        self._publish(plotting.loss_curves(self.history, self.names), "losses.png")

    def _read_before(self, epoch):
        path = self.folder / "losses.csv"
        if not path.exists():
            return
        try:
            with open(path, newline="", encoding="utf-8") as file:
                for cells in csv.DictReader(file):
                    row = {n: float(cell) for n, cell in cells.items() if cell != ""}
                    row["epoch"] = int(row["epoch"])
                    if row["epoch"] <= epoch:
                        self._epochs.append(row)
        except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as error:
            raise ValueError(
                f"LossCurves: {path} is damaged or another file ({error}), but must be "
                "written by LossCurves. Move it away, or pass another folder."
            ) from error

    def _write(self):
        with (
            atomic_write(self.folder / "losses.csv") as partial,
            open(partial, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, self.history)
            writer.writeheader()
            writer.writerows(self._epochs)
