"""Signals at the moments at which Python leaves a program alone with them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro import cli, signals
from repro.errors import Interrupted
from tests.fakes import CHECKOUT
from tests.processes import is_running

LINE = "interrupted; the same command continues where this one stopped\n"


def ended(path: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": f"{path}:{CHECKOUT}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def _not_by_nohup() -> Iterator[None]:
    """Tests may be started with SIGHUP ignored, which whatever they start would inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_while_it_imports(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "typer.py").write_text(f"import signal; signal.raise_signal({number:d})")
    assert ended(tmp_path, "-m", "repro", "list") == (128 + number, "", "")


_LOST_AND_MORE = """
import signal, sys
from repro import __main__ as entry, cli

class Finalized:
    def __del__(self, send=signal.raise_signal):
        send(15)

def work(prog_name):
    Finalized()
    try:
        signal.pause()
    finally:
        signal.raise_signal(signal.SIGINT)
        print("in order")

cli.app = work
last = Finalized()  # when Python calls no handler any more
sys.argv = ["repro", "list"]
try:
    entry.main()
finally:
    signal.raise_signal(signal.SIGTERM)
"""


def test_one_that_a_finalizer_loses_and_others_up_to_the_very_end(tmp_path: Path) -> None:
    assert ended(tmp_path, "-c", _LOST_AND_MORE) == (128 + signal.SIGTERM, "in order\n", LINE)


def test_where_putting_in_order_takes_too_long_another_one_ends_it(tmp_path: Path) -> None:
    script = "from repro import signals as s; s._PATIENCE_SECONDS = -1; s.put_in_order()"
    script += "; s.signal.raise_signal(s.signal.SIGINT)"
    assert ended(tmp_path, "-c", script) == (128 + signal.SIGINT, "", "")


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signals.ending()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_while_things_are_put_in_order_only_who_is_asked_is_heard() -> None:
    signals.put_in_order()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted), signals.heard():
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("handlers")
def test_one_that_a_library_takes_for_a_fault_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(prog_name: str) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            raise ValueError("cannot be built") from error

    monkeypatch.setattr(cli, "app", work)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err == LINE


def test_nohup_is_obeyed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signals.ending() == [signal.SIGINT, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in signals.ending()


_SERVES = """
import os, sys
from repro import guard
waits = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
serves = f'''import os, subprocess, sys
print(os.getppid(), os.getpid(), end=' ', flush=True)
subprocess.call([sys.executable, '-c', {waits!r}])'''
sys.exit(guard.run([sys.executable, "-c", serves], os.environ))
"""


@pytest.mark.parametrize("victim", ["command", "guard"])
def test_a_server_ends_with_the_command_and_so_does_all_that_it_has_started(victim: str) -> None:
    command = subprocess.Popen([sys.executable, "-c", _SERVES], stdout=subprocess.PIPE)
    with command:
        assert command.stdout is not None
        serving = [int(pid) for pid in command.stdout.readline().split()]
        assert len(serving) == 3
        os.kill(command.pid if victim == "command" else serving[0], signal.SIGKILL)
    while any(map(is_running, serving)):  # pytest-timeout ends it
        time.sleep(0.01)
