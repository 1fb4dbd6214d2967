"""Rows of the SQLite budget store: accounts, holds and the clock, as a step reads and writes them.

Sums change by what is added, never by what was read: a step may be interrupted by another one on its own thread.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from operator import gt, sub
from typing import Any, NamedTuple

from langchain_agentcost.limits.holds import Account, Hold, Line, Window
from langchain_agentcost.limits.sqlite_tables import PENDING, STATES, WINDOWS
from langchain_agentcost.limits.windows import moment_of, window_start

_ACCOUNT = "id, scope, window, start, cap, raised, spent, reserved, frozen"
_HOLD = "number, id, call, others, state, expires, asked, least, granted, lines, taken"

_LATEST_TIME = "max(now, ifnull((SELECT made FROM hold ORDER BY number DESC LIMIT 1), 0))"
_FIND = f"SELECT {_LATEST_TIME}, {_HOLD} FROM clock LEFT JOIN hold ON id = ?"  # noqa: S608  # constants
_NEWEST = "SELECT cap, frozen FROM account WHERE scope = ? AND window = ? ORDER BY start DESC LIMIT 1"
_NEW_ACCOUNT = "INSERT INTO account VALUES (NULL, ?, ?, ?, ?, 0, 0, 0, ?, 0)"
_ADD = "UPDATE account SET spent = spent + ?, reserved = reserved - ? WHERE id = ?"
_CHANGE = "UPDATE hold SET state = ?, taken = ?, finished = ?, call = ?, others = ? WHERE number = ?"

HOLDS = f"SELECT {_HOLD} FROM hold WHERE number > ? AND (state = ?2 OR ?2 IS NULL) ORDER BY number LIMIT 500"  # noqa: S608  # same
DUE = f"SELECT {_HOLD} FROM hold WHERE state = {PENDING} AND expires <= ? ORDER BY expires"  # noqa: S608  # same
CURRENT = f"SELECT {_ACCOUNT} FROM account WHERE start = ? AND window = ?"  # noqa: S608  # same

_PAGE = 100
"""Accounts that one statement asks for: SQLite allows 500 parts."""

_CODES = {window: code for code, window in enumerate(WINDOWS)}


class AccountRow(NamedTuple):
    """An account as it was read."""

    id: int
    scope: str
    window: int
    start: int
    limit: int
    raised: int
    spent: int
    reserved: int
    frozen: int

    def left(self, limit: int) -> int | None:
        """What can be reserved under a limit; None where it is frozen."""
        return None if self.frozen else limit + self.raised - self.spent - self.reserved

    def view(self, limit: int | None = None, *, spent: int = 0, reserved: int = 0) -> Account:
        """The account as others see it, with a new limit and with what was added to its sums since it was read."""
        return Account(
            self.scope,
            WINDOWS[self.window],
            moment_of(self.start) if self.window else None,
            self.limit if limit is None else limit,
            self.raised,
            self.spent + spent,
            self.reserved + reserved,
            bool(self.frozen),
        )


class HoldRow:
    """A hold as it was read; `change` writes what becomes of it.

    Args:
        row: The columns of `_HOLD`.
    """

    def __init__(self, row: Sequence[Any]) -> None:
        self.number: int
        self.id: str
        self.call_id: str | None
        self.state: int
        self.expires_us: int
        self.number, self.id, self.call_id, others, self.state, self.expires_us, asked, least, granted, lines, taken = (
            row
        )
        self.others: dict[str, list[int]] = json.loads(others) if others else {}
        """What further calls took that were posted beside the first; `taken` includes it."""
        self.tokens: tuple[int, int, int] = (asked, least, granted)
        numbers = json.loads(lines)
        self.account_ids: list[int] = numbers[::4]
        self.amounts: list[tuple[int, int]] = list(zip(numbers[1::4], numbers[2::4], strict=True))
        """What each line takes whatever the answer, and for each token of it."""
        self.reserved: list[int] = [fixed + per_output_token * granted for fixed, per_output_token in self.amounts]
        self._lost: list[int] = numbers[3::4]
        self.taken: list[int] = json.loads(taken) if taken else [0] * len(self.amounts)

    @property
    def lost(self) -> list[int]:
        """What is charged when it expires."""
        return list(map(min, self._lost, self.reserved))

    @property
    def overrun(self) -> bool:
        """Whether more was taken than reserved."""
        return any(map(gt, self.taken, self.reserved))

    def change(self, db: sqlite3.Connection, state: int, taken: list[int], now_us: int) -> None:
        """Go to another state, having taken so much in all."""
        released = self.reserved if self.state == PENDING else [0] * len(taken)
        db.executemany(_ADD, zip(map(sub, taken, self.taken), released, self.account_ids, strict=True))
        self.state, self.taken = state, taken
        others = json.dumps(self.others) if self.others else None
        db.execute(_CHANGE, (state, str(taken), now_us, self.call_id, others, self.number))

    def views(self, scopes: Iterable[str]) -> list[Hold]:
        """The hold as others see it: once for each call that was posted."""
        own = [total - sum(more) for total, *more in zip(self.taken, *self.others.values(), strict=True)]
        state, expires_at, names = STATES[self.state], moment_of(self.expires_us), tuple(scopes)
        return [
            Hold(self.id, call_id, state, names, tuple(self.reserved), tuple(taken), expires_at, self.overrun)
            for call_id, taken in ((self.call_id, own), *self.others.items())
        ]


def find(db: sqlite3.Connection, hold_id: str | None = None) -> tuple[int, HoldRow | None]:
    """The latest time that anybody saw, and a hold."""
    latest_us, *row = db.execute(_FIND, (hold_id,)).fetchone()
    return latest_us, None if row[0] is None else HoldRow(row)


def tick(db: sqlite3.Connection, now_us: int) -> None:
    """Keep a time, so that nobody's clock goes back behind it."""
    db.execute("UPDATE clock SET now = ?", (now_us,))


