"""A Progress that remembers, and one that is interrupted."""

from collections.abc import Mapping

import numpy as np

from ssbrepro.contract import Array


class Interruption(BaseException):
    """Stands for a kill: nothing in the code under test may catch it."""


class Memory:
    """Keeps copies of what is saved; raises right after a given number of saves."""

    def __init__(self, saves_until_interrupted: int | None = None) -> None:
        self.kept: dict[str, dict[str, Array]] = {}
        self.reports: list[tuple[int, int, str]] = []
        self.num_saves = 0
        self.saves_until_interrupted = saves_until_interrupted

    def report(self, done: int, total: int, activity: str) -> None:
        self.reports.append((done, total, activity))

    def save(self, name: str, state: Mapping[str, Array]) -> None:
        self.kept[name] = {key: np.array(value) for key, value in state.items()}
        self.num_saves += 1
        if self.num_saves == self.saves_until_interrupted:
            raise Interruption

    def restore(self, name: str) -> dict[str, Array] | None:
        if name not in self.kept:
            return None
        return {key: value.copy() for key, value in self.kept[name].items()}
