"""Notices what goes wrong with a CycleGAN most often, while it trains."""

import math
from typing import NamedTuple

import keras
import numpy as np

from gan_style.training.checkpoints import save_state
from gan_style.utils.checks import check_array, check_int, check_path

_SHAPE = "(count, height, width, channels)"
_DIRECTIONS = {
    # direction: (from, to, how well it passes, the discriminator that judges it)
    "ab": ("A", "B", "validity_ab", "discriminator_b"),
    "ba": ("B", "A", "validity_ba", "discriminator_a"),
}


class Finding(NamedTuple):
    """One thing that goes wrong.

    Attributes:
        step: when it was noticed.
        kind: "inverted", "collapsed", "discriminator won" or "not finite".
        where: the direction, "ab" or "ba"; None for the training as a whole.
        sentence: what is wrong, and what to do.
    """

    step: int
    kind: str
    where: str | None
    sentence: str


class Diagnosis(keras.callbacks.Callback):
    """Says in one sentence what goes wrong, and what to do about it.

    Every so many steps it translates a few test images, and looks at the losses that
    `fit` has computed anyway. What it sees `patience` times in a row, it says, once:

    - **inverted**: light comes out dark, and dark light. Where both generators do it,
      the reconstruction is as good as ever, so it stays.
    - **collapsed**: whatever goes in, about the same image comes out.
    - **discriminator won**: it is sure of every image, so that its gradient tells the
      generator little.

    Losses that are **not finite** it says at once. It stops the training, gives the
    model the last good state back, of which it keeps a copy in memory at each check,
    and saves it if `path` says where. A step that loss scaling skipped is left alone.

    As long as a training is well, it says nothing.

    Args:
        test_a, test_b: two or more different images of either domain: uint8, or float
            in [-1, 1], `(count, height, width, channels)`.
        every: steps from one check to the next.
        patience: checks in a row that have to see the same.
        path: where the last good state goes when losses are not finite, `NAME.keras`;
            None keeps it in the model alone.
        say: function that gets each sentence.

    Attributes:
        findings: a list of `Finding`.

    Raises:
        ValueError: for an argument that does not fit.

    >>> class Negative:
    ...     def translate(self, images, direction):
    ...         return -images
    >>> images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3))
    >>> diagnosis = Diagnosis(images, images, patience=1)
    >>> diagnosis.set_model(Negative())
    >>> diagnosis.look_at_images(step=300)
    Step 300: from A to B, light comes out dark (luminance correlates by -1.00): ...
    Step 300: from B to A, light comes out dark (luminance correlates by -1.00): ...
    """

    INVERTED_BELOW = -0.3
    COLLAPSED_BELOW = 0.1
    WON_LOSS_BELOW = 0.02
    WON_VALIDITY_ABOVE = 0.9

    def __init__(self, test_a, test_b, every=100, patience=3, path=None, say=print):
        super().__init__()
        self.test = {
            "ab": _test_images("test_a", test_a),
            "ba": _test_images("test_b", test_b),
        }
        self.every = check_int("Diagnosis", "every", every)
        self.patience = check_int("Diagnosis", "patience", patience)
        self.path = None if path is None else check_path("Diagnosis", "path", path)
        if self.path and self.path.suffix != ".keras":
            raise ValueError(
                f"Diagnosis: path is {str(path)!r}, but it has to end in .keras."
            )
        self.say = say
        self.findings = []
        self._begin()

    def _begin(self):
        self._in_a_row = {}
        self._good = None
        self._sums, self._epoch_sums = {}, {}
        self._overflown = False

    def on_train_begin(self, logs=None):
        self._begin()

    def on_epoch_begin(self, epoch, logs=None):
        # Not before: a callback that restores an interrupted training has done so now.
        self._epoch_step = self._step = int(self.model.steps_done.numpy())
        self._overflown = False
        self._add_to(self._sums, self._epoch_sums)
        self._epoch_sums = {}
        if self._good is None:
            self._keep()
            self._checked_step, self._checked_sums = self._step, {}

    def on_train_batch_end(self, batch, logs=None):
        self._step = self._epoch_step + batch + 1
        due = self._step - self._checked_step >= self.every
        losses = {k: v for k, v in (logs or {}).items() if isinstance(v, float)}
        if not math.isfinite(sum(losses.values())):
            # Running means: once this, they stay so until the epoch ends.
            if (due or not self._overflown) and not self._only_skipped():
                self._stop()
                return
            self._overflown = True
        else:
            # Keras resets the means at every epoch.
            self._epoch_sums = {k: v * (batch + 1) for k, v in losses.items()}
        if due:
            self._check()

    def _check(self):
        if not self._keep():
            return  # the losses of the next step will say so
        sums = dict(self._sums)
        self._add_to(sums, self._epoch_sums)
        steps = self._step - self._checked_step
        recent = {
            k: (v - self._checked_sums.get(k, 0)) / steps for k, v in sums.items()
        }
        self._checked_step, self._checked_sums = self._step, sums
        if not self._overflown:
            self.look_at_losses(self._step, recent)
        self.look_at_images(self._step)

    @staticmethod
    def _add_to(sums, more):
        for name, value in more.items():
            sums[name] = sums.get(name, 0.0) + value

    def look_at_losses(self, step, losses):
        """Looks for a discriminator that has won.

        Args:
            step: for the sentence.
            losses: a dict, means over the steps since the last look.
        """
        for direction, (_, to, validity, discriminator) in _DIRECTIONS.items():
            loss, passes = losses.get(discriminator, 1.0), losses.get(validity, 0.0)
            self._note(
                loss < self.WON_LOSS_BELOW and passes > self.WON_VALIDITY_ABOVE,
                step,
                "discriminator won",
                direction,
                f"the discriminator of {to} has won (its loss is {loss:.3f}, "
                f"{validity} {passes:.2f}), so its gradient says little: lower the "
                "discriminators' learning rate, give them fewer filters, or train on "
                "more images.",
            )

    def look_at_images(self, step):
        """Looks for inverted colours and for collapse in the test images."""
        for direction, (of, to, *_) in _DIRECTIONS.items():
            images = self.test[direction]
            translated = self.model.translate(images, direction)
            correlation = luminance_correlation(images, translated)
            self._note(
                correlation < self.INVERTED_BELOW,
                step,
                "inverted",
                direction,
                f"from {of} to {to}, light comes out dark (luminance correlates by "
                f"{correlation:.2f}): start again with another seed and a larger "
                "identity_weight, such as 5, for training seldom finds out of this.",
            )
            kept = diversity_ratio(images, translated)
            self._note(
                kept < self.COLLAPSED_BELOW,
                step,
                "collapsed",
                direction,
                f"from {of} to {to}, all images come out nearly the same ({kept:.0%} "
                "of the originals' variation is left): go back to an earlier state "
                "with a lower learning rate or a larger reconstruction_weight.",
            )

    def _note(self, seen, step, kind, where, sentence):
        times = self._in_a_row.get((kind, where), 0) + 1 if seen else 0
        self._in_a_row[kind, where] = times
        known = {(finding.kind, finding.where) for finding in self.findings}
        if times >= self.patience and (kind, where) not in known:
            self._tell(step, kind, where, sentence)

    def _tell(self, step, kind, where, sentence):
        sentence = f"Step {step}: {sentence}"
        self.findings.append(Finding(step, kind, where, sentence))
        self.say(sentence)

    def _state(self):
        shown = {id(v) for metric in self.model.metrics for v in metric.variables}
        return [
            *(v for v in self.model.variables if id(v) not in shown),
            *self.model.generator_optimizer.variables,
            *self.model.discriminator_optimizer.variables,
        ]

    def _state_values(self):
        return [variable.numpy() for variable in self._state()]

    def _keep(self):
        """Copies the state, if it is good; says whether it is."""
        values = self._state_values()
        if not _all_finite(values):
            return False
        self._good = (self._step, values)
        return True

    def _only_skipped(self):
        """Whether loss scaling has kept what is not finite away from the weights."""
        optimizers = (
            self.model.generator_optimizer,
            self.model.discriminator_optimizer,
        )
        scaling = keras.optimizers.LossScaleOptimizer
        return any(isinstance(o, scaling) for o in optimizers) and _all_finite(
            [weight.numpy() for weight in self.model.trainable_weights]
        )

    def _stop(self):
        self.model.stop_training = True
        wrong = "losses are not finite, so training stops"
        do = (
            "go on from there with half the learning rate (or mixed_bfloat16 in place "
            "of mixed_float16), and look for such numbers in the images."
        )
        if self._good is None:
            self._tell(
                self._step,
                "not finite",
                None,
                f"{wrong}; they never were: build the model anew or load a file, then "
                + do.partition(" with ")[2],
            )
            return
        step, values = self._good
        for variable, value in zip(self._state(), values, strict=True):
            variable.assign(value)
        where = "in the model"
        if self.path:
            self._save()
            where = f"in the model and in {self.path}"
        self._tell(
            self._step,
            "not finite",
            None,
            f"{wrong}; the state of step {step} is {where}: {do}",
        )

    def _save(self):
        save_state(self.model, self.path, f".{self.path.stem}.part.keras")


