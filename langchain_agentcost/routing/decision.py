"""What a router has decided for a call, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from langchain_agentcost.money import from_nano
from langchain_agentcost.routed import Role, Routed
from langchain_agentcost.routing.policy import Choice, Offer, Policy
from langchain_agentcost.routing.verdict import Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDecision:
    """Which tier a call goes to, what else was possible, and what each would cost.

    Args:
        id: Its own id; the draft and the escalation of a call share it.
        choice: What the policy said.
        offers: The tiers that could have taken it, weakest first.
        dropped: Why each of the others could not.
        baseline: The strongest tier that could have taken it: what would be asked without a router.
        floor: What holds of the quality floor, as a sentence.
        calibration: The calibration that holds; None for none.
        by: The policy that chose; None where none was asked.
        blocked: Why nobody may answer in place of a draft that does not pass; None where somebody may.

    Example:
        >>> from langchain_agentcost.routing.tier import Tier
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> offer = Offer(tier=Tier("small", FakeMeteredChatModel()), expected_nano=1_500)
        >>> decision = RouteDecision(id="1", choice=Choice(tier="small", policy="fixed"), offers=(offer,))
        >>> print(decision)
        small, by fixed
          small: $0.0000015 expected
    """

    id: str
    choice: Choice
    offers: tuple[Offer, ...]
    dropped: Mapping[str, str] | None = None
    floor: str = "no floor is asked for"
    calibration: str | None = None
    by: Policy | None = field(default=None, repr=False, compare=False)
    blocked: str | None = None

    @property
    def tier(self) -> str:
        """The tier that is asked first."""
        return self.choice.tier

    @property
    def policy(self) -> str:
        """The policy that chose it."""
        return self.choice.policy

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why."""
        return self.choice.reasons

    @property
    def verifier(self) -> Verifier | None:
        """What checks the answer; None takes it as it is."""
        return self.choice.verifier

    @property
    def escalate_to(self) -> str | None:
        """The tier that answers in place of an answer that does not pass; None where none does."""
        return self.choice.escalate_to

    @property
    def baseline(self) -> str:
        """The strongest tier that could have taken it: what would be asked without a router."""
        return self.offers[-1].name

    @property
    def expected_usd(self) -> dict[str, Decimal | None]:
        """What the call is expected to cost by tier, in USD; None where a price is not known."""
        return {name: None if nano is None else from_nano(nano) for name, nano in self._expected().items()}

    def routed(self, role: Role, tier: str | None = None) -> Routed:
        """Give what is told of one of its calls.

        Args:
            role: What the call is for.
            tier: The tier that is asked; None is the one that was chosen.
        """
        return Routed(
            id=self.id,
            tier=tier or self.tier,
            policy=self.policy,
            role=role,
            reasons=self.reasons,
            expected_nano=self._expected(),
            baseline=self.baseline,
            baseline_nano=self.offers[-1].warm_nano,
            score=self.choice.score,
            propensity=self.choice.propensity,
            calibration=self.calibration,
        )

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data that JSON can hold; amounts are USD as text."""
        return {
            "id": self.id,
            "tier": self.tier,
            "policy": self.policy,
            "reasons": list(self.reasons),
            "expected_usd": {name: None if usd is None else str(usd) for name, usd in self.expected_usd.items()},
            "dropped": dict(self.dropped or {}),
            "baseline": self.baseline,
            "score": self.choice.score,
            "threshold": self.choice.threshold,
            "propensity": self.choice.propensity,
            "verifier": self.verifier.name if self.verifier is not None else None,
            "escalate_to": self.escalate_to,
            "floor": self.floor,
            "calibration": self.calibration,
        }

    def __str__(self) -> str:
        """Say it for a person: the choice and why, then every tier with its cost or why it is out."""
        other = self.escalate_to or "nobody"
        checked = f", checked by {self.verifier.name}, else {other}" if self.verifier is not None else ""
        lines = [f"{self.tier}, by {self.policy}{checked}", *(f"  because {reason}" for reason in self.reasons)]
        for name, usd in self.expected_usd.items():
            price = "no price is known" if usd is None else f"${usd.normalize():f} expected"
            lines.append(f"  {name}: {price}")
        lines += [f"  {name}: out, {why}" for name, why in (self.dropped or {}).items()]
        if self.calibration is not None and self.floor not in self.reasons:
            lines.append(f"  floor: {self.floor}")
        return "\n".join(lines)

    def _expected(self) -> dict[str, int | None]:
        return {offer.name: offer.expected_nano for offer in self.offers}
