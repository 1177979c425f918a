"""Descent over pixels, as resumable state: Adam and L-BFGS."""

import tensorflow as tf

from gan_style.style_transfer.features import compiled
from gan_style.style_transfer.inputs import number, whole


class PixelOptimizer:
    """An image on its way down a loss, with all that the next step needs.

    Args:
        image: the start, `(1, height, width, 3)`, RGB in [0, 255].
        evaluate: from such an image to `(terms, gradient)`; the last of the terms is
            what to minimise.
    """

    slots = ()  # names of the tf.Variables that make up the state

    def __init__(self, image, evaluate):
        self.evaluate = evaluate
        self.image = tf.Variable(image)
        self.steps = tf.Variable(0, dtype=tf.int64)
        self.evaluations = 0

    def state(self):
        """The state: a dictionary of tensors, which are not copied."""
        names = ("image", "steps", *self.slots)
        return {name: getattr(self, name).read_value() for name in names}

    def load_state(self, state):
        """Takes up a state that `state()` returned."""
        for name in ("image", "steps", *self.slots):
            getattr(self, name).assign(state[name])

    def warm_start(self, previous):
        """Takes over what `previous` learned about an image of another size.

        L-BFGS takes nothing: its pairs of smooth moves misjudge the fine detail that
        a larger image adds, and measured no better than a fresh memory.
        """

    def result(self):
        """The image to show: `(1, height, width, 3)`."""
        return tf.clip_by_value(self.image, 0.0, 255.0)


class Adam(PixelOptimizer):
    """Adam with a running average of its images, which is the result.

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
        """Takes one step; returns the terms of the image it started from."""
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

    def warm_start(self, previous):
        """Takes over the moments, resized."""
        shape = self.image.shape[1:3]
        self.momentum.assign(_resized(previous.momentum, shape))
        self.velocity.assign(tf.nn.relu(_resized(previous.velocity, shape)))
        self.age.assign(previous.age)

    def result(self):
        """The bias-corrected running average of the images so far."""
        if self.steps == 0:
            return super().result()
        count = tf.cast(self.steps, self.mean.dtype)
        return self.mean / (1 - self.settings[-1] ** count)


class LBFGS(PixelOptimizer):
    """Limited-memory BFGS as one continuous run, whose state can be saved.

    Nocedal and Wright, "Numerical Optimization", algorithm 7.4, with a backtracking
    search that asks for a sufficient decrease; nearly every step costs one
    evaluation. A pair without positive curvature is not remembered.

    Args:
        image: see `PixelOptimizer`.
        evaluate: see `PixelOptimizer`.
        memory: pairs of steps and gradient changes that are remembered.
        first_move: levels of [0, 255] by which the first step moves the pixels, root
            mean square.
    """

    slots = ("gradient", "terms", "curvatures")

    def __init__(self, image, evaluate, memory=10, first_move=2.0):
        super().__init__(image, evaluate)
        self.memory = whole("memory", memory)
        self.first_move = number("first_move", first_move, 0, 1e4)
        dtype = self.image.dtype
        self.gradient = tf.Variable(tf.zeros_like(self.image))
        self.terms = tf.Variable(tf.zeros(1, dtype), shape=tf.TensorShape([None]))
        self.curvatures = tf.Variable(tf.zeros(memory, dtype))  # 0: an empty place
        self._forget_pairs()

    def _forget_pairs(self):
        # The newest is the last. Empty places share one image of zeros, and a list
        # of tensors takes a new pair without a copy, which a variable would not.
        self.curvatures.assign(tf.zeros_like(self.curvatures))
        self.moves = [tf.zeros_like(self.image)] * self.memory
        self.changes = list(self.moves)

    def _pairs(self):
        for kind in ("moves", "changes"):
            for place in range(self.memory):
                yield f"{kind}_{place}", getattr(self, kind), place

    def state(self):
        pairs = {name: images[place] for name, images, place in self._pairs()}
        return super().state() | pairs

    def load_state(self, state):
        super().load_state(state)
        for name, images, place in self._pairs():
            images[place] = tf.convert_to_tensor(state[name])

    def step(self, most_trials=10):
        """Takes one step; returns the terms of the image it arrived at."""
        if self.steps == 0:
            self._measure(self.image.read_value())
        direction, slope = self._direction()
        if slope >= 0:  # rounding has spoilt the memory: start it afresh
            self._forget_pairs()
            direction, slope = self._direction()
        start, before, size = self.image.read_value(), float(self.terms[-1]), 1.0
        for _ in range(most_trials):
            image = start + size * direction
            terms, gradient = self.evaluate(image)
            self.evaluations += 1
            value = float(terms[-1])
            if value <= before + 1e-4 * size * slope:
                self._remember_pair(image, gradient)
                self._arrive(image, terms, gradient)
                break
            # The parabola through what is known, kept within a tenth and a half.
            best = -0.5 * size * size * slope / (value - before - size * slope)
            size = min(max(best, 0.1 * size), 0.5 * size)
        else:
            self._forget_pairs()
        self.steps.assign_add(1)
        return self.terms.read_value()

    def _measure(self, image):
        terms, gradient = self.evaluate(image)
        self.evaluations += 1
        self._arrive(image, terms, gradient)

    def _arrive(self, image, terms, gradient):
        self.image.assign(image)
        self.terms.assign(terms)
        self.gradient.assign(gradient)

    def _direction(self):
        """Where to go, and the slope of the loss that way."""
        gradient = self.gradient.read_value()
        first_move = tf.constant(self.first_move, gradient.dtype)
        direction, slope = _two_loops(
            gradient, self.moves, self.changes, self.curvatures.read_value(), first_move
        )
        return direction, float(slope)

    def _remember_pair(self, image, gradient):
        move, change, curvature, positive = _pair(
            image, self.image.read_value(), gradient, self.gradient.read_value()
        )
        if positive:
            self.moves = [*self.moves[1:], move]
            self.changes = [*self.changes[1:], change]
            kept = tf.concat([self.curvatures[1:], curvature[None]], 0)
            self.curvatures.assign(kept)


# Both are traced for one size, then for any, whatever the number of runs.


@tf.function(reduce_retracing=True)
def _two_loops(gradient, moves, changes, curvatures, first_move):
    # An empty place, all zeros, changes nothing.
    pairs = list(zip(moves, changes, tf.unstack(curvatures), strict=True))
    q, alphas = gradient, []
    for move, change, curvature in reversed(pairs):
        alphas.append(tf.math.divide_no_nan(_dot(move, q), curvature))
        q -= alphas[-1] * change
    _, change, curvature = pairs[-1]
    mean_square = tf.reduce_mean(tf.square(gradient))
    q *= tf.where(
        curvature > 0,
        tf.math.divide_no_nan(curvature, _dot(change, change)),
        first_move / tf.maximum(tf.sqrt(mean_square), 1e-30),
    )
    for (move, change, curvature), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - tf.math.divide_no_nan(_dot(change, q), curvature)) * move
    return -q, -_dot(q, gradient)


@tf.function(reduce_retracing=True)
def _pair(image, last_image, gradient, last_gradient):
    move, change = image - last_image, gradient - last_gradient
    curvature = _dot(move, change)
    return move, change, curvature, curvature > 1e-10 * _dot(change, change)


def _dot(a, b):
    # On CPUs the sum is more precise than a matrix product, and three times as fast.
    return tf.reduce_sum(a * b)


def _resized(images, shape):
    return tf.cast(tf.image.resize(images, shape, method="bilinear"), images.dtype)
