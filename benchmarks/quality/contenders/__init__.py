"""Ways to learn a translation between two sets of images, one file each.

Every file has a function

    build(shape, seed, progress, **options)

`shape` is (height, width, 3), `progress` a `tf.Variable` in which the benchmark keeps
the share of the training that is done, 0 to 1. It returns an object with

    train_step(a, b)              -> a dict of losses, scalars
    translate(images, direction)  -> uint8 in, uint8 out; direction is "ab" or "ba"
    directions                    the directions that it learns, ("ab", "ba") by default
    pairs                         True where a and b must show the same scene
    phase                         a name; changes where another program begins to run

A method is written as a name and options: `ours`, `ours+features`,
`ours+rate=1e-3+filters=16`, `fastcut+direction=ba`.
"""

import importlib

import keras

FILES = {
    "ours": "ours",
    "keras-io": "keras_io",
    "authors": "authors",
    "pix2pix": "pix2pix",
    "cut": "cut",
    "fastcut": "cut",
}


class Contender:
    """What most contenders share: both directions, no pairs, one program."""

    directions = ("ab", "ba")
    pairs = False
    phase = "training"


def parse(method):
    """The name and the options of a method.

    >>> parse("ours+features+rate=1e-3+small-first")
    ('ours', {'features': True, 'rate': 0.001, 'small_first': True})
    """
    name, *parts = method.split("+")
    if name not in FILES:
        known = ", ".join(FILES)
        raise SystemExit(f"There is no contender {name!r}. Known ones: {known}.")
    options = {}
    for part in parts:
        key, given, value = part.partition("=")
        options[key.replace("-", "_")] = _value(value) if given else True
    return name, options


def _value(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def build(method, shape, seed, progress, **defaults):
    """A contender; `defaults` are options that the method may override."""
    name, options = parse(method)
    keras.utils.set_random_seed(seed)
    module = importlib.import_module(f"contenders.{FILES[name]}")
    if name == "fastcut":
        options = {"fast": True, **options}
    return module.build(shape, seed, progress, **{**defaults, **options})
