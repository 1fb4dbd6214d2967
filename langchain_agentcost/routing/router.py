"""The core of a router: a call comes in, a decision comes out, and what came of it is learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol
from uuid import uuid4

from langchain_agentcost.errors import RoutingError, RoutingWarning, give_warning
from langchain_agentcost.limits.remaining import Remaining
from langchain_agentcost.money import to_nano
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.routing.calibration import Calibration
from langchain_agentcost.routing.constraints import PINNED_TIER, beyond_budget, refusal, too_dear, unfit
from langchain_agentcost.routing.decision import RouteDecision
from langchain_agentcost.routing.drift import DriftMonitor
from langchain_agentcost.routing.economics import Economics
from langchain_agentcost.routing.policies.named import policy_named
from langchain_agentcost.routing.policies.within import LearnsChecks, LearnsRewards, keeps_threshold, levelled, parts_of
from langchain_agentcost.routing.policy import Choice, Offers, Policy
from langchain_agentcost.routing.records import doubts
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.risk_gate import ToolRiskGate
from langchain_agentcost.routing.shadow import Shadow
from langchain_agentcost.routing.tier import LEVELS, Tier
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.routing.verifiers.all_of import AllOf
from langchain_agentcost.routing.warmth import Prompt
from langchain_agentcost.usage import Usage

POLICY = "router_policy"
"""The key of `configurable` that names another policy."""

FLOOR = "router_quality_floor"
"""The key of `configurable` with the least share of the strongest tier's quality that is acceptable."""


THRIFTY = 1.0
"""The thrift of a call that a budget wants to be cheap: whatever quality a policy would keep is given up for it. A
floor, a pin and the risk gate hold all the same."""


class Meter(Protocol):
    """What a router asks a `CostMeter` for."""

    @property
    def prices(self) -> PriceBook:
        """What models cost."""
        ...

    def remaining(self) -> Sequence[Remaining]:
        """What is left of the budgets of the run that this code is in."""
        ...

    def should_downgrade(self) -> bool:
        """Whether one of them wants a cheaper model."""
        ...


