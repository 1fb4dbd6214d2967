"""What a router tells of a call in its run's metadata: the meter writes it to the ledger, LangSmith shows it.

Metadata reaches whoever is passed as a callback, in a graph or outside one, so router and meter need not know each
other. All values are plain data, and none is text of a prompt or an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

TIER = "agentcost_tier"
"""The metadata key, and the ledger's tag, of the tier that was asked."""

POLICY = "agentcost_policy"
"""Likewise, of the policy that chose it."""

ROLE = "agentcost_role"
"""Likewise, of what the call is for; one of `ROLES`."""

ROUTE = "agentcost_route"
"""The metadata key of all the rest, a mapping."""

Role = Literal["answer", "draft", "escalation", "shadow", "judge"]

ROLES: tuple[Role, ...] = get_args(Role)
"""What a routed call is for: the only answer; one that is checked; one in place of a draft that did not pass; one for
comparison, that nobody sees; one that judges."""

ANSWERING: tuple[Role, ...] = ("answer", "draft", "escalation")
"""The roles of calls that a decision is made for: the others only compare and judge."""

EVALUATION_PURPOSE = "evaluation"
"""The purpose of calls for comparison: what routing saves is less what they cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """A decision, as it is told.

    Args:
        id: The decision's id: the draft and the escalation of one call share it.
        tier: The tier that is asked.
        policy: The policy that chose it.
        role: What the call is for.
        reasons: Why, as short sentences without text of the prompt.
        expected_nano: What the call was expected to cost by tier, in nano-USD; None where a tier has no price.
        baseline: The tier that would have been asked without a router: the strongest.
        baseline_nano: What the call was expected to cost if all calls of its thread had gone to that tier, so that its
            prompt cache is warm; None where that is not known.
        score: What is expected to be lost in quality by the cheapest tier, from 0 to 1; None where a policy has none.
        propensity: How probable the policy's own draw was, where it drew; 1 where it did not.
        calibration: Which calibration holds; None for none.

    Example:
        >>> routed = Routed(id="1", tier="small", policy="step", role="answer", baseline="frontier")
        >>> routed.as_metadata()["agentcost_tier"], Routed.from_metadata(routed.as_metadata()) == routed
        ('small', True)
    """

    id: str
    tier: str
    policy: str
    role: Role
    reasons: tuple[str, ...] = ()
    expected_nano: Mapping[str, int | None] = field(default_factory=dict)
    baseline: str
    baseline_nano: int | None = None
    score: float | None = None
    propensity: float = 1.0
    calibration: str | None = None

    @property
    def tag(self) -> str:
        """The tag of the call's run, by which traces are filtered."""
        return f"router:{self.tier}"

    def as_metadata(self) -> dict[str, Any]:
        """Give the metadata of the call's run."""
        told = {name: getattr(self, name) for name in _TOLD}
        told |= {"reasons": list(self.reasons), "expected_nano": dict(self.expected_nano)}
        return {TIER: self.tier, POLICY: self.policy, ROLE: self.role, ROUTE: told}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any] | None) -> Self | None:
        """Read what `as_metadata` wrote; None where the call was not routed.

        Raises:
            TypeError: If it is not that of a routed call.
        """
        data = (metadata or {}).get(ROUTE)
        if metadata is None or not isinstance(data, Mapping):
            return None
        flat = {"tier": metadata.get(TIER), "policy": metadata.get(POLICY), "role": metadata.get(ROLE)}
        return cls(**{**data, **flat, "reasons": tuple(data.get("reasons", ()))})


_TOLD = tuple(one.name for one in fields(Routed) if one.name not in ("tier", "policy", "role"))
"""What stands under `ROUTE`."""
