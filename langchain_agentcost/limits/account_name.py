"""What the name of an account says: its budget, its unit and whose it is."""

from __future__ import annotations

from typing import NamedTuple, Self

from langchain_agentcost.limits.budget import UNITS, limit_shown
from langchain_agentcost.limits.refusal import amount_of

_UNITS = frozenset(UNITS.values())


class AccountName(NamedTuple):
    """The parts of a scope, "title:unit|subject=value,…".

    Args:
        title: The budget's title.
        unit: What the account counts: one of the values of `UNITS`; None where the name does not say.
        subject: Whose it is, "session=abc"; the whole name where it says nothing else.
    """

    title: str
    unit: str | None
    subject: str

    @classmethod
    def of(cls, scope: str) -> Self:
        """Take a scope apart. Values may hold any character; a budget's title holds no "|".

        Example:
            >>> AccountName.of("session budget:usd|session=a|b:c")
            AccountName(title='session budget', unit='usd', subject='session=a|b:c')
            >>> AccountName.of("somebody")
            AccountName(title='', unit=None, subject='somebody')
        """
        head, bar, subject = scope.partition("|")
        title, _, unit = head.rpartition(":")
        return cls(title, unit, subject) if bar and unit in _UNITS else cls("", None, scope)

    def shown(self, amount: int) -> str:
        """An amount of the account for people, in its unit.

        Example:
            >>> AccountName.of("session budget:usd|session=a").shown(5_000_000), AccountName.of("x").shown(5_000_000)
            ('$0.005', '5,000,000')
        """
        return f"{amount:,}" if self.unit is None else amount_of(self.unit, limit_shown(self.unit, amount))
