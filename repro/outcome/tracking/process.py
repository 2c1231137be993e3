"""The process that talks to MLflow: ``python -m repro.outcome.tracking.process PARENT``.

Each line of standard input, ``{"folder": PATH, "known": ID}``, asks for a run to be sent; lines of
standard output answer with its ``run_id`` or an ``error``, or say something before they do. It ends with
``PARENT``, or when that kills it.
"""

import contextlib
import json
import os
import resource
import sys
from pathlib import Path

from repro.engines import lifeline
from repro.errors import StoreError, TrackingError
from repro.outcome.reading import existing_run
from repro.outcome.tracking import connecting, sending
from repro.settings import Settings

_MAX_MEMORY_BYTES = 2**30  # several times what it takes; all that an answer without an end gets


def serve(parent: int) -> None:
    """Send what is asked for, one run after another."""
    lifeline.end_with(parent)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or most > _MAX_MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))

    def tell(**what: str) -> None:
        print(json.dumps(what), file=answers, flush=True)

    settings = Settings.from_environment()
    with contextlib.suppress(Exception):  # sending fails in the same way and says why
        connecting.load()
    tell()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            run = existing_run(settings.home, Path(asked["folder"]))
            run_id = sending.send(run, settings, lambda text: tell(said=text), asked["known"])
        except (StoreError, TrackingError) as error:
            tell(error=str(error))
        else:
            tell(run_id=run_id)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
