"""The table, its file and its picture."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from rich.table import Table

from bench.contests import Contest, Growth
from bench.timing import Rates, side_by_side
from ssbrepro.papers import style

_PACKAGES = (
    "torch", "numpy", "scipy", "pyhessian", "curvlinops-for-pytorch", "hessian-eigenthings",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A work of ours against one peer.

    Attributes:
        work: Ours.
        against: The peer.
        ratio: The peer's time over ours, of the minima; for a cost ours over the peer's.
        median_ratio: Of the medians.
        target: What the ratio should be; None where nothing is asked.
        is_cost: Whether the target is an upper bound.
        unit: What is counted.
        per_second: Units of our work a second, at the minimum.
        floor_share: What the machine's own rates would need over what ours takes; None if unknown.
        peak_bytes: Growth of the process while ours is set up and called; None if not told.
        peer_peak_bytes: That of the peer.
        error: Of ours against float64; None where there is none to tell.
    """

    work: str
    against: str
    ratio: float
    median_ratio: float
    target: float | None
    is_cost: bool
    unit: str
    per_second: float
    floor_share: float | None
    peak_bytes: int | None
    peer_peak_bytes: int | None
    error: float | None

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.target is None:
            return ""
        met = self.ratio <= self.target if self.is_cost else self.ratio >= self.target
        return "met" if met else "missed"


def measure(name: str, contest: Contest) -> Iterator[Row]:
    """Time a contest, a row for each peer."""
    works = {"ours": contest.ours} | {peer: given.work for peer, given in contest.peers.items()}
    timings = side_by_side(works, contest.repeats)
    ours = timings["ours"]
    error = contest.error() if contest.error else None
    floor = contest.floor_seconds / ours.minimum if contest.floor_seconds else None
    for against, peer in contest.peers.items():
        other = timings[against]
        ratio, median_ratio = other.minimum / ours.minimum, other.median / ours.median
        if peer.is_cost:
            ratio, median_ratio = 1 / ratio, 1 / median_ratio
        yield Row(
            name, against, ratio, median_ratio, peer.target, peer.is_cost, contest.unit,
            1 / ours.minimum, floor, ours.peak_bytes, other.peak_bytes, error,
        )  # fmt: skip


def machine(rates: Rates) -> dict[str, Any]:
    """What ran, and on what."""
    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "precision": "float32; no TF32, no bfloat16",
        "matrix_product_gflops": {"float32": rates.float32 / 1e9, "float64": rates.float64 / 1e9},
        "copying_gb_per_second": rates.copying / 1e9,
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _PACKAGES},
    }


def processor() -> str:
    """The processor's model."""
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        for line in listed.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def as_table(rows: Sequence[Row], growths: dict[str, Growth], about: dict[str, Any]) -> Table:
    """For the terminal."""
    gflops = about["matrix_product_gflops"]["float32"]
    fitted = "; ".join(
        f"a product's time grows as {what}^{growth.exponent:.2f}, its memory at a small budget from "
        f"{_mebibytes(growth.peak_bytes[0])} to {_mebibytes(growth.peak_bytes[-1])} MiB"
        for what, growth in growths.items()
    )
    table = Table(
        title=f"{about['processor']}, {about['threads']} threads, {gflops:.0f} GFLOP/s, float32",
        caption=fitted or None,
    )
    for column in ("work", "against"):
        table.add_column(column)
    for column in (
        "ratio", "medians", "target", "", "a second", "of floor", "MiB", "peer MiB", "error",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for row in rows:
        target = "" if row.target is None else f"{'≤' if row.is_cost else '≥'} {row.target:g}"
        table.add_row(
            row.work, row.against, f"{row.ratio:.3g}", f"{row.median_ratio:.3g}", target,
            row.verdict, f"{row.per_second:.3g} {row.unit}",
            "" if row.floor_share is None else f"{row.floor_share:.0%}",
            _mebibytes(row.peak_bytes), _mebibytes(row.peer_peak_bytes),
            "" if row.error is None else f"{row.error:.0e}",
        )  # fmt: skip
    return table


def as_figure(rows: Sequence[Row], about: dict[str, Any]) -> Figure:
    """The ratios as bars on a logarithmic axis, with their targets."""
    figure, axis = style.new_figure(height=1.2 + 0.21 * len(rows))
    for place, row in enumerate(rows):
        colour = style.VERMILION if row.is_cost else style.BLUE
        axis.barh(-place, row.ratio - 1, left=1, height=0.66, color=colour, alpha=0.8)
        end = max(row.ratio, 1.0)
        if row.target is not None:
            axis.plot([row.target] * 2, [-place - 0.42, -place + 0.42], color="black", lw=1.6)
            end = max(end, row.target)
        axis.text(end * 1.12, -place, f"{row.ratio:.3g}", va="center", fontsize=style.SMALL)
    labels = [f"{row.work}: {row.against}" for row in rows]
    axis.set_yticks([-place for place in range(len(rows))], labels, fontsize=style.SMALL)
    axis.tick_params(axis="y", length=0)
    axis.set_xscale("log")
    axis.axvline(1, color="black", lw=0.8)
    axis.set_ylim(-len(rows) + 0.4, 0.6)
    axis.set_xlim(right=4 * max(max(row.ratio, row.target or 1) for row in rows))
    axis.set_xticks(decades := [1, 10, 100, 1000], [f"{decade:,}" for decade in decades])
    axis.set_xlabel("ratio of times")
    title = f"{about['processor']}, {about['threads']} threads, float32"
    axis.set_title(title, fontsize=style.SMALL + 1)
    style.legend_below(
        figure,
        [
            Patch(color=style.BLUE, alpha=0.8, label="the other's time over ours"),
            Patch(color=style.VERMILION, alpha=0.8, label="ours over a gradient's"),
            Line2D([], [], color="black", lw=1.6, label="target"),
        ],
    )
    return figure


def _mebibytes(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:,.0f}"
