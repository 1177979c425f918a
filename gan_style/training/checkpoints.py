"""Trainings that can be interrupted at any time and resume bit for bit.

All state of a model is in its variables, the step included, and `gan_style.datasets`
returns the batch of any step. So a saved model is enough to resume from, even within an
epoch. `keras.callbacks.BackupAndRestore` works as well, at epochs or with an integer
`save_freq`; it needs `double_checkpoint=True` where it may be killed while it writes.
"""

import contextlib
import json
import math
import warnings
import zipfile

import keras
import numpy as np
import tensorflow as tf

from gan_style.utils.checks import check_int, check_path, refused
from gan_style.utils.files import atomic_write, check_stored, check_writable

_NOTE = "gan_style_training.json"  # within the file, where Keras does not look


def patch_keras_saving_leak():
    """Keep Keras (3.12 to 3.15) from leaking 72 KiB per optimizer it saves.

    It builds one each time, to list its attributes, as it looks up the list under one
    name and stores it under another. Here it finds it, until `clear_session()`.
    """
    try:
        from keras.src.backend.common import global_state
        from keras.src.saving.saving_lib import get_attr_skipset
    except ImportError:
        return  # a Keras that has it elsewhere saves as before
    for kind in "Operation Layer Functional Sequential Metric Optimizer".split():
        name = f"saving_attr_skiplist_{kind}"
        if global_state.get_global_attribute(name) is None:
            global_state.set_global_attribute(name, get_attr_skipset(kind))


def state_variables(model):
    """List the variables that a training resumes from, the optimizers' last."""
    return [*model.variables, *(v for o in model.optimizer.both for v in o.variables)]


def weights_are_finite(model):
    """Return whether no trainable weight is NaN or infinite."""
    return all(np.isfinite(v.numpy()).all() for v in model.trainable_weights)


def save_state(model, path, partial=None, note=None):
    """Replace a file by a compiled model and a note, atomically, through `partial`."""
    patch_keras_saving_leak()
    # HDF5, which adds 2 to 3.5 KiB to each, may crash on a full disk. It writes there
    # itself if Keras finds the weights too large for the memory.
    variables = [(v.shape, tf.as_dtype(v.dtype)) for v in state_variables(model)]
    needs = sum(math.prod(shape) * dtype.size + 4096 for shape, dtype in variables)
    partial = partial or f".{path.stem}.part.keras"
    with atomic_write(path, partial, durable=True, needs=needs) as written:
        model.save(written)
        if note is not None:
            with zipfile.ZipFile(written, "a") as archive:
                archive.writestr(_NOTE, json.dumps(note))


def load_state(owner, model, path):
    """Load a model's weights, without running or building what the file describes."""
    try:
        check_stored(path)
        with warnings.catch_warnings():
            # Keras would continue without the state of the optimizers, for example.
            warnings.filterwarnings("error", message="Skipping")
            model.load_weights(path)
    except Exception as error:  # Keras, h5py and zlib raise many kinds
        raise ValueError(
            f"{owner}: {path} is damaged, or is the state of another model "
            f"({type(error).__name__}: {str(error)[:300]}). Remove it or give another "
            "path, and build the model anew, for some weights may be the file's."
        ) from error


