"""A style-transfer run: its schedule, its history and its saved state."""

import hashlib
import inspect
import math
import numbers
import os
import struct
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from gan_style.style_transfer.inputs import number, resize, whole
from gan_style.style_transfer.objective import TERMS
from gan_style.style_transfer.optimizers import LBFGS, Adam
from gan_style.utils.archives import check_stored
from gan_style.utils.checks import check_choice, check_list, summarize
from gan_style.utils.files import atomic_write, check_writable

OPTIMIZERS = {"lbfgs": LBFGS, "adam": Adam}


class Result(NamedTuple):
    """A painted image and how it came about.

    Fields: `image`, uint8 `(height, width, 3)`; `history`, a dictionary of lists,
    one entry a step: the four loss terms, the image's `height` and `width`, the
    `evaluations` of the loss so far and the `seconds` since the start.
    """

    image: np.ndarray
    history: dict


def default_scales(size, coarsest=128, ratio=2**0.5):
    """Lists the longer sides of a coarse-to-fine run, each about `ratio` the last.

    Example:
        >>> default_scales(512)
        [128, 181, 256, 362, 512]
        >>> default_scales(100)
        [100]
    """
    count = max(0, round(np.log(size / coarsest) / np.log(ratio)))
    return [round(size / ratio**k) for k in range(count, 0, -1)] + [size]


def default_steps(scales, finest=60, most=150):
    """Lists the steps at each scale: more where they are cheap.

    Example:
        >>> default_steps([128, 181, 256, 362, 512])
        [146, 117, 94, 75, 60]
    """
    behind = range(len(scales) - 1, -1, -1)
    return [round(min(most, finest * 1.25**k)) for k in behind]


def new_history():
    """An empty history of the kind that `Result` describes."""
    return {name: [] for name in (*TERMS, "height", "width", "evaluations", "seconds")}


def save_run(path, **arrays):
    """Writes arrays to an .npz file, complete or not at all.

    Args:
        path: the file. Its folder is made.
        arrays: names and values that NumPy can hold without pickling.
    """
    path = Path(path)
    # One name, so that what a killed process left is written over by the next.
    with (
        atomic_write(path, f".{path.name}.part", durable=True) as partial,
        open(partial, "wb") as file,
    ):
        np.savez(file, allow_pickle=False, **arrays)


