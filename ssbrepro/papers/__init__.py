"""The papers: what only one of them needs. They know the tools and not each other.

A stage is found from its name: ``papers/<paper>/stages/<stage>.py`` declares it as ``STAGE``. Importing
it is light; what it computes with is imported when it runs.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from graphlib import TopologicalSorter

from ssbrepro.contract import Stage


@cache
def stages(paper: str) -> Mapping[str, Stage]:
    """The stages of a paper by name, each after those it needs.

    Raises:
        LookupError: If there is no package for such a paper.
    """
    name = f"ssbrepro.papers.{paper}.stages"
    try:
        package = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise LookupError(f"there is no package {name}") from error
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    found = {one: importlib.import_module(f"{name}.{one}").STAGE for one in names}
    order = TopologicalSorter({one: sorted(stage.needs) for one, stage in found.items()})
    return {one: found[one] for one in order.static_order()}


def stage(stage_id: str) -> Stage:
    """A stage by its paper and name, such as ``li2022/training``."""
    paper, _, name = stage_id.partition("/")
    return stages(paper)[name]
