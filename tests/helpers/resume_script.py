"""Trainings in processes of their own, and what several tests of resuming share."""

import json
import os
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from PIL import Image

from gan_style import CycleGAN, datasets
from gan_style.layers import InstanceNormalization
from gan_style.training import SaveAndResume


def network(channels, strides, name):
    """As small as a network can be: what takes time here is to compile the step."""
    images = keras.Input((16, 16, 3))
    options = {"padding": "same", "use_bias": False}
    x = layers.Conv2D(2, 3, strides, name=f"{name}_first", **options)(images)
    x = InstanceNormalization()(x)
    options["activation"] = "tanh"
    x = layers.Conv2D(channels, 3, name=f"{name}_second", **options)(x)
    return keras.Model(images, x, name=name)


def build():
    keras.utils.set_random_seed(3)
    networks = [network(3, 1, name) for name in ("g_ab", "g_ba")]
    networks += [network(1, 2, name) for name in ("d_a", "d_b")]
    model = CycleGAN(*networks, pool_size=3, seed=5, name="cyclegan")
    model.compile()
    return model


def begins_again():
    """Returns a function that gives one model, compiled once, at its first state."""
    model = build()
    variables = [
        *model.variables,
        *model.generator_optimizer.variables,
        *model.discriminator_optimizer.variables,
    ]
    first = [np.array(v) for v in variables]

    def again():
        for variable, value in zip(variables, first, strict=True):
            variable.assign(value)
        model._initial_epoch = None  # which BackupAndRestore sets and Keras keeps
        return model

    return again


def make_images(folder):
    numbers = np.random.default_rng(0)
    for part, count in (("trainA", 3), ("trainB", 5)):
        (folder / "images" / part).mkdir(parents=True)
        for i in range(count):
            image = numbers.integers(0, 256, (20, 20, 3), "uint8")
            Image.fromarray(image).save(folder / "images" / part / f"{i}.png")
    return folder


def load(folder):
    """3 and 5 images: five steps an epoch."""
    return datasets.load(os.path.join(folder, "images"), 16, seed=7)


def state(model):
    """All that training resumes from, by place and name."""
    variables = [*model.variables]
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        variables += optimizer.variables
    return {
        f"{i} {v.name}": np.array(v)
        for i, v in enumerate(variables)
        if not v.path.startswith(tuple(f"{name}/" for name in model.loss_means))
    }


class Seen(keras.callbacks.Callback):
    """Notes which steps were done, and kills the process before a certain one."""

    def __init__(self, kill_at=None):
        super().__init__()
        self.kill_at = kill_at
        self.steps = []

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.steps_done)
        if step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps.append(step)

    def on_train_batch_end(self, batch, logs=None):
        pass  # else Keras begins batches in another thread


def callback(folder, kind):
    path = os.path.join(folder, kind)
    return {
        "every": lambda: SaveAndResume(path + ".keras", every=2),
        "ours": lambda: SaveAndResume(path + ".keras"),
        "batches": lambda: keras.callbacks.BackupAndRestore(path, save_freq=3),
        "epochs": lambda: keras.callbacks.BackupAndRestore(path),
    }[kind]()


def fit(model, folder, kinds, kill_at=None, **options):
    """Trains; returns the steps and epochs that were done."""
    seen = Seen(kill_at)
    callbacks = [callback(folder, kind) for kind in kinds]
    history = model.fit(
        load(folder).train, verbose=0, callbacks=[*callbacks, seen], **options
    )
    return {"steps": seen.steps, "epochs": history.epoch}


def killed(folder):
    """Trains with two callbacks that save, and dies in the middle of an epoch."""
    fit(build(), folder, ["every", "batches"], kill_at=8, epochs=3)


def resumed(folder):
    """Resumes what other processes saved, and notes each state at the end.

    "load" is the other half of a training whose first half is in a file; "every" and
    "batches" are what `killed` left, up to three epochs of five steps.
    """
    notes = {}

    def note(kind, model, *arguments, **options):
        notes[kind] = fit(model, folder, *arguments, **options)
        np.savez(os.path.join(folder, f"{kind}.npz"), **state(model))

    half = keras.models.load_model(os.path.join(folder, "half.keras"))
    note("load", half, [], steps_per_epoch=7)
    again = begins_again()
    for kind in ("every", "batches"):
        note(kind, again(), [kind], epochs=3)
    with open(os.path.join(folder, "notes.json"), "w") as file:
        json.dump(notes, file)


if __name__ == "__main__":
    {"killed": killed, "resumed": resumed}[sys.argv[1]](sys.argv[2])
