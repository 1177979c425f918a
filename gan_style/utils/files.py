"""Files: written completely or not at all, named in errors, checked for bombs."""

import contextlib
import errno
import os
import shutil
import tempfile
import zipfile
from pathlib import Path


class BadArchive(ValueError):
    """A file that is damaged, hostile or too large: says which, and why."""


@contextlib.contextmanager
def name_file_in_errors(path):
    """Give an `OSError` of writing the file's name, which a full disk's lacks.

    >>> with name_file_in_errors("outputs/sea.png"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device (nothing new was written; a file that
    was there is as it was; make room, or choose another folder): 'outputs/sea.png'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            error.errno,
            f"{os.strerror(error.errno)} (nothing new was written; a file that was "
            "there is as it was; make room, or choose another folder)",
            str(path),
        ) from error


@contextlib.contextmanager
def atomic_write(path, partial=None, durable=False, needs=0):
    """Yield a path to write to, which replaces a file once it is complete.

    Args:
        path: the file. Its folder is made.
        partial: the name beside it; by default one that no other process uses.
        durable: whether to wait until the disk has it, so that a power cut does not
            leave an empty file.
        needs: bytes without which writing does not even begin.

    Raises:
        OSError: with the file's name; what was there before is as it was.
    """
    path = Path(path)
    partial = path.with_name(partial or f".{path.name}.{os.getpid()}.part")
    with name_file_in_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if needs:
                partial.unlink(missing_ok=True)  # a killed process may have left it
                disk = shutil.disk_usage(path.parent)
                # A file system that knows no sizes says 0 to everything.
                if disk.total and disk.free < needs:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield partial
            if durable:
                with open(partial, "rb+") as file:
                    os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):  # of a disk that is read-only by now
                partial.unlink(missing_ok=True)
            raise


def check_writable(folder):
    """Make a folder and try to write there, before hours of work depend on it."""
    with name_file_in_errors(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def check_stored(archive):
    """Refuse a .npz, .keras or .pth file that unpacks to more bytes than it has.

    NumPy, Keras and PyTorch write them uncompressed; a bomb is not.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            unpacked = sum(member.file_size for member in content.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise BadArchive(
            f"{archive}: is damaged, or of another kind ({error})."
        ) from error
    if unpacked > (size := os.path.getsize(archive)):
        raise BadArchive(
            f"{archive}: has {size} bytes and unpacks to {unpacked}, which no file of "
            "its kind does."
        )
