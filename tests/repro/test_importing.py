"""What came in is whole, and what was here stays."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from repro import files, importing
from repro.archive import opened, written
from repro.errors import ArchiveError, StoreError
from repro.exporting import export
from repro.importing import Imported, import_file
from repro.inventory import Home
from repro.outcome.reading import all_runs
from repro.settings import Settings
from repro.store import ARRAYS, META, RESULT
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    contents,
    hidden,
    plan_of,
    recorded,
    save_state,
    settings_below,
)
from tests.faults import each_failure, killed_at_each_call


def quiet(*told: object) -> None:
    """Told of progress, and of lines."""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home elsewhere, which tests do not change: two runs, and a step that was not finished."""
    settings = settings_below(tmp_path_factory.mktemp("there"))
    recorded(settings, FIGURE, seed=1)
    recorded(settings, BOTH_STAGES)
    (step,) = plan_of(FIGURE, seed=7).steps
    for number, name in enumerate(("checkpoint-2", "epoch")):
        save_state(settings, step, name, number)
    return settings


@pytest.fixture(scope="module")
def file(there: Settings) -> Path:
    path = there.home.parent / "export.zip"
    export(path, Home(there.home), None, quiet)
    return path


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings_below(tmp_path / "here")


def take(file: Path, here: Settings) -> Imported:
    return import_file(file, Home(here.home), quiet, quiet)


def carried(settings: Settings) -> dict[str, bytes]:
    """All of a home but what belongs to a process."""
    return {
        path: content
        for path, content in contents(settings.home).items()
        if not path.endswith(("task.json", "log.txt"))
    }


def unfinished() -> str:
    return plan_of(FIGURE, seed=7).steps[0].key


def test_a_home_comes_in_as_it_was(there: Settings, here: Settings, file: Path) -> None:
    assert take(file, here) == Imported(results=3, steps=1, runs=2)
    assert carried(here) == carried(there)
    assert [run.record for run in all_runs(here)] == [run.record for run in all_runs(there)]
    assert hidden(here.home) == []


def test_it_goes_on_from_there_as_the_same_file(here: Settings, file: Path) -> None:
    take(file, here)
    onward = here.home.parent / "onward.zip"
    export(onward, Home(here.home), None, quiet)
    assert onward.read_bytes() == file.read_bytes()


def test_what_is_here_stays(here: Settings, file: Path) -> None:
    take(file, here)
    times = {path: path.stat().st_mtime_ns for path in here.home.rglob("*") if path.is_file()}
    assert take(file, here) == Imported(here=6)
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_what_is_damaged_here_is_replaced(there: Settings, here: Settings, file: Path) -> None:
    take(file, here)
    result = plan_of(FIGURE, seed=1).steps[0].key
    (here.home / "store" / result / ARRAYS).write_bytes(b"damaged")
    (run,) = here.home.glob(f"runs/{BOTH_STAGES}/*")
    (run / "record.json").write_text("{")
    said: list[str] = []
    done = import_file(file, Home(here.home), said.append, quiet)
    assert done == Imported(results=1, runs=1, here=4)
    (line,) = said
    assert "is damaged" in line
    assert "set aside" in line
    shutil.rmtree(here.home / "store" / "damaged")
    assert carried(here) == carried(there)


def test_a_state_saved_here_is_never_replaced(here: Settings, file: Path) -> None:
    """Not even if it holds less: a step that runs may count on what it saved."""
    (step,) = plan_of(FIGURE, seed=7).steps
    saved = save_state(here, step, "checkpoint-2", 5.0)
    before = saved.read_bytes()
    assert take(file, here) == Imported(results=3, steps=0, runs=2, here=1)
    assert saved.read_bytes() == before
    assert not (saved.parent / "epoch.npz").exists()


def test_a_step_that_is_finished_here_needs_no_state(here: Settings, file: Path) -> None:
    recorded(here, FIGURE, seed=7)
    assert take(file, here) == Imported(results=3, steps=0, runs=2, here=1)
    assert not Home(here.home).scratches()


def test_the_task_of_a_step_that_has_no_state_stays(here: Settings, file: Path) -> None:
    """It may wait in a queue."""
    (step,) = plan_of(FIGURE, seed=7).steps
    scratch = save_state(here, step, "checkpoint-2").parent
    (scratch / "checkpoint-2.npz").unlink()
    assert take(file, here).steps == 1
    assert sorted(path.name for path in scratch.iterdir()) == [
        "checkpoint-2.npz",
        "epoch.npz",
        "log.txt",
        "task.json",
    ]


