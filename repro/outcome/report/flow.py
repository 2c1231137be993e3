"""The steps of a run as a graph, laid out: each to the right of those whose results it reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from repro.outcome.record import RanStep

_LETTER, _PADDING = 7.6, 28  # pixels: a letter of a stage's name, and what is around it
_HEIGHT, _ROW, _ARROW = 46, 60, 44
_BEND = 44  # of an arrow that passes below other boxes: three quarters of it show


@dataclass(frozen=True)
class Box:
    """A step, with its upper left corner, in pixels."""

    step: RanStep
    left: float
    top: float


@dataclass(frozen=True)
class Flow:
    """Boxes of one size, and arrows between them as paths of an SVG, in pixels."""

    width: float
    height: float
    box_width: float
    box_height: float
    boxes: tuple[Box, ...]
    arrows: tuple[str, ...]


def flow_of(steps: Sequence[RanStep]) -> Flow:
    """Lay out the steps of a run, each of which comes after those that it needs."""
    columns: dict[str, int] = {}
    for step in steps:
        before = [columns[name] for name in step.inputs if name in columns]
        columns[step.stage] = max(before, default=-1) + 1
    box_width = max(len(step.stage) for step in steps) * _LETTER + _PADDING
    rows = dict.fromkeys(columns.values(), 0)
    boxes: dict[str, Box] = {}
    for step in steps:
        column = columns[step.stage]
        left, top = column * (box_width + _ARROW) + 1, rows[column] * _ROW + 1
        boxes[step.stage] = Box(step, round(left, 1), top)
        rows[column] += 1
    return Flow(
        width=round(len(rows) * (box_width + _ARROW) - _ARROW + 2, 1),
        height=max(rows.values()) * _ROW + 2,
        box_width=round(box_width, 1),
        box_height=_HEIGHT,
        boxes=tuple(boxes.values()),
        arrows=tuple(
            _arrow(boxes[name], box, box_width)
            for box in boxes.values()
            for name in box.step.inputs
            if name in boxes
        ),
    )


def _arrow(start: Box, end: Box, box_width: float) -> str:
    x1, y1 = round(start.left + box_width, 1), start.top + _HEIGHT / 2
    x2, y2 = round(end.left - 6, 1), end.top + _HEIGHT / 2
    bend = _BEND if x2 - x1 > _ARROW else 0
    half = _ARROW / 2
    return f"M{x1} {y1}C{x1 + half:g} {y1 + bend} {x2 - half:g} {y2 + bend} {x2} {y2}"
