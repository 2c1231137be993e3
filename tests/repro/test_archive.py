"""One file that carries a home's content: nothing in it can change without being noticed."""

import contextlib
import hashlib
import io
import json
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro import archive
from repro.archive import INDEX, SCHEMA_VERSION, opened, written
from repro.errors import ArchiveError, StoreError
from tests.fakes import hidden
from tests.faults import each_failure

KEY = "0123456789abcdef" * 4
RESULT = f"store/{KEY}/result.json"
CONTENT = {
    "runs/tiny2026/fig1/smoke-seed0-0123456789ab/record.json": b"{}",
    f"scratch/{KEY}/checkpoint-2.npz": b"",
    f"store/{KEY}/arrays.npz": bytes(range(256)),
    RESULT: b"[1]",
}


def write(path: Path, content: dict[str, bytes]) -> None:
    with written(path) as writer:
        for name, data in content.items():
            writer.add(name, io.BytesIO(data))


def read(path: Path, folder: Path) -> dict[str, bytes]:
    """What is in a file, by way of files that are new."""
    with opened(path) as found:
        for entry in found.entries:
            (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
            found.extract(entry, folder / entry.path)
        return {entry.path: (folder / entry.path).read_bytes() for entry in found.entries}


def sealed(body: bytes) -> bytes:
    """With the digest that a file ends in made true."""
    return body[:-64] + hashlib.sha256(body[:-64]).hexdigest().encode()


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    write(tmp_path / "whole.zip", CONTENT)
    return tmp_path / "whole.zip"


def test_what_is_written_is_read(whole: Path, tmp_path: Path) -> None:
    assert read(whole, tmp_path / "out") == CONTENT
    with zipfile.ZipFile(whole) as plain:  # by any other program, too
        assert plain.testzip() is None
        assert plain.namelist() == [*CONTENT, INDEX]
        index = json.loads(plain.read(INDEX))
    assert index["schema_version"] == SCHEMA_VERSION
    assert {entry["path"]: (entry["size"], entry["sha256"]) for entry in index["entries"]} == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items()
    }
    assert hidden(tmp_path) == []


def test_the_same_content_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    write(tmp_path / "again.zip", CONTENT)
    assert (tmp_path / "again.zip").read_bytes() == whole.read_bytes()
    write(tmp_path / "other.zip", CONTENT | {RESULT: b"[2]"})
    assert (tmp_path / "other.zip").read_bytes() != whole.read_bytes()


def test_no_flipped_bit_of_any_byte_goes_unnoticed(whole: Path) -> None:
    content = whole.read_bytes()
    assert len(content) > 1000
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        whole.write_bytes(flipped)
        with pytest.raises(ArchiveError) as caught, opened(whole):
            pass
        message = str(caught.value)
        assert message.startswith(f"{whole}: is "), position
        assert "copy it again" in message
        assert len(message.splitlines()) == 1


def test_a_part_of_a_file_is_refused_and_so_is_more_than_one(whole: Path) -> None:
    content = whole.read_bytes()
    for damaged in (
        *(content[:size] for size in range(len(content))),
        content + b"\0",
        b"x" + content,
    ):
        whole.write_bytes(damaged)
        with pytest.raises(ArchiveError, match="copy it again"), opened(whole):
            pass


def test_flipped_bits_under_a_true_digest_are_refused_or_mean_nothing(
    whole: Path, tmp_path: Path
) -> None:
    """Whoever makes a file can make its digests: what is read still is what the index lists."""
    content = whole.read_bytes()
    meant_nothing = 0
    for position in range(len(content) - 64):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        whole.write_bytes(sealed(bytes(flipped)))
        with contextlib.suppress(ArchiveError):
            assert read(whole, tmp_path / str(position)) == CONTENT, position
            meant_nothing += 1
    assert 0 < meant_nothing < len(content) / 4  # times, versions of ZIP, ours


