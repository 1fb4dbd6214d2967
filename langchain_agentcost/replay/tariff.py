"""What a model's calls cost in a replay: its price card, and the terms of its prompt cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.pricing import PriceBook, PriceCard
from langchain_agentcost.pricing.prompt_caching import PromptCacheTerms, terms_of, with_cache_rates
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.usage import Usage


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one model.

    Args:
        card: Its price card, with rates for its prompt cache.
        terms: What that caches; None where it has none.
    """

    card: PriceCard
    terms: PromptCacheTerms | None

    def usage(self, input_tokens: int, output_tokens: int, *, read_tokens: int = 0) -> Usage:
        """Give what the provider would report with its prompt cache on."""
        if self.terms is None:
            return Usage(input_tokens, output_tokens)
        writes = "cache_write" in self.card.rates
        return self.terms.usage(input_tokens, output_tokens, read_tokens=read_tokens, billed_writes=writes)

    def nano(self, usage: Usage) -> int:
        """Give what a call costs, in nano-USD."""
        cost = self.card.cost(usage)
        return cost.total_nano if cost is not None else 0

    def rate(self, name: str) -> float:
        """Give a rate in nano-USD per token, the input rate where the card has no such rate: for estimates only."""
        usd = self.card.usd(name) or self.card.usd("input") or Decimal(0)
        return float(usd) * 1000


class Tariffs:
    """The prices of a replay: of one model for all, or of each call's own.

    Args:
        prices: Where prices come from.
        model: Price every call as this model; None prices each as the model that answered.
        at: The instant of the prices; None is now. Dated prices must not make yesterday's and today's runs differ.

    Raises:
        ReplayError: If the model has no price.

    Example:
        >>> Tariffs(model="claude-sonnet-4-5").of("gpt-4o").card.model
        'claude-sonnet-4-5'
    """

    def __init__(
        self, prices: PriceBook | None = None, *, model: str | None = None, at: datetime | None = None
    ) -> None:
        self.book = prices or PriceBook()
        self.at = at or datetime.now(UTC)
        self.model = model
        self._known: dict[tuple[str | None, str | None], Tariff | None] = {}
        if model is not None and self._find(model, None) is None:
            raise ReplayError(f"No price is known for {model!r}: name another model, or state its price in a file.")

    @property
    def version(self) -> str:
        """What the dollars rest on."""
        return self.book.version

    def of(self, model: str | None, provider: str | None = None) -> Tariff | None:
        """Give the prices of a call.

        Args:
            model: The model that answered.
            provider: Who served it.

        Returns:
            The tariff; None where no price is known.
        """
        return self._find(self.model, None) if self.model is not None else self._find(model, provider)

    def of_episode(self, episode: Episode) -> Tariff | None:
        """Give the prices of an episode: one model's."""
        return self.of(episode.model, episode.provider)

    def named(self, name: str, own: Tariff) -> Tariff:
        """Give the prices of a model that a strategy names, or a share of the run's own, such as "1/15".

        Raises:
            ReplayError: If it is neither.
        """
        key = (name, own.card.model)
        known = self._known.get(key)
        if known is None:
            factor = _share(name)
            known = _scaled(own, factor) if factor is not None else self._find(name, None)
            if known is None:
                raise ReplayError(f"No price is known for {name!r}: name a model, or a share such as 1/15.")
            self._known[key] = known
        return known

    def _find(self, model: str | None, provider: str | None) -> Tariff | None:
        if model is None:
            return None
        key = (model, provider)
        if key not in self._known:
            card = self.book.card(model, provider=provider, at=self.at)
            self._known[key] = _tariff(card) if card is not None and card.usd("input") is not None else None
        return self._known[key]


def _tariff(card: PriceCard) -> Tariff:
    terms = terms_of(card.model, card.provider)
    return Tariff(with_cache_rates(card, terms) if terms is not None else card, terms)


def _scaled(own: Tariff, factor: Decimal) -> Tariff:
    rates = {name: rate.times(factor) for name, rate in own.card.rates.items()}
    return Tariff(replace(own.card, rates=rates), own.terms)


def _share(text: str) -> Decimal | None:
    """Read "1/15" or "0.2"."""
    above, _, below = text.partition("/")
    try:
        return Decimal(above) / Decimal(below or 1)
    except (InvalidOperation, ZeroDivisionError):
        return None
