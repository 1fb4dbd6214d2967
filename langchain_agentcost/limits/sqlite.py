"""A budget store in a SQLite file: shared by the threads and processes of one machine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.access import Access
from langchain_agentcost.ledger.file import prepare
from langchain_agentcost.ledger.steps import Steps
from langchain_agentcost.limits import sqlite_steps as steps
from langchain_agentcost.limits.holds import Account, Denied, Drift, Granted, Hold, HoldState, Line, Settled, Window
from langchain_agentcost.limits.room import check, check_raise, check_text, check_ttl
from langchain_agentcost.limits.sqlite_rows import (
    CURRENT,
    HOLDS,
    AccountRow,
    HoldRow,
    accounts,
    current,
    find,
    make,
    newest,
    tick,
)
from langchain_agentcost.limits.sqlite_tables import BUDGETS, PENDING, STATES, VOIDED, WINDOWS
from langchain_agentcost.limits.sqlite_upkeep import drifts, forget
from langchain_agentcost.limits.windows import window_start

_SPAN = 500
"""Holds that are looked at in one turn, where all of them are: others wait no longer than that."""

_MADE_BY = (
    "SELECT ifnull(min(number), 1) - 1, "
    "ifnull((SELECT number - 1 FROM hold WHERE made > ? ORDER BY number LIMIT 1), ifnull(max(number), 0)) FROM hold"
)
"""Between which numbers the holds are that were made by a time; none of the others can have finished by then."""

_NEW_NOTE = "INSERT INTO note VALUES (?, ?) ON CONFLICT DO NOTHING"


class SQLiteBudgetStore:
    """Accounts and holds in a SQLite file in WAL mode, each step committed as it is made.

    A step survives the death of the process (not a power cut in the same second: `synchronous=NORMAL`). Threads,
    forked and spawned processes may share the file; it must lie on a local disk.

    Args:
        path: The file. It is made, readable by its owner only, where it is missing or empty.
        create: False to refuse where there is no store yet.
        clock: Gives the time in seconds since 1970; for tests.

    Raises:
        StoreUnavailable: If the file cannot be used, and why.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, SQLiteBudgetStore(Path(folder, "budgets.db")) as store:
        ...     granted = store.reserve("h1", [Line("session=ann", limit=100, fixed=40)])
        ...     store.settle("h1", [35]).accounts[0].headroom
        65
    """

    remote = False

    def __init__(self, path: Path | str, *, create: bool = True, clock: Callable[[], float] = time.time) -> None:
        try:
            self.path = Path(path).expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise StoreUnavailable(f"{str(path)[:200]!r} is not a path: {error}.") from error
        self.url = f"sqlite:///{self.path}"
        self._clock = clock
        self._latest_us = 0
        prepare(self.path, create=create, kind=BUDGETS)
        self._writer = Access(self.path, exclusive=True, noun=BUDGETS.noun)
        self._reader = Access(self.path, exclusive=False, noun=BUDGETS.noun)
        self._write = Steps(self._writer, "BEGIN IMMEDIATE")
        self._read = Steps(self._reader, "BEGIN")

    def __reduce__(self) -> tuple[type[SQLiteBudgetStore], tuple[Path]]:
        """Let a spawned process open the same file."""
        return type(self), (self.path,)

    def reserve(
        self,
        hold_id: str,
        lines: Sequence[Line],
        *,
        output_tokens: int = 0,
        least_output_tokens: int | None = None,
        ttl_s: float = 60.0,
        call_id: str | None = None,
    ) -> Granted | Denied:
        """Reserve on all accounts, or on none; see `BudgetStore.reserve`."""
        least = output_tokens if least_output_tokens is None else min(least_output_tokens, output_tokens)
        check(hold_id, lines, (output_tokens, least), ttl_s)
        wish = steps.Wish(hold_id, lines, output_tokens, least, int(ttl_s * 1_000_000), call_id)
        with self._write() as db:
            latest_us, hold = find(db, hold_id)
            now_us = self._now_us(latest_us)
            return steps.reserve(db, wish, now_us) if hold is None else steps.repeat(db, hold, wish, now_us)

    def settle(self, hold_id: str, taken: Sequence[int], *, call_id: str | None = None) -> Settled:
        """Post what a call really took; see `BudgetStore.settle`."""
        with self._write() as db:
            latest_us, hold = find(db, hold_id)
            if hold is None:
                raise LookupError(f"No hold {hold_id!r} is known.")
            return steps.settle(db, hold, taken, call_id, self._now_us(latest_us))

    def void(self, hold_id: str) -> bool:
        """Give a pending hold back; see `BudgetStore.void`."""
        with self._write() as db:
            latest_us, hold = find(db, hold_id)
            if hold is None or hold.state != PENDING:
                return False
            hold.change(db, VOIDED, hold.taken, self._now_us(latest_us))
            return True

    def extend(self, hold_id: str, *, ttl_s: float = 60.0) -> bool:
        """Renew a lease; see `BudgetStore.extend`."""
        check_ttl(ttl_s)
        with self._write() as db:
            latest_us, hold = find(db, hold_id)
            if hold is None or hold.state != PENDING:
                return False
            now_us = self._now_us(latest_us)
            db.execute("UPDATE hold SET expires = ? WHERE number = ?", (now_us + int(ttl_s * 1_000_000), hold.number))
            tick(db, now_us)
            return True

    def sweep(self) -> int:
        """Expire the holds whose lease has ended; see `BudgetStore.sweep`."""
        with self._write() as db:
            return steps.expire(db, self._now_us(find(db)[0]))

    def accounts(self, scopes: Collection[tuple[str, Window]] | None = None) -> tuple[Account, ...]:
        """The accounts of the current windows; see `BudgetStore.accounts`."""
        with self._read() as db:
            now_us = self._now_us(find(db)[0])
            if scopes is None:
                keys = [(window_start(window, now_us), code) for code, window in enumerate(WINDOWS)]
                found = sorted((AccountRow._make(row) for key in keys for row in db.execute(CURRENT, key)), key=_order)
            else:
                found = [row for row in current(db, sorted(set(scopes)), now_us) if row is not None]
        return tuple([row.view() for row in found])

    def raise_limit(self, scope: str, by: int, *, window: Window = "total", once: str | None = None) -> Account:
        """Add to an account's limit for its current window; see `BudgetStore.raise_limit`."""
        check_raise(by)
        with self._write() as db:
            row = self._existing(db, scope, window)
            if once is None or db.execute(_NEW_NOTE, (once, str(by))).rowcount:
                db.execute("UPDATE account SET raised = raised + ? WHERE id = ?", (by, row.id))
            return accounts(db, [row.id])[0].view()

    def freeze(self, scope: str, *, frozen: bool = True, window: Window = "total") -> Account:
        """Close an account, or open it again; see `BudgetStore.freeze`."""
        with self._write() as db:
            row = self._existing(db, scope, window)
            db.execute("UPDATE account SET frozen = ? WHERE id = ?", (int(frozen), row.id))
            return accounts(db, [row.id])[0].view()

    def holds(self, state: HoldState | None = None) -> Iterator[Hold]:
        """The holds that are kept, oldest first, those that come meanwhile included; see `BudgetStore.holds`."""
        code, last = None if state is None else STATES.index(state), 0
        while True:
            with self._read() as db:
                found = [HoldRow(row) for row in db.execute(HOLDS, (last, code)).fetchall()]
                page = [
                    view for hold in found for view in hold.views(row.scope for row in accounts(db, hold.account_ids))
                ]
            yield from page
            if not found:
                return
            last = found[-1].number

    def prune(self, *, older_than_s: float) -> int:
        """Forget finished holds of that age; see `BudgetStore.prune`."""
        with self._write() as db:
            now_us = self._now_us(find(db)[0])
            tick(db, now_us)  # the newest hold may be forgotten, and the time with it
            before_us = now_us - int(older_than_s * 1_000_000)
            first, end = db.execute(_MADE_BY, (before_us,)).fetchone()
        pruned = 0
        for start in range(first, end, _SPAN):
            with self._write() as db:
                pruned += forget(db, (start, start + _SPAN), before_us)
        return pruned

    def reconcile(self, *, repair: bool = False) -> tuple[Drift, ...]:
        """Compare every account with its holds; see `BudgetStore.reconcile`."""
        with (self._write if repair else self._read)() as db:
            return drifts(db, repair=repair)

    def note(self, key: str) -> str | None:
        """A small shared text; see `BudgetStore.note`."""
        with self._read() as db:
            row = db.execute("SELECT value FROM note WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def notes(self, prefix: str) -> Mapping[str, str]:
        """All notes whose key starts so; see `BudgetStore.notes`."""
        within = "SELECT key, value FROM note WHERE key >= ?1 AND key < ?1 || char(1114111) ORDER BY key"
        with self._read() as db:
            return dict(db.execute(within, (prefix,)).fetchall())

    def set_note(self, key: str, value: str | None, *, expected: str | None) -> bool:
        """Compare and set a note; see `BudgetStore.set_note`."""
        check_text(key)
        check_text(value or "")
        with self._write() as db:
            row = db.execute("SELECT value FROM note WHERE key = ?", (key,)).fetchone()
            if (None if row is None else row[0]) != expected:
                return False
            if value is None:
                db.execute("DELETE FROM note WHERE key = ?", (key,))
            else:
                db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (key, value))
            return True

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()
        self._reader.close()

    def __enter__(self) -> Self:
        """Use the store for a block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def _now_us(self, latest_us: int) -> int:
        """The time, which never goes behind what was written, nor behind what was read here."""
        self._latest_us = max(self._latest_us, latest_us, int(self._clock() * 1_000_000))
        return self._latest_us

    def _existing(self, db: sqlite3.Connection, scope: str, window: Window) -> AccountRow:
        now_us = self._now_us(find(db)[0])
        (row,) = current(db, [(scope, window)], now_us)
        if row is not None:
            return row
        before = newest(db, (scope, window))
        if before is None:
            raise LookupError(f"There is no account {scope!r} with window {window!r}.")
        return make(db, (scope, window), before[0], now_us)


def _order(row: AccountRow) -> tuple[str, str]:
    return row.scope, WINDOWS[row.window]
