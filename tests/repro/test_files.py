"""Files that are whole or not there, whatever fails on the way."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from repro import files
from repro.errors import StoreError
from tests.fakes import hidden
from tests.faults import each_failure


def test_a_text_is_the_old_or_the_new_one_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "text"
    files.write_text(path, "old")

    def check(went_through: bool) -> None:
        assert path.read_text() in (("new",) if went_through else ("old", "new"))
        assert hidden(tmp_path) == []
        path.write_text("old")

    assert each_failure(monkeypatch, lambda: files.write_text(path, "new"), check) >= 5


def test_a_folder_is_whole_or_not_there_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "results" / "final"

    def attempt() -> None:
        with files.partial_folder(final) as partial:
            for name in ("a", "b"):
                with (partial / name).open("w") as file:
                    file.write(name)
            files.publish(partial, final)

    def check(went_through: bool) -> None:
        assert went_through <= final.exists()
        if final.exists():
            assert {path.name: path.read_text() for path in final.iterdir()} == {"a": "a", "b": "b"}
            for path in final.iterdir():
                path.unlink()
            final.rmdir()
        assert hidden(tmp_path) == []

    assert each_failure(monkeypatch, attempt, check) >= 5


def test_a_replacement_that_fails_leaves_the_old_folder_or_none_and_never_a_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "final"

    def publish(text: str) -> None:
        with files.partial_folder(final) as partial:
            for name in ("a", "b"):
                with (partial / name).open("w") as file:
                    file.write(text)
            files.publish(partial, final)

    publish("old")

    def check(went_through: bool) -> None:
        found = {path.read_text() for path in final.iterdir()} if final.exists() else set()
        assert found in (({"new"},) if went_through else ({"old"}, {"new"}, set()))
        publish("old")
        assert hidden(tmp_path) == []

    assert each_failure(monkeypatch, lambda: publish("new"), check) >= 5


def test_a_failure_inside_leaves_nothing(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with pytest.raises(RuntimeError), files.partial_folder(final) as partial:  # noqa: PT012
        (partial / "a").write_text("a")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".final.0123abcd").write_text("no folder")
    with files.partial_folder(tmp_path / "final") as partial:
        files.publish(partial, tmp_path / "final")
    assert (tmp_path / "final").is_dir()


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".final.0123abcd", ".finally.0123abcd", "final.d", "another"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    with files.partial_folder(tmp_path / "final"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".finally.0123abcd",
        "another",
        "final.d",
    ]


def test_an_error_names_the_path_the_system_names(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"^.*/file.*: cannot be written: Not a directory$"):
        files.write_json(tmp_path / "file" / "below" / "x.json", {})


def test_json_round_trip(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, True, "ü"], "b": {}}
    files.write_json(tmp_path / "x.json", content)
    assert files.read_json(tmp_path / "x.json") == content


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_json_has_finite_numbers_only(tmp_path: Path, number: float) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(path, {"a": number})
    assert not path.exists()
    path.write_text(json.dumps({"a": number}))
    with pytest.raises(StoreError, match="cannot be read"):
        files.read_json(path)


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[1,]"])
def test_json_that_is_none_is_one_line_with_the_path(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        files.read_json(path)
    assert str(caught.value).startswith(f"{path}: cannot be read: ")
    assert len(str(caught.value).splitlines()) == 1


@dataclass(frozen=True)
class Counted:
    """A kind of content that is read."""

    number: int
    name: str = ""


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"name": "x"}, "number: Field required"),
        ({"number": "1"}, "number: Input should be a valid integer"),
        ({"number": 1.0}, "number: Input should be a valid integer"),
        ({"number": 1, "name": 2}, "name: Input should be a valid string"),
        ([], "Input should be an object"),
    ],
)
def test_what_is_read_is_of_its_very_type_or_one_line_names_the_field(
    tmp_path: Path, content: object, fault: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"number": 1, "of another release": []}')
    assert files.read_as(path, Counted) == Counted(1)
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError) as caught:
        files.read_as(path, Counted)
    assert str(caught.value) == f"{path}: is damaged: {fault}"


def test_a_new_folder_takes_the_place_of_nothing(tmp_path: Path) -> None:
    final = tmp_path / "below" / "final"
    with files.new_folder(final) as aside:
        (aside / "a").write_text("first")
        assert not final.exists()
    with pytest.raises(StoreError, match="cannot be written"), files.new_folder(final) as aside:
        (aside / "a").write_text("second")
    assert (final / "a").read_text() == "first"
    assert hidden(tmp_path) == []


def test_a_removed_folder_is_gone_or_the_error_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    files.remove(folder)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match=f"^{folder}: cannot be written: "):
        files.remove(folder)


def test_digests(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    # The SHA-256 of nothing.
    assert files.sha256(tmp_path / "empty") == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert files.canonical_digest({"a": 1, "b": {"c": 2, "d": 3}}) == files.canonical_digest(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert files.canonical_digest({"a": 1}) != files.canonical_digest({"a": 1.0})
    assert files.canonical_digest({"a": 1}) != files.canonical_digest({"a": "1"})


def test_a_new_folder_has_its_name_once_all_of_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final, flushed = tmp_path / "final", []

    def flush(path: Path) -> None:
        flushed.append((path.name, final.exists()))

    monkeypatch.setattr(files, "flush", flush)
    with files.new_folder(final) as aside:
        (aside / "inner").mkdir()
        (aside / "inner" / "one").write_text("1")
        (aside / "two").write_text("2")
    *inside, whole, around = flushed
    assert sorted(inside) == [("inner", False), ("one", False), ("two", False)]
    assert whole == (aside.name, False)
    assert around == (tmp_path.name, True)
