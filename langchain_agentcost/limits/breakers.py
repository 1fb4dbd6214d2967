"""Circuit breakers: what a run that gets nowhere looks like, and when to warn of it or stop it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal, NamedTuple, Self, get_args

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.budget import Action, ActionName
from langchain_agentcost.reported import shown

BreakerKind = Literal[
    "identical_calls", "tool_errors", "tool_retries", "no_progress", "token_velocity", "context_growth"
]
"""What is watched; each has a method of `CircuitBreaker` that says what it counts."""

_ACTIONS = tuple(name for name in get_args(ActionName) if name != "downgrade")


class _Rule(NamedTuple):
    """What the numbers of a kind may be."""

    least: int
    whole: bool
    per_tool: bool


_RULES: Mapping[str, _Rule] = {
    "identical_calls": _Rule(2, whole=True, per_tool=True),
    "tool_errors": _Rule(1, whole=True, per_tool=True),
    "tool_retries": _Rule(0, whole=True, per_tool=True),
    "no_progress": _Rule(2, whole=True, per_tool=False),
    "token_velocity": _Rule(1, whole=True, per_tool=False),
    "context_growth": _Rule(1, whole=False, per_tool=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """A sign that a workflow run gets nowhere, and what happens when it is seen.

    There is a method for each kind, with numbers to start from; `defaults` gives those that hardly ever stop a run
    that would have succeeded.

    Args:
        kind: What is watched.
        warn: The count at which to warn, once a run; None never warns.
        stop: The count at which `on_trip` happens, before the next call; None never stops.
        tool: Only this tool counts. None is any tool.
        on_trip: "raise" stops the run with `BreakerTripped`, "drain" after the superstep, "interrupt" asks a person,
            "warn" says so; a function or `Webhook` is told.
        window_s: For token_velocity, how far back tokens count, in seconds.
        floor_tokens: For context_growth, what a shorter first call counts as.

    Raises:
        BudgetError: If it never does anything, or a number cannot be.

    Example:
        >>> CircuitBreaker.tool_retries(2, tool="book_flight").title
        'tool_retries breaker of book_flight at 2'
    """

    kind: BreakerKind
    warn: float | None = None
    stop: float | None = None
    tool: str | None = None
    on_trip: Action = "raise"
    window_s: float = 60.0
    floor_tokens: int = 4_000

    def __post_init__(self) -> None:
        rule = _RULES.get(self.kind)
        if rule is None:
            raise BudgetError(f"A breaker cannot be of kind {shown(self.kind)}: it is one of {', '.join(_RULES)}.")
        if self.warn is None and self.stop is None:
            raise BudgetError(f"A {self.kind} breaker needs warn= or stop=: without either it never does anything.")
        _check_counts(self, rule)
        if self.tool is not None and not rule.per_tool:
            raise BudgetError(f"A {self.kind} breaker watches the run, not a tool: leave tool= out.")
        if not callable(self.on_trip) and self.on_trip not in _ACTIONS:
            raise BudgetError(f"on_trip cannot be {shown(self.on_trip)}: it is one of {', '.join(_ACTIONS)}.")
        for name in ("window_s", "floor_tokens"):
            if not _is_number(getattr(self, name)) or getattr(self, name) <= 0:
                raise BudgetError(f"{name} must be a number above 0, not {shown(getattr(self, name))}.")

    @property
    def title(self) -> str:
        """What to call it: its kind, its tool and its number."""
        at = self.stop if self.stop is not None else self.warn
        return f"{self.kind} breaker{f' of {self.tool}' if self.tool else ''} at {at}"

    @classmethod
    def identical_calls(
        cls, stop: int | None = 8, *, warn: int | None = 4, tool: str | None = None, on_trip: Action = "raise"
    ) -> Self:
        """The same tool was called with the same arguments and gave the same result so often in the run.

        The run's last 50 tool calls are looked at. Whoever asks again and is told something new, as when a file was
        edited in between, is not counted. A tool that is polled until something happens needs a larger number.
        """
        return cls(kind="identical_calls", warn=warn, stop=stop, tool=tool, on_trip=on_trip)

    @classmethod
    def tool_errors(
        cls, stop: int | None = 8, *, warn: int | None = 4, tool: str | None = None, on_trip: Action = "raise"
    ) -> Self:
        """So many tool calls in a row failed in the run, whichever tools they were."""
        return cls(kind="tool_errors", warn=warn, stop=stop, tool=tool, on_trip=on_trip)

    @classmethod
    def tool_retries(
        cls, stop: int | None = 3, *, warn: int | None = None, tool: str | None = None, on_trip: Action = "raise"
    ) -> Self:
        """A tool failed, and so did so many retries in a row: the next attempt is not made.

        Each tool is counted by itself, whatever its arguments; a success starts its count again. With 3, the first
        attempt and three retries may fail. It suits tools whose failure means that they do not work, not a shell, whose
        failures are a coding agent's daily bread.
        """
        return cls(kind="tool_retries", warn=warn, stop=stop, tool=tool, on_trip=on_trip)

    @classmethod
    def no_progress(cls, stop: int | None = 8, *, warn: int | None = 4, on_trip: Action = "raise") -> Self:
        """The model was told the same news and gave the same answer so often among its last 50 answers in the run."""
        return cls(kind="no_progress", warn=warn, stop=stop, on_trip=on_trip)

    @classmethod
    def token_velocity(
        cls, stop: int | None = 2_000_000, *, warn: int | None = None, window_s: float = 60.0, on_trip: Action = "raise"
    ) -> Self:
        """The run took so many tokens a minute, input and output, over the last `window_s` seconds."""
        return cls(kind="token_velocity", warn=warn, stop=stop, window_s=window_s, on_trip=on_trip)

    @classmethod
    def context_growth(
        cls,
        stop: float | None = 50,
        *,
        warn: float | None = 20,
        floor_tokens: int = 4_000,
        on_trip: Action = "raise",
    ) -> Self:
        """A call sends so many times the tokens of the run's first call."""
        return cls(kind="context_growth", warn=warn, stop=stop, floor_tokens=floor_tokens, on_trip=on_trip)

    @classmethod
    def defaults(cls) -> tuple[Self, ...]:
        """The breakers to have on everywhere."""
        return (cls.identical_calls(), cls.tool_errors(), cls.no_progress())


def _check_counts(breaker: CircuitBreaker, rule: _Rule) -> None:
    for name, count in (("warn", breaker.warn), ("stop", breaker.stop)):
        if count is None:
            continue
        if not _is_number(count) or count < rule.least or (rule.whole and count != int(count)):
            what = "whole number" if rule.whole else "number"
            raise BudgetError(f"{name} of a {breaker.kind} breaker is a {what} from {rule.least}, not {shown(count)}.")
    if breaker.warn is not None and breaker.stop is not None and breaker.warn >= breaker.stop:
        raise BudgetError(
            f"A {breaker.kind} breaker warns before it stops: {breaker.warn} is not below {breaker.stop}."
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
