"""Tries tiers out where that can do no harm, and learns from what came of it. Off unless it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import lru_cache
from itertools import accumulate
from math import exp, log
from random import Random
from threading import Lock
from typing import Any, NamedTuple, Self

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.recent import Recent
from langchain_agentcost.routing.policies.within import scored_in
from langchain_agentcost.routing.policy import Choice, Offer, Offers, Policy
from langchain_agentcost.routing.request import RouteRequest

_GRID = 60
"""In how many parts the qualities from 0 to 1 are looked at."""

_PRIOR_WEIGHT = 4.0
_PRIOR_QUALITY = 0.75
_LEAST_QUALITY = 0.05


class Seen(NamedTuple):
    """What is known of a tier: how much was good and how much was not, what was assumed included."""

    good: float
    bad: float


class BanditState:
    """What a bandit has seen: by kind of step and tier, how good answers were. Threads may share it.

    The last 10,000 decisions wait for their rewards.

    Args:
        seed: Where its draws begin; None begins anywhere.

    Example:
        >>> state = BanditState(seed=1)
        >>> state.decided("id of the decision", "node=extract phase=user", "small")
        >>> state.reward("id of the decision", 1.0), state.reward("of no bandit", 1.0)
        (True, False)
        >>> state.as_dict()["seen"]
        [{'step': 'node=extract phase=user', 'tier': 'small', 'good': 1.0, 'bad': 0.0}]
    """

    def __init__(self, *, seed: int | None = None) -> None:
        self._lock = Lock()
        self._random = Random(seed)  # noqa: S311  # an experiment, not a secret
        self._seen: dict[tuple[str, str], Seen] = {}
        self._decided: Recent[str, tuple[str, str]] = Recent()

    def draw(self) -> float:
        """Give a number from 0 to below 1."""
        with self._lock:
            return self._random.random()

    def seen(self, step: str, tier: str) -> Seen:
        """Give what was seen of a tier on a kind of step."""
        return self._seen.get((step, tier), Seen(0.0, 0.0))

    def decided(self, decision_id: str, step: str, tier: str) -> None:
        """Remember what a decision was, until its reward comes."""
        self._decided.put(decision_id, (step, tier))

    def reward(self, decision_id: str, quality: float) -> bool:
        """Learn how good the answer of a decision was.

        Args:
            decision_id: The decision. One that does not wait for a reward teaches nothing, and is no error: whoever
                rewards all answers need not know which were a bandit's. So is a second reward of the same.
            quality: From 0 to 1.

        Returns:
            Whether something was learnt.

        Raises:
            RoutingError: If the quality is not from 0 to 1.
        """
        if not 0 <= quality <= 1:
            raise RoutingError(f"A reward is from 0 to 1, not {quality!r}.")
        known = self._decided.pop(decision_id)
        if known is None:
            return False
        with self._lock:
            good, bad = self._seen.get(known, Seen(0.0, 0.0))
            self._seen[known] = Seen(good + quality, bad + 1 - quality)
        return True

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data that JSON can hold."""
        with self._lock:
            rows = sorted(self._seen.items())
        return {"seen": [{"step": step, "tier": tier, **seen._asdict()} for (step, tier), seen in rows]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, seed: int | None = None) -> Self:
        """Read what `as_dict` wrote.

        Raises:
            RoutingError: If it is not that.
        """
        state = cls(seed=seed)
        try:
            for row in data["seen"]:
                state._seen[row["step"], row["tier"]] = Seen(float(row["good"]), float(row["bad"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RoutingError(f"This is no state of a bandit: {error!r}.") from error
        return state


@dataclass(frozen=True, slots=True)
class Bandit:
    """Chooses by Thompson sampling, among the tiers that the inner policy allows.

    Draw from what is believed of each tier's quality on this kind of step; take the cheapest tier that is not more than
    the inner policy's threshold below the strongest one. Only tiers are tried that the inner, calibrated policy expects
    to lose at most its threshold (and `slack`), and that are cheaper than the strongest one. How probable each tier is
    to be taken is worked out exactly (beliefs are beta distributions on a grid of 60 qualities) and the tier is drawn
    by that, so that the propensity that is told is true and outcomes can be weighed by it.

    It learns of the tier that it drew, and only where that one's answer was used. A draft that passes in its place
    teaches nothing, and nor does an answer of it that a check rejected. So what it learns behind a check is one-sided:
    a cascade leaves the drawn tier the harder calls, and a risk gate what got through of its answers. The propensity is
    that of its own draw (`Choice.drawn`), not of who answered.

    Args:
        inner: A scored policy, or one around it: its losses and threshold say what may be tried.
        state: What was seen; it is not in here, so that the policy itself stays the same.
        slack: How much more than the threshold may be lost, as a share. More than 0 leaves what is proven.
        least: How probable each allowed tier is to be tried at least: what keeps weights by propensity bounded.

    Raises:
        RoutingError: If there is no scored policy in `inner`, or a share is out of its bounds.
    """

    inner: Policy
    _: KW_ONLY
    state: BanditState = field(default_factory=BanditState)
    slack: float = 0.0
    least: float = 0.02

    def __post_init__(self) -> None:
        if scored_in(self.inner) is None:
            raise RoutingError("A bandit needs a scored policy, such as StepPolicy, to say which tiers it may try.")
        if not 0 <= self.slack <= 1 or not 0 <= self.least <= 0.1:
            raise RoutingError("slack is a share from 0 to 1, and least one from 0 to 0.1.")

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "bandit"

    @property
    def keeps_threshold(self) -> bool:
        """Without slack it tries nothing that the threshold does not allow."""
        return not self.slack

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Draw one of the offers that may be tried."""
        scored = scored_in(self.inner)
        assert scored is not None  # noqa: S101  # seen to when it was made
        losses = scored.losses(request, [offer.name for offer in offers])
        threshold = scored.threshold + request.thrift
        arms = _arms(offers, losses, at_most=threshold + self.slack)
        step = request.signature.coarser()[2]
        beliefs = tuple(_belief(self.state.seen(step, arm.name), losses.get(arm.name, 1.0)) for arm in arms)
        chances = _bounded(chances_of(beliefs, max(threshold, 0.0)), self.least)
        drawn, sums = self.state.draw(), list(accumulate(chances))
        at = next((place for place, upto in enumerate(sums) if drawn < upto), len(arms) - 1)
        return Choice(
            tier=arms[at].name,
            policy=f"{self.name}>{scored.name}",
            reasons=(f"drawn from {', '.join(arm.name for arm in arms)}, with {chances[at]:.0%} for it",),
            score=losses.get(offers[0].name),
            threshold=threshold,
            propensity=chances[at],
            drawn=arms[at].name,
        )

    def decided(self, decision_id: str, request: RouteRequest, choice: Choice) -> None:
        """Remember what it drew, until its reward comes.

        Args:
            decision_id: The decision.
            request: The call.
            choice: What was chosen, with the tier whose answer was used.
        """
        if choice.drawn is not None and choice.drawn == choice.tier:
            self.state.decided(decision_id, request.signature.coarser()[2], choice.drawn)

    def reward(self, decision_id: str, quality: float) -> None:
        """Learn how good the answer was, from 0 to 1; see `BanditState.reward`."""
        self.state.reward(decision_id, quality)


@lru_cache(maxsize=1024)
def chances_of(beliefs: tuple[Seen, ...], tolerance: float) -> tuple[float, ...]:
    """Give how probable each tier is to be taken.

    A quality is drawn for each; the first is taken that is at most `tolerance` below the last one's.

    Args:
        beliefs: What is believed of each tier, cheapest first; the last is what they are compared with.
        tolerance: How far below it a tier may be.

    Example:
        >>> [round(chance, 2) for chance in chances_of((Seen(90, 10), Seen(90, 10)), 0.05)]
        [0.88, 0.12]
    """
    *cheap, strong = (_weights(belief) for belief in beliefs)
    below = [[0.0, *accumulate(weights)] for weights in cheap]
    chances = [0.0] * len(beliefs)
    for quality, weight in enumerate(strong):
        left = weight
        for arm, sums in enumerate(below):
            misses = _upto(sums, quality + 0.5 - tolerance * _GRID)
            chances[arm] += left * (1 - misses)
            left *= misses
        chances[-1] += left
    return tuple(chances)


def _arms(offers: Offers, losses: Mapping[str, float], *, at_most: float) -> Sequence[Offer]:
    """What may be tried, cheapest first, and at last the strongest. Where a price is not known, weakest first."""
    *weaker, strong = offers
    allowed = [offer for offer in weaker if losses.get(offer.name, 1.0) <= at_most]
    if strong.expected_nano is None or any(offer.expected_nano is None for offer in allowed):
        return [*allowed, strong]
    cheaper = [offer for offer in allowed if (offer.expected_nano or 0) < strong.expected_nano]
    return [*sorted(cheaper, key=lambda offer: offer.expected_nano or 0), strong]


def _belief(seen: Seen, loss: float) -> Seen:
    quality = min(max(_PRIOR_QUALITY - loss, _LEAST_QUALITY), 1 - _LEAST_QUALITY)
    return Seen(seen.good + quality * _PRIOR_WEIGHT, seen.bad + (1 - quality) * _PRIOR_WEIGHT)


def _weights(belief: Seen) -> list[float]:
    """The beta distribution on the grid."""
    middles = [(place + 0.5) / _GRID for place in range(_GRID)]
    logs = [(belief.good - 1) * log(middle) + (belief.bad - 1) * log(1 - middle) for middle in middles]
    highest = max(logs)
    weights = [exp(value - highest) for value in logs]
    total = sum(weights)
    return [weight / total for weight in weights]


def _upto(sums: Sequence[float], place: float) -> float:
    """How probable it is to be below a place on the grid, which may be within a part of it."""
    if place <= 0:
        return 0.0
    whole = int(place)
    return sums[whole] + (sums[whole + 1] - sums[whole]) * (place - whole)


def _bounded(chances: Sequence[float], least: float) -> list[float]:
    return [least + (1 - least * len(chances)) * chance for chance in chances]
