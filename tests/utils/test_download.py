"""Downloads from a server on loopback: resumed, bounded in time, checked, unpacked."""

import hashlib
import http.server
import os
import socket
import threading
import time
import zipfile

import pytest
from helpers.server import Handler, Server, archive

from gan_style.utils import download as downloads
from gan_style.utils.download import DownloadFailed, download, unpack


@pytest.fixture
def serve():
    servers = []

    def start(content, **options):
        server = Server(content, **options)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("kind", ["sha256", "md5"])
@pytest.mark.parametrize("size", [1000, None])
def test_a_file_is_downloaded_once(serve, tmp_path, kind, size):
    content = bytes(1000)
    server, path = serve(content), tmp_path / "new" / "x"
    digest = f"{kind}:{hashlib.new(kind, content).hexdigest()}"
    for _ in range(2):
        download(f"{server.site}/x", path, digest, size)
        assert path.read_bytes() == content
    assert server.asked == [("/x", None)]


def test_another_hash_leaves_nothing_behind(serve, tmp_path):
    server = serve(b"not the weights")
    with pytest.raises(DownloadFailed, match="has 15 bytes and md5 .* must have 00"):
        download(f"{server.site}/x", tmp_path / "x", "md5:00")
    assert os.listdir(tmp_path) == ["x.lock"]


def test_a_file_with_another_hash_is_named_and_left_alone(serve, tmp_path):
    server = serve(bytes(1000))
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(DownloadFailed, match=r"x has 4 bytes.*Remove it"):
        download(f"{server.site}/x", tmp_path / "x", sha256(bytes(1000)))
    assert (tmp_path / "x").read_bytes() == b"mine" and server.asked == []


def test_two_that_need_one_file_download_it_once(serve, tmp_path):
    content = bytes(100)
    server = serve(content, pause=0.002)

    def fetch():
        download(f"{server.site}/x", tmp_path / "x", sha256(content))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 1 and (tmp_path / "x").read_bytes() == content


def test_a_server_that_never_answers_is_given_up_in_time(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as silent:  # serves nobody
        url = f"http://127.0.0.1:{silent.server_port}/x.zip"
        with pytest.raises(DownloadFailed, match="longer than 0.2 seconds"):
            download(url, tmp_path / "x.zip", "md5:00", connect_seconds=0.2)


def test_a_name_server_that_never_answers_is_given_up_in_time(tmp_path, monkeypatch):
    forever, begun = threading.Event(), time.monotonic()

    def hang(*arguments):
        forever.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(DownloadFailed, match="longer than 0.2 seconds"):
        download("http://example.org/x", tmp_path / "x", "md5:00", connect_seconds=0.2)
    assert time.monotonic() - begun < 2
    forever.set()


def test_a_server_that_trickles_is_given_up_in_time(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "BLOCK", 10)
    monkeypatch.setattr(downloads, "BLOCK_SECONDS", 0.5)
    content = bytes(3000)
    server, begun = serve(content, pause=0.001), time.monotonic()
    serving = threading.Timer(0.3, setattr, [server, "pause", 0.1])
    serving.start()  # ten bytes now take a second
    with pytest.raises(DownloadFailed, match="longer than 0.5 seconds"):
        download(f"{server.site}/x", tmp_path / "x", sha256(content), 3000)
    assert time.monotonic() - begun < 5
    assert 10 <= (tmp_path / "x.part").stat().st_size < 3000
    server.pause = 0
    download(f"{server.site}/x", tmp_path / "x", sha256(content), 3000)
    assert (tmp_path / "x").read_bytes() == content
    assert server.asked[-1][1].startswith("bytes=")


def test_a_connection_that_always_breaks_is_given_up(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    server = serve(bytes(10_000), most=1)
    with pytest.raises(DownloadFailed, match="ended after 5 bytes.* 5 bytes are kept"):
        download(f"{server.site}/x", tmp_path / "x", sha256(bytes(10_000)), 10_000)
    assert len(server.asked) == 5


def test_an_archive_is_unpacked_whole(tmp_path):
    (tmp_path / "tiny.zip").write_bytes(archive())
    (tmp_path / ".tiny.unpacking").mkdir()  # a killed process left it
    unpack(tmp_path / "tiny.zip", tmp_path / "tiny", "tiny")
    parts = ["testA", "testB", "trainA", "trainB"]
    assert sorted(os.listdir(tmp_path / "tiny")) == parts
    assert sorted(os.listdir(tmp_path)) == ["tiny", "tiny.zip"]


@pytest.mark.parametrize("name", ["../outside.png", "/outside.png", "tiny/../../x.png"])
def test_nothing_is_unpacked_outside(tmp_path, name):
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as file:
        file.writestr("tiny/trainA/0.png", b"")
        file.writestr(name, b"no")
    unpack(tmp_path / "in" / "a.zip", tmp_path / "in" / "a", "tiny")
    assert os.listdir(tmp_path) == ["in"]
    assert sorted(os.listdir(tmp_path / "in")) == ["a", "a.zip"]
