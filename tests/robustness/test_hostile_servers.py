"""Servers that do anything but send the file: bounded in time, size and trust."""

import contextlib
import hashlib
import os
import socket
import threading
import time

import pytest

from gan_style.models import vgg
from gan_style.utils import download as downloads
from gan_style.utils.download import DownloadFailed, download

CONTENT = bytes(range(256)) * 40
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: %d\r\n\r\n" % len(CONTENT)


@pytest.fixture
def serve():
    """Starts a server that answers every request with what a function sends."""
    sockets = []

    def start(send):
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def answer(connection):
            with connection, contextlib.suppress(OSError):
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(4096)
                asked.append(request)
                send(connection)

        def loop():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    sockets.append(connection)
                    threading.Thread(target=answer, args=[connection]).start()

        asked = []
        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/x", asked

    yield start
    for one in sockets:
        # Not only closed: a thread may be waiting in it.
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def once(content):
    return lambda connection: connection.sendall(content)


def trickle(begin, forever):
    """Sends a byte at a time, without end."""

    def send(connection):
        connection.sendall(begin)
        while True:
            connection.sendall(forever)
            time.sleep(0.01)

    return send


def fetch(url, folder, **options):
    begun = time.monotonic()
    try:
        options = {"digest": DIGEST, "max_bytes": len(CONTENT), **options}
        download(url, folder / "x", **options)
    finally:
        assert time.monotonic() - begun < 30


def left(folder):
    return sorted(set(os.listdir(folder)) - {"x.lock"})


def redirect(where):
    return OK.replace(b"200 OK", b"302 Found") + b"Location: " + where + b"\r\n\r\n"


def test_a_redirection_to_a_file_of_this_machine_is_refused(serve, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)  # the right bytes, even
    url, asked = serve(once(redirect(secret.as_uri().encode())))
    with pytest.raises(DownloadFailed, match="not allowed"):
        fetch(url, tmp_path)
    assert left(tmp_path) == ["secret"] and len(asked) == 1


@pytest.mark.parametrize(
    "where",
    [
        *(b"", b"ftp://127.0.0.1:1/x", b"data:,x", b"javascript:x", b"http://[::1/x"),
        *(b"http://127.0.0.1:99999/x", b"http://127.0.0.1:no/x", b"http://a..b/x"),
        *(b"http://127.0.0.1:1/x", b"http:", b"//", b"http://\xff\xfe/x"),
    ],
)
def test_a_redirection_to_nowhere_is_refused(serve, tmp_path, monkeypatch, where):
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    url, _ = serve(once(redirect(where)))
    with pytest.raises(DownloadFailed, match="is not available"):
        fetch(url, tmp_path)
    assert left(tmp_path) == []


def test_an_endless_redirection_is_refused(serve, tmp_path):
    url, asked = serve(once(redirect(b"/again")))
    with pytest.raises(DownloadFailed, match="infinite loop"):
        fetch(url, tmp_path)
    assert len(asked) < 20 and left(tmp_path) == []


