"""Routing by step: some calls go to a cheaper model. Prices only: what it would have answered is not known.

`route` is the package's own router policy. `route_reads` and `route_short` look at the recorded answer, which no router
can: they say how much is in it for one that knew every step, and what alternating between prompt caches costs, with the
package's `Sticky` or without. What cheaper models really did with the same tasks is in `replay.outcomes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableLambda

from langchain_agentcost.replay.cache import Chain, common
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.steps import one_read
from langchain_agentcost.replay.strategies.tool_schemas import tool_name
from langchain_agentcost.replay.strategy import Fidelity, Paid, Scene, Session
from langchain_agentcost.replay.tariff import Tariff
from langchain_agentcost.routing.forecast import OutputForecast
from langchain_agentcost.routing.policies.step import DEFAULT_THRESHOLD, StepPolicy
from langchain_agentcost.routing.policies.sticky import Sticky
from langchain_agentcost.routing.policy import Choice, Offer, Offers, Policy
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier

SMALL, STRONG = "small", "frontier"
"""The two tiers: the cheaper model, and the one that was recorded."""


@dataclass(frozen=True, slots=True)
class Route:
    """Ask the package's own policies before every call: `StepPolicy` within `Sticky`, two tiers, nothing calibrated.

    `Sticky` is told a horizon here; by default it rents or buys, without one.

    Recorded agents have one node whose name says nothing, so the policy expects a smaller model to lose quality on all
    their steps, the more the longer the user's words are. With the usual threshold nothing is routed; a higher one says
    what accepting that loss would save at most.

    Args:
        to: The cheaper model, or the share of the price that it costs, such as 1/15.
        threshold: The most quality that may be expected to be lost, as a share.
        calls: For how many calls a switch has to pay for the lost prompt cache; 0 switches whenever the step says so.
    """

    name: ClassVar[str] = "route"
    fidelity: ClassVar[Fidelity] = Fidelity.PRICE_BOUND
    needs_text: ClassVar[bool] = True

    to: str = "1/15"
    threshold: float = DEFAULT_THRESHOLD
    calls: int = 4

    def __post_init__(self) -> None:
        if self.threshold < 0:
            raise ValueError(f"threshold is at least 0, not {self.threshold}.")
        _count(self.calls)

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        step = StepPolicy(threshold=self.threshold)
        return _Stepping(scene, self.to, Sticky(inner=step, calls=self.calls) if self.calls else step)


@dataclass(frozen=True, slots=True)
class RouteReads:
    """Send a call to a cheaper model where the recorded answer is one tool call that only reads: hindsight.

    Each model has a prompt cache of its own: whoever alternates pays for writing both. A cheaper model is charged for
    the recorded tokens; real ones take more calls and more tokens for the same task, so this is an upper bound.

    Args:
        to: The cheaper model, or the share of the price that it costs, such as 1/15.
        calls: For how many calls a switch has to pay for the lost prompt cache, as in `Sticky`; 0 switches every time.
    """

    name: ClassVar[str] = "route_reads"
    fidelity: ClassVar[Fidelity] = Fidelity.PRICE_BOUND
    needs_text: ClassVar[bool] = True

    to: str = "1/15"
    calls: int = 0

    def __post_init__(self) -> None:
        _count(self.calls)

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        cheap = {id(call) for call in scene.episode.calls if one_read(call.answer)}
        return _hindsight(scene, self.to, cheap, self.calls)


@dataclass(frozen=True, slots=True)
class RouteShort:
    """Send the calls with the shortest answers of each run to a cheaper model: hindsight.

    Args:
        to: The cheaper model, or the share of the price that it costs, such as 1/15.
        share: Which share of a run's calls.
        calls: For how many calls a switch has to pay for the lost prompt cache, as in `Sticky`; 0 switches every time.
    """

    name: ClassVar[str] = "route_short"
    fidelity: ClassVar[Fidelity] = Fidelity.PRICE_BOUND
    needs_text: ClassVar[bool] = False

    to: str = "1/15"
    share: float = 0.6
    calls: int = 0

    def __post_init__(self) -> None:
        _count(self.calls)
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is from 0 to 1, not {self.share}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        calls = sorted(scene.episode.calls, key=scene.sizes.answer_tokens)
        return _hindsight(scene, self.to, set(map(id, calls[: round(self.share * len(calls))])), self.calls)


class _Routing(Session):
    def __init__(self, scene: Scene, to: str, cheap: set[int]) -> None:
        super().__init__(scene)
        scene.tariffs.named(to, scene.tariff)  # a model without a price fails at the first run, not in the middle
        self._to, self._cheap = to, cheap

    def before(self, call: Call, request: Request) -> Request:
        if id(call) not in self._cheap:
            return request
        self.tally["routed_calls"] += 1
        return request._replace(model=self._to)


def _hindsight(scene: Scene, to: str, cheap: set[int], calls: int) -> Session:
    """Send what is known to be cheap to the cheaper model, every time or where `Sticky` says that it pays."""
    return _Knowing(scene, to, cheap, calls) if calls else _Routing(scene, to, cheap)


def _count(calls: int) -> None:
    if calls < 0:
        raise ValueError(f"calls is at least 0, not {calls}.")


class _Stepping(Session):
    """Offers both tiers at what the call would cost there, and goes where the policy says.

    What each one's prompt cache holds is counted by the replay's own sizes; how long answers are is learnt from earlier
    calls of the source.
    """

    def __init__(self, scene: Scene, to: str, policy: Policy) -> None:
        super().__init__(scene)
        self._to, self._policy = to, policy
        tariffs = {SMALL: scene.tariffs.named(to, scene.tariff), STRONG: scene.tariff}
        self._tariffs: dict[str, Tariff] = tariffs
        self._tiers = tuple(
            Tier(name, RunnableLambda(_never), level="small" if name == SMALL else "frontier", price=tariff.card)
            for name, tariff in tariffs.items()
        )
        self._forecast: OutputForecast = scene.memory.setdefault("forecast", OutputForecast())
        self._tools = tuple(map(tool_name, scene.episode.tools))
        self._chain = Chain(scene.sizes)
        self._sent: dict[str, tuple[BaseMessage, ...]] = {}
        self._last: str | None = None
        self._asked: RouteRequest | None = None

    def before(self, call: Call, request: Request) -> Request:
        self._chain.follow(request)
        scale = self.scene.sizes.scale(call)
        total = round(self._chain.tokens * scale)
        asked = RouteRequest(
            messages=request.messages, tools=self._tools, thread=self.scene.episode.id, prompt_tokens=total
        )
        held = {name: round(self._held(name, request) * scale) for name in self._tariffs}
        offers = [self._offer(tier, asked, held=held[tier.name], seen=max(held.values())) for tier in self._tiers]
        chosen = self._policy.choose(asked, offers).tier
        self.tally["switches"] += self._last not in (None, chosen)
        self._sent[chosen], self._last, self._asked = request.messages, chosen, asked
        if chosen == STRONG:
            return request
        self.tally["routed_calls"] += 1
        return request._replace(model=self._to)

    def after(self, call: Call, paid: Paid) -> None:
        if self._asked is not None and self._last is not None:
            self._forecast.learn(self._asked.signature, self._last, paid.usage.output_tokens)

    def _held(self, tier: str, request: Request) -> int:
        """How much of a prompt a tier was sent before, in this run: the prompts of a run share their tools."""
        before = self._sent.get(tier)
        return self._chain.sums[common(before, request.messages)] if before is not None else 0

    def _offer(self, tier: Tier, asked: RouteRequest, *, held: int, seen: int) -> Offer:
        output = self._forecast.tokens(asked.signature, tier.name)
        expected, warm = (self._nano(tier.name, asked.prompt_tokens, output, tokens) for tokens in (held, seen))
        return Offer(tier=tier, expected_nano=expected, warm_nano=warm, last=tier.name == self._last)

    def _nano(self, tier: str, prompt: int, output: int, held: int) -> int:
        tariff = self._tariffs[tier]
        read = tariff.terms.cached(min(held, prompt), prompt) if tariff.terms is not None else 0
        return tariff.nano(tariff.usage(prompt, output, read_tokens=read))


@dataclass(slots=True)
class _Told:
    """A policy that is told the tier."""

    tier: str = STRONG

    @property
    def name(self) -> str:
        return "hindsight"

    def choose(self, request: RouteRequest, offers: Offers) -> Choice:
        return Choice(tier=self.tier, policy=self.name)


class _Knowing(_Stepping):
    """Asks `Sticky` around what is known in hindsight."""

    def __init__(self, scene: Scene, to: str, cheap: set[int], calls: int) -> None:
        self._told, self._cheap = _Told(), cheap
        super().__init__(scene, to, Sticky(inner=self._told, calls=calls))

    def before(self, call: Call, request: Request) -> Request:
        self._told.tier = SMALL if id(call) in self._cheap else STRONG
        return super().before(call, request)


def _never(asked: object) -> object:
    """A tier's model in a replay: nobody asks it."""
    raise NotImplementedError
