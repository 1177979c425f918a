"""Keras callbacks in a run of style transfer: a scale is an epoch, a step a batch."""

import math
from types import SimpleNamespace

import keras
from tqdm.auto import tqdm

from gan_style.style_transfer.objective import TERMS
from gan_style.utils.checks import summarize

_ADAM = "optimizer='adam'"
_SAVING = ("BackupAndRestore", "ModelCheckpoint", "OrbaxCheckpoint")
_INSTEAD = {  # of what needs the weights or the optimizer of a Keras model
    **dict.fromkeys(_SAVING, "checkpoint="),
    **dict.fromkeys(("LearningRateScheduler", "ReduceLROnPlateau"), _ADAM),
    "SwapEMAWeights": f"{_ADAM}, whose result is an average",
}
_OPTIONS = ("restore_best_weights", "write_graph", "write_steps_per_second")
_OPTIONS += ("histogram_freq", "embeddings_freq")


def callback_list(transfer, callbacks, optimizer):
    """Return a `CallbackList`, or say which callback cannot work and what to use."""
    flat = keras.tree.flatten(callbacks)
    callbacks = [c for x in flat if x for c in getattr(x, "callbacks", [x])]
    for callback in callbacks:
        if problem := _problem(callback, optimizer):
            name = type(callback).__name__
            raise ValueError(f"StyleTransfer.run: callbacks has {name}, but {problem}.")
    made = keras.callbacks.CallbackList(callbacks, model=transfer)
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.History):
            callback.set_model(SimpleNamespace())  # else it replaces transfer.history
    return made


def _problem(callback, optimizer):
    if not isinstance(callback, keras.callbacks.Callback):
        return f"must have Keras callbacks, not {summarize(callback)}"
    if type(callback).__module__.startswith("gan_style.training"):
        return "must not: it needs a CycleGAN. Use one of Keras' own"
    kinds = {name: getattr(keras.callbacks, name, ()) for name in _INSTEAD}
    instead = [_INSTEAD[name] for name in kinds if isinstance(callback, kinds[name])]
    instead += [f"{name}=False" for name in _OPTIONS if getattr(callback, name, False)]
    if instead and (optimizer, instead) != ("adam", [_ADAM]):
        return f"must not: it needs a Keras model. Use {instead[0]}"
    monitors = keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau
    if isinstance(callback, monitors):
        auto = callback.mode == "auto" and callback.monitor != "loss"
        if auto or callback.monitor not in (*TERMS, "loss"):
            return f"must monitor {', '.join(TERMS)} or loss, with mode='min'"
    return ""


class ProgressBar(keras.callbacks.Callback):
    """Draw a bar of the pixels done, so that its time left holds across scales."""

    def __init__(self, schedule, saved, shown):
        super().__init__()
        self.schedule, self.first, self.shown = schedule, saved.scale, shown

    def on_train_begin(self, logs=None):
        scales, steps = self.schedule
        pixels = [math.prod(self.model.shape_at(size)) for size in scales]
        work = [n * count for n, count in zip(pixels, steps, strict=True)]
        done = int(self.model.optimizer.steps) * pixels[self.first]
        done += sum(work[: self.first])
        form = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
        options = {"desc": "painting", "disable": not self.shown, "bar_format": form}
        self.bar = tqdm(total=sum(work), initial=done, **options)

    def on_train_batch_end(self, batch, logs=None):
        height, width = (self.model.history[s][-1] for s in ("height", "width"))
        done = f"{width}x{height} {batch + 1}/{self.params['steps']}"
        self.bar.set_postfix_str(f"{done} loss {logs['total']:.4g}", refresh=False)
        self.bar.update(height * width)

    def on_train_end(self, logs=None):
        self.bar.close()
