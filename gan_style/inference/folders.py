"""Translates a whole folder of images, and resumes where it was interrupted."""

import contextlib
import glob
import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from gan_style.inference.sizes import compile_for_any_size
from gan_style.inference.translation import translate
from gan_style.utils.checks import check_choice, check_path
from gan_style.utils.files import atomic_write, name_file_in_errors
from gan_style.utils.images import SUFFIXES, UnreadableImage, read_image, save_image

RECORD = ".translated.jsonl"
# The suffixes of each kind; the first one is for files of other kinds.
_KINDS = {"jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"), "png": (".png",)}


class FolderResult(NamedTuple):
    """What `translate_folder` did; all are lists of paths, in the order of names.

    `done` are images written now, `skipped` images that were there already (both
    below the target), `unreadable` files (below the source) that could not be read,
    for the `reasons`, in their order.
    """

    done: list
    skipped: list
    unreadable: list
    reasons: list


def translate_folder(
    generator, source, target, tile_size=None, overlap=None, kind=None, progress=True
):
    """Translate every image of a folder and its subfolders.

    The translations have the folders and names of the originals, with the suffix of
    their kind. Where two images would get one name, the second keeps its own suffix as
    well: sea.png, sea.bmp.png. A camera's orientation (EXIF) is applied; its other
    notes, such as place and time, are lost.

    A second call resumes an interrupted one. By the record `.translated.jsonl` in
    `target`, it repeats only images whose original changed (in time or size), whose
    translation is missing or changed, or that another generator or tiles made.

    Args:
        generator: a `keras.Model` from images in [-1, 1] to such images.
        source: a folder, which is only read. Hidden files and folders, links to
            folders, and `target` are left out.
        target: another folder, which is made if needed.
        tile_size, overlap: as for `translate`.
        kind: "jpeg" (of quality 95) or "png" (exact, about ten times larger); by
            default JPEG for JPEG files and PNG for all others.
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
    ...     result = translate_folder(generator, f"{home}/in", f"{home}/out")
    >>> [path.name for path in result.done]
    ['sea.png']
    """
    owner = "translate_folder"
    source = check_path(owner, "source", source)
    target = check_path(owner, "target", target)
    check_choice(owner, "kind", kind, (*_KINDS, None))
    compile_for_any_size(generator, owner)
    outputs = _name_outputs(_find_originals(source, target), kind)
    record = _Record(target, outputs.values())
    maker = _fingerprint(generator, tile_size, overlap)
    result = FolderResult([], [], [], [])
    with record, tqdm(outputs.items(), unit="image", disable=not progress) as images:
        for original, output in images:
            path = source / original
            try:
                status = path.stat()
                state = [original.as_posix(), status.st_size, status.st_mtime_ns, maker]
                if record.is_done(output, state):
                    result.skipped.append(target / output)
                    continue
                image = read_image(path)
            except (UnreadableImage, FileNotFoundError) as error:
                result.unreadable.append(path)
                result.reasons.append(str(error))
                continue
            try:
                image = translate(generator, image, tile_size, overlap)
            except MemoryError as error:
                raise MemoryError(f"{path}: {error}") from error
            record.add(output)
            save_image(target / output, image)
            record.add(output, (target / output).stat().st_size, state)
            result.done.append(target / output)
    if result.unreadable:
        print(f"{len(result.unreadable)} of {len(outputs)} files could not be read:")
        for reason in result.reasons:
            # Names may hold bytes that are no text.
            print(" ", reason.encode("utf-8", "backslashreplace").decode())
    return result


def _find_originals(source, target):
    """Paths of all images, relative to `source`, in the order of their names."""
    root, inside = source.resolve(), target.resolve()
    found = [
        path.relative_to(root)
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.is_dir()
        if not path.is_relative_to(inside)
    ]
    found = [path for path in found if not any(p[0] == "." for p in path.parts)]
    wrong = f"target is {str(target)!r}, but must be another folder. Choose one."
    if not source.is_dir():
        wrong = f"source is {str(source)!r}, but must be a folder. Check the path."
    elif inside != root and (target.is_dir() or not target.exists()):
        if found:
            return sorted(found, key=Path.as_posix)
        wrong = f"source is {str(source)!r}, but must hold an image. Check the path."
    raise ValueError(f"translate_folder: {wrong}")


