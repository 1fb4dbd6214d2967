"""The default policy: what kind of step a call is says which tier it needs, without a look at its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log2
from typing import Any, NamedTuple, Self

from langchain_agentcost.canonical import as_json, digest
from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.policies.learned import LearnedLosses
from langchain_agentcost.routing.policies.step_map import PRIOR_LOSS, STEPS, level_above, level_named, levels_by_place
from langchain_agentcost.routing.policies.within import settings_of
from langchain_agentcost.routing.policy import Choice, Learning, Offers, Scored, cheapest_within
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.score_bins import UNSEEN
from langchain_agentcost.routing.signature import Signature
from langchain_agentcost.routing.tier import LEVELS, Level, Tier

DEFAULT_THRESHOLD = 0.05
"""What may be lost where nothing was calibrated: less than a tier a level too low is expected to lose."""

_SURE = 30

_HARDLY, _MOSTLY = 0.02, 0.5
"""What is lost on average where all calls of a kind may go to a tier, and where none should."""

_LONGEST_CHARS = 16_000
_PLACES = 4

_MAP = digest(as_json([dict(STEPS), PRIOR_LOSS])).hex()[:12]
"""Which built-in map it is: what is proven with one holds for no other."""


class _Need(NamedTuple):
    """What a step asks for, why, whether that is said and not guessed, and how heavy a shortfall is."""

    level: Level
    why: str
    said: bool
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPolicy:
    """Sends each kind of step to the cheapest tier that is good enough for it.

    What a step asks for is said by `steps`, by the words in the node's name (`step_map.STEPS`), or by those in its
    schema's name; after a tool's error, or where the same call is made again, one level more. Where nothing says so,
    filling a schema without tools counts as extraction, and all else asks for the strongest tier, the more the longer
    the text is. Examples correct that by signature (`LearnedLosses`). Once it has learnt from some, a kind of step of
    which there is none goes to the strongest tier, whatever it is called: nothing is known of how others do there.

    Args:
        steps: Levels by node, for names that say nothing or something wrong.
        threshold: The most quality that may be lost, as a share; calibration sets it.
        otherwise: A policy that says what is lost on calls whose signature does not decide, such as one that embeds.
            A signature decides where a name says it; once it has `sure` examples, where a tier hardly ever loses on it
            or loses half of the time or more. In between, the text tells more of the single call.
        sure: From how many examples on what was seen of a signature is more than its name.
        levels: How strong the tiers are, by name; of those not named their place among the tiers says.
        learned: What examples taught.

    Example:
        >>> from langchain_agentcost.routing.policy import Offer
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> offers = [Offer(tier=Tier(name, FakeMeteredChatModel())) for name in ("haiku", "opus")]
        >>> policy = StepPolicy(steps={"chat": "small"})
        >>> [policy.choose(RouteRequest.of("...", node=node), offers).tier for node in ("chat", "plan_trip", "format")]
        ['haiku', 'opus', 'haiku']
    """

    steps: Mapping[str, Level] = field(default_factory=dict)
    threshold: float = DEFAULT_THRESHOLD
    otherwise: Scored | None = None
    sure: int = _SURE
    levels: Mapping[str, Level] = field(default_factory=dict)
    learned: LearnedLosses = field(default_factory=LearnedLosses)

    def __post_init__(self) -> None:
        wrong = sorted(str(level) for level in {*self.steps.values(), *self.levels.values()} if level not in LEVELS)
        if wrong:
            raise RoutingError(f"A level is one of {', '.join(LEVELS)}, not {', '.join(wrong)}.")

    @property
    def name(self) -> str:
        """What it is called in decisions and reports."""
        return "step"

    @property
    def embeds(self) -> bool:
        """Whether `otherwise` does."""
        return bool(getattr(self.otherwise, "embeds", False))

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        """Choose the cheapest offer that is not expected to lose more than may be lost."""
        known = self.levelled([offer.tier for offer in offers])
        losses = known.losses(request, [offer.name for offer in offers])
        choice = cheapest_within(self.name, losses, offers, threshold=self.threshold + request.thrift)
        return replace(choice, reasons=(self._why(request), *choice.reasons))

    def _why(self, request: RouteRequest) -> str:
        signature = request.signature
        if self._unseen(signature):
            return "no example of this kind of step is known"
        seen = self.learned.seen(signature) if self.learned.examples else 0
        if seen >= self.sure:
            return f"{seen:,} examples of this kind of step are known"
        return self._need(request, signature).why

    def losses(self, request: RouteRequest, tiers: Sequence[str]) -> Mapping[str, float]:
        """Give what each tier is expected to lose against the last one."""
        signature = request.signature
        if self._unseen(signature):
            return {**dict.fromkeys(tiers, UNSEEN), tiers[-1]: 0.0}
        need = self._need(request, signature)
        levels = {**levels_by_place(tiers), **self.levels}
        losses = self._own({tier: _prior(need, levels[tier]) for tier in tiers}, signature, tiers[-1])
        if self.otherwise is None or self._decides(need, signature, losses):
            return losses
        return {**losses, **self.otherwise.losses(request, tiers)}

    def with_threshold(self, threshold: float) -> Self:
        """Give the same policy with another threshold."""
        return replace(self, threshold=threshold)

    def levelled(self, tiers: Sequence[Tier]) -> Self:
        """Give the policy that knows how strong a router's tiers say they are; what it was told itself goes first."""
        said = {tier.name: tier.level for tier in tiers if tier.level is not None and tier.name not in self.levels}
        return replace(self, levels={**said, **self.levels}) if said else self

    def settings(self) -> dict[str, Any]:
        """Give what it was told: a calibration holds for the same settings alone."""
        other = self.otherwise
        return {
            "steps": dict(self.steps),
            "levels": dict(self.levels),
            "sure": self.sure,
            "otherwise": None if other is None else {"policy": other.name, **settings_of(other)},
            "map": _MAP,
        }

    def fit(self, examples: Sequence[Example], tiers: Sequence[str]) -> Self:
        """Give the policy with what examples teach; of `otherwise` too, where it learns."""
        inner = self.otherwise.fit(examples, tiers) if isinstance(self.otherwise, Learning) else self.otherwise
        return replace(self, learned=LearnedLosses.of(examples, tiers), otherwise=inner)

    def as_dict(self) -> dict[str, Any]:
        """Give what it has learnt: by signature and tier how many examples there were and what was lost."""
        inner = {"otherwise": self.otherwise.as_dict()} if isinstance(self.otherwise, Learning) else {}
        return {"policy": self.name, **self.learned.as_dict(), **inner}

    def with_learned(self, data: Mapping[str, Any]) -> Self:
        """Give the policy with what `as_dict` wrote.

        Raises:
            RoutingError: If it is not a step policy's, or not that of what `otherwise` holds.
        """
        learns = isinstance(self.otherwise, Learning)
        if data.get("policy") != self.name or learns != ("otherwise" in data):
            raise RoutingError(f"This was learnt by another policy than {self.name!r} with the same `otherwise`.")
        inner = (
            self.otherwise.with_learned(data["otherwise"]) if isinstance(self.otherwise, Learning) else self.otherwise
        )
        return replace(self, learned=LearnedLosses.from_dict(data), otherwise=inner)

    def _unseen(self, signature: Signature) -> bool:
        return self.learned.examples > 0 and not self.learned.knows(signature)

    def _decides(self, need: _Need, signature: Signature, losses: Mapping[str, float]) -> bool:
        """Whether the signature says enough, so that the text need not be looked at."""
        if not self.learned.examples or self.learned.seen(signature) < self.sure:
            return need.said
        return all(loss <= _HARDLY or loss >= _MOSTLY for loss in losses.values())

    def _own(self, priors: Mapping[str, float], signature: Signature, strongest: str) -> dict[str, float]:
        """What the signature says, against the strongest tier that is left, which need not be that of the examples."""
        if not self.learned.examples:
            return {tier: prior - priors[strongest] for tier, prior in priors.items()}
        base = priors.get(self.learned.reference or "", 0.0)
        found = self.learned.losses(signature, {tier: prior - base for tier, prior in priors.items()})
        return {tier: loss - found[strongest] for tier, loss in found.items()}

    def _need(self, request: RouteRequest, signature: Signature) -> _Need:
        need = self._named(signature) or _guessed(request, signature)
        if signature.phase in ("user", "result") or need.level == LEVELS[-1]:
            return need
        level = level_above(need.level)
        return need._replace(level=level, why=f"{need.why}, and {level} after {_PHASES[signature.phase]}")

    def _named(self, signature: Signature) -> _Need | None:
        """What is said by the user, the node's name or the schema's, in this order."""
        node, schema = signature.node, signature.schema
        if node is not None and node in self.steps:
            return _Need(self.steps[node], f"step {node!r} is set to {self.steps[node]}", said=True)
        for kind, name in (("step", node), ("schema", schema)):
            level = level_named(name)
            if level is not None:
                return _Need(level, f"{kind} {name!r} asks for {level} by its name", said=True)
        return None


_PHASES = {"error": "a tool's error", "stalled": "the same call again"}


def _guessed(request: RouteRequest, signature: Signature) -> _Need:
    """What a step asks for whose names say nothing."""
    if signature.schema is not None and not signature.tools:
        return _Need("small", "a schema is filled without tools, as in extraction", said=False)
    length = min(len(request.text), _LONGEST_CHARS)
    weight = 0.5 + 0.5 * log2(1 + length) / log2(1 + _LONGEST_CHARS)
    return _Need("frontier", "nothing says what the step needs", said=False, weight=round(weight, _PLACES))


def _prior(need: _Need, level: Level) -> float:
    short = LEVELS.index(need.level) - LEVELS.index(level)
    return PRIOR_LOSS[max(short, 0)] * need.weight
