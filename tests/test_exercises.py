"""Exercises: each recorded mistake, written as learners write it, draws its hint.

`python tests/test_exercises.py > docs/exercises.md` writes the table of them.
"""

import contextlib
import io
import math
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import gan_style
from gan_style import cyclegan, exercises

SIGNATURES = {
    "skip_sizes": "side, filters",
    "instance_norm": "x",
    "receptive_field": "layers",
    "validity_loss": "answers",
    "reconstruction_loss": "a, back_a, b, back_b",
    "identity_loss": "a, b, g_ab, g_ba",
    "discriminator_loss": "real_answers, fake_answers",
    "pool_turn": "pool, size, fake, swap, place",
    "residual_block": "x, f",
    "convolution_work": "height, width, kernel, channels_in, channels_out",
    "learning_rate": "step, constant, falling, rate",
    "content_loss": "features, target",
    "gram_matrix": "features",
    "style_loss": "features, target_features",
    "total_variation": "image",
    "descent_step": "image, gradient, rate",
}
# Exercise, the body of a wrong answer, and what is in its hint.
WRONG = [
    ("skip_sizes", "[(side // 8, 4 * filters), (side // 4, 2 * filters), "
     "(side // 2, filters)]", "doubles the channels"),
    ("skip_sizes", "[(side // 4, 8 * filters), (side // 2, 4 * filters), "
     "(side, 2 * filters)]", "halves the side"),
    ("skip_sizes", "np.array([[side / 2**i, filters * 2**i] for i in (1, 2, 3)])",
     "deepest skip comes first"),
    ("instance_norm", "(x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)",
     "batch norm"),
    ("instance_norm", "layers.BatchNormalization(epsilon=1e-5)(x, training=True)",
     "batch norm"),
    ("instance_norm", "mean, variance = ops.moments(x, (1, 2, 3), keepdims=True)\n"
     "return (x - mean) / ops.sqrt(variance + 1e-5)", "layer norm"),
    ("instance_norm", "mean, variance = tf.nn.moments(x, -1, keepdims=True)\n"
     "return (x - mean) * tf.math.rsqrt(variance + 1e-5)", "not over channels"),
    ("instance_norm", "(x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), "
     "keepdims=True)", "epsilon is missing"),
    ("instance_norm", "(x - x.mean((1, 2), keepdims=True)) / (x.std((1, 2), "
     "keepdims=True) + 1e-5)", "under the root"),
    ("instance_norm", "variance = x.var((1, 2), keepdims=True, ddof=1)\n"
     "return (x - x.mean((1, 2), keepdims=True)) / np.sqrt(variance + 1e-5)",
     "not by one less"),
    ("receptive_field", "1 + sum(kernel - 1 for kernel, _ in layers)", "strides count"),
    ("receptive_field", "r, step = 1, 1\nfor kernel, stride in layers:\n"
     "    r += kernel * step\n    step *= stride\nreturn r", "k - 1"),
    ("receptive_field", "r, step = 0, 1\nfor kernel, stride in layers:\n"
     "    r += (kernel - 1) * step\n    step *= stride\nreturn r", "1 pixel"),
    ("receptive_field", "r, step = 1, 1\nfor kernel, stride in layers:\n"
     "    step *= stride\n    r += (kernel - 1) * step\nreturn r", "later layers"),
    ("receptive_field", "r, step = 1, 1\nfor kernel, stride in layers[::-1]:\n"
     "    r += (kernel - 1) * step\n    step *= stride\nreturn r", "first layer"),
    ("validity_loss", "ops.mean(ops.square(answers))", "the target is 1"),
    ("validity_loss", "tf.reduce_mean(tf.abs(answers - 1))", "squares them"),
    ("validity_loss", "ops.sum((answers - 1) ** 2)", "it sums up"),
    ("validity_loss", "ops.mean((answers - 1) ** 2, axis=(1, 2, 3))", "per image"),
    ("validity_loss", "(answers - 1) ** 2", "per element"),
    ("validity_loss", "(answers.mean() - 1) ** 2", "before you take the mean"),
    ("reconstruction_loss", "np.abs(a - b).mean()", "no pair"),
    ("reconstruction_loss", "ops.mean(ops.abs(a - back_b)) + "
     "ops.mean(ops.abs(b - back_a))", "a belongs to back_a"),
    ("reconstruction_loss", "np.mean((a - back_a) ** 2) + np.mean((b - back_b) ** 2)",
     "absolute ones"),
    ("reconstruction_loss", "np.abs(back_a - a).mean()", "starts at b is missing"),
    ("reconstruction_loss", "np.abs(back_b - b).mean()", "starts at a is missing"),
    ("reconstruction_loss", "0.5 * (abs(a - back_a).mean() + abs(b - back_b).mean())",
     "do not average"),
    ("reconstruction_loss", "tf.reduce_sum(tf.abs(a - back_a)) + "
     "tf.reduce_sum(tf.abs(b - back_b))", "it sums up"),
    ("reconstruction_loss", "ops.mean(abs(a - back_a) + abs(b - back_b), (1, 2, 3))",
     "per image"),
    ("identity_loss", "abs(g_ab(a) - a).mean() + abs(g_ba(b) - b).mean()",
     "g_ba makes images of A"),
    ("identity_loss", "np.square(g_ba(a) - a).mean() + np.square(g_ab(b) - b).mean()",
     "absolute ones"),
    ("identity_loss", "ops.mean(ops.abs(g_ba(a) - a))", "starts at b is missing"),
    ("identity_loss", "ops.mean(ops.abs(g_ab(b) - b))", "starts at a is missing"),
    ("identity_loss", "abs(g_ba(a) - a) + abs(g_ab(b) - b)", "per element"),
    ("discriminator_loss", "ops.mean((real_answers - 1) ** 2) + "
     "ops.mean(fake_answers**2)", "half is missing"),
    ("discriminator_loss", "0.5 * (np.mean(real_answers**2) + "
     "np.mean((fake_answers - 1) ** 2))", "swap the targets"),
    ("discriminator_loss", "0.5 * (np.mean((real_answers - 1) ** 2) + "
     "np.mean((fake_answers - 1) ** 2))", "target 0 here"),
    ("discriminator_loss", "0.5 * (np.mean(real_answers**2) + "
     "np.mean(fake_answers**2))", "target 1, not 0"),
    ("discriminator_loss", "0.5 * (abs(real_answers - 1).mean() + "
     "abs(fake_answers).mean())", "squares them"),
    ("discriminator_loss", "0.5 * ops.mean((real_answers - 1) ** 2 + fake_answers**2, "
     "axis=(1, 2, 3))", "per image"),
    ("pool_turn", "old = pool[place]\nif not swap:\n    return fake, pool + [fake] if "
     "len(pool) < size else pool\npool[place] = fake\nreturn old, pool",
     "while the pool fills up, show the fake"),
    ("pool_turn", "if len(pool) < size:\n    return fake, pool + [fake]\n"
     "return (pool[place] if swap else fake), pool", "not stored"),
    ("pool_turn", "if len(pool) < size:\n    pool.append(fake)\nelif not swap:\n"
     "    old, pool[place] = pool[place], fake\n    return old, pool\n"
     "return fake, pool", "wrong way round"),
    ("pool_turn", "if len(pool) < size:\n    pool.append(fake)\nelif swap:\n"
     "    pool[place] = fake\nreturn fake, pool", "show the old fake"),
    ("pool_turn", "if len(pool) < size or not swap:\n    return fake, pool + [fake] if "
     "len(pool) < size else pool\nreturn pool[place], pool + [fake]", "does not grow"),
    ("pool_turn", "if len(pool) < size or not swap:\n    return fake, pool\n"
     "old, pool[place] = pool[place], fake\nreturn old, pool", "store each fake"),
    ("pool_turn", "pool[place] if swap and len(pool) == size else fake",
     "return the pool as well"),
    ("residual_block", "f(x)", "skip is missing"),
    ("residual_block", "ops.relu(x + f(x))", "after the addition"),
    ("residual_block", "x + np.maximum(f(x), 0)", "may be negative"),
    ("residual_block", "layers.Concatenate()([x, f(x)])", "U-Net"),
    ("convolution_work", "height * width * kernel * channels_in * channels_out",
     "square it"),
    ("convolution_work", "2 * height * width * kernel**2 * channels_in * channels_out",
     "without additions"),
    ("convolution_work", "kernel * kernel * channels_in * channels_out", "the weights"),
    ("convolution_work", "height * width * kernel**2 * channels_out",
     "all input channels"),
    ("learning_rate", "rate * max(0, 1 - step / (constant + falling))", "from step 0"),
    ("learning_rate", "rate", "never falls"),
    ("learning_rate", "rate if step < constant else 0.0", "straight line"),
    ("learning_rate", "if step < constant:\n    return rate\n"
     "return max(0, rate * (constant + falling - step - 1) / falling)",
     "one step early"),
    ("learning_rate", "if step < constant:\n    return rate\n"
     "return rate * (1 - (step - constant) / falling)", "stays at 0"),
    ("content_loss", "ops.sum(ops.square(features - target))", "it sums up"),
    ("content_loss", "ops.mean(ops.abs(features - target))", "squares them"),
    ("content_loss", "((features - target) ** 2).mean(axis=(1, 2, 3))", "per image"),
    ("content_loss", "np.mean((features.mean((1, 2)) - target.mean((1, 2))) ** 2)",
     "position by position"),
    ("gram_matrix", "flat = ops.reshape(features, (-1, features.shape[-1]))\n"
     "return flat @ ops.transpose(flat)", "positions x positions"),
    ("gram_matrix", "flat = features.reshape(features.shape[-1], -1)\n"
     "return flat @ flat.T", "mixed the maps"),
    ("gram_matrix", "flat = features.reshape(-1, features.shape[-1])\n"
     "return flat.T @ flat / flat.shape[0]", "by the positions"),
    ("gram_matrix", "np.einsum('ijc,ijd->cd', features, features) / features.size",
     "positions and channels"),
    ("style_loss", "np.sum((G(features) / M(features) - "
     "G(target_features) / M(target_features)) ** 2) / 3**2", "the 4 is missing"),
    ("style_loss", "np.sum((G(features) / M(features) - "
     "G(target_features) / M(target_features)) ** 2) / (4 * 3)", "C^2, not by C"),
    ("style_loss", "np.sum((G(features) / M(features) - "
     "G(target_features) / M(target_features)) ** 2)", "4 C^2 is missing"),
    ("style_loss", "np.mean((G(features) / M(features) - "
     "G(target_features) / M(target_features)) ** 2) / (4 * 3**2)", "sum up"),
    ("style_loss", "np.sum((G(features) - G(target_features)) ** 2) / (4 * 3**2)",
     "by its positions M"),
    ("style_loss", "np.sum((G(features) - G(target_features)) ** 2) / "
     "(4 * 3**2 * M(features) ** 2)", "its own M"),
    ("style_loss", "np.sum(abs(G(features) / M(features) - "
     "G(target_features) / M(target_features))) / (4 * 3**2)", "squares them"),
    ("total_variation", "ops.sum(abs(image[1:] - image[:-1])) + "
     "ops.sum(abs(image[:, 1:] - image[:, :-1]))", "squares them"),
    ("total_variation", "np.sum((image[:, 1:] - image[:, :-1]) ** 2)", "shift down"),
    ("total_variation", "np.sum(np.diff(image, axis=0) ** 2)", "shift to the right"),
    ("total_variation", "np.sum((image[1:, 1:] - image[:-1, :-1]) ** 2)", "diagonally"),
    ("total_variation", "np.mean(np.diff(image, axis=0) ** 2) + "
     "np.mean(np.diff(image, axis=1) ** 2)", "takes means"),
    ("total_variation", "np.sum((image - np.roll(image, 1, axis=0)) ** 2) + "
     "np.sum((image - np.roll(image, 1, axis=1)) ** 2)",
     "wraps around"),
    ("descent_step", "np.clip(image + rate * gradient, 0, 255)", "uphill"),
    ("descent_step", "image - rate * gradient", "0 to 255"),
    ("descent_step", "ops.clip(image - gradient, 0, 255)", "learning rate is missing"),
]  # fmt: skip
# The package's own functions are the second witness of what is right.
RIGHT = [
    ("skip_sizes", "u = gan_style.unet_generator((side, side, 3), filters)\n"
     "shapes = [u.get_layer(f'skip_{i}').output.shape for i in (3, 2, 1)]\n"
     "return [(shape[1], shape[3]) for shape in shapes]"),
    ("skip_sizes", "tf.constant([[side // 2**i, filters * 2**i] for i in (3, 2, 1)])"),
    ("instance_norm", "gan_style.InstanceNormalization()(x)"),
    ("instance_norm", "y = np.zeros(x.shape)\nfor i, image in enumerate(x):\n"
     "    for c in range(x.shape[3]):\n        one = image[..., c]\n"
     "        y[i, ..., c] = (one - one.mean()) / (one.var() + 1e-5) ** 0.5\nreturn y"),
    ("receptive_field", "seen = {0}\nfor kernel, stride in layers[::-1]:\n"
     "    seen = {stride * i + j for i in seen for j in range(kernel)}\n"
     "return max(seen) + 1"),
    ("receptive_field", "r = 1\nfor kernel, stride in layers[::-1]:\n"
     "    r = (r - 1) * stride + kernel\nreturn float(r)"),
    ("validity_loss", "cyclegan.validity_loss(answers)"),
    ("validity_loss", "total = 0.0\nfor answer in answers.ravel():\n"
     "    total += (float(answer) - 1) ** 2\nreturn total / answers.size"),
    ("validity_loss", "ops.mean(ops.square(ops.cast(answers, 'float16') - 1))"),
    ("validity_loss", "tf.reduce_mean((tf.cast(answers, tf.bfloat16) - 1) ** 2)"),
    ("validity_loss", "keras.losses.MeanSquaredError()(answers * 0 + 1, answers)"),
    ("validity_loss", "e = answers.astype('float64').ravel() - 1\n"
     "return np.einsum('i,i', e, e) / e.size"),
    ("reconstruction_loss", "cyclegan.reconstruction_loss(a, back_a) + "
     "cyclegan.reconstruction_loss(b, back_b)"),
    ("reconstruction_loss", "np.mean(np.abs(back_a - a) + np.abs(back_b - b))"),
    ("identity_loss", "cyclegan.reconstruction_loss(a, g_ba(a)) + "
     "cyclegan.reconstruction_loss(b, g_ab(b))"),
    ("identity_loss", "a, b = tf.constant(a), tf.constant(b)\n"
     "return tf.reduce_mean(abs(g_ba(a) - a)) + tf.reduce_mean(abs(g_ab(b) - b))"),
    ("discriminator_loss", "cyclegan.discriminator_loss(real_answers, fake_answers)"),
    ("discriminator_loss", "answers = np.concatenate([real_answers, fake_answers])\n"
     "targets = np.array([1, 1, 0, 0])[:, None, None, None]\n"
     "return ((answers - targets) ** 2).mean()"),
    ("pool_turn", "if len(pool) < size:\n    return fake, [*pool, fake]\nif not swap:\n"
     "    return fake, pool\nold, pool[place] = pool[place], fake\nreturn old, pool"),
    ("pool_turn", "shown = tf.constant(fake)\nif len(pool) < size:\n"
     "    pool.append(fake)\nelif swap:\n    shown = tf.constant(pool[place])\n"
     "    pool[place] = fake\nreturn [shown, tf.constant(pool)]"),
    ("residual_block", "layers.Add()([x, f(x)])"),
    ("residual_block", "x = tf.constant(x)\nreturn x + f(x)"),
    ("convolution_work", "conv = layers.Conv2D(channels_out, kernel)\n"
     "conv.build((None, None, None, channels_in))\n"
     "return math.prod(conv.kernel.shape) * height * width"),
    ("convolution_work", "sum(1 for _ in range(height * width) for _ in "
     "range(kernel * kernel) for _ in range(channels_in * channels_out))"),
    ("learning_rate", "gan_style.constant_then_linear(rate, constant, falling)(step)"),
    ("learning_rate", "np.interp(step, [constant, constant + falling], [rate, 0])"),
    ("content_loss", "gan_style.content_loss(target, features)"),
    ("content_loss", "d = (features - target).astype('float64')\n"
     "return np.einsum('bijc,bijc->', d, d) / d.size"),
    ("gram_matrix", "gan_style.gram_matrix(features)"),
    ("gram_matrix", "np.einsum('ijc,ijd->cd', features, features)"),
    ("gram_matrix", "n = range(features.shape[-1])\nreturn [[float((features[..., i] * "
     "features[..., j]).sum()) for j in n] for i in n]"),
    ("gram_matrix", "x = ops.cast(features, 'float16')\n"
     "return ops.tensordot(x, x, [[0, 1], [0, 1]])"),
    ("style_loss", "gan_style.style_loss(target_features, features)"),
    ("style_loss", "np.sum((G(features) / M(features) - "
     "G(target_features) / M(target_features)) ** 2) / (4 * 3**2)"),
    ("total_variation", "gan_style.total_variation_loss(image)"),
    ("total_variation", "tf.reduce_sum(tf.square(image[1:] - image[:-1])) + "
     "tf.reduce_sum(tf.square(image[:, 1:] - image[:, :-1]))"),
    ("total_variation", "h, w, _ = image.shape\ntotal = 0\nfor i in range(h):\n"
     "    for j in range(w):\n        for k, m in ((i + 1, j), (i, j + 1)):\n"
     "            if k < h and m < w:\n"
     "                total += sum((image[k, m] - image[i, j]) ** 2)\nreturn total"),
    ("descent_step", "pixels = keras.Variable(image)\n"
     "keras.optimizers.SGD(rate).apply([ops.convert_to_tensor(gradient)], [pixels])\n"
     "return ops.clip(pixels, 0, 255)"),
    ("descent_step", "np.minimum(np.maximum(image - rate * gradient, 0), 255.0)"),
]  # fmt: skip


