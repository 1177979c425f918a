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
    """A look at the validation images: a score and its standard error.

    The score is the mean, over both directions, of the distance that is left: 1 after
    doing nothing, 0 where translated and real images cannot be told apart.
    """

    step: int
    score: float
    error: float
    ab: float  # what is left in each direction
    ba: float


class StopAtBest(Diagnosis):
    """Keeps the best state in a file, and stops when no better one comes.

    Each check translates the validation images both ways and measures their Kernel
    Inception Distances to the real ones. Training ends, and prints why, when `patience`
    checks in a row have not lowered the best score by a standard error of it. Then the
    model gets the best state, all of it. What `Diagnosis` finds is printed, too.

    Choose by validation images, and report on others, lest the choice flatters. With
    `SaveAndResume`, an interrupted training continues these checks, too.

    Args:
        path: path of the file, `NAME.keras`; the checks go to `NAME.json` beside it.
        validation_a, validation_b: images of each domain, uint8 or float in [-1, 1],
            `(count, height, width, channels)`; with 30 or more a score means something.
        every, patience: as in `Diagnosis`.
        extractor: function from images to features; `image_features("vgg16")` by
            default.

    Attributes:
        checks: a list of `Check`.

    Raises:
        ValueError: for an argument of another kind, or a model that is no `CycleGAN`.

    >>> images = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3))
    >>> mean_colour = lambda images: np.mean(images, (1, 2))
    >>> stop = StopAtBest("best.keras", images, images[::-1], extractor=mean_colour)
    >>> stop.checks, stop.path.name
    ([], 'best.keras')
    """

    def __init__(
        self, path, validation_a, validation_b, every=100, patience=5, extractor=None
    ):
        super().__init__(validation_a, validation_b, every)
        self.path = check_path("StopAtBest", "path", path).with_suffix(".keras")
        self.wait = check_int("StopAtBest", "patience", patience)
        self.extractor = extractor or image_features("vgg16")
        self._features = {k: self.extractor(images) for k, images in self.test.items()}
        nothing = kernel_inception_distance(*self._features.values())
        self._nothing = max(*nothing, 1e-12)  # the distance after doing nothing
        self.checks = []

    @property
    def best(self):
        """The check with the lowest score, or None."""
        return min(self.checks, key=lambda check: check.score, default=None)

    def on_train_begin(self, logs=None):
        super().on_train_begin()
        self.checks, self._began = [], False

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch)
        notes = self._notes()
        if not self._began and self._step and notes.exists():
            try:
                rows = json.loads(notes.read_text(encoding="utf-8"))
                self.checks = [Check(*row) for row in rows if row[0] <= self._step]
            except (KeyError, TypeError, ValueError) as error:
                expected = "written by StopAtBest. Remove it, or give another path"
                raise refused("StopAtBest", notes, error, expected) from error
        self._began = True

    def look_at_images(self, step):
        super().look_at_images(step)
        (ab, error_ab), (ba, error_ba) = map(self._left, self.test)
        error = math.hypot(error_ab, error_ba) / 2
        self.checks.append(Check(step, (ab + ba) / 2, error, ab, ba))
        if self.best.step == step:
            save_state(self.model, self.path)
        with atomic_write(self._notes()) as partial:
            partial.write_text(json.dumps(self.checks), encoding="utf-8")
        if self._is_over():
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if not self.checks:
            return
        best, last = self.best, self.checks[-1]
        if best.step != last.step:
            load_state("StopAtBest", self.model, self.path)
        why = (
            f"no check of the last {self.wait} was better by a standard error"
            if self._is_over()
            else "training has ended"
        )
        print(
            f"Step {last.step}: {why}. The model is that of step {best.step}: "
            f"{best.score:.0%} +- {best.error:.0%} of the distance is left "
            f"({best.ab:.0%} from A to B, {best.ba:.0%} from B to A)."
        )

    def _left(self, direction):
        """Measure the share of the distance that translations leave, and its error."""
        made = self.model.translate(self.test[direction], direction)
        real = self._features[direction[::-1]]
        distance, error = kernel_inception_distance(self.extractor(made), real)
        return distance / self._nothing, error / self._nothing

    def _is_over(self):
        """Return whether the last checks were no better than those before them."""
        before, recent = self.checks[: -self.wait], self.checks[-self.wait :]
        if not before:
            return False
        best = min(before, key=lambda check: check.score)
        return min(check.score for check in recent) > best.score - best.error

    def _notes(self):
        return self.path.with_suffix(".json")
