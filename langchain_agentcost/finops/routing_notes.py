"""The lines under a routing report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import Amount, written_count, written_multiple, written_share
from langchain_agentcost.finops.base import Note
from langchain_agentcost.finops.routing_facts import LEAST_RUNS, Escalations, FloorStatus, Forecast, Saving

if TYPE_CHECKING:
    from langchain_agentcost.finops.routing import RouterReport

FAR_OFF = 0.2
"""A forecast that is wrong by more than this share is pointed at."""

NEAR = 0.05
"""A forecast that is wrong by less needs no correction."""

_NAMED = 3

_NOTHING = "none: route calls with a router, and pass its runs a meter"


def routing_notes(report: RouterReport) -> tuple[Note, ...]:
    """Write the lines under a report: the saving first, then what speaks for and against it."""
    if not report.decisions:
        return (Note("Routed calls", _NOTHING, warning=True),)
    return (
        _saving(report.saving, report.decisions),
        *_not_known(report),
        _escalations(report.escalations),
        Note("Evaluation", f"{_written(report.evaluation)} paid for shadow calls and judges"),
        _forecast(report.forecast),
        *_corrected(report),
        *_unseen(report.forecast),
        _floor(report.floor),
        *_mixed(report),
        *(Note("Doubt", doubt, warning=True) for doubt in report.doubts),
    )


def _saving(saving: Saving, decisions: int) -> Note:
    bill = f"{_written(saving.paid)} paid for {written_count(decisions)} decisions"
    against = f"{_written(saving.baseline)} expected with the strongest tier alone"
    text = f"{_written(saving.saved)}{_percent(saving)}: {bill}, {against}"
    return Note("Saved", text, warning=saving.saved.known != "exact" or (saving.saved.nano or 0) < 0)


def _percent(saving: Saving) -> str:
    if saving.percent is None:
        return ""
    if saving.interval is None:
        few = f"; with fewer than {LEAST_RUNS} runs no interval" if saving.runs < LEAST_RUNS else ""
        return f" ({saving.percent:.1f}%{few})"
    low, high = saving.interval
    over = f"over {written_count(saving.runs)} runs, of which runs came and not of the forecast"
    return f" ({saving.percent:.1f}%, 95% interval {low:.1f}% to {high:.1f}% {over})"


def _not_known(report: RouterReport) -> Iterator[Note]:
    """What is missing from the saving."""
    saving = report.saving
    if saving.paid.known != "exact":
        yield Note("Unpriced calls", "some of what was paid has no price, so the saving is not known", warning=True)
    if saving.without_baseline:
        text = f"{written_count(saving.without_baseline)} decisions, whose strongest tier has no price: only paid for"
        yield Note("No baseline", text, warning=True)
    if saving.unanswered:
        text = f"{written_count(saving.unanswered)} decisions, whose calls failed or were left: only paid for"
        yield Note("No answer", text)


def _escalations(made: Escalations) -> Note:
    if made.rate is None:
        return Note("Escalations", "no drafts were made")
    share = f"{written_count(made.escalated)} of {written_count(made.drafts)} drafts ({written_share(made.rate)})"
    return Note("Escalations", f"{share}; the discarded drafts cost {_written(made.discarded)}")


def _forecast(forecast: Forecast) -> Note:
    if forecast.of_baseline is None:
        text = "cannot be checked: the strongest tier was never asked at once"
        return Note("Baseline", text, warning=True)
    there = f"{written_count(forecast.calls)} calls went to the strongest tier at once"
    text = f"{there} and cost {_times(forecast.of_baseline)} their baseline"
    if forecast.of_expected is not None:
        text += f", {_times(forecast.of_expected)} what was expected with the prompt cache as it was"
    off = abs((forecast.of_expected or forecast.of_baseline) - 1) > FAR_OFF
    return Note("Baseline", text, warning=off)


def _corrected(report: RouterReport) -> Iterator[Note]:
    """The saving by what forecasts were worth, where that is another one."""
    corrected, off = report.saving.corrected(report.forecast), report.forecast.of_expected
    if corrected is not None and off is not None and abs(off - 1) > NEAR:
        text = f"{_written(corrected.saved)} ({corrected.percent or 0:.1f}%) if all forecasts were off by {_times(off)}"
        yield Note("Saved, corrected", text, warning=(corrected.saved.nano or 0) < 0)


def _unseen(forecast: Forecast) -> Iterator[Note]:
    """How much of the baseline is taken from other tiers' answers."""
    if forecast.unseen_share:
        text = (
            f"{written_share(forecast.unseen_share)} of the baseline is of nodes where the strongest tier gave no "
            "answer: there it is taken to answer at the length of the others"
        )
        yield Note("Never heard", text, warning=forecast.unseen_share > FAR_OFF)


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio < 10 else written_multiple(ratio)


def _floor(floor: FloorStatus) -> Note:
    if not floor.calibrations:
        return Note("Quality floor", "no calibration held for any of them", warning=True)
    named = [f"{label(name)} ({written_count(count)})" for name, count in floor.calibrations.items()]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    without = f"; none for {written_share(floor.share_without)} of decisions" if floor.share_without else ""
    text = f"calibrated by {', '.join(named[:_NAMED])}{more}{without}"
    return Note("Quality floor", text, warning=bool(floor.share_without))


def _mixed(report: RouterReport) -> Iterator[Note]:
    found = report.measurement
    if found.mixed:
        alone = sum(tier.runs for tier in found.tiers.values())
        shares = f"{written_count(found.mixed)} runs with an outcome were answered by several tiers and say nothing"
        yield Note("Outcomes", f"{shares} of one; {written_count(alone)} by one alone")


def _written(amount: Amount) -> str:
    return amount.known if amount.nano is None else str(amount)
