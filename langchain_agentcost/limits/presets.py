"""Sets of limits to start from: the one that teams are usually told, and two that were measured on recorded runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.reported import shown

Limit = Budget | CircuitBreaker

_ROWS: Mapping[str, Callable[[Any], Iterable[Limit]]] = {
    "step_tokens": lambda tokens: (Budget(total_tokens=tokens, per="step"),),
    "run_steps": lambda steps: (Budget(steps=steps, per="run"),),
    "session_usd": lambda usd: (Budget(usd=usd, per="session"),),
    "tool_retries": lambda retries: (CircuitBreaker.tool_retries(retries),),
    "breakers": tuple,
}
"""What each row of a preset makes of its value."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "typical": {"step_tokens": 8_000, "run_steps": 50, "session_usd": 5, "tool_retries": 3},
    "support": {
        "step_tokens": 25_000,
        "run_steps": 40,
        "session_usd": "0.50",
        "tool_retries": 5,
        "breakers": CircuitBreaker.defaults(),
    },
    "coding": {
        "step_tokens": 150_000,
        "run_steps": 250,
        "session_usd": 5,
        "tool_retries": 10,
        "breakers": CircuitBreaker.defaults(),
    },
}


def preset(name: str, **overrides: Any) -> tuple[Limit, ...]:
    """Give the limits of a preset."""
    if name not in PRESETS:
        raise BudgetError(f"There is no preset {shown(name)}: choose one of {', '.join(PRESETS)}.")
    unknown = next((row for row in overrides if row not in _ROWS), None)
    if unknown is not None:
        raise BudgetError(f"A preset has no row {shown(unknown)}: its rows are {', '.join(_ROWS)}.")
    rows = {**PRESETS[name], **overrides}
    return tuple(limit for row, make in _ROWS.items() if rows.get(row) is not None for limit in make(rows[row]))
