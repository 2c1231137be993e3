"""What a step has taken, over the processes that it took."""

import resource
import time
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from repro import machine
from repro.engines.compute import ScratchProgress, _taken


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    reads = mock.Mock(return_value=0.0)
    monkeypatch.setattr(time, "monotonic", reads)
    return reads


def process(scratch: Path) -> ScratchProgress:
    return ScratchProgress(scratch, lambda message: None)


def test_a_step_that_was_interrupted_has_taken_what_was_saved_and_what_followed(
    tmp_path: Path, clock: mock.Mock
) -> None:
    first = process(tmp_path)
    clock.return_value = 10.0
    first.save("a", {"x": np.arange(3)})
    clock.return_value = 40.0
    first.save("b", {"x": np.arange(4)})
    clock.return_value = 55.0  # lost: it is computed again
    assert first.seconds == 55.0

    clock.return_value = 1000.0
    second = process(tmp_path)
    assert second.seconds == 0.0
    clock.return_value = 1001.0
    assert sorted(second.restore("a") or {}) == ["x"]
    assert sorted(second.restore("b") or {}) == ["x"]
    clock.return_value = 1020.0
    assert second.seconds == 40.0 + 20.0
    second.save("c", {})

    third = process(tmp_path)
    for name in ("c", "a", "b"):
        third.restore(name)
    clock.return_value = 1025.0
    assert third.seconds == 60.0 + 5.0


def test_what_a_process_saved_itself_does_not_count_twice(tmp_path: Path, clock: mock.Mock) -> None:
    progress = process(tmp_path)
    clock.return_value = 10.0
    progress.save("a", {})
    clock.return_value = 12.0
    progress.restore("a")
    assert progress.seconds == 12.0


def test_what_is_kept_of_a_step_is_in_seconds_and_bytes(
    tmp_path: Path, clock: mock.Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = process(tmp_path)
    clock.return_value = 1.5
    usage = mock.Mock(ru_maxrss=3)  # KiB, as Linux has it
    monkeypatch.setattr(resource, "getrusage", lambda who: usage)
    taken = _taken(progress)
    assert taken["seconds"] == 1.5
    assert taken["peak_memory_bytes"] == 3072
    assert taken["processor"] == machine.processor()
    assert datetime.fromisoformat(str(taken["started_at"])).tzinfo is UTC


def test_a_damaged_state_says_nothing_of_time(tmp_path: Path, clock: mock.Mock) -> None:
    first = process(tmp_path)
    clock.return_value = 10.0
    first.save("a", {})
    (tmp_path / "a.npz").write_bytes(b"no state")
    second = process(tmp_path)
    assert second.restore("a") is None
    assert second.seconds == 0.0
