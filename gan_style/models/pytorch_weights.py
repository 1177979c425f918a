"""Loads generators that the authors' PyTorch code trained.

Reads state dicts of `ResnetGenerator` of the repository pytorch-CycleGAN-and-pix2pix
(Zhu et al. and Isola et al., 2017), such as `style_monet.pth`, into
`resnet_generator`. PyTorch is needed for files alone.
"""

import os
import pickle
import re
import struct
import zipfile

import numpy as np

from gan_style.models.generators import resnet_generator
from gan_style.utils.archives import check_stored

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def load_pytorch_generator(path_or_state_dict):
    """Makes a Keras generator of the weights of the authors' `netG`.

    That is their ResNet generator with any number of blocks and filters
    (`resnet_9blocks`, `resnet_6blocks`), with instance norm and reflection padding, as
    all their CycleGAN models are. It gives the image that their code gives, within
    rounding.

    Left out are what has no effect: biases in front of an instance norm, which cancels
    them, and the running statistics of old files, which instance norm does not use.

    Args:
        path_or_state_dict: the path of a `.pth` file, or a dict from names such as
            "model.1.weight" to tensors or arrays. A file is read with
            `torch.load(..., weights_only=True)`, which runs no code of the file.

    Returns:
        A `keras.Model`, `resnet_generator` with `layout="pytorch"`, from images
        `(batch, height, width, channels)` in [-1, 1] to such images; height and width
        are multiples of 4. `gan_style.inference` takes any size.

    Raises:
        ValueError: for a file that cannot be read or holds more than weights, and for
            weights of another network; says what was found.
        ImportError: for a path, where PyTorch is not installed.

    >>> shapes = {"model.1": (2, 3, 7, 7), "model.4": (4, 2, 3, 3),
    ...           "model.7": (8, 4, 3, 3), "model.10": (8, 4, 3, 3),
    ...           "model.13": (4, 2, 3, 3), "model.17": (3, 2, 7, 7)}
    >>> weights = {f"{name}.weight": np.zeros(shape) for name, shape in shapes.items()}
    >>> weights["model.17.bias"] = np.zeros(3)
    >>> load_pytorch_generator(weights).count_params()
    1311
    """
    if isinstance(path_or_state_dict, (str, os.PathLike)):
        state = _read(path_or_state_dict)
        source = os.path.basename(path_or_state_dict)
    else:
        state, source = path_or_state_dict, "state dict"
    arrays = _arrays(state, source)
    places, blocks = _places(arrays)
    _check(arrays, places, source)
    filters, channels = (*arrays["model.1.weight"].shape, 0, 0)[:2]
    if not filters or not channels:
        raise _wrong_shape(
            source, "model.1.weight", arrays, "(filters, channels, 7, 7)"
        )
    # Before the network is built: its size is up to the file.
    for name, shape in _shapes(filters, channels, blocks).items():
        _check_shape(source, f"{places[name]}.weight", arrays, shape)
    _check_shape(source, f"{places['to_picture']}.bias", arrays, (channels,))
    model = resnet_generator((None, None, channels), filters, blocks, layout="pytorch")
    for name, key in places.items():
        layer = model.get_layer(name)
        # So for both kinds of convolution: the transposed one has the inner and the
        # outer channels swapped in PyTorch as well as in Keras.
        weights = [arrays[f"{key}.weight"].transpose(2, 3, 1, 0)]
        if layer.use_bias:
            weights.append(arrays[f"{key}.bias"])
        layer.set_weights(weights)
    return model


def _read(path):
    if not os.path.isfile(path):
        raise ValueError(
            f"load_pytorch_generator: there is no file {os.fspath(path)!r}, but a .pth "
            "file was expected. Check the path."
        )
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "load_pytorch_generator: a .pth file takes PyTorch to be read. Install it, "
            "for example with: pip install torch"
        ) from error
    try:
        if zipfile.is_zipfile(path):
            check_stored(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        *(pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError),
        *(IndexError, TypeError, AttributeError, AssertionError, OverflowError),
        *(OSError, MemoryError, ImportError, struct.error, zipfile.BadZipFile),
    ) as error:
        # PyTorch's own message recommends to trust the file; that is not for us to say.
        raise ValueError(
            f"load_pytorch_generator: {os.fspath(path)!r} is damaged, is no file of "
            "torch.save, or holds other things than weights. Such things are refused, "
            "because they could be code that runs when they are loaded. Save the "
            "weights alone: torch.save(network.state_dict(), path)."
        ) from error
    _check_claims(path, state)
    return state


