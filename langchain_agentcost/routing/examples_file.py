"""Examples as lines of a file: what policies learn from, and no text unless it is asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.canonical import digest
from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.signature import Phase

VERSION = 1
MOST_CHARS = 16_000
"""How much of a text is kept, and its length counted."""

_PLAIN = ("node", "forced_tool", "schema", "thread", "prompt_tokens", "max_output_tokens", "images")
"""What a line has of a request as it is."""


def bare(request: RouteRequest, *, keep_text: bool = False) -> RouteRequest:
    """Give a request with what policies go by: its signature and length, and messages that say nothing.

    Args:
        request: A call.
        keep_text: Whether what a person said last is kept, up to 16,000 characters; else spaces take its place. A
            policy that embeds learns nothing without it.

    Returns:
        A request with the same signature. The thread's id is hashed; settings and metadata are not there.

    Example:
        >>> spoken = RouteRequest.of("My name is Ada.", node="chat", thread="ada")
        >>> kept = bare(spoken)
        >>> kept.signature == spoken.signature, kept.text == " " * 15, kept.thread == "ada"
        (True, True, False)
    """
    text = request.text[:MOST_CHARS]
    return replace(
        request,
        messages=_messages(text if keep_text else " " * len(text), request.phase),
        thread=None if request.thread is None else digest(request.thread).hex(),
        settings={},
        metadata={},
        configurable={},
        used=None,
        left_nano=None,
        thrift=0.0,
    )


def append_example(path: Path | str, example: Example, *, keep_text: bool = False) -> None:
    """Write an example as a line at the end of a file, which only its owner can read.

    The line is what `bare` leaves of it.

    Raises:
        OSError: If the file cannot be written.
    """
    line = json.dumps(_as_dict(example, keep_text=keep_text), ensure_ascii=False, allow_nan=False) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode("utf-8", "replace"))
    finally:
        os.close(descriptor)


def read_examples(path: Path | str) -> tuple[Example, ...]:
    """Read what `append_example` wrote. A last line that was not written to its end is left out.

    Raises:
        RoutingError: If there is no such file or a line is something else; the message names it.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, ValueError) as error:
        raise RoutingError(f"{path} has no examples that can be read: {error}.") from error
    return tuple(_read(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1))


def _as_dict(example: Example, *, keep_text: bool) -> dict[str, Any]:
    request = bare(example.request, keep_text=keep_text)
    text = request.text if keep_text else None
    return {
        "version": VERSION,
        "id": example.id,
        **{name: getattr(request, name) for name in _PLAIN},
        "phase": request.phase,
        "tools": list(request.tools),
        "chars": len(request.text),
        **({} if text is None else {"text": text}),
        "quality": dict(example.quality),
        "nano": dict(example.nano),
    }


def _read(line: str, where: str) -> Example:
    try:
        data: Mapping[str, Any] = json.loads(line)
        if data["version"] > VERSION:
            raise RoutingError(f"{where} was written by a newer version: update langchain-agentcost to read it.")
        text = data.get("text", " " * data["chars"])
        known = {name: data[name] for name in _PLAIN}
        request = RouteRequest(messages=_messages(text, data["phase"]), tools=tuple(data["tools"]), **known)
        return Example(request=request, quality=data["quality"], nano=data["nano"], id=data.get("id", ""))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise RoutingError(f"{where} is no example: {error!r}.") from error


def _messages(text: str, phase: Phase) -> tuple[BaseMessage, ...]:
    """The shortest history that is in a phase."""
    human = HumanMessage(text)
    if phase == "user":
        return (human,)
    called = AIMessage("", tool_calls=[{"name": "tool", "args": {}, "id": "1"}])
    result = ToolMessage("", tool_call_id="1", status="error" if phase == "error" else "success")
    return (human, *(called, result) * (2 if phase == "stalled" else 1))
