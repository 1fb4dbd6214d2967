"""What chooses a tier: one protocol, so that policies can stand in one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.verdict import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A tier that can take a call, and for how much.

    Args:
        tier: It.
        expected_nano: What the call is expected to cost there now, with what its prompt cache holds of this thread, in
            nano-USD; None where it has no price.
        warm_nano: The same if all calls of the thread had gone there.
        last: Whether the thread's last call went there.
        rent_nano: How much more the thread's calls have cost since its last change of tier than they would have cost
            here, warm; only those count for which a policy preferred this tier (`Choice.preferred`).
    """

    tier: Tier
    expected_nano: int | None = None
    warm_nano: int | None = None
    last: bool = False
    rent_nano: int = 0

    @property
    def name(self) -> str:
        """The tier's name."""
        return self.tier.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a policy says.

    Args:
        tier: The tier to ask.
        policy: Which policy says so; of policies within one another their names, outermost first, joined with ">".
        reasons: Why, as short sentences without text of the prompt.
        score: What the cheapest offer is expected to lose in quality, from 0 to 1; None where a policy does not know.
        threshold: The most that may be lost; None likewise.
        propensity: How probable a draw was, where a policy drew: that of its own tier, `drawn`, whoever is asked first.
        verifier: What checks the answer; None takes it as it is.
        escalate_to: The tier that answers in place of an answer that does not pass.
        accepted: The part of answers that is expected to pass.
        drawn: The tier that a policy drew to learn of it; None where none did. What stands around it keeps that.
        preferred: The tier that would be asked if its prompt cache held the thread; None where that is who is asked.
    """

    tier: str
    policy: str
    reasons: tuple[str, ...] = ()
    score: float | None = None
    threshold: float | None = None
    propensity: float = 1.0
    verifier: Verifier | None = field(default=None, repr=False)
    escalate_to: str | None = None
    accepted: float | None = None
    drawn: str | None = None
    preferred: str | None = None


Offers = Sequence[Offer]
"""The tiers that can take a call, weakest first. Never empty."""


@runtime_checkable
class Policy(Protocol):
    """Chooses a tier. It is pure: the same request and offers get the same choice, and nothing is remembered here.

    A policy that draws or learns keeps that apart (`Bandit`), guarded by a lock. It takes at most a millisecond, unless
    it embeds: then it has a true attribute `embeds`, and async code asks it in a thread.
    """

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        ...

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose one of the offers."""
        ...


@runtime_checkable
class Scored(Policy, Protocol):
    """A policy that says what a tier is expected to lose in quality, so that its threshold can be calibrated."""

    @property
    def threshold(self) -> float:
        """The most that may be lost."""
        ...

    def losses(self, request: RouteRequest, tiers: Sequence[str]) -> Mapping[str, float]:
        """Give what each tier is expected to lose in quality against the strongest, from -1 to 1.

        Args:
            request: The call.
            tiers: Names of tiers, weakest first; the last is what the others are compared with.
        """
        ...

    def with_threshold(self, threshold: float) -> Scored:
        """Give the same policy with another threshold."""
        ...


@runtime_checkable
class Learning(Scored, Protocol):
    """A scored policy that learns from examples."""

    def fit(self, examples: Sequence[Any], tiers: Sequence[str]) -> Learning:
        """Give the policy with what `Example`s teach; this one stays as it is."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Give what it has learnt as plain data that a person can read, or the digest of what is kept elsewhere."""
        ...

    def with_learned(self, data: Mapping[str, Any]) -> Learning:
        """Give the policy with what `as_dict` wrote.

        Raises:
            RoutingError: If it is not that of this kind of policy, or is not the digest of what this one holds.
        """
        ...


def cheapest_within(policy: str, losses: Mapping[str, float], offers: Offers, *, threshold: float) -> Choice:
    """Choose what `cheapest_of` finds, and say why.

    Args:
        policy: Whose choice it is.
        losses: What each tier is expected to lose.
        offers: The tiers, weakest first.
        threshold: The most that may be lost.
    """
    chosen = cheapest_of(losses, offers, threshold=threshold)
    weaker = [offer.name for offer in offers if losses.get(offer.name, 1.0) > threshold and offer is not chosen]
    said = [f"{name} is expected to lose {losses.get(name, 1.0):.3f}, more than {threshold:.3f}" for name in weaker]
    if losses.get(chosen.name, 1.0) <= threshold and chosen is not offers[-1]:
        loss = max(0.0, losses.get(chosen.name, 0.0))
        said.append(f"{chosen.name} is expected to lose {loss:.3f}, and {threshold:.3f} may be")
    elif len(weaker) < len(offers) - 1:
        said.append(f"{chosen.name} is expected to cost less than what is good enough too")
    return Choice(
        tier=chosen.name,
        policy=policy,
        reasons=tuple(said),
        score=losses.get(offers[0].name),
        threshold=threshold,
    )


def cheapest_of(losses: Mapping[str, float], offers: Offers, *, threshold: float) -> Offer:
    """Find the cheapest offer that is not expected to lose more than the threshold, else the strongest.

    Args:
        losses: What each tier is expected to lose.
        offers: The tiers, weakest first. Of those within the threshold the one that is expected to cost least is
            taken; where a price is not known, the weakest.
        threshold: The most that may be lost.
    """
    within = [offer for offer in offers if losses.get(offer.name, 1.0) <= threshold]
    if not within:
        return offers[-1]
    priced = all(offer.expected_nano is not None for offer in within)
    return min(within, key=lambda offer: offer.expected_nano or 0) if priced else within[0]
