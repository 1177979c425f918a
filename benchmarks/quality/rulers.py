"""How good are translated images? Distances by two networks, and plain errors.

Kernel Inception Distances (Binkowski et al., 2018) by features of VGG16 and of a
network of another family, EfficientNet-Lite1, whose shallow layers (artefacts, texture)
and deep layers (what is in the image) are reported apart. As VGG's, its activations are
averaged over the image, and the roots of their shares in their layer are used, so that
no single image or channel dominates a distance.
"""

import keras
from efficientnet import efficientnet_lite1
from keras import ops

from gan_style import evaluation

SHALLOW = ("stem", "block_0", "block_1", "block_2", "block_3")  # strides 2, 2, 4, 4, 4
DEEP = ("block_15", "block_19", "block_20", "head")  # stride 32
RULERS = ("vgg16", "lite1 shallow", "lite1 deep")
DEEP_SIZE = 240  # what the network was trained with; shallow layers see pixels as are


def roots_of_means(activations):
    means = ops.mean(activations, axis=(1, 2))
    return ops.sqrt(means / (ops.mean(means, axis=-1, keepdims=True) + 1e-12))


def load_rulers(names=RULERS):
    """A dict of `evaluation.ImageFeatures`."""
    rulers = {}
    if "vgg16" in names:
        rulers["vgg16"] = evaluation.image_features("vgg16")
    if wanted := [name for name in names if name != "vgg16"]:
        network = efficientnet_lite1()
        for name in wanted:
            chosen, size = (
                (SHALLOW, None) if name == "lite1 shallow" else (DEEP, DEEP_SIZE)
            )
            rows = [roots_of_means(network.output[layer]) for layer in chosen]
            model = keras.Model(network.input, ops.concatenate(rows, axis=-1))
            rulers[name] = evaluation.ImageFeatures(name, model.predict_on_batch, size)
    return {name: rulers[name] for name in names}


class Judge:
    """Measures images of one domain against its real test images.

    Args:
        rulers: what `load_rulers` returns.
        real: real images of the domain.
        truth: the ground truth of the translations, or None.
    """

    def __init__(self, rulers, real, truth=None):
        self.rulers = rulers
        self.truth = truth
        self.real = {name: ruler(real) for name, ruler in rulers.items()}

    def __call__(self, images, paired=True):
        """A dict: (KID x 1000, its standard error) by ruler; "paired" in levels."""
        found = {}
        for name, ruler in self.rulers.items():
            kid = evaluation.kernel_inception_distance(ruler(images), self.real[name])
            found[name] = [1000 * number for number in kid]
        if paired and self.truth is not None:
            found["paired"] = evaluation.paired_error(images, self.truth)
        return found
