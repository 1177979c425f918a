"""Notices the most common failures of a CycleGAN while it trains."""

import math
from collections import Counter
from typing import NamedTuple

import keras
import numpy as np

from gan_style.training.checkpoints import state_variables, weights_are_finite
from gan_style.utils.checks import check_array, check_int, refused
from gan_style.utils.images import luma

_SHAPE = "(count, height, width, channels)"
_SENTENCES = {
    "inverted": "from {0} to {1}, light comes out dark (luminance correlates by "
    "{2:.2f}): start again with another seed and a larger identity_weight, such as 5.",
    "collapsed": "from {0} to {1}, all images come out nearly the same ({2:.0%} of the "
    "originals' variation is left): go back to an earlier state with a lower learning "
    "rate or a larger reconstruction_weight.",
    "unchanged": "from {0} to {1}, images come out as they are (changed by {2:.1%} of "
    "their deviation): lower identity_weight and reconstruction_weight, limit the gate "
    "(gate=0.5), or raise the generators' learning rate.",
    "discriminator silent": "the discriminator of {1} knows nothing (its loss is "
    "{2:.3f}, a guess's 0.25): check its learning rate and that it is trainable.",
    "discriminator won": "the discriminator of {1} has won (its loss is {2:.3f}, {3} "
    "{4:.2f}), so its gradient says little: lower the discriminators' learning rate, "
    "give them fewer filters, or train on more images.",
    "not finite": "losses are not finite, so training stops. {0}. Look for such "
    "numbers in the images.",
}


class Finding(NamedTuple):
    """A failure of a kind, noticed at a step in a direction; a sentence says it all."""

    step: int
    kind: str  # a key of _SENTENCES
    where: str | None
    sentence: str


