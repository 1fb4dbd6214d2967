"""Answers that were cut, and the tool calls in them, which must not run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import invalid_tool_call

REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "incomplete_details")
"""Where providers say why an answer ended: OpenAI and most, Anthropic, Bedrock, Ollama, OpenAI's Responses API."""

CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"})
"""What they say of one that was cut, in lower case: by a cap, or because the context window was full."""

_CALL_BLOCKS = frozenset({"tool_use", "tool_call", "tool_call_chunk", "function_call", "input_json_delta"})
"""Blocks of a message's content that are calls of our tools; `server_tool_use` was run by the provider already."""

_CALL_KWARGS = frozenset({"tool_calls", "function_call"})


def was_cut(message: AIMessage) -> bool:
    """Tell whether an answer was cut by a cap or by the end of the context window.

    Args:
        message: The answer.

    Example:
        >>> was_cut(AIMessage("It was", response_metadata={"stop_reason": "max_tokens"}))
        True
    """
    return any(_says_cut(message.response_metadata.get(name)) for name in REASONS)


def raised_cut(error: BaseException) -> bool:
    """Tell whether what was raised is that an answer was cut.

    OpenAI's client raises where an answer that it parses was cut, and `create_agent` where a structured answer does not
    parse, which one that was cut does not.

    Args:
        error: What was raised.
    """
    answer = getattr(error, "ai_message", None)
    return type(error).__name__ == "LengthFinishReasonError" or (isinstance(answer, AIMessage) and was_cut(answer))


def without_calls(message: AIMessage, *, keep: Collection[str] = ()) -> AIMessage:
    """Take the tool calls out of an answer that was cut, so that none of them runs.

    Clients complete broken JSON: a call that was cut looks like a whole one with fewer or shorter arguments. Which of
    several were whole cannot be told, so all of them go. What is left of them is in `response_metadata`, under
    "agentcost_cut_calls": as `invalid_tool_calls` clients would send them again, and providers refuse a call without a
    result. An answer that has no text says why, and loses the reasoning too, which providers refuse alone.

    Args:
        message: The answer; it is not changed.
        keep: Ids of calls that stay, as they have their results already.

    Returns:
        The same message where there is nothing to take out, else one without those calls.
    """
    calls = [call for call in (*message.tool_calls, *message.invalid_tool_calls) if call["id"] not in keep]
    if not calls:
        return message
    kept = [call for call in message.tool_calls if call["id"] in keep]
    said = {key: value for key, value in message.additional_kwargs.items() if key not in _CALL_KWARGS}
    broken = [invalid_tool_call(name=c["name"], args=str(c["args"]), id=c["id"], error=_WHY) for c in calls]
    # Not by model_copy: AIMessageChunk would make its calls anew from the chunks.
    return AIMessage(
        _content(message, keep) if kept or message.text.strip() else _NOTE,
        tool_calls=kept,
        additional_kwargs=said,
        response_metadata={**message.response_metadata, "agentcost_cut_calls": broken},
        usage_metadata=message.usage_metadata,
        name=message.name,
        id=message.id,
    )


_WHY = "The answer was cut in the middle, so its tool calls were not run."
_NOTE = "[The answer was cut before it was complete; its tool calls were not run.]"


def _says_cut(reason: object) -> bool:
    if isinstance(reason, Mapping):
        reason = reason.get("reason")
    return isinstance(reason, str) and reason.lower() in CUT


def _content(message: AIMessage, keep: Collection[str]) -> Any:
    """What the answer said, without the blocks that are calls which go."""
    if isinstance(message.content, str):
        return message.content
    return [block for block in message.content if not _is_call(block) or _id_of(block) in keep]


def _is_call(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") in _CALL_BLOCKS


def _id_of(block: Any) -> Any:
    return block.get("call_id") or block.get("id")
