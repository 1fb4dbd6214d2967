"""What a router did, from the ledger alone: who answered, what it saved, and whether that can be believed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, ClassVar

from langchain_agentcost.attribution import label
from langchain_agentcost.errors import QueryError
from langchain_agentcost.finops import table
from langchain_agentcost.finops.amounts import Amount
from langchain_agentcost.finops.base import Report
from langchain_agentcost.finops.render_data import to_json
from langchain_agentcost.finops.routing_doubts import dearer_per_success, dominated, near_constant
from langchain_agentcost.finops.routing_facts import Escalations, FloorStatus, Forecast, Saving, usd
from langchain_agentcost.finops.routing_measured import Measured, Measurement, measured
from langchain_agentcost.finops.routing_notes import routing_notes
from langchain_agentcost.finops.routing_tally import Paid, RoutingTally
from langchain_agentcost.finops.selection import Key, Selection, dimensions
from langchain_agentcost.finops.table import Column
from langchain_agentcost.ledger.base import Ledger, Total, Where
from langchain_agentcost.ledger.query import ask
from langchain_agentcost.routed import ANSWERING, ROLE, ROLES, TIER

OF_A_DECISION = ("tenant", "user", "session", "workflow", "run", "agent", "node", "deployment", "variant")
"""The columns that all calls of a decision share: only by these, and by tags, may the report be narrowed."""

KINDS = ("llm", "cache_hit", "correction", "decision")
"""What is booked of a routed call."""


@dataclass(frozen=True, slots=True)
class TierShare(Total):
    """What went to a tier: answers, drafts and escalations, without shadow calls and judges.

    Args:
        discarded: Drafts of it that another tier's answer took the place of.
        discarded_spend: What those cost.
        measured: How it has done on the runs that it alone answered; None where no outcome says so.
    """

    discarded: int = 0
    discarded_spend: Amount = field(default_factory=lambda: Amount(0))
    measured: Measured | None = None


def _of_calls(row: TierShare, whole: TierShare) -> float | None:
    return row.llm_calls / whole.llm_calls if whole.llm_calls else None


def _did(name: str) -> Any:
    return lambda row, _: getattr(row.measured, name, None)


@dataclass(frozen=True, slots=True, repr=False)
class RouterReport(Report):
    """A report by tier. Its rows are `TierShare`s.

    Args:
        decisions: How many calls were routed.
        saving: What that saved.
        escalations: What became of drafts.
        evaluation: What shadow calls and judges cost.
        forecast: How far the baseline can be believed.
        floor: Which calibrations held.
        measurement: How tiers have done, where outcomes were recorded.
        doubts: What speaks against a tier or the router, as sentences.
    """

    decisions: int = 0
    saving: Saving = field(default_factory=Saving)
    escalations: Escalations = field(default_factory=Escalations)
    evaluation: Amount = field(default_factory=lambda: Amount(0))
    forecast: Forecast = field(default_factory=Forecast)
    floor: FloorStatus = field(default_factory=FloorStatus)
    measurement: Measurement = field(default_factory=Measurement)
    doubts: tuple[str, ...] = ()

    MEASURES: ClassVar[tuple[Column, ...]] = (
        Column("llm_calls", "calls", "count", lambda row, _: row.llm_calls),
        Column("calls_share", "of calls", "share", _of_calls),
        Column("input_tokens", "input", "count", lambda row, _: row.usage.input_tokens, drop=6),
        Column("cache_read_share", "cached", "share", lambda row, _: row.usage.cache_read_share, drop=7),
        Column("output_tokens", "output", "count", lambda row, _: row.usage.output_tokens, drop=5),
        table.COST,
        table.SHARE,
        Column("discarded", "discarded", "count", lambda row, _: row.discarded or None, drop=3),
        Column("discarded_usd", "their cost", "money", lambda row, _: row.discarded_spend if row.discarded else None,
               drop=4),
        Column("runs", "runs", "count", _did("runs"), drop=2),
        Column("solved", "ok", "count", _did("solved"), drop=1),
        Column("per_success_usd", "per success", "money", _did("per_success")),
        Column("latency_p50_s", "p50 s", "seconds", lambda row, _: row.latency_p50_s, drop=8),
        *table.DETAILS,
    )  # fmt: skip

    def to_json(self) -> str:
        """Write what every report has, and under "routing" what is only about routers."""
        return json.dumps({**json.loads(to_json(self)), "routing": self.as_dict()}, indent=2, ensure_ascii=False) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Give what is only about routers as plain data: USD as text, None where not known."""
        corrected = self.saving.corrected(self.forecast)
        return {
            "decisions": self.decisions,
            "saving": self.saving.as_dict(),
            "saving_corrected": None if corrected is None else corrected.as_dict(),
            "escalations": self.escalations.as_dict(),
            "evaluation_usd": usd(self.evaluation),
            "forecast": self.forecast.as_dict(),
            "floor": self.floor.as_dict(),
            "tiers": {name: _record(tier) for name, tier in self.measurement.tiers.items()},
            "mixed_runs": self.measurement.mixed,
            "doubts": list(self.doubts),
        }


