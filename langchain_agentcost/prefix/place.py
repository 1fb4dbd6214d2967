"""Where a prompt changes and what changes there, in words that repeat nothing of what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from langchain_agentcost.attribution import label
from langchain_agentcost.prefix.outline import Gap, Outline, has_system, sentences, text_of, tool_text
from langchain_agentcost.prefix.volatile import PATTERNED, Look


class Spot(NamedTuple):
    """A change in a prompt.

    Args:
        place: Where it is: a tool's number and name, a line, or a message's number and role.
        kind: What changes.
        look: How the changed piece looks, to compare the next change with.
    """

    place: str
    kind: str
    look: Look


class Compared(NamedTuple):
    """A prompt, and the earlier one that it is compared with.

    Args:
        messages: The prompt.
        tools: What was sent with it.
        now: Its outline.
        earlier: The outline of the earlier one.
    """

    messages: Sequence[BaseMessage]
    tools: Sequence[Any]
    now: Outline
    earlier: Outline


def spot_of(gap: Gap, pair: Compared, before: Look | None) -> Spot:
    """Say where and what a change is.

    Args:
        gap: The change.
        pair: The two prompts.
        before: How the piece looked that the last change in this part of the prompt was in; None where it had none.
    """
    if gap.section == "tools":
        return _in_tools(gap.at, pair, before)
    return _in_system(gap.at, pair, before) if gap.section == "system" else _in_messages(gap.at, pair, before)


def _in_tools(at: int, pair: Compared, before: Look | None) -> Spot:
    tools, mine, theirs = pair.tools, pair.now.tools.keys, pair.earlier.tools.keys
    tool = tools[at] if at < len(tools) else None
    look = Look.at(tool_text(tool))
    place = f"tools[{at}]" + (f" {_name(tool)!r}" if tool is not None else ", which is gone")
    if sorted(mine) == sorted(theirs):
        return Spot(place, "reordered tools", look)
    return Spot(place, _proven(look, before) or "other tools", look)


def _in_system(at: int, pair: Compared, before: Look | None) -> Spot:
    if not has_system(pair.messages):
        return Spot("the system message, which is gone", "text", Look.at(""))
    line, text = next(islice(sentences(pair.messages[0]), at, None), (None, ""))
    look = Look.at(text)
    place = f"system message, line {line}" if line is not None else "the end of the system message"
    return Spot(place, look.kind(before), look)


def _in_messages(at: int, pair: Compared, before: Look | None) -> Spot:
    position = at + has_system(pair.messages)
    message = pair.messages[position]
    mine, theirs = pair.now.said.keys, pair.earlier.said.keys
    look = Look.at(text_of(message))
    place = f"message {position + 1} ({_ROLES.get(message.type) or label(message.type)})"
    if mine[at] in theirs[at + 1 :]:
        return Spot(place, "dropped messages", look)
    if theirs[at] in mine[at + 1 :]:
        return Spot(place, "inserted message", look)
    return Spot(place, _proven(look, before) or "rewritten message", look)


def _proven(look: Look, before: Look | None) -> str | None:
    """The kind of item that is all that changed since the last time; None where more did, or nobody knows."""
    kind = look.kind(before)
    return kind if before is not None and kind in PATTERNED else None


_ROLES = {"human": "user", "ai": "answer", "AIMessageChunk": "answer", "tool": "tool result"}


def _name(tool: object) -> str:
    """A tool's name, as the formats of the providers and LangChain's tools have it."""
    for of in (tool, *(_inner(tool, key) for key in ("function", "toolSpec"))):
        name = of.get("name") if isinstance(of, Mapping) else getattr(of, "name", None)
        if isinstance(name, str):
            return label(name)
    return "?"


def _inner(tool: object, key: str) -> object:
    return tool.get(key) if isinstance(tool, Mapping) else None
