"""A cheaper tier first, a check of its answer, and at most one escalation; only where that is expected to pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from threading import Lock
from typing import Any, NamedTuple, Self

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.cascade_cost import assess, expected_nano
from langchain_agentcost.routing.policies.draw import drawn
from langchain_agentcost.routing.policies.within import said_by
from langchain_agentcost.routing.policy import Choice, Offers, Policy
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verifier

PRIOR_WEIGHT = 10
"""How many checked answers weigh as much as what was assumed."""

REMEMBERED = 200
"""So many checked answers count of a tier and a node; then older ones fade, so that it can get better or worse."""


class Acceptance:
    """Which part of a tier's answers passes the check, by node: what a cascade learns. Threads may share it.

    The last 200 answers or so count; older ones fade.

    Args:
        prior: The part that is assumed where nothing was checked, from 0 to 1; it weighs as much as 10 answers.

    Raises:
        RoutingError: If it is not from 0 to 1.

    Example:
        >>> acceptance = Acceptance(prior=0.5)
        >>> for _ in range(10):
        ...     acceptance.checked("small", node="extract", accepted=True)
        >>> acceptance.share("small", node="extract"), acceptance.share("small", node="plan")
        (0.75, 0.5)
    """

    def __init__(self, prior: float = 0.5) -> None:
        if not 0 <= prior <= 1:
            raise RoutingError(f"The part of answers that passes is from 0 to 1, not {prior!r}.")
        self.prior = prior
        self._lock = Lock()
        self._counts: dict[tuple[str, str], tuple[float, float]] = {}

    def checked(self, tier: str, *, node: str | None, accepted: bool) -> None:
        """Count an answer that was checked."""
        with self._lock:
            passed, count = self._counts.get((tier, node or ""), (0, 0))
            kept = min(1.0, (REMEMBERED - 1) / count) if count else 1.0
            self._counts[tier, node or ""] = passed * kept + accepted, count * kept + 1

    def share(self, tier: str, *, node: str | None) -> float:
        """Give the part that is expected to pass."""
        passed, count = self._counts.get((tier, node or ""), (0, 0))
        return (passed + self.prior * PRIOR_WEIGHT) / (count + PRIOR_WEIGHT)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data that JSON can hold."""
        with self._lock:
            counts = sorted(self._counts.items())
        rows = [{"tier": tier, "node": node, "passed": n, "of": of} for (tier, node), (n, of) in counts]
        return {"prior": self.prior, "counts": rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote.

        Raises:
            RoutingError: If it is not that.
        """
        try:
            made = cls(data["prior"])
            made._counts = {
                (row["tier"], row["node"]): (float(row["passed"]), float(row["of"])) for row in data["counts"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise RoutingError(f"This is no count of accepted answers: {error!r}.") from error
        return made


class _Draft(NamedTuple):
    name: str
    nano: int
    accepted: float


@dataclass(frozen=True, slots=True)
class CascadePolicy:
    """Puts a cheaper tier before the one that the inner policy chooses, and has its answer checked.

    Of the tiers that are weaker than the chosen one, that with the lowest expected cost is put before it: its own cost,
    the check's, and the chosen tier's as often as an answer does not pass. Where no such cascade is cheaper than the
    chosen tier alone, there is none, and the reason says so. A cascade is as good as its check: what is proven of the
    inner policy's threshold does not cover the answers that pass.

    Which part passes is learnt from answers that were checked, errors aside: a provider that is down says nothing of a
    tier. A cascade that was ended by what was learnt, and that what is assumed at first would not refuse, is tried
    again on a small share of calls: by bad luck or a bad day it would else end for good. The same call always has the
    same draw. Where even what is assumed at first loses money, it is never tried: state a higher `Acceptance(prior)`.

    Args:
        verifier: What checks the answer.
        inner: The policy that chooses who would answer alone; None takes the strongest.
        acceptance: What is learnt of the check; it is not in here, so that the policy stays pure.
        check_nano: What a check costs by itself, in nano-USD. It has to be stated where the check asks a model, whose
            price is not known here: a judge that is as dear as the strong tier eats what drafts save.
        retry: The share of calls on which a cascade is tried again that was ended by what was learnt; 0 never does.

    Raises:
        RoutingError: If the check asks a model and its cost is not stated, or is below 0; or if `retry` is no share.
    """

    verifier: Verifier
    _: KW_ONLY
    inner: Policy | None = None
    acceptance: Acceptance = field(default_factory=Acceptance)
    check_nano: int | None = None
    retry: float = 0.02

    def __post_init__(self) -> None:
        if self.check_nano is None and int(getattr(self.verifier, "calls", 0)) > 0:
            raise RoutingError(
                f"The check {self.verifier.name!r} asks a model, and what that costs is not known: state check_nano=, "
                "the nano-USD of one check. In a routing_report without shadow calls it is evaluation over "
                "escalations.drafts; before there is one, take the judge's price of the messages that it is shown."
            )
        if self.check_nano is not None and self.check_nano < 0:
            raise RoutingError(f"check_nano is 0 or more, not {self.check_nano!r}.")
        if not 0 <= self.retry <= 1:
            raise RoutingError(f"retry is a share from 0 to 1, not {self.retry!r}.")

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "cascade"

    @property
    def keeps_threshold(self) -> bool:
        """Answers that pass the check come from a tier that the threshold may not allow."""
        return False

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose the cheapest cascade, or who answers alone."""
        alone = Choice(tier=offers[-1].name, policy="strongest")
        if self.inner is not None:
            alone = self.inner.choose(request, offers)
        at = next(place for place, offer in enumerate(offers) if offer.name == alone.tier)
        drafts, strong_nano = self._drafts(request, offers[:at]), offers[at].expected_nano
        if not at or alone.verifier is not None:
            return said_by(self.name, alone)
        if not drafts or strong_nano is None:
            return _refused(alone, "no cascade: what it would cost is not known")
        draft, refusal = self._best(drafts, strong_nano)
        why = f"{draft.name} first, as {draft.accepted:.0%} of its answers are expected to pass {self.verifier.name}"
        if refusal is not None:
            said = f"no cascade from {draft.name}, it {refusal} with {draft.accepted:.0%} accepted"
            again = self._again(request, drafts, strong_nano)
            if again is None:
                return _refused(alone, said)
            draft, why = (
                again,
                f"{again.name} first, on {self.retry:.0%} of calls, to see whether it is still so: {said}",
            )
        return said_by(
            self.name,
            alone,
            tier=draft.name,
            reasons=(*alone.reasons, why),
            verifier=self.verifier,
            escalate_to=alone.tier,
            accepted=draft.accepted,
        )

    def checked(self, request: RouteRequest, choice: Choice, *, accepted: bool) -> None:
        """Learn whether a draft passed; another policy's, or one that only another check saw, is none of its."""
        if choice.accepted is not None:
            self.acceptance.checked(choice.tier, node=request.node, accepted=accepted)

    def _drafts(self, request: RouteRequest, weaker: Offers) -> list[_Draft]:
        return [
            _Draft(offer.name, offer.expected_nano, self.acceptance.share(offer.name, node=request.node))
            for offer in weaker
            if offer.expected_nano is not None
        ]

    def _best(self, drafts: Sequence[_Draft], strong_nano: int) -> tuple[_Draft, str | None]:
        """The draft with which all is expected to cost least, and why it is none all the same."""
        priced = {"strong_nano": strong_nano, "check_nano": self.check_nano or 0}
        draft = min(drafts, key=lambda one: expected_nano(cheap_nano=one.nano, accepted=one.accepted, **priced))
        refusal = assess(cheap_nano=draft.nano, accepted=draft.accepted, **priced)
        return draft, None if refusal is None else refusal.name

    def _again(self, request: RouteRequest, drafts: Sequence[_Draft], strong_nano: int) -> _Draft | None:
        """The draft that is tried although it was seen to fail; None on most calls."""
        if drawn(request, "cascade") >= self.retry:
            return None
        draft, refusal = self._best([one._replace(accepted=self.acceptance.prior) for one in drafts], strong_nano)
        return next(one for one in drafts if one.name == draft.name) if refusal is None else None


def _refused(alone: Choice, why: str) -> Choice:
    return said_by("cascade", alone, reasons=(*alone.reasons, why))
