"""The directive ``{commands}``: every command of ``repro`` with its arguments and options."""

from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from markup import code, paragraph, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.core import TyperCommand, TyperGroup

from repro.cli import app as command_line


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.add_directive("commands", _Commands)
    return {"parallel_read_safe": True}


class _Commands(SphinxDirective):
    """A section for each command, as ``--help`` has it."""

    def run(self) -> list[nodes.Node]:
        group = typer.main.get_command(command_line)
        assert isinstance(group, TyperGroup)
        return [_section(name, command) for name, command in _commands("repro", group)]


def _commands(name: str, group: TyperGroup) -> Iterator[tuple[str, TyperCommand]]:
    for word, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(f"{name} {word}", command)
        else:
            assert isinstance(command, TyperCommand)
            yield f"{name} {word}", command


def _section(name: str, command: TyperCommand) -> nodes.section:
    made = nodes.section(ids=[nodes.make_id(name)], names=[name])
    made += nodes.title(name, "", code(name))
    made += [paragraph(" ".join(text.split())) for text in (command.help or "").split("\n\n")]
    context = command.make_context(name, [], resilient_parsing=True)
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [(code(written), " ".join(text.split())) for written, text in filter(None, records)]
    if rows:
        made += table(("argument or option", "what it does"), rows)
    return made
