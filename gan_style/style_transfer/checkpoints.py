"""A run's file: written as the run goes on, checked when it is read, and resumed."""

import hashlib

import keras
import numpy as np

from gan_style.style_transfer.inputs import cut_margin
from gan_style.style_transfer.objective import TERMS
from gan_style.utils.checks import check_int, check_path
from gan_style.utils.files import atomic_write, check_stored, check_writable

HISTORY = (*TERMS, "height", "width", "evaluations", "seconds")
_OWNER = "StyleTransfer.run"


class SavedRun(keras.callbacks.Callback):
    """Where a run starts, and the callback that saves it to `path`, if not None.

    A run of the same `name`, its `fingerprint`, is resumed; without a file, the run
    starts from the image in `branch_from`, if not None.
    """

    def __init__(self, path, branch_from, save_every, scales, name):
        super().__init__()
        self.path = check_path(_OWNER, "checkpoint", path) if path else None
        self.save_every = check_int(_OWNER, "save_every", save_every)
        self.name, self.scale, self.image, self._saved = name, 0, None, {}
        self.history = {key: [] for key in HISTORY}
        if self.path:
            check_writable(self.path.parent)
        if self.path and self.path.exists():
            self._saved = load_run(self.path)
            self.scale = int(self._saved["scale"])
            if str(self._saved["fingerprint"]) != name:
                expected = "a run of these images and options"
                raise _refused(self.path, expected, " or branch_from=")
            if self.scale >= len(scales):
                raise _refused(self.path, "unchanged in its scale")
            self.history = {k: self._saved[f"history_{k}"].tolist() for k in HISTORY}
        elif branch_from is not None:
            run = load_run(branch_from)
            self.image = cut_margin(run["optimizer_image"], _last_shape(run))
            smaller = [scale < max(self.image.shape[1:3]) for scale in scales]
            self.scale = min(sum(smaller), len(scales) - 1)

    def restore(self, optimizer):
        """Load the saved state, if there is one, into the optimizer of its scale."""
        if not self._saved:
            return
        state = {}
        for name, own in optimizer.state().items():
            state[name] = saved = np.asarray(self._saved.get(f"optimizer_{name}"))
            if saved.shape != own.shape or saved.dtype != own.numpy().dtype:
                raise _refused(self.path, f"unchanged in its {name}")
        optimizer.load_state(state)
        self._saved = {}

    def on_epoch_begin(self, epoch, logs=None):
        self.scale = epoch

    def on_train_batch_end(self, batch, logs=None):
        last = batch + 1 == self.params["steps"]
        if self.path and (last or (batch + 1) % self.save_every == 0):
            run = {"fingerprint": self.name, "scale": self.scale}
            state = self.model.optimizer.state()
            run |= {f"optimizer_{name}": value for name, value in state.items()}
            run |= {f"history_{name}": v for name, v in self.history.items()}
            save_run(self.path, **run)


def fingerprint(transfer, initial, tile_size, schedule, *others):
    """Name everything that a run's pixels depend on: a digest."""
    digest = hashlib.sha256()
    arrays = [transfer.content, *transfer.styles, *transfer.masks]
    if not isinstance(initial, str):
        arrays, initial = [*arrays, initial], ""
    for array in arrays:
        digest.update(str(array.shape).encode() + array.tobytes())
    options = (transfer.options, tile_size, initial, *schedule, *others)
    digest.update(repr(options).encode())
    return digest.hexdigest()


def save_run(path, **arrays):
    """Write arrays to an .npz file, whole or not at all."""
    part = f".{path.name}.part"  # one name: what a killed run left is written over
    with atomic_write(path, part, durable=True) as partial, open(partial, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_run(path):
    """Read what `save_run` wrote, unpickle nothing, and refuse all else."""
    path = check_path(_OWNER, "checkpoint", path)
    try:
        check_stored(path)
        with np.load(path, allow_pickle=False) as file:
            # A member that is not an array comes as bytes.
            run = {name: np.asarray(value) for name, value in file.items()}
        _check_run(run)
    except Exception as error:  # of many kinds, for damaged files
        raise _refused(path, f"a saved run ({error})") from error
    return run


def _refused(path, expected, remedy=""):
    expected = f"{expected}; give another path{remedy}"
    return ValueError(f"{_OWNER}: checkpoint is {path}, but must be {expected}.")


def _check_run(run):
    forms = {f"history_{name}": ("if", 1) for name in HISTORY}
    forms |= {"fingerprint": ("U", 0), "scale": ("i", 0)}
    forms |= {"optimizer_steps": ("i", 0), "optimizer_image": ("f", 4)}
    for name, (kinds, dimensions) in forms.items():
        value = run.get(name, np.empty((), bool))
        if value.dtype.kind not in kinds or value.ndim != dimensions:
            raise ValueError(f"{name} is missing or of another kind")
    for name, value in run.items():
        finite = value.dtype.kind in "if" and np.isfinite(value).all()
        if name.startswith("optimizer_") and not finite:
            raise ValueError(f"{name} is not all of finite numbers")
    one, *sides, colours = run["optimizer_image"].shape
    lengths = {len(run[f"history_{name}"]) for name in HISTORY}
    shown = np.array(_last_shape(run))
    least = min(run["scale"], run["optimizer_steps"], *(sides - shown), *(shown - 1))
    if (one, colours) != (1, 3) or len(lengths) > 1 or least < 0:
        raise ValueError("its parts do not fit together")


def _last_shape(run):
    """Return the rows and columns of the last step's image, without its margin."""
    return int(run["history_height"][-1]), int(run["history_width"][-1])
