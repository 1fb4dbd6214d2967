from dataclasses import dataclass
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langgraph.types import Command, Send

from langchain_agentcost.context.references.results import history, messages_in, with_messages
from langchain_agentcost.context.references.texts import only_text, texts_of, with_texts

LONG, SHORT = ToolMessage("long", tool_call_id="1"), ToolMessage("short", tool_call_id="1")
IMAGE = {"type": "image", "url": "https://example.org/a.png"}


def test_messages_are_found_in_whatever_a_tool_gives() -> None:
    """A message, a command in each of its forms, a list of both; and they are put back in their places."""
    commands = [
        Command(update={"messages": [HumanMessage("x"), LONG], "bay": 4}, goto="next"),
        Command(update=[("messages", [LONG]), ("bay", 4)]),
        Command(update=[LONG]),
        Command(update=LONG),
    ]
    for result in (LONG, [LONG], *commands):
        assert messages_in(result) == [LONG]
        assert messages_in(with_messages(result, [SHORT])) == [SHORT]
    made = with_messages(commands[0], [SHORT])
    assert made == Command(update={"messages": [HumanMessage("x"), SHORT], "bay": 4}, goto="next")
    assert messages_in(commands[0]) == [LONG]
    assert len(messages_in([LONG, commands[0], commands[1]])) == 3


def test_what_has_no_messages_stays() -> None:
    """A command that only goes somewhere, or anything that is no result."""
    rest: list[Any] = [Command(goto=Send("next", {"a": 1})), Command(update=None), Command(update="x"), "text", None, 7]
    for result in rest:
        assert messages_in(result) == []
        assert with_messages(result, []) == result


def test_the_history_is_found_in_any_state() -> None:
    """A mapping, an object, the list itself; and none is an empty one."""

    @dataclass
    class State:
        messages: list[ToolMessage]

    some: list[Any] = [{"messages": [LONG]}, State([LONG]), [LONG]]
    none: list[Any] = [{}, None, 7, {"messages": None}, {"messages": ["x"]}]
    for state in some:
        assert list(history(state)) == [LONG]
    for state in none:
        assert list(history(state)) == []


def test_texts_are_replaced_and_all_else_stays() -> None:
    """Blocks of text in either form; images keep their places, and left over texts go."""
    message = ToolMessage(["a", IMAGE, {"type": "text", "text": "b", "id": "7"}, {"type": "text"}], tool_call_id="1")
    assert texts_of(message) == ["a", "b"]
    assert with_texts(message, ["x", "y"]).content == [
        "x",
        IMAGE,
        {"type": "text", "text": "y", "id": "7"},
        {"type": "text"},
    ]
    assert with_texts(message, ["x"]).content == ["x", IMAGE, {"type": "text"}]
    assert not only_text(message)
    assert only_text(LONG)
    assert only_text(ToolMessage(["a", {"type": "text", "text": "b"}], tool_call_id="1"))
