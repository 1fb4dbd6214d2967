"""What a cascade costs and how good it is: a cheap tier first, a check, and a strong tier where the check fails.

A cascade pays only if c_cheap + (1 - P(accept)) * c_strong < c_strong. The discarded draft is spend, so where too few
drafts are accepted it is dearer than the strong tier alone: on SWE-bench Verified gpt-oss-120b before gpt-5.1 costs
1.06 times gpt-5.1, even with a check that never errs (benchmarks/routing_swe.py). Everything here is exact: money is
whole nano-USD, shares are fractions, and only what is shown is rounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.money import from_nano
from langchain_agentcost.routing.tier import Record

Share = Fraction | Decimal | float
"""A share from 0 to 1. It is taken as the exact number that it is."""

RefusalName = Literal["loses money", "dominated"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one tier costs for a task, and how often it solves it.

    Args:
        tier: Its name.
        nano: What a task costs on average, solved or not, in nano-USD.
        quality: The share of tasks that it solves; None where that was not measured.

    Raises:
        RoutingError: If the cost is below 0, or the quality is not from 0 to 1.
    """

    tier: str
    nano: int
    quality: Share | None = None

    def __post_init__(self) -> None:
        if self.nano < 0:
            raise RoutingError(f"The cost of {self.tier!r} is at least 0 nano-USD, not {self.nano}.")
        _share(0 if self.quality is None else self.quality, f"The quality of {self.tier!r}")

    @classmethod
    def of(cls, tier: str, record: Record) -> Attempt | None:
        """Take what was measured of a tier; None where nothing was, or where some of it has no price.

        Example:
            >>> Attempt.of("small", Record(runs=4, solved=3, nano=10))
            Attempt(tier='small', nano=2, quality=Fraction(3, 4))
        """
        if record.nano is None or not record.runs:
            return None
        return cls(tier, round(Fraction(record.nano, record.runs)), Fraction(record.solved, record.runs))

    @property
    def nano_per_solved(self) -> int | None:
        """What one solved task costs, failures paid along, in nano-USD; None where none is solved or that is unknown.

        Tiers are ranked by this and not by list price: one with small prices may try for longer.
        """
        return round(self.nano / Fraction(self.quality)) if self.quality else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """A cheap tier, a check of its answer, and a strong tier.

    Args:
        cheap: The tier that answers first; its quality has to be known.
        strong: The tier that answers where the check fails.
        accepts_right: The share of right answers that the check accepts.
        accepts_wrong: The share of wrong answers that the check accepts.
        after_right: The strong tier on those tasks that the cheap one solves; None takes `strong`.
        after_wrong: The strong tier on those that the cheap one does not solve, which are the harder ones; None takes
            `strong`.
        check_nano: What the check itself costs, in nano-USD.

    Raises:
        RoutingError: If the quality of the cheap tier is not known, or a share is not from 0 to 1.

    Example:
        >>> small, large = Attempt("small", 100, 0.5), Attempt("large", 1000, 0.75)
        >>> cascade = Cascade(cheap=small, strong=large, accepts_right=1, accepts_wrong=0)
        >>> cascade.expected_nano, float(cascade.quality), cascade.refusals()
        (600, 0.875, ())
    """

    cheap: Attempt
    strong: Attempt
    accepts_right: Share
    accepts_wrong: Share
    after_right: Attempt | None = None
    after_wrong: Attempt | None = None
    check_nano: int = 0

    def __post_init__(self) -> None:
        if self.cheap.quality is None:
            raise RoutingError(f"How often {self.cheap.tier!r} is right has to be known; use `expected_nano`.")
        _share(self.accepts_right, "accepts_right")
        _share(self.accepts_wrong, "accepts_wrong")

    @property
    def accepted(self) -> Fraction:
        """The share of answers of the cheap tier that the check accepts."""
        return 1 - self._rejected_right - self._rejected_wrong

    @property
    def expected_nano(self) -> int:
        """What a task costs on average, drafts that are discarded included, in nano-USD."""
        return round(self._exact_nano)

    @property
    def quality(self) -> Fraction | None:
        """The share of tasks that end in a right answer; None where the strong tier's is not known."""
        right, wrong = self._after_right.quality, self._after_wrong.quality
        if right is None or wrong is None:
            return None
        kept = Fraction(self.cheap.quality or 0) - self._rejected_right
        return kept + self._rejected_right * Fraction(right) + self._rejected_wrong * Fraction(wrong)

    @property
    def share_of_strong(self) -> Fraction | None:
        """What it costs as a share of the strong tier alone; None where that one is free."""
        return self._exact_nano / self.strong.nano if self.strong.nano else None

    def refusals(self, tiers: Iterable[Attempt] = ()) -> tuple[Refusal, ...]:
        """Say by name why it should not run; nothing where it may.

        Args:
            tiers: The other tiers that there are. Its own two are looked at in any case.
        """
        ruled_out = dominated([*tiers, self.cheap, self.strong])
        found = [
            Refusal("dominated", f"{tier} is dominated by {ruled_out[tier]}: no better for no less money")
            for tier in (self.cheap.tier, self.strong.tier)
            if tier in ruled_out
        ]
        if self._exact_nano >= self.strong.nano:
            found.append(_loses(self._exact_nano, self.strong.nano, self.strong.tier))
        return tuple(found)

    @property
    def _after_right(self) -> Attempt:
        return self.after_right or self.strong

    @property
    def _after_wrong(self) -> Attempt:
        return self.after_wrong or self.strong

    @property
    def _rejected_right(self) -> Fraction:
        return Fraction(self.cheap.quality or 0) * (1 - Fraction(self.accepts_right))

    @property
    def _rejected_wrong(self) -> Fraction:
        return (1 - Fraction(self.cheap.quality or 0)) * (1 - Fraction(self.accepts_wrong))

    @property
    def _exact_nano(self) -> Fraction:
        retried = self._rejected_right * self._after_right.nano + self._rejected_wrong * self._after_wrong.nano
        return self.cheap.nano + self.check_nano + retried


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a cascade should not run.

    Args:
        name: "loses money" where it costs no less than the strong tier alone; "dominated" where one of its tiers is no
            better than another that costs no more.
        why: One sentence with the figures.
    """

    name: RefusalName
    why: str


def expected_nano(*, cheap_nano: int, strong_nano: int, accepted: Share, check_nano: int = 0) -> int:
    """Give what a cascade is expected to cost, when only the share of accepted answers is known.

    Args:
        cheap_nano: What the first answer costs, in nano-USD.
        strong_nano: What the strong tier's answer costs, in nano-USD.
        accepted: The share of first answers that the check accepts.
        check_nano: What the check costs, in nano-USD.

    Example:
        >>> expected_nano(cheap_nano=100, strong_nano=1000, accepted=0.75)
        350
    """
    return round(_expected(cheap_nano + check_nano, strong_nano, accepted))


def assess(*, cheap_nano: int, strong_nano: int, accepted: Share, check_nano: int = 0) -> Refusal | None:
    """Say why a cascade should not run with what its calls are forecast to cost now; None where it may.

    Args:
        cheap_nano: What the first answer costs, in nano-USD.
        strong_nano: What the strong tier's answer costs, in nano-USD.
        accepted: The share of first answers that the check accepts.
        check_nano: What the check costs, in nano-USD.

    Example:
        >>> assess(cheap_nano=400, strong_nano=1000, accepted=0.25).why
        'it costs $0.00000115, strong alone $0.000001'
    """
    expected = _expected(cheap_nano + check_nano, strong_nano, accepted)
    return _loses(expected, strong_nano, "strong") if expected >= strong_nano else None


def break_even(*, cheap_nano: int, strong_nano: int, check_nano: int = 0) -> Fraction | None:
    """Give the share of first answers of which more must be accepted for a cascade to pay; None where none is enough.

    Example:
        >>> break_even(cheap_nano=250, strong_nano=1000)
        Fraction(1, 4)
    """
    first = cheap_nano + check_nano
    return Fraction(first, strong_nano) if first < strong_nano else None


def dominated(tiers: Iterable[Attempt]) -> dict[str, str]:
    """Find the tiers that another one makes useless: better for no more money, or as good for less.

    Returns:
        By such a tier's name, the one that beats it; of several the best, then the cheapest. A tier of unknown quality
        neither beats nor is beaten.

    Example:
        >>> dominated([Attempt("old", 700, 0.5), Attempt("new", 700, 0.75), Attempt("mini", 40, 0.5)])
        {'old': 'new'}
    """
    known = [tier for tier in tiers if tier.quality is not None]
    found = {}
    for tier in known:
        better = [other for other in known if _beats(other, tier)]
        if better:
            found[tier.tier] = min(better, key=lambda other: (-Fraction(other.quality or 0), other.nano)).tier
    return found


def _beats(one: Attempt, other: Attempt) -> bool:
    better, worse = Fraction(one.quality or 0), Fraction(other.quality or 0)
    return better >= worse and one.nano <= other.nano and (better > worse or one.nano < other.nano)


def _expected(first_nano: int, strong_nano: int, accepted: Share) -> Fraction:
    return first_nano + (1 - _share(accepted, "accepted")) * strong_nano


def _loses(expected: Fraction, strong_nano: int, strong: str) -> Refusal:
    return Refusal("loses money", f"it costs ${_usd(round(expected))}, {strong} alone ${_usd(strong_nano)}")


def _share(value: Share, what: str) -> Fraction:
    if not 0 <= value <= 1:
        raise RoutingError(f"{what} is from 0 to 1, not {value!r}.")
    return Fraction(value)


def _usd(nano: int) -> str:
    return f"{from_nano(nano).normalize():f}"
