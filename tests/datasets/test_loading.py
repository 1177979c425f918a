"""Datasets: what comes, in which order, how it is cropped, and what is refused.

The images tell what became of them: red is 10 times the column, green 10 times the
row, blue the image's number. They are as large as the crops are taken from.
"""

import io
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gan_style import datasets, samples
from gan_style.datasets.sources import find_records
from gan_style.utils.images import NoImages, UnreadableImage

SIDE, LARGER = 16, 18
SHARED = Path(__file__).parents[2] / "shared" / "data"


def marked(number, height=LARGER, width=LARGER):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([10 * columns, 10 * rows, 0 * rows + number], -1).astype("uint8")


def write(folder, numbers, **size):
    folder.mkdir(parents=True)
    for number in numbers:
        Image.fromarray(marked(number, **size)).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    """Three images in A, numbers 1 to 3, and five in B, 101 to 105."""
    write(tmp_path / "trainA", range(1, 4))
    write(tmp_path / "trainB", range(101, 106))
    write(tmp_path / "testA", [11, 12])
    write(tmp_path / "testB", [111])
    return tmp_path


def load(folder, **options):
    return datasets.load(folder, SIDE, **options)


def bytes_of(batch):
    return np.rint((np.asarray(batch) + 1) * 127.5).astype("uint8")


