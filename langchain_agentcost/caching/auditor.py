"""What a semantic cache learns of its own errors: which would-be hits it checks, how, and what follows from it."""

from __future__ import annotations

from random import random
from threading import Lock
from time import time

from langchain_core.messages import AIMessage

from langchain_agentcost.caching.equivalence import Asked, Judge, asame_answer, same_answer
from langchain_agentcost.caching.error_budget import Decision, ErrorBudget, Evidence
from langchain_agentcost.caching.likeness import Candidate
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.store import Audit

CATCH_UP_S = 30.0
"""How often what other processes have audited is taken in, where a store may have other users."""


class Auditor:
    """Keeps the evidence of one cache, in step with its store: what other processes find wrong counts here too.

    Args:
        shelf: Where audits are remembered, and entries found wrong are removed.
        budget: How often a hit may be wrong.
        judge: Who compares answers whose words differ.

    Attributes:
        evidence: What is known.
    """

    def __init__(self, shelf: Shelf, budget: ErrorBudget, judge: Judge | None) -> None:
        self.evidence = Evidence(budget)
        self._shelf = shelf
        self._judge = judge
        self._series: str | None = None
        self._known: set[Audit] = set()
        self._caught_up_s = 0.0
        self._lock = Lock()

    def decide(self, candidate: Candidate, series: str) -> Decision:
        """Say whether a candidate is served, audited or left alone.

        Args:
            candidate: It.
            series: Which evidence counts: that of another encoder or verifier does not.
        """
        self._series = series
        now = time()
        with self._lock:
            if not self._caught_up_s or (self._shelf.store.waits and now - self._caught_up_s >= CATCH_UP_S):
                self._caught_up_s = now
                self._catch_up(series)
        return self.evidence.decide(candidate.score, random())  # noqa: S311  # which hits are checked is no secret

    def audit(self, candidate: Candidate, fresh: AIMessage, asked: str) -> bool:
        """Compare a stored answer with the model's own. Never raises: the user's answer is there.

        Args:
            candidate: The stored question and its answer.
            fresh: The model's own answer.
            asked: The question that is asked.

        Returns:
            Whether the stored answer would have been right.
        """
        try:
            right = same_answer(
                candidate.answer.message, fresh, asked=Asked(candidate.entry.text or "", asked), judge=self._judge
            )
        except Exception as error:  # noqa: BLE001  # whatever a judge raises, a limit that stops it among them
            self._undecided(error)
            right = None
        return self._learn(candidate, right)

    async def aaudit(self, candidate: Candidate, fresh: AIMessage, asked: str) -> bool:
        """Compare a stored answer with the model's own in async code; see `audit`."""
        try:
            right = await asame_answer(
                candidate.answer.message, fresh, asked=Asked(candidate.entry.text or "", asked), judge=self._judge
            )
        except Exception as error:  # noqa: BLE001  # whatever a judge raises, a limit that stops it among them
            self._undecided(error)
            right = None
        return await self._shelf.off_loop(self._learn, candidate, right)

    def _catch_up(self, series: str) -> None:
        """Take in the audits that are not known yet, oldest first."""
        audits = self._shelf.audits(series, newest=self.evidence.budget.window)
        for audit in audits:
            if audit not in self._known:
                self.evidence.record(audit)
        self._known = set(audits)

    def _undecided(self, error: Exception) -> None:
        self._shelf.fault("the judge failed; a hit that nobody could judge counts as wrong", error)

    def _learn(self, candidate: Candidate, right: bool | None) -> bool:
        """Take in a comparison. Where nobody could tell, it counts as wrong; a wrong answer is never served again."""
        audit = Audit(candidate.score, right is True, time())
        with self._lock:  # so that no catching up comes between and counts it again
            self._shelf.add_audit(self._series or "", audit)
            self._known.add(audit)
            self.evidence.record(audit)
        self._shelf.count("audits")
        if right is None:
            self._shelf.count("undecided")
        elif not right:
            self._shelf.count("wrong")
            self._shelf.remove(candidate.entry)
        return right is True
