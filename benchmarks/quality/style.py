"""Are the photograph and the painting still there? Style transfer's default, measured.

    python benchmarks/quality/style.py PHOTOGRAPHS PAINTINGS --size 384

paints each photograph of a folder like each painting of another, with the default
options and, in the same seconds, by the recipe of neural-style (Johnson, 2015: one
scale, from noise; its weights by `convert_weights`). Writes every result, a sheet, and
a table of what is measured by features that nobody optimised:

edges     structural similarity of the edges (Sobel) of result and photograph, 1: equal
content   distance of the result to the photograph, by the last layers of
          EfficientNet-Lite1, divided by that of the painting: 0 the photograph
style     distance of the result to the painting, by its first layers (means over the
          image), divided by that of the photograph: 0 the painting
"""

import argparse
import itertools
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image
from rulers import load_rulers
from skimage.filters import sobel
from skimage.metrics import structural_similarity

from gan_style import StyleTransfer
from gan_style.style_transfer import convert_weights
from gan_style.style_transfer.problem import CONTENT_LAYERS, STYLE_LAYERS
from gan_style.utils.images import find_images, luma, read_image, save_image


class Until(keras.callbacks.Callback):
    """Ends a run after so many seconds."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = self.model.history["seconds"][-1] > self.seconds


def ours(photograph, painting, size, options):
    transfer = StyleTransfer(photograph, painting, size=size, **options["transfer"])
    return transfer.run(progress=False, **options["run"])


def neural_style(photograph, painting, size, seconds, variation):
    """Its weights, 5 and 100, and L-BFGS from noise; `variation` is 0.001 there."""
    plain = StyleTransfer(photograph, painting, size=size)
    features, shape = plain.features, plain.shape_at(size)
    shapes = {
        name: (
            shape[0] // features.strides[name],
            shape[1] // features.strides[name],
            features.model.output[name].shape[-1],
        )
        for name in (*CONTENT_LAYERS, *STYLE_LAYERS)
    }
    style_shapes = {name: shapes[name] for name in STYLE_LAYERS}
    content, style = convert_weights(
        5.0, 100.0, "neural_style", shapes[CONTENT_LAYERS[0]], style_shapes, shape
    )
    transfer = StyleTransfer(
        *(photograph, painting, size),
        content_weight=content,
        style_weight=1.0,
        style_layers=style,
        total_variation_weight=variation,
        total_variation_power=0.5,  # sums absolute differences
    )
    run = {"steps": 1000, "scales": [size], "initial": "noise", "margin": 0}
    return transfer.run(**run, progress=False, callbacks=[Until(seconds)])


def edges(image):
    grey = luma(np.asarray(image, "float64") / 255)
    return sobel(grey)


def measure(result, photograph, painting, rulers):
    """A dictionary of the three numbers."""
    height, width = result.shape[:2]
    resize = Image.Resampling.LANCZOS
    photograph = np.asarray(Image.fromarray(photograph).resize((width, height), resize))
    scale = np.sqrt(height * width / np.prod(painting.shape[:2]))
    size = [round(side * scale) for side in painting.shape[1::-1]]
    painting = np.asarray(Image.fromarray(painting).resize(size, resize))

    def distance(ruler, x, y):
        x, y = (rulers[ruler]([image])[0] for image in (x, y))
        return np.linalg.norm(x - y)

    deep, shallow = "lite1 deep", "lite1 shallow"
    similarity = structural_similarity(
        edges(result), edges(photograph), data_range=1.0, gaussian_weights=True
    )
    content = distance(deep, result, photograph) / distance(deep, painting, photograph)
    style = distance(shallow, result, painting)
    style /= distance(shallow, photograph, painting)
    return {"edges": similarity, "content": content, "style": style}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("photographs", type=Path)
    add("paintings", type=Path)
    add("--size", type=int, default=384)
    add("--only", nargs="*", default=[], help="words of which a pair's name holds one")
    add("--transfer", type=json.loads, default={}, help="options of StyleTransfer")
    add("--run", type=json.loads, default={}, help="options of its run")
    add("--rival", action="store_true", help="the recipe of neural-style too")
    add("--variation", type=float, default=1e-3, help="total variation of the rival")
    add("--results", type=Path, default=Path("outputs/style"))
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    rulers = load_rulers(("lite1 shallow", "lite1 deep"))
    folders = (options.photographs, options.paintings)
    pairs = itertools.product(*(find_images(folder)[0] for folder in folders))
    print("| pair | way | s | edges | content | style |\n|---|---|---:|---:|---:|---:|")
    means = {}
    for paths in pairs:
        pair = " in ".join(path.stem for path in paths)
        if options.only and not any(word in pair for word in options.only):
            continue
        images = [read_image(path) for path in paths]
        both = {"transfer": options.transfer, "run": options.run}
        ways = {"ours": ours(*images, options.size, both)}
        if options.rival:
            seconds = ways["ours"].history["seconds"][-1]
            rival = *images, options.size, seconds, options.variation
            ways["neural-style"] = neural_style(*rival)
        for way, result in ways.items():
            save_image(options.results / f"{pair} {way}.png", result.image)
            row = measure(result.image, *images, rulers)
            seconds = result.history["seconds"][-1]
            means.setdefault(way, []).append([seconds, *row.values()])
            numbers = " | ".join(f"{number:.2f}" for number in row.values())
            print(f"| {pair} | {way} | {seconds:.0f} | {numbers} |", flush=True)
    for way, rows in means.items():
        seconds, *row = np.mean(rows, axis=0)
        numbers = " | ".join(f"{number:.2f}" for number in row)
        print(f"| mean of {len(rows)} | {way} | {seconds:.0f} | {numbers} |")


if __name__ == "__main__":
    main()