class Router:
    """Decides which tier a call goes to. `RouterRunnable` and `RouterMiddleware` are its two faces.

    Where a floor is asked for, of policies within one another the outermost decides that never goes below the proven
    threshold: a cascade is as good as its check, and thrift gives up quality for money.

    Args:
        tiers: The tiers, weakest first.
        policy: What chooses.
        floor: The least share of the strongest tier's quality; until a calibration proves it, all calls go there.
        calibration: What was proven, and the threshold that goes with it.
        meter: Whose prices count and whose budgets are looked at.
        risk_gate: What has the strongest tier decide on calls that can do harm.
        shadow: What has another tier answer some calls too, to learn how good it is.

    Raises:
        RoutingError: If there are not two tiers or more with names of their own, or the calibration is of others.
    """

    def __init__(
        self,
        tiers: Sequence[Tier],
        *,
        policy: Policy,
        floor: QualityFloor | None = None,
        calibration: Calibration | None = None,
        meter: Meter | None = None,
        risk_gate: ToolRiskGate | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        self.tiers = _levelled(tiers)
        self.floor = floor
        self.calibration = calibration
        self.given_policy = levelled(policy, self.tiers)
        self.policy = calibration.apply(self.given_policy, self.tiers) if calibration is not None else self.given_policy
        self.meter = meter
        self.risk_gate = risk_gate
        self.shadow = shadow
        self.economics = Economics(self.tiers, meter.prices if meter is not None else PriceBook())
        self.drift = DriftMonitor(calibration) if calibration is not None and calibration.proven else None
        self._named = {tier.name: tier for tier in self.tiers}
        self._warned: set[str] = set()
        if shadow is not None and shadow.cost is None:
            shadow.cost = self.economics.nano
        for doubt in doubts(self.tiers):
            give_warning(RoutingWarning(doubt))

    def with_calibration(self, calibration: Calibration | None) -> Router:
        """Give the router with another calibration.

        Raises:
            RoutingError: If it is of other tiers or another policy.
        """
        return Router(
            self.tiers,
            policy=self.given_policy,
            floor=self.floor,
            calibration=calibration,
            meter=self.meter,
            risk_gate=self.risk_gate,
            shadow=self.shadow,
        )

    def tier(self, name: str) -> Tier:
        """Give a tier by its name."""
        return self._named[name]

    def opened(self, request: RouteRequest, *, schemas: Sequence[object] = ()) -> tuple[RouteRequest, Prompt]:
        """Complete a request with what the router itself knows: its length, and what is left of a budget.

        Args:
            request: The call.
            schemas: The descriptions of its tools.
        """
        prompt = self.economics.prompt(request, schemas)
        used, left = self._budget()
        wants_cheaper = self.meter is not None and self.meter.should_downgrade()
        thrift = THRIFTY if wants_cheaper else request.thrift
        return replace(request, prompt_tokens=prompt.total_tokens, used=used, left_nano=left, thrift=thrift), prompt

    def decide(self, request: RouteRequest, prompt: Prompt) -> RouteDecision:
        """Choose a tier for a call.

        Args:
            request: The call, as `opened` gives it.
            prompt: What `opened` gives with it.

        Raises:
            RoutingError: If no tier can take it; the message says why each cannot.
        """
        dropped = unfit(request, self.tiers, self.risk_gate)
        able = [tier for tier in self.tiers if tier.name not in dropped]
        offers: Offers = self.economics.offers(request, prompt, able)
        for too_much in (too_dear, beyond_budget):
            dropped |= too_much(request, offers)
            offers = [offer for offer in offers if offer.name not in dropped]
        if not offers:
            raise refusal(dropped)
        choice, policy, floor = self._choice(request, offers)
        return RouteDecision(
            id=str(uuid4()),
            choice=self._gated(choice, offers),
            offers=tuple(offers),
            dropped=dropped,
            floor=floor,
            calibration=self.calibration.id if self.calibration is not None else None,
            by=policy,
        )

    def answered(
        self, request: RouteRequest, prompt: Prompt, tier: str, usage: Usage | None, *, aside: bool = False
    ) -> None:
        """Learn from an answer; see `Economics.answered`."""
        self.economics.answered(request, prompt, tier, usage, aside=aside)

    def checked(self, request: RouteRequest, decision: RouteDecision, verdict: Verdict | None) -> None:
        """Learn from what became of a decision.

        Args:
            request: The call.
            decision: It.
            verdict: What was said of its draft; None where there was none.
        """
        choice, escalated = decision.choice, None if verdict is None else not verdict.accepted
        whole = decision.offers[0].name == self.tiers[0].name  # a score is of the weakest tier
        if self.drift is not None and choice.score is not None and whole:
            self.drift.observe(choice.score, escalated=escalated)
        answering = replace(choice, tier=decision.escalate_to) if escalated else choice
        for part in parts_of(decision.by) if decision.by is not None else ():
            if isinstance(part, LearnsRewards):
                part.decided(decision.id, request, answering)
            if isinstance(part, LearnsChecks) and escalated is not None:
                part.checked(request, choice, accepted=not escalated)

    def reward(self, decision_id: str, quality: float) -> None:
        """Tell policies that learn from it how good a decision's answer was, from 0 to 1."""
        for part in parts_of(self.policy):
            if isinstance(part, LearnsRewards):
                part.reward(decision_id, quality)

    def _choice(self, request: RouteRequest, offers: Offers) -> tuple[Choice, Policy | None, str]:
        """What is chosen, by whom, and what holds of the floor."""
        if request.configurable.get(PINNED_TIER) is not None:
            pinned = Choice(tier=offers[0].name, policy="pinned", reasons=("it is pinned",))
            return pinned, None, "a pinned tier has no floor"
        wanted, named = self._wanted(request), request.configurable.get(POLICY)
        policy = self.policy if named is None else self._policy(named)
        if wanted is None:
            return policy.choose(request, offers), policy, "no floor is asked for"
        held = next((part for part in parts_of(policy) if keeps_threshold(part)), None)
        said = self._unproven(wanted, offers, another=named is not None, held=held)
        if held is None or said is not None:
            return Choice(tier=offers[-1].name, policy="floor", reasons=(said or "",)), None, said or ""
        chosen = held.choose(replace(request, thrift=0.0), offers)  # a floor holds whatever a budget wants
        return chosen, held, f"{wanted.min:.0%} of {self.tiers[-1].name} is proven"

    def _policy(self, named: Any) -> Policy:
        """The policy that a call names: the router's own part of that name, with what it was given, else a new one."""
        if not isinstance(named, str):
            return levelled(named, self.tiers)
        own = (part for part in parts_of(self.policy) if part.name == named)
        return next(own, None) or levelled(policy_named(named), self.tiers)

    def _wanted(self, request: RouteRequest) -> QualityFloor | None:
        given = request.configurable.get(FLOOR)
        if given is None:
            return self.floor
        try:
            return QualityFloor("quality", min=float(given))
        except (TypeError, ValueError) as error:
            raise RoutingError(f"configurable[{FLOOR!r}] is a share such as 0.95, not {given!r}.") from error

    def _unproven(self, wanted: QualityFloor, offers: Offers, *, another: bool, held: Policy | None) -> str | None:
        """Why the floor is not held by a policy; None where it is."""
        calibration, strongest = self.calibration, self.tiers[-1].name
        if offers[-1].name != strongest:
            why = f"nothing is proven where {strongest} cannot take a call"
        elif another:
            why = "the calibration is not of the policy that this call names"
        elif held is None and (calibration is None or calibration.proven):
            why = f"policy {self.policy.name} has no threshold that could be proven"
        elif calibration is None:
            why = "the quality floor is not proven: there is no calibration"
        elif not calibration.proven:
            why = f"the quality floor is not proven: {_missing(calibration.missing)}"
        elif not calibration.holds(wanted):
            why = f"calibration {calibration.id} does not prove {wanted.min:.0%} at {wanted.confidence:.0%} confidence"
        elif self.drift is not None and self.drift.drifted:
            why = f"the traffic is not what was calibrated: {self.drift.why}"
        else:
            return None
        self._warn_once(why)
        return why

    def _warn_once(self, why: str) -> None:
        if why not in self._warned:
            self._warned.add(why)
            give_warning(RoutingWarning(f"Such calls go to the strongest tier that can take them: {why}."))

    def _gated(self, choice: Choice, offers: Offers) -> Choice:
        """Have the risk gate look at what a tier answers that is not the strongest."""
        if self.risk_gate is None or choice.tier == offers[-1].name or choice.policy == "pinned":
            return choice
        verifier = self.risk_gate if choice.verifier is None else AllOf(self.risk_gate, choice.verifier)
        return replace(choice, verifier=verifier, escalate_to=offers[-1].name)

    def _budget(self) -> tuple[float | None, int | None]:
        """Which share of the tightest budget is used, and what is left of it in nano-USD."""
        if self.meter is None:
            return None, None
        try:
            limits = [left for left in self.meter.remaining() if left.unit == "usd" and left.limit]
        except ValueError:  # no run is under way that a budget could be of
            return None, None
        if not limits:
            return None, None
        used = max(float((left.spent + left.reserved) / left.limit) for left in limits)
        return min(used, 1.0), min(to_nano(Decimal(left.remaining)) for left in limits)


def _missing(examples: int | None) -> str:
    if examples is None:
        return "more examples of this kind would not prove it"
    return f"at least {examples:,} more examples are needed"


def _levelled(tiers: Sequence[Tier]) -> tuple[Tier, ...]:
    """Give every tier a level, by its place where it states none."""
    names = [tier.name for tier in tiers]
    if len(tiers) < 2:
        raise RoutingError(f"A router needs two tiers or more, weakest first, not {len(tiers)}.")
    if len(set(names)) < len(names):
        raise RoutingError(f"Each tier needs a name of its own, not {', '.join(names)}.")
    last = len(tiers) - 1
    usual = [LEVELS[0 if place == 0 else 2 if place == last else 1] for place in range(len(tiers))]
    return tuple(
        tier if tier.level is not None else replace(tier, level=level) for tier, level in zip(tiers, usual, strict=True)
    )
