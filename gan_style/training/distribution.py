"""Training on several GPUs, and on several machines.

On one machine, `CycleGAN.fit` works under `tf.distribute.MirroredStrategy`. On several
Keras' `fit` does not (3.15), so `train` runs the step: see docs/distributed.md.
"""

import tensorflow as tf

from gan_style.training.checkpoints import load_state, save_state, weights_are_finite
from gan_style.training.guards import check_batch_size, warn_of_ended
from gan_style.utils.checks import check_int, check_path, refused
from gan_style.utils.files import check_writable


def train(model, dataset, steps, folder=None, every=500, report=None):
    """Train a CycleGAN under the `tf.distribute.Strategy` it was built in.

    Replicas divide a batch: a step on all equals one on the whole, up to rounding, but
    each has its own pools. On several machines every worker calls this with the same
    arguments and keeps its last two states. Started again, they resume bit for bit from
    the last state that all of them have.

    Args:
        model: a compiled `CycleGAN`, built in the scope of a strategy, or of none.
        dataset: `train` of `gan_style.datasets`, in batches for all replicas together.
        steps: int from 1, the step to train to, earlier steps included.
        folder: path for the states, `worker_0_step_500.keras` and so on, each a
            complete model: one for all workers, or one on each machine. None for none.
        every: int from 1, steps between two states, and between two reports.
        report: function that each worker calls with the step and a dict, the mean
            losses since the last report; None for none.

    Raises:
        ValueError: for a batch that the replicas cannot share, another dataset, states
            of different trainings, or weights that are no longer finite.

    >>> from gan_style import CycleGAN, datasets, patch_discriminator, unet_generator
    >>> networks = [unet_generator((16, 16, 3), 2, name=n) for n in ("ab", "ba")]
    >>> networks += [patch_discriminator((16, 16, 3), 2, name=n) for n in "ab"]
    >>> model = CycleGAN(*networks, pool_size=2, seed=0)
    >>> model.compile()
    >>> data = datasets.load("samples/fruit", 16, train_count=2, test_count=0)
    >>> train(model, data.train, steps=2, report=lambda step, losses: print(step))
    2
    """
    steps = check_int("train", "steps", steps)
    every = check_int("train", "every", every)
    cursor = getattr(dataset, "cursor", None)
    if cursor is None or not hasattr(model, "steps_done"):
        expected = "a compiled CycleGAN, and `train` of gan_style.datasets.load"
        raise refused("train", "(model, dataset)", (model, dataset), expected)
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    check_batch_size("train", dataset.element_spec[0].shape[0], replicas)
    states = None if folder is None else _States(folder, strategy)
    if states:
        states.resume(model)
    cursor.step = first = int(model.steps_done.numpy())
    if (left := steps - first) <= 0:
        return
    model.follow_weights()
    warn_of_ended(model)

    def share(context):
        worker, workers = context.input_pipeline_id, context.num_input_pipelines
        return cursor.dataset(left, worker, workers, replicas // workers)

    @tf.function
    def step(batch):
        strategy.run(model.train_step, args=(batch,))

    model.reset_metrics()
    batches = strategy.distribute_datasets_from_function(share)
    for done, batch in enumerate(batches, first + 1):
        step(batch)
        if done % every and done < steps:
            continue
        # Every worker must ask for the means, which are those of all workers.
        losses = {name: float(m.result()) for name, m in model.loss_means.items()}
        if report is not None:
            report(done, losses)
        model.reset_metrics()
        if states:
            states.save(model, done)
    model.follow_weights(trained=True)


class _States:
    """The last two states of one worker."""

    def __init__(self, folder, strategy):
        self.folder = check_path("train", "folder", folder)
        self.strategy = strategy
        resolver = getattr(strategy, "cluster_resolver", None)
        kind = getattr(resolver, "task_type", None) or "worker"  # or "chief"
        self.worker = f"{kind}_{getattr(resolver, 'task_id', None) or 0}"

    def _paths(self):
        """Return a dict from the steps of the states, in order, to their paths."""
        paths = self.folder.glob(f"{self.worker}_step_*.keras")
        found = ((path.stem.rpartition("_")[2], path) for path in paths)
        return dict(sorted((int(step), x) for step, x in found if step.isdecimal()))

    def resume(self, model):
        """Load the last state that all workers have, if there is one."""
        check_writable(self.folder)
        own = self._paths()
        # No worker is ahead by more than one state: each step needs all of them.
        last = max(own, default=0)
        lasts = self.strategy.run(tf.function(lambda: tf.constant([last], tf.int64)))
        step = int(tf.reduce_min(self.strategy.gather(lasts, axis=0)))
        if step and step not in own:
            raise ValueError(
                f"train: folder is {self.folder}, where {self.worker} has the states "
                f"of steps {[*own]}, but must hold that of step {step}, the last of "
                "another worker. Pass a new folder, on every worker."
            )
        if step:
            load_state("train", model, own[step])

    def save(self, model, step):
        if not weights_are_finite(model):
            raise ValueError(
                f"train: weights at step {step} are not finite, but must be. Resume "
                f"from {self.folder} with half the learning rate, and check the images."
            )
        path = self.folder / f"{self.worker}_step_{step}.keras"
        save_state(model, path, f".{self.worker}.part.keras")
        for old in [*self._paths().values()][:-2]:
            old.unlink()
