"""The chapters' exercises: `check` runs a learner's answer, and names the mistake.

An exercise is a generator function whose defaults are small inputs; a tuple holds one
value for each of several calls. It yields the right answer first, then what mistakes
give, each after the hint that it draws. To record another mistake is to add a line.
"""

import copy
import inspect

import numpy as np

from gan_style.utils.checks import summarize

__all__ = ["check"]


def check(function, name=None):
    """Run the answer to an exercise, and print in one sentence whether it is right.

    The answer is given NumPy arrays and numbers. It may return numbers, arrays of any
    dtype, tensors, or lists of these. What it raises is printed, not raised.

    Args:
        function: the learner's function. Its name says which exercise it answers; a
            leading `my_`, which keeps it apart from the package's, does not count.
        name: the exercise, for a function with another name.

    >>> def validity_loss(answers):
    ...     return ((answers - 1) ** 2).sum()
    >>> check(validity_loss)
    validity_loss: it sums up, but the formula takes the mean.
    """
    name = str(name or getattr(function, "__name__", "check")).removeprefix("my_")
    with np.errstate(all="ignore"):
        print(f"{name}: {_verdict(function, name)}")


def _verdict(function, name):
    if not callable(function):
        return "that is a value. Pass the function itself, without parentheses."
    if name not in EXERCISES:
        return f"there is no such exercise. There are {', '.join(EXERCISES)}."
    exercise, results = EXERCISES[name], []
    inputs = [x if isinstance(x, tuple) else (x,) for x in exercise.__defaults__]
    calls = max(map(len, inputs))
    cases = list(zip(*(x * calls if len(x) == 1 else x for x in inputs), strict=True))
    for arguments in cases:
        try:
            result = function(*copy.deepcopy(arguments))
        except Exception as error:
            message = " ".join(str(error).split())[:200]
            if "broadcast" in message:
                message += ". A mean with keepdims=True keeps its axes, to fit"
            return f"your code raised {type(error).__name__}: {message}"
        if result is None or result is ...:
            code = getattr(function, "__code__", check.__code__).co_code
            if result is ... or len(code) <= len((lambda: None).__code__.co_code):
                return "not written yet."
            return "it returned nothing. End the function with `return ...`."
        try:
            results.append(_numbers(result))
        except Exception:
            return f"it returned {summarize(result)}, but must return numbers."
    variants = list(zip(*(exercise(*case) for case in cases), strict=True))
    for variant in variants:
        pairs = zip(variant, results, strict=True)
        if not any(_difference(value, *result) for (_, value), result in pairs):
            return variant[0][0]
    for arguments, (_, right), result in zip(cases, variants[0], results, strict=True):
        if wrong := _difference(right, *result):
            return f"for {summarize(arguments)}, {wrong}." if calls > 1 else f"{wrong}."


def _numbers(result):
    """A result as one array, and the tolerance that suits its dtype."""
    try:
        array = np.asarray(result.numpy() if hasattr(result, "numpy") else result)
    except ValueError:  # a number and a list: in one row
        array = np.hstack(result)
    if array.dtype.kind in "USOc":  # bfloat16 is of kind V
        raise TypeError(array.dtype)
    return array.astype("float64"), 0.03 if "float16" in array.dtype.name else 1e-4


def _difference(right, got, tolerance):
    """What sets a result apart from the right one, in words; None if nothing does."""
    right = np.asarray(right, "float64")
    if right.shape != got.shape:
        kinds = (f"shape {x.shape}" if x.shape else "one number" for x in (right, got))
        return "expected {}, but got {}".format(*kinds)
    close = np.isclose(got, right, 0, tolerance * np.abs(right).max())
    if not close.all():
        place = tuple(map(int, np.argwhere(~close)[0]))
        where = f", first at {list(place)}" if place else ""
        return f"expected {right[place]:.6g}, but got {got[place]:.6g}{where}"