def marks(image):
    """(number, top, left, flipped), read off one crop, all of whose pixels fit."""
    flipped = bool(image[0, 0, 0] > image[0, -1, 0])
    upright = image[:, ::-1] if flipped else image
    number, top, left = (int(v) for v in upright[0, 0, ::-1] // (1, 10, 10))
    whole = marked(number, top + SIDE, left + SIDE)
    np.testing.assert_array_equal(upright, whole[top:, left:])
    return number, top, left, flipped


def seen(data, epochs=1):
    """The marks of all images of A, and of B, in their order."""
    result = [], []
    for _ in range(epochs):
        for pair in data.train:
            for domain, batch in zip(result, pair, strict=True):
                domain += [marks(image) for image in bytes_of(batch)]
    return result


def numbers(marks):
    return [number for number, *_ in marks]


class TestTraining:
    def test_no_image_is_dropped_and_the_shorter_domain_repeats(self, folder):
        a, b = (numbers(domain) for domain in seen(load(folder), epochs=3))
        assert len(a) == len(b) == 15
        for first in range(0, 15, 5):
            assert sorted(b[first : first + 5]) == [101, 102, 103, 104, 105]
        for first in range(0, 15, 3):
            assert sorted(a[first : first + 3]) == [1, 2, 3]

    def test_an_epoch_that_batches_do_not_divide_fills_the_last_one(self, folder):
        data = load(folder, batch_size=2)
        a, b = (numbers(domain) for domain in seen(data))
        assert data.steps_per_epoch == 3
        assert len(b) == 6 and set(b) == {101, 102, 103, 104, 105}

    def test_a_batch_may_be_larger_than_both_domains(self, folder):
        a, b = next(iter(load(folder, batch_size=8).train))
        assert a.shape == b.shape == (8, SIDE, SIDE, 3)
        assert {n for n, *_ in map(marks, bytes_of(a))} == {1, 2, 3}
        assert {n for n, *_ in map(marks, bytes_of(b))} == {101, 102, 103, 104, 105}

    def test_both_domains_are_shuffled_anew_and_independently(self, folder):
        write(folder / "more" / "trainA", range(4))
        write(folder / "more" / "trainB", range(4))
        a, b = (numbers(d) for d in seen(load(folder / "more"), epochs=25))
        passes = [tuple(a[i : i + 4]) for i in range(0, 100, 4)]
        assert len(set(passes)) > 12
        # Were the orders one, there would be 4 pairs; or few, were one a fixed
        # function of the other.
        assert len(set(zip(a, b, strict=True))) == 16

    def test_every_order_is_as_likely(self, folder):
        write(folder / "a", range(3))
        read = load((folder / "a", folder / "a")).train.cursor.read
        items = [marks(read(item)[0])[0] for item in range(3 * 1200)]
        orders = [tuple(items[first : first + 3]) for first in range(0, 3600, 3)]
        counts = [orders.count(order) for order in set(orders)]
        assert len(counts) == 6 and min(counts) > 150 and max(counts) < 250

    def test_batches_are_the_same_on_every_machine(self, folder):
        write(folder / "a", range(6))
        read = load((folder / "a", folder / "a"), seed=7).train.cursor.read
        found = [marks(read(item)[1]) for item in range(6)]
        assert numbers(found) == [3, 1, 2, 5, 4, 0]
        assert found[3] == (5, 2, 1, True)

    def test_every_epoch_is_augmented_afresh(self, folder):
        a, b = seen(load(folder), epochs=12)
        one = [place for number, *place in b if number == 101]
        assert len(one) == 12 and len(set(map(tuple, one))) > 5  # of 18
        both = [*a, *b]
        assert {top for _, top, _, _ in both} == {0, 1, 2}
        assert {left for _, _, left, _ in both} == {0, 1, 2}
        flips = sum(flipped for *_, flipped in both)
        assert 36 < flips < 84  # of 120, half: 4.4 deviations

    def test_a_seed_fixes_all_and_another_changes_all(self, folder):
        first = seen(load(folder, seed=5), epochs=2)
        assert seen(load(folder, seed=5), epochs=2) == first
        other = seen(load(folder, seed=6), epochs=2)
        assert other[0] != first[0] and other[1] != first[1]
        assert numbers(other[1]) != numbers(first[1])

    @pytest.mark.parametrize("batch_size", [1, 2])
    @pytest.mark.parametrize("step", [2, 3, 7])
    def test_going_on_at_a_step_gives_the_same_batches(self, folder, step, batch_size):
        straight = seen(load(folder, batch_size=batch_size), epochs=4)
        resumed = load(folder, batch_size=batch_size)
        resumed.train.cursor.step = step
        later = seen(resumed, epochs=1)
        first, count = step * batch_size, resumed.steps_per_epoch * batch_size
        for want, got in zip(straight, later, strict=True):
            assert got == want[first : first + count]

    def test_images_are_float32_from_minus_1_to_1(self, tmp_path):
        for name, value in (("trainA", 0), ("trainB", 255)):
            (tmp_path / name).mkdir()
            Image.new("RGB", (20, 20), (value,) * 3).save(tmp_path / name / "1.png")
        a, b = next(iter(load(tmp_path).train))
        assert a.dtype == b.dtype == tf.float32
        assert np.all(a == -1) and np.all(b == 1)

    def test_the_shorter_side_is_scaled_and_crops_reach_both_ends(self, tmp_path):
        # Twice as large as needed and three times as wide as high.
        wide = np.repeat(np.repeat(marked(0, LARGER, 3 * LARGER), 2, 0), 2, 1)
        wide[..., 0] = np.linspace(0, 255, wide.shape[1])
        for name in ("trainA", "trainB"):
            (tmp_path / name).mkdir()
            Image.fromarray(wide).save(tmp_path / name / "1.png")
        data = load(tmp_path)
        reds, greens = [], []
        for _ in range(60):
            (a, _), *_ = data.train
            reds += [bytes_of(a)[..., 0].min(), bytes_of(a)[..., 0].max()]
            greens.append(np.ptp(bytes_of(a)[0, :, 0, 1].astype(int)))
        assert min(reds) < 40 and max(reds) > 215
        assert min(greens) > 140  # 16 of 18 rows, so 15 x 10 levels

    def test_batches_have_a_static_shape(self, folder):
        data = load(folder, batch_size=2)
        shapes = [spec.shape.as_list() for spec in data.train.element_spec]
        assert shapes == 2 * [[2, SIDE, SIDE, 3]]
        assert data.train.cardinality() == data.steps_per_epoch == 3

    def test_no_epoch_waits_for_a_thread_that_tunes(self, folder):
        data = load(folder)
        for dataset in (data.train, data.test):
            assert dataset.options().autotune.enabled is False

    def test_kept_images_and_those_read_each_time_are_the_same(self, folder):
        assert seen(load(folder), 2) == seen(load(folder, cache_megabytes=0), 2)

    def test_what_is_kept_is_read_once_and_what_is_not_each_time(self, folder):
        kept, read = load(folder), load(folder, cache_megabytes=0)
        seen(kept), seen(read)
        for path in folder.glob("train*/*"):
            path.unlink()
        assert len(seen(kept)[1]) == 5
        with pytest.raises(tf.errors.OpError):
            seen(read)
        assert "does not exist" in str(read.train.cursor.failure)

    def test_training_images_that_were_shown_are_kept_too(self, folder):
        data = load(folder)
        shown = data.train_a[:]
        for path in (folder / "trainA").iterdir():
            path.unlink()
        np.testing.assert_array_equal(data.train_a[:], shown)

    def test_drawing_on_an_image_leaves_the_one_that_is_kept(self, folder):
        data = load(folder)
        before = data.train_a[:]
        data.train_a[0][:] = 255
        np.testing.assert_array_equal(data.train_a[:], before)

    @pytest.mark.parametrize(
        ("megabytes", "training", "testing"),
        [(1.0, True, True), (0.0175, True, False), (0.009, False, False)],
    )
    def test_what_is_shown_counts_in_the_memory(
        self, folder, megabytes, training, testing
    ):
        # 8 training images of 18 x 18, 4/3 of them, and all 11 of 16 x 16:
        # 10,368 and 8,448 bytes.
        data = load(folder, cache_megabytes=megabytes)
        seen(data), list(data.test)
        for part in ("trainB", "testB"):
            for path in (folder / part).iterdir():
                path.unlink()
        for dataset, kept in ((data.train, training), (data.test, testing)):
            if kept:
                assert list(dataset)
            else:
                with pytest.raises(tf.errors.OpError, match="does not exist"):
                    list(dataset)


class TestTests:
    def test_pairs_are_the_images_as_they_are(self, folder):
        data = load(folder)
        pairs = [[bytes_of(x)[0] for x in pair] for pair in data.test]
        want = [[data.test_a[0], data.test_b[0]], [data.test_a[1], data.test_b[0]]]
        np.testing.assert_array_equal(pairs, want)
        assert data.test_a[1][0, 0, 2] == 12

    def test_the_last_batch_is_what_is_left(self, folder):
        write(folder / "x", range(5)), write(folder / "y", range(5))
        data = load((folder / "x", folder / "y"), batch_size=2, test_count=3)
        assert [len(a) for a, _ in data.test] == [2, 1]

    def test_are_taken_from_the_end_where_there_are_none(self, folder):
        data = load((folder / "trainA", folder / "trainB"), test_count=2)
        sets = (data.train_a, data.test_a, data.train_b, data.test_b)
        taken = [images[:][:, 0, 0, 2].tolist() for images in sets]
        assert taken == [[1], [2, 3], [101, 102, 103], [104, 105]]

    @pytest.mark.parametrize("count", [3, 4, 500])
    def test_that_leave_no_image_to_train_on_are_refused(self, folder, count):
        message = rf"test_count is {count}, .*at most 2: .*trainA holds 3 images"
        with pytest.raises(ValueError, match=message):
            load((folder / "trainA", folder / "trainB"), test_count=count)
        data = load((folder / "trainA", folder / "trainB"), test_count=2)
        assert [len(data.train_a), len(data.train_b)] == [1, 3]

    def test_one_image_in_each_domain_leaves_none_for_tests(self, folder):
        pair = (folder / "testB", folder / "testB")
        with pytest.raises(ValueError, match="is 1, .*at most 0: .* Add images"):
            load(pair, test_count=1)
        for options in ({}, {"test_count": 0}):
            data = load(pair, **options)
            assert [len(data.train_a), len(data.test_a)] == [1, 0]

    def test_counts_take_the_first_ones(self, folder):
        data = load(folder, train_count=2, test_count=1)
        assert data.train_b[:][:, 0, 0, 2].tolist() == [101, 102]
        assert data.test_a[:][:, 0, 0, 2].tolist() == [11]

    def test_none_without_any(self, folder):
        data = load((folder / "trainA", folder / "trainB"))
        assert data.test_a[:].shape == (0, SIDE, SIDE, 3) and list(data.test) == []


class TestSequences:
    def test_index_slice_and_end(self, folder):
        images = load(folder).train_b
        assert len(images) == 5 and images[0].shape == (SIDE, SIDE, 3)
        np.testing.assert_array_equal(images[-1], images[4])
        np.testing.assert_array_equal(images[1:4:2], [images[1], images[3]])
        np.testing.assert_array_equal(np.asarray(images), images[:])
        assert len(list(images)) == 5

    @pytest.mark.parametrize(
        ("index", "chosen"),
        [
            ([0, 1], [0, 1]),
            ([-1, 0, 0], [4, 0, 0]),
            (np.array([3, 1]), [3, 1]),
            (np.array([True, False, False, True, False]), [0, 3]),
            ([False, True, False, False, True], [1, 4]),
            (range(2), [0, 1]),
            ([], []),
            ([False] * 5, []),
            (slice(3, None), [3, 4]),
        ],
    )
    def test_a_list_or_a_mask_gives_one_array(self, folder, index, chosen):
        images = load(folder).train_b
        want = np.stack([images[i] for i in range(5)])[chosen]
        got = images[index]
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, want)

    @pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array, tf.constant])
    def test_numpys_integers_are_integers(self, folder, kind):
        images = load(folder).train_b
        np.testing.assert_array_equal(images[kind(3)], images[3])

    @pytest.mark.parametrize(
        "index", [5, -6, [0, 5], [True] * 4, (0, 1), 1.0, "a", [0.5], {}]
    )
    def test_other_indices_are_refused(self, folder, index):
        with pytest.raises(IndexError):
            load(folder).train_b[index]

    def test_a_image_that_is_no_square_is_cut_to_its_middle(self, tmp_path):
        for name in ("a", "b"):
            write(tmp_path / name, [7], height=SIDE, width=SIDE + 6)
        image = load((tmp_path / "a", tmp_path / "b")).train_a[0]
        np.testing.assert_array_equal(image, marked(7, SIDE, SIDE + 6)[:, 3:-3])


