"""The same question to a subgraph in other words: its first channel is compared as a model's prompt would be."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.caching.ask import Ask
from langchain_agentcost.caching.billed_now import billed_now
from langchain_agentcost.caching.keys import keyed
from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.state_change import StoredChange
from langchain_agentcost.caching.subgraph_question import Question, canonical
from langchain_agentcost.caching.turn import Turn
from langchain_agentcost.errors import Unreadable
from langchain_agentcost.saving import CacheHit, SparedCall
from langchain_agentcost.tokens import estimate_text

_CHANGE = "agentcost_change"
"""Under which of its `additional_kwargs` a stored answer holds the change that it stands for."""


class Similar(NamedTuple):
    """A result that was kept for a similar question, and what to tell of serving it."""

    stored: StoredChange
    hit: CacheHit


class SimilarQuestions:
    """Lets a `SemanticCache` decide on a subgraph's questions: what it stores is the change of the state.

    Everything but the text of the key's first channel is a hard partition. What is served, audited and learnt is as for
    a model's answers: the two results are compared by what they say.

    Args:
        cache: The semantic cache; its scope and time to live count besides the subgraph's own.
        key: The channels of the key; the first one holds a text, or messages that end in the user's.
        ttl_s: How long a result is served, in seconds; None is for ever.
    """

    def __init__(self, cache: SemanticCache, key: tuple[str, ...], *, ttl_s: float | None = None) -> None:
        self._cache = cache
        self._key = key
        self._ttl_s = ttl_s

    def begin(self, question: Question, config: RunnableConfig) -> Turn | None:
        """Look a question up; None where it has no text."""
        ask = self._ask(question)
        if ask is None:
            return None
        turn = self._cache.begin(ask, config)
        return self._in_time(self._cache.begin(ask, config) if self._drops(turn) else turn)

    async def abegin(self, question: Question, config: RunnableConfig) -> Turn | None:
        """Look a question up from async code; see `begin`."""
        ask = self._ask(question)
        if ask is None:
            return None
        turn = await self._cache.abegin(ask, config)
        return self._in_time(await self._cache.abegin(ask, config) if self._drops(turn) else turn)

    def served(self, turn: Turn | None) -> Similar | None:
        """Give what the cache serves; None where it serves nothing."""
        if turn is None or turn.served is None:
            return None
        try:
            data = b64decode(turn.served.answer.message.additional_kwargs[_CHANGE], validate=True)
            stored = StoredChange.from_bytes(data)
        except (KeyError, TypeError, ValueError, Unreadable):  # somebody else's answer under our key
            return None
        text = turn.key.text if turn.key is not None else None
        similar = turn.served.hit.similarity is not None
        spared = tuple(_in_other_words(call, text or "" if similar else "", turn) for call in stored.spared)
        return Similar(stored, replace(turn.served.hit, spared=spared))

    def finish(self, turn: Turn, stored: StoredChange, tags: Iterable[str]) -> None:
        """Learn from a run's result, and keep it.

        Args:
            turn: The question.
            stored: The result, as it is kept.
            tags: What ends it.
        """
        self._cache.finish(replace(turn, tags=(*turn.tags, *tags)), _as_answer(stored))

    async def afinish(self, turn: Turn, stored: StoredChange, tags: Iterable[str]) -> None:
        """Learn from a run's result, and keep it, in async code; see `finish`."""
        await self._cache.afinish(replace(turn, tags=(*turn.tags, *tags)), _as_answer(stored))

    def end(self, tags: Iterable[str]) -> None:
        """End the results with any of these tags."""
        self._cache.shelf.end(tags)

    def _ask(self, question: Question) -> Ask | None:
        first, *others = ([question.channels[name]] if name in question.channels else [] for name in self._key)
        messages = _messages(first[0]) if first else None
        if messages is None:
            return None
        rest = plain_json([[canonical(value) for value in held] for held in others])
        return Ask(messages=messages, fingerprint=keyed("subgraph", question.partition, rest), model="subgraph")

    def _drops(self, turn: Turn) -> bool:
        """Remove the result of the very same question where it is too old: the new one takes its place."""
        if turn.key is None or not self._is_old(turn) or (turn.served and turn.served.hit.similarity is not None):
            return False
        shelf = self._cache.shelf
        found = shelf.get(turn.key.partition, turn.key.exact, bytes)
        if found is not None:
            shelf.remove(found.entry)
        return True

    def _in_time(self, turn: Turn) -> Turn:
        return replace(turn, served=None, epoch=self._cache.shelf.epoch()) if self._is_old(turn) else turn

    def _is_old(self, turn: Turn) -> bool:
        """Whether what would be served is older than the subgraph's own results are served."""
        return turn.served is not None and self._ttl_s is not None and (turn.served.hit.age_s or 0) >= self._ttl_s


def _messages(value: Any) -> list[BaseMessage] | None:
    if isinstance(value, str):
        return [HumanMessage(str(value))]
    if isinstance(value, list) and value and all(isinstance(item, BaseMessage) for item in value):
        return value if isinstance(value[-1], HumanMessage) else None
    return None


def _as_answer(stored: StoredChange) -> AIMessage:
    """A change as a model's answer: its text is what a judge compares."""
    said = [_text(items[-1]) for _, items in sorted(stored.change.appended.items()) if items]
    said += [_text(value) for _, value in sorted(stored.change.written.items())]
    return AIMessage("\n".join(said), additional_kwargs={_CHANGE: b64encode(stored.to_bytes()).decode()})


def _text(value: Any) -> str:
    if isinstance(value, BaseMessage):
        return str(value.text)
    return str(value) if isinstance(value, str) else plain_json(canonical(value))


def _in_other_words(call: SparedCall, text: str, turn: Turn) -> SparedCall:
    """A call as it would be billed for this question: what stands before its text was sent before."""
    if call.usage is None or not call.usage.input_tokens:
        return call
    share = max(0.0, 1 - estimate_text(text) / call.usage.input_tokens) if text else 1.0
    idle_s = turn.partition_idle_s if text else turn.exact_idle_s
    return billed_now(call, shared_share=share, idle_s=idle_s)
