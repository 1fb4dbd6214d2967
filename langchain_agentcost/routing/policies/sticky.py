"""Stays with a thread's tier, unless leaving it saves more than the lost prompt cache costs."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.policies.within import said_by, scored_in
from langchain_agentcost.routing.policy import Choice, Offer, Offers, Policy
from langchain_agentcost.routing.request import RouteRequest


@dataclass(frozen=True, slots=True)
class Sticky:
    """Leaves the tier of a thread's last call only where that is needed, or pays.

    Prompt caches are a model's own: the first call elsewhere pays for the whole prompt anew. So another tier is taken

    - at once where the last tier is expected to lose more than the inner policy allows; where the inner policy has no
      expectation, where it asks for a stronger one;
    - else where `calls` calls there cost less: expected + (calls - 1) * warm is lower there than here, with `expected`
      what the call costs with the cache as it is, and `warm` what it costs once the tier holds the prompt.

    The inner policy is shown that sum as what a tier costs, so that it looks ahead too: by the price of this very call
    alone, a thread on a warm strong tier would never leave it.

    Staying keeps the inner policy's promise: the tier that is kept is within its threshold. A thread is a LangGraph
    thread, or a run where there is none; prompts that begin otherwise, such as those of a subgraph with a system prompt
    of its own, count apart.

    Args:
        inner: The policy that chooses. One that draws belongs around this one, not in it: how probable it is to stay
            is not told.
        calls: For how many calls, this one included, the inner policy is expected to choose as it does now. 1 leaves
            only where this very call is cheaper elsewhere already.

    Raises:
        RoutingError: If `calls` is below 1.

    Example:
        >>> from langchain_agentcost.routing.tier import Tier
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> from langchain_agentcost.routing.policies.fixed import FixedPolicy
        >>> offers = [
        ...     Offer(tier=Tier("small", FakeMeteredChatModel()), expected_nano=41, warm_nano=7),
        ...     Offer(tier=Tier("large", FakeMeteredChatModel()), expected_nano=20, warm_nano=20, last=True),
        ... ]
        >>> [Sticky(FixedPolicy("small"), calls=calls).choose(RouteRequest.of("x"), offers).tier for calls in (2, 3)]
        ['large', 'small']
    """

    inner: Policy
    _: KW_ONLY
    calls: int = 4

    def __post_init__(self) -> None:
        if self.calls < 1:
            raise RoutingError(f"calls is 1 or more, not {self.calls!r}.")

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "sticky"

    @property
    def keeps_threshold(self) -> bool:
        """It stays only with a tier that is within it, where there is one."""
        return scored_in(self.inner) is not None

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose the thread's last tier or the inner policy's."""
        ahead = [replace(offer, expected_nano=self.cost_nano(offer)) for offer in offers]
        choice = self.inner.choose(request, ahead)
        last = next((offer for offer in offers if offer.last), None)
        if last is None or last.name == choice.tier:
            return said_by(self.name, choice)
        wanted = next(offer for offer in offers if offer.name == choice.tier)
        if self._needed(request, offers, choice, last):
            return _moved(choice, f"{last.name}, the thread's last, is expected to lose too much")
        here, there = self.cost_nano(last), self.cost_nano(wanted)
        if here is not None and there is not None and there < here:
            return _moved(choice, f"{self.calls} calls are cheaper there than at {last.name}, its cache counted")
        why = f"it stays with {last.name}: {self.calls} calls at {wanted.name} are not cheaper, the cache counted"
        return said_by(
            self.name,
            choice,
            tier=last.name,
            reasons=(*choice.reasons, why),
            propensity=1.0,
            verifier=None,
            escalate_to=None,
            accepted=None,
        )

    def cost_nano(self, offer: Offer) -> int | None:
        """Give what `calls` calls cost at a tier, in nano-USD; None where a price is not known."""
        if offer.expected_nano is None or offer.warm_nano is None:
            return None
        return offer.expected_nano + (self.calls - 1) * offer.warm_nano

    def _needed(self, request: RouteRequest, offers: Offers, choice: Choice, last: Offer) -> bool:
        """Whether the last tier is not good enough for this call."""
        scored, names = scored_in(self.inner), [offer.name for offer in offers]
        if scored is None or choice.threshold is None:
            return names.index(choice.tier) > names.index(last.name)
        return scored.losses(request, names).get(last.name, 1.0) > choice.threshold


def _moved(choice: Choice, why: str) -> Choice:
    return said_by("sticky", choice, reasons=(*choice.reasons, why))
