"""What the tests of the science share: the bundled images, decoded once."""

import functools
from pathlib import Path

import pytest

from ssbrepro.data import bundle


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
