"""Which results manifests ask for, on whatever machine they were computed and for whatever seed."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from repro.errors import UsageError
from repro.files import canonical_digest
from repro.inventory import Home
from repro.machine import Facts
from repro.manifests.library import FigureManifest, Library
from repro.plan import make_plan


class Needed:
    """Keys of the steps of figures, alternatives included.

    A key holds a seed and the facts of the machine that computes. Those of a stored result are among its
    key's parts, so that its figures can be planned for just these: the result is needed if its key comes
    out again, and by nobody if code, data or manifests have changed since.

    Args:
        figures: The figures.
        profiles: The profiles at which they are asked for, unless a figure omits one.
    """

    def __init__(self, figures: Iterable[FigureManifest], profiles: Iterable[str]) -> None:
        asked = tuple(profiles)
        self._wanted = [
            (manifest, profile)
            for figure in figures
            for manifest in (figure, *map(figure.with_alternative, figure.alternatives()))
            for profile in asked
            if profile in figure.profiles
        ]
        self._keys: dict[str, frozenset[str]] = {}

    def keys(self, parts: Mapping[str, Any]) -> frozenset[str]:
        """Of all steps, with the seed and the facts that are among ``parts``.

        None if they are not: no plan of this release makes a key of other facts.
        """
        try:
            seed, facts = parts["seed"], Facts.among(parts)
        except (KeyError, TypeError):
            return frozenset()
        circumstances = canonical_digest({"seed": seed, **facts.parts()})
        if circumstances not in self._keys:
            self._keys[circumstances] = frozenset(
                step.key
                for manifest, profile in self._wanted
                for step in make_plan(manifest, profile, seed, facts).steps
            )
        return self._keys[circumstances]

    def among(self, home: Home, seeds: Collection[int] | None = None) -> frozenset[str]:
        """Of all steps, with each seed and on each machine that something in a home is of.

        Args:
            home: Whose results and unfinished steps say for which seeds and on which machines.
            seeds: These alone, if given.
        """
        found = (
            self.keys(parts)
            for parts in _circumstances(home)
            if seeds is None or parts.get("seed") in seeds
        )
        return frozenset().union(*found)


def _circumstances(home: Home) -> Iterator[Mapping[str, Any]]:
    for meta in home.store.metas():
        yield meta["parts"]
    for key in home.scratches():
        if task := home.task(key):
            yield {"seed": task["seed"], **task["facts"]}


def all_figures(library: Library) -> list[FigureManifest]:
    """Every figure that is computed.

    Raises:
        UsageError: If there are none at all, which is a wrong folder rather than no need.
        ManifestError: If one cannot be read: what it asks for is unknown.
    """
    found = [library.load(figure_id) for figure_id in library.computed()]
    if not found:
        raise UsageError(f"no manifests below {library.root}; set SSBREPRO_MANIFESTS")
    return found
