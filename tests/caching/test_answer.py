"""An answer as it is kept: nothing of it is lost, and what is not one is not read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, message_chunk_to_message

from langchain_agentcost.caching.answer import MARK, StoredAnswer, complete, of_a_model
from langchain_agentcost.caching.codec import dump_json, message_data
from langchain_agentcost.errors import Unreadable
from langchain_agentcost.saving import SparedCall
from langchain_agentcost.testing import FakeMeteredChatModel
from langchain_agentcost.usage import Usage

CALL = SparedCall(model="gpt-4.1", provider="openai", usage=Usage(1_000, 50, cache_read_tokens=128))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
CALLS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=3)


def added_up(answer: StoredAnswer) -> AIMessage:
    """What the pieces make."""
    first, *rest = answer.chunks({})
    whole: Any = first
    for piece in rest:
        whole += piece
    message = message_chunk_to_message(whole)
    assert isinstance(message, AIMessage)
    return message


@given(st.lists(st.text(), max_size=6), CALLS)
def test_pieces_add_up_to_the_answer(pieces: list[str], args: list[dict[str, Any]]) -> None:
    """Text, tool calls and everything else, after any way through bytes."""
    calls: Any = [{"name": f"t{n}", "args": one, "id": f"c{n}", "type": "tool_call"} for n, one in enumerate(args)]
    message = AIMessage("".join(pieces), tool_calls=calls, response_metadata={"finish_reason": "stop", "n": 1})
    answer = StoredAnswer.from_bytes(StoredAnswer(message, CALL, tuple(map(len, pieces))).to_bytes())
    whole, served = added_up(answer), answer.served({})
    assert (whole.content, whole.tool_calls) == (served.content, served.tool_calls) == (message.content, calls)
    assert whole.response_metadata == served.response_metadata == {"finish_reason": "stop", "n": 1, MARK: {}}
    assert answer.call == CALL
    if len(pieces) > 1:
        assert [chunk.text for chunk in answer.chunks({})] == pieces


@given(st.text(), st.lists(st.integers(-3, 9), max_size=5))
def test_pieces_that_do_not_fit_lose_nothing(text: str, lengths: list[int]) -> None:
    """Lengths that do not add up to the text, or that are below 0, give it whole."""
    answer = StoredAnswer(AIMessage(text), CALL, tuple(lengths))
    assert added_up(answer).content == text


def test_what_a_provider_adds_comes_back() -> None:
    """Reasoning, a refusal, blocks with citations, and a name."""
    message = AIMessage(
        [{"type": "text", "text": "Yes.", "annotations": [{"start": 0}]}, {"type": "reasoning", "id": "rs_1"}],
        additional_kwargs={"reasoning_content": "hm", "refusal": None},
        name="clerk",
    )
    answer = StoredAnswer.from_bytes(StoredAnswer(message, CALL).to_bytes())
    for said in (answer.served({}), added_up(answer)):
        assert (said.content, said.additional_kwargs, said.name) == (
            message.content,
            message.additional_kwargs,
            message.name,
        )


def test_each_serving_is_a_message_of_its_own() -> None:
    """What one caller does to it, the next one does not see."""
    answer = StoredAnswer(AIMessage("Hi", id="first"), CALL)
    one, other = answer.served({}), answer.served({})
    assert len({"first", one.id, other.id}) == 3
    one.response_metadata["seen"] = True
    assert "seen" not in other.response_metadata


def test_what_a_caller_changes_inside_of_an_answer_stays_with_that_caller() -> None:
    """Arguments of tool calls and blocks are not shared between those who wait for one call."""
    message = AIMessage([{"type": "text", "text": "Hi"}], tool_calls=[{"name": "t", "args": {"a": [1]}, "id": "1"}])
    answer = StoredAnswer(message, CALL)
    one, other = answer.served({}), answer.served({})
    one.tool_calls[0]["args"]["a"].append(2)
    one.content[0]["text"] = "Bye"  # type: ignore[index]
    assert other.tool_calls[0]["args"] == {"a": [1]}
    assert other.content == [{"type": "text", "text": "Hi"}]
    assert message.tool_calls[0]["args"] == {"a": [1]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        dump_json({"m": message_data(HumanMessage("Hi")), "c": {}, "p": []}),
        dump_json({"m": message_data(AIMessage("Hi")), "c": {"usage": {"input_tokens": -1}}, "p": []}),
        dump_json({"m": message_data(AIMessage("Hi")), "c": {"other": 1}, "p": []}),
        dump_json({"m": message_data(AIMessage("Hi")), "c": {}, "p": ["a"]}),
        dump_json({"m": message_data(AIMessage("Hi")), "c": [], "p": []}),
        dump_json({"m": message_data(AIMessage("Hi")), "c": {"usage": 3}, "p": []}),
        dump_json({"m": message_data(AIMessage("Hi")), "c": {"usage": {"input_tokens": None}}, "p": []}),
    ],
    ids=repr,
)
def test_what_is_no_answer_is_not_read(data: bytes) -> None:
    """It is one error, whatever is wrong with it."""
    with pytest.raises(Unreadable):
        StoredAnswer.from_bytes(data)


@given(st.binary(max_size=40))
def test_bytes_of_any_kind_raise_nothing_else(data: bytes) -> None:
    """Only what cannot be read."""
    with pytest.raises(Unreadable):
        StoredAnswer.from_bytes(data)


def test_a_model_signs_its_messages() -> None:
    """What is made up in its place has no id."""
    model = FakeMeteredChatModel()
    *_, last = model.stream("Hi")
    assert isinstance(last, AIMessageChunk)
    assert (of_a_model(model.invoke("Hi")), of_a_model(last), of_a_model(AIMessage("Hi"))) == (True, True, False)


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "end_turn", "STOP", "completed", None])
def test_an_answer_that_ended_as_it_should_is_complete(reason: str | None) -> None:
    """By whatever word a provider says so."""
    assert complete(AIMessage("Hi", response_metadata={"finish_reason": reason, "status": reason}))
