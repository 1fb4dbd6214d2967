"""Upkeep of a SQLite budget store: forgetting old holds, and comparing accounts with the holds that are kept."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict

from langchain_agentcost.limits.holds import Drift
from langchain_agentcost.limits.sqlite_tables import PENDING
from langchain_agentcost.limits.windows import moment_of

_OLD = (
    f"SELECT number, lines, taken FROM hold WHERE number > ? AND number <= ? AND state != {PENDING} AND finished <= ?"  # noqa: S608  # a constant
)

_SUMS = """
SELECT l.value AS account, sum(json_extract(h.taken, '$[' || (l.key / 4) || ']')) AS spent,
    sum(CASE h.state WHEN 0 THEN json_extract(h.lines, '$[' || (l.key + 1) || ']')
        + json_extract(h.lines, '$[' || (l.key + 2) || ']') * h.granted END) AS reserved
FROM hold h, json_each(h.lines) l WHERE l.key % 4 = 0 GROUP BY l.value
"""
"""What the holds that are kept took of each account, and what the pending ones reserved: see `sqlite_tables`."""

_DRIFTS = f"""
SELECT id, scope, window, start, a.spent, folded + ifnull(h.spent, 0) AS spent_by_holds,
    a.reserved, ifnull(h.reserved, 0) AS reserved_by_holds
FROM account a LEFT JOIN ({_SUMS}) h ON h.account = a.id
WHERE a.spent != spent_by_holds OR a.reserved != reserved_by_holds ORDER BY id
"""  # noqa: S608  # same


def forget(db: sqlite3.Connection, span: tuple[int, int], before_us: int) -> int:
    """Forget the holds of a span of numbers that finished by a time; their accounts keep what they took."""
    old = db.execute(_OLD, (*span, before_us)).fetchall()
    folded: defaultdict[int, int] = defaultdict(int)
    for _, lines, taken in old:
        for account, amount in zip(json.loads(lines)[::4], json.loads(taken), strict=True):
            folded[account] += amount
    db.executemany("UPDATE account SET folded = folded + ? WHERE id = ?", [(n, key) for key, n in folded.items()])
    db.executemany("DELETE FROM hold WHERE number = ?", [(number,) for number, _, _ in old])
    return len(old)


def drifts(db: sqlite3.Connection, *, repair: bool) -> tuple[Drift, ...]:
    """The accounts whose sums do not follow from their holds."""
    found = db.execute(_DRIFTS).fetchall()
    if repair:
        sums = [(row[5], row[7], row[0]) for row in found]
        db.executemany("UPDATE account SET spent = ?, reserved = ? WHERE id = ?", sums)
    return tuple([Drift(row[1], moment_of(row[3]) if row[2] else None, *row[4:]) for row in found])
