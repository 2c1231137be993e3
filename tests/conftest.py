"""What all tests share: how hypothesis draws, and the real data where there is any."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline: how long an example takes is the machine's business. Derandomised: a failure on one
# machine is a failure on all of them.
settings.register_profile(
    "ssbrepro",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ssbrepro")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real CIFAR-10; tests that ask for it are skipped where there is none."""
    folder = os.environ.get("SSBREPRO_DATA")
    if not folder:
        pytest.skip("SSBREPRO_DATA is not set")
    return Path(folder)