def test_what_a_running_step_holds_is_left_to_it(here: Settings, file: Path) -> None:
    home = Home(here.home)
    with home.store.lock(unfinished()), home.store.lock(plan_of(FIGURE, seed=1).steps[0].key):
        assert take(file, here) == Imported(results=2, runs=2, busy=2)
    assert take(file, here) == Imported(results=1, steps=1, here=4)


def test_what_does_not_fit_is_not_begun(
    here: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=file.stat().st_size // 2)
    monkeypatch.setattr(importing.shutil, "disk_usage", lambda path: free)
    with pytest.raises(StoreError, match=r"would come in, and 0\.\d MB are free there; make room"):
        take(file, here)
    assert contents(here.home) == {}


def test_nothing_half_comes_in_whichever_call_fails(
    there: Settings, here: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(went_through: bool) -> None:
        whole = carried(there)
        found = carried(here) if here.home.exists() else {}
        found = {path: data for path, data in found.items() if "/." not in path}
        assert found.items() <= whole.items()
        assert_whole_folders(found, whole)
        assert not went_through or found == whole
        shutil.rmtree(here.home, ignore_errors=True)

    assert each_failure(monkeypatch, lambda: quiet(take(file, here)), check) >= 20


def assert_whole_folders(found: dict[str, bytes], whole: dict[str, bytes]) -> None:
    """Of each folder everything is there or nothing."""
    for folder in {path.rpartition("/")[0] for path in found}:
        assert {path for path in whole if path.startswith(folder)} <= found.keys()


def test_an_import_that_is_killed_is_done_again(
    there: Settings, file: Path, tmp_path: Path
) -> None:
    whole = carried(there)

    def attempt(home: Path) -> None:
        take(file, replace(there, home=home))

    stages = set()
    for home in killed_at_each_call(attempt, tmp_path / "home"):
        settings = replace(there, home=home)
        found = {path: data for path, data in carried(settings).items() if "/." not in path}
        assert found.items() <= whole.items()
        assert_whole_folders(found, whole)
        stages.add(len(found))
        take(file, settings)
        assert carried(settings) == whole
        assert hidden(home) == []
    assert {0, len(whole)} < stages  # it was killed before, amid and after


Members = dict[str, bytes]


def of_result(
    change: Callable[[dict[str, Any], Members], Any], true: bool = True, key: bool = False
) -> Callable[[Members], None]:
    """A change of a result's record and files.

    Args:
        change: Given the record and the files by name.
        true: Whether the record is to have the digests of the files.
        key: Whether the result is to have the key of its record's parts.
    """

    def apply(members: Members) -> None:
        folder = f"store/{plan_of(FIGURE, seed=1).steps[0].key}"
        alone = {name: members.pop(f"{folder}/{name}") for name in (ARRAYS, META, RESULT)}
        meta = json.loads(alone[META])
        change(meta, alone)
        if true:
            meta["digests"] = {
                name: hashlib.sha256(alone[name]).hexdigest() for name in (ARRAYS, RESULT)
            }
        if key:
            meta["key"] = files.canonical_digest(meta["parts"])
            folder = f"store/{meta['key']}"
        del meta["digest"]
        alone[META] = json.dumps(meta | {"digest": files.canonical_digest(meta)}).encode()
        members.update({f"{folder}/{name}": data for name, data in alone.items()})

    return apply


def says(text: str) -> Callable[[Members], None]:
    """A result that says something else."""
    return of_result(lambda meta, alone: alone.update({RESULT: text.encode()}))


def of_run(change: Callable[[dict[str, Any]], Any]) -> Callable[[Members], None]:
    """A run whose record says something else."""

    def apply(members: Members) -> None:
        path = the(members, "record.json")
        record = json.loads(members[path])
        change(record)
        members[path] = json.dumps(record).encode()

    return apply


def the(members: Members, end: str) -> str:
    """The first member whose name ends so."""
    return next(name for name in sorted(members) if name.endswith(end))


def without(end: str) -> Callable[[Members], None]:
    return lambda members: quiet(members.pop(the(members, end)))


def having(end: str, change: Callable[[bytes], bytes]) -> Callable[[Members], None]:
    return lambda members: members.update({the(members, end): change(members[the(members, end)])})


def moved(members: Members) -> None:
    """A result at the place of another one."""
    for name in (ARRAYS, META, RESULT):
        members[f"store/{'0' * 64}/{name}"] = members.pop(the(members, name))


def renamed(members: Members) -> None:
    """A run with the name of another one."""
    for path in [path for path in members if path.startswith("runs/")]:
        members[path.replace("smoke-", "desk-")] = members.pop(path)


HOSTILE: dict[str, Callable[[Members], None]] = {
    "other arrays": having(f"/{ARRAYS}", lambda data: data[:-1] + b"x"),
    "another record": having(f"/{META}", lambda data: data.replace(b'"seed": ', b'"seed": 1')),
    "no digests": of_result(lambda meta, alone: meta.update(digests={}), true=False),
    "of other parts": of_result(lambda meta, alone: meta["parts"].update(seed=12)),
    "at another place": moved,
    "no arrays": without(f"/{ARRAYS}"),
    "no record of a result": without(f"/{META}"),
    "no JSON": says("{"),
    "no object": says("[]"),
    "words for numbers": says('{"numbers": {"a": "1"}, "missing": {}, "series": {}}'),
    "NaN": says('{"numbers": {"a": NaN}, "missing": {}, "series": {}}'),
    "no numbers": says('{"missing": {}, "series": {}}'),
    "no seconds": of_result(lambda meta, alone: meta.pop("seconds")),
    "no stage": of_result(lambda meta, alone: meta["parts"].pop("stage"), key=True),
    "no parts": of_result(lambda meta, alone: meta.update(parts=[]), key=True),
    "arrays that are none": of_result(lambda meta, alone: alone.update({ARRAYS: b"PK"})),
    "a state that is none": having("epoch.npz", lambda data: b"pickle"),
    "half a state": having("epoch.npz", lambda data: data[: len(data) // 2]),
    "a run by another name": renamed,
    "a run of another figure": of_run(lambda record: record.update(id="li2022/fig2")),
    "a run of another seed": of_run(lambda record: record.update(seed=3)),
    "a digest that is a path": of_run(
        lambda record: record.update(digest=f"{record['digest'][:12]}/../../../outside")
    ),
    "files that are paths": of_run(lambda record: record["files"].append("../../outside")),
    "a file that is missing": of_run(lambda record: record["files"].append("more.png")),
    "a file that is not its": of_run(lambda record: record["files"].pop(0)),
    "a verdict that is none": of_run(lambda record: record.update(status="passed")),
    "a manifest that is none": of_run(lambda record: record.update(manifest={})),
    "no record of a run": without("record.json"),
    "a record that is none": having("record.json", lambda data: b"{"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_comes_in_of_a_file_with_anything_wrong_in_it(
    here: Settings, file: Path, kind: str
) -> None:
    members = read(file, here.home.parent / "members")
    HOSTILE[kind](members)
    crafted = here.home.parent / "crafted.zip"
    with written(crafted) as writer:
        for path in sorted(members):
            writer.add(path, io.BytesIO(members[path]))
    with pytest.raises(ArchiveError) as caught:
        take(crafted, here)
    message = str(caught.value)
    assert message.startswith(f"{crafted}: is damaged: ")
    assert message.endswith("; copy it again, or export again")
    assert str(here.home) not in message
    assert len(message.splitlines()) == 1
    assert contents(here.home) == {}
    assert hidden(here.home) == []
    assert [path.name for path in here.home.rglob("*.lock")] == ["import.lock"]


def read(file: Path, folder: Path) -> Members:
    with opened(file) as found:
        for entry in found.entries:
            (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
            found.extract(entry, folder / entry.path)
    return contents(folder)


def test_flipped_bytes_let_nothing_in(here: Settings, file: Path) -> None:
    """Of every member, in what is written of it and in the lists of members."""
    whole = file.read_bytes()
    damaged = here.home.parent / "damaged.zip"
    damaged.parent.mkdir()
    positions = range(0, len(whole), len(whole) // 250)
    assert len(positions) >= 250
    for position in positions:
        flipped = bytearray(whole)
        flipped[position] ^= 1
        damaged.write_bytes(flipped)
        with pytest.raises(ArchiveError, match="copy it again"):
            take(damaged, here)
    assert not here.home.exists()
