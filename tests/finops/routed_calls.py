"""Calls that a router made, and its decisions, for the tests of its report."""

from __future__ import annotations

from typing import Any

from langchain_agentcost.ledger import Entry
from langchain_agentcost.routed import EVALUATION_PURPOSE, POLICY, ROLE, TIER, Role, Routed
from tests.finops.booked import Book


class Router:
    """Makes entries as a meter books them of a router's calls.

    Args:
        baseline_nano: What each call is expected to cost on the strongest tier, "large".
        expected: The same with the prompt cache as it is there.
    """

    def __init__(self, baseline_nano: int | None = 1_000, expected: int | None = 1_000) -> None:
        self.book = Book()
        self._baseline_nano = baseline_nano
        self._expected = expected
        self._count = 0

    def call(self, tier: str, role: Role, nano: int | None, *, decision: str, **fields: Any) -> Entry:
        """A model call."""
        tags = ((POLICY, "step"), (ROLE, role), (TIER, tier))
        if role in ("shadow", "judge"):
            fields = {"purpose": EVALUATION_PURPOSE, **fields}
        return self.book(nano=nano, decision=decision, tags=tags, model=f"{tier}-model", **fields)

    def decide(self, call: Entry, role: Role = "answer", **told: Any) -> Entry:
        """The decision that a call was made for."""
        tags = dict(call.attribution.tags)
        routed = Routed(
            id=call.decision or "",
            tier=tags[TIER],
            policy=tags[POLICY],
            role=role,
            **{
                "baseline": "large",
                "baseline_nano": self._baseline_nano,
                "expected_nano": {"small": 10, "large": self._expected},
                **told,
            },
        )
        return Entry(
            f"{call.id}-decided",
            "decision",
            call.at,
            call.attribution,
            parent_id=call.id,
            name="step",
            decision=routed.id,
            routed=routed,
        )

    def answer(self, tier: str, nano: int | None, told: dict[str, Any] | None = None, **fields: Any) -> list[Entry]:
        """A call that one tier answered, and its decision."""
        call = self.call(tier, "answer", nano, decision=self._next(), **fields)
        return [call, self.decide(call, **(told or {}))]

    def cascade(self, draft: int | None, escalation: int | None = None, **fields: Any) -> list[Entry]:
        """A draft of "small", its decision, and the escalation to "large" where there is one."""
        decision = self._next()
        call = self.call("small", "draft", draft, decision=decision, **fields)
        made = [call, self.decide(call, "draft")]
        if escalation is not None:
            made.append(self.call("large", "escalation", escalation, decision=decision, **fields))
        return made

    def compared(self, role: Role, nano: int | None, **fields: Any) -> Entry:
        """A call for comparison alone, of the last decision."""
        return self.call("large", role, nano, decision=f"d{self._count}", **fields)

    def _next(self) -> str:
        self._count += 1
        return f"d{self._count}"
