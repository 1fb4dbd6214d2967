"""Entries as rows of a SQLite ledger, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.ledger.entry import KINDS, STATUSES, Entry, InputSplit
from langchain_agentcost.ledger.fold import (
    TOKENS,
    check,
    common_nano,
    common_tokens,
    flagged,
    has_rare,
    latency_bucket,
    parts_of,
    rare_tokens,
    unpriced,
)
from langchain_agentcost.ledger.query import instant
from langchain_agentcost.pricing.cost import PARTS, Cost, PriceSource
from langchain_agentcost.routed import Routed
from langchain_agentcost.usage import Usage

KIND_NUMBERS: dict[str, int] = {name: number for number, name in enumerate(KINDS)}
STATUS_NUMBERS: dict[str, int] = {name: number for number, name in enumerate(STATUSES)}

LABELS = ("tenant", "workflow", "agent", "node", "tool", "provider", "model", "deployment", "variant", "purpose")
"""The columns of `attribution`, before its tags."""

COLUMNS = (
    "id, parent, kind, status, at, attribution, run, step, attempt, detail, duration_s, first_token_s, bucket, marks, "
    "unpriced, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, total_nano, "
    "input_nano, output_nano, cache_read_nano, cache_write_nano, tool_nano, new_tokens, resent_tokens, "
    "tool_schema_tokens, tool_result_tokens"
)
EXTRA_COLUMNS = (
    "value, cache_write_1h_tokens, input_audio_tokens, output_audio_tokens, request_nano, saved_total_nano, "
    "saved_input_nano, saved_output_nano, saved_cache_read_nano, saved_cache_write_nano, saved_request_nano, "
    "saved_tool_nano"
)

_labels_of = attrgetter(*LABELS, "tags")
_split_of = attrgetter("new_tokens", "resent_tokens", "tool_schema_tokens", "tool_result_tokens")

_MAX_CACHED = 50_000


def packed(text: str | None) -> str | bytes | None:
    """Make 16 bytes of a UUID as LangChain writes it; other text stays as it is.

    Example:
        >>> len(packed("019ab0c4-1d8e-7000-8000-0123456789ab")), packed("ticket-7")
        (16, 'ticket-7')
    """
    if text is None or len(text) != 36 or text[8:24:5] != "----" or text != text.lower():
        return text
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return text
    return raw if len(raw) == 16 else text


def unpacked(value: str | bytes | None) -> str | None:
    """Give the text back."""
    if not isinstance(value, bytes):
        return value
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Labels:
    """The ids of labels that were written before, so that an append mostly looks into a dict.

    What is cached holds as long as the ledger's generation does: pruning and forgetting start a new one.
    """

    def __init__(self) -> None:
        self.generation = -1
        self._ids: dict[tuple[Any, ...], int] = {}

    def drop(self) -> None:
        """Take nothing for written: after a transaction that was rolled back, and with a new generation."""
        self._ids.clear()

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Drop what is cached if the generation has changed."""
        (generation,) = connection.execute("SELECT generation FROM state").fetchone()
        if generation != self.generation:
            self.generation = generation
            self.drop()

    def known(self, entry: Entry) -> tuple[int, int, int] | None:
        """The ids of an entry's attribution, run and detail, where all three are cached."""
        who, ids = entry.attribution, self._ids
        attribution, run = ids.get(_labels_of(who)), ids.get((who.user, who.session, who.run))
        detail = ids.get(_detail_of(entry))
        return (attribution, run, detail) if attribution and run and detail else None

    def write(self, connection: sqlite3.Connection, entry: Entry) -> tuple[int, int, int]:
        """The same ids, written where they are new."""
        who = entry.attribution
        labels, run, detail = _labels_of(who), (who.user, who.session, who.run), _detail_of(entry)
        person = self._write(connection, (who.user,), _PERSON, (who.user,))
        return (
            self._write(connection, labels, _ATTRIBUTION, (*labels[:-1], _json(labels[-1]))),
            self._write(connection, run, _RUN, (person, packed(who.session), packed(who.run))),
            self._write(connection, detail, _DETAIL, (*detail[:3], *map(_json, detail[3:]))),
        )

    def _write(self, connection: sqlite3.Connection, key: tuple[Any, ...], table: str, values: Sequence[object]) -> int:
        known = self._ids.get(key)
        if known:
            return known
        digest = blake2b(repr(values).encode(), digest_size=16).digest()
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} VALUES (?, {marks}) ON CONFLICT DO NOTHING", (digest, *values))  # noqa: S608  # a constant below
        select = f"SELECT id FROM {table.partition(' ')[0]} WHERE key = ?"  # noqa: S608  # same
        (number,) = connection.execute(select, (digest,)).fetchone()
        if len(self._ids) >= _MAX_CACHED:
            self._ids.clear()
        self._ids[key] = number
        return int(number)