def damaged(folder, name, keep):
    """Cuts an image file after some of its bytes."""
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(keep * len(content))])
    return str(folder / name)


class TestUnreadable:
    def test_error_counts_and_names_before_training(self, folder):
        broken = damaged(folder / "trainB", "102.png", 0)
        with pytest.raises(UnreadableImage) as caught:
            load(folder)
        assert "1 of 5" in str(caught.value) and broken in str(caught.value)
        assert "unreadable='skip'" in str(caught.value)

    def test_skip_names_it_once_and_goes_on(self, folder):
        broken = damaged(folder / "trainB", "102.png", 0)
        with pytest.warns(UserWarning) as warned:
            data = load(folder, unreadable="skip")
            _, b = seen(data, epochs=3)
        assert [broken in str(w.message) for w in warned] == [True]
        assert len(data.skipped) == 1 and broken in data.skipped[0]
        assert data.steps_per_epoch == 4 and len(data.train_b) == 4
        assert sorted(numbers(b)) == sorted(3 * [101, 103, 104, 105])

    def test_damage_behind_the_header_ends_training_by_its_name(self, folder):
        broken = damaged(folder / "trainB", "102.png", 0.6)
        data = load(folder)
        with pytest.raises(tf.errors.OpError):
            seen(data)
        assert isinstance(data.train.cursor.failure, UnreadableImage)
        assert broken in str(data.train.cursor.failure)

    @pytest.mark.parametrize("cache_megabytes", [0, 64])
    def test_damage_behind_the_header_is_skipped_once(self, folder, cache_megabytes):
        broken = damaged(folder / "trainB", "102.png", 0.6)
        with pytest.warns(UserWarning) as warned:
            data = load(folder, unreadable="skip", cache_megabytes=cache_megabytes)
            first = seen(data, epochs=4)
        assert [broken in str(w.message) for w in warned] == [True]
        assert [broken in message for message in data.skipped] == [True]
        assert set(numbers(first[1])) == {101, 103, 104, 105}

    def test_a_test_image_is_skipped_as_well(self, folder):
        broken = damaged(folder / "testA", "011.png", 0.6)
        with pytest.warns(UserWarning, match="Skipped"):
            data = load(folder, unreadable="skip")
        assert broken in data.skipped[0]
        assert data.test_a[:][:, 0, 0, 2].tolist() == [12]
        assert len(list(data.test)) == 1

    def test_skipping_all_is_no_training(self, folder):
        for name in os.listdir(folder / "trainA"):
            damaged(folder / "trainA", name, 0.6)
        with pytest.raises(UnreadableImage, match="3 of 3"):
            load(folder, unreadable="skip")


