"""Exports a generator for other programs, and checks that it still gives its images.

The formats are Keras' own. Here they accept images of all sizes that the network
accepts; what was written is run and compared with the model before it gets its name.
"""

import errno
import os
import shutil
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

from gan_style.inference.translation import compile_for_any_size
from gan_style.utils.checks import check_path, refused
from gan_style.utils.files import check_writable, name_file_in_errors


def export_savedmodel(generator, folder):
    """Export a generator as a TensorFlow SavedModel, which runs without Keras.

    `tf.saved_model.load(folder).serve`, TensorFlow Serving and TensorFlow's converters
    map float32 `(batch, height, width, channels)` in [-1, 1] to such images, of all
    sizes that the network accepts: multiples of 16 for the U-Net, of 4 for the ResNet.

    Args:
        generator: a `keras.Model` from images in [-1, 1] to such images.
        folder: a path; an existing SavedModel is replaced.

    Returns:
        The largest difference from the model's images, of two of noise, in [-1, 1].

    Raises:
        ValueError: for a folder of other files, or an export that gives other images.

    >>> from gan_style.models import unet_generator
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_savedmodel(unet_generator((16, 16, 3), 2), folder) < 1e-3
    True
    """

    def load(part):
        loaded = tf.saved_model.load(part)  # which must stay alive as well
        return lambda images: loaded.serve(images)

    folder = check_path("export_savedmodel", "folder", folder)
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / "saved_model.pb").is_file():
        expected = "new, empty or a SavedModel, as its files would be replaced"
        raise refused("export_savedmodel", "folder", str(folder), expected)
    return _export("export_savedmodel", generator, folder, "tf_saved_model", load)


def export_onnx(generator, path):
    """Export a generator to ONNX, for ONNX Runtime in many languages and browsers.

    Input and output are as in `export_savedmodel`; a model of mixed precision is
    exported in float32. It needs the packages onnx, tf2onnx and onnxruntime.

    Args:
        generator: as for `export_savedmodel`.
        path: ends in `.onnx`; an existing file is replaced.

    Returns:
        The largest difference from the model in float32, as `export_savedmodel`.

    Raises:
        ImportError: where a package is missing.
        ValueError: for another suffix, or an export that gives other images.
    """

    def load(part):
        import onnxruntime

        session = onnxruntime.InferenceSession(part, providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {"images": images})[0]

    path = check_path("export_onnx", "path", path)
    if path.suffix != ".onnx" or path.is_dir():
        raise refused("export_onnx", "path", str(path), "a file's, and end in '.onnx'")
    try:
        return _export("export_onnx", generator, path, "onnx", load)
    except ImportError as error:
        raise ImportError(
            f"export_onnx: a package is missing ({error}). Install what it needs with: "
            "pip install onnx tf2onnx onnxruntime"
        ) from error


def _export(owner, generator, path, kind, load):
    """Write beside the path, compare what `load` reads there, and move it."""
    network = compile_for_any_size(generator, owner)
    low_precision = any(x.compute_dtype != "float32" for x in generator.layers)
    if low_precision and kind == "onnx":
        weights = generator.get_weights()
        generator = keras.models.clone_model(generator, clone_function=_to_float32)
        generator.set_weights(weights)
        network, low_precision = compile_for_any_size(generator), False
    check_writable(path.parent)
    images = tf.TensorSpec((None, None, None, network.channels), name="images")
    options = {"format": kind, "input_signature": [images], "verbose": False}
    # Beside the path, as moving within a disk is atomic; in a folder, for the suffix.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as scratch:
        part = os.path.join(scratch, path.name)
        with name_file_in_errors(path), warnings.catch_warnings():
            # Keras looks for a name that NumPy once had.
            warnings.filterwarnings("ignore", "In the future `np.object`")
            try:
                generator.export(part, **options)
            except tf.errors.ResourceExhaustedError as error:  # TensorFlow's full disk
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), part) from error
        # Neither square nor what the network was built for.
        shape = (2, network.fit(48), network.fit(49), network.channels)
        images = np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")
        difference = float(np.abs(load(part)(images) - network.run(images)).max())
        # An eighth of a level. In float32, other orders of adding differ by about 1e-5;
        # numbers of 8 or 11 bits, which GPUs take for float32, are rounded differently.
        exact = not (low_precision or tf.config.list_logical_devices("GPU"))
        tolerance = 1e-3 if exact else 0.1
        if not difference <= tolerance:
            raise ValueError(
                f"{owner}: the difference between the images of export and model is "
                f"{difference:.3g}, but must be at most {tolerance:g}. Compare the "
                "exporter's version with constraints.txt; nothing was kept."
            )
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(part, path)
    return difference


def _to_float32(layer):
    return type(layer).from_config({**layer.get_config(), "dtype": "float32"})