def luminance_correlation(images, translated):
    """How luminance before and after correlate over each image's pixels, on average.

    Args:
        images, translated: `(count, height, width, channels)`, in any levels.

    Returns:
        A float, -1 (inverted) to 1. An image of one luminance counts as 0.

    >>> x = np.linspace(0, 1, 32).reshape(2, 4, 4, 1)
    >>> round(luminance_correlation(x, 1 - x / 2), 6)
    -1.0
    """
    images, translated = _pair("luminance_correlation", images, translated)
    x, y = _luminance(images), _luminance(translated)
    x, y = (z - z.mean(axis=1, keepdims=True) for z in (x, y))
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    products = (x * y).sum(axis=1)
    usable = scale > 1e-12
    return float(np.mean(np.where(usable, products / np.where(usable, scale, 1), 0)))


def diversity_ratio(images, translated):
    """How much of the differences between images their translations still show.

    Args:
        images, translated: `(count, height, width, channels)`, in the same levels.

    Returns:
        A float, 0 where all translations are the same image.

    >>> x = np.linspace(0, 1, 32).reshape(2, 4, 4, 1)
    >>> round(diversity_ratio(x, x / 4), 6)
    0.25
    """
    images, translated = _pair("diversity_ratio", images, translated)
    before, after = (
        np.std(np.asarray(p, "float64"), axis=0).mean() for p in (images, translated)
    )
    return float(after / before)