def jpeg(number):
    buffer = io.BytesIO()
    Image.fromarray(marked(number)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def example(number, **features):
    features = {
        "image": jpeg(number),
        "image_name": b"%d" % number,
        "target": b"monet",
        **features,
    }
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in features.items()
            }
        )
    ).SerializeToString()


def write_shard(path, records, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), **options) as writer:
        for record in records:
            writer.write(record)


def second_reader(folder):
    """TensorFlow's own way: the images of all shards, in order."""
    shards = sorted(str(path) for path in Path(folder).iterdir())
    for record in tf.data.TFRecordDataset(shards):
        features = {"image": tf.io.FixedLenFeature((), tf.string)}
        content = tf.io.parse_single_example(record, features)["image"].numpy()
        yield np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


class TestRecords:
    @pytest.fixture
    def records(self, tmp_path):
        for kind, shards in (("monet", ((1, 2), (3,))), ("photo", ((101,), (102,)))):
            for i, shard in enumerate(shards):
                path = tmp_path / f"{kind}_tfrec" / f"{kind}{i:02}-{len(shard)}.tfrec"
                write_shard(path, map(example, shard))
        return tmp_path

    def test_equal_those_of_a_second_reader(self, records):
        for kind, count in (("monet", 3), ("photo", 2)):
            images = find_records(records / f"{kind}_tfrec")
            want = list(second_reader(records / f"{kind}_tfrec"))
            assert len(images) == len(want) == count
            for i in (*range(count), 0):  # in any order
                np.testing.assert_array_equal(images[i].read(), want[i])

    def test_come_through_kaggles_layout(self, records):
        data = datasets.load(records, LARGER)
        assert data.names == ("monet", "photo")
        want = np.stack(list(second_reader(records / "monet_tfrec")))
        np.testing.assert_array_equal(data.train_a[:], want)
        assert len(list(data.train)) == 3

    def test_a_name_says_shard_and_record(self, records):
        name = str(find_records(records / "monet_tfrec")[2])
        assert name.endswith("monet01-1.tfrec, record 0")

    def test_real_shards(self):
        folder = SHARED / "kaggle_tfrec" / "monet_tfrec"
        if not folder.is_dir():
            pytest.skip("the competition's shard is not here")
        images, want = find_records(folder), list(second_reader(folder))
        assert len(images) == len(want) == 60
        for i in (0, 31, 59):
            np.testing.assert_array_equal(images[i].read(), want[i])

    def test_a_truncated_shard_is_named(self, records):
        broken = damaged(records / "photo_tfrec", "photo01-1.tfrec", 0.5)
        with pytest.raises(
            UnreadableImage, match="is truncated or damaged at record 0"
        ) as e:
            load(records)
        assert broken in str(e.value)

    @pytest.mark.parametrize("content", [bytes(1 << 16), b"x" * 99, bytes(5)])
    def test_what_holds_no_records_is_named(self, records, content):
        (records / "photo_tfrec" / "photo02-1.tfrec").write_bytes(content)
        with pytest.raises(
            UnreadableImage, match=r"photo02-1.*is truncated or damaged"
        ):
            load(records)

    def test_a_compressed_shard_is_named(self, records):
        path = records / "photo_tfrec" / "photo02-1.tfrec"
        write_shard(path, [example(5)], options="GZIP")
        with pytest.raises(UnreadableImage, match=r"photo02-1.*is compressed"):
            load(records)

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            (example(5, image=b"no image"), "not an image that can be read"),
            (b"\xff\xff", "must be a tf.train.Example"),
            (tf.train.Example().SerializeToString(), "'image' with the bytes"),
        ],
        ids=["no image", "no example", "no image"],
    )
    def test_a_broken_record_is_named_or_skipped(self, records, record, message):
        path = records / "monet_tfrec" / "monet02-1.tfrec"
        write_shard(path, [record])
        with pytest.raises(UnreadableImage, match=message) as caught:
            find_records(path.parent)[3].read()
        assert f"{path}, record 0" in str(caught.value)
        with pytest.warns(UserWarning, match="record 0"):
            data = load(records, unreadable="skip")
        assert len(list(data.train)) == 3
        assert len(data.skipped) == 1


