"""The tables of a SQLite ledger, version by version.

One narrow row an entry, whole numbers where possible, and one index: the id that keeps an entry from being counted
twice. Labels repeat, so they are kept once, in `attribution` (who and what), `run` (session and workflow run) and
`detail` (the rest), and entries point to them. What few entries have is in `extra`, `fingerprint` and `routed`.
`rollup`, `rare` and `latency` are sums per day by attribution, `person_rollup` and `person_rare` by person: apart, so
that reports that name no person do not grow with the number of users. The writer brings them up to date every
`FOLD_EVERY` entries; `state` says how far, and `span` where the entries of a day stand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from langchain_agentcost.ledger.entry import KINDS, SAVING_KINDS
from langchain_agentcost.ledger.fold import COMMON, RARE
from langchain_agentcost.ledger.kind import Kind, script
from langchain_agentcost.ledger.query import DAY_US

APPLICATION_ID: Final = 0x61676374
"""Says in a SQLite file's header that the file is one of ours ("agct")."""

FOLD_EVERY: Final = 4096
"""How many entries a report may have to read one by one. Summing few at a time costs more per entry."""

_ENTRIES = """
CREATE TABLE attribution (
    id INTEGER PRIMARY KEY, key BLOB UNIQUE,
    tenant TEXT, workflow TEXT, agent TEXT, node TEXT, tool TEXT, provider TEXT, model TEXT,
    deployment TEXT, variant TEXT, purpose TEXT, tags TEXT
);
CREATE TABLE person (id INTEGER PRIMARY KEY, key BLOB UNIQUE, user TEXT);
CREATE TABLE run (id INTEGER PRIMARY KEY, key BLOB UNIQUE, person INTEGER NOT NULL, session, run);
CREATE TABLE detail (
    id INTEGER PRIMARY KEY, key BLOB UNIQUE,
    name TEXT, error_type TEXT, success INTEGER, usage TEXT, cost TEXT, saved TEXT
);
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY, id NOT NULL UNIQUE, parent,
    kind INTEGER NOT NULL, status INTEGER NOT NULL, at INTEGER NOT NULL,
    attribution INTEGER NOT NULL, run INTEGER NOT NULL, step INTEGER, attempt INTEGER NOT NULL, detail INTEGER NOT NULL,
    duration_s REAL, first_token_s REAL, bucket INTEGER, marks INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    total_nano INTEGER, input_nano INTEGER, output_nano INTEGER, cache_read_nano INTEGER, cache_write_nano INTEGER,
    tool_nano INTEGER,
    new_tokens INTEGER, resent_tokens INTEGER, tool_schema_tokens INTEGER, tool_result_tokens INTEGER
);
CREATE TABLE extra (
    seq INTEGER PRIMARY KEY, value TEXT,
    cache_write_1h_tokens INTEGER, input_audio_tokens INTEGER, output_audio_tokens INTEGER, request_nano INTEGER,
    saved_total_nano INTEGER, saved_input_nano INTEGER, saved_output_nano INTEGER, saved_cache_read_nano INTEGER,
    saved_cache_write_nano INTEGER, saved_request_nano INTEGER, saved_tool_nano INTEGER
);
CREATE TABLE fingerprint (seq INTEGER PRIMARY KEY, messages TEXT NOT NULL);
CREATE TABLE state (generation INTEGER NOT NULL);
INSERT INTO state VALUES (1);
"""

_FOLDED = "ALTER TABLE state ADD COLUMN folded INTEGER NOT NULL DEFAULT 0"

_CELLS = (
    ("rollup", "attribution", COMMON),
    ("rare", "attribution", RARE),
    ("person_rollup", "person", COMMON),
    ("person_rare", "person", RARE),
)
"""Tables of sums per day: the name, whose the sums are, and what is added up."""

DAILY = (*(table for table, _, _ in _CELLS), "latency", "span")
"""The tables that a fold writes, each with a `day`."""

_SUMS = (
    *(
        f"CREATE TABLE {table} ({whose} INTEGER NOT NULL, kind INTEGER NOT NULL, status INTEGER NOT NULL, "
        f"day INTEGER NOT NULL, {', '.join(f'{name} INTEGER NOT NULL' for name in names)}, "
        f"PRIMARY KEY ({whose}, kind, status, day)) WITHOUT ROWID"
        for table, whose, names in _CELLS
    ),
    "CREATE TABLE latency (attribution INTEGER NOT NULL, kind INTEGER NOT NULL, status INTEGER NOT NULL, "
    "day INTEGER NOT NULL, buckets TEXT NOT NULL)",
    "CREATE TABLE span (day INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL)",
)

_FROM_MARKS = {"n": "count(*)", "estimated": "sum(e.marks & 1)", "flagged": "sum(e.marks >> 1)"}

COMMON_SUMS = ", ".join(_FROM_MARKS.get(name, f"ifnull(sum(e.{name}), 0)") for name in COMMON)
"""The common measures, summed over `entry e`."""

