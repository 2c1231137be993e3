"""What users name to be written: files are replaced whole, and whatever is none stays what it is."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from repro import files, output
from repro.errors import StoreError, UsageError


@pytest.mark.parametrize(
    "name",
    ["", ".", "folder", "to-folder", "loop", "file/x", "to-file-below-file", "x" * 250, "x" * 300],
)
def test_what_cannot_be_written_is_refused_and_nothing_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    Path("to-folder").symlink_to("folder")
    Path("to-file-below-file").symlink_to("file/x")
    Path("loop").symlink_to("loop")
    before = sorted(Path().iterdir())
    with pytest.raises(UsageError, match=r"^[^\n]+$"):
        output.json_file(name)
    assert sorted(Path().iterdir()) == before
    for empty in ("", "file", "to-file-below-file", "loop"):
        with pytest.raises(UsageError, match=r"^[^\n]+$"):
            output.new_folder(empty)


@pytest.mark.parametrize("old", ["old", None])
def test_a_link_stays_one_and_its_target_is_written(tmp_path: Path, old: str | None) -> None:
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    target.parent.mkdir()
    if old:
        target.write_text(old)
    link.symlink_to(target)
    output.write_json(output.json_file(str(link)), {})
    assert link.is_symlink()
    assert target.read_text() == "{}\n"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_pipe_gets_the_content_and_stays_one(tmp_path: Path) -> None:
    path, read = tmp_path / "pipe", list[str]()
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()), daemon=True)
    reader.start()  # it would be at its end if looking at the pipe opened it
    target = output.page(str(path))
    text = "content" * 20_000  # more than a pipe holds
    output.write_text(target, text)
    reader.join(20)
    assert read == [text]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_pipe_that_nothing_reads_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "_PATIENCE", 0.06)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match=r"pipe: cannot be written: nothing reads this pipe$"):
        output.write_json(output.json_file(str(tmp_path / "pipe")), {})
    assert capsys.readouterr().err.startswith("waiting for what reads '")


def test_a_device_gets_the_content_and_stays_one() -> None:
    master, terminal = os.openpty()
    try:
        name = os.ttyname(terminal)
        output.write_json(output.json_file(name), {})
        assert os.read(master, 99).strip() == b"{}"
        assert stat.S_ISCHR(Path(name).stat().st_mode)
    finally:
        os.close(master)
        os.close(terminal)


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_standard_output_by_any_name(name: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for ask in (output.json_file, output.page, output.picture, output.archive):
        assert ask(name) == output.STANDARD
    with output.written(output.STANDARD) as aside:
        aside.write_bytes(b"\xff")
    assert capfdbinary.readouterr().out == b"\xff"


def test_nothing_of_a_home_takes_the_place_of_what_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    os.mkfifo(path)
    with pytest.raises(StoreError, match=r"cannot be written: not an ordinary file$"):
        files.write_text(path, "")
    assert stat.S_ISFIFO(path.stat().st_mode)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")  # nor is anything outside of it written
    files.write_text(path, "ours")
    assert path.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_takes_nothing_more_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "repro", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == "standard output: cannot be written: No space left on device\n"
