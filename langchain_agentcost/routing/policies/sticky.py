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
    - else where the inner policy would choose it if its cache held the thread, and what staying has cost more than that
      comes, with this call, to more than moving there costs.

    The second is the rule of whoever rents skis and does not know how often he will ski: he buys once the rent comes to
    the price. Whatever the thread does next, that costs at most twice what is best in hindsight, and no rule that does
    not draw lots does better (Karlin et al., Competitive Snoopy Caching, Algorithmica 3, 1988). That holds of one
    move; a thread whose calls need now the one and now the other tier is moved as they need it. Each move begins
    anew, so that it does not go back and forth. By the price of this very call alone, a thread on a warm strong tier
    would never leave it.

    Staying keeps the inner policy's promise: the tier that is kept is within its threshold. A thread is a LangGraph
    thread or a session; a call of neither has no last tier. Prompts that begin otherwise, such as those of a subgraph
    with a system prompt of its own, count apart. The rent is added up as calls are made (`Offer.rent_nano`,
    `Choice.preferred`).

    Args:
        inner: The policy that chooses. One that draws belongs around this one, not in it: how probable it is to stay
            is not told.
        calls: For how many calls, this one included, the inner policy is expected to choose as it does now, where that
            is known: then another tier is taken where expected + (calls - 1) * warm is lower there than here, with
            `expected` what the call costs with the cache as it is, and `warm` what it costs once the tier holds the
            prompt; and the inner policy is shown that sum as what a tier costs. None rents or buys.

    Raises:
        RoutingError: If `calls` is below 1.

    Example:
        >>> from langchain_agentcost.routing.tier import Tier
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> from langchain_agentcost.routing.policies.fixed import FixedPolicy
        >>> small, large = (Tier(name, FakeMeteredChatModel()) for name in ("small", "large"))
        >>> large = Offer(tier=large, expected_nano=20, warm_nano=20, last=True)
        >>> policy = Sticky(FixedPolicy("small"))
        >>> for rent_nano in (13, 26):
        ...     offers = [Offer(tier=small, expected_nano=41, warm_nano=7, rent_nano=rent_nano), large]
        ...     policy.choose(RouteRequest.of("x"), offers).tier
        'large'
        'small'
    """

    inner: Policy
    _: KW_ONLY
    calls: int | None = None

    def __post_init__(self) -> None:
        if self.calls is not None and self.calls < 1:
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
        last = next((offer for offer in offers if offer.last), None)
        if last is None and self.calls is None:
            return said_by(self.name, self.inner.choose(request, offers))
        choice = self.inner.choose(request, [replace(offer, expected_nano=self.cost_nano(offer)) for offer in offers])
        if last is None or last.name == choice.tier:
            return said_by(self.name, choice)
        if self._needed(request, offers, choice, last):
            now = choice if self.calls is not None else self.inner.choose(request, offers)  # whatever comes, this does
            return _moved(now, f"{last.name}, the thread's last, is expected to lose too much")
        wanted = next(offer for offer in offers if offer.name == choice.tier)
        if self._pays(last, wanted):
            return _moved(choice, self._left(last))
        return said_by(
            self.name,
            choice,
            tier=last.name,
            reasons=(*choice.reasons, self._stays(last, wanted)),
            propensity=1.0,
            verifier=None,
            escalate_to=None,
            accepted=None,
            preferred=wanted.name,
        )

    def cost_nano(self, offer: Offer) -> int | None:
        """Give what the inner policy is shown as what a tier costs, in nano-USD; None where a price is not known.

        That is what `calls` calls cost there; where these are not known, one call with a warm prompt cache.
        """
        if offer.expected_nano is None or offer.warm_nano is None:
            return None
        return offer.warm_nano if self.calls is None else offer.expected_nano + (self.calls - 1) * offer.warm_nano

    def _pays(self, last: Offer, wanted: Offer) -> bool:
        """Whether it pays to leave the last tier for the one that is wanted."""
        here, there = self.cost_nano(last), self.cost_nano(wanted)
        if here is None or there is None or last.expected_nano is None or wanted.expected_nano is None:
            return False
        if self.calls is not None:
            return there < here
        return there < last.expected_nano and wanted.expected_nano < wanted.rent_nano + last.expected_nano

    def _needed(self, request: RouteRequest, offers: Offers, choice: Choice, last: Offer) -> bool:
        """Whether the last tier is not good enough for this call."""
        scored, names = scored_in(self.inner), [offer.name for offer in offers]
        if scored is None or choice.threshold is None:
            return names.index(choice.tier) > names.index(last.name)
        return scored.losses(request, names).get(last.name, 1.0) > choice.threshold

    def _left(self, last: Offer) -> str:
        if self.calls is None:
            return f"it leaves {last.name}: to stay has come to cost more than to move"
        return f"{self.calls} calls are cheaper there than at {last.name}, its cache counted"

    def _stays(self, last: Offer, wanted: Offer) -> str:
        if self.calls is None:
            return f"it stays with {last.name}: that has not cost so much yet as to move to {wanted.name}"
        return f"it stays with {last.name}: {self.calls} calls at {wanted.name} are not cheaper, the cache counted"


def _moved(choice: Choice, why: str) -> Choice:
    return said_by("sticky", choice, reasons=(*choice.reasons, why))