KINDS = {
    "grey": lambda x: Image.fromarray(x[..., 0]),
    "grey and opacity": lambda x: Image.fromarray(x[..., 0]).convert("LA"),
    "palette": lambda x: Image.fromarray(x[..., 0]).convert("P"),
    "RGBA": lambda x: Image.fromarray(np.dstack([x, x[..., :1] * 0 + 255])),
    "16 bits": lambda x: Image.fromarray(x[..., 0].astype("uint16") * 257),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_becomes_rgb_of_8_bits(tmp_path, kind):
    whole = np.repeat(marked(0, SIDE, SIDE)[..., :1], 3, -1)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        KINDS[kind](whole).save(tmp_path / name / "x.png")
    data = load((tmp_path / "a", tmp_path / "b"))
    np.testing.assert_array_equal(data.train_a[0], whole)
    (a, _), *_ = data.train
    assert a.shape == (1, SIDE, SIDE, 3)


class TestLeftOut:
    """What looks like an image and is not used is named once."""

    @pytest.mark.parametrize("unreadable", ["error", "skip"])
    def test_other_kinds_and_subfolders(self, folder, unreadable):
        write(folder / "trainA" / "more", [1])
        (folder / "trainA" / "raw.CR2").touch()
        (folder / "testB" / "x.psd").touch()
        for name in ("notes.txt", ".hidden.psd", "more/.x.png"):
            (folder / "trainA" / name).touch()
        with pytest.warns(UserWarning, match="Skipped") as warned:
            data = load(folder, unreadable=unreadable)
        assert len(data.train_a) == 3 and len(data.test_b) == 1
        (warning,) = warned
        left_out = ("trainA/more/001.png", "trainA/raw.CR2", "testB/x.psd")
        for name, message in zip(left_out, data.skipped, strict=True):
            assert f"{folder / name}: is not used" in message
            assert message in str(warning.message)

    def test_a_warning_names_the_first_ones_and_a_number(self, folder):
        for number in range(9):
            (folder / "trainA" / f"{number}.psd").touch()
        with pytest.warns(UserWarning, match=r"4\.psd: .*\n4 more, see `skipped`"):
            assert len(load(folder).skipped) == 9

    def test_images_beside_shards(self, folder):
        (folder / "photo_tfrec").mkdir()
        write_shard(folder / "monet_tfrec" / "a.tfrec", [example(1)])
        write_shard(folder / "photo_tfrec" / "a.tfrec", [example(1)])
        Image.fromarray(marked(1)).save(folder / "photo_tfrec" / "preview.png")
        with pytest.warns(UserWarning, match=r"preview\.png: is not used"):
            data = load((folder / "monet_tfrec", folder / "photo_tfrec"))
        assert len(data.train_b) == 1

    @pytest.mark.skipif(find_spec("pillow_heif") is not None, reason="it can be read")
    def test_heic_and_avif(self, folder):
        Image.fromarray(marked(4)).save(folder / "trainA" / "x.avif")
        (folder / "trainA" / "x.heic").write_bytes(b"\0\0\0\x24ftypheic" + bytes(50))
        with pytest.raises(UnreadableImage, match=r"x\.heic: is HEIC.*\[heic\]"):
            load(folder)
        with pytest.warns(UserWarning, match=r"x\.heic: is HEIC"):
            data = load(folder, unreadable="skip")
        assert len(data.train_a) == 4 and len(data.skipped) == 1


class TestSources:
    def test_folders_of_the_usual_layout(self, folder):
        data = load(folder)
        counts = [len(p) for p in (data.train_a, data.train_b, data.test_a)]
        assert data.names == ("A", "B") and counts == [3, 5, 2]
        assert repr(data) == (
            "<A and B, 16 x 16: 3 and 5 for training, 2 and 1 for testing>"
        )

    def test_kaggles_folders_of_jpegs(self, tmp_path):
        for name, number in (("monet_jpg", 1), ("photo_jpg", 101)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.jpg").write_bytes(jpeg(number))
        data = load(tmp_path, test_count=0)
        assert data.names == ("monet", "photo")
        assert abs(int(data.train_b[0][0, 0, 2]) - 101) < 20

    def test_two_folders_have_their_names(self, folder):
        data = load((folder / "testA", str(folder / "trainB")))
        assert data.names == ("testA", "trainB")
        assert [len(data.train_a), len(data.train_b)] == [2, 5]

    def test_swap(self, folder):
        data = load(folder, swap=True)
        assert data.names == ("B", "A")
        assert [len(data.train_a), len(data.train_b)] == [5, 3]
        assert data.test_a[0][0, 0, 2] == 111 and data.test_b[1][0, 0, 2] == 12

    @pytest.mark.parametrize("kind", ["fruit", "landscape"])
    def test_samples_have_true_pairs(self, kind):
        data = datasets.load(f"samples/{kind}", 32, train_count=4, test_count=3)
        draw, (a, b) = getattr(samples, kind), data.names
        for i in range(3):
            seed = data.test_a.sources[i].seed
            np.testing.assert_array_equal(data.test_a[i], draw(a, seed, 32))
            np.testing.assert_array_equal(data.truth_ab[i], draw(b, seed, 32))
        swapped = datasets.load(
            f"samples/{kind}", 32, train_count=4, test_count=3, swap=True
        )
        np.testing.assert_array_equal(swapped.test_a[:], data.test_b[:])
        assert isinstance(data.truth_ab, np.ndarray)
        np.testing.assert_array_equal(swapped.truth_ab, data.truth_ba)
        np.testing.assert_array_equal(swapped.truth_ba, data.truth_ab)

    def test_samples_train_on_no_pair_and_on_no_test_image(self):
        data = datasets.load("samples/fruit", 16, train_count=30, test_count=30)
        sets = [data.train_a, data.train_b, data.test_a, data.test_b]
        sets += [data.truth_ab, data.truth_ba]
        everything = np.concatenate([np.asarray(s) for s in sets])
        assert len({image.tobytes() for image in everything}) == 180

    def test_no_test_images_have_an_empty_truth(self):
        data = datasets.load("samples/fruit", 16, train_count=2, test_count=0)
        assert isinstance(data.truth_ab, np.ndarray)
        assert data.truth_ab.shape == (0, 16, 16, 3)

    def test_photographs_have_no_truth(self, folder):
        assert load(folder).truth_ab is None and load(folder).truth_ba is None


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"image_size": 0}, "image_size is 0"),
            ({"batch_size": 1.5}, "batch_size is 1.5"),
            ({"seed": -1}, "seed is -1"),
            ({"train_count": 0}, "train_count is 0"),
            ({"test_count": -1}, "test_count is -1"),
            ({"cache_megabytes": "all"}, "cache_megabytes is 'all'"),
            ({"unreadable": "ignore"}, "unreadable is 'ignore'.*'error' or 'skip'"),
        ],
    )
    def test_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            datasets.load("samples/fruit", **options)

    def test_an_unknown_name_lists_the_known_ones(self):
        with pytest.raises(ValueError, match=r"'apples'.*samples/fruit.*apple2orange"):
            datasets.load("apples")

    def test_a_folder_below_the_home(self, folder, monkeypatch):
        monkeypatch.setenv("HOME", str(folder.parent))
        assert len(load(f"~/{folder.name}").train_b) == 5
        assert len(load((f"~/{folder.name}/trainA", folder / "trainB")).train_a) == 3

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(NoImages, match="none', which is no folder"):
            load(tmp_path / "none")

    def test_a_folder_of_another_layout_says_what_it_holds(self, folder):
        os.rename(folder / "trainB", folder / "oranges")
        with pytest.raises(NoImages, match=r"oranges.*trainA and trainB"):
            load(folder)

    def test_an_empty_domain(self, folder):
        for path in (folder / "trainB").iterdir():
            path.unlink()
        with pytest.raises(NoImages, match=r"trainB: holds no image"):
            load(folder)

    def test_three_folders(self, folder):
        with pytest.raises(ValueError, match="source .* must be a path"):
            load([folder] * 3)

    @pytest.mark.parametrize("source", [None, 7, object()])
    def test_what_is_no_source(self, source):
        with pytest.raises(ValueError, match="source .*must be a path"):
            datasets.load(source)
