"""What the READMEs say of the code, held to the code."""

import contextlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.manifests.library import Library
from tests.fakes import CHECKOUT, MANIFESTS

PAPERS = sorted(path.parent.name for path in MANIFESTS.glob("*/paper.yaml"))
FRONT = Path("README.md")
SCIENCE = Path("ssbrepro/README.md")
OF_PAPERS = [Path("ssbrepro/papers") / paper / "README.md" for paper in PAPERS]

CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.-]*/[\w./-]*|[\w-]+\.(?:py|md|yaml|toml)")
FILE = re.compile(r"[\w.-]+/[\w./-]+\.(?:json|md|py|toml|yaml)")
LINK = re.compile(r"\]\(([^)#]+)\)")


def section(readme: Path, title: str) -> str:
    text = (CHECKOUT / readme).read_text("utf-8")
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(readme: Path, title: str) -> Iterator[list[str]]:
    """The cells of the one table of a section, without its head."""
    lines = [line for line in section(readme, title).splitlines() if line.startswith("|")]
    assert len(lines) > 3, f"{readme} has no table of {title.lower()}"
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (CHECKOUT / SCIENCE).read_text("utf-8"), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_of_the_science_runs_alone(
    block: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(block, {})
    printed = capsys.readouterr().out
    assert printed
    assert "tensor(" not in printed  # what results say of themselves is short


@pytest.mark.parametrize("paper", PAPERS)
def test_every_name_of_a_papers_symbols_is_there(paper: str) -> None:
    for _, _, here in rows(Path("ssbrepro/papers") / paper / "README.md", "Symbols"):
        for name in CODE.findall(here):
            assert found(name.partition("(")[0], paper), f"there is no {name}"


def found(name: str, paper: str) -> bool:
    """Whether a name is one of the paper's package, or of the science's."""
    for package in (f"ssbrepro.papers.{paper}", "ssbrepro"):
        with contextlib.suppress(ImportError, AttributeError):
            pkgutil.resolve_name(f"{package}.{name}")
            return True
    return False


def test_a_name_that_is_nowhere_is_not_found() -> None:
    assert found("potential.Potential.value", "ssb2018")
    assert found("networks.vgg12", "ssb2018")
    assert not found("potential.Potential.values", "ssb2018")
    assert not found("potential.Potential", "li2022")


@pytest.mark.parametrize("paper", PAPERS)
def test_every_figure_of_a_paper_is_listed_with_its_stages(paper: str) -> None:
    library = Library(MANIFESTS)
    manifests = [library.load(name) for name in library.computed() if name.startswith(f"{paper}/")]
    table = rows(Path("ssbrepro/papers") / paper / "README.md", "Figures")
    assert {f"{paper}/{figure}": {*CODE.findall(stages)} for figure, stages, _ in table} == {
        manifest.id: {stage.name for stage in manifest.stages} for manifest in manifests
    }


def test_the_front_page_is_one_page() -> None:
    assert len((CHECKOUT / FRONT).read_text("utf-8").splitlines()) <= 120


@pytest.mark.parametrize("readme", [FRONT, Path("repro/README.md"), SCIENCE, *OF_PAPERS], ids=str)
def test_every_path_of_a_readme_is_there(readme: Path) -> None:
    text = (CHECKOUT / readme).read_text("utf-8")
    places = [CHECKOUT, (CHECKOUT / readme).parent]
    written = [name for name in CODE.findall(text) if PATH.fullmatch(name)]
    for name in [*written, *LINK.findall(text)]:
        assert any((place / name).exists() for place in places), f"there is no {name}"


def test_every_file_that_a_page_names_is_there() -> None:
    pages = sorted((CHECKOUT / "docs").glob("*.md"))
    named = {(page.name, name) for page in pages for name in CODE.findall(page.read_text("utf-8"))}
    files = {(page, name) for page, name in named if FILE.fullmatch(name)}
    assert files
    assert {one for one in files if not (CHECKOUT / one[1]).exists()} == set()


def test_every_package_of_the_science_is_in_its_tree() -> None:
    packages = {path.parent.name for path in (CHECKOUT / "ssbrepro").glob("*/__init__.py")}
    assert packages
    tree = " ".join(cell for cell, _ in rows(SCIENCE, "The tree"))
    assert packages == {name.split("/")[0] for name in CODE.findall(tree) if "/" in name}
