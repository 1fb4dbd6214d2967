"""A recorded run, as it is replayed: what each model call was sent, what it answered, and how the run ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_agentcost.usage import Usage


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was reported of a call when it was made; None where it was not.

    Args:
        usage: The provider's token counts.
        knows_cache: Whether they say what the prompt cache served. If not, a read of 0 may only mean silence.
        cost_nano: What the call was said to have cost, in nano-USD.
        at_s: When it was made, in seconds since 1970.
        model: The model that answered.
        provider: Who served it.
    """

    usage: Usage | None = None
    knows_cache: bool = False
    cost_nano: int | None = None
    at_s: float | None = None
    model: str | None = None
    provider: str | None = None


NOTHING = Recorded()


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A model call.

    Its prompt is the beginning of a history that calls share, so that a run of many steps stays small.

    Args:
        history: Messages, the system message first where there is one.
        length: How many of them it was sent.
        answer: What it answered.
        results: What the tools gave that the answer asked for.
        recorded: What was reported of it.
    """

    history: Sequence[BaseMessage]
    length: int
    answer: AIMessage
    results: tuple[ToolMessage, ...] = ()
    recorded: Recorded = NOTHING

    @property
    def messages(self) -> tuple[BaseMessage, ...]:
        """What it was sent."""
        return tuple(self.history[: self.length])


class Piece(NamedTuple):
    """A part of a prompt: a message, or the descriptions of the tools.

    Args:
        key: What it says, as a hash: pieces with equal keys are the same to a prompt cache.
        tokens: Its size.
    """

    key: bytes
    tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """One recorded run.

    Args:
        id: Its id, which nothing but messages about it uses.
        calls: Its model calls, in order.
        tools: The descriptions of the tools that every call was sent.
        source: The traffic that it is part of: episodes of one source may share caches.
        benchmark: What results are reported by.
        family: Benchmarks of one kind; results are never added up over families.
        task: What was asked; the same task again is a repetition, not traffic. Intervals are over tasks.
        session: The conversation that it is a turn of: such runs share the provider's prompt cache. None where it is a
            conversation by itself.
        model: The model that answered, where its calls do not say.
        provider: Who served it, where its calls do not say.
        success: Whether it achieved what was asked; None where nobody judged it.
        biased: Whether runs were chosen by how they ended, so that they say nothing of quality.
        marks: Messages of which only a hash and a size are known, by `id()`; empty where all texts are known.
    """

    id: str
    calls: tuple[Call, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    source: str = "traces"
    benchmark: str = "traces"
    family: str = "traces"
    task: str = ""
    session: str | None = None
    model: str | None = None
    provider: str | None = None
    success: bool | None = None
    biased: bool = False
    marks: Mapping[int, Piece] = field(default_factory=dict)

    @property
    def readable(self) -> bool:
        """Whether the texts of its messages are known."""
        return not self.marks

    @property
    def judged(self) -> bool:
        """Whether it can be counted as a success or a failure."""
        return self.success is not None and not self.biased


def assemble(messages: Sequence[BaseMessage], answers: Mapping[int, Recorded]) -> tuple[Call, ...]:
    """Make the calls of a run from its whole conversation.

    Args:
        messages: The conversation, the system message first.
        answers: Which messages a model call gave, by position, and what was reported of it.

    Returns:
        The calls in order. Each was sent everything before its answer; what tools gave until the next answer is its.

    Raises:
        TypeError: If one of those messages is not a model's.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> [call] = assemble([HumanMessage("Hi"), AIMessage("Hello!")], {1: NOTHING})
        >>> call.answer.text, len(call.messages)
        ('Hello!', 1)
    """
    positions = sorted(answers)
    calls = []
    for number, position in enumerate(positions):
        answer = messages[position]
        if not isinstance(answer, AIMessage):
            raise TypeError(f"message {position} is no answer of a model, but of type {answer.type!r}")
        until = positions[number + 1] if number + 1 < len(positions) else len(messages)
        results = tuple(m for m in messages[position + 1 : until] if isinstance(m, ToolMessage))
        calls.append(Call(messages, position, answer, results, answers[position]))
    return tuple(calls)
