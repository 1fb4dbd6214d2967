"""Sets of limits to start from: the one that teams are usually told, and two that were measured on recorded runs.

What each row would have saved of the cost of recorded runs, and how many successful ones it would have stopped (of all
successful ones), by `benchmarks/breakers.py`: dollars at claude-sonnet-4-5's list price with prompt caching on, all
runs of a family together. Support is airline (432 runs) / retail (211) / telecom (139); coding is 112 runs of a coding
agent. A run that is stopped counts as failed. Small numbers: read them with the intervals that the benchmark prints.

```
row            value      support: saved, stopped successes          coding
typical                   34 / 22 / 47 %   60 of 209, 70 of 151, 71 of 89   93 %   52 of 52
  step_tokens  8,000      33 / 22 / 47 %   60 of 209, 70 of 151, 71 of 89   92 %   52 of 52
  run_steps    50         3.2 / 0 / 7.8 %  none                             55 %   45 of 52
  session_usd  5          0                none                              0     none
  tool_retries 3          0.7 / 0 / 0.1 %  none                            2.0 %    4 of 52
support                   5.4 / 0 / 12 %   1 of 209, none, none             69 %   49 of 52
  step_tokens  25,000     0                none                             55 %   34 of 52
  run_steps    40         3.9 / 0 / 9.3 %  none                             67 %   49 of 52
  session_usd  0.50       0.9 / 0 / 1.6 %  none                             61 %   43 of 52
  tool_retries 5          0.2 / 0 / 0.1 %  none                              0     none
  breakers     defaults   4.7 / 0 / 12 %   1 of 209, none, none              0     none
coding                    4.7 / 0 / 12 %   1 of 209, none, none              0     none
  step_tokens  150,000    0                none                              0     none
  run_steps    250        0                none                              0     none
  session_usd  5          0                none                              0     none
  tool_retries 10         0                none                              0     none
  breakers     defaults   4.7 / 0 / 12 %   1 of 209, none, none              0     none
```

So "typical" suits neither kind of agent as it stands: what it saves, it saves by stopping runs that would have
succeeded, nearly all of it by 8,000 tokens a step. "support" saves what loops cost. "coding" is a fuse: on these runs
it costs nothing and saves nothing.
"""

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
    # The figure is the 99th percentile over the successful runs of the set where it is largest, and the most ever.
    "support": {
        "step_tokens": 25_000,  # a run's largest step: p99 19,492 of 157 (tau2-airline), most 20,799
        "run_steps": 40,  # p99 30 of 43 (tau2-telecom-solo), most 31
        "session_usd": "0.50",  # p99 $0.196 of 157 (tau2-airline), most $0.267
        "tool_retries": 5,  # a run's most failed retries in a row: p99 3 of 52 (tau1-airline), most 3
        "breakers": CircuitBreaker.defaults(),
    },
    "coding": {  # 52 successful runs, so the p99 is the most ever
        "step_tokens": 150_000,  # p99 101,878
        "run_steps": 250,  # p99 188
        "session_usd": 5,  # p99 $3.82
        "tool_retries": 10,  # p99 3; a shell's exit codes count as failures
        "breakers": CircuitBreaker.defaults(),
    },
}
"""The rows of each preset; USD are for models of about claude-sonnet-4-5's price, with prompt caching."""


def preset(name: str, **overrides: Any) -> tuple[Limit, ...]:
    """Give the limits of a preset: what `Budget.presets` gives.

    Args:
        name: One of `PRESETS`.
        **overrides: Other values for its rows, or for rows that it does not have; None leaves a row out.

    Raises:
        BudgetError: If there is no such preset or row.
    """
    if name not in PRESETS:
        raise BudgetError(f"There is no preset {shown(name)}: choose one of {', '.join(PRESETS)}.")
    unknown = next((row for row in overrides if row not in _ROWS), None)
    if unknown is not None:
        raise BudgetError(f"A preset has no row {shown(unknown)}: its rows are {', '.join(_ROWS)}.")
    rows = {**PRESETS[name], **overrides}
    return tuple(limit for row, make in _ROWS.items() if rows.get(row) is not None for limit in make(rows[row]))
