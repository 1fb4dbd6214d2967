"""What a recorded call needs to have read: paths, ids and numbers in its arguments that stood in its prompt.

A literal dangles where the recorded call uses it, it could be read in the recorded prompt, and it cannot be read in the
prompt that a strategy would send: proof that the input of a recorded action was removed. It is a proxy for harm, not a
bound: the agent might read it again or guess it, and facts that are no literals are not counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_agentcost.replay.cache import common
from langchain_agentcost.replay.episode import Call, Episode

MIN_CHARS = 6
"""Shorter ones are found anywhere."""

MAX_CALL_LITERALS = 64
"""More literals of one call than this add nothing: an answer that writes a file is full of them."""

_WORD = re.compile(r"[A-Za-z0-9_@#/][A-Za-z0-9_./@#:+-]{4,}[A-Za-z0-9_/]")
_TELLING = re.compile(r"[0-9_/@#]|[a-z]\.[a-z]")


class Literals:
    """The literals of one run's calls, looked up once for all strategies.

    Args:
        episode: The run.
    """

    def __init__(self, episode: Episode) -> None:
        self._readable = episode.readable
        self._texts: dict[int, str] = {}
        self._held: list[BaseMessage] = []
        self._wanted: dict[int, tuple[str, ...]] = {}
        self._places: dict[tuple[int, str], tuple[int, ...]] = {}

    def dangling(self, call: Call, sent: Sequence[BaseMessage]) -> list[str]:
        """Give the literals of a call that stood in its recorded prompt, and not in what is sent.

        Args:
            call: The recorded call.
            sent: The messages that are sent in place of the recorded ones.
        """
        if not self._readable or (len(sent) == call.length == common(sent, call.history)):
            return []
        wanted = self._of(call)
        if not wanted:
            return []
        here = set(map(id, sent))
        replaced: list[BaseMessage] | None = None
        lost = []
        for literal in wanted:
            places = [at for at in self._found(call, literal) if at < call.length]
            if not places or any(id(call.history[at]) in here for at in places):
                continue
            if replaced is None:
                recorded = set(map(id, call.history[: call.length]))
                replaced = [message for message in sent if id(message) not in recorded]
            if not any(literal in self._text(message) for message in replaced):
                lost.append(literal)
        return lost

    def sources(self, call: Call, literal: str) -> list[BaseMessage]:
        """Give the messages of a call's recorded prompt in which a literal stands."""
        return [call.history[at] for at in self._found(call, literal) if at < call.length]

    def _of(self, call: Call) -> tuple[str, ...]:
        wanted = self._wanted.get(id(call))
        if wanted is None:
            wanted = self._wanted[id(call)] = tuple(dict.fromkeys(_literals(call)))[:MAX_CALL_LITERALS]
        return wanted

    def _found(self, call: Call, literal: str) -> tuple[int, ...]:
        """Where in the history a literal stands."""
        key = (id(call.history), literal)
        places = self._places.get(key)
        if places is None:
            texts = map(self._text, call.history)
            places = self._places[key] = tuple([at for at, text in enumerate(texts) if literal in text])
        return places

    def _text(self, message: BaseMessage) -> str:
        text = self._texts.get(id(message))
        if text is None:
            self._held.append(message)
            text = self._texts[id(message)] = text_of(message)
        return text


def text_of(message: BaseMessage) -> str:
    """Give all that a model reads of a message: its text and the arguments of its tool calls."""
    content = message.content if isinstance(message.content, str) else json.dumps(message.content, default=str)
    calls = getattr(message, "tool_calls", ())
    return "\n".join([content, *(text for call in calls for text in _leaves(call["args"]))]) if calls else content


def _literals(call: Call) -> Iterator[str]:
    for asked in call.answer.tool_calls:
        for text in _leaves(asked["args"]):
            if len(text.split()) == 1 and len(text) >= MIN_CHARS:
                yield text.strip()
            else:
                yield from (word for word in _WORD.findall(text) if _TELLING.search(word))


def _leaves(value: Any) -> Iterator[str]:
    """The texts and numbers in arguments."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            waiting.extend(reversed(list(item.values())))
        elif isinstance(item, list | tuple):
            waiting.extend(reversed(item))
        elif isinstance(item, str):
            yield item
        elif item is not None and not isinstance(item, bool):
            yield str(item)
