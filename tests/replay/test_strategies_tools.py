from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.replay.episode import NOTHING
from langchain_agentcost.replay.strategies.tool_schemas import tool_name, used_tools
from langchain_agentcost.replay.strategy import Session
from tests.replay.made import counted, episode, played, says, scene, schemas, sent, strategy, uses

TOOLS = schemas("get_order", "cancel_order", "search")


def _names(requests: Any) -> list[list[str]]:
    return [[tool_name(schema) for schema in request.tools.schemas] for request in requests]


def test_tools_that_no_earlier_run_used_are_left_out() -> None:
    """After so many runs only what they used is described, in the same order."""
    memory: dict[str, Any] = {}
    by = "prune_tools:after=2"
    runs = [episode(uses("search"), uses("get_order"), tools=TOOLS, name=f"run-{n}") for n in range(3)]
    described = [_names(sent(run, by, memory=memory))[0] for run in runs]
    assert described == [["get_order", "cancel_order", "search"]] * 2 + [["get_order", "search"]]


def test_a_call_of_a_tool_that_was_left_out_is_harm() -> None:
    """The run could not have made the call; later runs have the tool again."""
    memory: dict[str, Any] = {}
    by = "prune_tools:after=1"
    played(episode(uses("search"), tools=TOOLS), by, memory=memory)
    second = played(episode(uses("cancel_order"), uses("search"), tools=TOOLS), by, memory=memory)
    assert second.tally["missing_tool"] == 1
    third = played(episode(uses("cancel_order"), tools=TOOLS), by, memory=memory)
    assert third.tally["missing_tool"] == 0


def test_a_tool_that_was_never_described_was_not_left_out() -> None:
    """A call of a tool that the run was not sent is no harm of the pruning."""
    memory: dict[str, Any] = {}
    played(episode(uses("search"), tools=TOOLS), "prune_tools:after=1", memory=memory)
    outcome = played(episode(uses("made_up"), tools=TOOLS), "prune_tools:after=1", memory=memory)
    assert outcome.tally["missing_tool"] == 0
    assert played(episode(uses("search")), "prune_tools:after=1", memory=memory).tally["missing_tool"] == 0


def test_within_a_run_the_tools_stay_the_same() -> None:
    """What a run learns serves the next one: to change tools in a run would cost the whole prompt cache."""
    memory: dict[str, Any] = {}
    played(episode(uses("search"), tools=TOOLS), "prune_tools:after=1", memory=memory)
    run = episode(uses("search"), uses("cancel_order"), uses("search"), tools=TOOLS)
    assert _names(sent(run, "prune_tools:after=1", memory=memory)) == [["search"]] * 3


def test_where_nothing_is_left_out_nothing_is_saved() -> None:
    """A source that uses all of its tools comes out to the token as recorded."""
    memory: dict[str, Any] = {}
    run = episode(
        *(uses(name, recorded=counted(3000 + 100 * n)) for n, name in enumerate(map(tool_name, TOOLS))), tools=TOOLS
    )
    for _ in range(3):
        assert played(run, "prune_tools:after=1", memory=memory) == played(run)


def test_tools_of_the_same_names_are_not_the_same_tools() -> None:
    """Two runs of a source whose tools have other descriptions are each sent their own."""
    memory: dict[str, Any] = {}
    longer = tuple({**tool, "notes": "word " * 200} for tool in TOOLS)
    for tools in (TOOLS, longer, TOOLS, longer):
        [request, _] = sent(episode(uses("search"), says("Done."), tools=tools), "prune_tools:after=1", memory=memory)
        assert set(map(str, request.tools.schemas)) <= set(map(str, tools))


def test_the_oracle_describes_what_the_run_will_use() -> None:
    """With hindsight each run has its own tools, and none is missing."""
    run = episode(uses("search"), uses("cancel_order"), tools=TOOLS)
    assert _names(sent(run, "prune_tools_oracle")) == [["cancel_order", "search"]] * 2
    assert played(run, "prune_tools_oracle").tally["missing_tool"] == 0
    assert _names(sent(episode(says("Hi."), tools=TOOLS), "prune_tools_oracle")) == [[]]


@settings(deadline=None, max_examples=40)
@given(used=st.lists(st.sampled_from(["get_order", "cancel_order", "search"]), max_size=4), counted_=st.booleans())
def test_describing_less_never_costs_more(used: list[str], counted_: bool) -> None:
    """The oracle's prompts are never longer than the recorded ones, whether a provider counted them or not."""
    first = [uses(name, recorded=counted(5000) if counted_ else NOTHING) for name in used[:1]]
    run = episode(*first, *map(uses, used[1:]), says("Done."), tools=TOOLS)
    pruned, recorded = played(run, "prune_tools_oracle"), played(run)
    assert all(now <= before for now, before in zip(pruned.steps, recorded.steps, strict=True))


def test_names_of_tools_in_other_forms() -> None:
    """OpenAI nests the name, Anthropic does not, and what has none is no fault."""
    assert tool_name({"type": "function", "function": {"name": "a"}}) == "a"
    assert tool_name({"name": "b", "input_schema": {}}) == "b"
    assert tool_name({"function": "c", "name": "d"}) == "d"
    assert tool_name({}) == "None"


def test_used_tools_are_those_that_were_asked_for() -> None:
    """Each name once, whatever came of the calls."""
    assert used_tools(episode(uses("a"), uses("a", None), uses("b", failed=True), says("Done."))) == {"a", "b"}


def test_a_session_by_itself_changes_nothing() -> None:
    """What strategies are made of counts nothing and makes no calls of its own."""
    session = strategy("none").begin(scene(episode(says("Hi."))))
    assert type(session) is Session
    assert (session.tallied(), session.take_overhead()) == ({}, [])
