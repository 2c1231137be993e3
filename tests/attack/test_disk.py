"""Attacks on what is on disk: a few tries of each kind, and each of them finds what is planted."""

import contextlib
import errno
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from attack import damage
from attack.attack import trial
from attack.disk import Failing
from attack.harm import files_below, to_a_file
from attack.place import Place
from attack.sharing import Remembering
from repro.store import Store

STORE = next(attack for attack in damage.ATTACKS if attack.name == "store")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return STORE.prepare(tmp_path_factory.mktemp("known"))


def attempt(known: Any, number: int, folder: Path) -> str | None:
    folder.mkdir()
    return STORE.attempt(known, trial(STORE, number, 0, folder))


def test_damage_to_results_is_withstood(known: Any, tmp_path: Path) -> None:
    assert [attempt(known, number, tmp_path / str(number)) for number in range(2)] == [None, None]


def test_a_store_that_believes_everything_is_found_out(
    known: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "_problem", staticmethod(lambda folder: None))
    monkeypatch.setattr(random.Random, "choice", lambda draw, among: list(among)[-1])  # overwrite
    assert "overwrite" in str(attempt(known, 0, tmp_path / "0"))


def test_harm_is_the_same_for_one_seed_and_changes_something(known: Any, tmp_path: Path) -> None:
    changed = set()
    for number in range(12):
        copies: list[Place] = []
        for name in ("a", "b"):
            copies.append(known.place.copy(tmp_path / f"{number}{name}"))
            files = files_below(copies[-1].home)
            harm = to_a_file(random.Random(number), copies[-1].home, files)
        contents = [
            {path.relative_to(copy.home): path.read_bytes() for path in files_below(copy.home)}
            for copy in (known.place, *copies)
        ]
        assert contents[1] == contents[2]
        assert contents[0] != contents[1], harm.words
        changed.add(harm.words.partition(" ")[0])
    assert len(changed) > 5


@pytest.mark.parametrize("index", range(1, 8))
def test_each_call_that_changes_the_disk_fails_in_turn(tmp_path: Path, index: int) -> None:
    done = []

    def change() -> None:
        (tmp_path / "folder").mkdir()
        done.append("mkdir")
        with (tmp_path / "file").open("w") as file:
            done.append("open")
            os.fsync(file.fileno())
        done.append("fsync")
        (tmp_path / "file").replace(tmp_path / "other")
        done.append("replace")
        (tmp_path / "other").chmod(0o600)
        done.append("chmod")
        (tmp_path / "other").unlink()
        done.append("unlink")
        (tmp_path / "folder").rmdir()

    with (
        Failing(tmp_path, index, errno.EIO),
        pytest.raises(OSError, match="Input/output error") as failed,
    ):
        change()
    assert failed.value.filename.startswith(str(tmp_path))
    assert len(done) == index - 1


def test_a_name_that_was_not_there_is_seen_once_its_folder_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = tmp_path / "late"
    with contextlib.ExitStack() as stack:
        Remembering(tmp_path, seconds=60).install(stack)
        assert not late.exists()
        subprocess.run(["touch", str(late)], check=True)  # another process
        assert not late.exists()
        assert [path.name for path in tmp_path.iterdir()] == ["late"]
        assert late.exists()