class Diagnosis(keras.callbacks.Callback):
    """Prints what goes wrong, and what to do about it.

    It looks at translated test images and the losses of `fit`. What it sees `patience`
    times in a row, it prints, once:

    - **inverted**: light comes out dark, and dark light. If both generators do it, the
      reconstruction is as good as ever, so it stays.
    - **collapsed**: about the same image comes out, whatever goes in.
    - **unchanged**: what goes in comes out.
    - **discriminator won**: it is sure of every image, so its gradient says little.
    - **discriminator silent**: it answers no better than a constant would.

    When losses are **not finite**, except where loss scaling skips a step, it stops the
    training and restores the copy of the last good check: save the model after `fit`.

    Args:
        test_a, test_b: two or more different images of each domain: uint8, or float in
            [-1, 1], `(count, height, width, channels)`.
        every: int from 1, steps between two checks.
        patience: int from 1, checks in a row that must see the same.

    Attributes:
        findings: a list of `Finding`.

    Raises:
        ValueError: for an argument of another kind, or a model that is no `CycleGAN`.

    >>> from types import SimpleNamespace
    >>> negative = SimpleNamespace(translate=lambda images, direction: -images)
    >>> images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3))
    >>> diagnosis = Diagnosis(images, images, patience=1)
    >>> diagnosis.set_model(negative)
    >>> diagnosis.look_at_images(step=300)
    Step 300: from A to B, light comes out dark (luminance correlates by -1.00): ...
    Step 300: from B to A, light comes out dark (luminance correlates by -1.00): ...
    """

    def __init__(self, test_a, test_b, every=100, patience=3):
        super().__init__()
        self.test = {"ab": _test("test_a", test_a), "ba": _test("test_b", test_b)}
        self.every = check_int("Diagnosis", "every", every)
        self.patience = check_int("Diagnosis", "patience", patience)
        self.findings, self._in_a_row = [], Counter()

    def on_train_begin(self, logs=None):
        if hasattr(self.model, "generator"):
            expected = "a CycleGAN. Pass fit validation_data, whose losses tell as much"
            raise refused("Diagnosis", "model", self.model, expected)
        self.findings, self._in_a_row = [], Counter()
        self._good = None  # step and values of the last good state
        self._recent = Counter()  # sums of the losses since the last check

    def on_epoch_begin(self, epoch, logs=None):
        # Not before: a callback that restores an interrupted training has done so now.
        self._step = self._epoch_step = int(self.model.steps_done.numpy())
        self._sums = Counter()  # of the losses of this epoch
        self._overflown = False
        if self._good is None:
            self._keep_if_good()
            # So that a resumed training is checked at the same steps.
            self._checked_step = self._step - self._step % self.every

    def on_train_batch_end(self, batch, logs=None):
        self._step = self._epoch_step + batch + 1
        steps = self._step - self._checked_step
        # These are means over the epoch so far, and once not finite stay so.
        means = {k: v for k, v in (logs or {}).items() if isinstance(v, float)}
        if math.isfinite(sum(means.values())):
            self._recent.subtract(self._sums)
            self._sums = Counter({k: v * (batch + 1) for k, v in means.items()})
            self._recent.update(self._sums)
        elif (steps >= self.every or not self._overflown) and not self._was_skipped():
            self._stop()
            return
        else:
            self._overflown = True
        # If the state is not good, the next losses will show it.
        if steps >= self.every and self._keep_if_good():
            if not self._overflown:
                recent = {name: total / steps for name, total in self._recent.items()}
                self.look_at_losses(self._step, recent)
            self.look_at_images(self._step)
            self._checked_step, self._recent = self._step, Counter()

    def look_at_losses(self, step, losses):
        """Look for a discriminator that has won or is silent, in recent mean losses."""
        for direction in self.test:
            loss = losses.get(f"discriminator_{direction[1]}", 1 / 3)
            validity = losses.get(name := f"validity_{direction}", 0.0)
            won = loss < 0.02 and validity > 0.9
            self._note(won, step, "discriminator won", direction, loss, name, validity)
            # While it learns, both losses do not stay this close to those of a guess.
            silent = loss > 0.4 or max(abs(loss - 0.25), abs(validity - 0.25)) < 0.001
            self._note(silent, step, "discriminator silent", direction, loss)

    def look_at_images(self, step):
        """Look for inverted, collapsed and unchanged images."""
        for direction, images in self.test.items():
            translated = self.model.translate(images, direction)
            correlation = luminance_correlation(images, translated)
            self._note(correlation < -0.3, step, "inverted", direction, correlation)
            ratio = diversity_ratio(images, translated)
            self._note(ratio < 0.1, step, "collapsed", direction, ratio)
            if translated.shape == images.shape:  # channels may differ
                change = np.abs(np.float64(translated) - images).mean() / np.std(images)
                self._note(change < 0.02, step, "unchanged", direction, change)

    def _note(self, seen, step, kind, where, *measured):
        times = self._in_a_row[kind, where] + 1 if seen else 0
        self._in_a_row[kind, where] = times
        known = any(finding[1:3] == (kind, where) for finding in self.findings)
        if times >= self.patience and not known:
            self._tell(step, kind, where, *where.upper(), *measured)

    def _tell(self, step, kind, where, *values):
        sentence = f"Step {step}: {_SENTENCES[kind].format(*values)}"
        self.findings.append(Finding(step, kind, where, sentence))
        print(sentence)

    def _keep_if_good(self):
        """Copy the state if it is finite; return whether it is."""
        means = {id(v) for metric in self.model.metrics for v in metric.variables}
        variables = [v for v in state_variables(self.model) if id(v) not in means]
        state = [(variable, variable.numpy()) for variable in variables]
        # A sum is finite only if all is, and needs no memory.
        sums = (np.sum(value) for _, value in state if value.dtype.kind not in "iub")
        if good := all(map(np.isfinite, sums)):
            self._good = (self._step, state)
        return good

    def _was_skipped(self):
        """Return whether loss scaling has kept such numbers away from the weights."""
        scaled = keras.optimizers.LossScaleOptimizer
        scales = any(isinstance(o, scaled) for o in self.model.optimizer.both)
        return scales and weights_are_finite(self.model)

    def _stop(self):
        self.model.stop_training = True
        advice = "They never were: build the model anew or load a file"
        if self._good is not None:
            step, state = self._good
            for variable, value in state:
                variable.assign(value)
            advice = f"The state of step {step} is in the model: resume from there "
            advice += "with half the learning rate, or mixed_bfloat16 for mixed_float16"
        self._tell(self._step, "not finite", None, advice)


def luminance_correlation(images, translated):
    """Correlate luminance over each image's pixels: from -1 (inverted) to 1, averaged.

    An image of one luminance counts as 0.
    """
    x, y = _luminance(images), _luminance(translated)
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    scale[scale <= 1e-12] = math.inf
    return float(np.mean((x * y).sum(axis=1) / scale))


def _luminance(images):
    """Return each image's luminance, centred, as a row of float64."""
    images = np.asarray(images, "float64")
    grey = luma(images) if images.shape[-1] == 3 else images.mean(axis=-1)
    rows = grey.reshape(len(grey), -1)
    return rows - rows.mean(axis=1, keepdims=True)


def diversity_ratio(images, translated):
    """Measure the share of the differences between images that translations keep."""
    before, after = (np.std(x, axis=0, dtype="float64") for x in (images, translated))
    return float(after.mean() / before.mean())


def _test(name, images):
    images = check_array("Diagnosis", name, images, shape=_SHAPE)
    if images.ndim != 4 or len(images) < 2 or not np.any(np.std(images, axis=0)):
        expected = f"two or more different images, {_SHAPE}, such as data.{name}[:4]"
        raise refused("Diagnosis", name, images, expected)
    return images
