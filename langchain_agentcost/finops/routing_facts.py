"""What a router saved and what speaks for its forecasts, as a report says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_agentcost.finops.amounts import Amount, lower_bound
from langchain_agentcost.finops.routing_tally import Paid, RoutingTally
from langchain_agentcost.interval import bootstrap, percent_saved

LEAST_RUNS = 10
"""Fewer workflow runs than this have no interval: those drawn from them are too much alike."""


LEAST_CALLS = 10
"""Fewer calls of the strongest tier say too little of how far forecasts are off."""


@dataclass(frozen=True, slots=True)
class Saving:
    """What routing saved against always asking the strongest tier.

    Args:
        baseline: What the answered calls were expected to cost there, its prompt cache warm.
        paid: What was really paid: answers, drafts, escalations, shadow calls and judges.
        runs: Workflow runs with a routed call.
        without_baseline: Answered decisions of which the router knew no price of the strongest tier: none of it is in
            `baseline`, all that was paid for them is in `paid`.
        unanswered: Decisions whose calls all failed or were left. Likewise: what fails saves nothing.
        interval: The 95 % bootstrap interval of `percent` over workflow runs; None where there are fewer than
            `LEAST_RUNS`, of which a bootstrap says too little, or where the saving is not known. It says how far the
            percentage would move if other runs had come, and nothing of how well the baseline was forecast.

    Example:
        >>> saving = Saving(Amount(200), Amount(50))
        >>> str(saving.saved), saving.percent
        ('$0.00000015', 75.0)
    """

    baseline: Amount = field(default_factory=lambda: Amount(0))
    paid: Amount = field(default_factory=lambda: Amount(0))
    runs: int = 0
    without_baseline: int = 0
    unanswered: int = 0
    interval: tuple[float, float] | None = None

    @property
    def saved(self) -> Amount:
        """The one less the other: below 0 where routing cost more than it saved; unknown where something paid is."""
        if self.paid.known != "exact" or self.baseline.nano is None or self.paid.nano is None:
            return Amount(None, "unknown")
        return Amount(self.baseline.nano - self.paid.nano, self.baseline.known)

    @property
    def percent(self) -> float | None:
        """The same in percent of the baseline; None where one of them is not fully known, or there is none."""
        if self.saved.known != "exact" or self.baseline.nano is None or self.paid.nano is None:
            return None
        return percent_saved([self.paid.nano], [self.baseline.nano])

    def corrected(self, forecast: Forecast) -> Saving | None:
        """Give the saving by a baseline times what the strongest tier's own calls cost of what was expected of them.

        Where forecasts are off, they are off there too: counts of tokens, lengths of answers, a prompt cache that a
        price list does not know of. None where too few calls went there to say so, or the saving is not known.
        """
        if forecast.calls < LEAST_CALLS or not forecast.expected_nano or self.saved.known != "exact":
            return None
        nano = (self.baseline.nano or 0) * forecast.realised_nano // forecast.expected_nano
        return replace(self, baseline=Amount(nano), interval=None)

    @classmethod
    def of(cls, tally: RoutingTally) -> Saving:
        """Add up what was decided and paid."""
        runs: dict[str, list[int]] = {}
        paid = Paid()
        whole = missing = unanswered = 0
        for made in tally.every:
            run = runs.setdefault(made.run, [0, 0])
            run[0] += made.paid.nano
            paid.add(made.paid)
            if made.told is None:
                continue
            if not made.answered:
                unanswered += 1
            elif made.told.baseline_nano is None:
                missing += 1
            else:
                run[1] += made.told.baseline_nano
                whole += made.told.baseline_nano
        known = not missing and paid.unpriced <= 0
        interval = bootstrap(*zip(*runs.values(), strict=True)) if known and len(runs) >= LEAST_RUNS else None
        baseline = lower_bound(whole, missing=missing)
        return cls(baseline, paid.amount, len(runs), missing, unanswered, interval)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data; USD as text, None where not known."""
        return {
            "baseline_usd": usd(self.baseline),
            "paid_usd": usd(self.paid),
            "saved_usd": usd(self.saved),
            "saved_known": self.saved.known,
            "saved_pct": self.percent,
            "saved_pct_interval": self.interval,
            "runs": self.runs,
            "without_baseline": self.without_baseline,
            "unanswered": self.unanswered,
        }


