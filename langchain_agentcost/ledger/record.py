"""Entries as flat records, for files that other programs read, and back.

Money is text in USD with all nine decimals, exactly; instants are ISO 8601 in UTC; what was not stated is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from langchain_agentcost.attribution import DIMENSIONS, Attribution
from langchain_agentcost.errors import InvalidEntry
from langchain_agentcost.ledger.entry import Entry, InputSplit
from langchain_agentcost.ledger.fold import TOKENS
from langchain_agentcost.money import from_nano, to_nano
from langchain_agentcost.pricing.cost import PARTS, Cost, PriceSource
from langchain_agentcost.routed import Routed
from langchain_agentcost.usage import Usage

_SPLIT = ("new_tokens", "resent_tokens", "tool_schema_tokens", "tool_result_tokens")
_PRICE = ("name", "version", "as_of")

_HEAD = ("id", "kind", "at", "status", "error_type", "parent_id", "name")
_USAGE = (*TOKENS, "usage_tier", "server_tools", "estimated", "anomalies")

MONEY: tuple[str, ...] = tuple(
    f"{prefix}_{part.removesuffix('_nano')}_usd" for prefix in ("cost", "saved") for part in PARTS
)
"""The columns that hold USD."""

SECONDS = ("duration_s", "first_token_s")
COUNTS: tuple[str, ...] = ("step", "attempt", *TOKENS, *(f"split_{name}" for name in _SPLIT))
"""The columns that hold whole numbers."""

FLAGS = ("success", "estimated")
LISTS = ("tags", "server_tools", "anomalies", "cost_flags", "saved_flags", "fingerprints", "routed")
"""The columns that hold lists, pairs, or what has names of its own."""

COLUMNS: tuple[str, ...] = (
    *_HEAD,
    *DIMENSIONS,
    "tags",
    *SECONDS,
    *_USAGE,
    *(
        column
        for prefix in ("cost", "saved")
        for column in (
            *(money for money in MONEY if money.startswith(prefix)),
            *(f"{prefix}_price_{name}" for name in _PRICE),
            f"{prefix}_tier",
            f"{prefix}_flags",
        )
    ),
    "value",
    "success",
    *(f"split_{name}" for name in _SPLIT),
    "fingerprints",
    "decision",
    "routed",
)
"""All columns, in order. The last two came later: exports of before are without them."""


def to_record(entry: Entry) -> dict[str, Any]:
    """Give an entry as a flat record of `COLUMNS`."""
    usage = entry.usage
    return {
        **{name: getattr(entry, name) for name in _HEAD},
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        **{name: getattr(entry.attribution, name) for name in DIMENSIONS},
        "tags": entry.attribution.tags,
        **{name: getattr(entry, name) for name in SECONDS},
        **{name: getattr(usage, name, None) for name in TOKENS},
        "usage_tier": usage and usage.service_tier,
        "server_tools": usage and usage.server_tools,
        "estimated": usage and usage.estimated,
        "anomalies": usage and usage.anomalies,
        **_from_cost("cost", entry.cost),
        **_from_cost("saved", entry.saved),
        "value": None if entry.value is None else str(entry.value),
        "success": entry.success,
        **{f"split_{name}": getattr(entry.split, name, None) for name in _SPLIT},
        "fingerprints": entry.fingerprints,
        "decision": entry.decision,
        "routed": None if entry.routed is None else entry.routed.as_metadata(),
    }


def from_record(record: Mapping[str, Any]) -> Entry:
    """Give the entry back.

    Raises:
        InvalidEntry: If a column is missing or holds what it cannot.
    """
    try:
        return Entry(
            **{name: record[name] for name in _HEAD if name != "at"},
            at=datetime.fromisoformat(record["at"]),
            attribution=Attribution(**{name: record[name] for name in DIMENSIONS}, tags=_pairs(record["tags"])),
            **{name: record[name] for name in SECONDS},
            usage=_usage(record),
            cost=_to_cost("cost", record),
            saved=_to_cost("saved", record),
            value=None if record["value"] is None else Decimal(record["value"]),
            success=record["success"],
            split=_split(record),
            fingerprints=None if record["fingerprints"] is None else _pairs(record["fingerprints"]),
            decision=record.get("decision"),
            routed=Routed.from_metadata(record.get("routed")),
        )
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise InvalidEntry(f"This record is not a ledger entry: {type(error).__name__}: {error}.") from error


def _from_cost(prefix: str, cost: Cost | None) -> dict[str, Any]:
    money = {f"{prefix}_{part.removesuffix('_nano')}_usd": cost and _usd(getattr(cost, part)) for part in PARTS}
    price = {f"{prefix}_price_{name}": cost and getattr(cost.price, name, None) for name in _PRICE}
    return money | price | {f"{prefix}_tier": cost and cost.service_tier, f"{prefix}_flags": cost and cost.flags}


def _usd(nano: int) -> str:
    return f"{from_nano(nano):f}"


def _to_cost(prefix: str, record: Mapping[str, Any]) -> Cost | None:
    if record[f"{prefix}_total_usd"] is None:
        return None
    amounts: dict[str, Any] = {
        part: to_nano(Decimal(record[f"{prefix}_{part.removesuffix('_nano')}_usd"])) for part in PARTS
    }
    name, version, as_of = (record[f"{prefix}_price_{field}"] for field in _PRICE)
    price = None if name is None else PriceSource(name, version, as_of)
    return Cost(**amounts, price=price, service_tier=record[f"{prefix}_tier"], flags=tuple(record[f"{prefix}_flags"]))


def _usage(record: Mapping[str, Any]) -> Usage | None:
    if record["input_tokens"] is None:
        return None
    return Usage(
        **{name: record[name] for name in TOKENS},
        service_tier=record["usage_tier"],
        server_tools=_pairs(record["server_tools"]),
        estimated=record["estimated"],
        anomalies=tuple(record["anomalies"]),
    )


def _split(record: Mapping[str, Any]) -> InputSplit | None:
    counts: dict[str, Any] = {name: record[f"split_{name}"] for name in _SPLIT}
    return None if counts["new_tokens"] is None else InputSplit(**counts)


def _pairs(pairs: Any) -> tuple[tuple[Any, Any], ...]:
    return tuple((name, value) for name, value in pairs)
