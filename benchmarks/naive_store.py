"""The budget store that most people write first: compare before the call, add after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from langchain_agentcost.limits.holds import Account, Denied, Granted, Line
from langchain_agentcost.limits.room import longest_answer
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore


class NaiveBudgetStore(SQLiteBudgetStore):
    """Looks whether there is room, and sets nothing aside: what is under way is seen by nobody.

    All else is as in the store that it is compared with.
    """

    def reserve(
        self,
        hold_id: str,
        lines: Sequence[Line],
        *,
        output_tokens: int = 0,
        least_output_tokens: int | None = None,
        ttl_s: float = 60.0,
        call_id: str | None = None,
    ) -> Granted | Denied:
        """Grant what there is room for at this moment."""
        least = output_tokens if least_output_tokens is None else least_output_tokens
        found = {(a.scope, a.window): a for a in self.accounts([(line.scope, line.window) for line in lines])}
        left = [a.headroom if (a := found.get((n.scope, n.window))) is not None else n.limit for n in lines]
        longest, binding = longest_answer(lines, left, at_most=output_tokens)
        if longest < least:
            bound = lines[binding]
            account = found.get((bound.scope, bound.window)) or Account(bound.scope, bound.window, limit=bound.limit)
            return Denied(binding, account, bound.worst(least), longest)
        nothing = [replace(line, fixed=0, per_output_token=0, enforced=False) for line in lines]
        return super().reserve(hold_id, nothing, output_tokens=longest, ttl_s=ttl_s, call_id=call_id)
