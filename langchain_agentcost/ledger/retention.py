"""Forgetting in a SQLite ledger: entries after their time, persons on request."""

from __future__ import annotations

import sqlite3

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.query import DAY_US
from langchain_agentcost.ledger.rows import MORE
from langchain_agentcost.ledger.schema import DAILY, fold, fold_day

_TABLES = ("attribution", "run", "detail")
"""Labels that entries point to, each by a column of the same name."""


def prune(connection: sqlite3.Connection, before_us: int) -> int:
    """Delete the entries before an instant, and the labels that only they had.

    Returns:
        How many entries were deleted.
    """
    day = before_us // DAY_US
    connection.execute("BEGIN IMMEDIATE")
    fold(connection)
    removed = connection.execute("DELETE FROM entry WHERE at < ?", (before_us,)).rowcount
    for table in ("extra", *MORE):
        connection.execute(f"DELETE FROM {table} WHERE seq NOT IN (SELECT seq FROM entry)")  # noqa: S608  # constants
    for table in DAILY:
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
    _drop_unused(connection)
    connection.execute(
        "CREATE TEMP TABLE theirs AS SELECT r.id, r.session FROM run r JOIN person p ON p.id = r.person "
        "WHERE p.user = ?",
        (user,),
    )
    connection.execute("CREATE TEMP TABLE shared AS SELECT id FROM run WHERE session IN (SELECT session FROM theirs)")
    connection.execute(
        "DELETE FROM fingerprint WHERE seq IN (SELECT seq FROM entry WHERE run IN (SELECT id FROM theirs))"
    )
    touched = "run IN (SELECT id FROM theirs UNION SELECT id FROM shared)"
    (changed,) = connection.execute(f"SELECT count(*) FROM entry WHERE {touched}").fetchone()  # noqa: S608  # a constant
    connection.execute("UPDATE run SET session = NULL, key = NULL WHERE id IN (SELECT id FROM shared)")
    connection.execute("UPDATE person SET user = NULL, key = NULL WHERE user = ?", (user,))
    connection.execute("DROP TABLE theirs")
    connection.execute("DROP TABLE shared")
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
    connection.execute("DELETE FROM person WHERE id NOT IN (SELECT person FROM run)")
    connection.execute("UPDATE state SET generation = generation + 1")
