"""What a style transfer minimises: its images and options, and its loss at any size."""

import functools
import math

import numpy as np
import tensorflow as tf

from gan_style.style_transfer import inputs
from gan_style.style_transfer.colours import luminance, match_colours
from gan_style.style_transfer.features import shared_features
from gan_style.style_transfer.inputs import OWNER, resize
from gan_style.style_transfer.losses import to_float32
from gan_style.style_transfer.objective import TERMS, StyleObjective, Targets, Weights
from gan_style.utils.checks import check_choice, check_int, check_number, refused

CONTENT_LAYERS = ("relu4_2",)
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STRENGTH = 0.2  # both the photograph and the painting can be named: docs/quality.md
_NOISE = 20.0  # levels; without it a flat sky stays flat, or grows lattices
# At strength 0.5, relative style counts 40 times as much as relative content. From 0.2
# on, total variation of power 0.5 counts 0.006 a level, found by eye: with less, a calm
# sky keeps a weave; with more, it gets speckles. Other powers weigh _EDGE alike.
_STYLE_AT_HALF, _VARIATION, _EDGE = 40.0, 6e-3, 50.0


class StyleProblem:
    """The images and options of `StyleTransfer`, where they are documented."""

    def __init__(
        self, content, styles, size=None, strength=STRENGTH,
        content_weight=None, style_weight=None, total_variation_weight=None,
        total_variation_power=None, blend=None, masks=None, style_scale=1.0,
        colours="style", content_layers=CONTENT_LAYERS, style_layers=STYLE_LAYERS,
        seed=0, features=None,
    ):  # fmt: skip
        self.content = inputs.rgb_array("content", content)
        self.styles, self.masks = inputs.styles_and_masks(styles, masks, blend)
        self.blend = inputs.shares(len(self.styles), blend)
        self.strength = check_number(OWNER, "strength", strength, 0, 1)
        weights = content_weight, style_weight, total_variation_weight
        self.factors = inputs.factors(*weights)
        power = 1.0 if self.factors else 0.5
        power = power if total_variation_power is None else total_variation_power
        self.power = check_number(OWNER, "total_variation_power", power, 0.5, 4)
        self.style_scale = check_number(OWNER, "style_scale", style_scale, 0.01, 100)
        self.content_layers = inputs.layer_weights("content_layers", content_layers)
        self.style_layers = inputs.layer_weights("style_layers", style_layers)
        size = max(self.content.shape[:2]) if size is None else size
        self.size = check_int(OWNER, "size", size)
        self.seed = check_int(OWNER, "seed", seed, 0)
        known = ("style", "luminance", "match")
        self.colours = check_choice(OWNER, "colours", colours, known)
        if colours == "luminance":
            self.styles = [luminance(style) for style in self.styles]
        elif colours == "match":
            self.styles = [match_colours(one, self.content) for one in self.styles]
        options = inputs.vgg_options(features)
        layers = self.content_layers, self.style_layers
        self.features = shared_features(*layers, **options)
        self.dtype = self.features.dtype
        self.options = (  # all that the result depends on, besides the images
            *(self.size, self.strength, self.factors, self.power, self.blend),
            *(self.content_layers, self.style_layers, self.style_scale, self.colours),
            *(self.seed, self.features.model.name, sorted(options.items())),
        )
        self._objectives = {}

    def shape_at(self, size):
        """Return the rows and columns of the image whose longer side is `size`."""
        sides = self.content.shape[:2]
        return tuple(max(1, round(side * (size / max(sides)))) for side in sides)

    def start(self, initial, size):
        """Return the image that a run starts with at a size; `initial` as in `run`."""
        shape, key = self.shape_at(size), (self.seed, 0)
        if not isinstance(initial, str) or initial not in ("content", "noise"):
            return resize(inputs.rgb_array("initial", initial), shape, self.dtype)
        if initial == "noise":
            noise = tf.random.stateless_uniform((1, *shape, 3), key, 0, 255)
            return tf.cast(noise, self.dtype)
        # None at strength 0, where nothing would take it away again.
        sigma = _NOISE * min(1.0, 2 * self.strength)
        noise = sigma * tf.random.stateless_normal((1, *shape, 3), key)
        image = self._content_at(size) + tf.cast(noise, self.dtype)
        return tf.clip_by_value(image, 0.0, 255.0)

    def loss_and_gradient(self, image, tile_size=None):
        """Evaluate the loss of an image, and its gradient, exactly.

        Args:
            image: `(height, width, 3)` of the result's shape, RGB in [0, 255].
            tile_size: as in `run`.

        Returns:
            A dictionary of floats, `"content"`, `"style"`, `"total_variation"` and
            `"total"`, their weighted sum; and the gradient of the total, like `image`.

        Raises:
            ValueError: for an image of another shape.
        """
        image, shape = inputs.rgb_array("image", image), self.shape_at(self.size)
        if image.shape[:2] != shape:
            expected = f"{shape}. Resize it, or give size={self.size}"
            raise refused(OWNER, "(height, width) of image", image.shape[:2], expected)
        objective, image = self.objective(None, tile_size), tf.cast(image, self.dtype)
        terms, gradient = objective(image[None], tile_size)
        terms = dict(zip(TERMS, terms.numpy().tolist(), strict=True))
        return terms, gradient[0].numpy()

    def objective(self, size=None, tile_size=None, margin=0):
        """Return the `StyleObjective` at a size and margin; its targets are kept."""
        size = self.size if size is None else check_int(OWNER, "size", size)
        if tile_size is not None:
            check_int(OWNER, "tile_size", tile_size)
        if (size, margin) not in self._objectives:
            made = self._objective(size, tile_size, margin)
            self._objectives = {(size, margin): made}
        return self._objectives[size, margin]

    def _content_at(self, size):
        grey = self.colours == "luminance"
        content = luminance(self.content) if grey else self.content
        return resize(content, self.shape_at(size), self.dtype)

    def _objective(self, size, tile_size, margin):
        features, shape = self.features, self.shape_at(size)
        strides, layers = features.strides, self.content_layers
        name = max(strides, key=strides.get)
        if min(shape) < strides[name]:
            least = f"an image of at least {strides[name]} rows and columns, for {name}"
            raise refused(OWNER, "size", shape, least)
        masks = {}
        if self.masks:  # averaged over the cells of each layer
            masks = [resize(mask, shape, self.dtype, 1.0) for mask in self.masks]
            masks = inputs.add_margin(tf.concat(masks, 0), margin)
            cells = functools.partial(tf.nn.avg_pool2d, masks)
            masks = {name: cells(s, s, "VALID") for name, s in strides.items()}
        grams = self._style_grams(math.prod(shape), tile_size)
        content = inputs.add_margin(self._content_at(size), margin)
        height, width = content.shape[1:3]
        start, areas, content = features.statistics(content, masks, tile_size, layers)
        positions = {n: float((height // s) * (width // s)) for n, s in strides.items()}
        targets = Targets(content, grams, areas, positions, masks)
        weights = layers, self.style_layers, *(self.factors or ())
        if not self.factors:
            weights = self._balanced(targets, start, height * width)
        return StyleObjective(features, targets, Weights(*weights, self.power))

    def _style_grams(self, pixels, tile_size):
        """Compute mean Gram matrices, blended where styles share their region."""
        each = {name: [] for name in self.style_layers}
        for style in self.styles:
            # As many pixels as the content has, whatever the proportions.
            height, width = style.shape[:2]
            scale = np.sqrt(pixels * self.style_scale**2 / (height * width))
            size = [max(16, round(side * scale)) for side in (height, width)]
            image = resize(style, size, self.dtype)
            keep = () if tile_size else self.content_layers  # one trace for all images
            grams, areas, _ = self.features.statistics(image, {}, tile_size, keep)
            for name, means in each.items():
                means.append(grams[name] / areas[name])
        if self.masks:
            return {name: tf.concat(means, 0) for name, means in each.items()}
        shares = [(name, zip(self.blend, each[name], strict=True)) for name in each]
        return {name: sum(share * mean for share, mean in of) for name, of in shares}

    def _balanced(self, targets, start, pixels):
        """Compute weights with which `strength` does the same at any image and size."""
        style, content = {}, {}
        for name, loss in targets.style_losses(start).items():
            # At least a hundredth of an empty image's: content and style may be alike.
            gram = targets.grams[name]
            empty = tf.reduce_sum(tf.square(gram)) / (4 * gram.shape[-1] ** 2)
            loss = float(tf.maximum(loss, 0.01 * empty) + 1e-12)
            style[name] = self.style_layers[name] / loss
        for name, target in targets.content.items():
            target = to_float32(target)
            _, variance = tf.nn.moments(target, (1, 2), keepdims=True)
            least = 0.01 * tf.reduce_mean(tf.square(target))
            variance = float(tf.maximum(tf.reduce_mean(variance), least) + 1e-12)
            content[name] = self.content_layers[name] / variance
        variation = _VARIATION * _EDGE ** (1 - 2 * self.power)
        variation = variation * min(1.0, 5 * self.strength) / pixels
        factors = (1 - self.strength, _STYLE_AT_HALF * self.strength, variation)
        return content, style, *factors