def gram(x):
    return np.einsum("ijc,ijd->cd", x, x)


def positions(x):
    return x.shape[0] * x.shape[1]


def answer(name, body):
    """A learner's function, from its body or the expression that it returns."""
    body = body if "return" in body or "..." in body else f"return {body}"
    source = f"def {name}({SIGNATURES[name]}):\n" + textwrap.indent(body, "    ")
    names = {"np": np, "ops": ops, "tf": tf, "keras": keras, "layers": layers}
    names |= {"gan_style": gan_style, "cyclegan": cyclegan, "math": math}
    names |= {"G": gram, "M": positions}
    exec(source, names)
    return names[name]


def printed(function, name=None):
    """What `check` prints; it must be one line, and nothing may be returned."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert exercises.check(function, name) is None
    (line,) = text.getvalue().splitlines()
    return line


def numbered(rows):
    """Rows under readable names."""
    return [pytest.param(*row, id=f"{row[0]}-{i}") for i, row in enumerate(rows)]


def table():
    """The wrong answers and their hints, in Markdown."""
    lines = [
        "# Exercises: wrong answers and hints",
        "",
        "What `gan_style.exercises.check` prints for the wrong answers of",
        "`tests/test_exercises.py`, which writes this table with",
        "`python tests/test_exercises.py > docs/exercises.md`. In `style_loss`, `G(x)`",
        "is the Gram matrix of `x`, and `M(x)` the number of its positions.",
        "",
        "| exercise | wrong answer | hint |",
        "|---|---|---|",
    ]
    for name, body, _ in WRONG:
        _, _, hint = printed(answer(name, body)).partition(": ")
        code = "<br>".join(f"`{line}`" for line in body.splitlines())
        lines.append(f"| {name} | {code} | {hint} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("name", "body", "hint"), numbered(WRONG))
def test_a_mistake_draws_its_hint(name, body, hint):
    line = printed(answer(name, body))
    assert line.startswith(f"{name}: ") and hint in line and "right." not in line


@pytest.mark.parametrize(("name", "body"), numbered(RIGHT))
def test_a_right_answer_passes_however_it_is_written(name, body):
    assert printed(answer(name, body)).startswith(f"{name}: right.")


def test_every_exercise_has_both():
    assert {name for name, *_ in WRONG} == {name for name, *_ in RIGHT}
    assert set(SIGNATURES) == {name for name, *_ in WRONG}
    assert len(SIGNATURES) >= 16 and len(WRONG) >= 45


@pytest.mark.parametrize("name", SIGNATURES)
def test_an_empty_answer_is_not_written_yet(name):
    for body in ("...", '"""Its docstring."""\n...  # your code', "return ..."):
        assert printed(answer(name, body)) == f"{name}: not written yet."


@pytest.mark.parametrize("body", ["loss = answers.mean()  # no return", "return None"])
def test_a_forgotten_return_is_named(body):
    line = printed(answer("validity_loss", f"x = 1\n{body}"))
    assert line.endswith("it returned nothing. End the function with `return ...`.")


@pytest.mark.parametrize(
    ("name", "body", "hint"),
    [
        ("validity_loss", "7", "expected 2."),
        ("validity_loss", "[1.0, 2.0]", "expected one number, but got shape (2,)"),
        ("validity_loss", "float('nan')", "but got nan"),
        ("gram_matrix", "1.0", "expected shape (3, 3), but got one number"),
        (
            "residual_block",
            "x + f(x) + np.eye(3)[:, :, None][0]",
            "first at [0, 0, 0, 0]",
        ),
        ("learning_rate", "rate if step < 101 else 0", "for (101, 100, 150, 0.2), exp"),
        ("pool_turn", "pool", "for ([10.0, 20.0], 3, 40.0, True, 1), expected shape"),
        ("validity_loss", "'0.5'", "expected 2."),
        (
            "validity_loss",
            "'one half'",
            "it returned 'one half', but must return numbers",
        ),
        ("validity_loss", "{'loss': 1.0}", "must return numbers"),
        ("validity_loss", "[{}, 1.0]", "must return numbers"),
        ("validity_loss", "keras.Input((3,))", "must return numbers"),
        ("validity_loss", "lambda x: x", "must return numbers"),
    ],
)
def test_an_unforeseen_answer_shows_what_differs(name, body, hint):
    line = printed(answer(name, body))
    assert hint in line and "right." not in line


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("answer.mean()", "your code raised NameError: name 'answer' is not defined"),
        ("answers @ np.ones((9, 9))", "your code raised ValueError: "),
        (
            "tf.matmul(answers, tf.ones((9, 9)))",
            "your code raised InvalidArgumentError",
        ),
        ("1 / 0", "your code raised ZeroDivisionError: division by zero"),
        ("raise AssertionError('two\\nlines')  # return", "AssertionError: two lines"),
    ],
)
def test_what_the_answer_raises_is_shown(body, message):
    assert message in printed(answer("validity_loss", body))


def test_an_interrupt_passes():
    with pytest.raises(KeyboardInterrupt):
        printed(answer("validity_loss", "raise KeyboardInterrupt  # return"))


def test_other_arguments_are_shown_too():
    assert "takes 0 positional arguments" in printed(lambda: 1, name="gram_matrix")


def test_names():
    right = answer("gram_matrix", "gan_style.gram_matrix(features)")
    right.__name__ = "my_gram_matrix"
    assert printed(right).startswith("gram_matrix: right.")
    right.__name__ = "table_of_products"
    assert printed(right, name="gram_matrix").startswith("gram_matrix: right.")
    line = printed(right)
    assert "no such exercise" in line and all(name in line for name in SIGNATURES)
    assert "without parentheses" in printed(0.5)


def test_an_answer_that_changes_its_arguments_spoils_nothing():
    body = "answers -= 1\nanswers *= answers\nreturn answers.mean()"
    lines = {printed(answer("validity_loss", body)) for _ in range(2)}
    assert lines == {"validity_loss: right."}


def test_the_pool_follows_the_rule():
    bodies = [body for name, body in RIGHT if name == "pool_turn"]
    turn = answer("pool_turn", bodies[0])
    pool, kept = gan_style.ImagePool(size=3, seed=1), []
    for number in range(1, 25):
        shown = float(ops.max(pool(ops.full((1, 1, 1, 1), float(number)))))
        swap = shown != number
        place = kept.index(shown) if swap else 0
        expected, kept = turn(kept, 3, float(number), swap, place)
        held = ops.convert_to_numpy(pool.images).ravel()[: len(kept)]
        assert shown == expected and held.tolist() == kept


def test_the_table_in_docs_is_up_to_date():
    path = Path(__file__).parents[1] / "docs" / "exercises.md"
    assert path.read_text(encoding="utf-8") == table()


if __name__ == "__main__":
    print(table(), end="")
