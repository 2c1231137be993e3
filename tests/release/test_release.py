"""What a release has to meet: each check finds what is amiss, and says what it could not look at."""

import json
import subprocess
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from release import __main__ as release
from release import licences, sbom, scans
from release.locked import Locked, locked
from tests.fakes import CHECKOUT

LOCK = """\
# a comment
alpha==1.0 \\
    --hash=sha256:00
    # via beta
Beta_B==2.0 ; sys_platform == "nowhere" \\
    --hash=sha256:00
Beta_B==1.9 ; sys_platform != "nowhere" \\
    --hash=sha256:00
"""
FILES = {
    "ssbrepro/__init__.py": '__version__ = "1.2.3"  # read elsewhere\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: 1.2.3\n",
    "CHANGELOG.md": "# Changelog\n\n## [1.2.3] - 2026-01-02\n\n## [1.2.2] - 2026-01-01\n",
    "Dockerfile": "# docker build -t ssbrepro:1.2.3 .\nARG VERSION=1.2.3\n",
    "docker-compose.yml": "image: ssbrepro:${SSBREPRO_VERSION:-1.2.3}\n",
    "repro/cli.py": 'image: str = "ssbrepro:1.2.3"\n',
    "README.md": "docker run ssbrepro:1.2.3\n",
    **{f"requirements/{name}.lock": LOCK for name in ("run", "dev", "bench", "mutants", "release")},
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, "utf-8")
    return tmp_path


def amiss(findings: Iterator[release.Finding]) -> list[str]:
    return [one.text for one in findings if one.good is False]


class TestVersions:
    def test_one_version_everywhere(self, checkout: Path) -> None:
        found = [*release.versions(checkout)]
        assert len(found) == 6
        assert all(one.good for one in found)

    @pytest.mark.parametrize("name", [*release._FIRST, *release._EVERY, "README.md"])
    def test_another_one_is_found_wherever_it_is(self, checkout: Path, name: str) -> None:
        path = checkout / name
        path.write_text(path.read_text("utf-8").replace("1.2.3", "1.2.4"), "utf-8")
        assert amiss(release.versions(checkout)) == [
            f"version: {name} says 1.2.4, and the package 1.2.3"
        ]

    def test_changes_without_a_release_and_a_version_that_is_not_said(self, checkout: Path) -> None:
        (checkout / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [1.2.3]\n", "utf-8")
        (checkout / "CITATION.cff").write_text("cff-version: 1.2.0\n", "utf-8")
        assert amiss(release.versions(checkout)) == [
            "version: CITATION.cff says nothing, and the package 1.2.3",
            "version: CHANGELOG.md says Unreleased, and the package 1.2.3",
        ]

    def test_here_one_version_is_said(self) -> None:
        found = amiss(release.versions(CHECKOUT))
        assert [text for text in found if "CHANGELOG.md says Unreleased" not in text] == []


class Distribution:
    """Metadata of a distribution that never was."""

    def __init__(self, **fields: str) -> None:
        self.metadata = Message()
        for name, value in fields.items():
            self.metadata[name.replace("_", "-")] = value


class TestLicences:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"License_Expression": "MIT", "License": "other"}, "MIT"),
            (
                {"Classifier": "License :: OSI Approved :: MIT License", "License": "x"},
                "MIT License",
            ),
            ({"Classifier": "License :: OSI Approved", "License": "Apache-2.0"}, "Apache-2.0"),
            ({"License": "Copyright\nAll rights reserved"}, ""),
            ({}, ""),
        ],
    )
    def test_it_is_told_in_one_of_three_ways(self, fields: dict[str, str], expected: str) -> None:
        found: Any = Distribution(**fields)
        assert licences.licence("alpha", found) == expected

    @pytest.mark.parametrize(
        ("name", "expression", "expected"),
        [
            ("alpha", "BSD-3-Clause AND MIT", True),
            ("alpha", "GPL-3.0-only OR MIT", True),
            ("alpha", "GPL-3.0-only AND MIT", False),
            ("alpha", "AGPL-3.0-or-later", False),
            ("alpha", "", False),
            ("nvidia-cufft", "LicenseRef-NVIDIA-Proprietary", True),
            ("alpha", "LicenseRef-NVIDIA-Proprietary", False),
        ],
    )
    def test_only_what_is_allowed_passes(self, name: str, expression: str, expected: bool) -> None:
        assert licences.allowed(name, expression) is expected

    def test_what_runs_here_is_as_locked_and_allowed(self, checkout: Path) -> None:
        lock = (CHECKOUT / "requirements" / "run.lock").read_text("utf-8")
        (checkout / "requirements" / "run.lock").write_text(lock, "utf-8")
        assert amiss(release.environment(checkout)) == []

    def test_what_is_not_installed_is_told(self, checkout: Path) -> None:
        assert [(one.good, one.text) for one in release.environment(checkout)][:3] == [
            (False, "environment: alpha 1.0 is not installed"),
            (None, "licence: beta-b 2.0 is not for this machine"),
            (False, "environment: beta-b 1.9 is not installed"),
        ]


