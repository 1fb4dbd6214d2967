"""The tables of a SQLite cache, version by version.

An entry's number grows with its age in the cache, and a replaced entry gets a new one: so what is new in a partition is
what has a number above the last that was seen. Text is kept as UTF-8 bytes, as SQLite takes no lone surrogates.
Triggers keep what belongs to an entry in step with it, whichever statement removes it.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from langchain_agentcost.ledger.kind import Kind, script

APPLICATION_ID: Final = 0x61676363

_TABLES = """
CREATE TABLE entry (
    number INTEGER PRIMARY KEY AUTOINCREMENT, partition BLOB NOT NULL, key BLOB NOT NULL, epoch INTEGER NOT NULL,
    created REAL NOT NULL, expires REAL, stale REAL, used REAL NOT NULL, size INTEGER NOT NULL, tags BLOB NOT NULL,
    text BLOB, vector BLOB, value BLOB NOT NULL, UNIQUE (partition, key)
);
CREATE INDEX searched ON entry (partition, number) WHERE vector IS NOT NULL;
CREATE INDEX ending ON entry (expires) WHERE expires IS NOT NULL;
CREATE INDEX unused ON entry (used, number);
CREATE TABLE tag (tag BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (tag, number)) WITHOUT ROWID;
CREATE INDEX tagged ON tag (number);
CREATE TABLE mark (tag BLOB PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX marked ON mark (epoch);
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT, series BLOB NOT NULL, score REAL NOT NULL, right INTEGER NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX audited ON audit (series, number);
CREATE TABLE state (epoch INTEGER NOT NULL, floor INTEGER NOT NULL, entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO state VALUES (0, 0, 0, 0)
"""

_TRIGGERS = (
    "CREATE TRIGGER come AFTER INSERT ON entry BEGIN "
    "UPDATE state SET entries = entries + 1, bytes = bytes + new.size; END",
    "CREATE TRIGGER gone AFTER DELETE ON entry BEGIN "
    "UPDATE state SET entries = entries - 1, bytes = bytes - old.size; DELETE FROM tag WHERE number = old.number; END",
)


def _make_tables(connection: sqlite3.Connection) -> None:
    script(connection, _TABLES)
    for trigger in _TRIGGERS:
        connection.execute(trigger)


CACHE = Kind(APPLICATION_ID, "a cache is made by the first program that keeps something in it", (_make_tables,))
