"""Fig. 2 of li2022: a network as a multilayer graph, with one circuit and its perturbations."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssbrepro.contract import Array
from ssbrepro.papers.style import BLUE, SMALL, VERMILION, WIDTH_INCHES, legend_below

_GREEN = "#009E73"  # Okabe & Ito's, as the thick path of the paper
_OPEN, _SHUT = "#CFE5F3", "white"
_WAVES, _WAVE_HEIGHT = 5, 0.09  # of a weight that is left out
_TITLES = (
    "a basis circuit: $X\\Psi$ = {}",
    "order 1, without the wavy\nweight: $\\Omega^{{\\backslash l}}/L'$ = {}",
    "order 2, without both wavy\nweights: $\\Omega^{{\\backslash l,l'}}/L'$ = {}",
)


def draw(arrays: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw the graph with the circuit on the left, and its two perturbations on the right.

    Args:
        arrays: Of the stage ``graph``.
    """
    graph = arrays["graph"]
    figure = Figure(figsize=(WIDTH_INCHES, 3.9), layout="constrained")
    panels = figure.subplot_mosaic(
        [["circuit", "first"], ["circuit", "second"]], width_ratios=[1.9, 1]
    )
    removed = graph["layers_removed"].tolist()
    places = _places(graph)
    for order, axis in enumerate(panels.values()):
        small = order > 0
        _edges(axis, graph, places, 0.4 if small else 0.7)
        _circuit(axis, graph, places, removed[:order], 2.0 if small else 3.2)
        _nodes(axis, graph, places, 5 if small else 10)
        title = _TITLES[order].format(_text(graph["values"][order]))
        axis.set_title(title, fontsize=9.5)  # so that superscripts are read
        axis.set_axis_off()
        corners = np.concatenate(places)
        axis.set_xlim(corners[:, 0].min() - 0.4, corners[:, 0].max() + 0.4)
        axis.set_ylim(corners[:, 1].min() - 0.5, corners[:, 1].max() + 0.3)
    _weights(panels["circuit"], graph, places)
    _layers(panels["circuit"], graph, places)
    legend_below(figure, _handles())
    return figure


def _text(value: float) -> str:
    return f"{value:.3g}".replace("-", "\u2212")  # a minus, as wide as a plus


def _places(graph: Mapping[str, Array]) -> list[Array]:
    """Where the units stand, (units, 2) a layer, inputs first."""
    sizes = [len(graph["input"])]
    while f"weight_{len(sizes)}" in graph:
        sizes.append(len(graph[f"weight_{len(sizes)}"]))
    return [
        np.stack([np.full(size, 1.3 * layer), (size - 1) / 2 - np.arange(size)], axis=1)
        for layer, size in enumerate(sizes)
    ]


def _edges(axis: Axes, graph: Mapping[str, Array], places: list[Array], width: float) -> None:
    """All weights: blue where positive, vermilion where negative, the wider the larger."""
    for layer, (starts, ends) in enumerate(itertools.pairwise(places), 1):
        weight = graph[f"weight_{layer}"]
        strength = np.abs(weight) / np.abs(weight).max()
        for (after, end), (before, start) in itertools.product(enumerate(ends), enumerate(starts)):
            axis.plot(
                *np.stack([start, end], axis=1),
                color=BLUE if weight[after, before] > 0 else VERMILION,
                lw=width * (0.3 + 1.7 * strength[after, before]),
                alpha=0.35,
                zorder=1,
            )


def _circuit(
    axis: Axes, graph: Mapping[str, Array], places: list[Array], removed: list[int], width: float
) -> None:
    """The thick path; a weight that is left out is a wavy line."""
    passed = [place[unit] for place, unit in zip(places, graph["units"], strict=True)]
    for layer, (start, end) in enumerate(itertools.pairwise(passed)):
        line = np.stack([start, end], axis=1)
        if layer in removed:
            axis.plot(*_wave(start, end), color=_GREEN, lw=0.45 * width, zorder=2)
        else:
            axis.plot(*line, color=_GREEN, lw=width, solid_capstyle="round", zorder=2)


def _wave(start: Array, end: Array) -> Array:
    """A sine along the way, (2, points)."""
    along = np.linspace(0, 1, 200)
    step = end - start
    across = np.array([-step[1], step[0]]) / np.hypot(*step)
    height = _WAVE_HEIGHT * np.sin(2 * np.pi * _WAVES * along)
    line: Array = start[:, None] + step[:, None] * along + across[:, None] * height
    return line


def _nodes(axis: Axes, graph: Mapping[str, Array], places: list[Array], size: float) -> None:
    """Inputs, gates and the output; the border of those on the circuit is green."""
    last = len(places) - 1
    for layer, layer_places in enumerate(places):
        for unit, (x, y) in enumerate(layer_places):
            is_open = bool(graph[f"gate_{layer}"][unit]) if 0 < layer < last else True
            colour = {0: "0.8", last: BLUE}.get(layer, _OPEN if is_open else _SHUT)
            on_way = unit == graph["units"][layer]
            axis.plot(
                x, y, "o", ms=size, mfc=colour, mec=_GREEN if on_way else "0.35",
                mew=0.18 * size if on_way else 0.08 * size, zorder=3,
            )  # fmt: skip
            if not is_open:
                axis.plot(x, y, "x", ms=0.5 * size, color="0.35", mew=0.1 * size, zorder=4)


def _weights(axis: Axes, graph: Mapping[str, Array], places: list[Array]) -> None:
    """The input and the weights on the circuit, in numbers."""
    units = graph["units"].tolist()
    style: dict[str, Any] = {"fontsize": SMALL, "va": "center", "zorder": 5}
    box = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": _GREEN, "lw": 0.5}
    x, y = places[0][units[0]]
    axis.text(x - 0.14, y, _text(graph["input"][units[0]]), ha="right", **style)
    for layer, (before, after) in enumerate(itertools.pairwise(units), 1):
        x, y = (places[layer - 1][before] + places[layer][after]) / 2
        text = _text(graph[f"weight_{layer}"][after, before])
        axis.text(x, y, text, ha="center", bbox=box, **style)


def _layers(axis: Axes, graph: Mapping[str, Array], places: list[Array]) -> None:
    """What each column is, below it."""
    lowest = np.concatenate(places)[:, 1].min() - 0.35
    gates = [f"gates $H^{layer}$" for layer in range(1, len(places) - 1)]
    names = ["inputs $X$", *gates, f"output $T$ = {_text(float(graph['output']))}"]
    for name, place in zip(names, places, strict=True):
        axis.text(place[0, 0], lowest, name, ha="center", va="top", fontsize=SMALL)


def _handles() -> list[Line2D]:
    gate: dict[str, Any] = {"marker": "o", "ls": "", "mec": "0.35", "ms": 6}
    return [
        Line2D([], [], color=_GREEN, lw=3, label="the circuit"),
        Line2D([], [], color=BLUE, lw=1, alpha=0.6, label="positive weight"),
        Line2D([], [], color=VERMILION, lw=1, alpha=0.6, label="negative weight"),
        Line2D([], [], mfc=_OPEN, label="open gate", **gate),
        Line2D([], [], mfc=_SHUT, label="shut gate (crossed out)", **gate),
    ]
