"""Results: published whole, checked whenever read, held by one process at a time."""

import json
import multiprocessing
import os
import shutil
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from repro import files
from repro.errors import StoreError
from repro.plan import Step
from repro.store import ARRAYS, META, RESULT, Store, StoredResult
from tests.fakes import BOTH_STAGES, hidden, plan_of, publish, write_result
from tests.faults import each_failure

TAKEN = {"seconds": 1.5, "peak_memory_bytes": 1}


@pytest.fixture(scope="module")
def steps() -> tuple[Step, ...]:
    return plan_of(BOTH_STAGES).steps


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_what_is_published_is_read(store: Store, steps: tuple[Step, ...]) -> None:
    step = steps[0]
    assert store.read(step.key) is None
    publish(store, step)
    result = store.read(step.key)
    assert isinstance(result, StoredResult)
    assert result.seconds == 0.25
    assert result.meta["parts"] == step.parts
    assert result.numbers["final_accuracy"] == 1.0
    assert result.missing == {}
    np.testing.assert_array_equal(result.arrays["loss"], [1.0, 0.5, 0.1, 0.01, 0.0])
    assert {path.name for path in result.folder.iterdir()} == {ARRAYS, RESULT, META}


def test_publishing_again_replaces(store: Store, steps: tuple[Step, ...]) -> None:
    publish(store, steps[0])
    publish(store, steps[0])
    assert store.read(steps[0].key) is not None
    assert hidden(store.folder("x").parent) == []


