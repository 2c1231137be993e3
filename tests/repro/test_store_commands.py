"""``repro store`` in this process: what is said, what is asked, and how it ends."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from repro.store import ARRAYS, Store
from tests.fakes import BOTH_STAGES, FIGURE, contents, replace_once
from tests.repro.conftest import Cli


@pytest.fixture
def full(repro: Cli) -> Cli:
    """A home with a run."""
    assert repro.call("run", BOTH_STAGES, "--profile", "smoke").status == 0
    return repro


def moved(repro: Cli) -> Path:
    """The home is elsewhere, and here there is none."""
    there = repro.home.parent / "there"
    repro.home.rename(there)
    return there


def damage(repro: Cli) -> Path:
    path = min(repro.home.glob(f"store/*/{ARRAYS}"))
    path.write_bytes(b"damaged")
    return path.parent


def lines(text: str) -> list[str]:
    return text.splitlines()


class TestExportAndImport:
    def test_a_run_is_carried_to_where_nothing_is_computed_again(self, full: Cli) -> None:
        file = full.home.parent / "results.zip"
        done = full.call("store", "export", str(file))
        size = f"{file.stat().st_size / 1e6:.1f} MB"
        assert (done.status, done.err) == (0, "")
        assert done.out == f"{file}: 2 results, saved states of 0 steps, 1 run ({size})\n"
        moved(full)
        done = full.call("store", "import", str(file))
        assert (done.status, done.err) == (0, "")
        assert done.out == "came in: 2 results, saved states of 0 steps, 1 run\n"
        again = full.call("store", "import", str(file))
        assert lines(again.out)[1:] == ["here already: 3"]
        ran = len(full.executor.ran)
        assert full.call("run", BOTH_STAGES, "--profile", "smoke").status == 0
        assert len(full.executor.ran) == ran
        assert "fig8a" in full.call("list").out

    def test_figures_alone(self, full: Cli) -> None:
        file = str(full.home.parent / "results.zip")
        done = full.call("store", "export", file, FIGURE, "--profile", "smoke", "--seeds", "0-4")
        assert done.out.startswith(f"{file}: 1 result, saved states of 0 steps, 0 runs (")
        done = full.call("store", "export", file, "fig8a", "fig1")  # which nothing computes
        assert done.out.startswith(f"{file}: 2 results, saved states of 0 steps, 1 run (")

    def test_what_is_damaged_is_left_out_with_status_1(self, full: Cli) -> None:
        folder, file = damage(full), full.home.parent / "results.zip"
        done = full.call("store", "export", str(file))
        assert done.status == 1
        assert lines(done.err) == [
            f"left out: {folder}: {ARRAYS} does not match its digest",
            "what was left out is computed again when it is next needed",
        ]
        assert done.out.startswith(f"{file}: 1 result, ")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("results.txt",), "results.txt: a ZIP file is written; name it .zip"),
            (("a.zip",), "holds nothing whole to export"),
            (("a.zip", "--seeds", "0"), "--profile and --seeds are of figures: name some"),
            (("a.zip", "--profile", "desk"), "--profile and --seeds are of figures: name some"),
            (("a.zip", "fig8"), "no figure 'fig8' (did you mean"),
            (("a.zip", "fig8a", "--profile", "auto"), "no profile 'auto'; there are smoke, desk, "),
            (("a.zip", "fig8a", "--seeds", "x"), "--seeds 'x': write 0-9 or 0,3,5"),
        ],
    )
    def test_bad_usage_is_one_line_and_no_file(
        self, repro: Cli, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(repro.home.parent)
        before = contents(repro.home.parent)
        done = repro.call("store", "export", *arguments)
        assert done.status == 2
        assert message in done.err
        assert len(lines(done.err)) == 1
        assert contents(repro.home.parent) == before

    @pytest.mark.parametrize("content", [None, "text", "zip"])
    def test_a_file_that_cannot_be_imported_is_one_line(
        self, full: Cli, content: str | None
    ) -> None:
        file = full.home.parent / "results.zip"
        if content == "zip":
            full.call("store", "export", str(file))
            whole = bytearray(file.read_bytes())
            whole[len(whole) // 2] ^= 1
            file.write_bytes(whole)
        elif content == "text":
            file.write_text("text")
        moved(full)
        done = full.call("store", "import", str(file))
        assert done.status == 2
        (line,) = lines(done.err)
        assert line.startswith(f"{file}: ")
        assert not full.home.exists()

    def test_what_is_computed_here_meanwhile_is_left_to_it(self, full: Cli) -> None:
        file = str(full.home.parent / "results.zip")
        full.call("store", "export", file)
        keys = [path.parent.name for path in full.home.glob(f"store/*/{ARRAYS}")]
        moved(full)
        with Store(full.home / "store").lock(keys[0]):
            done = full.call("store", "import", file)
        assert done.status == 0
        assert lines(done.out)[-1].startswith("being computed here: 1; the same command takes in")
        done = full.call("store", "import", file)
        assert lines(done.out) == [
            "came in: 1 result, saved states of 0 steps, 0 runs",
            "here already: 2",
        ]


class TestCheck:
    def test_a_home_that_is_whole(self, full: Cli) -> None:
        done = full.call("store", "check")
        assert (done.status, done.err) == (0, "")
        assert done.out == f"{full.home}: 2 results, 0 saved states, 1 run whole\n"

    def test_what_is_damaged_is_said_with_status_1(self, full: Cli) -> None:
        folder = damage(full)
        done = full.call("store", "check", "--json", "-")
        assert done.status == 1
        problem = f"{ARRAYS} does not match its digest"
        assert json.loads(done.out) == {
            "results": 1,
            "states": 0,
            "runs": 1,
            "damaged": [{"path": str(folder), "problem": problem}],
            "runs_of_another_release": 0,
            "set_aside": 0,
            "partial": 0,
        }
        assert lines(done.err) == [
            f"{full.home}: 1 result, 0 saved states, 1 run whole",
            f"damaged: {folder}: {problem}",
            "what is damaged is computed again when `repro run` next needs it",
        ]
        # Which is true, and then it is mentioned as set aside.
        assert full.call("run", BOTH_STAGES, "--profile", "smoke").status == 0
        done = full.call("store", "check")
        assert done.status == 0
        assert "damaged and set aside: 1" in done.out


class TestClean:
    @pytest.fixture
    def cluttered(self, full: Cli) -> Cli:
        """A home with a run, and a damaged result that was set aside."""
        damage(full)
        assert full.call("run", BOTH_STAGES, "--profile", "smoke").status == 0
        return full

    def test_nothing_to_remove(self, full: Cli) -> None:
        done = full.call("store", "clean")
        assert (done.status, done.out) == (0, f"{full.home}: nothing to remove\n")

    def test_without_a_terminal_it_only_says_how_much(self, cluttered: Cli) -> None:
        before = contents(cluttered.home)
        done = cluttered.call("store", "clean")
        assert done.status == 0
        assert "damaged result that was set aside 1 0.0 MB" in done.words
        assert "nothing was removed: `repro store clean --yes` removes it" in done.out
        assert contents(cluttered.home) == before

    @pytest.mark.parametrize("answer", ["y\n", "n\n", "\n"])
    def test_on_a_terminal_it_asks(
        self, cluttered: Cli, monkeypatch: pytest.MonkeyPatch, answer: str
    ) -> None:
        keyboard = io.StringIO(answer)
        monkeypatch.setattr(keyboard, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", keyboard)
        done = cluttered.call("store", "clean")
        assert done.status == 0
        assert "remove 0.0 MB?" in done.out
        assert ("removed: 0.0 MB" in done.out) == (answer == "y\n")
        assert len([*cluttered.home.glob("store/damaged/*")]) == (answer != "y\n")

    def test_what_is_stored_stays_and_what_is_in_use(self, cluttered: Cli) -> None:
        planned = cluttered.call("plan", BOTH_STAGES, "--profile", "smoke").out
        assert "stored" in planned
        (aside,) = cluttered.home.glob("store/damaged/*")
        with Store(cluttered.home / "store").lock(aside.name.partition(".")[0]):
            done = cluttered.call("store", "clean", "--yes")
        assert lines(done.out)[-1] == "in use, and still there: 1"
        done = cluttered.call("store", "clean", "--yes")
        assert lines(done.out)[-1] == "removed: 0.0 MB"
        assert not aside.exists()
        assert cluttered.call("plan", BOTH_STAGES, "--profile", "smoke").out == planned
        assert "nothing to remove" in cluttered.call("store", "clean", "--runs").out

    def test_runs_that_were_replaced_only_when_asked(self, full: Cli) -> None:
        """The same figure of another manifest: its first run is of no use, but it is a record."""
        replace_once(full.manifests / "li2022" / "fig8a.yaml", "at_most: 0.25", "at_most: 0.5")
        assert full.call("run", BOTH_STAGES, "--profile", "smoke").status in (0, 1)
        assert len([*full.home.glob("runs/*/*/*")]) == 2
        assert "nothing to remove" in full.call("store", "clean").out
        done = full.call("store", "clean", "--runs", "--yes")
        assert "run that a later one has replaced 1" in done.words
        assert len([*full.home.glob("runs/*/*/*")]) == 1

    def test_manifests_that_are_not_there_or_wrong_end_it(self, full: Cli) -> None:
        before = contents(full.home)
        (full.manifests / "li2022" / "fig8b.yaml").write_text("kind: figure\n")
        assert full.call("store", "clean", "--yes").status == 2
        shutil.rmtree(full.manifests)
        done = full.call("store", "clean", "--yes")
        assert done.status == 2
        assert done.err.startswith("no manifests below ")
        assert contents(full.home) == before
