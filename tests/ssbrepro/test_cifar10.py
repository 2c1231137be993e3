"""CIFAR-10: what is checked, what is fetched, and the binary task made of it."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssbrepro.data import cifar10
from ssbrepro.data.cifar10 import DataError, check, fetch, load, load_classes

NAMES = {
    *(f"data_batch_{batch}" for batch in range(1, 6)),
    "test_batch",
    "batches.meta",
}
# As published with the dataset; not taken from the code under test.
MD5_OF_BATCH_1 = "c99cafc152244af753f735de768cd75f"


def official(monkeypatch, contents: dict[str, bytes]) -> None:
    """Declare these contents the official files."""
    digests = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(cifar10, "MD5", digests)


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
    official(monkeypatch, {"a": b"1", "b": b"2", "c": b"3"})
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
    assert len(caught.value.files) == 7
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(DataError):
        load_classes(tmp_path, 10)


class Archive:
    """Stands for torchvision's download of the archive: counts the calls, then does as told."""

    def __init__(self, arrives=None, fails=None):
        self.arrives = arrives or {}
        self.fails = fails
        self.roots = []

    def __call__(self, url, download_root, *arguments, **options):
        self.roots.append(Path(download_root))
        if self.fails:
            raise self.fails
        write(Path(download_root), self.arrives)


OFFICIAL = {"data_batch_1": b"1", "test_batch": b"2", "batches.meta": b"3"}


@pytest.fixture
def download_from(monkeypatch):
    """Three small files in the place of the official seven, and no way into the network."""
    official(monkeypatch, OFFICIAL)
    digests = {name: hashlib.md5(content).hexdigest() for name, content in OFFICIAL.items()}
    dataset = "torchvision.datasets.CIFAR10"
    monkeypatch.setattr(f"{dataset}.train_list", [("data_batch_1", digests["data_batch_1"])])
    monkeypatch.setattr(f"{dataset}.test_list", [("test_batch", digests["test_batch"])])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": digests["batches.meta"]}
    monkeypatch.setattr(f"{dataset}.meta", meta)
    # These contents are no pickles; that the right files arrive is all that is at stake.
    unpickled = {"data": np.zeros((0, 3072), np.uint8), "labels": [], "label_names": []}
    monkeypatch.setattr("pickle.load", lambda *arguments, **options: unpickled)

    def install(archive):
        name = "download_and_extract_archive"
        monkeypatch.setattr(f"torchvision.datasets.cifar.{name}", archive)
        monkeypatch.setattr(f"torchvision.datasets.utils.{name}", archive)
        monkeypatch.setattr(cifar10, name, archive, raising=False)
        return archive

    return install


def test_fetch_downloads_nothing_where_all_is_well(download_from, tmp_path):
    write(tmp_path, OFFICIAL)
    archive = download_from(Archive())
    fetch(tmp_path)
    assert archive.roots == []


@pytest.mark.parametrize("present", [{}, {"data_batch_1": b"damaged", "batches.meta": b"3"}])
def test_fetch_downloads_what_is_missing_or_damaged(download_from, tmp_path, present):
    write(tmp_path, present)
    archive = download_from(Archive(arrives=OFFICIAL))
    fetch(tmp_path)
    assert archive.roots == [tmp_path]
    assert check(tmp_path) == []


@pytest.mark.parametrize("labels", [{}, {"batches.meta": b"damaged"}])
def test_fetch_repairs_the_labels_though_torchvision_does_not(download_from, tmp_path, labels):
    # torchvision's own download looks at the image files only: with those in order it downloads
    # nothing, and batches.meta stays as it is.
    images = {name: content for name, content in OFFICIAL.items() if name != "batches.meta"}
    write(tmp_path, images | labels)
    download_from(Archive(arrives=OFFICIAL))
    fetch(tmp_path)
    assert check(tmp_path) == []


@pytest.mark.parametrize("failure", [OSError("no route to host"), RuntimeError("File not found")])
def test_a_failed_download_says_what_is_missing_and_why(download_from, tmp_path, failure):
    write(tmp_path, {"test_batch": b"2", "batches.meta": b"3"})
    download_from(Archive(fails=failure))
    with pytest.raises(DataError) as caught:
        fetch(tmp_path)
    assert [file.path.name for file in caught.value.files] == ["data_batch_1"]
    assert str(failure) in str(caught.value)
    assert caught.value.__cause__ is failure


