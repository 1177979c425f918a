"""Downloads a file: resumed, bounded in time and size, and checked by its hash."""

import contextlib
import hashlib
import os
import threading
import time
import urllib.request
from concurrent.futures import Future, wait
from urllib.error import URLError

from tqdm import tqdm

from gan_style.utils.checks import check_path
from gan_style.utils.files import locked

SECONDS, BLOCK = 10, 1 << 14  # within which a server must answer, and send each block


class DownloadFailed(ValueError):
    """A file that cannot be downloaded: says why, and what to do instead."""


def cache_folder():
    """Return the folder of downloads: GAN_STYLE_CACHE, or `~/.cache/gan_style`."""
    folder = os.environ.get("GAN_STYLE_CACHE") or "~/.cache/gan_style"
    return check_path("cache_folder", "GAN_STYLE_CACHE", folder)


def download(url, path, digest, max_bytes=1 << 30):
    """Download a file, unless it is there, or raise `DownloadFailed`.

    Resumes what an earlier call left in `path` + ".part". `digest` is "sha256:HEX" or
    "md5:HEX", what the hash must be; `max_bytes` the size, or a limit to it.
    """
    path = check_path("download", "path", path)
    part, (kind, expected) = path.with_name(f"{path.name}.part"), digest.split(":")
    origin, file, remedy = path, path, "Remove it, and it is downloaded again."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.nullcontext() if path.exists() else locked(f"{path}.lock"):
            if not path.exists():
                _transfer(url, part, max_bytes)
                origin, file, remedy = url, part, "The download was discarded."
            content = file.read_bytes()
            got = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
            if got != expected:
                part.unlink(missing_ok=True)
                raise DownloadFailed(
                    f"download: {origin} has {len(content)} bytes and {kind} {got}, "
                    f"but must have {expected}. {remedy}"
                )
            if file == part:
                os.replace(part, path)
    except OSError as error:
        raise DownloadFailed(
            f"download: {part} cannot be written: {error.strerror}. Make room, or "
            f"choose another folder. {_size(part)} bytes are kept for the next call."
        ) from error


def _transfer(url, part, max_bytes):
    failures, most = 0, _size(part)
    while failures < 5:  # in a row that each bring less than one block
        try:
            return _attempt(url, part, max_bytes)
        except ConnectionError as failure:
            error, code = failure.__cause__, getattr(failure.__cause__, "code", 0)
        if code == 416 and most:
            return None  # the server has no more; the hash decides
        failures = 0 if _size(part) >= most + BLOCK else failures + 1
        most = max(most, _size(part))
        # Nobody there, or a refusal: asking again within seconds changes nothing.
        if failures and isinstance(error, (TimeoutError, URLError)) and code < 500:
            break
        time.sleep(failures / 4)
    raise DownloadFailed(
        f"download: {url} is not available: {error}. {_size(part)} bytes are kept."
    ) from error


def _attempt(url, part, max_bytes):
    have = _size(part)
    begin = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers={"User-Agent": "gan_style", **begin})
    answer = _in_time(urllib.request.urlopen, request, timeout=2 * SECONDS)
    if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        have = 0  # this server sends all of it
    total = 0 if answer.length is None else have + answer.length
    bar = tqdm(initial=have, total=total or None, unit="B", unit_scale=True, delay=1)
    with bar, open(part, "ab" if have else "wb") as file:
        while max(have, total) <= max_bytes:
            if not (block := _in_time(answer.read, BLOCK)):
                if have < total:
                    raise ConnectionError from EOFError(f"it ended after {have} bytes")
                return
            have += len(block)
            bar.update(file.write(block))
    part.unlink()
    raise DownloadFailed(
        f"download: {url} has {total or have} bytes, but must have at most {max_bytes}."
    )


def _in_time(call, *arguments, **options):
    """Call what may hang, also in a name server, and give up in time."""
    future = Future()

    def run():
        try:
            future.set_result(call(*arguments, **options))
        except Exception as error:  # of many kinds: a redirection can be malformed
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    error = TimeoutError(f"the server took longer than {SECONDS} seconds")
    if wait([future], SECONDS).done:
        error = future.exception()
    if error:
        raise ConnectionError from error
    return future.result()


def _size(path):
    return path.stat().st_size if path.exists() else 0
