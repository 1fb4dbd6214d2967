"""What a projector has to know of the model that a prompt is for, and of what else is sent to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Self

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.runnables import Runnable

from langchain_agentcost.chat_model import names_of, window_of
from langchain_agentcost.context.worth import CacheRates
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.pricing.prompt_caching import terms_of
from langchain_agentcost.tokens import count_messages
from langchain_agentcost.usage import Usage, is_cache_hit


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a prompt costs and how long a provider remembers it.

    Args:
        name: The model, to count its tokens; None takes the nearest encoding.
        rates: What its input costs with its prompt cache; None where no price is known.
        ttl_s: How long its prompt cache keeps what is not read, in seconds; None where it has none.
        unmarked: What its input costs where it caches only what is marked, and nothing is; None for others.

    Example:
        >>> facts = ModelFacts.of("claude-sonnet-4-5")
        >>> facts.ttl_s, facts.rates.read
        (300.0, Decimal('300.0'))
    """

    name: str | None = None
    rates: CacheRates | None = None
    ttl_s: float | None = None
    unmarked: CacheRates | None = None

    @classmethod
    def of(
        cls,
        model: str | Runnable[Any, Any],
        *,
        prices: PriceBook | None = None,
        ttl_s: float | None = None,
        window_tokens: int | None = None,
    ) -> Self:
        """Look a model up.

        Args:
            model: Its name, or the model, with tools bound or not.
            prices: What models cost; None takes the bundled list.
            ttl_s: How long its prompt cache keeps what is not read, such as 3600 where you ask for an hour; None takes
                the provider's usual time.
            window_tokens: The longest prompt; None takes the model's profile, where it has one.
        """
        name, provider = (model, None) if isinstance(model, str) else names_of(model)
        if name is None:
            return cls(ttl_s=ttl_s)
        card = (prices or PriceBook()).card(name, provider=provider)
        terms = terms_of(card.model, card.provider) if card else terms_of(name, provider)
        facts = cls(name=name, ttl_s=terms.ttl_s if ttl_s is None and terms else ttl_s)
        if card is None or card.usd("input") is None:
            return facts
        if window_tokens is None and not isinstance(model, str):
            window_tokens = window_of(model)
        marked = terms is not None and not terms.automatic
        return replace(
            facts,
            rates=CacheRates.of(card, window_tokens=window_tokens),
            unmarked=CacheRates.uncached(card, window_tokens=window_tokens) if marked else None,
        )

    def as_billed(self, messages: Sequence[BaseMessage]) -> Self:
        """Give what holds for a history: where nothing of it is cached, all input costs the same, and always.

        A provider that caches unasked is taken at its word. Where one wants marks, the request is not searched for
        them: they may be set later than it is seen here. The provider's own usage tells: of the answers that report
        one, the two latest read nothing from the cache and wrote nothing to it. Without two, caching is assumed.

        Args:
            messages: The history.

        Example:
            >>> usage = {"input_tokens": 9_000, "output_tokens": 1, "total_tokens": 9_001}
            >>> answer = AIMessage("Done.", usage_metadata=usage)
            >>> facts = ModelFacts.of("claude-sonnet-4-5")
            >>> facts.as_billed([answer]).rates.read, facts.as_billed([answer, answer]).rates.read
            (Decimal('300.0'), Decimal('3000'))
        """
        if self.unmarked is None or not _uncached(messages):
            return self
        return replace(self, rates=self.unmarked, ttl_s=None, unmarked=None)

    def size(self, message: BaseMessage) -> int:
        """Count the tokens of a message."""
        return count_messages([message], model=self.name)

    def is_cold(self, pause_s: float | None) -> bool:
        """Tell whether the prompt cache has lost what was sent so many seconds ago; None is not known."""
        return pause_s is not None and self.ttl_s is not None and pause_s > self.ttl_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a call has beside its history.

    Args:
        model: The model that it is made to; None takes the projector's own.
        system: The system message, where it is not in the history.
        tools: The tools that are bound.
        at_most: How many calls can still be made, this one among them; None is not known.
    """

    model: ModelFacts | None = None
    system: SystemMessage | str | None = None
    tools: Sequence[Any] = ()
    at_most: float | None = None

    def messages(self) -> list[BaseMessage]:
        """Give the system message, or nothing."""
        if not self.system:
            return []
        return [SystemMessage(self.system) if isinstance(self.system, str) else self.system]


def _uncached(messages: Sequence[BaseMessage]) -> bool:
    """Whether the two latest answers that report their usage have nothing to do with a prompt cache."""
    asked = (message for message in reversed(messages) if isinstance(message, AIMessage) and not is_cache_hit(message))
    used = (usage for usage in map(Usage.from_message, asked) if usage is not None and usage.input_tokens)
    latest = list(islice(used, 2))
    return len(latest) == 2 and not any(
        one.cache_read_tokens + one.cache_write_tokens + one.cache_write_1h_tokens for one in latest
    )
