"""The bundled first batch: from the official file and back, byte for byte."""

import pytest

from ssbrepro.data import bundle, official

# As published with the dataset; not taken from the code under test.
MD5_OF_BATCH_1 = "c99cafc152244af753f735de768cd75f"


@pytest.fixture(scope="module")
def content():
    return bundle.read()


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Where a bundle is to be made, in seconds and not in a minute."""
    monkeypatch.setattr(bundle, "SHEET", tmp_path / bundle.SHEET.name)
    monkeypatch.setattr(bundle, "FRAME", tmp_path / bundle.FRAME.name)
    monkeypatch.setattr(bundle, "_SMALLEST", {"quality": 0, "method": 0})
    return tmp_path


def test_the_official_file_comes_out_byte_for_byte(content):
    assert len(content) == 31_035_704
    assert official.md5(content) == MD5_OF_BATCH_1


def test_it_has_about_a_thousand_images_of_each_class(content):
    labels = official.parse(content).labels
    # The manifests' tests count on these numbers.
    numbers = [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]
    assert [labels.count(label) for label in range(10)] == numbers


def test_a_bundle_made_anew_holds_the_official_file(elsewhere, content):
    bundle.make(content)
    assert {path.name for path in elsewhere.iterdir()} == {"batch-1.webp", "batch-1.xz"}
    assert official.md5(bundle.read()) == MD5_OF_BATCH_1


def test_nothing_is_made_of_another_file(elsewhere, content):
    with pytest.raises(ValueError, match="not the official data_batch_1"):
        bundle.make(content[:-1])
    assert not list(elsewhere.iterdir())
