"""The bill of materials: what of this environment belongs to the release, in CycloneDX."""

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name


def of_environment(pyproject: Path) -> dict[str, Any]:
    """Of all that is installed beside this Python, without times or random names.

    Raises:
        RuntimeError: If the tool fails or is not there.
    """
    tool = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
    done = subprocess.run(
        [*tool, "--pyproject", str(pyproject), sys.executable], capture_output=True, text=True
    )
    if done.returncode:
        why = done.stderr.strip().splitlines() or ["cyclonedx_py cannot be run"]
        raise RuntimeError(f"{why[-1]}; make release-check installs it")
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def of_runtime(content: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The same without what only develops and checks.

    Args:
        content: Of the whole environment.
        names: Of the distributions to keep, as canonical names.
    """
    root = content["metadata"]["component"]["bom-ref"]
    kept = [one for one in content["components"] if canonicalize_name(one["name"]) in names]
    references = {root, *(one["bom-ref"] for one in kept)}
    dependencies = [
        one | {"dependsOn": [ref for ref in one.get("dependsOn", ()) if ref in references]}
        for one in content["dependencies"]
        if one["ref"] in references
    ]
    return content | {"components": kept, "dependencies": dependencies}
