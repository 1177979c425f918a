"""Writes files whole or not at all, and says which one could not be written."""

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path


@contextlib.contextmanager
def name_file_in_errors(path):
    """Gives an `OSError` of writing the file's name, which a full disk's lacks.

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
    """Gives a path to write to, which takes a file's place once it is whole.

    Args:
        path: the file. Its folder is made.
        partial: the name beside it; by default one that no other process takes.
        durable: whether to wait until the disk has it, so that a power cut does not
            leave an empty file.
        needs: bytes without which writing does not even begin.

    Yields:
        The path to write to. Where that fails, nothing is left there.

    Raises:
        OSError: with the file's name; what was there before is as it was.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "new" / "notes.txt"
    ...     with atomic_write(path) as partial:
    ...         _ = partial.write_text("whole")
    ...     path.read_text(), len(os.listdir(path.parent))
    ('whole', 1)
    """
    path = Path(path)
    partial = path.with_name(partial or f".{path.name}.{os.getpid()}.part")
    with name_file_in_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if needs:
                partial.unlink(missing_ok=True)  # what a killed process left takes room
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
            # A disk that has become read-only does not give it away, either.
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def check_writable(folder):
    """Makes a folder and tries to write there, before hours of work depend on it.

    Raises:
        OSError: with a name, where that is not possible.
    """
    with name_file_in_errors(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
