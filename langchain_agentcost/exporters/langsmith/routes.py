"""What a router decided, on the model run that it decided for, so that LangSmith can filter and group by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_agentcost.attribution import label
from langchain_agentcost.exporters.langsmith.costs import usd_of
from langchain_agentcost.routed import Routed


def route_shown(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Give a decision as a model run shows it. Nothing of it is text of a prompt or an answer.

    The router's own metadata is nested, which LangSmith shows and cannot filter by: this says it flat. The tag of the
    tier is on the run already: the router puts it there.

    Args:
        metadata: The run's metadata.

    Returns:
        The decision's id, why, what else was possible, and what each tier was expected to cost, in USD; None where the
        call was not routed.

    Raises:
        TypeError: If it is not that of a routed call.

    Example:
        >>> routed = Routed(
        ...     id="1",
        ...     tier="small",
        ...     policy="step",
        ...     role="answer",
        ...     baseline="large",
        ...     expected_nano={"small": 1_000, "large": None},
        ... )
        >>> shown = route_shown(routed.as_metadata())
        >>> shown["agentcost_route_alternatives"], shown["agentcost_route_usd_small"]
        ('large', 1e-06)
    """
    routed = Routed.from_metadata(metadata)
    if routed is None:
        return None
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
