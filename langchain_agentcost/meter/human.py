"""Asking a person: a pause of LangGraph's, whose answer is ours and never that of the user's own interrupts.

LangGraph runs a paused task again from its start, and hands answers to `interrupt` calls by their order in the task. A
budget asks where it has no room, which is a different place each time: as one more `interrupt` it would shift all that
follow, and be given their answers. So a question of ours is none of them. It pauses the task under an id of its own, is
kept in the budget store, and is answered by that id: in the store by any process, or in the `Command` that resumes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn
from uuid import UUID, uuid5

from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.approvals import Approval, answer, ask, find
from langchain_agentcost.limits.budget import in_whole, limit_shown
from langchain_agentcost.limits.dispatch import Alerts
from langchain_agentcost.limits.holds import BudgetStore
from langchain_agentcost.limits.refusal import Refusal
from langchain_agentcost.limits.watch import Trip
from langchain_agentcost.meter.graph import Graph
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


class Question(NamedTuple):
    """What a place of a graph has asked."""

    place: str
    approval: Approval


class Human:
    """A person, who is asked through LangGraph or the budget store, whichever they look at first.

    Args:
        store: Where questions and answers are kept.
        alerts: Who is told that somebody has to answer.
    """

    def __init__(self, store: BudgetStore, alerts: Alerts) -> None:
        self._store = store
        self._alerts = alerts

    def hear(self, graph: Graph) -> Sequence[Question]:
        """What a task of the graph has asked, with the answers that have come. Of a denial it hears once.

        Args:
            graph: The task, which LangGraph runs again from its start.
        """
        asked = list(self._asked(graph.task))
        for position, (place, approval) in enumerate(asked):
            if approval.status == "pending":
                latest = position == len(asked) - 1
                asked[position] = Question(place, self._answered(approval, graph, latest=latest))
        if asked:
            latest_approval = asked[-1].approval
            graph.drop_old_answer(is_ours=lambda said: _read(said, latest_approval) is not None)
        for _, approval in asked:
            self._let_pass(approval)
        if any(approval.status == "denied" for _, approval in asked):
            self._keep_answers(graph)
        return [question for question in asked if not self._is_old_denial(question.approval)]

    def ask(self, place: str, approval: Approval, graph: Graph, *, permission: str | None = None) -> NoReturn:
        """Pause a task until a person answers. What it has asked and waits for is asked again as it was.

        Args:
            place: The place of the graph that asks.
            approval: What is asked; its id is made here.
            graph: The task.
            permission: The note to write once it is approved, where no limit is to be raised.

        Raises:
            GraphInterrupt: Always.
        """
        waits = [asked for _, asked in self._asked(graph.task)][-1:]
        same = [asked for asked in waits if asked.status == "pending" and _subject(asked) == _subject(approval)]
        question = same[0] if same else self._put(place, approval, graph.task, permission)
        whose = {"approval": question.id, "run": question.run, "thread": question.thread, "resume": question.resume}
        message = f"A person is asked: {question.message}"
        alert = Alert("approval", message, question.scope, "interrupt", evidence=whose)
        self._alerts.fire(alert, once=f"approval|{question.id}")
        graph.pause(question.id, _payload(question))

    def needs_no_answer(self, place: str, asked: Iterable[Question]) -> None:
        """Take back what a place still waits to hear: there is room for it now."""
        for question in asked:
            if question.place == place and question.approval.status == "pending":
                answer(self._store, question.approval.id, "approve", raise_by=0)

    def _asked(self, task: str) -> Iterator[Question]:
        for number, place in enumerate((self._store.note(f"asked:{task}") or "").split()):
            approval = find(self._store, _id(task, number))
            if approval is not None:
                yield Question(place, approval)

    def _put(self, place: str, approval: Approval, task: str, permission: str | None) -> Approval:
        """Keep a new question in the store, with the exact command that answers it."""
        places = self._store.note(f"asked:{task}")
        name = _id(task, len((places or "").split()))
        command = f"Command(resume={{{name!r}: 'approve'}})"
        config = f"{{'callbacks': meter.callbacks, 'configurable': {{'thread_id': {approval.thread!r}}}}}"
        resume = f"graph.invoke({command}, {config})"
        if permission is not None:
            self._store.set_note(f"permits:{name}", permission, expected=None)
        kept = ask(self._store, replace(approval, id=name, resume=resume))
        self._store.set_note(f"asked:{task}", f"{places} {place}" if places else place, expected=places)
        return kept

    def _answered(self, approval: Approval, graph: Graph, *, latest: bool) -> Approval:
        """A question that waits, with the answer that the run was resumed with, if there is one."""
        decision = _read(graph.answers.get(approval.id), approval)
        if decision is None and latest:
            decision = _read(graph.only_answer, approval)
            if decision is not None:
                graph.take_only_answer()
        return self._keep(approval, decision)

    def _keep(self, approval: Approval, decision: tuple[bool, int | None] | None) -> Approval:
        """Put an answer into the store, if it is one."""
        if decision is None:
            return approval
        approve, raise_by = decision
        return answer(self._store, approval.id, "approve" if approve else "deny", raise_by=raise_by)

    def _keep_answers(self, graph: Graph) -> None:
        """Keep what was answered together with a denial: it stops the run before the other tasks hear of theirs."""
        for name, said in graph.answers.items():
            approval = find(self._store, name)
            if approval is not None and approval.status == "pending":
                self._keep(approval, _read(said, approval))

    def _let_pass(self, approval: Approval) -> None:
        """Write the note that lets pass what a person approved, where that is not a matter of the limit."""
        permission = self._store.note(f"permits:{approval.id}") if approval.status in ("approved", "raised") else None
        if permission is not None:
            self._store.set_note(permission, approval.id, expected=None)

    def _is_old_denial(self, approval: Approval) -> bool:
        """Whether a denial has stopped a run already: whoever resumes that one wants to be asked again."""
        if approval.status != "denied":
            return False
        return not self._store.set_note(f"stopped:{approval.id}", "1", expected=None)


def about_budget(refusal: Refusal, run: WorkflowRun, thread: str | None, *, again: int) -> Approval:
    """Ask about a call that a budget has no room for. What stops below the limit raises nothing when it is approved.

    Args:
        refusal: Why there is no room.
        run: The run that waits.
        thread: Its thread.
        again: What it takes of the account to get back to this call, because LangGraph runs the paused task again.
    """
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
        needed=0 if refusal.mark is not None else refusal.needed,
        again=again,
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
        "resume": approval.resume,
        "answers": {key: said for key, said in ANSWERS.items() if key in ("approve", "deny") or _can_raise(approval)},
    }
    if _can_raise(approval):
        for name in ("limit", "spent", "needed", "again"):
            payload[name] = str(limit_shown(approval.unit, getattr(approval, name)))
    return payload


def _read(said: object, approval: Approval) -> tuple[bool, int | None] | None:
    """An answer: whether it approves, and by how much it raises the limit, in whole units. None where it is none."""
    if isinstance(said, Mapping) and _can_raise(approval):
        for key, base in (("raise_by", 0), ("raise_to", approval.limit)):
            if key in said:
                try:
                    more = in_whole(approval.unit, said[key]) - base
                except BudgetError:
                    return None
                return (True, more) if more > 0 else None
    if isinstance(said, Mapping):
        said = said.get("decision")
    if isinstance(said, bool):
        return said, None
    return (said in _YES, None) if isinstance(said, str) and said in (*_YES, *_NO) else None


def _subject(approval: Approval) -> tuple[str, str]:
    return approval.scope, approval.title


def _can_raise(approval: Approval) -> bool:
    """Whether it is about a limit that was reached."""
    return bool(approval.unit and (approval.limit or approval.needed))


_YES, _NO = ("approve", "approved", "yes"), ("deny", "denied", "no")


def _id(task: str, number: int) -> str:
    """The id of a task's question, of the form that LangGraph's ids of interrupts have."""
    return uuid5(_QUESTIONS, f"{task}#{number}").hex
