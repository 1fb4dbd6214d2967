"""How tiers have done by the outcomes of a ledger: what ranks them, and what speaks against one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from langchain_agentcost.chat_model import names_of
from langchain_agentcost.errors import RoutingWarning, give_warning
from langchain_agentcost.finops.routing_doubts import dearer_per_success, near_constant
from langchain_agentcost.finops.routing_doubts import dominated as _dominated
from langchain_agentcost.finops.routing_measured import Measured, Measurement, measured
from langchain_agentcost.finops.selection import Selection
from langchain_agentcost.ledger.base import Ledger, Where
from langchain_agentcost.routing.tier import Record, Tier

__all__ = ["dominated", "doubts", "near_constant", "ranked", "records_from"]


def records_from(
    ledger: Ledger,
    tiers: Sequence[Tier],
    *,
    outcome: str | None = "resolved",
    where: Where | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[Tier, ...]:
    """Give tiers their records, measured from the outcomes of a ledger.

    A run counts for a tier where all its routed answers were that tier's. Of runs from before there was a router, one
    counts for the tier whose model made all its calls. A run that several tiers answered counts for none. What a run
    cost is all that was spent in it, tools and judges of drafts too, but for shadow calls.

    A router gives the stronger tier what is harder, so that it looks the worse for it: records of a ledger rank tiers
    for the work that they got.

    Args:
        ledger: The ledger.
        tiers: The tiers.
        outcome: Which outcomes say whether a run succeeded; None takes all but "abandoned", and all must say so.
        where: Which spending counts: conditions that must all hold.
        since: Only spending that started at or after this instant; it must have a time zone.
        until: Only spending that started before it.

    Returns:
        The same tiers in the same order. One that no run can be counted for keeps the record that it had. There is a
        `RoutingWarning` where more runs were answered by several tiers than by one alone.

    Raises:
        QueryError: If a column does not exist or an instant has no time zone.

    Example:
        >>> from langchain_agentcost.ledger import open_ledger
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> records_from(open_ledger("memory://"), [Tier("small", FakeMeteredChatModel())])[0].record is None
        True
    """
    found = measured(Selection(ledger, where, since, until), outcome=outcome, models=_models(tiers))
    _tell(found)
    return tuple(replace(tier, record=_record(found.tiers.get(tier.name)) or tier.record) for tier in tiers)


def ranked(tiers: Sequence[Tier]) -> tuple[Tier, ...]:
    """Put tiers in order by what a solved task cost on each, the cheapest first.

    A list price does not tell that: a cheap model may take more steps, and fail more often.

    Args:
        tiers: The tiers.

    Returns:
        Those with a record first; those of which no success or no cost is known after them, as they were.
    """
    return tuple(sorted(tiers, key=_place))


def dominated(tiers: Sequence[Tier]) -> tuple[str, ...]:
    """Name the tiers that a stronger one beats in quality at no more cost a task.

    Args:
        tiers: The tiers with their records, weakest first.

    Returns:
        A sentence for each; see `finops.routing_doubts.dominated`. A few lucky runs are not enough.
    """
    return _dominated(_measured(tiers))


def doubts(tiers: Sequence[Tier]) -> tuple[str, ...]:
    """Say all that speaks against a tier: those that are dominated, and those that cost more a success.

    Args:
        tiers: The tiers with their records, weakest first.
    """
    return dominated(tiers) + dearer_per_success(_measured(tiers))


def _models(tiers: Sequence[Tier]) -> dict[str, str]:
    """The tier of each model's name; a name that two tiers have says nothing."""
    named = [(names_of(tier.model)[0], tier.name) for tier in tiers]
    models = [model for model, _ in named]
    return {model: tier for model, tier in named if model is not None and models.count(model) == 1}


def _tell(found: Measurement) -> None:
    alone = sum(tier.runs for tier in found.tiers.values())
    if found.mixed > alone:
        give_warning(
            RoutingWarning(
                f"{found.mixed:,} runs with an outcome were answered by several tiers and say nothing of one; only "
                f"{alone:,} were answered by one alone. Shadow calls measure tiers on the same calls."
            )
        )


def _record(found: Measured | None) -> Record | None:
    return None if found is None else Record(runs=found.runs, solved=found.solved, nano=found.nano)


def _measured(tiers: Sequence[Tier]) -> list[Measured]:
    """The tiers that have a record."""
    records = [(tier.name, tier.record) for tier in tiers]
    return [Measured(name, record.runs, record.solved, record.nano) for name, record in records if record is not None]


def _place(tier: Tier) -> tuple[bool, Fraction]:
    """By what a success costs; where that is not known, at the end."""
    record = tier.record
    if record is None or record.nano is None or not record.solved:
        return True, Fraction(0)
    return False, Fraction(record.nano, record.solved)
