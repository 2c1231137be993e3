"""The directive ``{benchmark}``: the newest file that ``make bench`` wrote, as a table."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from markup import paragraph, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results"
_HEADER = (
    "work", "against", "ratio", "of medians", "target", "which is", "a second", "of floor",
    "MiB, ours / theirs", "error",
)  # fmt: skip


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("benchmark", _Benchmark)
    return {"parallel_read_safe": True}


class _Benchmark(SphinxDirective):
    """What was measured, on which machine, against which targets."""

    def run(self) -> list[nodes.Node]:
        read = {path: json.loads(path.read_text("utf-8")) for path in _RESULTS.glob("*.json")}
        path, found = max(read.items(), key=lambda item: str(item[1]["date"]))
        self.env.note_dependency(str(path))
        about = found["machine"]
        versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
        words = (
            f"{found['date'][:10]}, {about['processor']}, {about['threads']} threads "
            f"({about['matrix_product_gflops']['float32']:.0f} GFLOP/s in matrix products), "
            f"Python {about['python']}, {versions}; {about['precision']}."
        )
        return [paragraph(words), table(_HEADER, [_row(row) for row in found["rows"]], "numbers")]


def _row(row: dict[str, Any]) -> list[str]:
    sign = "≤" if row["is_cost"] else "≥"
    floor, error = row["floor_share"], row["error"]
    return [
        row["work"],
        row["against"],
        f"{row['ratio']:.3g}",
        f"{row['median_ratio']:.3g}",
        "" if row["target"] is None else f"{sign} {row['target']:g}",
        row["verdict"],
        f"{row['per_second']:.3g} {row['unit']}",
        "" if floor is None else f"{floor:.0%}",
        f"{_mebibytes(row['peak_bytes'])} / {_mebibytes(row['peer_peak_bytes'])}",
        "" if error is None else f"{error:.0e}",
    ]


def _mebibytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 2**20:,.0f}"
