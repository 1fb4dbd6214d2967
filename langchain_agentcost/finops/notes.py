"""The lines that stand under every report, whatever it is grouped by: what the figures above do not say."""

from __future__ import annotations

from langchain_agentcost.attribution import label
from langchain_agentcost.finops.amounts import (
    Amount,
    failed_cost_of,
    saved_of,
    written_count,
    written_seconds,
    written_share,
)
from langchain_agentcost.finops.base import Note
from langchain_agentcost.finops.caches import cache_notes
from langchain_agentcost.finops.requests import Requests
from langchain_agentcost.finops.selection import Selection
from langchain_agentcost.ledger.base import Total

_MODELS_NAMED = 5


def standing_notes(selection: Selection, total: Total, requests: Requests | None) -> tuple[Note, ...]:
    """Write the lines under a report.

    Args:
        selection: What the report is about.
        total: Its total.
        requests: Its model calls per workflow run; None where they were not counted.

    Returns:
        One note each for unpriced, estimated, flagged and failed calls, savings, prompt cache, latency and requests;
        where caches were at work, one for each of them too, and one for their net.
    """
    return (
        _unpriced(selection, total),
        _count("Estimated calls", total.estimated_calls, total.calls, "their token counts are estimates"),
        _count("Flagged calls", total.flagged_calls, total.calls, "their usage or price has a flag; see the entries"),
        _spend("Failed spend", failed_cost_of(total), total.failed_calls, "failed or aborted calls"),
        _spend("Saved", saved_of(total), total.cache_hits, "cache hits"),
        *cache_notes(selection, total),
        Note("Prompt cache", _prompt_cache(total)),
        Note("Latency", _latency(total)),
        Note("Calls per request", "not counted here; the report by driver does" if requests is None else str(requests)),
    )


def _unpriced(selection: Selection, total: Total) -> Note:
    calls = total.unpriced_calls
    if calls <= 0:
        return Note("Unpriced calls", "none")
    models = [group for group in selection.totals(("model",)) if group.unpriced_calls > 0]
    models.sort(key=lambda group: -group.unpriced_calls)
    named = [f"{_name(group.key[0])} ({written_count(group.unpriced_calls)})" for group in models[:_MODELS_NAMED]]
    more = len(models) - len(named)
    tail = f" and {more} more" if more > 0 else ""
    text = f"{written_count(calls)}, their cost is unknown and not in the sums: {', '.join(named)}{tail}"
    return Note("Unpriced calls", text, warning=True)


def _name(model: object) -> str:
    return "a model without a name" if model is None else label(model)


def _count(name: str, count: int, of: int, meaning: str) -> Note:
    if not count:
        return Note(name, "none")
    return Note(name, f"{written_count(count)} of {written_count(of)}: {meaning}", warning=True)


def _spend(name: str, amount: Amount, count: int, what: str) -> Note:
    if not (amount.nano or count or amount.known == "unknown"):
        return Note(name, "none")
    written = amount.known if amount.nano is None else str(amount)
    return Note(name, f"{written} in {written_count(count)} {what}", warning=amount.known in ("at least", "unknown"))


def _prompt_cache(total: Total) -> str:
    share = total.usage.cache_read_share
    if share is None:
        return "no input"
    return f"{written_share(share)} of the input tokens were read from the provider's prompt cache"


def _latency(total: Total) -> str:
    if total.latency_p50_s is None or total.latency_p95_s is None:
        return "not measured"
    return f"p50 {written_seconds(total.latency_p50_s)} s, p95 {written_seconds(total.latency_p95_s)} s per model call"
