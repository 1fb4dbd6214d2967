"""What the budget store in memory keeps: accounts and holds that change."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_agentcost.errors import HoldConflict
from langchain_agentcost.limits.holds import Account, Drift, Granted, Hold, HoldState, Line, Window
from langchain_agentcost.limits.room import granted_amounts
from langchain_agentcost.limits.windows import moment_of


class AccountRow:
    """One account; `folded` is what holds took that are no longer kept."""

    __slots__ = ("folded", "frozen", "limit", "raised", "reserved", "scope", "spent", "start", "window")

    def __init__(self, scope: str, window: Window, start: int, *, frozen: bool) -> None:
        self.scope, self.window, self.start, self.frozen = scope, window, start, frozen
        self.limit = self.raised = self.spent = self.reserved = self.folded = 0

    @property
    def left(self) -> int | None:
        """What can still be reserved; None where it is frozen."""
        return None if self.frozen else self.limit + self.raised - self.spent - self.reserved

    def view(self) -> Account:
        """The account as others see it."""
        start = None if self.window == "total" else moment_of(self.start)
        return Account(self.scope, self.window, start, self.limit, self.raised, self.spent, self.reserved, self.frozen)

    def against(self, spent: int, reserved: int, *, repair: bool) -> Drift | None:
        """Compare it with what follows from its holds."""
        if (spent, reserved) == (self.spent, self.reserved):
            return None
        drift = Drift(self.scope, self.view().window_start, self.spent, spent, self.reserved, reserved)
        if repair:
            self.spent, self.reserved = spent, reserved
        return drift


class HoldRow:
    """One hold with its accounts. Sums change by what is added, never by what was read: steps may nest."""

    __slots__ = (
        "accounts",
        "call_id",
        "expires_us",
        "finished_us",
        "id",
        "lines",
        "number",
        "others",
        "reserved",
        "state",
        "taken",
        "tokens",
    )

    def __init__(
        self,
        number: int,
        hold_id: str,
        call_id: str | None,
        lines: Sequence[Line],
        accounts: Sequence[AccountRow],
        tokens: tuple[int, int, int],
        expires_us: int,
    ) -> None:
        self.number, self.id, self.call_id = number, hold_id, call_id
        self.lines, self.accounts, self.tokens = tuple(lines), accounts, tokens
        self.expires_us, self.finished_us = expires_us, 0
        self.state: HoldState = "pending"
        self.reserved = granted_amounts(lines, tokens[-1])
        self.taken = (0,) * len(lines)
        self.others: dict[str, tuple[int, ...]] = {}
        """What further calls took that were posted beside the first; `taken` includes it."""

    @property
    def lost(self) -> tuple[int, ...]:
        """What is charged when it expires."""
        return tuple([min(line.lost, held) for line, held in zip(self.lines, self.reserved, strict=True)])

    @property
    def overrun(self) -> bool:
        """Whether more was taken than reserved."""
        return any(taken > reserved for taken, reserved in zip(self.taken, self.reserved, strict=True))

    def reserve(self) -> None:
        """Set aside what the call may take."""
        for account, amount in zip(self.accounts, self.reserved, strict=True):
            account.reserved += amount

    def again(self, lines: Sequence[Line], asked: tuple[int, int], expires_us: int) -> Granted:
        """Answer a repeated reservation as the first one was."""
        if asked != self.tokens[:2] or list(map(_amounts, lines)) != list(map(_amounts, self.lines)):
            raise HoldConflict(f"Hold {self.id!r} was reserved before for other amounts. Give every call its own.")
        for account, line in zip(self.accounts, lines, strict=True):
            account.limit = line.limit
        if self.state == "pending":
            self.expires_us = expires_us
        return Granted(self.id, self.tokens[-1], self.views(), self.state, repeated=True)

    def post(self, taken: tuple[int, ...], call_id: str | None) -> bool:
        """Post what a call took, beside what other calls took. False where this call's is posted already."""
        if self.state != "posted":
            self.call_id = call_id or self.call_id
            self.change("posted", taken)
            return True
        if call_id is None or call_id in (self.call_id, *self.others):
            return False
        self.others[call_id] = taken
        self.change("posted", tuple(map(sum, zip(self.taken, taken, strict=True))))
        return True

    def change(self, state: HoldState, taken: tuple[int, ...]) -> None:
        """Go to another state, having taken so much in all."""
        pending, before = self.state == "pending", self.taken
        self.state, self.taken = state, taken
        for number, account in enumerate(self.accounts):
            account.spent += taken[number] - before[number]
            if pending:
                account.reserved -= self.reserved[number]

    def views(self) -> tuple[Account, ...]:
        """Its accounts as others see them."""
        return tuple([account.view() for account in self.accounts])

    def views_of_calls(self) -> list[Hold]:
        """The hold as others see it: once for each call that was posted."""
        own = tuple([total - sum(more) for total, *more in zip(self.taken, *self.others.values(), strict=True)])
        scopes, expires_at = tuple([account.scope for account in self.accounts]), moment_of(self.expires_us)
        return [
            Hold(self.id, call_id, self.state, scopes, self.reserved, taken, expires_at, self.overrun)
            for call_id, taken in ((self.call_id, own), *self.others.items())
        ]


def _amounts(line: Line) -> tuple[str, Window, int, int]:
    """What has to be the same when a reservation is repeated: a limit may have changed in between."""
    return line.scope, line.window, line.fixed, line.per_output_token
