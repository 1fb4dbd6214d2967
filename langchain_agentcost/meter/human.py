"""Asking a person, with LangGraph's `interrupt`, so that the answer is ours and never the user's own interrupt's.

LangGraph runs a paused task again from its start, and hands answers to `interrupt` calls by their order in the task.
So a place that asked once has to ask again, in the same order, each time the task is run again, and gets the old answer
at once: otherwise the user's next `interrupt` would be given it. What a place has asked is noted in the budget store,
where another process that resumes the run finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.approvals import Approval, answer, ask, find
from langchain_agentcost.limits.budget import in_whole, limit_shown
from langchain_agentcost.limits.dispatch import Alerts
from langchain_agentcost.limits.holds import BudgetStore
from langchain_agentcost.limits.refusal import Refusal
from langchain_agentcost.limits.watch import Trip
from langchain_agentcost.meter.runs import WorkflowRun

_QUESTIONS = UUID("c0ffee00-5a1e-5d0e-8b1d-0a4d6f2d2f6e")
"""The namespace of the ids of questions."""

ANSWERS = {
    "approve": "go on; a limit that is used up is granted once more",
    "deny": "stop the run",
    "{'raise_by': AMOUNT}": "go on, with that much more",
    "{'raise_to': AMOUNT}": "go on, up to that much",
}
"""What a person may answer, in `Command(resume=…)`."""


class Human:
    """A person, reached through LangGraph's `interrupt`.

    Args:
        store: Where questions and answers are kept.
        alerts: Who is told that somebody has to answer.
    """

    def __init__(self, store: BudgetStore, alerts: Alerts) -> None:
        self._store = store
        self._alerts = alerts

    def replay(self, place: str) -> Iterator[tuple[Approval, bool]]:
        """Ask again what this place of the graph has asked, in the same order: answered questions answer at once.

        Yields:
            What was asked, and whether it was approved.
        """
        for number in range(int(self._store.note(f"asked:{place}") or 0)):
            approval = find(self._store, _id_of(place, number))
            if approval is not None:
                yield approval, self._put(approval)

    def ask(self, place: str, approval: Approval, *, permission: str | None = None) -> bool:
        """Ask something new: pauses the run by raising `GraphInterrupt`, unless LangGraph has an answer already.

        Args:
            place: The place of the graph that asks.
            approval: What is asked; its id is made here.
            permission: The note to write once it is approved, where no limit is to be raised.

        Returns:
            Whether it was approved.
        """
        key = f"asked:{place}"
        asked = self._store.note(key)
        number = int(asked or 0)
        self._store.set_note(key, str(number + 1), expected=asked)
        approval = replace(approval, id=_id_of(place, number))
        if permission is not None:
            self._store.set_note(f"permits:{approval.id}", permission, expected=None)
        return self._put(approval)

    def _put(self, approval: Approval) -> bool:
        """Put a question to LangGraph, with the exact command that answers it."""
        payload = _payload(approval)
        try:
            said = interrupt(payload)
        except GraphInterrupt as paused:
            (asked,) = paused.args[0]
            command = f"Command(resume={{{asked.id!r}: 'approve'}})"
            payload["resume"] = f"graph.invoke({command}, {{'configurable': {{'thread_id': {approval.thread!r}}}}})"
            ask(self._store, replace(approval, resume=payload["resume"]))
            evidence = {"approval": approval.id, "run": approval.run, "thread": approval.thread}
            message = f"A person is asked: {approval.message}"
            alert = Alert(
                "approval", message, approval.scope, "interrupt", evidence=evidence | {"resume": payload["resume"]}
            )
            self._alerts.fire(alert, once=f"approval|{approval.id}")
            raise
        return self._decided(approval, said)

    def _decided(self, approval: Approval, said: object) -> bool:
        """Whether it was approved. The first answer counts, wherever it was given; a limit is raised once."""
        known = ask(self._store, approval)
        if known.status == "pending":
            approve, raise_by = _read(said, approval)
            known = answer(self._store, approval.id, "approve" if approve else "deny", raise_by=raise_by)
        if known.status == "denied":
            return False
        permission = self._store.note(f"permits:{approval.id}")
        if permission is not None:
            self._store.set_note(permission, approval.id, expected=None)
        return True


def about_budget(refusal: Refusal, run: WorkflowRun, thread: str | None) -> Approval:
    """Ask about a call that a budget has no room for. What stops below the limit raises nothing when it is approved."""
    account = refusal.account
    limit = account.cap if account is not None else refusal.rule.limit
    return Approval(
        id="",
        scope=refusal.scope,
        window=refusal.rule.budget.window,
        unit=refusal.rule.unit,
        title=refusal.rule.budget.title,
        thread=thread,
        run=run.id,
        message=refusal.message,
        limit=0 if refusal.mark is not None else limit,
        spent=account.spent if account is not None else 0,
        needed=refusal.needed,
        resume="",
        asked_at=datetime.now(UTC),
    )


def about_breaker(trip: Trip, run: WorkflowRun, thread: str | None) -> Approval:
    """Ask about a run that a breaker would stop."""
    return Approval(
        id="",
        scope=f"run={run.id}",
        window="total",
        unit="",
        title=trip.breaker.title,
        thread=thread,
        run=run.id,
        message=trip.message,
        limit=0,
        spent=0,
        needed=0,
        resume="",
        asked_at=datetime.now(UTC),
    )


def _payload(approval: Approval) -> dict[str, Any]:
    """What the app is given in `__interrupt__`."""
    payload: dict[str, Any] = {
        "type": "agentcost.approval",
        "approval": approval.id,
        "message": approval.message,
        "scope": approval.scope,
        "budget": approval.title,
        "run": approval.run,
        "thread": approval.thread,
        "answers": dict(ANSWERS),
    }
    if approval.unit:
        for name in ("limit", "spent", "needed"):
            payload[name] = str(limit_shown(approval.unit, getattr(approval, name)))
    return payload


def _read(said: object, approval: Approval) -> tuple[bool, int | None]:
    """An answer: whether it approves, and by how much it raises the limit, in whole units. What is no answer denies."""
    if isinstance(said, Mapping) and approval.unit:
        for key, base in (("raise_by", 0), ("raise_to", approval.limit)):
            if key in said:
                try:
                    return True, in_whole(approval.unit, said[key]) - base
                except BudgetError:
                    return False, None
    if isinstance(said, Mapping):
        said = said.get("decision")
    return said is True or said in ("approve", "approved", "yes"), None


def _id_of(place: str, number: int) -> str:
    return str(uuid5(_QUESTIONS, f"{place}#{number}"))
