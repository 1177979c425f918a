"""Loading the authors' PyTorch generators, held against such a network in PyTorch."""

import os
import sys

import numpy as np
import pytest

from gan_style.inference.translation import translate
from gan_style.models import resnet_generator
from gan_style.models.pytorch_weights import load_pytorch_generator

torch = pytest.importorskip("torch")
nn = torch.nn


class Block(nn.Module):
    def __init__(self, width, dropout, norm):
        super().__init__()
        parts = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), norm(width)]
        parts += [nn.ReLU(True)] + [nn.Dropout(0.5)] * dropout
        parts += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), norm(width)]
        self.conv_block = nn.Sequential(*parts)

    def forward(self, x):
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    """The architecture and the key names of the authors' `resnet_9blocks`."""

    def __init__(self, filters=4, blocks=2, channels=3, dropout=False, norm=None):
        super().__init__()
        f, norm = filters, norm or nn.InstanceNorm2d
        parts = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(channels, f, 7),
            norm(f),
            nn.ReLU(True),
        ]
        for i in (f, 2 * f):
            parts += [nn.Conv2d(i, 2 * i, 3, 2, 1), norm(2 * i), nn.ReLU(True)]
        parts += [Block(4 * f, dropout, norm) for _ in range(blocks)]
        for i in (4 * f, 2 * f):
            up = nn.ConvTranspose2d(i, i // 2, 3, 2, padding=1, output_padding=1)
            parts += [up, norm(i // 2), nn.ReLU(True)]
        parts += [nn.ReflectionPad2d(3), nn.Conv2d(f, channels, 7), nn.Tanh()]
        self.model = nn.Sequential(*parts)

    def forward(self, x):
        return self.model(x)


def theirs(seed=0, **options):
    torch.manual_seed(seed)
    network = ResnetGenerator(**options).eval()
    for parameter in network.parameters():
        # Biases as well, and large enough that no part is negligible.
        nn.init.normal_(parameter, 0.0, 0.2 if parameter.ndim == 1 else 0.1)
    return network


def image_of(network, x):
    with torch.no_grad():
        return network(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def random_images(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


@pytest.mark.parametrize("size", [(128, 128), (256, 256), (132, 148), (20, 12)])
def test_the_image_is_theirs(size):
    network = theirs()
    x = random_images(2, *size, 3)
    ours = load_pytorch_generator(network.state_dict())
    want = image_of(network, x).numpy()
    assert want.std() > 0.3  # so that the comparison says something
    np.testing.assert_allclose(ours(x), want, atol=1e-4)


def test_their_full_size_network_gives_their_image():
    network = theirs(filters=64, blocks=9)
    ours = load_pytorch_generator(network.state_dict())
    assert ours.count_params() == resnet_generator().count_params()
    x = random_images(1, 132, 148, 3)
    np.testing.assert_allclose(ours(x), image_of(network, x), atol=1e-4)


@pytest.mark.parametrize(
    "options", [{"blocks": 6}, {"blocks": 0}, {"channels": 1}, {"dropout": True}]
)
def test_other_blocks_channels_and_dropout(options):
    network = theirs(**options)
    x = random_images(1, 24, 32, options.get("channels", 3))
    ours = load_pytorch_generator(network.state_dict())
    np.testing.assert_allclose(ours(x), image_of(network, x), atol=1e-4)


def test_weak_signals_are_normalised_with_their_epsilon():
    network = theirs(blocks=1)
    with torch.no_grad():
        network.model[4].weight *= 1e-3  # variance of about epsilon
        network.model[4].bias *= 0  # PyTorch itself rounds it badly against that
    x = random_images(1, 32, 32, 3)
    ours = load_pytorch_generator(network.state_dict())
    want = image_of(network, x)
    np.testing.assert_allclose(ours(x), want, atol=1e-4)
    ours.get_layer("down_1_norm").epsilon = 1e-3
    assert np.abs(ours(x) - want.numpy()).max() > 1e-2


def test_the_same_layout_is_another_network():
    network = theirs()
    ours = load_pytorch_generator(network.state_dict())
    other = resnet_generator((None, None, 3), 4, 2)
    other.set_weights(ours.get_weights())
    x = random_images(1, 32, 32, 3)
    assert np.abs(ours(x) - other(x)).max() > 1e-2


def test_files_of_every_kind_give_the_same(tmp_path):
    network = theirs(blocks=1)
    state = network.state_dict()
    want = load_pytorch_generator(state).get_weights()
    old = {**state, "model.2.running_mean": torch.ones(4)}
    old["model.10.conv_block.2.num_batches_tracked"] = torch.tensor(9)
    kinds = {
        "new.pth": state,
        "old.pth": old,
        "parallel.pth": {f"module.{k}": v for k, v in state.items()},
    }
    for name, content in kinds.items():
        legacy = name == "old.pth"
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=not legacy)
        for path in (tmp_path / name, str(tmp_path / name)):
            for got, wanted in zip(
                load_pytorch_generator(path).get_weights(), want, strict=True
            ):
                np.testing.assert_array_equal(got, wanted)
    arrays = {key: value.numpy() for key, value in state.items()}
    np.testing.assert_array_equal(
        load_pytorch_generator(arrays).get_weights()[0], want[0]
    )


def test_half_precision_weights_are_taken():
    state = {k: v.bfloat16() for k, v in theirs().state_dict().items()}
    got = load_pytorch_generator(state).get_layer("stem_conv").kernel
    np.testing.assert_array_equal(
        got, state["model.1.weight"].float().permute(2, 3, 1, 0)
    )


def test_it_translates_any_size_and_survives_saving(tmp_path):
    import keras

    ours = load_pytorch_generator(theirs().state_dict())
    photo = np.random.default_rng(0).integers(0, 256, (33, 50, 3), dtype="uint8")
    want = translate(ours, photo)
    assert want.shape == photo.shape
    ours.save(tmp_path / "generator.keras")
    loaded = keras.models.load_model(tmp_path / "generator.keras")
    np.testing.assert_array_equal(translate(loaded, photo), want)


class Payload:
    """Harmless: makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_file_with_code_is_refused_and_not_run(tmp_path):
    state = theirs().state_dict()
    trap = tmp_path / "trap"
    torch.save({**state, "extra": Payload(trap)}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match="other things than weights") as caught:
        load_pytorch_generator(tmp_path / "bad.pth")
    assert not trap.exists()
    assert "weights_only" not in str(caught.value)
    # The trap would have worked.
    torch.load(tmp_path / "bad.pth", weights_only=False)
    assert trap.exists()


# The end of an archive on several disks, at which `zipfile.is_zipfile` itself raises.
SPLIT = b"PK\x06\x07" + bytes(12) + b"\x02\0\0\0" + b"PK\x05\x06" + bytes(18)


@pytest.mark.parametrize(
    "content", [b"", b"no weights", b"PK\x03\x04 broken zip", SPLIT]
)
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(ValueError, match="bad.pth' is damaged"):
        load_pytorch_generator(tmp_path / "bad.pth")
    with pytest.raises(ValueError, match="missing.pth', but must be that of a file"):
        load_pytorch_generator(tmp_path / "missing.pth")


def test_without_pytorch_the_error_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "it.pth").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'gan_style\[torch\]'"):
        load_pytorch_generator(tmp_path / "it.pth")


def test_a_few_numbers_that_claim_to_be_many_are_refused(tmp_path):
    torch.save({"model.1.weight": torch.zeros(1).expand(10**9)}, tmp_path / "big.pth")
    with pytest.raises(ValueError, match=r"big.pth' are 4000000000 bytes, but must be"):
        load_pytorch_generator(tmp_path / "big.pth")


def changed(**changes):
    state = {k: v.numpy() for k, v in theirs().state_dict().items()}
    for key, value in changes.items():
        key = key.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1, 2], "is a list"),
        ({"epoch": 3}, "'epoch' of state dict is a int"),
        ({"netG": {"a": np.zeros(3)}}, "pass that entry"),
        ({}, "Missing: .*'model.1.weight'"),
        (changed(model__4__weight=None), r"Missing: \['model.4.weight'\]"),
        (changed(model__19__bias=None), r"Missing: \['model.19.bias'\]"),
        (changed(extra=np.zeros(3)), r"unknown: \['extra'\]"),
        (
            changed(model__4__weight=np.zeros((9, 4, 3, 3))),
            r"model.4.weight of state dict is of shape \(9, 4, 3, 3\), but must be "
            r"of \(8, 4, 3, 3\)",
        ),
        (changed(model__19__bias=np.zeros(2)), "model.19.bias"),
        (changed(model__1__weight=np.zeros(4)), r"\(filters, channels, 7, 7\)"),
        (changed(model__5__filt=np.zeros((4, 1, 3, 3))), r"unknown: .*5.filt'"),
        ({"model.model.0.weight": np.zeros((4, 3, 4, 4))}, "a ResNet generator with"),
        (
            dict(ResnetGenerator(norm=nn.BatchNorm2d).state_dict()),
            r"with instance norm.* unknown: .*'model\.10\.",
        ),
    ],
)
def test_other_networks_are_refused(state, message):
    with pytest.raises(ValueError, match=message):
        load_pytorch_generator(state)
