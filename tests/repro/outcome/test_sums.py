"""Committed files and the list of their digests: neither is believed without the other."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from repro.errors import StoreError
from repro.manifests.library import FigureManifest, Library
from repro.outcome import sums
from repro.outcome.references import recorded_profiles, recorded_runs, write_runs
from tests.fakes import CHECKOUT, FIGURE, copy_two_figures, recorded_run_of


@pytest.fixture
def manifest(tmp_path: Path) -> FigureManifest:
    return Library(copy_two_figures(tmp_path / "manifests")).load(FIGURE)


@pytest.fixture
def path(manifest: FigureManifest) -> Path:
    write_runs(manifest, "smoke", [recorded_run_of(0)])
    return manifest.references_path("smoke")


def test_sha256sum_finds_what_is_written_as_listed(manifest: FigureManifest, path: Path) -> None:
    write_runs(manifest, "desk", [recorded_run_of(0)])
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", sums.SUMS],
        cwd=path.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "fig8b.desk.json: OK\nfig8b.smoke.json: OK\n"


def flipped(content: bytes, place: int, draws: random.Random) -> bytes:
    return (
        content[:place] + bytes([content[place] ^ 1 << draws.randrange(8)]) + content[place + 1 :]
    )


def test_no_byte_can_be_changed_added_or_lost(manifest: FigureManifest, path: Path) -> None:
    draws = random.Random(0)
    for changed, places in ((path, 40), (path.with_name(sums.SUMS), 20)):
        content = changed.read_bytes()
        others = [flipped(content, draws.randrange(len(content)), draws) for _ in range(places)]
        for other in [*others, content + b" ", content[:-2], b""]:
            changed.write_bytes(other)
            with pytest.raises(StoreError, match=f"^{path.parent}/.*`git checkout"):
                recorded_runs(manifest, "smoke")
        changed.write_bytes(content)
    assert len(recorded_runs(manifest, "smoke")) == 1


def test_what_is_listed_and_gone_is_not_taken_for_nothing(
    manifest: FigureManifest, path: Path
) -> None:
    path.unlink()
    assert recorded_profiles(manifest) == ("smoke",)
    with pytest.raises(
        StoreError, match=f"^{path}: is not there, but in SHA256SUMS; `git checkout"
    ):
        recorded_runs(manifest, "smoke")
    assert recorded_runs(manifest, "desk") == ()


def test_several_that_record_at_once_lose_no_line(tmp_path: Path) -> None:
    source = (
        "import sys; from pathlib import Path; from repro.outcome import sums\n"
        "for number in range(8):\n"
        "    path = Path(sys.argv[1], f'{sys.argv[2]}.{number}.json')\n"
        "    with sums.locked(path.parent): sums.write_json(path, number)\n"
        "    assert sums.read(path) == f'{number}\\n'.encode()\n"
    )
    folder = tmp_path / "references"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", source, str(folder), name],
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        )
        for name in ("a", "b")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len((folder / sums.SUMS).read_text().splitlines()) == 16