class Crafted:
    """A file made by somebody who knows the format, with whatever is asked for in it."""

    def __init__(self, path: Path) -> None:
        self.members: list[tuple[str, bytes]] = list(CONTENT.items())
        self.changes: dict[str, Any] = {}
        self.index: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "version": "0.1.0"}
        self.index_text: str | None = None
        self.index_first = False
        self.entries: list[dict[str, Any]] | None = None
        self.compressed = False
        self.path = path

    def listed(self) -> list[dict[str, Any]]:
        return [
            {"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in self.members
        ]

    def write(self) -> Path:
        entries = self.listed() if self.entries is None else self.entries
        text = self.index_text or json.dumps(self.index | {"entries": entries})
        index = [] if self.index_text == "" else [(INDEX, text.encode())]
        members = index + self.members if self.index_first else self.members + index
        with warnings.catch_warnings(), zipfile.ZipFile(self.path, "w") as made:
            warnings.simplefilter("ignore")  # of names that are there already
            for name, data in members:
                info = zipfile.ZipInfo("placeholder")
                info.filename = name
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                kind = zipfile.ZIP_DEFLATED if self.compressed else zipfile.ZIP_STORED
                made.writestr(info, data, kind)
            for name, value in self.changes.items():
                setattr(made.filelist[0], name, value)
            made.comment = b"0" * 64
        self.path.write_bytes(sealed(self.path.read_bytes()))
        return self.path


def instead(name: str) -> Callable[[Crafted], None]:
    """One more member, listed and whole, at a place of its maker's choice."""
    return lambda made: made.members.insert(0, (name, b"{}"))


def with_entry(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Crafted], None]:
    """An index whose entries are others."""

    def craft(made: Crafted) -> None:
        made.entries = made.listed()
        change(made.entries)

    return craft


def having(**values: Any) -> Callable[[Crafted], None]:
    return lambda made: made.__dict__.update(values)


def _overlap(made: Crafted) -> None:
    """Ten members on the same bytes."""
    bomb = b"\0" * 10000
    made.members += [(f"scratch/{KEY}/bomb.npz", bomb)]
    real = zipfile.ZipFile

    body = io.BytesIO()
    with real(body, "w") as zipped:
        zipped.writestr(f"scratch/{KEY}/bomb.npz", bomb)
        first = zipped.filelist[0]
        for number in range(9):
            other = zipfile.ZipInfo(f"scratch/{KEY}/bomb{number}.npz")
            other.file_size = other.compress_size = first.file_size
            other.CRC, other.header_offset = first.CRC, first.header_offset
            zipped.filelist.append(other)
        zipped.comment = b"0" * 64
    made.path.write_bytes(sealed(body.getvalue()))


HOSTILE: dict[str, Callable[[Crafted], None]] = {
    "absolute": instead("/etc/passwd"),
    "parent": instead("../outside"),
    "parent inside": instead(f"store/{KEY}/../../outside"),
    "parent as a name": instead("runs/a/b/c/.."),
    "parent as a folder": instead("runs/../b/c/d"),
    "own folder": instead("./runs/a/b/c/d"),
    "empty folder name": instead("runs//b/c/d"),
    "backslashes": instead("runs\\a\\b\\c\\d"),
    "a drive": instead("C:/runs/a/b/c/d"),
    "a line": instead("runs/a/b/c/d\n"),
    "an end in the name": instead("runs/a/b/c/d\0.png"),
    "a short key": instead(f"store/{KEY[1:]}/meta.json"),
    "a key in capitals": instead(f"store/{KEY.upper()}/meta.json"),
    "another file of a result": instead(f"store/{KEY}/run.sh"),
    "a folder of a result": instead(f"store/{KEY}/arrays.npz/x"),
    "a lock": instead("store/locks/import.lock"),
    "a hidden state": instead(f"scratch/{KEY}/.epoch.npz"),
    "no state": instead(f"scratch/{KEY}/task.json"),
    "a hidden run": instead("runs/a/b/.c/d"),
    "a file of a figure": instead("runs/a/b/c"),
    "below a run": instead("runs/a/b/c/d/e"),
    "the database": instead("mlflow.db"),
    "data": instead("data/cifar-10-batches-py/data_batch_1"),
    "a folder": instead("runs/a/b/c/"),
    "not listed": with_entry(lambda entries: entries.pop()),
    "listed and absent": with_entry(lambda entries: entries.append(entries[0])),
    "another order": with_entry(lambda entries: entries.reverse()),
    "another size": with_entry(lambda entries: entries[0].update(size=3)),
    "a negative size": with_entry(lambda entries: entries[0].update(size=-1)),
    "a size in words": with_entry(lambda entries: entries[0].update(size="2")),
    "no digest": with_entry(lambda entries: entries[0].pop("sha256")),
    "there twice": lambda made: made.members.append(made.members[-1]),
    "two indices": instead(INDEX),
    "no index": having(index_text=""),
    "index first": having(index_first=True),
    "index of no JSON": having(index_text="{"),
    "index of another shape": having(index_text="[]"),
    "index of nothing": having(index_text="{}"),
    "index of endless depth": having(index_text="[" * 100_000),
    "compressed": having(compressed=True),
    "a link": having(changes={"external_attr": (stat.S_IFLNK | 0o777) << 16}),
    "a device": having(changes={"external_attr": (stat.S_IFCHR | 0o666) << 16}),
    "encrypted": having(changes={"flag_bits": 1}),
    "of an unknown compression": having(changes={"compress_type": 99}),
    "larger than it is": having(changes={"file_size": 2**40, "compress_size": 2**40}),
    "elsewhere": having(changes={"header_offset": 10**6}),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_made_to_do_harm_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    made = Crafted(tmp_path / "crafted.zip")
    HOSTILE[kind](made)
    with pytest.raises(ArchiveError) as caught:
        read(made.write(), tmp_path / "out")
    message = str(caught.value)
    assert message.startswith(f"{made.path}: is damaged: ")
    assert len(message.splitlines()) == 1


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    made = Crafted(tmp_path / "crafted.zip")
    _overlap(made)
    with pytest.raises(ArchiveError, match="lie one over the other"), opened(made.path):
        pass


def test_what_is_crafted_without_harm_is_read(tmp_path: Path) -> None:
    """Or the two tests above would say nothing."""
    assert read(Crafted(tmp_path / "crafted.zip").write(), tmp_path / "out") == CONTENT


def test_a_member_of_another_digest_is_refused_when_it_is_extracted(tmp_path: Path) -> None:
    made = Crafted(tmp_path / "crafted.zip")
    with_entry(lambda entries: entries[-1].update(sha256="0" * 64))(made)
    with opened(made.write()) as found:
        for entry in found.entries[:-1]:
            found.extract(entry, None)
        with pytest.raises(ArchiveError, match=r"result\.json does not match its digest"):
            found.extract(found.entries[-1], None)


def test_another_version_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    made = Crafted(tmp_path / "crafted.zip")
    made.index = {"schema_version": 2, "version": "7.0.0"}
    made.entries = []  # whatever that version has there
    with pytest.raises(ArchiveError) as caught, opened(made.write()):
        pass
    assert str(caught.value) == (
        f"{made.path}: was written by ssbrepro '7.0.0', in version 2 of the format, and this is 0.1.0, "
        "which reads version 1; import it with that release, or export with this one"
    )


@pytest.mark.parametrize("content", [None, b"", b"PK", b"text" * 100, "folder"])
def test_a_file_that_is_none_of_ours_is_one_line(
    tmp_path: Path, content: bytes | str | None
) -> None:
    path = tmp_path / "file.zip"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ArchiveError) as caught, opened(path):
        pass
    assert str(caught.value) in (
        f"{path}: is not what `repro store export` wrote, or not all of it; copy it again",
        f"{path}: cannot be read: not an ordinary file",
        f"{path}: cannot be read: No such file or directory",
    )


