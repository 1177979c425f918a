"""Distributed trainings in processes of their own, for test_distribution.py."""

import json
import os
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
from helpers.cyclegans import SGD, small
from helpers.resume_script import network

from gan_style import CycleGAN, datasets
from gan_style.training import SaveAndResume, train


def build(rate=1e-3, pool_size=3, average_decay=0.9):
    """A small model, with Adam for the generators, that depends on no strategy."""
    keras.utils.set_random_seed(3)
    networks = [network(3, 1, name) for name in ("g_ab", "g_ba")]
    networks += [network(1, 2, name) for name in ("d_a", "d_b")]
    model = CycleGAN(
        *networks,
        pool_size=pool_size,
        seed=5,
        average_decay=average_decay,
        name="cyclegan",
    )
    model.compile(
        keras.optimizers.Adam(rate, beta_1=0.5, name="for_generators"),
        SGD(rate, name="for_discriminators"),
    )
    return model


def variables_of(model):
    optimizers = (model.generator_optimizer, model.discriminator_optimizer)
    return [*model.variables, *(v for o in optimizers for v in o.variables)]


def local_state(model):
    """All variables but the losses' means, as this process has them on all replicas."""
    strategy = model.distribute_strategy
    means = {id(v) for metric in model.metrics for v in metric.variables}
    return {
        f"{i} {v.path} {replica}": copy.numpy()
        for i, v in enumerate(variables_of(model))
        if id(v) not in means
        for replica, copy in enumerate(strategy.experimental_local_results(v.value))
    }


def begins_again(model):
    """Returns a function that gives a model, traced once, its first state again."""
    strategy = model.distribute_strategy
    copies = [
        (copy, np.array(copy.numpy()))
        for variable in variables_of(model)
        for copy in strategy.experimental_local_results(variable.value)
    ]

    def again():
        for copy, value in copies:
            copy.assign(value)

    return again


def batches(folder, size=4):
    return datasets.load(os.path.join(folder, "images"), 16, size, seed=7).train


def reports_of(model, dataset, *arguments):
    """Trains; returns what each report says."""
    reports = []
    train(model, dataset, *arguments, report=lambda *report: reports.append(report))
    return reports


def worker(folder, mode):
    """A chief or a worker: trains six steps; "first" also begins again and dies."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    number = int(strategy.cluster_resolver.task_type == "worker")
    train_set = batches(folder)

    def built():
        with strategy.scope():
            return build()

    def note(name, model, reports):
        path = os.path.join(folder, f"{name}_{number}")
        np.savez(path + ".npz", **local_state(model))
        with open(path + ".json", "w") as file:
            json.dump(reports, file)

    if mode == "first":
        model = built()
        note("straight", model, reports_of(model, train_set, 6, None, 3))

        def die(step, losses):
            if step == 6:
                os.kill(os.getpid(), signal.SIGKILL)

        train(built(), train_set, 6, os.path.join(folder, "states"), 2, die)
    else:
        model = built()
        states = os.path.join(folder, "states")
        reports = reports_of(model, train_set, 6, states, 2)
        note("resumed", model, reports)


class Stop(Exception):
    pass


class Watch(keras.callbacks.Callback):
    """Notes the steps and the state after three; may break off before a step."""

    def __init__(self, stop_before=None):
        super().__init__()
        self.stop_before = stop_before
        self.steps, self.after_three = [], None

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.steps_done.numpy())
        if step == self.stop_before:
            raise Stop
        self.steps.append(step)

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.steps_done.numpy()) == 3:
            now = local_state(self.model)
            self.after_three = {name: np.array(value) for name, value in now.items()}


def trained(strategy, folder, way):
    """Three steps of batches of four, on the strategy's replicas."""
    with strategy.scope():
        model = build(0.05, pool_size=0)
    before = local_state(model)
    if way == "fit":
        history = model.fit(batches(folder), steps_per_epoch=3, verbose=0).history
        return before, model, {name: mean[-1] for name, mean in history.items()}
    [(_, losses)] = reports_of(model, batches(folder), 3)
    return before, model, losses


def mirrored(folder):
    """What two replicas on two virtual CPU devices make of the same training."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    virtual = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, virtual)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    one = tf.distribute.get_strategy()

    def note(name, state, losses=None):
        np.savez(os.path.join(folder, f"{name}.npz"), **state)
        with open(os.path.join(folder, f"{name}.json"), "w") as file:
            json.dump(losses, file)

    for name, strategy, way in (
        ("one", one, "fit"),
        ("two_fit", two, "fit"),
        ("two_train", two, "train"),
    ):
        before, model, losses = trained(strategy, folder, way)
        note("beginning", before)
        note(name, local_state(model), losses)

    # A training that breaks off in the middle of an epoch, beside one that does not.
    with two.scope():
        model = build(pool_size=6)
    again = begins_again(model)
    for name, stops in (("straight", (None,)), ("resumed", (2, None))):
        path = os.path.join(folder, f"{name}.keras")
        for stop in stops:
            again()
            watch = Watch(stop)
            callbacks = [SaveAndResume(path, every=1), watch]
            try:
                model.fit(batches(folder), epochs=2, callbacks=callbacks, verbose=0)
            except Stop:
                pass
            if name == "straight":
                note("pools", watch.after_three)
        note(name, local_state(model), watch.steps)
    note("alone", local_state(keras.models.load_model(path)))

    refused = {}
    with two.scope():
        model = small()
        for options in ({"jit_compile": True}, {"steps_per_execution": 2}):
            try:
                model.compile(**options)
            except ValueError as error:
                refused[next(iter(options))] = str(error)
        model = build()
        try:
            train(model, batches(folder, size=3), 1)
        except ValueError as error:
            refused["batch"] = str(error)
    note("refused", {}, refused)


if __name__ == "__main__":
    if sys.argv[2] == "mirrored":
        mirrored(sys.argv[1])
    else:
        worker(*sys.argv[1:])