def test_a_lock_is_read_for_this_machine(checkout: Path) -> None:
    assert locked(checkout / "requirements" / "run.lock") == [
        Locked("alpha", "1.0", True),
        Locked("beta-b", "2.0", False),
        Locked("beta-b", "1.9", True),
    ]


def component(name: str, version: str) -> dict[str, str]:
    return {"name": name, "version": version, "bom-ref": f"{name}=={version}"}


def environment_of(*components: dict[str, str]) -> Callable[[Path], dict[str, Any]]:
    references = [one["bom-ref"] for one in components]
    return lambda pyproject: {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [*components],
        "dependencies": [{"ref": one, "dependsOn": references} for one in ("root", *references)],
    }


class TestBillOfMaterials:
    def test_it_has_what_is_locked_and_nothing_else(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = (component("alpha", "1.0"), component("Beta_B", "1.9"), component("pytest", "9"))
        monkeypatch.setattr(sbom, "of_environment", environment_of(*whole))
        assert amiss(release.bill(checkout)) == []
        written = (checkout / "dist" / "sbom.cdx.json").read_text("utf-8")
        assert "Beta_B==1.9" in written
        assert "pytest" not in written

    def test_what_differs_is_named(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sbom, "of_environment", environment_of(component("alpha", "1.1")))
        first, *_ = found = amiss(release.bill(checkout))
        assert first.startswith("bill of materials: alpha 1.")
        assert [text.split()[3] for text in found[:2]] == ["alpha", "beta-b"]

    def test_the_tool_is_asked_for_where_it_is_not_there(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.executable", "/usr/bin/false")
        assert amiss(release.bill(checkout)) == [
            "bill of materials: cyclonedx_py cannot be run; make release-check installs it"
        ]


def test_digests_are_written_and_locks_agree(checkout: Path) -> None:
    assert amiss(release.digests(checkout)) == []
    lines = (checkout / "dist" / "SHA256SUMS").read_text("utf-8").splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        f"requirements/{name}.lock" for name in ("bench", "dev", "mutants", "release", "run")
    ]
    (checkout / "requirements" / "dev.lock").write_text("alpha==1.0\n", "utf-8")
    assert amiss(release.digests(checkout)) == [
        "locks: dev.lock lacks beta-b 1.9, beta-b 2.0; make lock"
    ]


def answers(stdout: str, stderr: str = "", status: int = 0) -> Callable[..., Any]:
    done = subprocess.CompletedProcess([], status, stdout, stderr)
    return lambda *command: done


KNOWN = {"name": "alpha", "version": "1.0", "vulns": [{"id": "PYSEC-1"}, {"id": "CVE-2"}]}
CLEAN = {"name": "beta", "version": "2.0", "vulns": []}
UNKNOWN = {"name": "gamma", "skip_reason": "not found"}


class TestVulnerabilities:
    @pytest.mark.parametrize(
        ("entries", "status", "expected"),
        [
            ([CLEAN], 0, [(True, "vulnerabilities: 1 of 1 locked distributions were looked up")]),
            (
                [KNOWN, CLEAN],
                1,
                [
                    (False, "vulnerability: alpha 1.0: PYSEC-1, CVE-2"),
                    (False, "vulnerabilities: 2 of 2 locked distributions were looked up"),
                ],
            ),
            # By its status and its last line, the tool has found no fault.
            ([UNKNOWN], 0, [(None, "vulnerabilities: 0 of 1 locked distributions were looked up")]),
        ],
    )
    def test_what_is_known_is_told_and_what_was_not_asked(
        self,
        checkout: Path,
        monkeypatch: pytest.MonkeyPatch,
        entries: list[dict[str, Any]],
        status: int,
        expected: list[tuple[bool | None, str]],
    ) -> None:
        said = json.dumps({"dependencies": entries, "fixes": []})
        monkeypatch.setattr(scans, "_run", answers(said, "No known vulnerabilities found", status))
        assert [*release.vulnerabilities(checkout)] == expected

    def test_without_a_network_none_is_said_to_be_missing(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scans, "_run", answers("", "Traceback\nno such host", 1))
        assert [*release.vulnerabilities(checkout)] == [
            (None, "vulnerabilities: none was looked for: pip-audit: no such host")
        ]


class TestDockerfile:
    def test_complaints_are_failures(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scans, "_run", answers("Dockerfile:1 DL3006 tag it\n", status=1))
        assert amiss(release.dockerfile(checkout)) == [
            "Dockerfile: Dockerfile:1 DL3006 tag it",
            "Dockerfile: hadolint finds 1",
        ]
        monkeypatch.setattr(scans, "_run", answers(""))
        assert [one.good for one in release.dockerfile(checkout)] == [True]

    def test_without_the_tool_it_is_said_how_to_get_it(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.executable", "/nowhere/python")
        text = "hadolint is not installed; make release-check installs it"
        assert [*release.dockerfile(checkout)] == [
            (None, f"Dockerfile: it was not looked at: {text}")
        ]


BASE = "python:3.11@sha256:77"
LABELS = {
    "org.opencontainers.image.version": "1.2.3",
    "org.opencontainers.image.base.name": BASE,
    "org.opencontainers.image.base.digest": "sha256:77",
}


class TestImage:
    def amiss(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, base_layers: list[str], **labels: str
    ) -> list[str]:
        wanted = LABELS | {f"org.opencontainers.image.{k}": v for k, v in labels.items()}
        here = {
            "ssbrepro:1.2.3": {
                "Id": "sha256:1",
                "Config": {"Labels": wanted},
                "RootFS": {"Layers": ["a", "b", "c"]},
            },
            BASE: {"RootFS": {"Layers": base_layers}},
        }
        monkeypatch.setattr(release.shutil, "which", str)
        monkeypatch.setattr(release, "_output", lambda *command: "")
        monkeypatch.setattr(release, "_inspected", here.get)
        return amiss(release.image(checkout))

    def test_its_base_has_a_digest_and_is_beneath_it(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.amiss(checkout, monkeypatch, ["a", "b"]) == []
        assert self.amiss(checkout, monkeypatch, ["a", "x"]) == [
            f"image: its base is {BASE}, and it has others than its layers"
        ]

    @pytest.mark.parametrize("base", ["python:3.11", "python:3.11@sha256:78", ""])
    def test_a_base_without_its_digest_is_no_releases(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, base: str
    ) -> None:
        (found,) = self.amiss(checkout, monkeypatch, ["a"], **{"base.name": base})
        assert found.startswith(
            f"image: its base is {base or 'not named'}, with digest sha256:77; "
        )


def test_no_docker_is_said_and_no_failure(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert [*release.image(checkout)] == [
        (None, "image: there is no Docker here: ssbrepro:1.2.3 was not looked at")
    ]


def test_any_failure_is_the_exit_status(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sbom, "of_environment", environment_of())
    monkeypatch.setattr(scans, "_run", answers(""))
    assert release.main(checkout) == 1
    said = capsys.readouterr().out.splitlines()
    assert "FAIL commit: this is no checkout that git can read" in said
    assert {line[:5] for line in said[:-1]} <= {"ok   ", "FAIL ", "note "}
    assert said[-1] == f"{sum(line.startswith('FAIL') for line in said)} of these checks failed"
