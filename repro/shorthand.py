"""``repro FIGURE …``, which is short for ``repro run FIGURE …``."""

from typing import Any

from typer.core import TyperGroup

from repro.errors import UsageError
from repro.manifests.library import Library
from repro.names import nearest
from repro.settings import Settings


class CommandsAndFigures(TyperGroup):
    """Commands, and figures in their place; for the shell's completion as well."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first word, which may be a figure instead."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        if not ctx.resilient_parsing:
            self._check(args[0])
        return "run", self.commands["run"], args

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Commands and figures that begin so."""
        ids = next(one for one in self.commands["run"].params if one.name == "ids")
        return super().shell_complete(ctx, incomplete) + ids.shell_complete(ctx, incomplete)

    def _check(self, word: str) -> None:
        library = Library(Settings.from_environment().manifests)
        try:
            library.resolve(word)
        except UsageError:
            close = nearest(word, [*self.commands, *library.names()])
            if not close or close[0] not in self.commands:
                raise
            text = f"no command or figure {word!r}; did you mean `{close[0]}`?"
            raise UsageError(text) from None
