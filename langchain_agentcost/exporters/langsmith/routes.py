"""What a router decided, on the model run that it decided for, so that LangSmith can filter and group by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_agentcost.attribution import label
from langchain_agentcost.exporters.langsmith.costs import usd_of
from langchain_agentcost.routed import ROUTE, Routed

TAG = "router:"
"""What stands before the tier's name in the run's tag."""


@dataclass(frozen=True, slots=True)
class ShownRoute:
    """A decision as a model run shows it. Nothing of it is text of a prompt or an answer.

    The router's own metadata is nested, which LangSmith shows and cannot filter by: this says it flat.

    Args:
        tag: The tag of the tier, such as "router:small".
        metadata: The decision's id, why, what else was possible, and what each tier was expected to cost, in USD.

    Example:
        >>> routed = Routed(
        ...     id="1",
        ...     tier="small",
        ...     policy="step",
        ...     role="answer",
        ...     baseline="large",
        ...     expected_nano={"small": 1_000, "large": None},
        ... )
        >>> shown = ShownRoute.of(routed.as_metadata())
        >>> shown.tag, shown.metadata["agentcost_route_alternatives"], shown.metadata["agentcost_route_usd_small"]
        ('router:small', 'large', 1e-06)
    """

    tag: str
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, metadata: Mapping[str, Any] | None) -> ShownRoute | None:
        """Read it from the run's metadata; None where the call was not routed.

        Raises:
            TypeError: If it is not that of a routed call.
        """
        routed = Routed.from_metadata(metadata) if metadata and ROUTE in metadata else None
        return None if routed is None else cls(f"{TAG}{label(routed.tier)}", _flat(routed))


def _flat(routed: Routed) -> dict[str, Any]:
    others = [label(tier) for tier in routed.expected_nano if tier != routed.tier]
    said = {
        "id": routed.id,
        "reasons": "; ".join(map(str, routed.reasons)) or None,
        "alternatives": ", ".join(others) or None,
        "baseline": routed.baseline,
        "baseline_usd": None if routed.baseline_nano is None else usd_of(routed.baseline_nano),
        "score": routed.score,
        "propensity": routed.propensity if routed.propensity < 1 else None,
        "calibration": routed.calibration,
        **{f"usd_{label(tier)}": usd_of(nano) for tier, nano in routed.expected_nano.items() if nano is not None},
    }
    return {f"agentcost_route_{name}": value for name, value in said.items() if value is not None}