def test_a_download_that_arrives_damaged_is_an_error(download_from, tmp_path):
    download_from(Archive(arrives=OFFICIAL | {"test_batch": b"garbled"}))
    with pytest.raises(DataError) as caught:
        fetch(tmp_path)
    assert "test_batch" in str(caught.value)


@pytest.fixture
def images(monkeypatch, tmp_path):
    """Sixty random images of classes 0 to 9 in turn, in the place of the real ones."""
    generator = np.random.default_rng(0)
    dataset = SimpleNamespace(
        data=generator.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8),
        targets=[index % 10 for index in range(60)],
    )
    # A channel of its own mean and width each, so that mixing channels up shows.
    dataset.data[..., 1] //= 4
    dataset.data[..., 2] = 200 + dataset.data[..., 2] // 8
    monkeypatch.setattr(cifar10, "MD5", {})
    monkeypatch.setattr(cifar10, "CIFAR10", lambda root, **options: dataset)
    return dataset, tmp_path


def test_the_first_images_of_the_classes_come_in_the_order_of_the_dataset(images):
    dataset, root = images
    inputs, targets = load(root, (7, 2), (0, 9), 10)
    chosen = [i for i, label in enumerate(dataset.targets) if label in (0, 2, 7, 9)][:10]
    assert inputs.shape == (10, 3, 32, 32)
    assert inputs.dtype == targets.dtype == torch.float32
    expected = [1.0 if dataset.targets[i] in (2, 7) else -1.0 for i in chosen]
    assert targets.tolist() == expected
    assert sorted(set(expected)) == [-1.0, 1.0]
    pixels = dataset.data[chosen].astype(np.float64).transpose(0, 3, 1, 2)
    mean = pixels.mean(axis=(0, 2, 3), keepdims=True)
    deviation = pixels.std(axis=(0, 2, 3), keepdims=True)
    # One rounding to float32 of numbers below 4.
    np.testing.assert_allclose(inputs.numpy(), (pixels - mean) / deviation, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("num_examples", [1, 7, 24])
def test_each_channel_has_zero_mean_and_unit_variance_over_the_images_taken(images, num_examples):
    _, root = images
    inputs = load(root, (0, 1), (2, 3), num_examples).inputs.double()
    # Each value is rounded to float32: 6e-8 of at most 4, and their mean is closer still.
    assert inputs.mean(dim=(0, 2, 3)).abs().max() < 2e-7
    assert (inputs.square().mean(dim=(0, 2, 3)) - 1).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("positive", "negative", "num_examples", "message"),
    [
        ((0, 1), (1, 2), 5, r"classes \[1\] are on both sides"),
        ((), (1,), 5, "both sides"),
        ((1,), (), 5, "both sides"),
        ((0,), (1,), 13, "13 examples asked for; these classes have 12"),
        ((0,), (1,), 0, "0 examples"),
        ((0,), (1,), -1, "-1 examples"),
    ],
)
def test_an_impossible_task_is_an_error(images, positive, negative, num_examples, message):
    _, root = images
    with pytest.raises(ValueError, match=message):
        load(root, positive, negative, num_examples)


def test_all_images_of_the_classes_can_be_asked_for(images):
    _, root = images
    assert len(load(root, (0,), (1,), 12).inputs) == 12


def test_a_channel_without_contrast_is_an_error(images):
    dataset, root = images
    dataset.data[..., 1] = 7
    with pytest.raises(ValueError, match="channel"):
        load(root, (0,), (1,), 12)


def test_all_ten_classes_come_in_the_order_of_the_dataset(images):
    dataset, root = images
    inputs, labels = load_classes(root, 25)
    assert labels.dtype == torch.int64
    assert labels.tolist() == dataset.targets[:25]
    # The binary task that takes every class has the same images, bit for bit.
    assert torch.equal(inputs, load(root, range(5), range(5, 10), 25).inputs)
    assert len(load_classes(root, 60).labels) == 60


@pytest.mark.parametrize("num_examples", [0, 61])
def test_more_images_than_there_are_is_an_error(images, num_examples):
    _, root = images
    message = f"{num_examples} examples asked for; these classes have 60"
    with pytest.raises(ValueError, match=message):
        load_classes(root, num_examples)


# The real files, where there are any.


@pytest.fixture(scope="module")
def real(data_root):
    return load(data_root, range(5), range(5, 10), 1000)


def test_the_real_files_are_the_official_ones(data_root):
    assert check(data_root) == []


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


def test_too_many_real_images_are_an_error(data_root):
    with pytest.raises(ValueError, match="these classes have 10000"):
        load(data_root, (0,), (1,), 10_001)
