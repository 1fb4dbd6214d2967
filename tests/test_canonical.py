from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.canonical import as_json, canonical, digest


def _asks(key: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[ToolCall(name="look", args=args, id=key)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (HumanMessage("Hi", id="1"), HumanMessage("Hi", id="2")),
        (AIMessage("Hi", response_metadata={"model_name": "m"}), AIMessage("Hi")),
        (_asks("1", at=1, by=2), _asks("2", by=2, at=1)),
        (ToolMessage("7", tool_call_id="1"), ToolMessage("7", tool_call_id="2")),
        (
            HumanMessage([{"type": "text", "text": "Hi"}]),
            HumanMessage([{"text": "Hi", "type": "text"}]),
        ),
    ],
)
def test_what_changes_from_call_to_call_is_left_out(one: BaseMessage, other: BaseMessage) -> None:
    """Messages that say the same are equal, whatever their ids, metadata and order of keys."""
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (HumanMessage("Hi"), HumanMessage("Hi!")),
        (HumanMessage("Hi"), SystemMessage("Hi")),
        (_asks("1", at=1), _asks("1", at="1")),
        (_asks("1", at=1), AIMessage("")),
        (HumanMessage("Hi"), HumanMessage([{"type": "text", "text": "Hi"}])),
    ],
)
def test_what_a_model_reads_makes_a_difference(one: BaseMessage, other: BaseMessage) -> None:
    """Another text, role, argument or form of content is another message."""
    assert canonical(one) != canonical(other)


def _in_itself() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [{1: "a", "b": 2}, {(1, 2): "pair"}, _in_itself(), {"of": object}, float("nan"), b"\xff", "\ud800"]
)
def test_what_json_does_not_have_is_written_all_the_same(value: Any) -> None:
    """Mixed keys, tuples as keys, lists in themselves, bytes and half surrogates give a text that can be hashed."""
    assert digest(as_json(value)) == digest(as_json(value))


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none(), min_size=2))
def test_the_order_of_keys_says_nothing(value: dict[str, Any]) -> None:
    """Equal mappings are written equally, in whatever order they were filled."""
    assert as_json(value) == as_json(dict(reversed(value.items())))


def test_a_digest_is_blake2b_of_16_bytes() -> None:
    """The digest of the empty text is that of RFC 7693's function with 16 bytes, and a key changes it."""
    assert digest("").hex() == "cae66941d9efbd404e4d88758ea67670"
    assert digest("", key=b"secret") != digest("")