def routing_report(
    ledger: Ledger,
    *,
    by: str | Sequence[str] = (),
    where: Where | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    outcome: str | None = None,
) -> RouterReport:
    """Say what a router did.

    The saving is what the answered calls were expected to cost on the strongest tier, with a warm prompt cache, less
    all that was really paid for them. It is a forecast against a bill: `forecast` says how the forecasts came out where
    the strongest tier was really asked.

    Args:
        ledger: The ledger.
        by: Dimensions to group by beside the tier, such as "node".
        where: Conditions that must all hold. They have to be about what all calls of a decision share.
        since: Only calls that started at or after this instant; it must have a time zone.
        until: Only calls that started before it.
        outcome: Which outcomes say how good a tier is; None takes all but "abandoned".

    Returns:
        The report, the dearest tier first.

    Raises:
        QueryError: If a column does not exist or tells calls of one decision apart, or an instant has no time zone.

    Example:
        >>> from langchain_agentcost.ledger import open_ledger
        >>> routing_report(open_ledger("memory://")).saving.saved.nano
        0
    """
    _check(where or {})
    names = ask(dimensions(by)).by
    whole = Selection(ledger, where, since, until)
    tally = RoutingTally(_routed(whole, ROLES).entries(), names)
    found = measured(whole, outcome=outcome)
    rows, total = _rows(_routed(whole, ANSWERING), names, tally, found)
    made = RouterReport(
        title=f"Routing by tier, {', '.join(map(label, names))}" if names else "Routing by tier",
        by=("tier", *names),
        rows=rows,
        total=total,
        decisions=tally.chosen.total(),
        saving=Saving.of(tally),
        escalations=Escalations.of(tally),
        evaluation=tally.paid_for("shadow", "judge").amount,
        forecast=Forecast.of(tally),
        floor=FloorStatus.of(tally),
        measurement=found,
        doubts=_doubts(tally, found),
    )
    return replace(made, notes=routing_notes(made))


def _check(where: Where) -> None:
    """Refuse conditions that hold for some of the calls of a decision: drafts without escalations save too much."""
    for column in where:
        if column not in OF_A_DECISION and (not column.startswith("tag:") or column in (f"tag:{TIER}", f"tag:{ROLE}")):
            raise QueryError(
                f"A routing report cannot be narrowed by {column[:60]!r}, which tells the calls of one decision apart; "
                f"choose from {', '.join(OF_A_DECISION)} or tag:NAME."
            )


def _routed(whole: Selection, roles: Sequence[str]) -> Selection:
    return replace(whole, where={**(whole.where or {}), f"tag:{ROLE}": list(roles), "kind": list(KINDS)})


def _rows(
    answering: Selection, names: Sequence[str], tally: RoutingTally, found: Measurement
) -> tuple[tuple[TierShare, ...], TierShare]:
    """What went to each tier, and to all of them."""
    discarded: dict[Key, Paid] = {}
    for made in tally.every:
        if made.draft is not None and made.escalated:
            discarded.setdefault(made.draft_key, Paid()).add(made.draft)
            discarded.setdefault((), Paid()).add(made.draft)
    tiers = found.tiers if not names else {}
    totals = answering.totals((f"tag:{TIER}", *names))
    rows = tuple(_share(total, discarded.get(total.key), tiers.get(str(total.key[0]))) for total in totals)
    return rows, _share(answering.total(), discarded.get(()), None)


def _share(total: Total, discarded: Paid | None, measured: Measured | None) -> TierShare:
    known = {f.name: getattr(total, f.name) for f in fields(Total)}
    if discarded is None:
        return TierShare(**known, measured=measured)
    return TierShare(**known, discarded=discarded.calls, discarded_spend=discarded.amount, measured=measured)


def _doubts(tally: RoutingTally, found: Measurement) -> tuple[str, ...]:
    """What speaks against a tier or the router. Only the strongest tier is known to be stronger than another one."""
    strongest = Counter(told.baseline for told, _ in tally.decisions).most_common(1)
    constant = near_constant(tally.chosen)
    doubts = [constant] if constant is not None else []
    strong = found.tiers.get(strongest[0][0]) if strongest else None
    for tier in found.tiers.values():
        if strong is not None:
            doubts += dominated((tier, strong)) + dearer_per_success((tier, strong))
    return tuple(doubts)


def _record(tier: Measured) -> dict[str, Any]:
    spent = Amount(tier.nano) if tier.nano is not None else Amount(None, "unknown")
    per = {"per_run_usd": tier.per_run, "per_success_usd": tier.per_success}
    amounts = {name: None if amount is None else usd(amount) for name, amount in per.items()}
    return {"runs": tier.runs, "solved": tier.solved, "cost_usd": usd(spent), **amounts}
