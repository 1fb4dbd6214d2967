"""A budget store in memory: for one process, and for tests."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from threading import RLock
from typing import Self

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.fork import rest_at_fork
from langchain_agentcost.limits.holds import Account, Denied, Drift, Granted, Hold, HoldState, Line, Settled, Window
from langchain_agentcost.limits.memory_rows import AccountRow, HoldRow
from langchain_agentcost.limits.room import check, check_raise, check_taken, check_text, check_ttl, longest_answer
from langchain_agentcost.limits.windows import window_start

FINISHED_KEPT = 10_000
"""How many finished holds are kept, for what settles late or twice; a process that runs for months makes millions."""

_Key = tuple[str, Window, int]


class MemoryBudgetStore:
    """Accounts and holds in dicts, behind one lock. A forked child goes on with a copy of its own.

    Args:
        clock: Gives the time in seconds since 1970; for tests.

    Example:
        >>> store = MemoryBudgetStore()
        >>> line = Line("session=ann", limit=100, fixed=40, per_output_token=1)
        >>> store.reserve("h1", [line], output_tokens=90, least_output_tokens=10).output_tokens
        60
        >>> store.settle("h1", [55]).accounts[0].headroom
        45
    """

    url = "memory://"
    remote = False

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = RLock()  # the garbage collector may close an abandoned stream, and so settle it, within a step
        self._latest_us = 0
        self._next_due_us = 0
        """No pending hold is due before."""
        self._made = 0
        self._accounts: dict[_Key, AccountRow] = {}
        self._newest: dict[tuple[str, Window], AccountRow] = {}
        self._pending: dict[str, HoldRow] = {}
        self._finished: dict[str, HoldRow] = {}
        self._notes: dict[str, str] = {}
        self._closed = False
        rest_at_fork(self)

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
        with self._lock:
            now_us = self._now_us()
            expires_us = now_us + int(ttl_s * 1_000_000)
            hold = self._pending.get(hold_id) or self._finished.get(hold_id)
            if hold is not None:
                return hold.again(lines, (output_tokens, least), expires_us)
            accounts = [self._account(line.scope, line.window, now_us, line.limit) for line in lines]
            longest, binding = longest_answer(lines, [a.left for a in accounts], at_most=output_tokens)
            if longest < least and self._expire(now_us, accounts):
                longest, binding = longest_answer(lines, [a.left for a in accounts], at_most=output_tokens)
            if longest < least:
                return Denied(binding, accounts[binding].view(), lines[binding].worst(least), longest)
            self._made += 1
            hold = HoldRow(self._made, hold_id, call_id, lines, accounts, (output_tokens, least, longest), expires_us)
            hold.reserve()
            self._pending[hold_id] = hold
            self._next_due_us = min(self._next_due_us, expires_us)
            return Granted(hold_id, longest, hold.views())

    def settle(self, hold_id: str, taken: Sequence[int], *, call_id: str | None = None) -> Settled:
        """Post what a call really took; see `BudgetStore.settle`."""
        with self._lock:
            now_us = self._now_us()
            hold = self._pending.get(hold_id) or self._finished.get(hold_id)
            if hold is None:
                raise LookupError(f"No hold {hold_id!r} is known.")
            check_taken(taken, len(hold.lines))
            before = tuple([account.spent for account in hold.accounts])
            applied = hold.post(tuple(taken), call_id)
            if applied:
                self._finish(hold, now_us)
            return Settled(applied, hold.views(), before, hold.overrun)

    def void(self, hold_id: str) -> bool:
        """Give a pending hold back; see `BudgetStore.void`."""
        with self._lock:
            now_us = self._now_us()
            hold = self._pending.get(hold_id)
            if hold is None:
                return False
            hold.change("voided", hold.taken)
            self._finish(hold, now_us)
            return True

    def extend(self, hold_id: str, *, ttl_s: float = 60.0) -> bool:
        """Renew a lease; see `BudgetStore.extend`."""
        check_ttl(ttl_s)
        with self._lock:
            now_us = self._now_us()
            hold = self._pending.get(hold_id)
            if hold is not None:
                hold.expires_us = now_us + int(ttl_s * 1_000_000)
                self._next_due_us = min(self._next_due_us, hold.expires_us)
            return hold is not None

    def sweep(self) -> int:
        """Expire the holds whose lease has ended; see `BudgetStore.sweep`."""
        with self._lock:
            return self._expire(self._now_us(), None)

    def accounts(self, scopes: Collection[tuple[str, Window]] | None = None) -> tuple[Account, ...]:
        """The accounts of the current windows; see `BudgetStore.accounts`."""
        with self._lock:
            now_us = self._now_us()
            wanted = sorted(self._newest if scopes is None else set(scopes))
            keys = [(scope, window, window_start(window, now_us)) for scope, window in wanted]
            return tuple([self._accounts[key].view() for key in keys if key in self._accounts])

    def raise_limit(self, scope: str, by: int, *, window: Window = "total", once: str | None = None) -> Account:
        """Add to an account's limit for its current window; see `BudgetStore.raise_limit`."""
        check_raise(by)
        with self._lock:
            account = self._existing(scope, window)
            if once is None or once not in self._notes:
                account.raised += by
            if once is not None:
                self._notes.setdefault(once, str(by))
            return account.view()

    def freeze(self, scope: str, *, frozen: bool = True, window: Window = "total") -> Account:
        """Close an account, or open it again; see `BudgetStore.freeze`."""
        with self._lock:
            account = self._existing(scope, window)
            account.frozen = frozen
            return account.view()

    def holds(self, state: HoldState | None = None) -> Iterator[Hold]:
        """The holds that are kept now, oldest first; see `BudgetStore.holds`."""
        with self._lock:
            self._now_us()
            kept = sorted([*self._pending.values(), *self._finished.values()], key=lambda hold: hold.number)
            return iter([view for hold in kept if state in (None, hold.state) for view in hold.views_of_calls()])

    def prune(self, *, older_than_s: float) -> int:
        """Forget finished holds of that age; see `BudgetStore.prune`."""
        with self._lock:
            before_us = self._now_us() - int(older_than_s * 1_000_000)
            old = [hold for hold in list(self._finished.values()) if hold.finished_us <= before_us]
            for hold in old:
                self._forget(hold)
            return len(old)

    def reconcile(self, *, repair: bool = False) -> tuple[Drift, ...]:
        """Compare every account with its holds; see `BudgetStore.reconcile`."""
        with self._lock:
            self._now_us()
            spent, reserved = defaultdict[AccountRow, int](int), defaultdict[AccountRow, int](int)
            for hold in (*self._pending.values(), *self._finished.values()):
                for account, held, taken in zip(hold.accounts, hold.reserved, hold.taken, strict=True):
                    spent[account] += taken
                    reserved[account] += held if hold.state == "pending" else 0
            drifts = [
                account.against(account.folded + spent[account], reserved[account], repair=repair)
                for account in self._accounts.values()
            ]
            return tuple([drift for drift in drifts if drift is not None])

    def note(self, key: str) -> str | None:
        """A small shared text; see `BudgetStore.note`."""
        with self._lock:
            self._now_us()
            return self._notes.get(key)

    def notes(self, prefix: str) -> Mapping[str, str]:
        """All notes whose key starts so; see `BudgetStore.notes`."""
        with self._lock:
            self._now_us()
            return {key: self._notes[key] for key in sorted(self._notes) if key.startswith(prefix)}

    def set_note(self, key: str, value: str | None, *, expected: str | None) -> bool:
        """Compare and set a note; see `BudgetStore.set_note`."""
        check_text(key)
        check_text(value or "")
        with self._lock:
            self._now_us()
            if self._notes.get(key) != expected:
                return False
            if value is None:
                self._notes.pop(key, None)
            else:
                self._notes[key] = value
            return True

    def close(self) -> None:
        """Drop everything."""
        with self._lock:
            self._closed = True
            for kept in (self._accounts, self._newest, self._pending, self._finished, self._notes):
                kept.clear()

    def __enter__(self) -> Self:
        """Use the store for a block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def hold(self) -> None:
        """Wait for other threads before this process forks."""
        self._lock.acquire()

    def resume(self) -> None:
        """Go on after the fork."""
        self._lock.release()

    def _now_us(self) -> int:
        """The time, which never goes backwards. Every step begins with it."""
        if self._closed:
            raise StoreUnavailable("This budget store in memory was closed; open a new one.")
        self._latest_us = max(self._latest_us, int(self._clock() * 1_000_000))
        return self._latest_us

    def _account(self, scope: str, window: Window, now_us: int, limit: int) -> AccountRow:
        start = window_start(window, now_us)
        account = self._accounts.get((scope, window, start))
        if account is None:
            before = self._newest.get((scope, window))
            account = AccountRow(scope, window, start, frozen=before is not None and before.frozen)
            self._accounts[scope, window, start] = self._newest[scope, window] = account
        account.limit = limit
        return account

    def _existing(self, scope: str, window: Window) -> AccountRow:
        now_us = self._now_us()
        newest = self._newest.get((scope, window))
        if newest is None:
            raise LookupError(f"There is no account {scope!r} with window {window!r}.")
        return self._account(scope, window, now_us, newest.limit)

    def _expire(self, now_us: int, accounts: Sequence[AccountRow] | None) -> int:
        """Expire the holds that are due: all, or those of some accounts. Gives how many."""
        if now_us < self._next_due_us:
            return 0
        expired, rest = 0, [now_us + 60_000_000]
        for hold in list(self._pending.values()):
            concerned = accounts is None or any(account in accounts for account in hold.accounts)
            if hold.expires_us > now_us or not concerned:
                rest.append(hold.expires_us)
                continue
            hold.change("expired", hold.lost)
            self._finish(hold, now_us)
            expired += 1
        self._next_due_us = min(rest)
        return expired

    def _finish(self, hold: HoldRow, now_us: int) -> None:
        hold.finished_us = now_us
        self._pending.pop(hold.id, None)
        self._finished[hold.id] = hold
        if len(self._finished) > FINISHED_KEPT:
            self._forget(next(iter(self._finished.values())))

    def _forget(self, hold: HoldRow) -> None:
        """Drop a finished hold; its accounts keep what it took."""
        if self._finished.pop(hold.id, None) is not None:
            for account, taken in zip(hold.accounts, hold.taken, strict=True):
                account.folded += taken
