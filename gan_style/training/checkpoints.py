"""Trainings that can be killed at any moment and go on to the bit.

All state of a `CycleGAN` is in its variables, its step included, and the datasets of
`gan_style.datasets` give any step's batch on demand. So a saved model is a place to go
on from, even in the middle of an epoch:

- `SaveAndResume` saves the complete model every so many steps, or every epoch, as one
  file that is replaced whole. It is the one to take.
- `keras.callbacks.BackupAndRestore` works as well, at epochs or with a whole
  `save_freq`. Keras itself (3.15) notes the epoch and repeats all of it, on top of the
  steps that the weights already have, and after a second interruption it notes the
  wrong epoch; `CycleGAN.fit` looks at the step instead and ends each epoch where it
  would have ended. But it does not replace its file whole: killed while it writes, or
  ended by a full disk, it needs `double_checkpoint=True` to find the one before.
"""

import contextlib
import json
import math
import struct
import warnings
import zipfile
import zlib

import keras
import numpy as np
import tensorflow as tf

from gan_style.utils.archives import check_stored
from gan_style.utils.checks import check_int, check_path
from gan_style.utils.files import atomic_write, check_writable

# What Keras and h5py raise at files that do not fit.
_BROKEN = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(RuntimeError, EOFError, MemoryError, OverflowError, UserWarning),
    *(zipfile.BadZipFile, zlib.error, struct.error, tf.errors.OpError),
)
_BEGINNING = "gan_style_training.json"  # within the file, where Keras does not look
_SAVED_KINDS = ("Operation", "Layer", "Functional", "Sequential", "Metric", "Optimizer")


def patch_keras_saving_leak():
    """Keeps a training that saves often from growing, by 72 KiB per optimizer saved.

    To learn which attributes it need not save, Keras (3.12 to 3.15) builds a layer or
    an optimizer of its own for each one of the model, as it looks up under one name
    what it keeps under another. TensorFlow keeps something of each such optimizer for
    good, because its variables have names that were not there before. Here Keras finds
    what it looks for, which also halves the time that saving takes.

    It holds for this thread until `keras.utils.clear_session()`.
    """
    try:
        from keras.src.backend.common import global_state
        from keras.src.saving.saving_lib import get_attr_skipset
    except ImportError:
        return  # a Keras that has it elsewhere saves as before
    for kind in _SAVED_KINDS:
        name = f"saving_attr_skiplist_{kind}"
        if global_state.get_global_attribute(name) is None:
            global_state.set_global_attribute(name, get_attr_skipset(kind))


def save_state(model, path, partial, **notes):
    """Saves a compiled `CycleGAN` in place of a file, whole or not at all.

    Args:
        model: the model.
        path: the file.
        partial: the name beside it that it is written under.
        **notes: texts to keep within the file, by their names.

    Raises:
        OSError: with the file's name; what was there before is as it was.
    """
    patch_keras_saving_leak()
    variables = [
        *model.variables,
        *model.generator_optimizer.variables,
        *model.discriminator_optimizer.variables,
    ]
    # HDF5, which adds 2 to 3.5 KiB to each, may crash on a disk that is full. It writes
    # there itself where Keras finds the weights too large for the memory.
    sizes = (math.prod(v.shape) * tf.as_dtype(v.dtype).size for v in variables)
    needs = sum(sizes) + 4096 * len(variables)
    with atomic_write(path, partial, durable=True, needs=needs) as written:
        model.save(written)
        with zipfile.ZipFile(written, "a") as archive:
            for name, text in notes.items():
                archive.writestr(name, text)


def load_state(owner, model, path):
    """Gives a model the weights of a file, and names the file where that fails.

    It runs no code of the file and builds nothing that the file describes.

    Args:
        owner: who asks, for the error.
        model: a `keras.Model`.
        path: a `.keras` file.

    Raises:
        ValueError: for a file that is damaged, or of another model.
    """
    try:
        check_stored(path)
        with warnings.catch_warnings():
            # Keras would go on without the state of the optimizers, for example.
            warnings.filterwarnings("error", message="Skipping")
            model.load_weights(path)
    except _BROKEN as error:
        raise ValueError(
            f"{owner}: {path} is damaged, or is the state of another model "
            f"({type(error).__name__}: {str(error)[:300]}). Take it away or give "
            "another path, and build the model anew, for some weights may be the "
            "file's."
        ) from error


