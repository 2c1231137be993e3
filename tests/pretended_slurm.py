"""Slurm's commands as far as the engine uses them: jobs are processes of this machine.

Its first argument is ``sbatch``, ``squeue`` or ``scancel``. All that is known of jobs is below the
folder that ``PRETENDED_SLURM`` names. A file ``refuse-COMMAND`` there makes a command fail with its
first line, which is then taken out; ``state-N`` is what is said of job N in the place of the truth.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ.get("PRETENDED_SLURM", ""))


def main(command: str, arguments: list[str]) -> int:
    with (FOLDER / "calls").open("a") as calls:
        calls.write(json.dumps([command, *arguments]) + "\n")
    refusals = FOLDER / f"refuse-{command}"
    if refusals.exists() and (lines := refusals.read_text().splitlines()):
        refusals.write_text("\n".join(lines[1:]))
        print(f"{command}: error: {lines[0]}", file=sys.stderr)
        return 1
    return {"sbatch": sbatch, "squeue": squeue, "scancel": scancel}[command](arguments)


def sbatch(arguments: list[str]) -> int:
    *options, script = arguments
    named = dict(option.partition("=")[::2] for option in options)
    number = len(list(FOLDER.glob("job-*"))) + 1
    (FOLDER / f"job-{number}").mkdir()
    runs = [
        sys.executable,
        __file__,
        "run",
        str(number),
        script,
        named["--output"],
        named["--error"],
    ]
    (FOLDER / f"job-{number}" / "name").write_text(named["--job-name"])
    subprocess.Popen(
        runs,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    print(f"{number};pretended")
    return 0


def run(number: str, script: str, output: str, errors: str) -> None:
    """The node's part: one job, until it ends."""
    job = FOLDER / f"job-{number}"
    with Path(output).open("ab") as out, Path(errors).open("ab") as err:
        process = subprocess.Popen(
            ["bash", script],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    _write_whole(job / "pid", str(process.pid))
    status = process.wait()
    while _is_there(process.pid):  # as a node's, a job ends with the last of its processes
        time.sleep(0.01)
    _write_whole(job / "status", str(status))


def _write_whole(path: Path, text: str) -> None:
    """So that whoever sees the file reads all of it."""
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)


def _is_there(group: int) -> bool:
    """Whether any process of a group has its files, and so its locks, yet."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


def squeue(arguments: list[str]) -> int:
    for job in sorted(FOLDER.glob("job-*"), key=lambda path: int(path.name[4:])):
        number = job.name[4:]
        state, reason = _state(job)
        print("|".join([number, state, reason, "n1", (job / "name").read_text()]))
    return 0


def _state(job: Path) -> tuple[str, str]:
    said = FOLDER / f"state-{job.name[4:]}"
    if said.exists():
        state, _, reason = said.read_text().partition(" ")
        return state, reason or "None"
    if (job / "cancelled").exists():
        return "CANCELLED", "None"
    if (job / "status").exists():
        good = (job / "status").read_text() == "0"
        return ("COMPLETED", "None") if good else ("FAILED", "NonZeroExitCode")
    return "RUNNING", "None"


def scancel(arguments: list[str]) -> int:
    for number in arguments:
        job = FOLDER / f"job-{number}"
        if (job / "status").exists():
            continue
        (job / "cancelled").touch()
        while not (job / "pid").exists():
            time.sleep(0.01)
        try:
            os.killpg(int((job / "pid").read_text()), signal.SIGKILL)
        except ProcessLookupError:
            continue
        while not (job / "status").exists():
            time.sleep(0.01)
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(*sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
