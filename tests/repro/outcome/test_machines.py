"""Machines are told apart by what they are, and a seed on several of them is one seed."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.machine import Facts
from repro.outcome.machines import MachineName, by_machine, labels, nearest_machine, one_a_seed
from repro.outcome.record import Machine
from repro.outcome.references import RecordedRun
from tests.fakes import recorded_run_of

NAMELESS = MachineName("cpu", "Linux", "x86_64", "", "", "")
XEON = MachineName("cpu", "Linux", "x86_64", "Intel Xeon", "avx avx2", "")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("device", "cuda"), ("system", "Darwin"), ("architecture", "aarch64"),
        ("processor", "AMD EPYC"), ("instructions", "avx avx2 avx512f"), ("gpu", "H200"),
    ],
)  # fmt: skip
def test_whatever_a_machine_is_makes_it_another(part: str, value: str) -> None:
    other = XEON._replace(**{part: value})
    assert other != XEON
    assert not other.takes_the_place_of(XEON)
    assert XEON.takes_the_place_of(XEON)


@pytest.mark.parametrize(
    ("other", "replaced"),
    [
        (NAMELESS, True),
        (NAMELESS._replace(architecture="aarch64"), False),
        (NAMELESS._replace(device="cuda"), False),
    ],
)
def test_a_machine_takes_the_place_of_a_nameless_one_of_its_kind(
    other: MachineName, replaced: bool
) -> None:
    assert XEON.takes_the_place_of(other) == replaced
    assert not other.takes_the_place_of(XEON)


def test_threads_cores_and_kernels_make_no_other_machine() -> None:
    one = recorded_run_of(machine=Machine("x86_64", "Linux", 2, None, "Intel Xeon"))
    two = replace(one, machine=replace(one.machine, cores=8, image="i", limits={"MKL_CBWR": "AVX"}))
    assert [*by_machine([one, two]).values()] == [[one, two]]


def test_machines_are_called_by_their_models_and_told_apart() -> None:
    newer = XEON._replace(instructions="avx avx2 avx512f")
    gpu = XEON._replace(device="cuda", gpu="NVIDIA H200")
    names = labels([XEON, newer, gpu, NAMELESS])
    assert (names[gpu], names[NAMELESS]) == ("NVIDIA H200", "unnamed x86_64 machine")
    assert names[XEON] != names[newer]
    assert re.fullmatch(r"Intel Xeon \[[0-9a-f]{4}\]", names[XEON])
    assert labels([XEON]) == {XEON: "Intel Xeon"}


@pytest.mark.parametrize(
    ("device", "architecture", "instructions", "seeds"),
    [
        ("cpu", "x86_64", "avx avx2", [1, 3]),  # two that are alike in all
        ("cpu", "x86_64", "avx", [0, 1, 3, 4]),  # none is, but these are of its device
        ("cpu", "aarch64", "zve", [0, 1, 3, 4]),
        ("cuda", "x86_64", "avx", [2]),
        ("xpu", "x86_64", "avx", [0, 1, 2, 3, 4]),  # none is of its device
    ],
)
def test_times_are_those_of_the_machines_most_like_it(
    device: str, architecture: str, instructions: str, seeds: list[int]
) -> None:
    here = Machine("x86_64", "Linux", 2, None, "Intel Xeon", "avx avx2")
    elsewhere = replace(here, instructions="avx avx2 avx512f")
    graphics = replace(here, gpu="NVIDIA H200")
    arm = replace(here, architecture="aarch64")
    runs = [
        recorded_run_of(seed, machine=machine, device="cuda" if machine.gpu else "cpu")
        for seed, machine in enumerate([elsewhere, here, graphics, here, arm])
    ]
    facts = Facts(device, 1, architecture, instructions, {}, {})
    assert [run.seed for run in nearest_machine(runs, facts)] == seeds


def test_a_seed_has_the_means_of_its_machines() -> None:
    runs = [
        recorded_run_of(1, "A", {"s.a": 1.0, "s.b": 5.0}, {"s.c": "why"}),
        recorded_run_of(1, "B", {"s.a": 2.0, "s.c": 7.0}, {"s.b": "not here", "s.d": "nowhere"}),
        recorded_run_of(0, "B", {"s.a": 9.0}),
    ]
    zero, one = one_a_seed(runs, set())
    assert (zero.seed, zero.metrics, zero.missing) == (0, {"s.a": 9.0}, {})
    assert one.metrics == {"s.a": 1.5, "s.b": 5.0, "s.c": 7.0}
    assert one.missing == {"s.d": "nowhere"}


def test_no_machine_makes_up_for_an_identity_that_another_violates() -> None:
    runs = [recorded_run_of(0, "A", {"s.e": 1.5e-9}), recorded_run_of(0, "B", {"s.e": 1e-12})]
    assert one_a_seed(runs, {"s.e"})[0].metrics == {"s.e": 1.5e-9}
    unknown = [*runs, recorded_run_of(0, "C", {}, {"s.e": "why"})]
    (seed,) = one_a_seed(unknown, {"s.e"})
    assert (seed.metrics, seed.missing) == ({}, {"s.e": "why"})


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_of_one_machine_numbers_are_what_they_were(values: list[float]) -> None:
    runs: list[RecordedRun] = [recorded_run_of(n, "A", {"s.a": v}) for n, v in enumerate(values)]
    assert [seed.metrics["s.a"] for seed in one_a_seed(runs, set())] == values
