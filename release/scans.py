"""What other tools say: pip-audit of known vulnerabilities, hadolint of the Dockerfile."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_SECONDS = 600.0


class Audit(NamedTuple):
    """Advisories by distribution, and those that the index was asked about or knows nothing of."""

    known: Mapping[str, Sequence[str]]
    asked: Sequence[str]
    not_found: Sequence[str]


def vulnerabilities(lock: Path) -> Audit:
    """What is known against the distributions of a lock; it asks the package index.

    The tool ends with "no known vulnerabilities" also where the index could be asked about none.

    Raises:
        RuntimeError: If the tool or its index does not answer.
    """
    done = _run(
        *("pip-audit", "--require-hashes", "--disable-pip", "--requirement", str(lock)),
        *("--format", "json", "--progress-spinner", "off", "--timeout", "10"),
    )
    try:
        entries = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = done.stderr.strip().rpartition("\n")[2]
        raise RuntimeError(f"pip-audit: {last[:200] or f'status {done.returncode}'}") from None
    found = [one for one in entries if "skip_reason" not in one]
    return Audit(
        {
            f"{one['name']} {one['version']}": [each["id"] for each in one["vulns"]]
            for one in found
            if one["vulns"]
        },
        [one["name"] for one in found],
        [one["name"] for one in entries if "skip_reason" in one],
    )


def dockerfile(path: Path) -> list[str]:
    """What hadolint has against a Dockerfile, a line each.

    Raises:
        RuntimeError: If the tool cannot be run.
    """
    done = _run("hadolint", "--no-color", str(path))
    if done.returncode and not done.stdout:
        raise RuntimeError(done.stderr.partition("\n")[0] or f"hadolint: status {done.returncode}")
    return done.stdout.splitlines()


def _run(tool: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A tool of this environment."""
    command = [str(Path(sys.executable).with_name(tool)), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except FileNotFoundError:
        raise RuntimeError(f"{tool} is not installed; make release-check installs it") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{tool} did not answer in {_SECONDS:.0f} seconds") from None