# Sides differ and values have both signs, so that no mistake is right by chance.
_IMAGES = np.random.default_rng(0).normal(-0.3, 1, (4, 2, 4, 3, 3)).astype("float32")
_A, _BACK_A, _B, _BACK_B = (scale * x for scale, x in enumerate(_IMAGES, start=1))
_CHANNELS = np.float32([5, 1, 2e-3])  # the third is nearly even, so that epsilon counts
_MAPS, _LARGER = np.abs(_A[0] + 0.5), np.abs(np.concatenate([_A[1], _B[0]]))
_LEVELS = np.clip(170 + 110 * _A[0], 0, 255)
_POOL = [10.0, 20.0, 30.0]
_POOLS, _SWAPS = (_POOL[:2], _POOL, _POOL), (True, False, True)
_STEPS = (0, 60, 100, 101, 249, 250, 300)
SQUARE = "it has absolute differences, but the formula squares them."
ABSOLUTE = "it squares the differences, but the formula has absolute ones."
PAIRED = "compare a with its reconstruction back_a: a and b are no pair."


def _means(*terms):
    """A sum of means, right and wrong."""
    yield "right.", sum(x.mean() for x in terms)
    yield "it sums up, but the formula takes the mean.", sum(x.sum() for x in terms)
    per_image = sum(x.mean((1, 2, 3)) for x in terms)
    yield "it is one number per image: the mean is over the batch, too.", per_image
    yield "it is one number per element: the mean is missing.", sum(terms)


def _both_ways(of_a, of_b):
    yield from _means(abs(of_a), abs(of_b))
    yield ABSOLUTE, (of_a**2).mean() + (of_b**2).mean()
    for signed in (of_a.mean() + of_b.mean(), -of_a.mean() - of_b.mean()):
        yield "without abs, errors of both signs cancel.", signed
    yield "the direction that starts at b is missing.", abs(of_a).mean()
    yield "the direction that starts at a is missing.", abs(of_b).mean()
    yield "add both means, do not average them.", (abs(of_a) + abs(of_b)).mean() / 2


def validity_loss(answers=_A):
    yield from _means((answers - 1) ** 2)
    yield "the target is 1: a generator wants to pass for real.", (answers**2).mean()
    yield "square before you take the mean.", (answers - 1).mean() ** 2
    yield SQUARE, abs(answers - 1).mean()


def reconstruction_loss(a=_A, back_a=_BACK_A, b=_B, back_b=_BACK_B):
    yield from _both_ways(back_a - a, back_b - b)
    yield PAIRED, abs(b - a).mean()
    yield "a belongs to back_a.", abs(back_b - a).mean() + abs(back_a - b).mean()


def identity_loss(a=_A, b=_B, g_ab=lambda x: 0.5 * x + 1, g_ba=lambda x: 2 - 3 * x):
    yield from _both_ways(g_ba(a) - a, g_ab(b) - b)
    swapped = abs(g_ab(a) - a).mean() + abs(g_ba(b) - b).mean()
    yield "g_ba makes images of A: it should keep a, and g_ab should keep b.", swapped


def discriminator_loss(real_answers=_A, fake_answers=_B):
    real, fake = (real_answers - 1) ** 2 / 2, fake_answers**2 / 2
    real_to_0, fake_to_1 = real_answers**2 / 2, (fake_answers - 1) ** 2 / 2
    yield from _means(real, fake)
    yield "the half is missing: it slows the discriminator.", 2 * (real + fake).mean()
    yield "swap the targets: real is 1, fake is 0.", (real_to_0 + fake_to_1).mean()
    yield "fakes have the target 0 here, not 1.", (real + fake_to_1).mean()
    yield "real images have the target 1, not 0.", (real_to_0 + fake).mean()
    yield SQUARE, (abs(real_answers - 1) + abs(fake_answers)).mean() / 2


