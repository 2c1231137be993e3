"""The facts of a machine that can change the bits of a result, and the variables that settle them.

What executes a step states them for its key, and whatever process the step then runs in compares.
"""

import contextlib
import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from repro import kernels
from repro.errors import UsageError

# Libraries whose release can change the bits of a result.
_LIBRARIES = ("torch", "numpy", "scipy", "pyhessian")
MORE_MEMORY = (
    "SSBREPRO_MEMORY=32g allows a container more; --jobs 1 or a smaller profile needs less"
)
_CONTROL_GROUP = Path("/sys/fs/cgroup")  # a container's own, of either version
_MAX_THREADS = 4096  # more than any one machine has cores


@dataclass(frozen=True)
class Facts:
    """What a step computes with; each is the part of its key that has the same name.

    Args:
        device: "cpu" or "cuda".
        threads: Of every library.
        architecture: The processor's.
        instructions: Its extensions that libraries choose their kernels by.
        limits: Variables that hold libraries back.
        libraries: Releases of those that compute.
        gpu: Its model and driver, where the device is one.
    """

    device: str
    threads: int
    architecture: str
    instructions: str
    limits: Mapping[str, str]
    libraries: Mapping[str, str]
    gpu: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def among(cls, parts: Mapping[str, Any]) -> "Facts":
        """Those that are among the parts of a key.

        Raises:
            TypeError: If one is missing, as in keys of another release.
        """
        return cls(**{fact.name: parts[fact.name] for fact in fields(cls) if fact.name in parts})

    def parts(self) -> dict[str, Any]:
        """Them by name, for a key; a step on the processor depends on no GPU."""
        parts = asdict(self)
        return parts if self.gpu else {name: parts[name] for name in parts if name != "gpu"}


def facts(device: str) -> Facts:
    """Of this process on this machine.

    Args:
        device: "cpu", "cuda", or "auto": "cuda" where that can be used.

    Raises:
        UsageError: If the device cannot be used, or a variable of the environment makes no sense.
    """
    cuda = device != "cpu" and has_cuda()
    if device == "cuda" and not cuda:
        raise UsageError("--device cuda: no CUDA device can be used here; try --device cpu")
    return Facts(
        device="cuda" if cuda else "cpu",
        threads=num_threads(),
        architecture=platform.machine(),
        instructions=kernels.instructions(),
        limits=kernels.limits(),
        libraries=library_versions(),
        gpu=_gpu() if cuda else {},
    )


def environment(wanted: Facts) -> dict[str, str]:
    """The variables of this process, those that bits depend on as a step's facts have them."""
    threads = str(wanted.threads)
    others = {name: value for name, value in os.environ.items() if name not in kernels.VARIABLES}
    return (
        others
        | dict(wanted.limits)
        | {
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,  # these two go before the first, where users set them
            "MKL_NUM_THREADS": threads,
            # How long a waiting thread spins before it sleeps. The default, fifteen times as long,
            # wastes cores that other work shares; none wakes threads anew for every operation.
            "GOMP_SPINCOUNT": "20000",
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # before any CUDA context: deterministic sums
        }
    )


def settle(wanted: Facts) -> None:
    """Give this process the variables of a step, unless libraries have been imported by others.

    They read them once. What differs after that, :func:`facts` finds.
    """
    if sys.modules.keys() & set(_LIBRARIES):
        return
    settled = environment(wanted)
    for name in os.environ.keys() - settled.keys():
        del os.environ[name]
    os.environ.update(settled)


def num_cores() -> int:
    """The cores that this process may use; a container's limit counts where it is lower."""
    cores = len(os.sched_getaffinity(0))
    return min(cores, _core_limit(_CONTROL_GROUP) or cores)


def available_memory() -> int | None:
    """Bytes of memory that new processes can have; None where the system does not say.

    A container's limit counts where it is lower than what the machine has.
    """
    free = [
        _kibibytes(Path("/proc/meminfo"), "MemAvailable"),
        _below_limit(_CONTROL_GROUP, "memory.max", "memory.current"),
        _below_limit(_CONTROL_GROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ]
    return min((one for one in free if one is not None), default=None)


def memory_kills(group: Path = _CONTROL_GROUP) -> int:
    """How many processes of this container were killed for want of memory; 0 if nothing says so."""
    for name in ("memory.events", "memory/memory.oom_control"):
        with contextlib.suppress(OSError):
            found = re.search(r"^oom_kill (\d+)$", (group / name).read_text("ascii"), re.MULTILINE)
            return int(found.group(1)) if found else 0
    return 0


def _kibibytes(listed: Path, name: str) -> int | None:
    with contextlib.suppress(OSError):
        found = re.search(rf"^{name}: *(\d+) kB$", listed.read_text("utf-8"), re.MULTILINE)
        return int(found.group(1)) * 1024 if found else None
    return None


def _below_limit(folder: Path, limit: str, usage: str) -> int | None:
    """What a control group's limit leaves; None without one."""
    with contextlib.suppress(OSError, ValueError):  # "max" is no number
        return int((folder / limit).read_text("ascii")) - int((folder / usage).read_text("ascii"))
    return None


def _core_limit(group: Path) -> int | None:
    """The whole cores in the time that a control group may use, at least one; None without a limit."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number, and -1 is none either
            time, period = " ".join((group / name).read_text("ascii") for name in names).split()
            return max(1, int(time) // int(period)) if int(time) > 0 else None
    return None


def num_threads() -> int:
    """Threads of a stage: one, or ``OMP_NUM_THREADS``.

    The spectrum at smoke took 30 s with one and 21 s with two: two steps side by side are done sooner.
    One thread also gives the same keys, and so the same results, with any number of cores.

    Raises:
        UsageError: If that is no number of threads.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    first = given.partition(",")[0].strip()  # of nested levels
    if not first:
        return 1
    number = int(first) if first.isascii() and first.isdecimal() and len(first) < 10 else 0
    if not 1 <= number <= _MAX_THREADS:
        raise UsageError(
            f"OMP_NUM_THREADS={given}: it is a number of threads, at least 1 and at most {_MAX_THREADS}"
        )
    return number


def has_cuda() -> bool:
    """Whether a CUDA device can be used."""
    if not Path("/proc/driver/nvidia/version").exists() and not Path("/dev/nvidiactl").exists():
        return False  # spares the seconds of importing torch on most machines without one
    import torch

    return torch.cuda.is_available()


@cache
def library_versions() -> dict[str, str]:
    """Releases of the libraries that compute."""
    return {name: version(name) for name in _LIBRARIES}


@cache
def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's model, such as "AMD EPYC 7763"; where no system names it, its architecture.

    It is no part of a key: what of it can change bits, its architecture and instructions, is.
    """
    named = " ".join(kernels.listed(cpuinfo).get("model name", "").split())
    return named or platform.processor() or platform.machine()


def driver(listed: Path = Path("/proc/driver/nvidia/version")) -> str:
    """The release of NVIDIA's driver, such as "550.54.15"; "" where the system does not list it."""
    try:
        found = re.search(r"\d+\.\d+(\.\d+)?", listed.read_text("utf-8"))
    except OSError:
        return ""
    return found.group() if found else ""


@cache
def _gpu() -> dict[str, str]:
    import torch

    return {"model": torch.cuda.get_device_name(), "driver": driver()}
