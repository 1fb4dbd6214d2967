"""Whose account a call is on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from langchain_agentcost.attribution import DIMENSIONS, READABLE
from langchain_agentcost.errors import AgentCostWarning, UnenforcedBudgetWarning
from langchain_agentcost.limits.budget import Action, Budget
from langchain_agentcost.limits.holds import BudgetStore
from langchain_agentcost.reported import shown


class Mark(NamedTuple):
    """A share of a limit at which something happens."""

    share: float
    parts: int
    """The share in parts of a million: what is compared is whole numbers."""
    action: Action

    def is_reached(self, spent: int, cap: int) -> bool:
        """Whether so much of a limit is spent."""
        return spent * 1_000_000 >= self.parts * cap


class Rule(NamedTuple):
    """One limit of one budget, and the marks on the way to it, in order; the last one is the limit itself."""

    budget: Budget
    unit: str
    limit: int
    marks: tuple[Mark, ...]
    prefix: str
    """How the names of its accounts begin: "title:unit|"."""


def rules_of(budget: Budget) -> tuple[Rule, ...]:
    """Take a budget apart into its limits."""
    shares = [*sorted(budget.thresholds.items()), (1.0, budget.on_limit)]
    marks = tuple(Mark(float(share), int(Decimal(str(share)) * 1_000_000), action) for share, action in shares)
    title = budget.title.replace("|", "/")
    return tuple(Rule(budget, unit, limit, marks, f"{title}:{unit}|") for unit, limit in budget.limits.items())


class Scopes:
    """Names accounts: "title:unit|subject=value,…".

    Args:
        store: Where outcomes are counted.
        warn: Who is told, once a subject, that calls do not say whose they are.
        subject: Whose all accounts are, whatever calls say; None reads it from the calls.
    """

    def __init__(
        self, store: BudgetStore, warn: Callable[[str, AgentCostWarning], object], *, subject: str | None = None
    ) -> None:
        self._fixed = subject
        self._store = store
        self._warn = warn

    def of(self, rule: Rule, labels: Mapping[str, Any]) -> str:
        """The account that a rule holds a call to."""
        if self._fixed is not None:
            return f"{rule.prefix}block={self._fixed}"
        budget = rule.budget
        of = [f"{name}={_escaped(self._subject(budget, name, labels))}" for name in budget.subjects]
        return rule.prefix + ",".join(of)

    def are_named(self, budget: Budget, labels: Mapping[str, Any]) -> bool:
        """Whether labels say whose account of a budget is meant."""
        if self._fixed is not None:
            return True
        if not all(value_of(labels, name) in (None, value) for name, value in budget.where.items()):
            return False
        return all(
            any(value_of(labels, key) is not None for key in _NAMED_BY.get(name, (name,))) for name in budget.subjects
        )

    def _subject(self, budget: Budget, name: str, labels: Mapping[str, Any]) -> str:
        """Whose account it is. What belongs to no session is a session of its own; calls that do not say share one."""
        if name == "call":
            return "this"
        if name == "step":
            return f"{labels.get('run')}#{labels.get('step')}"
        if name == "session":
            return str(labels.get("session") or labels.get("run"))
        if name == "outcome":
            of = str(labels.get("session") or labels.get("run"))
            return f"{of}#{self._store.note(f'outcomes:{of}') or 0}"
        value = value_of(labels, name)
        if value is None:
            self._warn(f"{budget.title} {name}", _unstated(budget, name))
        return str(value)


def labels_named(scope: Mapping[str, str] | str) -> dict[str, Any]:
    """The labels of calls that a scope means.

    Args:
        scope: Labels and their values, or "name=value,…".

    Raises:
        ValueError: If it is not written so, or names no label.

    Example:
        >>> labels_named("session=s1,tag:team=red")
        {'session': 's1', 'tags': (('team', 'red'),)}
    """
    if isinstance(scope, str):
        pairs = [part.partition("=") for part in scope.split(",")]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError(f"A scope is written name=value,… or given as a mapping, not {shown(scope)}.")
        scope = {name.strip(): value for name, _, value in pairs}
    labels: dict[str, Any] = {}
    for name, value in scope.items():
        if name.startswith("tag:"):
            labels["tags"] = (*labels.get("tags", ()), (name.removeprefix("tag:"), value))
        elif name in DIMENSIONS:
            labels[name] = value
        else:
            raise ValueError(f"No label is called {shown(name)}: it is one of {', '.join(DIMENSIONS)} or tag:NAME.")
    return labels


def tags_named(budgets: Iterable[Budget]) -> tuple[str, ...]:
    """The tags that budgets name: calls have to say them, so metadata has to be read for them."""
    named = [name for budget in budgets for name in (*budget.subjects, *budget.where)]
    return tuple(name.removeprefix("tag:") for name in named if name.startswith("tag:"))


def value_of(labels: Mapping[str, Any], name: str) -> Any:
    """A label, or with "tag:NAME" one of the tags; None where it is not stated."""
    if name.startswith("tag:"):
        return dict(labels.get("tags") or ()).get(name.removeprefix("tag:"))
    return labels.get(name)


def count_outcome(store: BudgetStore, of: str) -> None:
    """Note that a session or run had a success: what is per outcome begins anew."""
    key = f"outcomes:{of}"
    while True:
        number = store.note(key)
        if store.set_note(key, str(int(number or 0) + 1), expected=number):
            return


def fits(budget: Budget, labels: Mapping[str, Any], tool: str | None) -> bool:
    """Whether a budget counts a call with these labels, of this tool if it is one."""
    if budget.tool is not None and tool != budget.tool:
        return False
    return not budget.where or all(value_of(labels, name) == value for name, value in budget.where.items())


_NAMED_BY = {"session": ("session", "run"), "outcome": ("session", "run")}
"""Which labels say whose account it is, where that is not the subject's own name."""

_ESCAPES = str.maketrans({character: f"%{ord(character):02X}" for character in "%,=|"})


def _escaped(value: str) -> str:
    """A value that cannot be taken for two: what separates is escaped as in a URL."""
    return value if value.isalnum() else value.translate(_ESCAPES)


def _unstated(budget: Budget, name: str) -> UnenforcedBudgetWarning:
    told = name in READABLE or name.startswith("tag:")
    how = f" Pass it in the config: metadata={{{name.removeprefix('tag:')!r}: …}}." if told else ""
    return UnenforcedBudgetWarning(
        f"The {budget.title} is per {name}, and a call states none: all calls that do not are held to one budget "
        f"together.{how}"
    )
