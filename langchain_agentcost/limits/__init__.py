"""Budgets and circuit breakers: limits that hold before a call is made.

```
budget.py      what may be taken, by whom, for how long        breakers.py  what a run that gets nowhere looks like
demand.py      what a call may take at worst                   watch.py     watching one run for it
limiter.py     has every budget room for it?                   presets.py   limits to start from
holds.py       the protocol of a store: reserve, then settle   alerts.py    what people and programs are told
memory.py, sqlite.py, leases.py                                approvals.py what a person is asked
webhook.py     alerts by HTTP, signed and retried              policy.py    agentcost.toml
doctor.py      do holds, accounts and ledger agree?
```
"""

from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.holds import BudgetStore
from langchain_agentcost.limits.remaining import Remaining
from langchain_agentcost.limits.store import open_store

__all__ = ["Alert", "Budget", "BudgetStore", "CircuitBreaker", "Remaining", "open_store"]
