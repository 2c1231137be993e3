"""The directive ``{modules} PACKAGE``: what the docstrings of its modules say, a section each."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

# Of formulas: as in "(batch, *shape)" and "|x|", which is no emphasis and no substitution.
_MARKUP = re.compile(r"(``.*?``)|([|]|\*(?=\w[^*]*$))")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("modules", _Modules)
    app.connect("autodoc-process-docstring", _keep_formulas)
    app.connect("autodoc-skip-member", _skips)
    app.connect("missing-reference", _by_last_name)
    return {"parallel_read_safe": True}


def _keep_formulas(
    app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]
) -> None:
    lines[:] = [_MARKUP.sub(lambda m: m[1] or f"\\{m[2]}", line) for line in lines]


def _skips(
    app: Sphinx, what: str, name: str, found: object, skip: bool, options: object
) -> bool | None:
    """Fields of named tuples: the class's own docstring says what they are."""
    return True if type(found).__name__ == "_tuplegetter" else None


def _by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """What a docstring or an annotation names without its module, where only one thing has the name.

    So are found names that a package hands on, which are documented where they are defined.
    """
    if node.get("refdomain") != "py":
        return None
    last = str(node["reftarget"]).rpartition(".")[2]
    objects = env.domains.python_domain.objects
    found = [name for name in objects if name.rpartition(".")[2] == last]
    if len(found) != 1:
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, text)


class _Modules(SphinxDirective):
    """Of a package itself, of its modules and of its packages' modules."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        modules = _modules(self.arguments[0])
        text = "\n\n".join(_section(module) for module in modules)
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _modules(name: str) -> Iterator[ModuleType]:
    module = importlib.import_module(name)
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield from _modules(f"{name}.{found.name}")


def _section(module: ModuleType) -> str:
    """A module's own functions and classes; what a package hands on is named with a link."""
    name = module.__name__
    handed_on = [
        f"{{py:obj}}`{word} <{found.__module__}.{word}>`"
        for word in getattr(module, "__all__", ())
        if getattr(found := getattr(module, word), "__module__", name) != name
    ]
    return "\n".join(
        [
            f"## `{name}`",
            "```{eval-rst}",
            f".. automodule:: {name}",
            "   :members:",
            "   :ignore-module-all:",
            "```",
            f"To be imported from here: {', '.join(handed_on)}." if handed_on else "",
        ]
    )
