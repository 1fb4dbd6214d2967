"""How far a policy may go to keep a quality floor: found on examples, and proven on them at a confidence."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from random import Random

from langchain_agentcost.chat_model import names_of
from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.calibration import Calibration
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.fixed_sequence import Step, fixed_sequence_of, needed, thresholds
from langchain_agentcost.routing.policies.within import levelled, scored_in, settings_of
from langchain_agentcost.routing.policy import Learning, Offer, Policy, Scored, cheapest_of
from langchain_agentcost.routing.score_bins import UNSEEN, ScoreBins
from langchain_agentcost.routing.tier import Tier, with_levels

MOST_OF_A_CONVERSATION = 5
"""How many examples of one conversation are used. They are alike and count as one draw. And what must be feared of a
conversation that was not seen is that all of so many are wrong: the more are used, the more conversations a proof
takes. With five it is 59 flawless ones at a floor of 95 % where each has five, and 287 where each has one."""


def calibrate(
    policy: Policy,
    examples: Sequence[Example],
    tiers: Sequence[Tier],
    *,
    floor: float = 0.95,
    confidence: float = 0.95,
    folds: int = 5,
    metric: str = "quality",
) -> Calibration:
    """Find the largest threshold of a policy at which a quality floor is proven. Nothing changes by it.

    A policy that learns is fitted here too. It is calibrated with scores for each example by a policy that learnt from
    the others alone, in folds that keep conversations whole (cross-fitting): scored by what it taught, an example looks
    easier to tell than the next call will be, and the threshold would be too bold. The policy that goes with the
    calibration has learnt from all of them. It has to pass each threshold too: where it goes by a table, a threshold
    may lie between what two folds expect of one and the same kind of call, all of which it sends one way. No threshold
    is as large as `UNSEEN`, what is expected to be lost on kinds of call of which there was no example.

    What is proven is that, with the confidence stated, the mean quality over traffic like the examples is at least
    `floor` times the strongest tier's. That takes examples that were drawn from that traffic as `Shadow` draws them,
    and that are independent of one another but for those of one `request.thread`, which count as one draw. Of each
    thread at most `MOST_OF_A_CONVERSATION` count, evenly spaced, so that long ones count for less than they are of the
    calls; where examples have a thread, the worst that is reckoned with is a whole one of that many gone wrong. Without
    a thread each example counts as a draw of its own. An example whose id was there before is left out. It holds on
    average over all calls and not for each kind. Of the tiers within a threshold a router takes the one that is
    cheapest as caches are then. So each example counts with the one of them that answered it worst, the strongest
    aside: a call that a cache keeps there keeps its quality, and is taken to be a call like the others. What stands
    around the scored policy and goes beyond its threshold by design (`BudgetAware`, a cascade's check) is not covered.

    Args:
        policy: The policy, or one that stands around it. Its own threshold does not matter.
        examples: Calls, and how good each tier's answer was. Those that are left out are counted.
        tiers: The router's tiers, weakest first.
        floor: The share of the strongest tier's mean quality that must be kept, above 0 and at most 1.
        confidence: How sure that must be, above 0.5 and below 1.
        folds: Into how many parts the examples are cut for cross-fitting, at least 2.
        metric: What quality is here, for who reads it.

    Returns:
        The calibration. Where too few examples prove nothing it says how many are missing at least, and stays with the
        strongest tier: those that it takes where gain and spread at the threshold that fails are as they were seen,
        or, where it lost, as good as what was seen leaves possible. The figures of a step are of one test: that by
        which it fails, else that which leaves more to the strongest tier.

    Raises:
        RoutingError: If there is no policy in it with expected losses, fewer than two tiers, or a number out of bounds.

    Example:
        >>> from langchain_agentcost.routing.policies.step import StepPolicy
        >>> from langchain_agentcost.routing.request import RouteRequest
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> tiers = [Tier("small", FakeMeteredChatModel()), Tier("big", FakeMeteredChatModel())]
        >>> easy = Example(request=RouteRequest.of("?", node="format"), quality={"small": 1, "big": 1})
        >>> hard = Example(request=RouteRequest.of("?", node="plan"), quality={"small": 0, "big": 1})
        >>> calibration = calibrate(StepPolicy(), [easy] * 100 + [hard] * 100, tiers)
        >>> calibration.proven, calibration.strong_share
        (True, 0.5)
        >>> calibrate(StepPolicy(), [easy] * 20, tiers).missing
        39
    """
    scored = scored_in(levelled(policy, with_levels(tiers)))
    if scored is None or len(tiers) < 2 or folds < 2:
        raise RoutingError("Calibration takes a policy with expected losses, two tiers or more, and two folds or more.")
    names = [tier.name for tier in tiers]
    used, left_out = _usable(examples, names)
    fitted = scored.fit(used, names) if used and isinstance(scored, Learning) else None
    tried = _tried(scored, fitted, used, tiers, folds)
    steps = _worse(*(each.steps(tried[0].grid, floor, confidence) for each in tried)) if used else ()
    return Calibration(
        policy=scored.name,
        settings=settings_of(scored),
        tiers={tier.name: names_of(tier.model)[0] for tier in tiers},
        floor=floor,
        confidence=confidence,
        metric=metric,
        examples=len(used),
        draws=len(set(groups_of(used))),
        left_out=left_out,
        steps=steps,
        missing=_missing(tried, steps, floor, confidence),
        cost_share=_dearest(each.cost_share(steps) for each in tried),
        scores=ScoreBins.of(*(each.scores for each in tried)),
        learned=None if fitted is None else fitted.as_dict(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        package_version=version("langchain-agentcost"),
    )


def groups_of(examples: Sequence[Example]) -> list[Hashable]:
    """Say which examples are of one conversation: its id, or the example's own place."""
    return [place if one.request.thread is None else one.request.thread for place, one in enumerate(examples)]


@dataclass(frozen=True, slots=True)
class _Tried:
    """Examples that all tiers answered, and what each tier was expected to lose on them."""

    examples: Sequence[Example]
    tiers: Sequence[Tier]
    losses: Sequence[Mapping[str, float]]

    @property
    def largest(self) -> int:
        """How many examples can be one draw."""
        return 1 if all(one.request.thread is None for one in self.examples) else MOST_OF_A_CONVERSATION

    @property
    def strongest(self) -> str:
        return self.tiers[-1].name

    @property
    def scores(self) -> list[float]:
        """What the weakest tier is expected to lose, where the policy says so: what a choice's score is."""
        return [losses[self.tiers[0].name] for losses in self.losses if self.tiers[0].name in losses]

    def chosen(self, threshold: float) -> list[str]:
        """Who answers each example at a threshold, by the very rule that policies choose by, weaker tiers cheaper."""
        offers = [Offer(tier=tier) for tier in self.tiers]
        return [cheapest_of(losses, offers, threshold=threshold).name for losses in self.losses]

    def routed(self, threshold: float) -> tuple[list[float], list[bool]]:
        """How well the worst tier that may be chosen answers each example, and whether only the strongest may be."""
        weaker = [tier.name for tier in self.tiers[:-1]]
        quality, kept = [], []
        for example, losses in zip(self.examples, self.losses, strict=True):
            within = [example.quality[tier] for tier in weaker if losses.get(tier, UNSEEN) <= threshold]
            quality.append(min(within, default=example.quality[self.strongest]))
            kept.append(not within)
        return quality, kept

    @property
    def grid(self) -> tuple[float, ...]:
        """The thresholds to test: none of them lets a kind of call through of which nothing is known."""
        known = (losses.get(tier.name, UNSEEN) for losses in self.losses for tier in self.tiers[:-1])
        return thresholds([loss for loss in known if loss < UNSEEN])

    def steps(self, grid: Sequence[float], floor: float, confidence: float) -> tuple[Step, ...]:
        strong = [example.quality[self.strongest] for example in self.examples]
        return fixed_sequence_of(
            self.routed,
            grid,
            strong,
            floor=floor,
            confidence=confidence,
            groups=groups_of(self.examples),
            largest=self.largest,
        )

    def missing(self, threshold: float | None, floor: float, confidence: float) -> int | None:
        """How many more examples a threshold takes; where there is none, how many flawless ones it takes."""
        values, groups = [1 - floor], None
        if threshold is not None:
            quality, _ = self.routed(threshold)
            best = [example.quality[self.strongest] for example in self.examples]
            values = [one - floor * strong for one, strong in zip(quality, best, strict=True)]
            groups = groups_of(self.examples)
        count = needed(values, worst=-floor, confidence=confidence, groups=groups, largest=self.largest)
        return None if count is None else max(1, count - len(self.examples))

    def cost_share(self, steps: Sequence[Step]) -> float | None:
        """What the router costs at the last threshold that passed, of all calls at the strongest tier."""
        passed = [step.threshold for step in steps if step.passed]
        names = {tier.name for tier in self.tiers}
        if not passed or any(not names <= example.nano.keys() for example in self.examples):
            return None
        chosen = [self.strongest] * len(self.examples) if passed[-1] is None else self.chosen(passed[-1])
        whole = sum(example.nano[self.strongest] for example in self.examples)
        spent = sum(example.nano[tier] for example, tier in zip(self.examples, chosen, strict=True))
        return spent / whole if whole else None


def _tried(
    scored: Scored, fitted: Learning | None, used: Sequence[Example], tiers: Sequence[Tier], folds: int
) -> list[_Tried]:
    """What is tested: honest scores first, and those of the policy that has learnt from all examples."""
    names = [tier.name for tier in tiers]
    tried = [_Tried(used, tiers, _honest(scored, used, names, folds))]
    if fitted is not None:
        tried.append(_Tried(used, tiers, [fitted.losses(example.request, names) for example in used]))
    return tried


def _dearest(shares: Iterable[float | None]) -> float | None:
    return max((share for share in shares if share is not None), default=None)


def _worse(*tests: Sequence[Step]) -> tuple[Step, ...]:
    """Of tests of the same thresholds the step that fails, else the one that leaves most to the strongest tier."""
    return tuple(
        min(each, key=lambda step: (step.passed, -step.strong_share, step.bound))
        for each in zip(*tests, strict=False)  # the one that fails first is the shorter
    )


def _missing(tried: Sequence[_Tried], steps: Sequence[Step], floor: float, confidence: float) -> int | None:
    """How many more examples it takes until something is routed; 0 where it is."""
    if any(step.passed and step.strong_share < 1 for step in steps):
        return 0
    last = steps[-1] if steps else None
    if last is not None and last.passed and last.threshold is not None:
        return None  # all thresholds pass, and at none of them a cheaper tier is chosen
    found = [each.missing(last.threshold if last is not None else None, floor, confidence) for each in tried]
    known = [count for count in found if count is not None]
    return max(known) if len(known) == len(found) else None


def _usable(examples: Sequence[Example], names: Sequence[str]) -> tuple[list[Example], dict[str, int]]:
    """The examples to use, and why how many others are not."""
    complete, left_out, ids = [], Counter[str](), set[str]()
    for example in examples:
        missing = [name for name in names if name not in example.quality]
        if missing:
            left_out[f"no quality of {', '.join(missing)}"] += 1
        elif example.id and example.id in ids:
            left_out["the same example again"] += 1
        else:
            complete.append(example)
            ids.add(example.id)
    used = _few_of_each(complete)
    left_out[f"more than {MOST_OF_A_CONVERSATION} of a conversation"] += len(complete) - len(used)
    return used, dict(+left_out)


def _few_of_each(examples: Sequence[Example]) -> list[Example]:
    """Evenly spaced ones of each conversation that has too many."""
    places = defaultdict[Hashable, list[int]](list)
    for place, group in enumerate(groups_of(examples)):
        places[group].append(place)
    kept = set[int]()
    for found in places.values():
        count = min(len(found), MOST_OF_A_CONVERSATION)
        kept.update(found[(2 * at + 1) * len(found) // (2 * count)] for at in range(count))
    return [example for place, example in enumerate(examples) if place in kept]


def _honest(scored: Scored, examples: Sequence[Example], names: Sequence[str], folds: int) -> list[Mapping[str, float]]:
    """The losses of each example, expected by a policy that did not see it or its conversation."""
    if not isinstance(scored, Learning):
        return [scored.losses(example.request, names) for example in examples]
    found: dict[int, Mapping[str, float]] = {}
    fold_of = _folds(groups_of(examples), folds)
    for fold in range(folds):
        inside = [place for place, at in enumerate(fold_of) if at == fold]
        others = [example for example, at in zip(examples, fold_of, strict=True) if at != fold]
        fitted = scored.fit(others, names) if inside and others else scored
        found |= {place: fitted.losses(examples[place].request, names) for place in inside}
    return [found[place] for place in range(len(examples))]


def _folds(groups: Sequence[Hashable], folds: int) -> list[int]:
    """A fold for each example, at random but the same each time: examples often come in an order, or in turns."""
    names = list(dict.fromkeys(groups))
    Random(0).shuffle(names)  # noqa: S311  # a split, not a secret
    fold_of = {name: place % folds for place, name in enumerate(names)}
    return [fold_of[group] for group in groups]
