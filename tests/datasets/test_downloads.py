"""Downloads, from a server on loopback: interrupted, wrong, hostile, and cached."""

import hashlib
import os
import threading

import pytest
from helpers.server import Server, archive

from gan_style import datasets
from gan_style.datasets import downloads
from gan_style.datasets.downloads import fetch_dataset
from gan_style.utils.download import DownloadFailed

LOCKS = ["x2y.lock", "x2y.zip.lock"]


@pytest.fixture
def serve(monkeypatch):
    servers = []

    def start(content, known=None, **options):
        server = Server(content, **options)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        known = content if known is None else known
        facts = downloads.Dataset(len(known), hashlib.sha256(known).hexdigest())
        monkeypatch.setitem(downloads.DATASETS, "x2y", facts)
        monkeypatch.setattr(downloads, "SITE", server.site)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_named_dataset_is_fetched_once_and_makes_no_request_again(
    serve, tmp_path, monkeypatch
):
    monkeypatch.setenv("GAN_STYLE_CACHE", str(tmp_path))
    server = serve(archive())
    data = datasets.load("x2y", 16)
    assert data.names == ("x", "y")
    counts = [len(getattr(data, p)) for p in ("train_a", "train_b", "test_a", "test_b")]
    assert counts == [3, 2, 1, 1]
    assert len(server.asked) == 1
    assert datasets.load("x2y", 16).train_a[2][0, 0].tolist() == [2, 0, 0]
    assert len(server.asked) == 1
    assert sorted(os.listdir(tmp_path)) == ["x2y", *LOCKS]


def test_an_archive_put_into_the_cache_by_hand_makes_no_request(serve, tmp_path):
    server = serve(archive())
    (tmp_path / "x2y.zip").write_bytes(server.content)
    assert (fetch_dataset("x2y", cache=tmp_path) / "trainA" / "2.png").is_file()
    assert server.asked == []


def test_the_home_folder_may_be_written_as_a_tilde(serve, tmp_path, monkeypatch):
    serve(archive())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch_dataset("x2y", cache="~/cache") == tmp_path / "cache" / "x2y"


def test_a_wrong_archive_in_the_cache_is_named_and_left_alone(serve, tmp_path):
    server = serve(archive())
    (tmp_path / "x2y.zip").write_bytes(b"mine")
    with pytest.raises(DownloadFailed, match=r"x2y.zip has 4 bytes.*Remove it"):
        fetch_dataset("x2y", cache=tmp_path)
    assert (tmp_path / "x2y.zip").read_bytes() == b"mine"
    assert server.asked == []


def test_an_interrupted_download_goes_on_where_it_stopped(serve, tmp_path):
    content = archive()
    server = serve(content, most=500)
    assert (fetch_dataset("x2y", cache=tmp_path) / "testB" / "0.png").is_file()
    begins = [begin for _, begin in server.asked]
    assert begins[:3] == [None, "bytes=500-", "bytes=1000-"]


def test_a_later_call_goes_on_with_what_an_earlier_process_left(serve, tmp_path):
    server = serve(archive())
    (tmp_path / "x2y.zip.part").write_bytes(server.content[:700])
    fetch_dataset("x2y", cache=tmp_path)
    assert server.asked == [("/x2y.zip", "bytes=700-")]


def test_a_server_without_ranges_sends_everything_again(serve, tmp_path):
    server = serve(archive(), ranges=False)
    (tmp_path / "x2y.zip.part").write_bytes(b"x" * 700)
    fetch_dataset("x2y", cache=tmp_path)
    assert len(server.asked) == 1


def test_another_checksum_is_refused_and_nothing_is_left(serve, tmp_path):
    good = archive()
    serve(good[:-1] + b"!", known=good)
    with pytest.raises(DownloadFailed, match="sha256 .* but must have"):
        fetch_dataset("x2y", cache=tmp_path)
    assert sorted(os.listdir(tmp_path)) == LOCKS


@pytest.mark.parametrize("announce", [True, False])
@pytest.mark.parametrize("change", [b"", b"and more"])
def test_another_size_is_refused(serve, tmp_path, change, announce):
    good = archive()
    serve(good + change if change else good[:-9], known=good, announce=announce)
    with pytest.raises(DownloadFailed, match="bytes"):
        fetch_dataset("x2y", cache=tmp_path)
    assert not (tmp_path / "x2y").exists()


def test_a_size_that_is_announced_wrong_is_refused_before_it_is_fetched(
    serve, tmp_path
):
    good = archive()
    serve(good + b"more", known=good)
    with pytest.raises(DownloadFailed, match=f"{len(good) + 4} bytes.* {len(good)}"):
        fetch_dataset("x2y", cache=tmp_path)
    assert not (tmp_path / "x2y.zip.part").exists()


def test_what_cannot_be_reached_is_said_with_the_ways_round_it(
    serve, tmp_path, monkeypatch
):
    serve(archive())
    monkeypatch.setattr(downloads, "SITE", "http://127.0.0.1:1")
    with pytest.raises(DownloadFailed, match=r"refused.*samples/fruit.*put x2y.zip"):
        fetch_dataset("x2y", cache=tmp_path)


def test_a_server_that_says_no_is_asked_once(serve, tmp_path):
    server = serve(None, known=archive())
    with pytest.raises(DownloadFailed, match="404"):
        fetch_dataset("x2y", cache=tmp_path)
    assert len(server.asked) == 1


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"samples/fruit.*apple2orange"):
        datasets.load("apples2oranges")


def test_an_archive_is_unpacked_whole(serve, tmp_path):
    serve(archive())
    (tmp_path / ".x2y.unpacking").mkdir()
    (tmp_path / ".x2y.unpacking" / "junk").touch()  # a killed process left it
    folder = fetch_dataset("x2y", cache=tmp_path)
    assert sorted(os.listdir(folder)) == ["testA", "testB", "trainA", "trainB"]
    assert sorted(os.listdir(tmp_path)) == ["x2y", *LOCKS]


@pytest.mark.parametrize("name", ["../outside.png", "/outside.png", "x2y/../../x.png"])
def test_nothing_is_unpacked_outside(serve, tmp_path, name):
    serve(archive(extra=[(name, b"no")]))
    fetch_dataset("x2y", cache=tmp_path / "in" / "cache")
    assert os.listdir(tmp_path) == ["in"] and os.listdir(tmp_path / "in") == ["cache"]
    assert sorted(os.listdir(tmp_path / "in" / "cache")) == ["x2y", *LOCKS]


def test_an_archive_without_its_folder_leaves_nothing(serve, tmp_path, monkeypatch):
    content = archive()
    serve(content)
    monkeypatch.setitem(downloads.DATASETS, "other", downloads.DATASETS["x2y"])
    (tmp_path / "other.zip").write_bytes(content)
    with pytest.raises(DownloadFailed, match="No such file"):
        fetch_dataset("other", cache=tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["other.lock", "other.zip"]


@pytest.mark.network
@pytest.mark.skipif(not os.environ.get("GAN_STYLE_NETWORK"), reason="no network")
def test_the_real_apples_and_oranges(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_STYLE_CACHE", str(tmp_path))
    data = datasets.load("apple2orange", 128)
    counts = [len(getattr(data, p)) for p in ("train_a", "train_b", "test_a", "test_b")]
    assert counts == [995, 1019, 266, 248]
