"""What a model's calls cost in a replay: its price card, and the terms of its prompt cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.pricing import Cost, PriceBook, PriceCard
from langchain_agentcost.pricing.prompt_caching import PromptCacheTerms, terms_of, with_cache_rates
from langchain_agentcost.replay.episode import Call, Episode
from langchain_agentcost.replay.request import Overhead
from langchain_agentcost.usage import Usage


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one model.

    Args:
        card: Its price card, with rates for input and output, and for its prompt cache where it has one.
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
        return self.cost(usage).total_nano

    def cost(self, usage: Usage) -> Cost:
        """Give what a call costs, by its parts.

        Raises:
            ReplayError: If a kind of token has no price.
        """
        cost = self.card.cost(usage)
        if cost is None:
            raise ReplayError(f"{self.card.model} has no price for all of {usage}: state its rates in a price file.")
        return cost

    def overhead(self, extra: Overhead) -> tuple[int, int]:
        """Give what a call that only a strategy makes costs with prompt caching and without, in nano-USD.

        It reads what the cache has, as far as the provider's terms allow, and stores nothing there.
        """
        read = self.terms.cached(extra.read_tokens, extra.input_tokens) if self.terms is not None else 0
        on = Usage(extra.input_tokens, extra.output_tokens, cache_read_tokens=read)
        return self.nano(on), self.nano(Usage(extra.input_tokens, extra.output_tokens))

    def rate(self, name: str) -> float:
        """Give a rate in nano-USD per token, the input rate where the card has no such rate: for estimates only."""
        rate = self.card.rates.get(name, self.card.rates["input"])
        return float(rate.usd) * 1000


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
        self._known: dict[tuple[str, str | None], Tariff | None] = {}
        self._named: dict[tuple[str, str, str | None], Tariff] = {}
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

    def of_call(self, call: Call, episode: Episode) -> Tariff | None:
        """Give the prices of a call: of the model that answered it, or of its run's where that is not known.

        Returns:
            The tariff; None where no price is known of that very model, whatever others of the run cost.
        """
        told = call.recorded
        if told.model is None:
            return self.of(episode.model, told.provider or episode.provider)
        return self.of(told.model, told.provider or episode.provider) or self.of(told.model)

    def of_episode(self, episode: Episode) -> Tariff | None:
        """Give the prices of a run's first call; None where those of any of its calls are not known."""
        if self.unpriced(episode) is not None:
            return None
        return self.of_call(episode.calls[0], episode) if episode.calls else self.of(episode.model, episode.provider)

    def unpriced(self, episode: Episode) -> str | None:
        """Give the first model of a run of which no price is known; None where all are known."""
        for call in episode.calls:
            if self.of_call(call, episode) is None:
                return call.recorded.model or episode.model or "(no model)"
        return None

    def named(self, name: str, own: Tariff) -> Tariff:
        """Give the prices of a model that a strategy names, or a share of the run's own, such as "1/15".

        Raises:
            ReplayError: If it is neither.
        """
        key = (name, own.card.model, own.card.provider)
        known = self._named.get(key)
        if known is None:
            factor = _share(name)
            known = _scaled(own, factor) if factor is not None else self._find(name, None)
            if known is None:
                raise ReplayError(f"No price is known for {name!r}: name a model, or a share such as 1/15.")
            self._named[key] = known
        return known

    def _find(self, model: str | None, provider: str | None) -> Tariff | None:
        if model is None:
            return None
        key = (model, provider)
        if key not in self._known:
            card = self.book.card(model, provider=provider, at=self.at)
            priced = card is not None and {"input", "output"} <= card.rates.keys()
            self._known[key] = _tariff(card) if card is not None and priced else None
        return self._known[key]


def _tariff(card: PriceCard) -> Tariff:
    terms = terms_of(card.model, card.provider)
    return Tariff(with_cache_rates(card, terms) if terms is not None else card, terms)


def _scaled(own: Tariff, factor: Decimal) -> Tariff:
    rates = {name: rate.times(factor) for name, rate in own.card.rates.items()}
    return Tariff(replace(own.card, rates=rates), own.terms)


def _share(text: str) -> Decimal | None:
    """Read "1/15" or "0.2"; None where it is no number from 0 on."""
    above, _, below = text.partition("/")
    try:
        share = Decimal(above) / Decimal(below or 1)
    except ArithmeticError:
        return None
    return share if share.is_finite() and share >= 0 else None
