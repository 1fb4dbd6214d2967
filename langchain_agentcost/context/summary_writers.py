"""Who writes a summary: the agent's own model on its cached prompt, or any model on a prompt of its own.

To ride a cached prompt costs a tenth to a half of its input price, on the dear model; a fresh prompt has only what is
covered, on a model that may be cheap. Which is cheaper depends on both price cards and on the lengths; `Summarizer`
works it out each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_agentcost.chat_model import bound_to, names_of
from langchain_agentcost.context.blocks import blocks, validate
from langchain_agentcost.context.summary import MAX_SUMMARY_TOKENS, Summary
from langchain_agentcost.context.summary_notes import (
    INSTRUCTIONS,
    SECTIONS_WANTED,
    SummaryNotes,
    notes_of,
    transcript,
)
from langchain_agentcost.pricing import Cost, PriceBook, PriceCard
from langchain_agentcost.pricing.prompt_caching import PromptCacheTerms, terms_of, with_cache_rates
from langchain_agentcost.tokens import count_messages
from langchain_agentcost.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A part of a conversation that is to be summarised.

    Args:
        covered: The messages that the summary will stand for, whole blocks.
        earlier: The summary of what came before them.
        prefix: The agent's prompt as it was sent, to the byte, from the system message to the end of what is covered;
            empty where that is not known, and then no writer can ride it.
        warm: Whether the provider's cache still has it: the latest call is not longer ago than its lifetime.
    """

    covered: Sequence[BaseMessage]
    earlier: Summary = field(default_factory=Summary)
    prefix: Sequence[BaseMessage] = ()
    warm: bool = True


@dataclass(frozen=True, slots=True)
class SummaryEstimate:
    """What a summary will cost, before it is asked for.

    Args:
        way: Who would write it: "ride", "fresh" or "code".
        usage: The tokens: the prompt, what the cache serves of it, and the longest answer.
        cost: What that costs; None where no price is known.
    """

    way: str
    usage: Usage
    cost: Cost | None


class SummaryWriter(Protocol):
    """Writes what is new in a passage.

    Attributes:
        way: How it does so, for reports.
    """

    way: str

    def estimate(self, passage: Passage) -> SummaryEstimate | None:
        """Say what that would cost; None where it cannot write this passage."""
        ...

    def write(self, passage: Passage, config: RunnableConfig) -> Summary | None:
        """Write; None where no usable answer came."""
        ...

    async def awrite(self, passage: Passage, config: RunnableConfig) -> Summary | None:
        """Write from async code."""
        ...


class RidingWriter:
    r"""Asks the agent's own model, behind the prompt that its provider has in its cache.

    The prompt is the passage's prefix and one more message, so all but that is read from the cache. Whatever is part of
    the prompt has to be bound as the agent binds it: the same tools in the same order, the same settings, and
    `cache_control` where the provider wants that. The answer is plain text: a form for it would be other tools.

    Tools are switched off where that keeps the cache: Anthropic forgets the cached messages when `tool_choice` changes
    ("Prompt caching", what invalidates the cache), so there the instruction has to do, and a call in place of a text
    counts as no answer.

    Args:
        model: The agent's model, with its tools bound.
        prices: What it costs; None takes the bundled list.
        card: Its prices, where they should not be looked up.
        max_tokens: The longest answer that the estimate counts with.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> model = FakeMeteredChatModel(answers=["Decisions\n- Bay 7 is full."])
        >>> said = [HumanMessage("Is bay 7 full?")]
        >>> RidingWriter(model).write(Passage(covered=said, prefix=said), {}).decisions
        ('Bay 7 is full.',)
    """

    way = "ride"

    def __init__(
        self,
        model: Runnable[Any, Any],
        *,
        prices: PriceBook | None = None,
        card: PriceCard | None = None,
        max_tokens: int = MAX_SUMMARY_TOKENS,
    ) -> None:
        self._bill = _Bill.of(model, prices, card, max_tokens)
        silent = self._bill.tools and not (self._bill.terms and self._bill.terms.family == "anthropic")
        self._model: Runnable[Any, Any] = model.bind(tool_choice="none") if silent else model

    def estimate(self, passage: Passage) -> SummaryEstimate | None:
        """Say what that would cost; None where there is nothing to ride, or no provider would take it."""
        if not passage.prefix or validate(passage.prefix) or any(one.waiting for one in blocks(passage.prefix)):
            return None
        served = count_messages(passage.prefix, model=self._bill.model, tools=self._bill.tools) if passage.warm else 0
        return self._bill.estimate(self.way, self.prompt(passage), served=served)

    def write(self, passage: Passage, config: RunnableConfig) -> Summary | None:
        """Write; None where no usable answer came."""
        return notes_of(self._model.invoke(self.prompt(passage), config))

    async def awrite(self, passage: Passage, config: RunnableConfig) -> Summary | None:
        """Write from async code."""
        return notes_of(await self._model.ainvoke(self.prompt(passage), config))

    def prompt(self, passage: Passage) -> list[BaseMessage]:
        """Give what is sent: the prefix as it is, and the instruction."""
        return [*passage.prefix, HumanMessage(f"{_ASIDE} {INSTRUCTIONS}\n\n{SECTIONS_WANTED}")]


