"""A finding: what was found, what it would save, whether that is worth it, and the lines of code that do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from langchain_agentcost.finops.amounts import written_count, written_usd
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.replay.advice.saved import Saving
from langchain_agentcost.replay.advice.seen import Unit
from langchain_agentcost.replay.advice.thresholds import MIRAGE_FACTOR, SMALL_PCT
from langchain_agentcost.replay.advice.traffic import Traffic
from langchain_agentcost.replay.strategy import Fidelity


class Verdict(StrEnum):
    """Whether a finding is worth acting on.

    Attributes:
        WORTH: It saves enough, its interval is above 0, and the quality floor is held.
        YET: It saves enough, but nothing proves that quality stays above the floor.
        NOT: It saves little, nothing for sure, or nothing once prompt caching is on.
    """

    WORTH = "worth it"
    YET = "not worth it yet"
    NOT = "not worth it"


@dataclass(frozen=True, slots=True)
class Kept:
    """The evidence for a quality floor.

    Args:
        floor: The floor.
        good: How many trials were good.
        trials: How many there were.
        share: What is compared with the floor, where it is not the share of good trials: its lower bound.
    """

    floor: QualityFloor
    good: int
    trials: int
    share: float | None = None

    @property
    def lower_bound(self) -> float:
        """The share that is surely kept."""
        return self.floor.lower_bound(self.good, self.trials) if self.share is None else self.share

    @property
    def proven(self) -> bool:
        """Whether the floor is held, at its confidence."""
        return self.lower_bound >= self.floor.min

    @property
    def needed(self) -> int | None:
        """How many trials, all of them good, would prove it; None for a floor of 1, which nothing proves."""
        if self.floor.min == 1:
            return None
        return (self.floor if self.share is None else halved(self.floor)).needed()

    def __str__(self) -> str:
        """Say it with its numbers."""
        floor = self.floor
        if not self.trials:
            return f"{floor.metric}: unproven, as the recording does not tell"
        state = "proven" if self.proven else "unproven"
        sure = f"surely {self.lower_bound:.1%} at {floor.confidence:.0%} confidence, where {floor.min:.0%} is the floor"
        needs = "" if self.proven or self.needed is None else f"; {self.needed:,} of {self.needed:,} would prove it"
        return f"{floor.metric}: {self.good:,} of {self.trials:,}; {state}: {sure}{needs}"


def halved(floor: QualityFloor) -> QualityFloor:
    """Give a floor at half of its allowed error: where two bounds have to hold, each gets a half.

    Example:
        >>> halved(QualityFloor("successes kept", min=0.9)).confidence
        0.975
    """
    return replace(floor, confidence=1 - (1 - floor.confidence) / 2)


class Manner(NamedTuple):
    """What acting on a finding takes and does.

    Args:
        effort: How much work it is.
        latency: What it does to how fast the agent is.
        risk: What can go wrong.
    """

    effort: str
    latency: str
    risk: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding.

    Args:
        kind: What kind it is, by the name in the registry.
        title: The same as a sentence.
        traffic: Whose bill it is about.
        saving: What acting on it is expected to save.
        evidence: What it rests on, as sentences.
        facts: The same for programs.
        kept: The evidence for the quality floor; None where what the model is sent and asked stays the same.
        manner: Effort, latency and risk.
        code: The lines that realise it.
    """

    kind: str
    title: str
    traffic: Traffic
    saving: Saving
    evidence: tuple[str, ...]
    facts: Mapping[str, object]
    kept: Kept | None
    manner: Manner
    code: str

    @property
    def verdict(self) -> Verdict:
        """Whether it is worth it."""
        return judge(self.saving, self.kept)[0]

    @property
    def why(self) -> str:
        """Why, in a few words."""
        return judge(self.saving, self.kept)[1]


def judge(saving: Saving, kept: Kept | None) -> tuple[Verdict, str]:
    """Decide whether a saving is worth it.

    Args:
        saving: The saving.
        kept: The evidence for the quality floor; None where quality is not touched.

    Returns:
        The verdict, and why.

    Example:
        >>> judge(Saving(Unit.USD, 1, 100, Fidelity.EXACT, 0.5, 1.5), None)[1]
        'a small saving: 1.0% of the bill'
    """
    if saving.pct < SMALL_PCT:
        return Verdict.NOT, _too_little(saving)
    if saving.low is None:
        return Verdict.YET, "one task only: nothing is known of others"
    if saving.low <= 0:
        return Verdict.NOT, "the interval reaches zero"
    if saving.fidelity is Fidelity.PRICE_BOUND and kept is None:
        return Verdict.YET, "an upper bound, told by the lengths of prompts; quality is not touched"
    if saving.fidelity is Fidelity.PRICE_BOUND and kept is not None and not kept.trials:
        return Verdict.YET, "an upper bound: what it does to quality is not recorded"
    if saving.fidelity is Fidelity.OPEN_LOOP:
        return Verdict.YET, _removed(kept)
    if kept is not None and not kept.proven:
        return Verdict.YET, "the quality floor is not proven"
    return Verdict.WORTH, "the quality floor is proven" if kept is not None else "quality is not touched"


def _removed(kept: Kept | None) -> str:
    if kept is not None and kept.trials and not kept.proven:
        return f"information is removed that {kept.trials - kept.good:,} of {kept.trials:,} successes used"
    return "information is removed: try it on a part of the traffic first, and count successes"


def _too_little(saving: Saving) -> str:
    off, on = saving.off_pct, saving.pct if saving.on_pct is None else saving.on_pct
    if off is not None and off >= SMALL_PCT and off >= MIRAGE_FACTOR * on:
        return f"a mirage: {off:.1f}% without prompt caching, {on:.1f}% with it"
    if saving.amount < 0:
        return f"it would cost {-saving.pct:.1f}% more"
    if not saving.amount:
        return "it saves nothing of the bill"
    return f"a small saving: {saving.pct:.1f}% of the bill"


def amount_of(unit: Unit, amount: int) -> str:
    """Write an amount.

    Example:
        >>> amount_of(Unit.USD, 1_250_000_000), amount_of(Unit.TOKENS, 7)
        ('$1.25', '7 tokens')
    """
    return written_usd(amount) if unit is Unit.USD else tokens_of(amount)


def tokens_of(count: int) -> str:
    """Write a number of tokens.

    Example:
        >>> tokens_of(2_533_135)
        '2.53M tokens'
    """
    return f"{written_count(count)} tokens"
