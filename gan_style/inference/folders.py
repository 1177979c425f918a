"""Translates a whole folder of images, and resumes where it was interrupted."""

import contextlib
import glob
import hashlib
import json
from collections import namedtuple
from itertools import chain, count

from tqdm.auto import tqdm

from gan_style.inference.translation import compile_for_any_size, translate
from gan_style.utils.checks import check_path, refused
from gan_style.utils.files import atomic_write, name_file_in_errors
from gan_style.utils.images import UnreadableImage, find_images, save_image

RECORD = ".translated.jsonl"
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")

FolderResult = namedtuple("FolderResult", "done skipped unreadable reasons")


def translate_folder(
    generator, source, target, tile_size=None, overlap=None, progress=True
):
    """Translate every image of a folder and its subfolders.

    The translations have the folders and names of the originals: JPEG files (of quality
    95) stay JPEG, all others become PNG. Where two would get one name, the second keeps
    its own suffix as well: sea.png, sea.bmp.png. A camera's orientation (EXIF) is
    applied; its other notes, such as place and time, are lost.

    A second call resumes an interrupted one. By the record `.translated.jsonl` in
    `target`, it repeats only images whose original changed (in time or size), whose
    translation is missing or changed, or that another generator or tiles made.

    Args:
        generator: a `keras.Model` from images in [-1, 1], grey or RGB, to such images.
        source: a folder, which is only read. Hidden files and folders, links to
            folders, and `target` are left out.
        target: another folder, not around `source`, which is made if needed.
        tile_size, overlap: as for `translate`.
        progress: whether to show a progress bar.

    Returns:
        A named tuple of lists of paths, by name: `done`, written now; `skipped`, there
        already; `unreadable` originals, and the `reasons`, which are printed as well.

    Raises:
        ValueError: when `source` holds no images, `target` is `source`, or images
            lie in `target` that this function did not make and would replace.

    >>> import tempfile, numpy as np
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
    network = compile_for_any_size(generator, owner)
    channels = network.channels, generator.output_shape[-1]
    if not {*channels} <= {1, 3}:
        expected = "1 or 3 each. Pass arrays to `translate`"
        raise refused(owner, "(channels in, out) of generator", channels, expected)
    originals, unused = _find_originals(source, target)
    outputs = _name_outputs(originals)
    record = _Record(target, outputs.values())
    maker = _fingerprint(generator, tile_size, overlap)
    done, skipped, reasons = [], [], {}
    for original in tqdm(originals, unit="image", disable=not progress):
        path, output = source / original, target / outputs[original]
        try:
            status = path.stat()
            state = [original.as_posix(), status.st_size, status.st_mtime_ns, maker]
            if record.is_done(output, state):
                skipped.append(output)
                continue
            image = translate(generator, path, tile_size, overlap)
        except (UnreadableImage, FileNotFoundError) as error:
            reasons[path] = str(error)
            continue
        except MemoryError as error:
            raise MemoryError(f"{path}: {error}") from error
        record.add(output)
        save_image(output, image)
        record.add(output, output.stat().st_size, state)
        done.append(output)
    for path in (source / name for name in unused):
        reasons[path] = f"{path}: is of a kind that is not read. Save it as PNG."
    if reasons:
        print(f"{len(reasons)} of {len(originals + unused)} files could not be read:")
    for reason in reasons.values():
        # Names may hold bytes that are no text.
        print(" ", reason.encode("utf-8", "backslashreplace").decode())
    return FolderResult(done, skipped, [*reasons], [*reasons.values()])


def _find_originals(source, target):
    """Return the images, and images of other kinds, relative to `source`, by name."""
    root, inside = source.resolve(), target.resolve()
    originals, unused = (
        [path.relative_to(root) for path in paths if not path.is_relative_to(inside)]
        for paths in find_images(root, subfolders=True)
    )
    around = root.is_relative_to(inside)  # or the same
    other = not around and (target.is_dir() or not target.exists())
    if not (other and originals):
        what = f"source is {str(source)!r}, but must hold an image"
        if not other:
            what = f"target is '{target}', but must be another folder, not around it"
        raise ValueError(f"translate_folder: {what}. Check the path.")
    return originals, unused


def _name_outputs(originals):
    """Map originals to their outputs, relative to the target; no two are the same."""

    def key(path):  # for some disks "Sea.png" and "sea.png" are one file
        return path.as_posix().casefold()

    # First those that keep their names, so that those do not depend on the rest.
    kept = [path for path in originals if path.suffix.lower() in (*_JPEG, ".png")]
    taken = {key(path): path for path in reversed(kept)}
    outputs = {path: path for path in taken.values()}
    for path in originals:
        if path not in outputs:
            suffix = ".jpg" if path.suffix.lower() in _JPEG else ".png"
            names = [path.with_suffix(suffix), path.with_name(path.name + suffix)]
            more = (path.with_name(f"{path.name}_{i}{suffix}") for i in count(2))
            output = next(x for x in chain(names, more) if key(x) not in taken)
            outputs[path] = taken[key(output)] = output
    return outputs


def _fingerprint(generator, tile_size, overlap):
    """Tell apart generators of other layers or weights, and other tiles."""
    parts = [tile_size, overlap]
    for layer in generator.layers:
        config = {}
        with contextlib.suppress(NotImplementedError):  # for some layers of users
            config = layer.get_config()
        # Without the name, which a process counts up.
        parts.append([type(layer).__name__, {**config, "name": None}])
    digest = hashlib.sha256(json.dumps(parts, default=str).encode())
    for weight in generator.get_weights():
        digest.update(repr(weight.shape).encode() + weight.tobytes())
    return digest.hexdigest()[:16]


class _Record:
    """What is done in the target, in lines of JSON that are only added.

    An image has one before it is written, as ours, and one after, with its origin.
    """

    def __init__(self, target, outputs):
        self.target, self.path, self.entries = target, target / RECORD, {}
        text = self.path.read_text("utf-8", "replace") if self.path.exists() else ""
        for line in text.splitlines():
            # Others are the last line of a killed run, or not ours.
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                name, *entry = json.loads(line)
                self.entries[name] = entry
        other = [path for path in outputs if path.as_posix() not in self.entries]
        if other := [str(path) for path in other if (target / path).exists()]:
            raise ValueError(
                f"translate_folder: target is {str(target)!r}, but must not hold files "
                f"that it did not make and would replace: {other[:3]}. Choose another "
                "one, or move them away."
            )
        lines = [json.dumps([name, *entry]) for name, entry in self.entries.items()]
        with atomic_write(self.path, f"{RECORD}.part") as part:
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def is_done(self, output, state):
        entry = self.entries.get(output.relative_to(self.target).as_posix())
        return output.is_file() and entry == [output.stat().st_size, state]

    def add(self, output, *entry):
        name = output.relative_to(self.target).as_posix()
        if self.entries.get(name) == []:  # a killed run was writing it
            for part in output.parent.glob(f".{glob.escape(output.name)}.*.part"):
                part.unlink()
        self.entries[name] = [*entry]
        with name_file_in_errors(self.path), self.path.open("a", encoding="utf-8") as f:
            f.write(json.dumps([name, *entry]) + "\n")
