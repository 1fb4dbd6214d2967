"""Gives up more quality the closer a budget comes to its end."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.policies.within import said_by
from langchain_agentcost.routing.policy import Choice, Offers, Policy
from langchain_agentcost.routing.request import RouteRequest


@dataclass(frozen=True, slots=True)
class BudgetAware:
    """Raises what a scored policy in it may lose as the tightest budget is used.

    Until `since` of the budget is used nothing changes; from there the thrift rises in a straight line, to `most` when
    all is used. That goes beyond what a calibration proves, by design: a floor and this are not held at once.

    Around a `StepPolicy` that nothing was calibrated for, with `most` and `since` as they are, and with tiers small and
    frontier, that comes to this: a step that asks for mid goes to small once 62.5 % are used, one that asks for
    frontier only when all is; one of which nothing says what it needs between 72 %, for a word or two, and the very
    end, for a long text. With a mid tier between them, the last two go to that first: from 62.5 % on, and between 51 %
    and 62.5 %.

    So where there is no mid tier, hard steps stay with the strongest to the end. A higher `most` has them yield
    earlier. A calibrated policy's losses and threshold are its own, and so is where it yields.

    Args:
        inner: The policy that chooses.
        most: How much more quality may be lost when all is used, as a share, from 0 to 1.
        since: From which used share on, from 0 to below 1.

    Raises:
        RoutingError: If a share is out of its bounds.

    Example:
        >>> from langchain_agentcost.routing.policies.step import StepPolicy
        >>> policy = BudgetAware(StepPolicy(), most=0.2)
        >>> [policy.thrift(used) for used in (None, 0.5, 0.75, 1.0)]
        [0.0, 0.0, 0.1, 0.2]
    """

    inner: Policy
    _: KW_ONLY
    most: float = 0.2
    since: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.most <= 1 or not 0 <= self.since < 1:
            raise RoutingError("most is a share from 0 to 1, and since one from 0 to below 1.")

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "budget"

    @property
    def keeps_threshold(self) -> bool:
        """It goes beyond it."""
        return False

    def thrift(self, used: float | None) -> float:
        """Give how much more may be lost when this share of the budget is used; None is no budget."""
        if used is None or used <= self.since:
            return 0.0
        return self.most * (min(used, 1.0) - self.since) / (1 - self.since)

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose as the inner policy does with more thrift."""
        thrift = self.thrift(request.used)
        if not thrift:
            return said_by(self.name, self.inner.choose(request, offers))
        choice = self.inner.choose(replace(request, thrift=request.thrift + thrift), offers)
        why = f"{request.used:.0%} of the budget is used, so {thrift:.3f} more may be lost"
        return said_by(self.name, choice, reasons=(*choice.reasons, why))
