"""`python -m mutants`: change the code, a place at a time, and print what its quick tests notice."""

import argparse
import itertools
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mutants.equivalent import entry, listed
from mutants.modules import CHECKOUT, modules
from mutants.mutations import Mutation, mutations
from mutants.trial import Copy

# Share of what is not listed as equivalent that has to be caught.
WANTED = 0.95


@dataclass
class Report:
    """What became of a module's mutations; those that survived and are listed count as listed."""

    module: str
    caught: int = 0
    survived: int = 0
    listed: int = 0
    seconds: float = 0.0


def main() -> int:
    """Change modules and run their quick tests; exit status 1 if less than 95 % of it is noticed."""
    known = modules()
    parser = argparse.ArgumentParser(prog="python -m mutants", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="MODULE", help="or a folder; default: all")
    parser.add_argument("--each", type=int, default=8, help="changes of a module (default: 8)")
    parser.add_argument("--all", action="store_true", help="all changes that there are (days)")
    parser.add_argument("--seed", type=int, default=0, help="others draw other changes")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the tests under way end too
    for one in chosen.names:
        if not any(Path(module).is_relative_to(one) for module in known):
            parser.error(f"{one} is none of the modules: {', '.join(known)}")
    console = Console(width=None if Console().is_terminal else 200, highlight=False)
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(CHECKOUT, Path(folder))
        for module, tests in known.items():
            if any(Path(module).is_relative_to(one) for one in chosen.names or ["."]):
                drawn = mutations(copy.source(module), f"{chosen.seed} {module}")
                some = list(drawn if chosen.all else itertools.islice(drawn, chosen.each))
                reports.append(_tried(module, tests, some, copy, console))
    console.print(_table(reports))
    caught, survived, _ = _totals(reports)
    return int(caught < WANTED * (caught + survived))


def _tried(
    module: str, tests: tuple[str, ...], some: list[Mutation], copy: Copy, console: Console
) -> Report:
    report = Report(module)
    equivalent = {one[1:4] for one in listed() if one.module == module}
    source = copy.source(module)
    began = time.monotonic()
    if not copy.passes(tests, limit=600):
        raise SystemExit(f"{module}: its tests fail as it is:\n{copy.said.read_text('utf-8')}")
    # What makes them slower than that is noticed; the machine may be busy with something else by then.
    limit = 60 + 3 * (time.monotonic() - began)
    with console.status(module) as status:
        for number, one in enumerate(some):
            status.update(f"{module}: {number} of {len(some)}")
            copy.change(module, one.source)
            if not copy.passes(tests, limit):
                report.caught += 1
            elif one[:3] in equivalent:
                report.listed += 1
            else:
                report.survived += 1
                console.print(entry(module, *one[:3]), markup=False, soft_wrap=True)
    copy.change(module, source)
    report.seconds = time.monotonic() - began
    console.print(f"{module}: {report.caught} of {len(some)} caught")
    return report


def _totals(reports: list[Report]) -> tuple[int, int, int]:
    return (
        sum(one.caught for one in reports),
        sum(one.survived for one in reports),
        sum(one.listed for one in reports),
    )


def _table(reports: list[Report]) -> Table:
    table = Table("module")
    for name in ("mutants", "caught", "survived", "listed as equivalent", "seconds"):
        table.add_column(name, justify="right")
    for name, some in [(one.module, [one]) for one in reports] + [("all", reports)]:
        counts = _totals(some)
        seconds = sum(one.seconds for one in some)
        table.add_row(name, *map(str, (sum(counts), *counts)), f"{seconds:,.0f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
