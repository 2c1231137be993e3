"""CIFAR-10: what is checked, where it is read from, and the binary task made of it."""

import hashlib
import lzma
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from ssbrepro.data import DATASETS, bundle, cifar10, official
from ssbrepro.data.cifar10 import DataError, check, load, load_classes

NAMES = {
    *(f"data_batch_{batch}" for batch in range(1, 6)),
    "test_batch",
    "batches.meta",
}
# As published with the dataset; not taken from the code under test.
MD5_OF_BATCH_1 = "c99cafc152244af753f735de768cd75f"


def declare(monkeypatch, contents: dict[str, bytes]) -> None:
    """Declare these contents the official files."""
    digests = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(official, "MD5", digests)


def write(root: Path, contents: dict[str, bytes]) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def test_an_empty_folder_lacks_all_seven_files(tmp_path):
    bad = check(tmp_path)
    assert {file.path.name for file in bad} == NAMES
    assert {file.path.parent for file in bad} == {tmp_path / "cifar-10-batches-py"}
    first = next(file for file in bad if file.path.name == "data_batch_1")
    assert first.found_md5 is None
    assert first.expected_md5 == MD5_OF_BATCH_1
    assert str(first) == f"{first.path}: expected MD5 {MD5_OF_BATCH_1}, the file is missing"


def test_a_folder_that_does_not_exist_lacks_all_seven_files(tmp_path):
    assert len(check(tmp_path / "nowhere")) == 7


def test_a_damaged_file_is_named_with_the_expected_and_the_found_md5(tmp_path):
    write(tmp_path, dict.fromkeys(NAMES, b"not an image"))
    bad = check(tmp_path)
    assert {file.path.name for file in bad} == NAMES
    found = hashlib.md5(b"not an image").hexdigest()
    first = next(file for file in bad if file.path.name == "data_batch_1")
    assert str(first) == f"{first.path}: expected MD5 {MD5_OF_BATCH_1}, found MD5 {found}"


def test_a_folder_in_the_place_of_a_file_is_a_missing_file(tmp_path):
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").mkdir(parents=True)
    bad = {file.path.name: file for file in check(tmp_path)}
    assert bad["data_batch_1"].found_md5 is None


def test_only_what_is_wrong_is_named(monkeypatch, tmp_path):
    declare(monkeypatch, {"a": b"1", "b": b"2", "c": b"3"})
    write(tmp_path, {"a": b"1", "b": b"two", "unrelated": b"4"})
    assert [file.path.name for file in check(tmp_path)] == ["b", "c"]


def test_a_data_error_names_every_file_and_the_reason(tmp_path):
    bad = check(tmp_path)
    error = DataError(bad, "no network")
    assert error.files == tuple(bad)
    lines = str(error).splitlines()
    assert lines == [*map(str, bad), "no network"]


def test_data_is_never_loaded_unchecked(tmp_path):
    write(tmp_path, {"data_batch_1": b"\x80\x04not a pickle to be trusted"})
    with pytest.raises(DataError) as caught:
        load(tmp_path, (0,), (1,), 10)
    (bad,) = caught.value.files
    assert bad.path == tmp_path / "cifar-10-batches-py" / "data_batch_1"
    assert str(caught.value) == str(bad)
    with pytest.raises(DataError):
        load_classes(tmp_path, 10)


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled_even_where_the_md5_is_right(monkeypatch, tmp_path):
    exploded = tmp_path / "exploded"
    content = pickle.dumps({"labels": [3, 7], "data": Bomb(exploded)}, protocol=2)
    declare(monkeypatch, {"data_batch_1": content})
    write(tmp_path, {"data_batch_1": content})
    assert check(tmp_path) == []
    assert official.parse(content) == (b"", [3, 7])
    assert not exploded.exists()


def test_a_batch_is_its_longest_text_and_the_numbers_after_labels():
    pixels = "\x00\xff" * (official.PIXEL_BYTES // 2)
    # Texts of Python 2 are what the official files hold; only by hand are they written today.
    text = b"T" + len(pixels).to_bytes(4, "little") + pixels.encode("latin-1")
    content = (
        b"\x80\x02}("
        b"U\x06labelsq\x01](K\x06K\x09K\x00e"
        b"U\x04dataq\x02" + text + b"U\x05otherq\x03](K\x05K\x04eu."
    )
    batch = official.parse(content)
    assert batch.labels == [6, 9, 0]
    assert batch.pixels == pixels.encode("latin-1")


def test_the_key_of_a_step_names_the_archive():
    assert official.ARCHIVE_MD5 in DATASETS["cifar10"].digest


# The first images, of the bundled batch unless there is a folder. ``data_root`` is empty.


@pytest.fixture(scope="module")
def first_batch():
    """Pixels (10000, 3, 32, 32) and classes of the first batch."""
    pixels, labels = official.parse(bundle.read())
    return np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32), np.array(labels)


def standardised(pixels):
    """In float64, each channel by its mean and deviation over all images."""
    images = pixels.astype(np.float64)
    mean = images.mean(axis=(0, 2, 3), keepdims=True)
    return (images - mean) / images.std(axis=(0, 2, 3), keepdims=True)


