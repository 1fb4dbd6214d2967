"""What a router decided, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_OID

from langchain_agentcost.attribution import label
from langchain_agentcost.ledger.entry import Entry, event_id
from langchain_agentcost.money import from_nano
from langchain_agentcost.routed import ANSWERING, ROLES, Routed

MOST_REASONS = 8
MOST_TIERS = 32
"""More reasons or tiers than this are a mistake, or an attack."""


def routed_of(metadata: Mapping[str, Any]) -> Routed | None:
    """Read what a router tells of a call, cut to what a ledger may keep.

    Args:
        metadata: The metadata of the call's run.

    Returns:
        It; None where the call was not routed.

    Raises:
        TypeError: If it is not that of a routed call.
        ValueError: If its role is none, or an amount is no number.

    Example:
        >>> told = Routed(id="1", tier="small", policy="step", role="answer", baseline="large", reasons=("r",) * 99)
        >>> len(routed_of(told.as_metadata()).reasons)
        8
    """
    told = Routed.from_metadata(metadata)
    if told is None:
        return None
    if not all(isinstance(name, str) for name in (told.id, told.tier, told.policy, told.baseline)):
        raise TypeError("A routed call has an id, a tier, a policy and a baseline, all of them text.")
    if told.role not in ROLES:
        raise ValueError(f"The role of a routed call is one of {', '.join(ROLES)}, not {label(told.role)!r}.")
    return Routed(
        id=label(told.id),
        tier=label(told.tier),
        policy=label(told.policy),
        role=told.role,
        reasons=tuple(label(reason) for reason in told.reasons[:MOST_REASONS]),
        expected_nano={label(tier): _nano(nano) for tier, nano in [*told.expected_nano.items()][:MOST_TIERS]},
        baseline=label(told.baseline),
        baseline_nano=_nano(told.baseline_nano),
        score=None if told.score is None else float(told.score),
        propensity=float(told.propensity),
        calibration=None if told.calibration is None else label(told.calibration),
    )


def decision_entry(call: Entry, routed: Routed) -> Entry | None:
    """Make the entry of the decision that a call was made for.

    All calls of a decision give the same id, so that a ledger keeps one entry: the first call's. The workflow run has
    no part in it: outside a graph or chain, a draft and its escalation are runs of their own.

    Args:
        call: The call, as it is booked.
        routed: What the router told of it.

    Returns:
        The entry; None for a call that only compares or judges, and for one that was answered from a cache: no tier
        was asked, and what was saved is the cache's.
    """
    if routed.role not in ANSWERING or call.kind != "llm":
        return None
    return Entry(
        id=event_id(NAMESPACE_OID, "decision", routed.policy, routed.id),
        kind="decision",
        at=call.at,
        attribution=call.attribution,
        parent_id=call.id,
        name=routed.policy,
        value=None if routed.baseline_nano is None else from_nano(routed.baseline_nano),
        decision=routed.id,
        routed=routed,
    )


def _nano(amount: Any) -> int | None:
    return None if amount is None else int(amount)
