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
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder of data: the bundled first batch of CIFAR-10 serves."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def whole_dataset() -> Path:
    """Folder of the whole of CIFAR-10; tests that need it are skipped where there is none."""
    folder = os.environ.get("SSBREPRO_DATA")
    if not folder:
        pytest.skip("needs the whole of CIFAR-10, and SSBREPRO_DATA is not set")
    return Path(folder)
