"""A prompt as a prompt cache sees it: tools, system message, messages, piece by piece, as hashes and sizes only."""

from __future__ import annotations

import json
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from marshal import dumps
from operator import call, is_
from typing import Any, Literal, NamedTuple
from weakref import ref

from langchain_core.messages import BaseMessage

from langchain_agentcost.tokens import estimate_text
from langchain_agentcost.tokens.counter import OPENAI_SCHEMA_SHARE
from langchain_agentcost.tokens.encodings import openai_encoding
from langchain_agentcost.tokens.estimate import message_tokens, schema_text

MOST_LINES = 400
"""The lines of a system message that are told apart; what comes after them is one piece."""

MOST_SENTENCES = 20
"""The sentences of a line that are told apart, likewise."""

Section = Literal["tools", "system", "messages"]
"""The parts of a prompt, in the order in which a prompt cache matches them."""


class Part(NamedTuple):
    """A part of a prompt.

    Args:
        keys: For each piece, a hash of its part and what it says. Python salts them anew in every process.
        tokens: For each piece, our estimate of its size.
        stamp: A hash of the whole part, where that is cheaper than those of its pieces; else 0.
    """

    keys: array[int]
    tokens: array[int]
    stamp: int = 0


class Gap(NamedTuple):
    """Where a prompt stops being the continuation of an earlier one.

    Args:
        section: The part of the prompt that differs first.
        at: The first differing piece of that part, from 0.
        prefix_tokens: What stands before it.
        again_tokens: What stands from there on and was sent before too, but behind something else.
    """

    section: Section
    at: int
    prefix_tokens: int
    again_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """What is remembered of a prompt: no text, and nothing that keeps a message.

    A system message is cut into lines and these into sentences, since one of them may change and the rest stay.

    Args:
        tools: The descriptions of the tools, one piece each.
        system: The leading system message, sentence by sentence.
        said: The other messages, one piece each.
        messages: Those messages, to know them again.
    """

    tools: Part
    system: Part
    said: Part
    messages: tuple[ref[BaseMessage], ...]

    @classmethod
    def of(
        cls, prompt: Sequence[BaseMessage], tools: Sequence[Any], *, model: str | None, like: Outline | None
    ) -> Outline:
        """Read a prompt. What an earlier one has too is not read again.

        Messages are known again where they are the same objects: one that is changed in place counts as it was.

        Args:
            prompt: The messages, a system message first where there is one.
            tools: The descriptions of the tools.
            model: The model that reads them.
            like: An earlier prompt of the same conversation.
        """
        leading = int(has_system(prompt))
        said, messages = _said(prompt[leading:], like)
        return cls(_tools(tools, model, like), _system(prompt[:leading], like), said, messages)

    @property
    def keys(self) -> array[int]:
        """The hashes of all pieces."""
        return self.tools.keys + self.system.keys + self.said.keys

    @property
    def tokens(self) -> array[int]:
        """The sizes of all pieces."""
        return self.tools.tokens + self.system.tokens + self.said.tokens

    def shares(self, earlier: Outline) -> int:
        """Count the pieces, from the first on, that an earlier prompt has too."""
        mine, theirs = self.keys, earlier.keys
        shorter = min(len(mine), len(theirs))
        if mine[:shorter] == theirs[:shorter]:
            return shorter
        return next(at for at, (one, other) in enumerate(zip(mine, theirs, strict=False)) if one != other)

    def starts_like(self, earlier: Outline) -> bool:
        """Say whether the first message after the system message is the same."""
        return self.said.keys[:1] == earlier.said.keys[:1]

    def gap(self, earlier: Outline, shared: int) -> Gap | None:
        """Find where this stops being the continuation of an earlier prompt.

        Args:
            earlier: The earlier prompt.
            shared: What `shares` says of the two.

        Returns:
            The gap; None where it goes on, or where nothing after the gap was sent before: then nothing is lost.
        """
        theirs = earlier.keys[shared:]
        if not theirs:
            return None
        again = _again(self.keys[shared:], self.tokens[shared:], theirs)
        return Gap(*self._place(shared, earlier), sum(self.tokens[:shared]), again) if again else None

    def _place(self, at: int, earlier: Outline) -> tuple[Section, int]:
        """The part that a piece is of, in the prompt that has more there, and its number in that part."""
        if at < max(len(self.tools.keys), len(earlier.tools.keys)):
            return "tools", at
        at -= len(self.tools.keys)
        if at < max(len(self.system.keys), len(earlier.system.keys)):
            return "system", at
        return "messages", at - len(self.system.keys)

    def knows(self, prompt: Sequence[BaseMessage]) -> int:
        """Count the messages, from the first on, that are the same objects."""
        mine = self.messages
        if len(prompt) >= len(mine) and all(map(is_, map(call, mine), prompt)):
            return len(mine)
        pairs = enumerate(zip(mine, prompt, strict=False))
        return next((at for at, (kept, message) in pairs if kept() is not message), len(prompt))


def _again(keys: array[int], tokens: array[int], earlier: array[int]) -> int:
    """The tokens of the pieces that an earlier prompt has too, in whatever order."""
    if keys[1 : len(earlier)] == earlier[1:] and earlier[0] not in keys:  # one piece changed, as a clock does
        return sum(tokens[1 : len(earlier)])
    left = Counter(earlier)
    again = 0
    for key, size in zip(keys, tokens, strict=True):
        if left[key] > 0:
            left[key] -= 1
            again += size
    return again


