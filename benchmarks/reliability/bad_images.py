"""Reads thousands of broken, strange and hostile image files, and counts.

    python benchmarks/reliability/bad_images.py               # about 2,600 files
    python benchmarks/reliability/bad_images.py --rounds 50   # more random damage
    python benchmarks/reliability/bad_images.py --pillow      # those of Pillow's tests

The files are made here, the same for the same seed: whole ones of every kind, cut off
at every kind of place, with flipped and inserted bytes, under wrong names, and bombs:
files that claim, or hold, as many pixels as are allowed, and more. `--pillow` reads the
files of Pillow's own test suite instead, whose source distribution pip downloads.

A process of its own reads them with `read_image`. Each must become an image of uint8
RGB or raise `UnreadableImage` with the file's name, within ten seconds of one
core and 2.5 gigabytes; whole files must look as they should.
"""

import argparse
import io
import multiprocessing
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageCms

# What docs/reliability.md promises for one image, in time on one core.
SECONDS, MEGABYTES = 10, 2500


def scene(side=48):
    """An image whose corners differ, so that a wrong rotation shows."""
    rows, columns = np.mgrid[0:side, 0 : side + 16]
    red, green = 255 * rows / side, 255 * columns / (side + 16)
    blue = np.where((rows < side // 3) & (columns < side // 3), 230, 40)
    return Image.fromarray(np.stack([red, green, blue], -1).astype("uint8"))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def whole_files():
    """Name: bytes, what a person expects to see (or None), how far off it may be."""
    rgb = scene()
    grey, clear = rgb.convert("L"), rgb.copy()
    clear.putalpha(Image.new("L", rgb.size, 255))
    frames = {"save_all": True, "append_images": [rgb.rotate(180)] * 2}
    wide = Image.fromarray(np.asarray(grey).astype("uint16") * 257)
    line = rgb.resize((300, 1))
    files = {
        "plain.png": (encoded(rgb, "png"), rgb, 0),
        "plain.bmp": (encoded(rgb, "bmp"), rgb, 0),
        "plain.tif": (encoded(rgb, "tiff"), rgb, 0),
        "plain.jpg": (encoded(rgb, "jpeg", quality=95), rgb, 6),
        "progressive.jpg": (encoded(rgb, "jpeg", progressive=True), rgb, 8),
        "cmyk.jpg": (encoded(rgb.convert("CMYK"), "jpeg", quality=95), rgb, 8),
        "plain.webp": (encoded(rgb, "webp", quality=95), rgb, 12),
        "lossless.webp": (encoded(rgb, "webp", lossless=True), rgb, 0),
        "plain.gif": (encoded(rgb.quantize(256), "gif"), rgb, 12),
        "animated.gif": (encoded(rgb, "gif", **frames), rgb, 12),
        "animated.webp": (encoded(rgb, "webp", quality=95, **frames), rgb, 12),
        "animated.png": (encoded(rgb, "png", **frames), rgb, 0),
        "grey.png": (encoded(grey, "png"), grey.convert("RGB"), 0),
        "grey.jpg": (encoded(grey, "jpeg", quality=95), grey.convert("RGB"), 6),
        "palette.png": (encoded(rgb.quantize(256), "png"), rgb, 12),
        "one_bit.png": (encoded(grey.convert("1"), "png"), None, 0),
        "sixteen_bits.png": (encoded(wide, "png"), grey.convert("RGB"), 1),
        "float.tif": (encoded(grey.convert("F"), "tiff"), None, 0),
        "alpha.png": (encoded(clear, "png"), rgb, 0),
        "one_row.png": (encoded(line, "png"), line, 0),
        "one_column.png": (encoded(line.rotate(90, expand=True), "png"), None, 0),
        "profile.jpg": (encoded(rgb, "jpeg", icc_profile=b"no profile"), rgb, 8),
        "broken_exif.jpg": (
            encoded(rgb, "jpeg", exif=b"Exif\0\0II*\0\xff\xff\xff"),
            rgb,
            8,
        ),
        "text.jpg": (b"No image at all, but a sentence.\n" * 9, None, 0),
        "empty.png": (b"", None, 0),
        "html.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", None, 0),
    }
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions
        stored = rgb if turn == 1 else rgb.transpose(Image.Transpose(undo[turn]))
        data = encoded(stored, "jpeg", quality=95, exif=exif)
        files[f"exif_{turn}.jpg"] = (data, rgb, 8)
    return files


def png(width, height, rows, channels=1):
    """A PNG file that claims `height` rows, black or clear, and holds `rows`."""

    def chunk(kind, body):
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    kind = {1: 0, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    pack = zlib.compressobj(9)
    row = bytes(channels * width + 1)
    body = b"".join(pack.compress(row) for _ in range(rows)) + pack.flush()
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    )


def bombs():
    """Small files that claim, or hold, a great many pixels, or take great pains."""
    rgb, side = scene(), 9_400
    bmp = bytearray(encoded(rgb, "bmp"))
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    gif = bytearray(encoded(rgb.quantize(16), "gif"))
    gif[6:10] = struct.pack("<HH", 50_000, 50_000)
    jpeg = encoded(rgb, "jpeg")
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg = jpeg[:at] + struct.pack(">HH", 50_000, 50_000) + jpeg[at + 4 :]
    large = encoded(Image.new("RGB", (side, side)), "jpeg", progressive=True)
    last = large.rindex(b"\xff\xda")
    scans = {n: large[:last] + n * large[last:-2] + large[-2:] for n in (40, 10_000)}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    odd = {"icc_profile": profile.replace(b"sRGB", b"odd ")}
    return {
        "claims.png": png(50_000, 50_000, 1),
        "claims.bmp": bytes(bmp),
        "claims.gif": bytes(gif),
        "claims.jpg": jpeg,
        "whole.png": png(side, side, side),
        "whole_rgb.png": png(side, side, side, 3),
        "whole_clear.png": png(side, side, side, 4),
        "whole_sixteen.png": encoded(
            Image.fromarray(np.zeros((side, side), "uint16")), "png"
        ),
        "whole_cmyk.jpg": encoded(Image.new("CMYK", (side, side)), "jpeg", **odd),
        "whole.webp": encoded(Image.new("RGBA", (side, side)), "webp", method=0),
        "whole.avif": encoded(Image.new("RGBA", (side, side)), "avif", speed=10),
        "whole.tif": encoded(
            Image.new("RGBA", (side, side)), "tiff", compression="tiff_lzw"
        ),
        "scans_40.jpg": scans[40],
        "scans_10000.jpg": scans[10_000],
    }


def pillow_suite():
    """The image files of Pillow's own tests: name, bytes."""
    with tempfile.TemporaryDirectory() as folder:
        command = "pip download --quiet --no-deps --no-binary pillow --dest".split()
        pillow = f"pillow=={PIL.__version__}"
        subprocess.run([sys.executable, "-m", *command, folder, pillow], check=True)
        with tarfile.open(next(Path(folder).iterdir())) as archive:
            for member in archive:
                path = Path(member.name)
                if member.isfile() and path.parts[1:3] == ("Tests", "images"):
                    name = "_".join(path.parts[3:])
                    yield name, archive.extractfile(member).read()


def damaged(files, rounds, rng):
    """Every whole file, damaged in every way, `rounds` times."""
    names = list(files)
    for number in range(rounds):
        for name in names:
            data, stem = files[name][0], f"{number}_{name}"
            if len(data) < 20:
                continue
            yield f"cut_{stem}", data[: rng.integers(1, len(data))]
            flipped = bytearray(data)
            for place in rng.integers(0, len(data), rng.integers(1, 9)):
                flipped[place] ^= 1 << rng.integers(8)
            yield f"flipped_{stem}", bytes(flipped)
            place = rng.integers(0, len(data))
            more = rng.bytes(int(rng.integers(1, 64)))
            yield f"longer_{stem}", data[:place] + more + data[place:]
            other = Path(names[rng.integers(len(names))]).suffix
            yield f"renamed_{stem}{other}", data


def reader(connection):
    """Reads one path after the other, and says what came of it."""
    import warnings

    from gan_style.hardware.memory import resident_memory
    from gan_style.utils.images import UnreadableImage, read_image

    warnings.simplefilter("ignore")
    connection.send(resident_memory())
    while path := connection.recv():
        begun = time.process_time()
        try:
            image = read_image(path)
            good = image.dtype == np.uint8 and image.shape[2:] == (3,)
            small = image if image.size < 1e6 else None
            del image  # else it counts for the next one
            answer = ("read" if good else "no RGB image", small)
        except UnreadableImage as error:
            named = Path(path).name in str(error)
            answer = ("refused by name" if named else "refused without a name", None)
        except BaseException as error:
            answer = (f"{type(error).__name__} got through: {path}", None)
        seconds = time.process_time() - begun
        if seconds > SECONDS:
            answer = (f"takes {seconds:.0f} seconds: {path}", None)
        connection.send((*answer, seconds, resident_memory(peak=True)))


class Reader:
    """A process that reads images, and is started again where it dies."""

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=reader, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.before = self.connection.recv()

    def read(self, path):
        """Returns what came of it, the image if small, seconds and megabytes."""
        try:
            self.connection.send(str(path))
            if self.connection.poll(10 * SECONDS):  # other processes may run
                answer, image, seconds, peak = self.connection.recv()
                return answer, image, seconds, (peak - self.before) / 1e6
            answer = f"hangs: {path}"
        except (EOFError, ConnectionError):
            answer = f"ends the process: {path}"
        self.process.kill()
        self.__init__()
        return answer, None, SECONDS, 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pillow", action="store_true")
    arguments = parser.parse_args()
    whole, hostile = {}, {}
    if arguments.pillow:
        files = dict(pillow_suite())
    else:
        whole, hostile = whole_files(), bombs()
        files = {name: data for name, (data, _, _) in whole.items()} | hostile
        rng = np.random.default_rng(arguments.seed)
        files.update(damaged(whole, arguments.rounds, rng))

    process, counts, odd = Reader(), Counter(), []
    slowest, largest, peak = (0, ""), (0, ""), 0
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder) / name
            path.write_bytes(data)
            answer, image, seconds, megabytes = process.read(path)
            path.unlink()
            slowest = max(slowest, (seconds, name))
            if megabytes > peak:
                peak, largest = megabytes, (megabytes, name)
            kind = "bomb" if name in hostile else name.split("_")[0]
            kind = "whole" if name in whole else kind
            kind = "Pillow's" if arguments.pillow else kind
            counts[kind, answer] += 1
            _, seen, tolerance = whole.get(name, (None, None, 0))
            if seen is not None:
                far = np.abs(image.astype(int) - np.asarray(seen)).mean()
                if image.shape != np.asarray(seen).shape or far > tolerance:
                    odd.append(f"{name}: {image.shape}, off by {far:.1f}")
    process.connection.send(None)
    for (kind, answer), count in sorted(counts.items()):
        print(f"{kind:8} {count:5} {answer}")
    print(f"{len(files)} files; slowest: {slowest[1]}, {slowest[0]:.2f} s;", end=" ")
    print(f"most memory: {largest[1]}, {largest[0]:.0f} MB more than before any")
    print("Not as a person sees them:", *(odd or ["none"]), sep="\n  ")
    good = {"read", "refused by name"}
    if odd or peak > MEGABYTES or any(answer not in good for _, answer in counts):
        raise SystemExit("The bound of docs/reliability.md does not hold.")


if __name__ == "__main__":
    main()
