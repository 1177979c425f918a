"""Reads thousands of broken, strange and hostile image files, and counts.

    python benchmarks/bad_images.py                 # about 2,600 files
    python benchmarks/bad_images.py --rounds 50     # more random damage

The files are made here, the same for the same seed: whole ones of every kind, cut off
at every kind of place, with flipped and inserted bytes, under wrong names, and headers
that claim far more pixels than the file holds. A process of its own reads them with
`read_image`. Each has to become an image of uint8 RGB or raise `UnreadableImage`
with the file's name, within ten seconds; whole files have to look as they should.
"""

import argparse
import io
import multiprocessing
import struct
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

SECONDS = 10


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


def bombs():
    """A few kilobytes that claim, or unpack to, many more pixels."""

    def png(width, height, rows):
        def chunk(kind, body):
            crc = struct.pack(">I", zlib.crc32(kind + body))
            return struct.pack(">I", len(body)) + kind + body + crc

        head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        body = zlib.compress(bytes((width + 1) * rows), 9)
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            chunk(*part) for part in ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
        )

    rgb = scene()
    bmp = bytearray(encoded(rgb, "bmp"))
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    gif = bytearray(encoded(rgb.quantize(16), "gif"))
    gif[6:10] = struct.pack("<HH", 50_000, 50_000)
    jpeg = encoded(rgb, "jpeg")
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg = jpeg[:at] + struct.pack(">HH", 50_000, 50_000) + jpeg[at + 4 :]
    return {
        "claims.png": png(50_000, 50_000, 1),
        "whole.png": png(9_400, 9_400, 9_400),
        "claims.bmp": bytes(bmp),
        "claims.gif": bytes(gif),
        "claims.jpg": jpeg,
    }


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
    from gan_style.hardware.memory import resident_memory
    from gan_style.utils.images import UnreadableImage, read_image

    connection.send(resident_memory())
    while path := connection.recv():
        try:
            image = read_image(path)
            good = image.dtype == np.uint8 and image.shape[2:] == (3,)
            small = image if image.size < 1e6 else None
            answer = ("read" if good else "no RGB image", small)
        except UnreadableImage as error:
            named = Path(path).name in str(error)
            answer = ("refused by name" if named else "refused without a name", None)
        except BaseException as error:
            answer = (f"{type(error).__name__} got through: {path}", None)
        connection.send((*answer, resident_memory(peak=True)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    whole = whole_files()
    files = {name: data for name, (data, _, _) in whole.items()}
    hostile = bombs()
    files.update(hostile)
    rng = np.random.default_rng(arguments.seed)
    files.update(damaged(whole, arguments.rounds, rng))

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=reader, args=(theirs,), daemon=True)
    process.start()
    before = ours.recv()
    counts, slowest, odd = Counter(), 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder) / name
            path.write_bytes(data)
            begun = time.perf_counter()
            ours.send(str(path))
            if not ours.poll(SECONDS) or not process.is_alive():
                raise SystemExit(f"{name}: the process hangs or died")
            answer, image, memory = ours.recv()
            slowest = max(slowest, time.perf_counter() - begun)
            kind = "bomb" if name in hostile else name.split("_")[0]
            kind = kind if name not in whole else "whole"
            counts[kind, answer] += 1
            path.unlink()
            _, seen, tolerance = whole.get(name, (None, None, 0))
            if seen is not None:
                far = np.abs(image.astype(int) - np.asarray(seen)).mean()
                if image.shape != np.asarray(seen).shape or far > tolerance:
                    odd.append(f"{name}: {image.shape}, off by {far:.1f}")
    for (kind, answer), count in sorted(counts.items()):
        print(f"{kind:8} {count:5} {answer}")
    print(f"{len(files)} files, the slowest took {slowest:.2f} s,", end=" ")
    print(f"{(memory - before) / 2**20:.0f} MiB more at the peak than before")
    print("Not as a person sees them:", *(odd or ["none"]), sep="\n  ")


if __name__ == "__main__":
    main()