def accounts(db: sqlite3.Connection, ids: Sequence[int]) -> list[AccountRow]:
    """Accounts by their ids, in that order."""
    rows = {row[0]: row for row in db.execute(_by_id(len(ids)), ids)}
    return [AccountRow._make(rows[number]) for number in ids]


def current(db: sqlite3.Connection, scopes: Iterable[tuple[str, Window]], now_us: int) -> list[AccountRow | None]:
    """The accounts of scopes and windows as they are now, in that order; None where there is none."""
    keys = [(scope, _CODES[window], window_start(window, now_us)) for scope, window in scopes]
    found: list[AccountRow | None] = [None] * len(keys)
    for start in range(0, len(keys), _PAGE):
        page = keys[start : start + _PAGE]
        for position, number, *sums in db.execute(_by_keys(len(page)), [*chain(*page)]).fetchall():
            found[start + position] = AccountRow(number, *page[position], *sums)
    return found


def seats(db: sqlite3.Connection, lines: Sequence[Line], now_us: int) -> list[AccountRow]:
    """The accounts of lines, made where need be."""
    found = current(db, [(line.scope, line.window) for line in lines], now_us)
    return [
        row or make(db, (line.scope, line.window), line.limit, now_us) for row, line in zip(found, lines, strict=True)
    ]


def make(db: sqlite3.Connection, scope: tuple[str, Window], limit: int, now_us: int) -> AccountRow:
    """Make the account of the current window; one that a person closed stays closed in the windows that follow."""
    name, window = scope[0], _CODES[scope[1]]
    start, before = window_start(scope[1], now_us), newest(db, scope)
    frozen = before[1] if before else 0
    number = db.execute(_NEW_ACCOUNT, (name, window, start, limit, frozen)).lastrowid or 0
    tick(db, now_us)
    return AccountRow(number, name, window, start, limit, 0, 0, 0, frozen)


def newest(db: sqlite3.Connection, scope: tuple[str, Window]) -> tuple[int, int] | None:
    """Limit and frozen of a scope's latest window, if it was ever used."""
    row: tuple[int, int] | None = db.execute(_NEWEST, (scope[0], _CODES[scope[1]])).fetchone()
    return row


@cache
def _by_id(count: int) -> str:
    return f"SELECT {_ACCOUNT} FROM account WHERE id IN ({', '.join('?' * count)})"  # noqa: S608  # constants


@cache
def _by_keys(count: int) -> str:
    """One statement for all is a third cheaper than one each; `IN (VALUES ...)` would read the whole table."""
    columns = "id, cap, raised, spent, reserved, frozen"
    one = f"SELECT {{}}, {columns} FROM account WHERE scope = ? AND window = ? AND start = ?"  # noqa: S608  # same
    return " UNION ALL ".join([one.format(position) for position in range(count)])