@dataclass(frozen=True, slots=True)
class Escalations:
    """What became of drafts.

    Args:
        drafts: Decisions that made a draft, to be checked.
        escalated: Those of them that asked another tier in its place.
        discarded: What their drafts cost.
    """

    drafts: int = 0
    escalated: int = 0
    discarded: Amount = field(default_factory=lambda: Amount(0))

    @property
    def rate(self) -> float | None:
        """The share of drafts that were escalated; None where there were none."""
        return self.escalated / self.drafts if self.drafts else None

    @classmethod
    def of(cls, tally: RoutingTally) -> Escalations:
        """Count drafts."""
        drafts, discarded = [made for made in tally.every if made.draft is not None], Paid()
        for made in drafts:
            if made.escalated and made.draft is not None:
                discarded.add(made.draft)
        return cls(len(drafts), sum(made.escalated for made in drafts), discarded.amount)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        known = {"discarded_usd": usd(self.discarded), "discarded_known": self.discarded.known}
        return {"drafts": self.drafts, "escalated": self.escalated, "rate": self.rate, **known}


@dataclass(frozen=True, slots=True)
class Forecast:
    """How far the baseline can be believed: by the calls that the strongest tier really answered at once.

    Where it never answered, how long its answers would be is taken from other tiers' answers. `unseen_nano` says how
    much of the baseline that is, by node: finer kinds of steps are not in a ledger.

    Args:
        calls: Decisions that sent the call there, with all costs known.
        realised_nano: What they cost.
        baseline_nano: What they were expected to cost, had all calls of their threads gone there.
        expected_nano: What they were expected to cost as the prompt cache there was; None where that was not told.
        whole_nano: The baseline of all answered decisions.
        unseen_nano: The part of it that is of nodes where the strongest tier answered none of the calls in the report,
            not even aside.

    Example:
        >>> Forecast(2, realised_nano=110, baseline_nano=100, expected_nano=110).of_baseline
        1.1
    """

    calls: int = 0
    realised_nano: int = 0
    baseline_nano: int = 0
    expected_nano: int | None = None
    whole_nano: int = 0
    unseen_nano: int = 0

    @property
    def unseen_share(self) -> float | None:
        """The share of the baseline that no answer of the strongest tier speaks for; None where there is none."""
        return self.unseen_nano / self.whole_nano if self.whole_nano else None

    @property
    def of_baseline(self) -> float | None:
        """What they cost over their baseline: above 1 where the saving is understated, or their cache was cold."""
        return self.realised_nano / self.baseline_nano if self.baseline_nano else None

    @property
    def of_expected(self) -> float | None:
        """What they cost over what was expected with the cache as it was: it should be 1."""
        return self.realised_nano / self.expected_nano if self.expected_nano else None

    @classmethod
    def of(cls, tally: RoutingTally) -> Forecast:
        """Add up the calls of the strongest tier."""
        calls = realised = baseline = expected = untold = 0
        whole, unseen = _baselines(tally)
        for told, made in tally.decisions:
            there = made.answered and made.answer_tiers == (told.baseline,)
            if not there or made.answer is None or made.answer.unpriced > 0 or told.baseline_nano is None:
                continue
            calls, realised, baseline = calls + 1, realised + made.answer.nano, baseline + told.baseline_nano
            expected += told.expected_nano or 0
            untold += told.expected_nano is None
        return cls(calls, realised, baseline, None if untold or not calls else expected, whole, unseen)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        over = {"realised_over_baseline": self.of_baseline, "realised_over_expected": self.of_expected}
        return {"calls": self.calls, **over, "unseen_share": self.unseen_share}


def _baselines(tally: RoutingTally) -> tuple[int, int]:
    """The baseline of what was answered, and the part of it that is of nodes where the strongest tier never was."""
    heard = {(made.node, tier) for made in tally.every for tier in made.heard}
    known = [
        (told.baseline_nano, (made.node, told.baseline) in heard)
        for told, made in tally.decisions
        if made.answered and told.baseline_nano is not None
    ]
    return sum(nano for nano, _ in known), sum(nano for nano, seen in known if not seen)


@dataclass(frozen=True, slots=True)
class FloorStatus:
    """Which calibrations held.

    Args:
        calibrations: How many decisions each held for, the most first.
        without: How many decisions none held for.
    """

    calibrations: Mapping[str, int] = field(default_factory=dict)
    without: int = 0

    @property
    def share_without(self) -> float | None:
        """The share of decisions that none held for; None where there were none."""
        whole = self.without + sum(self.calibrations.values())
        return self.without / whole if whole else None

    @classmethod
    def of(cls, tally: RoutingTally) -> FloorStatus:
        """Count decisions."""
        seen = Counter(told.calibration for told, _ in tally.decisions)
        without = seen.pop(None, 0)
        return cls({str(name): count for name, count in seen.most_common()}, without)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"calibrations": dict(self.calibrations), "without": self.without, "share_without": self.share_without}


def usd(amount: Amount) -> str | None:
    """Write an amount for machines: exactly, None where it is not known.

    Example:
        >>> usd(Amount(1_500)), usd(Amount(None, "unknown"))
        ('0.000001500', None)
    """
    return None if amount.exact is None else f"{amount.exact:f}"
