"""Files from strangers, and the package's own once they were changed: nothing runs."""

import io
import json
import os
import pickle
import warnings
import zipfile
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
from helpers.cyclegans import one_step, random_images, small

from gan_style import datasets
from gan_style.inference.folders import RECORD, translate_folder
from gan_style.style_transfer.checkpoints import load_run
from gan_style.style_transfer.transfer import StyleTransfer
from gan_style.training.callbacks import LossCurves
from gan_style.training.checkpoints import SaveAndResume
from gan_style.training.distribution import train


def rewritten(path, **members):
    """Replaces members of a zip file by what a function makes of them."""
    with zipfile.ZipFile(path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    for name, change in members.items():
        name = next(known for known in content if known.split(".")[0] == name)
        content[name] = change(content[name])
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)


class Trap:
    """A piece of code that would leave a marker if it ran."""

    def __init__(self, folder):
        self.marker = folder / "it_ran"

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)

    def lambda_layer(self):
        """What Keras saves for a Lambda layer, which it would run when loading."""
        code = f"__import__('os').mkdir({str(self.marker)!r})"
        layer = keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"))
        return keras.saving.serialize_keras_object(layer)

    def foreign_class(self, module="os", name="mkdir"):
        return {
            "module": module,
            "class_name": name,
            "registered_name": None,
            "config": {"path": str(self.marker), "name": str(self.marker)},
        }


@pytest.fixture
def trap(tmp_path):
    trap = Trap(tmp_path)
    yield trap
    assert not trap.marker.exists()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a trained CycleGAN's file."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model = small(pool_size=2)
    model.compile()
    one_step(model, random_images(1, 8), random_images(1, 8, seed=1))
    model.save(path)
    return path.read_bytes()


class TestKerasFiles:
    def hostile(self, path, saved, change):
        def changed(content):
            config = json.loads(content)
            change(config)
            return json.dumps(config)

        path.write_bytes(saved)
        rewritten(path, config=changed)
        with pytest.raises((ValueError, TypeError)):
            keras.saving.load_model(path)

    def test_a_lambda_within_a_cyclegan_is_refused(self, saved, trap, tmp_path):
        def change(config):
            layers = config["config"]["generator_ab"]["config"]["layers"]
            layers[1] |= trap.lambda_layer()

        self.hostile(tmp_path / "m.keras", saved, change)

    @pytest.mark.parametrize(
        "what", [("os", "mkdir"), ("builtins", "eval"), ("none.such", "Layer")]
    )
    @pytest.mark.parametrize(
        "part", ["generator_ab", "discriminator_b", "generator_optimizer", "model"]
    )
    def test_an_unknown_class_is_refused(self, saved, trap, tmp_path, part, what):
        foreign = trap.foreign_class(*what)

        def change(config):
            if part == "model":
                config |= foreign
            elif part.endswith("optimizer"):
                config["compile_config"][part] = foreign
            else:
                config["config"][part] = foreign

        self.hostile(tmp_path / "m.keras", saved, change)

    def test_code_in_place_of_the_json_is_not_unpickled(self, saved, trap, tmp_path):
        path = tmp_path / "m.keras"
        path.write_bytes(saved)
        rewritten(path, config=lambda _: pickle.dumps(trap))
        with pytest.raises(ValueError):
            keras.saving.load_model(path)

    def test_the_trap_is_one(self, tmp_path):
        pickle.loads(pickle.dumps(Trap(tmp_path)))
        assert (tmp_path / "it_ran").exists()
        layer = keras.saving.deserialize_keras_object(
            Trap(tmp_path / "it_ran").lambda_layer(), safe_mode=False
        )
        layer(np.zeros((1, 2), "float32"))
        assert (tmp_path / "it_ran" / "it_ran").exists()


