"""The outermost of an agent's middleware: where a limit stops anything behind it, the agent ends with an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage

from langchain_agentcost.errors.limits import BreakerTripped, BudgetExceeded
from langchain_agentcost.middleware.final_answer import FinalAnswer, final_message
from langchain_agentcost.middleware.model_calls import STOPS
from langchain_agentcost.middleware.ordering import behind, check_order

Request = ModelRequest[Any]
Response = ModelResponse[Any]


class AgentCostEnd(AgentMiddleware[Any, Any, Any]):
    """Ends an agent with an answer, whichever call was stopped: the model's own, a judge's, a summary's.

    At its first call it looks at what stands behind it, and refuses an order in which something does not work.

    Args:
        final_answer: What the agent says where it is stopped; None raises.
    """

    def __init__(self, final_answer: FinalAnswer | None) -> None:
        super().__init__()
        self._final_answer = final_answer
        self._is_checked = False

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response | AIMessage:
        """Make a model call, or end the agent.

        Raises:
            WrongOrder: If something stands where it does not do what it is for.
        """
        self._check(handler)
        try:
            return handler(request)
        except STOPS as reached:
            return self._stopped(request, reached)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response | AIMessage:
        """Make a model call, or end the agent, in async code.

        Raises:
            WrongOrder: If something stands where it does not do what it is for.
        """
        self._check(handler)
        try:
            return await handler(request)
        except STOPS as reached:
            return self._stopped(request, reached)

    def _check(self, handler: Callable[..., object]) -> None:
        if not self._is_checked:
            check_order([self, *behind(handler)])
            self._is_checked = True

    def _stopped(self, request: Request, reached: BudgetExceeded | BreakerTripped) -> AIMessage:
        if self._final_answer is None:
            raise reached
        return final_message(request.state, reached, self._final_answer)
