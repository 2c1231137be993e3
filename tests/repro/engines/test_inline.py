"""Steps in this process: what a debugger needs."""

import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from repro.engines.engine import Capacity
from repro.engines.inline import InlineEngine
from repro.errors import StageError
from ssbrepro.training import hinge
from tests.fakes import (
    CHECKOUT,
    FIGURE,
    Listener,
    copy_manifests,
    plan_of,
    run_plan,
    settings_below,
)


def raises(*arguments: Any) -> None:
    raise ArithmeticError("the stage itself")


def test_the_stage_runs_in_this_process_and_its_traceback_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hinge, "train", raises)
    with pytest.raises(StageError, match="stage training: the stage itself \\(ArithmeticError"):
        run_plan(plan_of(FIGURE), settings_below(tmp_path), InlineEngine(), Listener())
    told = capsys.readouterr().err
    assert "in compute" in told
    assert "in raises" in told
    assert told.endswith("ArithmeticError: the stage itself\n")


def test_it_takes_one_step_at_a_time() -> None:
    assert InlineEngine().capacity() == Capacity(tasks=1)


def test_no_kernel_of_a_gpu_is_chosen_by_the_clock_or_rounds_coarser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    flags = {
        (cudnn, "deterministic"): True,
        (cudnn, "benchmark"): False,
        (cudnn, "allow_tf32"): False,
        (matmul, "allow_tf32"): False,
    }
    before = {(where, name): getattr(where, name) for where, name in flags}
    found = {}

    def look(*arguments: Any) -> None:
        found.update({(where, name): getattr(where, name) for where, name in flags})
        raise ArithmeticError

    monkeypatch.setattr(hinge, "train", look)
    try:
        for (where, name), wanted in flags.items():
            setattr(where, name, not wanted)
        with pytest.raises(StageError):
            run_plan(plan_of(FIGURE), settings_below(tmp_path), InlineEngine(), Listener())
    finally:
        for (where, name), value in before.items():  # of which some are no attributes to undo
            setattr(where, name, value)
    assert found == flags


_STOPS_IN_THE_STAGE = """
import sys
from repro import cli
from ssbrepro.training import hinge

def train(*arguments):
    breakpoint()
    raise ArithmeticError("enough seen")

hinge.train = train
sys.argv = ["repro", "fig8b", "--profile", "smoke", "--engine", "inline"]
cli.main()
"""


def test_a_breakpoint_has_the_terminal(tmp_path: Path) -> None:
    ours, its = pty.openpty()
    environment = {
        "PYTHONPATH": str(CHECKOUT),
        "SSBREPRO_HOME": str(tmp_path / "home"),
        "SSBREPRO_MANIFESTS": str(copy_manifests(tmp_path / "manifests")),
        "MLFLOW_TRACKING_URI": "none",
        "TERM": "xterm",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _STOPS_IN_THE_STAGE],
        env=os.environ | environment,
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    heard = b""

    def hear(text: bytes) -> None:
        nonlocal heard
        while text not in heard:
            assert select.select([ours], [], [], 60)[0], heard.decode()
            heard += os.read(ours, 65536)

    hear(b"(Pdb) ")
    os.write(ours, b"p 6 * 7\n")
    hear(b"42\r\n(Pdb) ")
    os.write(ours, b"c\n")
    hear(b"stage training: enough seen (ArithmeticError")
    assert process.wait() == 3
    os.close(ours)
    assert b"\x1b[?25l" not in heard  # the cursor was not hidden: no bar was drawn over it
