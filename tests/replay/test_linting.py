"""Recorded runs as lint's subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_agentcost.context.lint.linting import lint
from langchain_agentcost.replay.episode import NOTHING, Episode, Piece, Recorded, assemble
from langchain_agentcost.replay.linting import subjects
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

SYSTEM = "You are the clerk of a depot.\nBe brief.\nNever ship before noon.\nSay where the parcel is."


def tool(name: str, **more: Any) -> dict[str, Any]:
    """A tool."""
    return {"name": name, "description": f"Use {name}.", "input_schema": {"type": "object", "properties": {}}, **more}


TOOLS = (tool("track"), tool("cancel"))


def run(
    number: int, system: str = SYSTEM, *, tools: Sequence[dict[str, Any]] = TOOLS, told: Recorded = NOTHING, **more: Any
) -> Episode:
    """A run of two calls, of which the first asks for a tool."""
    asked = AIMessage("", tool_calls=[{"name": "track", "args": {}, "id": "1"}])
    messages: list[BaseMessage] = [SystemMessage(system), HumanMessage("Where is A7?"), asked, AIMessage("Bay 4.")]
    calls = assemble(messages, {2: told, 3: told})
    return Episode(f"r{number}", calls, tuple(tools), model="gpt-4.1", **more)


def test_runs_of_one_agent_are_one_subject() -> None:
    """Tools, system message, model, and how often each tool was called are told; nothing has changed."""
    [found] = subjects([run(number) for number in range(3)])
    assert (found.system, found.tools, found.model) == (SYSTEM, TOOLS, "gpt-4.1")
    assert found.seen is not None
    assert (found.seen.runs, found.seen.calls, found.seen.used) == (3, 6, {"track": 3})
    assert (found.seen.switches, found.seen.run_switches, found.seen.reordered, found.seen.cached) == (0, 0, 0, None)
    assert len(found.seen.prompts) == 6
    assert found.seen.prompts[0] < found.seen.prompts[1]


def test_a_system_message_that_changes_between_runs_is_counted() -> None:
    """A new name in each run is a switch of each run after the first."""
    [found] = subjects([run(number, f"{SYSTEM}\nYou help number {number}.") for number in range(4)])
    assert found.seen is not None
    assert (found.seen.run_switches, found.seen.switches, len(found.seen.systems)) == (3, 0, 4)


def test_a_system_message_that_changes_within_a_run_is_counted() -> None:
    """A clock that is written anew for each call is a switch of each call after the first."""
    one, two = (run(0, f"{SYSTEM}\nIt is 10:1{minute}.") for minute in (1, 2))
    mixed = replace(one, calls=(one.calls[0], two.calls[1]))
    [found] = subjects([mixed])
    assert found.seen is not None
    assert (found.seen.run_switches, found.seen.switches) == (0, 1)


def test_another_agent_is_another_subject() -> None:
    """A sub-agent with a system message of its own is no change of the first one's."""
    one, other = run(0), run(0, "Judge answers.\nBe strict.\nWrite a number.\nNothing else.")
    found = subjects([replace(one, calls=(one.calls[0], other.calls[0], one.calls[1]))])
    assert [subject.system for subject in found] == [SYSTEM, other.calls[0].messages[0].text]
    assert all(subject.seen is not None and not subject.seen.switches for subject in found)


def test_tools_in_another_order_are_counted() -> None:
    """The same tools in another order, or with other keys first, count; other tools do not."""
    turned = dict(reversed(TOOLS[0].items()))
    runs = [run(0), run(1, tools=TOOLS[::-1]), run(2, tools=(TOOLS[1], turned)), run(3, tools=(TOOLS[1], turned))]
    [found] = subjects(runs)
    assert found.seen is not None
    assert found.seen.reordered == 2
    apart = subjects([run(0), run(1, tools=(*TOOLS, tool("ship")))])
    assert len(apart) == 2


def test_the_same_agent_in_two_sources_is_one_subject() -> None:
    """Runs of two sources are added up, and nothing is compared between them."""
    [found] = subjects([run(0, source="a"), run(1, source="b")])
    assert found.seen is not None
    assert (found.seen.runs, found.name) == (2, "a, b")


def test_what_the_provider_counted_is_taken() -> None:
    """Recorded lengths are taken as they are, whether the cache served is told, and the counter learns the rest."""
    told = Recorded(Usage(400, 5, cache_read_tokens=100), knows_cache=True)
    counter = TokenCounter()
    [found] = subjects([run(number, told=told) for number in range(3)], counter=counter)
    assert found.seen is not None
    assert set(found.seen.prompts) == {400}
    assert found.seen.cached is True
    assert counter.factor("gpt-4.1") > 1
    told = replace(told, usage=Usage(400, 5))
    assert [one.seen and one.seen.cached for one in subjects([run(0, told=told)])] == [False]


def test_runs_without_texts_are_told() -> None:
    """A ledger's runs, of which only hashes are known, cannot be looked at, and say so."""
    hidden = run(0)
    hidden = replace(hidden, marks={id(message): Piece(b"", 9) for message in hidden.calls[0].history})
    [found] = subjects([hidden])
    assert "recorded without their texts" in found.unseen[0]
    assert lint(found).findings == ()
    assert subjects([]) == ()
