"""The protocol of a budget store: reserve the worst case, make the call, settle what it really took.

A hold is a reservation over one or more accounts, all or nothing. It is a row of its own with a time at which it
expires, never only a number added to a counter, so that a process that dies gives back what it held.

```
              reserve                 settle(actual)
 (nothing) ─────────────▶ pending ─────────────────────▶ posted
                            │  void          ▲ ▲
                            ├──────▶ voided ─┘ │  a late settle posts the actual, in place of
                            │  lease ends      │  nothing or of what was charged as lost
                            └──────▶ expired ──┘
```

For every account, at every moment: `reserved` is the sum of its pending holds, and `spent` the sum of what its posted
holds took and its expired holds were charged. Amounts are whole numbers of the account's unit: nano-USD, tokens, calls,
milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Window = Literal["total", "hour", "day", "month"]
"""How long an account lasts: for ever, or for one calendar hour, day or month in UTC by the store's clock."""

HoldState = Literal["pending", "posted", "voided", "expired"]


@dataclass(frozen=True, slots=True)
class Line:
    """What a call may take from one account.

    The worst case is `fixed + per_output_token * output_tokens`: only the length of the answer can still be capped.

    Args:
        scope: The account's name. With the window it is the account.
        limit: The account's limit in whole units; the store keeps the latest one it was told.
        fixed: What the call takes whatever its answer.
        per_output_token: What each token of its answer may take.
        window: Which window the account is of; the store's own clock says which one is current.
        lost: What is charged if the call is never heard of again; never more than was reserved.
        enforced: False to count, and deny nothing.
    """

    scope: str
    limit: int
    fixed: int
    per_output_token: int = 0
    window: Window = "total"
    lost: int = 0
    enforced: bool = True

    def worst(self, output_tokens: int) -> int:
        """What the call may take with an answer of this length."""
        return self.fixed + self.per_output_token * output_tokens


@dataclass(frozen=True, slots=True)
class Account:
    """One account as it stands.

    Args:
        scope: Its name.
        window: Its window.
        window_start: The start of the window that this account is of; None for "total".
        limit: The limit as budgets state it.
        raised: What a person added to the limit, for this window.
        spent: What settled calls took and lost ones were charged.
        reserved: What calls under way may still take.
        frozen: Whether a person closed it: nothing is granted.
    """

    scope: str
    window: Window = "total"
    window_start: datetime | None = None
    limit: int = 0
    raised: int = 0
    spent: int = 0
    reserved: int = 0
    frozen: bool = False

    @property
    def cap(self) -> int:
        """The limit with what was added to it."""
        return self.limit + self.raised

    @property
    def headroom(self) -> int:
        """What can still be reserved; negative where calls took more than was reserved. 0 or less where frozen."""
        left = self.cap - self.spent - self.reserved
        return min(left, 0) if self.frozen else left


@dataclass(frozen=True, slots=True)
class Granted:
    """A reservation was made, or had been made before under this id.

    Args:
        hold_id: Its id.
        output_tokens: The longest answer that was reserved for.
        accounts: The accounts of the lines, in the lines' order, with this hold in them.
        state: "pending" for a new hold; a repeated id has the state of the first one.
        repeated: Whether the id had been reserved before.
    """

    hold_id: str
    output_tokens: int
    accounts: tuple[Account, ...]
    state: HoldState = "pending"
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """No reservation was made, on any account.

    Args:
        line: The position of the line that binds: the one that has room for the shortest answer.
        account: Its account.
        needed: What the call needed of it, with the shortest answer that was acceptable.
        output_tokens: The longest answer that there is room for; -1 where not even an empty one fits.
    """

    line: int
    account: Account
    needed: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling did.

    Args:
        applied: False where this very call had been settled before: nothing changed.
        accounts: The accounts of the hold's lines, afterwards.
        before: What each of them had spent before; equal to `accounts` where nothing changed.
        overrun: Whether the call took more of some account than was reserved.
    """

    applied: bool
    accounts: tuple[Account, ...]
    before: tuple[int, ...]
    overrun: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as the store keeps it; where several calls were posted on it, one for each of them.

    Args:
        id: Its id.
        call_id: The call that it is for: the ledger entry's id, once there is one.
        state: Where in the protocol it is.
        scopes: Its accounts' scopes, in the lines' order.
        reserved: What was reserved on each.
        taken: What each was charged; 0 while pending.
        expires_at: When it expires, by the store's clock.
        overrun: Whether more was taken than reserved.
    """

    id: str
    call_id: str | None
    state: HoldState
    scopes: tuple[str, ...]
    reserved: tuple[int, ...]
    taken: tuple[int, ...]
    expires_at: datetime
    overrun: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """An account whose sums do not follow from its holds.

    Args:
        scope: The account.
        window_start: Its window.
        spent: What it says it has spent.
        spent_by_holds: What follows from its holds.
        reserved: What it says is reserved.
        reserved_by_holds: What follows from its holds.
    """

    scope: str
    window_start: datetime | None
    spent: int
    spent_by_holds: int
    reserved: int
    reserved_by_holds: int


