"""The exceptions of limits that were reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_agentcost.errors.limits import BudgetExceeded, LimitReached
from langchain_agentcost.limits.budget import limit_shown
from langchain_agentcost.limits.refusal import Refusal


def exceeded(refusal: Refusal, whose: Mapping[str, Any]) -> BudgetExceeded:
    """What a refused call raises.

    Args:
        refusal: Why it was refused.
        whose: The run and thread, for the evidence.
    """
    unit, account = refusal.rule.unit, refusal.account
    error = BudgetExceeded(refusal.message, scope=refusal.scope, evidence={**refusal.evidence(), **whose})
    if account is not None:
        error.limit = limit_shown(unit, account.cap or refusal.rule.limit)
        error.spent = limit_shown(unit, account.spent)
        error.reserved = limit_shown(unit, account.reserved)
        error.needed = limit_shown(unit, refusal.needed)
    return error


def raised_again(trip: LimitReached) -> LimitReached:
    """The same stop as an exception of its own: a traceback belongs to one raise."""
    again = type(trip)(str(trip), scope=trip.scope, limit=trip.limit, spent=trip.spent)
    again.reserved, again.needed, again.evidence = trip.reserved, trip.needed, trip.evidence
    return again
