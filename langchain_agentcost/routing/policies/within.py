"""Policies that stand in one another: finding the one that is calibrated, and putting another in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from langchain_agentcost.routing.policy import Choice, Policy, Scored
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier


@runtime_checkable
class Around(Policy, Protocol):
    """A policy around another one, a frozen dataclass."""

    @property
    def inner(self) -> Policy | None:
        """The other one."""
        ...

    @property
    def keeps_threshold(self) -> bool:
        """Whether it never takes a tier that is expected to lose more than `inner`'s threshold allows."""
        ...


@runtime_checkable
class LearnsChecks(Policy, Protocol):
    """A policy that counts which drafts passed, in an object of its own."""

    def checked(self, request: RouteRequest, choice: Choice, *, accepted: bool) -> None:
        """Learn whether a draft passed its check."""
        ...


@runtime_checkable
class LearnsRewards(Policy, Protocol):
    """A policy that counts how good answers were, in an object of its own."""

    def decided(self, decision_id: str, request: RouteRequest, choice: Choice) -> None:
        """Learn which decision was made of its choice."""
        ...

    def reward(self, decision_id: str, quality: float) -> None:
        """Learn how good a decision's answer was, from 0 to 1."""
        ...


@runtime_checkable
class Levelled(Policy, Protocol):
    """A policy that goes by how strong tiers are."""

    def levelled(self, tiers: Sequence[Tier]) -> Policy:
        """Give the policy that knows that."""
        ...


@runtime_checkable
class Described(Policy, Protocol):
    """A policy whose losses go by what it was told, and not by examples alone."""

    def settings(self) -> Mapping[str, Any]:
        """Give that as plain data that a person can read; its threshold and what it has learnt are not in it."""
        ...


def settings_of(policy: Policy) -> dict[str, Any]:
    """Give what a policy was told; nothing where it does not say."""
    return dict(policy.settings()) if isinstance(policy, Described) else {}


def parts_of(policy: Policy) -> Iterator[Policy]:
    """Give a policy and those that stand in it, outermost first."""
    yield policy
    while isinstance(policy, Around) and policy.inner is not None:
        policy = policy.inner
        yield policy


def scored_in(policy: Policy | None) -> Scored | None:
    """Find the scored policy that a policy is, or stands around; None where there is none.

    Example:
        >>> from langchain_agentcost.routing.policies.sticky import Sticky
        >>> from langchain_agentcost.routing.policies.step import StepPolicy
        >>> scored_in(Sticky(StepPolicy())).name
        'step'
    """
    parts = parts_of(policy) if policy is not None else ()
    return next((part for part in parts if isinstance(part, Scored)), None)


def with_scored(policy: Policy, scored: Scored) -> Policy:
    """Give a policy with another scored one in the place of the one that `scored_in` finds."""
    if isinstance(policy, Scored) or not isinstance(policy, Around) or policy.inner is None:
        return scored
    return _with_inner(policy, with_scored(policy.inner, scored))


def keeps_threshold(policy: Policy) -> bool:
    """Tell whether what is proven of the scored policy's threshold holds for the whole.

    It does not where something around it goes further by design: a cascade is as good as its check, and thrift gives up
    quality for money.
    """
    while isinstance(policy, Around) and not isinstance(policy, Scored):
        if not policy.keeps_threshold or policy.inner is None:
            return False
        policy = policy.inner
    return isinstance(policy, Scored)


def levelled(policy: Policy, tiers: Sequence[Tier]) -> Policy:
    """Give a policy that knows how strong a router's tiers are, whatever it stands in or around."""
    if isinstance(policy, Levelled):
        return policy.levelled(tiers)
    if isinstance(policy, Around) and policy.inner is not None:
        return _with_inner(policy, levelled(policy.inner, tiers))
    return policy


def said_by(outer: str, choice: Choice, **changes: Any) -> Choice:
    """Give an inner policy's choice as the outer one's, with what it changes."""
    return replace(choice, policy=f"{outer}>{choice.policy}", **changes)


def _with_inner(policy: Any, inner: Policy) -> Policy:
    changed: Policy = replace(policy, inner=inner)
    return changed
