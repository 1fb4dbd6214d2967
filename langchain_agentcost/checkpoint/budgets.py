"""What a thread has spent, told to budgets that do not know it: those of a new process, or of a new store."""

from __future__ import annotations

from uuid import UUID, uuid5

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.checkpoint.thread_costs import Learned
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.holds import BudgetStore, Line
from langchain_agentcost.limits.scopes import Rule, Scopes
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.meter.checkpoint_spend import Spent

_RESTORED = UUID("5b1c4b8e-3d0f-5a55-8c7f-7b7c7ad2f5a9")
"""The namespace of the ids of what is posted."""

_OF_A_RUN = frozenset({"tenant", "user", "session", "workflow", "run", "deployment", "variant"})
"""Labels that all calls of a run share: a budget that looks at others counts only a part of its calls."""

_AMOUNTS = {
    "usd": "cost_nano",
    "llm_calls": "llm_calls",
    "steps": "llm_calls",
    "tool_calls": "tool_calls",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
}
"""Which amount fills which unit. Time is not restored."""


def restore_budgets(meter: CostMeter, config: RunnableConfig, learned: Learned) -> None:
    """Raise the accounts of a thread's session, and of its latest run, to at least what the thread has spent.

    A store that knows as much already is left as it is, so nothing counts twice. Restored are budgets per session or
    per run, without a calendar window, that count every call of it; a call whose price is not known counts no money.
    Where a session holds several threads, it is raised to what the dearest of them that was resumed has spent.

    Args:
        meter: Whose budgets.
        config: The config of the run that goes on: its metadata says whose it is.
        learned: What the thread has spent.
    """
    enforcer = meter.enforcer
    if enforcer is None:
        return
    with meter.journal.harmless("restoring budgets"):
        labels = {
            "session": learned.thread.owner,
            **meter.attribution.read(config.get("metadata"), config.get("configurable")),
        }
        if learned.run is not None:
            labels["run"] = learned.run.owner
            enforcer.store.set_note(f"thread:{learned.thread.owner}", learned.run.owner, expected=None)
        scopes = Scopes(enforcer.store, lambda _, __: None)
        for rule in enforcer.limiter.rules:
            if _is_restorable(rule.budget) and scopes.are_named(rule.budget, labels):
                of = learned.run if "run" in rule.budget.subjects else learned.thread
                if of is not None:
                    _raise_to(enforcer.store, rule, scopes.of(rule, labels), _amount(rule.unit, of.spent))


def _is_restorable(budget: Budget) -> bool:
    looks_at = {*budget.subjects, *budget.where}
    shared = all(name in _OF_A_RUN or name.startswith("tag:") for name in looks_at)
    return shared and bool({"session", "run"} & looks_at) and budget.tool is None and budget.window == "total"


def _amount(unit: str, spent: Spent) -> int:
    if unit == "total_tokens":
        return spent.input_tokens + spent.output_tokens
    name = _AMOUNTS.get(unit)
    return getattr(spent, name) if name is not None else 0


def _raise_to(store: BudgetStore, rule: Rule, scope: str, amount: int) -> None:
    """Post what is missing. Two processes that see the same lack post it once."""
    known = sum(account.spent for account in store.accounts([(scope, "total")]))
    if known >= amount:
        return
    hold_id = str(uuid5(_RESTORED, f"{scope}|{known}|{amount}"))
    line = Line(scope, rule.limit, amount - known, enforced=False)
    store.reserve(hold_id, [line], call_id=hold_id)
    store.settle(hold_id, [amount - known], call_id=hold_id)
