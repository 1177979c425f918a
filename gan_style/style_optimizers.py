"""Descent over pixels, as resumable state: Adam and L-BFGS."""

import numpy as np
import tensorflow as tf

from gan_style.style_features import compiled
from gan_style.style_inputs import number, whole


class PixelOptimizer:
    """A picture on its way down a loss, with all that the next step needs.

    Args:
        image: the start, `(1, height, width, 3)`, RGB in [0, 255].
        evaluate: from such a picture to `(terms, gradient)`; the last of the terms is
            what to minimise.
    """

    slots = ()  # names of the tf.Variables that make up the state

    def __init__(self, image, evaluate):
        self.evaluate = evaluate
        self.image = tf.Variable(image)
        self.steps = tf.Variable(0, dtype=tf.int64)
        self.evaluations = 0

    def state(self):
        """Copies the state into a dictionary of NumPy arrays."""
        names = ("image", "steps", *self.slots)
        return {name: getattr(self, name).numpy() for name in names}

    def load_state(self, state):
        """Takes up a state that `state()` returned."""
        for name in ("image", "steps", *self.slots):
            getattr(self, name).assign(state[name])

    def carry(self, previous):
        """Takes over what `previous` learned about a picture of another size.

        L-BFGS takes nothing: its pairs of smooth moves misjudge the fine detail that
        a larger picture adds, and measured no better than a fresh memory.
        """

    def result(self):
        """The picture to show: `(1, height, width, 3)`."""
        return tf.clip_by_value(self.image, 0.0, 255.0)


class Adam(PixelOptimizer):
    """Adam with a running average of its pictures, which is the result.

    Kingma and Ba, "Adam" (ICLR 2015). The average irons out the last steps' noise.

    Args:
        image: see `PixelOptimizer`.
        evaluate: see `PixelOptimizer`.
        learning_rate: levels of [0, 255] a step.
        average: the running average's decay a step.
    """

    slots = ("momentum", "velocity", "age", "mean")

    def __init__(
        self, image, evaluate, learning_rate=5.0, beta_1=0.9, beta_2=0.99, average=0.99
    ):
        super().__init__(image, evaluate)
        below_one = {"beta_1": beta_1, "beta_2": beta_2, "average": average}
        self.settings = (
            number("learning_rate", learning_rate, 0, 1e4),
            *(number(name, value, 0, 1 - 1e-7) for name, value in below_one.items()),
        )
        self.momentum, self.velocity, self.mean = (
            tf.Variable(tf.zeros_like(self.image)) for _ in range(3)
        )
        self.age = tf.Variable(0, dtype=tf.int64)  # of the moments, over all scales
        self._update = compiled(self._update_variables)

    def step(self):
        """Takes one step; returns the terms of the picture it started from."""
        terms, gradient = self.evaluate(self.image.read_value())
        self._update(gradient)
        self.evaluations += 1
        return terms

    def _update_variables(self, gradient):
        rate, beta_1, beta_2, average = self.settings
        self.steps.assign_add(1)
        count = tf.cast(self.age.assign_add(1), gradient.dtype)
        m = self.momentum.assign_add((1 - beta_1) * (gradient - self.momentum))
        v = self.velocity.assign_add(
            (1 - beta_2) * (tf.square(gradient) - self.velocity)
        )
        m, v = m / (1 - beta_1**count), v / (1 - beta_2**count)
        moved = self.image - rate * m / (tf.sqrt(v) + 1e-12)
        image = self.image.assign(tf.clip_by_value(moved, 0.0, 255.0))
        self.mean.assign_add((1 - average) * (image - self.mean))

    def carry(self, previous):
        """Takes over the moments, resized."""
        shape = self.image.shape[1:3]
        self.momentum.assign(_resized(previous.momentum, shape))
        self.velocity.assign(tf.nn.relu(_resized(previous.velocity, shape)))
        self.age.assign(previous.age)

    def result(self):
        """The bias-corrected running average of the pictures so far."""
        if self.steps == 0:
            return super().result()
        count = tf.cast(self.steps, self.mean.dtype)
        return self.mean / (1 - self.settings[-1] ** count)


