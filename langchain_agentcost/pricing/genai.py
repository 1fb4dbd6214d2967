"""The bundled price list: genai-prices' own snapshot, pinned.

The snapshot is read from the installed package and never updated at run time, so that the same installation always
gives the same bill: `genai_prices.UpdatePrices` elsewhere in the process changes nothing here. A lookup resolves
history, time of day and service tier into a `PriceCard` once, and says from when until when that card holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING

from langchain_agentcost.pricing.card import PriceCard, Rate
from langchain_agentcost.pricing.cost import PriceSource
from langchain_agentcost.pricing.names import Attempt

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, Provider, TieredPrices

NAME = "genai-prices"

ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

_RATE_KEYS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_audio_read",
    "output_audio_mtok": "output_audio",
    "output_reasoning_mtok": "reasoning",
}
"""genai-prices' price keys and the rate each is."""

_TOOL_KEYS = {
    "web_searches_kcount": "web_search",
    "social_searches_kcount": "social_search",
    "storage_searches_kcount": "file_search",
    "code_executions_kcount": "code_execution",
}
"""Its prices per thousand calls of the provider's own tools."""

_REQUEST_KEY = "requests_kcount"

_UNCOUNTED = {
    "input_image_mtok": "image input is billed at the text rate: it is not reported apart",
    "output_image_mtok": "image output is billed at the text rate: it is not reported apart",
    "input_video_mtok": "video input is billed at the text rate: it is not reported apart",
    "output_video_mtok": "video output is billed at the text rate: it is not reported apart",
    "output_citation_mtok": "citation tokens are billed as output: they are not reported apart",
}
"""Its prices for tokens that LangChain's usage does not tell apart."""

