"""A tool that changes things is decided on by the strong tier, before it runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool, tool

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routed import Routed
from langchain_agentcost.routing.constraints import unfit
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.risk_gate import ToolRiskGate
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.verdict import Verifier
from langchain_agentcost.testing import FakeMeteredChatModel

GATE = ToolRiskGate({"book_seat", "refund"}, reads={"find_seat"})
REQUEST = RouteRequest.of("Book 9A.", tools=("book_seat", "find_seat"))
TIERS = [Tier(name, FakeMeteredChatModel()) for name in ("small", "mid", "frontier")]


def _proposing(*tools: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": {}, "id": str(n)} for n, name in enumerate(tools)])


def _tool(name: str, **metadata: Any) -> BaseTool:
    return StructuredTool.from_function(lambda: "", name=name, description="d", metadata=metadata or None)


def test_a_draft_that_proposes_a_write_does_not_pass() -> None:
    """One write among reads is enough, and the reason names it."""
    verdict = GATE.check(REQUEST, _proposing("find_seat", "book_seat"), {})
    assert not verdict.accepted
    assert verdict.reasons == ("it proposes book_seat, which may change things",)


@pytest.mark.parametrize("answer", [AIMessage("Row nine is free."), _proposing("find_seat"), {"seat": "9A"}])
def test_a_draft_that_changes_nothing_passes(answer: Any) -> None:
    """Words, reads and parsed answers are taken from a weak tier."""
    assert GATE.check(REQUEST, answer, {}).accepted


async def test_async_code_gets_the_same_verdict() -> None:
    """The gate asks nobody, so it is one and the same in async code."""
    assert isinstance(GATE, Verifier)
    assert not (await GATE.acheck(REQUEST, _proposing("refund"), {})).accepted


def test_a_write_whose_arguments_cannot_be_read_is_a_write() -> None:
    """A broken call is not let through for being broken."""
    broken: Any = {"type": "invalid_tool_call", "name": "refund", "args": "{", "id": "1", "error": None}
    assert not GATE.check(REQUEST, AIMessage("", invalid_tool_calls=[broken]), {}).accepted


def test_a_raw_answer_beside_what_was_parsed_is_looked_at() -> None:
    """`include_raw=True` hides nothing."""
    assert not GATE.check(REQUEST, {"raw": _proposing("refund"), "parsed": None, "parsing_error": None}, {}).accepted


def test_weak_tiers_drop_out_where_a_write_is_forced() -> None:
    """A call that has to write goes to the strongest tier alone, and the reason says so."""
    forced = RouteRequest.of("Book 9A.", tools=("book_seat",), forced_tool="book_seat")
    why = "book_seat may change things, and only frontier decides on that"
    assert unfit(forced, TIERS, GATE) == {"small": why, "mid": why}


def test_no_tier_drops_out_where_a_read_is_forced_or_nothing_is() -> None:
    """Where the tool only reads, or the model may choose, all tiers stay."""
    read = RouteRequest.of("Is 9A free?", tools=("find_seat",), forced_tool="find_seat")
    assert unfit(read, TIERS, GATE) == unfit(REQUEST, TIERS, GATE) == {}


def test_a_tier_that_was_named_decides_too() -> None:
    """With `strong` a tier in the middle may decide on writes, by force and by its own proposal."""
    gate = ToolRiskGate({"book_seat"}, strong="mid")
    forced = RouteRequest.of("Book 9A.", forced_tool="book_seat")
    assert list(unfit(forced, TIERS, gate)) == ["small"]

    def asked(tier: str) -> RunnableConfig:
        return {"metadata": Routed(id="1", tier=tier, policy="step", role="judge", baseline="frontier").as_metadata()}

    assert gate.check(forced, _proposing("book_seat"), asked("mid")).accepted
    assert not gate.check(forced, _proposing("book_seat"), asked("small")).accepted


def test_structured_output_is_no_write() -> None:
    """The tool that only gives an answer its form changes nothing, even where all that is not named writes."""
    gate = ToolRiskGate(reads={"find_seat"})
    asked = RouteRequest.of("Extract.", schema="Invoice", forced_tool="Invoice")
    assert gate.dropped(asked, "small", "frontier") is None
    assert gate.check(asked, _proposing("Invoice"), {}).accepted


def test_with_reads_alone_every_other_tool_writes() -> None:
    """A list of what is safe holds for tools that nobody thought of; their names are the answer's own text."""
    verdict = ToolRiskGate(reads={"find_seat"}).check(REQUEST, _proposing("rm"), {})
    assert verdict.reasons == ("it proposes a tool that nobody has named, which may change things",)


