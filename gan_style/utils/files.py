"""Files: written completely or not at all, named in errors, checked for bombs."""

import contextlib
import errno
import os
import shutil
import tempfile
import zipfile
from pathlib import Path


@contextlib.contextmanager
def name_file_in_errors(path):
    """Give an `OSError` of writing the file's name, which a full disk's lacks."""
    remedy = "a file that was there is as it was; make room, or choose another folder"
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        what = f"{os.strerror(error.errno)} (nothing new was written; {remedy})"
        raise OSError(error.errno, what, str(path)) from error


@contextlib.contextmanager
def atomic_write(path, partial=None, durable=False, needs=0):
    """Yield a path to write to, which replaces a file once it is complete.

    It lies beside the file, named `partial` or as no other process would name it. An
    OSError leaves what was there before. If `durable`, waits for the disk, so that a
    power cut leaves no empty file; does not begin without the bytes that it `needs`.
    """
    path = Path(path)
    partial = path.with_name(partial or f".{path.name}.{os.getpid()}.part")
    with name_file_in_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)  # a killed process may have left it
            if needs:
                total, _, free = shutil.disk_usage(path.parent)
                if total and free < needs:  # some disks say 0 to everything
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
        tempfile.TemporaryFile(dir=folder).close()


def check_stored(archive):
    """Refuse a .npz, .keras or .pth file that is compressed, as only a bomb is."""
    try:
        with zipfile.ZipFile(archive) as content:
            unpacked = sum(member.file_size for member in content.infolist())
        if unpacked <= (size := os.path.getsize(archive)):
            return
        fault = f"unpacks {size} bytes to {unpacked}, which no file of its kind does"
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        fault = f"is damaged, or of another kind ({error})"
    raise ValueError(f"{archive}: {fault}. Fetch it again.")


@contextlib.contextmanager
def locked(path):
    """Hold a file lock, which ends with its process; Windows has none."""
    with open(path, "w") as file:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