_ATTRIBUTION = f"attribution (key, {', '.join(LABELS)}, tags)"
_PERSON = "person (key, user)"
_RUN = "run (key, person, session, run)"
_DETAIL = "detail (key, name, error_type, success, usage, cost, saved)"


def row_of(entry: Entry, ids: tuple[int, int, int]) -> tuple[object, ...]:
    """An entry as the values of `COLUMNS`."""
    at_us = check(entry)
    usage, cost, split = entry.usage, entry.cost, entry.split
    attribution, run, detail = ids
    return (
        packed(entry.id),
        packed(entry.parent_id),
        KIND_NUMBERS[entry.kind],
        STATUS_NUMBERS[entry.status],
        at_us,
        attribution,
        run,
        entry.attribution.step,
        entry.attribution.attempt,
        detail,
        entry.duration_s,
        entry.first_token_s,
        latency_bucket(entry),
        (usage is not None and usage.estimated) + 2 * flagged(entry),
        unpriced(entry),
        *(_NONE[:5] if usage is None else common_tokens(usage)),
        *(_NONE[:6] if cost is None else common_nano(cost)),
        *(_NONE[:4] if split is None else _split_of(split)),
    )


def has_extra(entry: Entry) -> bool:
    """Whether an entry has what few entries have."""
    return entry.value is not None or has_rare(entry)


def extra_of(entry: Entry) -> tuple[object, ...]:
    """What few entries have, as the values of `EXTRA_COLUMNS`."""
    usage, cost, saved, value = entry.usage, entry.cost, entry.saved, entry.value
    return (
        None if value is None else str(value),
        *(_NONE[:3] if usage is None else rare_tokens(usage)),
        None if cost is None else cost.request_nano,
        *(_NONE[:7] if saved is None else parts_of(saved)),
    )


_NONE: tuple[None, ...] = (None,) * 7


def has_more(entry: Entry) -> bool:
    """Whether an entry has what `more_of` gives."""
    return entry.fingerprints is not None or _is_routed(entry)


def _is_routed(entry: Entry) -> bool:
    return entry.decision is not None or entry.routed is not None


def more_of(entry: Entry, seq: int) -> Iterator[tuple[str, tuple[object, ...]]]:
    """What few entries have as lists or texts of any length: the statements that keep it, and their values."""
    if entry.fingerprints is not None:
        yield "INSERT INTO fingerprint VALUES (?, ?)", (seq, json.dumps(entry.fingerprints))
    if _is_routed(entry):
        told = None if entry.routed is None else json.dumps(entry.routed.as_metadata(), separators=(",", ":"))
        yield "INSERT INTO routed VALUES (?, ?, ?)", (seq, packed(entry.decision), told)


MORE = ("fingerprint", "routed")
"""The tables of `more_of`, by `seq`."""

SELECT = f"""
SELECT e.seq, {", ".join(f"e.{name.strip()}" for name in COLUMNS.split(","))},
{", ".join(f"x.{name.strip()}" for name in EXTRA_COLUMNS.split(","))}, f.messages, r.decision, r.told
FROM entry e LEFT JOIN extra x ON x.seq = e.seq LEFT JOIN fingerprint f ON f.seq = e.seq
LEFT JOIN routed r ON r.seq = e.seq
WHERE e.seq IN (SELECT value FROM json_each(?)) ORDER BY e.at, e.seq
"""  # noqa: S608  # put together from the constants above
"""Whole entries by sequence number, in the order of `at`."""


