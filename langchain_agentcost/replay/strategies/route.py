"""Routing by step: some calls go to a cheaper model. Prices only: what it would have answered is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.steps import one_read
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session


@dataclass(frozen=True, slots=True)
class RouteReads:
    """Send a call to a cheaper model where the recorded answer is one tool call that only reads: hindsight.

    Each model has a prompt cache of its own: whoever alternates pays for writing both. A cheaper model is charged for
    the recorded tokens; real ones take more calls and more tokens for the same task, so this is an upper bound.

    Args:
        to: The cheaper model, or the share of the price that it costs, such as 1/15.
    """

    name: ClassVar[str] = "route_reads"
    fidelity: ClassVar[Fidelity] = Fidelity.PRICE_BOUND
    needs_text: ClassVar[bool] = True

    to: str = "1/15"

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        cheap = {id(call) for call in scene.episode.calls if one_read(call.answer)}
        return _Routing(scene, self.to, cheap)


@dataclass(frozen=True, slots=True)
class RouteShort:
    """Send the calls with the shortest answers of each run to a cheaper model: hindsight.

    Args:
        to: The cheaper model, or the share of the price that it costs, such as 1/15.
        share: Which share of a run's calls.
    """

    name: ClassVar[str] = "route_short"
    fidelity: ClassVar[Fidelity] = Fidelity.PRICE_BOUND
    needs_text: ClassVar[bool] = False

    to: str = "1/15"
    share: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is from 0 to 1, not {self.share}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        calls = sorted(scene.episode.calls, key=scene.sizes.answer_tokens)
        return _Routing(scene, self.to, set(map(id, calls[: round(self.share * len(calls))])))


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
