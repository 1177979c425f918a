"""Does `StopAtBest` stop at the right time, and is what goes wrong named?

    python benchmarks/quality/stopping.py trainings --steps 2400 --seeds 1 2 3 4 5
    python benchmarks/quality/stopping.py planted

The first trains on drawn fruit and landscapes, at 48 pixels and to the end, and notes
what `StopAtBest` would have done: when it would have stopped, and how far the state
that it would have kept is from the best one of the whole training, both measured on
images that it never saw. The second plants four failures, five times each, and looks
whether `Diagnosis` names them.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from keras import layers

from gan_style import CycleGAN, datasets, evaluation
from gan_style.evaluation import kernel_inception_distance
from gan_style.models import patch_discriminator, resnet_generator, unet_generator
from gan_style.training import Diagnosis, StopAtBest
from gan_style.training.stopping import best

SHAPE = (48, 48, 3)
VALIDATION = 64  # images of each domain; those after them are for the test
KINDS = ("fruit", "landscape")


def generator(kind, filters):
    if kind == "fruit":
        return unet_generator(SHAPE, filters, gate=True)
    return resnet_generator(SHAPE, filters, blocks=3, gate=0.5)


def cyclegan(kind, seed, filters=8, planted=None):
    """A model with the settings of chapter 1 or 2, smaller; or with a failure in it."""
    keras.utils.set_random_seed(seed)
    weights = {"reconstruction_weight": 5, "identity_weight": 2}
    if kind == "landscape":
        weights = {"reconstruction_weight": 2, "identity_weight": 0.5}
    networks = [generator(kind, filters) for _ in "ab"]
    networks = [PLANTED[planted](network) for network in networks]
    if planted == "inverted":
        weights["identity_weight"] = 0
    for _ in "ab":
        judge = patch_discriminator(SHAPE, 2 * filters, detail=2 * (kind != "fruit"))
        if planted == "discriminator silent":
            judge = after(judge, layers.Rescaling(0.0, offset=0.5 * (seed % 2)))
        networks.append(judge)
    model = CycleGAN(*networks, seed=seed, average_decay=0.999, **weights)
    # Constant, as nobody knows yet when it will end.
    model.compile(*(keras.optimizers.Adam(5e-4, beta_1=0.5) for _ in "ab"))
    return model


def after(network, layer):
    return keras.Model(network.input, layer(network.output))


def changes_little(network):
    """Its input, and a hundredth of what it paints."""
    painted = layers.Rescaling(0.01)(network.output)
    return keras.Model(network.input, layers.add([network.input, painted]))


def fades(network):
    """What it paints, with a fiftieth of its contrast: nearly the same grey for all."""
    return after(network, layers.Rescaling(0.02))


def inverts(network):
    """Light becomes dark, and a tenth is painted on it."""
    painted = layers.Rescaling(0.1)(network.output)
    negative = layers.Rescaling(-0.9)(network.input)
    return keras.Model(network.input, layers.add([negative, painted]))


PLANTED = {
    None: lambda network: network,
    "discriminator silent": lambda network: network,
    "unchanged": changes_little,
    "collapsed": fades,
    "inverted": inverts,
}


class Watched(StopAtBest):
    """Notes when it would have stopped, goes on, and measures test images too."""

    def __init__(self, path, data, every, patience):
        extractor = evaluation.image_features("vgg16")
        validation = data.test_a[:VALIDATION], data.test_b[:VALIDATION]
        super().__init__(path, *validation, every, patience, extractor)
        self.held_out = {"ab": data.test_a[VALIDATION:], "ba": data.test_b[VALIDATION:]}
        self.real = {d: extractor(images) for d, images in self.held_out.items()}
        self.nothing = kernel_inception_distance(*self.real.values())[0]
        self.tested, self.stopped, self.seconds = [], None, 0.0

    def look_at_images(self, step):
        begun = time.perf_counter()
        super().look_at_images(step)
        self.seconds += time.perf_counter() - begun
        if self.model.stop_training and self.stopped is None:
            self.stopped, self.kept = step, best(self.checks).step
        self.model.stop_training = False
        score = variance = 0.0
        for direction, images in self.held_out.items():
            made = self.extractor(self.model.translate(images, direction))
            real = self.real[direction[::-1]]
            left, error = kernel_inception_distance(made, real)
            score += left / self.nothing / 2
            variance += (error / self.nothing / 2) ** 2
        self.tested.append((step, score, variance**0.5))

    def on_train_end(self, logs=None):
        """The training went on, so there is nothing to restore."""


def load(kind, seed, test_count):
    data = datasets.load(
        f"samples/{kind}", SHAPE[0], seed=seed, train_count=100, test_count=test_count
    )
    for _ in data.train:  # read or drawn now, not while time is taken
        pass
    data.train.cursor.step = 0
    return data


def training(kind, seed, options):
    data = load(kind, seed, 2 * VALIDATION)
    model = cyclegan(kind, seed)
    path = options.results / f"{kind}-{seed}.keras"
    watch = Watched(path, data, options.every, options.patience)
    begun = time.perf_counter()
    epochs, left = divmod(options.steps, options.every)
    assert not left, "steps must be a multiple of every"
    fit = {"steps_per_epoch": options.every, "epochs": epochs, "verbose": 0}
    model.fit(data.train.repeat(), callbacks=[watch], **fit)
    row = {"kind": kind, "seed": seed, "seconds": time.perf_counter() - begun}
    row |= {"checking": watch.seconds, "checks": watch.checks, "tested": watch.tested}
    row |= {"findings": [finding[:3] for finding in watch.findings]}
    row |= {"stopped": watch.stopped, "kept": watch.stopped and watch.kept}
    path.with_suffix(".row.json").write_text(json.dumps(row))
    return row


def planted(kind, seed, failure):
    data = load(kind, seed, 8)
    model = cyclegan(kind, seed, planted=failure)
    diagnosis = Diagnosis(data.test_a, data.test_b, every=50)
    model.fit(
        data.train.repeat(),
        steps_per_epoch=200,
        callbacks=[diagnosis],
        verbose=0,
    )
    return [finding[:3] for finding in diagnosis.findings]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("what", choices=("trainings", "planted"))
    add("--failures", nargs="+", default=[*PLANTED][1:], choices=[*PLANTED][1:])
    add("--steps", type=int, default=2400)
    add("--kinds", nargs="+", default=KINDS, choices=KINDS)
    add("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    add("--every", type=int, default=80)
    add("--patience", type=int, default=8)
    add("--results", type=Path, default=Path("outputs/stopping"))
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    if options.what == "planted":
        named = 0
        for failure in options.failures:
            for kind, seed in [(k, s) for k in KINDS for s in (1, 2, 3)][:5]:
                found = planted(kind, seed, failure)
                named += any(failure == name for _, name, _ in found)
                print(f"{failure}, {kind}, seed {seed}: {found}", flush=True)
                keras.utils.clear_session()
        print(f"named: {named} of {5 * len(options.failures)}")
        return
    print("| data | seed | stopped | kept | left, test | best, test | error |")
    for kind in options.kinds:
        for seed in options.seeds:
            row = training(kind, seed, options)
            tested = {step: (score, error) for step, score, error in row["tested"]}
            lowest, error = min(tested.values())
            kept = row["kept"] or min(row["checks"], key=lambda c: c[1])[0]
            print(
                f"| {kind} | {seed} | {row['stopped']} | {kept} "
                f"| {tested[kept][0]:.3f} "
                f"| {lowest:.3f} | {error:.3f} | {row['seconds']:.0f} s, checks "
                f"{row['checking']:.0f} s",
                flush=True,
            )
            keras.utils.clear_session()


if __name__ == "__main__":
    main()