class Reader:
    """Turns rows of `SELECT` back into entries; labels are read once each."""

    def __init__(self) -> None:
        self._attributions: dict[int, dict[str, Any]] = {}
        self._runs: dict[int, dict[str, Any]] = {}
        self._details: dict[int, tuple[Any, ...]] = {}

    def entry(self, connection: sqlite3.Connection, row: Sequence[Any]) -> Entry:
        """One row as an entry."""
        (_, packed_id, parent, kind, status, at, attribution, run, step, attempt, detail) = row[:11]
        whose = _cached(self._runs, run, connection, _read_run)
        what = _cached(self._attributions, attribution, connection, _read_attribution)
        name, error_type, success, usage, cost, saved = _cached(self._details, detail, connection, _read_detail)
        extra = row[31:43]
        return Entry(
            id=str(unpacked(packed_id)),
            kind=KINDS[kind],
            at=instant(at),
            attribution=Attribution(**what, **whose, step=step, attempt=attempt),
            duration_s=row[11],
            first_token_s=row[12],
            usage=None if row[16] is None else _usage(row, extra, usage),
            cost=None if row[21] is None else _cost((*row[21:26], extra[4] or 0, row[26]), cost),
            saved=None if extra[5] is None else _cost(extra[5:12], saved),
            status=STATUSES[status],
            error_type=error_type,
            parent_id=unpacked(parent),
            name=name,
            value=None if extra[0] is None else Decimal(extra[0]),
            success=None if success is None else bool(success),
            split=None if row[27] is None else InputSplit(*row[27:31]),
            fingerprints=None if row[43] is None else tuple((h, n) for h, n in json.loads(row[43])),
            decision=unpacked(row[44]),
            routed=None if row[45] is None else Routed.from_metadata(json.loads(row[45])),
        )


def _usage(row: Sequence[Any], extra: Sequence[Any], note: Any) -> Usage:
    tier, tools, anomalies = note or (None, (), ())
    counts = (*row[16:20], extra[1] or 0, extra[2] or 0, row[20], extra[3] or 0)
    return Usage(
        **dict(zip(TOKENS, counts, strict=True)),
        service_tier=tier,
        server_tools=tuple((name, count) for name, count in tools),
        estimated=bool(row[14] & 1),
        anomalies=tuple(anomalies),
    )


def _cost(parts: Sequence[int], note: Any) -> Cost:
    price, tier, flags = note or (None, None, ())
    source = PriceSource(*price) if price else None
    return Cost(**dict(zip(PARTS, parts, strict=True)), price=source, service_tier=tier, flags=tuple(flags))


def _detail_of(entry: Entry) -> tuple[Any, ...]:
    usage = entry.usage
    noted = usage is not None and (usage.service_tier or usage.server_tools or usage.anomalies)
    return (
        entry.name,
        entry.error_type,
        entry.success,
        (usage.service_tier, usage.server_tools, usage.anomalies) if usage is not None and noted else None,
        _cost_note(entry.cost),
        _cost_note(entry.saved),
    )


def _cost_note(cost: Cost | None) -> tuple[Any, ...] | None:
    if cost is None or not (cost.price or cost.service_tier or cost.flags):
        return None
    price = cost.price
    return (price and (price.name, price.version, price.as_of), cost.service_tier, cost.flags)


def _json(value: object) -> str | None:
    return json.dumps(value, separators=(",", ":")) if value else None


def _cached(cache: dict[int, Any], number: int, connection: sqlite3.Connection, read: Callable[..., Any]) -> Any:
    value = cache.get(number)
    if value is None:
        if len(cache) >= _MAX_CACHED:
            cache.clear()
        value = cache[number] = read(connection, number)
    return value


def _read_run(connection: sqlite3.Connection, number: int) -> dict[str, Any]:
    select = "SELECT user, session, run FROM run JOIN person ON person.id = run.person WHERE run.id = ?"
    user, session, run = connection.execute(select, (number,)).fetchone()
    return {"user": user, "session": unpacked(session), "run": unpacked(run)}


def _read_attribution(connection: sqlite3.Connection, number: int) -> dict[str, Any]:
    select = f"SELECT {', '.join(LABELS)}, tags FROM attribution WHERE id = ?"  # noqa: S608  # constants
    *labels, tags = connection.execute(select, (number,)).fetchone()
    pairs = tuple((name, value) for name, value in json.loads(tags or "[]"))
    return {**dict(zip(LABELS, labels, strict=True)), "tags": pairs}


def _read_detail(connection: sqlite3.Connection, number: int) -> tuple[Any, ...]:
    select = "SELECT name, error_type, success, usage, cost, saved FROM detail WHERE id = ?"
    *plain, usage, cost, saved = connection.execute(select, (number,)).fetchone()
    return (*plain, *(json.loads(note) if note else None for note in (usage, cost, saved)))
