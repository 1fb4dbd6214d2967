"""A plain fold over entries: what totals have to equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil
from typing import Any

from langchain_agentcost.ledger import Entry, Total
from langchain_agentcost.ledger.latency import bucket, percentile
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage

Key = tuple[str | int | None, ...]


def reference_totals(entries: Iterable[Entry], by: Sequence[str]) -> list[Total]:
    """Add entries up one by one, the slow and obvious way."""
    groups: dict[Key, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(tuple(_label(entry, name) for name in by), []).append(entry)
    totals = [_total(key, group) for key, group in groups.items()]
    return sorted(totals, key=lambda t: (-t.cost.total_nano, [(v is not None, v) for v in t.key]))


def reference_matching(
    entries: Iterable[Entry], where: Mapping[str, Any], since: datetime | None, until: datetime | None
) -> list[Entry]:
    """Pick entries one by one."""
    return [
        entry
        for entry in entries
        if (since is None or entry.at >= since) and (until is None or entry.at < until) and _holds(entry, where)
    ]


def _holds(entry: Entry, where: Mapping[str, Any]) -> bool:
    for name, wanted in where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if name == "step":
            values = [None if value is None else int(value) for value in values]
        if _label(entry, name) not in values:
            return False
    return True


def _total(key: Key, group: list[Entry]) -> Total:
    calls = [e for e in group if e.kind in ("llm", "embedding", "tool", "retriever", "cache_hit")]
    consumed = [e for e in calls if e.kind != "cache_hit"]
    priced_later = sum(e.kind == "correction" and e.name == "priced" for e in group)
    durations = sorted(e.duration_s for e in group if e.kind == "llm" and e.duration_s is not None)
    return Total(
        key=key,
        calls=len(calls),
        llm_calls=sum(e.kind == "llm" for e in group),
        usage=_usage([e.usage for e in consumed if e.usage]),
        cost=_cost(e.cost for e in group),
        saved=_cost(e.saved for e in group),
        unpriced_calls=sum(e.kind in ("llm", "embedding") and e.cost is None for e in group) - priced_later,
        unpriced_savings=sum(e.kind in ("cache_hit", "saving") and e.saved is None for e in group),
        estimated_calls=sum(e.usage is not None and e.usage.estimated for e in consumed),
        flagged_calls=sum(bool((e.usage and e.usage.anomalies) or (e.cost and e.cost.flags)) for e in calls),
        failed_calls=sum(e.status != "ok" for e in calls),
        failed_cost=_cost(e.cost for e in group if e.status != "ok"),
        failed_unpriced_calls=sum(
            (e.kind in ("llm", "embedding") and e.cost is None) - (e.kind == "correction" and e.name == "priced")
            for e in group
            if e.status != "ok"
        ),
        cache_hits=sum(e.kind == "cache_hit" for e in calls),
        latency_p50_s=_rank(durations, 0.50),
        latency_p95_s=_rank(durations, 0.95),
    )


def _usage(usages: list[Usage]) -> Usage:
    return replace(sum(usages, start=Usage()), service_tier=None, server_tools=(), anomalies=())


def _cost(costs: Iterable[Cost | None]) -> Cost:
    return replace(sum((c for c in costs if c), start=Cost()), price=None, service_tier=None, flags=())


def _rank(durations: list[float], share: float) -> float | None:
    """Nearest rank, as the middle of its bucket."""
    return percentile({bucket(durations[ceil(share * len(durations)) - 1]): 1}, share) if durations else None


def _label(entry: Entry, name: str) -> str | int | None:
    if name.startswith("tag:"):
        return dict(entry.attribution.tags).get(name[4:])
    if name in ("day", "hour"):
        return f"{entry.at:%Y-%m-%d}" if name == "day" else f"{entry.at:%Y-%m-%dT%H}:00"
    value: str | int | None = getattr(entry if name in ("kind", "status", "name") else entry.attribution, name)
    return value
