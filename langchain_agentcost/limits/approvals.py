"""Questions to a person, kept where another process can answer them.

An approval is a note in the budget store, "approval:<id>". It moves once, by compare-and-set, from pending to an
answer: of two people who answer at once, the second is given what the first said. The answer names the amount by which
the limit is raised. Whoever sees such an answer makes the raise if nobody has: the store adds it and notes
"applied:<id>" in one step, so the limit is raised exactly once, whichever process died in between.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from langchain_agentcost.errors import BudgetError, StoreUnavailable
from langchain_agentcost.limits.holds import Account, BudgetStore, Window
from langchain_agentcost.reported import shown

Status = Literal["pending", "approved", "denied", "raised"]
"""approved: go on, with what the budget grants once more; raised: go on, with an amount that the person chose."""

Decision = Literal["approve", "deny"]

MAX_TEXT_CHARS = 2_000
"""Longer texts are cut: a person has to read them."""

_NOTE = "approval:"
_APPLIED = "applied:"
_TEXTS = ("title", "thread", "run", "message", "resume")


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person is asked, and what they said. It holds amounts and names, never a prompt.

    Args:
        id: Its id: the same when the same call asks again.
        scope: The account that has no room, or the run that a breaker watches.
        window: The account's window.
        unit: What the account counts; empty where no account asks.
        title: The budget's name, or the breaker's.
        thread: The LangGraph thread that waits.
        run: The workflow run that waits.
        message: Why it waits, with limit and actual.
        limit: The limit that was reached, in whole units. Where it and `needed` are 0, approving raises nothing: none
            was reached but a threshold or a breaker.
        spent: What was spent of it.
        needed: What the call might take of it.
        resume: How to go on, as text that a person can paste.
        asked_at: When it was asked, UTC.
        again: What it takes of the account to get back to where it waits: LangGraph runs a paused node again from its
            start, with the calls that it made before.
        status: Where it stands.
        raise_by: What the answer adds to the limit, in whole units; None where it adds nothing.
        answered_at: When it was answered, UTC.
    """

    id: str
    scope: str
    window: Window
    unit: str
    title: str
    thread: str | None
    run: str | None
    message: str
    limit: int
    spent: int
    needed: int
    resume: str
    asked_at: datetime
    again: int = 0
    status: Status = "pending"
    raise_by: int | None = None
    answered_at: datetime | None = None


def ask(store: BudgetStore, approval: Approval) -> Approval:
    """Put a question to whoever looks at the store. One of this id that is there already stands, answered or not.

    Args:
        store: The budget store.
        approval: What is asked. Control characters are taken out of its texts.

    Returns:
        The approval as the store has it.

    Example:
        >>> from langchain_agentcost.limits.memory import MemoryBudgetStore
        >>> store = MemoryBudgetStore()
        >>> asked = Approval(
        ...     id="q1",
        ...     scope="run=r1",
        ...     window="total",
        ...     unit="",
        ...     title="no progress",
        ...     thread="t1",
        ...     run="r1",
        ...     message="The run repeats itself.",
        ...     limit=0,
        ...     spent=0,
        ...     needed=0,
        ...     resume="",
        ...     asked_at=datetime.now(UTC),
        ... )
        >>> ask(store, asked).status, answer(store, "q1", "deny").status, ask(store, asked).status
        ('pending', 'denied', 'denied')
    """
    texts: dict[str, Any] = {name: _plain(getattr(approval, name)) for name in _TEXTS}
    cleaned = replace(approval, **texts)
    while not store.set_note(_NOTE + approval.id, _written(cleaned), expected=None):
        standing = find(store, approval.id)
        if standing is not None:
            return standing
    return cleaned


def answer(store: BudgetStore, approval_id: str, decision: Decision, *, raise_by: int | None = None) -> Approval:
    """Answer a question. The first answer stands.

    Args:
        store: The budget store.
        approval_id: The approval's id.
        decision: "approve" grants the budget's own limit once more, or as much as the call lacks if that is more.
        raise_by: What to add to the limit instead, in whole units. It is left out of account where none can be raised.

    Returns:
        The approval as it stands: with the first answer, whosever it was.

    Raises:
        LookupError: If there is no such approval.
        BudgetError: If the decision is none.
    """
    if decision not in get_args(Decision):
        raise BudgetError(f"An approval is answered with approve or deny, not {shown(decision)}.")
    while True:
        text = store.note(_NOTE + approval_id)
        if text is None:
            raise LookupError(f"There is no approval {approval_id!r} in the budget store {store.url}.")
        approval = _read(store, approval_id, text)
        if approval.status != "pending":
            return _applied(store, approval)
        approval = _answered(store, approval, decision, raise_by)
        if store.set_note(_NOTE + approval_id, _written(approval), expected=text):
            return _applied(store, approval)