def test_the_first_images_of_the_classes_come_in_the_order_of_the_dataset(data_root, first_batch):
    pixels, labels = first_batch
    inputs, targets = load(data_root, (7, 2), (0, 9), 300)
    chosen = [i for i, label in enumerate(labels) if label in (0, 2, 7, 9)][:300]
    assert inputs.shape == (300, 3, 32, 32)
    assert inputs.dtype == targets.dtype == torch.float32
    expected = [1.0 if labels[i] in (2, 7) else -1.0 for i in chosen]
    assert targets.tolist() == expected
    assert sorted(set(expected)) == [-1.0, 1.0]
    # One rounding to float32 of numbers below 4.
    np.testing.assert_allclose(inputs, standardised(pixels[chosen]), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("num_examples", [1, 7, 24])
def test_each_channel_has_zero_mean_and_unit_variance_over_the_images_taken(
    data_root, num_examples
):
    inputs = load(data_root, (0, 1), (2, 3), num_examples).inputs.double()
    # Each value is rounded to float32: 6e-8 of at most 4, and their mean is closer still.
    assert inputs.mean(dim=(0, 2, 3)).abs().max() < 2e-7
    assert (inputs.square().mean(dim=(0, 2, 3)) - 1).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("positive", "negative", "num_examples", "message"),
    [
        ((0, 1), (1, 2), 5, r"classes \[1\] are on both sides"),
        ((), (1,), 5, "both sides"),
        ((1,), (), 5, "both sides"),
        ((0,), (1,), 10_001, "10001 examples asked for; these classes have 10000 training images"),
        ((0, 0), (1, 10), 10_001, "these classes have 10000"),
        ((0,), (1,), 0, "0 examples"),
        ((0,), (1,), -1, "-1 examples"),
    ],
)
def test_an_impossible_task_is_an_error(data_root, positive, negative, num_examples, message):
    with pytest.raises(ValueError, match=message):
        load(data_root, positive, negative, num_examples)


@pytest.mark.parametrize("num_examples", [0, 50_001])
def test_more_images_than_there_are_is_an_error(data_root, num_examples):
    message = f"{num_examples} examples asked for; these classes have 50000"
    with pytest.raises(ValueError, match=message):
        load_classes(data_root, num_examples)


def test_all_that_the_bundle_has_can_be_asked_for_and_no_more(data_root):
    assert len(load(data_root, (0,), (1,), 1979).inputs) == 1979
    with pytest.raises(DataError) as caught:
        load(data_root, (1,), (0,), 1980)
    assert caught.value.files == ()
    assert str(caught.value) == (
        "1980 images of the classes [0, 1] are needed; the bundled first batch has 1979, "
        f"and there is no {data_root / 'cifar-10-batches-py'}"
    )


def test_a_channel_without_contrast_is_an_error(monkeypatch, data_root, first_batch):
    pixels = first_batch[0].copy()
    pixels[:, 1] = 7
    batch = official.Batch(pixels.tobytes(), first_batch[1].tolist())
    monkeypatch.setattr(official, "parse", lambda content: batch)
    with pytest.raises(ValueError, match="channel"):
        load(data_root, (0,), (1,), 12)


def test_symmetric_scaling_takes_black_to_minus_one_and_white_to_one(data_root, first_batch):
    inputs, _ = load(data_root, range(5), range(5, 10), 10, "symmetric")
    pixels, _ = first_batch
    expected = pixels[:10].astype(np.float64) / 255 * 2 - 1
    # float32 of numbers of magnitude at most one
    assert np.abs(inputs.numpy() - expected).max() <= 6e-8


def test_an_unknown_scaling_is_an_error(data_root):
    with pytest.raises(ValueError, match="unknown scaling 'raw'"):
        load(data_root, (0,), (1,), 12, "raw")


def test_all_ten_classes_come_in_the_order_of_the_dataset(data_root, first_batch):
    inputs, labels = load_classes(data_root, 25)
    assert labels.dtype == torch.int64
    assert labels.tolist() == first_batch[1][:25].tolist()
    # The binary task that takes every class has the same images, bit for bit.
    assert torch.equal(inputs, load(data_root, range(5), range(5, 10), 25).inputs)


def test_a_folder_counts_even_if_it_is_empty_and_only_what_is_needed_is_read(tmp_path, first_batch):
    write(tmp_path, {})
    with pytest.raises(DataError, match=r"data_batch_1: expected MD5 .* the file is missing"):
        load_classes(tmp_path, 10)
    write(tmp_path, {"data_batch_1": bundle.read(), "data_batch_2": b"damaged"})
    assert load_classes(tmp_path, 10_000).labels.tolist() == first_batch[1].tolist()
    with pytest.raises(DataError, match=r"data_batch_2: expected MD5 .* found MD5"):
        load_classes(tmp_path, 10_001)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("SHEET", b""),
        ("SHEET", b"RIFF"),
        ("SHEET", b"\xff" * 1000),
        # The sheet is decoded first. One that decompresses, to another content, and one that does not.
        ("FRAME", lzma.compress(b"nothing")),
        ("FRAME", b"RIFF"),
    ],
)
def test_a_damaged_bundle_is_no_data(monkeypatch, tmp_path, data_root, name, damage):
    path = tmp_path / getattr(bundle, name).name
    path.write_bytes(damage)
    monkeypatch.setattr(bundle, name, path)
    with pytest.raises(DataError, match=r"bundled batch .* is damaged"):
        load_classes(data_root, 10)
    if name == "SHEET":
        with pytest.raises(DataError):
            cifar10.inspect(Path("nowhere"))


