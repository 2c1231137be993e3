"""A few tries of the attacks by input, which `python -m attack` makes many of."""

import pytest

from attack import command_lines, manifests
from attack.attack import carry_out
from repro.manifests import loading

CHEAP = {attack.name: attack for attack in (*manifests.ATTACKS, *command_lines.ATTACKS)}


@pytest.mark.parametrize(("name", "tries"), [("manifests", 25), ("command-lines", 20)])
def test_hostile_input_is_withstood(name, tries):
    *_, report = carry_out(CHEAP[name], tries, seed=0)
    assert report.tries == tries
    assert report.failures == []


def test_a_value_that_is_read_as_another_is_noticed(monkeypatch):
    monkeypatch.setattr(loading, "_Composer", Inattentive)
    monkeypatch.setattr(loading, "_composed", loading._composed.__wrapped__)  # nothing remembered
    *_, report = carry_out(CHEAP["manifests"], 25, seed=0)
    assert any("reads {" in failure for failure in report.failures)


def test_a_refusal_without_a_place_is_noticed(monkeypatch):
    monkeypatch.setattr(loading, "_place", lambda path, mark: f"{path}: somewhere")
    *_, report = carry_out(CHEAP["manifests"], 25, seed=0)
    assert any("names no place" in failure for failure in report.failures)


class Inattentive(loading._Composer):
    """Takes each text for a shorter one."""

    def compose_scalar_node(self, anchor):
        node = super().compose_scalar_node(anchor)
        return type(node)(
            node.tag, node.value.replace("The ", ""), node.start_mark, style=node.style
        )
