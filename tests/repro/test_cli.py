"""The command line in this process, with stages that take no time."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest

from repro import selection
from repro.doctor import Finding
from repro.engines.engine import Report, Task
from repro.errors import Interrupted, TrackingError, UsageError
from repro.manifests.library import Library
from repro.outcome.references import write_runs
from repro.store import META
from ssbrepro.data.official import DataError
from tests.fakes import (
    BOTH_STAGES,
    FIGURE,
    PROFILES,
    FakeExecutor,
    recorded_run_of,
    relist,
    replace_once,
    succeed,
    write_sealed,
)
from tests.repro.conftest import Cli, Outcome

NOT_COMPUTABLE = "li2022/fig1"


def measuring(numbers: dict[str, float]) -> Callable[[Task, Report], int]:
    """A stage that measures some numbers as told."""

    def measures(task: Task, report: Report) -> int:
        return succeed(task, report, numbers=numbers)

    return measures


class TestUsage:
    def test_a_misspelt_figure_gets_the_nearest_names(self, repro: Cli) -> None:
        outcome = repro.call("fig8")
        assert outcome.status == 2
        assert "no figure 'fig8' (did you mean" in outcome.err
        assert "fig8a" in outcome.err
        assert not repro.home.exists()

    def test_a_misspelt_command_gets_the_nearest_one(self, repro: Cli) -> None:
        outcome = repro.call("lsit")
        assert outcome.status == 2
        assert outcome.err == "no command or figure 'lsit'; did you mean `list`?\n"

    @pytest.mark.parametrize(
        "command", [("fig8b",), ("verify", "fig8b"), ("record", "fig8b", "--seeds", "0")]
    )
    @pytest.mark.parametrize(
        ("name", "hint"), [("inlin", " (did you mean inline?)"), ("cloud", "")]
    )
    def test_an_engine_that_is_not_there(
        self, repro: Cli, command: tuple[str, ...], name: str, hint: str
    ) -> None:
        outcome = repro.call(*command, "--engine", name)
        assert outcome.status == 2
        assert outcome.err == f"no engine '{name}'{hint}; there are local, slurm, inline\n"
        assert not repro.home.exists()

    def test_a_misspelt_figure_is_all_that_is_said(self, repro: Cli) -> None:
        outcome = repro.call("run", "lsit")
        assert outcome.err == "no figure 'lsit'; `repro list` shows all\n"
        assert repro.call("fig8x").err.startswith("no figure 'fig8x' (did you mean fig8")

    @pytest.mark.parametrize("command", [("list",), ("fig8b",), ("plan", "fig8b"), ("doctor",)])
    @pytest.mark.parametrize("threads", ["abc", "0", "-1", "1e3", "9" * 5000])
    def test_threads_that_are_no_number_are_one_line(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch, threads: str, command: tuple[str, ...]
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        outcome = repro.call(*command)
        assert outcome.status == 2
        assert outcome.err == (
            f"OMP_NUM_THREADS={threads}: it is a number of threads, at least 1 and at most 4096\n"
        )
        assert repro.executor.ran == []

    @pytest.mark.parametrize("command", ["run", "verify", "plan", "explain", "report"])
    def test_every_command_refuses_an_unknown_figure(self, repro: Cli, command: str) -> None:
        assert repro.call(command, "fig99").status == 2

    def test_a_misspelt_profile(self, repro: Cli) -> None:
        outcome = repro.call("fig8b", "--profile", "smok")
        assert outcome.status == 2
        assert "no profile 'smok' (did you mean smoke" in outcome.err
        assert ", ".join(("auto", *PROFILES)) in outcome.err

    def test_a_misspelt_or_absent_device(self, repro: Cli) -> None:
        assert "no device 'cpuu' (did you mean cpu" in repro.call("fig8b", "--device", "cpuu").err
        outcome = repro.call("fig8b", "--device", "cuda")
        assert outcome.status == 2
        assert "--device cpu" in outcome.err

    @pytest.mark.parametrize(
        "arguments",
        [
            ("run",),
            ("run", "fig8b", "--seed", "-1"),
            ("run", "fig8b", "--seed", "x"),
            ("run", "fig8b", "--nonsense"),
            ("verify",),
            ("record", "fig8b"),
            ("record", "--seeds", "0"),
            ("record", "fig8b", "--seeds", ""),
            ("record", "fig8b", "--seeds", "3-1"),
            ("record", "fig8b", "--seeds", "1-x"),
            ("record", "fig8b", "--seeds", "²"),
            ("record", "fig8b", "--seeds", "-3"),
            ("record", "fig8b", "--seeds", "0-99999999999"),
            ("record", "fig8b", "--seeds", ",".join(f"{n}000-{n}999" for n in range(99))),
            ("record", "fig8b", "--seeds", "9" * 5000),
            ("run", "fig8b", "--seeds", "3-1"),
            ("run", "fig8b", "--seed", "0", "--seeds", "0-4"),
            ("run", "fig8b", "--seed", "0", "--seeds", "0-4", "--container"),
            ("table",),
            ("table", "li2022", "--profile", "auto"),
            ("data", "nonsense"),
            ("fig8b", "--engine", "inline", "--jobs", "2"),  # which runs one after the other
            ("fig8b", "--seed", "9" * 19),
            ("fig8b", "--jobs", "9" * 19),
            ("fig8b", "--budget", "9" * 7 + "h"),
            ("fig8b", "--alternative", "cut_factor=1e999"),
            ("fig8b", "--alternative", "cut_factor=" + "[" * 10_000),
            ("track",),  # with MLFLOW_TRACKING_URI=none
            ("report",),  # with no run yet
        ],
    )
    def test_bad_usage_is_status_2_and_runs_nothing(
        self, repro: Cli, arguments: tuple[str, ...]
    ) -> None:
        outcome = repro.call(*arguments)
        assert outcome.status == 2
        assert outcome.err.strip() or outcome.out.strip()
        assert "Traceback" not in outcome.err
        assert repro.executor.ran == []

    @pytest.mark.parametrize(
        ("text", "seeds"),
        [("0-3", [0, 1, 2, 3]), ("5", [5]), ("3,1,2", [1, 2, 3]), ("0-2,1-3,9", [0, 1, 2, 3, 9])],
    )
    def test_seeds(self, text: str, seeds: list[int]) -> None:
        assert selection.seeds(text) == seeds

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "write 0-9 or 0,3,5"),
            ("-1", "write 0-9 or 0,3,5"),
            ("٣", "write 0-9 or 0,3,5"),
            ("0,9-5", "9-5 is no range; write 5-9"),
            ("0-99999999999", "more than 1000 seeds"),
            ("0-999,2000-2999", "more than 1000 seeds"),
            ("9" * 5000, "at most 18 digits"),
        ],
    )
    def test_what_are_no_seeds(self, text: str, problem: str) -> None:
        with pytest.raises(UsageError, match=problem):
            selection.seeds(text)

    def test_auto_says_what_it_chose(self, repro: Cli) -> None:
        outcome = repro.call("plan", "fig8b")
        assert outcome.status == 0
        assert "profile desk: no CUDA device was found" in " ".join(outcome.err.split())

    def test_broken_manifests_show_all_faults_and_run_nothing(self, repro: Cli) -> None:
        folder = repro.manifests / "li2022"
        replace_once(folder / "experiment.yaml", "value: 0.9\n", "value: 1.0\n")
        replace_once(folder / "fig8a.yaml", "at_most: 2.0\n", "at_mots: 2.0\n")
        replace_once(folder / "fig8b.yaml", "at_least: 0.9999\n", "at_least: high\n")
        outcome = repro.call("run", "fig8a", "fig8b", "--profile", "smoke")
        assert outcome.status == 2
        lines = outcome.err.strip().splitlines()
        # The experiment's fault, which both figures have, comes once.
        assert [line.partition("li2022/")[2].partition(":")[0] for line in lines] == [
            "fig8a.yaml", "experiment.yaml", "fig8b.yaml"
        ]  # fmt: skip
        assert "unknown field (did you mean at_most" in outcome.err
        assert "Traceback" not in outcome.err
        assert not repro.home.exists()


class TestRunning:
    def test_the_name_of_a_figure_is_short_for_run(self, repro: Cli) -> None:
        status, short = repro.json("fig8b", "--profile", "smoke")
        assert status == 0
        status, full = repro.json("run", FIGURE, "--profile", "smoke")
        assert status == 0
        assert short[0]["steps"][0].pop("status") == "ran"
        assert full[0]["steps"][0].pop("status") == "stored"
        assert short == full

    def test_the_outcome_as_json(self, repro: Cli) -> None:
        status, (entry,) = repro.json("fig8a", "--profile", "smoke")
        assert status == 0
        assert set(entry) == {
            "id", "profile", "seed", "status", "failures", "metrics", "missing", "verdicts",
            "identities", "claims", "references", "predictions", "steps", "artifacts",
            "alternatives"
        }  # fmt: skip
        assert (entry["id"], entry["profile"], entry["status"]) == (
            BOTH_STAGES,
            "smoke",
            "not recorded",
        )
        assert all(isinstance(value, float) for value in entry["metrics"].values())
        for claim in entry["claims"]:
            assert set(claim) == {
                "id", "statement", "metric", "value", "relation", "bound", "verdict", "reason",
                "recorded", "cause", "noise", "control", "no_control", "expected"
            }  # fmt: skip
            assert claim["value"] == entry["metrics"][claim["metric"]]
            assert claim["verdict"] in ("supported", "not supported", "inconclusive")
        for reference in entry["references"]:
            assert set(reference) == {"metric", "value", "low", "high", "runs", "verdict"}
            assert reference["verdict"] == "no tolerance"
        assert [step["stage"] for step in entry["steps"]] == ["training", "spectrum"]
        for identity in entry["identities"]:
            assert set(identity) == {"id", "metric", "value", "bound", "verdict"}
        for step in entry["steps"]:
            assert set(step) == {"stage", "key", "status", "seconds"}
            assert step["status"] == "ran"
        for path in entry["artifacts"]:
            assert Path(path).is_file()
        assert {Path(path).name for path in entry["artifacts"]} >= {"fig8a.png", "fig8a.svg"}

    def test_several_figures_share_their_steps(self, repro: Cli) -> None:
        _, entries = repro.json("run", "fig8b", "fig8a", "fig8b", "--profile", "smoke")
        assert [entry["id"] for entry in entries] == [FIGURE, BOTH_STAGES]
        assert repro.executor.ran == ["training", "spectrum"]

    @pytest.mark.parametrize(
        "command", [("fig8b",), ("verify", "fig8b"), ("record", "fig8b", "--seeds", "0")]
    )
    def test_the_engine_asked_for_runs_it(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
    ) -> None:
        engine = FakeExecutor()
        monkeypatch.setitem(selection.ENGINES, "inline", lambda jobs: engine)
        repro.call(*command, "--profile", "smoke", "--engine", "inline")
        assert (engine.ran, repro.executor.ran) == (["training"], [])

    def test_fresh_and_seeds_run_anew(self, repro: Cli) -> None:
        repro.call("fig8b", "--profile", "smoke")
        repro.call("fig8b", "--profile", "smoke")
        assert repro.executor.ran == ["training"]
        repro.call("fig8b", "--profile", "smoke", "--fresh")
        repro.call("fig8b", "--profile", "smoke", "--seed", "1")
        assert repro.executor.ran == ["training"] * 3

    def test_a_control_that_meets_the_bound_leaves_no_power(self, repro: Cli) -> None:
        repro.executor.behaviour["training"] = measuring({"max_order_parameter": 1e-3})
        outcome = repro.call("fig8b", "--profile", "smoke")
        assert outcome.status == 0
        assert "zero-loss 0.0005 ≤ 0.001 inconclusive: without power" in outcome.words
        assert "zero-loss: the control, where the statement is false, gives 0.001" in outcome.words
        _, (entry,) = repro.json("fig8b", "--profile", "smoke")
        claim = entry["claims"][0]
        assert (claim["verdict"], claim["cause"]) == ("inconclusive", "without power")
        assert (claim["control"], claim["noise"], claim["no_control"]) == (1e-3, None, "")
        (svg,) = (path for path in entry["artifacts"] if path.endswith(".svg"))
        assert "0.0005 (≤ 0.001 claimed): inconclusive: without power" in Path(svg).read_text()

    def test_a_claim_that_fails_is_status_1(self, repro: Cli) -> None:
        replace_once(repro.manifests / f"{FIGURE}.yaml", "at_most: 1.0e-3", "at_most: 1.0e-9")
        outcome = repro.call("fig8b", "--profile", "smoke")
        assert outcome.status == 1
        assert "zero-loss 0.0005 ≤ 1e-09 not supported" in outcome.words
        assert "li2022/fig8b at smoke: 1 supported, 1 not supported; not recorded" in outcome.words
        assert "check failed: claim zero-loss: not supported, and nothing is" in outcome.words

    def test_a_stage_that_fails_is_status_3_and_one_line(self, repro: Cli) -> None:
        repro.executor.behaviour["training"] = lambda task, report: -9
        outcome = repro.call("fig8b", "--profile", "smoke")
        assert outcome.status == 3
        last = outcome.err.strip().splitlines()[-1]
        assert last.startswith("stage training was killed by signal 9 (out of memory?); its log is")
        assert "Traceback" not in outcome.err

    def test_a_failure_stops_only_what_needs_it_and_the_end_says_so(self, repro: Cli) -> None:
        def second_fails(task: Task, report: Report) -> int:
            return -9 if task.step.seed == 1 else succeed(task, report)

        repro.executor.behaviour["training"] = second_fails
        path = repro.home.parent / "outcome.json"
        options = ("--seeds", "0-2", "--profile", "smoke", "--json", str(path))
        outcome = repro.call("run", "fig8a", *options)
        assert outcome.status == 3
        content = json.loads(path.read_text())
        assert [entry["seed"] for entry in content["figures"]] == [0, 2]
        assert len(content["left"]) == 2
        assert content["pooled"] == []  # not over seeds that somebody's failure has chosen
        *_, counts, without, why = outcome.err.strip().splitlines()
        assert counts == "4 steps done, 1 failed, 1 never started; what is done is kept"
        assert without == "  without training: spectrum"
        assert why.startswith("stage training was killed by signal 9 (out of memory?)")

    def test_a_budget_stops_a_command_and_the_same_one_continues(self, repro: Cli) -> None:
        class Slow(FakeExecutor):
            def poll(self, report: Any, seconds: float) -> Any:
                time.sleep(0.05)
                return {}

        with pytest.MonkeyPatch.context() as patched:
            patched.setitem(selection.ENGINES, "local", lambda jobs: Slow())
            outcome = repro.call("fig8a", "--profile", "smoke", "--budget", "1s")
        assert outcome.status == 0
        assert "the budget is used: 0 steps done, 2 left; the same command continues" in outcome.err
        assert repro.call("fig8a", "--profile", "smoke", "--budget", "1h").status == 0
        assert repro.executor.ran == ["training", "spectrum"]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_with_its_status(self, repro: Cli, number: signal.Signals) -> None:
        def interrupted(task: Task, report: Report) -> int:
            signal.raise_signal(number)
            return 0

        repro.executor.behaviour["training"] = interrupted
        outcome = repro.call("fig8b", "--profile", "smoke")
        assert outcome.status == 128 + number
        assert "the same command continues where this one stopped" in outcome.err
        assert repro.executor.events[-1] == ("cancel", "training")
        assert "Traceback" not in outcome.err

    def test_a_home_that_cannot_be_written_is_one_line(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSBREPRO_HOME", "/proc/home")  # not for root either
        outcome = repro.call("fig8b", "--profile", "smoke")
        assert outcome.status == 3
        last = outcome.err.strip().splitlines()[-1]
        assert last.startswith("/proc/home")
        assert "cannot be written" in last
        assert repro.executor.ran == []

    def test_titles_are_text(self, repro: Cli) -> None:
        figure = repro.manifests / f"{FIGURE}.yaml"
        replace_once(figure, "title: Training loss", "title: '[bold]T[/nothing]'\ncaption: c\n#")
        text = figure.read_text().replace("caption: >-", "summary: >-", 1)
        text = text[: text.index("summary: >-")] + text[text.index("shared_stages") :]
        figure.write_text(text)
        outcome = repro.call("fig8b", "--profile", "smoke")
        assert outcome.status == 0
        assert "[bold]T[/nothing]" in outcome.err
        assert "[bold]T[/nothing]" in repro.call("list").out


class TestVerifying:
    def record(self, repro: Cli) -> Path:
        assert repro.call("record", "fig8b", "--seeds", "0-2", "--profile", "smoke").status == 0
        return repro.manifests / "li2022" / "references" / "fig8b.smoke.json"

    def verify(self, repro: Cli) -> tuple[int, dict[str, Any]]:
        status, (entry,) = repro.json("verify", "fig8b", "--profile", "smoke", "--seed", "3")
        return status, entry

    def test_what_was_recorded_verifies(self, repro: Cli) -> None:
        path = self.record(repro)
        assert repro.executor.ran == ["training"] * 3
        assert [run["seed"] for run in json.loads(path.read_text())["runs"]] == [0, 1, 2]
        status, entry = self.verify(repro)
        assert (status, entry["status"], entry["failures"]) == (0, "as recorded", [])
        assert entry["verdicts"] == {"supported": 2, "not supported": 0, "inconclusive": 0}
        for reference in entry["references"]:
            assert reference["verdict"] == "within"
            assert reference["low"] <= reference["value"] <= reference["high"]

    def test_nothing_recorded_never_verifies(self, repro: Cli) -> None:
        status, entry = self.verify(repro)
        assert (status, entry["status"]) == (1, "not recorded")
        outcome = repro.call("verify", "--all", "--profile", "smoke")
        assert outcome.status == 1
        assert "nothing is recorded: repro record li2022/fig8a --seeds 0-9" in outcome.words

    def test_too_few_recorded_runs_never_verify(self, repro: Cli) -> None:
        outcome = repro.call("record", "fig8b", "--seeds", "0,1", "--profile", "smoke")
        assert "fewer than 3 runs give no tolerance" in outcome.words
        status, entry = self.verify(repro)
        assert (status, entry["status"]) == (1, "not recorded")

    def test_everything_is_recorded_at_once(self, repro: Cli) -> None:
        outcome = repro.call("record", "--all", "--seeds", "0-2", "--profile", "smoke")
        assert outcome.status == 0
        folder = repro.manifests / "li2022" / "references"
        assert {path.name for path in folder.glob("[!.]*")} == {
            "fig8a.smoke.json",
            "fig8b.smoke.json",
            "SHA256SUMS",
        }
        assert "li2022/fig1: Environment and Umwelt of a honey bee: not computable" in outcome.words
        assert repro.call("verify", "--all", "--profile", "smoke").status == 0

    def tamper(self, path: Path, change: Callable[[dict[str, Any]], object]) -> None:
        content = json.loads(path.read_text())
        for run in content["runs"]:
            change(run)
        path.write_text(json.dumps(content))
        relist(path)

    def test_a_value_outside_the_recorded_ones_fails(self, repro: Cli) -> None:
        path = self.record(repro)
        self.tamper(path, lambda run: run["metrics"].update({"training.final_loss": 9.0}))
        status, entry = self.verify(repro)
        assert (status, entry["status"]) == (1, "changed")
        assert entry["failures"] == ["training.final_loss: outside what recorded runs make expect"]
        verdicts = {one["metric"]: one["verdict"] for one in entry["references"]}
        assert verdicts["training.final_loss"] == "outside"
        assert verdicts["training.mean_loss"] == "within"

    @pytest.mark.parametrize("verdict", ["not supported", "inconclusive"])
    def test_a_changed_verdict_fails_even_for_the_better(self, repro: Cli, verdict: str) -> None:
        path = self.record(repro)
        self.tamper(path, lambda run: run["claims"].update({"zero-loss": verdict}))
        status, entry = self.verify(repro)
        assert (status, entry["status"]) == (1, "changed")
        assert entry["failures"] == [f"claim zero-loss: supported, recorded: {verdict}"]
        assert entry["claims"][0]["verdict"] == "supported"

    def test_a_metric_without_recorded_values_is_never_as_recorded(self, repro: Cli) -> None:
        path = self.record(repro)
        self.tamper(path, lambda run: run["metrics"].pop("training.final_loss"))
        status, entry = self.verify(repro)
        assert (status, entry["status"]) == (1, "not recorded")

    def test_a_value_that_was_not_measured_is_never_as_recorded(self, repro: Cli) -> None:
        self.record(repro)

        def measures_less(task: Task, report: Report) -> int:
            return succeed(task, report, missing={"mean_loss": "the dog ate it"})

        repro.executor.behaviour["training"] = measures_less
        status, entry = self.verify(repro)
        assert (status, entry["status"]) == (1, "changed")
        assert entry["failures"] == ["training.mean_loss: missing"]
        assert {one["metric"]: one["verdict"] for one in entry["references"]}[
            "training.mean_loss"
        ] == "missing"

    def test_a_damaged_recording_is_one_line(self, repro: Cli) -> None:
        path = self.record(repro)
        path.write_text('{"id": "li2022/fig8b", "profile": "smoke", "runs": [{"metrics": 1}]}')
        outcome = repro.call("verify", "fig8b", "--profile", "smoke")
        assert outcome.status == 3
        assert outcome.err.strip().splitlines()[-1].startswith(f"{path}: ")

    def test_a_run_that_violates_an_identity_is_not_recorded(self, repro: Cli) -> None:
        def violates(task: Task, report: Report) -> int:
            numbers = {"euler_residual_max": 9.0} if task.step.seed == 1 else {}
            return measuring(numbers)(task, report)

        repro.call("record", "fig8a", "--seeds", "5-7", "--profile", "smoke")
        references = repro.manifests / "li2022" / "references"
        before = (references / "fig8a.smoke.json").read_text()
        repro.executor.behaviour["spectrum"] = violates
        outcome = repro.call("record", "fig8a", "fig8b", "--seeds", "0-2", "--profile", "smoke")
        assert outcome.status == 1
        assert "li2022/fig8a, seed 1: exact identities do not hold: euler\n" in outcome.out
        assert "li2022/fig8a: not recorded\n" in outcome.out
        assert (references / "fig8a.smoke.json").read_text() == before
        assert (references / "fig8b.smoke.json").exists()  # the rest is


class TestReferences:
    """Runs that another machine recorded."""

    def record(self, repro: Cli, monkeypatch: pytest.MonkeyPatch, processor: str) -> Outcome:
        monkeypatch.setattr("repro.outcome.recording.processor", lambda: processor)
        shutil.rmtree(repro.home, ignore_errors=True)
        outcome = repro.call("record", "fig8b", "--seeds", "0-2", "--profile", "smoke")
        assert outcome.status == 0
        return outcome

    def processors(self, path: Path) -> list[str]:
        return [run["machine"]["processor"] for run in json.loads(path.read_text())["runs"]]

    def test_they_stand_beside_ours_and_stay_when_ours_are_recorded_again(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path = repro.manifests / "li2022" / "references" / "fig8b.smoke.json"
        self.record(repro, monkeypatch, "AMD EPYC")
        theirs = path.rename(tmp_path / "theirs.json")
        relist(path)
        self.record(repro, monkeypatch, "Intel Xeon")
        outcome = repro.call("references", "import", str(theirs))
        assert outcome.status == 0
        assert outcome.out.splitlines() == [
            f"{path}: 6 runs", "  AMD EPYC: 3 runs, 3 of them new", "  Intel Xeon: 3 runs, 0 of them new"
        ]  # fmt: skip
        assert self.processors(path) == ["AMD EPYC", "Intel Xeon"] * 3
        outcome = self.record(repro, monkeypatch, "Intel Xeon")
        assert f"{path}: 3 runs, beside 3 of other machines\n" in outcome.out
        assert self.processors(path) == ["AMD EPYC", "Intel Xeon"] * 3
        assert repro.call("verify", "fig8b", "--profile", "smoke").status == 0

    def test_one_bad_file_and_none_is_merged(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path = repro.manifests / "li2022" / "references" / "fig8b.smoke.json"
        self.record(repro, monkeypatch, "AMD EPYC")
        theirs = path.rename(tmp_path / "theirs.json")
        relist(path)
        bad = tmp_path / "bad.json"
        bad.write_text(theirs.read_text().replace("training.final_loss", "training.loss"))
        outcome = repro.call("references", "import", str(theirs), str(bad))
        assert outcome.status == 2
        assert outcome.err.startswith(f"{bad}: seed 0: li2022/fig8b has no number 'training.loss'")
        bad.write_text("no JSON")
        for command in (("references", "import", str(theirs)), ("compare", str(theirs))):
            outcome = repro.call(*command, str(bad))
            assert outcome.status == 2
            assert outcome.err.startswith(f"{bad}: is damaged: ")
        assert repro.call("references", "import", str(tmp_path / "none.json")).status == 2
        assert not path.exists()


class TestPredicting:
    """Numbers of larger profiles, written down before the fact."""

    def test_later_runs_are_held_against_a_prediction(self, repro: Cli) -> None:
        replace_once(
            repro.manifests / f"{FIGURE}.yaml",
            "claims:\n",
            "predictions:\n  by: desk\n  of: [smoke]\n  numbers:\n"
            "    - metric: training.final_loss\n      low: training.mean_loss\n"
            "      high: training.max_order_parameter\nclaims:\n",
        )
        manifest = Library(repro.manifests).load(FIGURE)
        ends = {"training.mean_loss": 1e6, "training.max_order_parameter": 2e6}
        write_runs(manifest, "desk", [recorded_run_of(seed, metrics=ends) for seed in range(5)])
        outcome = repro.call("predict", "fig8b", NOT_COMPUTABLE)
        assert outcome.status == 0
        assert f"{manifest.predictions_path}: 1 number\n" in outcome.out
        assert f"{NOT_COMPUTABLE}: " in outcome.out
        status, (entry,) = repro.json("fig8b", "--profile", "smoke")
        assert status == 0  # a prediction that fails is a finding
        (found,) = entry["predictions"]
        assert (found["low"], found["high"], found["verdict"]) == (1e6, 2e6, "not as predicted")
        manifest.predictions_path.unlink()
        relist(manifest.predictions_path)
        outcome = repro.call("predict", "fig8b")
        assert outcome.status == 2
        assert "has been run at smoke" in outcome.err


class TestComparing:
    @pytest.fixture
    def two(self, repro: Cli) -> Cli:
        """Six seeds recorded, and the last three run here with another loss and other verdicts."""
        repro.call("record", "fig8b", "--seeds", "0-5", "--profile", "smoke")
        shutil.rmtree(repro.home)
        repro.executor.behaviour["training"] = measuring({"final_loss": 0.7})
        repro.call("fig8b", "--seeds", "3-5", "--profile", "smoke")
        return repro

    def test_what_does_not_differ_is_status_0(self, two: Cli) -> None:
        outcome = two.call("compare", "fig8b@smoke:0", "fig8b@smoke:1")
        assert outcome.status == 0
        assert "no difference beyond what is allowed" in outcome.out
        outcome = two.call("compare", "fig8b@smoke", "fig8b@smoke:0-4")
        assert (outcome.status, outcome.err) == (0, "")

    def test_what_differs_is_status_1(self, two: Cli, tmp_path: Path) -> None:
        file, picture = tmp_path / "c.json", tmp_path / "c.svg"
        options = ("--json", str(file), "--picture", str(picture))
        outcome = two.call("compare", "fig8b@smoke", "here:fig8b@smoke", *options)
        assert outcome.status == 1
        assert outcome.out.endswith("differs: training.final_loss: 0.000498 against 0.7\n")
        content = json.loads(file.read_text())
        assert content["differences"] == ["training.final_loss: 0.000498 against 0.7"]
        assert content["b"]["seeds"] == [3, 4, 5]
        assert "zero-loss" in picture.read_text()
        outcome = two.call("compare", "fig8b@smoke:3", "here:fig8b@smoke:3")
        assert outcome.status == 1
        assert "differs: claim zero-loss: supported against not supported" in outcome.out

    def test_json_on_standard_output_is_all_there_is(self, two: Cli) -> None:
        outcome = two.call("compare", "fig8b@smoke:3", "here:fig8b@smoke:3", "--json", "-")
        assert outcome.status == 1
        assert json.loads(outcome.out)["a"]["text"] == "fig8b@smoke:3"
        assert "differs: claim zero-loss" in outcome.err

    def test_a_run_has_the_bits_that_its_machine_recorded(self, two: Cli) -> None:
        (folder,) = two.home.glob("runs/li2022/fig8b/smoke-seed3-*")
        outcome = two.call("compare", str(folder), "fig8b@smoke:3")
        assert "mean_loss" not in outcome.out.partition("number ")[2]
        assert "training.final_loss" in outcome.out
        assert two.call("compare", str(folder), str(folder / "record.json")).status == 0

    def test_nothing_is_looked_for_where_the_answer_cannot_be_written(self, two: Cli) -> None:
        outcome = two.call("compare", "fig8b@smoke", "nothing", "--picture", "c.jpg")
        assert outcome.status == 2
        assert outcome.err == "c.jpg: PNG and SVG are drawn; name it .png or .svg\n"


class TestSeeds:
    def outcome(self, repro: Cli, *arguments: str) -> tuple[int, dict[str, Any]]:
        path = repro.home.parent / "outcome.json"
        status = repro.call(*arguments, "--profile", "smoke", "--json", str(path)).status
        return status, json.loads(path.read_text())

    def test_every_seed_is_run_and_shown_and_then_all_together(self, repro: Cli) -> None:
        outcome = repro.call("run", "fig8b", "fig1", "--seeds", "0-4", "--profile", "smoke")
        assert outcome.status == 0
        assert repro.executor.ran == ["training"] * 5
        assert outcome.words.count("li2022/fig8b at smoke: 2 supported; not recorded") == 5
        assert outcome.words.count("li2022/fig8b at smoke over 5 seeds: 2 supported") == 1
        # 5e-4 (1 - seed/1000): mean 4.99e-4, half width 2.776445 · 5e-7 · √2.5/√5 = 9.8e-7.
        assert "zero-loss 0.000499 0.000498 to 0.0005 ≤ 0.001 supported" in outcome.words
        assert outcome.out.index("over 5 seeds") < outcome.out.index("not computable")

    def test_the_outcome_as_json(self, repro: Cli) -> None:
        status, content = self.outcome(repro, "run", "fig8b", "fig1", "--seeds", "0-4")
        assert status == 0
        assert [(entry["id"], entry["seed"]) for entry in content["figures"]] == [
            *((FIGURE, seed) for seed in range(5)), (NOT_COMPUTABLE, 0)
        ]  # fmt: skip
        (entry,) = content["pooled"]
        assert (entry["id"], entry["profile"], entry["seeds"]) == (FIGURE, "smoke", [0, 1, 2, 3, 4])
        assert set(entry) == {"id", "profile", "seeds", "claims"}
        zero_loss, accuracy = entry["claims"]
        assert zero_loss == {
            "id": "zero-loss", "statement": "the empirical risk converges to zero",
            "where": "II.F.5 and fig. 8b", "metric": "training.final_loss",
            "relation": "at_most", "bound": 1e-3, "seeds": 5, "unsound": 0, "measured": 5,
            "mean": pytest.approx(4.99e-4),
            "low": pytest.approx(4.98e-4, abs=1e-6), "high": pytest.approx(5e-4, abs=1e-6),
            "smallest": pytest.approx(4.98e-4), "largest": 5e-4, "noise": None,
            "control": pytest.approx(0.499), "no_control": "",
            "own": {"supported": 5, "not supported": 0, "inconclusive": 0},
            "verdict": "supported", "cause": "", "reason": "",
            "statistics": {"supported_if_false": 0, "controls": 5, "supported_if_true": 0,
                           "chances": 0},
        }  # fmt: skip
        assert (accuracy["control"], accuracy["no_control"]) == (None, "a stand-in")

    def test_one_seed_has_no_verdict_over_seeds(self, repro: Cli) -> None:
        for option, seed in (((), 0), (("--seed", "3"), 3)):
            _, content = self.outcome(repro, "fig8b", *option)
            assert content["pooled"] == []
            assert content["figures"][0]["seed"] == seed

    def test_few_seeds_are_inconclusive_over_seeds(self, repro: Cli) -> None:
        outcome = repro.call("fig8b", "--seeds", "1,3", "--profile", "smoke")
        assert outcome.status == 0
        assert "over 2 seeds: 2 inconclusive" in outcome.words
        assert "zero-loss: 2 seeds; a pooled verdict needs 5" in outcome.words

    def test_any_seed_that_fails_is_status_1(self, repro: Cli) -> None:
        def fails(task: Task, report: Report) -> int:
            return measuring({"final_loss": 1.0} if task.step.seed == 0 else {})(task, report)

        repro.executor.behaviour["training"] = fails
        status, content = self.outcome(repro, "fig8b", "--seeds", "0-4")
        assert status == 1
        assert content["pooled"][0]["claims"][0]["cause"] == "crosses the bound"

    def test_each_seed_has_its_alternatives(self, repro: Cli) -> None:
        _, content = self.outcome(repro, "fig8b", "--seeds", "0,1", "--alternative", "cut_factor=1")
        assert [len(entry["alternatives"]) for entry in content["figures"]] == [1, 1]
        assert [entry["seeds"] for entry in content["pooled"]] == [[0, 1]]


class TestTable:
    def test_a_papers_verdicts_over_seeds(self, repro: Cli) -> None:
        repro.call("record", "fig8b", "--seeds", "0-4", "--profile", "smoke")
        outcome = repro.call("table", "li2022", "--profile", "smoke")
        assert outcome.status == 0
        lines = outcome.out.splitlines()
        assert [line for line in lines if line.startswith("## ")] == ["## fig8a", "## fig8b"]
        assert "Nothing is recorded." in lines
        loss = next(line for line in lines if line.startswith("| `zero-loss`"))
        assert loss.strip("| ").split(" | ") == [
            "`zero-loss`: the empirical risk converges to zero", "`training.final_loss`",
            "0.000499 (0.000498 to 0.0005)", "0.000498 to 0.0005", "", "0.499", "≤ 0.001",
            "supported (5 of 5 seeds)",
        ]  # fmt: skip

    def test_what_is_not_there(self, repro: Cli) -> None:
        outcome = repro.call("table", "li2023")
        assert outcome.status == 2
        assert outcome.err == "no paper 'li2023' (did you mean li2022?); there are li2022\n"
        outcome = repro.call("table", "li2022", "--profile", "dekst")
        assert outcome.err == (
            f"no profile 'dekst' (did you mean desk?); there are {', '.join(PROFILES)}\n"
        )


class TestNotComputable:
    @pytest.mark.parametrize("command", ["run", "verify"])
    def test_nothing_is_run_and_it_counts_as_done(self, repro: Cli, command: str) -> None:
        outcome = repro.call(command, "fig1", "--profile", "smoke")
        assert outcome.status == 0
        assert "li2022/fig1: Environment and Umwelt of a honey bee: not computable" in outcome.words
        assert "a picture reprinted from Uexküll's book" in outcome.words
        status, entries = repro.json(command, "fig1", "--profile", "smoke", "--seed", "3")
        assert status == 0
        assert entries == [
            {
                "id": NOT_COMPUTABLE, "profile": "smoke", "seed": 3, "status": "not-computable",
                "failures": [], "metrics": {}, "missing": {},
                "verdicts": {"supported": 0, "not supported": 0, "inconclusive": 0},
                "identities": [], "claims": [], "references": [], "predictions": [], "steps": [],
                "artifacts": [], "alternatives": [],
            }
        ]  # fmt: skip
        assert not repro.home.exists()

    def test_it_keeps_its_place_among_others(self, repro: Cli) -> None:
        _, entries = repro.json("run", "fig8b", "fig1", "--profile", "smoke")
        assert [(entry["id"], entry["status"]) for entry in entries] == [
            (FIGURE, "not recorded"),
            (NOT_COMPUTABLE, "not-computable"),
        ]
        _, entries = repro.json("verify", "--all", "--profile", "smoke")
        assert [entry["status"] for entry in entries] == [
            "not-computable", "not recorded", "not recorded"
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "command", [("plan", "fig1"), ("explain", "fig1"), ("record", "fig1", "--seeds", "0")]
    )
    def test_every_command_says_so(self, repro: Cli, command: tuple[str, ...]) -> None:
        outcome = repro.call(*command, "--profile", "smoke")
        assert outcome.status == 0
        assert "honey bee: not computable a picture reprinted" in outcome.words
        assert not repro.home.exists()
        assert not (repro.manifests / "li2022" / "references").exists()

    def test_the_report_lists_it(self, repro: Cli, tmp_path: Path) -> None:
        page = tmp_path / "page.html"
        assert repro.call("report", "--all", "--out", str(page)).status == 2  # no run yet
        assert repro.call("report", "fig1", "--out", str(page)).status == 0
        repro.call("fig8b", "--profile", "smoke")
        assert repro.call("report", "--all", "--out", str(page)).status == 0
        text = page.read_text("utf-8")
        assert "Not computable: a picture reprinted" in text
        assert 'id="li2022/fig8b@smoke"' in text


class TestAlternatives:
    @pytest.fixture(autouse=True)
    def _open(self, repro: Cli) -> None:
        """Gives the spectrum an alternative with which its measured asymmetry is too large."""
        replace_once(
            repro.manifests / "li2022" / "fig8a.yaml",
            "      why: resolves p-values to 0.001\n",
            "      why: resolves p-values to 0.001\n"
            "      alternatives: [{value: 99, why: a coarser test}]\n",
        )
        repro.executor.behaviour["spectrum"] = self.lopsided("asymmetry_max")

    def lopsided(self, metric: str) -> Callable[[Task, Report], int]:
        def measures(task: Task, report: Report) -> int:
            changed = {metric: 9.0} if task.step.parameters["num_flips"] == 99 else {}
            return succeed(task, report, numbers=changed)

        return measures

    def test_the_figure_is_run_as_declared_and_then_with_each(self, repro: Cli) -> None:
        options = ("--alternative", "num_flips=99", "--alternative", "cut_factor=1")
        status, (entry,) = repro.json("fig8a", "--profile", "smoke", *options)
        assert status == 0  # a claim that falls with an alternative is an answer, no failure
        assert (entry["id"], entry["status"]) == (BOTH_STAGES, "not recorded")
        assert sorted(repro.executor.ran) == ["spectrum"] * 3 + ["training"] * 2
        later, earlier = entry["alternatives"]
        for part in (later, earlier):
            assert set(part) == {
                "alternative", "changed", "status", "metrics", "verdicts", "identities", "claims",
                "steps", "artifacts"
            }  # fmt: skip
            assert all(Path(path).is_file() for path in part["artifacts"])
            assert set(part["artifacts"]).isdisjoint(
                path for path in entry["artifacts"] if "/runs/" in path
            )
        assert (later["alternative"], later["changed"]) == ("num_flips=99", ["symmetric-spectrum"])
        assert (earlier["alternative"], earlier["changed"]) == ("cut_factor=1.0", [])
        assert [step["status"] for step in later["steps"]] == ["stored", "ran"]
        assert later["metrics"]["spectrum.asymmetry_max"] == 9.0
        assert later["claims"][0]["verdict"] == "not supported"
        assert entry["claims"][0]["verdict"] == "supported"

    def test_it_is_said_in_a_table_and_a_sentence(self, repro: Cli) -> None:
        options = ("--alternative", "num_flips=99", "--alternative", "cut_factor=1")
        words = repro.call("fig8a", "--profile", "smoke", *options).words
        assert "claim as declared with num_flips=99" in words
        assert "symmetric-spectrum supported: 0.05 not supported: 9" in words
        assert "the answer depends on num_flips=99: claim symmetric-spectrum" in words
        assert "the verdicts do not depend on cut_factor=1.0" in words

    def test_without_the_option_there_are_none(self, repro: Cli) -> None:
        _, (entry,) = repro.json("fig8a", "--profile", "smoke")
        assert entry["alternatives"] == []

    def test_a_violated_identity_fails_the_figure(self, repro: Cli) -> None:
        repro.executor.behaviour["spectrum"] = self.lopsided("euler_residual_max")
        options = ("fig8a", "--profile", "smoke", "--alternative", "num_flips=99")
        status, (entry,) = repro.json(*options)
        assert (status, entry["status"]) == (1, "failed")
        assert entry["failures"] == ["with num_flips=99: identity euler: violated"]
        assert {identity["verdict"] for identity in entry["identities"]} == {"holds"}
        assert "euler 9 ≤ 0.0001 violated" in repro.call(*options).words

    def test_an_alternative_is_never_taken_for_the_figure_as_declared(self, repro: Cli) -> None:
        repro.call("record", "fig8a", "--seeds", "0-2", "--profile", "smoke")
        repro.executor.behaviour["spectrum"] = self.lopsided("euler_residual_max")
        options = ("--profile", "smoke", "--alternative", "num_flips=99")
        assert repro.call("fig8a", *options).status == 1
        for path in repro.home.glob("runs/*/*/*/record.json"):
            content = json.loads(path.read_text())
            if content["alternative"]:  # the latest of all
                write_sealed(path, content | {"recorded_at": "2999-01-01T00:00:00+00:00"})
        _, rows = repro.json("list")
        # Recorded within one second of each other, either declared run may count as the last.
        statuses = {row["id"]: row["status"] for row in rows}
        assert statuses[BOTH_STAGES] in ("as recorded", "not recorded")
        status, (entry,) = repro.json("verify", "fig8a", "--profile", "smoke")
        assert (status, entry["status"], entry["alternatives"]) == (0, "as recorded", [])
        repro.call("record", "fig8a", "--seeds", "0-2", "--profile", "smoke")
        references = repro.manifests / "li2022" / "references" / "fig8a.smoke.json"
        assert "9.0" not in references.read_text()

    def test_the_report_says_what_the_answer_hangs_on(self, repro: Cli, tmp_path: Path) -> None:
        repro.call("fig8a", "--profile", "smoke", "--alternative", "num_flips=99")
        repro.call("report", "--out", str(tmp_path / "page.html"))
        text = (tmp_path / "page.html").read_text("utf-8")
        assert "What the answer hangs on" in text
        assert "the answer depends on num_flips=99: claim symmetric-spectrum" in text

    def test_fresh_computes_each_step_once(self, repro: Cli) -> None:
        options = ("fig8a", "--profile", "smoke", "--alternative", "num_flips=99")
        repro.call(*options)
        repro.executor.events.clear()
        repro.call(*options, "--fresh")
        assert repro.executor.ran == ["training", "spectrum", "spectrum"]

    def test_plan_and_explain_take_it_too(self, repro: Cli) -> None:
        repro.call("fig8a", "--profile", "smoke")
        options = ("fig8a", "--profile", "smoke", "--alternative", "num_flips=99")
        words = repro.call("plan", *options).words
        assert "li2022/fig8a with num_flips=99 at smoke" in words
        assert (words.count("stored"), words.count("to run")) == (3, 1)
        words = repro.call("explain", *options).words
        assert words.endswith("nearest stored result: parameters.num_flips: 999 → 99")

    @pytest.mark.parametrize(
        ("figures", "text", "said"),
        [
            (("fig8a",), "num_flips=98", "  --alternative num_flips=99\n"),
            (("fig8a",), "num_flips", "li2022/fig8a has no alternative 'num_flips'; it has:"),
            (("fig8a", "fig8b"), "num_flips=99", "  --alternative 'positive_classes=[0]'\n"),
            (("fig8b", "fig1"), "cut_factor=1", "li2022/fig1 is not computable and has no"),
        ],
    )
    def test_what_is_no_alternative_is_refused_before_anything_runs(
        self, repro: Cli, figures: tuple[str, ...], text: str, said: str
    ) -> None:
        outcome = repro.call("run", *figures, "--profile", "smoke", "--alternative", text)
        assert outcome.status == 2
        assert said in outcome.err
        assert repro.executor.ran == []


class TestOutputs:
    @pytest.mark.parametrize("command", [("fig8b",), ("verify", "fig8b")])
    def test_json_on_standard_output_is_all_there_is(
        self, repro: Cli, command: tuple[str, ...]
    ) -> None:
        outcome = repro.call(*command, "--profile", "smoke", "--json", "-")
        (entry,) = json.loads(outcome.out)["figures"]
        assert entry["id"] == FIGURE
        assert "li2022/fig8b at smoke: 2 supported" in outcome.err
        assert not Path("-").exists()

    def test_the_list_as_json_on_standard_output(self, repro: Cli) -> None:
        outcome = repro.call("list", "--json", "-")
        assert [row["id"] for row in json.loads(outcome.out)["figures"]][-1] == FIGURE
        assert "li2022/fig8b" in outcome.err

    @pytest.mark.parametrize(
        "command", [("fig8b", "--json"), ("fig8b", "--container", "--json"), ("list", "--json"),
                    ("verify", "fig8b", "--json"), ("report", "fig1", "--out")]
    )  # fmt: skip
    def test_what_cannot_be_written_is_found_out_before_anything_runs(
        self, repro: Cli, tmp_path: Path, command: tuple[str, ...]
    ) -> None:
        (tmp_path / "file").write_text("")
        for name in ("", str(tmp_path), f"{tmp_path}/file/x.html", "/proc/x.html",
                     f"{tmp_path}/{'x' * 300}.html"):  # fmt: skip
            outcome = repro.call(*command, name)
            assert outcome.status == 2
            assert len(outcome.err.splitlines()) == 1
            assert (name or "''") in outcome.err
        assert repro.executor.ran == []
        assert {path.name for path in tmp_path.iterdir()} == {"file", "manifests"}

    def test_finding_out_makes_nothing(self, repro: Cli, tmp_path: Path) -> None:
        outcome = repro.call("fig99", "--json", str(tmp_path / "new" / "x.json"))
        assert "no figure 'fig99'" in outcome.err
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("name", ["page.pdf", "page", "page.html.gz"])
    def test_a_report_is_html(self, repro: Cli, tmp_path: Path, name: str) -> None:
        outcome = repro.call("report", "fig1", "--out", str(tmp_path / name))
        assert outcome.status == 2
        assert "HTML is written; name it .html or .htm" in outcome.err
        assert repro.call("report", "fig1", "--out", str(tmp_path / "page.HTM")).status == 0


class TestEstimates:
    def test_a_command_says_first_how_long_it_takes(self, repro: Cli) -> None:
        first = repro.call("fig8a", "--profile", "smoke").err.splitlines()[0]
        assert first == "2 steps to compute; how long that takes is not recorded"
        repro.call("record", "fig8b", "--seeds", "0-2", "--profile", "smoke")
        for command in ("plan", "run"):  # a step of both figures, of a quarter of a second
            outcome = repro.call(command, "fig8a", "fig8b", "--profile", "smoke", "--seed", "3")
            assert outcome.err.splitlines()[0] == (
                "about 1 s for 1 step, as recorded with 1 thread; of 1 step nothing is recorded"
            )

    def test_where_all_is_stored_it_says_nothing(self, repro: Cli) -> None:
        repro.call("fig8b", "--profile", "smoke")
        assert repro.call("fig8b", "--profile", "smoke").err.startswith("li2022/fig8b at smoke")

    def test_what_is_stored_for_other_threads_is_announced_and_explained(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repro.call("fig8a", "--profile", "smoke")
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        said = (
            "training, spectrum: stored, but with other threads (OMP_NUM_THREADS): 1 → 3; "
            "computed anew"
        )
        words = repro.call("explain", "fig8a", "--profile", "smoke").words
        assert words.count("threads: 1 → 3") == 2
        assert said in repro.call("plan", "fig8a", "--profile", "smoke").err
        assert said in repro.call("fig8a", "--profile", "smoke").err
        assert "stored, but" not in repro.call("fig8a", "--profile", "smoke").err
        assert repro.call("explain", "fig8a", "--profile", "smoke").words.count(": stored (") == 2

    def test_what_is_computed_anew_for_its_code_or_parameters_is_not(self, repro: Cli) -> None:
        repro.call("fig8b", "--profile", "smoke")
        assert "stored, but" not in repro.call("fig8b", "--profile", "smoke", "--seed", "1").err
        assert "stored, but" not in repro.call("fig8b", "--profile", "smoke", "--fresh").err

    def test_fresh_computes_shared_steps_once(self, repro: Cli) -> None:
        repro.call("run", "fig8a", "fig8b", "--profile", "smoke", "--fresh")
        assert repro.executor.ran == ["training", "spectrum"]


class TestContainer:
    def test_it_gets_all_that_was_asked_for_and_its_paths_become_ours(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[list[str]] = []

        def runs(arguments: list[str], home: Path, **options: object) -> int:
            asked.append(arguments)
            name = Path(arguments[arguments.index("--json") + 1]).name
            part = {"artifacts": ["/state/runs/b"]}
            entry = {"artifacts": ["/state/runs/a"], "alternatives": [part]}
            home.mkdir()
            (home / name).write_text(json.dumps({"figures": [entry], "pooled": ["p"]}))
            return 1

        monkeypatch.setattr("repro.container.run_in_container", runs)
        options = ("--profile", "smoke", "--seed", "2", "--fresh", "--alternative", "a=[1, 2]")
        options += ("--engine", "inline")
        status, (entry,) = repro.json("fig8a", "--container", *options, "--alternative", "b=1")
        assert status == 1
        (arguments,) = asked
        assert arguments[:-2] == [
            "run", "fig8a", "--profile", "smoke", "--device", "auto", "--seed", "2",
            "--engine", "inline", "--fresh", "--alternative", "a=[1, 2]", "--alternative", "b=1",
        ]  # fmt: skip
        assert entry["artifacts"] == [str(repro.home / "runs" / "a")]
        assert entry["alternatives"][0]["artifacts"] == [str(repro.home / "runs" / "b")]
        assert {path.name for path in repro.home.iterdir()} == set()
        content = json.loads((repro.home.parent / "outcome.json").read_text())
        assert content["pooled"] == ["p"]

    def test_it_gets_several_seeds(self, repro: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []
        monkeypatch.setattr(
            "repro.container.run_in_container", lambda arguments, **_: asked.extend(arguments) or 0
        )
        assert repro.call("fig8b", "--container", "--seeds", "0-2,4").status == 0
        assert asked[asked.index("--seeds") + 1] == "0-2,4"
        assert "--seed" not in asked

    def test_its_words_stay_out_of_json_on_standard_output(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def runs(arguments: list[str], home: Path, output: TextIO, **options: object) -> int:
            output.write("what it says\n")
            home.mkdir()
            name = Path(arguments[arguments.index("--json") + 1]).name
            (home / name).write_text(
                json.dumps({"figures": [{"artifacts": [], "alternatives": []}]})
            )
            return 0

        monkeypatch.setattr("repro.container.run_in_container", runs)
        outcome = repro.call("fig8a", "--container", "--json", "-")
        assert len(json.loads(outcome.out)["figures"]) == 1
        assert outcome.err == "what it says\n"


class TestLooking:
    def test_list(self, repro: Cli) -> None:
        outcome = repro.call("list")
        assert outcome.status == 0
        assert "li2022/fig8b Training loss and" in outcome.words
        repro.call("fig8b", "--profile", "smoke")
        status, rows = repro.json("list")
        assert status == 0
        assert [tuple(row.values()) for row in rows] == [
            (NOT_COMPUTABLE, "Environment and Umwelt of a honey bee", "not-computable",
             "not-computable", None, None, None, None, None, {}),
            (BOTH_STAGES, "Eigenvalue density of the Hessian throughout training", "figure",
             None, None, None, None, None, None, {}),
            (FIGURE, "Training loss and accuracy", "figure", "not recorded", "smoke", "2 supported",
             {"supported": 2, "not supported": 0, "inconclusive": 0}, None, None, {}),
        ]  # fmt: skip
        assert set(rows[0]) == {
            "id", "title", "kind", "status", "profile", "verdict", "verdicts", "recorded_profile",
            "recorded_verdicts", "omitted"
        }  # fmt: skip
        assert "2/2 smoke not recorded" in repro.call("list").words

    def test_list_says_what_is_recorded_over_seeds(self, repro: Cli) -> None:
        repro.call("record", "fig8b", "--seeds", "0-4", "--profile", "smoke")
        repro.call("record", "fig8b", "--seeds", "0-3", "--profile", "desk")
        outcome = repro.call("list")
        # Not of the largest profile: four seeds are too few there for a verdict.
        assert "2/2 smoke 2/2" in outcome.words
        assert all(len(line) <= 80 for line in outcome.out.splitlines())
        row = repro.json("list")[1][-1]
        assert (row["recorded_profile"], row["recorded_verdicts"]) == (
            "smoke", {"supported": 2, "not supported": 0, "inconclusive": 0}
        )  # fmt: skip

    def test_plan_runs_nothing(self, repro: Cli) -> None:
        outcome = repro.call("plan", "fig8a", "--profile", "smoke")
        assert outcome.status == 0
        assert outcome.words.count("to run") == 2
        assert outcome.words.count("not recorded") == 4
        assert not repro.home.exists()
        repro.call("record", "fig8b", "--seeds", "0-2", "--profile", "smoke")
        words = repro.call("plan", "fig8a", "fig8b", "--profile", "smoke").words
        assert words.count("stored") == 2
        assert words.count("to run") == 1
        assert "0 s 1 MiB stored" in words

    def test_explain(self, repro: Cli) -> None:
        words = repro.call("explain", "fig8a", "--profile", "smoke").words
        assert words.count("will run; no result of this stage is stored") == 2
        repro.call("fig8a", "--profile", "smoke")
        words = repro.call("explain", "fig8a", "--profile", "smoke").words
        assert words.count(": stored (") == 2
        path = repro.manifests / "li2022" / "experiment.yaml"
        replace_once(path, "      batch_size: 16\n", "      batch_size: 17\n")
        words = repro.call("explain", "fig8a", "--profile", "smoke").words
        assert "training: will run; against the nearest stored result: " in words
        assert "parameters.batch_size: 16 → 17 spectrum: will run" in words
        assert words.endswith("inputs.training: changed")
        assert repro.executor.ran == ["training", "spectrum"]

    def test_explain_compares_with_the_nearest(self, repro: Cli) -> None:
        for seed in ("0", "1"):
            repro.call("fig8b", "--profile", "smoke", "--seed", seed)
        path = repro.manifests / "li2022" / "experiment.yaml"
        replace_once(path, "      batch_size: 16\n", "      batch_size: 17\n")
        words = repro.call("explain", "fig8b", "--profile", "smoke", "--seed", "1").words
        assert "batch_size: 16 → 17" in words
        assert "seed" not in words

    @pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"parts": 1}'])
    def test_explain_survives_damaged_results(self, repro: Cli, content: str) -> None:
        repro.call("fig8b", "--profile", "smoke")
        (path,) = repro.home.glob(f"store/*/{META}")
        path.write_text(content)
        outcome = repro.call("explain", "fig8b", "--profile", "smoke", "--seed", "1")
        assert outcome.status == 0
        assert "will run" in outcome.words

    def test_report(self, repro: Cli, tmp_path: Path) -> None:
        repro.call("fig8b", "--profile", "smoke")
        page = tmp_path / ("a-folder-with-a-long-name-" * 4) / "page.html"
        outcome = repro.call("report", "--out", str(page))
        assert outcome.status == 0
        assert outcome.out == f"{page}\n"  # to be copied, so in one piece
        assert "li2022/fig8b" in page.read_text()
        assert repro.call("report", "fig8a", "--out", str(page)).status == 2  # was not run

    def test_help_names_every_command(self, repro: Cli) -> None:
        outcome = repro.call("--help")
        assert outcome.status == 0
        for command in ("run", "verify", "record", "list", "plan", "explain", "report", "table",
                        "compare", "references", "track", "ui", "doctor", "data"):  # fmt: skip
            assert f" {command} " in outcome.out


class TestDoctor:
    def test_what_is_missing_has_its_remedy_and_status_1(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("repro.container.reachable", lambda: None)
        (repro.home.parent / "data" / "cifar-10-batches-py").mkdir(parents=True)
        outcome = repro.call("doctor")
        assert outcome.status == 1
        assert "missing: repro data fetch" in outcome.words
        assert "7 files missing or damaged" in outcome.words
        assert "3 figures in" in outcome.words
        assert not repro.home.exists()

    def test_what_is_optional_fails_nothing(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        findings = [
            Finding("a", "b", good=True),
            Finding("c", "d", good=False, remedy="[do] this", optional=True),
        ]
        monkeypatch.setattr("repro.doctor.examine", lambda settings: findings)
        outcome = repro.call("doctor")
        assert outcome.status == 0
        assert "not needed ([do] this)" in outcome.words
        assert "missing" not in outcome.words


class TestData:
    @pytest.fixture
    def folder(self, repro: Cli) -> Path:
        """Where the dataset's files belong; there are none."""
        path = repro.home.parent / "data" / "cifar-10-batches-py"
        path.mkdir(parents=True)
        return path

    def test_without_a_folder_the_bundled_batch_is_checked(self, repro: Cli) -> None:
        outcome = repro.call("data", "check")
        assert outcome.status == 0
        assert "CIFAR-10: what comes along is intact" in outcome.words
        assert "needs more: repro data fetch" in outcome.words

    def test_a_damaged_bundle_is_said(self, repro: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ssbrepro.data.bundle.read", lambda: b"something else")
        outcome = repro.call("data", "check")
        assert outcome.status == 3
        assert "expected MD5 c99cafc152244af753f735de768cd75f" in outcome.err
        assert "install the package again" in outcome.err

    @pytest.mark.usefixtures("folder")
    def test_missing_data_names_files_and_the_remedy(self, repro: Cli) -> None:
        outcome = repro.call("data", "check")
        assert outcome.status == 3
        lines = outcome.out.strip().splitlines()
        assert len(lines) == 7  # five training batches, the test batch, the names of the classes
        for line in lines:
            assert "cifar-10-batches-py/" in line
            assert "expected MD5 " in line
            assert line.endswith("the file is missing")
        assert "`repro data fetch` downloads the official files" in outcome.err

    @pytest.mark.parametrize(("command", "status"), [(("data", "check"), 3), (("doctor",), 1)])
    def test_a_file_that_cannot_be_read_is_one_line(
        self, repro: Cli, folder: Path, command: tuple[str, ...], status: int
    ) -> None:
        (folder / "data_batch_1").symlink_to("/proc/self/mem")  # which fails for root too
        outcome = repro.call(*command)
        assert outcome.status == status
        assert "cannot be read: Input/output error" in " ".join((outcome.err + outcome.out).split())

    def test_complete_data(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch, whole_dataset: Path
    ) -> None:
        monkeypatch.setenv("SSBREPRO_DATA", str(whole_dataset))
        outcome = repro.call("data", "check")
        assert outcome.status == 0
        assert f"CIFAR-10 is complete in {whole_dataset}" in outcome.words

    def test_what_a_mirror_says_is_one_line(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(root: Path, mirror: str | None, report: Callable[[int, int], None]) -> None:
            raise DataError((), "HTTP Error 302:\r\nThe last 30x error message was:\nFound")

        monkeypatch.setattr("ssbrepro.data.cifar10.fetch", fails)
        outcome = repro.call("data", "fetch")
        assert outcome.status == 3
        (line,) = outcome.err.splitlines()
        assert line.startswith("HTTP Error 302: The last 30x error message was: Found; the same")

    def test_a_download_that_fails_is_one_line_with_the_way_out(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSBREPRO_DATA_URL", "http://127.0.0.1:9/mirror/")
        outcome = repro.call("data", "fetch")
        assert outcome.status == 3
        (line,) = outcome.err.splitlines()
        assert line.startswith("http://127.0.0.1:9/mirror/cifar-10-python.tar.gz: [Errno 111]")
        assert "SSBREPRO_DATA_URL=URL" in line
        assert "SSBREPRO_DATA=FOLDER" in line

    def test_help_says_how_to_name_a_mirror(self, repro: Cli) -> None:
        assert "SSBREPRO_DATA_URL" in repro.call("data", "fetch", "--help").out


class TestTracking:
    def test_a_dead_server_fails_no_run(self, repro: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        tried: list[object] = []

        def dead(*arguments: object, **named: object) -> str:
            tried.append(arguments)
            raise TrackingError("MLflow at http://[::1]:1: [/api] is not there")

        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://[::1]:1")
        monkeypatch.setattr("repro.outcome.tracking.track", dead)
        outcome = repro.call("fig8b", "--profile", "smoke")
        assert outcome.status == 0
        assert "MLflow at http://[::1]:1: [/api] is not there" in outcome.err
        assert "`repro track` sends it later" in outcome.err
        # Every run that is tried may take a minute, so that the next ones are not.
        tried.clear()
        assert repro.call("run", "fig8b", "--profile", "smoke", "--seeds", "0,1").status == 0
        assert len(tried) == 1
        # Where sending is all that was asked for, it is a failure.
        outcome = repro.call("track")
        assert outcome.status == 3
        assert "[/api] is not there" in outcome.err

    def test_track_sends_every_run(self, repro: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        sent: list[str] = []
        repro.call("fig8b", "--profile", "smoke")
        repro.call("fig8b", "--profile", "smoke", "--seed", "1")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:secret@somewhere")
        monkeypatch.setattr(
            "repro.outcome.tracking.track", lambda run, *_, **__: sent.append(run.folder.name)
        )
        outcome = repro.call("track")
        assert outcome.status == 0
        assert len(set(sent)) == 2
        assert "2 runs are in MLflow at http://somewhere" in outcome.words

    def test_what_a_server_shows_is_not_served_twice(
        self, repro: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere")
        outcome = repro.call("ui")
        assert outcome.status == 0
        assert "open it there" in outcome.words


def test_interrupted_is_no_ordinary_exception() -> None:
    """Libraries catch ``Exception`` all over; a signal must get through them."""
    assert not issubclass(Interrupted, Exception)
