"""Which of a processor's instructions a step computes with: they decide its speed and how it rounds.

By default each library takes the best it finds. ``SSBREPRO_KERNELS=portable`` holds PyTorch to AVX2,
as much as most processors have: on one with AVX-512 that costs a quarter to a third of the speed in
training. Equal bits across makers it does not buy, since MKL's matrix products differ all the same.
"""

import os
import platform
from functools import cache
from pathlib import Path

from repro.errors import UsageError

VARIABLE = "SSBREPRO_KERNELS"
_PORTABLE = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
# By which users hold the libraries back themselves.
_LIMITS = (
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE",
)  # fmt: skip
VARIABLES = {VARIABLE, *_LIMITS}
# What the libraries look at: extensions of x86-64 and of Arm, as Linux calls them.
_EXTENSIONS = (
    "sse4_1", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "asimddp", "bf16", "sve", "sve2", "i8mm",
)  # fmt: skip


def limits() -> dict[str, str]:
    """Variables of a step's environment that hold libraries back; none by default.

    Raises:
        UsageError: If ``SSBREPRO_KERNELS`` is neither "best" nor "portable".
    """
    chosen = os.environ.get(VARIABLE) or "best"
    if chosen not in ("best", "portable"):
        raise UsageError(f"{VARIABLE}={chosen}: it is best (the default) or portable")
    given = {name: value for name in _LIMITS if (value := os.environ.get(name))}
    portable = chosen == "portable" and platform.machine() == "x86_64"
    return given | (_PORTABLE if portable else {})


@cache
def instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's extensions that libraries choose their kernels by, such as "sse4_1 avx avx2 fma".

    Where the system does not list them, as macOS, none: there the architecture has to do.
    """
    fields = listed(cpuinfo)
    found = set(fields.get("flags", fields.get("features", "")).split())
    return " ".join(name for name in _EXTENSIONS if name in found)


def listed(cpuinfo: Path) -> dict[str, str]:
    """What the system lists of its processors, the last of them; nothing where it lists none."""
    try:
        lines = cpuinfo.read_text("utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
