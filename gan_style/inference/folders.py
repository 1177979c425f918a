"""Translates a whole folder of images, and goes on where it was interrupted."""

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from gan_style.inference.sizes import any_size
from gan_style.inference.translation import translate
from gan_style.utils.checks import check_choice, check_path
from gan_style.utils.files import atomic_write, name_file_in_errors
from gan_style.utils.images import (
    SUFFIXES,
    UnreadableImage,
    read_image,
    save_image,
)

RECORD = ".translated.jsonl"
# The suffixes of each kind; the first one is for files of other kinds.
_KINDS = {"jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"), "png": (".png",)}


class FolderResult(NamedTuple):
    """What `translate_folder` did; all are lists of paths, in the order of names.

    `done` are images written now, `skipped` images that were there already (both
    below the target), `unreadable` files (below the source) that could not be read;
    `reasons` says why, in their order.
    """

    done: list
    skipped: list
    unreadable: list
    reasons: list


def translate_folder(
    generator,
    source,
    target,
    tile_size=None,
    overlap=None,
    kind=None,
    progress=True,
):
    """Translates every image of a folder and its subfolders.

    The translations lie in `target` as the originals lie in `source`, under the same
    names, with another suffix where the kind is another. Where that would give two
    images one name, the second keeps its own suffix as well: sea.png, sea.bmp.png.
    The originals are only read. Orientation that a camera noted (EXIF) is
    applied, other notes such as place and time are not taken over.

    A second call skips what is done, so an interrupted run goes on where it stopped. A
    image is made anew when its original has changed (in time or size), when its
    translation is missing or was changed, and when the generator's weights or the
    arguments are other ones. What is known of each is kept in `.translated.jsonl` in
    `target`.

    Args:
        generator: a `keras.Model` from images in [-1, 1] to such images, such as
            `model.generator_ab` of a CycleGAN or what `load_pytorch_generator` gives.
        source: a folder. Hidden files and folders are left out, and so are links to
            folders, and `target` if it lies inside.
        target: another folder; it is made where it is missing.
        tile_size, overlap: as for `gan_style.inference`.
        kind: "jpeg" (of quality 95) or "png" (exact, about ten times larger); None
            takes JPEG for JPEG files and PNG for all others.
        progress: whether to show a progress bar.

    Returns:
        A `FolderResult`. Unreadable files are also printed, once, at the end.

    Raises:
        ValueError: when `source` holds no images, `target` is `source`, or images
            lie in `target` that this function did not make and would replace.

    >>> import tempfile
    >>> from gan_style.models import resnet_generator
    >>> generator = resnet_generator((32, 32, 3), filters=2, blocks=1)
    >>> with tempfile.TemporaryDirectory() as home:
    ...     path = save_image(f"{home}/in/sea.png", np.zeros((9, 12, 3), "uint8"))
    ...     folders = f"{home}/in", f"{home}/out"
    ...     result = translate_folder(generator, *folders, progress=False)
    ...     again = translate_folder(generator, *folders, progress=False)
    >>> [path.name for path in result.done], len(again.skipped)
    (['sea.png'], 1)
    """
    source = check_path("translate_folder", "source", source)
    target = check_path("translate_folder", "target", target)
    # None keeps JPEG files JPEG and makes the others PNG.
    check_choice("translate_folder", "kind", kind, ("jpeg", "png", None))
    any_size(generator)  # which refuses what is no such model
    originals = _originals(source, target)
    outputs = _outputs(originals, kind)
    record = _Record(target)
    _check_strangers(target, outputs.values(), record)
    maker = _fingerprint(generator, tile_size, overlap)
    result = FolderResult([], [], [], [])
    with record, tqdm(originals, unit="image", disable=not progress) as images:
        for original in images:
            output = outputs[original]
            try:
                state = [original.as_posix(), *_stamp(source / original), maker]
                if record.is_done(output, state):
                    result.skipped.append(target / output)
                    continue
                image = read_image(source / original)
            except (UnreadableImage, FileNotFoundError) as error:
                result.unreadable.append(source / original)
                result.reasons.append(str(error))
                continue
            try:
                image = translate(generator, image, tile_size, overlap)
            except MemoryError as error:
                raise MemoryError(f"{source / original}: {error}") from error
            record.begin(output)
            save_image(target / output, image)
            record.end(output, state)
            result.done.append(target / output)
    if result.unreadable:
        print(f"{len(result.unreadable)} of {len(originals)} files could not be read:")
        for reason in result.reasons:
            # Names may hold bytes that are no text.
            print(" ", reason.encode("utf-8", "backslashreplace").decode())
    return result


