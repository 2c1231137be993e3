"""`python -m bench`: time our works beside their peers in this one process."""

import argparse
import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console

from bench.contests import CONTESTS, FULL, QUICK, Growth, growth
from bench.table import Row, as_figure, as_table, machine, measure
from bench.timing import measured_rates
from ssbrepro.memory import keep_freed_memory

_FOLDER = Path(__file__).parent


def main() -> None:
    """Measure, print the table, and write it as JSON and as a picture."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="tiny works; shows that all of it runs"
    )
    parser.add_argument("--only", choices=CONTESTS, help="one work, and no growth of cost")
    parser.add_argument(
        "--json", type=Path, help="default: bench/results/<machine>.json if complete"
    )
    parser.add_argument("--plot", type=Path, help="default: docs/bench.png if complete")
    chosen = parser.parse_args()
    # What the processor could do in lower precision is off for all alike.
    torch.set_float32_matmul_precision("highest")
    keep_freed_memory()  # for all alike
    console = Console(width=None if Console().is_terminal else 200)
    size = QUICK if chosen.quick else FULL
    rates = measured_rates()
    rows: list[Row] = []
    for name in [chosen.only] if chosen.only else CONTESTS:
        for row in measure(name, CONTESTS[name](size, rates)):
            console.print(f"[dim]{name} against {row.against}: {row.ratio:.3g}[/dim]")
            rows.append(row)
    growths: dict[str, Growth] = {} if chosen.only else dict(growth(size))
    about = machine(rates)
    console.print(as_table(rows, growths, about))
    complete = not (chosen.quick or chosen.only)
    slug = re.sub("[^a-z0-9]+", "-", f"{about['processor']} {about['threads']} threads".lower())
    json_path = chosen.json or (_FOLDER / "results" / f"{slug}.json" if complete else None)
    plot_path = chosen.plot or (_FOLDER.parent / "docs" / "bench.png" if complete else None)
    if json_path:
        content = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": about,
            "size": asdict(size),
            "rows": [asdict(row) | {"verdict": row.verdict} for row in rows],
            "growth": {what: found._asdict() for what, found in growths.items()},
        }
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if plot_path:
        as_figure(rows, about).savefig(plot_path, dpi=200)


if __name__ == "__main__":
    main()
