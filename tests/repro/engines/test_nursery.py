"""The process that steps are forked from: what it holds ready, and that it ends."""

import json
import os
import signal
import subprocess
import sys

from repro.code import module_digests
from repro.engines.local import libraries
from ssbrepro.papers import stages as stages_of
from tests.fakes import CHECKOUT
from tests.processes import assert_ends_with_its_parent, is_running


def test_what_is_imported_before_a_fork_is_all_that_steps_need_and_survives_it() -> None:
    modules = [
        stage.module for paper in ("li2022", "ssb2018") for stage in stages_of(paper).values()
    ]
    names = libraries({name for module in modules for name in module_digests(module)})
    assert {"numpy", "pyhessian", "scipy.linalg", "torch", "PIL"} <= set(names)
    assert not {"json", "os", "repro", "ssbrepro"} & {name.partition(".")[0] for name in names}
    assert set(libraries(["ssbrepro.gone"])) < set(names)  # it fails where it is to be imported
    done = subprocess.run(
        [sys.executable, "-c", _FORK_AND_LOOK, json.dumps(names), json.dumps(modules)],
        env=os.environ | {"OMP_NUM_THREADS": "4"},  # threads to start, were there any
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["ours"] == [
        "repro",
        "repro.engines",
        "repro.engines.lifeline",
        "repro.engines.nursery",
    ]
    assert found["threads"] == 1
    assert found["imported after the fork"] == []
    assert found["bad fork"] is False
    assert found["sum on the device"] == 3.0


_FORK_AND_LOOK = """
import importlib, json, os, sys
from repro.engines import nursery

def packages():
    return {name.partition(".")[0] for name in sys.modules}

nursery.import_libraries(json.loads(sys.argv[1]))
before = packages()
ours = sorted(name for name in sys.modules if name.startswith(("repro", "ssbrepro")))
# Looked at where Python 3.12 looks, once every library has prepared for the fork.
threads = []
os.register_at_fork(after_in_parent=lambda: threads.append(len(os.listdir("/proc/self/task"))))
reading, writing = os.pipe()
if os.fork() == 0:
    import torch
    import repro.engines.compute
    import repro.engines.worker
    for module in json.loads(sys.argv[2]):
        importlib.import_module(module)
    new = packages() - before - sys.stdlib_module_names - {"ssbrepro"}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    answer = {
        "imported after the fork": sorted(new),
        "bad fork": torch.cuda._is_in_bad_fork(),
        "sum on the device": float(torch.ones(3, device=device).sum()),
    }
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)
os.wait()
answer = json.loads(os.read(reading, 65536)) | {"ours": ours, "threads": threads[0]}
print(json.dumps(answer))
"""


# The parent of a nursery that imports in C without giving up the interpreter's lock.
_STARTS_A_NURSERY = """
import json, os, subprocess, sys, time
nursery = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1], str(os.getpid())],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
nursery.stdin.write(json.dumps({"task": "", "log": "/dev/null", "libraries": []}).encode() + b"\\n")
nursery.stdin.flush()
assert nursery.stdout.readline() == b"importing\\n"
print(nursery.pid, flush=True)
time.sleep(600)
"""
_IMPORTS_FOR_EVER = """
import ctypes, sys
from repro.engines import nursery

def imports(names):
    print("importing", flush=True)
    ctypes.PyDLL(None).sleep(600)

nursery.import_libraries = imports
nursery.serve(int(sys.argv[1]))
"""


def test_a_nursery_that_imports_ends_with_its_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _STARTS_A_NURSERY, _IMPORTS_FOR_EVER],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        nursery = int(parent.stdout.readline())
        assert is_running(nursery)
        parent.send_signal(signal.SIGKILL)
    assert_ends_with_its_parent(nursery)


def test_a_nursery_whose_parent_has_died_already_does_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "repro.engines.nursery", "999999999"],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        input=json.dumps({"task": "", "log": "/nonexistent/log", "libraries": []}).encode(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