def load_run(path):
    """Reads what `save_run` wrote; nothing is unpickled.

    Raises:
        ValueError: if the file is not such a file.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(
            f"checkpoint: got {summarize(path)}, expected the path of a saved run."
        )
    try:
        check_stored(path)
        with np.load(path, allow_pickle=False) as file:
            # What is no array comes as bytes.
            run = {name: np.asarray(value) for name, value in file.items()}
    except (
        *(ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError),
        *(OverflowError, TypeError, struct.error, zipfile.BadZipFile),
    ) as error:
        raise ValueError(
            f"checkpoint: {path} is not a saved run ({error}); give another path."
        ) from error
    if wrong := _wrong_with(run):
        raise ValueError(
            f"checkpoint: {path} is not a saved run ({wrong}); give another path."
        )
    return run


def _wrong_with(run):
    """Says what a saved run lacks of what every run has, or nothing."""
    lengths = set()
    for name, kind, dimensions in (
        ("fingerprint", "U", 0),
        ("scale", "i", 0),
        ("optimizer_steps", "i", 0),
        ("optimizer_image", "f", 4),
        *((f"history_{name}", "if", 1) for name in new_history()),
    ):
        value = run.get(name)
        if value is None or value.dtype.kind not in kind or value.ndim != dimensions:
            return f"no {name}" if value is None else f"another kind of {name}"
        if dimensions == 1:
            lengths.add(len(value))
    shape = run["optimizer_image"].shape
    if shape[0] != 1 or shape[-1] != 3 or 0 in shape:
        return f"an image of shape {shape}"
    if len(lengths) > 1 or run["scale"] < 0 or run["optimizer_steps"] < 0:
        return "steps that do not add up"
    for name, value in run.items():
        if name.startswith("optimizer_"):
            if value.dtype.kind not in "if" or not np.isfinite(value).all():
                return f"{name} is not all of finite numbers"
    return ""


class Run:
    """A way from coarse to fine: which scales, how many steps, which optimizer.

    Args:
        transfer: the `StyleTransfer` that knows the images.
        steps: as in `StyleTransfer.run`.
        scales: as in `StyleTransfer.run`.
        optimizer: as in `StyleTransfer.run`.
        settings: further arguments of the optimizer.
    """

    def __init__(self, transfer, steps, scales, optimizer, settings):
        check_choice("StyleTransfer.run", "optimizer", optimizer, tuple(OPTIMIZERS))
        known = list(inspect.signature(OPTIMIZERS[optimizer]).parameters)[2:]
        if unknown := set(settings) - set(known):
            raise ValueError(
                f"settings: got {', '.join(sorted(unknown))}, expected arguments of "
                f"optimizer={optimizer!r}: {', '.join(known)}."
            )
        if scales is None:
            scales = default_scales(transfer.size)
        owner = "StyleTransfer.run"
        scales = check_list(owner, "scales", scales, "integers of pixels")
        scales = [whole("scales", scale) for scale in scales]
        steps = default_steps(scales) if steps is None else steps
        if isinstance(steps, numbers.Number):
            steps = [steps] * len(scales)
        steps = check_list(owner, "steps", steps, "one integer a scale")
        steps = [whole("steps", count) for count in steps]
        if not scales or len(steps) != len(scales) or scales[-1] != transfer.size:
            raise ValueError(
                f"scales, steps: got {scales} and {steps}, expected one positive "
                f"number of steps a scale, and {transfer.size} as the last scale."
            )
        for name, value in settings.items():
            if name == "memory":
                settings[name] = whole(name, value)
            else:
                number(name, value, 0, 1e30)
        self.transfer, self.scales, self.steps = transfer, scales, steps
        self.optimizer, self.settings = optimizer, settings

    def paint(self, initial, callbacks, progress, checkpoint, save_every, branch_from):
        """Runs to the end, or until a callback sets `stop_training`."""
        transfer = self.transfer
        save_every = whole("save_every", save_every)
        name = ""
        if checkpoint:
            name = self._fingerprint(initial)
            check_writable(Path(checkpoint).parent)
        saved, branch = None, None
        if checkpoint and os.path.exists(checkpoint):
            saved = load_run(checkpoint)
            if str(saved["fingerprint"]) != name:
                raise ValueError(
                    f"checkpoint: {checkpoint} holds a run with other images or "
                    "options; give another file, or branch_from=."
                )
        elif branch_from is not None:
            branch = load_run(branch_from)
        if saved and saved["scale"] >= len(self.scales):
            raise ValueError(
                f"checkpoint: {checkpoint} stands at scale {saved['scale']} of "
                f"{len(self.scales)}, so it was changed; give another path."
            )
        first = self._first_scale(saved, branch)
        transfer.history = _saved_history(saved)
        transfer.stop_training = False
        for callback in callbacks:
            callback.set_model(transfer)
            callback.on_train_begin()
        with self._bar(progress, first, saved) as bar:
            for index in range(first, len(self.scales)):
                optimizer = self._enter(index, initial, saved, branch, checkpoint)
                saved = branch = None
                for callback in callbacks:
                    callback.on_epoch_begin(index)
                logs = self._descend(
                    index, optimizer, callbacks, bar, checkpoint, name, save_every
                )
                for callback in callbacks:
                    callback.on_epoch_end(index, logs)
                if transfer.stop_training:
                    break
        for callback in callbacks:
            callback.on_train_end()
        return Result(transfer.image(), transfer.history)

    def _first_scale(self, saved, branch):
        if saved:
            return int(saved["scale"])
        if branch:
            size = max(branch["optimizer_image"].shape[1:3])
            larger = [i for i, scale in enumerate(self.scales) if scale >= size]
            return larger[0] if larger else len(self.scales) - 1
        return 0

    def _enter(self, index, initial, saved, branch, checkpoint):
        """Builds the optimizer of a scale, from the last scale's or a saved one."""
        transfer, size = self.transfer, self.scales[index]
        objective, previous = transfer.objective(size), transfer.optimizer
        fresh = index == 0 or saved or branch
        if branch:
            image = resize(
                branch["optimizer_image"], transfer.shape_at(size), transfer.dtype
            )
        elif fresh:
            image = transfer.start(initial, size)
        else:
            image = resize(previous.result(), transfer.shape_at(size), transfer.dtype)
        optimizer = OPTIMIZERS[self.optimizer](
            image, lambda x: objective(x, transfer.tile_size), **self.settings
        )
        if saved:
            _check_state(checkpoint, saved, optimizer)
            optimizer.load_state(
                {
                    key.removeprefix("optimizer_"): value
                    for key, value in saved.items()
                    if key.startswith("optimizer_")
                }
            )
        elif not fresh:
            optimizer.warm_start(previous)
        transfer.optimizer = optimizer
        return optimizer

    def _descend(self, index, optimizer, callbacks, bar, checkpoint, name, save_every):
        transfer, history = self.transfer, self.transfer.history
        height, width = optimizer.image.shape[1:3]
        spent = (history["evaluations"] or [0])[-1] - optimizer.evaluations
        begun = time.perf_counter() - (history["seconds"] or [0.0])[-1]
        logs = {}
        for step in range(int(optimizer.steps), self.steps[index]):
            terms = optimizer.step().numpy().tolist()
            logs = dict(zip(TERMS, terms, strict=True))
            about = {
                "height": height,
                "width": width,
                "evaluations": spent + optimizer.evaluations,
                "seconds": time.perf_counter() - begun,
            }
            for key, value in (logs | about).items():
                history[key].append(value)
            bar.set_postfix_str(
                f"{width}x{height} {step + 1}/{self.steps[index]} "
                f"loss {logs['total']:.4g}",
                refresh=False,
            )
            bar.update(height * width)
            last = step + 1 == self.steps[index]
            if checkpoint and ((step + 1) % save_every == 0 or last):
                self._save(checkpoint, name, index)
            for callback in callbacks:
                callback.on_train_batch_end(step, logs)
            if transfer.stop_training:
                break
        return logs

    def _bar(self, progress, first, saved):
        # Counted in pixels, so that the time left holds across scales.
        sizes = [math.prod(self.transfer.shape_at(scale)) for scale in self.scales]
        work = [n * size for n, size in zip(self.steps, sizes, strict=True)]
        done = int(saved["optimizer_steps"]) * sizes[first] if saved else 0
        return tqdm(
            total=sum(work[first:]),
            initial=done,
            disable=not progress,
            bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}",
            desc="painting",
        )

    def _save(self, path, name, index):
        state = self.transfer.optimizer.state()
        save_run(
            path,
            fingerprint=np.array(name),
            scale=np.array(index),
            **{f"optimizer_{key}": value for key, value in state.items()},
            **{f"history_{k}": np.array(v) for k, v in self.transfer.history.items()},
        )

    def _fingerprint(self, initial):
        """Names everything that the run's pixels depend on."""
        transfer, digest = self.transfer, hashlib.sha256()
        arrays = [transfer.content, *transfer.styles, *(transfer.masks or ())]
        if not isinstance(initial, str):
            arrays.append(np.asarray(initial))
        for array in arrays:
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        options = (
            transfer.options,
            transfer.tile_size,
            initial if isinstance(initial, str) else "",
            self.scales,
            self.steps,
            self.optimizer,
            sorted(self.settings.items()),
        )
        digest.update(repr(options).encode())
        return digest.hexdigest()


def _check_state(checkpoint, saved, optimizer):
    """Raises unless the saved state has the form of the optimizer's own."""
    for name, own in optimizer.state().items():
        value = saved.get(f"optimizer_{name}", np.empty(0, bool))
        shape, dtype = tuple(own.shape), own.dtype.as_numpy_dtype
        # The loss has no terms before its first evaluation.
        same = value.shape == shape or (name == "terms" and value.ndim == 1)
        if not same or value.dtype != dtype:
            raise ValueError(
                f"checkpoint: optimizer_{name} of {checkpoint} is {value.dtype} "
                f"{value.shape}, expected {np.dtype(dtype)} {shape}: the file was "
                "changed; give another path."
            )


def _saved_history(saved):
    history = new_history()
    if saved:
        history = {key: saved[f"history_{key}"].tolist() for key in history}
    return history
