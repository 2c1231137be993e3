"""A Progress that remembers, and one that is interrupted."""

from collections.abc import Callable, Mapping
from typing import Self

import numpy as np
import pytest

from ssbrepro.contract import Array, Result


class Interruption(BaseException):
    """Stands for a kill: nothing in the code under test may catch it."""


class Memory:
    """Keeps copies of what is saved; raises right after a given number of saves."""

    def __init__(self, saves_until_interrupted: int | None = None) -> None:
        self.kept: dict[str, dict[str, Array]] = {}
        self.reports: list[tuple[int, int, str]] = []
        self.saves: list[tuple[str, dict[str, Array]]] = []
        self.saves_until_interrupted = saves_until_interrupted

    @property
    def num_saves(self) -> int:
        return len(self.saves)

    def report(self, done: int, total: int, activity: str) -> None:
        self.reports.append((done, total, activity))

    def save(self, name: str, state: Mapping[str, Array]) -> None:
        self.kept[name] = {key: np.array(value) for key, value in state.items()}
        self.saves.append((name, self.kept[name]))
        if self.num_saves == self.saves_until_interrupted:
            raise Interruption

    def restore(self, name: str) -> dict[str, Array] | None:
        if name not in self.kept:
            return None
        return {key: value.copy() for key, value in self.kept[name].items()}

    def after(self, num_saves: int) -> Self:
        """What there was when so many saves had been made."""
        earlier = type(self)()
        for name, state in self.saves[:num_saves]:
            earlier.save(name, state)
        return earlier


def bytes_of(arrays: Mapping[str, Array]) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in arrays.items()}


def assert_continues(
    measure: Callable[[Memory], Result], expected: Result, whole: Memory, first: int = 1
) -> None:
    """That a measurement comes to the same bytes, however often it is interrupted.

    It begins with what the first saves left, and is interrupted right after each that follows. Since
    nothing finished may be done again, all this together costs what was not finished at first.

    Args:
        measure: The measurement, given its progress.
        expected: What it comes to at once.
        whole: What it saved and reported then.
        first: After how many saves it is interrupted for the first time.
    """
    progress = whole.after(first)
    for saves in range(first + 1, whole.num_saves + 1):
        progress.saves_until_interrupted = saves
        with pytest.raises(Interruption):
            measure(progress)
    continued = measure(progress)
    assert progress.num_saves == whole.num_saves
    assert continued.numbers == expected.numbers
    assert bytes_of(continued.arrays) == bytes_of(expected.arrays)
    for name, state in whole.kept.items():
        assert bytes_of(progress.kept[name]) == bytes_of(state), name
