"""The changes that nothing can notice, listed in ``equivalent.yaml``."""

from pathlib import Path
from typing import NamedTuple

import yaml

_LIST = Path(__file__).parent / "equivalent.yaml"


class Listed(NamedTuple):
    """A change that changes nothing that is computed.

    Args:
        module: Relative to the checkout.
        function: In whose body it is, or the class; empty outside of any.
        before: The lines that are changed, without their layout.
        after: The same, changed.
        why: What makes the two the same.
    """

    module: str
    function: str
    before: str
    after: str
    why: str


def plain(text: str) -> str:
    """A text without its layout."""
    return " ".join(text.split())


def listed() -> list[Listed]:
    """All of them."""
    return [Listed(**one) for one in yaml.safe_load(_LIST.read_text("utf-8"))]


def entry(module: str, function: str, before: str, after: str) -> str:
    """What is to be written into the list, but for the reason."""
    one = Listed(module, function, before, after, "…")
    return yaml.safe_dump([one._asdict()], allow_unicode=True, sort_keys=False, width=1000).rstrip()
