"""Hostile and damaged zip archives: nothing outside, nothing half, nothing endless."""

import hashlib
import os
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from gan_style.datasets import downloads
from gan_style.utils.archives import BadArchive, check_stored, unpack


@pytest.fixture
def home(tmp_path):
    """A folder whose neighbourhood has to stay as it is."""
    folder = tmp_path / "cache"
    folder.mkdir()
    yield folder
    assert os.listdir(tmp_path) == ["cache"]


def write(home, members, compression=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings(), zipfile.ZipFile(home / "a.zip", "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in members:
            archive.writestr(name, content, compression)
    return home / "a.zip"


def change(path, *changes):
    """Replaces bytes of a file by others of the same number."""
    content = path.read_bytes()
    for old, new in changes:
        assert old in content and len(old) == len(new)
        content = content.replace(old, new)
    path.write_bytes(content)


def refused(home, message, **limits):
    with pytest.raises(BadArchive, match=message) as caught:
        unpack(home / "a.zip", home / "a", **limits)
    assert "a.zip" in str(caught.value) and len(str(caught.value)) < 700
    assert os.listdir(home) == ["a.zip"]


@pytest.mark.parametrize(
    "name",
    [
        *("/outside", "//outside", "../outside", "x/../../outside", "..", "x/.."),
        *("..\\outside", "x\\..\\..\\outside", "\\outside", "\\\\host\\share\\x"),
        *("C:outside", "C:/outside", "c:\\outside", "x/y:stream", "file:///outside"),
    ],
)
def test_a_name_that_points_outside_is_refused(home, name):
    write(home, [("good.png", b"1"), (name, b"2")])
    refused(home, "points outside; nothing was unpacked")


@pytest.mark.parametrize("name", [b"a\0b.png", b"\0ab.png", b"../\0.png", b"a\nb.png"])
def test_a_name_that_no_list_would_show_is_refused(home, name):
    change(write(home, [("XXXXXXXX"[: len(name)], b"1")]), (b"X" * len(name), name))
    refused(home, "points outside|no name that can be shown")


def test_a_name_of_dots_alone_is_refused(home):
    write(home, [(".", b"1")])
    refused(home, "no name that can be shown")


def test_a_name_in_an_old_encoding_is_read_as_zip_says(home):
    change(write(home, [("aXb.png", b"1")]), (b"aXb", b"a\x81b"))  # code page 437
    unpack(home / "a.zip", home / "a")
    assert os.listdir(home / "a") == ["aüb.png"]


def test_dots_behind_an_old_encoding_are_dots(home):
    change(write(home, [("X/Y/Zab", b"1")]), (b"X/Y/Zab", b"../../\x81"))
    refused(home, "points outside")


def test_a_name_that_is_no_text_is_refused(home):
    change(write(home, [("aéb.png", b"1")]), ("é".encode(), b"\xff\xfe"))
    refused(home, "is no whole zip archive")


@pytest.mark.parametrize("name", ["a" * 300, "/".join(["a" * 200] * 40)])
def test_a_name_too_long_for_the_disk_is_refused(home, name):
    write(home, [("good.png", b"1"), (name, b"1")])
    refused(home, "cannot be unpacked here")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.png", "a.png"), "is there twice"),
        (("a.png", "A.PNG"), "is there twice"),
        (("a.png", "./a.png"), "is there twice"),
        (("a", "a/b.png"), "as a file and as a folder"),
        (("a/b.png", "A"), "as a file and as a folder"),
        (("a/", "a"), "as a file and as a folder"),
    ],
)
def test_one_name_for_two_things_is_refused(home, names, message):
    write(home, [(name, b"") for name in names])
    refused(home, message)


@pytest.mark.parametrize("kind", [0o120777, 0o120000])
@pytest.mark.parametrize("target", ["/etc/passwd", "../..", "good.png"])
def test_a_link_is_refused_wherever_it_leads(home, kind, target):
    link = zipfile.ZipInfo("link")
    link.external_attr = kind << 16
    write(home, [("good.png", b"1"), (link, target), ("link/x.png", b"1")])
    refused(home, "is a link")


