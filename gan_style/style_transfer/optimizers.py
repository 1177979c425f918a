"""Descent on the pixels of an image, as resumable state: L-BFGS and Adam."""

import functools

import numpy as np
import tensorflow as tf

from gan_style.style_transfer.inputs import add_margin, cut_margin
from gan_style.style_transfer.objective import TERMS


class PixelOptimizer:
    """An image that descends a loss, with all the state that its next step needs.

    `image`, `(1, height, width, 3)`, RGB in [0, 255], is the start; `evaluate` returns
    the `TERMS` of such an image, and the gradient of the last, which is minimised.
    `jit_compile`: make one XLA cluster of a step's move and its evaluation. `margin`:
    the mirrored pixels at each border that descend, too, and are not in the result.
    """

    slots = ("image", "steps", "gradient", "terms")  # the tensors of the state

    def __init__(self, image, evaluate, jit_compile=False, margin=0):
        self.shape, self.margin = tuple(image.shape[1:3]), margin
        self.image = image = add_margin(image, margin)
        self.evaluate, self.evaluations = evaluate, 0
        self.steps, self.gradient = tf.constant(0, tf.int64), tf.zeros_like(image)
        self.terms = tf.zeros(len(TERMS), image.dtype)
        if jit_compile:
            self._try_move = tf.function(self._try_move, jit_compile=True)

    def state(self):
        """Return the state: a dictionary of tensors."""
        return {name: getattr(self, name) for name in self.slots}

    def load_state(self, state):
        """Restore a state that `state()` returned."""
        for name in self.slots:
            setattr(self, name, tf.convert_to_tensor(state[name]))

    def step(self):
        """Take one step; return the terms of the image it arrived at."""
        if self.steps == 0:
            self.terms, self.gradient = self._evaluate(self.image)
        self._descend()
        self.steps += 1
        return self.terms

    def _evaluate(self, image):
        self.evaluations += 1
        return self.evaluate(image)

    def _try_move(self, move, *state):
        """Return what `move` makes of the state, the image last, and its evaluation."""
        *state, image = move(*state)
        return *state, image, *self.evaluate(image)

    def warm_start(self, previous):
        """Start from what `previous` learned about an image of another size."""
        # L-BFGS starts afresh: pairs of smooth moves misjudge the fine detail that a
        # larger image adds, and measured no better than an empty memory.

    def result(self):
        """Return the image to show: `(1, height, width, 3)`."""
        return tf.clip_by_value(cut_margin(self.image, self.shape), 0.0, 255.0)


class Adam(PixelOptimizer):
    """Adam; its result is a running average, which smooths the last steps' noise.

    Kingma and Ba, "Adam" (ICLR 2015). `learning_rate`: levels of [0, 255] per step.
    """

    slots = (*PixelOptimizer.slots, "momentum", "velocity", "age", "mean")
    beta_1, beta_2, average = 0.9, 0.99, 0.99  # decays: of the moments, of the average

    def __init__(self, image, evaluate, jit_compile=False, margin=0, learning_rate=5.0):
        super().__init__(image, evaluate, jit_compile, margin)
        # Callbacks may assign to it, or put a number in its place.
        self.learning_rate = tf.Variable(learning_rate, dtype=image.dtype)
        self.momentum = self.velocity = self.mean = tf.zeros_like(self.image)
        self.age = tf.constant(0, tf.int64)  # of the moments, over all scales

    def _descend(self):
        self.age, dtype = self.age + 1, self.image.dtype
        self.evaluations += 1
        state = self.image, self.gradient, self.momentum, self.velocity, self.mean
        state += tf.cast(self.learning_rate, dtype), tf.cast(self.age, dtype)
        *moments, self.image, self.terms, self.gradient = self._try_move(_adam, *state)
        self.momentum, self.velocity, self.mean = moments

    def warm_start(self, previous):
        """Start from the rate and the moments of `previous`, resized."""
        for name in ("momentum", "velocity"):
            moment = cut_margin(getattr(previous, name), previous.shape)
            moment = tf.cast(tf.image.resize(moment, self.shape), self.image.dtype)
            setattr(self, name, add_margin(moment, self.margin))
        self.velocity = tf.nn.relu(self.velocity)
        self.age, self.learning_rate = previous.age, previous.learning_rate

    def result(self):
        """Return the bias-corrected running average of the images so far."""
        if self.steps == 0:
            return super().result()
        count = tf.cast(self.steps, self.mean.dtype)
        return cut_margin(self.mean, self.shape) / (1 - self.average**count)