def has_system(prompt: Sequence[BaseMessage]) -> bool:
    """Say whether a prompt begins with a system message."""
    return bool(prompt) and prompt[0].type == "system"


def sentences(message: BaseMessage) -> Iterator[tuple[int, str]]:
    r"""Cut a message into sentences.

    Yields:
        Each sentence, and the number of its line, from 1. A block that is not text is one sentence on a line.

    Example:
        >>> from langchain_core.messages import SystemMessage
        >>> list(sentences(SystemMessage("Be kind. Be brief.\nIt is ten.")))
        [(1, 'Be kind.'), (1, 'Be brief.'), (2, 'It is ten.')]
    """
    before = 0
    for text in _texts(message.content):
        lines = text.split("\n", MOST_LINES)
        for number, line in enumerate(lines, before + 1):
            for sentence in _SENTENCE_END.split(line, MOST_SENTENCES):
                if sentence.strip():
                    yield number, sentence
        before += len(lines)


def text_of(message: BaseMessage) -> str:
    """Give what a message says, as one text."""
    return "\n".join(_texts(message.content))


def tool_text(tool: object) -> str:
    """Give a tool's description, without the mark that says up to where a provider is to cache."""
    if isinstance(tool, Mapping):
        tool = {name: value for name, value in tool.items() if name not in _MARKS}
    return _written(tool, schema_text)


_SENTENCE_END = re.compile(r"(?<=[.!?])[ \t]+")
_MARKS = frozenset({"cache_control", "cachePoint", "cache_point"})
"""What asks a provider to cache: it wanders with the end of a prompt, and is no part of what is cached."""

_ROLES = {"AIMessageChunk": "ai", "HumanMessageChunk": "human", "ToolMessageChunk": "tool"}


def _tools(tools: Sequence[Any], model: str | None, like: Outline | None) -> Part:
    """The tools. Agents make their descriptions anew for each call: one hash of them all tells that none changed."""
    if not tools:
        return _NOTHING
    try:
        stamp = hash(dumps([*tools], _WITHOUT_REFERENCES))  # a third of the time of JSON
    except ValueError:  # there are others than mappings, or they have no end
        stamp = hash(_written(tools, _json))
    if like is not None and like.tools.stamp == stamp:
        return like.tools
    share = OPENAI_SCHEMA_SHARE if model and openai_encoding(model) else 1.0
    texts = [tool_text(tool) for tool in tools]
    return _part(((hash(("tool", text)), round(share * estimate_text(text))) for text in texts), stamp)


def _system(leading: Sequence[BaseMessage], like: Outline | None) -> Part:
    """The system message. It is often made anew too, and Python knows the hash of a text that it has hashed before."""
    if not leading:
        return _NOTHING
    stamp = hash(tuple(_texts(leading[0].content)))
    if like is not None and like.system.stamp == stamp:
        return like.system
    pieces = [sentence for _, sentence in sentences(leading[0])]
    return _part(((hash(("system", text)), estimate_text(text)) for text in pieces), stamp)


def _said(prompt: Sequence[BaseMessage], like: Outline | None) -> tuple[Part, tuple[ref[BaseMessage], ...]]:
    """The messages: those that an earlier prompt had are known by it, also where they stand elsewhere now."""
    if like is None:
        return _part(map(_piece, prompt)), tuple(map(ref, prompt))
    same, known = like.knows(prompt), like.said
    new = prompt[same:]
    if not new and same == len(like.messages):
        return known, like.messages
    moved = {id(kept()): at for at, kept in enumerate(like.messages[same:], same)} if new else {}
    made = _part(
        (known.keys[at], known.tokens[at]) if (at := moved.get(id(message))) is not None else _piece(message)
        for message in new
    )
    part = Part(known.keys[:same] + made.keys, known.tokens[:same] + made.tokens)
    return part, like.messages[:same] + tuple(map(ref, new))


def _piece(message: BaseMessage) -> tuple[int, int]:
    """The hash of what a message says, and its size. Ids and metadata do not reach the provider."""
    role = _ROLES.get(message.type, message.type)
    calls = [(asked["name"], asked["args"]) for asked in getattr(message, "tool_calls", ())]
    said = (role, tuple(_texts(message.content)), _written(calls, _json) if calls else "")
    return hash(said), message_tokens(message, estimate_text)


def _texts(content: Any) -> list[str]:
    """The texts of a message, and its other blocks as JSON: one text is the same with and without a block around it."""
    if isinstance(content, str):
        return [content]
    return [_block(block) for block in content if not isinstance(block, Mapping) or not block.keys() <= _MARKS]


def _block(block: object) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping):
        return _written(block, _json)
    if block.get("type") == "text" and isinstance(block.get("text"), str):
        return str(block["text"])
    return _written({name: value for name, value in block.items() if name not in _MARKS}, _json)


def _written(value: Any, write: Callable[[Any], str]) -> str:
    """A value as text; values that contain themselves, or are nested without end, all look the same."""
    try:
        return write(value)
    except (TypeError, ValueError, RecursionError):
        return f"unreadable {type(value).__name__}"


_WITHOUT_REFERENCES = 2
"""The format of `marshal` in which equal values are written equally, whether or not they share their parts."""

_json = json.JSONEncoder(separators=(",", ":"), default=str).encode


def _part(pieces: Iterable[tuple[int, int]], stamp: int = 0) -> Part:
    keys, tokens = array("q"), array("q")
    for key, size in pieces:
        keys.append(key)
        tokens.append(size)
    return Part(keys, tokens, stamp)


_NOTHING = Part(array("q"), array("q"))
