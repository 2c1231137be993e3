"""What the doctor finds, and what it says to do."""

import dataclasses
from pathlib import Path

import pytest

from repro import doctor
from repro.doctor import Finding, examine
from repro.settings import Settings
from tests.fakes import settings_below


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("repro.container.reachable", lambda: None)
    return settings_below(tmp_path)


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(settings)}


def test_every_fault_has_a_remedy(settings: Settings) -> None:
    findings = found(dataclasses.replace(settings, manifests=settings.home))
    assert findings["CIFAR-10"].good
    assert "repro data fetch" in findings["CIFAR-10"].found
    assert not findings["manifests"].good
    assert findings["manifests"].remedy == "set SSBREPRO_MANIFESTS"
    assert findings["Python"].good
    for finding in findings.values():
        assert finding.good or finding.remedy


def test_what_a_machine_can_do_without_is_no_fault(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "has_cuda", lambda: False)
    exists = Path.exists
    inside = Path("/.dockerenv")  # by which a container is known
    monkeypatch.setattr(Path, "exists", lambda path: path != inside and exists(path))
    findings = found(settings)
    for subject, wanted_by in (("GPU", "the paper's own size"), ("Docker", "--container")):
        assert findings[subject].found == "none"
        assert findings[subject].verdict.startswith(f"not needed ({wanted_by}")
        assert findings[subject].optional
    assert findings["Python"].verdict == "ok"
    assert findings["CIFAR-10"].verdict == "ok"


def test_it_creates_nothing(settings: Settings) -> None:
    examine(settings)
    assert not settings.home.exists()
    assert not settings.data.exists()


def test_a_full_disk_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = doctor.shutil.disk_usage(settings.manifests)
    assert found(settings)["results"].good == (usage.free > 2.4e9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=10**6))
    assert not found(settings)["results"].good
    assert "SSBREPRO_HOME" in found(settings)["results"].remedy


def test_a_folder_of_somebody_else_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    finding = found(settings)["results"]
    assert not finding.good
    assert "cannot be written" in finding.found


def test_a_folder_of_data_has_to_be_complete(settings: Settings) -> None:
    (settings.data / "cifar-10-batches-py").mkdir(parents=True)
    finding = found(settings)["CIFAR-10"]
    assert not finding.good
    assert finding.found == f"{settings.data}, 7 files missing or damaged"
    assert finding.verdict == "missing: repro data fetch"


def test_a_damaged_bundle_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssbrepro.data.bundle.read", lambda: b"something else")
    finding = found(settings)["CIFAR-10"]
    assert not finding.good
    assert "expected MD5 c99cafc152244af753f735de768cd75f" in finding.found
    assert finding.remedy == "install the package again"


def test_the_data_is_checked_byte_for_byte(settings: Settings, whole_dataset: Path) -> None:
    assert found(dataclasses.replace(settings, data=whole_dataset))["CIFAR-10"].good
