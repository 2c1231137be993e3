"""Validate a crate without a network: ``python release/crate.py DIR``, in an environment of crate.lock.

The validator wants the context of RO-Crate 1.1 from the web or its cache. The package ``rocrate`` brings
that of a later version, in which all names that our crates use mean the same; the cache gets it.
"""

import importlib.util
import io
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import requests
import requests_cache
from urllib3 import HTTPResponse

_CONTEXT = "https://w3id.org/ro/crate/1.1/context"


def main(crate: str) -> int:
    """Fill a cache, and validate what the profile requires; the exit status of the validator."""
    package = importlib.util.find_spec("rocrate")
    assert package is not None
    assert package.origin is not None
    context = Path(package.origin).with_name("data") / "ro-crate.jsonld"
    with tempfile.TemporaryDirectory() as folder:
        cache = str(Path(folder, "cache"))
        _keep(cache, context.read_bytes())
        validator = str(Path(sysconfig.get_path("scripts"), "rocrate-validator"))
        options = ["--offline", "--cache-path", cache, "--profile-identifier", "process-run-crate"]
        options += ["--requirement-severity", "required", "--no-paging", "--output-format", "text"]
        return subprocess.run(
            [validator, "-y", "validate", *options, crate], check=False
        ).returncode


def _keep(cache: str, content: bytes) -> None:
    session = requests_cache.CachedSession(cache_name=cache, expire_after=-1)
    response = requests.Response()
    response.status_code, response.url = 200, _CONTEXT
    response.headers["Content-Type"] = "application/ld+json"
    response.request = session.prepare_request(requests.Request("GET", _CONTEXT))
    response.raw = HTTPResponse(io.BytesIO(content), response.headers, preload_content=False)
    session.cache.save_response(response)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
