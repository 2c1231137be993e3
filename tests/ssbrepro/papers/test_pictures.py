"""Every picture can be read: print of a size, no text upon another, nothing past the page.

Drawn from arrays that the stages left at ``smoke``, seed 0, in ``pictures.npz``. After a change of what
stages give, ``python tests/ssbrepro/papers/test_pictures.py`` takes them anew from stored results.
"""

import importlib
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from repro.manifests.library import Library
from repro.names import plot_module
from tests.fakes import MANIFESTS

Arrays = dict[str, dict[str, Any]]

ARRAYS = Path(__file__).with_name("pictures.npz")
FIGURES = Library(MANIFESTS).computed()
FEW = 100  # numbers that may be written out in a picture
POINTS = 7  # the least that is read on paper
TOUCHING = 1.5  # pixels of 1/100 inch that boxes of texts may share: they have some air inside


class Reading(dict[str, Any]):
    """Arrays of a stage that know which of them were read."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        super().__init__(arrays)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)


def arrays_of(figure_id: str) -> Arrays:
    found: Arrays = {}
    with np.load(ARRAYS) as stored:
        for name in stored.files:
            figure, _, rest = name.partition(":")
            if figure == figure_id:
                stage, _, array = rest.partition(".")
                found.setdefault(stage, {})[array] = stored[name]
    return found


def drawn(figure_id: str, arrays: Mapping[str, Mapping[str, Any]]) -> Figure:
    matplotlib.use("Agg")
    figure: Figure = importlib.import_module(plot_module(figure_id)).draw(arrays)
    return figure


def texts_of(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Text, Bbox]]:
    """All texts that come to be drawn, with their places in pixels of 1/100 inch."""
    found: dict[Text, Bbox] = {}

    def noting(self: Text, renderer: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            found[self] = self.get_window_extent(renderer)

    FigureCanvasAgg(figure)
    with monkeypatch.context() as patched:
        patched.setattr(Text, "draw", noting)
        figure.draw_without_rendering()
    return [*found.items()]


def overlaps(one: Bbox, other: Bbox) -> bool:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(min(width, height) > TOUCHING)


@pytest.mark.parametrize("figure_id", FIGURES)
def test_all_that_is_written_can_be_read(figure_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(figure_id, arrays_of(figure_id))
    texts = texts_of(figure, monkeypatch)
    small = {text.get_text() for text, _ in texts if float(text.get_fontsize()) < POINTS}
    assert not small
    page = figure.bbox.padded(5)
    beyond = {text.get_text() for text, box in texts if box.x0 < page.x0 or box.x1 > page.x1}
    assert not beyond
    upon = {
        (one.get_text(), other.get_text())
        for (one, first), (other, second) in itertools.combinations(texts, 2)
        if overlaps(first, second)
    }
    assert not upon


def test_texts_upon_each_other_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Figure()
    for x in (0.5, 0.52):
        figure.text(x, 0.5, "somewhere")
    (_, first), (_, second) = texts_of(figure, monkeypatch)
    assert overlaps(first, second)


def all_empty(arrays: Arrays) -> None:
    spectrum = arrays["spectrum"]
    spectrum["standard_deviation"] = np.zeros_like(spectrum["standard_deviation"])
    for name, values in arrays["spectrum_controls"].items():
        arrays["spectrum_controls"][name] = np.full_like(values, np.nan)


def no_gradient(arrays: Arrays) -> None:
    gradients = arrays["gradients"]
    gradients["histogram"] = np.zeros_like(gradients["histogram"])
    for name in ("asymmetry", "noise_95", "intact", "broken"):
        gradients[name] = np.full_like(gradients[name], np.nan)


def vanished(arrays: Arrays) -> None:
    variance = arrays["gradient_variance"]
    for name in ("growth", "shuffled_growth", "window_epoch", "window_ratio"):
        del variance[f"tishby_{name}"]
    epochs = np.arange(1, 9)
    ratio = np.ones((6, 8))
    ratio[2] = np.nan  # in all epochs
    ratio[3, 4:] = np.nan
    variance |= {"tishby_epoch": epochs, "tishby_ratio": ratio}


def in_between(arrays: Arrays) -> None:
    theorem = arrays["theorem1"]
    theorem["affine_defect"] = np.full_like(theorem["affine_defect"], 1e-6)  # neither nor
    theorem["relu_defect"] = np.full_like(theorem["relu_defect"], np.nan)


def nothing_live(arrays: Arrays) -> None:
    means = arrays["means"]
    for name, values in means.items():
        if name not in ("epoch", "centred_below"):
            means[name] = np.full_like(values, np.nan)
    means["forced"] = np.zeros(len(means["epoch"]))


def without_couplings(arrays: Arrays) -> None:
    for coupling in arrays.values():
        for name, values in coupling.items():
            if name.startswith(("exponent", "co")):
                coupling[name] = np.full_like(values, np.nan)


def nothing_learnt(arrays: Arrays) -> None:
    capacity = arrays["capacity"]
    capacity["n_c"] = np.zeros_like(capacity["n_c"])
    capacity["slopes"] = np.full(2, np.nan)


DEGENERATE: dict[str, Callable[[Arrays], None]] = {
    "li2022/capacity": nothing_learnt,
    "li2022/fig4a": no_gradient,
    "li2022/fig7b": nothing_live,
    "li2022/fig7c": without_couplings,
    "li2022/fig8a": all_empty,
    "ssb2018/gradient-variance": vanished,
    "ssb2018/theorem1": in_between,
}


@pytest.mark.parametrize("figure_id", DEGENERATE)
def test_what_is_missing_is_no_fault(figure_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = arrays_of(figure_id)
    DEGENERATE[figure_id](arrays)
    assert texts_of(drawn(figure_id, arrays), monkeypatch)


def take_arrays() -> None:
    """Write :data:`ARRAYS` from the results stored at ``smoke``, seed 0, to three digits."""
    from repro.machine import facts
    from repro.plan import make_plan
    from repro.settings import Settings
    from repro.store import Store

    store, kept = Store(Settings.from_environment().home / "store"), {}
    for figure_id in FIGURES:
        read = {}
        for step in make_plan(Library(MANIFESTS).load(figure_id), "smoke", 0, facts("cpu")).steps:
            result = store.read(step.key)
            assert result is not None, f"{figure_id}: {step.stage} is not stored; run it"
            read[step.stage] = Reading(result.arrays)
        drawn(figure_id, read)
        for stage, arrays in read.items():
            for name in arrays.names:
                kept[f"{figure_id}:{stage}.{name}"] = coarse(arrays[name])
    np.savez_compressed(ARRAYS, **kept)


def coarse(values: Any) -> Any:
    """Numbers with a mantissa that is short, and so is their file; few of them as they are."""
    if values.size < FEW or not np.issubdtype(values.dtype, np.inexact):
        return values
    single = np.array(values, np.complex64 if np.iscomplexobj(values) else np.float32, order="C")
    single.view(np.uint32)[...] &= 0xFFFFE000
    return single


if __name__ == "__main__":
    take_arrays()
