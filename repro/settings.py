"""Where things are, from the environment, and what this machine offers."""

import os
from dataclasses import dataclass
from pathlib import Path

NO_TRACKING = "none"  # as MLFLOW_TRACKING_URI: record runs, send them nowhere
_CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Folders and addresses of one invocation; ``data_url`` is a mirror of CIFAR-10."""

    home: Path
    data: Path
    data_url: str | None
    manifests: Path
    tracking_uri: str

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the variables ``SSBREPRO_…`` and ``MLFLOW_TRACKING_URI``."""
        home = _path("SSBREPRO_HOME") or _CHECKOUT / ".ssbrepro"
        return cls(
            home=home,
            data=_path("SSBREPRO_DATA") or home / "data",
            data_url=os.environ.get("SSBREPRO_DATA_URL") or None,
            manifests=_path("SSBREPRO_MANIFESTS") or _CHECKOUT / "manifests",
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home}/mlflow.db",
        )

    @property
    def local_tracking(self) -> bool:
        """Whether runs go to this machine's own database."""
        return self.tracking_uri.startswith("sqlite:")


def num_threads() -> int:
    """Threads of a stage: every core this process may use, or ``OMP_NUM_THREADS``."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # of nested levels the first
    return int(given or len(os.sched_getaffinity(0)))


def has_cuda() -> bool:
    """Whether a CUDA device can be used."""
    if not Path("/proc/driver/nvidia/version").exists() and not Path("/dev/nvidiactl").exists():
        return False  # spares the seconds of importing torch on most machines without one
    import torch

    return torch.cuda.is_available()


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().resolve() if value else None