def instance_norm(x=_A * _CHANNELS):
    def norm(axes=(1, 2), epsilon=1e-5, outside=0.0, ddof=0):
        deviation = np.sqrt(x.var(axes, keepdims=True, ddof=ddof) + epsilon) + outside
        return (x - x.mean(axes, keepdims=True)) / deviation

    yield "right. No image sees the contrast of another.", norm()
    yield "that is batch norm: leave the other images out.", norm((0, 1, 2))
    yield "that is layer norm: each channel has a mean of its own.", norm((1, 2, 3))
    yield "the mean is over positions, not over channels.", norm(3)
    yield "epsilon is missing: an even channel divides by 0.", norm(epsilon=0)
    yield "epsilon belongs under the root.", norm(epsilon=0, outside=1e-5)
    yield "the variance divides by the count, not by one less.", norm(ddof=1)


def pool_turn(pool=_POOLS, size=3, fake=40.0, swap=_SWAPS, place=1):
    full, swapped = len(pool) == size, [*pool[:place], fake, *pool[place + 1 :]]

    def turn(swap, shown=pool[place], stored=swapped):
        return [shown, *stored] if swap else [fake, *pool, *([] if full else [fake])]

    yield "right.", turn(full and swap)
    yield "while the pool fills up, show the fake itself.", turn(swap)
    yield "the coin is the wrong way round.", turn(full and not swap)
    yield "the new fake is not stored.", turn(full and swap, stored=pool)
    first, *rest = turn(full and swap)
    yield "what is shown comes first, then the pool.", [*rest, first]
    yield "show the old fake that had to go.", turn(full and swap, shown=fake)
    yield "return the pool as well: (shown, pool).", turn(full and swap)[0]
    yield "a full pool does not grow.", turn(full and swap, stored=[*pool, fake])
    yield "while it fills up, store each fake.", turn(swap) if full else [fake, *pool]


def receptive_field(layers=([(4, 2)] * 3 + [(4, 1)] * 2, [(7, 1), (3, 2), (5, 3)])):
    kernels, strides = np.transpose(layers)
    apart = np.cumprod([1, *strides[:-1]])  # pixels between two inputs of a layer
    backwards = np.cumprod([1, *strides[:0:-1]])[::-1]
    yield "right. One answer of the PatchGAN sees 70 pixels.", 1 + (kernels - 1) @ apart
    yield "the strides count as well.", 1 + (kernels - 1).sum()
    yield "a kernel of k adds k - 1 inputs, not k.", 1 + kernels @ apart
    yield "start from 1 pixel.", (kernels - 1) @ apart
    yield "a stride counts in later layers only.", 1 + (kernels - 1) @ strides.cumprod()
    wrong_way = 1 + (kernels - 1) @ backwards
    yield "the strides that count are those before a layer, not after it.", wrong_way


