"""The steps of the protocol on a SQLite budget store, each within a transaction that the caller has begun."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from operator import add, sub
from typing import NamedTuple

from langchain_agentcost.errors import HoldConflict
from langchain_agentcost.limits.holds import Denied, Granted, Line, Settled
from langchain_agentcost.limits.room import check_taken, granted_amounts, longest_answer
from langchain_agentcost.limits.sqlite_rows import DUE, AccountRow, HoldRow, accounts, seats, tick
from langchain_agentcost.limits.sqlite_tables import EXPIRED, PENDING, POSTED, STATES, WINDOWS

_SET_LIMIT = "UPDATE account SET cap = ? WHERE id = ?"
_RESERVE = "UPDATE account SET reserved = reserved + ?, cap = ? WHERE id = ?"
_NEW_HOLD = "INSERT INTO hold VALUES (NULL, ?, ?, NULL, 0, ?, ?, NULL, ?, ?, ?, ?, NULL)"
_RENEW = "UPDATE hold SET expires = ? WHERE number = ?"


class Wish(NamedTuple):
    """A reservation that is asked for."""

    hold_id: str
    lines: Sequence[Line]
    output_tokens: int
    least: int
    ttl_us: int
    call_id: str | None


def reserve(db: sqlite3.Connection, wish: Wish, now_us: int) -> Granted | Denied:
    """Reserve on all accounts, or on none."""
    lines = wish.lines
    rows, longest, binding = _room(db, wish, now_us)
    if longest < wish.least and expire(db, now_us, {row.id for row in rows}):
        rows, longest, binding = _room(db, wish, now_us)
    if longest < wish.least:
        _set_limits(db, rows, lines)
        bound = lines[binding]
        return Denied(binding, rows[binding].view(bound.limit), bound.worst(wish.least), longest)
    amounts = granted_amounts(lines, longest)
    db.executemany(_RESERVE, [(amounts[i], lines[i].limit, row.id) for i, row in enumerate(rows)])
    kept = [
        n for row, line in zip(rows, lines, strict=True) for n in (row.id, line.fixed, line.per_output_token, line.lost)
    ]
    tokens, expires_us = (wish.output_tokens, wish.least, longest), now_us + wish.ttl_us
    db.execute(_NEW_HOLD, (wish.hold_id, wish.call_id, now_us, expires_us, *tokens, str(kept)))
    views = [row.view(lines[i].limit, reserved=amounts[i]) for i, row in enumerate(rows)]
    return Granted(wish.hold_id, longest, tuple(views))


def repeat(db: sqlite3.Connection, hold: HoldRow, wish: Wish, now_us: int) -> Granted:
    """Answer a reservation as the first one of its id was.

    Raises:
        HoldConflict: If that one was another.
    """
    rows = accounts(db, hold.account_ids)
    before = [(row.scope, WINDOWS[row.window], *amounts) for row, amounts in zip(rows, hold.amounts, strict=True)]
    now = [(line.scope, line.window, line.fixed, line.per_output_token) for line in wish.lines]
    if (before, *hold.tokens[:2]) != (now, wish.output_tokens, wish.least):
        raise HoldConflict(f"Hold {hold.id!r} was reserved before for other amounts. Give every call its own.")
    _set_limits(db, rows, wish.lines)
    if hold.state == PENDING:
        db.execute(_RENEW, (now_us + wish.ttl_us, hold.number))
        tick(db, now_us)
    views = tuple([row.view(line.limit) for row, line in zip(rows, wish.lines, strict=True)])
    return Granted(hold.id, hold.tokens[-1], views, STATES[hold.state], repeated=True)


def settle(db: sqlite3.Connection, hold: HoldRow, taken: Sequence[int], call_id: str | None, now_us: int) -> Settled:
    """Post what a call took, beside what other calls took."""
    check_taken(taken, len(hold.amounts))
    rows, total, posted = accounts(db, hold.account_ids), list(taken), hold.state == POSTED
    before = tuple([row.spent for row in rows])
    if posted and (call_id is None or call_id in (hold.call_id, *hold.others)):
        return Settled(applied=False, accounts=tuple([row.view() for row in rows]), before=before, overrun=hold.overrun)
    if posted and call_id is not None:
        hold.others[call_id] = list(taken)
        total = list(map(add, hold.taken, taken))
    else:
        hold.call_id = call_id or hold.call_id
    added = list(map(sub, total, hold.taken))
    released = hold.reserved if hold.state == PENDING else [0] * len(rows)
    hold.change(db, POSTED, total, now_us)
    views = [row.view(spent=added[i], reserved=-released[i]) for i, row in enumerate(rows)]
    return Settled(applied=True, accounts=tuple(views), before=before, overrun=hold.overrun)


def expire(db: sqlite3.Connection, now_us: int, account_ids: Collection[int] | None = None) -> int:
    """Expire the holds that are due: all, or those of some accounts. Gives how many."""
    due = [HoldRow(row) for row in db.execute(DUE, (now_us,)).fetchall()]
    if account_ids is not None:
        due = [hold for hold in due if not set(hold.account_ids).isdisjoint(account_ids)]
    for hold in due:
        hold.change(db, EXPIRED, hold.lost, now_us)
    return len(due)


def _room(db: sqlite3.Connection, wish: Wish, now_us: int) -> tuple[list[AccountRow], int, int]:
    rows = seats(db, wish.lines, now_us)
    left = [row.left(line.limit) for row, line in zip(rows, wish.lines, strict=True)]
    return rows, *longest_answer(wish.lines, left, at_most=wish.output_tokens)


def _set_limits(db: sqlite3.Connection, rows: Sequence[AccountRow], lines: Sequence[Line]) -> None:
    changed = [(line.limit, row.id) for row, line in zip(rows, lines, strict=True) if line.limit != row.limit]
    if changed:
        db.executemany(_SET_LIMIT, changed)