def test_another_zip_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file.zip", "w") as plain:
        plain.writestr(INDEX, "{}" * 100)
    with pytest.raises(ArchiveError, match="its digest is another"), opened(tmp_path / "file.zip"):
        pass


def test_the_file_is_the_old_or_the_new_one_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "export.zip"
    old = CONTENT | {RESULT: b"[2]"}
    write(path, old)
    before = path.read_bytes()
    numbers = iter(range(1000))

    def check(went_through: bool) -> None:
        found = read(path, tmp_path / f"out{next(numbers)}")
        assert found in ((CONTENT,) if went_through else (CONTENT, old))
        assert hidden(tmp_path) == []
        path.write_bytes(before)

    assert each_failure(monkeypatch, lambda: write(path, CONTENT), check) >= 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, StoreError])
def test_what_ends_an_export_leaves_the_file_as_it_was(
    whole: Path, tmp_path: Path, error: type[BaseException]
) -> None:
    before = whole.read_bytes()
    for path in (whole, tmp_path / "new.zip"):
        with pytest.raises(error), written(path) as writer:  # noqa: PT012
            writer.add(RESULT, io.BytesIO(b"[2]"))
            raise error
    assert whole.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["whole.zip"]


def test_what_a_killed_export_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".a[1].zip.0123abcd", ".a[1].zip.bak", ".a1.zip.0123abcd", "a[1].zip.0123abcd"):
        (tmp_path / name).write_text("")
    write(tmp_path / "a[1].zip", CONTENT)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".a1.zip.0123abcd",
        ".a[1].zip.bak",
        "a[1].zip",
        "a[1].zip.0123abcd",
    ]


def test_how_far_it_is_is_told(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_CHUNK_BYTES", 100)
    told: list[tuple[int, int]] = []
    with opened(whole, lambda done, total: told.append((done, total))):
        pass
    size = whole.stat().st_size - 64
    assert told == [(min(100 * (1 + i), size), size) for i in range(-(-size // 100))]
