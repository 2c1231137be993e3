"""Steps as jobs: Slurm's commands are pretended here, its nodes are this machine.

What a real cluster does to jobs is tested in ``tests/e2e/test_cluster.py``.
"""

import io
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from repro import machine
from repro.engines import cluster, nodes, slurm
from repro.engines.engine import Engine, Needs, Task
from repro.engines.slurm import SlurmEngine
from repro.errors import ManifestError, StageError, UsageError
from repro.plan import Plan, Step
from repro.settings import Settings
from repro.store import Store
from tests import pretended_slurm
from tests.fakes import FIGURE, Listener, hidden, plan_of, run_plan, settings_below
from tests.repro.engines.conformance import Conformance, expected

__all__ = ["expected"]  # a fixture


@dataclass
class Queue:
    """The cluster's side: what has been asked of it, and what it is to say."""

    folder: Path

    def refuse(self, command: str, *lines: str) -> None:
        """Have the next calls of a command fail, one a line."""
        (self.folder / f"refuse-{command}").write_text("\n".join(lines))

    def say(self, job: int, state: str) -> None:
        """Have a job be in a state, such as "TIMEOUT" or "PENDING JobHeldUser"."""
        (self.folder / f"state-{job}").write_text(state)

    def calls(self, command: str) -> list[list[str]]:
        """The arguments of all calls of a command."""
        calls = map(json.loads, (self.folder / "calls").read_text().splitlines())
        return [arguments for name, *arguments in calls if name == command]

    def steps(self) -> list[list[str]]:
        """The arguments of the jobs that are steps."""
        return [one for one in self.calls("sbatch") if "--job-name=ssbrepro-facts" not in one]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """A cluster without jobs, whose commands come first on the path; no job outlives its test."""
    commands, folder = tmp_path / "bin", tmp_path / "slurm"
    commands.mkdir()
    folder.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        path = commands / name
        path.write_text(
            f'#!/bin/sh\nexec {sys.executable} -IS {pretended_slurm.__file__} {name} "$@"\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PRETENDED_SLURM", str(folder))
    for name in [name for name in os.environ if name.startswith("SBATCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(slurm, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(slurm, "_QUEUE_SECONDS", 0.25)
    monkeypatch.setattr(nodes, "_LOOK_SECONDS", 0.02)
    yield Queue(folder)
    monkeypatch.setattr(pretended_slurm, "FOLDER", folder)
    pretended_slurm.scancel([path.name[4:] for path in folder.glob("job-*")])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SSBREPRO_HOME", str(tmp_path / "home"))
    return settings_below(tmp_path)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that have said what they are: this machine."""
    monkeypatch.setattr(nodes, "facts", lambda wanted, home, device: machine.facts(device))


@pytest.fixture
def engine(queue: Queue, settings: Settings, known: None) -> SlurmEngine:
    return SlurmEngine()


@pytest.mark.slow  # each step imports all libraries anew
class TestConformance(Conformance):
    """All that any engine does."""

    @pytest.fixture
    def engine(self, queue: Queue, settings: Settings, known: None) -> Engine:
        return SlurmEngine()

    @pytest.fixture
    def settings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
        monkeypatch.setenv("SSBREPRO_HOME", str(tmp_path / "home"))
        return settings_below(tmp_path)


def task_of(settings: Settings, command: str = "true", **changes: Any) -> Task:
    """A task with a made-up step."""
    step = Step("training", {}, 0, machine.facts("cpu"), {}, {"code": {}}, "0123abcd")
    scratch = settings.home / "scratch" / step.key
    scratch.mkdir(parents=True, exist_ok=True)
    return replace(Task(step, Needs(), scratch, {}), **changes)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has jobs run a line of the shell instead of a worker."""

    def scripted(line: str) -> None:
        monkeypatch.setattr(cluster.Cluster, "command", lambda self, *arguments: line)

    return scripted


def ended(engine: Engine) -> tuple[dict[str, int], list[Mapping[str, Any]]]:
    """What the next tasks to end end with, and all that was said until then."""
    heard: list[Mapping[str, Any]] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if statuses := engine.poll(lambda key, message: heard.append(message), 0.1):
            return dict(statuses), heard
    pytest.fail(f"nothing ends: {heard}")


class TestWhatIsAskedFor:
    """Options of sbatch, from the step, from what is recorded, and from the user."""

    def options(self, engine: SlurmEngine, queue: Queue, task: Task) -> list[str]:
        engine.submit(task)
        (arguments,) = queue.steps()
        ended(engine)
        return arguments

    @pytest.fixture(autouse=True)
    def quick(self, scripted: Callable[[str], None]) -> None:
        scripted("true")

    def test_a_job_a_step_that_is_requeued_and_asks_for_what_it_needs(
        self, engine: SlurmEngine, queue: Queue, settings: Settings
    ) -> None:
        task = task_of(settings, needs=Needs(600.0, 2**30))
        options = self.options(engine, queue, task)
        assert {"--requeue", "--open-mode=append", "--cpus-per-task=1", "--ntasks=1"} <= set(
            options
        )
        assert "--time=50" in options  # four times ten minutes, and ten
        assert "--mem=2560M" in options  # half as much again, and a gibibyte
        assert f"--error={task.log}" in options
        assert not any(option.startswith("--gres") for option in options)

    def test_of_what_nothing_is_recorded_the_partition_decides(
        self, engine: SlurmEngine, queue: Queue, settings: Settings
    ) -> None:
        options = self.options(engine, queue, task_of(settings))
        assert not any(option.startswith(("--time", "--mem")) for option in options)

    def test_what_the_environment_says_counts(
        self,
        engine: SlurmEngine,
        queue: Queue,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SBATCH_TIMELIMIT", "1:00:00")
        monkeypatch.setenv("SBATCH_MEM_PER_NODE", "4G")
        options = self.options(engine, queue, task_of(settings, needs=Needs(600.0, 2**30)))
        assert not any(option.startswith(("--time", "--mem")) for option in options)

    def test_a_step_on_a_gpu_asks_for_one_unless_the_user_does(
        self, queue: Queue, settings: Settings, known: None
    ) -> None:
        task = task_of(settings)
        task = replace(task, step=replace(task.step, facts=replace(task.step.facts, device="cuda")))
        assert "--gres=gpu:1" in self.options(SlurmEngine(), queue, task)
        (queue.folder / "calls").unlink()
        (settings.home / "slurm.yaml").write_text("options: [--gres=gpu:a100:1]")
        options = self.options(SlurmEngine(), queue, task)
        assert [one for one in options if one.startswith("--gres")] == ["--gres=gpu:a100:1"]

    def test_the_users_options_come_last_where_they_count(
        self, queue: Queue, settings: Settings, known: None
    ) -> None:
        settings.home.mkdir()
        (settings.home / "slurm.yaml").write_text("options: [--partition=long, --time=7]")
        options = self.options(SlurmEngine(), queue, task_of(settings, needs=Needs(60.0)))
        assert options.index("--time=7") > options.index("--time=14")
        assert "--partition=long" in options


def test_a_worker_can_be_started_in_a_container(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "slurm.yaml").write_text(
        "launch: [apptainer, exec, --nv, 'my image.sif']\npython: python3\n"
    )
    read = cluster.read_cluster(settings.home)
    assert read.command("repro.engines.worker", "/a b") == (
        "apptainer exec --nv 'my image.sif' python3 -m repro.engines.worker '/a b'"
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("option: [a]", "slurm.yaml:1:1: option: unknown field (did you mean options or python?)"),
        ("options: a", "slurm.yaml:1:10: options: Input should be a valid array (found 'a')"),
        ("launch: [1]", "slurm.yaml:1:10: launch.0: Input should be a valid string (found 1)"),
    ],
)
def test_a_wrong_file_of_the_cluster_is_a_line(
    queue: Queue, settings: Settings, content: str, told: str
) -> None:
    settings.home.mkdir()
    (settings.home / "slurm.yaml").write_text(content)
    with pytest.raises(ManifestError) as wrong:
        SlurmEngine()
    assert str(wrong.value).endswith(told)


def test_without_slurm_a_line_says_what_else_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match=r"there is no sbatch here; .* or with --engine local"):
        SlurmEngine()


def test_a_command_of_slurms_that_cannot_be_started_is_a_line(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "sbatch").write_text("#!/no/interpreter\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(UsageError, match=r"^sbatch: No such file or directory$"):
        cluster.submit(tmp_path / "job", [])


def test_ctrl_c_does_not_reach_a_command_of_slurms(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"#!{sys.executable}\nimport os\nprint(os.getsid(0))\n"
    (tmp_path / "bin" / "sbatch").write_text(script)
    assert cluster.submit(tmp_path / "job", []) != str(os.getsid(0))


class TestFacts:
    """What machine the nodes are."""

    def test_a_job_says_it_once(
        self, queue: Queue, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for _ in range(2):
            assert SlurmEngine().facts("cpu") == machine.facts("cpu")
        assert len(queue.calls("sbatch")) == 1
        assert "asking a node what machine it is: job 1" in capsys.readouterr().err
        assert [path.suffix for path in (settings.home / "slurm").iterdir()] == [".json"]
        nodes.forget(settings.home)
        SlurmEngine().facts("cpu")
        assert len(queue.calls("sbatch")) == 2

    def test_threads_and_kernels_are_the_commands(
        self, queue: Queue, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        monkeypatch.setenv("SSBREPRO_KERNELS", "portable")
        assert SlurmEngine().facts("cpu") == machine.facts("cpu")

    def test_auto_is_the_processor_unless_jobs_get_a_gpu(
        self, queue: Queue, settings: Settings
    ) -> None:
        assert SlurmEngine().facts("auto").device == "cpu"
        settings.home.mkdir(exist_ok=True)
        (settings.home / "slurm.yaml").write_text("options: [--gres=gpu:1]")
        if not machine.has_cuda():  # the node says what it lacks
            with pytest.raises(UsageError, match="no CUDA device can be used here"):
                SlurmEngine().facts("auto")

    def test_a_home_that_nodes_do_not_share(
        self, queue: Queue, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nodes, "_ANSWER_SECONDS", 0.1)
        monkeypatch.setattr(cluster.Cluster, "command", lambda self, *arguments: "true")
        with pytest.raises(UsageError) as told:
            SlurmEngine().facts("cpu")
        assert str(told.value) == (
            f"job 1 (COMPLETED on n1) did not say what machine it ran on: nothing of it is in "
            f"{settings.home / 'slurm'}; all nodes must share SSBREPRO_HOME, and have {sys.executable}"
        )

    def test_an_answer_that_is_seen_after_its_job_has_ended(
        self, queue: Queue, settings: Settings
    ) -> None:
        queue.say(1, "COMPLETED")  # long before an interpreter has started
        assert SlurmEngine().facts("cpu") == machine.facts("cpu")

    def test_an_answer_that_has_gone(
        self, queue: Queue, settings: Settings, scripted: Callable[[str], None]
    ) -> None:
        scripted(f"rm {settings.home}/slurm/facts-*.out {settings.home}/slurm/facts-*.log; exit 1")
        with pytest.raises(UsageError, match=r"job 1 \(FAILED on n1\) .* nothing of it is in "):
            SlurmEngine().facts("cpu")

    def test_an_interpreter_that_nodes_do_not_have(self, queue: Queue, settings: Settings) -> None:
        settings.home.mkdir()
        (settings.home / "slurm.yaml").write_text("python: /nonexistent/python")
        with pytest.raises(UsageError, match=r"/nonexistent/python: No such file.*and have /nonex"):
            SlurmEngine().facts("cpu")


ENDS = {
    "TIMEOUT": "job 1 reached its time limit; more: --time=… in slurm.yaml, or SBATCH_TIMELIMIT",
    "OUT_OF_MEMORY": "job 1 needs more memory than it asked for; more: --mem=… in slurm.yaml",
    "NODE_FAIL": "job 1 lost its node",
    "CANCELLED": "job 1 was cancelled",
    "PREEMPTED": "job 1 had to make room for others",
    "FAILED": "job 1 ended as FAILED without a word; the log of Slurm's controller says why",
}


@pytest.mark.parametrize("state", ENDS)
def test_a_job_that_ends_without_a_result_says_why(
    engine: SlurmEngine,
    queue: Queue,
    settings: Settings,
    scripted: Callable[[str], None],
    state: str,
) -> None:
    scripted("kill -9 $$")
    queue.say(1, state)
    engine.submit(task_of(settings))
    statuses, heard = ended(engine)
    assert statuses == {"0123abcd": 1}
    error = f"{ENDS[state]}; the same command continues where it stopped"
    assert heard[-1] == {"error": error, "kind": state}
    assert list((settings.home / "slurm").iterdir()) == []


def test_a_job_that_is_requeued_goes_on(
    engine: SlurmEngine, queue: Queue, settings: Settings, scripted: Callable[[str], None]
) -> None:
    """What its first attempt said at its end is not the end."""
    go = settings.home / "go"
    scripted(f"while [ ! -e {go} ]; do sleep 0.02; done")
    queue.say(1, "PENDING BeginTime")
    engine.submit(task_of(settings))
    (settings.home / "slurm" / "0123abcd.out").write_text('\n{"exit_status": 143}\n')
    for _ in range(3):
        assert engine.poll(lambda key, message: None, 0.2) == {}
    go.touch()
    assert ended(engine)[0] == {"0123abcd": 0}


def test_a_held_job_is_said(
    engine: SlurmEngine, queue: Queue, settings: Settings, scripted: Callable[[str], None]
) -> None:
    scripted("sleep 0.5; exit 3")
    queue.say(1, "PENDING JobHeldUser")
    engine.submit(task_of(settings))
    heard: list[Any] = []
    while not any("held" in str(one) for one in heard):
        engine.poll(lambda key, message: heard.append(message), 0.2)
    assert heard[-1] == {"warning": "job 1 is held (JobHeldUser): scontrol release 1 lets it go"}
    engine.poll(lambda key, message: heard.append(message), 0.5)
    assert sum("held" in str(one) for one in heard) == 1  # once is enough
    queue.say(1, "CANCELLED")
    engine.cancel("0123abcd")


def test_a_job_that_slurm_refuses_is_a_line(
    engine: SlurmEngine, queue: Queue, settings: Settings
) -> None:
    queue.refuse("sbatch", "Batch job submission failed: Invalid partition name specified")
    with pytest.raises(UsageError) as refused:
        engine.submit(task_of(settings))
    assert str(refused.value) == (
        "Slurm refuses the job: sbatch: error: Batch job submission failed: Invalid partition name "
        "specified; its partition, account and other options are those of SBATCH_… and of slurm.yaml "
        "in the home"
    )


def test_a_controller_that_does_not_answer_is_waited_for(
    engine: SlurmEngine, queue: Queue, settings: Settings, scripted: Callable[[str], None]
) -> None:
    scripted("sleep 0.3")
    silent = "Unable to contact slurm controller (connect failure)"
    queue.refuse("sbatch", silent, silent)
    queue.refuse("squeue", silent)
    engine.submit(task_of(settings))
    statuses, heard = ended(engine)
    assert statuses == {"0123abcd": 0}
    assert heard == [
        {"warning": f"Slurm takes no job for now: sbatch: error: {silent}; trying again"},
        {"warning": "training is job 1"},
    ]


def test_a_queue_that_is_not_answered_is_said_once(
    engine: SlurmEngine, queue: Queue, settings: Settings, scripted: Callable[[str], None]
) -> None:
    go = settings.home / "go"
    scripted(f"while [ ! -e {go} ]; do sleep 0.02; done")
    engine.submit(task_of(settings))
    heard: list[Any] = []
    refusals = queue.folder / "refuse-squeue"
    for _ in range(2):
        queue.refuse("squeue", *["Socket timed out"] * 3)
        while refusals.read_text():
            assert engine.poll(lambda key, message: heard.append(message), 0.1) == {}
        answered = len(queue.calls("squeue")) + 2
        while len(queue.calls("squeue")) < answered:
            assert engine.poll(lambda key, message: heard.append(message), 0.1) == {}
    go.touch()
    assert ended(engine)[0] == {"0123abcd": 0}
    silent = {"warning": "Slurm does not answer: squeue: error: Socket timed out; waiting"}
    assert heard == [{"warning": "training is job 1"}, silent, silent]  # once each time


class TestAnotherDriver:
    """A command that was killed, or has left its jobs."""

    @pytest.fixture
    def plan(self, known: None) -> Plan:
        return plan_of(FIGURE)

    def test_finds_the_job_and_its_result(
        self,
        queue: Queue,
        settings: Settings,
        plan: Plan,
        expected: dict[str, Any],
        known: None,
    ) -> None:
        class Dies(SlurmEngine):
            def submit(self, task: Task) -> None:
                super().submit(task)
                raise MemoryError

            def abandon(self, keys: Any) -> None:
                pass

        with pytest.raises(MemoryError):
            run_plan(plan, settings, Dies(), Listener())
        listener = Listener()
        (outcome,) = run_plan(plan, settings, SlurmEngine(), listener)
        assert outcome.result.meta["digests"] == expected[outcome.step.key]
        assert len(queue.steps()) == 1
        assert "training is job 1 of an earlier command" in listener.lines
        assert list((settings.home / "slurm").iterdir()) == []

    def test_removes_what_is_left_of_a_job_that_has_ended(
        self, engine: SlurmEngine, queue: Queue, settings: Settings, scripted: Callable[[str], None]
    ) -> None:
        scripted("true")
        engine.submit(task_of(settings))
        folder = settings.home / "slurm"
        while '"exit_status": 0' not in (folder / "0123abcd.out").read_text():
            time.sleep(0.01)
        while cluster.jobs()[0].state == "RUNNING":
            time.sleep(0.01)
        another = SlurmEngine()
        another.facts("cpu")
        assert list(folder.iterdir()) == []

    def test_of_another_home_does_not(
        self, queue: Queue, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = SlurmEngine()
        monkeypatch.setenv("SSBREPRO_HOME", str(tmp_path / "other"))
        other = SlurmEngine()
        assert one._name("0123abcd") != other._name("0123abcd")


@pytest.mark.parametrize("leave", [True, False])
def test_the_user_is_asked_whether_to_leave_the_jobs(
    queue: Queue,
    settings: Settings,
    known: None,
    scripted: Callable[[str], None],
    leave: bool,
) -> None:
    scripted("sleep 60")
    asked: list[int] = []

    def ask(number: int) -> bool:
        asked.append(number)
        return leave

    engine = SlurmEngine(ask=ask)
    engine.submit(task_of(settings))
    engine.abandon(["0123abcd"])
    assert asked == [1]
    states = [job.state for job in cluster.jobs()]
    assert states == (["RUNNING"] if leave else ["CANCELLED"])
    assert (settings.home / "slurm" / "0123abcd.sh").exists() == leave
    another = SlurmEngine()
    another.facts("cpu")  # it leaves what runs alone
    assert (settings.home / "slurm" / "0123abcd.sh").exists() == leave
    cluster.cancel(["1"])


class Terminal(io.StringIO):
    """What is typed, or said, on a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "leave"),
    [("y\n", True), (" Yes\n", True), ("n\n", False), ("\n", False), ("", False)],
)
@pytest.mark.parametrize(("number", "jobs"), [(1, "1 job is"), (3, "3 jobs are")])
def test_on_a_terminal_no_word_means_no(
    monkeypatch: pytest.MonkeyPatch, typed: str, leave: bool, number: int, jobs: str
) -> None:
    said = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    monkeypatch.setattr("sys.stderr", said)
    assert slurm._leave_them(number) is leave
    assert said.getvalue() == f"{jobs} in the queue: leave them to run? [y/N] "


def test_without_a_terminal_nobody_is_asked_and_jobs_are_cancelled(
    engine: SlurmEngine, queue: Queue, settings: Settings, scripted: Callable[[str], None]
) -> None:
    scripted("sleep 60")
    engine.submit(task_of(settings))
    engine.abandon(["0123abcd"])
    assert [job.state for job in cluster.jobs()] == ["CANCELLED"]


def test_a_node_that_is_another_machine_is_named_and_nodes_are_asked_anew(
    queue: Queue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SlurmEngine()
    engine.facts("cpu")
    other = replace(machine.facts("cpu"), libraries={"torch": "0.1"})
    plan = plan_of(FIGURE)
    step = replace(plan.steps[0], facts=other)
    with pytest.raises(StageError) as refused:
        run_plan(replace(plan, steps=(step,)), settings, engine, Listener())
    assert "libraries.torch: 0.1 → " in str(refused.value)
    assert "(job 2 on n1)" in str(refused.value)
    assert not list((settings.home / "slurm").glob("facts-*"))
    assert Store(settings.home / "store").read(step.key) is None
    assert hidden(settings.home) == []
