"""An agent's model calls, each with a permit."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from langchain_agentcost.errors import UnenforcedBudgetWarning
from langchain_agentcost.errors.limits import BreakerTripped, BudgetExceeded
from langchain_agentcost.meter import CostMeter, active_meters, meter_costs
from langchain_agentcost.middleware.asked import Asker
from langchain_agentcost.middleware.final_answer import FinalAnswer, final_message
from langchain_agentcost.middleware.remaining import with_remaining

STOPS = (BudgetExceeded, BreakerTripped)
"""What ends an agent with an answer. A limit that cannot be checked is a fault, and not for its user to read about."""

Request = ModelRequest[Any]
Response = ModelResponse[Any]


class AgentCostModelCalls(AgentMiddleware[Any, Any, Any]):
    """Reserves for each model call before it is made, and makes it no larger than that.

    Args:
        meter: The meter with the limits.
        cheaper: Models to go down to, dearest first.
        least_output_tokens: The shortest answer worth having.
        final_answer: What the agent says where it is stopped; None raises.
        show_remaining: Whether the model is told what is left.
    """

    def __init__(
        self,
        meter: CostMeter,
        *,
        cheaper: Sequence[BaseChatModel],
        least_output_tokens: int,
        final_answer: FinalAnswer | None,
        show_remaining: bool,
    ) -> None:
        super().__init__()
        self._meter = meter
        self._asker = Asker(meter, least_output_tokens=least_output_tokens)
        self._cheaper = list(cheaper)
        self._final_answer = final_answer
        self._shows_remaining = show_remaining
        self._warned: set[str] = set()

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response | AIMessage:
        """Make a model call within its limits, or end the agent."""
        try:
            with self._permitted(request, handler) as shaped:
                return handler(shaped)
        except STOPS as reached:
            return self._stopped(request, reached)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response | AIMessage:
        """Make a model call within its limits, or end the agent."""
        try:
            with self._permitted(request, handler) as shaped:
                return await handler(shaped)
        except STOPS as reached:
            return self._stopped(request, reached)

    @contextmanager
    def _permitted(self, request: Request, handler: Callable[[Request], object]) -> Iterator[Request]:
        """Give the request as it may be made, while what it may take is reserved."""
        if _leads_to_middleware(handler):
            self._warn_once(_NOT_LAST)
        with ExitStack() as stack:
            if self._meter not in active_meters():
                self._warn_once(_NOT_PASSED)
                stack.enter_context(meter_costs(self._meter))
            if self._shows_remaining:
                request = with_remaining(request, self._meter.remaining())
            shaped, permit = self._ask(request)
            stack.enter_context(permit)
            yield shaped

    def _ask(self, request: Request) -> tuple[Request, AbstractContextManager[object]]:
        """Ask for the dearest model that may still be taken."""
        *dearer, cheapest = self._models(request.model)
        for model in dearer:
            try:
                return self._asker.ask(_asked_of(model, request))
            except BudgetExceeded as refused:
                if refused.evidence.get("action") != "downgrade":
                    raise
        return self._asker.ask(_asked_of(cheapest, request))

    def _models(self, model: BaseChatModel) -> Sequence[BaseChatModel]:
        """The models that may be taken, dearest first."""
        for place, known in enumerate(self._cheaper):
            if known is model:
                return self._cheaper[place:]
        if self._cheaper and self._meter.should_downgrade():
            return self._cheaper
        return [model, *self._cheaper]

    def _stopped(self, request: Request, reached: BudgetExceeded | BreakerTripped) -> AIMessage:
        """The message that an agent ends with: it asks for no tools."""
        if self._final_answer is None:
            raise reached
        return final_message(request.state, reached, self._final_answer)

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(UnenforcedBudgetWarning(message), stacklevel=2)


def _asked_of(model: BaseChatModel, request: Request) -> Request:
    return request if model is request.model else request.override(model=model)


def _leads_to_middleware(handler: Callable[..., object]) -> bool:
    """Whether a handler is one by which `create_agent` chains middleware, and not what makes the call itself."""
    return getattr(handler, "__qualname__", "").endswith(".inner_handler")


_NOT_LAST = (
    "agentcost_middleware is not the last one that wraps model calls: what comes after it may make calls that it has "
    "not shaped, such as retries. They are still held to their limits, but not shortened, and they raise. Put it last: "
    "middleware=[*others, *agentcost_middleware(meter)]."
)

_NOT_PASSED = (
    "The meter of agentcost_middleware is not among the callbacks of this run, so each model call counts as a run of "
    "its own, and tools and sub-agents are not seen. Pass it to the outermost call: "
    'agent.invoke(…, {"callbacks": meter.callbacks}).'
)