_TIER_CONTEXTS: dict[str, tuple[Mapping[str, str], ...]] = {
    "batch": ({"processing": "batch"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
}
"""How genai-prices names a tier; others are `{"service_tier": tier}`."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a lookup found, and the half-open time in which it holds.

    Args:
        card: The card; None where there is no price.
        since: The first instant at which it holds.
        until: The first instant at which it may not.
    """

    card: PriceCard | None
    since: datetime = ALWAYS[0]
    until: datetime = ALWAYS[1]


class GenaiPrices:
    """A price list in genai-prices' format.

    Args:
        providers: The providers and their models; None reads the list that the installed package bundles.
    """

    def __init__(self, providers: list[Provider] | None = None) -> None:
        self._given = providers

    @cached_property
    def version(self) -> str:
        """The version of the installed genai-prices."""
        return version("genai-prices")

    @cached_property
    def providers(self) -> dict[str, Provider]:
        """The providers by id. The first use reads the list, which takes some 0.3 s."""
        if self._given is None:
            from genai_prices.data import providers  # noqa: PLC0415  # 1.6 MB that an import of ours must not read

            self._given = providers
        return {provider.id: provider for provider in self._given}

    @cached_property
    def known(self) -> frozenset[str]:
        """The ids of the providers that have a list."""
        return frozenset(self.providers)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of every price in the list."""
        return sha256(repr(list(self.providers.values())).encode()).hexdigest()[:12]

    @property
    def models(self) -> int:
        """How many models it has, each provider's counted apart."""
        return sum(len(provider.models) for provider in self.providers.values())

    def provider_like(self, name: str) -> str | None:
        """Give the id of the provider whose clause a name matches, such as "openai-chat"."""
        likely = (p for p in self.providers.values() if p.provider_match and p.provider_match.is_match(name))
        return next((provider.id for provider in likely), None)

    def newest_date(self, until: datetime) -> datetime | None:
        """Give the newest date, up to an instant, from which one of its prices holds: how fresh the list is."""
        dates = (
            change
            for provider in self.providers.values()
            for model in provider.models
            for change in _start_dates(_constraints(model, list(model.price_variants or ())))
            if change <= until
        )
        return max(dates, default=None)

    def window(self, attempts: tuple[Attempt, ...], at: datetime, tier: str | None) -> Window | None:
        """Resolve the first attempt that the list knows.

        Args:
            attempts: Where to look, in order.
            at: The instant of the call, with a time zone.
            tier: The service tier; None is standard.

        Returns:
            The card and the time in which it holds, or None where the list does not know the model.
        """
        for attempt in attempts:
            found = self._find(attempt)
            if found:
                return self._resolved(*found, attempt=attempt, at=at, tier=tier)
        return None

    def windows(self, provider: str, at: datetime) -> Iterator[Window]:
        """Resolve every model that a provider may serve, on every tier that it has a price for.

        Args:
            provider: The id of a provider with a list.
            at: The instant, with a time zone.
        """
        own = self.providers[provider]
        others = (self.providers[name] for name in own.fallback_model_providers or () if name in self.providers)
        for listed in (own, *others):
            for model in listed.models:
                when = [context for variant in model.price_variants or () for context in variant.when.values()]
                for tier in dict.fromkeys((None, *when)):
                    yield self._resolved(listed, model, attempt=Attempt(listed.id, model.id), at=at, tier=tier)

    def listed_name(self, attempts: tuple[Attempt, ...]) -> str | None:
        """Give the list's own name for what the first attempt finds that the list knows."""
        return next((found[1].id for found in map(self._find, attempts) if found), None)

    def _find(self, attempt: Attempt) -> tuple[Provider, ModelInfo] | None:
        provider = self.providers.get(attempt.provider) if attempt.provider else self._named(attempt.name)
        model = provider.find_model(attempt.name, all_providers=list(self.providers.values())) if provider else None
        return (provider, model) if provider and model else None

    def _owner(self, model: ModelInfo) -> str:
        owners = (p.id for p in self.providers.values() if any(model is listed for listed in p.models))
        return next(owners, "the maker")

    def _named(self, model: str) -> Provider | None:
        """The provider whose models are called like this."""
        likely = (p for p in self.providers.values() if p.model_match and p.model_match.is_match(model))
        return next(likely, None)

    def _resolved(
        self, provider: Provider, model: ModelInfo, *, attempt: Attempt, at: datetime, tier: str | None
    ) -> Window:
        since, until = _holds(model, at, tier)
        standard = _stated(model.get_prices(at))
        if not standard and not model.id.endswith(":free"):
            return Window(None, since, until)
        own = any(model is listed for listed in provider.models)
        variant = _variant(model, at, tier) if own else None
        notes: dict[str, str] = {}
        flags = [*attempt.flags, *(said for key, said in _UNCOUNTED.items() if key in standard)]
        if not own:
            flags.append(f"{provider.id} has no price of its own; {self._owner(model)}'s list price is used")
        if tier and variant is None:
            flags.append(f"no {tier} price; standard used")
        elif tier and variant:
            kept = _RATE_KEYS.keys() & (standard.keys() - variant.keys())
            notes = {_RATE_KEYS[key]: f"no {tier} price for {_RATE_KEYS[key]}; standard used" for key in kept}
        prices = standard | (variant or {})
        as_of = since.isoformat() if since > ALWAYS[0] else None
        card = PriceCard(
            model.id,
            provider=provider.id,
            rates={"input": Rate(Decimal(0)), "output": Rate(Decimal(0))} if not standard else _rates(prices),
            price=PriceSource(NAME, self.version, as_of),
            request=_per_thousand(prices.get(_REQUEST_KEY)),
            tools={name: _per_thousand(prices[key]) for key, name in _TOOL_KEYS.items() if key in prices},
            service_tier=tier if variant else None,
            flags=tuple(flags),
            notes=notes,
        )
        return Window(card, since, until)


_Prices = dict[str, "Decimal | TieredPrices"]


def _stated(prices: ModelPrice) -> _Prices:
    return {key: price for key, price in vars(prices).items() if price is not None and not key.startswith("_")}


def _rates(prices: _Prices) -> dict[str, Rate]:
    return {name: _rate(prices[key]) for key, name in _RATE_KEYS.items() if key in prices}


def _rate(price: Decimal | TieredPrices) -> Rate:
    if isinstance(price, Decimal):
        return Rate(price)
    return Rate(price.base, tuple((tier.start, tier.price) for tier in price.tiers))


def _per_thousand(price: Decimal | TieredPrices | None) -> Decimal:
    return _rate(price).usd / 1000 if price is not None else Decimal(0)


def _variant(model: ModelInfo, at: datetime, tier: str | None) -> _Prices | None:
    """The prices that a tier changes; None where the list has none for this tier at this time."""
    active = [v for v in _variants(model, tier) if v.constraint is None or v.constraint.active(at)]
    if not active:
        return None
    # The first of several wins, key by key, as in ModelInfo.get_prices.
    return {key: price for variant in reversed(active) for key, price in _stated(variant.prices).items()}


def _variants(model: ModelInfo, tier: str | None) -> list[PriceVariant]:
    """What the list has for a tier, at any time."""
    contexts = _TIER_CONTEXTS.get(tier, ({"service_tier": tier},)) if tier else ()
    return [variant for context in contexts for variant in model.price_variants or () if variant.when == context]


def _holds(model: ModelInfo, at: datetime, tier: str | None) -> tuple[datetime, datetime]:
    """The time around an instant in which no price of a model and tier changes."""
    constraints = _constraints(model, _variants(model, tier))
    changes = [*_start_dates(constraints), *_clock_changes(constraints, at)]
    since = max((change for change in changes if change <= at), default=ALWAYS[0])
    until = min((change for change in changes if change > at), default=ALWAYS[1])
    return since, until


def _constraints(model: ModelInfo, variants: list[PriceVariant]) -> list[object]:
    dated = model.prices if isinstance(model.prices, list) else []
    stated = [*(line.constraint for line in dated), *(variant.constraint for variant in variants)]
    return [constraint for constraint in stated if constraint is not None]


def _start_dates(constraints: list[object]) -> Iterator[datetime]:
    for constraint in constraints:
        start = getattr(constraint, "start_date", None)
        if start is not None:
            yield datetime.combine(start, time(), UTC)


def _clock_changes(constraints: list[object], at: datetime) -> Iterator[datetime]:
    """The times of day at which a price changes, from the day before an instant to the day after."""
    day = min(max(at.astimezone(UTC).date(), date(2, 1, 1)), date(9998, 12, 31))
    for constraint in constraints:
        for name in ("start_time", "end_time"):
            clock: time | None = getattr(constraint, name, None)
            if clock is not None:
                zoned = clock if clock.tzinfo else clock.replace(tzinfo=UTC)
                yield from (datetime.combine(day + timedelta(days=n), zoned).astimezone(UTC) for n in (-1, 0, 1))
