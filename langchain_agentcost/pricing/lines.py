"""The lines of a price file: a model's own prices, and discounts off the list."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from fnmatch import translate

from langchain_agentcost.pricing.card import RATES, Rate
from langchain_agentcost.pricing.genai import ALWAYS
from langchain_agentcost.pricing.names import provider_id
from langchain_agentcost.pricing.pricefile import MAX_USD, Table
from langchain_agentcost.reported import billed_tier

PERCENT = Decimal(100)
PER_MTOK = "USD per million tokens"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls a line is for.

    Args:
        model: A model's name or a pattern (`*`, `?`, `[abc]`), in lower case.
        provider: The provider's id; None for any.
        since: The first instant at which the line holds.
        until: The first instant at which it no longer does.
    """

    model: str = "*"
    provider: str | None = None
    since: datetime = ALWAYS[0]
    until: datetime = ALWAYS[1]
    _pattern: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern = re.compile(translate(self.model)) if is_pattern(self.model) else None
        object.__setattr__(self, "_pattern", pattern)

    def covers(self, names: Iterable[str], providers: Container[str] | None, at: datetime) -> bool:
        """Whether it is for a call.

        Args:
            names: The names that the call's model may have.
            providers: Who may have served it; None where nobody said: then the name alone decides.
            at: When it was.
        """
        if not self.holds(at):
            return False
        if self.provider and providers is not None and self.provider not in providers:
            return False
        return self.fits(names)

    def holds(self, at: datetime) -> bool:
        """Whether it holds at an instant."""
        return self.since <= at < self.until

    def fits(self, names: Iterable[str]) -> bool:
        """Whether one of these names is its model's."""
        pattern = self._pattern
        return any(pattern.match(name) if pattern else name == self.model for name in names)


@dataclass(frozen=True, slots=True)
class ModelLine:
    """What a price file states for a model.

    Args:
        scope: Which calls it is for.
        rates: Its rates; empty leaves the list's.
        service_tier: The tier it is for; None is standard.
        request: USD per request.
        task: USD per task.
        tools: USD per call of the provider's own tools.
        factor: What the rates are multiplied with, 1 less the discount; None leaves it to the discount lines.
    """

    scope: Scope
    rates: Mapping[str, Rate] = field(default_factory=dict)
    service_tier: str | None = None
    request: Decimal | None = None
    task: Decimal | None = None
    tools: Mapping[str, Decimal] = field(default_factory=dict)
    factor: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Discount:
    """A share off the list price.

    Args:
        scope: Which calls it is for.
        percent: How much, 0 to 100.
    """

    scope: Scope
    percent: Decimal

    @property
    def factor(self) -> Decimal:
        """What list prices are multiplied with."""
        return 1 - self.percent / PERCENT


def is_pattern(model: str) -> bool:
    """Whether a model's name stands for several."""
    return any(mark in model for mark in "*?[")


def scope(table: Table, *, model: str | None) -> Scope:
    """Read whom a line is for: `provider`, `from` and `until` beside a model."""
    since, until = table.day("from") or ALWAYS[0], table.day("until") or ALWAYS[1]
    if since >= until:
        table.fail(
            "until", "must be later than `from`; a line holds from the first day until the day before the other."
        )
    return Scope((model or "*").lower(), provider_id(table.text("provider")), since, until)


def model_line(table: Table) -> ModelLine:
    """Read a line of `[[models]]`."""
    steps = list(table.tables("volume"))
    rates, factor = _at_volume(table, steps, _rates(table), _factor(table))
    tier = table.text("service_tier")
    line = ModelLine(
        scope(table, model=table.text("model", required=True)),
        rates=rates,
        service_tier=billed_tier(tier),
        request=table.usd("request"),
        task=table.usd("task"),
        tools={name: holder.usd(name) or Decimal(0) for name, _, holder in table.named("server_tools")},
        factor=factor,
    )
    table.close()
    if not (line.rates or line.tools or steps) and line.request is line.task is line.factor is None:
        table.fail("", "states no price; add `input` and `output`, a fee, or a discount.")
    return line


def discount(table: Table) -> Discount:
    """Read a line of `[[discounts]]`."""
    percent = table.number("percent", at_most=PERCENT, unit="percent", required=True) or Decimal(0)
    line = Discount(scope(table, model=table.text("model")), percent)
    table.close()
    return line


def _rates(table: Table) -> dict[str, Rate]:
    """The rates of a line with their long-context steps."""
    base = _plain_rates(table)
    steps: list[tuple[int, dict[str, Decimal]]] = []
    for step in table.tables("tiers"):
        start = step.whole("above_input_tokens")
        stated = _plain_rates(step)
        step.close()
        if start is None or not stated:
            step.fail("", "needs `above_input_tokens` and at least one rate.")
        if not start:
            step.fail(
                "above_input_tokens", "must be above 0; rates for prompts of any length go into the model's line."
            )
        unknown = stated.keys() - base.keys()
        if unknown:
            step.fail(min(unknown), "has no base rate; state it in the model's line too.")
        if steps and start <= steps[-1][0]:
            step.fail("above_input_tokens", "must grow from step to step.")
        steps.append((start, stated))
    _check_input(table, base)
    return {
        name: Rate(usd, tuple((start, stated[name]) for start, stated in steps if name in stated))
        for name, usd in base.items()
    }


def _check_input(table: Table, rates: Mapping[str, object]) -> None:
    if rates and "input" not in rates:
        table.fail("input", f"is missing; a line that states rates needs it, in {PER_MTOK}.")


def _plain_rates(table: Table) -> dict[str, Decimal]:
    read = {name: table.number(name, at_most=MAX_USD, unit=PER_MTOK) for name in RATES}
    return {name: usd for name, usd in read.items() if usd is not None}


def _factor(table: Table) -> Decimal | None:
    percent = table.number("discount_percent", at_most=PERCENT, unit="percent")
    return None if percent is None else 1 - percent / PERCENT


def _at_volume(
    table: Table, steps: list[Table], rates: dict[str, Rate], factor: Decimal | None
) -> tuple[dict[str, Rate], Decimal | None]:
    """The prices at the stated volume: the last of the steps that `volume_tokens` is above.

    A step states the rates that it changes; long prompts keep the rates that `tiers` states for them. Below the first
    step, the line is what it is without steps: its own rates, or else the list's.
    """
    volume = table.whole("volume_tokens")
    if (volume is None) is bool(steps):
        table.fail("volume_tokens", "and `volume` need each other: the tokens of the month, and the steps.")
    last, reached, cut = -1, rates, factor
    for step in steps:
        start = step.whole("above_tokens")
        stated, less = _plain_rates(step), _factor(step)
        step.close()
        if start is None or not (stated or less is not None):
            step.fail("", "needs `above_tokens` and a rate or `discount_percent`.")
        if start <= last:
            step.fail("above_tokens", "must grow from step to step.")
        last = start
        reached = reached | {name: replace(reached.get(name, Rate(usd)), usd=usd) for name, usd in stated.items()}
        _check_input(step, reached)
        cut = less if less is not None else cut
        if volume is not None and volume > start:
            rates, factor = reached, cut
    return rates, factor
