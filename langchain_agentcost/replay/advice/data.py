"""Advice as data, for programs. The format is versioned: a field that changes its meaning raises the version.

| field of a finding | what it is |
|---|---|
| `kind`, `title` | what was found; the kinds are `KINDS` |
| `family`, `benchmark`, `source`, `model` | whose bill it is about |
| `saving.unit`, `.amount`, `.bill` | what acting on it saves of which bill: "usd" as text, or "tokens" |
| `saving.pct`, `.ci_low`, `.ci_high` | 100 * amount / bill, and its 95 % bootstrap interval over tasks |
| `saving.pct_cache_off` | the same without prompt caching, at list price; null where that is not the question |
| `saving.pct_cache_on` | the amount in percent of what the same runs would cost with prompt caching; null likewise |
| `saving.fidelity` | how far it can be believed: `replay.Fidelity` |
| `verdict`, `why` | "worth it", "not worth it yet" or "not worth it", and the reason |
| `quality` | good trials of all, what they prove of the floor; null where quality is not touched |
| `evidence`, `facts` | what it rests on, as sentences and as numbers |
| `effort`, `latency`, `risk`, `code` | what it takes, what it does, what can go wrong, and the lines that do it |
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from langchain_agentcost.money import from_nano
from langchain_agentcost.replay.advice.finding import Finding, Kept
from langchain_agentcost.replay.advice.seen import Unit

if TYPE_CHECKING:
    from langchain_agentcost.replay.advice.advising import Advice
    from langchain_agentcost.replay.advice.bills import Bill

FORMAT = "langchain-agentcost/advice"
FORMAT_VERSION = 1


def as_data(advice: Advice) -> dict[str, Any]:
    """Give advice as JSON has it.

    Args:
        advice: The advice.

    Returns:
        Amounts in dollars are text of full precision, amounts in tokens are numbers; None is not known.
    """
    floor = advice.floor
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": version("langchain-agentcost"),
        "complete": advice.complete,
        "prices": advice.prices,
        "floor": {"metric": floor.metric, "min": floor.min, "confidence": floor.confidence},
        "faults": {"count": advice.faults.count, "named": [str(fault) for fault in advice.faults.named]},
        "bills": [_bill(bill) for bill in advice.bills],
        "not_looked_at": [one._asdict() for one in advice.unjudged],
        "findings": [_finding(finding) for finding in advice.findings],
    }


def _bill(bill: Bill) -> dict[str, Any]:
    exponent = bill.growth.fit()
    return {
        **bill.traffic._asdict(),
        "unit": bill.unit.value,
        "amount": _amount(bill.unit, bill.amount),
        "basis": {basis.value: count for basis, count in bill.bases.items()},
        "runs": bill.runs,
        "calls": bill.calls,
        "tasks": len(bill.tasks),
        "input_tokens": bill.input_tokens,
        "output_tokens": bill.output_tokens,
        "judged": bill.judged,
        "successes": bill.successes,
        "growth_exponent": None if exponent is None else exponent._asdict(),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    saving = finding.saving
    return {
        "kind": finding.kind,
        "title": finding.title,
        **finding.traffic._asdict(),
        "saving": {
            "unit": saving.unit.value,
            "amount": _amount(saving.unit, saving.amount),
            "bill": _amount(saving.unit, saving.bill),
            "pct": saving.pct,
            "ci_low": saving.low,
            "ci_high": saving.high,
            "pct_cache_off": saving.off_pct,
            "pct_cache_on": saving.on_pct,
            "fidelity": saving.fidelity.value,
        },
        "verdict": finding.verdict.value,
        "why": finding.why,
        "quality": None if finding.kept is None else _kept(finding.kept),
        "evidence": list(finding.evidence),
        "facts": dict(finding.facts),
        **finding.manner._asdict(),
        "code": finding.code,
    }


def _kept(kept: Kept) -> dict[str, Any]:
    return {
        "metric": kept.floor.metric,
        "good": kept.good,
        "trials": kept.trials,
        "lower_bound": kept.lower_bound,
        "proven": kept.proven,
    }


def _amount(unit: Unit, amount: int) -> str | int:
    return f"{from_nano(amount):f}" if unit is Unit.USD else amount
