"""The processes of this machine: forks, their messages, their ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro import machine
from repro.engines import local
from repro.engines.engine import Engine, Needs, Report, Task
from repro.engines.local import LocalEngine
from repro.machine import facts
from repro.plan import Step
from tests.processes import is_running

# A nursery as the engine starts it, except that a step runs the script in its task.
SCRIPTED_NURSERY = """
import json, pathlib, sys, types
from repro.engines import nursery

def main(task):
    names = {}
    exec(json.loads(pathlib.Path(task).read_text())["script"], names)
    return names.get("status", 0)

sys.modules["repro.engines.worker"] = types.ModuleType("repro.engines.worker")
sys.modules["repro.engines.worker"].main = main
nursery.import_libraries = lambda names: None
nursery.serve(int(sys.argv[-1]))
"""
SAYS_WHERE_IT_RUNS = """
import json, os
print(json.dumps({"pid": os.getpid(), "nursery": os.getppid()}), flush=True)
"""
# Sleeps in C without giving up the interpreter's lock: no thread of the step runs any more.
NEVER_ENDS = SAYS_WHERE_IT_RUNS + "import ctypes; ctypes.PyDLL(None).sleep(600)"


def script_task(folder: Path, script: str, threads: int = 1, key: str = "key") -> Task:
    step = Step("", {}, 0, replace(facts("cpu"), threads=threads), {}, {"code": {}}, key)
    return Task(step, Needs(), folder, {"script": script})


def finished(engine: Engine, report: Report = print) -> int:
    """The exit status of the one step there is, once it has one."""
    while not (ended := engine.poll(lambda key, message: report(message), 10)):
        pass
    (status,) = ended.values()
    return status


def until(condition: Callable[[], Any]) -> None:
    while not condition():  # pytest-timeout ends it
        time.sleep(0.01)


class TestLocalEngine:
    """The engine the command line uses, on scripts instead of stages."""

    @pytest.fixture(autouse=True)
    def scripted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local, "_NURSERY", (sys.executable, "-c", SCRIPTED_NURSERY))

    @pytest.fixture
    def engine(self) -> Engine:
        return LocalEngine()

    @pytest.fixture
    def run_script(self, engine: Engine, tmp_path: Path) -> Callable[..., Any]:
        """Runs a script as a step to its end: its exit status and messages."""

        def run_script(script: str, threads: int = 1) -> tuple[int, list[Any]]:
            heard: list[Any] = []
            engine.submit(script_task(tmp_path, script, threads))
            return finished(engine, heard.append), heard

        return run_script

    @pytest.fixture
    def endless(self, engine: Engine, tmp_path: Path) -> tuple[int, int]:
        """A step that runs until it is killed: its process, its nursery's."""
        engine.submit(script_task(tmp_path, NEVER_ENDS))
        heard: list[Any] = []
        until(lambda: engine.poll(lambda key, message: heard.append(message), 1) or heard)
        return heard[0]["pid"], heard[0]["nursery"]

    def test_as_many_tasks_at_once_as_there_are_cores_for_their_threads(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(machine, "num_cores", lambda: 8)
        for threads, tasks in (("", 8), ("1", 8), ("3", 2), ("8", 1), ("9", 1)):
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
            assert LocalEngine().capacity().tasks == tasks
            assert LocalEngine(5).capacity().tasks == 5
        assert LocalEngine().capacity().gpus == 1

    def test_tasks_run_side_by_side_and_each_is_heard_by_its_key(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        """Each waits until the other has started."""
        for name, other in (("one", "two"), ("two", "one")):
            (tmp_path / name).mkdir()
            meets = f"""
import json, pathlib, time
pathlib.Path({str(tmp_path / name / "here")!r}).touch()
while not pathlib.Path({str(tmp_path / other / "here")!r}).exists():
    time.sleep(0.01)
print(json.dumps({{"name": {name!r}}}), flush=True)
status = {len(other) + len(name)}
"""
            engine.submit(script_task(tmp_path / name, meets, key=name))
        heard: list[tuple[str, str]] = []
        ended: dict[str, int] = {}
        while len(ended) < 2:
            ended |= engine.poll(lambda key, message: heard.append((key, message["name"])), 10)
        assert ended == {"one": 6, "two": 6}
        assert sorted(heard) == [("one", "one"), ("two", "two")]

    def test_cancelling_one_leaves_the_other(
        self, engine: Engine, endless: tuple[int, int], tmp_path: Path
    ) -> None:
        (tmp_path / "other").mkdir()
        engine.submit(script_task(tmp_path / "other", "import time; time.sleep(0.2)", key="other"))
        engine.cancel("key")
        assert not any(is_running(pid) for pid in endless)
        assert finished(engine) == 0

    def test_messages_are_lines_of_json_objects_and_anything_else_is_noise(
        self, run_script: Callable[..., Any]
    ) -> None:
        lines = ["a library's line", "", '{"done": 1}', "3", "null", '"done"', "[1]", '{"x": 2}']
        status, heard = run_script(f"print({chr(10).join(lines)!r}, flush=True); status = 5")
        assert (status, heard) == (5, [{"done": 1}, {"x": 2}])

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
    def test_a_step_that_a_signal_ends_in_the_middle_of_a_line(
        self, run_script: Callable[..., Any], number: signal.Signals
    ) -> None:
        dies = f"import os; print('half a', end='', flush=True); os.kill(os.getpid(), {number:d})"
        assert run_script(dies) == (-number, [])

    @pytest.mark.parametrize("script", ["import no_such_module", "raise SystemExit(0)"])
    def test_a_worker_that_cannot_even_say_so_fails(
        self, run_script: Callable[..., Any], tmp_path: Path, script: str
    ) -> None:
        assert run_script(script) == (1, [])
        assert "Traceback" in (tmp_path / "log.txt").read_text()

    def test_steps_are_processes_of_their_own_forked_from_one(
        self, run_script: Callable[..., Any]
    ) -> None:
        (_, [first]), (_, [second]) = run_script(SAYS_WHERE_IT_RUNS), run_script(SAYS_WHERE_IT_RUNS)
        assert first["nursery"] == second["nursery"] != os.getpid()
        assert len({first["pid"], second["pid"], first["nursery"]}) == 3

    def test_the_environment_is_in_force_from_the_start(
        self, run_script: Callable[..., Any]
    ) -> None:
        # What the nursery's own environment was when it began, not what somebody set later.
        asks = """
import json, os, pathlib
began = pathlib.Path(f"/proc/{os.getppid()}/environ").read_text().split(chr(0))
print(json.dumps(dict(pair.partition("=")[::2] for pair in began)), flush=True)
"""
        for threads in (1, 3):
            _, [environment] = run_script(asks, threads)
            assert environment["OMP_NUM_THREADS"] == str(threads)
            assert environment["GOMP_SPINCOUNT"] == "20000"
            assert environment["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"

    def test_another_number_of_threads_needs_another_nursery(
        self, run_script: Callable[..., Any]
    ) -> None:
        _, [one] = run_script(SAYS_WHERE_IT_RUNS, 1)
        _, [two] = run_script(SAYS_WHERE_IT_RUNS, 2)
        assert one["nursery"] != two["nursery"]
        assert not is_running(one["nursery"])

    def test_a_step_writes_errors_to_its_own_log(self, engine: Engine, tmp_path: Path) -> None:
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "log.txt").write_text("of an earlier attempt")
            complains = f"import os; os.write(2, b'{name}')"  # as C code does
            engine.submit(script_task(tmp_path / name, complains))
            finished(engine)
        for name in ("first", "second"):
            assert (tmp_path / name / "log.txt").read_text() == name

    def test_a_step_imports_what_lies_on_the_disk_when_it_starts(
        self, run_script: Callable[..., Any], tmp_path: Path
    ) -> None:
        module = tmp_path / "ours.py"
        imports = f"import sys; sys.path.append({str(tmp_path)!r}); import ours; status = ours.x"
        for x in (3, 10):  # of different lengths: cached bytecode goes by size and seconds
            module.write_text(f"x = {x}")
            assert run_script(imports) == (x, [])

    def test_a_steps_peak_memory_is_its_own(self, run_script: Callable[..., Any]) -> None:
        says = """
import json, resource
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"peak": peak}), flush=True)
"""
        _, [large] = run_script("block = b'x' * 2**28" + says)
        _, [small] = run_script(says)
        assert small["peak"] < 2**28 < large["peak"]

    def test_cancelling_ends_the_step_at_once_and_twice_is_once(
        self, engine: Engine, endless: tuple[int, int], tmp_path: Path
    ) -> None:
        for _ in range(2):
            engine.cancel("key")
            assert not any(is_running(pid) for pid in endless)
        # Reaped: no longer a child of ours.
        with pytest.raises(ChildProcessError):
            os.waitpid(endless[1], os.WNOHANG)
        engine.submit(script_task(tmp_path, "status = 7"))
        assert finished(engine) == 7

    def test_a_step_that_nobody_waits_for_any_more_ends(
        self, engine: LocalEngine, endless: tuple[int, int]
    ) -> None:
        (slot,) = engine._slots
        assert slot.nursery.stdin is not None
        slot.nursery.stdin.close()
        until(lambda: not any(is_running(pid) for pid in endless))

    def test_a_nursery_that_is_killed_takes_its_step_along(
        self, engine: Engine, run_script: Callable[..., Any], tmp_path: Path
    ) -> None:
        waits = SAYS_WHERE_IT_RUNS + (
            "while os.read(0, 1): pass"  # as the worker does, in a thread
        )
        engine.submit(script_task(tmp_path, waits))

        def kill(said: Any) -> None:
            assert os.getpgid(said["pid"]) == said["nursery"]
            os.kill(said["nursery"], signal.SIGKILL)

        assert finished(engine, kill) == -signal.SIGKILL
        assert run_script("status = 7") == (7, [])

    def test_a_nursery_that_is_killed_before_it_hears_of_its_step(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        engine = LocalEngine()

        def kill(modules: Any) -> list[str]:
            (slot,) = engine._slots
            slot.nursery.kill()
            slot.nursery.wait()
            return []

        for _ in range(2):
            with monkeypatch.context() as patched:
                patched.setattr(local, "libraries", kill)
                engine.submit(script_task(tmp_path, ""))
            assert finished(engine) == -signal.SIGKILL

    def test_an_engine_that_is_gone_leaves_no_process(self, tmp_path: Path) -> None:
        engine = LocalEngine()
        said: list[Any] = []
        engine.submit(script_task(tmp_path, SAYS_WHERE_IT_RUNS))
        finished(engine, said.append)
        assert is_running(said[0]["nursery"])
        del engine
        assert not is_running(said[0]["nursery"])

    @pytest.mark.parametrize("ends", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()"])
    def test_however_the_run_ends_nothing_of_it_goes_on(self, tmp_path: Path, ends: str) -> None:
        runs = f"""
import json, os, signal, sys
from pathlib import Path
from repro.engines import engine, local
from repro.machine import facts
from repro.plan import Step
_, folder, script, *local._NURSERY = sys.argv
step = Step("", {{}}, 0, facts("cpu"), {{}}, {{"code": {{}}}}, "")
processes, heard = local.LocalEngine(), []
processes.submit(engine.Task(step, engine.Needs(), Path(folder), {{"script": script}}))
while not heard:
    processes.poll(lambda key, message: heard.append(message), 1)
print(json.dumps(heard[0]), flush=True)
{ends}
"""
        nursery = (sys.executable, "-c", SCRIPTED_NURSERY)
        done = subprocess.run(
            [sys.executable, "-c", runs, tmp_path, NEVER_ENDS, *nursery],
            stdout=subprocess.PIPE,
            check=False,
        )
        said = json.loads(done.stdout)
        assert {"pid", "nursery"} <= said.keys()  # both had started
        until(lambda: not any(is_running(pid) for pid in said.values()))