def test_a_result_is_complete_or_not_there_whichever_call_fails(
    store: Store, steps: tuple[Step, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = steps[0]
    source = store.folder("x").parent.parent / "source"
    source.mkdir()
    write_result(step, source)
    written = {path.name: path.read_bytes() for path in source.iterdir()}

    def attempt() -> None:
        with files.partial_folder(store.folder(step.key)) as partial:
            for name, content in written.items():  # by another process; not what fails here
                (partial / name).write_bytes(content)
            store.publish(step.key, step.parts, partial, TAKEN)

    said: list[str] = []

    def check(went_through: bool) -> None:
        assert went_through <= (store.read(step.key, said.append) is not None)
        assert said == []  # whole or absent, never damaged
        assert hidden(store.folder("x").parent) == []
        shutil.rmtree(store.folder(step.key), ignore_errors=True)

    assert each_failure(monkeypatch, attempt, check) >= 5


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


DAMAGE = {
    "a byte flipped at the start": lambda path: flip(path, 0),
    "a byte flipped in the middle": lambda path: flip(path, path.stat().st_size // 2),
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut to nothing": lambda path: os.truncate(path, 0),
    "deleted": Path.unlink,
    "a folder instead": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", [ARRAYS, RESULT, META])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_result_is_set_aside_and_said(
    store: Store, steps: tuple[Step, ...], name: str, damage: str
) -> None:
    step = steps[0]
    publish(store, step)
    DAMAGE[damage](store.folder(step.key) / name)
    said: list[str] = []
    assert store.read(step.key, said.append) is None
    (line,) = said
    assert line.startswith(f"stored result {step.key[:12]} is damaged (")
    (aside,) = (store.folder("damaged")).iterdir()
    assert str(aside) in line
    assert aside.name.startswith(step.key)
    assert not store.folder(step.key).exists()
    # It is reported once, and the way is free for a new one.
    assert store.read(step.key, said.append) is None
    assert len(said) == 1
    publish(store, step)
    assert store.read(step.key, said.append) is not None


def test_no_flipped_byte_of_the_record_goes_unnoticed(
    store: Store, steps: tuple[Step, ...]
) -> None:
    step = steps[0]
    publish(store, step)
    path = store.folder(step.key) / META
    original = path.read_bytes()
    truth = json.loads(original)
    unnoticed = 0
    for position in range(0, len(original), 7):
        flip(path, position)
        result = store.read(step.key)
        if result is None:
            (aside,) = store.folder("damaged").iterdir()
            aside.rename(store.folder(step.key))
        else:  # white space between values says nothing
            unnoticed += 1
            assert result.meta == truth, position
        path.write_bytes(original)
    assert unnoticed < len(original) / 7 / 2
    assert store.read(step.key) is not None


@pytest.mark.parametrize("content", ["[]", "{}", "null", "1", '"text"', '{"digest": 1}'])
def test_a_record_of_another_shape_is_damage(
    store: Store, steps: tuple[Step, ...], content: str
) -> None:
    publish(store, steps[0])
    (store.folder(steps[0].key) / META).write_text(content)
    assert store.read(steps[0].key) is None


def test_a_result_under_another_key_is_refused(store: Store, steps: tuple[Step, ...]) -> None:
    one, other = steps
    publish(store, one)
    shutil.copytree(store.folder(one.key), store.folder(other.key))
    said: list[str] = []
    assert store.read(other.key, said.append) is None
    assert "it belongs to another key" in said[0]
    assert store.read(one.key, said.append) is not None


@pytest.mark.parametrize("order", [1, -1])
def test_a_record_rewritten_for_another_key_is_refused(
    store: Store, steps: tuple[Step, ...], order: int
) -> None:
    one, other = steps[::order]  # either key may be the larger
    publish(store, one)
    shutil.copytree(store.folder(one.key), store.folder(other.key))
    path = store.folder(other.key) / META
    meta = json.loads(path.read_text())
    del meta["digest"]
    meta["key"] = other.key  # but the parts are those of the first
    meta["digest"] = files.canonical_digest(meta)
    path.write_text(json.dumps(meta))
    assert store.read(other.key) is None


def test_arrays_are_never_unpickled(store: Store, steps: tuple[Step, ...]) -> None:
    step = steps[0]
    with files.partial_folder(store.folder(step.key)) as partial:
        write_result(step, partial)
        np.savez(partial / ARRAYS, evil=np.array([{"an": "object"}], dtype=object))
        store.publish(step.key, step.parts, partial, TAKEN)
    result = store.read(step.key)
    assert result is not None
    with pytest.raises(ValueError, match="pickle"):
        _ = result.arrays


def test_records_of_results_come_newest_first_and_damaged_ones_not(
    store: Store, steps: tuple[Step, ...]
) -> None:
    for moment, step in enumerate(steps):
        publish(store, step)
        os.utime(store.folder(step.key) / META, (moment, moment))
    assert [meta["key"] for meta in store.metas()] == [step.key for step in reversed(steps)]
    (store.folder(steps[0].key) / META).write_text("{")
    assert [meta["key"] for meta in store.metas()] == [steps[1].key]
    assert store.read(steps[0].key) is None
    assert [meta["key"] for meta in store.metas()] == [steps[1].key]


def _hold(root: Path, key: str, pipe: Connection) -> None:
    with Store(root).lock(key, lambda: pipe.send("waiting")):
        pipe.send("held")
        pipe.recv()


def test_what_is_published_elsewhere_is_waited_for_as_long_as_asked(
    store: Store, steps: tuple[Step, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = steps
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now == 3:
            publish(store, one)

    monkeypatch.setattr("repro.store.time.monotonic", lambda: now)
    monkeypatch.setattr("repro.store.time.sleep", sleep)
    assert not store.wait_for(one.key, 0.0)
    assert not store.wait_for(one.key, 2.0)  # nor is there a folder yet
    assert now == 2
    assert store.wait_for(one.key, 9.0)
    assert now == 3
    for missing in sorted([f"{one.key}0", "0" * 64, other.key]):  # before it and after it
        assert not store.wait_for(missing, 0.0)
    monkeypatch.setattr(Store, "has", lambda self, key: False)  # as remembered from before
    assert store.wait_for(one.key, 0.0)


def test_a_lock_excludes_other_processes_and_dies_with_its_holder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    first = context.Process(target=_hold, args=(tmp_path, "key", theirs))
    ours_too, theirs_too = context.Pipe()
    second = context.Process(target=_hold, args=(tmp_path, "key", theirs_too))
    try:
        first.start()
        assert ours.poll(60)
        assert ours.recv() == "held"
        second.start()
        assert ours_too.poll(60)
        assert ours_too.recv() == "waiting"
        assert not ours_too.poll(0.3)  # and goes on waiting
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        assert ours_too.poll(60)
        assert ours_too.recv() == "held"
        ours_too.send("enough")
        second.join(60)
        assert second.exitcode == 0
    finally:
        for process in (first, second):
            if process.pid is not None:
                process.kill()
                process.join()


def test_a_lock_is_free_after_a_failure_and_keys_do_not_disturb_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.lock("a", lambda: pytest.fail("nobody holds it")):
        raise RuntimeError
    with (
        store.lock("a", lambda: pytest.fail("nobody holds it")),
        store.lock("b", lambda: pytest.fail("nobody holds it")),
    ):
        pass


def test_a_lock_is_found_by_how_its_key_begins(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.lock_beginning("01") is None
    for key in ("0123", "4567"):
        with store.lock(key, lambda: pytest.fail("nobody holds it")):
            pass
    assert store.lock_beginning("01") == "0123"
    assert store.lock_beginning("4567") == "4567"
    assert store.lock_beginning("1") is store.lock_beginning("") is None


def test_a_store_below_a_file_is_one_line_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "store")
    message = r"^.*/file.*: cannot be written: Not a directory$"
    with pytest.raises(StoreError, match=message), store.lock("key"):
        pass
