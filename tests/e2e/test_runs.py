"""Whole runs: once computed and then stored, the same bytes anywhere, honest about damage."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.conftest import Undisturbed, Workplace
from tests.fakes import relist


@pytest.fixture
def copied(undisturbed: Undisturbed, place: Workplace) -> Iterator[Workplace]:
    """A home in which fig8a has been run."""
    shutil.copytree(undisturbed.place.home, place.home)
    return place


OF_8A = ("training", "spectrum", "spectrum_controls")


def statuses(entry: dict[str, Any]) -> dict[str, str]:
    return {step["stage"]: step["status"] for step in entry["steps"]}


def test_a_run_has_everything_it_names(undisturbed: Undisturbed) -> None:
    entry = undisturbed.entry
    assert statuses(entry) == dict.fromkeys(OF_8A, "ran")
    paths = {Path(path).name: Path(path) for path in entry["artifacts"]}
    assert set(paths) == {"fig8a.png", "fig8a.svg", "verdicts.json", "record.json", "arrays.npz"}
    png = paths["fig8a.png"].read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND\xaeB`\x82")
    root = ElementTree.parse(paths["fig8a.svg"]).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert all(np.isfinite(value) for value in entry["metrics"].values())
    # However small the network, the Hessian's products are exact.
    assert {identity["verdict"] for identity in entry["identities"]} == {"holds"}
    assert undisturbed.place.unfinished() == []
    assert undisturbed.place.processes() == {}
    for key in undisturbed.digests:
        folder = undisturbed.place.home / "store" / key
        assert {path.name for path in folder.iterdir()} == {
            "arrays.npz",
            "result.json",
            "meta.json",
        }


def test_a_second_run_computes_nothing_nor_does_a_figure_that_shares(copied: Workplace) -> None:
    files = [path for path in (copied.home / "runs").rglob("*") if path.is_file()]
    stamps = {path: path.stat().st_mtime_ns for path in files}
    outcome = copied.home.parent / "outcome.json"
    copied.call("run", "fig8a", "fig8b", "--profile", "smoke", "--json", str(outcome))
    first, second = json.loads(outcome.read_text())["figures"]
    assert statuses(first) == dict.fromkeys(OF_8A, "stored")
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert statuses(second) == {"training": "stored", "small_network": "ran"}
    assert (first["id"], second["id"]) == ("li2022/fig8a", "li2022/fig8b")


@pytest.mark.slow
def test_a_flipped_byte_is_said_and_mended(copied: Workplace, undisturbed: Undisturbed) -> None:
    key = undisturbed.entry["steps"][0]["key"]
    path = copied.home / "store" / key / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    entry = copied.figure("fig8b")
    assert statuses(entry)["training"] == "ran"
    assert re.search(rf"stored result {key[:12]} is damaged", entry["said"])
    assert copied.result(key) == undisturbed.digests[key]
    assert len(list((copied.home / "store" / "damaged").iterdir())) == 1


@pytest.mark.slow
def test_missing_data_is_status_3_and_says_what_to_do(place: Workplace, tmp_path: Path) -> None:
    place.data = tmp_path / "nothing"
    (place.data / "cifar-10-batches-py").mkdir(parents=True)
    done = place.call("run", "fig8b", "--profile", "smoke")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert re.search(
        rf"{re.escape(str(place.data))}/cifar-10-batches-py/data_batch_1: "
        r"expected MD5 c99cafc152244af753f735de768cd75f, the file is missing",
        done.stderr,
    )
    assert "`repro data fetch` downloads the official files" in done.stderr
    assert not list(place.data.glob("*/*"))  # nothing is put into a folder of the user's
    assert place.processes() == {}


@pytest.mark.slow
def test_another_home_gives_the_same_bytes_and_another_seed_does_not(
    place: Workplace, undisturbed: Undisturbed
) -> None:
    entry = place.figure("fig8a")
    assert statuses(entry) == dict.fromkeys(OF_8A, "ran")
    assert {
        step["key"]: place.result(step["key"]) for step in entry["steps"]
    } == undisturbed.digests
    assert entry["metrics"] == undisturbed.entry["metrics"]
    for name in ("fig8a.png", "fig8a.svg", "verdicts.json"):
        (ours,) = place.home.rglob(name)
        (theirs,) = undisturbed.place.home.rglob(name)
        assert ours.read_bytes() == theirs.read_bytes(), name

    other = place.figure("fig8a", "--seed", "1")
    assert statuses(other) == dict.fromkeys(OF_8A, "ran")
    for step, first in zip(other["steps"], entry["steps"], strict=True):
        assert step["key"] != first["key"]
        ours, theirs = place.result(step["key"]), place.result(first["key"])
        assert all(ours[name] != theirs[name] for name in ours)


@pytest.mark.slow
def test_fresh_computes_the_same_bytes_again(copied: Workplace, undisturbed: Undisturbed) -> None:
    entry = copied.figure("fig8a", "--fresh")
    assert statuses(entry) == dict.fromkeys(OF_8A, "ran")
    assert {
        step["key"]: copied.result(step["key"]) for step in entry["steps"]
    } == undisturbed.digests


@pytest.mark.slow
def test_an_alternative_computes_what_it_affects_with_its_own_value(
    copied: Workplace, undisturbed: Undisturbed
) -> None:
    entry = copied.figure("fig8a", "--alternative", "positive_classes=[0, 1, 8, 9]")
    assert statuses(entry) == dict.fromkeys(OF_8A, "stored")
    (alternative,) = entry["alternatives"]
    assert statuses(alternative) == dict.fromkeys(OF_8A, "ran")
    key = alternative["steps"][0]["key"]
    assert key not in undisturbed.digests
    parameters = json.loads((copied.home / "store" / key / "meta.json").read_text())["parts"][
        "parameters"
    ]
    assert parameters["positive_classes"] == [0, 1, 8, 9]
    assert parameters["negative_classes"] == [2, 3, 4, 5, 6, 7]
    assert {identity["verdict"] for identity in alternative["identities"]} == {"holds"}
    (svg,) = (path for path in alternative["artifacts"] if path.endswith(".svg"))
    assert "li2022/fig8a with positive_classes=[0, 1, 8, 9]" in Path(svg).read_text("utf-8")


@pytest.mark.slow
def test_two_at_once_compute_once(place: Workplace, undisturbed: Undisturbed) -> None:
    commands = [place.start("run", "fig8b", "--profile", "smoke") for _ in range(2)]
    said = [process.communicate(timeout=240)[1] for process in commands]
    assert all(process.returncode in (0, 1) for process in commands), said
    assert sum("training: ran" in text for text in said) == 1
    assert sum("training: stored" in text for text in said) == 1
    assert "Traceback" not in "".join(said)
    key = undisturbed.entry["steps"][0]["key"]
    assert place.result(key) == undisturbed.digests[key]
    assert place.unfinished() == []


@pytest.mark.slow
def test_what_is_recorded_verifies_until_somebody_tampers(place: Workplace) -> None:
    done = place.call("record", "fig8b", "--seeds", "0-2", "--profile", "smoke")
    assert done.returncode == 0, done.stderr
    path = place.manifests / "li2022" / "references" / "fig8b.smoke.json"
    original = path.read_text()
    assert [run["seed"] for run in json.loads(original)["runs"]] == [0, 1, 2]

    def verify() -> tuple[int, dict[str, Any]]:
        outcome = place.home.parent / "verdict.json"
        outcome.unlink(missing_ok=True)
        done = place.call("verify", "fig8b", "--profile", "smoke", "--json", str(outcome))
        assert "Traceback" not in done.stderr
        (entry,) = json.loads(outcome.read_text())["figures"]
        return done.returncode, entry

    def tampered(change: Any) -> tuple[int, dict[str, Any]]:
        content = json.loads(original)
        for run in content["runs"]:
            change(run)
        path.write_text(json.dumps(content))
        relist(path)
        return verify()

    status, entry = verify()
    # Seed 0 is one of the three; a t interval of 95 % for n = 3 reaches 4.97 deviations.
    assert (status, entry["status"]) == (0, "as recorded")
    # Four epochs support nothing, and that is what is recorded.
    assert {claim["verdict"] for claim in entry["claims"]} == {"not supported"}

    status, entry = tampered(lambda run: run["metrics"].update({"training.final_loss": 50.0}))
    assert (status, entry["status"]) == (1, "changed")
    status, entry = tampered(lambda run: run["claims"].update({"zero-loss": "supported"}))
    assert (status, entry["status"]) == (1, "changed")
    status, entry = tampered(lambda run: run["metrics"].pop("training.final_loss"))
    assert status == 1
    assert entry["status"] == "not recorded"
    path.unlink()
    relist(path)
    status, entry = verify()
    assert (status, entry["status"]) == (1, "not recorded")
