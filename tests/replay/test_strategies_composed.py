"""The composed default: its parts, in their order, and that they add up."""

from __future__ import annotations

from langchain_agentcost.replay import Fidelity
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.run import run
from langchain_agentcost.replay.sizes import Toolset
from langchain_agentcost.replay.strategies.composed import (
    FEATURES,
    ComposedLossless,
    ReadBack,
    in_order,
    lossless_parts,
)
from tests.replay.made import counted, episode, played, scene, schemas, sent, strategy, uses

ROWS = "[" + ", ".join(f'{{"name": "row {n}", "pence": {n}}}' for n in range(60)) + "]"


def steps(count: int, *, result: str = ROWS) -> list[object]:
    """Calls of a tool that gives a table."""
    return [uses("list_prices", f"{result[:-1]} ]", page=n, recorded=counted(3_000 + 1_200 * n)) for n in range(count)]


RUN = episode(*steps(6), tools=schemas("list_prices"))  # type: ignore[arg-type]


def test_features_come_the_most_certain_first() -> None:
    """What is proven is told before what rests on it."""
    order = list(Fidelity)
    places = [order.index(feature.strategy.fidelity) for feature in FEATURES]
    assert places == sorted(places)


def test_each_step_of_the_ladder_has_the_features_up_to_it() -> None:
    """The last one is the whole."""
    ladder = [combined.parts for _, combined in in_order()]
    assert [len(parts) for parts in ladder] == [1, 2, 3, 4, 5]
    assert ladder[-1] == tuple(feature.strategy for feature in FEATURES)


def test_the_whole_costs_what_its_parts_cost_together() -> None:
    """`composed` and the last step of the ladder are billed the same, and so are the lossless ones."""
    ladder = {feature.name: run(scene(RUN), combined).on_nano for feature, combined in in_order()}
    assert played(RUN, "composed").on_nano == ladder["eviction, read back"]
    assert played(RUN, "composed_lossless").on_nano == ladder["lossless context"] < played(RUN).on_nano


def test_the_lossless_part_loses_nothing() -> None:
    """It has only features of the same information or better, and says so itself."""
    assert max(list(Fidelity).index(part.fidelity) for part in lossless_parts()) == list(Fidelity).index(
        ComposedLossless.fidelity
    )
    assert played(RUN, "composed_lossless").tally["dangling_steps"] == 0


def test_a_run_that_gets_nowhere_is_stopped_and_the_rest_is_not_touched() -> None:
    """Twelve times the same call with the same result ends at the eighth; another run is sent whole."""
    stuck = episode(*[uses("get_order", "none", recorded=counted(1_000)) for _ in range(12)])
    for name in ("composed", "composed_lossless"):
        outcome = played(stuck, name)
        assert outcome.stopped == "identical_calls"
        assert outcome.calls < 12
    assert len(sent(RUN, "composed")) == len(RUN.calls)
    assert strategy("composed").fidelity is Fidelity.OPEN_LOOP


def test_what_was_taken_out_and_is_needed_again_is_read_back_and_paid() -> None:
    """A literal of a result that is no longer sent costs one more call with the whole result; its step is counted."""
    made = scene(episode(uses("find", "order W-778899 is in the mill"), uses("cancel", order="W-778899")))
    session, calls = ReadBack().begin(made), made.episode.calls
    tools = Toolset(made.episode.tools)
    whole, cut = (Request(tools, messages) for messages in (calls[1].messages, calls[1].messages[:2]))
    assert session.before(calls[1], whole) is whole
    assert session.take_overhead() == []
    assert session.before(calls[1], cut) is cut
    [fetched] = session.take_overhead()
    prompt, result = made.sizes.tokens(tools, cut.messages), made.sizes.of(calls[1].messages[-1]).tokens
    assert (fetched.input_tokens, fetched.read_tokens) == (prompt + result, prompt)
    assert session.tallied()["fetches"] == 1


def test_the_agents_own_words_cannot_be_read_back() -> None:
    """What stood only in what the agent or the user wrote is not kept: nothing is charged for it."""
    made = scene(episode(uses("note", text="W-778899"), uses("cancel", order="W-778899")))
    session, call = ReadBack().begin(made), made.episode.calls[1]
    session.before(call, Request(Toolset(made.episode.tools), call.messages[:2]))
    assert session.take_overhead() == []