class BudgetStore(Protocol):
    """Keeps accounts and holds. Every method is one atomic step, safe for threads, and for processes where they share.

    Only the store's own clock counts, and it never goes backwards. All methods raise `StoreUnavailable` where the store
    cannot be reached.

    Attributes:
        url: What `open_store` opens it by.
        remote: Whether a call is a round trip over a network: such a store is never used on an event loop.
    """

    url: str
    remote: bool

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
        """Reserve on all accounts, or on none.

        Granted is the longest answer between `least_output_tokens` and `output_tokens` for which every enforced line
        has room. Before it denies, the store expires the holds of these accounts whose lease has ended.

        Args:
            hold_id: The reservation's id. The same id with the same lines gives the first answer again (and renews a
                pending lease); a denial is not remembered.
            lines: What may be taken, one line an account, at least one.
            output_tokens: The longest answer that is asked for.
            least_output_tokens: The shortest answer that is worth having; None means no shorter one than asked for.
            ttl_s: How long the lease lasts, in seconds.
            call_id: The call that it is for.

        Raises:
            HoldConflict: If the id was used before for other lines or another length.
            ValueError: If a number, a time or a name cannot be: every store refuses the same.
        """
        ...

    def settle(self, hold_id: str, taken: Sequence[int], *, call_id: str | None = None) -> Settled:
        """Post what a call really took, in full, whatever was reserved or is left.

        A hold that expired or was voided is posted all the same; what it was charged as lost is reversed. A hold that
        is posted already changes nothing if it was by the same call; another call's is posted beside it.

        Args:
            hold_id: The reservation.
            taken: What each line took, in the lines' order.
            call_id: The call; None is the one that reserved.

        Raises:
            LookupError: If the id is not known.
        """
        ...

    def void(self, hold_id: str) -> bool:
        """Give a pending hold back: the call was never made. False where it was not pending."""
        ...

    def extend(self, hold_id: str, *, ttl_s: float = 60.0) -> bool:
        """Renew a lease. False where the hold is not pending."""
        ...

    def sweep(self) -> int:
        """Expire the holds whose lease has ended and charge what their lines say. Any process may, at any time.

        Returns:
            How many there were.
        """
        ...

    def accounts(self, scopes: Collection[tuple[str, Window]] | None = None) -> tuple[Account, ...]:
        """The accounts of the current windows, by scope. None gives all; one that was never used is not there."""
        ...

    def raise_limit(self, scope: str, by: int, *, window: Window = "total", once: str | None = None) -> Account:
        """Add to an account's limit for its current window; negative lowers it.

        Args:
            scope: The account's scope.
            by: How much to add, in whole units.
            window: The account's window.
            once: A note's key. Where there is such a note nothing is added; else it is written in the same step, so
                that a raise that is tried again, also by another process, counts once.

        Raises:
            LookupError: If there is no such account.
        """
        ...

    def freeze(self, scope: str, *, frozen: bool = True, window: Window = "total") -> Account:
        """Close an account, or open it again: nothing is granted on a frozen one.

        Raises:
            LookupError: If there is no such account.
        """
        ...

    def holds(self, state: HoldState | None = None) -> Iterator[Hold]:
        """The holds that are kept, oldest first."""
        ...

    def prune(self, *, older_than_s: float) -> int:
        """Forget finished holds of that age; their accounts keep the sums. Returns how many."""
        ...

    def reconcile(self, *, repair: bool = False) -> tuple[Drift, ...]:
        """Compare every account with its holds, and with `repair` make the accounts follow from them."""
        ...

    def note(self, key: str) -> str | None:
        """A small text that processes share by a key; None where there is none."""
        ...

    def notes(self, prefix: str) -> Mapping[str, str]:
        """All notes whose key starts so."""
        ...

    def set_note(self, key: str, value: str | None, *, expected: str | None) -> bool:
        """Write a note if it is what was expected: a compare-and-set.

        Args:
            key: Its key.
            value: Its new text; None removes it.
            expected: What it must be now; None is that there is none.

        Returns:
            Whether it was written.
        """
        ...

    def close(self) -> None:
        """Let go of what the store holds open. Closing twice is harmless."""
        ...
