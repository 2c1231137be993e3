"""Says what machine this is: ``python -m repro.engines.describe DEVICE THREADS LIMITS``.

One line of JSON, the facts of :mod:`repro.machine` as steps would have them that are started with so
many threads and these variables, a JSON object.
"""

import json
import os
import sys
from dataclasses import asdict

from repro import kernels, machine


def main(device: str, threads: str, limits: str) -> None:
    """Print the facts of this machine."""
    for name in kernels.VARIABLES & os.environ.keys():
        del os.environ[name]
    os.environ.update({**json.loads(limits), "OMP_NUM_THREADS": threads})
    print(json.dumps(asdict(machine.facts(device))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