def test_another_host_s_bytes_count_only_if_they_are_the_right_ones(serve, tmp_path):
    right, _ = serve(once(WHOLE + CONTENT))
    wrong, _ = serve(once(WHOLE + CONTENT[::-1]))
    url, _ = serve(once(redirect(wrong.encode())))
    with pytest.raises(DownloadFailed, match="The download was discarded"):
        fetch(url, tmp_path)
    assert left(tmp_path) == []
    url, _ = serve(once(redirect(right.encode())))
    fetch(url, tmp_path)
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 999999 ?\r\n\r\n",
        OK,
        OK + b"\r\n",
        OK + b"A: b\r\n" * 200 + b"\r\n",
        OK + b"A: " + b"b" * 70_000 + b"\r\n\r\n",
        OK + b"Content-Length: 0\r\n\r\n",
        OK + b"Content-Length: none\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n",
        OK + b"Content-Length: %d\r\n\r\n" % len(CONTENT),
        OK + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK.replace(b"200 OK", b"204 No Content") + b"\r\n",
        OK.replace(b"200 OK", b"401 No") + b"WWW-Authenticate: Basic x\r\n\r\n",
        OK.replace(b"200 OK", b"206 Part") + b"Content-Range: bytes 9-/\r\n\r\nabc",
    ],
    ids=lambda answer: answer[:60].decode(errors="replace").strip() or "nothing",
)
def test_what_is_no_file_is_refused(serve, tmp_path, monkeypatch, answer):
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    url, asked = serve(once(answer))
    with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1"):
        fetch(url, tmp_path)
    assert not (tmp_path / "x").exists() and len(asked) <= 6
    # Whatever was kept is checked, and the next call comes to the right end.
    url, _ = serve(once(OK + b"\r\n" + CONTENT))
    fetch(url, tmp_path)
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "head",
    [OK + b"\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", WHOLE],
    ids=["until it hangs up", "one endless chunk", "as announced"],
)
def test_a_server_that_sends_without_end_fills_no_disk(serve, tmp_path, head):
    url, _ = serve(trickle(head, bytes(100_000)))
    with pytest.raises(DownloadFailed, match="at most|but must have"):
        fetch(url, tmp_path)
    kept = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sum(kept) <= len(CONTENT) and not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("head", "forever"),
    [
        (WHOLE, b"x"),
        (OK + b"\r\n", b"x"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["content", "content without end", "chunk", "trailers", "tiny chunks"],
)
def test_a_server_that_trickles_is_given_up(
    serve, tmp_path, monkeypatch, head, forever
):
    monkeypatch.setattr(downloads, "SECONDS", 0.3)
    url, _ = serve(trickle(head, forever))
    with pytest.raises(DownloadFailed, match="longer than 0.3 seconds"):
        fetch(url, tmp_path)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 ", OK, OK + b"A: "])
def test_a_server_that_trickles_before_the_content_is_given_up(
    serve, tmp_path, monkeypatch, head
):
    monkeypatch.setattr(downloads, "SECONDS", 0.3)
    url, _ = serve(trickle(head, b"x"))
    with pytest.raises(DownloadFailed, match="longer than 0.3 seconds"):
        fetch(url, tmp_path)
    assert left(tmp_path) == []


def test_a_server_that_falls_silent_is_given_up(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(downloads, "SECONDS", 0.2)
    hung = threading.Event()

    def send(connection):
        connection.sendall(WHOLE + CONTENT[:100])
        hung.wait(20)

    url, asked = serve(send)
    with pytest.raises(DownloadFailed, match="longer than.* bytes are kept"):
        fetch(url, tmp_path)
    hung.set()
    assert left(tmp_path) == ["x.part"] and len(asked) <= 6


class TestUnknownSize:
    """The same for a file whose size is unknown, as that of VGG's weights."""

    def fetch(self, url, folder, digest=MD5, max_bytes=300_000):
        fetch(url, folder, digest=digest, max_bytes=max_bytes)

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n",
            redirect(b"http://[::1/x"),
            redirect(b"file:///etc/passwd"),
            WHOLE + CONTENT[::-1],
            OK + b"\r\n" + CONTENT[:-1],
        ],
    )
    def test_what_is_another_file_is_refused(
        self, serve, tmp_path, monkeypatch, answer
    ):
        monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
        url, _ = serve(once(answer))
        with pytest.raises(DownloadFailed):
            self.fetch(url, tmp_path)
        assert not (tmp_path / "x").exists()

    @pytest.mark.parametrize("head", [WHOLE, OK + b"\r\n"])
    def test_the_right_file_is_kept(self, serve, tmp_path, head):
        url, _ = serve(once(head + CONTENT))
        self.fetch(url, tmp_path)
        assert (tmp_path / "x").read_bytes() == CONTENT

    def test_a_file_cut_off_is_resumed(self, serve, tmp_path):
        def send(connection):
            rest = b"Content-Range: bytes 100-\r\n\r\n" + CONTENT[100:]
            resumed = len(asked) > 1
            assert resumed == (b"Range: bytes=100-" in asked[-1])
            partial = OK.replace(b"200 OK", b"206 Partial") + rest
            connection.sendall(partial if resumed else WHOLE + CONTENT[:100])

        url, asked = serve(send)
        self.fetch(url, tmp_path)
        assert (tmp_path / "x").read_bytes() == CONTENT

    @pytest.mark.parametrize("content", [CONTENT, CONTENT[::-1]])
    def test_what_is_whole_already_is_checked(self, serve, tmp_path, content):
        # Its process ended before it was renamed.
        (tmp_path / "x.part").write_bytes(content)
        url, _ = serve(once(OK.replace(b"200 OK", b"416 No") + b"\r\n"))
        if content == CONTENT:
            self.fetch(url, tmp_path)
            assert (tmp_path / "x").read_bytes() == CONTENT
        else:
            with pytest.raises(DownloadFailed, match="The download was discarded"):
                self.fetch(url, tmp_path)
            assert left(tmp_path) == []

    @pytest.mark.parametrize("head", [OK, OK + b"Content-Length: 300001\r\n"])
    def test_more_bytes_than_allowed_are_refused(self, serve, tmp_path, head):
        url, _ = serve(trickle(head + b"\r\n", bytes(100_000)))
        with pytest.raises(DownloadFailed, match="at most 300000"):
            self.fetch(url, tmp_path)
        assert not (tmp_path / "x").exists()

    def test_weights_auto_does_without(self, serve, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        url, _ = serve(once(b"SSH-2.0-OpenSSH_9.6\r\n"))
        monkeypatch.setattr(vgg, "SITE", url)
        assert vgg.vgg_features("relu1_1").name == "vgg16_hed"
        assert "using VGG16 of hed" in capsys.readouterr().err
