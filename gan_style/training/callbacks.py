"""What `fit` shows and keeps while a CycleGAN trains."""

import csv

import keras
import numpy as np

from gan_style.evaluation import plotting
from gan_style.training.film import Film
from gan_style.utils.checks import (
    check_array,
    check_int,
    check_list,
    check_path,
    check_sequence,
)
from gan_style.utils.files import atomic_write
from gan_style.utils.images import save_image


class TranslationGrid(keras.callbacks.Callback):
    """Shows how the same test images fare as the training goes on.

    One row an image: the original, translated, reconstructed (translated back) and
    under the generator that should leave it alone (identity).

    Args:
        test_a, test_b: a few images of either domain: uint8 `(count, height, width,
            3)` or a list of such images. All of one size where there is a film.
        every: epochs from one grid to the next.
        folder: where the grids go as PNG files, and the film, or None for no files.
        show: whether to show the newest grid below the cell that trains; by default
            where there is a notebook.
        film: whether to make a film of the training, `folder/film.gif`. It is kept up
            to date, so that an interrupted training has one as well, and a restarted
            one goes on with it.
        every_steps: steps from one grid to the next, instead of epochs.
        names: what A and B hold, for the titles.

    >>> import os, tempfile
    >>> class Upside:
    ...     steps_done = 0
    ...     def translate(self, images, direction):
    ...         return images[:, ::-1]
    >>> images = np.zeros((1, 16, 16, 3), "uint8")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     grid = TranslationGrid(images, images, folder=folder)
    ...     grid.set_model(Upside())
    ...     grid.on_train_begin(), grid.on_epoch_begin(0), grid.on_epoch_end(0)
    ...     sorted(os.listdir(folder))
    (None, None, None)
    ['epoch_0000.png', 'epoch_0001.png', 'film', 'film.gif']
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
        super().__init__()
        owner = type(self).__name__
        self.test_a = _images(owner, "test_a", test_a)
        self.test_b = _images(owner, "test_b", test_b)
        self.every = check_int(owner, "every", every)
        if every_steps is not None:
            every_steps = check_int(owner, "every_steps", every_steps)
        self.every_steps = every_steps
        self.folder = None if folder is None else check_path(owner, "folder", folder)
        self.film = Film(self.folder) if film and self.folder else None
        self.names = _pair_of_names(owner, names)
        self._display = _Display(show)
        self._epoch = self._step = self._drawn = None

    def on_train_begin(self, logs=None):
        self._display.begin()
        self._epoch = self._drawn = None

    def on_epoch_begin(self, epoch, logs=None):
        # Not before: a callback that restores an interrupted training has done so now.
        step = getattr(self.model, "steps_done", self._step or 0)
        # On several replicas, a variable has to be asked for its number.
        self._step = int(step.numpy() if hasattr(step, "numpy") else step)
        if self._epoch is None:
            self._epoch = epoch
            self._draw()
        self._epoch = epoch
        self._begun_at = self._step

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
        """CounterRNG the test images with the model as it is.

        Returns:
            A figure.
        """
        rows = []
        for images, there, back in (
            (self.test_a, "ab", "ba"),
            (self.test_b, "ba", "ab"),
        ):
            translated = self.model.translate(images, there)
            reconstructed = self.model.translate(translated, back)
            kept = self.model.translate(images, back)
            rows += zip(images, translated, reconstructed, kept, strict=True)
        a, b = self.names
        return plotting.image_grid(
            rows,
            titles=["original", "translated", "reconstructed", "identity"],
            row_titles=[f"{a} to {b}"] * len(self.test_a)
            + [f"{b} to {a}"] * len(self.test_b),
            title=self._when(),
            zoom=None if len(rows) < 3 else 1,
        )

    def _when(self):
        parts = [] if self.every_steps else [f"epoch {self._epoch}"]
        return ", ".join([*parts, f"step {self._step}"])

    def _draw(self):
        now = (self._epoch, self._step)
        if now == self._drawn:
            return
        self._drawn = now
        figure = self.grid()
        self._display.update(figure)
        if self.folder is None:
            return
        name = (
            f"step_{self._step:08}" if self.every_steps else f"epoch_{self._epoch:04}"
        )
        save_image(self.folder / f"{name}.png", plotting.rendered(figure))
        if self.film is not None:
            self.film.add(self._step, self._frame())

    def _frame(self):
        rows = []
        for images, direction in ((self.test_a, "ab"), (self.test_b, "ba")):
            rows += zip(images, self.model.translate(images, direction), strict=True)
        figure = plotting.image_grid(rows, title=self._when(), zoom=1)
        return plotting.rendered(figure)


class LossCurves(keras.callbacks.Callback):
    """CounterRNG CycleGAN's losses after every epoch.

    Args:
        folder: where `losses.png`, the figure, and `losses.csv`, the numbers, go, or
            None for no files. A restarted training goes on with the numbers there.
        every: epochs from one figure to the next.
        show: whether to show the figure below the cell that trains; by default where
            there is a notebook.
        names: what A and B hold, for the legend.

    Attributes:
        history: a dict of lists, "epoch" and the losses.

    >>> curves = LossCurves(show=False)
    >>> curves.on_epoch_end(0, {"validity_ab": 0.5})
    >>> curves.history
    {'epoch': [1], 'validity_ab': [0.5]}
    """

    def __init__(self, folder=None, every=1, show=None, names=("A", "B")):
        super().__init__()
        owner = type(self).__name__
        self.folder = None if folder is None else check_path(owner, "folder", folder)
        self.every = check_int(owner, "every", every)
        self.names = _pair_of_names(owner, names)
        self.history = {}
        self._display = _Display(show)

    def on_train_begin(self, logs=None):
        self._display.begin()
        self.history = {}

    def on_epoch_end(self, epoch, logs=None):
        if not self.history and epoch and self.folder is not None:
            self._read_before(epoch)
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}}
        self._append(row)
        self._write()
        if (epoch + 1) % self.every == 0:
            self._draw()

    def on_train_end(self, logs=None):
        if self.history and self.history["epoch"][-1] % self.every:
            self._draw()

    def _append(self, row):
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)

    def _draw(self):
        figure = plotting.loss_curves(self.history, self.names)
        self._display.update(figure)
        if self.folder is not None:
            save_image(self.folder / "losses.png", plotting.rendered(figure))

    def _read_before(self, epoch):
        path = self.folder / "losses.csv"
        if not path.exists():
            return
        try:
            with open(path, newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    numbers = {name: float(value) for name, value in row.items()}
                    if numbers["epoch"] <= epoch:
                        self._append({**numbers, "epoch": int(numbers["epoch"])})
        except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as error:
            raise ValueError(
                f"LossCurves: {path} does not hold losses as LossCurves writes them "
                f"({error}). Move it away, or give another folder."
            ) from error

    def _write(self):
        if self.folder is None:
            return
        with (
            atomic_write(self.folder / "losses.csv") as partial,
            open(partial, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(self.history)
            writer.writerows(zip(*self.history.values(), strict=True))


class _Display:
    """A place below a notebook's cell that always holds the newest figure."""

    def __init__(self, show):
        self.show = _in_notebook() if show is None else show
        self._handle = None

    def begin(self):
        self._handle = None

    def update(self, figure):
        if not self.show:
            return
        if self._handle is None:
            from IPython.display import display

            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)


def _in_notebook():
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def _pair_of_names(owner, names):
    names = check_list(owner, "names", names, "what A and B hold")
    if len(names) != 2:
        raise ValueError(f"{owner}: names are {names}, but must be two, of A and of B.")
    return tuple(names)


def _images(owner, name, images):
    check_sequence(owner, name, images, "images (height, width, 3)")
    if not len(images):
        raise ValueError(
            f"{owner}: {name} holds no image; pass a few, such as data.{name}[:3]."
        )
    images = [check_array(owner, name, image) for image in images]
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ValueError(
            f"{owner}: the images of {name} have the shapes {sorted(shapes)}, but "
            "they have to be of one size. Scale or cut them."
        )
    shape = "(count, height, width, 3)"
    return check_array(owner, name, np.stack(images), 4, shape)