@pytest.mark.parametrize("kind", [0o060666, 0o020666, 0o010666, 0o104777])
def test_a_device_a_pipe_or_a_program_becomes_a_plain_file(home, kind):
    special = zipfile.ZipInfo("special")
    special.external_attr = kind << 16
    write(home, [(special, b"content")])
    unpack(home / "a.zip", home / "a")
    path = home / "a" / "special"
    assert path.read_bytes() == b"content" and path.stat().st_mode & 0o7111 == 0


def test_a_bomb_by_ratio_is_refused_before_it_is_unpacked(home):
    write(home, [("bomb.png", bytes(80_000_000))])
    assert (home / "a.zip").stat().st_size < 80_000
    refused(home, r"unpacks to 80000000, but at most 67108864")


def test_a_bomb_of_many_members_is_refused(home):
    write(home, [(f"{i}.png", bytes(9_000_000)) for i in range(8)])
    refused(home, "unpacks to 72000000")


def test_a_bomb_that_hides_its_size_gives_no_more_than_it_announces(home):
    archive = write(home, [("bomb.png", bytes(80_000_000))])
    size = (80_000_000).to_bytes(4, "little")
    change(archive, (size, (1000).to_bytes(4, "little")))
    tracemalloc.start()
    refused(home, "Bad CRC|cannot be unpacked")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_bomb_by_count_is_refused(home):
    write(home, [(f"{i}", b"") for i in range(2000)])
    refused(home, "has 2000 members, at most 1999 fit", most_files=1999)


def test_members_that_share_their_bytes_are_refused(home):
    content = np.random.default_rng(0).bytes(100_000)
    archive = write(home, [("a", content), ("b", b"")])
    raw = bytearray(archive.read_bytes())
    first = raw.index(b"PK\1\2")
    second, end = raw.index(b"PK\1\2", first + 1), raw.index(b"PK\5\6")
    raw[second:end] = raw[first : first + 46] + b"b"  # the second is the first, renamed
    archive.write_bytes(raw)
    refused(home, "its members overlap")


def test_a_image_set_that_shrinks_well_is_no_bomb(home):
    write(home, [(f"{i}.bmp", bytes(100_000)) for i in range(20)])
    unpack(home / "a.zip", home / "a")
    assert len(os.listdir(home / "a")) == 20


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(home, kind):
    write(home, [("a.png", b"1" * 1000)], kind)
    refused(home, "neither stored nor deflated")


def test_what_takes_a_password_is_refused(home):
    archive = write(home, [("a.png", b"1")], zipfile.ZIP_STORED)
    raw = bytearray(archive.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(raw)
    refused(home, "takes a password")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\5\6" + bytes(18), None])
def test_what_is_no_archive_is_refused(home, content):
    if content is None:
        with pytest.raises(BadArchive, match="No such file"):
            unpack(home / "a.zip", home / "a")
        assert os.listdir(home) == []
        return
    (home / "a.zip").write_bytes(content)
    refused(home, "a.zip", inside="tiny")


def test_damaged_content_is_refused(home):
    archive = write(home, [("a.png", np.random.default_rng(0).bytes(9000))])
    raw = bytearray(archive.read_bytes())
    raw[100:120] = b"\xff" * 20
    archive.write_bytes(raw)
    refused(home, "a.zip")


def test_what_is_refused_is_never_trusted_as_a_dataset(home, monkeypatch):
    archive = write(home, [("tiny/trainA/a.png", b"1"), ("../x", b"1")])
    archive = archive.rename(home / "tiny.zip")
    content = archive.read_bytes()
    facts = (len(content), hashlib.sha256(content).hexdigest(), ("a", "b"))
    monkeypatch.setitem(downloads.DATASETS, "tiny", downloads.Dataset(*facts))
    for _ in range(2):
        with pytest.raises(downloads.DownloadFailed, match=r"tiny.*points outside"):
            downloads.fetch_dataset("tiny", cache=home)
        assert sorted(os.listdir(home)) == ["tiny.lock", "tiny.zip"]


def test_a_stored_archive_passes_and_a_shrunk_one_does_not(tmp_path):
    np.savez(tmp_path / "stored.npz", x=np.zeros(9000))
    check_stored(tmp_path / "stored.npz")
    np.savez_compressed(tmp_path / "shrunk.npz", x=np.zeros(9000))
    with pytest.raises(BadArchive, match="which no file of its kind does"):
        check_stored(tmp_path / "shrunk.npz")
