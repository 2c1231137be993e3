"""What a command line means: which figures, with which alternatives, profile, device and seeds."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from repro.errors import ManifestError, UsageError
from repro.manifests.library import FigureManifest, Library
from repro.names import DEVICES, PROFILES, nearest_names
from repro.plan import Plan, make_plan
from repro.settings import has_cuda

if TYPE_CHECKING:
    from repro.manifests.models import NotComputable


class Choice(NamedTuple):
    """A figure asked for: as declared, or why nothing computes it, and with each alternative."""

    id: str
    declared: "Plan | NotComputable"
    alternatives: list[Plan]


class Selected(NamedTuple):
    """All that a command line asks for."""

    profile: str
    seed: int
    figures: list[Choice]

    def plans(self) -> list[Plan]:
        """All there is to run."""
        return [
            plan
            for choice in self.figures
            if isinstance(choice.declared, Plan)
            for plan in (choice.declared, *choice.alternatives)
        ]


_MAX_SEEDS = 1000
_MAX_DIGITS = 18  # every such integer fits 64 bits


def select(
    library: Library,
    ids: Sequence[str],
    profile: str,
    device: str,
    seed: int,
    alternatives: Sequence[str],
    say: Callable[[str], None],
) -> Selected:
    """Each figure asked for as declared, and with each alternative.

    Args:
        library: The manifests.
        ids: Figures, in full or in short.
        profile: "auto" or a profile.
        device: "auto" or a device.
        seed: Root seed.
        alternatives: "NAME=VALUE", of every figure.
        say: Told which profile "auto" stands for, once nothing is wrong with the rest.

    Raises:
        UsageError: If something asked for is not there.
        ManifestError: With every fault of every manifest.
    """
    for kind, name, known in (("device", device, DEVICES), ("profile", profile, PROFILES)):
        if name not in ("auto", *known):
            hint = nearest_names(name, ("auto", *known))
            raise UsageError(f"no {kind} {name!r}{hint}; there are auto, {', '.join(known)}")
    without = library.not_computable()
    manifests, faults = {}, []
    for figure_id in dict.fromkeys(library.resolve(name) for name in ids):
        try:
            manifests[figure_id] = without.get(figure_id) or library.load(figure_id)
        except ManifestError as error:
            faults += [fault for fault in error.faults if fault not in faults]
    if faults:
        raise ManifestError(faults)
    cuda = device != "cpu" and has_cuda()
    if device == "cuda" and not cuda:
        raise UsageError("--device cuda: no CUDA device can be used here; try --device cpu")
    if profile == "auto":
        profile = "paper" if cuda else "desk"
        found = "a CUDA device was found" if cuda else "no CUDA device was found"
        say(f"profile {profile}: {found}; choose with --profile {', '.join(PROFILES)}")
    choices = []
    for figure_id, manifest in manifests.items():
        if isinstance(manifest, FigureManifest):
            declared = make_plan(manifest, profile, seed, "cuda" if cuda else "cpu")
            others = [declared.with_alternative(text) for text in dict.fromkeys(alternatives)]
            choices.append(Choice(figure_id, declared, others))
        elif alternatives:
            raise UsageError(f"{figure_id} is not computable and has no alternatives")
        else:
            choices.append(Choice(figure_id, manifest, []))
    return Selected(profile, seed, choices)


def seeds(text: str) -> list[int]:
    """Seeds from "0-9" or "0,3,5" or a mixture, ascending.

    Raises:
        UsageError: If the text is not that, or names too many.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()):
            raise UsageError(f"--seeds {text!r}: write 0-9 or 0,3,5")
        if max(len(first), len(last)) > _MAX_DIGITS:
            raise UsageError(f"--seeds {text!r}: a seed has at most {_MAX_DIGITS} digits")
        low, high = int(first), int(last)
        if high - low >= _MAX_SEEDS or len(found) > _MAX_SEEDS:
            raise UsageError(f"--seeds {text!r}: more than {_MAX_SEEDS} seeds")
        found.update(range(low, high + 1))
    if not found:
        raise UsageError(f"--seeds {text!r} names no seed")
    return sorted(found)