def find(store: BudgetStore, approval_id: str) -> Approval | None:
    """The approval of an id; None where there is none. What its answer raises is raised when this returns."""
    text = store.note(_NOTE + approval_id)
    return None if text is None else _applied(store, _read(store, approval_id, text))


def pending(store: BudgetStore) -> tuple[Approval, ...]:
    """The questions that nobody has answered, oldest first."""
    waiting = (approval for _, approval in _all(store) if approval.status == "pending")
    return tuple(sorted(waiting, key=lambda approval: (approval.asked_at, approval.id)))


def forget(store: BudgetStore, *, older_than_s: float) -> int:
    """Forget what was answered so long ago; what is pending stays.

    A run that was paused and goes on later still has to find its answer: keep answers as long as threads may wait.

    Args:
        store: The budget store.
        older_than_s: The age of the answer, in seconds.

    Returns:
        How many there were.
    """
    before, forgotten = datetime.now(UTC) - timedelta(seconds=older_than_s), 0
    for text, approval in _all(store):
        if approval.answered_at is not None and approval.answered_at < before:
            # the answer goes first: without the note of its raise it would raise the limit again
            if store.set_note(_NOTE + approval.id, None, expected=text):
                forgotten += 1
            applied = _APPLIED + approval.id
            store.set_note(applied, None, expected=store.note(applied))
    return forgotten


def _answered(store: BudgetStore, approval: Approval, decision: Decision, raise_by: int | None) -> Approval:
    """The approval with an answer, whose amount is worked out here once: all who see it have to agree on it."""
    now = datetime.now(UTC)
    if decision == "deny":
        return replace(approval, status="denied", answered_at=now)
    if raise_by is not None and approval.unit:
        return replace(approval, status="raised", raise_by=raise_by, answered_at=now)
    lifts = approval.unit and (approval.limit or approval.needed)
    more = _once_more(approval, _account_of(store, approval)) if lifts else None
    return replace(approval, status="approved", raise_by=more, answered_at=now)


def _once_more(approval: Approval, account: Account | None) -> int:
    """What "approve" adds: the budget's own limit, and never so little that the same call would ask again at once.

    What is paid again on the way back to it comes on top.
    """
    if account is None:
        return approval.limit
    left = account.cap - account.spent - account.reserved
    return approval.again + max(account.limit, approval.needed - left)


def _applied(store: BudgetStore, approval: Approval) -> Approval:
    """See to it that what an answer adds is added, once. A window that is over has no limit to raise any more."""
    if approval.raise_by is None:
        return approval
    once = _APPLIED + approval.id
    if store.note(once) is None and _account_of(store, approval) is not None:
        store.raise_limit(approval.scope, approval.raise_by, window=approval.window, once=once)
    return approval


def _account_of(store: BudgetStore, approval: Approval) -> Account | None:
    """The account that an approval is about; None where its window is over, or there is none."""
    for account in store.accounts([(approval.scope, approval.window)]) if approval.unit else ():
        if account.window_start is None or account.window_start <= approval.asked_at:
            return account
    return None


def _all(store: BudgetStore) -> Iterator[tuple[str, Approval]]:
    for key, text in store.notes(_NOTE).items():
        yield text, _read(store, key.removeprefix(_NOTE), text)


def _written(approval: Approval) -> str:
    return json.dumps(asdict(approval), default=datetime.isoformat)


def _read(store: BudgetStore, approval_id: str, text: str) -> Approval:
    try:
        raw: dict[str, Any] = json.loads(text)
        known = {field.name: raw[field.name] for field in fields(Approval) if field.name in raw}
        for name in ("asked_at", "answered_at"):
            known[name] = datetime.fromisoformat(known[name]) if known.get(name) else None
        approval = Approval(**known)
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreUnavailable(f"The approval {shown(approval_id)} in {store.url} cannot be read: {error}.") from error
    if approval.status not in get_args(Status):
        raise StoreUnavailable(
            f"The approval {shown(approval_id)} in {store.url} has a status that this version does not know. "
            "Upgrade langchain-agentcost."
        )
    return approval


def _plain(text: str | None) -> str | None:
    """A text that a terminal can show as it is."""
    if text is None or (text.isprintable() and len(text) <= MAX_TEXT_CHARS):
        return text
    return "".join(c if c.isprintable() else " " for c in text[:MAX_TEXT_CHARS])
