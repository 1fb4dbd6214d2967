"""A budget: how much of what, for whom, for how long, and what happens when it is used up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_agentcost.attribution import DIMENSIONS
from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.alerts import AlertSink
from langchain_agentcost.limits.holds import Window
from langchain_agentcost.money import from_nano, to_nano
from langchain_agentcost.reported import shown

if TYPE_CHECKING:
    from langchain_agentcost.limits.breakers import CircuitBreaker

ActionName = Literal["raise", "drain", "interrupt", "downgrade", "warn"]
"""raise: stop the call with `BudgetExceeded`. drain: make the call, stop before the next superstep. interrupt: ask a
person. downgrade: have router or middleware take a cheaper model, and stop where there is none. warn: say so."""

Action = ActionName | AlertSink
"""What happens: one of the names, or a function or `Webhook` that is told."""

Mode = Literal["enforce", "observe", "off"]
"""enforce: limits stop calls. observe: limits say what they would have stopped. off: nothing is metered or limited."""

OnStoreError = Literal["closed", "open"]
"""What happens to a call while its budgets cannot be checked: it is not made, or it is made and that is said."""

UnknownPrice = Literal["deny", "assume_dearest", "allow"]
"""What a USD budget does with a call whose price is not known."""

OnLost = Literal["charge_input", "charge_full", "release"]
"""What a call that is never heard of again is charged: its input, all that was reserved, or nothing."""

UNITS: Mapping[str, str] = {
    "usd": "usd",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "steps": "steps",
    "llm_calls": "llm_calls",
    "tool_calls": "tool_calls",
    "wall_time_s": "wall_time",
}
"""The limits that a budget may state, and the unit that each is counted in: nano-USD, tokens, calls, milliseconds."""

SUBJECTS = ("call", "outcome", *(name for name in DIMENSIONS if name != "attempt"))
"""What a budget can be per, besides "tag:NAME"."""

_MAX = 2**62
"""A limit beyond this would not fit into a store's 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits on what calls may take, for each subject of its own.

    Each limit that is stated is held by itself, and every budget that fits a call has to have room for it. The workflow
    run is what budgets are per by default: one root run, across subgraphs and resumes.

    Args:
        usd: Most US dollars.
        input_tokens: Most tokens sent.
        output_tokens: Most tokens received.
        total_tokens: Most of both.
        steps: Most steps: model calls, answered by a provider or a cache.
        llm_calls: Most model calls that reach a provider.
        tool_calls: Most tool calls, or calls of `tool`.
        wall_time_s: Most seconds that runs take, without the time that they wait for a person. It is looked at before
            each call: a call that hangs is for its own timeout to end.
        per: Whose each budget is: "call", "step", "run", "session", "user", "tenant", "workflow", "agent", "node",
            "deployment", "outcome" (what a session, or else a run, spends until its next success is recorded), any
            other dimension of `Attribution`, or "tag:NAME"; several make one subject: ("tenant", "user").
        window: "total", or a calendar "hour", "day" or "month" in UTC.
        where: Only calls with these labels count, such as {"tenant": "acme"}.
        tool: Only this tool counts as a tool call.
        on_limit: What happens to a call that there is no room for.
        thresholds: What happens when a share of the limit is used, such as {0.65: "warn", 0.85: "downgrade"}; each
            once for a subject and window, "interrupt" and "raise" for the calls that follow.
        when: Where the action is "interrupt": whether a person is asked about this call. It is given the evidence:
            `budget`, `scope`, `unit`, `limit`, `spent`, `reserved`, `needed`, `run`, `thread`, and what is known of
            the call, such as `model` and `input_tokens`. False stops the call as "raise" does, and where it fails the
            person is asked. None asks about every call.
        unknown_price: What a USD limit does with a call without a known price.
        on_lost: What a call that is never heard of again is charged, as when its process is killed.
        name: What to call it; None is made from unit, `per` and window. A budget is recognised by its name: one whose
            limit changes goes on where it was.

    Raises:
        BudgetError: If no limit is stated, or one cannot be.

    Example:
        >>> Budget(usd=5, per="session", thresholds={0.85: "warn"}).limits
        {'usd': 5000000000}
    """

    usd: Decimal | int | float | str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    steps: int | None = None
    llm_calls: int | None = None
    tool_calls: int | None = None
    wall_time_s: float | None = None
    per: str | tuple[str, ...] = "run"
    window: Window = "total"
    where: Mapping[str, str] = field(default_factory=dict)
    tool: str | None = None
    on_limit: Action = "raise"
    thresholds: Mapping[float, Action] = field(default_factory=dict)
    when: Callable[[Mapping[str, Any]], bool] | None = None
    unknown_price: UnknownPrice = "deny"
    on_lost: OnLost = "charge_input"
    name: str | None = None
    limits: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """The limits that are stated, by unit, in whole units."""
    subjects: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """What it is per, always as a tuple."""

    def __post_init__(self) -> None:
        subjects = _subjects(self.per)
        _check_where(self.where)
        if self.name is not None and not (self.name.isprintable() and self.name.strip() and "|" not in self.name):
            raise BudgetError(f'A budget\'s name is plain text without "|", not {shown(self.name)}.')
        _check_choice("window", self.window, get_args(Window))
        _check_choice("unknown_price", self.unknown_price, get_args(UnknownPrice))
        _check_choice("on_lost", self.on_lost, get_args(OnLost))
        for action in (self.on_limit, *self.thresholds.values()):
            if not callable(action):
                _check_choice("an action", action, get_args(ActionName))
        limits = {unit: _whole(name, getattr(self, name)) for name, unit in UNITS.items() if _stated(self, name)}
        if not limits:
            raise BudgetError(f"A budget needs a limit: one of {', '.join(UNITS)}.")
        if self.tool is not None and "tool_calls" not in limits:
            raise BudgetError(f"Budget(tool={self.tool!r}) limits calls of a tool: state tool_calls= as well.")
        if "call" in subjects and (len(subjects) > 1 or self.window != "total"):
            raise BudgetError('per="call" is one call: it goes with no other subject and no window.')
        _check_thresholds(self.thresholds)
        _check_when(self.when, (self.on_limit, *self.thresholds.values()))
        object.__setattr__(self, "limits", limits)
        object.__setattr__(self, "subjects", subjects)

    @property
    def title(self) -> str:
        """Its name, or one made of what makes it this budget: whose it is, for how long, and of which calls."""
        if self.name is not None:
            return self.name
        of = "".join(f" {key}={value}" for key, value in sorted(self.where.items()))
        window = "" if self.window == "total" else f" a {self.window}"
        return f"{'+'.join(self.subjects)} budget{window}{f' {self.tool}' if self.tool else ''}{of}"

    @classmethod
    def presets(cls, name: str, **overrides: Any) -> tuple[Budget | CircuitBreaker, ...]:
        """Give a set of limits to start from, each row of which can be changed: `CostMeter(budgets=…)` takes it.

        `langchain_agentcost.limits.presets` has the table, and what each row saved and stopped on recorded runs.

        Args:
            name: "typical", "support" or "coding".
            **overrides: Values of rows: step_tokens, run_steps, session_usd, tool_retries, breakers. None leaves a row
                out.

        Raises:
            BudgetError: If there is no such preset or row.

        Example:
            >>> [limit.title for limit in Budget.presets("typical", session_usd=2)]
            ['step budget', 'run budget', 'session budget', 'tool_retries breaker at 3']
        """
        from langchain_agentcost.limits.presets import preset  # noqa: PLC0415  # presets are made of budgets

        return preset(name, **overrides)


def limit_shown(unit: str, amount: int) -> Decimal | int:
    """An amount of a unit as people read it: USD and seconds as `Decimal`, all else as it is counted.

    Example:
        >>> limit_shown("usd", 5_000_000), limit_shown("wall_time", 1_500), limit_shown("steps", 50)
        (Decimal('0.005'), Decimal('1.5'), 50)
    """
    if unit == "usd":
        return from_nano(amount).normalize()
    return Decimal(amount).scaleb(-3).normalize() if unit == "wall_time" else amount


def action_name(action: Action) -> ActionName:
    """What an action is called; a function that is told only watches, as "warn" does."""
    return "warn" if callable(action) else action


def told_by(action: Action) -> tuple[AlertSink, ...]:
    """Who is told by an action: the function itself, where it is one."""
    return (action,) if callable(action) else ()


def amount_stored(amount: Decimal | int) -> str | int:
    """An amount as JSON and checkpoints take it, exactly."""
    return str(amount) if isinstance(amount, Decimal) else amount


def _stated(budget: Budget, name: str) -> bool:
    return getattr(budget, name) is not None


def _subjects(per: object) -> tuple[str, ...]:
    """What a budget is per, as a tuple of words that it can be."""
    subjects = tuple(per) if isinstance(per, list | tuple) else (per,)
    for subject in subjects or ("",):
        tag = isinstance(subject, str) and subject.startswith("tag:") and len(subject) > len("tag:")
        if subject not in SUBJECTS and not tag:
            raise BudgetError(f"A budget cannot be per {shown(subject)}: it is per {', '.join(SUBJECTS)} or tag:NAME.")
    return subjects


def _check_where(where: Mapping[str, str]) -> None:
    for label, value in where.items():
        if label not in DIMENSIONS and not str(label).startswith("tag:"):
            raise BudgetError(
                f"where= names no label {shown(label)}: it is one of {', '.join(DIMENSIONS)} or tag:NAME."
            )
        if not isinstance(value, str):
            raise BudgetError(f"where={{{label!r}: …}} is compared with text, not with {shown(value)}.")


def _check_choice(what: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BudgetError(f"{what} cannot be {shown(value)}: it is one of {', '.join(choices)}.")


def _check_thresholds(thresholds: Mapping[float, Any]) -> None:
    for share in thresholds:
        if type(share) not in (int, float, Decimal) or not 0 < share <= 1:
            raise BudgetError(f"A threshold is a share of the limit above 0 and up to 1, not {shown(share)}.")


def _check_when(when: object, actions: tuple[Action, ...]) -> None:
    if when is None:
        return
    if not callable(when) or iscoroutinefunction(when):
        raise BudgetError(f"when= is a function, and not an async one, that is given the evidence: not {shown(when)}.")
    if "interrupt" not in actions:
        raise BudgetError('when= says whether a person is asked: state on_limit="interrupt", or a threshold, as well.')


def in_whole(unit: str, amount: Decimal | float | str) -> int:
    """An amount that people write, in whole units: the reverse of `limit_shown`.

    Args:
        unit: One of the values of `UNITS`.
        amount: USD, seconds, or a count; not negative.

    Raises:
        BudgetError: If it is no such amount.

    Example:
        >>> in_whole("usd", "0.005"), in_whole("wall_time", 1.5), in_whole("steps", 50)
        (5000000, 1500, 50)
    """
    try:
        number = Decimal(str(amount))
    except InvalidOperation:
        number = Decimal("NaN")
    if type(amount) is bool or not number.is_finite() or not 0 <= number <= _MAX:
        raise BudgetError(f"An amount of {unit} is a number from 0, not {shown(amount)}.")
    whole = number.scaleb({"usd": 9, "wall_time": 3}.get(unit, 0))
    if unit != "usd" and unit != "wall_time" and whole != whole.to_integral_value():
        raise BudgetError(f"An amount of {unit} is a whole number, not {shown(amount)}.")
    return to_nano(number) if unit == "usd" else int(whole)


def _whole(name: str, limit: Any) -> int:
    try:
        whole = in_whole(UNITS[name], limit)
    except BudgetError as error:
        raise BudgetError(f"{name}={shown(limit)}: {error}") from None
    if whole > _MAX:
        raise BudgetError(f"{name} is beyond all sense: {shown(limit)}.")
    return whole


LIMIT_NAMES = tuple(f.name for f in fields(Budget) if f.name in UNITS)
"""The keywords that state a limit, in order."""
