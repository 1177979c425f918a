"""Keras callbacks in a run of style transfer: a scale is an epoch, a step a batch."""

import math
from types import SimpleNamespace

import keras
from tqdm.auto import tqdm

from gan_style.style_transfer.objective import TERMS
from gan_style.utils.checks import summarize

MONITORS = (*TERMS, "loss")  # the total, under the name that Keras' callbacks know
_INSTEAD = {  # of what needs the weights or the optimizer of a Keras model
    "BackupAndRestore": "checkpoint=",
    "ModelCheckpoint": "checkpoint=",
    "OrbaxCheckpoint": "checkpoint=",
    "LearningRateScheduler": "optimizer='adam' with learning_rate=",
    "ReduceLROnPlateau": "optimizer='adam' with learning_rate=",
    "SwapEMAWeights": "optimizer='adam', whose result is an average",
}
_OPTIONS = ("restore_best_weights", "write_graph", "write_steps_per_second")
_OPTIONS += ("histogram_freq", "embeddings_freq")


def callback_list(transfer, callbacks):
    """Return a `CallbackList` of callbacks that work with a `StyleTransfer`.

    Raises:
        ValueError: names one that does not, and says why and what to use instead.
    """
    callbacks = [c for c in keras.tree.flatten(callbacks) if c is not None]
    for callback in callbacks:
        if problem := _problem(callback):
            name = type(callback).__name__
            raise ValueError(f"StyleTransfer.run: callbacks has {name}, but {problem}.")
    made = keras.callbacks.CallbackList(callbacks, model=transfer)
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.History):
            callback.set_model(SimpleNamespace())  # else it replaces transfer.history
    return made


def _problem(callback):
    if not isinstance(callback, keras.callbacks.Callback):
        return f"must have Keras callbacks, not {summarize(callback)}"
    if type(callback).__module__.startswith("gan_style.training"):
        return "must not: it needs a CycleGAN. Use one of Keras' own"
    kinds = {name: getattr(keras.callbacks, name, ()) for name in _INSTEAD}
    instead = [_INSTEAD[name] for name in kinds if isinstance(callback, kinds[name])]
    instead += [f"{name}=False" for name in _OPTIONS if getattr(callback, name, False)]
    if instead:
        return f"must not: it needs a Keras model. Use {instead[0]}"
    if isinstance(callback, keras.callbacks.EarlyStopping):
        auto = callback.mode == "auto" and callback.monitor != "loss"
        if auto or callback.monitor not in MONITORS:
            return f"must monitor {', '.join(MONITORS[:-1])} or loss, with mode='min'"
    return ""


class ProgressBar(keras.callbacks.Callback):
    """Draw a bar of the pixels done, so that its time left holds across scales."""

    def __init__(self, schedule, shown):
        super().__init__()
        self.schedule, self.shown, self.bar = schedule, shown, None

    def on_epoch_begin(self, epoch, logs=None):
        pixels = [math.prod(self.model.shape_at(size)) for size in self.schedule[0]]
        work = [n * steps for n, steps in zip(pixels, self.schedule[1], strict=True)]
        done = sum(work[:epoch]) + int(self.model.optimizer.steps) * pixels[epoch]
        if self.bar is None:
            self.bar = tqdm(
                desc="painting",
                total=sum(work),
                initial=done,
                disable=not self.shown,
                bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}",
            )

    def on_train_batch_end(self, batch, logs=None):
        height, width = self.model.optimizer.image.shape[1:3]
        done = f"{width}x{height} {batch + 1}/{self.params['steps']}"
        self.bar.set_postfix_str(f"{done} loss {logs['total']:.4g}", refresh=False)
        self.bar.update(height * width)

    def on_train_end(self, logs=None):
        if self.bar is not None:
            self.bar.close()
