"""Downloads from a server on loopback: resumed, bounded in time, checked, unpacked."""

import hashlib
import http.server
import os
import socket
import threading
import time

import pytest
from helpers.server import Handler, Server

from gan_style.utils import download as downloads
from gan_style.utils.download import DownloadFailed, cache_folder, download


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
@pytest.mark.parametrize("limits", [[1000], []])
def test_a_file_is_downloaded_once(serve, tmp_path, kind, limits):
    content = bytes(1000)
    server, path = serve(content), tmp_path / "new" / "x"
    digest = f"{kind}:{hashlib.new(kind, content).hexdigest()}"
    for _ in range(2):
        download(f"{server.site}/x", path, digest, *limits)
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


def test_a_server_that_never_answers_is_given_up_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "SECONDS", 0.2)
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as silent:  # serves nobody
        url = f"http://127.0.0.1:{silent.server_port}/x.zip"
        with pytest.raises(DownloadFailed, match="longer than 0.2 seconds"):
            download(url, tmp_path / "x.zip", "md5:00")


def test_a_name_server_that_never_answers_is_given_up_in_time(tmp_path, monkeypatch):
    forever, begun = threading.Event(), time.monotonic()

    def hang(*arguments):
        forever.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(downloads, "SECONDS", 0.2)
    with pytest.raises(DownloadFailed, match="longer than 0.2 seconds"):
        download("http://example.org/x", tmp_path / "x", "md5:00")
    assert time.monotonic() - begun < 2
    forever.set()


def test_a_server_that_trickles_is_given_up_in_time(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "BLOCK", 10)
    monkeypatch.setattr(downloads, "SECONDS", 0.5)
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


def test_the_home_folder_may_be_written_as_a_tilde(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GAN_STYLE_CACHE", "~/cache")
    assert cache_folder() == tmp_path / "cache"
    download(f"{serve(b'1').site}/x", "~/cache/x", sha256(b"1"))
    assert (tmp_path / "cache" / "x").read_bytes() == b"1"
    monkeypatch.setenv("GAN_STYLE_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(ValueError, match="GAN_STYLE_CACHE is '~nobody"):
        cache_folder()