class FreshWriter:
    """Asks a model with a prompt that has only the passage, cut to the beginning and end of each message.

    Args:
        model: Any chat model; a cheap one will do for most. It is asked for structured output where it can give that.
        prices: What it costs; None takes the bundled list.
        card: Its prices, where they should not be looked up.
        max_tokens: The longest answer that the estimate counts with.
    """

    way = "fresh"

    def __init__(
        self,
        model: Runnable[Any, Any],
        *,
        prices: PriceBook | None = None,
        card: PriceCard | None = None,
        max_tokens: int = MAX_SUMMARY_TOKENS,
    ) -> None:
        form = _structured(model)
        self._wanted = "" if form else f"\n\n{SECTIONS_WANTED}"
        self._model = form or model
        self._bill = _Bill.of(model, prices, card, max_tokens)
        if form:
            self._bill.tools = [convert_to_openai_tool(SummaryNotes)]

    def estimate(self, passage: Passage) -> SummaryEstimate | None:
        """Say what that would cost."""
        return self._bill.estimate(self.way, self.prompt(passage), served=0)

    def write(self, passage: Passage, config: RunnableConfig) -> Summary | None:
        """Write; None where no usable answer came."""
        return notes_of(self._model.invoke(self.prompt(passage), config))

    async def awrite(self, passage: Passage, config: RunnableConfig) -> Summary | None:
        """Write from async code."""
        return notes_of(await self._model.ainvoke(self.prompt(passage), config))

    def prompt(self, passage: Passage) -> list[BaseMessage]:
        """Give what is sent: the instruction, and the passage as data."""
        said = transcript(passage.covered, earlier=passage.earlier)
        return [SystemMessage(INSTRUCTIONS + self._wanted), HumanMessage(said)]


@dataclass(slots=True)
class _Bill:
    """What calls of a model cost."""

    model: str | None
    card: PriceCard | None
    terms: PromptCacheTerms | None
    tools: Sequence[Any]
    marked: bool
    max_tokens: int

    @classmethod
    def of(cls, model: Runnable[Any, Any], prices: PriceBook | None, card: PriceCard | None, max_tokens: int) -> _Bill:
        bound = bound_to(model)
        name, provider = names_of(model)
        if card is None and name:
            card = (prices or PriceBook()).card(name, provider=provider)
        terms = terms_of(card.model, card.provider) if card else terms_of(name, provider) if name else None
        card = with_cache_rates(card, terms) if card and terms else card
        return cls(name, card, terms, bound.get("tools") or (), "cache_control" in bound, max_tokens)

    def estimate(self, way: str, prompt: Sequence[BaseMessage], *, served: int) -> SummaryEstimate:
        asked = count_messages(prompt, model=self.model, tools=self.tools)
        caching = self.terms is not None and (self.terms.automatic or self.marked or _has_marks(prompt))
        read = self.terms.cached(served, asked) if self.terms and caching else 0
        if self.terms:
            writes = caching and served > 0 and self.card is not None and self.card.usd("cache_write") is not None
            usage = self.terms.usage(asked, self.max_tokens, read_tokens=read, billed_writes=writes)
        else:
            usage = Usage(asked, self.max_tokens)
        return SummaryEstimate(way, usage, self.card.cost(usage) if self.card else None)


_ASIDE = "This message is not from the user. Do not go on with the task, and call no tool."


def _structured(model: Runnable[Any, Any]) -> Runnable[Any, Any] | None:
    """The model with a form for its answer; None where it has none."""
    with suppress(NotImplementedError, AttributeError, ValueError, TypeError):
        form: Runnable[Any, Any] = model.with_structured_output(SummaryNotes, include_raw=True)  # type: ignore[attr-defined]
        return form
    return None


def _has_marks(prompt: Sequence[BaseMessage]) -> bool:
    """Whether a message says by itself what to cache, as Anthropic wants it."""
    return any(
        isinstance(block, Mapping) and "cache_control" in block
        for message in prompt
        if isinstance(message.content, list)
        for block in message.content
    )
