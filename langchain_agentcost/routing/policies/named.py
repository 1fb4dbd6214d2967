"""Policies by name, for `configurable["router_policy"]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.policies.budget_aware import BudgetAware
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.random import RandomPolicy
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.policies.sticky import Sticky
from langchain_agentcost.routing.policy import Policy

POLICIES: Mapping[str, Callable[[str], Policy]] = MappingProxyType(
    {
        "step": lambda _: StepPolicy(),
        "small": lambda _: FixedPolicy("small"),
        "mid": lambda _: FixedPolicy("mid"),
        "frontier": lambda _: FixedPolicy("frontier"),
        "fixed": lambda tier: FixedPolicy(tier or "frontier"),
        "random": lambda share: RandomPolicy(float(share or 0.5)),
        "sticky": lambda _: Sticky(StepPolicy()),
        "budget": lambda _: BudgetAware(StepPolicy()),
    }
)
"""What makes each policy that needs nothing but a name, of what may follow the name after a colon."""


def policy_named(text: str) -> Policy:
    """Give a policy by its name: one of `POLICIES`, such as "step", "fixed:opus" or "random:0.3".

    Raises:
        RoutingError: If there is none of that name, or what follows the colon is not what it takes.

    Example:
        >>> policy_named("step").name, policy_named("random:0.3")
        ('step', RandomPolicy(strong=0.3, seed=''))
    """
    name, _, argument = text.partition(":")
    make = POLICIES.get(name)
    if make is None:
        raise RoutingError(f"There is no policy {text!r}; there are {', '.join(POLICIES)}.")
    try:
        return make(argument)
    except ValueError as error:
        raise RoutingError(f"{text!r} is no policy: {error}") from error
