"""The digest of the code behind a stage: what changes it and what does not."""

import ast
import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repro import code
from ssbrepro.contract import Stage
from ssbrepro.papers import stages as stages_of
from tests.fakes import CHECKOUT

Write = Callable[[str, str], None]

PLAIN = """
def double(x):
    y = x * 2
    return y
"""
SAME = [
    PLAIN.replace("    y", "    # a comment\n    y", 1),
    '"""A docstring."""\n' + PLAIN,
    PLAIN.replace("    y", '    """A docstring\n\n    of lines."""\n    y', 1),
    PLAIN.replace("    y = x * 2", "    y = (\n        x\n        * 2\n    )"),
    "\n\n\n" + PLAIN + "\n\n",
    PLAIN.replace("2", "0b10"),  # the same tree
]
OTHER = [
    PLAIN.replace("2", "3"),
    PLAIN.replace("2", "2.0"),
    PLAIN.replace("x * 2", "2 * x"),
    PLAIN.replace("    return y", "    y += 0\n    return y"),
    PLAIN + "\nz = 1\n",
    PLAIN.replace("(x)", "(x: int)"),
    PLAIN.replace("    y", "    'a', 'tuple'\n    y", 1),
]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules of a package ``pack``, which the digests then take for ours."""
    monkeypatch.setattr(code, "_PACKAGES", ("pack",))
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, text: str) -> None:
        path = tmp_path / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()
        code.module_digests.cache_clear()

    write("__init__.py", "")
    yield write
    code.module_digests.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "pack"]:
        del sys.modules[name]


@pytest.mark.parametrize("text", SAME)
def test_comments_docstrings_and_layout_do_not_count(write: Write, text: str) -> None:
    write("a.py", PLAIN)
    before = code.module_digests("pack.a")
    write("a.py", text)
    assert code.module_digests("pack.a") == before


@pytest.mark.parametrize("text", OTHER)
def test_code_counts(write: Write, text: str) -> None:
    write("a.py", PLAIN)
    before = code.module_digests("pack.a")
    write("a.py", text)
    assert code.module_digests("pack.a")["pack.a"] != before["pack.a"]


def test_a_method_that_is_only_a_docstring_stays_a_method(write: Write) -> None:
    write("a.py", 'class A:\n    def f(self):\n        """Docs."""\n')
    before = code.module_digests("pack.a")
    write("a.py", 'class A:\n    """Docs."""\n\n    def f(self):\n        """Other docs."""\n')
    assert code.module_digests("pack.a") == before


def test_the_closure_follows_every_way_to_import(write: Write) -> None:
    write("a.py", "import json\nimport pack.plain\nfrom pack.names import thing\n"
                  "def f():\n    from pack import late\n")  # fmt: skip
    write("plain.py", "from pack.sub import leaf, value\n")
    write("names.py", "thing = 1\n")
    write("late.py", "")
    write("sub/__init__.py", "value = 1\n")
    write("sub/leaf.py", "from pack.names import thing\n")
    write("unrelated.py", "")
    expected = {"pack.a", "pack.plain", "pack.names", "pack.late", "pack.sub", "pack.sub.leaf"}
    assert expected <= set(code.module_digests("pack.a"))
    assert set(code.module_digests("pack.a")) <= expected | {"pack"}


def test_a_change_deep_below_counts(write: Write) -> None:
    write("a.py", "from pack.b import x\n")
    write("b.py", "from pack import c\nx = c.y\n")
    write("c.py", "y = 1\n")
    before = code.module_digests("pack.a")
    write("c.py", "y = 2\n")
    after = code.module_digests("pack.a")
    assert {name for name in before if before[name] != after[name]} == {"pack.c"}


def test_a_package_that_only_hands_on_names_leads_to_the_module(write: Write) -> None:
    write("a.py", "from pack.sub import f\n")
    write("sub/__init__.py", "from pack.sub.deep import f\n")
    write("sub/deep.py", "def f(): ...\n")
    assert "pack.sub.deep" in code.module_digests("pack.a")


def test_cycles_end(write: Write) -> None:
    write("a.py", "import pack.b\n")
    write("b.py", "import pack.a\n")
    assert {"pack.a", "pack.b"} <= set(code.module_digests("pack.a"))


@pytest.mark.parametrize("stage", [*stages_of("li2022").values(), *stages_of("ssb2018").values()])
def test_a_stages_digest_covers_its_own_code_and_not_another_stages(stage: Stage) -> None:
    covered = code.module_digests(stage.module)
    assert stage.module in covered
    assert ("ssbrepro.data.cifar10" in covered) == (stage.data is not None)
    assert ("ssbrepro.probes.spectra.measurement" in covered) == stage.name.startswith("spectrum")
    samplers = ("graph", "circuits", "dose_response")
    assert ("ssbrepro.probes.circuits.sampling" in covered) == (stage.name in samplers)
    differentiators = ("entries", "entry_controls", "dose_response")
    assert ("ssbrepro.probes.entries.per_example" in covered) == (stage.name in differentiators)
    assert not any(".figures." in name for name in covered)


def test_no_import_escapes_the_digest() -> None:
    """Relative and computed imports would not be followed; there are none in the science."""
    for path in (CHECKOUT / "ssbrepro").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
            if isinstance(node, ast.Attribute) and node.attr == "import_module":
                assert path.relative_to(CHECKOUT / "ssbrepro").as_posix() in (
                    "data/__init__.py",
                    "lazy.py",
                    "papers/__init__.py",
                )


def test_the_commit_is_that_of_the_checkout_and_says_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")

    def git(*arguments: str) -> str:
        author = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *author, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    commit = code.commit.__wrapped__  # which remembers nothing
    assert commit(tmp_path) == ""
    git("init")
    assert commit(tmp_path) == ""
    (tmp_path / "code.py").write_text("one = 1\n")
    git("add", ".")
    git("commit", "--message", "one")
    (tmp_path / "notes.txt").touch()
    assert commit(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "code.py").write_text("two = 2\n")
    assert commit(tmp_path) == git("rev-parse", "HEAD") + code.DIRTY
    (tmp_path / "below").mkdir()
    assert commit(tmp_path / "below") == ""
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no git
    assert commit(tmp_path) == ""
