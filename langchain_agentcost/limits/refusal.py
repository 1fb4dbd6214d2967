"""Why a call has no room, in words with limit and actual, and in numbers that a program can use."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal
from shlex import quote
from typing import Any

from langchain_agentcost.limits.alerts import Alert, AlertKind
from langchain_agentcost.limits.budget import action_name, amount_stored, limit_shown
from langchain_agentcost.limits.demand import Demand
from langchain_agentcost.limits.holds import Account, Line
from langchain_agentcost.limits.scopes import Mark, Rule

logger = logging.getLogger(__name__)

_WORDS = {
    "input_tokens": "input token",
    "output_tokens": "output token",
    "total_tokens": "token",
    "steps": "step",
    "llm_calls": "model call",
    "tool_calls": "tool call",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that a rule has no room for.

    Args:
        rule: The rule that binds.
        line: What the call might take under it; None where its price is not known.
        demand: The call's worst case.
        account: The account as it stands; None where its price is not known.
        fits: The longest answer that there is room for, in tokens; -1 where not even an empty one fits.
        mark: The share of the limit at which the rule stops calls, where that is below the limit.
        place: Where the call stands in its graph, where the limit is one of this call alone.
        shortened: Whether a shorter answer would have done, and there was not even room for that.
    """

    rule: Rule
    line: Line | None
    demand: Demand
    account: Account | None
    fits: int
    mark: Mark | None = None
    place: str | None = None
    shortened: bool = False

    @property
    def action(self) -> str:
        """What follows, by name; "warn" for a function that is told."""
        return action_name((self.mark or self.rule.marks[-1]).action)

    @property
    def scope(self) -> str:
        """The account's scope, or the budget's title where the price is not known."""
        return self.line.scope if self.line else self.rule.budget.title

    @property
    def needed(self) -> int:
        """What the call might take, in whole units."""
        return self.line.worst(self.demand.output_tokens) if self.line else 0

    @property
    def key(self) -> str:
        """The account, its window and its limit: what is said once is said once for these."""
        account = self.account
        return f"{self.scope}|{(account.window_start if account else None) or ''}|{account.cap if account else 0}"

    @property
    def permission(self) -> str | None:
        """The note that lets a call pass that a person approved. None where the limit has to be raised for it."""
        if self.place is not None:
            return pass_of(self.place, self.scope)
        return f"passed:{self.key}|{self.mark.share}" if self.mark is not None else None

    @property
    def is_final(self) -> bool:
        """Whether nobody's approval would help: the price is not known, or a person closed the account."""
        return self.account is None or self.account.frozen

    def asks_person(self, **whose: Any) -> bool:
        """Whether a person is asked: the action says so, an approval would help, and the budget's `when` agrees.

        Args:
            **whose: The run and the thread, for the evidence.
        """
        if self.action != "interrupt" or self.account is None or self.is_final:
            return False
        budget, unit, account = self.rule.budget, self.rule.unit, self.account
        if budget.when is None:
            return True
        amounts = {"limit": account.cap, "spent": account.spent, "reserved": account.reserved, "needed": self.needed}
        shown = {name: limit_shown(unit, amount) for name, amount in amounts.items()}
        try:
            return bool(budget.when({**self.evidence(), "budget": budget.title, "scope": self.scope, **shown, **whose}))
        except Exception:  # the call is not made either way, and a person knows more than a function that fails
            logger.exception("when= of the %s failed, so a person is asked.", budget.title)
            return True

    @property
    def message(self) -> str:
        """The whole story in a few sentences."""
        title, demand = self.rule.budget.title, self.demand
        if self.line is None or self.account is None:
            return (
                f"The {title} is in USD and the price of {demand.evidence.get('model', 'this model')} is not known, so "
                "the call is not made. Give the meter a price for it (prices=), or choose "
                'unknown_price="assume_dearest" or "allow" for the budget.'
            )
        unit, account = self.rule.unit, self.account
        of = f"The {title} of {self._amount(account.cap or self.rule.limit)} for {self.scope.partition('|')[2]}"
        if account.frozen:
            command = f"langchain-agentcost budgets freeze STORE {quote(self.scope)} --thaw"
            return f"{of} is frozen by a person. Thaw it, with the budget store's file or URL as STORE: {command}"
        if self.mark is not None:
            return (
                f"{of} is used to {self.mark.share:.0%} or more ({self._amount(account.spent)}), where it stops calls."
            )
        state = f"{self._amount(account.spent)} {'is spent' if unit == 'usd' else 'used'}"
        if account.reserved:
            state += f", {self._amount(account.reserved)} reserved by calls under way"
        return (
            f"{of} has no room for this call: {state}, and it may take {self._amount(self.needed)}{self._reason(unit)}."
        )

    def evidence(self) -> dict[str, Any]:
        """What made the call as large as it is."""
        demand = self.demand
        found: dict[str, Any] = {"unit": self.rule.unit, "action": self.action, "fits_output_tokens": self.fits}
        found |= demand.evidence
        if demand.kind == "llm":
            found |= {"input_tokens": demand.input_tokens, "output_tokens_at_most": demand.output_tokens}
        return found

    def alert(self, kind: AlertKind, **evidence: Any) -> Alert:
        """The refusal as an alert."""
        account = self.account or Account(self.scope, limit=self.rule.limit)
        limit, spent = limit_shown(self.rule.unit, account.cap), limit_shown(self.rule.unit, account.spent)
        share = float(account.spent / account.cap) if account.cap > 0 else None
        told = {**self.evidence(), **evidence}
        return Alert(
            kind, self.message, self.scope, self.action, share, amount_stored(limit), amount_stored(spent), told
        )

    def _reason(self, unit: str) -> str:
        """Which number made the call dear, and what to do about it."""
        demand = self.demand
        if demand.kind != "llm" or self.line is None or not self.line.per_output_token:
            return ""
        longest = demand.evidence.get("max_output_tokens", "the longest answer it may give")
        text = f": {self._amount(self.line.fixed)} for {demand.input_tokens:,} input tokens" if unit == "usd" else ""
        text += f"{' and' if text else ': with'} an answer of up to {demand.output_tokens:,} tokens ({longest})"
        if self.shortened:
            text += f". Only {max(self.fits, 0):,} tokens would fit, too few to be worth the call"
        elif self.fits > 0:
            text += (
                f". A callback cannot shorten the answer: {self.fits:,} tokens would fit, so set max_tokens to that or "
                "less, or use agentcost_middleware, which does"
            )
        return text

    def _amount(self, amount: int) -> str:
        return amount_of(self.rule.unit, limit_shown(self.rule.unit, amount))


def pass_of(place: str, scope: str) -> str:
    """The note that lets one call of a graph pass its own limit."""
    return f"passed:{place}|{scope}"


def amount_of(unit: str, amount: Decimal | int) -> str:
    """An amount with its unit, for people.

    Example:
        >>> amount_of("usd", Decimal("0.26")), amount_of("steps", 1), amount_of("wall_time", Decimal("1.5"))
        ('$0.26', '1 step', '1.5 s')
    """
    if unit == "usd":
        return f"${amount:f}"
    if unit == "wall_time":
        return f"{amount:f} s"
    return f"{amount:,} {_WORDS[unit]}{'' if amount == 1 else 's'}"