def states(saved):
    """What a state file may have become, and a word of the error."""
    half = saved[: len(saved) // 2]
    return {
        "empty": b"",
        "no archive": b"no archive" * 100,
        "cut off": half,
        "flipped": half + bytes([half[-1] ^ 255]) * 500 + saved[len(half) + 500 :],
    }


@pytest.fixture
def fresh():
    model = small(pool_size=2)
    model.compile()
    return model


@pytest.fixture(scope="module")
def data():
    return datasets.load("samples/fruit", 16, train_count=2, test_count=0)


class TestTrainingStates:
    """What SaveAndResume and `distribution.train` go on from."""

    def refused(self, model, path, message="damaged, or is the state of another"):
        with pytest.raises(ValueError, match=message) as caught:
            SaveAndResume(path).resume(model)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("kind", ["empty", "no archive", "cut off", "flipped"])
    def test_a_damaged_state_is_named(self, saved, fresh, tmp_path, kind):
        path = tmp_path / "training.keras"
        path.write_bytes(states(saved)[kind])
        self.refused(fresh, path)

    def test_the_state_of_another_model_is_named(self, fresh, tmp_path):
        path = tmp_path / "training.keras"
        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        network.save(path)
        self.refused(fresh, path)

    @pytest.mark.parametrize(
        "options", [{"pool_size": 3}, {"pool_size": 2, "average_decay": None}]
    )
    def test_the_state_of_another_cyclegan_is_named(self, fresh, tmp_path, options):
        path = tmp_path / "training.keras"
        model = small(**options)
        model.compile()
        model.save(path)
        self.refused(fresh, path)

    def test_the_state_of_other_optimizers_is_not_left_out(self, saved, tmp_path):
        path = tmp_path / "training.keras"
        path.write_bytes(saved)
        model = small(pool_size=2)
        model.compile(keras.optimizers.SGD(), keras.optimizers.SGD())
        self.refused(model, path)

    def test_a_model_without_the_beginning_is_named(self, saved, fresh, tmp_path):
        path = tmp_path / "training.keras"
        path.write_bytes(saved)
        self.refused(fresh, path, "was not saved by SaveAndResume")

    @pytest.mark.parametrize(
        "beginning",
        [b"", b"[]", b"{}", b'{"first_step": "1"}', b'{"first_step": 2}', b"\xff"],
    )
    def test_a_changed_beginning_is_named(self, saved, fresh, tmp_path, beginning):
        path = tmp_path / "training.keras"
        path.write_bytes(saved)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("gan_style_training.json", beginning)
        self.refused(fresh, path, "was changed|or was")

    @pytest.mark.parametrize(("place", "value"), [(6, 1), (6, 0x20), (8, 99)])
    def test_a_beginning_that_cannot_be_unpacked_is_named(
        self, saved, fresh, tmp_path, place, value
    ):
        # Said to be encrypted, patched, or compressed in a way that nobody knows.
        path = tmp_path / "training.keras"
        path.write_bytes(saved)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("gan_style_training.json", '{"first_step": 0}')
        content = bytearray(path.read_bytes())
        header = content.rindex(b"PK\x03\x04")
        content[header + place] = value
        # The table at the end says it again, two bytes later.
        content[content.rindex(b"PK\x01\x02") + place + 2] = value
        path.write_bytes(content)
        self.refused(fresh, path, "or was changed")

    def test_a_bomb_is_refused(self, saved, fresh, tmp_path):
        path = tmp_path / "training.keras"
        path.write_bytes(saved)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
            file.writestr("bomb", bytes(10_000_000))
        self.refused(fresh, path, "which no file of its kind does")

    def test_weights_that_are_code_are_not_unpickled(
        self, saved, fresh, trap, tmp_path
    ):
        path = tmp_path / "training.keras"
        path.write_bytes(saved)
        rewritten(path, model=lambda _: pickle.dumps(trap))
        self.refused(fresh, path)

    def test_a_description_that_is_code_is_not_looked_at(
        self, saved, fresh, trap, tmp_path
    ):
        path = tmp_path / "training.keras"
        path.write_bytes(saved)
        rewritten(path, config=lambda _: json.dumps(trap.foreign_class()))
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("gan_style_training.json", '{"first_step": 0}')
        assert SaveAndResume(path).resume(fresh) == 0
        assert int(fresh.steps_done) == 1

    def test_weights_of_another_shape_are_named(self, saved, fresh, tmp_path):
        path = tmp_path / "training.keras"
        path.write_bytes(saved)

        def larger(content):
            buffer = io.BytesIO(content)
            with h5py.File(buffer, "r+") as file:
                found = []
                file.visititems(
                    lambda name, item: (
                        found.append(name) if isinstance(item, h5py.Dataset) else None
                    )
                )
                shape = (3, *file[found[0]].shape)
                del file[found[0]]
                file[found[0]] = np.zeros(shape, "float32")
            return buffer.getvalue()

        rewritten(path, model=larger)
        self.refused(fresh, path)

    def test_a_worker_s_damaged_state_is_named(self, saved, fresh, data, tmp_path):
        path = tmp_path / "worker_0_step_1.keras"
        path.write_bytes(states(saved)["cut off"])
        with pytest.raises(ValueError, match="train: .*worker_0_step_1.keras"):
            train(fresh, data.train, 2, folder=tmp_path)


OPTIONS = {"steps": 2, "scales": [8, 16], "progress": False}


def transfer():
    rng = np.random.default_rng(0)
    content, style = rng.integers(0, 256, (2, 12, 16, 3), dtype="uint8")
    return StyleTransfer(
        content,
        style,
        content_layers=["relu1_1"],
        style_layers=["relu1_1"],
        features={"weights": None, "backbone": "vgg16"},
    )


class TestSavedRuns:
    @pytest.fixture(scope="class")
    def run(self, tmp_path_factory):
        """The bytes of a finished run's file."""
        path = tmp_path_factory.mktemp("run") / "run.npz"
        transfer().run(checkpoint=path, **OPTIONS)
        return path.read_bytes()

    def refused(self, path, message="but must be a saved run"):
        with pytest.raises(ValueError, match=message) as caught:
            load_run(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("kind", ["empty", "no archive", "cut off", "flipped"])
    def test_a_damaged_run_is_named(self, run, tmp_path, kind):
        (tmp_path / "run.npz").write_bytes(states(run)[kind])
        self.refused(tmp_path / "run.npz")

    def test_a_missing_run_is_named(self, tmp_path):
        self.refused(tmp_path / "none.npz")

    @pytest.mark.parametrize("member", ["fingerprint", "optimizer_image"])
    def test_nothing_is_unpickled(self, run, trap, tmp_path, member):
        path = tmp_path / "run.npz"
        path.write_bytes(run)
        array = io.BytesIO()
        np.save(array, np.array([trap], object), allow_pickle=True)
        rewritten(path, **{member: lambda _: array.getvalue()})
        self.refused(path)
        rewritten(path, **{member: lambda _: pickle.dumps(trap)})
        self.refused(path)

    def test_one_array_is_no_run(self, tmp_path):
        np.save(tmp_path / "run.npy", np.zeros(3))
        self.refused(tmp_path / "run.npy")

    def test_an_array_that_claims_terabytes_is_refused(self, run, tmp_path):
        path = tmp_path / "run.npz"
        path.write_bytes(run)
        array = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            array, {"descr": "<f4", "fortran_order": False, "shape": (1, 2**40, 9, 3)}
        )
        rewritten(path, optimizer_image=lambda _: array.getvalue())
        self.refused(path)

    def test_a_compressed_bomb_is_refused(self, tmp_path):
        np.savez_compressed(tmp_path / "run.npz", fingerprint=np.zeros(1_000_000))
        self.refused(tmp_path / "run.npz", "which no file of its kind does")

    @pytest.mark.parametrize(
        "changes",
        [
            {"scale": None},
            {"scale": np.array(-1)},
            {"scale": np.array(0.5)},
            {"optimizer_image": None},
            {"optimizer_image": np.zeros((16, 16, 3), "float32")},
            {"optimizer_image": np.zeros((1, 0, 16, 3), "float32")},
            {"optimizer_image": np.full((1, 12, 16, 3), np.nan, "float32")},
            {"optimizer_steps": np.array("two")},
            {"history_total": None},
            {"history_total": np.zeros(7)},
            {"history_total": np.zeros((4, 1))},
        ],
        ids=str,
    )
    def test_what_no_run_holds_is_said(self, run, tmp_path, changes):
        self.changed(tmp_path / "run.npz", run, changes)
        self.refused(tmp_path / "run.npz")

    @staticmethod
    def changed(path, run, changes):
        arrays = {**np.load(io.BytesIO(run)), **changes}
        np.savez(path, **{k: v for k, v in arrays.items() if v is not None})

    @pytest.mark.parametrize(
        "changes",
        [
            {"scale": np.array(2)},
            {"optimizer_image": np.zeros((1, 12, 17, 3), "float32")},
            {"optimizer_image": np.zeros((1, 12, 16, 3), "float64")},
            {"optimizer_moves_9": None},
            {"optimizer_changes_0": np.zeros((1, 12, 17, 3), "float32")},
            {"optimizer_curvatures": np.zeros(9, "float32")},
        ],
        ids=str,
    )
    def test_what_this_run_cannot_hold_is_said(self, run, tmp_path, changes):
        path = tmp_path / "run.npz"
        self.changed(path, run, changes)
        with pytest.raises(
            ValueError, match=r"checkpoint is .*unchanged in its \w+; give"
        ):
            transfer().run(checkpoint=path, **OPTIONS)

    def test_the_unchanged_run_is_taken_up(self, run, tmp_path):
        path = tmp_path / "run.npz"
        self.changed(path, run, {})
        result = transfer().run(checkpoint=path, **OPTIONS)
        assert len(result.history["total"]) == 4


class TestFolders:
    def image(self, path):
        from gan_style.utils.images import save_image

        return save_image(path, np.zeros((4, 4, 3), "uint8"))

    @pytest.fixture(scope="class")
    def same(self):
        images = keras.Input((4, 4, 3))
        return keras.Model(images, keras.layers.Identity()(images))

    def test_a_record_reaches_no_file_outside(self, same, tmp_path):
        self.image(tmp_path / "in" / "a.png")
        (tmp_path / "out").mkdir()
        (tmp_path / "other").mkdir()
        strangers = [tmp_path / ".b.png.1.part", tmp_path / "other" / ".b.png.1.part"]
        strangers.append(tmp_path / ".out.1.part")
        for path in strangers:
            path.write_bytes(b"mine")
        names = ["../b.png", "../other/b.png", str(tmp_path / "other" / "b.png"), ""]
        names += [".", "x/../../b.png", "..\\b.png"]
        record = "".join(json.dumps([name]) + "\n" for name in names)
        (tmp_path / "out" / RECORD).write_text(record)
        result = translate_folder(
            same, tmp_path / "in", tmp_path / "out", progress=False
        )
        assert [path.name for path in result.done] == ["a.png"]
        assert all(path.read_bytes() == b"mine" for path in strangers)

    @pytest.mark.parametrize(
        "line",
        [
            *(b"", b"5", b"null", b"[]", b"{}", b'"ab"', b"[[]]", b"[{}, 1]", b"[1]"),
            *(b"\xff\xfe", b"[" * 100_000, b'["a\\u0000"]', b'["a.png", 1, 2, 3]'),
        ],
        ids=lambda line: repr(line[:20]),
    )
    def test_a_record_of_nonsense_is_no_record(self, same, tmp_path, line):
        self.image(tmp_path / "in" / "a.png")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / RECORD).write_bytes(line + b"\n")
        result = translate_folder(
            same, tmp_path / "in", tmp_path / "out", progress=False
        )
        assert [path.name for path in result.done] == ["a.png"]

    def test_a_name_that_is_no_text_is_reported(self, same, tmp_path, capsys):
        self.image(tmp_path / "in" / "a.png")
        (tmp_path / "in" / os.fsdecode(b"b\xff.png")).write_bytes(b"no image")
        result = translate_folder(
            same, tmp_path / "in", tmp_path / "out", progress=False
        )
        assert len(result.done) == len(result.unreadable) == 1
        assert "b\\udcff.png: is not an image" in capsys.readouterr().out

    def test_a_pipe_is_no_image(self, same, tmp_path):
        self.image(tmp_path / "in" / "a.png")
        os.mkfifo(tmp_path / "in" / "b.png")  # opening it would wait for ever
        result = translate_folder(
            same, tmp_path / "in", tmp_path / "out", progress=False
        )
        assert "is not a file" in result.reasons[0]

    def test_a_folder_named_like_a_shard_is_no_shard(self, tmp_path):
        for name in ("a", "b"):
            self.image(tmp_path / name / "x.png")
            (tmp_path / name / "x.tfrec").mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data = datasets.load((tmp_path / "a", tmp_path / "b"), 16)
        assert len(data.train_a) == 1

    @pytest.mark.parametrize(
        "content",
        [
            b"\xff\xfe",
            b"a,b\n1,2\n",
            b"epoch,x\n1\n",
            b"epoch,x\none,2\n",
        ],
    )
    def test_losses_that_were_changed_are_named(self, tmp_path, content):
        (tmp_path / "losses.csv").write_bytes(content)
        curves = LossCurves(tmp_path, show=False)
        curves.set_model(SimpleNamespace())
        curves.on_train_begin()
        with pytest.raises(ValueError, match=r"LossCurves: .*losses\.csv"):
            curves.on_epoch_end(3, {"x": 1.0})
        assert (tmp_path / "losses.csv").read_bytes() == content
