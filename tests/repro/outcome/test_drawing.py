"""Pictures: the same data, the same bytes, whatever a user has told matplotlib."""

import io

import matplotlib
from matplotlib.figure import Figure

from repro.outcome.drawing import save


def _drawn() -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def _pictures() -> dict[str, bytes]:
    targets = {"png": io.BytesIO(), "svg": io.BytesIO()}
    save(_drawn, targets, "a figure")
    return {kind: target.getvalue() for kind, target in targets.items()}


def test_settings_of_the_user_change_nothing_and_are_kept() -> None:
    expected = _pictures()
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 3}):
        assert _pictures() == expected
        assert matplotlib.rcParams["lines.linewidth"] == 9