class LBFGS(PixelOptimizer):
    """Limited-memory BFGS as one continuous run, whose state can be saved.

    Nocedal and Wright, "Numerical Optimization", algorithm 7.4, in the vector-free
    form of Chen, Wang and Zhou (NIPS 2014), with a backtracking search that asks for
    a sufficient decrease; nearly every step costs one evaluation. A pair without
    positive curvature is not remembered.

    Args:
        image: see `PixelOptimizer`.
        evaluate: see `PixelOptimizer`.
        memory: pairs of steps and gradient changes that are remembered.
        first_move: levels of [0, 255] by which the first step moves the pixels, root
            mean square.
    """

    slots = ("gradient", "terms", "moves", "changes", "curvatures", "newest")

    def __init__(self, image, evaluate, memory=10, first_move=2.0):
        super().__init__(image, evaluate)
        self.memory = whole("memory", memory)
        self.first_move = number("first_move", first_move, 0, 1e4)
        shape, dtype = self.image.shape[1:], self.image.dtype
        self.gradient = tf.Variable(tf.zeros_like(self.image))
        self.terms = tf.Variable(tf.zeros(1, dtype), shape=tf.TensorShape([None]))
        self.moves = tf.Variable(tf.zeros((memory, *shape), dtype))
        self.changes = tf.Variable(tf.zeros((memory, *shape), dtype))
        self.curvatures = tf.Variable(tf.zeros(memory, dtype))  # 0: an empty place
        self.newest = tf.Variable(0, dtype=tf.int64)

    def step(self, most_trials=10):
        """Takes one step; returns the terms of the picture it arrived at."""
        if self.steps == 0:
            self._measure(self.image.read_value())
        direction, slope = self._direction()
        if slope >= 0:  # rounding has spoilt the memory: start it afresh
            self.curvatures.assign(tf.zeros_like(self.curvatures))
            direction, slope = self._direction()
        start, before, size = self.image.read_value(), float(self.terms[-1]), 1.0
        for _ in range(most_trials):
            image = start + size * direction
            terms, gradient = self.evaluate(image)
            self.evaluations += 1
            value = float(terms[-1])
            if value <= before + 1e-4 * size * slope:
                self._remember_pair(image, gradient, terms)
                break
            # The parabola through what is known, kept within a tenth and a half.
            best = -0.5 * size * size * slope / (value - before - size * slope)
            size = min(max(best, 0.1 * size), 0.5 * size)
        else:
            self.curvatures.assign(tf.zeros_like(self.curvatures))
        self.steps.assign_add(1)
        return self.terms.read_value()

    def _measure(self, image):
        terms, gradient = self.evaluate(image)
        self.evaluations += 1
        self.terms.assign(terms)
        self.gradient.assign(gradient)

    def _direction(self):
        # The two loops, on the dot products of what they combine: the picture-sized
        # sums are a few matrix products, whatever the memory. An empty place has
        # curvature 0 and so changes nothing.
        moves, changes = (
            tf.reshape(x, (self.memory, -1)) for x in (self.moves, self.changes)
        )
        gradient = tf.reshape(self.gradient, (-1, 1))
        crossed = _products(moves, changes, transpose_b=True)
        changed = _products(changes, changes, transpose_b=True)
        by_move, by_change = (_products(x, gradient)[:, 0] for x in (moves, changes))
        squared = float(_products(gradient, gradient, transpose_a=True)[0, 0])
        curvatures, newest = self.curvatures.numpy(), int(self.newest)
        order = [(newest - age) % self.memory for age in range(self.memory)]
        order = [place for place in order if curvatures[place] > 0]
        alphas, betas = np.zeros(self.memory), np.zeros(self.memory)
        for i in order:
            alphas[i] = -(by_move[i] + crossed[i] @ alphas) / curvatures[i]
        if order:
            scale = curvatures[newest] / changed[newest, newest]
        else:
            scale = self.first_move / max(np.sqrt(squared / len(gradient)), 1e-30)
        for i in reversed(order):
            along = betas @ crossed[:, i] - scale * (by_change[i] + alphas @ changed[i])
            betas[i] = alphas[i] - along / curvatures[i]
        direction = -scale * self.gradient
        for weights, vectors in ((-scale * alphas, changes), (betas, moves)):
            weights = tf.constant(weights[None], direction.dtype)
            direction += tf.reshape(tf.matmul(weights, vectors), direction.shape)
        slope = betas @ by_move - scale * (squared + alphas @ by_change)
        return direction, slope

    def _remember_pair(self, image, gradient, terms):
        move, change = image - self.image, gradient - self.gradient
        curvature = tf.reduce_sum(move * change)
        if curvature > 1e-10 * tf.reduce_sum(tf.square(change)):
            place = (self.newest + 1) % self.memory
            self.moves[place].assign(move[0])
            self.changes[place].assign(change[0])
            self.curvatures[place].assign(curvature)
            self.newest.assign(place)
        self.image.assign(image)
        self.gradient.assign(gradient)
        self.terms.assign(terms)


def _products(a, b, **transposed):
    return tf.matmul(a, b, **transposed).numpy().astype(np.float64)


def _resized(images, shape):
    return tf.cast(tf.image.resize(images, shape, method="bilinear"), images.dtype)