class SaveAndResume(keras.callbacks.Callback):
    """Saves the complete model regularly, and resumes from the file if it exists.

    Pass it to `CycleGAN.fit` with a dataset of `gan_style.datasets`, and start the same
    script again after an interruption: it trains the steps that are left of `epochs`.
    One file is for one call of `fit`. It is replaced atomically, only by finite
    weights, and `keras.saving` loads it as any other model.

    Args:
        path: path of the file, `NAME.keras`. Its folder is made.
        every: int from 1, steps between two savings; None for the end of each epoch.

    Raises:
        ValueError: for another suffix, or a number below 1.

    >>> SaveAndResume("outputs/training.keras", every=500).path.name
    'training.keras'
    """

    def __init__(self, path, every=None):
        super().__init__()
        owner = "SaveAndResume"
        self.path = check_path(owner, "path", path)
        if self.path.suffix != ".keras":
            raise ValueError(f"{owner}: path is {path}, but must be a .keras file.")
        self.every = None if every is None else check_int(owner, "every", every)
        self._first_step = self._saved_step = None

    def resume(self, model):
        """Load the saved state, if any; return the training's first step."""
        check_writable(self.path.parent)
        first_step = int(model.steps_done.numpy())
        if self.path.exists():
            load_state("SaveAndResume", model, self.path)
            try:
                with zipfile.ZipFile(self.path) as file:
                    first_step = json.loads(file.read(_NOTE))["first_step"]
                if first_step not in range(int(model.steps_done.numpy()) + 1):
                    raise ValueError(f"first step {first_step!r} is not one of its own")
            except Exception as error:
                raise ValueError(
                    f"SaveAndResume: {self.path} was not saved by SaveAndResume, or "
                    f"was changed ({error}). Give another path, or load it as a model."
                ) from error
        self._first_step, self._saved_step = first_step, int(model.steps_done.numpy())
        return first_step

    def on_train_begin(self, logs=None):
        if self._saved_step is None:
            raise ValueError(
                "SaveAndResume: the training is another, but must be CycleGAN.fit on a "
                "dataset of gan_style.datasets. Use keras.callbacks.BackupAndRestore."
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_step = int(self.model.steps_done.numpy())

    def on_train_batch_end(self, batch, logs=None):
        if self.every and self._epoch_step + batch + 1 - self._saved_step >= self.every:
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        if not self.every:
            self._save()

    def on_train_end(self, logs=None):
        self._save()
        self._saved_step = None

    def _save(self):
        step = int(self.model.steps_done.numpy())
        if step != self._saved_step and weights_are_finite(self.model):
            save_state(self.model, self.path, note={"first_step": self._first_step})
            self._saved_step = step
        elif step != self._saved_step:
            message = f"weights are not finite at step {step}, so {self.path} is kept."
            warnings.warn(f"SaveAndResume: {message}", stacklevel=2)


class _AlignEpochs(keras.callbacks.Callback):
    """Starts each epoch at the model's step, and ends it where it would have ended."""

    def __init__(self, cursor, steps, origin):  # steps of an epoch; where 0 begins
        super().__init__()
        self.cursor, self.steps, self.origin = cursor, steps, origin

    def on_epoch_begin(self, epoch, logs=None):
        self.cursor.step = done = int(self.model.steps_done.numpy())
        self.left = min(self.steps, self.origin + (epoch + 1) * self.steps - done)

    def on_train_batch_begin(self, batch, logs=None):
        if batch >= self.left:
            raise StopIteration  # which `fit` treats as the end of the data
        together = self.model.steps_per_execution
        if self.left < min(batch + together, self.steps):
            owner = f"{type(self.model).__name__}.fit"
            expected = f"1: {self.left} steps are left of this epoch"
            raise refused(owner, "steps_per_execution", together, expected)


@contextlib.contextmanager
def resumable(model, options):
    """Change the options of `fit` to resume, if their dataset has a cursor."""
    cursor = getattr(options.get("x"), "cursor", None)
    if cursor is None:
        yield
        return
    steps = options.pop("steps_per_epoch", None) or cursor.steps_per_epoch
    options["x"] = cursor.dataset(steps)
    first_step = int(model.steps_done.numpy())
    first_epoch = options.get("initial_epoch", 0)
    for callback in options["callbacks"]:
        if isinstance(callback, SaveAndResume):
            first_step = callback.resume(model)
    done = int(model.steps_done.numpy()) - first_step
    options["initial_epoch"] = first_epoch + max(done, 0) // steps
    align = _AlignEpochs(cursor, steps, first_step - first_epoch * steps)
    options["callbacks"].insert(0, align)
    cursor.failure = None
    with warnings.catch_warnings():
        # An epoch that began before the interruption is shorter now.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        try:
            yield
        except tf.errors.OpError as error:
            if cursor.failure is None:
                raise
            raise cursor.failure from error