def _check_claims(path, state):
    """Raises where a few numbers of the file claim to be many, by being repeated."""
    claimed = sum(
        value.numel() * value.element_size()
        for value in (state.values() if hasattr(state, "values") else ())
        if hasattr(value, "element_size")
    )
    if claimed > os.path.getsize(path):
        raise ValueError(
            f"load_pytorch_generator: the weights of {os.fspath(path)!r} claim "
            f"{claimed} bytes, but the file has {os.path.getsize(path)}. Save them "
            "with torch.save(network.state_dict(), path)."
        )


def _arrays(state, source):
    """The weights as float32 arrays, without the running statistics."""
    if not hasattr(state, "items"):
        raise ValueError(
            f"load_pytorch_generator: {source} is a {type(state).__name__}, but it has "
            "to be a dict from names to tensors."
        )
    arrays = {}
    for name, value in state.items():
        if not hasattr(value, "shape"):
            raise ValueError(
                f"load_pytorch_generator: {name!r} of {source} is a "
                f"{type(value).__name__}, but must be a tensor. If the weights "
                "are one entry of several, pass that entry."
            )
        # nn.DataParallel puts its own name in front.
        name = str(name).removeprefix("module.")
        if name.rpartition(".")[2] not in _STATISTICS:
            try:
                if hasattr(value, "detach"):
                    value = value.detach().cpu().float().numpy()
                arrays[name] = np.asarray(value, "float32")
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(
                    f"load_pytorch_generator: {name!r} of {source} is no plain tensor "
                    f"of numbers ({error})."
                ) from error
    return arrays


def _places(arrays):
    """Layer name -> key, in the authors' numbering; and how many blocks there are."""
    found = [re.match(r"model\.(\d+)\.conv_block\.", name) for name in arrays]
    blocks = len({int(match[1]) for match in found if match})
    # With dropout, which does nothing once trained, one more layer lies between.
    second = 6 if "model.10.conv_block.6.weight" in arrays else 5
    places = {
        "stem_conv": "model.1",
        "down_1_conv": "model.4",
        "down_2_conv": "model.7",
    }
    for block in range(1, blocks + 1):
        for conv, number in ((1, 1), (2, second)):
            key = f"model.{9 + block}.conv_block.{number}"
            places[f"block_{block}_conv_{conv}"] = key
    places["up_2_conv"] = f"model.{10 + blocks}"
    places["up_1_conv"] = f"model.{13 + blocks}"
    places["to_picture"] = f"model.{17 + blocks}"
    return places, blocks


def _shapes(filters, channels, blocks):
    """Layer name -> the shape of its weight in PyTorch."""
    inner = (4 * filters, 4 * filters, 3, 3)
    return {
        "stem_conv": (filters, channels, 7, 7),
        "down_1_conv": (2 * filters, filters, 3, 3),
        "down_2_conv": (4 * filters, 2 * filters, 3, 3),
        **{
            f"block_{block}_conv_{conv}": inner
            for block in range(1, blocks + 1)
            for conv in (1, 2)
        },
        # Transposed convolutions: the inner channels first.
        "up_2_conv": (4 * filters, 2 * filters, 3, 3),
        "up_1_conv": (2 * filters, filters, 3, 3),
        "to_picture": (channels, filters, 7, 7),
    }


def _check(arrays, places, source):
    """Raises unless the weights are those of a ResNet generator, no more, no less."""
    wanted = {f"{key}.weight" for key in places.values()}
    wanted.add(f"{places['to_picture']}.bias")
    allowed = wanted | {f"{key}.bias" for key in places.values()}
    missing = sorted(wanted - set(arrays))
    unknown = sorted(set(arrays) - allowed)
    if not missing and not unknown:
        return
    hint = ""
    if any(name.startswith("model.model.") for name in arrays):
        hint = " It looks like a U-Net (unet_128, unet_256)."
    elif any(name.endswith(".filt") for name in arrays):
        hint = " It looks like a network that blurs before it halves, as CUT's."
    elif "model.10.conv_block.0.weight" in arrays:
        hint = " Its blocks do not pad by reflection."
    elif "model.2.weight" in arrays:
        hint = " It has batch norm, or a norm with learned scale and shift."
    raise ValueError(
        f"load_pytorch_generator: {source} does not hold a ResNet generator with "
        "instance norm, as resnet_9blocks is."
        f"{hint} Missing: {_some(missing)}; unknown: {_some(unknown)}."
    )


def _check_shape(source, key, arrays, shape):
    if arrays[key].shape != tuple(shape):
        raise _wrong_shape(source, key, arrays, tuple(shape))


def _wrong_shape(source, key, arrays, wanted):
    return ValueError(
        f"load_pytorch_generator: {key} of {source} has the shape {arrays[key].shape}, "
        f"but a ResNet generator of this width has {wanted} there."
    )


def _some(names):
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more if names else "none"
