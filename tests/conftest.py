"""What all tests share: a terminal, draws, skips, no wait for a disk, and real data if there is any."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# What is printed is laid out for a terminal as wide as this, whatever the tests are started from.
os.environ["COLUMNS"] = "80"
for variable in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(variable, None)

# What tests write need not outlive a failure of the power, and each flush is a wait. Processes that
# tests start flush as ever; tests of what is flushed put something else in this place.
os.fsync = lambda descriptor: None

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


def without_skips(report):
    """A failure in the place of a skip where SSBREPRO_NO_SKIPS says that nothing may be missing."""
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and os.environ.get("SSBREPRO_NO_SKIPS"):
        _, _, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}, and SSBREPRO_NO_SKIPS is set"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return without_skips((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return without_skips((yield))


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
