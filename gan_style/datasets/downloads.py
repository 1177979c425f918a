"""The original CycleGAN datasets: downloaded once, checked, unpacked safely."""

import contextlib
import hashlib
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections import namedtuple
from http.client import HTTPException
from pathlib import Path

from tqdm import tqdm

from gan_style.utils.archives import BadArchive, unpack

Dataset = namedtuple("Dataset", "size sha256 names")

# Where the archives are; the licences are not stated, so they are never passed on.
SITE = "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets"
DATASETS = {
    "apple2orange": Dataset(
        78_456_409,
        "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8",
        ("apple", "orange"),
    ),
    "horse2zebra": Dataset(
        116_867_962,
        "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1",
        ("horse", "zebra"),
    ),
    "monet2photo": Dataset(
        305_231_073,
        "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04",
        ("monet", "photo"),
    ),
}

_CHUNK = 1 << 18
_ATTEMPTS = 5  # in a row without a byte of progress
_PATIENCE = 60  # seconds, in which at least
_LEAST_RATE = 1000  # bytes have to come in each


class DownloadFailed(ValueError):
    """What was asked for cannot be had: says why, and what to do instead."""


def cache_folder():
    """Where downloads are kept: GAN_STYLE_CACHE, or `~/.cache/gan_style`."""
    return Path(os.environ.get("GAN_STYLE_CACHE") or Path.home() / ".cache/gan_style")


def fetch_dataset(name, site=None, cache=None):
    """Downloads a dataset of the CycleGAN authors, unless it is there already.

    An interrupted download goes on where it stopped. The archive is checked by size
    and SHA-256 before it is unpacked; one that was put into the cache by hand is used
    as it is.

    Args:
        name: one of `DATASETS`.
        site: the address of the folder with `NAME.zip`; `SITE` by default.
        cache: a folder; `cache_folder()` by default.

    Returns:
        The path of the folder with trainA, trainB, testA and testB.

    Raises:
        DownloadFailed: within seconds where nothing answers; for another file than
            expected; for an archive that reaches outside its folder.
    """
    if name not in DATASETS:
        raise ValueError(
            f"fetch_dataset: name is {name!r}, but must be one of "
            f"{', '.join(DATASETS)}."
        )
    cache = Path(cache or cache_folder())
    folder = cache / name
    if folder.is_dir():
        return folder
    archive = cache / f"{name}.zip"
    facts = DATASETS[name]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{name}.lock"):
            if not folder.is_dir():
                download(
                    f"{site or SITE}/{name}.zip", archive, facts.size, facts.sha256
                )
                unpack(archive, folder, inside=name)
                archive.unlink()
    except (DownloadFailed, BadArchive, OSError) as error:
        raise DownloadFailed(
            f"{name}: {str(error).rstrip('.')}. Without it: load('samples/fruit') "
            "needs no download; a folder of your own can be given; or put "
            f"{name}.zip into {cache}."
        ) from error
    return folder


def download(url, path, size, sha256, connect_seconds=8, read_seconds=20):
    """Fetches one file, going on with what an earlier call left in `path` + ".part".

    A file that is at `path` already is checked, and makes no request.

    Args:
        url: where it is.
        path: where it goes.
        size, sha256: what it must be: bytes, and hexadecimal digits.
        connect_seconds: how long to wait for the first answer.
        read_seconds: how long to wait for more of it.

    Raises:
        DownloadFailed: if it cannot be had, or is another file.
    """
    path = Path(path)
    if path.exists():
        _check(path, path, size, sha256, "Take it away, and it is fetched anew.")
        return
    partial = path.with_name(path.name + ".part")
    failures, error = 0, None
    with tqdm(total=size, unit="B", unit_scale=True, desc=path.name) as bar:
        while (have := _size(partial)) < size:
            bar.update(have - bar.n)
            try:
                _fetch_more(
                    url, partial, have, size, (connect_seconds, read_seconds), bar
                )
                error = None
            except OSError as failure:
                error = failure
            failures = 0 if _size(partial) > have else failures + 1
            if failures and error is None:
                error = OSError("the answer was empty")
                break
            if failures == _ATTEMPTS or (failures and _is_permanent(error)):
                break
            time.sleep(failures / 4)
    if error is not None and _size(partial) < size:
        raise DownloadFailed(
            f"{url} could not be fetched: {error}. {_size(partial)} of {size} bytes "
            "are kept; the next call goes on from there."
        ) from error
    try:
        _check(partial, url, size, sha256, "What came was thrown away.")
    except DownloadFailed:
        partial.unlink()
        raise
    os.replace(partial, path)


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _is_permanent(error):
    # Nobody there, or a plain no: asking again within seconds changes nothing.
    if isinstance(error, urllib.error.HTTPError):
        return error.code < 500
    return isinstance(error, (TimeoutError, urllib.error.URLError))


