"""Forgetting in a SQLite ledger: entries after their time, persons on request."""

from __future__ import annotations

import sqlite3

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.query import DAY_US
from langchain_agentcost.ledger.schema import fold, fold_day

_TABLES = ("attribution", "run", "detail")


def prune(connection: sqlite3.Connection, before_us: int) -> int:
    """Delete the entries before an instant, and the labels that only they had.

    Returns:
        How many entries were deleted.
    """
    day = before_us // DAY_US
    connection.execute("BEGIN IMMEDIATE")
    fold(connection)
    removed = connection.execute("DELETE FROM entry WHERE at < ?", (before_us,)).rowcount
    for table in ("extra", "fingerprint"):
        connection.execute(f"DELETE FROM {table} WHERE seq NOT IN (SELECT seq FROM entry)")  # noqa: S608  # constants
    for table in ("rollup", "latency"):
        connection.execute(f"DELETE FROM {table} WHERE day <= ?", (day,))  # noqa: S608  # same
    fold_day(connection, day)
    _drop_unused(connection)
    connection.execute("UPDATE state SET folded = (SELECT coalesce(max(seq), 0) FROM entry)")
    connection.execute("COMMIT")
    return removed


def forget(connection: sqlite3.Connection, user: str) -> int:
    """Remove a user's label, their sessions' labels and their fingerprints.

    Returns:
        How many entries lost a label.
    """
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TEMP TABLE theirs AS SELECT id FROM attribution WHERE user = ?", (user,))
    connection.execute(
        "CREATE TEMP TABLE runs AS SELECT id FROM run WHERE session IN (SELECT r.session FROM run r "
        "JOIN entry e ON e.run = r.id WHERE e.attribution IN (SELECT id FROM theirs))"
    )
    touched = "FROM entry WHERE attribution IN (SELECT id FROM theirs) OR run IN (SELECT id FROM runs)"
    (changed,) = connection.execute(f"SELECT count(*) {touched}").fetchone()
    connection.execute(
        "DELETE FROM fingerprint WHERE seq IN (SELECT seq FROM entry WHERE attribution IN (SELECT id FROM theirs))"
    )
    connection.execute("UPDATE attribution SET user = NULL, key = NULL WHERE id IN (SELECT id FROM theirs)")
    connection.execute("UPDATE run SET session = NULL, key = NULL WHERE id IN (SELECT id FROM runs)")
    connection.execute("UPDATE state SET generation = generation + 1")
    connection.execute("DROP TABLE theirs")
    connection.execute("DROP TABLE runs")
    connection.execute("COMMIT")
    return int(changed)


def wipe(connection: sqlite3.Connection) -> None:
    """Rewrite the file, so that what was deleted is in it no more, and empty the write-ahead log.

    Raises:
        StoreUnavailable: If another process kept the old pages in use all the time.
    """
    connection.execute("VACUUM")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreUnavailable(
            "The labels are out of the ledger, but a reader in another process keeps the old text in the write-ahead "
            "log. Run the command again when it has finished."
        )


def _drop_unused(connection: sqlite3.Connection) -> None:
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table} WHERE id NOT IN (SELECT {table} FROM entry)")  # noqa: S608  # constants
    connection.execute("UPDATE state SET generation = generation + 1")
