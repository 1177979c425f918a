"""Exports against the models that they came from."""

import gc
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.cyclegans import small

from gan_style.inference import export
from gan_style.models import resnet_generator, unet_generator

BUILDERS = {
    "unet": lambda: unet_generator((32, 32, 3), 2),
    "resnet": lambda: resnet_generator((32, 32, 3), 2, 1),
    "pytorch layout": lambda: resnet_generator((None, None, 3), 2, 1, layout="pytorch"),
}


@pytest.fixture(params=BUILDERS)
def generator(request):
    keras.utils.set_random_seed(0)
    model = BUILDERS[request.param]()
    for weight in model.weights:  # so that images are not all grey
        weight.assign(10 * weight)
    return model


def random_images(*shape):
    return np.random.default_rng(1).uniform(-1, 1, shape).astype("float32")


def test_what_was_written_lives_until_it_is_compared(tmp_path, monkeypatch):
    compile_model = export.compile_for_any_size

    def with_a_collection(*arguments):
        network = compile_model(*arguments)

        def run(images):
            gc.collect()
            return network.run(images)

        return network._replace(run=run)

    monkeypatch.setattr(export, "compile_for_any_size", with_a_collection)
    model = unet_generator((16, 16, 3), 2)
    assert export.export_savedmodel(model, tmp_path / "deep" / "it") < 1e-3


def test_savedmodel_gives_the_image_at_compile_for_any_size(generator, tmp_path):
    assert export.export_savedmodel(generator, tmp_path / "g") < 1e-4
    loaded = tf.saved_model.load(str(tmp_path / "g"))
    for size in ((32, 32), (48, 80)):
        x = random_images(2, *size, 3)
        want = generator.call(x, training=False)
        assert np.std(want) > 0.1
        np.testing.assert_allclose(loaded.serve(x), want, atol=1e-4)
    # Again, over itself.
    export.export_savedmodel(generator, tmp_path / "g")
    assert [p.name for p in tmp_path.iterdir()] == ["g"]


def test_onnx_gives_the_image_at_compile_for_any_size(generator, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    assert export.export_onnx(generator, tmp_path / "g.onnx") < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx")
    assert [node.name for node in session.get_inputs()] == ["images"]
    for size in ((32, 32), (48, 80)):
        x = random_images(2, *size, 3)
        want = generator.call(x, training=False)
        got = session.run(None, {"images": x})[0]
        np.testing.assert_allclose(got, want, atol=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == ["g.onnx"]


def test_mixed_precision_is_exported(policy, tmp_path):
    policy("mixed_bfloat16")
    model = unet_generator((32, 32, 3), 2)
    policy("float32")
    assert export.export_savedmodel(model, tmp_path / "g") < 0.1
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    assert export.export_onnx(model, tmp_path / "g.onnx") < 1e-4
    precise = unet_generator((32, 32, 3), 2)
    precise.set_weights(model.get_weights())
    x = random_images(1, 32, 32, 3)
    got = onnxruntime.InferenceSession(tmp_path / "g.onnx").run(None, {"images": x})
    np.testing.assert_allclose(got[0], precise(x), atol=1e-4)


def test_an_export_that_differs_is_not_kept(tmp_path, monkeypatch):
    model = resnet_generator((16, 16, 3), 2, 1)
    export_model = model.export

    def export_another(path, **options):
        model.layers[-2].bias.assign_add([0.1, 0, 0])
        export_model(path, **options)
        model.layers[-2].bias.assign_sub([0.1, 0, 0])

    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "saved_model.pb").write_text("what was there")
    monkeypatch.setattr(model, "export", export_another)
    with pytest.raises(ValueError, match="export and model is 0.09.*nothing was kept"):
        export.export_savedmodel(model, tmp_path / "g")
    assert [p.name for p in tmp_path.iterdir()] == ["g"]
    assert (tmp_path / "g" / "saved_model.pb").read_text() == "what was there"


def test_a_generator_that_was_fitted_is_exported(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = unet_generator((16, 16, 1), 2)
    model.compile("adam", "mse")
    x = random_images(2, 16, 16, 1)
    model.fit(x, x, verbose=0)
    assert export.export_savedmodel(model, "~/grey") < 1e-4
    loaded = tf.saved_model.load(str(tmp_path / "grey"))
    np.testing.assert_allclose(loaded.serve(x), model(x), atol=1e-4)


def test_without_its_packages_onnx_says_what_to_install(tmp_path, monkeypatch):
    for package in ("onnx", "tf2onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match="pip install onnx tf2onnx onnxruntime"):
        export.export_onnx(unet_generator((16, 16, 3), 2), tmp_path / "g.onnx")
    assert not any(tmp_path.iterdir())


def test_other_goals_are_refused(tmp_path):
    model = resnet_generator((16, 16, 3), 2, 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear diary")
    with pytest.raises(
        ValueError, match="folder is .*must be new, empty or a SavedModel"
    ):
        export.export_savedmodel(model, tmp_path / "full")
    with pytest.raises(ValueError, match="such as a CycleGAN's generator_ab"):
        export.export_savedmodel(small(16), tmp_path / "g")
    with pytest.raises(ValueError, match="end in '.onnx'"):
        export.export_onnx(model, tmp_path / "g")
    assert (tmp_path / "full" / "diary.txt").exists()
