"""Style transfer side by side: this package, the tutorials' way, PyTorch.

    python benchmarks/speed/style_transfer.py    # everything, about 15 minutes
    python benchmarks/speed/style_transfer.py --sizes 256 --steps 2 --curve 0  # a trial
    python benchmarks/speed/style_transfer.py --isa avx2  # as without AVX-512

All three descend the loss of keras.io's example with its weights, on the same VGG16
features (hed), with max pooling and zero padding:

  ours      one image through the network in each step, targets cached, L-BFGS
  ours-bf16 the same, convolutions in bfloat16
  tutorial  content, style and combination as one batch of three through the network
            in each step, SGD at a rate of 100 that falls 4% every 100 steps
  torch     PyTorch, one image, targets cached, channels last, its own L-BFGS
  torch-bf16, torch-compiled, torch-bf16-compiled: the same under autocast, with
            `torch.compile` (which needs a C++ compiler on a CPU), or both

Times are medians of steps that alternate within one process. Peak memory is the
resident set of a separate process, or the memory of the GPU. The loss
that judges the curve is `neutral_loss`, which shares no line with any of the three.
"""

import argparse
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import accelerator
import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from skimage import data

from gan_style.hardware import recommend
from gan_style.models.vgg import receptive_field, vgg_features
from gan_style.style_transfer.losses import gram_matrix
from gan_style.style_transfer.optimizers import LBFGS
from gan_style.style_transfer.recipes import convert_weights
from gan_style.style_transfer.transfer import StyleTransfer

STYLE = [f"block{i}_conv1" for i in range(1, 6)]
CONTENT = "block5_conv2"
LAYERS = [*STYLE, CONTENT]
WEIGHTS = {"content": 2.5e-8, "style": 1e-6, "total_variation": 1e-6}
TORCH = ("torch", "torch-bf16", "torch-compiled", "torch-bf16-compiled")
METHODS = ("ours", "ours-bf16", "tutorial", *TORCH)


def images(size, paths=None):
    """A photograph and a painting of the same size, float32 (1, h, w, 3)."""
    if paths:
        photograph, painting = (Image.open(path).convert("RGB") for path in paths)
    else:
        photograph = Image.fromarray(data.chelsea())
        painting = Image.fromarray(data.immunohistochemistry())
    scale = size / max(photograph.size)
    shape = round(photograph.width * scale), round(photograph.height * scale)
    return [
        np.asarray(image.resize(shape, Image.Resampling.LANCZOS), np.float32)[None]
        for image in (photograph, painting)
    ]


def neutral_loss(image, content, style):
    """keras.io's loss of an image, in float32 NumPy on freshly computed features."""
    model = vgg_features(LAYERS, weights="hed", pooling="max", dtype="float32")
    out, base, painted = (
        {name: x.numpy()[0] for name, x in model(each).items()}
        for each in (image, content, style)
    )
    image = np.asarray(image)[0]
    total = WEIGHTS["content"] * ((out[CONTENT] - base[CONTENT]) ** 2).sum()
    for name in STYLE:
        flat = [x[name].reshape(-1, x[name].shape[-1]) for x in (out, painted)]
        difference = flat[0].T @ flat[0] - flat[1].T @ flat[1]
        scale = 4 * 9 * (image.shape[0] * image.shape[1]) ** 2
        total += WEIGHTS["style"] / len(STYLE) * (difference**2).sum() / scale
    down = (image[1:, :-1] - image[:-1, :-1]) ** 2
    right = (image[:-1, 1:] - image[:-1, :-1]) ** 2
    return float(total + WEIGHTS["total_variation"] * ((down + right) ** 1.25).sum())


