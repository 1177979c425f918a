"""A full disk and one that is read-only: a clear error, and what was there stays.

Where this process may mount a disk of its own, the tests fill it and make it read-only.
Everywhere else, and beside it, a limit on the size of files does what a full disk does.
"""

import contextlib
import hashlib
import os
import resource
import signal
import subprocess
import threading
import zipfile

import keras
import numpy as np
import pytest
from helpers import resume_script
from helpers.cyclegans import small
from helpers.resume_script import make_images
from helpers.server import Server, archive

from gan_style import samples
from gan_style.datasets import downloads
from gan_style.datasets.downloads import fetch_dataset
from gan_style.inference.export import export_savedmodel
from gan_style.inference.folders import translate_folder
from gan_style.models import resnet_generator, vgg
from gan_style.style_transfer.checkpoints import save_run
from gan_style.training.callbacks import Film, LossCurves
from gan_style.training.checkpoints import SaveAndResume, save_state
from gan_style.utils.download import DownloadFailed, download
from gan_style.utils.images import read_image, save_image

SIZE = 2 << 20


class Disk:
    """A small disk of its own."""

    def __init__(self, folder):
        self.folder = folder

    def fill(self, left=0):
        status = os.statvfs(self.folder)
        free = status.f_bavail * status.f_frsize
        (self.folder / "filler").write_bytes(bytes(max(0, free - left)))

    def make_read_only(self):
        subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True)

    def names(self):
        found = {path.name for path in self.folder.rglob("*") if path.is_file()}
        return sorted(found - {"filler"})


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("may not mount a disk here")
    yield Disk(folder)
    subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def small_files_only(size):
    """What writes more than `size` bytes into a file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
NUMBERS = np.random.default_rng(0).normal(size=5000)


@pytest.fixture(scope="module")
def generator():
    return resnet_generator((16, 16, 3), 2, 1)


def film(folder, generator):
    Film(folder).add(0, IMAGE)


def curves(folder, generator):
    callback = LossCurves(folder, every=1000, show=False)
    for epoch in range(300):
        callback.on_epoch_end(epoch, {"validity_ab": 0.123456789012345})


WRITERS = {
    "sea.png": lambda folder, _: save_image(folder / "sea.png", IMAGE),
    "run.npz": lambda folder, _: save_run(
        folder / "run.npz", fingerprint=np.array("x"), image=NUMBERS
    ),
    "0000.png": film,
    "losses.csv": curves,
    "served": lambda folder, generator: export_savedmodel(generator, folder / "served"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_with_the_file(disk, generator, name):
    disk.fill(left=4096)
    with pytest.raises(OSError, match=rf"No space left.*make room.*{name}") as error:
        WRITERS[name](disk.folder, generator)
    assert name in error.value.filename
    assert set(disk.names()) <= {"losses.csv", "film.gif"}  # whole ones


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_folder_is_named(disk, generator, name):
    disk.make_read_only()
    with pytest.raises(OSError, match="Read-only file system.*another folder"):
        WRITERS[name](disk.folder, generator)


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"served"}))
def test_a_file_that_may_not_grow_is_named(tmp_path, generator, name):
    with small_files_only(2048), pytest.raises(OSError, match="make room") as error:
        WRITERS[name](tmp_path, generator)
    assert name in error.value.filename
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"losses.csv"}


def test_the_image_and_the_run_before_stay(tmp_path):
    save_image(tmp_path / "sea.png", IMAGE // 2)
    save_run(tmp_path / "run.npz", fingerprint=np.array("old"))
    before = (tmp_path / "run.npz").read_bytes()
    with small_files_only(2048):
        for name in ("sea.png", "run.npz"):
            with pytest.raises(OSError, match="as it was"):
                WRITERS[name](tmp_path, None)
    np.testing.assert_array_equal(read_image(tmp_path / "sea.png"), IMAGE // 2)
    assert (tmp_path / "run.npz").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["run.npz", "sea.png"]


class Limit(keras.callbacks.Callback):
    """The disk is full from a certain step on."""

    def __init__(self, step, stack):
        super().__init__()
        self.step, self.stack = step, stack

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.steps_done) == self.step:
            self.stack.enter_context(small_files_only(10_000))


def test_a_training_goes_on_from_the_last_state_when_there_is_room_again(
    tmp_path, fresh
):
    folder = make_images(tmp_path)
    train = resume_script.load(folder).train
    straight = fresh()
    straight.fit(train, epochs=2, verbose=0)
    want = resume_script.state(straight)

    def callback():
        return SaveAndResume(folder / "states" / "it.keras", every=2)

    with contextlib.ExitStack() as stack, pytest.raises(OSError, match="it.keras"):
        fresh().fit(
            resume_script.load(folder).train,
            epochs=2,
            verbose=0,
            callbacks=[callback(), Limit(3, stack)],
        )
    assert os.listdir(folder / "states") == ["it.keras"]
    saved = keras.models.load_model(folder / "states" / "it.keras")
    assert int(saved.steps_done) == 2
    model = fresh()
    train = resume_script.load(folder).train
    model.fit(train, epochs=2, verbose=0, callbacks=[callback()])
    got = resume_script.state(model)
    assert all(np.array_equal(got[name], want[name]) for name in want)


def test_a_state_that_has_no_room_is_not_begun(disk, fresh, monkeypatch):
    # HDF5 has ended whole processes on disks that were full before it was through.
    path, part = disk.folder / "it.keras", ".it.part.keras"
    model = fresh()
    save_state(model, path, part)
    before = path.read_bytes()
    disk.fill(left=len(before) // 2)
    with monkeypatch.context() as patch:
        patch.setattr(model, "save", lambda _: pytest.fail("began to write"))
        with pytest.raises(OSError, match=r"No space left.*as it was.*it\.keras"):
            save_state(model, path, part)
    assert path.read_bytes() == before
    assert disk.names() == ["it.keras"]


def test_what_a_killed_save_left_gives_its_room_back(disk, fresh):
    path, part = disk.folder / "it.keras", ".it.part.keras"
    (disk.folder / part).write_bytes(bytes(SIZE))
    save_state(fresh(), path, part)
    assert disk.names() == ["it.keras"]


def test_a_folder_that_cannot_be_written_ends_training_before_it_begins(disk):
    disk.make_read_only()
    model = small()
    model.compile()
    with pytest.raises(OSError, match="Read-only file system"):
        SaveAndResume(disk.folder / "it.keras").resume(model)


def test_a_folder_of_images_goes_on_when_there_is_room_again(tmp_path, generator):
    for number in range(3):
        save_image(tmp_path / f"in/{number}.png", samples.fruit("apple", number, 32))
    # The second one needs more room than there is.
    save_image(tmp_path / "in/1.png", IMAGE)
    folders = tmp_path / "in", tmp_path / "out"
    with small_files_only(6000), pytest.raises(OSError, match=r"make room.*1\.png"):
        translate_folder(generator, *folders, progress=False)
    assert sorted(os.listdir(folders[1])) == [".translated.jsonl", "0.png"]
    result = translate_folder(generator, *folders, progress=False)
    assert [path.name for path in result.skipped] == ["0.png"]
    assert [path.name for path in result.done] == ["1.png", "2.png"]


def test_the_record_of_a_folder_survives_a_full_disk(disk, generator, tmp_path):
    save_image(tmp_path / "in/0.png", IMAGE)
    folders = tmp_path / "in", disk.folder / "out"
    translate_folder(generator, *folders, progress=False)
    before = (folders[1] / ".translated.jsonl").read_bytes()
    save_image(tmp_path / "in/1.png", IMAGE)
    disk.fill()
    with pytest.raises(OSError, match=r"No space left.*translated\.jsonl"):
        translate_folder(generator, *folders, progress=False)
    assert (folders[1] / ".translated.jsonl").read_bytes() == before
    (disk.folder / "filler").unlink()
    result = translate_folder(generator, *folders, progress=False)
    assert len(result.skipped) == len(result.done) == 1


def test_an_archive_that_does_not_fit_leaves_nothing_to_trust(disk, monkeypatch):
    path = disk.folder / "it.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("it/trainA/0.jpg", bytes(SIZE + 1))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    facts = downloads.Dataset(path.stat().st_size, digest)
    monkeypatch.setitem(downloads.DATASETS, "it", facts)
    with pytest.raises(DownloadFailed, match=r"No space left.*make room.*disk/it'"):
        fetch_dataset("it", disk.folder)
    assert disk.names() == ["it.lock", "it.zip"]


LOCKS = ["x2y.lock", "x2y.zip.lock"]


@pytest.fixture
def server():
    noise = np.random.default_rng(0).bytes(90_000)
    one = Server(archive(extra=[("x2y/noise", noise)]))
    threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
    yield one
    one.shutdown()
    one.server_close()


def test_a_download_that_outgrows_the_disk_goes_on_when_there_is_room(
    server, tmp_path, monkeypatch
):
    digest = hashlib.sha256(server.content).hexdigest()
    facts = downloads.Dataset(len(server.content), digest)
    monkeypatch.setitem(downloads.DATASETS, "x2y", facts)
    monkeypatch.setattr(downloads, "SITE", server.site)
    message = r"x2y\.zip\.part cannot be written.* 50000 bytes"
    with small_files_only(50_000), pytest.raises(DownloadFailed, match=message):
        fetch_dataset("x2y", tmp_path)
    assert len(server.asked) == 1  # a full disk is no bad connection
    assert sorted(os.listdir(tmp_path)) == [*LOCKS, "x2y.zip.part"]
    folder = fetch_dataset("x2y", tmp_path)
    assert (folder / "trainA" / "0.png").exists()
    assert [begin for _, begin in server.asked] == [None, "bytes=50000-"]
    assert sorted(os.listdir(tmp_path)) == ["x2y", *LOCKS]


def test_what_a_full_disk_left_of_a_download_is_checked_with_the_rest(server, tmp_path):
    wrong = f"sha256:{hashlib.sha256(b'another').hexdigest()}"
    file, size = tmp_path / "it.zip", len(server.content)
    with small_files_only(50_000), pytest.raises(DownloadFailed, match="be written"):
        download(server.site, file, wrong, size)
    with pytest.raises(DownloadFailed, match="sha256"):
        download(server.site, file, wrong, size)
    assert os.listdir(tmp_path) == ["it.zip.lock"]


def test_weights_that_do_not_fit_leave_nothing_to_trust(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(vgg, "SITE", server.site)
    with (
        small_files_only(50_000),
        pytest.raises(vgg.WeightsUnavailable, match=r"too large.*models/vgg19.*h5"),
    ):
        vgg.vgg_features("relu1_1", weights="imagenet")
    left = {path.suffix for path in (tmp_path / "models").iterdir()}
    assert left == {".lock", ".part"}


def test_a_cache_that_cannot_be_written_is_named(disk, monkeypatch):
    monkeypatch.setattr(downloads, "SITE", "http://127.0.0.1:9")
    disk.make_read_only()
    with pytest.raises(DownloadFailed, match=r"Read-only.*apple2orange\.zip into"):
        fetch_dataset("apple2orange", disk.folder / "cache")
