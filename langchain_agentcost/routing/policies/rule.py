"""Rules of the user's own: what a person said last, or anything else of a call, decides."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.policies.offer import offer_named
from langchain_agentcost.routing.policies.within import said_by
from langchain_agentcost.routing.policy import Choice, Offers, Policy
from langchain_agentcost.routing.request import RouteRequest


@dataclass(frozen=True, slots=True)
class Rule:
    """When a call goes to a tier.

    Args:
        tier: The tier's name, or a level.
        when: A regular expression that is searched for in what a person said last, in any case; or a function of the
            call.
        why: What the decision says of it; None says which rule it was.

    Raises:
        RoutingError: If the expression cannot be read.
    """

    tier: str
    when: str | Callable[[RouteRequest], bool]
    why: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.when, str):
            try:
                re.compile(self.when)
            except re.error as error:
                raise RoutingError(f"The rule for {self.tier!r} is no regular expression: {error}.") from error

    def holds(self, request: RouteRequest) -> bool:
        """Tell whether a call is meant."""
        if isinstance(self.when, str):
            return re.search(self.when, request.text, re.IGNORECASE) is not None
        return bool(self.when(request))


@dataclass(frozen=True, slots=True)
class RulePolicy:
    r"""Goes by the first rule that holds and whose tier can take the call; else asks the inner policy.

    Args:
        rules: The rules, in order.
        inner: The policy for all other calls.

    Example:
        >>> from langchain_agentcost.routing.policies.fixed import FixedPolicy
        >>> from langchain_agentcost.routing.policy import Offer
        >>> from langchain_agentcost.routing.tier import Tier
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> offers = [Offer(tier=Tier(name, FakeMeteredChatModel())) for name in ("haiku", "opus")]
        >>> policy = RulePolicy([Rule("opus", r"\blawyer\b")], inner=FixedPolicy("haiku"))
        >>> policy.choose(RouteRequest.of("Ask my lawyer."), offers).tier
        'opus'
    """

    rules: Sequence[Rule]
    _: KW_ONLY
    inner: Policy

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "rule"

    @property
    def keeps_threshold(self) -> bool:
        """A rule may say otherwise."""
        return False

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose by the rules, else as the inner policy does."""
        missing: list[str] = []
        for number, rule in enumerate(self.rules, start=1):
            if not rule.holds(request):
                continue
            offer = offer_named(offers, rule.tier)
            if offer is not None:
                why = rule.why or f"rule {number} sends it to {rule.tier}"
                return Choice(tier=offer.name, policy=self.name, reasons=(*missing, why))
            missing.append(f"rule {number} holds, but {rule.tier} cannot take the call")
        choice = self.inner.choose(request, offers)
        return replace(said_by(self.name, choice), reasons=(*missing, *choice.reasons))