def _originals(source, target):
    """Paths of all images, relative to `source`, in the order of their names."""
    if not source.is_dir():
        raise ValueError(
            f"translate_folder: source is {str(source)!r}, which is no folder. Check "
            "the path; for single images there is gan_style.inference.translate."
        )
    if target.exists() and not target.is_dir():
        raise ValueError(
            f"translate_folder: target is {str(target)!r}, which is a file, but it has "
            "to be a folder. Choose another one."
        )
    inside = target.resolve()
    if inside == source.resolve() or (target.exists() and target.samefile(source)):
        raise ValueError(
            f"translate_folder: source and target are one folder, {str(source)!r}, but "
            "the originals are to stay as they are. Choose another target."
        )
    found = []
    for folder, names_of_folders, names in os.walk(source):
        folder = Path(folder)
        names_of_folders[:] = [
            name
            for name in names_of_folders
            if not name.startswith(".") and (folder / name).resolve() != inside
        ]
        found += [
            (folder / name).relative_to(source)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    if not found:
        raise ValueError(
            f"translate_folder: {str(source)!r} and its subfolders hold no image "
            f"({', '.join(sorted(SUFFIXES))}). Check the path."
        )
    return sorted(found, key=lambda path: path.as_posix())


def _outputs(originals, kind):
    """Every original's output, relative to the target; no two are the same."""
    outputs, taken, others = {}, set(), []
    for path in originals:
        suffix = path.suffix.lower()
        jpeg = kind == "jpeg" or (kind is None and suffix in _KINDS["jpeg"])
        suffixes = _KINDS["jpeg" if jpeg else "png"]
        if suffix in suffixes and _key(path) not in taken:
            outputs[path] = path
            taken.add(_key(path))
        else:
            others.append((path, suffixes[0]))
    # After all that keep their names, so that those do not depend on the rest.
    for path, suffix in others:
        output, number = path.with_suffix(suffix), 1
        while _key(output) in taken:
            more = "" if number == 1 else f"_{number}"
            output, number = path.with_name(path.name + more + suffix), number + 1
        outputs[path] = output
        taken.add(_key(output))
    return outputs


def _key(path):
    # Some disks take "Sea.png" and "sea.png" for one file.
    return path.as_posix().casefold()


def _check_strangers(target, outputs, record):
    strangers = [
        str(output)
        for output in outputs
        if not record.knows(output) and (target / output).exists()
    ]
    if strangers:
        raise ValueError(
            f"translate_folder: {str(target)!r} holds {len(strangers)} files that "
            "translate_folder did not make and would replace, such as "
            f"{strangers[0]!r}. Choose another target, or move them away."
        )


def _stamp(path):
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _fingerprint(generator, tile_size, overlap):
    """Tells apart generators of other layers or weights, and other tiles."""
    digest = hashlib.sha256(repr((tile_size, overlap)).encode())
    for layer in generator.layers:
        digest.update(type(layer).__name__.encode())
    for weight in generator.get_weights():
        digest.update(repr(weight.shape).encode())
        digest.update(np.ascontiguousarray(weight))
    return digest.hexdigest()[:16]


def _is_below(output):
    path = PurePosixPath(output)
    inside = path.parts and not path.is_absolute() and ".." not in path.parts
    # As Windows would have it.
    return inside and "\\" not in output and ":" not in output


class _Record:
    """What of the target is done and by what, in lines of JSON that are only added.

    An image has a line before it is written, which says that the file is ours, and
    one after, which says what it was made from.
    """

    def __init__(self, target):
        self.target = target
        self.path = target / RECORD
        self.entries = {}
        if self.path.exists():
            for line in self.path.read_text("utf-8", "replace").splitlines():
                try:
                    output, *entry = json.loads(line)
                    ours = _is_below(output)
                # The last line of a run that was killed, or nothing that we wrote.
                except (ValueError, TypeError, RecursionError):
                    continue
                if ours:
                    self.entries[output] = entry

    def __enter__(self):
        for output, entry in self.entries.items():
            if not entry:
                self._tidy(self.target / output)
        with (
            atomic_write(self.path, f"{RECORD}.part") as part,
            open(part, "w", encoding="utf-8") as file,
        ):
            for output, entry in self.entries.items():
                file.write(json.dumps([output, *entry]) + "\n")
        self.file = open(self.path, "a", encoding="utf-8")
        return self

    def __exit__(self, *_):
        with name_file_in_errors(self.path):
            self.file.close()

    @staticmethod
    def _tidy(path):
        """Removes what `save_image` was writing when it was killed."""
        for name in os.listdir(path.parent) if path.parent.is_dir() else []:
            if name.startswith(f".{path.name}.") and name.endswith(".part"):
                (path.parent / name).unlink()

    def knows(self, output):
        return output.as_posix() in self.entries

    def is_done(self, output, state):
        entry = self.entries.get(output.as_posix())
        path = self.target / output
        return bool(entry) and path.is_file() and entry == [path.stat().st_size, state]

    def begin(self, output):
        self._add(output, [])

    def end(self, output, state):
        self._add(output, [(self.target / output).stat().st_size, state])

    def _add(self, output, entry):
        self.entries[output.as_posix()] = entry
        with name_file_in_errors(self.path):
            self.file.write(json.dumps([output.as_posix(), *entry]) + "\n")
            self.file.flush()
