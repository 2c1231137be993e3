"""Seeded defects: all modules have tests, what is listed is there, and what is tested is the copy."""

import itertools
import subprocess
import sys
import textwrap

import pytest

from mutants import trial
from mutants.equivalent import listed, plain
from mutants.modules import CHECKOUT, TESTS, modules


def test_every_module_has_tests_and_what_is_listed_is_of_code_that_is_there():
    known = modules()
    assert len(known) > 50
    assert set(TESTS) <= set(known)
    for tests in known.values():
        for test in tests:
            file, _, name = test.partition("::")
            assert f"class {name}" * bool(name) in (CHECKOUT / file).read_text("utf-8"), test
    for one in listed():
        assert plain(one.before) in plain((CHECKOUT / one.module).read_text("utf-8")), one
        assert len(one.why) > 5, one


def test_tests_see_a_change_of_the_same_length_and_are_cut_when_they_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_HEAVY", [])
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "value_of_it.py").write_text("VALUE = 1\n")
    (checkout / "test_it.py").write_text(
        "import value_of_it\n\n\ndef test_it():\n    assert value_of_it.VALUE == 1\n"
    )
    copy = trial.Copy(checkout, tmp_path / "copy")
    assert copy.passes(["test_it.py"], limit=300), copy.said.read_text()
    copy.change("value_of_it.py", "VALUE = 2\n")
    assert not copy.passes(["test_it.py"], limit=300)
    assert "assert 2 == 1" in copy.said.read_text()
    copy.change("value_of_it.py", "VALUE = 1\n")
    assert not copy.passes(["test_it.py"], limit=0)
    assert (checkout / "value_of_it.py").read_text() == "VALUE = 1\n"


@pytest.mark.slow
def test_each_change_is_at_one_place_and_the_seed_alone_draws_it():
    pytest.importorskip("cosmic_ray", reason="`make mutants` installs it")
    from mutants.mutations import mutations

    source = textwrap.dedent("""\
        TWO = 1 + 1


        @dataclass(frozen=True)
        class Value:
            value: int | None


        def above(value: int | None, bound: float) -> bool | None:
            return value is not None and value > bound
        """)
    drawn = list(mutations(source, "seed"))
    assert drawn == list(mutations(source, "seed"))
    assert drawn != list(mutations(source, "other"))
    # Two numbers, their sum, the decorator as a whole; `is not`, `and`, `>`. No type, and no `frozen`.
    places = itertools.islice(drawn, 7)
    assert sorted(one.function for one in places) == [""] * 4 + ["above"] * 3
    for one in drawn:
        assert plain(one.source) == plain(source.replace(one.before, one.after, 1))
    assert ("TWO = 1 + 1", "TWO = 1 - 1") in [(one.before, one.after) for one in drawn]


@pytest.mark.slow
def test_the_command_counts():
    pytest.importorskip("cosmic_ray", reason="`make mutants` installs it")
    command = [sys.executable, "-m", "mutants", "ssbrepro/statistics/ranks.py", "--each", "1"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    counts = done.stdout.splitlines()[-2].replace("│", " ").split()
    assert counts[:2] == ["all", "1"]
    assert done.returncode == int(counts[3] == "1")
