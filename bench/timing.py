"""Times and memory of works measured side by side, and the most this machine can do."""

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Work(NamedTuple):
    """Something to be timed.

    Attributes:
        prepare: Sets up, untimed, and returns what is timed.
        amount: Units of work that one call of it does.
    """

    prepare: Callable[[], Callable[[], object]]
    amount: float = 1.0


class Timing(NamedTuple):
    """Seconds a unit of work, and the most memory that setting up and a first call took, in bytes.

    The memory is None where the system does not tell (all but Linux).
    """

    minimum: float
    median: float
    peak_bytes: int | None


class Rates(NamedTuple):
    """The most this machine can do: matrix products, in FLOP/s, and copying, in bytes/s."""

    float32: float
    float64: float
    copying: float


def side_by_side(works: Mapping[str, Work], repeats: int) -> dict[str, Timing]:
    """Time works in turn, one call each, ``repeats`` times over; what disturbs meets all alike.

    A first call of each warms up, and is what is timed if there are no repeats.
    """
    runs, peaks = {}, {}
    seconds: dict[str, list[float]] = {}
    for name, work in works.items():
        runs[name], first, peaks[name] = _first_call(work)
        seconds[name] = [] if repeats else [first / work.amount]
    for _ in range(repeats):
        for name, work in works.items():
            seconds[name].append(_seconds(runs[name]) / work.amount)
    return {
        name: Timing(min(times), statistics.median(times), peaks[name])
        for name, times in seconds.items()
    }


def measured_rates(repeats: int = 15) -> Rates:
    """Run large matrix products and copies."""
    side, copied = 1536, torch.zeros(1 << 26)
    target = torch.empty_like(copied)
    rates = []
    for dtype in (torch.float32, torch.float64):
        left, right = torch.ones(2, side, side, dtype=dtype)
        run = _product_of(left, right)
        run()
        rates.append(2 * side**3 / min(_seconds(run) for _ in range(repeats)))
    fastest = min(_seconds(lambda: target.copy_(copied)) for _ in range(repeats))
    single, double = rates
    return Rates(single, double, 2 * copied.nbytes / fastest)


def _product_of(left: torch.Tensor, right: torch.Tensor) -> Callable[[], object]:
    return lambda: left @ right


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _first_call(work: Work) -> tuple[Callable[[], object], float, int | None]:
    """What is timed, the seconds of its first call, and the growth of this process by then."""
    if not _RESET.exists():
        run = work.prepare()
        return run, _seconds(run), None
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # memory freed but kept would hide what is taken anew
    _RESET.write_text("5", encoding="ascii")  # Linux: the peak starts anew
    before = _status_bytes("VmRSS")
    run = work.prepare()
    seconds = _seconds(run)
    return run, seconds, max(0, _status_bytes("VmHWM") - before)


def _status_bytes(field: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    (found,) = (line for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(found.split()[1])
