"""What a router learns from: one call that several tiers have answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.request import RouteRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call and how good each tier's answer to it was.

    Args:
        request: The call.
        quality: By tier, from 0 (wrong) to 1 (right). A tier that was not tried is not there.
        nano: By tier, what its answer cost, in nano-USD; a tier whose cost is not known is not there.
        id: What tells it from others: the same one twice counts once. Empty where nothing does.

    Raises:
        RoutingError: If a quality is not from 0 to 1.
    """

    request: RouteRequest
    quality: Mapping[str, float]
    nano: Mapping[str, int] = field(default_factory=dict)
    id: str = ""

    def __post_init__(self) -> None:
        for tier, value in self.quality.items():
            if not 0 <= value <= 1:
                raise RoutingError(f"The quality of {tier!r} is from 0 to 1, not {value!r}.")
