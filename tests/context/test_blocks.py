"""Blocks keep calls and results together, whatever a history looks like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_agentcost.context.blocks import BlockKind, blocks, is_pinned, orphans, pin, validate
from tests.context.strategies import growing


def asked(*ids: str | None, bad: tuple[str, ...] = (), content: Any = "") -> AIMessage:
    """An answer that calls by these ids."""
    return AIMessage(
        content,
        tool_calls=[{"name": "look", "args": {}, "id": one} for one in ids],
        invalid_tool_calls=[{"name": "look", "args": "{", "id": one, "error": "no JSON"} for one in bad],
    )


def got(call: str) -> ToolMessage:
    """A result."""
    return ToolMessage("Bay 4.", tool_call_id=call)


def shape(messages: list[BaseMessage]) -> list[tuple[str, int]]:
    """The blocks by kind and length."""
    return [(block.kind.value, len(block.messages)) for block in blocks(messages)]


def test_siblings_in_any_order_are_one_block() -> None:
    """Three calls and their results, the last one first."""
    assert shape([asked("a", "b", "c"), got("c"), got("a"), got("b"), HumanMessage("")]) == [("ai", 4), ("human", 1)]


def test_what_comes_between_belongs_to_the_block() -> None:
    """A user who speaks before the second result, and an answer whose results come late."""
    assert shape([asked("a", "b"), got("a"), HumanMessage("Stop."), got("b")]) == [("ai", 4)]
    assert shape([asked("a"), asked("b"), got("a"), got("b"), AIMessage("")]) == [("ai", 4), ("ai", 1)]


def test_a_result_belongs_to_the_latest_call_of_its_id() -> None:
    """Ids that are used again do not join blocks."""
    assert shape([asked("a"), got("a"), asked("a"), got("a")]) == [("ai", 2), ("ai", 2)]


def test_invalid_calls_and_those_at_the_provider_count() -> None:
    """Their results have a call, and they wait as others do."""
    server = [{"type": "server_tool_use", "id": "s", "name": "search", "input": {}}]
    done = [*server, {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}]
    assert shape([asked(bad=("x",)), got("x")]) == [("ai", 2)]
    assert blocks([asked(content=server)])[0].waiting == ("s",)
    assert blocks([asked(content=done)])[0].waiting == ()


def test_calls_without_a_result_wait() -> None:
    """Only those that have none."""
    assert blocks([asked("a", "b"), got("a")])[0].waiting == ("b",)


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([got("a")], "message 0: the result of call a has no call before it."),
        ([asked("a"), got("a"), got("a")], "message 2: call a has a second result."),
        ([asked("a"), HumanMessage("")], "message 0: call a has no result."),
        ([asked("a", "b"), got("a"), AIMessage("")], "message 0: call b has no result."),
    ],
)
def test_faults(messages: list[BaseMessage], fault: str) -> None:
    """Each is a sentence that names the message."""
    assert validate(messages) == (fault,)


def test_what_is_no_fault() -> None:
    """Nothing, a call that was just made, and one of which a sibling has its result."""
    for sound in ([], [asked("a")], [asked("a", "b"), got("b")], [asked(None)]):
        assert validate(sound) == ()


def test_kinds() -> None:
    """Each message has one; what nobody knows is other."""
    history = [SystemMessage(""), HumanMessage(""), AIMessage(""), got("x"), ChatMessage(content="", role="critic")]
    assert [block.kind for block in blocks(history)] == list(BlockKind)


def test_a_pin_is_on_a_copy_and_holds_for_the_block() -> None:
    """The message itself stays as it is, and so do other notes on it."""
    plain = HumanMessage("Hi", additional_kwargs={"agentcost": {"other": 1}, "mine": 2})
    pinned = pin(plain)
    assert is_pinned(pinned)
    assert not is_pinned(plain)
    assert pinned.additional_kwargs == {"agentcost": {"other": 1, "pin": True}, "mine": 2}
    assert blocks([asked("a"), pin(got("a"))])[0].pinned
    assert not is_pinned(HumanMessage("", additional_kwargs={"agentcost": "text"}))


def test_orphans_are_the_results_without_a_call() -> None:
    """They are given themselves."""
    lost = got("b")
    assert orphans([asked("a"), got("a"), lost]) == [lost]


@given(growing())
@settings(max_examples=50, deadline=None)
def test_every_message_is_in_one_block(turns: list[list[BaseMessage]]) -> None:
    """Blocks follow each other without a gap, and leaving any of them out makes no orphan."""
    history = [message for turn in turns for message in turn]
    divided = blocks(history)
    assert [message for block in divided for message in block.messages] == history
    assert [block.start for block in divided[1:]] == [block.end for block in divided[:-1]]
    before = {id(one) for one in orphans(history)}
    for left_out in divided:
        rest = history[: left_out.start] + history[left_out.end :]
        extra = [one for one in orphans(rest) if id(one) not in before]
        assert extra == []
