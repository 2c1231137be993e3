"""Steps of many plans as one: each once, inputs first, the longest chain before others."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from repro.graph import Graph
from repro.machine import facts
from repro.plan import Plan, Step
from tests.fakes import plan_of

FACTS = facts("cpu")


@st.composite
def commands(draw: st.DrawFn) -> tuple[list[Plan], dict[str, float]]:
    """Plans that share steps, and seconds of some of these."""
    num_steps = draw(st.integers(1, 12))
    steps: list[Step] = []
    for number in range(num_steps):
        needed = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        inputs = {str(one): str(one) for one in sorted(needed)}
        steps.append(Step(str(number), {}, 0, FACTS, inputs, {}, str(number)))
    plan, plans = plan_of(), []
    for last in draw(st.lists(st.integers(0, num_steps - 1), min_size=1, max_size=4)):
        kept, waiting = set(), [last]
        while waiting:
            key = waiting.pop()
            kept.add(key)
            waiting += [int(one) for one in steps[key].inputs.values()]
        own = tuple(steps[key] for key in sorted(kept))
        plans.append(replace(plan, steps=own))
    keys = st.sampled_from([step.key for step in steps])
    return plans, draw(st.dictionaries(keys, st.floats(0, 100)))


@given(commands(), st.randoms())
def test_each_step_comes_once_after_its_inputs_and_begins_the_longest_chain(
    command: tuple[list[Plan], dict[str, float]], chance: st.DataObject
) -> None:
    plans, seconds = command
    graph = Graph(plans, seconds)
    known = [seconds[key] for key in graph.steps if key in seconds]
    usual = sum(known) / len(known) if known else 1.0

    def chain(key: str) -> float:
        after = [chain(one.key) for one in graph.steps.values() if key in one.inputs.values()]
        return seconds.get(key, usual) + max(after, default=0.0)

    popped: list[str] = []
    done: set[str] = set()
    while len(done) < len(graph.steps):
        ready = {
            key
            for key, step in graph.steps.items()
            if key not in popped and set(step.inputs.values()) <= done
        }
        step = graph.pop()
        if step is None:
            assert not ready
            finished = chance.choice(sorted(set(popped) - done))
            done.add(finished)
            graph.done(finished)
            continue
        assert step.key in ready
        assert chain(step.key) >= max(map(chain, ready)) - 1e-9
        popped.append(step.key)
    assert sorted(popped) == sorted({step.key for plan in plans for step in plan.steps})
    assert graph.pop() is None


@given(commands())
def test_what_depends_on_a_step_is_all_that_a_failure_stops(
    command: tuple[list[Plan], dict[str, float]],
) -> None:
    plans, seconds = command
    graph = Graph(plans, seconds)
    for failed in graph.steps:
        unreachable = {failed}
        for key, step in graph.steps.items():  # inputs come first
            if unreachable & set(step.inputs.values()):
                unreachable.add(key)
        assert {step.key for step in graph.depends_on(failed)} == unreachable - {failed}


def test_a_step_that_is_put_back_comes_again() -> None:
    graph = Graph([plan_of()], {})
    step = graph.pop()
    assert step is not None
    assert graph.pop() is None
    graph.put_back(step)
    assert graph.pop() == step
