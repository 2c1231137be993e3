"""``repro data``: what the data folder holds."""

import typer

from repro import files
from repro.commands import err, out
from repro.errors import ReproError
from repro.outcome.console import say
from repro.running import fetch
from repro.settings import Settings
from ssbrepro.data import DATASETS, DataError

app = typer.Typer(help="What the data folder holds, checked byte for byte.", no_args_is_help=True)


@app.command("fetch")
def data_fetch() -> None:
    """Download what is missing or damaged of whole datasets.

    An interrupted download continues where it stopped. SSBREPRO_DATA_URL names a mirror: the address
    of the archive, or of a folder that holds it.
    """
    settings = Settings.from_environment()
    for dataset in DATASETS.values():
        fetch(dataset, settings, err)
        say(out, f"{dataset.title} is complete in {settings.data}")


@app.command("check")
def data_check() -> None:
    """Compare every file with what is official, or what comes along where there is no folder."""
    settings = Settings.from_environment()
    bad = False
    for dataset in DATASETS.values():
        try:
            with files.reading(settings.data):
                state = dataset.inspect(settings.data)
        except DataError as error:
            raise ReproError(*str(error).splitlines(), "install the package again") from error
        for problem in state.problems:
            say(out, problem)
        bad = bad or bool(state.problems)
        if state.folder is None:
            say(
                out,
                f"{dataset.title}: what comes along is intact; {settings.data} holds no other data",
            )
            say(out, "only the paper's own size needs more: repro data fetch")
        elif not state.problems:
            say(out, f"{dataset.title} is complete in {state.folder}")
    if bad:
        raise ReproError("`repro data fetch` downloads the official files")
