"""What a node says of itself: as a step would find it, whatever the job's own environment is."""

import json
import runpy
import sys

import pytest

from repro import machine
from repro.engines import describe


def test_the_facts_are_of_the_threads_and_limits_that_steps_get(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SSBREPRO_KERNELS", "portable")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    asked = ["cpu", "3", json.dumps({"MKL_CBWR": "COMPATIBLE"})]
    monkeypatch.setattr(sys, "argv", [describe.__file__, *asked])
    runpy.run_path(describe.__file__, run_name="__main__")
    facts = json.loads(capsys.readouterr().out)
    assert facts["threads"] == 3
    assert dict(facts["limits"]) == {"MKL_CBWR": "COMPATIBLE"}
    assert facts["device"] == "cpu"
    assert facts["architecture"] == machine.facts("cpu").architecture