def _fetch_more(url, partial, have, size, seconds, bar):
    request = urllib.request.Request(url, headers={"User-Agent": "gan_style"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    answer = open_url(request, *seconds)
    resumed = answer.status == 206 and (
        answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    )
    if have and not resumed:
        have = 0  # a server that knows no ranges sends all of it
        bar.reset(size)
    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) != size - have:
        answer.close()
        raise DownloadFailed(
            f"{url} has {int(announced) + have} bytes, but {size} were expected. "
            "It is another file than the one that this version knows."
        )
    with _writing(partial):
        # Unbuffered: what does not fit would be written again when it is closed.
        file = open(partial, "ab" if have else "wb", buffering=0)
    with file:
        for chunk in received(answer, url, size - have):
            bar.update(len(chunk))
            with _writing(partial):
                while chunk:  # a disk that fills up takes a part of it
                    chunk = chunk[file.write(chunk) :]


@contextlib.contextmanager
def _writing(partial):
    # Else a full disk would pass for a bad connection, and be tried again.
    try:
        yield
    except OSError as error:
        raise DownloadFailed(
            f"{partial} could not be written: {error.strerror}. Make room, or choose "
            f"another folder. {_size(partial)} bytes are kept; the next call goes on "
            "from there, and checks the whole."
        ) from error


def received(answer, url, most):
    """Yields what an answer of `open_url` brings, as it comes, and closes it.

    Args:
        answer: what `open_url` returned.
        url: its address, for errors.
        most: the bytes that are expected at most.

    Raises:
        DownloadFailed: for more bytes, or too few in a minute.
        OSError: where the connection breaks.
    """
    chunks, given_up = queue.Queue(2), threading.Event()

    def read():
        with answer:
            try:
                # What has come, not a whole chunk: that can take long.
                while not given_up.is_set() and (chunk := answer.read1(_CHUNK)):
                    chunks.put(chunk)
                chunks.put(b"")
            except (OSError, HTTPException, ValueError) as error:
                chunks.put(error)

    # Beside us, because a server can keep a single read waiting for days: with what
    # HTTP puts around the content, a byte at a time.
    threading.Thread(target=read, daemon=True).start()
    try:
        yield from _in_time(chunks, url, most)
    finally:
        given_up.set()
        with contextlib.suppress(queue.Empty):
            while True:
                chunks.get_nowait()


def _in_time(chunks, url, most):
    came, before, since = 0, 0, time.monotonic()
    while True:
        try:
            chunk = chunks.get(timeout=max(0.0, since + _PATIENCE - time.monotonic()))
        except queue.Empty:
            chunk = None
        if isinstance(chunk, Exception):
            raise _as_os_error(chunk)
        if chunk == b"":
            return
        came += len(chunk or b"")
        if came > most:
            raise DownloadFailed(f"{url} has more than the {most} bytes expected.")
        if chunk:
            yield chunk
        passed = time.monotonic() - since
        if passed >= _PATIENCE:
            if came - before < _LEAST_RATE * passed:
                raise DownloadFailed(
                    f"{url} sent {came - before} bytes in {passed:.0f} seconds, which "
                    "is too slow to wait for. Try again later, or from elsewhere."
                )
            before, since = came, time.monotonic()


def _as_os_error(error):
    if isinstance(error, OSError):
        return error
    failure = OSError(f"no answer that makes sense ({error!r})")
    failure.__cause__ = error
    return failure


def _check(file, origin, size, sha256, remedy):
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    if _size(file) != size or digest.hexdigest() != sha256:
        got = f"{_size(file)} bytes with SHA-256 {digest.hexdigest()}"
        raise DownloadFailed(
            f"{origin} has {got}, but {size} bytes with {sha256} were expected. "
            f"{remedy}"
        )


def open_url(request, connect_seconds=8, read_seconds=20):
    """Opens an address, giving up within seconds also where the name server hangs.

    Args:
        request: an address or a `urllib.request.Request`.
        connect_seconds: how long to wait for the first answer.
        read_seconds: how long a read may wait for more of it.

    Raises:
        OSError: if nothing answers, or answers no.
    """
    result = {}

    def attempt():
        try:
            result["answer"] = urllib.request.urlopen(request, timeout=read_seconds)
        # A redirection can lead to an address that is none.
        except (OSError, HTTPException, ValueError, OverflowError) as error:
            result["error"] = _as_os_error(error)

    # A name server that never answers is not covered by urllib's timeout, so the
    # attempt runs beside us and is left behind when its time is up.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(connect_seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {connect_seconds} seconds")
    if "error" in result:
        raise result["error"]
    return result["answer"]


@contextlib.contextmanager
def locked(path):
    """Holds a file lock, so that two processes do not fetch the same thing.

    The lock goes with its process, killed or not. Where the system has no `fcntl`,
    there is none, and files are still renamed into place whole.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
