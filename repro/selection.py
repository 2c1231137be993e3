"""What a command line means: which figures, with which alternatives, profile, seeds and engine."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from repro.bounded import MAX_DIGITS
from repro.engines.engine import Engine
from repro.engines.inline import InlineEngine
from repro.engines.local import LocalEngine
from repro.engines.slurm import SlurmEngine
from repro.errors import ManifestError, UsageError
from repro.manifests.library import FigureManifest, Library
from repro.names import AUTO, DEVICES, nearest_names, require
from repro.plan import Plan, make_plan

if TYPE_CHECKING:
    from repro.manifests.models import NotComputable


class Choice(NamedTuple):
    """A figure asked for: as declared, or why nothing computes it, and with each alternative.

    There is one for each seed, and one alone where nothing computes it.
    """

    id: str
    seed: int
    declared: "Plan | NotComputable"
    alternatives: list[Plan]


class Selected(NamedTuple):
    """All that a command line asks for; ``omitted`` says why figures are left out of all."""

    profile: str
    figures: list[Choice]
    omitted: Mapping[str, str]

    def ids(self) -> list[str]:
        """The figures, each once."""
        return list(dict.fromkeys(choice.id for choice in self.figures))

    def plans(self) -> list[Plan]:
        """All there is to run."""
        return [
            plan
            for choice in self.figures
            if isinstance(choice.declared, Plan)
            for plan in (choice.declared, *choice.alternatives)
        ]


def _inline(jobs: int | None) -> Engine:
    if jobs is not None:
        raise UsageError("--jobs: the inline engine runs one step after the other; leave it out")
    return InlineEngine()


ENGINES: Mapping[str, Callable[[int | None], Engine]] = {
    "local": LocalEngine,
    "slurm": SlurmEngine,
    "inline": _inline,
}
DEFAULT_ENGINE = "local"

_MAX_SEEDS = 1000


def select(
    library: Library,
    ids: Sequence[str] | None,
    profile: str,
    device: str,
    seeds: Sequence[int],
    alternatives: Sequence[str],
    engine: Engine,
    say: Callable[[str], None],
) -> Selected:
    """Each figure asked for, with each seed, as declared and with each alternative.

    Args:
        library: The manifests.
        ids: Figures, in full or in short; None for all, without those that omit the profile.
        profile: "auto" or a profile.
        device: "auto" or a device.
        seeds: Root seeds, at least one.
        alternatives: "NAME=VALUE", of every figure.
        engine: What is to run them; its machine has the device.
        say: Told which profile "auto" stands for, once nothing is wrong with the rest, and which
            figures are left out.

    Raises:
        UsageError: If something asked for is not there, or omits the profile.
        ManifestError: With every fault of every manifest.
    """
    profiles = library.profiles
    for kind, name, known in (("device", device, DEVICES), ("profile", profile, profiles.names)):
        require(kind, name, (AUTO, *known))
    without = library.not_computable()
    manifests, faults = {}, []
    for figure_id in library.chosen(ids):
        try:
            manifests[figure_id] = without.get(figure_id) or library.load(figure_id)
        except ManifestError as error:
            faults += [fault for fault in error.faults if fault not in faults]
    if faults:
        raise ManifestError(faults)
    facts = engine.facts(device)
    if profile == AUTO:
        profile = profiles.default(facts.device)
        found = "a" if facts.device == "cuda" else "no"
        names = ", ".join(profiles.names)
        say(f"profile {profile}: {found} CUDA device was found; choose with --profile {names}")
    if (meant := profiles.require(profile).device) not in ("any", facts.device):
        say(f"profile {profile} is meant for {meant}; here it runs on {facts.device}")
    computed = [one for one in manifests.values() if isinstance(one, FigureManifest)]
    omitted = left_out(computed, profile, named=ids is not None, say=say)
    choices = []
    for figure_id, manifest in manifests.items():
        if figure_id in omitted:
            continue
        if isinstance(manifest, FigureManifest):
            for seed in seeds:
                declared = make_plan(manifest, profile, seed, facts)
                others = [declared.with_alternative(text) for text in dict.fromkeys(alternatives)]
                choices.append(Choice(figure_id, seed, declared, others))
        elif alternatives:
            raise UsageError(f"{figure_id} is not computable and has no alternatives")
        else:
            choices.append(Choice(figure_id, seeds[0], manifest, []))
    return Selected(profile, choices, omitted)


def left_out(
    manifests: Iterable[FigureManifest], profile: str, named: bool, say: Callable[[str], None]
) -> dict[str, str]:
    """Why figures that omit a profile are left out of all; ``say`` is told in a line.

    Raises:
        UsageError: If they were asked for by name.
    """
    without = [one for one in manifests if profile in one.omitted]
    if named and without:
        raise UsageError(*(one.omission(profile) for one in without))
    groups: dict[tuple[str, str], list[str]] = {}
    for one in without:
        groups.setdefault((one.paper_id, one.omitted[profile]), []).append(one.id)
    if groups:
        reasons = "; ".join(
            f"{ids[0] if len(ids) == 1 else f'{len(ids)} of {paper}'}: {why}"
            for (paper, why), ids in groups.items()
        )
        figures = f"{len(without)} figure{'s' if len(without) > 1 else ''}"
        say(f"profile {profile} leaves out {figures}: {reasons}")
    return {one.id: one.omitted[profile] for one in without}


def engine(name: str = DEFAULT_ENGINE, jobs: int | None = None) -> Engine:
    """The engine of a name, for so many steps at once.

    Raises:
        UsageError: If there is none.
    """
    if name not in ENGINES:
        hint = nearest_names(name, ENGINES)
        raise UsageError(f"no engine {name!r}{hint}; there are {', '.join(ENGINES)}")
    return ENGINES[name](jobs)


def seeds(text: str) -> list[int]:
    """Seeds from "0-9" or "0,3,5" or a mixture, ascending.

    Raises:
        UsageError: If the text is not that, or names too many.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (text.isascii() and first.isdecimal() and last.isdecimal()):
            raise UsageError(f"--seeds {text!r}: write 0-9 or 0,3,5")
        if max(len(first), len(last)) > MAX_DIGITS:
            raise UsageError(f"--seeds {text!r}: a seed has at most {MAX_DIGITS} digits")
        low, high = int(first), int(last)
        if low > high:
            raise UsageError(f"--seeds {text!r}: {part} is no range; write {last}-{first}")
        found.update(range(low, min(high, low + _MAX_SEEDS) + 1))
        if len(found) > _MAX_SEEDS:
            raise UsageError(f"--seeds {text!r}: more than {_MAX_SEEDS} seeds")
    return sorted(found)
