"""An answer as verifiers see it: what a model said, whether it comes as a message or as what was parsed of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage
from pydantic import BaseModel

from langchain_agentcost.canonical import as_json


def message_of(answer: Any) -> AIMessage | None:
    """Give the message of an answer, which `with_structured_output(include_raw=True)` has under "raw"; None for none.

    Example:
        >>> message_of({"raw": AIMessage("7"), "parsed": 7, "parsing_error": None}).content
        '7'
    """
    if isinstance(answer, Mapping) and "raw" in answer:
        answer = answer["raw"]
    return answer if isinstance(answer, AIMessage) else None


def parsed_of(answer: Any) -> Any:
    """Give what was parsed of an answer; None where nothing was, as for a plain message."""
    if isinstance(answer, Mapping) and {"raw", "parsed"} <= answer.keys():
        return answer["parsed"]
    return None if isinstance(answer, AIMessage) else answer


def proposed(answer: Any) -> Iterator[str]:
    """Give the names of the tools that an answer calls, those whose arguments cannot be read among them."""
    message = message_of(answer)
    if message is not None:
        yield from (str(call["name"]) for call in (*message.tool_calls, *message.invalid_tool_calls))


def as_text(answer: Any) -> str:
    """Write an answer for a judge to read: its text, its tool calls, or what was parsed of it.

    Example:
        >>> as_text(AIMessage("", tool_calls=[{"name": "find", "args": {"q": "x"}, "id": "1"}]))
        'Calls find({"q": "x"})'
    """
    parsed = parsed_of(answer)
    message = message_of(answer)
    if message is None or parsed is not None:
        return parsed if isinstance(parsed, str) else as_json(plain(parsed))
    calls = [f"Calls {call['name']}({as_json(call['args'])})" for call in message.tool_calls]
    broken = [f"Calls {call['name']} with arguments that are no JSON" for call in message.invalid_tool_calls]
    return "\n".join(line for line in (str(message.text), *calls, *broken) if line)


def plain(parsed: Any) -> Any:
    """Give a parsed answer as plain data."""
    return parsed.model_dump(mode="json") if isinstance(parsed, BaseModel) else parsed