class SaveAndResume(keras.callbacks.Callback):
    """Saves the complete model now and then, and goes on from there if it is there.

    Give it to `CycleGAN.fit` with a dataset of `gan_style.datasets`, and start the same
    script again after an interruption: it takes up the file, and does the steps that
    are left of those that `epochs` says. A finished training does none; with more
    `epochs` it goes on. One file is for one call of `fit`.

    The file is written beside its place and renamed, so that what is there is always
    whole; a model whose weights are no longer finite is not saved. `keras.saving`
    loads it as any other model.

    Args:
        path: the file, `NAME.keras`. Its folder is made.
        every: steps between two savings; None for the end of each epoch.

    Raises:
        ValueError: for another suffix, or a number below 1.

    >>> SaveAndResume("outputs/training.keras", every=500).path.name
    'training.keras'
    """

    def __init__(self, path, every=None):
        super().__init__()
        self.path = check_path("SaveAndResume", "path", path)
        if self.path.suffix != ".keras":
            raise ValueError(
                f"SaveAndResume: path is {str(path)!r}, but it has to end in .keras."
            )
        self.every = every
        if every is not None:
            self.every = check_int("SaveAndResume", "every", every)
        self._first_step = self._saved_step = None

    def resume(self, model):
        """Gives the model the saved state, if there is one; `CycleGAN.fit` does it.

        Returns:
            The step at which this training once began.

        Raises:
            OSError: where the file's folder cannot be written.
        """
        check_writable(self.path.parent)
        self._first_step = int(model.steps_done.numpy())
        if self.path.exists():
            load_state("SaveAndResume", model, self.path)
            self._first_step = self._read_beginning(int(model.steps_done.numpy()))
        self._saved_step = int(model.steps_done.numpy())
        return self._first_step

    def _read_beginning(self, steps_done):
        try:
            with zipfile.ZipFile(self.path) as file:
                first_step = json.loads(file.read(_BEGINNING))["first_step"]
        except _BROKEN as error:
            raise ValueError(
                f"SaveAndResume: {self.path} was not saved by SaveAndResume, or was "
                f"changed ({error}). Give another path, or load it as a model."
            ) from error
        if not isinstance(first_step, int) or not 0 <= first_step <= steps_done:
            raise ValueError(
                f"SaveAndResume: {self.path} says that the training began at step "
                f"{first_step!r} and is at {steps_done}, so it was changed. Give "
                "another path."
            )
        return first_step

    def on_train_begin(self, logs=None):
        if self._saved_step is None:
            raise ValueError(
                "SaveAndResume: resumes CycleGAN.fit on a dataset of "
                "gan_style.datasets; this is another training, for which "
                "keras.callbacks.BackupAndRestore was made."
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_step = int(self.model.steps_done.numpy())

    def on_train_batch_end(self, batch, logs=None):
        step = self._epoch_step + batch + 1
        if self.every and step - self._saved_step >= self.every:
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        if not self.every:
            self._save()

    def on_train_end(self, logs=None):
        self._save()
        self._saved_step = None

    def _save(self):
        step = int(self.model.steps_done.numpy())
        if step == self._saved_step:
            return
        if not all(np.isfinite(v.numpy()).all() for v in self.model.trainable_weights):
            warnings.warn(
                f"SaveAndResume: weights are not finite at step {step}; {self.path} "
                "keeps the state before.",
                stacklevel=2,
            )
            return
        # One name, so that a killed process leaves no more than one such file.
        part = f".{self.path.stem}.part.keras"
        beginning = json.dumps({"first_step": self._first_step})
        save_state(self.model, self.path, part, **{_BEGINNING: beginning})
        self._saved_step = step


class _AlignEpochs(keras.callbacks.Callback):
    """Starts each epoch at the model's step, and ends it where it would have ended."""

    def __init__(self, position, steps, first_step, first_epoch):
        super().__init__()
        self.cursor = position
        self.steps = steps
        self.first_step = first_step
        self.first_epoch = first_epoch

    def on_epoch_begin(self, epoch, logs=None):
        done = int(self.model.steps_done.numpy())
        self.cursor.step = done
        planned = self.first_step + (epoch - self.first_epoch) * self.steps
        self.left = min(self.steps, self.steps - (done - planned))

    def on_train_batch_begin(self, batch, logs=None):
        if batch >= self.left:
            raise StopIteration  # which `fit` takes for the end of the data
        together = self.model.steps_per_execution
        if self.left < min(batch + together, self.steps):
            raise ValueError(
                f"CycleGAN.fit: {self.left} steps are left of this epoch, but "
                f"steps_per_execution is {together}. Go on with 1."
            )


@contextlib.contextmanager
def resumable(model, dataset, callbacks, options):
    """What `CycleGAN.fit` does around Keras' `fit` for a dataset with a position.

    Args:
        model: has `steps_done`.
        dataset: has `cursor`.
        callbacks: a list or None.
        options: the other arguments of `fit`.

    Yields:
        The dataset, callbacks and options for Keras' `fit`.
    """
    position = dataset.cursor
    options = {"shuffle": False, **options}  # the dataset does it; Keras would warn
    steps = options.pop("steps_per_epoch", None)
    if steps is None:
        steps = position.steps_per_epoch
    else:
        dataset = position.dataset(steps)
    first_step = int(model.steps_done.numpy())
    first_epoch = options.get("initial_epoch", 0)
    callbacks = list(callbacks or [])
    for callback in callbacks:
        if isinstance(callback, SaveAndResume):
            first_step = callback.resume(model)
    done = int(model.steps_done.numpy()) - first_step
    options["initial_epoch"] = first_epoch + max(done, 0) // steps
    pace = _AlignEpochs(position, steps, first_step, first_epoch)
    position.failure = None
    with warnings.catch_warnings():
        # An epoch that was begun before the interruption is shorter, as it has to be.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        try:
            yield dataset, [pace, *callbacks], options
        except tf.errors.OpError as error:
            if position.failure is None:
                raise
            raise position.failure from error
