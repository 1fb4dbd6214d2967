"""All of this package together, as it is on by default: what each feature saves beyond those before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Overhead, Request
from langchain_agentcost.replay.strategies.compact import Compact
from langchain_agentcost.replay.strategies.context import EvictContext
from langchain_agentcost.replay.strategies.limits import Breakers
from langchain_agentcost.replay.strategies.reference import FETCH_TOKENS, Reference
from langchain_agentcost.replay.strategies.tool_cache import ToolCache
from langchain_agentcost.replay.strategy import Combined, Fidelity, Scene, Session, Strategy


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Charge for reading back what the strategies before this one took out of a prompt, where recorded calls prove it.

    An evicted result gives way to a note that says how to read it, where references are on. Where a recorded call uses
    a literal that cannot be read in what is sent and stands in a tool result, the agent is charged for one more call:
    the same prompt, which the cache has by then, and the whole result. What `Reference` put aside it has charged
    itself, and such a call is charged twice: the saving is rather told too low. Arguments of the agent's own calls are
    kept nowhere and cannot be read back; those steps are counted as dangling all the same.
    """

    name: ClassVar[str] = "read_back"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Reading(scene)


class _Reading(Session):
    def before(self, call: Call, request: Request) -> Request:
        literals, sizes = self.scene.literals, self.scene.sizes
        needed: dict[int, BaseMessage] = {}
        for literal in literals.dangling(call, request.messages):
            kept = [message for message in literals.sources(call, literal) if isinstance(message, ToolMessage)]
            needed |= {id(message): message for message in kept[-1:]}
        prompt = sizes.tokens(request.tools, request.messages) if needed else 0
        for message in needed.values():
            self.tally["fetches"] += 1
            self.overhead.append(Overhead(prompt + sizes.of(message).tokens, FETCH_TOKENS, read_tokens=prompt))
        return request


class Feature(NamedTuple):
    """A part of the composed default.

    Args:
        name: What it is called.
        strategy: How it is replayed, by its defaults.
    """

    name: str
    strategy: Strategy


FEATURES: tuple[Feature, ...] = (
    Feature("limits", Breakers()),
    Feature("tool cache", ToolCache()),
    Feature("lossless context", Compact()),
    Feature("references", Reference()),
    Feature("eviction, read back", Combined((EvictContext(), ReadBack()))),
)
"""The order in which savings are told apart: the most certain first, and of equals that which acts first. What a
feature saves is what the bill falls by when it joins those before it, so that the parts add up to the whole; in another
order a later one would be told more, and an earlier one less."""


def in_order() -> Iterator[tuple[Feature, Combined]]:
    """Give each feature with all up to it combined."""
    for count, feature in enumerate(FEATURES, 1):
        yield feature, Combined(tuple(known.strategy for known in FEATURES[:count]))


@dataclass(frozen=True, slots=True)
class Composed:
    """The whole default: circuit breakers, tool cache, lossless context, references, eviction. No router.

    What a router would do to a recorded run nobody knows; where several models were recorded on the same tasks,
    `replay.outcomes` says what it does to whole runs.
    """

    name: ClassVar[str] = "composed"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Combined(tuple(feature.strategy for feature in FEATURES)).begin(scene)


@dataclass(frozen=True, slots=True)
class ComposedLossless:
    """The part of the default that loses nothing: circuit breakers, tool cache, lossless context."""

    name: ClassVar[str] = "composed_lossless"
    fidelity: ClassVar[Fidelity] = Fidelity.SAME_INFORMATION
    needs_text: ClassVar[bool] = True

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Combined(lossless_parts()).begin(scene)


def lossless_parts() -> tuple[Strategy, ...]:
    """Give the features whose fidelity is that of the same information, or better."""
    order = list(Fidelity)
    certain = order[: order.index(Fidelity.SAME_INFORMATION) + 1]
    return tuple(feature.strategy for feature in FEATURES if feature.strategy.fidelity in certain)
