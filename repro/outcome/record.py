"""The record of a run: the one truth that verdict tables, reports and MLflow are filled from.

``runs/<figure>/<profile>-seed<n>-<digest>/`` holds ``record.json``, ``verdicts.json`` and the figure
as PNG and SVG. The digest covers everything the folder's content follows from; the content itself is
compared with the digests in the record, and the record with its seal, whenever it is read
(:mod:`repro.outcome.reading`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from repro import files
from repro.outcome.verdicts import (
    ClaimVerdict,
    IdentityVerdict,
    PredictionVerdict,
    ReferenceVerdict,
    Status,
)
from repro.store import ARRAYS, Store

RECORD, VERDICTS, TRACKED = "record.json", "verdicts.json", "tracked.json"
SCHEMA_VERSION: Literal[2] = 2  # 1 had one word for what the paper says and what the artifact does
_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class Machine:
    """What a run was made on; ``image`` is the container's, where there was one.

    ``processor`` and ``gpu`` are models, the latter where the device is one, and ``limits`` the
    variables that held libraries back. Runs made before these were kept do not have them.
    """

    architecture: str
    system: str
    cores: int | None
    image: str | None
    processor: str = ""
    instructions: str = ""
    gpu: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RanStep:
    """A step of a run: the key of its result, the digests of its files, and what it took.

    ``data`` identifies the dataset that it read, if it read one, and ``inputs`` are the stages whose
    results it read. Runs made before these and when a step started were kept do not have them.
    """

    stage: str
    key: str
    seconds: float
    peak_memory_bytes: int
    threads: int
    digests: Mapping[str, str]
    started_at: str = ""
    data: str = ""
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Curve:
    """A quantity over epochs, where it is defined."""

    epochs: tuple[int | float, ...]
    values: tuple[int | float, ...]


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What was run, when, with which releases, and on what machine.

    ``commit`` is the checkout's, as :func:`repro.code.commit` says it, where there was one.
    """

    schema_version: Literal[2]
    id: str
    title: str
    alternative: str | None
    profile: str
    seed: int
    device: str
    recorded_at: str
    versions: Mapping[str, str]
    machine: Machine
    commit: str = ""


@dataclass(frozen=True, kw_only=True)
class Record(Circumstances):
    """All that is known of a run; ``record.json`` has the same fields.

    ``manifest`` is all that the figure's manifest says at this profile. Numbers, reasons why others
    are missing, and curves are named "stage.number". ``digests`` are those of all other files of the
    folder, and ``seal`` is that of ``record.json`` itself (:mod:`repro.outcome.sealing`).
    """

    digest: str
    manifest: Mapping[str, Any]
    steps: tuple[RanStep, ...]
    metrics: Mapping[str, float]
    missing: Mapping[str, str]
    series: Mapping[str, Curve]
    status: Status
    failures: tuple[str, ...]
    identities: tuple[IdentityVerdict, ...]
    claims: tuple[ClaimVerdict, ...]
    references: tuple[ReferenceVerdict, ...]
    predictions: tuple[PredictionVerdict, ...] = ()
    files: tuple[str, ...]
    digests: Mapping[str, str] = field(default_factory=dict)
    seal: str = ""

    def __post_init__(self) -> None:
        for name in (*self.files, *(step.key for step in self.steps)):
            if not _NAME.fullmatch(name):  # they are read, and sent, from below the run's home
                raise ValueError(f"{name!r} is no name of a file")

    @property
    def command(self) -> str:
        """What gives the run again."""
        alternative = "" if self.alternative is None else f" --alternative {self.alternative}"
        return f"repro run {self.id} --profile {self.profile} --seed {self.seed}{alternative}"

    def declared(self) -> "Declared":
        """What of the manifest is shown beside the verdicts.

        Raises:
            ValueError: If the manifest is damaged.
        """
        return files.checked(json.dumps(self.manifest, allow_nan=False), Declared)

    def as_data(self) -> dict[str, Any]:
        """Plain data, as in ``record.json``."""
        return asdict(self)


@dataclass(frozen=True)
class Origin:
    """A parameter's value and where it comes from."""

    value: Any
    provenance: str
    where: str | None = None
    why: str | None = None

    @property
    def reason(self) -> str:
        """Where the paper says so, or why it is assumed."""
        return self.where or self.why or ""


@dataclass(frozen=True)
class Inconsistency:
    """A place where a paper contradicts itself."""

    where: str
    statement: str
    problem: str


@dataclass(frozen=True)
class DeclaredPaper:
    """The paper that a recorded figure is of."""

    identifier: str
    title: str
    inconsistencies: tuple[Inconsistency, ...]
    summary: str = ""


@dataclass(frozen=True)
class DeclaredFigure:
    """A recorded figure's caption, and what was claimed of it."""

    caption: str
    claims: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Declared:
    """What of a recorded manifest is shown: paper, figure, and parameters by stage and name."""

    paper: DeclaredPaper
    figure: DeclaredFigure
    stages: Mapping[str, Mapping[str, Origin]]


@dataclass(frozen=True)
class Run:
    """A recorded run: the home it is in, its folder there, and its record."""

    home: Path
    folder: Path
    record: Record

    def artifacts(self) -> list[Path]:
        """Every file of the run: figure, verdicts, record, and the arrays behind them."""
        own = [self.folder / name for name in self.record.files]
        return own + [self.step_folder(step) / ARRAYS for step in self.record.steps]

    def step_folder(self, step: RanStep) -> Path:
        """Where the result of one of its steps is stored."""
        return Store(self.home / "store").folder(step.key)
