"""The attacks' own frame: what fails is counted and said, and every try can be made again."""

from dataclasses import replace

import pytest

from attack import __main__ as command
from attack.attack import Attack, carry_out, trial


def sevens(prepared, one):
    if one.number == 3:
        raise RuntimeError("unforeseen")
    return "a seven" if one.random.randrange(10) == 7 else None


HARMFUL = Attack(
    "sevens", "numbers", tries=200, quick=5, prepare=lambda folder: folder, attempt=sevens
)


def test_failures_and_exceptions_are_told_apart_from_tries_that_are_withstood():
    *_, report = carry_out(HARMFUL, 200, seed=0)
    assert report.tries == 200
    assert 8 <= len(report.failures) <= 35  # 20 expected, 3.5 standard deviations
    assert "sevens 3: RuntimeError: unforeseen" in report.failures


def test_a_try_is_the_same_whatever_was_tried_before(tmp_path):
    draws = [trial(HARMFUL, 5, 1, tmp_path).random.random() for _ in range(2)]
    assert draws[0] == draws[1]
    others = [trial(HARMFUL, 5, 2, tmp_path), trial(HARMFUL, 6, 1, tmp_path)]
    others.append(trial(replace(HARMFUL, name="eights"), 5, 1, tmp_path))
    assert draws[0] not in [one.random.random() for one in others]


@pytest.mark.parametrize(("tries", "status"), [("3", 0), ("4", 1)])
def test_one_failure_fails_the_command(tries, status, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        command,
        "ATTACKS",
        (replace(HARMFUL, attempt=lambda _, one: sevens(_, one) if one.number == 3 else None),),
    )
    table = tmp_path / "table.md"
    monkeypatch.setattr("sys.argv", ["attack", "--tries", tries, "--markdown", str(table)])
    assert command.main() == status
    assert f"| sevens | numbers | {tries} | {status} |\n" in table.read_text("utf-8")
    assert ("unforeseen" in capsys.readouterr().out) == bool(status)
