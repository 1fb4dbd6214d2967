"""Advice as people read it: its lines, for plain text and for terminals alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import written_usd
from langchain_agentcost.finops.base import Note
from langchain_agentcost.replay.advice.finding import Finding, Verdict, amount_of, tokens_of
from langchain_agentcost.replay.advice.seen import Unit

if TYPE_CHECKING:
    from langchain_agentcost.replay.advice.advising import Advice
    from langchain_agentcost.replay.advice.bills import Bill

TOP = 10
"""How many findings are shown in full, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Block:
    """A finding.

    Args:
        heading: Its number, title and saving.
        verdict: Whether it is worth it.
        why: And why.
        facts: Named lines about it.
        code: The lines that realise it.
    """

    heading: str
    verdict: Verdict
    why: str
    facts: tuple[tuple[str, str], ...]
    code: str


def title(advice: Advice) -> str:
    """Say what the advice is about."""
    runs, calls = (sum(getattr(bill, name) for bill in advice.bills) for name in ("runs", "calls"))
    usd = sum(bill.amount for bill in advice.bills if bill.unit is Unit.USD)
    tokens = sum(bill.amount for bill in advice.bills if bill.unit is Unit.TOKENS)
    spent = [written_usd(usd)] * bool(usd) + [f"{tokens_of(tokens)} without a price"] * bool(tokens)
    return f"Advice on {runs:,} runs with {calls:,} model calls: {' and '.join(spent) or 'nothing was spent'}"


def summary(advice: Advice) -> str:
    """Say how many findings there are, by verdict."""
    if not advice.findings:
        return _nothing(advice)
    counts = Counter(finding.verdict for finding in advice.findings)
    said = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in Verdict if counts[verdict])
    if len(advice.findings) == 1:
        return f"1 finding: {said}."
    head = f"{len(advice.findings):,} findings, the largest saving first: {said}."
    return f"{head} They do not add up: one takes from another."


def _nothing(advice: Advice) -> str:
    """Say that there are no findings, and claim no more than that."""
    if not advice.bills:
        return "There are no runs."
    if not advice.unjudged:
        return "Nothing was found, of all that is looked for."
    return "Nothing was found in what could be looked at; what could not is named below."


def blocks(advice: Advice, top: int) -> Iterator[Block]:
    """Give the first findings in full.

    Args:
        advice: The advice.
        top: How many.
    """
    bills = {(bill.traffic, bill.unit): bill for bill in advice.bills}
    for number, finding in enumerate(advice.findings[:top], 1):
        bill = bills[finding.traffic, finding.saving.unit]
        heading = f"{number}. {finding.title}: {saves(finding)}"
        yield Block(heading, finding.verdict, finding.why, tuple(_facts(finding, bill)), finding.code)


def further(advice: Advice, top: int) -> Iterator[tuple[str, ...]]:
    """Give the other findings that save something, each as a row: number, kind, traffic, saving and verdict."""
    for number, finding in enumerate(advice.findings[top:], top + 1):
        if finding.saving.amount > 0:
            yield f"{number}.", finding.kind, str(finding.traffic), saves(finding), f"{finding.verdict}: {finding.why}"


def notes(advice: Advice, top: int) -> Iterator[Note]:
    """Give the lines under it: what is not listed above, and what the figures rest on."""
    floor = advice.floor
    idle = Counter(finding.kind for finding in advice.findings[top:] if finding.saving.amount <= 0)
    if idle:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in idle.most_common())
        yield Note("Not listed", f"{idle.total():,} that save nothing ({kinds}); JSON has them")
    for kind, rows in groupby(advice.unjudged, key=lambda one: one.kind):
        yield Note("Not looked at", f"{kind}: {'; '.join(f'{one.why} ({one.runs:,} runs)' for one in rows)}")
    yield Note("Savings", "with prompt caching on, from a cold start; in brackets their 95 % interval over tasks")
    yield Note("Quality floor", f"{floor.metric}: at least {floor.min:.0%}, at {floor.confidence:.0%} confidence")
    yield Note("Prices", label(advice.prices))
    unpriced = sorted({label(bill.traffic.model or "(no model)") for bill in advice.bills if bill.unit is Unit.TOKENS})
    if unpriced:
        text = f"{', '.join(unpriced)}: these are in tokens; --prices names a model or a file with their prices"
        yield Note("Without a price", text, warning=True)
    if advice.faults.count:
        first = f", the first: {advice.faults.named[0]}" if advice.faults.named else ""
        yield Note("Not read", f"{advice.faults.count:,} faults in the traces{first}", warning=True)
    if not advice.complete:
        yield Note("Stopped", "not all runs were looked at", warning=True)


def saves(finding: Finding) -> str:
    """Write a saving with its interval."""
    saving = finding.saving
    ends = "" if saving.low is None or saving.high is None else f" [{saving.low:.1f}, {saving.high:.1f}]"
    return f"saves {amount_of(saving.unit, saving.amount)}, {saving.pct:.1f}%{ends}"


def _facts(finding: Finding, bill: Bill) -> Iterator[tuple[str, str]]:
    spent = amount_of(bill.unit, bill.amount)
    exponent = bill.growth.fit()
    grows = "" if exponent is None else f"; a run's input grows as calls^{exponent}"
    runs, calls = f"{bill.runs:,} runs", f"{bill.calls:,} calls"
    yield "traffic", f"{bill.traffic}: {runs}, {calls}, {spent} ({bill.basis}){grows}"
    for number, line in enumerate(finding.evidence):
        yield "" if number else "evidence", line
    yield "fidelity", str(finding.saving.fidelity)
    if finding.kept is not None:
        yield "quality", str(finding.kept)
    yield "effort", finding.manner.effort
    yield "latency", finding.manner.latency
    yield "risk", finding.manner.risk