def _pair(owner, images, translated):
    pair = (("images", images), ("translated", translated))
    images, translated = (check_array(owner, *one, 4, _SHAPE) for one in pair)
    if images.shape != translated.shape or not images.size:
        raise ValueError(
            f"{owner}: the images' shape is {images.shape}, and that of the "
            f"translated ones {translated.shape}, but must be the same."
        )
    return images, translated


def _luminance(images):
    images = np.asarray(images, "float64")
    weights = (0.299, 0.587, 0.114)
    if images.shape[-1] == 3:
        grey = images @ np.array(weights)
    else:
        grey = images.mean(axis=-1)
    return grey.reshape(len(grey), -1)


def _all_finite(arrays):
    # The sum of an array is finite only if all of it is, and takes one pass.
    return all(
        np.isfinite(np.sum(array)) for array in arrays if array.dtype.kind not in "iub"
    )


def _test_images(name, images):
    images = check_array("Diagnosis", name, images, shape=_SHAPE)
    if images.ndim != 4 or len(images) < 2 or not np.any(np.std(images, axis=0)):
        raise ValueError(
            f"Diagnosis: {name} has the shape {images.shape}, but it has to hold two "
            "or more different images, (count, height, width, channels), such as "
            f"data.{name}[:4]."
        )
    return images
