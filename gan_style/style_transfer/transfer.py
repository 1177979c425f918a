"""Neural style transfer: one photograph, painted like one or several paintings."""

import functools
import os
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from gan_style.hardware.devices import recommend
from gan_style.style_transfer import inputs
from gan_style.style_transfer.callbacks import ProgressBar, callback_list
from gan_style.style_transfer.checkpoints import SavedRun, fingerprint
from gan_style.style_transfer.colours import with_colours_of
from gan_style.style_transfer.objective import TERMS
from gan_style.style_transfer.optimizers import OPTIMIZERS
from gan_style.style_transfer.planning import check_schedule
from gan_style.style_transfer.problem import StyleProblem
from gan_style.utils.checks import check_choice, check_int, refused


class Result(NamedTuple):
    """A painted image and how it came about.

    Fields: `image`, uint8 `(height, width, 3)`; `history`, a dictionary of lists,
    one entry per step: the four loss terms, the image's `height` and `width`, the
    `evaluations` of the loss so far and the `seconds` since the start.
    """

    image: np.ndarray
    history: dict


class StyleTransfer(StyleProblem):
    """Paint a content image in the style of one or several style images.

    Gatys, Ecker and Bethge, "Image style transfer using convolutional neural
    networks" (CVPR 2016): gradient descent on the pixels minimises a weighted sum of a
    content loss on deep activations, a style loss on Gram matrices, and total
    variation. `strength` compares content to the variance of the content layers, and
    style to the loss of the content image, layer by layer, so that it has the same
    effect on other images and sizes.

    Args:
        content: the photograph, grey or RGB, with or without alpha: an array `(height,
            width[, channels])`, uint8 or float in [0, 255], a `PIL.Image` or a path.
        styles: one painting of that kind, or a list of them, of any sizes.
        size: int, the longer side of the result in pixels; by default the content's.
        strength: float from 0, the photograph, to 1, the style alone.
        content_weight, style_weight, total_variation_weight: instead of `strength`, the
            factors of the losses, floats from 0 (`convert_weights` translates recipes).
        total_variation_power: float from 0.5 to 4, see `total_variation_loss`; by
            default 0.5, or 1 where the weights are given.
        blend: each style's share, floats from 0, scaled to sum to 1; equal by default.
        masks: for each style where it goes: an array `(height, width)` in [0, 1] (or
            uint8) of any size, a `PIL.Image`, a path, or None for everywhere.
        style_scale: float from 0.01 to 100, the scale of the styles and their strokes.
        colours: `"style"`, the paintings'; or the photograph's, by `"luminance"`
            (paint the luma only) or `"match"` (recolour the styles first).
        content_layers, style_layers: names, which weigh the same and sum to 1, or a
            dictionary from names to weights.
        seed: int from 0, of the noise that a run starts with.
        features: a dictionary of arguments of `vgg_features`, such as `{"dtype":
            "mixed_bfloat16"}`; by default "max" pooling and "reflect" padding. Where
            they and the layers are those of the last transfer, it shares its network.

    Raises:
        ValueError: for an image or an option that cannot be used.

    >>> photograph = np.tile(np.linspace(0, 255, 32)[:, None], (32, 1, 3))
    >>> painting = np.random.default_rng(0).uniform(0, 255, (32, 32, 3))
    >>> transfer = StyleTransfer(
    ...     photograph, painting, style_layers=["relu1_1", "relu2_1"],
    ...     content_layers=["relu2_1"], features={"weights": None})
    >>> result = transfer.run(steps=2, progress=False)
    >>> result.image.shape, len(result.history["total"])
    ((32, 32, 3), 2)
    """

    history, optimizer, stop_training = {}, None, False  # of the last run

    def run(
        self, steps=None, scales=None, optimizer=None, initial="content",
        callbacks=(), progress=True, checkpoint=None, save_every=25, branch_from=None,
        tile_size=None, jit_compile=None, margin=inputs.MARGIN,
    ):  # fmt: skip
        """Paint, from coarse to fine.

        Args:
            steps: int, or one for each of `scales`; by default more on coarse scales.
            scales: ints, the longer sides in pixels, the last one the result's; by
                default from about 192 on, each 1.4 times the last.
            optimizer: `"smooth"` (default), L-BFGS that leaves less of a weave in flat
                parts; `"lbfgs"`, plain (default for noise, which it removes sooner); or
                `"adam"`, whose result is a running average and whose `learning_rate` a
                callback may set.
            initial: the start: `"content"` (with a little noise, so that flat parts
                can grow strokes), `"noise"`, or an image.
            callbacks: Keras callbacks. A scale is an epoch and a step a batch; their
                `model` is this object, with `image()`, `history`, `stop_training` and
                `optimizer`. They start afresh in a run that is resumed.
            progress: bool, whether to draw a bar with the time left.
            checkpoint: a file in which to save the run. A run of the same images and
                options in it resumes, bit for bit.
            save_every: int, steps between two savings.
            branch_from: a file that another run saved: start from its image, at its
                scale, with this object's images and weights.
            tile_size: int, rows and columns of a tile in pixels, for large images; the
                result is the same. None for one piece.
            jit_compile: bool, whether XLA compiles a step, of an image without tiles;
                by default where `hardware.recommend()` says so (on GPUs).
            margin: int from 0, none, by default 8: so many mirrored pixels beyond each
                border are painted, too, and cut off, as colours stray near a border.

        Returns:
            A `Result`: `.image`, uint8 `(height, width, 3)`, and `.history`.

        Raises:
            ValueError: for an option, a callback or a checkpoint that cannot be used.
        """
        owner = "StyleTransfer.run"
        from_noise = isinstance(initial, str) and initial == "noise"
        default = "lbfgs" if from_noise else "smooth"
        optimizer = default if optimizer is None else optimizer
        check_choice(owner, "optimizer", optimizer, tuple(OPTIMIZERS))
        xla = recommend().jit_compile if jit_compile is None else jit_compile
        xla = xla and tile_size is None
        scales, steps = schedule = check_schedule(self.size, scales, steps)
        if not isinstance(initial, str) or os.path.isfile(os.path.expanduser(initial)):
            initial = inputs.rgb_array("initial", initial)
        elif initial not in ("content", "noise"):
            raise refused(owner, "initial", initial, "'content', 'noise' or an image")
        margin = check_int(owner, "margin", margin, 0)
        name = fingerprint(self, initial, tile_size, schedule, optimizer, margin)
        saved = SavedRun(checkpoint, branch_from, save_every, scales, name)
        callbacks = saved, callbacks, ProgressBar(schedule, saved, progress)
        callbacks = callback_list(self, callbacks, optimizer)
        self.history, self.stop_training = saved.history, False
        began = time.perf_counter() - (self.history["seconds"] or [0.0])[-1]

        def descent_at(scale, image):
            objective = self.objective(scales[scale], tile_size, margin)
            loss = functools.partial(objective, tile_size=tile_size)
            image = inputs.resize(image, self.shape_at(scales[scale]), self.dtype)
            params = {"epochs": len(scales), "steps": steps[scale], "verbose": 1}
            callbacks.set_params(params)
            return OPTIMIZERS[optimizer](image, loss, xla, margin)

        first, start = saved.scale, saved.image
        start = self.start(initial, scales[first]) if start is None else start
        self.optimizer = descent = descent_at(first, start)
        saved.restore(descent)
        callbacks.on_train_begin()
        try:
            for scale in range(first, len(scales)):
                if scale > first:
                    self.optimizer = descent_at(scale, descent.result())
                    self.optimizer.warm_start(descent)
                    descent = self.optimizer
                callbacks.on_epoch_begin(scale)
                logs, before = {}, (self.history["evaluations"] or [0])[-1]
                for step in range(int(descent.steps), steps[scale]):
                    callbacks.on_train_batch_begin(step)
                    terms = descent.step().numpy().tolist()
                    row = before + descent.evaluations, time.perf_counter() - began
                    row = *terms, *descent.shape, *row
                    for values, value in zip(self.history.values(), row, strict=True):
                        values.append(value)
                    logs = {**dict(zip(TERMS, terms, strict=True)), "loss": terms[-1]}
                    callbacks.on_train_batch_end(step, logs)
                    if self.stop_training:
                        break
                callbacks.on_epoch_end(scale, logs)
                if self.stop_training:
                    break
        finally:
            callbacks.on_train_end()
        return Result(self.image(), self.history)

    def image(self):
        """Return the image as it is now, also during a run: uint8 `(h, w, 3)`."""
        if self.optimizer is None:
            raise ValueError("StyleTransfer: image() is None. Call run() first.")
        image = tf.clip_by_value(self.optimizer.result(), 0.0, 255.0)
        if self.colours == "luminance":
            content = inputs.resize(self.content, image.shape[1:3])
            image = with_colours_of(image, content)
        return np.round(image[0]).astype(np.uint8)