RARE_SUMS = ", ".join(f"ifnull(sum(x.{name}), 0)" for name in RARE)
"""The rare measures, summed over `RARE_TABLES`."""

RARE_TABLES = "extra x CROSS JOIN entry e ON e.seq = x.seq"
"""CROSS JOIN makes SQLite start from the few."""

PERSON = "(SELECT person FROM run WHERE run.id = e.run)"
"""Whose an `entry e` is."""

_WHOSE = {"attribution": "e.attribution", "person": PERSON}
_DAY = f"e.at / {DAY_US}"
_WITHIN = "BETWEEN :first AND :last AND e.at BETWEEN :since AND :until"


def _fold_cells(table: str, whose: str, names: Sequence[str]) -> str:
    common = names is COMMON
    cell, sums = f"{_WHOSE[whose]}, e.kind, e.status, {_DAY}", COMMON_SUMS if common else RARE_SUMS
    source = f"entry e WHERE e.seq {_WITHIN}" if common else f"{RARE_TABLES} WHERE x.seq {_WITHIN}"
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in names)
    return (
        f"INSERT INTO {table} SELECT {cell}, {sums} FROM {source} GROUP BY 1, 2, 3, 4 ON CONFLICT DO UPDATE SET {added}"  # noqa: S608  # put together from the constants above
    )


_FOLD = (
    *(_fold_cells(*cells) for cells in _CELLS),
    # A line a fold: counting up in place would touch as many rows as there are entries.
    "INSERT INTO latency SELECT attribution, kind, status, day, "  # noqa: S608  # same
    "group_concat(bucket || CASE n WHEN 1 THEN '' ELSE ':' || n END) FROM "
    f"(SELECT e.attribution, e.kind, e.status, {_DAY} AS day, e.bucket, count(*) AS n FROM entry e "
    f"WHERE e.seq {_WITHIN} AND e.bucket IS NOT NULL GROUP BY 1, 2, 3, 4, 5) GROUP BY 1, 2, 3, 4",
    f"INSERT INTO span SELECT {_DAY}, min(e.seq), max(e.seq) FROM entry e WHERE e.seq {_WITHIN} GROUP BY 1 "  # noqa: S608  # same
    "ON CONFLICT DO UPDATE SET first_seq = min(first_seq, excluded.first_seq), "
    "last_seq = max(last_seq, excluded.last_seq)",
    "UPDATE state SET folded = max(folded, :last)",
)


def fold(connection: sqlite3.Connection) -> None:
    """Bring the sums per day up to date with all entries. The caller holds a write transaction."""
    span = "SELECT folded + 1, (SELECT coalesce(max(seq), 0) FROM entry) FROM state"
    first, last = connection.execute(span).fetchone()
    if first <= last:
        _add_up(connection, {"first": first, "last": last, "since": 0, "until": 2**62})


def fold_day(connection: sqlite3.Connection, day: int) -> None:
    """Add up one day that has been folded before and whose sums were deleted."""
    (last,) = connection.execute("SELECT folded FROM state").fetchone()
    since = day * DAY_US
    _add_up(connection, {"first": 1, "last": last, "since": since, "until": since + DAY_US - 1})


def _add_up(connection: sqlite3.Connection, span: dict[str, int]) -> None:
    for statement in _FOLD:
        connection.execute(statement, span)


def _make_entries(connection: sqlite3.Connection) -> None:
    script(connection, _ENTRIES)


def _say_how_far(connection: sqlite3.Connection) -> None:
    connection.execute(_FOLDED)


def _count_unpriced_savings(connection: sqlite3.Connection) -> None:
    """Count cache hits and savings without a `saved` as unpriced; they were not before."""
    kinds = ", ".join(str(KINDS.index(kind)) for kind in SAVING_KINDS)
    known = "SELECT seq FROM extra WHERE saved_total_nano IS NOT NULL"
    connection.execute(f"UPDATE entry SET unpriced = 1 WHERE kind IN ({kinds}) AND seq NOT IN ({known})")  # noqa: S608  # constants


def _make_sums(connection: sqlite3.Connection) -> None:
    """Make the sums per day anew from the entries: earlier versions kept them by label and person at once."""
    for table in DAILY:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in _SUMS:
        connection.execute(statement)
    connection.execute("UPDATE state SET folded = 0")
    fold(connection)


def _make_routed(connection: sqlite3.Connection) -> None:
    """Make room for the decisions of routers, and for the calls to name them."""
    connection.execute("CREATE TABLE IF NOT EXISTS routed (seq INTEGER PRIMARY KEY, decision, told TEXT)")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _make_entries,
    _say_how_far,
    _count_unpriced_savings,
    _make_sums,
    _make_routed,
)
"""The sums are made by one step alone, as they are now."""

VERSION = len(MIGRATIONS)

LEDGER = Kind(APPLICATION_ID, "a ledger is made by metering into it", MIGRATIONS)
