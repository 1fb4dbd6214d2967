"""The tables of a SQLite budget store, version by version.

An account is a row for each window, so that a new window is simply another row and nothing ever has to be reset.
`folded` is what holds took that are no longer kept. A hold is one row: what finds it is its id, or that it is pending
and due, never one of its accounts. Its `lines` are a JSON array of four numbers each: the account, what is fixed, what
an output token takes, what is charged as lost. The latest time that anybody wrote is in the newest hold, or in `clock`.
"""

from __future__ import annotations

import sqlite3
from typing import Final, get_args

from langchain_agentcost.ledger.kind import Kind, script
from langchain_agentcost.limits.holds import HoldState, Window

APPLICATION_ID: Final = 0x61676362

WINDOWS: Final[tuple[Window, ...]] = get_args(Window)
"""A window is stored as its position here."""

STATES: Final[tuple[HoldState, ...]] = ("pending", "posted", "voided", "expired")
"""A state is stored as its position here."""

PENDING, POSTED, VOIDED, EXPIRED = range(len(STATES))

_TABLES = """
CREATE TABLE account (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, window INTEGER NOT NULL, start INTEGER NOT NULL,
    cap INTEGER NOT NULL, raised INTEGER NOT NULL, spent INTEGER NOT NULL, reserved INTEGER NOT NULL,
    frozen INTEGER NOT NULL, folded INTEGER NOT NULL, UNIQUE (scope, window, start)
);
CREATE TABLE hold (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, call TEXT, others TEXT, state INTEGER NOT NULL,
    made INTEGER NOT NULL, expires INTEGER NOT NULL, finished INTEGER, asked INTEGER NOT NULL, least INTEGER NOT NULL,
    granted INTEGER NOT NULL, lines TEXT NOT NULL, taken TEXT
);
CREATE INDEX due ON hold (expires) WHERE state = 0;
CREATE TABLE note (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE clock (now INTEGER NOT NULL);
INSERT INTO clock VALUES (0)
"""


def _make_tables(connection: sqlite3.Connection) -> None:
    script(connection, _TABLES)


BUDGETS = Kind(APPLICATION_ID, "a budget store is made by a meter with budgets", (_make_tables,))
