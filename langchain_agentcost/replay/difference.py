"""In what a request differs from the one that was expected, said without a word of either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import zip_longest
from operator import is_
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import key_of, key_of_tools

Schemas = tuple[Mapping[str, Any], ...]


def difference(expected: Request, asked: Request, key: Callable[[BaseMessage], bytes] = key_of) -> str | None:
    """Say what the first difference of two requests is. Ids and metadata are none; the order of tools is one.

    Args:
        expected: What should be sent.
        asked: What is sent. Its messages are hashed here, whatever was known of them before.
        key: Gives the key of an expected message, for callers that have it at hand.

    Returns:
        A part of a sentence with positions from 1, types and lengths; None where the two are equal.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> from langchain_agentcost.replay.sizes import Toolset
        >>> before, now = (Request(Toolset(()), (HumanMessage(text),)) for text in ("Hi there", "Hi, there"))
        >>> difference(before, now)
        'message 1 of 1 (human) has other content: 9 characters where 8 are expected, other ones from the 3rd on'
    """
    return _in_tools(expected, asked) or _in_model(expected, asked) or _in_messages(expected, asked, key)


def openai_form(schemas: Schemas) -> Schemas:
    """Give tool descriptions in OpenAI's form, whatever provider's they are in; what is in none stays as it is."""
    return tuple([_openai_form(schema) for schema in schemas])


def _openai_form(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return convert_to_openai_tool(dict(schema))
    except Exception:  # noqa: BLE001  # a trace may hold anything, and LangChain raises anything
        return schema


def _in_tools(expected: Request, asked: Request) -> str | None:
    given, now = expected.tools.schemas, asked.tools.schemas
    if expected.tools.stamp != asked.tools.stamp:
        return "what stands before the tools is another text"
    if len(given) == len(now) and all(map(is_, given, now)):
        return None
    given, now = openai_form(given), openai_form(now)
    if key_of_tools(given) == key_of_tools(now):
        return None
    if len(given) != len(now):
        return f"{_count(len(now), 'tool')} where {len(given)} are expected"
    if key_of_tools(sorted(given, key=_key)) == key_of_tools(sorted(now, key=_key)):
        return f"the {len(now)} tools come in another order"
    place = next(
        at for at, (a, b) in enumerate(zip(given, now, strict=True), 1) if key_of_tools([a]) != key_of_tools([b])
    )
    return f"tool {place} of {len(now)} has another description"


def _key(schema: Mapping[str, Any]) -> bytes:
    return key_of_tools([schema])


def _in_model(expected: Request, asked: Request) -> str | None:
    return "another model is asked" if expected.model != asked.model else None


def _in_messages(expected: Request, asked: Request, key: Callable[[BaseMessage], bytes]) -> str | None:
    given, now = expected.messages, asked.messages
    for place, (before, message) in enumerate(zip_longest(given, now), 1):
        if before is not None and message is not None and key(before) == key_of(message):
            continue
        if len(given) == len(now):
            return f"message {place} of {len(now)} ({message.type}) {_between(before, message)}"
        first = "the first are as expected" if before is None or message is None else f"message {place} differs first"
        return f"{_count(len(now), 'message')} where {len(given)} are expected; {first}"
    return None


def _between(before: BaseMessage, now: BaseMessage) -> str:
    """Say in what two messages differ."""
    if before.type != now.type:
        return f"is of another type: {before.type} is expected"
    if before.content != now.content:
        return f"has other content{_texts(before.content, now.content)}"
    return f"has other tool calls{_calls(before, now)}"


def _texts(before: object, now: object) -> str:
    if not isinstance(before, str) or not isinstance(now, str):
        return ""
    same = next((at for at, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), min(len(before), len(now)))
    return f": {_count(len(now), 'character')} where {len(before)} are expected, other ones from the {_th(same + 1)} on"


def _calls(before: BaseMessage, now: BaseMessage) -> str:
    given, made = (m.tool_calls if isinstance(m, AIMessage) else [] for m in (before, now))
    if len(given) != len(made):
        return f": {len(made)} where {len(given)} are expected"
    for place, (a, b) in enumerate(zip(given, made, strict=True), 1):
        if a["name"] != b["name"]:
            return f": call {place} is of another tool"
        if a["args"] != b["args"]:
            return f": call {place} has other arguments"
    return ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _th(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
