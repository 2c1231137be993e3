"""Whatever a tracking server does: nothing is lost, doubled, waited for or sent elsewhere."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from attack.servers import KINDS, PASSWORD
from attack.serving import Request, Server, sanely
from repro.errors import Interrupted, TrackingError
from repro.outcome import tracking
from repro.outcome.record import TRACKED, Run
from repro.outcome.tracking import Sender, sender
from repro.settings import Settings
from tests.fakes import BOTH_STAGES, recorded, settings_below
from tests.processes import is_running

pytestmark = pytest.mark.filterwarnings(r"ignore::ResourceWarning")  # MLflow's sessions

DEFENCES = [
    ("closes when a new run is taken", "Remote end closed connection"),
    ("answers with another run", "another run than it was asked to begin"),
    ("forgets what it took", "does not keep what it took"),
    ("artifacts go to a folder of this machine", "it wants files at file:///"),
    ("artifacts go to another host", "it wants files at mlflow-artifacts://localhost"),
    ("redirects to another host", "307"),
    ("echoes what it is sent", "Authorization: Basic ***"),
    ("says to come again in 600 s (429)", "429"),
]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Run]:
    """A run to be sent."""
    settings = settings_below(tmp_path_factory.mktemp("servers"))
    return settings, recorded(settings, BOTH_STAGES)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that does as it should, and one that nobody was told of."""
    with (
        contextlib.closing(Server(sanely, tmp_path)) as other,
        contextlib.closing(Server(sanely, tmp_path, other)) as own,
    ):
        other.open()
        own.open()
        yield own


def track(run: Run, settings: Settings, trusting: bool = True) -> str:
    return tracking.track(
        run,
        settings,
        lambda run, known=None: tracking.send(run, settings, pytest.fail, known),
        trusting,
    )


@pytest.mark.parametrize(("kind", "reason"), DEFENCES)
def test_a_bad_server_is_one_line_and_a_good_one_has_all_of_it_once(
    sent: tuple[Settings, Run], server: Server, tmp_path: Path, kind: str, reason: str
) -> None:
    address = server.address.replace("//", f"//bob:{PASSWORD}@")
    settings, run = replace(sent[0], tracking_uri=address), sent[1]
    server.behaviour = KINDS[kind]
    with pytest.raises(TrackingError) as caught:
        track(run, settings)
    said = str(caught.value)
    assert said.startswith(f"MLflow at {server.address}: ")
    assert reason in said
    assert said.isprintable()
    assert PASSWORD not in said
    assert not (run.folder / TRACKED).exists()
    assert not server.other.asked
    assert not list(tmp_path.iterdir())

    server.behaviour = sanely
    run_id = track(run, settings)
    rows = server.kept.rows()
    assert len(rows) == 3
    assert {row["status"] for row in rows.values()} == {"FINISHED"}
    assert set(rows[run.record.digest]["files"]) == {*run.record.files, "manifest.json"}
    # What a server has lost since is sent again by who asks for it.
    assert track(run, settings, trusting=False) == run_id
    asked = len(server.asked)
    server.kept.runs.clear()
    assert track(run, settings) == run_id
    assert len(server.asked) == asked
    assert track(run, settings, trusting=False) != run_id
    assert server.kept.rows() == rows
    (run.folder / TRACKED).unlink()


def test_a_password_is_for_the_server_alone(
    sent: tuple[Settings, Run], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = []

    def asks_who_it_is(request: Request) -> None:
        known.append(request.headers["Authorization"])
        sanely(request)

    server.behaviour = asks_who_it_is
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    settings, run = replace(sent[0], tracking_uri=server.address), sent[1]
    track(run, settings)
    assert set(known) == {"Basic Ym9iOnMzY3IzdC1vZi10aGUtc2VydmVy"}
    for path in settings.home.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes()
    server.behaviour = KINDS["echoes what it is sent"]
    with pytest.raises(TrackingError, match=r"Basic \*\*\*$"):
        track(run, settings, trusting=False)
    (run.folder / TRACKED).unlink()


class TestSender:
    """The process that sends, with one in its place that does as the run's folder says."""

    @pytest.fixture
    def send(self, sent: tuple[Settings, Run], monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
        monkeypatch.setattr(sender, "_PROCESS", "tests.pretended_sender")
        with contextlib.closing(Sender(sent[0], self.said.append, limit=60.0, each=0.1)) as send:
            yield send

    @pytest.fixture(autouse=True)
    def _nothing_said(self) -> None:
        self.said: list[str] = []

    def pid(self, send: Sender) -> int:
        assert send._process is not None
        return send._process.pid

    def test_one_process_sends_all_runs_and_ends_with_the_command(
        self, sent: tuple[Settings, Run], send: Sender
    ) -> None:
        assert send(replace(sent[1], folder=Path("naps"))) == "naps"
        assert self.said == ["half way"]
        used = 60.0 - send._left
        assert used >= 0.05  # a nap's 0.15 s but for the 0.1 s that each run is given
        first = self.pid(send)
        assert send(replace(sent[1], folder=Path("naps"))) == "naps"
        assert self.pid(send) == first
        assert 60.0 - send._left >= used + 0.05
        send.close()
        assert not is_running(first)

    @pytest.mark.parametrize(
        ("does", "reason"),
        [("hangs", "no end within 0 s"), ("dies", "has ended"), ("fails", "a reason")],
    )
    def test_one_that_fails_is_ended_and_another_sends_the_next(
        self, sent: tuple[Settings, Run], send: Sender, does: str, reason: str
    ) -> None:
        assert send(replace(sent[1], folder=Path("naps"))) == "naps"
        first = self.pid(send)
        if does == "hangs":
            send._left = 0.2
        with pytest.raises(TrackingError, match=reason):
            send(replace(sent[1], folder=Path(does)))
        assert not is_running(first)
        send._left = 60.0
        assert send(replace(sent[1], folder=Path("naps"))) == "naps"

    def test_a_signal_is_no_matter_of_tracking_and_ends_it(
        self, sent: tuple[Settings, Run], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(text: str) -> None:
            raise Interrupted(2)

        monkeypatch.setattr(sender, "_PROCESS", "tests.pretended_sender")
        send = Sender(sent[0], interrupted)
        with pytest.raises(Interrupted):
            send(replace(sent[1], folder=Path("naps")))
        assert send._process is None


def test_the_real_process_sends(sent: tuple[Settings, Run], server: Server) -> None:
    settings, run = replace(sent[0], tracking_uri=server.address), sent[1]
    with contextlib.closing(Sender(settings, pytest.fail)) as send:
        run_id = tracking.track(run, settings, send)
    assert server.kept.rows()[run.record.digest]["status"] == "FINISHED"
    assert run_id in server.kept.runs
    (run.folder / TRACKED).unlink()