def test_a_bundle_of_another_content_is_no_data(monkeypatch, data_root):
    content = bytearray(bundle.read())
    content[1_000_000] ^= 1
    monkeypatch.setattr(bundle, "read", lambda: bytes(content))
    with pytest.raises(DataError, match=f"expected MD5 {MD5_OF_BATCH_1}, found MD5"):
        load_classes(data_root, 10)


@pytest.fixture(scope="module")
def real(data_root):
    return load(data_root, range(5), range(5, 10), 1000)


def test_the_first_real_images_are_a_frog_two_trucks_a_deer_and_two_cars(real):
    # Classes of the first training images: 6, 9, 9, 4, 1, 1, 2, 7, 8, 3.
    assert real.targets[:10].tolist() == [-1, -1, -1, 1, 1, 1, 1, -1, -1, 1]


def test_the_first_real_classes_are_those_of_the_binary_task(data_root, real):
    inputs, labels = load_classes(data_root, 1000)
    assert labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert torch.equal(inputs, real.inputs)


def test_the_real_images_are_standardised_exactly(real):
    inputs = real.inputs.double()
    assert inputs.shape == (1000, 3, 32, 32)
    # 1e6 float32 roundings of either sign average out to far below one of them, 1e-7.
    assert inputs.mean(dim=(0, 2, 3)).abs().max() < 1e-7
    assert (inputs.square().mean(dim=(0, 2, 3)) - 1).abs().max() < 1e-6
    # Pixels are bytes: 256 values a channel at most, evenly spaced.
    for channel in range(3):
        values = inputs[:, channel].unique()
        assert len(values) <= 256
        steps = values.diff()
        torch.testing.assert_close(steps, steps.round(decimals=4), rtol=0, atol=1e-4)
        assert (steps / steps.min()).round().max() < 3


def test_the_first_real_pixels_are_those_of_the_frog(real):
    # The top left pixel of the first training image is (59, 62, 63), the next (43, 46, 45).
    first = real.inputs[0, :, 0, 0].double()
    second = real.inputs[0, :, 0, 1].double()
    brightness = [59 - 43, 62 - 46, 63 - 45]
    units = (first - second) / torch.tensor(brightness)
    for channel in range(3):
        # One unit of brightness in standardised units: the smallest step between values.
        step = real.inputs[:, channel].double().unique().diff().median()
        assert units[channel].item() == pytest.approx(step.item(), rel=1e-4)


# The whole dataset, where there is one.


def test_the_real_files_are_the_official_ones(whole_dataset):
    assert check(whole_dataset) == []


@pytest.fixture(scope="module")
def theirs(whole_dataset):
    """The training images as torchvision reads them."""
    return CIFAR10(str(whole_dataset), train=True, download=False)


def test_every_batch_is_read_as_torchvision_reads_it(whole_dataset, theirs):
    folder = whole_dataset / "cifar-10-batches-py"
    batches = [official.parse((folder / name).read_bytes()) for name in official.TRAINING]
    pixels = b"".join(batch.pixels for batch in batches)
    ours = np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert np.array_equal(ours, theirs.data)
    assert [label for batch in batches for label in batch.labels] == theirs.targets
    assert {theirs.targets.count(label) for label in range(10)} == {official.PER_CLASS}


@pytest.mark.parametrize(
    ("positive", "negative", "num_examples"),
    [
        (range(5), range(5, 10), 256),  # li2022's smoke
        (range(5), range(5, 10), 2000),  # its desk
        ((0,), (1,), 1979),
        ((0, 1, 8, 9), range(2, 8), 2000),
        ((0,), (1,), 2500),  # of two batches
    ],
)
def test_the_images_are_those_torchvision_gives(
    whole_dataset, data_root, theirs, positive, negative, num_examples
):
    labels = np.array(theirs.targets)
    chosen = np.flatnonzero(np.isin(labels, [*positive, *negative]))[:num_examples]
    ours = load(whole_dataset, positive, negative, num_examples)
    # One rounding to float32 of numbers below 4.
    expected = standardised(theirs.data[chosen].transpose(0, 3, 1, 2))
    np.testing.assert_allclose(ours.inputs, expected, rtol=1e-7, atol=1e-7)
    assert torch.equal(ours.targets == 1, torch.from_numpy(np.isin(labels[chosen], [*positive])))
    if num_examples <= 2000:
        bundled = load(data_root, positive, negative, num_examples)
        assert torch.equal(ours.inputs, bundled.inputs)
        assert torch.equal(ours.targets, bundled.targets)
