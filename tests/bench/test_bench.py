"""The comparison with other tools runs and is complete. How fast anything is, is not tested."""

import json
import math
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_table_has_every_row_and_finite_numbers(tmp_path):
    for package in ("curvlinops", "hessian_eigenthings"):
        pytest.importorskip(package, reason="`make bench` installs it")
    found, picture = tmp_path / "found.json", tmp_path / "found.png"
    command = [sys.executable, "-m", "bench", "--quick", "--json", found, "--plot", picture]
    subprocess.run(command, check=True)
    written = json.loads(found.read_text())
    contests = {}
    for row in written["rows"]:
        contests.setdefault(row["work"], []).append(row["against"])
    assert {name: len(against) for name, against in contests.items()} == {
        "Hessian product": 7,
        "spectrum, all examples active": 4,
        "spectrum, 5 % active": 4,
        "spectra of a run's checkpoints": 1,
        "random entries": 2,
        "a grid of entries": 1,
        "joint cumulants": 1,
        "bootstrap": 1,
        "circuits": 1,
        "training, all examples active": 1,
        "training, 10 % active": 1,
    }
    for row in written["rows"]:
        for name in ("ratio", "median_ratio", "per_second"):
            assert 0 < row[name] < math.inf
        # Rounding of float32 over a dozen layers; a gate may be decided otherwise in float64.
        assert row["error"] is None or row["error"] < 1e-3
    assert set(written["growth"]) == {"examples", "weights"}
    for growth in written["growth"].values():
        assert math.isfinite(growth["exponent"])
    assert picture.read_bytes().startswith(b"\x89PNG")
