"""Answers that were cut, and the calls in them."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk

from langchain_agentcost.context.output.cut import raised_cut, was_cut, without_calls

CALL = tool_call(name="refund", args={"order": "A-1"}, id="call-1")


@pytest.mark.parametrize(
    "metadata",
    [
        {"finish_reason": "length"},
        {"finish_reason": "MAX_TOKENS"},
        {"stop_reason": "max_tokens"},
        {"stop_reason": "model_context_window_exceeded"},
        {"stopReason": "max_tokens"},
        {"done_reason": "length"},
        {"incomplete_details": {"reason": "max_output_tokens"}, "status": "incomplete"},
    ],
)
def test_every_providers_word_for_it_is_known(metadata: dict[str, Any]) -> None:
    """OpenAI, Google, Anthropic, Bedrock, Ollama and the Responses API each say it in their way."""
    assert was_cut(AIMessage("It is", response_metadata=metadata))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"finish_reason": "stop"},
        {"finish_reason": None},
        {"stop_reason": "tool_use"},
        {"incomplete_details": None},
        {"incomplete_details": {"reason": "content_filter"}},
        {"finish_reason": ["length"]},
    ],
)
def test_an_answer_that_ended_was_not_cut(metadata: dict[str, Any]) -> None:
    """Other reasons, none, and what is no reason at all are not taken for it."""
    assert not was_cut(AIMessage("It is", response_metadata=metadata))


def test_calls_of_a_cut_answer_are_gone_from_every_place() -> None:
    """No tool node finds one, and no client sends one again without its result."""
    message = AIMessage(
        [{"type": "text", "text": "I cancel it."}, {"type": "tool_use", "id": "call-1", "name": "refund", "input": {}}],
        tool_calls=[CALL],
        invalid_tool_calls=[invalid_tool_call(name="refund", args='{"or', id="call-2", error=None)],
        additional_kwargs={"tool_calls": [{"id": "call-1"}], "other": 1},
        response_metadata={"stop_reason": "max_tokens"},
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        id="m-1",
    )
    safe = without_calls(message)
    assert not safe.tool_calls
    assert not safe.invalid_tool_calls
    assert safe.content == [{"type": "text", "text": "I cancel it."}]
    assert safe.additional_kwargs == {"other": 1}
    assert (safe.id, safe.usage_metadata) == (message.id, message.usage_metadata)
    assert [call["id"] for call in safe.response_metadata["agentcost_cut_calls"]] == ["call-1", "call-2"]
    assert message.tool_calls == [CALL]


@pytest.mark.parametrize("content", ["", [{"type": "thinking", "thinking": "Hm."}, {"type": "tool_use", "id": "x"}]])
def test_an_answer_without_text_says_why_it_is_empty(content: Any) -> None:
    """An agent that ends there does not end in silence, and no reasoning is sent without what it led to."""
    safe = without_calls(AIMessage(content, tool_calls=[CALL]))
    assert "cut" in safe.text
    assert isinstance(safe.content, str)


def test_an_answer_without_calls_stays_the_very_message() -> None:
    """Nothing is rewritten where there is nothing to take out."""
    message = AIMessage("It is", response_metadata={"finish_reason": "length"})
    assert without_calls(message) is message


def test_a_streamed_answer_loses_its_calls_too() -> None:
    """Chunks make their calls anew from the pieces; what comes out is a plain message without them."""
    chunk = AIMessageChunk(
        content="", tool_call_chunks=[tool_call_chunk(name="refund", args='{"order": "A', id="call-1", index=0)]
    )
    assert chunk.tool_calls
    assert not without_calls(chunk).tool_calls


def test_only_errors_that_say_it_are_taken_for_a_cut() -> None:
    """A time-out or a parse error of a whole answer is the caller's to handle."""

    class Parsed(Exception):
        def __init__(self, message: AIMessage) -> None:
            self.ai_message = message

    assert raised_cut(Parsed(AIMessage("{", response_metadata={"finish_reason": "length"})))
    assert not raised_cut(Parsed(AIMessage("{")))
    assert not raised_cut(TimeoutError())
