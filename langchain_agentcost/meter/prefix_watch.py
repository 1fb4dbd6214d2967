"""The prefix stability monitor at work in a meter: which conversation a call belongs to, and who is told."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count

from langchain_agentcost.errors import PrefixUnstableWarning
from langchain_agentcost.meter.calls import OpenCall
from langchain_agentcost.meter.journal import Journal
from langchain_agentcost.prefix import PrefixChange, PrefixStabilityMonitor, PrefixTotals
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.recent import Recent
from langchain_agentcost.reported import shown
from langchain_agentcost.usage import Usage

MAX_WARNINGS = 100
"""How many conversations are warned about: a clock in a prompt is in the prompt of every one of them."""


class PrefixWatch:
    """Shows the answered calls of a meter to a monitor, and warns once for each conversation that loses money.

    A conversation is what one agent sends in one node and session; without a session, in one workflow run. An agent
    within a tool has its own.

    Args:
        monitor: What looks at the prompts.
        journal: Who warns.
    """

    def __init__(self, monitor: PrefixStabilityMonitor, journal: Journal) -> None:
        self.monitor = monitor
        self._journal = journal
        self._warned: Recent[Hashable, bool] = Recent()
        self._numbers = count(1)

    def answered(self, call: OpenCall, usage: Usage | None) -> None:
        """Look at a model call that was answered by the provider, once its usage is known. Never raises."""
        if isinstance(call.prompt, str):
            return
        with self._journal.harmless("prefix stability"):
            labels, prompt, tools = call.labels, call.prompt, call.tools
            thread = tuple(labels.get(name) for name in ("tenant", "session", "agent", "node"))
            change = self.monitor.observe(
                thread if labels.get("session") else (*thread, call.run.id),
                prompt,
                tools=tools,
                model=labels["model"],
                provider=labels["provider"],
                at=call.at,
                usage=usage,
            )
            if change is not None and change.recurring and change.lost_tokens:
                self._warn(change, str(labels.get("node") or labels.get("agent") or labels["model"]))

    def _warn(self, change: PrefixChange, where: str) -> None:
        if self._warned.get(change.thread):
            return
        self._warned.put(change.thread, True)  # noqa: FBT003  # a set that forgets
        number = next(self._numbers)
        if number <= MAX_WARNINGS:
            text = said_of(change, self.monitor.totals(change.thread), where)
            if number == MAX_WARNINGS:
                text += " Further conversations are counted and not warned about."
            self._journal.warn_once(f"prefix: {change.thread}", PrefixUnstableWarning(text))


def monitor_of(stated: object, prices: PriceBook) -> PrefixStabilityMonitor | None:
    """Give the monitor that a meter is asked to have.

    Args:
        stated: True, a monitor, or nothing.
        prices: What calls cost, where the monitor is the meter's own.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(stated, PrefixStabilityMonitor):
        return stated
    if stated is None or isinstance(stated, bool):
        return PrefixStabilityMonitor(prices) if stated else None
    raise ValueError(f"prefix_monitor is True or a PrefixStabilityMonitor, not {shown(stated)}.")


def said_of(change: PrefixChange, totals: PrefixTotals, where: str) -> str:
    """What a user is told of a conversation: where it changes and what to do, and nothing of what it says."""
    cost = f"${totals.usd:.4f} so far" if not totals.unpriced_changes else "at a price that is not known"
    return (
        f"The prompts of {where!r} change at {change.place} ({change.kind}) since call {change.since_call} of their "
        f"conversation, {totals.changes} times by now: {totals.lost_tokens:,} tokens that the provider's prompt cache "
        f"would have served were billed anew, {cost}. {change.advice}"
    )
