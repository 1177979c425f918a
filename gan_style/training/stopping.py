"""Keeps the best state of a training, and ends it when no better one comes."""

import json
import math
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from gan_style.evaluation.features import image_features
from gan_style.evaluation.metrics import kernel_inception_distance
from gan_style.training.checkpoints import load_state, save_state
from gan_style.training.diagnosis import Diagnosis
from gan_style.utils.checks import check_int, check_path, refused
from gan_style.utils.files import atomic_write


class Check(NamedTuple):
    """A look at validation images: how much of the distance translations leave.

    1 is left by doing nothing, and 0 where they cannot be told from real images.
    """

    step: int
    score: float  # the mean of both directions
    error: float  # its standard error
    ab: float
    ba: float


best = partial(min, key=attrgetter("score"))  # of a list of checks


class StopAtBest(Diagnosis):
    """Keeps the best state in a file, and stops when no better one comes.

    Each check translates the validation images both ways and measures their Kernel
    Inception Distances to the real ones. Training ends, and prints why, when `patience`
    checks in a row have not lowered the best score by its standard error. Then the
    model gets the best state, all of it. What `Diagnosis` finds is printed, too.

    Report on other images than these, lest the choice flatters. With `SaveAndResume`
    before it, an interrupted training continues the checks.

    Args:
        path: path of the file, `NAME.keras`; the checks go to `NAME.json` beside it.
        validation_a, validation_b: images as of `Diagnosis`, 30 or more of each.
        every, patience: ints from 1, steps between two checks, and checks to wait.
        extractor: as in `report`; by default `evaluation.image_features("vgg16")`.

    Attributes:
        checks: a list of `Check`.

    Raises:
        ValueError: for an argument of another kind, or a model that is no `CycleGAN`.

    >>> images = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3))
    >>> mean_colour = lambda images: np.mean(images, (1, 2))
    >>> stop = StopAtBest("best.keras", images, images[::-1], extractor=mean_colour)
    >>> stop.path.name, stop.checks
    ('best.keras', [])
    """

    def __init__(
        self, path, validation_a, validation_b, every=100, patience=8, extractor=None
    ):
        super().__init__(validation_a, validation_b, every)
        self.path = check_path("StopAtBest", "path", path).with_suffix(".keras")
        self.notes, self.checks = self.path.with_suffix(".json"), []
        self.wait = check_int("StopAtBest", "patience", patience)
        self.extractor = extractor or image_features("vgg16")
        self._real = {k: self.extractor(images) for k, images in self.test.items()}
        # What doing nothing leaves; where that is hardly anything, its error.
        self._nothing = max(*kernel_inception_distance(*self._real.values()), 1e-12)

    def on_epoch_begin(self, epoch, logs=None):
        first = self._good is None
        super().on_epoch_begin(epoch)
        self.checks = [] if first else self.checks
        if first and self._step and self.notes.exists():
            try:
                rows = json.loads(self.notes.read_text(encoding="utf-8"))
                self.checks = [Check(*row) for row in rows if row[0] <= self._step]
            except (KeyError, TypeError, ValueError) as error:
                expected = "written by StopAtBest. Remove it, or give another path"
                raise refused("StopAtBest", self.notes, error, expected) from error

    def look_at_images(self, step):
        super().look_at_images(step)
        (ab, error_ab), (ba, error_ba) = map(self._left, self.test)
        error = math.hypot(error_ab, error_ba) / 2
        self.checks.append(Check(step, (ab + ba) / 2, error, ab, ba))
        if best(self.checks).step == step:
            save_state(self.model, self.path)
        with atomic_write(self.notes) as partial:
            partial.write_text(json.dumps(self.checks), encoding="utf-8")
        self.model.stop_training |= self._is_over()

    def on_train_end(self, logs=None):
        if not self.checks:
            return
        kept, why = best(self.checks), "training has ended"
        if kept.step != self._step:
            load_state("StopAtBest", self.model, self.path)
        if self._is_over():
            why = f"no check of the last {self.wait} was better by a standard error"
        print(
            f"Step {self._step}: {why}. The model is that of step {kept.step}: "
            f"{kept.score:.0%} +- {kept.error:.0%} of the distance is left "
            f"({kept.ab:.0%} from A to B, {kept.ba:.0%} from B to A)."
        )

    def _left(self, direction):
        """Measure the share of the distance that translations leave, and its error."""
        made = self.extractor(self.model.translate(self.test[direction], direction))
        left = kernel_inception_distance(made, self._real[direction[::-1]])
        return [number / self._nothing for number in left]

    def _is_over(self):
        before, recent = self.checks[: -self.wait], self.checks[-self.wait :]
        goal = best(before).score - best(before).error if before else math.inf
        return best(recent).score > goal
