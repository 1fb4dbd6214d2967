"""All of it inside `langchain.agents.create_agent`, in the one order that works; and limits that are reached gently.

The meter's callback holds limits by itself, wherever it is passed. The middleware shapes calls so that limits are
reached later and more gently: it shortens answers to what there is room for, takes cheaper models, and ends an agent
with an answer in place of an exception. That is what a callback cannot do, because the call is made by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from langchain_agentcost.errors import MissingExtra

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="agentcost_middleware")

from langchain.chat_models import init_chat_model

from langchain_agentcost.meter.handler import LEAST_OUTPUT_TOKENS, CostMeter
from langchain_agentcost.middleware.end import AgentCostEnd
from langchain_agentcost.middleware.final_answer import FinalAnswer, default_answer
from langchain_agentcost.middleware.model_calls import AgentCostModelCalls
from langchain_agentcost.middleware.ordering import ORDER, RULES, WrongOrder, check_order, in_order
from langchain_agentcost.middleware.parts import ContextLike, RouterLike, ToolCacheLike, parts_of
from langchain_agentcost.middleware.tool_calls import AgentCostToolCalls

if TYPE_CHECKING:
    from langchain.agents.middleware import AgentMiddleware
    from langchain_core.language_models import BaseChatModel

__all__ = ["ORDER", "RULES", "FinalAnswer", "WrongOrder", "agentcost_middleware", "check_order", "default_answer"]


def agentcost_middleware(  # noqa: PLR0913  # the one place where an agent is set up; all but the meter have a default
    meter: CostMeter,
    *,
    router: RouterLike | None = None,
    tool_cache: ToolCacheLike | None = None,
    context: ContextLike | None = None,
    others: Sequence[AgentMiddleware[Any, Any, Any]] = (),
    downgrade_to: BaseChatModel | str | Sequence[BaseChatModel | str] = (),
    least_output_tokens: int = LEAST_OUTPUT_TOKENS,
    on_limit: Literal["end", "raise"] = "end",
    show_remaining: bool = False,
    final_answer: FinalAnswer = default_answer,
) -> list[AgentMiddleware[Any, Any, Any]]:
    """Make the middleware of an agent: a router, caches, a shorter history, and the limits of a meter.

    What it is given it puts in order (`ORDER`); what does not matter for the order stands first, as it was given. The
    list is the whole of `create_agent(middleware=…)` then. Where you keep middleware of your own outside it, put this
    last, `[*mine, *agentcost_middleware(…)]`, and have the whole checked by `check_order`.

    Before each model call it reserves what the call may take at worst. Where there is not room for the longest answer
    that the model may give, the request's `max_tokens` is lowered to what fits. The provider says of an answer that is
    cut by it what it always says, such as `finish_reason` "length". What is reserved is not there for calls made at
    the same time: where agents run side by side, give their models a `max_tokens` of their own.

    Pass `meter.callbacks` to the agent as well: `agent.invoke(…, {"callbacks": meter.callbacks})`. Without it only the
    model calls of this agent are seen, each as a run of its own, and a warning says so.

    Args:
        meter: The meter with the limits.
        router: What chooses the model of each call: a `RouterRunnable`, a `RouterMiddleware`, or tiers. One that has no
            meter gets this one.
        tool_cache: What serves tool calls: a `ToolCache`, a `ToolCacheMiddleware`, or policies by the tools' names.
        context: What sends of the history only what is worth its price: a `ContextProjector`, a `ContextMiddleware`, or
            True for one with the defaults.
        others: All other middleware of the agent: of this package (references, working memory, a model cache,
            `cache_safe_layout()`, output controls), LangChain's, and your own.
        downgrade_to: Cheaper models, dearest first, or their names for `init_chat_model`. The first that there is room
            for is taken from the moment on that a budget's action says "downgrade": as a threshold, or as `on_limit`
            when the dearer model has no room left. A budget that says anything else at its limit stops them all. A
            router does that with its own tiers, so there is none beside it: at such an action it is asked to choose
            with all thrift, see `RouterMiddleware`.
        least_output_tokens: The shortest answer worth having, beside the tokens that a model may think for: a call that
            has room only for less is not made. Models that reason need more than the default.
        on_limit: What happens when a budget or breaker stops a call. "end": the agent ends with `final_answer`, and
            tool calls that were stopped get a message that says so. "raise": the `LimitReached` is raised. One that
            cannot be checked (`LimitUnavailable`) is always raised.
        show_remaining: Whether the model is told what is left, by a line at the prompt's end. The line is not kept in
            the agent's state, and what stands before it stays as it is, so the provider's prompt cache still holds.
        final_answer: What the agent says at the end: a function of its state and the `LimitReached`.

    Returns:
        The middleware, for the end of `create_agent(middleware=…)`. Where there is more than the limits, the first of
        it looks at what stands behind it, and raises `WrongOrder` at the agent's first call.

    Raises:
        WrongOrder: If what was given cannot stand in any order.
        ValueError: If there is a router and `downgrade_to`.
        MissingExtra: From the import of this module, if langchain is not installed.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_agentcost.limits.budget import Budget
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> meter = CostMeter(budgets=[Budget(steps=0)])
        >>> agent = create_agent(FakeMeteredChatModel(), middleware=agentcost_middleware(meter))
        >>> done = agent.invoke({"messages": "Where is my order?"}, {"callbacks": meter.callbacks})
        >>> done["messages"][-1].text
        'Budget reached: 0 of 0 steps are used for this run. There is no result yet.'
    """
    cheaper = _models(downgrade_to)
    if router is not None and cheaper:
        raise ValueError("A router goes down by itself: name the models of downgrade_to as its tiers, weakest first.")
    answer = final_answer if on_limit == "end" else None
    parts = [*parts_of(meter, router, tool_cache, context), *others]
    limits: list[AgentMiddleware[Any, Any, Any]] = [
        AgentCostModelCalls(
            meter,
            cheaper=cheaper,
            least_output_tokens=least_output_tokens,
            final_answer=None if parts else answer,  # what stands before it learns of the stop as well
            show_remaining=show_remaining,
        )
    ]
    if answer is not None:
        limits.append(AgentCostToolCalls())
    return check_order(in_order([AgentCostEnd(answer), *parts, *limits])) if parts else limits


def _models(given: BaseChatModel | str | Sequence[BaseChatModel | str]) -> list[BaseChatModel]:
    models = [given] if not isinstance(given, Sequence) or isinstance(given, str) else given
    return [init_chat_model(model) if isinstance(model, str) else model for model in models]
