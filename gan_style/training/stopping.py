"""Keeps the best state of a training, and ends it when no better one comes."""

import json
import math
from typing import NamedTuple

from gan_style.evaluation.features import image_features
from gan_style.evaluation.metrics import kernel_inception_distance
from gan_style.training.checkpoints import load_state, save_state
from gan_style.training.diagnosis import Diagnosis
from gan_style.utils.checks import check_int, check_path, refused
from gan_style.utils.files import atomic_write


class Check(NamedTuple):
    """A look at validation images: 1 is the score of doing nothing, and 0 the best."""

    step: int
    score: float  # the mean of both directions
    error: float  # its standard error


def best(checks):
    return min(checks, key=lambda check: check.score)


class StopAtBest(Diagnosis):
    """Keeps the best state in a file, and stops when no better one comes.

    Each check translates the validation images both ways and measures their Kernel
    Inception Distances to the real ones; `checks` lists them. Training ends, and says
    why, when `patience` checks in a row have not lowered the best score by its standard
    error. Then the model gets the best state, all of it. Prints as `Diagnosis` does.
    Report on other images than these, lest the choice flatters. With `SaveAndResume`
    before it, an interrupted training continues the checks.

    Args:
        path: the file, `NAME.keras`, of this training alone; checks go to `NAME.json`.
        validation_a, validation_b: images as of `Diagnosis`, 30 or more of each.
        every, patience: ints from 1, steps between two checks, and checks to wait.
        extractor: as in `report`; by default `evaluation.image_features("vgg16")`.

    Raises:
        ValueError: for an argument of another kind, or a model that is no `CycleGAN`.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3))
    >>> stop = StopAtBest("best.keras", x, -x, extractor=lambda x: x.mean((1, 2)))
    >>> stop.path.name, stop.checks
    ('best.keras', [])
    """

    def __init__(
        self, path, validation_a, validation_b, every=100, patience=8, extractor=None
    ):
        super().__init__(validation_a, validation_b, every)
        self.path = check_path("StopAtBest", "path", path)
        if self.path.suffix != ".keras":
            raise ValueError(f"StopAtBest: path is {path}, but must be a .keras file.")
        self.notes, self.checks = self.path.with_suffix(".json"), []
        self.wait = check_int("StopAtBest", "patience", patience)
        self.extractor = extractor or image_features("vgg16")
        self._real = {k: self.extractor(images) for k, images in self.test.items()}
        self._nothing = max(*kernel_inception_distance(*self._real.values()), 1e-12)

    def on_epoch_begin(self, epoch, logs=None):
        first = self._good is None
        super().on_epoch_begin(epoch)
        self.checks = [] if first else self.checks
        if first and self._step and self.notes.exists():
            try:
                rows = json.loads(self.notes.read_text(encoding="utf-8"))
                rows = [Check(*row) for row in rows]
                # Also that of the file, which may be of a later step.
                kept = best(rows) if rows else None
                self.checks = [c for c in rows if c.step <= self._step or c == kept]
            except (LookupError, TypeError, ValueError) as error:
                expected = "written by StopAtBest. Remove it, or give another path"
                raise refused("StopAtBest", self.notes, error, expected) from error

    def look_at_images(self, step):
        super().look_at_images(step)
        scores, errors = zip(*map(self._left, self.test), strict=True)
        check = Check(step, sum(scores) / 2, math.hypot(*errors) / 2)
        self.checks = [c for c in self.checks if c != check] + [check]
        if best(self.checks) is check:
            save_state(self.model, self.path)
        with atomic_write(self.notes) as partial:
            partial.write_text(json.dumps(self.checks), encoding="utf-8")
        self.model.stop_training |= self._is_over()

    def on_train_end(self, logs=None):
        if self._good is None:  # no epoch was left
            self.on_epoch_begin(None)
        if not self.checks:
            print(f"StopAtBest: no check, as {self.every} steps were not made.")
            return
        kept, why = best(self.checks), "training has ended"
        made = int(self.model.steps_done.numpy())
        if kept is not self.checks[-1] or kept.step != made:
            load_state("StopAtBest", self.model, self.path)
        if self._is_over():
            why = f"no check of the last {self.wait} was better by a standard error"
        print(
            f"Step {self._step}: {why}. The model is that of step {kept.step}: "
            f"{kept.score:.0%} +- {kept.error:.0%} of the distance is left."
        )

    def _left(self, direction):
        made = self.extractor(self.model.translate(self.test[direction], direction))
        left = kernel_inception_distance(made, self._real[direction[::-1]])
        return [number / self._nothing for number in left]

    def _is_over(self):
        now = self.checks[-1].step  # the file's check may lie ahead of it
        checks = sorted(check for check in self.checks if check.step <= now)
        before, recent = checks[: -self.wait], checks[-self.wait :]
        goal = best(before).score - best(before).error if before else math.inf
        return not best(recent).score < goal  # also where it is NaN
