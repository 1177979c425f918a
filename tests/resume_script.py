"""A training in a process of its own, for test_resume.py: see `main`."""

import json
import os
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from gan_style import CycleGAN, datasets
from gan_style.checkpoints import SaveAndResume
from gan_style.layers import InstanceNormalization


def network(channels, strides, name):
    """As small as a network can be: what takes time here is to compile the step."""
    pictures = keras.Input((16, 16, 3))
    options = {"padding": "same", "use_bias": False}
    x = layers.Conv2D(2, 3, strides, name=f"{name}_first", **options)(pictures)
    x = InstanceNormalization()(x)
    options["activation"] = "tanh"
    x = layers.Conv2D(channels, 3, name=f"{name}_second", **options)(x)
    return keras.Model(pictures, x, name=name)


def build():
    keras.utils.set_random_seed(3)
    networks = [network(3, 1, name) for name in ("g_ab", "g_ba")]
    networks += [network(1, 2, name) for name in ("d_a", "d_b")]
    model = CycleGAN(*networks, pool_size=3, seed=5, name="cyclegan")
    model.compile()
    return model


def load(folder):
    """3 and 5 pictures: five steps an epoch."""
    return datasets.load(os.path.join(folder, "pictures"), 16, seed=7)


def state(model):
    """All that training goes on from, by place and name."""
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


def main(folder, kind, kill_at, out):
    """Trains three epochs of five steps, and writes the state to `out`."""
    seen = Seen(int(kill_at) or None)
    if kind == "load":
        # The other half of a training whose first half another process saved.
        model = keras.models.load_model(os.path.join(folder, "half.keras"))
        history = model.fit(
            load(folder).train,
            steps_per_epoch=7,
            verbose=0,
            callbacks=[seen],
        )
    else:
        model = build()
        history = model.fit(
            load(folder).train,
            epochs=3,
            verbose=0,
            callbacks=[callback(folder, kind), seen],
        )
    np.savez(out, **state(model))
    with open(out + ".json", "w") as file:
        json.dump({"steps": seen.steps, "epochs": history.epoch}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
