"""Downloads a file: resumed, bounded in time and size, and checked by its hash."""

import contextlib
import hashlib
import os
import queue
import shutil
import threading
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request

from tqdm import tqdm

from gan_style.utils.files import name_file_in_errors

ATTEMPTS = 5  # in a row that each bring less than one block
BLOCK, BLOCK_SECONDS = 1 << 16, 60  # a server must send at least 1.1 kB a second


class DownloadFailed(ValueError):
    """A file that cannot be downloaded: says why, and what to do instead."""


def cache_folder():
    """Return the folder of downloads: GAN_STYLE_CACHE, or `~/.cache/gan_style`."""
    return Path(os.environ.get("GAN_STYLE_CACHE") or "~/.cache/gan_style").expanduser()


def download(
    url, path, digest, size=None, max_bytes=None, connect_seconds=8, read_seconds=20
):
    """Download a file, resuming what an earlier call left in `path` + ".part".

    A file that is at `path` already is checked and makes no request.

    Args:
        url: its address.
        path: where it goes; the folder is made.
        digest: "sha256:HEX" or "md5:HEX", what its hash must be.
        size: its bytes, or None if unknown.
        max_bytes: the limit where `size` is None; 1 GiB by default.
        connect_seconds: how long to wait for a server's answer.
        read_seconds: how long a server may be silent.

    Raises:
        DownloadFailed: if it is not available, has another hash or cannot be written.
    """
    path, part = Path(path), Path(f"{path}.part")
    limits = size or max_bytes or 1 << 30, connect_seconds, read_seconds
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.nullcontext() if path.exists() else locked(f"{path}.lock"):
            if not path.exists():
                _transfer(url, part, size, *limits)
                _check(part, digest, url)
                os.replace(part, path)
            else:
                _check(path, digest, path)
    except OSError as error:
        raise DownloadFailed(
            f"download: {part} cannot be written: {error.strerror}. Make room, or "
            f"choose another folder. {_size(part)} bytes are kept for the next call."
        ) from error


def _transfer(url, part, size, *limits):
    failures, most = 0, _size(part)
    with tqdm(unit="B", unit_scale=True, desc=part.stem, delay=1) as bar:
        while size is None or _size(part) < size:
            try:
                return _attempt(bar, url, part, size, *limits)
            except ConnectionError as failure:
                error, code = failure.__cause__, getattr(failure.__cause__, "code", 0)
            if code == 416 and most:
                return None  # the server has no more; the hash decides
            failures = 0 if _size(part) >= most + BLOCK else failures + 1
            most = max(most, _size(part))
            # Nobody there, or a refusal: asking again within seconds changes nothing.
            final = isinstance(error, (TimeoutError, URLError)) and code < 500
            if failures == ATTEMPTS or (failures and final):
                raise DownloadFailed(
                    f"download: {url} is not available: {error}. {_size(part)} bytes "
                    "are kept; the next call resumes there."
                ) from error
            time.sleep(failures / 4)


def _attempt(bar, url, part, size, limit, connect_seconds, read_seconds):
    have, headers = _size(part), {"User-Agent": "gan_style"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request, open_url = Request(url, headers=headers), urllib.request.urlopen
    answer = _in_time(connect_seconds, lambda: open_url(request, timeout=read_seconds))
    begin = answer.headers.get("Content-Range", "")
    if answer.status != 206 or not begin.startswith(f"bytes {have}-"):
        have = 0  # this server sends all of it
    bar.total = total = size if answer.length is None else have + answer.length
    bar.n = have
    # Unbuffered, so that a full disk is noticed here.
    with open(part, "ab" if have else "wb", buffering=0) as file:
        while max(have, total or 0) <= limit:
            if not (block := _in_time(BLOCK_SECONDS, lambda: answer.read(BLOCK))):
                if have < (total or 0):
                    raise ConnectionError from EOFError(f"it ended after {have} bytes")
                return
            have += len(block)
            bar.update(len(block))
            while block:
                block = block[file.write(block) :]
    part.unlink()
    raise DownloadFailed(
        f"download: {url} has {total or have} bytes, but must have at most {limit}. It "
        "is another file than expected, and was discarded."
    )


def _in_time(seconds, call):
    """Call what may hang, also in a name server, and give up in time."""
    results = queue.SimpleQueue()

    def run():
        try:
            results.put(call())
        except Exception as error:  # of many kinds: a redirection can be malformed
            results.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        result = results.get(timeout=seconds)
    except queue.Empty:
        result = TimeoutError(f"the server took longer than {seconds} seconds")
    if isinstance(result, Exception):
        raise ConnectionError from result
    return result


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _check(file, digest, origin):
    kind, expected = digest.split(":")
    hashed, size = hashlib.new(kind, usedforsecurity=False), _size(file)
    with open(file, "rb") as content:
        while block := content.read(BLOCK):
            hashed.update(block)
    if (got := hashed.hexdigest()) != expected:
        remedy = "Remove it, and it is downloaded again."
        if file != origin:
            file.unlink()
            remedy = "The download was discarded."
        raise DownloadFailed(
            f"download: {origin} has {size} bytes and {kind} {got}, but must have "
            f"{expected}. {remedy}"
        )


@contextlib.contextmanager
def locked(path):
    """Hold a file lock, which ends with its process; Windows has none."""
    with open(path, "w") as file:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def unpack(archive, folder, inside):
    """Unpack the folder `inside` of a zip archive, whose hash was checked, whole."""
    partial = Path(folder).with_name(f".{Path(folder).name}.unpacking")
    shutil.rmtree(partial, ignore_errors=True)  # a killed process may have left it
    try:
        with name_file_in_errors(folder):
            shutil.unpack_archive(archive, partial, "zip")
            os.replace(partial / inside, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
