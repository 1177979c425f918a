"""Writes a generator for other programs, and checks that it still gives its image.

All three ways are Keras' own. What this module adds: SavedModel and ONNX take images
of any size that the network takes, not of the one that it was built for; what was
written is run and compared with the model, and appears under its name only then.
"""

import errno
import os
import shutil
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

from gan_style.inference.sizes import any_size
from gan_style.utils.checks import check_path
from gan_style.utils.files import check_writable, name_file_in_errors

# In [-1, 1]: an eighth of one of the 255 steps of an image. In float32 the programs
# differ by about 1e-5, as they add in different orders.
TOLERANCE = 1e-3
# Two programs may round differently wherever numbers have only 8 or 11 bits.
_LOW_PRECISION_TOLERANCE = 0.1


def export_keras(generator, path):
    """Saves a generator as a `.keras` file, for `keras.models.load_model`.

    The program that loads it imports `gan_style.layers` before, where Keras then finds
    the layers that it lacks.

    Args:
        generator: a `keras.Model` from images in [-1, 1] to such images.
        path: a path that ends in `.keras`; a file that is there is replaced.

    Returns:
        The largest difference between the images of the model and of the file, in
        [-1, 1], as far as two images of noise tell.

    Raises:
        ValueError: for another ending, or when the file does not give the same image.

    >>> from gan_style.models import unet_generator
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_keras(unet_generator((16, 16, 3), 2), folder + "/monet.keras") < 1e-3
    True
    """
    path = _checked_path("export_keras", path, ".keras")
    any_size(generator)  # which refuses what is no such model

    def load(written):
        loaded = keras.models.load_model(written, compile=False)
        # `run` alone would not keep the model alive.
        return lambda images: any_size(loaded).run(images)

    return _export("export_keras", generator, path, generator.save, load)


def export_savedmodel(generator, folder):
    """Exports a generator as a TensorFlow SavedModel, which needs no Keras to run.

    `tf.saved_model.load(folder).serve(images)` takes and gives float32 `(batch,
    height, width, channels)` in [-1, 1], of any size that the network takes, such as
    multiples of 16 for the U-Net and of 4 for the ResNet. So do TensorFlow Serving and
    TensorFlow's converters.

    Args:
        generator: a `keras.Model` from images in [-1, 1] to such images.
        folder: where it goes; a SavedModel that is there is replaced.

    Returns:
        The largest difference between the images of the model and of the export, in
        [-1, 1], as far as two images of noise tell.

    Raises:
        ValueError: for a folder with other things in it, or when the export does not
            give the same image.
    """
    any_size(generator)
    folder = check_path("export_savedmodel", "folder", folder)
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / "saved_model.pb").is_file():
        raise ValueError(
            f"export_savedmodel: {str(folder)!r} exists and is no SavedModel, so it is "
            "left alone. Choose another folder."
        )

    def write(part):
        generator.export(
            part,
            format="tf_saved_model",
            input_signature=[_signature(generator)],
            verbose=False,
        )

    def load(written):
        # Held here, because its function alone does not keep its weights alive.
        loaded = tf.saved_model.load(written)
        return lambda images: loaded.serve(images)

    return _export("export_savedmodel", generator, folder, write, load)


def export_onnx(generator, path):
    """Exports a generator to ONNX, for ONNX Runtime in many languages and browsers.

    Its one input and output are float32 `(batch, height, width, channels)` in [-1, 1],
    of any size that the network takes, such as multiples of 16 for the U-Net and of 4
    for the ResNet. A model of mixed precision is exported in float32.

    Needs the packages onnx, tf2onnx and onnxruntime.

    Args:
        generator: a `keras.Model` from images in [-1, 1] to such images.
        path: a path that ends in `.onnx`; a file that is there is replaced.

    Returns:
        The largest difference between the images of the model (in float32) and of
        the export, in [-1, 1], as far as two images of noise tell.

    Raises:
        ImportError: where a package is missing.
        ValueError: for another ending, or when the export does not give the same
            image.
    """
    path = _checked_path("export_onnx", path, ".onnx")
    any_size(generator)
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"export_onnx: {error.name} is missing. Install what it takes with: pip "
            "install onnx tf2onnx onnxruntime"
        ) from error
    generator = _in_float32(generator)

    def write(part):
        with warnings.catch_warnings():
            # Keras looks for a name that NumPy once had.
            warnings.filterwarnings("ignore", "In the future `np.object`")
            generator.export(
                part,
                format="onnx",
                input_signature=[_signature(generator)],
                verbose=False,
            )

    def load(written):
        session = onnxruntime.InferenceSession(
            written, providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        return lambda images: session.run(None, {name: images})[0]

    return _export("export_onnx", generator, path, write, load)


def _checked_path(owner, path, suffix):
    path = check_path(owner, "path", path)
    if path.suffix != suffix or path.is_dir():
        raise ValueError(
            f"{owner}: the path is {str(path)!r}, but must be a file's and end in "
            f"{suffix!r}."
        )
    return path


def _signature(generator):
    channels = any_size(generator).channels
    return tf.TensorSpec((None, None, None, channels), tf.float32, "images")


def _export(owner, generator, path, write, load):
    """Writes beside the goal, compares, and moves to the goal."""
    network = any_size(generator)
    check_writable(path.parent)
    # In a folder, as the file needs its ending; beside the goal, as moving within a
    # disk happens at once or not at all.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as scratch:
        part = os.path.join(scratch, path.name)
        with name_file_in_errors(path):
            _write_fully(write, part)
        difference = _difference(network, load(part))
        low = any(layer.compute_dtype != "float32" for layer in generator.layers)
        tolerance = _LOW_PRECISION_TOLERANCE if low else TOLERANCE
        if not difference <= tolerance:
            raise ValueError(
                f"{owner}: the export's image differs from the model's by "
                f"{difference:.3g}, in [-1, 1], but at most {tolerance:g} can be "
                "rounding, so nothing was kept. Versions of the exporter that do not "
                "fit are the usual cause; compare with constraints.txt."
            )
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(part, path)
    return difference


def _write_fully(write, part):
    try:
        write(part)
    except tf.errors.ResourceExhaustedError as error:  # TensorFlow's full disk
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), part) from error


def _difference(network, run):
    rng = np.random.default_rng(0)
    # Neither square nor what the network was built for.
    side = max(-(-48 // network.multiple) * network.multiple, network.least)
    worst = 0.0
    for count, height, width in ((1, side, side), (2, side, side + network.multiple)):
        shape = (count, height, width, network.channels)
        images = rng.uniform(-1, 1, shape).astype("float32")
        got, want = np.asarray(run(images)), np.asarray(network.run(images))
        if got.shape != want.shape:
            return float("inf")
        worst = max(worst, float(np.abs(got - want).max()))
    return worst


def _in_float32(generator):
    if all(layer.compute_dtype == "float32" for layer in generator.layers):
        return generator

    def copied(layer):
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(generator, clone_function=copied)
    copy.set_weights(generator.get_weights())
    return copy
