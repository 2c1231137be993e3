"""Views of an experiment's runs that MLflow's pages offer under "Saved views", and their addresses.

A view is a tag of the experiment: which rows the table shows, in which order and with which columns.
"""

import json
from collections.abc import Mapping, Sequence

from repro.outcome.record import Record
from repro.outcome.tracking.rows import claim_name, figure

VERDICTS = "verdicts"  # of all figures of a paper
_TAG = "mlflow.sharedViewState."
_WIDTHS = {"profile": 80, "seed": 60, "verdict": 330, "status": 120}  # of columns, in pixels


def address(experiment: str, view: str) -> str:
    """Where a server's pages show a view, relative to its own address."""
    # MLflow's pages are about language models unless an address says otherwise, whatever kind an
    # experiment is said to be of.
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={view}"


def has_verdicts(tags: Mapping[str, str]) -> bool:
    """Whether an experiment with these tags is one of ours."""
    return _TAG + VERDICTS in tags


def of_run(record: Record) -> dict[str, str]:
    """Tags for the views that a run is in: all figures, and all runs of this one with its claims."""
    name = figure(record)
    claims = [claim_name(record, claim) for claim in record.claims]
    return {
        _TAG + VERDICTS: _view("Verdicts, figure by figure", "tags.kind = 'figure'", ["verdict"]),
        _TAG + name: _view(
            f"{name}, claim by claim",
            f"tags.kind = 'figure' AND tags.figure = '{name}'",
            claims,
        ),
    }


def _view(title: str, rows: str, verdicts: Sequence[str]) -> str:
    tags = ("profile", "seed", *verdicts, "status", "recorded_at")
    columns = [*(f"tags.`{tag}`" for tag in tags), "attributes.`Duration`", "attributes.`Dataset`"]
    state = {
        "searchFilter": rows,
        "orderByKey": "tags.`figure`",
        "orderByAsc": True,
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {
            f"tags.`{tag}`": _WIDTHS.get(tag, max(210, 40 + 8 * len(tag))) for tag in tags
        },
    }
    return json.dumps({"name": title, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})
