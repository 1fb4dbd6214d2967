"""The person who is asked when the budget has no room: at this terminal, or whoever answers in another one first."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from langchain_agentcost.demo.screen import Screen
from langchain_agentcost.errors import BudgetError
from langchain_agentcost.limits.account_name import AccountName
from langchain_agentcost.limits.approvals import Approval, Decision, answer, find
from langchain_agentcost.limits.budget import in_whole
from langchain_agentcost.limits.holds import BudgetStore

LOOK_EVERY_S = 0.5
"""How often the store is looked at for an answer from elsewhere."""

_WORDS: dict[str, Decision] = {"a": "approve", "approve": "approve", "d": "deny", "deny": "deny"}


class Person:
    """Asks about calls that the budget has no room for, here and in the budget store at once: the first answer stands.

    Args:
        store: Where the questions are, and the answers go.
        screen: Where to ask.
        command: How another terminal approves, up to the question's id: "langchain-agentcost budgets approve STORE".
    """

    def __init__(self, store: BudgetStore, screen: Screen, *, command: str) -> None:
        self._store = store
        self._screen = screen
        self._command = command
        self._keyboard: _Keyboard | None = None

    def decide(self, approval_id: str, *, who: str) -> Decision:
        """Ask, and wait for the answer. Where the input ends or is interrupted, that is a no.

        Args:
            approval_id: The question, as the run left it in the store.
            who: Who waits for the answer.

        Raises:
            LookupError: If there is no such question.
        """
        asked = find(self._store, approval_id)
        if asked is None:
            raise LookupError(f"There is no question {approval_id!r} in the budget store {self._store.url}.")
        if self._keyboard is None:
            self._keyboard = _Keyboard()
        with self._screen.still():
            self._show(asked, who)
            try:
                answered = self._wait(asked)
            except (EOFError, KeyboardInterrupt) as gone:
                answered = answer(self._store, asked.id, "deny")
                self._screen.say("")
                if isinstance(gone, KeyboardInterrupt):
                    raise
                self._screen.say("The input has ended, so nobody can answer here: that is a no.")
            self._screen.say(f"Answer   {_said(answered)}\n")
        return "deny" if answered.status == "denied" else "approve"

    def _show(self, asked: Approval, who: str) -> None:
        shown, screen = AccountName.of(asked.scope).shown, self._screen
        screen.say(f"\n{who} waits: the budget has no room for its next call.", style="bold")
        screen.say(f"Budget   {shown(asked.limit)}")
        screen.say(f"Spent    {shown(asked.spent)}")
        screen.say(f"Needed   {shown(asked.needed)} at worst: a call is only made when there is room for the worst")
        screen.say(f"Why      {asked.message}")
        screen.say(f"Or       {self._command} {asked.id}", whole=True)
        screen.say("         in another terminal does the same; with --by USD it raises the limit by that much.")
        self._ask()

    def _ask(self) -> None:
        self._screen.ask("[a]pprove: as much again, [d]eny, or [r]aise by an amount, such as r 0.01: ")

    def _wait(self, asked: Approval) -> Approval:
        """Wait for a line or for the store, whichever comes first.

        Raises:
            EOFError: If the input has ended.
        """
        assert self._keyboard is not None  # noqa: S101  # narrows the type: decide made it
        while True:
            known = find(self._store, asked.id)
            if known is not None and known.status != "pending":
                self._screen.say("\nAnswered from another terminal.")
                return known
            line = self._keyboard.line(within_s=LOOK_EVERY_S)
            if line is None:
                continue
            if not self._screen.console.is_terminal:
                self._screen.say(line)
            try:
                decision, raise_by = _read(line, asked)
                return answer(self._store, asked.id, decision, raise_by=raise_by)
            except BudgetError as error:
                self._screen.say(str(error))
                self._ask()


class _Keyboard:
    """Lines of the standard input, read by a thread: whoever waits for one can look elsewhere in between.

    The thread reads the descriptor itself. One that waits inside `sys.stdin` keeps its lock, and Python cannot end.
    """

    def __init__(self) -> None:
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        Thread(target=self._read, name="keyboard", daemon=True).start()

    def line(self, *, within_s: float) -> str | None:
        """Give the next line; None where none came in time.

        Raises:
            EOFError: If there are no more.
        """
        with suppress(Empty):
            line = self._lines.get(timeout=within_s)
            if line is None:
                self._lines.put(None)
                raise EOFError
            return line
        return None

    def _read(self) -> None:
        text = b""
        with suppress(OSError, ValueError, AttributeError):  # no input, or it was closed: the same as its end
            while more := os.read(sys.stdin.fileno(), 4096):
                *lines, text = (text + more).split(b"\n")
                for line in lines:
                    self._lines.put(line.decode(errors="replace").strip())
        if text:
            self._lines.put(text.decode(errors="replace").strip())
        self._lines.put(None)


def _read(line: str, asked: Approval) -> tuple[Decision, int | None]:
    """What a line says: the decision, and by how much it raises the limit, in whole units.

    Raises:
        BudgetError: If it says neither.
    """
    word, _, amount = line.lower().partition(" ")
    if word in _WORDS and not amount:
        return _WORDS[word], None
    if word in ("r", "raise"):
        more = in_whole(asked.unit, amount.strip().removeprefix("$"))
        if more > 0:
            return "approve", more
        raise BudgetError("Raise by more than 0, or deny.")
    raise BudgetError("Answer a, d, or r with an amount in USD.")


def _said(answered: Approval) -> str:
    more = f", which adds {AccountName.of(answered.scope).shown(answered.raise_by)}" if answered.raise_by else ""
    return f"{answered.status}{more}"