class LBFGS(PixelOptimizer):
    """Limited-memory BFGS: Nocedal and Wright, "Numerical Optimization", algorithm 7.4.

    A backtracking line search asks for a sufficient decrease; nearly every step costs
    one evaluation. `blur`: the share that is blurred of each step's first guess of the
    inverse Hessian (`smoothed`). With 0, rough moves come first, which lower a style
    loss soonest and fill a flat sky with a weave.
    """

    memory = 10  # pairs of moves and gradient changes
    first_move = 2.0  # of the first step: levels of [0, 255], root mean square

    def __init__(self, image, evaluate, jit_compile=False, margin=0, blur=0.0):
        super().__init__(image, evaluate, jit_compile, margin)
        self.blur = blur
        self._clear_memory()

    def _clear_memory(self):
        # Moves, changes and their products, the newest last. Empty places share one
        # image; a list accepts a new pair without a copy, which a variable would not.
        zeros = tf.zeros_like(self.image)
        self.pairs = [(zeros, zeros, tf.zeros((), zeros.dtype))] * self.memory

    def state(self):
        state = super().state()
        for place, (move, change, _) in enumerate(self.pairs):
            state |= {f"moves_{place}": move, f"changes_{place}": change}
        return state | {"curvatures": tf.stack([pair[2] for pair in self.pairs])}

    def load_state(self, state):
        super().load_state(state)
        self.pairs = []
        for place, curvature in enumerate(state["curvatures"]):
            pair = state[f"moves_{place}"], state[f"changes_{place}"], curvature
            self.pairs.append(tuple(tf.convert_to_tensor(part) for part in pair))

    def _descend(self, max_trials=10):
        start, last = self.image, self.gradient
        direction, derivative, image, terms, gradient = self._first_trial()
        if derivative >= 0:  # uphill: rounding has spoilt the memory
            self._clear_memory()
            direction, derivative, image, terms, gradient = self._first_trial()
        before, derivative, size = float(self.terms[-1]), float(derivative), 1.0
        for trial in range(max_trials):
            if trial:
                image = start + size * direction
                terms, gradient = self._evaluate(image)
            value = float(terms[-1])
            if value <= before + 1e-4 * size * derivative:
                move, change = image - start, gradient - last
                curvature = _dot(move, change)
                if curvature > 1e-10 * _dot(change, change):
                    self.pairs = [*self.pairs[1:], (move, change, curvature)]
                self.image, self.terms, self.gradient = image, terms, gradient
                break
            # To the minimum of the parabola through both values and the derivative.
            excess = value - before - size * derivative
            best = -0.5 * size * size * derivative / excess
            size = min(max(best, 0.1 * size), 0.5 * size)
        else:
            self._clear_memory()

    def _first_trial(self):
        self.evaluations += 1
        state = self.image, self.gradient, self.pairs, self.first_move, self.blur
        return self._try_move(_two_loops, *state)


# These are traced for one size, then once more for any size, however many the runs.
@tf.function(reduce_retracing=True)
def _adam(image, gradient, m, v, mean, rate, count):
    """Return the moments after a step, the mean of the images, and the image."""
    m += (1 - Adam.beta_1) * (gradient - m)
    v += (1 - Adam.beta_2) * (tf.square(gradient) - v)
    move = rate * (m / (1 - Adam.beta_1**count))
    move /= tf.sqrt(v / (1 - Adam.beta_2**count)) + 1e-12
    image = tf.clip_by_value(image - move, 0.0, 255.0)
    return m, v, mean + (1 - Adam.average) * (image - mean), image


@tf.function(reduce_retracing=True)
def _two_loops(image, gradient, pairs, first_move, blur):
    """Return the direction to move in, the derivative along it, and the image there."""
    # An empty place, all zeros, changes nothing.
    q, alphas = gradient, []
    for move, change, curvature in reversed(pairs):
        alphas.append(tf.math.divide_no_nan(_dot(move, q), curvature))
        q -= alphas[-1] * change
    _, change, curvature = pairs[-1]
    q = smoothed(q, blur)
    root_mean_square = tf.sqrt(tf.reduce_mean(tf.square(q)))
    first = first_move / tf.maximum(root_mean_square, 1e-30)
    scale = tf.math.divide_no_nan(curvature, _dot(change, smoothed(change, blur)))
    q *= tf.where(curvature > 0, scale, first)
    for (move, change, curvature), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - tf.math.divide_no_nan(_dot(change, q), curvature)) * move
    return -q, -_dot(q, gradient), image - q


def smoothed(image, share):
    """Blur a share of an image: a symmetric operator, positive definite below 1."""
    if not share:
        return image
    # Of binomial weights, whose spectrum, cos(w / 2) ** 8, is nowhere negative.
    weights = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256
    kernel = np.outer(weights, weights)[..., None, None].repeat(3, 2)
    kernel = tf.constant(kernel, image.dtype)
    blurred = tf.nn.depthwise_conv2d(image, kernel, [1, 1, 1, 1], "SAME")
    return (1 - share) * image + share * blurred


def _dot(a, b):
    # On CPUs the sum is more precise than a matrix product, and three times as fast.
    return tf.reduce_sum(a * b)


smooth = functools.partial(LBFGS, blur=0.95)
OPTIMIZERS = {"smooth": smooth, "lbfgs": LBFGS, "adam": Adam}
