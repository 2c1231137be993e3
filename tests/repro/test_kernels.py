"""What a step computes with is a fact of its key, by default the best there is."""

import platform
from pathlib import Path

import pytest

from repro import kernels
from repro.errors import UsageError

X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86-64 only")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (kernels.VARIABLE, *kernels._LIMITS):
        monkeypatch.delenv(variable, raising=False)


def test_nothing_is_held_back_by_default() -> None:
    assert kernels.limits() == {}


@X86
def test_portable_holds_pytorch_to_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernels.VARIABLE, "portable")
    held = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    assert kernels.limits() == held


def test_limits_of_the_users_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("MKL_CBWR", "")
    assert kernels.limits() == {"ATEN_CPU_CAPABILITY": "default"}


def test_any_other_choice_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernels.VARIABLE, "fastest")
    with pytest.raises(UsageError, match="SSBREPRO_KERNELS=fastest: it is best"):
        kernels.limits()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 sse4_1 fma avx ht\n", "sse4_1 avx avx2 fma"),
        ("processor\t: 0\nFeatures\t: fp asimd sve\n", "asimd sve"),
        ("processor\t: 0\n", ""),
    ],
)
def test_instructions_are_read_from_the_system(tmp_path: Path, lines: str, expected: str) -> None:
    (tmp_path / "cpuinfo").write_text(lines)
    assert kernels.instructions(tmp_path / "cpuinfo") == expected


def test_a_system_that_lists_none_has_none(tmp_path: Path) -> None:
    assert kernels.instructions(tmp_path / "absent") == ""


@X86
def test_this_machine_lists_some() -> None:
    assert "sse4_1" in kernels.instructions().split()
