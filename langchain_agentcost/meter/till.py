"""What a call that has ended costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from langchain_agentcost.meter.answer import Answer
from langchain_agentcost.meter.calls import OpenCall
from langchain_agentcost.meter.journal import Journal
from langchain_agentcost.pricing import Cost, PriceBook
from langchain_agentcost.pricing.spared import saved_by
from langchain_agentcost.saving import CacheHit
from langchain_agentcost.usage import Usage

NOT_BILLED = Cost(flags=("failed before any output: assumed not billed",))
"""A call that a provider refused: rate limits and bad requests are not billed."""


class Till:
    """Prices calls. A fault in pricing is warned about, and leaves the cost unknown: the call is still worth an entry.

    Args:
        prices: What calls cost.
        journal: Who warns.
    """

    def __init__(self, prices: PriceBook, journal: Journal) -> None:
        self._prices = prices
        self._journal = journal

    def billed(self, call: OpenCall, usage: Usage, answer: Answer) -> Cost | None:
        """Price a call that reached the provider: the first one of its run that has a fee per task carries it.

        Where a service tier was asked for and the answer does not say which one it was served on, the price is that of
        the tier that was asked for, with a flag.
        """
        unconfirmed = call.tier is not None and usage.service_tier in (None, call.tier) and not answer.states_tier
        if unconfirmed and usage.service_tier is None:
            usage = replace(usage, service_tier=call.tier)
        cost = self.price(call, usage, with_task_fee=True)
        if cost is None or not unconfirmed:
            return cost
        return cost.flagged(f"{call.tier} tier requested, not confirmed by the answer")

    def price(self, call: OpenCall, usage: Usage, *, with_task_fee: bool = False) -> Cost | None:
        """Price a usage at the model that answered; None where its price is not known."""
        labels = call.labels
        model, provider, tier = labels["model"] or "unknown", labels["provider"], usage.service_tier
        try:
            card = self._prices.card(model, asked=call.asked, provider=provider, at=call.at, service_tier=tier)
            cost = card.cost(usage) if card is not None else None
            if card is not None and cost is not None and with_task_fee and card.task:
                cost = card.cost(usage, tasks=call.run.take_task_fee())
            if cost is None:  # the book itself says, once, that there is no price
                self._prices.cost(usage, model, asked=call.asked, provider=provider, at=call.at)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a price, the run goes on
            self._journal.trouble("pricing", error)
            return None
        return cost

    def tool(self, call: OpenCall) -> Cost | None:
        """Price a tool call; None where no price is stated for the tool."""
        try:
            return self._prices.tool_cost(call.labels["tool"] or "", duration_s=call.duration_s)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a price, the run goes on
            self._journal.trouble("pricing", error)
            return None

    def saved(self, hit: CacheHit, at: datetime) -> Cost | None:
        """Price what a hit took the place of; None where that is not known."""
        try:
            return saved_by(hit, self._prices, at=at)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a price, the run goes on
            self._journal.trouble("pricing", error)
            return None
