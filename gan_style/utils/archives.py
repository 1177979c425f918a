"""Unpacks zip archives that may come from anybody."""

import errno
import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from gan_style.utils.files import name_file_in_errors

_CHUNK = 1 << 18
_MOST_FILES = 200_000
_MOST_BYTES = 16 << 30
# Images hardly shrink. What unpacks to more than this is refused, as is any archive
# of more than so many bytes for each of its own.
_ALWAYS_FITS = 64 << 20
_MOST_RATIO = 100
_ENCRYPTED = 0x1
# What is the disk's fault, not the archive's.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


class BadArchive(ValueError):
    """An archive that is damaged, hostile or too large: says which, and why."""


def unpack(archive, folder, inside="", most_files=_MOST_FILES, most_bytes=_MOST_BYTES):
    """Unpacks a zip archive whole or not at all, and never outside its folder.

    Args:
        archive: a path.
        folder: what will be there; it does not exist yet.
        inside: the folder of the archive that is wanted.
        most_files, most_bytes: larger archives are refused.

    Raises:
        BadArchive: for a member with an absolute path, a `..`, a link or a name that
            is there twice; for too many or too large members; for a damaged archive.
        OSError: where the disk is full or read-only.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
    partial.mkdir()
    try:
        with zipfile.ZipFile(archive) as content:
            members = content.infolist()
            _check(archive, members, most_files, most_bytes)
            for member in tqdm(members, desc=f"unpacking {folder.name}"):
                _unpack_member(content, member, partial)
        wanted = partial / inside
        if not wanted.is_dir():
            raise BadArchive(f"{archive}: holds no folder {inside!r}.")
        os.replace(wanted, folder)
    except BadArchive:
        raise
    except OSError as error:
        if error.errno not in _DISK:
            raise BadArchive(
                f"{archive}: cannot be unpacked here ({str(error)[:300]}); "
                "nothing was kept."
            ) from error
        with name_file_in_errors(folder):
            raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        ValueError,
    ) as error:
        raise BadArchive(
            f"{archive}: is no whole zip archive ({str(error)[:300]}); nothing "
            "was kept."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_stored(archive):
    """Refuses a zip archive that would need more memory than it has bytes.

    For files that programs write uncompressed: NumPy's, Keras' and PyTorch's.

    Raises:
        BadArchive: for such an archive, and for what is no zip archive.
        OSError: for a file that cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            unpacked = sum(member.file_size for member in content.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise BadArchive(
            f"{archive}: is no whole file of its kind ({error})."
        ) from error
    if unpacked > (size := os.path.getsize(archive)):
        raise BadArchive(
            f"{archive}: has {size} bytes and unpacks to {unpacked}, which no file of "
            "its kind does."
        )


def _check(archive, members, most_files, most_bytes):
    """Looks at all that the archive announces, before anything is written."""
    if len(members) > most_files:
        raise BadArchive(
            f"{archive}: has {len(members)} members, at most {most_files} fit."
        )
    files, folders = set(), set()
    for member in members:
        path = _checked_path(archive, member)
        # Some disks take "Sea.png" and "sea.png" for one file.
        parts = PurePosixPath(str(path).casefold())
        if member.is_dir():
            folders.add(parts)
        elif parts in files:
            raise _refused(archive, member, "is there twice")
        else:
            files.add(parts)
        folders.update(parts.parents)
    if both := files & folders:
        raise BadArchive(
            f"{archive}: has {str(min(both))!r} as a file and as a folder; nothing was "
            "unpacked."
        )
    size = os.path.getsize(archive)
    # `zipfile` reads no more of a member than it announces.
    unpacked = sum(member.file_size for member in members)
    most = min(most_bytes, max(_ALWAYS_FITS, _MOST_RATIO * size))
    if unpacked > most:
        raise BadArchive(
            f"{archive}: has {size} bytes and unpacks to {unpacked}, but at most "
            f"{most} are allowed; nothing was unpacked."
        )
    if sum(member.compress_size for member in members) > size:
        raise BadArchive(f"{archive}: its members overlap; nothing was unpacked.")


def _checked_path(archive, member):
    name = member.orig_filename
    path = PurePosixPath(name)
    if stat.S_ISLNK(member.external_attr >> 16):
        raise _refused(archive, member, "is a link")
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise _refused(archive, member, "points outside")
    if not path.parts or not name.isprintable():
        raise _refused(archive, member, "has no name that can be shown")
    if member.flag_bits & _ENCRYPTED:
        raise _refused(archive, member, "takes a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(archive, member, "is neither stored nor deflated")
    return path


def _refused(archive, member, what):
    name = member.orig_filename
    name = name if len(name) < 100 else f"{name[:90]}..."
    return BadArchive(f"{archive}: its member {name!r} {what}; nothing was unpacked.")


def _unpack_member(content, member, folder):
    target = folder / PurePosixPath(member.filename)
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with content.open(member) as source, open(target, "xb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
