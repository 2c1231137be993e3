"""What this machine can run, what is missing, and the command that mends it."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from repro import files
from repro.errors import ReproError, StoreError
from repro.machine import has_cuda, num_threads
from repro.manifests.library import Library
from repro.outcome.wording import counted
from repro.settings import Settings
from ssbrepro.data import DATASETS, DataError, Dataset

_DESK_BYTES = 2 * 10**9  # results and MLflow's database of many desk runs
_ARCHIVE_BYTES = 400 * 10**6  # a dataset's archive and its unpacked files


@dataclass(frozen=True)
class Finding:
    """One thing looked at. What is not good has a remedy; what is optional, who wants it."""

    subject: str
    found: str
    good: bool
    remedy: str = ""
    optional: bool = False

    @property
    def verdict(self) -> str:
        """Whether it is there, and otherwise what to do about it, if anything."""
        if self.good:
            return "ok"
        return f"not needed ({self.remedy})" if self.optional else f"missing: {self.remedy}"


def examine(settings: Settings) -> list[Finding]:
    """Look at everything a run needs or could use."""
    return [_python(), _cores(), _device(), _folder(settings), *_data(settings), _manifests(settings),
            _engine(), _tracking(settings)]  # fmt: skip


def _python() -> Finding:
    found = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Finding("Python", found, sys.version_info >= (3, 11), "install Python 3.11 or newer")


def _cores() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = f"{counted(num_threads(), 'thread')}, {memory:.0f} GiB of memory"
    return Finding("processor", found, memory > 6, "all profiles but the smallest need 6 GiB")


def _device() -> Finding:
    cuda = has_cuda()
    found = "CUDA device" if cuda else "none"
    return Finding("GPU", found, cuda, "the paper's own size wants one", optional=True)


def _folder(settings: Settings) -> Finding:
    existing = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if not os.access(existing, os.W_OK):
        remedy = (
            f"it belongs to user {existing.stat().st_uid}, you are {os.getuid()}; set SSBREPRO_HOME"
        )
        return Finding("results", f"{settings.home} cannot be written", False, remedy)
    good = free > _DESK_BYTES + _ARCHIVE_BYTES
    found = f"{settings.home}, {free / 1e9:.0f} GB free"
    return Finding("results", found, good, "free some space or set SSBREPRO_HOME")


def _data(settings: Settings) -> list[Finding]:
    return [_dataset(dataset, settings) for dataset in DATASETS.values()]


def _dataset(dataset: Dataset, settings: Settings) -> Finding:
    try:
        with files.reading(settings.data):
            state = dataset.inspect(settings.data)
    except DataError as error:
        return Finding(dataset.title, str(error), good=False, remedy="install the package again")
    except StoreError as error:
        return Finding(dataset.title, str(error), good=False, remedy="set SSBREPRO_DATA")
    if state.folder is None:
        found = "what comes along; only the paper's own size needs more: repro data fetch"
        return Finding(dataset.title, found, good=True)
    bad = len(state.problems)
    found = f"{state.folder}" + (f", {bad} files missing or damaged" if bad else ", complete")
    return Finding(dataset.title, found, not bad, "repro data fetch")


def _manifests(settings: Settings) -> Finding:
    library = Library(settings.manifests)
    try:
        number, profiles = len(library.ids()), library.profiles
    except ReproError as error:
        return Finding("manifests", str(error), good=False, remedy="set SSBREPRO_MANIFESTS")
    default = profiles.default("cuda" if has_cuda() else "cpu")
    found = (
        f"{number} figures in {settings.manifests}, at {', '.join(profiles.names)}; auto: {default}"
    )
    return Finding("manifests", found, number > 0, "set SSBREPRO_MANIFESTS")


def _engine() -> Finding:
    from repro.container import reachable

    engine = reachable()
    if engine is None and Path("/.dockerenv").exists():
        return Finding("container", "running inside one", True)
    remedy = "--container and docker compose want an engine"
    return Finding("Docker", engine or "none", engine is not None, remedy, optional=True)


def _tracking(settings: Settings) -> Finding:
    return Finding("MLflow", settings.tracking_address, True)
