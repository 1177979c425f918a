"""Loads generators that the authors' PyTorch code trained."""

import os
import re
import zipfile

import numpy as np

from gan_style.models.generators import resnet_generator
from gan_style.utils.checks import check_path, summarize
from gan_style.utils.files import check_stored

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def load_pytorch_generator(path_or_state_dict):
    """Make a Keras generator from the weights of the authors' `netG`.

    That is the `ResnetGenerator` of pytorch-CycleGAN-and-pix2pix (Zhu et al. and Isola
    et al., 2017) with any number of blocks and filters, instance norm and reflection
    padding, such as `style_monet.pth`. It gives the image of their code, within
    rounding. Left out are biases before an instance norm, which cancels them, and the
    running statistics of old files.

    Args:
        path_or_state_dict: the path of a `.pth` file, or a dict from names such as
            "model.1.weight" to tensors or arrays. A file is read by PyTorch with
            `weights_only=True`, which runs no code of the file.

    Returns:
        A `keras.Model`, `resnet_generator` with `layout="pytorch"`, from images
        `(batch, height, width, channels)` in [-1, 1] to such images; height and width
        are multiples of 4. `gan_style.inference` accepts any size.

    Raises:
        ValueError: for other files and networks, or other channels out than in.
        ImportError: for a path, where PyTorch is not installed.

    >>> shapes = {"model.1": (2, 3, 7, 7), "model.4": (4, 2, 3, 3),
    ...           "model.7": (8, 4, 3, 3), "model.10": (8, 4, 3, 3),
    ...           "model.13": (4, 2, 3, 3), "model.17": (3, 2, 7, 7)}
    >>> weights = {f"{name}.weight": np.zeros(shape) for name, shape in shapes.items()}
    >>> weights["model.17.bias"] = np.zeros(3)
    >>> load_pytorch_generator(weights).count_params()
    1311
    """
    state, source = path_or_state_dict, "state dict"
    if isinstance(state, (str, os.PathLike)):
        path = check_path("load_pytorch_generator", "path", state)
        state, source = _read(path), path.name
    arrays = _arrays(state, source)
    layers, filters, channels, blocks = _layers(arrays)
    _check(arrays, layers, source)  # first, because the network's size is the file's
    model = resnet_generator((None, None, channels), filters, blocks, layout="pytorch")
    for name, (key, _) in layers.items():
        layer = model.get_layer(name)
        # Of both kinds: both libraries swap the channels of transposed convolutions.
        kernel = arrays[f"{key}.weight"].transpose(2, 3, 1, 0)
        biases = [arrays[f"{key}.bias"]] if layer.use_bias else []
        layer.set_weights([kernel, *biases])
    return model


def _error(what, expected):
    return ValueError(f"load_pytorch_generator: {what}, but must be {expected}.")


def _read(path):
    if not path.is_file():
        raise _error(f"path is {str(path)!r}", "that of a file")
    try:
        import torch
    except ImportError as error:
        what = "load_pytorch_generator: a .pth file needs PyTorch to be read"
        raise ImportError(f"{what}. Run pip install 'gan_style[torch]'") from error
    try:
        if zipfile.is_zipfile(path):
            check_stored(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch's own message recommends to trust the file
        raise _error(
            f"{str(path)!r} is damaged, or holds other things than weights",
            "a file of torch.save with weights only, as others could run code. Save "
            "the weights alone: torch.save(network.state_dict(), path)",
        ) from error
    tensors = state.values() if hasattr(state, "values") else ()
    claimed = sum(x.numel() * x.element_size() for x in tensors if torch.is_tensor(x))
    if claimed > (size := path.stat().st_size):  # a few numbers, repeated
        what = f"the weights of {str(path)!r} are {claimed} bytes"
        raise _error(what, f"at most {size}, the bytes of the file")
    return state


def _arrays(state, source):
    """Return the weights as float32 arrays, without the running statistics."""
    if not hasattr(state, "items"):
        raise _error(f"{source} is a {type(state).__name__}", "a dict of tensors")
    arrays = {}
    for name, value in state.items():
        try:
            array = value.detach().cpu().float() if hasattr(value, "detach") else value
            array = np.asarray(array, "float32").reshape(value.shape)
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            what = f"{name!r} of {source} is a {type(value).__name__}"
            advice = "If the weights are one entry of several, pass that entry"
            raise _error(what, f"a tensor of numbers ({error}). {advice}") from error
        name = str(name).removeprefix("module.")  # which nn.DataParallel puts in front
        if name.rpartition(".")[2] not in _STATISTICS:
            arrays[name] = array
    return arrays


def _layers(arrays):
    """Return {Keras' layer: (key, shape in PyTorch)}, filters, channels and blocks."""
    f, channels, *_ = *arrays.get("model.1.weight", np.empty(0)).shape, 0, 0
    found = (re.match(r"model\.\d+\.conv_block\.", name) for name in arrays)
    blocks = len({match[0] for match in found if match})
    # With dropout, which does nothing once trained, one more layer lies between.
    second = 6 if "model.10.conv_block.6.weight" in arrays else 5
    layers = {
        "stem_conv": ("model.1", (f, channels, 7, 7)),
        "down_1_conv": ("model.4", (2 * f, f, 3, 3)),
        "down_2_conv": ("model.7", (4 * f, 2 * f, 3, 3)),
        # Transposed convolutions: the inner channels first.
        "up_2_conv": (f"model.{10 + blocks}", (4 * f, 2 * f, 3, 3)),
        "up_1_conv": (f"model.{13 + blocks}", (2 * f, f, 3, 3)),
        "to_picture": (f"model.{17 + blocks}", (channels, f, 7, 7)),
    }
    for block in range(1, blocks + 1):
        for conv, place in ((1, 1), (2, second)):
            key = f"model.{9 + block}.conv_block.{place}"
            layers[f"block_{block}_conv_{conv}"] = key, (4 * f, 4 * f, 3, 3)
    return layers, f, channels, blocks


def _check(arrays, layers, source):
    """Raise unless the weights are those of a ResNet generator, no more, no less."""
    shapes = {f"{key}.weight": shape for key, shape in layers.values()}
    last, shape = layers["to_picture"]
    shapes[f"{last}.bias"] = shape[:1]
    known = shapes.keys() | {f"{key}.bias" for key, _ in layers.values()}
    missing, unknown = map(sorted, (shapes.keys() - arrays, arrays.keys() - known))
    if missing or unknown:
        expected = "of a ResNet generator with instance norm, such as resnet_9blocks. "
        expected += f"Missing: {summarize(missing)}; unknown: {summarize(unknown)}"
        raise _error(f"{source} is of another network", expected)
    for name, shape in shapes.items():
        got = arrays[name].shape
        if got != shape or 0 in shape:
            wanted = "(filters, channels, 7, 7)" if 0 in shape else shape
            what = f"{name} of {source} is of shape {got}"
            raise _error(what, f"of {wanted}, for a ResNet, as many channels out as in")
