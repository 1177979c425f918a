"""Trains on several GPUs, and on several machines.

On the GPUs of one machine, `CycleGAN.fit` works under `tf.distribute.MirroredStrategy`.
On several machines Keras' `fit` does not (3.15 stops as it converts a batch); `train`
drives the same step there. How to start either is written in docs/distributed.md.

A batch is divided among the replicas, and a step on all of them equals one step on the
whole batch, but for rounding. Each replica has pools of its own.
"""

import os
import re

import numpy as np
import tensorflow as tf

from gan_style.training.checkpoints import load_state, save_state
from gan_style.utils.checks import check_int, check_path, summarize
from gan_style.utils.files import check_writable


def train(model, dataset, steps, folder=None, every=500, report=None):
    """Trains a CycleGAN under whatever strategy it was built in.

    Every worker of a training on several machines calls this with the same arguments.
    Each saves its own state, which its pools make different from the others', and keeps
    the last two. Started again, they go on to the bit from the last state that all of
    them have.

    Args:
        model: a compiled `CycleGAN`, built in the scope of a `tf.distribute.Strategy`,
            or of none.
        dataset: `train` of `gan_style.datasets`; its batches are those of all
            replicas together.
        steps: the step to train to, those done before included.
        folder: where the states go, as `worker_0_step_500.keras` and so on, each of
            them a complete model; None for nowhere. It may be one folder for all
            workers, or one on each machine.
        every: steps from one state to the next, and from one report to the next.
        report: function of the step and of a dict, the mean losses since the last
            report; called on each worker.

    Returns:
        The reports, a list of `(step, losses)`.

    Raises:
        ValueError: for a batch that cannot be divided among the replicas, another
            dataset, states that do not belong together, or weights that are no longer
            finite.

    >>> from gan_style import CycleGAN, datasets, patch_discriminator, unet_generator
    >>> networks = [unet_generator((16, 16, 3), 2, name=n) for n in ("ab", "ba")]
    >>> networks += [patch_discriminator((16, 16, 3), 2, name=n) for n in "ab"]
    >>> model = CycleGAN(*networks, pool_size=2, seed=0)
    >>> model.compile()
    >>> data = datasets.load("samples/fruit", 16, train_count=2, test_count=0)
    >>> [(step, losses)] = train(model, data.train, steps=2)
    >>> step, sorted(losses)[0]
    (2, 'discriminator_a')
    """
    if not hasattr(model, "steps_done"):
        raise ValueError(
            f"train: model is {summarize(model)}, but must be a compiled CycleGAN."
        )
    steps = check_int("train", "steps", steps)
    every = check_int("train", "every", every)
    strategy = model.distribute_strategy
    batches_from = _shared(dataset, strategy)
    states = _States(folder, strategy) if folder is not None else None
    if states:
        states.resume(model)
    done = int(model.steps_done.numpy())
    if done >= steps:
        return []

    @tf.function
    def step(batch):
        strategy.run(model.train_step, args=(batch,))

    reports = []
    model.reset_metrics()
    for batch in batches_from(done, steps - done):
        step(batch)
        done += 1
        if done % every and done < steps:
            continue
        # Every worker has to ask for the means, for they are those of all workers.
        losses = {name: float(m.result()) for name, m in model.loss_means.items()}
        reports.append((done, losses))
        if report is not None:
            report(done, losses)
        model.reset_metrics()
        if states:
            states.save(model, done)
    return reports


def _shared(dataset, strategy):
    """Divides each batch among workers, and each share among a worker's replicas."""
    position = getattr(dataset, "cursor", None)
    if position is None:
        raise ValueError(
            f"train: dataset is {summarize(dataset)}, but must be `train` of "
            "gan_style.datasets.load, which knows where to go on."
        )
    batch = dataset.element_spec[0].shape[0]
    replicas = strategy.num_replicas_in_sync
    if batch % replicas:
        raise ValueError(
            f"train: a batch holds {batch} pairs, which {replicas} replicas cannot "
            f"share. Load the dataset with batch_size={replicas}, or a multiple."
        )

    def batches(first, steps):
        def share(context):
            workers = context.num_input_pipelines
            return position.dataset(
                steps, context.input_pipeline_id, workers, replicas // workers
            )

        position.step = first
        return strategy.distribute_datasets_from_function(share)

    return batches


class _States:
    """The last two states of one worker."""

    def __init__(self, folder, strategy):
        self.folder = check_path("train", "folder", folder)
        self.strategy = strategy
        resolver = getattr(strategy, "cluster_resolver", None)
        several = resolver is not None and resolver.task_id is not None
        self.worker = resolver.task_id if several else 0

    def _path(self, step):
        return self.folder / f"worker_{self.worker}_step_{step}.keras"

    def _steps(self):
        name = re.compile(rf"worker_{self.worker}_step_(\d+)\.keras")
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        return sorted(int(match[1]) for match in map(name.fullmatch, names) if match)

    def resume(self, model):
        """Gives the model the last state that all workers have, if there is one."""
        check_writable(self.folder)
        own = self._steps()
        # No worker is further than one state before another: to do the steps up to the
        # next, it needs the others.
        step = _least(self.strategy, own[-1] if own else 0)
        if step == 0:
            return
        if step not in own:
            raise ValueError(
                f"train: worker {self.worker} has the states of the steps {own} in "
                f"{self.folder}, but another one's last is that of step {step}: they "
                "are of different trainings. Choose a new folder, on every worker."
            )
        load_state("train", model, self._path(step))

    def save(self, model, step):
        if not all(np.isfinite(w.numpy()).all() for w in model.trainable_weights):
            raise ValueError(
                f"train: weights are not finite at step {step}, so training ends; "
                f"{self.folder} keeps the states before. Go on from there with half "
                "the learning rate, and look for such numbers in the images."
            )
        save_state(model, self._path(step), f".worker_{self.worker}.part.keras")
        for old in self._steps()[:-2]:
            self._path(old).unlink()


def _least(strategy, number):
    """The least of the workers' numbers."""

    @tf.function
    def gather():
        context = tf.distribute.get_replica_context()
        return context.all_gather(tf.constant([number], tf.int64), axis=0)

    gathered = strategy.experimental_local_results(strategy.run(gather))[0]
    return int(tf.reduce_min(gathered))