def skip_sizes(side=(128, 64), filters=(32, 24)):
    levels = np.array([3, 2, 1])
    right = np.stack([side // 2**levels, filters * 2**levels], axis=1)
    yield "right.", right
    yield "the concatenation doubles the channels.", right // [1, 2]
    yield "the first convolution halves the side, too.", right * [2, 1]
    yield "the deepest skip comes first.", right[::-1]
    yield "each pair is (side, channels).", right[:, ::-1]


def residual_block(x=_A, f=lambda x: 0.7 - 2.5 * x):
    yield "right. Where f(x) is 0, the block changes nothing.", x + f(x)
    yield "the skip is missing: add x.", f(x)
    yield "there is no ReLU after the addition.", np.maximum(x + f(x), 0)
    yield "there is no ReLU on f(x), which may be negative.", x + np.maximum(f(x), 0)
    yield "add; it is the U-Net that concatenates.", np.concatenate([x, f(x)], axis=-1)


def convolution_work(height=6, width=5, kernel=3, channels_in=4, channels_out=7):
    work = height * width * kernel**2 * channels_in * channels_out
    yield "right.", work
    yield "a kernel has k x k positions: square it.", work // kernel
    yield "count multiplications only, without additions.", 2 * work
    yield "those are the weights; each works at all positions.", work // height // width
    yield "every kernel has all input channels.", work // channels_in


def learning_rate(step=_STEPS, constant=100, falling=150, rate=0.2):
    done = (step - constant) / falling  # of the fall
    yield "right.", rate * (1 - np.clip(done, 0, 1))
    yield "it falls from step 0.", rate * (1 - min(step / (constant + falling), 1))
    yield "it never falls.", rate
    yield "it drops at once, but should fall in a straight line.", rate * (done < 0)
    yield "it falls one step early.", rate * (1 - np.clip(done + 1 / falling, 0, 1))
    yield "after the fall it stays at 0.", rate * (1 - max(done, 0))


def content_loss(features=_A, target=_B):
    yield from _means((features - target) ** 2)
    yield SQUARE, abs(features - target).mean()
    of_maps = features.mean((1, 2)) - target.mean((1, 2))
    yield "compare position by position, not the maps' means.", (of_maps**2).mean()


def gram_matrix(features=_MAPS):
    flat, mixed = features.reshape(-1, 3), features.reshape(3, -1)
    yield "right. It has forgotten the positions.", flat.T @ flat
    yield "that is positions x positions: transpose the first factor.", flat @ flat.T
    yield "reshape does not transpose: it mixed the maps.", mixed @ mixed.T
    yield "do not divide by the positions.", flat.T @ flat / len(flat)
    yield "do not divide by positions and channels.", flat.T @ flat / flat.size


def style_loss(features=_MAPS, target_features=_LARGER):
    flat, aim = features.reshape(-1, 3), target_features.reshape(-1, 3)
    gram, wanted = flat.T @ flat, aim.T @ aim
    apart = gram / len(flat) - wanted / len(aim)
    right, undivided = (apart**2).sum() / 36, ((gram - wanted) ** 2).sum() / 36
    yield "right.", right
    yield "the 4 is missing.", 4 * right
    yield "divide by C^2, not by C.", 3 * right
    yield "the division by 4 C^2 is missing.", 36 * right
    yield "it divides by C^2 twice: sum up the squares, divide Grams by M.", right / 9
    yield "divide each Gram matrix by its positions M.", undivided
    yield "divide each Gram matrix by its own M.", undivided / len(flat) ** 2
    yield "divide each Gram matrix by its own M.", undivided / len(aim) ** 2
    yield SQUARE, abs(apart).sum() / 36


def total_variation(image=_A[0]):
    down, right = (image[1:] - image[:-1]) ** 2, (image[:, 1:] - image[:, :-1]) ** 2
    diagonal = (image[1:, 1:] - image[:-1, :-1]) ** 2
    around = [(image - np.roll(image, 1, axis)) ** 2 for axis in (0, 1)]
    yield "right.", down.sum() + right.sum()
    yield SQUARE, (down**0.5).sum() + (right**0.5).sum()
    yield "the shift down is missing.", right.sum()
    yield "the shift to the right is missing.", down.sum()
    yield "shift one way at a time, not diagonally.", diagonal.sum()
    yield "it takes means, but the formula sums up.", down.mean() + right.mean()
    yield "np.roll wraps around: the edges have no such neighbour.", np.sum(around)


def descent_step(image=_LEVELS, gradient=_B[0], rate=20.0):
    step = rate * gradient
    yield "right.", np.clip(image - step, 0, 255)
    yield "that is uphill: subtract.", np.clip(image + step, 0, 255)
    yield "clip to the levels 0 to 255, after the step.", image - step
    yield "the upper limit of 255 is missing.", np.maximum(image - step, 0)
    yield "the learning rate is missing.", np.clip(image - gradient, 0, 255)


_GENERATORS = [f for f in [*globals().values()] if inspect.isgeneratorfunction(f)]
EXERCISES = {f.__name__: f for f in _GENERATORS if f.__name__[0] != "_"}
