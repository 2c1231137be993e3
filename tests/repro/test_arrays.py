"""Saved states: every bit as it was saved, or refused."""

import io
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from repro.arrays import BROKEN_ZIP, problem, read_arrays, read_state, write_arrays, write_state

STATE = {
    "weights": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
    "epoch": np.array(7),
    "empty": np.zeros((0, 3)),
    "inside": np.array([True, False]),
    "names": np.array(["a", "bc"]),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "state.npz"
    write_state(path, STATE, path)
    return path


def test_a_state_comes_back_as_it_was_saved(saved: Path) -> None:
    state = read_state(saved, saved)
    assert set(state) == set(STATE)
    for name, array in STATE.items():
        assert state[name].dtype == array.dtype
        np.testing.assert_array_equal(state[name], array, strict=True)


def test_no_flipped_bit_and_no_missing_end_changes_a_state(saved: Path) -> None:
    content = saved.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for place in generator.integers(8 * len(content), size=400).tolist():
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        refused += _is_refused_or_the_same(bytes(damaged), saved)
    for end in generator.integers(len(content), size=50).tolist():
        refused += _is_refused_or_the_same(content[:end], saved)
    assert refused > 225  # of a small ZIP file much is names and dates that nobody reads


def _is_refused_or_the_same(content: bytes, place: Path) -> bool:
    try:
        state = read_state(io.BytesIO(content), place)
    except BROKEN_ZIP:
        return True
    assert set(state) == set(STATE)
    for name, array in STATE.items():
        np.testing.assert_array_equal(state[name], array, strict=True)
    return False


def test_what_is_damaged_has_a_problem_that_is_said(saved: Path) -> None:
    content = saved.read_bytes()
    read = partial(read_state, place=saved)
    assert problem(read, io.BytesIO(content)) is None
    for damaged in (b"", b"no file of arrays", content[:-30]):
        assert problem(read, io.BytesIO(damaged))


def test_a_state_in_the_place_of_another_is_refused(saved: Path) -> None:
    for other in (saved.with_name("other.npz"), saved.parent / "other" / saved.name):
        with pytest.raises(ValueError, match="is not what was saved"):
            read_state(saved, other)


@pytest.mark.parametrize("lost", ["epoch.npy", "sha256.npy"])
def test_a_state_that_lost_a_member_is_refused(saved: Path, lost: str) -> None:
    with zipfile.ZipFile(saved) as whole:
        kept = {name: whole.read(name) for name in whole.namelist() if name != lost}
    with zipfile.ZipFile(saved, "w") as less:
        for name, content in kept.items():
            less.writestr(name, content)
    with pytest.raises(ValueError, match="is not what was saved"):
        read_state(saved, saved)


def test_what_is_no_archive_at_all_is_refused(tmp_path: Path) -> None:
    array = tmp_path / "array.npy"
    np.save(array, np.zeros(3))
    for content in (b"", b"PK", array.read_bytes()):
        with pytest.raises(BROKEN_ZIP):
            read_state(io.BytesIO(content), array)


def test_what_is_compressed_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    packed = tmp_path / "packed.npz"
    np.savez_compressed(packed, zeros=np.zeros(1 << 20))
    with pytest.raises(ValueError, match="is compressed"):
        read_arrays(packed)
    np.savez(packed, zeros=np.zeros(3))
    assert list(read_arrays(packed)) == ["zeros"]


def test_what_would_have_to_be_pickled_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_arrays(tmp_path / "arrays.npz", {"anything": np.array([{}])})
