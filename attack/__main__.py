"""`python -m attack`: attack every surface, and print how it held."""

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from attack import (
    command_lines,
    damage,
    datasets,
    disk,
    manifests,
    mirrors,
    odd_manifests,
    records,
    servers,
    sharing,
    signals,
)
from attack.attack import Attack, Report, carry_out
from repro import files
from repro.code import commit

ATTACKS: tuple[Attack, ...] = (
    *command_lines.ATTACKS,
    *damage.ATTACKS,
    *datasets.ATTACKS,
    *disk.ATTACKS,
    *manifests.ATTACKS,
    *mirrors.ATTACKS,
    *odd_manifests.ATTACKS,
    *records.ATTACKS,
    *servers.ATTACKS,
    *sharing.ATTACKS,
    *signals.ATTACKS,
)


def main() -> int:
    """Run the attacks, print one table of tries and failures; exit status 1 if there was any failure."""
    names = [attack.name for attack in ATTACKS]
    parser = argparse.ArgumentParser(prog="python -m attack", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="ATTACK", help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="a few tries of each")
    parser.add_argument("--seed", type=int, default=0, help="others make other tries")
    parser.add_argument("--tries", type=int, help="instead of each attack's own number")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there too")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(names):
        parser.error(
            f"there is no attack {', '.join(sorted(unknown))}; there are {', '.join(names)}"
        )
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be none
    console = Console(width=None if Console().is_terminal else 200)
    reports = []
    for attack in ATTACKS:
        if not chosen.names or attack.name in chosen.names:
            tries = chosen.tries or (attack.quick if chosen.quick else attack.tries)
            reports.append(_carried_out(attack, tries, chosen.seed, console))
    console.print(_table(reports))
    if chosen.markdown:
        files.write_text(chosen.markdown, _markdown(reports, chosen.seed))
    return int(any(report.failures for report in reports))


def _carried_out(attack: Attack, tries: int, seed: int, console: Console) -> Report:
    report = Report(attack)
    said = 0
    with console.status(attack.name) as status:
        for report in carry_out(attack, tries, seed):
            status.update(f"{attack.name}: {report.tries} of {tries}")
            for failure in report.failures[said:]:
                console.print(failure, markup=False, highlight=False)
            said = len(report.failures)
    console.print(f"{attack.name}: withstood {report.tries - said:,} of {report.tries:,}")
    return report


def _table(reports: list[Report]) -> Table:
    table = Table("attack", "surface")
    for name in ("tries", "failures", "seconds"):
        table.add_column(name, justify="right")
    for one in reports:
        counts = f"{one.tries:,}", f"{len(one.failures):,}", f"{one.seconds:,.0f}"
        table.add_row(one.attack.name, one.attack.surface, *counts)
    return table


def _markdown(reports: list[Report], seed: int) -> str:
    """The table of the documentation's page on security."""
    rows = [
        f"| {one.attack.name} | {one.attack.surface} | {one.tries:,} | {len(one.failures):,} |"
        for one in reports
    ]
    lines = ["| attack | on | tries | failures |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([*lines, "", f"At `{commit()}`, seed {seed}.", ""])


if __name__ == "__main__":
    sys.exit(main())
