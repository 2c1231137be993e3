"""Changes to a module, one at a time, by the operators of Cosmic Ray.

mutmut, its like, changes no decorated function, so no property, and nothing outside of functions; it
rewrites each function into a switch between its variants, and keys are made of what functions say.
"""

import ast
import difflib
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from mutants.equivalent import plain

_Position = tuple[int, int]  # line, from 1, and column


class Mutation(NamedTuple):
    """A change to a module.

    Args:
        function: In whose body it is, or the class; empty outside of any.
        before: The lines that are changed, without their layout.
        after: The same, changed.
        source: The whole module, changed.
    """

    function: str
    before: str
    after: str
    source: str


def mutations(source: str, seed: str) -> Iterator[Mutation]:
    """All changes to a module, in an order that the seed draws: one at each place, then a second, ….

    So no place comes more often for having more operators. Types and what classes are declared
    to be, such as frozen, are left alone: they are mypy's, and nothing is computed from them.
    """
    generator = random.Random(seed)
    left_alone = list(_left_alone(source))
    nodes = list(ast_nodes(get_ast(source)))
    places = defaultdict(list)
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments():  # wants names of variables of this module
            continue
        found = (
            (node, position)
            for node in nodes
            for position, _ in operator().mutation_positions(node)
        )
        for occurrence, (node, position) in enumerate(found):
            if not any(start <= position < end for start, end in left_alone):
                function = ASTQuery(node).get_definition_name() or ""
                places[position].append((operator, occurrence, function))
    rounds = defaultdict(list)
    for choices in places.values():
        for number, choice in enumerate(generator.sample(choices, len(choices))):
            rounds[number].append(choice)
    same = ast.dump(ast.parse(source))
    for _, choices in sorted(rounds.items()):
        for operator, occurrence, function in generator.sample(choices, len(choices)):
            changed = mutate_code(source, operator(), occurrence)
            if changed is not None and _differs(changed, same):
                yield Mutation(function, *_difference(source, changed), changed)


def _left_alone(source: str) -> Iterator[tuple[_Position, _Position]]:
    for node in ast.walk(ast.parse(source)):
        found = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.ClassDef):
            found += [one for one in node.decorator_list if isinstance(one, ast.Call)]
        for one in found:
            if one is not None:
                yield (one.lineno, one.col_offset), (one.end_lineno, one.end_col_offset)


def _differs(changed: str, same: str) -> bool:
    try:
        return ast.dump(ast.parse(changed)) != same
    except SyntaxError:
        return False


def _difference(source: str, changed: str) -> tuple[str, str]:
    old, new = source.splitlines(), changed.splitlines()
    gone, come = [], []
    for _, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if old[a:b] != new[c:d]:
            gone += old[a:b]
            come += new[c:d]
    return plain("\n".join(gone)), plain("\n".join(come))
