"""The core of a router: a call comes in, a decision comes out, and what came of it is learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol
from uuid import uuid4

from langchain_agentcost.chat_model import bound_to
from langchain_agentcost.errors import RoutingError, RoutingWarning, give_warning
from langchain_agentcost.limits.remaining import Remaining
from langchain_agentcost.money import to_nano
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.routing.calibration import Calibration
from langchain_agentcost.routing.constraints import PINNED_TIER, beyond_budget, refusal, too_dear, unfit
from langchain_agentcost.routing.decision import RouteDecision
from langchain_agentcost.routing.economics import Economics
from langchain_agentcost.routing.floor import FloorGuard
from langchain_agentcost.routing.policies.named import policy_named
from langchain_agentcost.routing.policies.within import LearnsChecks, LearnsRewards, levelled, parts_of
from langchain_agentcost.routing.policy import Choice, Offers, Policy
from langchain_agentcost.routing.records import doubts
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.risk_gate import ToolRiskGate
from langchain_agentcost.routing.shadow import Shadow
from langchain_agentcost.routing.tier import Tier, with_levels
from langchain_agentcost.routing.verdict import Verdict
from langchain_agentcost.routing.verifiers.all_of import AllOf
from langchain_agentcost.routing.warmth import Prompt
from langchain_agentcost.usage import Usage

POLICY = "router_policy"
"""The key of `configurable` that names another policy."""


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
        self.given_policy = levelled(policy, self.tiers)
        self.meter = meter
        self.risk_gate = risk_gate
        self.shadow = shadow
        self.economics = Economics(self.tiers, meter.prices if meter is not None else PriceBook())
        self._floor = floor
        self._named = {tier.name: tier for tier in self.tiers}
        self.use(calibration)
        for doubt in doubts(self.tiers):
            give_warning(RoutingWarning(doubt))

    def with_calibration(self, calibration: Calibration | None) -> Router:
        """Give the router with another calibration; what it has learnt of costs is shared.

        Raises:
            RoutingError: If it is of other tiers or another policy.
        """
        made = copy(self)
        made.use(calibration)
        return made

    def with_meter(self, meter: Meter) -> Router:
        """Give the router with a meter; its prices count from now on, and what was learnt of costs is begun anew."""
        made = copy(self)
        made.meter = meter
        made.economics = Economics(self.tiers, meter.prices)
        return made

    @property
    def embeds(self) -> bool:
        """Whether a decision may take longer than an event loop should stand still."""
        return any(getattr(part, "embeds", False) for part in parts_of(self.policy))

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
        unable = unfit(request, self.tiers, self.risk_gate)
        able = [tier for tier in self.tiers if tier.name not in unable]
        offers: Offers = self.economics.offers(request, prompt, able)
        dropped = {**unable, **too_dear(request, offers)}
        offers = [offer for offer in offers if offer.name not in dropped]
        wanted = self.guard.wanted(request)
        if wanted is None:  # a floor holds whatever a budget has left: then the meter stops the call
            dropped |= beyond_budget(request, offers)
            offers = [offer for offer in offers if offer.name not in dropped]
        if not offers:
            raise refusal(dropped)
        choice, policy, floor = self._choice(request, offers, wanted, dropped)
        choice, blocked = self._gated(request, checked_choice(choice, offers), unable)
        return RouteDecision(
            id=str(uuid4()),
            choice=choice,
            offers=tuple(offers),
            dropped=dropped,
            floor=floor,
            calibration=self.calibration.id if self.calibration is not None else None,
            by=policy,
            blocked=blocked,
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
        judged = None if verdict is None or verdict.error else verdict.accepted
        self.economics.stayed(request, choice, decision.offers)
        drift = self.guard.drift
        if drift is not None and choice.score is not None and decision.offers[0].name == self.tiers[0].name:
            escalates = None if judged is None else not judged
            drift.observe(choice.score, escalated=escalates)  # a score is of the weakest offer
        answering = replace(choice, tier=decision.escalate_to or choice.tier) if escalated else choice
        for part in parts_of(decision.by) if decision.by is not None else ():
            if isinstance(part, LearnsRewards):
                part.decided(decision.id, request, answering)
            if isinstance(part, LearnsChecks) and judged is not None:
                part.checked(request, choice, accepted=judged)

    def reward(self, decision_id: str, quality: float) -> None:
        """Tell policies that learn from it how good a decision's answer was, from 0 to 1."""
        for part in parts_of(self.policy):
            if isinstance(part, LearnsRewards):
                part.reward(decision_id, quality)

    def use(self, calibration: Calibration | None) -> None:
        """Take a calibration for this router: `with_calibration` is for one that is in use."""
        self.calibration = calibration
        self.policy = calibration.apply(self.given_policy, self.tiers) if calibration is not None else self.given_policy
        self.guard = FloorGuard(self._floor, calibration, self.tiers[-1].name)

    def _choice(
        self, request: RouteRequest, offers: Offers, wanted: QualityFloor | None, dropped: Mapping[str, str]
    ) -> tuple[Choice, Policy | None, str]:
        """What is chosen, by whom, and what holds of the floor."""
        if request.configurable.get(PINNED_TIER) is not None:
            pinned = Choice(tier=offers[0].name, policy="pinned", reasons=("it is pinned",))
            return pinned, None, "a pinned tier has no floor"
        named = request.configurable.get(POLICY)
        policy = self.policy if named is None else self._policy(named)
        if wanted is None:
            return policy.choose(request, offers), policy, "no floor is asked for"
        strongest = self.tiers[-1].name
        if offers[-1].name != strongest:
            raise RoutingError(
                f"The quality floor is a share of {strongest}'s quality, and {strongest} cannot take this call: "
                f"{dropped[strongest]}. Ask for no floor, or lift what keeps it out."
            )
        held = self.guard.held(wanted, policy, another=named is not None)
        if held.by is None:
            return Choice(tier=strongest, policy="floor", reasons=(held.said,)), None, held.said
        return held.by.choose(replace(request, thrift=0.0), offers), held.by, held.said

    def _policy(self, named: Any) -> Policy:
        """The policy that a call names: the router's own part of that name, with what it was given, else a new one."""
        if isinstance(named, Policy):
            return levelled(named, self.tiers)
        if not isinstance(named, str):
            raise RoutingError(f"configurable[{POLICY!r}] is a policy or its name, not {named!r}.")
        own = (part for part in parts_of(self.policy) if part.name == named)
        return next(own, None) or levelled(policy_named(named), self.tiers)

    def _gated(self, request: RouteRequest, choice: Choice, unable: Mapping[str, str]) -> tuple[Choice, str | None]:
        """The choice with the risk gate as a check of what a weak tier answers; and why nobody may answer again."""
        gate, strongest = self.risk_gate, self.tiers[-1].name
        if gate is None or choice.policy == "pinned" or choice.tier in (strongest, gate.strong):
            return choice, None
        own = "tools" in bound_to(self.tier(choice.tier).model)  # bound before the router knew of it
        if not own and not any(map(gate.is_risky, request.tools)):  # nothing to look at: the answer may stream
            return choice, None
        verifier = gate if choice.verifier is None else AllOf(gate, choice.verifier)
        if strongest not in unable:  # even where a budget has no room for it: then the meter stops the call
            return replace(choice, verifier=verifier, escalate_to=strongest), None
        why = f"{choice.tier} may not decide on its own, and {strongest} cannot take the call: {unable[strongest]}"
        return replace(choice, verifier=verifier, escalate_to=None), why

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


def checked_choice(choice: Choice, offers: Offers) -> Choice:
    """Give a choice as it can be made: of the offers, and with somebody to answer again where there is a check.

    Raises:
        RoutingError: If it names a tier that is not offered.
    """
    names = [offer.name for offer in offers]
    for tier in (choice.tier, choice.escalate_to):
        if tier is not None and tier not in names:
            raise RoutingError(f"Policy {choice.policy} chose {tier!r}, and the offers are {', '.join(names)}.")
    if choice.verifier is None or choice.escalate_to is not None:
        return choice
    if choice.tier == names[-1]:
        return replace(choice, verifier=None)
    return replace(choice, escalate_to=names[-1])


def _levelled(tiers: Sequence[Tier]) -> tuple[Tier, ...]:
    """Give every tier a level, if they are tiers for a router."""
    names = [tier.name for tier in tiers]
    if len(tiers) < 2:
        raise RoutingError(f"A router needs two tiers or more, weakest first, not {len(tiers)}.")
    if len(set(names)) < len(names):
        raise RoutingError(f"Each tier needs a name of its own, not {', '.join(names)}.")
    return with_levels(tiers)
