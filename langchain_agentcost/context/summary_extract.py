"""The part of a summary that code makes: what stands in the messages, to the letter, and a check of what a model says.

Summaries of models are weakest where names are concerned: they leave them out, or write others. So artifacts and ids
are copied by code, and what a model says about an artifact that no message knows is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_agentcost.context.literals import is_literal, literals
from langchain_agentcost.context.message_text import leaves
from langchain_agentcost.context.summary import MAX_SUMMARY_TOKENS, Artifact, Summary

LITERALS_A_MESSAGE = 60
"""So many are taken of one message, the first ones: one long listing must not push all others out."""

MAX_ARTIFACT_TOOLS = 3
"""So many tools are named with an artifact, the latest ones."""


def extractive_summary(
    messages: Sequence[BaseMessage], *, earlier: Summary | None = None, max_tokens: int = MAX_SUMMARY_TOKENS
) -> Summary:
    """Summarise without a model: the first sentences of what was said, and what `ledger_of` copies.

    The intent is the beginning of the first thing that a user said, where the earlier summary has none.

    Args:
        messages: What is to be covered.
        earlier: The summary of what came before.
        max_tokens: How long the result may get.

    Example:
        >>> asked = HumanMessage("Please return order A-1742. It is too small.")
        >>> summary = extractive_summary([asked, AIMessage("Done. It will be picked up on Monday.")])
        >>> summary.intent, summary.decisions, summary.literals
        ('Please return order A-1742. It is too small.', ('The assistant said: Done.',), ('A-1742',))
    """
    before = earlier or Summary()
    said = [(message, text) for message in messages if (text := _said(message))]
    first = next((message for message, _ in said if isinstance(message, HumanMessage)), None)
    told = replace(
        ledger_of(messages),
        intent="" if before.intent or first is None else _sentences(_said(first), 2),
        decisions=tuple(
            f"{_SPEAKERS[message.type]}: {_sentences(text, 1)}"
            for message, text in said
            if before.intent or message is not first
        ),
    )
    return before.merge(told, max_tokens=max_tokens)


def ledger_of(messages: Sequence[BaseMessage]) -> Summary:
    """Copy the artifacts and literals out of messages.

    An artifact is a literal that a tool was called with, alone; its note names the tools. Literals are those of texts
    and results. What the user said is last, and so stays longest, before it what the assistant said.

    Args:
        messages: Any messages.

    Example:
        >>> call = {"name": "read_file", "args": {"path": "src/bay.py", "lines": 3}, "id": "1"}
        >>> ledger_of([AIMessage("", tool_calls=[call])]).artifacts
        (Artifact(name='src/bay.py', note='read_file'),)
    """
    users: dict[str, dict[str, None]] = {}
    for name, tool in _acted_on(messages):
        tools = users.pop(name, {})
        tools.pop(tool, None)
        users[name] = {**tools, tool: None}
    ordered = sorted(messages, key=lambda message: _LAST.get(message.type, 0))
    copied = [one for message in ordered for one in literals(text_of(message), LITERALS_A_MESSAGE) if one not in users]
    return Summary(
        artifacts=tuple(Artifact(name, ", ".join(list(tools)[-MAX_ARTIFACT_TOOLS:])) for name, tools in users.items()),
        literals=tuple(copied),
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a model wrote, after code has checked it.

    Args:
        summary: What is left of it.
        dropped: The names of artifacts that no message knows: they are not in the summary.
        doubted: Ids and values in its sentences that no message knows: the sentences say so.
    """

    summary: Summary
    dropped: tuple[str, ...] = ()
    doubted: tuple[str, ...] = ()


def checked(written: Summary, messages: Iterable[BaseMessage], *, earlier: Summary | None = None) -> Checked:
    """Check what a model wrote against the messages that it was to cover.

    Args:
        written: What it wrote. Its literals do not count: these are copied by code.
        messages: What it was to cover.
        earlier: The summary that it was shown; what stands in that is known too.

    Example:
        >>> notes = Summary(decisions=("Refund R-5521 is booked.",), artifacts=(Artifact("bay.py", "fixed"),))
        >>> found = checked(notes, [HumanMessage("Fix rack.py and refund R-5512.")])
        >>> found.summary.decisions, found.dropped, found.doubted
        (('(unverified: R-5521) Refund R-5521 is booked.',), ('bay.py',), ('R-5521',))
    """
    known = "\n".join([*map(text_of, messages), earlier.render() if earlier else ""])
    dropped = tuple(one.name for one in written.artifacts if not _stands_in(one.name, known))
    doubted: dict[str, None] = {}

    def marked(sentence: str) -> str:
        unknown = [one for one in literals(sentence) if not _stands_in(one, known)]
        doubted.update(dict.fromkeys(unknown))
        if not unknown or sentence.startswith(_UNVERIFIED):
            return sentence
        return f"{_UNVERIFIED}{', '.join(unknown)}) {sentence}"

    kept = tuple(replace(one, note=marked(one.note)) for one in written.artifacts if one.name not in dropped)
    summary = Summary(
        intent=marked(written.intent),
        decisions=tuple(map(marked, written.decisions)),
        artifacts=kept,
        next_steps=tuple(map(marked, written.next_steps)),
        closed=written.closed,
    )
    return Checked(summary, dropped, tuple(doubted))


def text_of(message: BaseMessage) -> str:
    r"""Give all that a model reads of a message: its text, and the names and arguments of its calls.

    Example:
        >>> text_of(AIMessage("Sure.", tool_calls=[{"name": "look", "args": {"at": ["B7", 12]}, "id": "1"}]))
        'Sure.\nlook\nB7\n12'
    """
    calls = [[call["name"], call["args"]] for call in message.tool_calls] if isinstance(message, AIMessage) else []
    return "\n".join(leaves([_content(message), calls]))


_SPEAKERS = {"human": "The user said", "ai": "The assistant said"}
_LAST = {"ai": 1, "human": 2}
_UNVERIFIED = "(unverified: "
_NOT_TEXT = frozenset(
    {"image", "image_url", "input_image", "audio", "input_audio", "file", "video", "media", "document"}
)

_FORM = frozenset({"type", "id", "signature", "cache_control"})
"""Keys of content blocks that no model reads."""


def _said(message: BaseMessage) -> str:
    return str(message.text).strip() if message.type in _SPEAKERS else ""


def _content(message: BaseMessage) -> Any:
    """The content without what is no text: an image in base 64 is a megabyte without a word."""
    if isinstance(message.content, str):
        return message.content
    blocks = [one for one in message.content if not (isinstance(one, Mapping) and one.get("type") in _NOT_TEXT)]
    return [{k: v for k, v in one.items() if k not in _FORM} if isinstance(one, Mapping) else one for one in blocks]


def _acted_on(messages: Iterable[BaseMessage]) -> Iterator[tuple[str, str]]:
    """The literals that tools were called with, each with the tool's name."""
    for message in messages:
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            for leaf in leaves(call["args"]):
                if is_literal(leaf) and literals(leaf, 1) == (leaf.strip(),):
                    yield leaf.strip(), call["name"]


_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")


def _sentences(text: str, number: int) -> str:
    return " ".join(part.strip() for part in _END.split(text[:2_000].strip())[:number])


def _stands_in(name: str, text: str) -> bool:
    """Whether a name stands in a text, and not as a part of a longer one."""
    at = text.find(name)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(name) : at + len(name) + 1]
        if not (before.isalnum() and name[0].isalnum()) and not (after.isalnum() and name[-1].isalnum()):
            return True
        at = text.find(name, at + 1)
    return False
