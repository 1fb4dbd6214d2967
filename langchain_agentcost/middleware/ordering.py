"""The order of an agent's middleware: who has to stand before whom, and why.

`create_agent` makes the first of the list the outermost: it sees a request first, and an answer last. It does not let a
middleware see the others, so an order is checked by `check_order`, and what `agentcost_middleware` was given is put in
order there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import getclosurevars
from typing import Any, NamedTuple

from langchain.agents.middleware import AgentMiddleware

from langchain_agentcost.errors import AgentCostError

Middleware = AgentMiddleware[Any, Any, Any]


class WrongOrder(AgentCostError, ValueError):
    """Middleware in an order in which it does not do what it is for; the message says what to move, and why."""


class Rule(NamedTuple):
    """Two kinds of middleware of which one has to stand before the other.

    Args:
        before: The class that has to come first, and so is the outer one.
        after: The class that has to come later.
        why: What goes wrong otherwise, as the end of a sentence.
    """

    before: str
    after: str
    why: str


ORDER: tuple[str, ...] = (
    "AgentCostEnd",
    "",
    "ContextMiddleware",
    "ContextEditingMiddleware",
    "ReferenceMiddleware",
    "ToolCacheMiddleware",
    "WorkingMemoryMiddleware",
    "ModelCacheMiddleware",
    "ModelRouterMiddleware",
    "RouterMiddleware",
    "ModelFallbackMiddleware",
    "ModelRefusalMiddleware",
    "CacheSafeLayout",
    "AnthropicPromptCachingMiddleware",
    "MarkBeforeTail",
    "OutputControlsMiddleware",
    "AgentCostModelCalls",
    "AgentCostToolCalls",
)
"""The order in which `in_order` puts classes, outermost first; "" stands for all that are not named here."""

_HISTORY = "the projector plans for the messages of the history, and what others add or blank is none of it"
_PLANNED = "references count what is sent, so the history has to be cut by then"
_WHOLE = "a tool cache is to keep whole results, not short references to them"
_ASKED = "the cache answers by what is asked, and has to see all of it"
_SPARED = "a hit is to need neither a tier nor a budget"
_CHOSEN = "what is meant for the model that is asked has to see which one the router chose"
_LIMITS = "limits are shaped for the call as it is made"

RULES: tuple[Rule, ...] = (
    Rule("ContextMiddleware", "WorkingMemoryMiddleware", _HISTORY),
    Rule("ContextMiddleware", "ContextEditingMiddleware", _HISTORY),
    Rule("ContextMiddleware", "CacheSafeLayout", _HISTORY),
    Rule("ContextMiddleware", "ReferenceMiddleware", _PLANNED),
    Rule("ReferenceMiddleware", "ToolCacheMiddleware", _WHOLE),
    Rule(
        "LLMToolEmulator",
        "ToolCacheMiddleware",
        "what a model makes up in a tool's place is not to be kept as its result",
    ),
    Rule("ContextMiddleware", "ModelCacheMiddleware", _ASKED),
    Rule("WorkingMemoryMiddleware", "ModelCacheMiddleware", _ASKED),
    Rule("ModelCacheMiddleware", "RouterMiddleware", _SPARED),
    Rule("ModelCacheMiddleware", "OutputControlsMiddleware", _SPARED),
    Rule("ModelCacheMiddleware", "AgentCostModelCalls", _SPARED),
    Rule(
        "ContextMiddleware",
        "RouterMiddleware",
        "the router prices the prompt that is sent, so it has to be cut by then",
    ),
    Rule(
        "LLMToolSelectorMiddleware",
        "RouterMiddleware",
        "the model that it asks would count as a call of the chosen tier",
    ),
    Rule(
        "ModelRouterMiddleware",
        "RouterMiddleware",
        "whoever comes later chooses, and the router's decision would not hold",
    ),
    Rule(
        "RouterMiddleware",
        "ModelFallbackMiddleware",
        "the router chooses the model, so what stands in front of it is never asked",
    ),
    Rule("RouterMiddleware", "CacheSafeLayout", _CHOSEN),
    Rule("RouterMiddleware", "AnthropicPromptCachingMiddleware", _CHOSEN),
    Rule("RouterMiddleware", "OutputControlsMiddleware", _CHOSEN),
    Rule("RouterMiddleware", "AgentCostModelCalls", _CHOSEN),
    Rule(
        "ModelFallbackMiddleware", "ModelRefusalMiddleware", "a fallback steps in for a refusal only where it sees it"
    ),
    Rule("CacheSafeLayout", "AnthropicPromptCachingMiddleware", "the marks for a cache go by where things stand"),
    Rule("AnthropicPromptCachingMiddleware", "MarkBeforeTail", "it moves the mark that is set by then"),
    Rule("OutputControlsMiddleware", "AgentCostModelCalls", "a limit is to reserve no more than the cap"),
)
"""What has to come before what. The last rule of all has no pair: what wraps model calls comes before the limits."""


def check_order(middleware: Iterable[Middleware]) -> list[Middleware]:
    """Check the whole list that is given to `create_agent`.

    Args:
        middleware: The list, outermost first.

    Returns:
        The same middleware, so that it can be written where the list is used.

    Raises:
        WrongOrder: If one stands where it does not do what it is for.

    Example:
        >>> from langchain.agents.middleware import ModelRetryMiddleware
        >>> from langchain_agentcost import CostMeter
        >>> from langchain_agentcost.middleware import agentcost_middleware
        >>> stack = check_order([ModelRetryMiddleware(), *agentcost_middleware(CostMeter())])
        >>> check_order(stack[::-1])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        langchain_agentcost.middleware.ordering.WrongOrder: ModelRetryMiddleware has to stand before AgentCost...
    """
    stack = list(middleware)
    for place, later in enumerate(stack):
        for earlier in stack[:place]:
            why = _wrong(earlier, later)
            if why is not None:
                raise WrongOrder(
                    f"{_called(later)} has to stand before {_called(earlier)}: {why}. Move it, or give it to "
                    "agentcost_middleware(…, others=[…]), which puts it in its place."
                )
    return stack


def in_order(middleware: Iterable[Middleware]) -> list[Middleware]:
    """Put middleware in order; what is not known stands first, and keeps the order it has.

    Example:
        >>> from langchain.agents.middleware import ModelFallbackMiddleware, ModelRetryMiddleware
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> given = [ModelFallbackMiddleware(FakeMeteredChatModel()), ModelRetryMiddleware()]
        >>> [type(one).__name__ for one in in_order(given)]
        ['ModelRetryMiddleware', 'ModelFallbackMiddleware']
    """
    return sorted(middleware, key=_place)


def behind(handler: Callable[..., object]) -> list[Middleware]:
    """Give the middleware behind a handler that `create_agent` hands out; empty where that cannot be seen.

    It reads how LangChain 1.x chains handlers (`langchain.agents.factory`), which nothing promises: what it gives is
    certain, and what it does not give may be there all the same.
    """
    if not getattr(handler, "__qualname__", "").endswith(".inner_handler"):
        return []
    inner = getclosurevars(handler).nonlocals.get("inner")
    return list(_chained(inner)) if inner is not None else []


def _chained(one: Callable[..., object]) -> Iterable[Middleware]:
    """The middleware in a composition, outermost first."""
    if getattr(one, "__qualname__", "").endswith(".composed"):
        parts = getclosurevars(one).nonlocals
        for name in ("outer", "inner"):
            if name in parts:
                yield from _chained(parts[name])
        return
    owner = getattr(getattr(one, "__wrapped__", one), "__self__", None)
    if isinstance(owner, AgentMiddleware):
        yield owner


def _wrong(earlier: Middleware, later: Middleware) -> str | None:
    """Why one that stands later would have to stand before; None where it is right."""
    outer, inner = _kinds(earlier), _kinds(later)
    for rule in RULES:
        if rule.before in inner and rule.after in outer:
            return rule.why
    if "AgentCostModelCalls" in outer and _wraps_model_calls(later):
        return _LIMITS
    return None


def _place(middleware: Middleware) -> int:
    kinds = _kinds(middleware)
    return next((place for place, kind in enumerate(ORDER) if kind in kinds), ORDER.index(""))


def _kinds(middleware: Middleware) -> set[str]:
    """The classes that it is one of, of those that are known here. A user's own class of the same name is another."""
    return {kind.__name__ for kind in type(middleware).__mro__ if kind.__module__.partition(".")[0] in _KNOWN}


_KNOWN = ("langchain_agentcost", "langchain", "langchain_anthropic")


def _wraps_model_calls(middleware: Middleware) -> bool:
    kind = type(middleware)
    wraps = kind.wrap_model_call is not AgentMiddleware.wrap_model_call
    return wraps or kind.awrap_model_call is not AgentMiddleware.awrap_model_call


def _called(middleware: Middleware) -> str:
    """What a person calls it."""
    name = type(middleware).__name__
    return f"{name} (of agentcost_middleware)" if name in ("AgentCostModelCalls", "AgentCostEnd") else name
