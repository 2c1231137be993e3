"""CONTRIBUTING.md's recipes for a figure and a paper, followed to the letter in a copy of the code."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Workplace
from tests.fakes import CHECKOUT

PAPER = "tiny2026"
# A path alone on its line, and the block below it, in a list or not.
FILE = re.compile(r"^( *)`(\S+)`\n\n\1```\w+\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    """A checkout without recorded runs, and with nothing of the third paper."""
    checkout = tmp_path / "checkout"
    useless = shutil.ignore_patterns("__pycache__", "references", "*.webp")
    for package in ("repro", "ssbrepro", "manifests"):
        shutil.copytree(CHECKOUT / package, checkout / package, ignore=useless)
    shutil.copy(CHECKOUT / "Makefile", checkout)
    workplace = Workplace(
        tmp_path / "home",
        checkout / "manifests",
        tmp_path / "data",
        # Nor is anything compiled, so that only what the commands write is new.
        {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    yield workplace
    workplace.end()


def contents(checkout: Path) -> dict[Path, str]:
    """Digests of all files."""
    return {
        path.relative_to(checkout): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in checkout.rglob("*")
        if path.is_file()
    }


def follow_the_recipes(checkout: Path) -> set[Path]:
    """Write the files that they show and the packages that they ask for; returns which."""
    text = (CHECKOUT / "CONTRIBUTING.md").read_text("utf-8")
    files = {
        Path(name): re.sub(rf"^{indent}", "", content, flags=re.MULTILINE)
        for indent, name, content in FILE.findall(text)
    }
    package = Path("ssbrepro/papers") / PAPER
    for folder in (package, package / "stages", package / "figures"):
        files[folder / "__init__.py"] = '"""A docstring."""\n'
    for path, content in files.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text(content, "utf-8")
    return {*files}


def figures(place: Workplace, *command: str) -> list[dict[str, Any]]:
    """The entries of a command's ``--json`` that are of the third paper."""
    done = place.call(*command, "--json", "-")
    assert done.returncode == 0, done.stderr
    return [entry for entry in json.loads(done.stdout)["figures"] if entry["id"].startswith(PAPER)]


@pytest.mark.slow
def test_a_new_figure_begins_with_files_that_run_and_claim_nothing(place: Workplace) -> None:
    checkout, name = place.manifests.parent, "li2022/fig99"
    before = contents(checkout)
    done = place.call("new", "figure", name, "--stage", "weight_spread")
    assert done.returncode == 0, done.stderr
    now = contents(checkout)
    added = sorted(now.keys() - before.keys())
    assert {path: now[path] for path in before} == before
    assert [line for line in done.stdout.splitlines() if line.startswith("/")] == [
        str(checkout / path) for path in sorted(added, key=lambda path: (len(path.parts), path))
    ]
    assert all("TODO" in (checkout / path).read_text("utf-8") for path in added)

    modules = [str(path) for path in added if path.suffix == ".py"]
    for tool in (
        ("ruff", "check", "--config", CHECKOUT / "pyproject.toml", *modules),
        ("ruff", "format", "--check", "--config", CHECKOUT / "pyproject.toml", *modules),
        ("mypy", "--config-file", CHECKOUT / "pyproject.toml", *modules),
    ):
        subprocess.run([sys.executable, "-m", *map(str, tool)], cwd=checkout, check=True)

    done = place.call("plan", name, "--profile", "smoke")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"{name} at smoke")
    done = place.call("run", name, "--profile", "smoke", "--json", "-")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(done.stdout)["figures"]
    assert (entry["status"], entry["claims"]) == ("not recorded", [])
    assert any(path.endswith("fig99.png") for path in entry["artifacts"])
    done = place.call("new", "figure", name)
    assert (done.returncode, done.stderr) == (2, f"{name} is there already\n")


@pytest.mark.slow
def test_a_third_paper_needs_no_change_of_what_is_there(place: Workplace) -> None:
    checkout = place.manifests.parent
    before = contents(checkout)
    added = follow_the_recipes(checkout)
    assert not added & before.keys()

    subprocess.run(
        # In the place of the environment it would install, the one that runs this.
        ["make", "--old-file=install", "schema", f"VENV={sys.prefix}"],
        cwd=checkout,
        env=place.surroundings(),
        check=True,
        capture_output=True,
    )
    schema = Path("manifests") / PAPER / "schema.json"
    assert "MeansDeclaration" in json.loads((checkout / schema).read_text())["$defs"]

    name = f"{PAPER}/fig1"
    (entry,) = figures(place, "run", name, "--profile", "smoke")
    assert entry["status"] == "not recorded"
    (claim,) = entry["claims"]
    assert claim["verdict"] == "supported"
    # Means of signs that are all alike deviate as much, however many there are: a slope of zero.
    assert claim["control"] == pytest.approx(0.5, abs=0.01)
    assert [identity["verdict"] for identity in entry["identities"]] == ["holds"]
    pictures = {Path(path).name: Path(path) for path in entry["artifacts"]}
    assert pictures["fig1.png"].read_bytes().startswith(b"\x89PNG")

    done = place.call("record", name, "--profile", "smoke", "--seeds", "0-4")
    assert done.returncode == 0, done.stderr
    (entry,) = figures(place, "verify", name, "--profile", "smoke")
    assert entry["status"] == "as recorded"
    assert [reference["verdict"] for reference in entry["references"]] == ["within"]

    (listed,) = figures(place, "list")
    assert (listed["id"], listed["verdict"]) == (name, "1 supported")
    assert (listed["recorded_profile"], listed["recorded_verdicts"]["supported"]) == ("smoke", 1)

    now = contents(checkout)
    references = Path("manifests") / PAPER / "references" / "fig1.smoke.json"
    sums = references.with_name("SHA256SUMS")
    new = {path for path in now.keys() - before.keys() if path.name != f".{sums.name}.lock"}
    assert new == added | {schema, references, sums}
    assert {path: now[path] for path in before} == before
