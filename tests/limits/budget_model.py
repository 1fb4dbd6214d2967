"""What a budget store should do, in the plainest way: every sum is worked out anew from all holds that ever were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from langchain_agentcost.limits.holds import Account, Denied, Granted, Hold, HoldState, Line, Window

Key = tuple[str, Window, datetime | None]


def start_of(window: Window, now_s: float) -> datetime | None:
    """The start of the calendar window that an instant is in."""
    cleared = {"hour": 10, "day": 8, "month": 6}.get(window)
    if cleared is None:
        return None
    digits = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%d%H")[:cleared].ljust(10, "0")
    return datetime(int(digits[:4]), int(digits[4:6]), max(1, int(digits[6:8])), int(digits[8:]), tzinfo=UTC)


@dataclass
class ModelHold:
    """A hold and what each call took on it."""

    id: str
    call_id: str | None
    keys: list[Key]
    lines: Sequence[Line]
    asked: tuple[int, int]
    granted: int
    expires_s: float
    state: HoldState = "pending"
    takings: dict[str | None, list[int]] = field(default_factory=dict)
    finished_s: float = 0.0
    pruned: bool = False

    @property
    def reserved(self) -> tuple[int, ...]:
        """What it set aside."""
        return tuple(line.worst(self.granted) for line in self.lines)

    def taken(self, position: int) -> int:
        """What a line was charged in all."""
        return sum(taking[position] for taking in self.takings.values())

    @property
    def overrun(self) -> bool:
        """Whether more was taken than reserved."""
        return any(self.taken(n) > held for n, held in enumerate(self.reserved))

    def views(self) -> list[Hold]:
        """What a store shows of it."""
        calls = list(self.takings.items()) or [(None, [0] * len(self.keys))]
        scopes, expires_at = tuple(key[0] for key in self.keys), datetime.fromtimestamp(self.expires_s, UTC)
        return [
            Hold(self.id, call or self.call_id, self.state, scopes, self.reserved, tuple(t), expires_at, self.overrun)
            for call, t in calls
        ]


class Model:
    """The protocol as its docstrings tell it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.limits: dict[Key, int] = {}
        self.raised: dict[Key, int] = {}
        self.frozen: dict[tuple[str, Window], bool] = {}
        self.closed: dict[Key, bool] = {}
        self.holds: list[ModelHold] = []

    def account(self, key: Key) -> Account:
        """Work an account out from all holds."""
        mine = [(hold, n) for hold in self.holds for n, other in enumerate(hold.keys) if other == key]
        spent = sum(hold.taken(n) for hold, n in mine)
        reserved = sum(hold.reserved[n] for hold, n in mine if hold.state == "pending")
        frozen = self.closed.get(key, False)
        return Account(*key, self.limits[key], self.raised.get(key, 0), spent, reserved, frozen)

    def find(self, hold_id: str) -> ModelHold | None:
        """The hold of an id that is still kept."""
        return next((hold for hold in self.holds if hold.id == hold_id and not hold.pruned), None)

    def touch(self, scope: str, window: Window, limit: int) -> Key:
        """Name the account of the current window and tell it its limit."""
        key = (scope, window, start_of(window, self.now_s))
        if key not in self.limits:
            earlier = [other for other in self.limits if other[:2] == key[:2]]
            self.closed[key] = bool(earlier) and self.closed[earlier[-1]]
        self.limits[key] = limit
        return key

    def reserve(
        self, hold_id: str, lines: Sequence[Line], asked: tuple[int, int], ttl_s: float, call_id: str | None
    ) -> Granted | Denied:
        """Reserve for the longest answer that fits."""
        keys = [self.touch(line.scope, line.window, line.limit) for line in lines]
        if min(fits := self._fits(keys, lines, asked[0])) < asked[1]:
            self.expire(set(keys))
            fits = self._fits(keys, lines, asked[0])
        if min(fits) < asked[1]:
            binding = fits.index(min(fits))
            return Denied(binding, self.account(keys[binding]), lines[binding].worst(asked[1]), min(fits))
        self.holds.append(ModelHold(hold_id, call_id, keys, lines, asked, min(fits), self.now_s + ttl_s))
        return Granted(hold_id, min(fits), tuple(map(self.account, keys)))

    def expire(self, keys: set[Key] | None = None) -> int:
        """Charge what is due as lost."""
        due = [hold for hold in self.holds if hold.state == "pending" and hold.expires_s <= self.now_s]
        due = [hold for hold in due if keys is None or keys & set(hold.keys)]
        for hold in due:
            lost = [min(line.lost, held) for line, held in zip(hold.lines, hold.reserved, strict=True)]
            self.finish(hold, "expired", {None: lost})
        return len(due)

    def finish(self, hold: ModelHold, state: HoldState, takings: dict[str | None, list[int]]) -> None:
        """Give a hold its new state."""
        hold.state, hold.takings, hold.finished_s = state, takings, self.now_s

    def _fits(self, keys: Sequence[Key], lines: Sequence[Line], at_most: int) -> list[int]:
        """The longest answer that each line has room for, found by trying."""
        found = []
        for key, line in zip(keys, lines, strict=True):
            account = self.account(key)
            left = -1 if account.frozen else account.cap - account.spent - account.reserved
            lengths = [n for n in range(at_most + 1) if not line.enforced or line.worst(n) <= left]
            found.append(max(lengths, default=-1))
        return found