def test_what_is_named_a_read_wins() -> None:
    """A tool in both lists reads."""
    assert not ToolRiskGate({"find"}, reads={"find"}).is_risky("find")


def test_mcp_annotations_are_read() -> None:
    """A server's hints say which tools read, in the metadata or in its annotations."""
    tools = [
        _tool("find", readOnlyHint=True),
        _tool("list", annotations={"readOnlyHint": True}),
        _tool("drop", annotations={"readOnlyHint": True, "destructiveHint": True}),
        _tool("save", readOnlyHint=False),
        {"type": "web_search"},
    ]
    gate = ToolRiskGate.of(tools)
    assert {name for name in ("find", "list", "drop", "save") if gate.is_risky(name)} == {"drop", "save"}


def test_what_is_named_wins_over_what_a_tool_says() -> None:
    """A server that is not believed is overruled, both ways."""
    tools = [_tool("find", readOnlyHint=True), _tool("save", destructiveHint=True)]
    gate = ToolRiskGate.of(tools, writes=["find"], reads=["save"], strong="mid")
    assert gate.is_risky("find")
    assert not gate.is_risky("save")
    assert gate.strong == "mid"


def test_a_tool_that_says_nothing_has_to_be_named() -> None:
    """Nothing is guessed from a tool's name or text: the error lists what is to be said."""

    @tool
    def wire(amount: int) -> str:
        """Send money."""
        return str(amount)

    schema = {"name": "look", "description": "d", "input_schema": {"type": "object", "properties": {}}}
    with pytest.raises(RoutingError, match="whether look, wire may change things"):
        ToolRiskGate.of([wire, schema])
    assert ToolRiskGate.of([wire, schema], writes=["wire"], reads=["look"]).is_risky("wire")


def test_agents_whose_tools_all_read_are_not_held_back() -> None:
    """With no write among the tools, a tool that comes later, such as a form for the answer, is no write."""
    assert not ToolRiskGate.of([_tool("find", readOnlyHint=True)]).is_risky("Invoice")


@pytest.mark.parametrize("wrong", [{}, {"writes": "book"}, {"reads": "find"}])
def test_a_gate_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """A gate without names, or with one text in place of names, is an error."""
    with pytest.raises(RoutingError, match=r"needs the names|not one text"):
        ToolRiskGate(**wrong)


async def test_behind_a_router_the_strong_tier_decides_on_what_the_small_one_proposes() -> None:
    """The small tier's write is never given out: the strong tier answers in its place; its read is."""
    small = FakeMeteredChatModel(answers=[_proposing("book_seat"), _proposing("find_seat")])
    frontier = FakeMeteredChatModel(answers=["Shall I book 9A?"])
    router = RouterRunnable([small, frontier], policy="small", risk_gate=GATE)
    router = router.bind_tools([_tool("book_seat"), _tool("find_seat", readOnlyHint=True)])
    wrote = await router.ainvoke("Book 9A.")
    assert (wrote.content, wrote.response_metadata["router"]["answered_by"]) == ("Shall I book 9A?", "frontier")
    read = router.invoke("Book 9A.")
    assert [call["name"] for call in read.tool_calls] == ["find_seat"]
    assert len(frontier.prompts) == 1


STEPS = st.lists(st.sampled_from(["find_seat", "book_seat", "refund", "say"]), min_size=1, max_size=12)


@given(STEPS)
def test_no_write_of_an_episode_is_decided_on_by_the_weak_tier_alone(steps: list[str]) -> None:
    """A rule that sends every step after a tool's result to the small tier lets it write; behind the gate, never."""
    history: list[BaseMessage] = [HumanMessage("Please.")]
    ungated, gated, escalated = [], [], 0
    for step in steps:
        tier = "small" if isinstance(history[-1], ToolMessage) else "frontier"
        answer = AIMessage("Done.") if step == "say" else _proposing(step)
        wrote = step in ("book_seat", "refund")
        request = RouteRequest.of(history, tools=("book_seat", "find_seat", "refund"))
        passed = tier == "frontier" or GATE.check(request, answer, {}).accepted
        escalated += not passed
        if wrote:
            ungated.append(tier)
            gated.append(tier if passed else "frontier")
        history.extend([answer, HumanMessage("And?") if step == "say" else ToolMessage("ok", tool_call_id="0")])
    assert set(gated) <= {"frontier"}
    assert escalated == ungated.count("small")
