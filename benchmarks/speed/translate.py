"""Times the translation of a folder beside others', and measures what tiles change.

    python benchmarks/speed/translate.py                     # 200 images of 256 x 256
    python benchmarks/speed/translate.py --count 20 --filters 32
    python benchmarks/speed/translate.py --isa avx2          # as without AVX-512
    python benchmarks/speed/translate.py --tiles             # whole against tiled

All translate the same files with the same network and weights (the authors'
`resnet_9blocks`, random weights) and write JPEG files; they alternate over parts of the
folder, so that a machine that gets faster or slower does so for all. PyTorch, with
inference mode and channels last, and ONNX Runtime and OpenVINO, with our exported
generator, run in the loop that a user would write, one image at a time.
"""

import argparse
import functools
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import accelerator
import keras
import numpy as np
from PIL import Image

from gan_style import load_pytorch_generator, resnet_generator
from gan_style.hardware import recommend
from gan_style.inference import export_onnx, translate, translate_folder
from gan_style.utils.images import save_image

try:
    import torch
    from torch import nn
except ImportError:
    torch = None


def scene(seed, height, width):
    """An image with light and dark parts, edges and texture."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    image = np.stack([rows, 0.5 * rows + 0.3 * columns, 1 - rows], -1)
    for _ in range(30):
        y, x, radius = rng.random(), rng.random(), 0.02 + 0.1 * rng.random()
        image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = rng.random(3)
    image = image + rng.normal(0, 0.03, image.shape)
    return (np.clip(image, 0, 1) * 255).astype("uint8")


def torch_network(filters, blocks=9):
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            parts = []
            for last in (False, True):
                parts += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3)]
                parts += [nn.InstanceNorm2d(width)] + [nn.ReLU(True)] * (not last)
            self.conv_block = nn.Sequential(*parts)

        def forward(self, x):
            return x + self.conv_block(x)

    f = filters
    parts = [nn.ReflectionPad2d(3), nn.Conv2d(3, f, 7), nn.InstanceNorm2d(f)]
    parts += [nn.ReLU(True)]
    for i in (f, 2 * f):
        parts += [nn.Conv2d(i, 2 * i, 3, 2, 1), nn.InstanceNorm2d(2 * i), nn.ReLU(True)]
    parts += [Block(4 * f) for _ in range(blocks)]
    for i in (4 * f, 2 * f):
        parts += [nn.ConvTranspose2d(i, i // 2, 3, 2, 1, 1)]
        parts += [nn.InstanceNorm2d(i // 2), nn.ReLU(True)]
    parts += [nn.ReflectionPad2d(3), nn.Conv2d(f, 3, 7), nn.Tanh()]
    network = nn.Sequential(*parts).eval()
    state = {f"model.{key}": value for key, value in network.state_dict().items()}
    return network.to(memory_format=torch.channels_last), state


def loop(run, source, target):
    """Translates a folder as users write it: one image at a time, float32."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        image = np.asarray(Image.open(path).convert("RGB"))
        y = run(image[None].astype("float32") / 127.5 - 1)[0]
        y = ((y + 1) * 127.5).round().clip(0, 255).astype("uint8")
        Image.fromarray(y).save(target / path.name, quality=95)


def pytorch(network):
    """A function from images to images by the PyTorch network."""

    def run(images):
        with torch.inference_mode():
            images = torch.from_numpy(images).permute(0, 3, 1, 2)  # channels last
            return network(images).permute(0, 2, 3, 1).numpy()

    return run


def exported(generator, folder):
    """Names and functions of the programs that run our exported generator."""
    path = os.path.join(folder, "painter.onnx")
    try:
        export_onnx(generator, path)
        import onnxruntime
    except ImportError as error:
        print(f"ONNX Runtime and OpenVINO: skipped. {error}")
        return {}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ways = {"onnxruntime": lambda images: session.run(None, {"images": images})[0]}
    try:
        import openvino
    except ImportError:
        print("OpenVINO: skipped, it is not installed (pip install openvino)")
        return ways
    core = openvino.Core()
    for name, precision in (("openvino", "f32"), ("openvino bf16", "bf16")):
        options = {"INFERENCE_PRECISION_HINT": precision}
        network = core.compile_model(path, "CPU", options)
        ways[name] = lambda images, network=network: network(images)[0]
    return ways


def compare_folders(count, side, filters, parts=5):
    with tempfile.TemporaryDirectory() as home:
        home = Path(home)
        for i in range(count):
            save_image(home / f"in{i % parts}" / f"{i:04}.jpg", scene(i, side, side))
        runs = {}
        if torch is None:
            print("PyTorch is not installed: the random weights are ours")
            generator = resnet_generator((None, None, 3), filters)
        else:
            network, state = torch_network(filters)
            generator = load_pytorch_generator(state)
            runs["pytorch"] = pytorch(network)
        runs |= exported(generator, home)
        ways = {name: functools.partial(loop, run) for name, run in runs.items()}
        ways["gan_style"] = functools.partial(
            translate_folder, generator, progress=False
        )
        if recommend().policy == "mixed_bfloat16":
            keras.config.set_dtype_policy("mixed_bfloat16")
            half = resnet_generator((None, None, 3), filters, layout="pytorch")
            keras.config.set_dtype_policy("float32")
            if torch is not None:
                half.set_weights(generator.get_weights())
                ways["gan_style bf16"] = functools.partial(
                    translate_folder, half, progress=False
                )
        times = {name: [] for name in ways}
        for name, way in ways.items():
            way(home / "in0", home / "warm" / name)
        for part in range(parts):
            for name, way in ways.items():
                start = time.perf_counter()
                way(home / f"in{part}", home / name)
                times[name].append(time.perf_counter() - start)
        print(f"## {count} images of {side} x {side}, ResNet-9, filters {filters}")
        for name, spent in times.items():
            ratio = statistics.median(spent) / statistics.median(times["gan_style"])
            worst = max(
                np.abs(
                    np.asarray(Image.open(home / name / path.name), "float32")
                    - np.asarray(Image.open(path), "float32")
                ).mean()
                for path in (home / "gan_style").glob("*.jpg")
            )
            print(
                f"{name:14} {sum(spent):7.1f} s, {ratio:.2f} of gan_style; largest "
                f"mean difference from its files: {worst:.3f} levels of 255"
            )


def compare_tiles(side, filters):
    keras.utils.set_random_seed(0)
    generator = resnet_generator((None, None, 3), filters)
    # Untrained weights give grey fog; a last layer scaled by ten, an image.
    generator.get_layer("to_picture").kernel.assign(
        10 * generator.get_layer("to_picture").kernel
    )
    image = scene(0, side, side * 4 // 3)
    whole = translate(generator, image).astype("float32")
    print(f"## {side} x {side * 4 // 3} pixels, ResNet-9, filters {filters}")
    print(f"the whole image's deviation: {whole.std():.1f} levels of 255")
    print("tile  overlap  mean difference  largest")
    for tile in (128, 256, 512):
        for overlap in (tile // 8, tile // 4, tile // 2):
            tiled = translate(generator, image, tile, overlap)
            difference = np.abs(tiled - whole)
            print(
                f"{tile:4} {overlap:8} {difference.mean():16.1f} "
                f"{difference.max():8.0f}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--side", type=int)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--tiles", action="store_true")
    accelerator.add_isa_option(parser)
    arguments = parser.parse_args()
    accelerator.limit_isa(arguments.isa)
    if arguments.tiles:
        compare_tiles(arguments.side or 768, arguments.filters)
    else:
        compare_folders(arguments.count, arguments.side or 256, arguments.filters)


if __name__ == "__main__":
    main()
