"""``python -m release``: says of each thing that a release has to meet whether it does.

Writes the bill of materials, the licences and the digests to ``dist/``. Only to look for vulnerabilities
it needs a network. Exit status 1 if anything is amiss; what cannot be looked at here is said as well.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name

from release import licences, sbom, scans
from release.locked import installed, locked
from repro import files

CHECKOUT = Path(__file__).resolve().parent.parent
_VERSION = r"\d+\.\d+\.\d+\w*"
_TAG = rf"ssbrepro:(?:\$\{{SSBREPRO_VERSION:-)?({_VERSION})"
# Where else the version is said, the first place in a file alone or every one.
_FIRST = {"CITATION.cff": r"^version: (.*)$", "CHANGELOG.md": r"^## \[(.*?)\]"}
_EVERY = {
    "Dockerfile": rf"^ARG VERSION=(.*)$|{_TAG}",
    "docker-compose.yml": rf"{_TAG}|^ *VERSION: \$\{{SSBREPRO_VERSION:-(.*?)\}}",
    "repro/cli.py": _TAG,
}
_OCI = "org.opencontainers.image"
_MAYBE = ("README.md", "docs/**/*.md")  # where an image may be named


class Finding(NamedTuple):
    """A line of what is said; ``good`` is None where it was not looked at, or need only be known."""

    good: bool | None
    text: str


def version_of(checkout: Path) -> str:
    """What the package says of itself, and its metadata after it."""
    (found,) = _said(checkout / "ssbrepro" / "__init__.py", r'^__version__ = "(.*?)"')
    return found


def versions(checkout: Path) -> Iterator[Finding]:
    """The same version wherever one is said."""
    version = version_of(checkout)
    places = [(checkout / name, _said(checkout / name, text)[:1]) for name, text in _FIRST.items()]
    places += [(checkout / name, _said(checkout / name, text)) for name, text in _EVERY.items()]
    pages = [path for pattern in _MAYBE for path in sorted(checkout.glob(pattern))]
    places += [(path, found) for path in pages if (found := _said(path, _TAG))]
    for path, found in places:
        others = sorted({one for one in found if one != version})
        said = ", ".join(others) or ("nothing" if not found else version)
        name = path.relative_to(checkout)
        wanted = "" if found and not others else f", and the package {version}"
        yield Finding(bool(found) and not others, f"version: {name} says {said}{wanted}")


def commit(checkout: Path) -> Iterator[Finding]:
    """All of it committed."""
    head = _output("git", "-C", str(checkout), "rev-parse", "HEAD")
    changes = _output("git", "-C", str(checkout), "status", "--porcelain")
    if head is None or changes is None:
        yield Finding(False, "commit: this is no checkout that git can read")
    else:
        left = f", and {len(changes.splitlines())} files are not in it" if changes else ""
        yield Finding(not changes, f"commit: {head}{left}")


def environment(checkout: Path) -> Iterator[Finding]:
    """What is installed as locked, and each distribution under a licence that is allowed."""
    rows = []
    for one in locked(checkout / "requirements" / "run.lock"):
        if not one.here:
            yield Finding(None, f"licence: {one.name} {one.version} is not for this machine")
            continue
        found = installed(one)
        if found is None:
            yield Finding(False, f"environment: {one.name} {one.version} is not installed")
            continue
        said = licences.licence(one.name, found)
        rows.append((one.name, one.version, said or "unknown"))
        if not licences.allowed(one.name, said):
            text = f"licence: {one.name} {one.version}: {said or 'unknown'}: nobody has allowed it"
            yield Finding(False, text)
        if one.name in licences.READ:
            yield Finding(None, f"licence: {one.name}: {said}, {licences.READ[one.name].note}")
    table = checkout / "dist" / "licences.json"
    files.write_json(
        table, [dict(zip(("name", "version", "licence"), r, strict=True)) for r in rows]
    )
    yield Finding(bool(rows), f"licences of {len(rows)} distributions: {table}")


def bill(checkout: Path) -> Iterator[Finding]:
    """The bill of materials, of what is locked and nothing else."""
    wanted = {
        one.name: one.version for one in locked(checkout / "requirements" / "run.lock") if one.here
    }
    try:
        content = sbom.of_environment(checkout / "pyproject.toml")
    except RuntimeError as error:
        yield Finding(False, f"bill of materials: {error}")
        return
    content = sbom.of_runtime(content, wanted.keys())
    content["metadata"]["component"]["version"] = version_of(checkout)
    path = checkout / "dist" / "sbom.cdx.json"
    files.write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
    listed = {canonicalize_name(one["name"]): one["version"] for one in content["components"]}
    for name, version in sorted(dict(wanted.items() ^ listed.items()).items()):
        yield Finding(False, f"bill of materials: {name} {version}: the lock and it differ")
    text = f"bill of materials: {len(listed)} distributions, {len(wanted)} locked: {path}"
    yield Finding(listed == wanted, text)


def digests(checkout: Path) -> Iterator[Finding]:
    """Digests of the locks and of what was written, and locks that agree."""
    locks = sorted((checkout / "requirements").glob("*.lock"))
    lines = []
    for path in [*locks, *sorted((checkout / "dist").glob("*.json"))]:
        lines.append(f"{files.sha256(path)}  {path.relative_to(checkout)}")
        yield Finding(None, f"sha256: {lines[-1]}")
    files.write_text(checkout / "dist" / "SHA256SUMS", "\n".join(lines) + "\n")
    run = {(one.name, one.version) for one in locked(checkout / "requirements" / "run.lock")}
    for name in ("dev", "bench", "mutants", "release"):
        path = checkout / "requirements" / f"{name}.lock"
        lacking = run - {(one.name, one.version) for one in locked(path)}
        others = ", ".join(sorted(f"{one} {version}" for one, version in lacking))
        lacks = f"lacks {others}; make lock" if lacking else "has all of run.lock"
        yield Finding(not lacking, f"locks: {name}.lock {lacks}")


def vulnerabilities(checkout: Path) -> Iterator[Finding]:
    """What is known against what is locked, as far as an index can be asked."""
    try:
        audit = scans.vulnerabilities(checkout / "requirements" / "run.lock")
    except RuntimeError as error:
        yield Finding(None, f"vulnerabilities: none was looked for: {error}")
        return
    for name, advisories in audit.known.items():
        yield Finding(False, f"vulnerability: {name}: {', '.join(advisories)}")
    num, rest = len(audit.asked), len(audit.not_found)
    text = f"vulnerabilities: {num} of {num + rest} locked distributions were looked up"
    yield Finding(None if rest else not audit.known, text)


def dockerfile(checkout: Path) -> Iterator[Finding]:
    """The Dockerfile, by its linter."""
    try:
        complaints = scans.dockerfile(checkout / "Dockerfile")
    except RuntimeError as error:
        yield Finding(None, f"Dockerfile: it was not looked at: {error}")
        return
    yield from (Finding(False, f"Dockerfile: {text}") for text in complaints)
    yield Finding(not complaints, f"Dockerfile: hadolint finds {len(complaints) or 'nothing'}")


def image(checkout: Path) -> Iterator[Finding]:
    """The image of this version, where there is Docker."""
    name = f"ssbrepro:{version_of(checkout)}"
    if shutil.which("docker") is None or _output("docker", "version") is None:
        yield Finding(None, f"image: there is no Docker here: {name} was not looked at")
        return
    found = _inspected(name)
    if found is None:
        yield Finding(False, f"image: there is no {name}; make image")
        return
    labels = found["Config"]["Labels"] or {}
    version = labels.get(f"{_OCI}.version")
    text = f"image: {name} is {found['Id']}, labelled {version}"
    yield Finding(version == version_of(checkout), text)
    yield from _base(labels, found["RootFS"]["Layers"])
    text = f"`trivy image {name}` or `grype {name}` scans it"
    yield Finding(None, f"image: the system's packages in it were not scanned: {text}")


def _base(labels: Mapping[str, str], layers: Sequence[str]) -> Iterator[Finding]:
    """What the image is built on: named by its digest, and its layers the image's first."""
    base = labels.get(f"{_OCI}.base.name", "")
    said = labels.get(f"{_OCI}.base.digest")
    if not base.endswith(f"@{said}"):
        remedy = "make image BASE_IMAGE=NAME@sha256:…"
        text = f"image: its base is {base or 'not named'}, with digest {said or 'none'}; {remedy}"
        yield Finding(False, text)
        return
    found = _inspected(base)
    if found is None:
        yield Finding(None, f"image: its base {base} is not here: its layers were not compared")
        return
    beneath = found["RootFS"]["Layers"]
    same = list(layers[: len(beneath)]) == beneath
    has = "has its layers" if same else "has others than its layers"
    yield Finding(same, f"image: its base is {base}, and it {has}")


def _inspected(name: str) -> dict[str, Any] | None:
    said = _output("docker", "image", "inspect", "--format", "{{json .}}", name)
    return None if said is None else json.loads(said)


CHECKS = (versions, commit, environment, bill, digests, vulnerabilities, dockerfile, image)


def main(checkout: Path = CHECKOUT) -> int:
    """Say it all, a line each; the exit status."""
    failed = 0
    words = {True: "ok  ", False: "FAIL", None: "note"}
    for check in CHECKS:
        for finding in check(checkout):
            print(words[finding.good], finding.text)
            failed += finding.good is False
    print(f"{failed} of these checks failed" if failed else "all of these checks passed")
    return 1 if failed else 0


def _said(path: Path, pattern: str) -> list[str]:
    """What the groups of a pattern match in a file, in its order."""
    found = re.finditer(pattern, path.read_text("utf-8"), re.MULTILINE)
    return [group for match in found for group in match.groups() if group]


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
