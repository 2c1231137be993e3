"""What the tests of the science share: the bundled images, and a coarser search for coupling."""

import functools
from pathlib import Path

import numpy as np
import pytest

from ssbrepro.data import bundle
from ssbrepro.probes.entries import coupling


@pytest.fixture(scope="session", autouse=True)
def bundle_decoded_once():
    """Half a second for each of the tests that look at real images, were it not for this."""
    read = bundle.read

    @functools.cache
    def content(sheet: Path, frame: Path) -> bytes:
        return read()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "read", lambda: content(bundle.SHEET, bundle.FRAME))
        yield


@pytest.fixture
def coarse(monkeypatch):
    """A tenth of the thresholds of coupling: the procedure is the same, and faster."""
    monkeypatch.setattr(coupling, "_PER_DECADE", 20)
    monkeypatch.setattr(coupling, "_EDGES", 10.0 ** (np.arange(240) / 20 - 6))
