"""What recorded calls really cost, what the provider's prompt cache really served, and the prices that were paid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from langchain_agentcost.attribution import label
from langchain_agentcost.pricing import PriceCard, Rate
from langchain_agentcost.pricing.cost import PriceSource
from langchain_agentcost.replay.advice.seen import Basis, SeenCall
from langchain_agentcost.replay.episode import Episode, Recorded
from langchain_agentcost.replay.tariff import Tariff, Tariffs
from langchain_agentcost.usage import Usage

ROUNDING = 0.005
"""Costs that differ by less are the same: recorders round, and price lists differ in the last digit."""

_NAMED = 3
"""How many models without a price are named."""

_PER_TOKEN = Rate(Decimal("0.001"))  # a nano-USD for each token: amounts are then tokens
IN_TOKENS = Tariff(
    PriceCard("tokens", rates={"input": _PER_TOKEN, "output": _PER_TOKEN}, price=PriceSource("tokens", "1")), None
)
"""The tariff of runs without a price: their amounts are tokens, input and output alike."""


class StandIn(Tariffs):
    """Prices of which one model's stand in for those that are not known.

    Args:
        tariffs: The prices.
        model: The model that stands in.

    Raises:
        ReplayError: If it has no price itself.
    """

    def __init__(self, tariffs: Tariffs, model: str) -> None:
        super().__init__(tariffs.book, model=tariffs.model, at=tariffs.at)
        self._name = label(model)
        self._without: set[str] = set()
        self._stand_in = Tariffs(tariffs.book, model=model, at=tariffs.at).of(model)

    def of(self, model: str | None, provider: str | None = None) -> Tariff | None:
        """Give the prices of a model, or those that stand in."""
        found = super().of(model, provider) or super().of(model)
        if found is None:
            self._without.add(label(model or "(no model)"))
        return found or self._stand_in

    @property
    def version(self) -> str:
        """What the dollars rest on: the price list, and what the model stands in for by now."""
        names = sorted(self._without)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = ", ".join(names[:_NAMED]) + more if names else "none: every model has a price of its own"
        return f"{super().version}; {self._name} stands in for {what}"


class Fixed(Tariffs):
    """The same prices for every call.

    Args:
        tariff: Those prices.
        tariffs: Where the prices of models come from that strategies name.
    """

    def __init__(self, tariff: Tariff, tariffs: Tariffs) -> None:
        super().__init__(tariffs.book, at=tariffs.at)
        self._tariff = tariff

    def of(self, model: str | None, provider: str | None = None) -> Tariff | None:
        """Give them."""
        return self._tariff


class Paid(NamedTuple):
    """The prices that a run is replayed at.

    Args:
        tariff: Those of its first call.
        tariffs: Those of all.
        scale: What its bill is over what it would be at these prices.
    """

    tariff: Tariff
    tariffs: Tariffs
    scale: Fraction = Fraction(1)


def prices_of(episode: Episode, tariffs: Tariffs) -> Paid:
    """Find the prices that a run was billed at.

    They are list prices where the recorded costs are those. Else they are the rates that the recorded costs follow, if
    there are such rates; else list prices and a scale, since the bill is what was paid.

    Args:
        episode: The run.
        tariffs: The list prices. Those of one model for all are taken, whatever was recorded.

    Returns:
        The prices; tokens where a price is not known.
    """
    listed = tariffs.of_episode(episode)
    if listed is None:
        return Paid(IN_TOKENS, Fixed(IN_TOKENS, tariffs))
    usages, costs = _recorded(episode)
    scale = scale_of(sum(costs), listed, usages) if usages and tariffs.model is None else Fraction(1)
    if scale == 1:
        return Paid(listed, tariffs)
    fitted = fitted_to(listed, usages, costs)
    return Paid(listed, tariffs, scale) if fitted is None else Paid(fitted, Fixed(fitted, tariffs))


def billed(recorded: Recorded, tariff: Tariff, usage: Usage, *, trusted: bool) -> SeenCall:
    """Say what a call cost: as recorded, else its recorded usage at list price, else simulated without prompt caching.

    A recorded cost of 0 for tokens that were sent is no price but silence.

    Args:
        recorded: What was reported of it.
        tariff: Its prices.
        usage: What was sent and answered, as the replay counts it.
        trusted: Whether a recorded cost is in these prices: not where runs are priced as another model's.
    """
    if tariff is IN_TOKENS:
        return SeenCall(usage.input_tokens, usage.output_tokens, usage.total_tokens, Basis.COUNTED)
    cost = recorded.cost_nano if trusted else None
    if cost:
        reads = read_tokens(recorded, tariff)
        return SeenCall(usage.input_tokens, usage.output_tokens, cost, Basis.RECORDED, reads)
    if recorded.usage is not None:
        given = recorded.usage
        reads = given.cache_read_tokens if recorded.knows_cache else None
        return SeenCall(given.input_tokens, given.output_tokens, tariff.nano(given), Basis.PRICED, reads)
    return SeenCall(usage.input_tokens, usage.output_tokens, tariff.nano(usage), Basis.SIMULATED)


def read_tokens(recorded: Recorded, tariff: Tariff) -> int | None:
    """Tell what the prompt cache served: as recorded, else as the recorded cost tells.

    A cost between the price without any cached token and the price with all of them says how many there were:
    (uncached price - cost) / (input rate - read rate).

    Args:
        recorded: What was reported of the call.
        tariff: Its prices.

    Returns:
        The tokens; None where neither tells.

    Example:
        >>> tariff = Tariffs().of("gpt-4.1")  # 2 USD per million tokens, 0.50 from the cache
        >>> read_tokens(Recorded(Usage(10_000), cost_nano=8_000_000), tariff)
        8000
    """
    usage, cost = recorded.usage, recorded.cost_nano
    if usage is None:
        return None
    if recorded.knows_cache:
        return usage.cache_read_tokens
    if not cost or tariff.terms is None:
        return None
    uncached = tariff.nano(Usage(usage.input_tokens, usage.output_tokens))
    cheapest = tariff.nano(Usage(usage.input_tokens, usage.output_tokens, cache_read_tokens=usage.input_tokens))
    if not cheapest * (1 - ROUNDING) <= cost <= uncached * (1 + ROUNDING) or cheapest >= uncached:
        return None
    if uncached - cost <= uncached * ROUNDING:
        return 0
    return round(min(1.0, (uncached - cost) / (uncached - cheapest)) * usage.input_tokens)


def scale_of(amount: int, tariff: Tariff, usages: Sequence[Usage]) -> Fraction:
    """Give what a bill is over the list price of what was sent.

    Args:
        amount: The bill, in nano-USD.
        tariff: The list prices.
        usages: What was sent, with what the prompt cache served.

    Returns:
        1 where the bill is between the list prices without and with writes to the cache; else how far it is off.

    Example:
        >>> scale_of(1_000_000, Tariffs().of("gpt-4.1"), [Usage(1_000)])
        Fraction(1, 2)
    """
    plain = sum(map(tariff.nano, usages))
    written = sum(
        tariff.nano(tariff.usage(use.input_tokens, use.output_tokens, read_tokens=use.cache_read_tokens))
        for use in usages
    )
    low, high = sorted((plain, written))
    if not low or low * (1 - ROUNDING) <= amount <= high * (1 + ROUNDING):
        return Fraction(1)
    return Fraction(amount, low if amount < low else high)


def fitted_to(listed: Tariff, usages: Sequence[Usage], costs: Sequence[int]) -> Tariff | None:
    """Find the rates that recorded costs follow: for uncached input, for input from the cache, and for output.

    Least squares over the calls, solved exactly; the rates hold only if every call's cost is met.

    Args:
        listed: The list prices, which the card of the result is made of.
        usages: What was sent, with what the prompt cache served.
        costs: What each cost, in nano-USD.

    Returns:
        The tariff; None where there are no such rates, or where writes to the cache are billed, which are not recorded.
    """
    if "cache_write" in listed.card.rates:
        return None
    counts = [(use.input_tokens - use.cache_read_tokens, use.cache_read_tokens, use.output_tokens) for use in usages]
    solved = _least_squares(counts, costs)
    if solved is None or not 0 < solved[1] <= solved[0] or solved[2] <= 0:
        return None
    names = ("input", "cache_read", "output")
    rates = {name: Rate(round(Decimal(float(one)) / 1000, 6)) for name, one in zip(names, solved, strict=True)}
    fitted = Tariff(replace(listed.card, rates=rates, price=PriceSource("recorded costs", "fitted")), listed.terms)
    met = all(abs(fitted.nano(use) - cost) <= cost * ROUNDING for use, cost in zip(usages, costs, strict=True))
    return fitted if met else None


def _recorded(episode: Episode) -> tuple[list[Usage], list[int]]:
    """What was sent and paid, for calls of which both are recorded, and what the cache served."""
    usages, costs = [], []
    for call in episode.calls:
        told = call.recorded
        if told.usage is not None and told.cost_nano and told.knows_cache:
            usages.append(told.usage)
            costs.append(told.cost_nano)
    return usages, costs


def _least_squares(rows: Sequence[tuple[int, int, int]], values: Sequence[int]) -> tuple[Fraction, ...] | None:
    """Solve the normal equations of three unknowns by Gaussian elimination, in fractions."""
    matrix = [[Fraction(sum(row[i] * row[j] for row in rows)) for j in range(3)] for i in range(3)]
    right = [Fraction(sum(row[i] * value for row, value in zip(rows, values, strict=True))) for i in range(3)]
    for i in range(3):
        if not matrix[i][i]:
            return None
        for k in range(3):
            if k != i:
                factor = matrix[k][i] / matrix[i][i]
                matrix[k] = [a - factor * b for a, b in zip(matrix[k], matrix[i], strict=True)]
                right[k] -= factor * right[i]
    return tuple(right[i] / matrix[i][i] for i in range(3))
