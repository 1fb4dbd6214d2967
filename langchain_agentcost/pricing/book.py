"""The price book: what a model cost at the time of the call."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256

from langchain_agentcost.attribution import label
from langchain_agentcost.errors import PriceNotFoundWarning
from langchain_agentcost.pricing.card import PriceCard, Rate
from langchain_agentcost.pricing.cost import Cost, PriceSource
from langchain_agentcost.pricing.dearest import dearest_of
from langchain_agentcost.pricing.genai import ALWAYS, GenaiPrices, Window
from langchain_agentcost.pricing.lines import PERCENT, ModelLine
from langchain_agentcost.pricing.names import (
    LOCAL,
    MAX_NAME_CHARS,
    ROUTERS,
    UNLISTED,
    Reference,
    provider_id,
    refer,
    with_bases,
)
from langchain_agentcost.pricing.overrides import Given, PriceOverrides, as_overrides
from langchain_agentcost.pricing.rates import ToolRate
from langchain_agentcost.reported import billed_tier
from langchain_agentcost.usage import Usage

MAX_CARDS = 4096
"""Cards that a book keeps at hand. When there are more, it starts afresh."""

_BUNDLED = GenaiPrices()


class PriceBook:
    """Prices of models and tools, at the instant of a call. Safe to share between threads, tasks and forks.

    A user's overrides win; the rest is genai-prices' bundled list, which is never updated behind your back. A model
    that neither knows has no price: its cost is None, with one warning, and never 0.

    Args:
        overrides: Your own prices: the path of a TOML or JSON file, a mapping, or `PriceOverrides`.
        prices: The list below them; None is the one bundled with genai-prices.

    Raises:
        PriceFileError: If the overrides have a fault; the message names line and key.

    Example:
        >>> book = PriceBook({"models": [{"model": "our-*", "input": 1, "output": 4}]})
        >>> book.cost(Usage(input_tokens=1000, output_tokens=100), "our-model").usd
        Decimal('0.001400000')
    """

    def __init__(self, overrides: PriceOverrides | Given | None = None, *, prices: GenaiPrices | None = None) -> None:
        self.overrides = as_overrides(overrides)
        self.prices = prices or _BUNDLED
        self._windows: dict[tuple[str, str | None, str | None, str | None], Window] = {}
        self._dearest: dict[str | None, Window] = {}
        self._warned: dict[tuple[str | None, str], object] = {}
        self._tools = lru_cache(maxsize=MAX_CARDS)(self.overrides.tool)
        self._tool_source = PriceSource("override", self.overrides.version)

    @property
    def version(self) -> str:
        """What a bill from this book rests on: the list's version, and a hash of the overrides."""
        content = f"{self.prices.version}\n{self.overrides.version}"
        return f"{self.prices.version}+{sha256(content.encode()).hexdigest()[:12]}"

    def card(
        self,
        model: str,
        *,
        provider: str | None = None,
        at: datetime | None = None,
        service_tier: str | None = None,
        asked: str | None = None,
    ) -> PriceCard | None:
        """Look a model's prices up.

        Your own prices for the model that answered come first, then yours for the one that was asked for; then the
        list's, in the same order.

        Args:
            model: The name of the model that answered, as the provider, LangChain or LiteLLM writes it.
            provider: The provider as LangChain names it. None, or one that nobody knows, leaves the model's name to
                tell; a known one is priced by its own list only.
            at: The instant of the call; None is now. Without a time zone it is taken as UTC.
            service_tier: "batch", "flex", "priority", …; None is standard. A tier without a price gives the standard
                price with a flag.
            asked: The name that was asked for, where it may be another: a deployment or an alias.

        Returns:
            The card, or None where no price is known.

        Example:
            >>> PriceBook().card("gpt-4o-mini", provider="openai").usd("cache_read")
            Decimal('0.075')
        """
        at = _instant(at)
        key = (model, provider, service_tier, asked)
        window = self._windows.get(key)
        if window is None or not window.since <= at < window.until:
            window = self._look_up((model, asked), provider, at, service_tier)
            if max(len(name or "") for name in (model, provider, asked)) <= MAX_NAME_CHARS:
                if len(self._windows) >= MAX_CARDS:
                    self._windows.clear()
                self._windows[key] = window
        return window.card

    def dearest(self, *, provider: str | None = None, at: datetime | None = None) -> PriceCard | None:
        """Give a card that is at least as dear as that of any model: what a call without a known price may cost.

        Each rate is the dearest that any model of the provider has, at any length of the prompt and on any tier, in the
        list and in your own prices. Of all providers this is far above what most models cost, but some model costs it.

        Args:
            provider: The provider as LangChain names it; None, or one without a list, is all providers.
            at: The instant of the call; None is now.

        Returns:
            The card, or None where nothing has a price.

        Example:
            >>> PriceBook().dearest(provider="deepseek").usd("input") < PriceBook().dearest().usd("input")
            True
        """
        at = _instant(at)
        served_by = self._provider(provider)
        return self._dearest_window(served_by if served_by in self.prices.known else None, at).card

    def cost(
        self,
        usage: Usage,
        model: str,
        *,
        provider: str | None = None,
        at: datetime | None = None,
        requests: int = 1,
        tasks: int = 0,
        asked: str | None = None,
    ) -> Cost | None:
        """Price one call, at the tier that its usage states.

        Args:
            usage: What it consumed.
            model: The model that answered.
            provider: Who served it.
            at: When it started; None is now.
            requests: How many requests it was, for models with a fee per request.
            tasks: How many tasks it finished, for models with a fee per task.
            asked: The name that was asked for, where it may be another.

        Returns:
            The cost, or None where no price is known; the first time for a model, a `PriceNotFoundWarning` says so.
        """
        card = self.card(model, provider=provider, at=at, service_tier=usage.service_tier, asked=asked)
        cost = card.cost(usage, requests=requests, tasks=tasks) if card else None
        if cost is None:
            self._warn_once(model, provider, asked)
        return cost

    def tool_cost(self, tool: str, *, duration_s: float | None = None) -> Cost | None:
        """Price one call of a tool.

        Args:
            tool: The tool's name.
            duration_s: How long it ran, in seconds, for tools that are paid by the second.

        Returns:
            The cost, or None where no price is stated for it, or where the price needs a duration that is not known.

        Example:
            >>> PriceBook({"tools": {"search": 0.005}}).tool_cost("search").usd
            Decimal('0.005000000')
        """
        rate = self.tool_rate(tool)
        return rate.cost(self._tool_source, duration_s=duration_s) if rate else None

    def tool_rate(self, tool: str) -> ToolRate | None:
        """Give the stated price of a tool, or None."""
        return self._tools(tool[:MAX_NAME_CHARS]) if self.overrides.tools else None

    def _dearest_window(self, provider: str | None, at: datetime) -> Window:
        known = self._dearest.get(provider)
        if known is not None and known.since <= at < known.until:
            return known
        if provider is None:
            listed = [self._dearest_window(one, at) for one in sorted(self.prices.known)]
        else:
            listed = list(self.prices.windows(provider, at))
        cards = [*(window.card for window in listed if window.card), *self._own_cards(provider, at)]
        since, until = self.overrides.steady(at)
        made = self._dearest[provider] = Window(
            dearest_of(cards, provider, PriceSource("dearest", self.version)),
            max([since, *(window.since for window in listed)]),
            min([until, *(window.until for window in listed)]),
        )
        return made

    def _own_cards(self, provider: str | None, at: datetime) -> Iterator[PriceCard]:
        """What the user states for models of a provider, discounts left aside."""
        source = PriceSource("override", self.overrides.version)
        for scope, rate in self.overrides.hosted:
            if scope.provider in (None, provider) or provider is None:
                yield PriceCard(scope.model, rates=rate.rates(), price=source)
        for line in self.overrides.models:
            if line.scope.holds(at) and (line.scope.provider in (None, provider) or provider is None):
                yield _with_fees(PriceCard(line.scope.model, rates=line.rates, price=source), line)

    def _look_up(
        self, names: tuple[str | None, ...], provider: str | None, at: datetime, service_tier: str | None
    ) -> Window:
        tier = billed_tier(service_tier)
        references = self._references(names, provider)
        since, until = self.overrides.steady(at)
        line = next((found for one in references if (found := self.overrides.line(one, at, tier))), None)
        own = self._own_card(references, line, tier)
        if own:
            return Window(own, since, until)
        for reference in references:
            listed = self.prices.window(reference.attempts, at, tier)
            if listed:
                since, until = max(since, listed.since), min(until, listed.until)
            if listed and listed.card:
                return Window(self._adjusted(listed.card, line, references, at), since, until)
        return Window(None, since, until)

    def _references(self, names: Iterable[str | None], provider: str | None) -> tuple[Reference, ...]:
        """The model that answered and the one that was asked for, with their bases where a price file may name them."""
        served_by = self._provider(provider)
        named = (refer(name, served_by, known=self.prices.known) for name in dict.fromkeys(names) if name)
        found = tuple(reference for reference in named if reference)
        if self.overrides.plain:
            return found
        return tuple(with_bases(one, listed=self.prices.listed_name(one.attempts)) for one in found)

    def _provider(self, provider: str | None) -> str | None:
        """The provider's id; a name that is in no table may still be like one, as "openai-chat" is."""
        served_by = provider_id(provider)
        if served_by is None or served_by in self.prices.known | LOCAL | UNLISTED | ROUTERS:
            return served_by
        return self.prices.provider_like(served_by) or served_by

    def _own_card(self, references: Sequence[Reference], line: ModelLine | None, tier: str | None) -> PriceCard | None:
        """The card that the user's own rates give: those of a model line, else those of own hardware."""
        if line and line.rates:
            return _with_fees(
                PriceCard(
                    references[0].names[0],
                    provider=line.scope.provider or references[0].provider,
                    rates=_times(line.rates, line.factor),
                    price=PriceSource("override", self.overrides.version, _start(line)),
                    service_tier=line.service_tier,
                    flags=_tier_flag(tier, line.service_tier),
                ),
                line,
            )
        hosted = next((rate for one in references if (rate := self.overrides.hosted_rate(one))), None)
        if hosted is None:
            return None
        card = PriceCard(
            references[0].names[0],
            provider=references[0].provider,
            rates=hosted.rates(),
            price=PriceSource("hosted", self.overrides.version),
            flags=_tier_flag(tier, None),
        )
        return _with_fees(card, line) if line else card

    def _adjusted(
        self, card: PriceCard, line: ModelLine | None, references: Sequence[Reference], at: datetime
    ) -> PriceCard:
        """A list price less what was negotiated, with the fees that the user states."""
        discount = self.overrides.discount(references, at, listed=(card.provider, card.model))
        factor = line.factor if line and line.factor is not None else discount.factor if discount else None
        if factor is not None:
            less = (1 - factor) * PERCENT
            version = f"{card.price.version} less {less.normalize():f} % ({self.overrides.version})"
            card = replace(
                card,
                rates=_times(card.rates, factor),
                request=card.request * factor,
                tools={name: usd * factor for name, usd in card.tools.items()},
                price=replace(card.price, version=version),
            )
        return _with_fees(card, line) if line else card

    def _warn_once(self, model: str, provider: str | None, asked: str | None) -> None:
        """Warn about a model without a price, once, however many threads meet it at the same time."""
        name = label(model or "(no name)")
        key = (label(provider) if provider else None, name)
        mine = object()
        if len(self._warned) >= MAX_CARDS or self._warned.setdefault(key, mine) is not mine:
            return
        by = f" of {key[0]}" if key[0] else ""
        by += f", asked for as {label(asked)!r}" if asked and asked != model else ""
        warnings.warn(
            f"No price is known for {name!r}{by}: its cost is None. State one in PriceBook(overrides).",
            PriceNotFoundWarning,
            stacklevel=3,
        )


def _instant(at: datetime | None) -> datetime:
    if at is None:
        return datetime.now(UTC)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _tier_flag(asked: str | None, priced: str | None) -> tuple[str, ...]:
    return (f"no {asked} price; standard used",) if asked and asked != priced else ()


def _times(rates: Mapping[str, Rate], factor: Decimal | None) -> Mapping[str, Rate]:
    return rates if factor is None else {name: rate.times(factor) for name, rate in rates.items()}


def _with_fees(card: PriceCard, line: ModelLine) -> PriceCard:
    """Put the fees that a line states on a card; what it does not state stays."""
    return replace(
        card,
        request=card.request if line.request is None else line.request,
        task=card.task if line.task is None else line.task,
        tools={**card.tools, **line.tools},
    )


def _start(line: ModelLine) -> str | None:
    return line.scope.since.isoformat() if line.scope.since > ALWAYS[0] else None
