"""Everything that can go wrong for a user, with the exit status it ends in."""

from collections.abc import Sequence

from repro.printable import printable


class ReproError(Exception):
    """A failure with a message for the user and no traceback.

    Args:
        lines: The message. Names and contents of files may be in it, so what cannot be printed is
            escaped, line breaks in a line too.
    """

    exit_status = 3

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(printable, lines)))


class UsageError(ReproError):
    """The command line names something that is not there."""

    exit_status = 2


class ManifestError(ReproError):
    """One or more manifests are wrong; every fault is a ``file:line:col: field: problem`` line."""

    exit_status = 2

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(*faults)
        self.faults = tuple(map(printable, faults))


class StageError(ReproError):
    """A stage of a figure failed."""


class StoreError(ReproError):
    """A file of ours could not be written or read."""


class ArchiveError(ReproError):
    """A file to import is damaged, of another version, or no export at all."""

    exit_status = 2


class ContainerError(ReproError):
    """There is no usable Docker engine or image, or the container was killed."""


class TrackingError(ReproError):
    """MLflow cannot be reached; never ends a run."""


class Interrupted(BaseException):
    """A signal ended the command; no ``except Exception`` may take it for a failure.

    ``exit_status`` is the conventional 128 + signal number.
    """

    def __init__(self, signal_number: int) -> None:
        self.exit_status = 128 + signal_number
        super().__init__("interrupted; the same command continues where this one stopped")