def ours(content, style, dtype="float32"):
    """Returns a function that takes one step: one evaluation, nearly always."""
    shape = content.shape[1:3]
    channels = dict(zip(STYLE, (64, 128, 256, 512, 512), strict=True))
    _, strides = receptive_field(vgg_features(LAYERS, "vgg16", None))
    grid = {name: [side // strides[name] for side in shape] for name in LAYERS}
    content_weight, style_weights = convert_weights(
        WEIGHTS["content"],
        WEIGHTS["style"],
        "keras",
        (*grid[CONTENT], 512),
        {name: (*grid[name], channels[name]) for name in STYLE},
        shape,
    )
    transfer = StyleTransfer(
        content[0],
        style[0],
        content_layers={CONTENT: 1.0},
        style_layers=style_weights,
        content_weight=content_weight,
        style_weight=1.0,
        total_variation_weight=WEIGHTS["total_variation"],
        total_variation_power=1.25,
        features={"weights": "hed", "padding": "zero", "dtype": dtype},
    )
    optimizer = LBFGS(tf.constant(content), transfer.objective())
    return optimizer, lambda: optimizer.step()


def tutorial(content, style):
    """The way of keras.io's example: a batch of three, SGD."""
    model = vgg_features(LAYERS, weights="hed", pooling="max")
    image = tf.Variable(content)
    schedule = keras.optimizers.schedules.ExponentialDecay(100.0, 100, 0.96)
    optimizer = keras.optimizers.SGD(schedule)
    pixels = content.shape[1] * content.shape[2]

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = model(tf.concat([content, style, image], axis=0))
            loss = WEIGHTS["content"] * tf.reduce_sum(
                tf.square(features[CONTENT][2] - features[CONTENT][0])
            )
            for name in STYLE:
                painted, out = features[name][1], features[name][2]
                difference = gram_matrix(painted) - gram_matrix(out)
                part = tf.reduce_sum(tf.square(difference)) / (4.0 * 9 * pixels**2)
                loss += WEIGHTS["style"] / len(STYLE) * part
            down = tf.square(image[:, :-1, :-1] - image[:, 1:, :-1])
            right = tf.square(image[:, :-1, :-1] - image[:, :-1, 1:])
            smooth = tf.reduce_sum(tf.pow(down + right, 1.25))
            loss += WEIGHTS["total_variation"] * smooth
        return loss, tape.gradient(loss, image)

    def step():
        loss, change = gradient()
        optimizer.apply_gradients([(change, image)])
        return loss

    return image, step


def torch_way(content, style, bfloat16=False, compiled=False):
    """PyTorch on the same features, targets cached, torch.optim.LBFGS."""
    torch, device = accelerator.pytorch(), accelerator.torch_device()
    torch.set_num_threads(os.cpu_count())
    model = vgg_features(LAYERS, weights="hed", pooling="max")
    network = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = (torch.tensor(x) for x in layer.get_weights())
            convolution = torch.nn.Conv2d(
                kernel.shape[2], kernel.shape[3], 3, padding=1
            )
            convolution.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
            convolution.bias.data = bias
            network.append((layer.name, convolution.requires_grad_(False)))
        elif isinstance(layer, keras.layers.MaxPooling2D):
            network.append((layer.name, torch.nn.MaxPool2d(2)))
    for _, layer in network:
        layer.to(device=device, memory_format=torch.channels_last)
    mean = torch.tensor([123.68, 116.779, 103.939], device=device).view(1, 3, 1, 1)

    def extract(image):
        x, out = image - mean, {}
        x = x.contiguous(memory_format=torch.channels_last)
        for name, layer in network:
            x = layer(x)
            if "conv" in name:
                x = torch.relu(x)
            if name in LAYERS:
                out[name] = x.float()
        return out

    if compiled:
        extract = torch.compile(extract)

    def gram(x):
        flat = x[0].flatten(1)
        return flat @ flat.T

    def tensor(x):
        return torch.tensor(x, device=device).permute(0, 3, 1, 2).contiguous()

    precision = torch.autocast(device, torch.bfloat16, enabled=bfloat16)
    with torch.no_grad(), precision:
        base = extract(tensor(content))[CONTENT]
        grams = {name: gram(x) for name, x in extract(tensor(style)).items()}
    image = tensor(content).requires_grad_(True)
    optimizer = torch.optim.LBFGS([image], max_iter=1, history_size=10)
    pixels = content.shape[1] * content.shape[2]

    def closure():
        optimizer.zero_grad()
        with precision:
            out = extract(image)
        loss = WEIGHTS["content"] * ((out[CONTENT] - base) ** 2).sum()
        for name in STYLE:
            part = ((gram(out[name]) - grams[name]) ** 2).sum() / (36.0 * pixels**2)
            loss = loss + WEIGHTS["style"] / len(STYLE) * part
        down = (image[..., 1:, :-1] - image[..., :-1, :-1]) ** 2
        right = (image[..., :-1, 1:] - image[..., :-1, :-1]) ** 2
        loss = loss + WEIGHTS["total_variation"] * ((down + right) ** 1.25).sum()
        loss.backward()
        return loss

    return image, lambda: optimizer.step(closure)


def build(method, content, style):
    """Returns the method's image (or optimizer) and a function for one step."""
    if method == "tutorial":
        return tutorial(content, style)
    if method in TORCH:
        return torch_way(content, style, "bf16" in method, "compiled" in method)
    dtype = "mixed_bfloat16" if method == "ours-bf16" else "float32"
    return ours(content, style, dtype)


def convolution_peak(dtype):
    """Multiply-adds a second, times two, of one large convolution."""
    x = tf.cast(tf.random.normal((1, 128, 128, 256)), dtype)
    kernel = tf.cast(tf.random.normal((3, 3, 256, 256)), dtype)
    convolve = tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME")[0, 0, 0, 0])
    convolve()
    seconds = min(timed(convolve) for _ in range(5))
    return 2 * 9 * 128 * 128 * 256 * 256 / seconds


def operations(height, width):
    """Floating-point operations of the convolutions of one step, both ways."""
    channels, count, total = 3, 0, 0
    for block, (filters, layers) in enumerate(
        zip((64, 128, 256, 512, 512), (2, 2, 3, 3, 2), strict=True)
    ):
        for _ in range(layers):
            count = (height >> block) * (width >> block)
            total += 2 * 9 * channels * filters * count
            channels = filters
    return 2 * total


def timed(function):
    begun = time.perf_counter()
    accelerator.wait(function())
    return time.perf_counter() - begun


def speed(sizes, steps, paths, methods):
    """Measures seconds a step, the methods taking turns."""
    # TensorFlow refuses convolutions in bfloat16 where the CPU has none.
    dtypes = ["float32", "bfloat16"]
    if not accelerator.gpu_name() and recommend().policy == "float32":
        dtypes = ["float32"]
        methods = [method for method in methods if "bf16" not in method]
        print("bfloat16: left out. " + recommend().reason)
    peaks = {name: convolution_peak(name) for name in dtypes}
    rows = []
    for size in sizes:
        content, style = images(size, paths)
        ways = {}
        for method in methods:
            step = build(method, content, style)[1]
            try:
                accelerator.wait(step()), accelerator.wait(step())
            except RuntimeError as error:  # of torch.compile
                if "compiled" not in method:
                    raise
                print(f"{method}: skipped, it cannot be compiled here: {error}")
            else:
                ways[method] = step
        times = {method: [] for method in ways}
        for _ in range(steps):
            for method, step in ways.items():
                times[method].append(timed(step))
        medians = {method: float(np.median(t)) for method, t in times.items()}
        for method, seconds in medians.items():
            peak = peaks["bfloat16" if "bf16" in method else "float32"]
            done = operations(*content.shape[1:3]) / seconds / peak
            rows.append(
                {
                    "size": size,
                    "method": method,
                    "seconds": seconds,
                    "to_tutorial": seconds / medians.get("tutorial", np.nan),
                    "share_of_peak": done * (3 if method == "tutorial" else 1),
                    "peak_GB": peak_memory(method, size, paths),
                }
            )
            print(line(rows[-1]), flush=True)
        del ways
    return rows


def line(row):
    return (
        f"| {row['size']:>5} | {row['method']:<19} | {row['seconds']:7.3f} s/step "
        f"| {row['to_tutorial']:5.2f} of tutorial "
        f"| {row['share_of_peak']:4.0%} of peak | {row['peak_GB']:5.2f} GB |"
    )


def peak_memory(method, size, paths):
    """Peak resident memory of a process that runs two steps, in GB."""
    command = [sys.executable, __file__, "--memory", method, "--sizes", str(size)]
    if paths:
        command += ["--images", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def curve(rows, steps, tutorial_loss, paths, methods):
    """Seconds until the loss of the tutorial's last step is reached."""
    probe = images(100, paths)[0].shape
    size = round(rows * max(1, probe[2] / probe[1]))
    content, style = images(size, paths)
    print(f"{content.shape[2]} x {content.shape[1]}; loss of the photograph:")
    print(f"  {neutral_loss(content, content, style):.2f}")
    report = {}
    if "tutorial" in methods:
        image, step = tutorial(content, style)
        step()
        seconds = sum(timed(step) for _ in range(steps)) / steps
        loss = neutral_loss(image.numpy(), content, style)
        report["tutorial"] = seconds * 4000
        print(f"  tutorial: {loss:.2f} after {steps + 1} steps, {seconds:.3f} s each;")
        print(f"  4,000 steps would take {seconds * 4000:.0f} s", flush=True)
    for method in (name for name in methods if name.startswith("ours")):
        optimizer, step = build(method, content, style)
        begun, reached = time.perf_counter(), None
        for index in range(1, 121):
            terms = step()
            if reached is None and float(terms[-1]) <= tutorial_loss:
                reached = report[method] = time.perf_counter() - begun
                loss = neutral_loss(optimizer.image.numpy(), content, style)
                print(
                    f"  {method}: {loss:.2f} (neutral) after {index} steps, "
                    f"{optimizer.evaluations} evaluations, {reached:.1f} s"
                )
            if index in (10, 25, 50, 120):
                loss = neutral_loss(optimizer.image.numpy(), content, style)
                print(f"  {method}: step {index}: {loss:.2f}", flush=True)
        if reached and "tutorial" in report:
            print(f"  {method}: 1/{report['tutorial'] / reached:.0f} of the tutorial's")
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--images", nargs=2, metavar=("CONTENT", "STYLE"))
    parser.add_argument("--curve", type=int, default=400, help="rows; 0 for none")
    parser.add_argument("--curve-steps", type=int, default=20)
    parser.add_argument("--tutorial-loss", type=float, default=0.0)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--memory", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--json", help="where to write the numbers")
    accelerator.add_isa_option(parser)
    options = parser.parse_args()
    accelerator.limit_isa(options.isa)
    if options.memory:
        step = build(options.memory, *images(options.sizes[0], options.images))[1]
        step()
        step()
        print(accelerator.peak_memory() / 1e9)
        return
    methods = list(options.methods)
    if accelerator.pytorch() is None:
        methods = [method for method in methods if method not in TORCH]
        print("torch is not installed: left out")
    report = {"speed": speed(options.sizes, options.steps, options.images, methods)}
    if options.curve:
        report["seconds_to_tutorials_loss"] = curve(
            options.curve,
            options.curve_steps,
            options.tutorial_loss,
            options.images,
            methods,
        )
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
