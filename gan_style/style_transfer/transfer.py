"""Neural style transfer: one photograph, painted like one or several paintings."""

import os

import numpy as np
import tensorflow as tf

from gan_style.models.vgg import vgg_features
from gan_style.style_transfer import inputs
from gan_style.style_transfer.checkpoints import Run, new_history
from gan_style.style_transfer.colours import luminance, match_colours, with_colours_of
from gan_style.style_transfer.features import Features
from gan_style.style_transfer.losses import (
    content_loss,
    gram_matrix,
    style_loss,
    total_variation_loss,
)
from gan_style.style_transfer.objective import TERMS
from gan_style.style_transfer.targets import prepare
from gan_style.utils.checks import check_choice, check_list, summarize

__all__ = [
    "StyleTransfer",
    "content_loss",
    "gram_matrix",
    "style_loss",
    "total_variation_loss",
    "vgg_features",
]

CONTENT_LAYERS = ("relu4_2",)
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_COLOURS = ("style", "luminance", "match")
_NOISE = 20.0  # levels; without it a flat sky stays flat, or grows lattices


class StyleTransfer:
    """Paints a content image in the style of one or several style images.

    Gatys, Ecker and Bethge, "Image style transfer using convolutional neural
    networks" (CVPR 2016): the pixels descend a weighted sum of a content loss on deep
    activations, a style loss on Gram matrices, and total variation. The targets are
    computed once a size.

    Weights can be given in two ways. `strength` compares each loss to what it is
    for this pair of images: content to the variance of the content layers, style to
    the loss that the content image starts with, layer by layer. So the same
    strength does alike to other images and other sizes. `content_weight`,
    `style_weight` and `total_variation_weight`, given together, are the factors of
    the losses as this package defines them (`convert_weights` translates recipes).

    Args:
        content: the photograph, `(height, width, 3)`, uint8 or float in [0, 255]; or
            a `PIL.Image`, or the path of an image file.
        styles: one painting of that kind, or a list of them, of any sizes.
        size: the longer side of the result in pixels; the content's own by default.
        strength: from 0, the photograph, to 1, the style alone.
        content_weight: see above; where it is set, so are the other two.
        style_weight: see above.
        total_variation_weight: see above.
        total_variation_power: see `total_variation_loss`; by default 0.5, or 1 with
            weights of one's own.
        blend: each style's share; equal ones by default. They are scaled to sum to 1.
        masks: for each style where it goes: an array `(height, width)` in [0, 1] (or
            uint8) of any size, a `PIL.Image`, a path, or None for everywhere.
        style_scale: the styles' size relative to the content's: larger, larger
            strokes.
        colours: `"style"`, the paintings'; or the photograph's, by `"luminance"`
            (paint the luma only) or `"match"` (recolour the styles first).
        content_layers: names, or a dictionary to their weights. Names weigh the same
            and sum to 1.
        style_layers: the same for style.
        tile_size: rows and columns of a tile, in pixels, where an image is too large
            to be computed in one piece. The result is the same.
        seed: of the noise that a run starts with.
        features: further arguments of `vgg_features`, for example
            `{"weights": "hed", "dtype": "mixed_bfloat16"}`. Pooling is "max" and
            padding "reflect" unless it says otherwise.

    Raises:
        ValueError: for an image or an option that cannot be used.

    Example:
        >>> photograph = np.tile(np.linspace(0, 255, 32)[:, None], (32, 1, 3))
        >>> painting = np.random.default_rng(0).uniform(0, 255, (32, 32, 3))
        >>> transfer = StyleTransfer(
        ...     photograph, painting, style_layers=["relu1_1", "relu2_1"],
        ...     content_layers=["relu2_1"], features={"weights": None})
        >>> result = transfer.run(steps=2, progress=False)
        >>> result.image.shape, len(result.history["total"])
        ((32, 32, 3), 2)
    """

    def __init__(
        self,
        content,
        styles,
        size=None,
        strength=0.5,
        content_weight=None,
        style_weight=None,
        total_variation_weight=None,
        total_variation_power=None,
        blend=None,
        masks=None,
        style_scale=1.0,
        colours="style",
        content_layers=CONTENT_LAYERS,
        style_layers=STYLE_LAYERS,
        tile_size=None,
        seed=0,
        features=None,
    ):
        styles = [styles] if inputs.is_one(styles) else styles
        styles = check_list("StyleTransfer", "styles", styles, "images")
        if masks is not None:
            masks = check_list("StyleTransfer", "masks", masks, "one mask a style")
        if not len(styles) or (masks is not None and len(masks) != len(styles)):
            raise ValueError(
                f"styles, masks: got {len(styles)} styles and "
                f"{'no' if masks is None else len(masks)} masks, expected at least "
                "one style, and a mask (or None) for each or no masks at all."
            )
        if masks is not None and blend is not None:
            raise ValueError(
                "blend: with masks, their values are the styles' shares; give masks "
                "or blend."
            )
        self.content = inputs.rgb_array("content", content)
        self.styles = [
            inputs.rgb_array(f"styles[{i}]", style) for i, style in enumerate(styles)
        ]
        self.blend = inputs.shares(len(self.styles), blend)
        self.masks = masks and [
            inputs.mask(f"masks[{i}]", mask) for i, mask in enumerate(masks)
        ]
        self.strength = inputs.number("strength", strength, 0, 1)
        self.factors = _factors(content_weight, style_weight, total_variation_weight)
        if total_variation_power is None:
            total_variation_power = 1.0 if self.factors else 0.5
        self.power = inputs.number(
            "total_variation_power", total_variation_power, 0.5, 4
        )
        self.style_scale = inputs.number("style_scale", style_scale, 0.01, 100)
        self.content_layers = inputs.layer_weights("content_layers", content_layers)
        self.style_layers = inputs.layer_weights("style_layers", style_layers)
        self.size = inputs.whole(
            "size", max(self.content.shape[:2]) if size is None else size
        )
        self.tile_size = (
            None if tile_size is None else inputs.whole("tile_size", tile_size)
        )
        self.seed = inputs.whole("seed", seed, 0)
        check_choice("StyleTransfer", "colours", colours, _COLOURS)
        self.colours = colours
        if colours == "match":
            self.styles = [match_colours(s, self.content) for s in self.styles]
        elif colours == "luminance":
            self.styles = [luminance(s) for s in self.styles]
        options = {"pooling": "max", "padding": "reflect"}
        options |= _checked_features(features)
        layers = list(dict.fromkeys([*self.content_layers, *self.style_layers]))
        self.features = Features(layers, **options)
        self.dtype = self.features.model.input.dtype
        # All that the result depends on, beside the images.
        self.options = (
            *(self.size, self.strength, self.factors, self.power, self.blend),
            *(self.content_layers, self.style_layers, self.style_scale, self.colours),
            *(self.seed, self.features.model.name, sorted(options.items())),
        )
        self.history = new_history()
        self.stop_training = False
        self.optimizer = None
        self._objectives = {}

    def shape_at(self, size):
        """The rows and columns of the result, where its longer side is `size`."""
        height, width = self.content.shape[:2]
        scale = size / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def content_at(self, size):
        """The content image at a size: float `(1, height, width, 3)`, [0, 255]."""
        content = self.content
        if self.colours == "luminance":
            content = luminance(content)
        return inputs.resize(content[None], self.shape_at(size), self.dtype)

    def objective(self, size=None, tile_size=None):
        """Prepares the loss at a size, its targets and its weights included.

        Args:
            size: the longer side; the result's by default.
            tile_size: the tiles in which to compute the targets.

        Returns:
            A `StyleObjective`; the same one when asked again.
        """
        size = self.size if size is None else inputs.whole("size", size)
        if size not in self._objectives:
            tile_size = self.tile_size if tile_size is None else tile_size
            self._objectives = {size: prepare(self, size, tile_size)}
        return self._objectives[size]

    def loss_and_gradient(self, image, tile_size=None):
        """Evaluates the loss of an image, and its gradient, exactly.

        Args:
            image: `(height, width, 3)` of the result's shape, RGB in [0, 255].
            tile_size: rows and columns of a tile, to compute in little memory what
                the whole image would give; None for the whole.

        Returns:
            A dictionary of floats: `"content"`, `"style"`, `"total_variation"` and
            `"total"`, their weighted sum; and the gradient of the total, a NumPy
            array like `image`.

        Raises:
            ValueError: for an image of another shape.
        """
        image = inputs.rgb_array("image", image)
        if tile_size is not None:
            tile_size = inputs.whole("tile_size", tile_size)
        if image.shape[:2] != self.shape_at(self.size):
            raise ValueError(
                f"image: got {image.shape[:2]} (height, width), expected "
                f"{self.shape_at(self.size)}; resize it or give size={self.size}."
            )
        objective = self.objective(tile_size=tile_size)
        terms, gradient = objective(tf.cast(image[None], self.dtype), tile_size)
        return dict(zip(TERMS, terms.numpy().tolist(), strict=True)), gradient[
            0
        ].numpy()

    def image(self):
        """The image as it is now, also in the middle of a run.

        Returns:
            uint8 `(height, width, 3)`, at the size that the run has come to.
        """
        if self.optimizer is None:
            raise ValueError("image: there is none yet; call run() first.")
        image = tf.clip_by_value(self.optimizer.result(), 0.0, 255.0)
        if self.colours == "luminance":
            content = inputs.resize(self.content[None], image.shape[1:3])
            image = with_colours_of(image, content)
        return np.round(image[0]).astype(np.uint8)

    def start(self, initial, size):
        """The image that a run starts with: `(1, height, width, 3)`.

        Args:
            initial: as in `run`.
            size: its longer side.
        """
        shape = self.shape_at(size)
        key = (self.seed, 0)
        if isinstance(initial, str) and initial == "noise":
            noise = tf.random.stateless_uniform((1, *shape, 3), key, 0, 255)
            return tf.cast(noise, self.dtype)
        if isinstance(initial, str) and initial == "content":
            # None at strength 0, where nothing would take it away again.
            sigma = _NOISE * min(1.0, 2 * self.strength)
            noise = sigma * tf.random.stateless_normal((1, *shape, 3), key)
            image = self.content_at(size) + tf.cast(noise, self.dtype)
            return tf.clip_by_value(image, 0.0, 255.0)
        if isinstance(initial, str) and not os.path.isfile(initial):
            raise ValueError(
                f"initial: got {initial!r}, expected 'content', 'noise' or an image."
            )
        image = inputs.rgb_array("initial", initial)
        return inputs.resize(image[None], shape, self.dtype)

    def run(
        self,
        steps=None,
        scales=None,
        optimizer="lbfgs",
        initial="content",
        callbacks=(),
        progress=True,
        checkpoint=None,
        save_every=25,
        branch_from=None,
        **settings,
    ):
        """Paints, from coarse to fine.

        Args:
            steps: at each scale: a number, or a list with one for each of `scales`;
                by default more where they are cheap.
            scales: the longer sides in turn, the last one the result's; by default
                from about 128 on, each 1.4 times the last.
            optimizer: `"lbfgs"`, or `"adam"`, whose result is a running average.
            initial: the start: `"content"` (with a little noise, so that flat parts
                can grow strokes), `"noise"`, or an image.
            callbacks: Keras callbacks. A scale is an epoch and a step a batch; their
                `model` is this object, with `image()`, `history` and
                `stop_training`.
            progress: whether to draw a bar with the time left.
            checkpoint: a file in which to save the run. Where it holds a saved run of
                the same images and options, that run is continued, to the very
                pixels it would have come to.
            save_every: steps between two savings.
            branch_from: a file that another run saved: start from its image, at its
                scale, with this object's images and weights.
            settings: further arguments of the optimizer.

        Returns:
            A `Result`: `.image`, uint8 `(height, width, 3)`, and `.history`.

        Raises:
            ValueError: for an option that cannot be used, or a checkpoint of another
                run.
        """
        if not isinstance(initial, str) or os.path.isfile(initial):
            initial = inputs.rgb_array("initial", initial)
        run = Run(self, steps, scales, optimizer, settings)
        return run.paint(
            initial, callbacks, progress, checkpoint, save_every, branch_from
        )


def _checked_features(features):
    known = ("backbone", "weights", "pooling", "padding", "dtype")
    if features is None:
        return {}
    if not isinstance(features, dict) or not set(features) <= set(known):
        raise ValueError(
            f"features: got {summarize(features)}, expected a dictionary of some of "
            f"{', '.join(known)}."
        )
    return features


def _factors(*weights):
    given = [weight for weight in weights if weight is not None]
    if not given:
        return None
    if len(given) < len(weights):
        raise ValueError(
            "content_weight, style_weight, total_variation_weight: got "
            f"{weights}, expected all three or none (then strength rules)."
        )
    return [inputs.number("a weight", weight, 0, 1e30) for weight in weights]
