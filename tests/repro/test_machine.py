"""The facts of a machine, and the variables that settle them."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from repro import kernels, machine
from repro.errors import UsageError
from repro.machine import Facts, driver, environment, facts, num_threads
from repro.settings import Settings
from tests.fakes import CHECKOUT


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OMP_NUM_THREADS", *kernels.VARIABLES):
        monkeypatch.delenv(variable, raising=False)


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert num_threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert num_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")  # nested levels: the first is that of a stage
    assert num_threads() == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert num_threads() == 1


def test_memory_is_what_the_system_or_the_container_leaves(tmp_path: Path) -> None:
    listed = tmp_path / "meminfo"
    listed.write_text("MemTotal:  100 kB\nMemAvailable:    12345 kB\n")
    assert machine._kibibytes(listed, "MemAvailable") == 12345 * 1024
    assert machine._kibibytes(listed, "MemFree") is None
    assert machine._kibibytes(tmp_path / "absent", "MemAvailable") is None
    assert machine._below_limit(tmp_path, "memory.max", "memory.current") is None
    (tmp_path / "memory.current").write_text("30\n")
    for limit, left in (("max\n", None), ("100\n", 70)):
        (tmp_path / "memory.max").write_text(limit)
        assert machine._below_limit(tmp_path, "memory.max", "memory.current") == left
    available = machine.available_memory()
    assert available is None or available > 2**20


@pytest.mark.parametrize(
    ("files", "cores", "kills"),
    [
        ({}, None, 0),
        ({"cpu.max": "max 100000", "memory.events": "oom 1\noom_kill 0\n"}, None, 0),
        (
            {"cpu.max": "250000 100000", "memory.events": "low 0\noom_kill 12\noom_group_kill 1"},
            2,
            12,
        ),
        ({"cpu.max": "50000 100000"}, 1, 0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None, 0),
        (
            {
                "cpu/cpu.cfs_quota_us": "300000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "memory/memory.oom_control": "under_oom 0\noom_kill 1\n",
            },
            3,
            1,
        ),
    ],
)
def test_a_containers_limits_of_either_version(
    tmp_path: Path, files: dict[str, str], cores: int | None, kills: int
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, "ascii")
    assert machine._core_limit(tmp_path) == cores
    assert machine.memory_kills(tmp_path) == kills


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "²", "0,2", "1234567"])
def test_threads_that_make_no_sense_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(UsageError, match="at least 1"):
        Settings.from_environment()


def test_facts_of_the_processor_name_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_cuda", lambda: False)
    for device in ("cpu", "auto"):
        parts = facts(device).parts()
        assert set(parts) == {
            "device", "threads", "architecture", "instructions", "limits", "libraries"
        }  # fmt: skip
        assert parts["device"] == "cpu"
        assert Facts(**json.loads(json.dumps(parts))) == facts("cpu")
    with pytest.raises(UsageError, match="no CUDA device can be used here; try --device cpu"):
        facts("cuda")


def test_facts_of_a_gpu_are_its_model_and_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(machine, "has_cuda", lambda: True)
    monkeypatch.setattr(machine, "driver", lambda: "550.54.15")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    machine._gpu.cache_clear()
    try:
        for device in ("cuda", "auto"):
            assert facts(device).parts() == facts("cpu").parts() | {
                "device": "cuda",
                "gpu": {"model": "NVIDIA H100 80GB HBM3", "driver": "550.54.15"},
            }
    finally:
        machine._gpu.cache_clear()


@pytest.mark.parametrize(
    ("listed", "release"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\nGCC 12.2.0\n",
         "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54  Release Build\n", "550.54"),
        ("NVRM version: none\n", ""),
    ],
)  # fmt: skip
def test_the_driver_is_read_from_the_system(tmp_path: Path, listed: str, release: str) -> None:
    (tmp_path / "version").write_text(listed)
    assert driver(tmp_path / "version") == release
    assert driver(tmp_path / "absent") == ""


def test_a_steps_environment_follows_its_facts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = replace(facts("cpu"), threads=3, limits={"MKL_CBWR": "AVX2"})
    # What whoever starts the worker happens to have set.
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("SSBREPRO_KERNELS", "portable")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    settled = environment(wanted)
    assert (
        settled.items()
        >= {
            "OMP_NUM_THREADS": "3",
            "OPENBLAS_NUM_THREADS": "3",
            "MKL_NUM_THREADS": "3",
            "GOMP_SPINCOUNT": "20000",
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
            "MKL_CBWR": "AVX2",
            "SOMETHING_ELSE": "kept",
        }.items()
    )
    assert kernels.VARIABLES & settled.keys() == {"MKL_CBWR"}


SETTLES = """
import importlib, json, sys
from dataclasses import asdict, replace
from repro import machine
wanted = replace(machine.facts("cpu"), threads=int(sys.argv[1]), limits={})
for module in sys.argv[2:]:
    importlib.import_module(module)
machine.settle(wanted)
import numpy, scipy.linalg.cython_blas, threadpoolctl
pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
found = machine.facts("cpu")
print(json.dumps({"threads": found.threads, "limits": found.limits, "pools": pools}))
"""


@pytest.mark.parametrize("imported_before", [False, True])
def test_variables_are_set_as_long_as_no_library_has_read_them(imported_before: bool) -> None:
    before, modules = {"OMP_NUM_THREADS": "2", "MKL_CBWR": "COMPATIBLE"}, ["numpy"]
    done = subprocess.run(
        [sys.executable, "-c", SETTLES, "1", *(modules if imported_before else [])],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | before,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    if imported_before:  # found out, and not covered up
        assert (found["threads"], found["limits"]) == (2, {"MKL_CBWR": "COMPATIBLE"})
    else:
        assert (found["threads"], found["limits"]) == (1, {})
        assert set(found["pools"]) == {1}


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (
            "processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC  7763 \n\n"
            "processor\t: 1\nmodel name\t: AMD EPYC  7763\n",
            "AMD EPYC 7763",
        ),
        ("processor\t: 0\nmodel name\t: \n", "arm"),
        ("processor\t: 0\nCPU part\t: 0xd0c\n", "arm"),
        (None, "arm"),
    ],
)
def test_the_processors_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str | None, expected: str
) -> None:
    monkeypatch.setattr("platform.processor", lambda: "arm")
    if listed is not None:
        (tmp_path / "cpuinfo").write_text(listed)
    assert machine.processor(tmp_path / "cpuinfo") == expected


def test_a_processor_always_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.processor", lambda: "")
    assert machine.processor(tmp_path / "absent") == platform.machine() != ""


def test_the_processor_is_no_part_of_a_key() -> None:
    assert "processor" not in machine.facts("cpu").parts()
