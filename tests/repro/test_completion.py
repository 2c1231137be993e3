"""What the shell offers on Tab, asked for as the shell does."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repro import cli, signals
from tests.fakes import CHECKOUT, MANIFESTS, PROFILES, copy_manifests, replace_once

Offered = Callable[..., list[str]]

ASKED = {"_REPRO_COMPLETE": "complete_bash", "COMP_WORDS": "repro fig8", "COMP_CWORD": "1"}


@pytest.fixture
def offered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Offered]:
    """What completes the last word of a line, which may be empty."""

    def offered(line: str, manifests: Path = MANIFESTS, **variables: str) -> list[str]:
        ours = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        ours["SSBREPRO_MANIFESTS"] = str(manifests)
        with monkeypatch.context() as patched:
            for name, value in (ASKED | ours | variables).items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["repro"])
            with pytest.raises(SystemExit):
                cli.main()
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.split()

    handlers = {number: signal.getsignal(number) for number in signals.ending()}
    yield offered
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_shell_asks_a_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "repro"],
        env=os.environ | ASKED | {"SSBREPRO_MANIFESTS": str(MANIFESTS)},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["fig8a", "fig8b"], "")


def test_the_first_word_is_a_command_or_a_figure(offered: Offered) -> None:
    words = offered("repro ")
    assert {"run", "list", "doctor", "fig8a", "li2022/fig8a", "ssb2018/fig1"} <= set(words)
    assert "fig1" not in words  # two papers have one
    assert offered("repro fig8") == ["fig8a", "fig8b"]
    assert offered("repro verd") == ["verdicts"]


@pytest.mark.parametrize(
    "command",
    ["run", "verify", "plan", "explain", "report", "record", "export", "run fig8a", "fig8a"],
)
def test_figures_are_offered_wherever_one_goes(offered: Offered, command: str) -> None:
    assert offered(f"repro {command} li2022/fig8") == ["li2022/fig8a", "li2022/fig8b"]


@pytest.mark.parametrize("command", ["run fig8a", "fig8a", "verify", "plan"])
def test_profiles_and_devices(offered: Offered, command: str) -> None:
    assert set(offered(f"repro {command} --profile ")) == {"auto", *PROFILES}
    assert offered(f"repro {command} --device c") == ["cpu", "cuda"]


def test_papers_and_the_profiles_that_are_recorded(offered: Offered) -> None:
    assert offered("repro table ") == ["li2022", "ssb2018"]
    assert offered("repro new figure ") == ["li2022/", "ssb2018/"]
    assert set(offered("repro table li2022 --profile ")) == set(PROFILES)
    assert set(offered("repro export fig8a --profile ")) == set(PROFILES)


def test_what_can_be_compared(offered: Offered) -> None:
    assert set(offered("repro compare fig8a")) == {f"fig8a@{one}" for one in PROFILES}
    assert offered("repro compare fig8a@smoke li2022/fig8b@d") == ["li2022/fig8b@desk"]


@pytest.mark.parametrize("command", ["run fig8a", "fig8a", "verify", "record"])
def test_engines(offered: Offered, command: str) -> None:
    assert offered(f"repro {command} --engine ") == ["local", "slurm", "inline"]


def test_alternatives_are_those_of_the_figures_on_the_line(offered: Offered) -> None:
    offers = offered("repro fig8a --alternative ")
    assert "cut_factor=1.0" in offers
    assert "positive_classes=[0,1,8,9]" in offers  # one word for every shell
    assert offered("repro run fig8a --profile smoke --alternative cut") == ["cut_factor=1.0"]
    assert offered("repro run --alternative ") == []


def test_broken_manifests_offer_what_can_be_known_in_silence(
    offered: Offered, tmp_path: Path
) -> None:
    manifests = copy_manifests(tmp_path / "manifests")
    replace_once(manifests / "li2022" / "experiment.yaml", "value: 0.9\n", "value: [\n")
    assert offered("repro fig8", manifests) == ["fig8a", "fig8b"]
    assert offered("repro fig8a --alternative ", manifests) == []
    assert offered("repro fig8", tmp_path / "nowhere") == []
    assert offered("repro table ", tmp_path / "nowhere") == []
    assert offered("repro fig8", OMP_NUM_THREADS="abc") == []