def _name_outputs(originals, kind):
    """Every original's output, relative to the target; no two are the same."""

    def suffixes(path):
        jpeg = kind is None and path.suffix.lower() in _KINDS["jpeg"]
        return _KINDS["jpeg" if jpeg else kind or "png"]

    def key(path):  # some disks treat "Sea.png" and "sea.png" as one file
        return path.as_posix().casefold()

    outputs, taken = {}, set()
    for path in originals:
        if path.suffix.lower() in suffixes(path) and key(path) not in taken:
            outputs[path] = path
            taken.add(key(path))
    # After all that keep their names, so that those do not depend on the rest.
    for path in originals:
        if path not in outputs:
            suffix, number = suffixes(path)[0], 1
            output = path.with_suffix(suffix)
            while key(output) in taken:
                more = f"_{number}" if number > 1 else ""
                output, number = path.with_name(path.name + more + suffix), number + 1
            outputs[path] = output
            taken.add(key(output))
    return {path: outputs[path] for path in originals}


def _fingerprint(generator, tile_size, overlap):
    """Tells apart generators of other layers or weights, and other tiles."""
    parts = [tile_size, overlap]
    for layer in generator.layers:
        config = {}
        with contextlib.suppress(NotImplementedError):  # for some layers of users
            config = layer.get_config()
        # Without the name, which a process counts up.
        parts.append([type(layer).__name__, {**config, "name": None}])
    digest = hashlib.sha256(json.dumps(parts, default=str).encode())
    for weight in generator.get_weights():
        digest.update(repr(weight.shape).encode())
        digest.update(np.ascontiguousarray(weight))
    return digest.hexdigest()[:16]


class _Record:
    """What of the target is done and by what, in lines of JSON that are only added.

    An image has a line before it is written, which says that the file is ours, and
    one after, which says what it was made from.
    """

    def __init__(self, target, outputs):
        self.target, self.path, self.entries = target, target / RECORD, {}
        text = self.path.read_text("utf-8", "replace") if self.path.exists() else ""
        for line in text.splitlines():
            # Others are the last line of a killed run, or not ours.
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                output, *entry = json.loads(line)
                path = PurePosixPath(output)
                outside = path.is_absolute() or ".." in path.parts
                # As Windows reads it as well.
                if path.parts and not outside and not {*output} & {*"\\:"}:
                    self.entries[output] = entry
        other = [name for name in outputs if name.as_posix() not in self.entries]
        if other := [str(name) for name in other if (target / name).exists()]:
            raise ValueError(
                f"translate_folder: target is {str(target)!r}, but must not hold files "
                f"that it would replace: {other[0]!r}, {len(other)} files that it did "
                "not make. Choose another one, or move them away."
            )

    def __enter__(self):
        lines = []
        for output, entry in self.entries.items():
            lines.append(json.dumps([output, *entry]) + "\n")
            path = self.target / output
            if not entry and path.parent.is_dir():  # a killed run was writing it
                for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
                    part.unlink()
        with atomic_write(self.path, f"{RECORD}.part") as part:
            part.write_text("".join(lines), encoding="utf-8")
        self.file = open(self.path, "a", encoding="utf-8")
        return self

    def __exit__(self, *_):
        with name_file_in_errors(self.path):
            self.file.close()

    def is_done(self, output, state):
        entry, path = self.entries.get(output.as_posix()), self.target / output
        return bool(entry) and path.is_file() and entry == [path.stat().st_size, state]

    def add(self, output, *entry):
        self.entries[output.as_posix()] = [*entry]
        with name_file_in_errors(self.path):
            self.file.write(json.dumps([output.as_posix(), *entry]) + "\n")
            self.file.flush()
